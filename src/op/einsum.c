/*
 * einsum.c - Einsum: the equation, and the plain way to compute it.
 *
 * Two operands that share every label summed over go to einsum_pair.c as a matrix product. All
 * else is one loop over the output and, for each element, one over the labels summed over.
 */
#include "einsum.h"

typedef struct param { const char *equation; } param;
typedef ln_einsum state;

/* ---- the equation ------------------------------------------------------------------- */

/* One term: its letters and where its ellipsis stands. */
typedef struct einsum_term {
    uint8_t letter[LN_EINSUM_LETTERS];
    int32_t letters, ellipsis; /* -1: none */
} einsum_term;

static bool einsum_letter(char c, uint8_t *label)
{
    if (c >= 'A' && c <= 'Z')
        *label = (uint8_t)(c - 'A');
    else if (c >= 'a' && c <= 'z')
        *label = (uint8_t)(c - 'a' + 26);
    else
        return false;
    return true;
}

/* Read a term up to ',', "->" or the end; false: not a term. */
static bool einsum_read(const char **at, einsum_term *t)
{
    const char *s = *at;

    t->letters = 0;
    t->ellipsis = -1;
    for (; *s && *s != ',' && *s != '-'; s++) {
        uint8_t label;

        if (*s == ' ')
            continue;
        if (*s == '.') {
            if (s[1] != '.' || s[2] != '.' || t->ellipsis >= 0)
                return false;
            t->ellipsis = t->letters;
            s += 2;
        } else if (einsum_letter(*s, &label) && t->letters < LN_MAX_RANK) {
            t->letter[t->letters++] = label;
        } else {
            return false;
        }
    }
    *at = s;
    return true;
}

/* Labels of a term's axes; the axes of an ellipsis are counted from the right. */
static bool einsum_axes(const einsum_term *t, int32_t rank, uint8_t label[LN_MAX_RANK])
{
    const int32_t hidden = t->ellipsis < 0 ? 0 : rank - t->letters;
    int32_t n = 0;

    if (hidden < 0 || t->letters + hidden != rank || rank > LN_MAX_RANK)
        return false;
    for (int32_t i = 0; i <= t->letters; i++) {
        for (int32_t k = 0; i == t->ellipsis && k < hidden; k++)
            label[n++] = (uint8_t)(LN_EINSUM_LABELS - hidden + k);
        if (i < t->letters)
            label[n++] = t->letter[i];
    }
    return true;
}

/* The output's labels: as written, or the ellipsis and every letter met once, in order. */
static bool einsum_output(const char **at, const int32_t *met, int32_t hidden, ln_einsum *s)
{
    einsum_term t = { { 0 }, 0, 0 };
    const bool written = **at == '-';

    if (written) {
        if ((*at)[1] != '>')
            return false;
        *at += 2;
        if (!einsum_read(at, &t))
            return false;
    } else {
        for (uint8_t i = 0; i < LN_EINSUM_LETTERS; i++)
            if (met[i] == 1) {
                if (t.letters == LN_MAX_RANK)
                    return false;
                t.letter[t.letters++] = i;
            }
    }
    s->out_rank = t.letters + (t.ellipsis < 0 ? 0 : hidden);
    if (**at || !einsum_axes(&t, s->out_rank, s->out))
        return false;
    for (int32_t i = 0; i < s->out_rank; i++) {
        const uint64_t bit = (uint64_t)1 << s->out[i];
        if (!(s->used & bit) || (s->output & bit))
            return false;
        s->output |= bit;
    }
    return true;
}

/* Everything of *s but strides; false: the equation and the operands do not fit. */
static bool einsum_parse(const char *equation, int32_t operands, const ln_desc *in, ln_einsum *s)
{
    const char *at = equation;
    int32_t met[LN_EINSUM_LABELS] = { 0 }, hidden = 0;

    s->operands = operands;
    s->dtype = in[0].dtype;
    for (int32_t k = 0; k < operands; k++) {
        uint8_t label[LN_MAX_RANK] = { 0 };
        einsum_term t;

        if (!einsum_read(&at, &t) || !einsum_axes(&t, in[k].rank, label) || (k + 1 < operands && *at++ != ','))
            return false;
        hidden = LN_MAX(hidden, t.ellipsis < 0 ? 0 : in[k].rank - t.letters);
        for (int32_t i = 0; i < in[k].rank; i++) {
            const int64_t dim = in[k].dim[i];
            const uint64_t bit = (uint64_t)1 << label[i];

            if (!(s->used & bit) || s->size[label[i]] == 1)
                s->size[label[i]] = dim;
            else if (dim != 1 && dim != s->size[label[i]])
                return false;
            s->used |= bit;
            met[label[i]]++;
        }
    }
    if (*at == ',' || !einsum_output(&at, met, hidden, s))
        return false;
    for (int32_t i = 0; i < s->out_rank; i++)
        s->label[s->labels++] = s->out[i];
    for (uint8_t i = 0; i < LN_EINSUM_LABELS; i++)
        if ((s->used & ~s->output) >> i & 1)
            s->label[s->labels++] = i;
    return true;
}

/* Strides of the operands; the equation has been parsed. */
static void einsum_strides(const char *equation, const ln_desc *in, ln_einsum *s)
{
    const char *at = equation;

    for (int32_t k = 0; k < s->operands; k++) {
        uint8_t label[LN_MAX_RANK] = { 0 };
        int64_t stride[LN_MAX_RANK] = { 0 };
        einsum_term t;

        if (!einsum_read(&at, &t) || !einsum_axes(&t, in[k].rank, label))
            return;
        at += *at == ',';
        ln_strides(&in[k], stride);
        for (int32_t i = 0; i < in[k].rank; i++) {
            s->has[k] |= (uint64_t)1 << label[i];
            if (in[k].dim[i] != 1)
                s->stride[k][label[i]] += stride[i];
        }
    }
}

/* ---- the operator ------------------------------------------------------------------------ */

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_dtype_info *type = ln_dtype(q->in[0].dtype);
    ln_einsum s = { 0 };

    if ((type->kind != LN_KIND_FLOAT && type->kind != LN_KIND_INT && type->kind != LN_KIND_UINT) || type->bits < 8)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    for (int32_t i = 1; i < q->in_count; i++)
        if (q->in[i].dtype != q->in[0].dtype)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Einsum: operand %d is of another type", (int)i);
    if (!p->equation || !einsum_parse(p->equation, q->in_count, q->in, &s))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Einsum: equation '%s' does not fit its %d operands",
                       p->equation ? p->equation : "", (int)q->in_count);
    q->out[0].dtype = s.dtype;
    q->out[0].rank = s.out_rank;
    for (int32_t i = 0; i < s.out_rank; i++)
        q->out[0].dim[i] = s.size[s.out[i]];
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    ln_einsum *s = q->state;
    const size_t elements = ln_count(&q->out[0]);

    s->stride = ln_plan_alloc(q, (size_t)q->in_count, sizeof *s->stride);
    s->has = ln_plan_alloc(q, (size_t)q->in_count, sizeof *s->has);
    if (!s->stride || !s->has)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "Einsum: out of memory");
    if (!einsum_parse(p->equation, q->in_count, q->in, s))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Einsum: equation does not fit");
    einsum_strides(p->equation, q->in, s);
    if (elements > 0 && ln_einsum_is_pair(s))
        return ln_einsum_prepare_pair(q, s);
    double sums = (double)elements;
    for (int32_t i = s->out_rank; i < s->labels; i++)
        sums *= (double)s->size[s->label[i]];
    const double per = (double)LN_CHUNK * (double)elements / (sums + 1.0);
    s->per_task = per > 1.0 ? (size_t)LN_MIN(per, (double)elements) : 1;
    q->tasks[0] = ln_ceil_div(elements, s->per_task);
    q->work = sums;
    q->flop = sums * (double)s->operands;
    return LINNET_OK;
}

/* ---- the plain way ------------------------------------------------------------------------- */

/* Step an index over labels [from, to), innermost last; false: it has been everywhere. */
static bool einsum_step(const ln_einsum *s, int32_t from, int32_t to, int64_t *index)
{
    for (int32_t i = to - 1; i >= from; i--) {
        if (++index[i] < s->size[s->label[i]])
            return true;
        index[i] = 0;
    }
    return false;
}

static size_t einsum_place(const ln_einsum *s, int32_t operand, const int64_t *index)
{
    int64_t at = 0;

    for (int32_t i = 0; i < s->labels; i++)
        at += index[i] * s->stride[operand][s->label[i]];
    return (size_t)at;
}

static void einsum_element(const ln_run *r, const ln_einsum *s, bool empty, int64_t *index, size_t out)
{
    const bool real = ln_dtype(s->dtype)->kind == LN_KIND_FLOAT;
    uint64_t whole = 0;
    double sum = 0.0;

    for (bool more = !empty; more; more = einsum_step(s, s->out_rank, s->labels, index)) {
        uint64_t w = 1;
        double v = 1.0;

        for (int32_t k = 0; k < s->operands; k++) {
            const size_t at = einsum_place(s, k, index);
            if (real)
                v *= ln_get_f64(s->dtype, r->in[k], at);
            else
                w *= (uint64_t)ln_get_i64(s->dtype, r->in[k], at);
        }
        sum += v;
        whole += w;
    }
    if (real) {
        ln_set_f64(s->dtype, r->out[0], out, sum);
    } else {
        int64_t bits;
        memcpy(&bits, &whole, sizeof bits);
        ln_set_i64(s->dtype, r->out[0], out, bits);
    }
}

static linnet_status run(const ln_run *r)
{
    const ln_einsum *s = r->state;
    int64_t index[LN_EINSUM_LABELS] = { 0 };
    bool empty = false;

    if (s->paired)
        return ln_einsum_run_pair(r, s);
    const size_t elements = ln_count(&r->out_desc[0]);
    for (int32_t i = s->out_rank; i < s->labels; i++)
        empty |= s->size[s->label[i]] == 0;
    const size_t from = r->task * s->per_task, end = LN_MIN(from + s->per_task, elements);
    size_t left = from;
    for (int32_t i = s->out_rank - 1; i >= 0; i--) {
        const size_t dim = (size_t)s->size[s->label[i]];
        index[i] = (int64_t)(left % dim);
        left /= dim;
    }
    for (size_t i = from; i < end; i++) {
        einsum_element(r, s, empty, index, i);
        einsum_step(s, 0, s->out_rank, index);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "equation", LN_ATTR_STR, offsetof(param, equation), 0, true },
    { 0 },
};

const ln_op ln_op_einsum = {
    .name = "Einsum", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 255,
    .infer = infer, .prepare = prepare, .run = run,
};
