/*
 * control.c - If, Loop, Scan and SequenceMap: steps that run other graphs.
 *
 * A body is a session of its own, made at its first run and kept; its inputs are the values that
 * the step hands in, then those that the body takes from outside. What an iteration leaves for the
 * next is copied into memory of the step, so that a body never reads what it is writing.
 * Nesting is as deep as the graph's, which readers limit.
 */
#include "session.h"

static linnet_status control_bad(const ln_step *step, linnet_error *err, const char *what)
{
    return ln_fail(err, LINNET_ERR_SHAPE, "layer \"%s\": %s: %s", step->node->name, step->node->op->name, what);
}

static const ln_slot control_nothing = { .absent = true };

static const ln_slot *control_in(const ln_step *step, int32_t i)
{
    const ln_dynamic *d = step->dynamic;

    return i < step->node->in_count && d->in[i] ? d->in[i] : &control_nothing;
}

/* Give the body a value. A change between tensor and sequence shows in the rank, so that it is planned anew. */
static void body_input(ln_body *body, size_t i, const ln_slot *v)
{
    linnet_session *b = body->session;

    b->input_kind[i] = v->sequence ? LN_GIVEN_SEQUENCE : v->absent ? LN_GIVEN_NOTHING : LN_GIVEN_TENSOR;
    b->input[i] = v->desc;
    if (b->input_kind[i] != LN_GIVEN_TENSOR)
        b->input[i] = (ln_desc){ 0, v->sequence ? -2 : -3, { 0 } };
    b->input_data[i] = v->data;
    if (v->sequence)
        b->input_sequence[i] = *v->sequence;
    body->graph->value[body->graph->input[i]].kind = v->sequence ? LN_VALUE_SEQUENCE
                                                   : v->absent ? LN_VALUE_OPTIONAL : LN_VALUE_TENSOR;
}

/* Run a body whose formal inputs are set. */
static linnet_status body_run(ln_body *body, linnet_error *err)
{
    linnet_session *root = body->session->root;

    if (root->iterations++ >= root->config.limits.iterations)
        return ln_fail(err, LINNET_ERR_LIMIT, "the model's loops do not end within %llu iterations",
                       (unsigned long long)root->config.limits.iterations);
    for (size_t i = (size_t)body->formal; i < body->graph->input_count; i++)
        body_input(body, i, body->captured[i - (size_t)body->formal]);
    return ln_session_run(body->session, err);
}

static linnet_status body_ready(linnet_session *s, const ln_step *step, ln_body *body, int32_t formal, linnet_error *err)
{
    if (body->formal != formal)
        return control_bad(step, err, "the body has another number of inputs");
    if (!body->session && !(body->session = ln_session_of_body(s, body->graph)))
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for the body of layer \"%s\"", step->node->name);
    return LINNET_OK;
}

/* The body of attribute `name`. */
static ln_body *control_body(const ln_step *step, const char *name)
{
    ln_body *body = step->dynamic->body;

    for (size_t i = 0; i < step->node->attr_count; i++)
        if (step->node->attr[i].type == LN_ATTR_GRAPH) {
            if (strcmp(step->node->attr[i].name, name) == 0)
                return body;
            body++;
        }
    return NULL;
}

static bool control_truth(const ln_slot *v)
{
    return v->data && ln_get_i64(v->desc.dtype, v->data, 0) != 0;
}

/* ---- If ---------------------------------------------------------------------------------- */

static linnet_status control_if(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_slot *cond = control_in(step, 0);
    ln_dynamic *d = step->dynamic;

    if (cond->sequence || cond->absent || cond->desc.dtype != LINNET_BOOL || ln_count(&cond->desc) != 1)
        return control_bad(step, err, "the condition is not one bool");
    ln_body *body = control_body(step, control_truth(cond) ? "then_branch" : "else_branch");
    linnet_status st = body_ready(s, step, body, 0, err);
    if (!st && (int32_t)body->graph->output_count < step->node->out_count)
        st = control_bad(step, err, "the branch has too few outputs");
    if (!st)
        st = body_run(body, err);
    for (int32_t i = 0; i < step->node->out_count && !st; i++) {
        const ln_slot v = ln_session_result(body->session, (size_t)i);
        st = ln_hold_copy(s, &d->hold[i], &v, d->out[i], err);
    }
    return st;
}

/* ---- Call ------------------------------------------------------------------------------ */

static linnet_status control_call(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_node *n = step->node;
    ln_dynamic *d = step->dynamic;
    ln_body *body = control_body(step, "body");
    linnet_status st = body_ready(s, step, body, n->in_count, err);

    if (!st && (int32_t)body->graph->output_count < n->out_count)
        st = control_bad(step, err, "the body has too few outputs");
    for (int32_t i = 0; i < n->in_count && !st; i++)
        body_input(body, (size_t)i, control_in(step, i));
    if (!st)
        st = body_run(body, err);
    for (int32_t i = 0; i < n->out_count && !st; i++) {
        const ln_slot v = ln_session_result(body->session, (size_t)i);
        st = ln_hold_copy(s, &d->hold[i], &v, d->out[i], err);
    }
    return st;
}

/* ---- stacking the results of iterations ------------------------------------------------------ */

void ln_copy_rows(void *y, size_t ldy, const void *x, size_t ldx, size_t outer, size_t bytes)
{
    for (size_t o = 0; o < outer && bytes; o++)
        memcpy((char *)y + o * ldy, (const char *)x + o * ldx, bytes);
}

/* desc with a new axis of length n. */
static ln_desc stack_desc(const ln_desc *d, int32_t axis, int64_t n)
{
    ln_desc out = { d->dtype, d->rank + 1, { 0 } };

    for (int32_t i = 0; i <= d->rank && i < LN_MAX_RANK; i++)
        out.dim[i] = i < axis ? d->dim[i] : i == axis ? n : d->dim[i - 1];
    return out;
}

/*
 * Result v of iteration t becomes slice `place` along `axis` of output k, which has room for n
 * slices (n grows with t where the count is not known before: axis is 0 then).
 */
static linnet_status stack_put(linnet_session *s, ln_step *step, int32_t k, const ln_slot *v, int64_t t, int64_t place,
                               int64_t n, int64_t axis_given, linnet_error *err)
{
    ln_dynamic *d = step->dynamic;
    ln_holder *h = &d->hold[k];
    size_t slice, total, kept = 0;
    int32_t axis;

    if (!d->out[k])
        return LINNET_OK;
    if (v->sequence || v->absent || v->desc.rank >= LN_MAX_RANK || !ln_axis(axis_given, v->desc.rank + 1, &axis) ||
        ln_dtype(v->desc.dtype)->bits % 8)
        return control_bad(step, err, "an output of the body cannot be stacked");
    const ln_desc all = stack_desc(&v->desc, axis, n);
    if (t > 0) { /* all iterations alike */
        ln_desc before = d->out[k]->desc;
        if (before.rank == all.rank)
            before.dim[axis] = n;
        if (before.dtype != all.dtype || !ln_same_shape(&before, &all))
            return control_bad(step, err, "an output of the body changes its shape");
    }
    if (!ln_desc_bytes(&v->desc, &slice) || !ln_desc_bytes(&all, &total) ||
        (t > 0 && !ln_mul(slice, (size_t)t, &kept)))
        return control_bad(step, err, "an output does not fit in memory");
    if (!ln_hold_room(&s->config, &h->block, &h->room, LN_MAX(total, (size_t)LN_ALIGN), t > 0 ? LN_MIN(h->room, total) : 0))
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for an output of layer \"%s\"", step->node->name);
    const size_t outer = ln_count_range(&v->desc, 0, axis);
    const size_t inner = outer ? slice / outer : 0;
    ln_copy_rows((char *)h->block + (size_t)place * inner, inner * (size_t)n, v->data, inner, outer, inner);
    *d->out[k] = (ln_slot){ .desc = all, .data = total ? h->block : NULL };
    return LINNET_OK;
}

/* An output that no iteration has filled: as the body declares it, open dimensions 0. */
static void stack_empty(const ln_step *step, const ln_body *body, int32_t k, size_t output, int64_t axis)
{
    const ln_value *v = &body->graph->value[body->graph->output[output]];
    ln_desc d = v->desc;

    if (!step->dynamic->out[k])
        return;
    if (d.rank < 0 || d.rank >= LN_MAX_RANK || d.dtype == 0)
        d = ln_desc_of(d.dtype ? d.dtype : LINNET_F32, 0, NULL);
    for (int32_t i = 0; i < d.rank; i++)
        d.dim[i] = LN_MAX(d.dim[i], 0);
    *step->dynamic->out[k] = (ln_slot){ .desc = stack_desc(&d, axis < 0 || axis > d.rank ? 0 : (int32_t)axis, 0) };
}

/* ---- Loop ---------------------------------------------------------------------------------------- */

/* What goes round: initial values of inputs from `first` on into the step's own memory. */
static linnet_status carry_start(linnet_session *s, ln_step *step, int32_t first, int32_t count, linnet_error *err)
{
    ln_dynamic *d = step->dynamic;
    linnet_status st = LINNET_OK;

    for (int32_t i = 0; i < count && !st; i++)
        st = ln_hold_copy(s, &d->hold[step->node->out_count + first + i], control_in(step, first + i),
                          &d->carry[first + i], err);
    return st;
}

/* Result `from` of the body goes into the next iteration as carried value i. */
static linnet_status carry_next(linnet_session *s, ln_step *step, const ln_body *body, size_t from, int32_t i,
                                linnet_error *err)
{
    ln_dynamic *d = step->dynamic;
    const ln_slot v = ln_session_result(body->session, from);

    return ln_hold_copy(s, &d->hold[step->node->out_count + i], &v, &d->carry[i], err);
}

static linnet_status carry_end(linnet_session *s, ln_step *step, int32_t first, int32_t count, linnet_error *err)
{
    ln_dynamic *d = step->dynamic;
    linnet_status st = LINNET_OK;

    for (int32_t i = 0; i < count && i < step->node->out_count && !st; i++)
        st = ln_hold_copy(s, &d->hold[i], &d->carry[first + i], d->out[i], err);
    return st;
}

static linnet_status control_loop(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_node *n = step->node;
    ln_dynamic *d = step->dynamic;
    ln_body *body = control_body(step, "body");
    const int32_t carried = n->in_count > 2 ? n->in_count - 2 : 0;
    const ln_slot *most = control_in(step, 0), *cond = control_in(step, 1);
    int64_t t = 0;
    uint8_t go = cond->absent || control_truth(cond);

    linnet_status st = body_ready(s, step, body, carried + 2, err);
    if (!st && (int64_t)body->graph->output_count < 1 + carried)
        st = control_bad(step, err, "the body has too few outputs");
    if (!st)
        st = carry_start(s, step, 2, carried, err);
    if (st)
        return st;
    const int32_t stacked = (int32_t)body->graph->output_count - 1 - carried;
    const int64_t limit = most->absent || !most->data ? INT64_MAX : ln_get_i64(most->desc.dtype, most->data, 0);
    const ln_slot at = { .desc = ln_desc_of(LINNET_I64, 0, NULL), .data = &t };
    const ln_slot going = { .desc = ln_desc_of(LINNET_BOOL, 0, NULL), .data = &go };
    for (; t < limit && go; t++) {
        body_input(body, 0, &at);
        body_input(body, 1, &going);
        for (int32_t i = 0; i < carried; i++)
            body_input(body, 2 + (size_t)i, &d->carry[2 + i]);
        st = body_run(body, err);
        for (int32_t k = 0; k < stacked && carried + k < n->out_count && !st; k++) {
            const ln_slot v = ln_session_result(body->session, (size_t)(1 + carried + k));
            st = stack_put(s, step, carried + k, &v, t, t, t + 1, 0, err);
        }
        for (int32_t i = 0; i < carried && !st; i++)
            st = carry_next(s, step, body, 1 + (size_t)i, 2 + i, err);
        if (st)
            return st;
        const ln_slot again = ln_session_result(body->session, 0);
        go = control_truth(&again);
    }
    for (int32_t k = 0; t == 0 && k < stacked && carried + k < n->out_count; k++)
        stack_empty(step, body, carried + k, (size_t)(1 + carried + k), 0);
    return carry_end(s, step, 2, carried, err);
}

/* ---- Scan -------------------------------------------------------------------------------------------- */

static int64_t scan_number(const ln_node *n, const char *name, size_t i)
{
    const ln_ints *list = ln_node_field(n, name);

    return list && i < list->count ? list->v[i] : 0;
}

/* Slice t of a scanned input, copied into `h`. */
static linnet_status scan_slice(linnet_session *s, ln_step *step, const ln_slot *in, int32_t axis, int64_t t,
                                ln_holder *h, ln_slot *to, linnet_error *err)
{
    ln_desc d = in->desc;
    void *data;
    size_t bytes;

    for (int32_t i = axis; i + 1 < d.rank; i++)
        d.dim[i] = d.dim[i + 1];
    d.rank--;
    const linnet_status st = ln_hold_tensor(s, h, &d, to, &data, err);
    if (st || !data || !ln_desc_bytes(&d, &bytes))
        return st;
    const size_t outer = ln_count_range(&d, 0, axis), inner = bytes / LN_MAX(outer, (size_t)1);
    (void)step;
    ln_copy_rows(data, inner, (const char *)in->data + (size_t)t * inner, inner * (size_t)in->desc.dim[axis], outer, inner);
    return LINNET_OK;
}

static linnet_status scan_length(const ln_step *step, int32_t states, int32_t scanned, int64_t *length, linnet_error *err)
{
    *length = -1;
    for (int32_t i = 0; i < scanned; i++) {
        const ln_slot *in = control_in(step, states + i);
        int32_t axis;
        if (in->sequence || in->absent || ln_dtype(in->desc.dtype)->bits % 8 ||
            !ln_axis(scan_number(step->node, "scan_input_axes", (size_t)i), in->desc.rank, &axis) ||
            (*length >= 0 && in->desc.dim[axis] != *length))
            return control_bad(step, err, "the scanned inputs do not have one length");
        *length = in->desc.dim[axis];
    }
    return LINNET_OK;
}

static linnet_status scan_step(linnet_session *s, ln_step *step, ln_body *body, int32_t states, int32_t scanned,
                               int64_t t, int64_t length, linnet_error *err)
{
    const ln_node *n = step->node;
    ln_dynamic *d = step->dynamic;
    linnet_status st = LINNET_OK;

    for (int32_t i = 0; i < scanned && !st; i++) {
        const ln_slot *in = control_in(step, states + i);
        const bool back = scan_number(n, "scan_input_directions", (size_t)i) != 0;
        int32_t axis = 0;
        if (ln_axis(scan_number(n, "scan_input_axes", (size_t)i), in->desc.rank, &axis))
            st = scan_slice(s, step, in, axis, back ? length - 1 - t : t, &d->hold[n->out_count + states + i],
                            &d->carry[states + i], err);
    }
    for (int32_t i = 0; i < states + scanned && !st; i++)
        body_input(body, (size_t)i, &d->carry[i]);
    if (!st)
        st = body_run(body, err);
    for (int32_t k = states; k < n->out_count && !st; k++) {
        const ln_slot v = ln_session_result(body->session, (size_t)k);
        const bool back = scan_number(n, "scan_output_directions", (size_t)(k - states)) != 0;
        st = stack_put(s, step, k, &v, t, back ? length - 1 - t : t, length,
                       scan_number(n, "scan_output_axes", (size_t)(k - states)), err);
    }
    for (int32_t i = 0; i < states && !st; i++)
        st = carry_next(s, step, body, (size_t)i, i, err);
    return st;
}

static linnet_status control_scan(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_node *n = step->node;
    const int64_t given = *(const int64_t *)ln_node_field(n, "num_scan_inputs");
    ln_body *body = control_body(step, "body");
    int64_t length;

    if (given < 1 || given > n->in_count)
        return control_bad(step, err, "num_scan_inputs is not possible");
    const int32_t scanned = (int32_t)given, states = n->in_count - scanned;
    linnet_status st = body_ready(s, step, body, n->in_count, err);
    if (!st && ((int32_t)body->graph->output_count < n->out_count || n->out_count < states))
        st = control_bad(step, err, "the body has another number of outputs");
    if (!st)
        st = scan_length(step, states, scanned, &length, err);
    if (!st)
        st = carry_start(s, step, 0, states, err);
    for (int64_t t = 0; !st && t < length; t++)
        st = scan_step(s, step, body, states, scanned, t, length, err);
    for (int32_t k = states; !st && length == 0 && k < n->out_count; k++)
        stack_empty(step, body, k, (size_t)k, scan_number(n, "scan_output_axes", (size_t)(k - states)));
    return st ? st : carry_end(s, step, 0, states, err);
}

/* ---- SequenceMap ------------------------------------------------------------------------------------------ */

static linnet_status control_map(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_node *n = step->node;
    ln_dynamic *d = step->dynamic;
    ln_body *body = control_body(step, "body");
    const ln_slot *over = control_in(step, 0);
    linnet_status st = body_ready(s, step, body, n->in_count, err);
    void *data;
    size_t size;

    if (!st && (!over->sequence || (int32_t)body->graph->output_count < n->out_count))
        st = control_bad(step, err, "the first input is not a sequence, or the body has too few outputs");
    for (int32_t k = 0; k < n->out_count && !st; k++)
        d->hold[k].sequence.count = 0;
    for (size_t t = 0; !st && t < over->sequence->count; t++) {
        for (int32_t i = 0; i < n->in_count && !st; i++) {
            const ln_slot *in = control_in(step, i);
            ln_slot one = *in;
            if (in->sequence && t >= in->sequence->count)
                st = control_bad(step, err, "the sequences differ in length");
            else if (in->sequence)
                one = (ln_slot){ .desc = in->sequence->item[t].desc, .data = in->sequence->item[t].data };
            body_input(body, (size_t)i, &one);
        }
        if (!st)
            st = body_run(body, err);
        for (int32_t k = 0; k < n->out_count && !st; k++) {
            const ln_slot v = ln_session_result(body->session, (size_t)k);
            if (v.sequence || v.absent)
                return control_bad(step, err, "the body gives no tensor");
            st = ln_hold_push(s, &d->hold[k], &v.desc, &data, err);
            if (!st && v.data && ln_desc_bytes(&v.desc, &size))
                memcpy(data, v.data, size);
        }
    }
    for (int32_t k = 0; k < n->out_count && !st; k++)
        if (d->out[k])
            *d->out[k] = (ln_slot){ .sequence = &d->hold[k].sequence };
    return st;
}

ln_control ln_control_find(const char *op)
{
    static const struct { const char *op; ln_control run; } known[] = {
        { "If", control_if }, { "linnet.Call", control_call }, { "Loop", control_loop }, { "Scan", control_scan }, { "SequenceMap", control_map },
    };

    for (size_t i = 0; i < LN_COUNT(known); i++)
        if (strcmp(known[i].op, op) == 0)
            return known[i].run;
    return ln_sequence_find(op);
}

