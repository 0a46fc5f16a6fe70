/*
 * pb.c - the wire format of protocol buffers, field by field.
 *
 * A message is a run of fields; a nested message is bytes until somebody opens a cursor over
 * them. So nothing here recurses and nothing is allocated. Groups, which no format of
 * ours has, are refused.
 */
#include "pb.h"

uint64_t ln_pb_varint(ln_cursor *c)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t b = ln_cursor_u8(c);
        if (c->bad || (shift == 63 && b > 1))
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    c->bad = true;
    return 0;
}

bool ln_pb_next(ln_cursor *c, ln_pb_field *f)
{
    if (ln_cursor_left(c) == 0)
        return false;
    memset(f, 0, sizeof *f);
    f->at = c->base + c->at;
    const uint64_t tag = ln_pb_varint(c);
    f->number = (uint32_t)(tag >> 3);
    f->wire = (uint32_t)(tag & 7);
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        c->bad = true;
    if (c->bad)
        return false;
    switch (f->wire) {
    case LN_PB_VARINT:  f->value = ln_pb_varint(c); break;
    case LN_PB_FIXED64: f->value = ln_cursor_u64(c); break;
    case LN_PB_FIXED32: f->value = ln_cursor_u32(c); break;
    case LN_PB_BYTES: {
        const uint64_t size = ln_pb_varint(c);
        if (size > ln_cursor_left(c))
            c->bad = true;
        else
            f->bytes = ln_cursor_sub(c, (size_t)size);
        break;
    }
    default: c->bad = true; break;
    }
    return !c->bad;
}

bool ln_pb_numbers(const ln_pb_field *f, uint32_t wire, ln_pb_list *list)
{
    memset(list, 0, sizeof *list);
    list->wire = wire;
    list->single = f->wire == wire;
    list->value = f->value;
    list->c = f->bytes;
    return list->single || f->wire == LN_PB_BYTES;
}

bool ln_pb_number(ln_pb_list *list, uint64_t *value)
{
    if (list->single) {
        *value = list->value;
        list->single = false;
        return true;
    }
    if (ln_cursor_left(&list->c) == 0)
        return false;
    *value = list->wire == LN_PB_FIXED32   ? ln_cursor_u32(&list->c)
             : list->wire == LN_PB_FIXED64 ? ln_cursor_u64(&list->c)
                                           : ln_pb_varint(&list->c);
    return !list->c.bad;
}

size_t ln_pb_count(const ln_pb_field *f, uint32_t wire)
{
    size_t n = 0;

    if (f->wire == wire)
        return 1;
    if (wire == LN_PB_FIXED32)
        return ln_cursor_left(&f->bytes) / 4;
    if (wire == LN_PB_FIXED64)
        return ln_cursor_left(&f->bytes) / 8;
    for (size_t i = 0; i < f->bytes.size; i++) /* each varint ends in a byte below 128 */
        n += f->bytes.data[i] < 0x80;
    return n;
}
