/*
 * dynamic.c - a step whose shapes are known only while running.
 *
 * It is planned while running, when every input has its elements, so that infer() never has to wait; and
 * planned once for as long as shapes stay, where shapes and constants decide everything. What it
 * needs comes out of blocks that grow and are kept: once the largest shapes have been seen, a run
 * allocates nothing.
 */
#include "session.h"

static linnet_status dynamic_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a tensor whose shape depends on data");
}

bool ln_hold_room(const ln_config *c, void **block, size_t *have, size_t size, size_t keep)
{
    if (size <= *have)
        return true;
    const size_t want = LN_MAX(size, *have + *have / 2);
    if (want > c->limits.memory)
        return false;
    void *p = ln_alloc(&c->alloc, want);
    if (!p)
        return false;
    if (keep)
        memcpy(p, *block, keep);
    ln_free(&c->alloc, *block, *have);
    *block = p;
    *have = want;
    return true;
}

/* ---- values that a step makes ---------------------------------------------------------- */

linnet_status ln_hold_tensor(linnet_session *s, ln_holder *h, const ln_desc *d, ln_slot *to, void **data,
                             linnet_error *err)
{
    size_t size;

    if (!ln_desc_bytes(d, &size) || !ln_hold_room(&s->config, &h->block, &h->room, LN_MAX(size, (size_t)LN_ALIGN), 0))
        return dynamic_full(err);
    *data = size ? h->block : NULL;
    *to = (ln_slot){ .desc = *d, .data = *data };
    return LINNET_OK;
}

linnet_status ln_hold_push(linnet_session *s, ln_holder *h, const ln_desc *d, void **data, linnet_error *err)
{
    ln_sequence *q = &h->sequence;
    size_t size;

    if (q->count == q->cap) {
        void *items = q->item;
        if (!ln_hold_room(&s->config, &items, &q->bytes, LN_MAX(q->bytes * 2, 8 * sizeof *q->item), q->bytes))
            return dynamic_full(err);
        q->item = items;
        q->cap = q->bytes / sizeof *q->item; /* new memory is zeroed */
    }
    ln_item *it = &q->item[q->count];
    if (!ln_desc_bytes(d, &size) || !ln_hold_room(&s->config, &it->data, &it->room, LN_MAX(size, (size_t)1), 0))
        return dynamic_full(err);
    it->desc = *d;
    *data = it->data;
    q->count++;
    return LINNET_OK;
}

linnet_status ln_hold_copy(linnet_session *s, ln_holder *h, const ln_slot *from, ln_slot *to, linnet_error *err)
{
    size_t size;
    void *data;

    if (!to)
        return LINNET_OK;
    if (from->absent) {
        *to = (ln_slot){ .absent = true };
        return LINNET_OK;
    }
    if (from->sequence) {
        if (from->sequence != &h->sequence) {
            h->sequence.count = 0;
            for (size_t i = 0; i < from->sequence->count; i++) {
                const ln_item *it = &from->sequence->item[i];
                const linnet_status st = ln_hold_push(s, h, &it->desc, &data, err);
                if (st)
                    return st;
                if (ln_desc_bytes(&it->desc, &size) && size)
                    memcpy(data, it->data, size);
            }
        }
        *to = (ln_slot){ .sequence = &h->sequence };
        return LINNET_OK;
    }
    const ln_slot source = *from; /* from and to may be one slot */
    if (source.data && source.data == h->block) {
        *to = source;
        return LINNET_OK;
    }
    const linnet_status st = ln_hold_tensor(s, h, &source.desc, to, &data, err);
    if (!st && data && ln_desc_bytes(&source.desc, &size))
        memcpy(data, source.data, size);
    return st;
}

static void hold_free(const ln_config *c, ln_holder *h)
{
    for (size_t i = 0; i < h->sequence.cap; i++)
        ln_free(&c->alloc, h->sequence.item[i].data, h->sequence.item[i].room);
    ln_free(&c->alloc, h->sequence.item, h->sequence.bytes);
    ln_free(&c->alloc, h->block, h->room);
}

void ln_dynamic_free(const ln_config *c, ln_step *step)
{
    const ln_dynamic *d = step->dynamic;

    for (int32_t i = 0; i < step->node->in_count + step->node->out_count; i++)
        hold_free(c, &d->hold[i]);
    ln_free(&c->alloc, d->own, d->own_size);
    for (size_t i = 0; i < d->body_count; i++)
        ln_session_end(d->body[i].session);
}

/* ---- ordinary operators -------------------------------------------------------------------- */

static linnet_status dynamic_outputs(linnet_session *s, const ln_node *n, ln_dynamic *d, linnet_error *err)
{
    for (int32_t i = 0; i < n->out_count; i++) {
        d->out_ptr[i] = NULL;
        if (!d->out[i])
            continue;
        const linnet_status st = ln_hold_tensor(s, &d->hold[i], &d->out_desc[i], d->out[i], &d->out_ptr[i], err);
        if (st)
            return st;
    }
    return LINNET_OK;
}

static bool dynamic_as_before(const ln_node *n, const ln_dynamic *d)
{
    for (int32_t i = 0; i < n->in_count; i++)
        if (d->in_desc[i].dtype != d->seen[i].dtype || !ln_same_shape(&d->in_desc[i], &d->seen[i]))
            return false;
    return true;
}

/* Shapes of the outputs from value[]; memory that infer() asks for is in the block that all dynamic steps share. */
static linnet_status dynamic_shapes(linnet_session *s, const ln_node *n, ln_dynamic *d, linnet_error *err)
{
    for (;;) {
        ln_arena work;
        ln_arena_init_fixed(&work, s->work, s->work_size);
        memset(d->out_desc, 0, (size_t)n->out_count * sizeof *d->out_desc);
        const linnet_status st = ln_node_infer(n, &s->config.limits, d->in_desc, d->value, d->out_desc, &work, err);
        if (st != LINNET_ERR_MEMORY)
            return st;
        if (!ln_hold_room(&s->config, &s->work, &s->work_size, LN_MAX(s->work_size * 2, (size_t)65536), 0))
            return dynamic_full(err);
    }
}

/*
 * From shapes and constants alone where that is enough: then *lasts, and value[] holds the constants. Else
 * value[] holds all elements, and the next run begins anew.
 */
static linnet_status dynamic_infer(linnet_session *s, const ln_node *n, ln_dynamic *d, bool *lasts,
                                   linnet_error *err)
{
    for (int32_t i = 0; i < n->in_count; i++)
        d->value[i] = d->constant[i] ? d->in_ptr[i] : NULL;
    linnet_status st = dynamic_shapes(s, n, d, err);
    *lasts = st != LN_WAIT;
    if (st != LN_WAIT)
        return st;
    memcpy(d->value, d->in_ptr, (size_t)n->in_count * sizeof *d->value);
    st = dynamic_shapes(s, n, d, err);
    return st != LN_WAIT ? st : ln_fail(err, LINNET_ERR_UNSUPPORTED, "layer \"%s\": %s does not find its shape",
                                        n->name, n->op->name);
}

/* State and derived constants into the step's own block, which grows until they fit. */
static linnet_status dynamic_prepare(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_node *n = step->node;
    ln_dynamic *d = step->dynamic;
    linnet_status st;
    linnet_error why = { 0, "" };
    ln_prepare q;

    for (;;) {
        ln_arena own;
        ln_arena_init_fixed(&own, d->own, d->own_size);
        ln_planner pl = { .model = s->model, .plan = s->plan, .keep = &own, .brief = &own, .id = d->id };
        void *state = ln_arena_block(&own, LN_MAX(n->op->state_size, 1u));
        step->run.state = state;
        st = state ? ln_node_prepare(&pl, n, &q, state, d->in_desc, d->out_desc, d->value, &s->plan->kernel, &why)
                   : LINNET_ERR_MEMORY;
        if (st != LINNET_ERR_MEMORY)
            break;
        if (!ln_hold_room(&s->config, &d->own, &d->own_size, LN_MAX(d->own_size * 2, (size_t)1024), 0))
            return dynamic_full(err);
    }
    if (st)
        return ln_fail(err, st, "%s", why.message);
    if (!ln_align_up(q.scratch, LN_ALIGN, &d->scratch) || !ln_align_up(q.workspace, LN_ALIGN, &d->workspace))
        return dynamic_full(err);
    step->run.in = d->in_ptr;
    step->run.out = d->out_ptr;
    step->run.in_desc = d->in_desc;
    step->run.out_desc = d->out_desc;
    step->phases = q.phases;
    memcpy(step->tasks, q.tasks, sizeof step->tasks);
    memcpy(d->seen, d->in_desc, (size_t)n->in_count * sizeof *d->seen);
    return LINNET_OK;
}

/* Workspace and scratch are in a block that all dynamic steps of the session share. */
static linnet_status dynamic_step(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_dynamic *d = step->dynamic;
    size_t need;

    if (!ln_mul(d->scratch, (size_t)s->plan->workers, &need) || !ln_add(need, d->workspace, &need) ||
        !ln_hold_room(&s->config, &s->work, &s->work_size, need, 0))
        return dynamic_full(err);
    step->run.workspace = d->workspace ? s->work : NULL;
    return ln_step_run(s, step, d->scratch ? (char *)s->work + d->workspace : NULL, d->scratch, err);
}

linnet_status ln_dynamic_run(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_node *n = step->node;
    ln_dynamic *d = step->dynamic;
    linnet_status st;
    bool lasts;
    size_t size;

    if (d->control)
        return d->control(s, step, err);
    for (int32_t i = 0; i < n->in_count; i++)
        if (d->in[i] && (d->in[i]->sequence || d->in[i]->absent)) {
            if ((n->op->flags & LN_OP_VIEW) && n->in_count == 1) /* Identity of what is no tensor */
                return ln_hold_copy(s, &d->hold[0], d->in[0], d->out[0], err);
            return ln_fail(err, LINNET_ERR_SHAPE, "layer \"%s\": %s takes no sequence and no empty optional", n->name,
                           n->op->name);
        }
    for (int32_t i = 0; i < n->in_count; i++) {
        memset(&d->in_desc[i], 0, sizeof d->in_desc[i]);
        d->in_ptr[i] = NULL;
        if (d->in[i]) {
            d->in_desc[i] = d->in[i]->desc;
            d->in_ptr[i] = d->in[i]->data;
        }
    }
    const bool ready = d->lasts && dynamic_as_before(n, d);
    d->lasts = ready;
    if ((!ready && (st = dynamic_infer(s, n, d, &lasts, err)) != LINNET_OK) ||
        (st = dynamic_outputs(s, n, d, err)) != LINNET_OK)
        return st;
    if (n->op->flags & LN_OP_VIEW) {
        if (d->out_ptr[0] && d->in_ptr[0] && ln_desc_bytes(&d->out_desc[0], &size))
            memcpy(d->out_ptr[0], d->in_ptr[0], size);
        return LINNET_OK;
    }
    if (!ready) {
        if ((st = dynamic_prepare(s, step, err)) != LINNET_OK)
            return st;
        d->lasts = lasts;
    }
    return dynamic_step(s, step, err);
}
