/*
 * random.c - RandomUniform, RandomNormal, both as ...Like, Bernoulli and Multinomial.
 *
 * random.h has the generator. Everything is computed in double and rounded once.
 */
#include "random.h"

#include <math.h>

typedef struct param {
    ln_ints shape;
    int64_t dtype, sample_size;
    float   seed, low, high, mean, scale;
} param;

static linnet_status random_type(const ln_infer *q, int32_t preset, uint32_t integers, int32_t *out)
{
    const param *p = q->param;
    const int64_t to = p->dtype ? p->dtype : preset;
    const ln_dtype_info *info = ln_dtype(to > 0 && to < 64 ? (int32_t)to : 0);

    *out = (int32_t)to;
    if (info->kind == LN_KIND_FLOAT ? info->bits >= 16 : integers && info->bits % 8 == 0 &&
        (info->kind == LN_KIND_INT || info->kind == LN_KIND_UINT || info->kind == LN_KIND_BOOL))
        return LINNET_OK;
    return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Random: numbers of type %lld are not supported", (long long)to);
}

static linnet_status random_infer(const ln_infer *q)
{
    const param *p = q->param;
    int32_t to;
    const linnet_status st = random_type(q, LINNET_F32, 0, &to);

    if (st)
        return st;
    if (p->shape.count > LN_MAX_RANK)
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Random: rank %zu", p->shape.count);
    for (size_t i = 0; i < p->shape.count; i++)
        if (p->shape.v[i] < 0)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Random: dimension %zu is %lld", i, (long long)p->shape.v[i]);
    q->out[0] = ln_desc_of(to, (int32_t)p->shape.count, p->shape.v);
    return LINNET_OK;
}

static linnet_status like_infer(const ln_infer *q)
{
    int32_t to;
    const linnet_status st = random_type(q, q->in[0].dtype, 0, &to);

    q->out[0] = q->in[0];
    q->out[0].dtype = to;
    return st;
}

static linnet_status bernoulli_infer(const ln_infer *q)
{
    int32_t to;
    const linnet_status st = random_type(q, q->in[0].dtype, 1, &to);

    if (st || ln_dtype(q->in[0].dtype)->kind != LN_KIND_FLOAT || ln_dtype(q->in[0].dtype)->bits < 16)
        return st ? st : ln_fail_type(q->err, 0, q->in[0].dtype);
    q->out[0] = q->in[0];
    q->out[0].dtype = to;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    ln_split(q, ln_count(&q->out[0]));
    q->work *= 8;
    return LINNET_OK;
}

static linnet_status uniform_run(const ln_run *r)
{
    const param *p = r->param;
    const uint64_t key = ln_random_key((double)p->seed);
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++)
        ln_set_f64(r->out_desc[0].dtype, r->out[0], i,
                   (double)p->low + ((double)p->high - (double)p->low) * ln_random_unit(key, i));
    return LINNET_OK;
}

/* The square root of -2 log u times a cosine: u is never 0. */
static linnet_status normal_run(const ln_run *r)
{
    const param *p = r->param;
    const uint64_t key = ln_random_key((double)p->seed);
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++) {
        const double radius = sqrt(-2 * log(1 - ln_random_unit(key, 2 * i)));
        const double angle = 6.283185307179586 * ln_random_unit(key, 2 * i + 1);
        ln_set_f64(r->out_desc[0].dtype, r->out[0], i, (double)p->mean + (double)p->scale * radius * cos(angle));
    }
    return LINNET_OK;
}

static linnet_status bernoulli_run(const ln_run *r)
{
    const param *p = r->param;
    const uint64_t key = ln_random_key((double)p->seed);
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++)
        ln_set_f64(r->out_desc[0].dtype, r->out[0], i,
                   ln_random_unit(key, i) < ln_get_f64(r->in_desc[0].dtype, r->in[0], i) ? 1 : 0);
    return LINNET_OK;
}

/* ---- Multinomial: classes drawn by logarithms of their weights ------------------------------------ */

static linnet_status multinomial_infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];

    if (ln_dtype(x->dtype)->kind != LN_KIND_FLOAT || ln_dtype(x->dtype)->bits < 16)
        return ln_fail_type(q->err, 0, x->dtype);
    if (x->rank != 2 || x->dim[1] < 1 || p->sample_size < 0 || (p->dtype != LINNET_I32 && p->dtype != LINNET_I64))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Multinomial: input, sample_size or dtype is not possible");
    q->out[0] = ln_desc_of((int32_t)p->dtype, 2, (int64_t[]){ x->dim[0], p->sample_size });
    return LINNET_OK;
}

static linnet_status multinomial_prepare(ln_prepare *q)
{
    q->tasks[0] = ln_count(&q->out[0]) ? (size_t)q->out[0].dim[0] : 0;
    q->work = (double)ln_count(&q->out[0]) * (double)q->in[0].dim[1] * 16;
    return LINNET_OK;
}

/* exp(x[i] - top); a NaN weighs nothing, and neither does anything beside +inf. */
static double multinomial_weight(const ln_run *r, size_t i, double top)
{
    const double x = ln_get_f64(r->in_desc[0].dtype, r->in[0], i);

    return x == top ? 1 : x < top ? exp(x - top) : 0;
}

static linnet_status multinomial_run(const ln_run *r)
{
    const param *p = r->param;
    const uint64_t key = ln_random_key((double)p->seed);
    const size_t classes = (size_t)r->in_desc[0].dim[1], samples = (size_t)r->out_desc[0].dim[1];
    const size_t row = r->task * classes;
    double top = -INFINITY, total = 0;

    for (size_t i = 0; i < classes; i++) {
        const double x = ln_get_f64(r->in_desc[0].dtype, r->in[0], row + i);
        top = x > top ? x : top;
    }
    for (size_t i = 0; i < classes; i++)
        total += multinomial_weight(r, row + i, top);
    for (size_t s = 0; s < samples; s++) {
        double left = ln_random_unit(key, r->task * samples + s) * total;
        size_t at = 0;
        for (; at + 1 < classes; at++)
            if ((left -= multinomial_weight(r, row + at, top)) < 0)
                break;
        ln_set_i64(r->out_desc[0].dtype, r->out[0], r->task * samples + s, (int64_t)at);
    }
    return LINNET_OK;
}

/* ---- the tables --------------------------------------------------------------------------------------- */

#define RANDOM_SEED { "seed", LN_ATTR_F32, offsetof(param, seed), 0, false }
#define RANDOM_TYPE(preset) { "dtype", LN_ATTR_I64, offsetof(param, dtype), preset, false }
#define RANDOM_SHAPE { "shape", LN_ATTR_INTS, offsetof(param, shape), 0, true }
#define RANDOM_UNIFORM { "low", LN_ATTR_F32, offsetof(param, low), 0, false }, \
                       { "high", LN_ATTR_F32, offsetof(param, high), 1, false }
#define RANDOM_NORMAL { "mean", LN_ATTR_F32, offsetof(param, mean), 0, false }, \
                      { "scale", LN_ATTR_F32, offsetof(param, scale), 1, false }

static const ln_attr uniform_attr[] = { RANDOM_SEED, RANDOM_TYPE(0), RANDOM_SHAPE, RANDOM_UNIFORM, { 0 } };
static const ln_attr normal_attr[] = { RANDOM_SEED, RANDOM_TYPE(0), RANDOM_SHAPE, RANDOM_NORMAL, { 0 } };
static const ln_attr uniform_like_attr[] = { RANDOM_SEED, RANDOM_TYPE(0), RANDOM_UNIFORM, { 0 } };
static const ln_attr normal_like_attr[] = { RANDOM_SEED, RANDOM_TYPE(0), RANDOM_NORMAL, { 0 } };
static const ln_attr bernoulli_attr[] = { RANDOM_SEED, RANDOM_TYPE(0), { 0 } };
static const ln_attr multinomial_attr[] = {
    RANDOM_SEED, RANDOM_TYPE(LINNET_I32), { "sample_size", LN_ATTR_I64, offsetof(param, sample_size), 1, false }, { 0 },
};

#define RANDOM(onnx, attributes, ins, infers, prepares, runs)                                                 \
    { .name = onnx, .attr = attributes, .param_size = sizeof(param), .in_min = ins, .in_max = ins,            \
      .flags = LN_OP_RANDOM, .infer = infers, .prepare = prepares, .run = runs }

const ln_op ln_op_random_uniform = RANDOM("RandomUniform", uniform_attr, 0, random_infer, prepare, uniform_run);
const ln_op ln_op_random_normal = RANDOM("RandomNormal", normal_attr, 0, random_infer, prepare, normal_run);
const ln_op ln_op_random_uniform_like = RANDOM("RandomUniformLike", uniform_like_attr, 1, like_infer, prepare,
                                               uniform_run);
const ln_op ln_op_random_normal_like = RANDOM("RandomNormalLike", normal_like_attr, 1, like_infer, prepare, normal_run);
const ln_op ln_op_bernoulli = RANDOM("Bernoulli", bernoulli_attr, 1, bernoulli_infer, prepare, bernoulli_run);
const ln_op ln_op_multinomial = RANDOM("Multinomial", multinomial_attr, 1, multinomial_infer, multinomial_prepare,
                                       multinomial_run);

#undef RANDOM
#undef RANDOM_NORMAL
#undef RANDOM_UNIFORM
#undef RANDOM_SHAPE
#undef RANDOM_TYPE
#undef RANDOM_SEED
