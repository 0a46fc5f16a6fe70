/*
 * layer.c - typed layer builders over linnet_layer_add().
 *
 * Names of values that a builder needs in between are the layer's name with ":" and a word behind it.
 * Data in channels-last layout goes through Transpose layers, which plans dissolve.
 */
#include "api.h"

#define LAYER_NAME 512

typedef struct layer_build {
    linnet_model *m;
    const char   *name;
    linnet_status st;
    linnet_error *err;
} layer_build;

/* name:part into out; an error where it is too long. */
static const char *layer_name(layer_build *b, const char *part, char out[LAYER_NAME])
{
    const size_t length = ln_print(out, LAYER_NAME, "%s:%s", b->name, part);

    if (!b->st && length != strlen(b->name) + 1 + strlen(part))
        b->st = ln_fail(b->err, LINNET_ERR_ARGUMENT, "the layer's name is too long");
    return out;
}

/* One layer from `in` (absent ones are "") to `out`. */
static linnet_layer *layer_one(layer_build *b, const char *op, const char *const *in, size_t count, const char *out)
{
    linnet_layer *l = NULL;

    if (!b->st)
        b->st = linnet_layer_add(b->m, op, b->name, in, count, &out, 1, &l, b->err);
    return l;
}

static void layer_int(layer_build *b, linnet_layer *l, const char *name, int64_t v)
{
    if (!b->st)
        b->st = linnet_layer_set_int(l, name, v, b->err);
}

static void layer_ints(layer_build *b, linnet_layer *l, const char *name, const int64_t *v, size_t count)
{
    if (!b->st)
        b->st = linnet_layer_set_ints(l, name, v, count, b->err);
}

static void layer_string(layer_build *b, linnet_layer *l, const char *name, const char *v)
{
    if (!b->st)
        b->st = linnet_layer_set_string(l, name, v, b->err);
}

static void layer_transpose(layer_build *b, const char *from, const char *to, const int64_t *perm, size_t rank)
{
    layer_ints(b, layer_one(b, "Transpose", &from, 1, to), "perm", perm, rank);
}

static bool layer_start(layer_build *b, linnet_model *m, const char *name, linnet_error *err)
{
    *b = (layer_build){ m, name, LINNET_OK, err };
    if (!ln_given(m, "model", err) || !ln_given(name, "name", err))
        b->st = LINNET_ERR_ARGUMENT;
    return b->st == LINNET_OK;
}

/* ---- activations -------------------------------------------------------------------- */

static const char *const layer_activations[] = {
    [LINNET_ACT_NONE] = "Identity", [LINNET_ACT_RELU] = "Relu", [LINNET_ACT_RELU6] = "Clip",
    [LINNET_ACT_LEAKY_RELU] = "LeakyRelu", [LINNET_ACT_SIGMOID] = "Sigmoid", [LINNET_ACT_TANH] = "Tanh",
    [LINNET_ACT_SOFTMAX] = "Softmax", [LINNET_ACT_ELU] = "Elu", [LINNET_ACT_GELU] = "Gelu",
    [LINNET_ACT_SWISH] = "Swish", [LINNET_ACT_HARD_SWISH] = "HardSwish",
    [LINNET_ACT_HARD_SIGMOID] = "HardSigmoid", [LINNET_ACT_SOFTPLUS] = "Softplus",
};

static void layer_activate(layer_build *b, int32_t activation, const char *from, const char *to)
{
    const char *in[3] = { from, "", "" };
    char low[LAYER_NAME], high[LAYER_NAME];
    const float zero = 0, six = 6;

    if (b->st)
        return;
    if (activation < 0 || activation >= (int32_t)LN_COUNT(layer_activations)) {
        b->st = ln_fail(b->err, LINNET_ERR_ARGUMENT, "layer \"%s\": there is no activation %d", b->name, (int)activation);
        return;
    }
    if (activation == LINNET_ACT_RELU6) {
        in[1] = layer_name(b, "low", low);
        in[2] = layer_name(b, "high", high);
        b->st = linnet_model_add_weight(b->m, low, LINNET_F32, 0, NULL, &zero, sizeof zero, b->err);
        if (!b->st)
            b->st = linnet_model_add_weight(b->m, high, LINNET_F32, 0, NULL, &six, sizeof six, b->err);
    }
    layer_one(b, layer_activations[activation], in, activation == LINNET_ACT_RELU6 ? 3 : 1, to);
}

/* Where a layer with an activation puts its result before the activation. */
static const char *layer_before(layer_build *b, int32_t activation, char out[LAYER_NAME])
{
    return activation == LINNET_ACT_NONE ? b->name : layer_name(b, "linear", out);
}

linnet_status linnet_layer_activation(linnet_model *m, const char *name, const char *input, int32_t activation,
                                      linnet_error *err)
{
    layer_build b;

    if (layer_start(&b, m, name, err))
        layer_activate(&b, activation, input, name);
    return b.st;
}

/* ---- convolution, pooling, normalisation ------------------------------------------------ */

static const int64_t nhwc_to_nchw[4] = { 0, 3, 1, 2 }, nchw_to_nhwc[4] = { 0, 2, 3, 1 };

/* The spatial layer `op` on data of any layout; *out is where the caller's layer must write. */
static const char *layer_spatial_in(layer_build *b, int32_t layout, const char *input, char first[LAYER_NAME])
{
    if (layout == LINNET_CHANNELS_FIRST)
        return input;
    layer_transpose(b, input, layer_name(b, "nchw", first), nhwc_to_nchw, 4);
    return first;
}

static void layer_padding(layer_build *b, linnet_layer *l, int32_t padding, const int32_t pads[4])
{
    const int64_t wide[4] = { pads[0], pads[1], pads[2], pads[3] };

    if (padding == LINNET_PAD_SAME)
        layer_string(b, l, "auto_pad", "SAME_UPPER");
    else if (padding == LINNET_PAD_EXPLICIT)
        layer_ints(b, l, "pads", wide, 4);
    else if (padding != LINNET_PAD_VALID && !b->st)
        b->st = ln_fail(b->err, LINNET_ERR_ARGUMENT, "layer \"%s\": there is no padding %d", b->name, (int)padding);
}

/* Two numbers, 0 standing for `preset`. */
static void layer_pair(layer_build *b, linnet_layer *l, const char *name, const int32_t v[2], const int32_t preset[2])
{
    const int64_t wide[2] = { v[0] ? v[0] : preset[0], v[1] ? v[1] : preset[1] };

    layer_ints(b, l, name, wide, 2);
}

linnet_status linnet_layer_conv2d(linnet_model *m, const char *name, const char *input, const char *kernel,
                                  const char *bias, const linnet_conv2d *c, linnet_error *err)
{
    static const int64_t hwio_to_oihw[4] = { 3, 2, 0, 1 };
    static const int32_t one[2] = { 1, 1 };
    char first[LAYER_NAME], oihw[LAYER_NAME], before[LAYER_NAME], nchw[LAYER_NAME];
    linnet_conv2d full = { 0 };
    layer_build b;

    if (!layer_start(&b, m, name, err) || !ln_given(c, "conv2d", err) || !ln_given(kernel, "kernel", err))
        return LINNET_ERR_ARGUMENT;
    if (c->struct_size < sizeof(uint32_t) || c->struct_size > 4096)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "layer \"%s\": struct_size is not set", name);
    memcpy(&full, c, LN_MIN((size_t)c->struct_size, sizeof full));
    const char *x = layer_spatial_in(&b, full.layout, input, first), *w = kernel;
    if (full.kernel_layout == LINNET_CHANNELS_LAST) {
        w = layer_name(&b, "oihw", oihw);
        layer_transpose(&b, kernel, w, hwio_to_oihw, 4);
    }
    const char *y = layer_before(&b, full.activation, before);
    const char *in[3] = { x, w, bias ? bias : "" };
    const char *out = full.layout == LINNET_CHANNELS_FIRST ? y : layer_name(&b, "conv", nchw);
    linnet_layer *l = layer_one(&b, "Conv", in, 3, out);
    layer_pair(&b, l, "strides", full.stride, one);
    layer_pair(&b, l, "dilations", full.dilation, one);
    layer_padding(&b, l, full.padding, full.pads);
    layer_int(&b, l, "group", full.group ? full.group : 1);
    if (full.layout != LINNET_CHANNELS_FIRST)
        layer_transpose(&b, out, y, nchw_to_nhwc, 4);
    if (full.activation != LINNET_ACT_NONE)
        layer_activate(&b, full.activation, y, name);
    return b.st;
}

linnet_status linnet_layer_pool2d(linnet_model *m, const char *name, const char *input, const linnet_pool2d *c,
                                  linnet_error *err)
{
    char first[LAYER_NAME], nchw[LAYER_NAME];
    linnet_pool2d full = { 0 };
    layer_build b;

    if (!layer_start(&b, m, name, err) || !ln_given(c, "pool2d", err))
        return LINNET_ERR_ARGUMENT;
    if (c->struct_size < sizeof(uint32_t) || c->struct_size > 4096)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "layer \"%s\": struct_size is not set", name);
    memcpy(&full, c, LN_MIN((size_t)c->struct_size, sizeof full));
    const char *x = layer_spatial_in(&b, full.layout, input, first);
    const char *out = full.layout == LINNET_CHANNELS_FIRST ? name : layer_name(&b, "pool", nchw);
    linnet_layer *l = layer_one(&b, full.average ? "AveragePool" : "MaxPool", &x, 1, out);
    layer_pair(&b, l, "kernel_shape", full.kernel, full.kernel);
    layer_pair(&b, l, "strides", full.stride, full.kernel);
    layer_padding(&b, l, full.padding, full.pads);
    if (full.layout != LINNET_CHANNELS_FIRST)
        layer_transpose(&b, out, name, nchw_to_nhwc, 4);
    return b.st;
}

linnet_status linnet_layer_batch_norm(linnet_model *m, const char *name, const char *input, const char *scale,
                                      const char *shift, const char *mean, const char *variance, float epsilon,
                                      int32_t layout, linnet_error *err)
{
    char first[LAYER_NAME], nchw[LAYER_NAME];
    layer_build b;

    if (!layer_start(&b, m, name, err))
        return b.st;
    const char *in[5] = { layer_spatial_in(&b, layout, input, first), scale, shift, mean, variance };
    const char *out = layout == LINNET_CHANNELS_FIRST ? name : layer_name(&b, "norm", nchw);
    linnet_layer *l = layer_one(&b, "BatchNormalization", in, 5, out);
    if (!b.st)
        b.st = linnet_layer_set_float(l, "epsilon", epsilon, err);
    if (layout != LINNET_CHANNELS_FIRST)
        layer_transpose(&b, out, name, nchw_to_nhwc, 4);
    return b.st;
}

/* ---- dense and shapes ---------------------------------------------------------------------- */

linnet_status linnet_layer_dense(linnet_model *m, const char *name, const char *input, const char *weight,
                                 const char *bias, int32_t transposed, int32_t activation, linnet_error *err)
{
    static const int64_t swap[2] = { 1, 0 };
    char turned[LAYER_NAME], product[LAYER_NAME], before[LAYER_NAME];
    layer_build b;

    if (!layer_start(&b, m, name, err))
        return b.st;
    const char *w = weight;
    if (transposed) {
        w = layer_name(&b, "weight", turned);
        layer_transpose(&b, weight, w, swap, 2);
    }
    const char *y = layer_before(&b, activation, before);
    const char *mul[2] = { input, w };
    const char *out = bias ? layer_name(&b, "product", product) : y;
    layer_one(&b, "MatMul", mul, 2, out);
    if (bias) {
        const char *add[2] = { out, bias };
        layer_one(&b, "Add", add, 2, y);
    }
    if (activation != LINNET_ACT_NONE)
        layer_activate(&b, activation, y, name);
    return b.st;
}

linnet_status linnet_layer_flatten(linnet_model *m, const char *name, const char *input, linnet_error *err)
{
    layer_build b;

    if (layer_start(&b, m, name, err))
        layer_one(&b, "Flatten", &input, 1, name);
    return b.st;
}

linnet_status linnet_layer_reshape(linnet_model *m, const char *name, const char *input, int32_t rank,
                                   const int64_t *dims, linnet_error *err)
{
    char shape[LAYER_NAME];
    layer_build b;

    if (!layer_start(&b, m, name, err))
        return b.st;
    if (rank < 0 || rank > LN_MAX_RANK || (rank && !dims))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "layer \"%s\": rank %d is not possible", name, (int)rank);
    layer_name(&b, "shape", shape);
    if (!b.st)
        b.st = linnet_model_add_weight(m, shape, LINNET_I64, 1, (const int64_t[]){ rank }, dims,
                                       (size_t)rank * sizeof *dims, err);
    const char *in[2] = { input, shape };
    layer_one(&b, "Reshape", in, 2, name);
    return b.st;
}

linnet_status linnet_layer_sum(linnet_model *m, const char *name, const char *x, const char *y, linnet_error *err)
{
    const char *in[2] = { x, y };
    layer_build b;

    if (layer_start(&b, m, name, err))
        layer_one(&b, "Add", in, 2, name);
    return b.st;
}

linnet_status linnet_layer_concat(linnet_model *m, const char *name, const char *const *inputs, size_t count,
                                  int32_t axis, linnet_error *err)
{
    layer_build b;

    if (layer_start(&b, m, name, err))
        layer_int(&b, layer_one(&b, "Concat", inputs, count, name), "axis", axis);
    return b.st;
}

linnet_status linnet_layer_embedding(linnet_model *m, const char *name, const char *indices, const char *table,
                                     linnet_error *err)
{
    const char *in[2] = { table, indices };
    layer_build b;

    if (layer_start(&b, m, name, err))
        layer_one(&b, "Gather", in, 2, name);
    return b.st;
}

/* ---- recurrent --------------------------------------------------------------------------------- */

/*
 * ONNX gives Y [time, dirs, batch, hidden] and Y_h [dirs, batch, hidden]. Wanted are
 * [batch, time, dirs * hidden] (or time first), or the last step [batch, dirs * hidden].
 */
static linnet_status layer_recurrent(linnet_model *m, const char *op, const char *name, const char *input,
                                     const char *w, const char *r, const char *bias, const linnet_recurrent *c,
                                     linnet_error *err)
{
    static const int64_t swap[3] = { 1, 0, 2 }, last[3] = { 1, 0, 2 };
    static const int64_t batch_first[4] = { 2, 0, 1, 3 }, time_first[4] = { 0, 2, 1, 3 };
    char time[LAYER_NAME], all[LAYER_NAME], end[LAYER_NAME], turned[LAYER_NAME], shape[LAYER_NAME];
    linnet_recurrent full = { 0 };
    linnet_layer *l = NULL;
    layer_build b;

    if (!layer_start(&b, m, name, err) || !ln_given(c, "recurrent", err))
        return LINNET_ERR_ARGUMENT;
    if (c->struct_size < sizeof(uint32_t) || c->struct_size > 4096)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "layer \"%s\": struct_size is not set", name);
    memcpy(&full, c, LN_MIN((size_t)c->struct_size, sizeof full));
    const char *x = input;
    if (full.batch_first) {
        x = layer_name(&b, "time", time);
        layer_transpose(&b, input, x, swap, 3);
    }
    const char *in[4] = { x, w, r, bias ? bias : "" };
    const char *out[2] = { full.last_only ? "" : layer_name(&b, "all", all),
                           full.last_only ? layer_name(&b, "end", end) : "" };
    if (!b.st)
        b.st = linnet_layer_add(m, op, name, in, 4, out, full.last_only ? 2 : 1, &l, err);
    layer_int(&b, l, "hidden_size", full.hidden);
    layer_string(&b, l, "direction", full.bidirectional ? "bidirectional" : "forward");
    if (strcmp(op, "GRU") == 0)
        layer_int(&b, l, "linear_before_reset", full.linear_before_reset);
    const char *y = layer_name(&b, "turned", turned);
    if (full.last_only)
        layer_transpose(&b, end, y, last, 3);
    else
        layer_transpose(&b, all, y, full.batch_first ? batch_first : time_first, 4);
    const int64_t dims[3] = { 0, full.last_only ? -1 : 0, -1 };
    const int64_t rank = full.last_only ? 2 : 3;
    layer_name(&b, "shape", shape);
    if (!b.st)
        b.st = linnet_model_add_weight(m, shape, LINNET_I64, 1, &rank, dims, (size_t)rank * sizeof *dims, err);
    const char *flat[2] = { y, shape };
    layer_one(&b, "Reshape", flat, 2, name);
    return b.st;
}

linnet_status linnet_layer_lstm(linnet_model *m, const char *name, const char *input, const char *w, const char *r,
                                const char *b, const linnet_recurrent *c, linnet_error *err)
{
    return layer_recurrent(m, "LSTM", name, input, w, r, b, c, err);
}

linnet_status linnet_layer_gru(linnet_model *m, const char *name, const char *input, const char *w, const char *r,
                               const char *b, const linnet_recurrent *c, linnet_error *err)
{
    return layer_recurrent(m, "GRU", name, input, w, r, b, c, err);
}

linnet_status linnet_layer_rnn(linnet_model *m, const char *name, const char *input, const char *w, const char *r,
                               const char *b, const linnet_recurrent *c, linnet_error *err)
{
    return layer_recurrent(m, "RNN", name, input, w, r, b, c, err);
}
