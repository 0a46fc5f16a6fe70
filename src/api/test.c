/*
 * test.c - test vectors that travel with a model, and the check that runs them.
 */
#include "api.h"

#include "../format/format.h"

#include <math.h>

static size_t test_tensors(const linnet_model *m) { return m->graph->input_count + m->graph->output_count; }

static linnet_status test_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a test vector");
}

/* A copy of `from` in the model's arena, aligned for any kernel. */
static linnet_tensor *test_copy(ln_arena *a, const linnet_tensor *from)
{
    linnet_tensor *t = ln_arena_alloc(a, 1, sizeof *t);
    char *data = from->size <= SIZE_MAX - LN_ALIGN ? ln_arena_alloc(a, 1, from->size + LN_ALIGN) : NULL;

    if (!t || !data)
        return NULL;
    t->desc = from->desc;
    t->size = from->size;
    t->data = data + (-(uintptr_t)data & (LN_ALIGN - 1));
    if (from->size)
        memcpy(t->data, from->data, from->size);
    return t;
}

linnet_status linnet_model_add_test(linnet_model *m, const linnet_tensor *const *inputs,
                                    const linnet_tensor *const *outputs, double rtol, double atol,
                                    linnet_error *err)
{
    if (!ln_given(m, "model", err) || !ln_given(inputs, "inputs", err) || !ln_given(outputs, "outputs", err))
        return LINNET_ERR_ARGUMENT;
    if (!m->finished || !(rtol >= 0) || !(atol >= 0))
        return ln_fail(err, LINNET_ERR_ARGUMENT, m->finished ? "a tolerance is negative" : "the model is not finished");
    ln_test t = { ln_arena_alloc(&m->arena, test_tensors(m) + 1, sizeof *t.tensor), test_tensors(m), rtol, atol };
    if (!t.tensor)
        return test_full(err);
    for (size_t k = 0; k < t.count; k++) {
        const linnet_tensor *from = k < m->graph->input_count ? inputs[k] : outputs[k - m->graph->input_count];
        if (!from)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "tensor %zu of the test vector is NULL", k);
        if (!(t.tensor[k] = test_copy(&m->arena, from)))
            return test_full(err);
    }
    ln_test *slot = ln_grow(&m->arena, (void **)&m->tests->test, &m->tests->count, &m->tests->cap, sizeof *slot);
    if (!slot)
        return test_full(err);
    *slot = t;
    return LINNET_OK;
}

size_t linnet_model_test_count(const linnet_model *m) { return m ? m->tests->count : 0; }

const linnet_tensor *linnet_model_test_tensor(const linnet_model *m, size_t i, size_t k)
{
    return m && i < m->tests->count && k < m->tests->test[i].count ? m->tests->test[i].tensor[k] : NULL;
}

/* NaN equals NaN; infinities equal themselves. */
static bool test_near(double got, double want, double rtol, double atol)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    return got == want || fabs(got - want) <= atol + rtol * fabs(want);
}

static linnet_status test_compare(const ln_test *t, size_t test, size_t output, const linnet_tensor *got,
                                  const linnet_tensor *want, linnet_error *err)
{
    char a[LN_DESC_TEXT], b[LN_DESC_TEXT];

    if (!got || got->desc.dtype != want->desc.dtype || !ln_same_shape(&got->desc, &want->desc))
        return ln_fail(err, LINNET_ERR_CHECK, "test %zu, output %zu: %s where %s is expected", test, output,
                       got ? ln_desc_text(&got->desc, a) : "nothing", ln_desc_text(&want->desc, b));
    for (size_t i = 0; i < ln_count(&want->desc); i++) {
        const double x = linnet_tensor_get(got, i), y = linnet_tensor_get(want, i);
        if (!test_near(x, y, t->rtol, t->atol))
            return ln_fail(err, LINNET_ERR_CHECK, "test %zu, output %zu, element %zu: %g where %g is expected", test,
                           output, i, x, y);
    }
    return LINNET_OK;
}

linnet_status linnet_model_check(const linnet_model *m, const linnet_options *opt, linnet_error *err)
{
    linnet_session *s;
    linnet_status st = linnet_session_create(m, opt, &s, err);

    if (st)
        return st;
    for (size_t i = 0; i < m->tests->count && !st; i++) {
        const ln_test *t = &m->tests->test[i];
        for (size_t k = 0; k < m->graph->input_count && !st; k++)
            st = linnet_session_set_input_tensor(s, k, t->tensor[k], err);
        if (!st)
            st = linnet_session_run(s, err);
        for (size_t k = 0; k < m->graph->output_count && !st; k++)
            st = test_compare(t, i, k, linnet_session_output(s, k), t->tensor[m->graph->input_count + k], err);
    }
    linnet_session_free(s);
    return st;
}
