/*
 * string_normalizer.c - StringNormalizer: texts without the stop words. Changing letters is refused: a run makes no
 * texts.
 *
 * How many remain is data: infer() counts them where they are known. Where none does, one empty text stands.
 */
#include "op.h"

typedef struct param {
    const char *change, *locale;
    int64_t     sensitive;
    ln_strs     stop;
} param;

static const char *normalizer_text(const void *x, size_t i)
{
    const char *s = ((const char *const *)x)[i];

    return s ? s : "";
}

static bool normalizer_keeps(const param *p, const char *s)
{
    for (size_t i = 0; i < p->stop.count; i++)
        if (strcmp(p->stop.v[i], s) == 0)
            return false;
    return true;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];
    int64_t kept = 0;

    if (x->dtype != LINNET_STRING)
        return ln_fail_type(q->err, 0, x->dtype);
    if (x->rank < 1 || x->rank > 2 || (x->rank == 2 && x->dim[0] != 1))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "StringNormalizer: the input is neither [C] nor [1, C]");
    if (!ln_is(p->change, "NONE", "NONE") || (!p->sensitive && p->stop.count))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED,
                       "StringNormalizer: letters cannot be changed, nor their case ignored");
    if (ln_count(x) && !q->value[0])
        return LN_WAIT;
    for (size_t i = 0; i < ln_count(x); i++)
        kept += normalizer_keeps(p, normalizer_text(q->value[0], i));
    q->out[0] = *x;
    q->out[0].dim[x->rank - 1] = LN_MAX(kept, 1);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const char **y = r->out[0];
    size_t n = 0;

    for (size_t i = 0; i < ln_count(&r->in_desc[0]); i++)
        if (normalizer_keeps(r->param, normalizer_text(r->in[0], i)))
            y[n++] = normalizer_text(r->in[0], i);
    if (n == 0)
        y[0] = "";
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "case_change_action", LN_ATTR_STR, offsetof(param, change), 0, false },
    { "is_case_sensitive", LN_ATTR_I64, offsetof(param, sensitive), 0, false },
    { "locale", LN_ATTR_STR, offsetof(param, locale), 0, false },
    { "stopwords", LN_ATTR_STRS, offsetof(param, stop), 0, false },
    { 0 },
};

const ln_op ln_op_string_normalizer = {
    .name = "StringNormalizer", .attr = attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .infer = infer, .run = run,
};
