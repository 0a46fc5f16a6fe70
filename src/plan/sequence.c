/*
 * sequence.c - operators on sequences and optionals. Results are copies in memory of their step.
 */
#include "session.h"

static linnet_status sequence_bad(const ln_step *step, linnet_error *err, const char *what)
{
    return ln_fail(err, LINNET_ERR_SHAPE, "layer \"%s\": %s: %s", step->node->name, step->node->op->name, what);
}

static const ln_slot sequence_nothing = { .absent = true };

static const ln_slot *sequence_in(const ln_step *step, int32_t i)
{
    return i < step->node->in_count && step->dynamic->in[i] ? step->dynamic->in[i] : &sequence_nothing;
}

static bool sequence_is_tensor(const ln_slot *v) { return !v->sequence && !v->absent && v->desc.dtype != 0; }

static linnet_status sequence_push(linnet_session *s, ln_step *step, const ln_desc *d, const void *from, linnet_error *err)
{
    void *data;
    size_t size;
    const linnet_status st = ln_hold_push(s, &step->dynamic->hold[0], d, &data, err);

    if (!st && ln_desc_bytes(d, &size) && size)
        memcpy(data, from, size);
    return st;
}

static linnet_status sequence_done(ln_step *step)
{
    if (step->dynamic->out[0])
        *step->dynamic->out[0] = (ln_slot){ .sequence = &step->dynamic->hold[0].sequence };
    return LINNET_OK;
}

/* Position `at` (counted from the end where negative) among `count`; LINNET_ERR_DATA outside. */
static linnet_status sequence_position(const ln_step *step, const ln_slot *at, size_t count, int64_t preset,
                                       size_t *out, linnet_error *err)
{
    int64_t v = preset;

    if (!at->absent) {
        if (!sequence_is_tensor(at) || ln_count(&at->desc) != 1 ||
            (at->desc.dtype != LINNET_I64 && at->desc.dtype != LINNET_I32))
            return sequence_bad(step, err, "the position is not one integer");
        v = ln_get_i64(at->desc.dtype, at->data, 0);
    }
    if (v < -(int64_t)count || v >= (int64_t)count)
        return ln_fail(err, LINNET_ERR_DATA, "layer \"%s\": position %lld in a sequence of %zu", step->node->name,
                       (long long)v, count);
    *out = (size_t)(v < 0 ? v + (int64_t)count : v);
    return LINNET_OK;
}

static linnet_status sequence_empty(linnet_session *s, ln_step *step, linnet_error *err)
{
    LN_UNUSED(s);
    LN_UNUSED(err);
    step->dynamic->hold[0].sequence.count = 0;
    return sequence_done(step);
}

static linnet_status sequence_construct(linnet_session *s, ln_step *step, linnet_error *err)
{
    step->dynamic->hold[0].sequence.count = 0;
    for (int32_t i = 0; i < step->node->in_count; i++) {
        const ln_slot *v = sequence_in(step, i);
        if (!sequence_is_tensor(v))
            return sequence_bad(step, err, "an input is not a tensor");
        const linnet_status st = sequence_push(s, step, &v->desc, v->data, err);
        if (st)
            return st;
    }
    return sequence_done(step);
}

/* A copy of `from` where the item at `skip` is left out, or `add` comes before place `at`. */
static linnet_status sequence_edit(linnet_session *s, ln_step *step, const ln_sequence *from, const ln_slot *add,
                                   size_t at, linnet_error *err)
{
    linnet_status st = LINNET_OK;

    step->dynamic->hold[0].sequence.count = 0;
    for (size_t i = 0; i <= from->count && !st; i++) {
        if (i == at && add)
            st = sequence_push(s, step, &add->desc, add->data, err);
        if (i < from->count && !st && !(i == at && !add))
            st = sequence_push(s, step, &from->item[i].desc, from->item[i].data, err);
    }
    return st ? st : sequence_done(step);
}

static linnet_status sequence_insert(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_slot *in = sequence_in(step, 0), *v = sequence_in(step, 1);
    size_t at;

    if (!in->sequence || !sequence_is_tensor(v))
        return sequence_bad(step, err, "a sequence and a tensor are wanted");
    const ln_slot *where = sequence_in(step, 2);
    const linnet_status st = sequence_position(step, where, in->sequence->count + 1, (int64_t)in->sequence->count, &at, err);
    if (st)
        return st;
    /* A negative position counts from the end of the old sequence. */
    if (!where->absent && ln_get_i64(where->desc.dtype, where->data, 0) < 0)
        at = at ? at - 1 : 0;
    return sequence_edit(s, step, in->sequence, v, at, err);
}

static linnet_status sequence_erase(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_slot *in = sequence_in(step, 0);
    size_t at;

    if (!in->sequence)
        return sequence_bad(step, err, "a sequence is wanted");
    const linnet_status st = sequence_position(step, sequence_in(step, 1), in->sequence->count, -1, &at, err);
    return st ? st : sequence_edit(s, step, in->sequence, NULL, at, err);
}

static linnet_status sequence_at(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_slot *in = sequence_in(step, 0);
    size_t at;

    if (!in->sequence)
        return sequence_bad(step, err, "a sequence is wanted");
    const linnet_status st = sequence_position(step, sequence_in(step, 1), in->sequence->count, -1, &at, err);
    if (st)
        return st;
    const ln_slot v = { .desc = in->sequence->item[at].desc, .data = in->sequence->item[at].data };
    return ln_hold_copy(s, &step->dynamic->hold[0], &v, step->dynamic->out[0], err);
}

/* One number as output 0. */
static linnet_status sequence_number(linnet_session *s, ln_step *step, int32_t dtype, int64_t v, linnet_error *err)
{
    const ln_desc d = ln_desc_of(dtype, 0, NULL);
    void *data;

    if (!step->dynamic->out[0])
        return LINNET_OK;
    const linnet_status st = ln_hold_tensor(s, &step->dynamic->hold[0], &d, step->dynamic->out[0], &data, err);
    if (!st)
        ln_set_i64(dtype, data, 0, v);
    return st;
}

static linnet_status sequence_length(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_slot *in = sequence_in(step, 0);

    return in->sequence ? sequence_number(s, step, LINNET_I64, (int64_t)in->sequence->count, err)
                        : sequence_bad(step, err, "a sequence is wanted");
}

/* ---- splitting and joining ------------------------------------------------------------------ */

/* Length of part i: given one by one, as one number for all, or 1. */
static int64_t split_part(const ln_slot *lengths, size_t i, int64_t left)
{
    if (lengths->absent)
        return LN_MIN(1, left);
    if (lengths->desc.rank == 0)
        return LN_MIN(ln_get_i64(lengths->desc.dtype, lengths->data, 0), left);
    return i < ln_count(&lengths->desc) ? ln_get_i64(lengths->desc.dtype, lengths->data, i) : -1;
}

static linnet_status sequence_split(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_slot *in = sequence_in(step, 0), *lengths = sequence_in(step, 1);
    const int64_t keep = *(const int64_t *)ln_node_field(step->node, "keepdims");
    int32_t axis;
    size_t i = 0;

    if (!sequence_is_tensor(in) || ln_dtype(in->desc.dtype)->bits % 8 ||
        !ln_axis(*(const int64_t *)ln_node_field(step->node, "axis"), in->desc.rank, &axis) ||
        (!lengths->absent && (!sequence_is_tensor(lengths) || lengths->desc.rank > 1 ||
                              (lengths->desc.dtype != LINNET_I64 && lengths->desc.dtype != LINNET_I32))))
        return sequence_bad(step, err, "the tensor cannot be split like this");
    const size_t size = ln_dtype(in->desc.dtype)->bits / 8u, outer = ln_count_range(&in->desc, 0, axis);
    const size_t inner = ln_count_range(&in->desc, axis + 1, in->desc.rank) * size;
    const int64_t length = in->desc.dim[axis];
    step->dynamic->hold[0].sequence.count = 0;
    const bool listed = !lengths->absent && lengths->desc.rank == 1;
    for (int64_t from = 0; listed ? i < ln_count(&lengths->desc) || from < length : from < length; i++) {
        const int64_t part = split_part(lengths, i, length - from);
        ln_desc d = in->desc;
        void *data;
        if (part < !listed || part > length - from)
            return sequence_bad(step, err, "the lengths do not add up");
        d.dim[axis] = part;
        if (lengths->absent && !keep) {
            for (int32_t k = axis; k + 1 < d.rank; k++)
                d.dim[k] = d.dim[k + 1];
            d.rank--;
        }
        const linnet_status st = ln_hold_push(s, &step->dynamic->hold[0], &d, &data, err);
        if (st)
            return st;
        ln_copy_rows(data, (size_t)part * inner, (const char *)in->data + (size_t)from * inner, (size_t)length * inner,
                     outer, (size_t)part * inner);
        from += part;
    }
    return sequence_done(step);
}

/* The shape of all items joined along `axis` (new where `fresh`). */
static bool concat_desc(const ln_sequence *q, int64_t axis_given, bool fresh, int32_t *axis, ln_desc *out)
{
    if (q->count == 0)
        return false;
    const ln_desc *first = &q->item[0].desc;
    if (!ln_axis(axis_given, first->rank + fresh, axis) || first->rank + fresh > LN_MAX_RANK ||
        ln_dtype(first->dtype)->bits % 8)
        return false;
    *out = (ln_desc){ first->dtype, first->rank + fresh, { 0 } };
    for (int32_t i = 0; i < out->rank; i++)
        out->dim[i] = i == *axis ? 0 : first->dim[fresh && i > *axis ? i - 1 : i];
    for (size_t k = 0; k < q->count; k++) {
        const ln_desc *d = &q->item[k].desc;
        bool fits = d->dtype == first->dtype && d->rank == first->rank;
        for (int32_t i = 0; fits && i < d->rank; i++)
            fits = (!fresh && i == *axis) || d->dim[i] == first->dim[i];
        if (!fits || !ln_add64(out->dim[*axis], fresh ? 1 : d->dim[*axis], &out->dim[*axis]))
            return false;
    }
    return true;
}

static linnet_status sequence_concat(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_slot *in = sequence_in(step, 0);
    const bool fresh = *(const int64_t *)ln_node_field(step->node, "new_axis") != 0;
    size_t bytes, from = 0;
    int32_t axis;
    ln_desc d;
    void *data;

    if (!in->sequence ||
        !concat_desc(in->sequence, *(const int64_t *)ln_node_field(step->node, "axis"), fresh, &axis, &d) ||
        !ln_desc_bytes(&d, &bytes))
        return sequence_bad(step, err, "the tensors of the sequence do not fit together");
    if (!step->dynamic->out[0])
        return LINNET_OK;
    const linnet_status st = ln_hold_tensor(s, &step->dynamic->hold[0], &d, step->dynamic->out[0], &data, err);
    const size_t outer = ln_count_range(&d, 0, axis), row = bytes / LN_MAX(outer, (size_t)1);
    for (size_t k = 0; !st && data && k < in->sequence->count; k++) {
        const ln_item *it = &in->sequence->item[k];
        size_t size;
        if (!ln_desc_bytes(&it->desc, &size))
            continue;
        const size_t part = size / LN_MAX(outer, (size_t)1);
        ln_copy_rows((char *)data + from, row, it->data, part, outer, part);
        from += part;
    }
    return st;
}

/* ---- optionals ----------------------------------------------------------------------------------- */

static linnet_status sequence_same(linnet_session *s, ln_step *step, linnet_error *err)
{
    return ln_hold_copy(s, &step->dynamic->hold[0], sequence_in(step, 0), step->dynamic->out[0], err);
}

static linnet_status optional_get(linnet_session *s, ln_step *step, linnet_error *err)
{
    if (sequence_in(step, 0)->absent)
        return ln_fail(err, LINNET_ERR_DATA, "layer \"%s\": the optional has no element", step->node->name);
    return sequence_same(s, step, err);
}

static linnet_status optional_has(linnet_session *s, ln_step *step, linnet_error *err)
{
    return sequence_number(s, step, LINNET_BOOL, !sequence_in(step, 0)->absent, err);
}

ln_control ln_sequence_find(const char *op)
{
    static const struct { const char *op; ln_control run; } known[] = {
        { "SequenceEmpty", sequence_empty }, { "SequenceConstruct", sequence_construct },
        { "SequenceInsert", sequence_insert }, { "SequenceErase", sequence_erase }, { "SequenceAt", sequence_at },
        { "SequenceLength", sequence_length }, { "SplitToSequence", sequence_split },
        { "ConcatFromSequence", sequence_concat }, { "Optional", sequence_same },
        { "OptionalGetElement", optional_get }, { "OptionalHasElement", optional_has },
    };

    for (size_t i = 0; i < LN_COUNT(known); i++)
        if (strcmp(known[i].op, op) == 0)
            return known[i].run;
    return NULL;
}
