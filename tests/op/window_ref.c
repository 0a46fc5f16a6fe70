/*
 * window_ref.c - random windows for tests of convolution and pooling.
 */
#include "window_ref.h"

static int64_t wref_out(const wref *w, int i)
{
    const int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    const int64_t room = w->in[i] + w->pad[i] + w->end[i] - reach;

    if (room < 0)
        return 0;
    int64_t out = room / w->stride[i] + 1 + (w->ceil && room % w->stride[i]);
    if (w->ceil && (out - 1) * w->stride[i] >= w->in[i] + w->pad[i])
        out--;
    return out;
}

static void wref_same(wref *w, int i, bool upper)
{
    const int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;

    w->out[i] = (w->in[i] + w->stride[i] - 1) / w->stride[i];
    int64_t all = (w->out[i] - 1) * w->stride[i] + reach - w->in[i];
    all = all > 0 ? all : 0;
    w->pad[i] = upper ? all / 2 : all - all / 2;
    w->end[i] = all - w->pad[i];
}

void wref_random(wref *w, int axes, int most_kernel)
{
    static const char *const names[] = { NULL, NULL, NULL, "SAME_UPPER", "SAME_LOWER", "VALID" };

    memset(w, 0, sizeof *w);
    w->axes = axes;
    w->n = (int)test_int(1, 2);
    w->auto_pad = names[test_int(0, 5)];
    for (int i = 0; i < 3; i++) {
        w->in[i] = w->out[i] = w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
        if (i < 3 - axes)
            continue;
        do {
            w->in[i] = test_int(1, axes == 3 ? 7 : 14);
            w->kernel[i] = test_int(1, most_kernel);
            w->stride[i] = test_int(1, 3);
            w->dilation[i] = test_int(1, 2);
            w->pad[i] = w->end[i] = 0;
            if (w->auto_pad && w->auto_pad[0] == 'S') {
                wref_same(w, i, w->auto_pad[5] == 'U');
                continue;
            }
            if (!w->auto_pad && test_int(0, 2)) {
                w->pad[i] = test_int(0, w->kernel[i] - 1);
                w->end[i] = test_int(0, w->kernel[i] - 1);
            }
            w->out[i] = wref_out(w, i);
        } while (w->out[i] < 1);
    }
}

void wref_width(wref *w, int64_t width)
{
    w->in[2] = width;
    if (w->auto_pad && w->auto_pad[0] == 'S')
        wref_same(w, 2, w->auto_pad[5] == 'U');
    else
        w->out[2] = wref_out(w, 2);
}

linnet_status wref_set(linnet_layer *l, const wref *w, bool kernel)
{
    const int a = 3 - w->axes;
    const size_t axes = (size_t)w->axes;
    int64_t pads[6];
    linnet_status st = linnet_layer_set_ints(l, "strides", w->stride + a, axes, &test_error);

    if (!st)
        st = linnet_layer_set_ints(l, "dilations", w->dilation + a, axes, &test_error);
    if (!st && kernel)
        st = linnet_layer_set_ints(l, "kernel_shape", w->kernel + a, axes, &test_error);
    if (!st && w->auto_pad)
        return linnet_layer_set_string(l, "auto_pad", w->auto_pad, &test_error);
    memcpy(pads, w->pad + a, axes * sizeof *pads);
    memcpy(pads + axes, w->end + a, axes * sizeof *pads);
    return st ? st : linnet_layer_set_ints(l, "pads", pads, 2 * axes, &test_error);
}

int wref_dims(const wref *w, int64_t channels, const int64_t size[3], int64_t *dims)
{
    dims[0] = w->n;
    dims[1] = channels;
    for (int i = 0; i < w->axes; i++)
        dims[i + 2] = size[i + 3 - w->axes];
    return w->axes + 2;
}

int64_t wref_count(const int64_t size[3]) { return size[0] * size[1] * size[2]; }

void wref_options(int i, linnet_options *o, linnet_pool *pool)
{
    static const uint32_t masks[] = { ~0u, ~0u, 1, 4 | 2 | 1, 2 | 1, ~0u };

    linnet_options_init(o);
    o->isa_mask = masks[i];
    if (i == 1 || i == 2)
        o->passes = 0;
    if (i == 5) {
        o->precision = LINNET_PRECISION_EXACT;
        o->pool = pool;
    }
}
