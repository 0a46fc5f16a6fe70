/*
 * lnt.h - the layout of .lnt files, as FORMAT.md describes it.
 */
#ifndef LN_LNT_H
#define LN_LNT_H

#include "format.h"

#define LN_LNT_MAGIC   "\x89LNT\r\n\x1a\n"
#define LN_LNT_VERSION 1u
#define LN_LNT_HEADER  32u /* bytes before the section table */
#define LN_LNT_ENTRY   32u /* bytes of a line of the section table */
#define LN_LNT_NESTING 8

/* Sections in the order of the file, with the bytes of one record, and whether a reader must know them. */
#define LN_LNT_LIST(X)   \
    X(STRINGS,  1, 1)    \
    X(META,     8, 0)    \
    X(GRAPHS,  20, 1)    \
    X(VALUES, 112, 1)    \
    X(NODES,   20, 1)    \
    X(INDEX,    4, 1)    \
    X(ATTRS,   16, 1)    \
    X(NUMBERS,  8, 1)    \
    X(TENSORS, 72, 1)    \
    X(TESTS,   24, 0)    \
    X(DATA,     1, 1)    \
    X(PACKS,   32, 0)    \
    X(PACKED,   1, 0)    \
    X(SUMS,     4, 0)

#define LN_LNT_ENUM(name, record, must) LN_LNT_##name,
enum { LN_LNT_NONE, LN_LNT_LIST(LN_LNT_ENUM) LN_LNT_END }; /* numbers of files: new ones at the end */
#undef LN_LNT_ENUM

#define LN_LNT_MUST 1u /* flag of a section: a reader that does not know it must refuse the file */

/* Flags of a value: constant, and the kind above. */
#define LN_LNT_CONSTANT   1u
#define LN_LNT_KIND_SHIFT 1u

#define LN_LNT_ABSENT UINT32_MAX /* in INDEX */

#endif
