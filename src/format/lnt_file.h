/*
 * lnt_file.h - a .lnt file being read: what lnt.c and lnt_graph.c share.
 */
#ifndef LN_LNT_FILE_H
#define LN_LNT_FILE_H

#include "lnt.h"

/* Where a graph's records begin, counted in records. */
typedef struct ln_lnt_place {
    size_t value, node, index, attr, number, constant, tensor, graph;
} ln_lnt_place;

typedef struct ln_lnt_graph {
    uint32_t     name, values, nodes, inputs, outputs;
    ln_lnt_place at;
    ln_graph    *g;
    size_t       parent;
    int32_t      depth;
} ln_lnt_graph;

enum { LN_LNT_TEXT = 1, LN_LNT_NAME = 2, LN_LNT_USED = 4 }; /* fit as text, fit as a name, somebody's */

typedef struct ln_lnt_file {
    ln_cursor      section[LN_LNT_END];
    size_t         count[LN_LNT_END]; /* records */
    ln_arena      *arena;             /* of the model */
    ln_arena       temp;
    ln_lnt_graph  *graph;
    linnet_tensor *tensor;
    bool           shared; /* others may change the bytes */
    bool           packed; /* the file has packed weights */
    bool           sums;   /* and a checksum for each tensor, which stands for that of DATA */
    size_t         constants; /* of the root graph: the first tensors */
    ln_packs      *packs;  /* where those that are not looked at are noted */
    uint8_t       *string; /* LN_LNT_TEXT and so on, per byte of STRINGS, of the string that begins there */
    linnet_error  *err;
} ln_lnt_file;

/* ---- lnt.c ---- */

/* The sentences for what is wrong at a byte of the file, and for no memory. */
linnet_status ln_lnt_bad(ln_lnt_file *f, size_t at, const char *what);
linnet_status ln_lnt_full(ln_lnt_file *f);
/* Record i of a section; i was checked. */
const uint8_t *ln_lnt_at(const ln_lnt_file *f, int kind, size_t i);
/* File offset of record i, for messages. */
size_t         ln_lnt_offset(const ln_lnt_file *f, int kind, size_t i);
/* The string at that position; NULL: there is none, or it cannot be a name. */
const char *ln_lnt_string(const ln_lnt_file *f, uint64_t ref, bool name);
/* Rank and dims at p (i32 rank; dims from p + 4 + gap on); least: the smallest legal dim. */
bool ln_lnt_shape(const uint8_t *rank, const uint8_t *dim, int64_t least, int32_t rank_least, ln_desc *d);
/* True for large weights of the root graph in a file that proves each alone: a plan does it (prove.c). */
bool ln_lnt_left_alone(const ln_lnt_file *f, size_t i);

/* ---- lnt_graph.c ---- */

/* Take n records of a section from the running place. */
bool ln_lnt_take(const ln_lnt_file *f, int kind, size_t *place, uint64_t n);
/* The first walk; *test_tensor is the first tensor of the tests. */
linnet_status ln_lnt_walk(ln_lnt_file *f, size_t *test_tensor);
/* Build it; those behind it are built already. */
linnet_status ln_lnt_build_graph(ln_lnt_file *f, ln_lnt_graph *k);

#endif
