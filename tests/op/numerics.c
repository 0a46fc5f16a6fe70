/*
 * numerics.c - src/op/NUMERICS.md, row by row: edges of arithmetic on every level, in vector bodies and tails,
 * of constants and of inputs, with and without fusing.
 */
#include "test.h"

#include <float.h>
#include <math.h>

static const uint32_t numerics_levels[] = { LINNET_ISA_SCALAR, LINNET_ISA_SCALAR | LINNET_ISA_SSE4,
                                            LINNET_ISA_SCALAR | LINNET_ISA_SSE4 | LINNET_ISA_AVX2, UINT32_MAX };
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Equal, or both NaN; -0 and 0 are told apart where `sign` is set. */
static bool same_number(double a, double b, bool sign)
{
    return (isnan(a) && isnan(b)) || (a == b && (!sign || signbit(a) == signbit(b)));
}

static linnet_tensor *row_of(int32_t dtype, const double *v, int64_t n)
{
    linnet_tensor *t = test_tensor(dtype, 1, &n);
    unsigned char *data = linnet_tensor_data(t);

    for (int64_t i = 0; i < n; i++)
        switch (dtype) {
        case LINNET_F32: ((float *)data)[i] = (float)v[i]; break;
        case LINNET_F64: ((double *)data)[i] = v[i]; break;
        case LINNET_I64: ((int64_t *)data)[i] = v[i] <= -0x1p63 ? INT64_MIN : (int64_t)v[i]; break;
        case LINNET_I32: ((int32_t *)data)[i] = (int32_t)v[i]; break;
        case LINNET_I8:  ((int8_t *)data)[i] = (int8_t)v[i]; break;
        case LINNET_U8:  ((uint8_t *)data)[i] = (uint8_t)v[i]; break;
        default:         data[i] = v[i] != 0; break;
        }
    return t;
}

static linnet_status set_int(linnet_layer *l, void *user)
{
    const struct { const char *name; int64_t v; } *a = user;
    return a->name ? linnet_layer_set_int(l, a->name, a->v, &test_error) : LINNET_OK;
}
typedef struct int_attr { const char *name; int64_t v; } int_attr;

/* ---- one number -------------------------------------------------------------------------------------- */

#define SELU_LOW (-1.7580993175506591796875) /* of f32 factors */
typedef struct unary_row { const char *op; double want[4]; } unary_row; /* of NaN, -inf, +inf, -0 */
#define ANY 12345.0 /* a zero of either sign */
static const unary_row unary_rows[] = {
    { "Relu", { NAN, 0, INFINITY, ANY } }, { "LeakyRelu", { NAN, -INFINITY, INFINITY, -0.0 } },
    { "Elu", { NAN, -1, INFINITY, -0.0 } }, { "Selu", { NAN, SELU_LOW, INFINITY, -0.0 } }, { "Celu", { NAN, -1, INFINITY, -0.0 } },
    { "Sigmoid", { NAN, 0, 1, 0.5 } }, { "HardSigmoid", { NAN, 0, 1, 0.5 } }, { "Tanh", { NAN, -1, 1, -0.0 } },
    { "Erf", { NAN, -1, 1, -0.0 } }, { "Softsign", { NAN, -1, 1, -0.0 } }, { "Softplus", { NAN, 0, INFINITY, 0.693147182464599609375 } },
    { "Swish", { NAN, ANY, INFINITY, ANY } }, { "HardSwish", { NAN, ANY, INFINITY, ANY } }, { "Mish", { NAN, ANY, INFINITY, ANY } },
    { "Gelu", { NAN, ANY, INFINITY, ANY } }, { "ThresholdedRelu", { NAN, 0, INFINITY, ANY } }, { "Shrink", { NAN, -INFINITY, INFINITY, ANY } },
    { "Exp", { NAN, 0, INFINITY, 1 } }, { "Log", { NAN, NAN, INFINITY, -INFINITY } }, { "Sqrt", { NAN, NAN, INFINITY, -0.0 } },
    { "Reciprocal", { NAN, -0.0, 0, -INFINITY } }, { "Sin", { NAN, NAN, NAN, -0.0 } }, { "Cos", { NAN, NAN, NAN, 1 } },
    { "Floor", { NAN, -INFINITY, INFINITY, -0.0 } }, { "Ceil", { NAN, -INFINITY, INFINITY, -0.0 } }, { "Round", { NAN, -INFINITY, INFINITY, -0.0 } },
    { "Sign", { NAN, -1, 1, ANY } }, { "Abs", { NAN, INFINITY, INFINITY, 0 } }, { "Neg", { NAN, INFINITY, -INFINITY, 0 } },
};
static const double unary_edges[4] = { NAN, -INFINITY, INFINITY, -0.0 };

/* The edge at each place of rows of several lengths; its neighbours must not notice. */
static bool unary_edge(const char *op, double edge, double want, const linnet_options *o, int32_t dtype, bool constant)
{
    static const int64_t lengths[] = { 1, 3, 16, 21, 37 };
    bool good = true;

    for (size_t k = 0; k < COUNT(lengths); k++)
        for (int64_t at = 0; at < lengths[k]; at += 1 + lengths[k] / 5) {
            double v[64], alone = 0;
            for (int64_t i = 0; i < lengths[k]; i++)
                v[i] = i == at ? edge : 0.75;
            linnet_tensor *x = row_of(dtype, v, lengths[k]);
            test_op t = { .op = op, .in = { x }, .constant = { constant }, .in_count = 1, .out_count = 1, .opt = o };
            EXPECT_OK(test_op_run(&t));
            for (int64_t i = 0; i < lengths[k] && t.out[0]; i++) {
                const double y = linnet_tensor_get(t.out[0], (size_t)i);
                if (i == at)
                    good = good && (want == ANY ? y == 0 : dtype == LINNET_F32 || fabs(want) == 1 || want == 0
                                                          ? same_number(y, want, true) : isnan(want) ? isnan(y) : fabs(y - want) < 1e-6 || y == want);
                else if (alone == 0)
                    alone = y;
                else
                    good = good && y == alone;
            }
            test_op_free(&t);
            linnet_tensor_free(x);
        }
    return good;
}

void test_numerics_unary(void)
{
    linnet_options o;

    linnet_options_init(&o);
    for (size_t r = 0; r < COUNT(unary_rows); r++)
        for (size_t e = 0; e < 4; e++) {
            for (size_t k = 0; k < COUNT(numerics_levels); k++) {
                o.isa_mask = numerics_levels[k];
                test_note(unary_edge(unary_rows[r].op, unary_edges[e], unary_rows[r].want[e], &o, LINNET_F32, k == 1), __FILE__, __LINE__,
                          "%s of %g at level %zu", unary_rows[r].op, unary_edges[e], k);
            }
            test_note(unary_edge(unary_rows[r].op, unary_edges[e], unary_rows[r].want[e], &o, LINNET_F64, false), __FILE__, __LINE__,
                      "%s of %g in f64", unary_rows[r].op, unary_edges[e]);
        }
}

/* ---- activations behind matrix products give what they give alone -------------------------------------- */

void test_numerics_fused(void)
{
    static const char *const ops[] = { "Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Swish", "Mish", "Gelu", "Elu",
                                       "Selu", "Celu", "Softplus", "Softsign", "ThresholdedRelu" };
    const int64_t x_dims[] = { 3, 2 }, w_dims[] = { 2, 37 };
    const char *const product_in[] = { "x", "w" }, *const act_in[] = { "p" }, *const product_out[] = { "p" }, *const act_out[] = { "y" };
    float w[74], x[6] = { 1, 0, 2, 0, -3, 0 };

    for (size_t i = 0; i < 74; i++)
        w[i] = i >= 37 ? 0 : i % 9 == 1 ? NAN : i % 9 == 3 ? INFINITY : i % 9 == 4 ? -INFINITY : i % 9 == 6 ? -0.0f : (float)i / 9 - 2;
    for (size_t a = 0; a < COUNT(ops); a++)
        for (size_t k = 0; k < COUNT(numerics_levels); k++) {
            double got[2][111];
            for (int passes = 0; passes < 2; passes++) {
                linnet_options o;
                linnet_model *m = NULL;
                linnet_session *s = NULL;

                linnet_options_init(&o);
                o.isa_mask = numerics_levels[k];
                o.passes = passes ? UINT32_MAX : 0;
                EXPECT_OK(linnet_model_create(&o, &m, &test_error));
                EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 2, x_dims, &test_error));
                EXPECT_OK(linnet_model_add_weight(m, "w", LINNET_F32, 2, w_dims, w, sizeof w, &test_error));
                EXPECT_OK(linnet_layer_add(m, "MatMul", "product", product_in, 2, product_out, 1, NULL, &test_error));
                EXPECT_OK(linnet_layer_add(m, ops[a], "act", act_in, 1, act_out, 1, NULL, &test_error));
                EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
                EXPECT_OK(linnet_model_finish(m, &test_error));
                EXPECT_OK(linnet_session_create(m, &o, &s, &test_error));
                EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 2, x_dims, x, sizeof x, &test_error));
                EXPECT_OK(linnet_session_run(s, &test_error));
                for (size_t i = 0; i < 111; i++)
                    got[passes][i] = linnet_tensor_get(linnet_session_output(s, 0), i);
                linnet_session_free(s);
                linnet_model_free(m);
            }
            bool same = true;
            for (size_t i = 0; i < 111; i++)
                same = same && same_number(got[0][i], got[1][i], false);
            test_note(same, __FILE__, __LINE__, "MatMul and %s, fused and not, at level %zu", ops[a], k);
        }
}

/* ---- two numbers --------------------------------------------------------------------------------------------- */

typedef struct pair_row { const char *op; int32_t dtype; double a, b, want; int_attr attr; } pair_row;
#define LEAST32 (-0x1p31)
static const pair_row pair_rows[] = {
    { "Max", LINNET_F32, NAN, 1, NAN, { 0 } }, { "Max", LINNET_F32, 1, NAN, NAN, { 0 } }, { "Min", LINNET_F32, NAN, 1, NAN, { 0 } },
    { "Min", LINNET_F32, 1, NAN, NAN, { 0 } }, { "Max", LINNET_F32, -INFINITY, NAN, NAN, { 0 } }, { "Max", LINNET_F64, 1, NAN, NAN, { 0 } },
    { "Div", LINNET_F32, 1, 0, INFINITY, { 0 } }, { "Div", LINNET_F32, -1, 0, -INFINITY, { 0 } }, { "Div", LINNET_F32, 0, 0, NAN, { 0 } },
    { "Div", LINNET_I32, 7, 2, 3, { 0 } }, { "Div", LINNET_I32, -7, 2, -3, { 0 } }, { "Div", LINNET_I32, 5, 0, 0, { 0 } },
    { "Div", LINNET_I32, LEAST32, -1, LEAST32, { 0 } }, { "Div", LINNET_I64, -0x1p63, -1, -0x1p63, { 0 } }, { "Div", LINNET_U8, 9, 0, 0, { 0 } },
    { "Div", LINNET_I8, -128, -1, -128, { 0 } },
    { "Mod", LINNET_I32, 7, -2, -1, { 0 } }, { "Mod", LINNET_I32, -7, 2, 1, { 0 } }, { "Mod", LINNET_I32, 5, 0, 0, { 0 } },
    { "Mod", LINNET_I32, LEAST32, -1, 0, { 0 } }, { "Mod", LINNET_I64, -0x1p63, -1, 0, { 0 } }, { "Mod", LINNET_U8, 9, 0, 0, { 0 } },
    { "Mod", LINNET_I32, -7, 2, -1, { "fmod", 1 } }, { "Mod", LINNET_F32, -5.5, 2, -1.5, { "fmod", 1 } },
    { "Mod", LINNET_F32, 5, 0, NAN, { "fmod", 1 } }, { "Mod", LINNET_F32, INFINITY, 2, NAN, { "fmod", 1 } }, { "Mod", LINNET_F32, 1, INFINITY, 1, { "fmod", 1 } },
    { "Mod", LINNET_F32, -5.5, 2, 0.5, { 0 } },
    { "Pow", LINNET_F32, NAN, 0, 1, { 0 } }, { "Pow", LINNET_F32, 1, NAN, 1, { 0 } }, { "Pow", LINNET_F32, -8, 1.0 / 3, NAN, { 0 } },
    { "Pow", LINNET_F32, 0, 0, 1, { 0 } }, { "Pow", LINNET_I32, 3, -1, 0, { 0 } }, { "Pow", LINNET_I32, -1, -3, -1, { 0 } }, { "Pow", LINNET_I32, 2, 31, LEAST32, { 0 } },
    { "Add", LINNET_I32, 0x7fffffff, 1, LEAST32, { 0 } }, { "Sub", LINNET_U8, 3, 5, 254, { 0 } }, { "Mul", LINNET_I8, 100, 3, 44, { 0 } },
    { "PRelu", LINNET_F32, NAN, 2, NAN, { 0 } }, { "PRelu", LINNET_F32, -INFINITY, 0.5, -INFINITY, { 0 } }, { "PRelu", LINNET_F32, -2, 0.5, -1, { 0 } },
    { "Equal", LINNET_F32, NAN, NAN, 0, { 0 } }, { "Less", LINNET_F32, NAN, 1, 0, { 0 } }, { "Greater", LINNET_F32, NAN, 1, 0, { 0 } },
    { "LessOrEqual", LINNET_F32, NAN, NAN, 0, { 0 } }, { "GreaterOrEqual", LINNET_F32, 1, NAN, 0, { 0 } }, { "Equal", LINNET_F32, 0, -0.0, 1, { 0 } },
    { "Sum", LINNET_F32, INFINITY, -INFINITY, NAN, { 0 } }, { "Mean", LINNET_F32, NAN, 1, NAN, { 0 } },
};

/* The pair in a row of several lengths, or one of the two repeated. */
static bool pair_good(const pair_row *p, const linnet_options *o, int64_t n, int repeat, bool constant)
{
    double a[64], b[64];
    bool good = true;

    for (int64_t i = 0; i < n; i++) {
        a[i] = p->a;
        b[i] = p->b;
    }
    linnet_tensor *x = row_of(p->dtype, a, repeat == 1 ? 1 : n), *y = row_of(p->dtype, b, repeat == 2 ? 1 : n);
    int_attr attr = p->attr;
    test_op t = { .op = p->op, .in = { x, y }, .constant = { constant, constant }, .in_count = 2, .out_count = 1,
                  .set = set_int, .user = &attr, .opt = o };
    EXPECT_OK(test_op_run(&t));
    for (size_t i = 0; t.out[0] && i < linnet_tensor_count(t.out[0]); i++)
        good = good && same_number(linnet_tensor_get(t.out[0], i), p->want, false);
    good = good && t.out[0];
    test_op_free(&t);
    linnet_tensor_free(x);
    linnet_tensor_free(y);
    return good;
}

void test_numerics_pairs(void)
{
    linnet_options o;

    linnet_options_init(&o);
    for (size_t r = 0; r < COUNT(pair_rows); r++)
        for (size_t k = 0; k < COUNT(numerics_levels); k++) {
            const pair_row *p = &pair_rows[r];
            o.isa_mask = numerics_levels[k];
            test_note(pair_good(p, &o, 1, 0, false) && pair_good(p, &o, 37, 0, false) && (strcmp(p->op, "PRelu") == 0 || pair_good(p, &o, 37, 1, false)) &&
                          pair_good(p, &o, 37, 2, false) && pair_good(p, &o, 5, 0, true),
                      __FILE__, __LINE__, "%s(%g, %g) of %s at level %zu", p->op, p->a, p->b, linnet_dtype_name(p->dtype), k);
        }
}

void test_numerics_shift(void)
{
    static const struct { int32_t dtype; double a, b, left, right; } row[] = {
        { LINNET_U8, 255, 1, 254, 127 }, { LINNET_U8, 255, 8, 0, 0 }, { LINNET_U8, 255, 200, 0, 0 },
    };
    for (size_t i = 0; i < COUNT(row); i++)
        for (int right = 0; right < 2; right++) {
            linnet_tensor *x = row_of(row[i].dtype, &row[i].a, 1), *y = row_of(row[i].dtype, &row[i].b, 1);
            linnet_model *m = NULL;
            linnet_session *s = NULL;
            linnet_layer *l = NULL;
            const char *const in[] = { "x", "y" }, *const out[] = { "z" };
            const int64_t one[] = { 1 };

            EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
            EXPECT_OK(linnet_model_add_input(m, "x", row[i].dtype, 1, one, &test_error));
            EXPECT_OK(linnet_model_add_input(m, "y", row[i].dtype, 1, one, &test_error));
            EXPECT_OK(linnet_layer_add(m, "BitShift", "shift", in, 2, out, 1, &l, &test_error));
            EXPECT_OK(linnet_layer_set_string(l, "direction", right ? "RIGHT" : "LEFT", &test_error));
            EXPECT_OK(linnet_model_add_output(m, "z", &test_error));
            EXPECT_OK(linnet_model_finish(m, &test_error));
            EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
            EXPECT_OK(linnet_session_set_input_tensor(s, 0, x, &test_error));
            EXPECT_OK(linnet_session_set_input_tensor(s, 1, y, &test_error));
            EXPECT_OK(linnet_session_run(s, &test_error));
            EXPECT(linnet_tensor_get(linnet_session_output(s, 0), 0) == (right ? row[i].right : row[i].left));
            linnet_session_free(s);
            linnet_model_free(m);
            linnet_tensor_free(x);
            linnet_tensor_free(y);
        }
}

/* ---- casts ------------------------------------------------------------------------------------------------------- */

void test_numerics_casts(void)
{
    static const struct { int32_t from, to; double x, want; } row[] = {
        { LINNET_F32, LINNET_I32, NAN, 0 }, { LINNET_F32, LINNET_I32, INFINITY, 0x7fffffff }, { LINNET_F32, LINNET_I32, -INFINITY, LEAST32 },
        { LINNET_F32, LINNET_I32, 3e9, 0x7fffffff }, { LINNET_F32, LINNET_I32, 2.7, 2 }, { LINNET_F32, LINNET_I32, -2.7, -2 },
        { LINNET_F32, LINNET_U8, NAN, 0 }, { LINNET_F32, LINNET_U8, 300, 255 }, { LINNET_F32, LINNET_U8, -5, 0 }, { LINNET_F32, LINNET_U8, 200.9, 200 },
        { LINNET_F32, LINNET_I8, 200, 127 }, { LINNET_F32, LINNET_I8, -200, -128 }, { LINNET_F32, LINNET_I64, 1e30, 0x1p63 },
        { LINNET_F32, LINNET_I64, NAN, 0 }, { LINNET_F64, LINNET_I64, -1e30, -0x1p63 }, { LINNET_F64, LINNET_U8, 255.5, 255 },
        { LINNET_I32, LINNET_U8, 300, 44 }, { LINNET_I32, LINNET_I8, -129, 127 }, { LINNET_I64, LINNET_I32, 0x1p31, LEAST32 },
        { LINNET_F32, LINNET_BOOL, NAN, 1 }, { LINNET_F32, LINNET_BOOL, -0.0, 0 }, { LINNET_F32, LINNET_BOOL, 1e-40, 1 },
        { LINNET_F32, LINNET_F16, 65519, 65504 }, { LINNET_F32, LINNET_F16, 65520, INFINITY }, { LINNET_F32, LINNET_F16, NAN, NAN },
        { LINNET_F32, LINNET_F16, 2049, 2048 }, { LINNET_F32, LINNET_F16, 2051, 2052 }, { LINNET_F32, LINNET_BF16, 257, 256 },
        { LINNET_F32, LINNET_BF16, 259, 260 }, { LINNET_F32, LINNET_BF16, NAN, NAN }, { LINNET_I32, LINNET_F32, 16777217, 16777216 },
    };
    linnet_options o;

    linnet_options_init(&o);
    for (size_t r = 0; r < COUNT(row); r++)
        for (size_t k = 0; k < COUNT(numerics_levels); k++) {
            double v[40];
            bool good = true;
            for (size_t i = 0; i < 40; i++)
                v[i] = row[r].x;
            o.isa_mask = numerics_levels[k];
            for (int64_t n = 1; n <= 39; n += 19) {
                linnet_tensor *x = row_of(row[r].from, v, n);
                int_attr to = { "to", row[r].to };
                test_op t = { .op = "Cast", .in = { x }, .in_count = 1, .out_count = 1, .set = set_int, .user = &to, .opt = &o };
                EXPECT_OK(test_op_run(&t));
                for (size_t i = 0; t.out[0] && i < (size_t)n; i++)
                    good = good && same_number(linnet_tensor_get(t.out[0], i), row[r].want, false);
                test_op_free(&t);
                linnet_tensor_free(x);
            }
            test_note(good, __FILE__, __LINE__, "Cast %g from %s to %s at level %zu", row[r].x, linnet_dtype_name(row[r].from),
                      linnet_dtype_name(row[r].to), k);
        }
}

void test_numerics_quantize(void)
{
    static const struct { double x, i8, u8; } row[] = {
        { NAN, -128, 0 }, { INFINITY, 127, 255 }, { -INFINITY, -128, 0 }, { 0.5, 0, 0 }, { 1.5, 2, 2 }, { 2.5, 2, 2 }, { -0.5, 0, 0 },
        { -1.5, -2, 0 }, { 1e9, 127, 255 }, { 126.5, 126, 126 }, { 254.5, 127, 254 },
    };
    linnet_options o;

    linnet_options_init(&o);
    for (size_t k = 0; k < COUNT(numerics_levels); k++)
        for (int is_signed = 0; is_signed < 2; is_signed++)
            for (size_t r = 0; r < COUNT(row); r++) {
                const int64_t n = 37;
                const double zero = 0, one = 1;
                double v[37];
                bool good = true;

                for (int64_t i = 0; i < n; i++)
                    v[i] = row[r].x;
                linnet_tensor *x = row_of(LINNET_F32, v, n), *scale = test_tensor(LINNET_F32, 0, NULL);
                linnet_tensor *zp = test_tensor(is_signed ? LINNET_I8 : LINNET_U8, 0, NULL);
                *(float *)linnet_tensor_data(scale) = (float)one;
                *(unsigned char *)linnet_tensor_data(zp) = (unsigned char)zero;
                o.isa_mask = numerics_levels[k];
                test_op t = { .op = "QuantizeLinear", .in = { x, scale, zp }, .constant = { false, true, true }, .in_count = 3, .out_count = 1,
                              .opt = &o };
                EXPECT_OK(test_op_run(&t));
                for (size_t i = 0; t.out[0] && i < (size_t)n; i++)
                    good = good && linnet_tensor_get(t.out[0], i) == (is_signed ? row[r].i8 : row[r].u8);
                test_note(good, __FILE__, __LINE__, "QuantizeLinear of %g to %s at level %zu", row[r].x, is_signed ? "i8" : "u8", k);
                test_op_free(&t);
                linnet_tensor_free(x);
                linnet_tensor_free(scale);
                linnet_tensor_free(zp);
            }
}

/* ---- folds ---------------------------------------------------------------------------------------------------------- */

typedef struct fold_row { const char *op; double empty, with_nan, low; } fold_row; /* low: of two -inf */
static const fold_row fold_rows[] = {
    { "ReduceSum", 0, NAN, -INFINITY }, { "ReduceMean", NAN, NAN, -INFINITY }, { "ReduceMax", -INFINITY, NAN, -INFINITY },
    { "ReduceMin", INFINITY, NAN, -INFINITY }, { "ReduceProd", 1, NAN, INFINITY }, { "ReduceL1", 0, NAN, INFINITY },
    { "ReduceL2", 0, NAN, INFINITY }, { "ReduceLogSum", -INFINITY, NAN, NAN }, { "ReduceLogSumExp", -INFINITY, NAN, -INFINITY },
    { "ReduceSumSquare", 0, NAN, INFINITY },
};

/* Folds x, a matrix of rows of `width`, along `axis`; true where every result is `want`. */
static bool fold_is(const char *op, const double *v, int64_t rows, int64_t width, int64_t axis, double want, const linnet_options *o)
{
    const int64_t dims[] = { rows, width }, one = 1;
    linnet_tensor *x = test_tensor(LINNET_F32, 2, dims), *axes = test_tensor(LINNET_I64, 1, &one);
    bool good;

    for (int64_t i = 0; i < rows * width; i++)
        ((float *)linnet_tensor_data(x))[i] = (float)v[i];
    *(int64_t *)linnet_tensor_data(axes) = axis;
    test_op t = { .op = op, .in = { x, axes }, .constant = { false, true }, .in_count = 2, .out_count = 1, .opt = o };
    EXPECT_OK(test_op_run(&t));
    good = t.out[0] && linnet_tensor_count(t.out[0]) == (size_t)(axis ? rows : width);
    for (size_t i = 0; good && i < linnet_tensor_count(t.out[0]); i++)
        good = same_number(linnet_tensor_get(t.out[0], i), want, false);
    test_op_free(&t);
    linnet_tensor_free(x);
    linnet_tensor_free(axes);
    return good;
}

void test_numerics_folds(void)
{
    linnet_options o;

    linnet_options_init(&o);
    for (size_t r = 0; r < COUNT(fold_rows); r++)
        for (size_t k = 0; k < COUNT(numerics_levels); k++) {
            const fold_row *f = &fold_rows[r];
            double low[40], nan[40 * 3];
            bool every = true;

            o.isa_mask = numerics_levels[k];
            for (size_t i = 0; i < 40; i++)
                low[i] = -INFINITY;
            EXPECT(fold_is(f->op, low, 2, 0, 1, f->empty, &o));
            EXPECT(fold_is(f->op, low, 0, 5, 0, f->empty, &o));
            EXPECT(fold_is(f->op, low, 1, 2, 1, f->low, &o));
            EXPECT(fold_is(f->op, low, 1, 40, 1, f->low, &o));
            for (size_t at = 0; at < 40; at++) { /* wherever the NaN is, and whatever stands around it */
                for (size_t i = 0; i < 40; i++)
                    nan[i] = i == at ? NAN : i % 3 ? 2.0 : INFINITY;
                every = every && fold_is(f->op, nan, 1, 40, 1, f->with_nan, &o) && fold_is(f->op, nan, 40, 1, 0, f->with_nan, &o);
            }
            for (size_t i = 0; i < 120; i++)
                nan[i] = i / 40 == 1 ? NAN : 2.0;
            every = every && fold_is(f->op, nan, 3, 40, 0, f->with_nan, &o);
            test_note(every, __FILE__, __LINE__, "%s with a NaN, level %zu", f->op, k);
        }
}

/* Whole rows: softmax and its kin, ArgMax, TopK, MaxPool. */
typedef struct line_row { const char *op; double x[4], want[4]; int_attr attr; } line_row;
static const line_row line_rows[] = {
    { "Softmax", { INFINITY, 1, 2, 3 }, { NAN, NAN, NAN, NAN }, { 0 } }, { "Softmax", { 1, 2, NAN, 3 }, { NAN, NAN, NAN, NAN }, { 0 } },
    { "Softmax", { -INFINITY, -INFINITY, -INFINITY, -INFINITY }, { NAN, NAN, NAN, NAN }, { 0 } },
    { "Softmax", { -INFINITY, 1, -INFINITY, -INFINITY }, { 0, 1, 0, 0 }, { 0 } }, { "LogSoftmax", { 1, 2, NAN, 3 }, { NAN, NAN, NAN, NAN }, { 0 } },
    { "LogSoftmax", { INFINITY, 1, 2, 3 }, { NAN, NAN, NAN, NAN }, { 0 } },
    { "LogSoftmax", { -INFINITY, 1, -INFINITY, -INFINITY }, { -INFINITY, 0, -INFINITY, -INFINITY }, { 0 } },
    { "Hardmax", { 1, NAN, 3, NAN }, { 0, 1, 0, 0 }, { 0 } }, { "Hardmax", { 3, 1, 3, 2 }, { 1, 0, 0, 0 }, { 0 } },
    { "CumProd", { 1, NAN, 3, 2 }, { 1, NAN, NAN, NAN }, { 0 } },
};

void test_numerics_lines(void)
{
    linnet_options o;

    linnet_options_init(&o);
    for (size_t r = 0; r < COUNT(line_rows); r++)
        for (size_t k = 0; k < COUNT(numerics_levels); k++) {
            const line_row *l = &line_rows[r];
            linnet_tensor *x = row_of(LINNET_F32, l->x, 4), *axis = test_tensor(LINNET_I64, 0, NULL);
            int_attr a = { strcmp(l->op, "CumProd") ? "axis" : NULL, 0 };
            bool good = true;

            o.isa_mask = numerics_levels[k];
            test_op t = { .op = l->op, .in = { x, axis }, .constant = { false, true }, .in_count = a.name ? 1 : 2, .out_count = 1, .set = set_int,
                          .user = &a, .opt = &o };
            EXPECT_OK(test_op_run(&t));
            for (size_t i = 0; t.out[0] && i < 4; i++)
                good = good && same_number(linnet_tensor_get(t.out[0], i), l->want[i], false);
            test_note(good, __FILE__, __LINE__, "%s, row %zu, level %zu", l->op, r, k);
            test_op_free(&t);
            linnet_tensor_free(x);
            linnet_tensor_free(axis);
        }
}

/* The index of the winner among n numbers: of the first NaN where there is one. */
static double arg_of(const char *op, const double *v, int64_t n, int64_t last, const linnet_options *o)
{
    linnet_tensor *x = row_of(LINNET_F32, v, n);
    int_attr a = { "select_last_index", last };
    test_op t = { .op = op, .in = { x }, .in_count = 1, .out_count = 1, .set = set_int, .user = &a, .opt = o };

    EXPECT_OK(test_op_run(&t));
    const double got = t.out[0] ? linnet_tensor_get(t.out[0], 0) : -1;
    test_op_free(&t);
    linnet_tensor_free(x);
    return got;
}

void test_numerics_arg(void)
{
    const double nans[] = { 1, NAN, 3, NAN }, ties[] = { 3, 1, 3, 1 };
    linnet_options o;

    linnet_options_init(&o);
    for (size_t k = 0; k < COUNT(numerics_levels); k++) {
        o.isa_mask = numerics_levels[k];
        EXPECT(arg_of("ArgMax", nans, 4, 0, &o) == 1 && arg_of("ArgMin", nans, 4, 0, &o) == 1);
        EXPECT(arg_of("ArgMax", ties, 4, 0, &o) == 0 && arg_of("ArgMax", ties, 4, 1, &o) == 2);
        EXPECT(arg_of("ArgMin", ties, 4, 0, &o) == 1 && arg_of("ArgMin", ties, 4, 1, &o) == 3);
        for (int64_t at = 0; at < 40; at += 3) {
            double v[40];
            for (int64_t i = 0; i < 40; i++)
                v[i] = i == at ? NAN : (double)i;
            EXPECT(arg_of("ArgMax", v, 40, 0, &o) == (double)at);
        }
    }
}

static linnet_status pool_set(linnet_layer *l, void *user)
{
    const int64_t kernel[] = { 2 };
    return user ? linnet_layer_set_ints(l, "kernel_shape", kernel, 1, &test_error) : LINNET_OK;
}

/* [1, c, 4] = 1 NaN 3 -inf for every channel. */
void test_numerics_pools(void)
{
    static const struct { const char *op; bool window; double want[3]; } row[] = {
        { "MaxPool", true, { NAN, NAN, 3 } }, { "AveragePool", true, { NAN, NAN, -INFINITY } }, { "LpPool", true, { NAN, NAN, INFINITY } },
        { "GlobalMaxPool", false, { NAN } }, { "GlobalAveragePool", false, { NAN } },
    };
    const float line[] = { 1, NAN, 3, -INFINITY };
    linnet_options o;

    linnet_options_init(&o);
    for (size_t r = 0; r < COUNT(row); r++)
        for (size_t k = 0; k < COUNT(numerics_levels); k++)
            for (int64_t c = 1; c <= 37; c += 12) {
                const int64_t dims[] = { 1, c, 4 };
                linnet_tensor *x = test_tensor(LINNET_F32, 3, dims);
                const int64_t out = row[r].window ? 3 : 1;
                bool good = true;

                for (int64_t i = 0; i < 4 * c; i++)
                    ((float *)linnet_tensor_data(x))[i] = line[i % 4];
                o.isa_mask = numerics_levels[k];
                test_op t = { .op = row[r].op, .in = { x }, .in_count = 1, .out_count = 1, .set = pool_set,
                              .user = row[r].window ? &t : NULL, .opt = &o };
                EXPECT_OK(test_op_run(&t));
                for (int64_t i = 0; t.out[0] && i < c * out; i++)
                    good = good && same_number(linnet_tensor_get(t.out[0], (size_t)i), row[r].want[i % out], false);
                test_note(good, __FILE__, __LINE__, "%s with NaN, %d channels, level %zu", row[r].op, (int)c, k);
                test_op_free(&t);
                linnet_tensor_free(x);
            }
}

/* TopK, NonZero and Unique with NaN. */
void test_numerics_order(void)
{
    const double v[] = { 1, NAN, 3, 2, NAN, 1 };
    linnet_tensor *x = row_of(LINNET_F32, v, 6), *k = row_of(LINNET_I64, (const double[]){ 3 }, 1);
    int_attr none = { 0 }, least = { "largest", 0 };
    test_op top = { .op = "TopK", .in = { x, k }, .constant = { false, true }, .in_count = 2, .out_count = 2, .set = set_int, .user = &none };
    test_op low = { .op = "TopK", .in = { x, k }, .constant = { false, true }, .in_count = 2, .out_count = 2, .set = set_int, .user = &least };
    test_op zero = { .op = "NonZero", .in = { x }, .in_count = 1, .out_count = 1 };
    test_op unique = { .op = "Unique", .in = { x }, .in_count = 1, .out_count = 1 };

    EXPECT_OK(test_op_run(&top));
    EXPECT(linnet_tensor_get(top.out[1], 0) == 1 && linnet_tensor_get(top.out[1], 1) == 4 && linnet_tensor_get(top.out[1], 2) == 2);
    EXPECT_OK(test_op_run(&low));
    EXPECT(linnet_tensor_get(low.out[1], 0) == 0 && linnet_tensor_get(low.out[1], 1) == 5 && linnet_tensor_get(low.out[1], 2) == 3);
    EXPECT_OK(test_op_run(&zero));
    EXPECT(linnet_tensor_count(zero.out[0]) == 6);
    EXPECT_OK(test_op_run(&unique));
    EXPECT(linnet_tensor_count(unique.out[0]) == 4 && linnet_tensor_get(unique.out[0], 0) == 1 && linnet_tensor_get(unique.out[0], 2) == 3 &&
           isnan(linnet_tensor_get(unique.out[0], 3)));
    test_op_free(&top);
    test_op_free(&low);
    test_op_free(&zero);
    test_op_free(&unique);
    linnet_tensor_free(x);
    linnet_tensor_free(k);
}
