/*
 * pb.h - the wire format of protocol buffers, field by field.
 */
#ifndef LN_PB_H
#define LN_PB_H

#include "../base/base.h"

enum { LN_PB_VARINT = 0, LN_PB_FIXED64 = 1, LN_PB_BYTES = 2, LN_PB_FIXED32 = 5 };

typedef struct ln_pb_field {
    uint32_t  number;
    uint32_t  wire;  /* LN_PB_* */
    uint64_t  value; /* of VARINT, FIXED64, FIXED32 */
    ln_cursor bytes; /* of BYTES */
    size_t    at;    /* file offset of the field */
} ln_pb_field;

/* The next field of the message under the cursor. False: end of message, or c->bad. */
bool ln_pb_next(ln_cursor *c, ln_pb_field *f);

/* A variable-length number; sets c->bad where there is none. */
uint64_t ln_pb_varint(ln_cursor *c);

/*
 * Numbers of a repeated field, which one field may carry alone or many packed: start with
 * ln_pb_numbers(), then take them one by one. `wire` is what one number is encoded as. False:
 * the field has another wire type.
 */
typedef struct ln_pb_list {
    ln_cursor c;
    uint32_t  wire;
    bool      single;
    uint64_t  value;
} ln_pb_list;
bool ln_pb_numbers(const ln_pb_field *f, uint32_t wire, ln_pb_list *list);
bool ln_pb_number(ln_pb_list *list, uint64_t *value); /* false: no more, or list->c.bad */

/* How many numbers the field carries. */
size_t ln_pb_count(const ln_pb_field *f, uint32_t wire);

/* Bits as the numbers they stand for. */
static inline int64_t ln_pb_i64(uint64_t v)
{
    int64_t i;
    memcpy(&i, &v, sizeof i);
    return i;
}
static inline float ln_pb_f32(uint64_t v)
{
    const uint32_t bits = (uint32_t)v;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

#endif
