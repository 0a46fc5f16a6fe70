/*
 * custom.c - operators of the caller's own, and what their callbacks can ask.
 *
 * A description becomes an ln_op like those of src/op/: its attribute table is made from the
 * caller's, with one slot of the parameters for each attribute, and the three functions here
 * stand between the planner and the callbacks. The parameters begin with the description.
 */
#include "api.h"

typedef union custom_slot {
    int64_t     i;
    float       f;
    const char *s;
    ln_ints     ints;
    ln_floats   floats;
} custom_slot;

typedef struct custom_param {
    const linnet_custom_op *op;
    custom_slot slot[]; /* one for each attribute */
} custom_param;

typedef struct custom_state { int32_t in_count, out_count; } custom_state;

enum { CUSTOM_ATTRS = 1000 };
#define CUSTOM_WORK 1e9
#define CUSTOM_WHOLE 9007199254740992.0 /* 2^53: up to here a double is exact */

struct linnet_op_call {
    const custom_param *param;
    bool           running;
    ln_desc       *out_desc;            /* of infer: to be filled */
    size_t         tasks, scratch_size; /* of infer: what it asks for */
    size_t         task;                /* of run */
    void          *scratch;
    size_t         in_count, out_count;
    linnet_tensor  in[LINNET_OP_MOST_INPUTS], out[LINNET_OP_MOST_OUTPUTS];
    linnet_error  *err;
};

/* ---- between the planner and the callbacks -------------------------------------------------- */

static void custom_tensor(linnet_tensor *t, const ln_desc *d, const void *data)
{
    *t = (linnet_tensor){ .desc = *d, .data = (void *)(uintptr_t)data };
    if (d->dtype && !ln_desc_bytes(d, &t->size))
        t->size = 0;
}

static void custom_call(linnet_op_call *c, const custom_param *param, const ln_desc *in, int32_t in_count,
                        const void *const *data, int32_t out_count, linnet_error *err)
{
    memset(c, 0, sizeof *c);
    c->param = param;
    c->in_count = (size_t)in_count;
    c->out_count = (size_t)out_count;
    c->tasks = 1;
    c->err = err;
    for (size_t i = 0; i < c->in_count; i++)
        custom_tensor(&c->in[i], &in[i], data[i]);
}

/* What a callback returned; a failure without a sentence gets one. */
static linnet_status custom_status(const linnet_op_call *c, linnet_status st)
{
    if (st < 0 && c->err && !c->err->message[0])
        return ln_fail(c->err, st, "%s: the callback reports \"%s\"", c->param->op->name, linnet_status_string(st));
    return st;
}

static linnet_status custom_ask(linnet_op_call *c, ln_desc *out)
{
    linnet_error err = { 0, "" };
    linnet_error *outer = c->err;

    c->err = &err;
    c->out_desc = out;
    linnet_status st = custom_status(c, c->param->op->infer(c->param->op->user, c));
    for (size_t i = 0; i < c->out_count && !st; i++)
        if (!out[i].dtype)
            st = ln_fail(&err, LINNET_ERR_ARGUMENT, "%s: infer() gave output %zu no type", c->param->op->name, i);
    if (st > 0 && st != LINNET_OP_WAIT)
        st = ln_fail(&err, LINNET_ERR_ARGUMENT, "%s: infer() returned %d", c->param->op->name, (int)st);
    return st < 0 ? ln_fail(outer, st, "%s", err.message) : st == LINNET_OP_WAIT ? LN_WAIT : LINNET_OK;
}

static linnet_status custom_infer(const ln_infer *q)
{
    linnet_op_call c;

    custom_call(&c, q->param, q->in, q->in_count, q->value, q->out_count, q->err);
    return custom_ask(&c, q->out);
}

static linnet_status custom_prepare(ln_prepare *q)
{
    linnet_op_call c;
    ln_desc out[LINNET_OP_MOST_OUTPUTS] = { 0 };
    custom_state *s = q->state;

    custom_call(&c, q->param, q->in, q->in_count, q->value, q->out_count, q->err);
    const linnet_status st = custom_ask(&c, out);
    if (st == LN_WAIT)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: infer() waits for values that it had before",
                       c.param->op->name);
    s->in_count = q->in_count;
    s->out_count = q->out_count;
    q->tasks[0] = c.tasks;
    q->scratch = c.scratch_size;
    if (c.tasks > 1) /* the callback asked for them: worth waking workers */
        q->work = CUSTOM_WORK;
    return st;
}

static linnet_status custom_run(const ln_run *r)
{
    const custom_param *param = r->param;
    const custom_state *s = r->state;
    linnet_error err = { 0, "" };
    linnet_op_call c;

    custom_call(&c, param, r->in_desc, s->in_count, r->in, s->out_count, &err);
    for (size_t i = 0; i < c.out_count; i++)
        custom_tensor(&c.out[i], &r->out_desc[i], r->out[i]);
    c.running = true;
    c.scratch = r->scratch;
    c.task = r->task;
    const linnet_status st = custom_status(&c, param->op->run(param->op->user, &c));
    return st == LINNET_OK ? st : ln_fail(r->err, st < 0 ? st : LINNET_ERR_DATA, "%s", err.message);
}

/* ---- what a callback can ask ------------------------------------------------------------------- */

size_t linnet_op_input_count(const linnet_op_call *c) { return c ? c->in_count : 0; }
size_t linnet_op_output_count(const linnet_op_call *c) { return c ? c->out_count : 0; }

const linnet_tensor *linnet_op_input(const linnet_op_call *c, size_t i)
{
    return c && i < c->in_count && c->in[i].desc.dtype ? &c->in[i] : NULL;
}

linnet_tensor *linnet_op_output(linnet_op_call *c, size_t i)
{
    const bool there = c && c->running && i < c->out_count;

    return there && (c->out[i].data || c->out[i].size == 0) ? &c->out[i] : NULL;
}

linnet_status linnet_op_set_output(linnet_op_call *c, size_t i, int32_t dtype, int32_t rank, const int64_t *dims)
{
    size_t size;

    if (!c || c->running || i >= c->out_count)
        return LINNET_ERR_ARGUMENT;
    if (rank < 0 || rank > LN_MAX_RANK || (rank && !dims))
        return ln_fail(c->err, LINNET_ERR_SHAPE, "%s: output %zu of rank %d", c->param->op->name, i, (int)rank);
    const ln_desc d = ln_desc_of(dtype, rank, dims);
    if (dtype == LINNET_STRING || !ln_desc_bytes(&d, &size))
        return ln_fail(c->err, LINNET_ERR_SHAPE, "%s: output %zu of no possible type or shape", c->param->op->name, i);
    c->out_desc[i] = d;
    return LINNET_OK;
}

/* The place of an attribute; NULL: the description has none of that name and type. */
static const custom_slot *custom_find(const linnet_op_call *c, const char *name, int32_t type)
{
    const linnet_custom_op *op = c ? c->param->op : NULL;

    for (size_t i = 0; op && name && i < op->attr_count; i++)
        if (strcmp(op->attrs[i].name, name) == 0)
            return op->attrs[i].type == type ? &c->param->slot[i] : NULL;
    return NULL;
}

int64_t linnet_op_int(const linnet_op_call *c, const char *name)
{
    const custom_slot *v = custom_find(c, name, LINNET_ATTR_INT);
    return v ? v->i : 0;
}

float linnet_op_float(const linnet_op_call *c, const char *name)
{
    const custom_slot *v = custom_find(c, name, LINNET_ATTR_FLOAT);
    return v ? v->f : 0.0f;
}

const char *linnet_op_string(const linnet_op_call *c, const char *name)
{
    const custom_slot *v = custom_find(c, name, LINNET_ATTR_STRING);
    return v && v->s ? v->s : "";
}

const int64_t *linnet_op_ints(const linnet_op_call *c, const char *name, size_t *count)
{
    const custom_slot *v = custom_find(c, name, LINNET_ATTR_INTS);

    if (count)
        *count = v ? v->ints.count : 0;
    return v ? v->ints.v : NULL;
}

const float *linnet_op_floats(const linnet_op_call *c, const char *name, size_t *count)
{
    const custom_slot *v = custom_find(c, name, LINNET_ATTR_FLOATS);

    if (count)
        *count = v ? v->floats.count : 0;
    return v ? v->floats.v : NULL;
}

void linnet_op_set_scratch(linnet_op_call *c, size_t bytes)
{
    if (c && !c->running)
        c->scratch_size = bytes;
}

void *linnet_op_scratch(const linnet_op_call *c) { return c ? c->scratch : NULL; }

void linnet_op_set_tasks(linnet_op_call *c, size_t tasks)
{
    if (c && !c->running)
        c->tasks = LN_MAX(tasks, (size_t)1); /* none would leave the outputs as they were */
}

size_t linnet_op_task(const linnet_op_call *c) { return c ? c->task : 0; }

linnet_status linnet_op_fail(linnet_op_call *c, linnet_status status, const char *message)
{
    return ln_fail(c ? c->err : NULL, status < 0 ? status : LINNET_ERR_DATA, "%s: %s", c ? c->param->op->name : "",
                   message ? message : "failed");
}

/* ---- descriptions ----------------------------------------------------------------------------- */

static linnet_status custom_check(const linnet_custom_op *op, const ln_graph *g, linnet_error *err)
{
    const char *name = op->name;

    if (!name || !strchr(name, '.') || strncmp(name, "ln.", 3) == 0 || ln_op_find(name))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "custom operator \"%s\": the name must have a domain, and be none "
                       "of linnet's", name ? name : "");
    for (size_t i = 0; i < g->custom_count; i++)
        if (strcmp(g->custom[i].name, name) == 0)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "custom operator %s is given twice", name);
    if (!op->infer || !op->run)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "custom operator %s: infer or run is NULL", name);
    if (op->input_min < 0 || op->input_max < op->input_min || op->input_max > LINNET_OP_MOST_INPUTS ||
        op->output_min < 0 || op->output_max < 1 || op->output_max < op->output_min ||
        op->output_max > LINNET_OP_MOST_OUTPUTS)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "custom operator %s: %d to %d inputs, %d to %d outputs", name,
                       (int)op->input_min, (int)op->input_max, (int)op->output_min, (int)op->output_max);
    for (size_t i = 0; i < op->attr_count; i++) {
        const linnet_custom_attr *a = op->attrs ? &op->attrs[i] : NULL;

        if (!a || !a->name || strncmp(a->name, "ln.", 3) == 0 || a->type < LINNET_ATTR_INT || a->type > LINNET_ATTR_FLOATS)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "custom operator %s: attribute %zu has no name or type", name, i);
        if (a->type == LINNET_ATTR_INT && !(a->preset >= -CUSTOM_WHOLE && a->preset <= CUSTOM_WHOLE))
            return ln_fail(err, LINNET_ERR_ARGUMENT, "custom operator %s: the preset of \"%s\" is beyond 2^53", name, a->name);
    }
    return LINNET_OK;
}

/* The attribute tables, the caller's and ours, in the model's memory. */
static bool custom_attrs(ln_arena *arena, const linnet_custom_op *op, linnet_custom_op *copy, ln_attr **table)
{
    static const int32_t type[] = {
        [LINNET_ATTR_INT] = LN_ATTR_I64, [LINNET_ATTR_FLOAT] = LN_ATTR_F32, [LINNET_ATTR_STRING] = LN_ATTR_STR,
        [LINNET_ATTR_INTS] = LN_ATTR_INTS, [LINNET_ATTR_FLOATS] = LN_ATTR_FLOATS
    };
    linnet_custom_attr *attrs = ln_arena_alloc(arena, op->attr_count + 1, sizeof *attrs);
    ln_attr *t = ln_arena_alloc(arena, op->attr_count + 1, sizeof *t);

    if (!attrs || !t)
        return false;
    for (size_t i = 0; i < op->attr_count; i++) {
        attrs[i] = op->attrs[i];
        attrs[i].name = ln_arena_string(arena, op->attrs[i].name, strlen(op->attrs[i].name));
        if (!attrs[i].name)
            return false;
        t[i] = (ln_attr){ .name = attrs[i].name, .type = type[attrs[i].type], .preset = attrs[i].preset,
                          .offset = (uint32_t)(offsetof(custom_param, slot) + i * sizeof(custom_slot)),
                          .must = attrs[i].required != 0 };
    }
    copy->attrs = attrs;
    *table = t;
    return true;
}

static linnet_status custom_add(const linnet_custom_op *op, ln_graph *g, ln_op *out, linnet_error *err)
{
    const linnet_status st = custom_check(op, g, err);
    linnet_custom_op *copy = ln_arena_copy(g->arena, op, sizeof *op);
    ln_attr *table = NULL;

    if (st)
        return st;
    if (op->attr_count > CUSTOM_ATTRS)
        return ln_fail(err, LINNET_ERR_LIMIT, "custom operator %s: more than %d attributes", op->name, CUSTOM_ATTRS);
    if (!copy || !(copy->name = ln_arena_string(g->arena, op->name, strlen(op->name))) ||
        !custom_attrs(g->arena, op, copy, &table))
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for custom operators");
    *out = (ln_op){
        .name = copy->name, .attr = table, .context = copy,
        .param_size = (uint32_t)(sizeof(custom_param) + op->attr_count * sizeof(custom_slot)),
        .state_size = sizeof(custom_state),
        .in_min = (uint8_t)op->input_min, .in_max = (uint8_t)op->input_max,
        .out_min = (uint8_t)op->output_min, .out_max = (uint8_t)op->output_max,
        .flags = op->flags & LINNET_OP_IMPURE ? LN_OP_RANDOM : 0,
        .infer = custom_infer, .prepare = custom_prepare, .run = custom_run,
    };
    return LINNET_OK;
}

linnet_status ln_custom_ops(const linnet_options *opt, ln_graph *g, linnet_error *err)
{
    ln_op *ops = opt->op_count ? ln_arena_alloc(g->arena, opt->op_count, sizeof *ops) : NULL;
    linnet_status st = LINNET_OK;

    if (opt->op_count && (!ops || !opt->ops))
        return ln_fail(err, opt->ops ? LINNET_ERR_MEMORY : LINNET_ERR_ARGUMENT, "custom operators: no %s",
                       opt->ops ? "memory" : "list");
    g->custom = ops;
    for (size_t i = 0; i < opt->op_count && !st; i++) {
        linnet_custom_op op = { 0 };
        const char *at = (const char *)opt->ops + i * opt->ops[0].struct_size; /* as the caller's header has it */

        if (opt->ops[0].struct_size < offsetof(linnet_custom_op, user) + sizeof op.user || opt->ops[0].struct_size > 4096)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "custom operators: struct_size is %u",
                           (unsigned)opt->ops[0].struct_size);
        memcpy(&op, at, LN_MIN(sizeof op, (size_t)opt->ops[0].struct_size));
        st = custom_add(&op, g, &ops[i], err);
        g->custom_count += st == LINNET_OK;
    }
    return st;
}

#undef CUSTOM_WORK
#undef CUSTOM_WHOLE
