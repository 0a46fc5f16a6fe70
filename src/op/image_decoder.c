/*
 * image_decoder.c - ImageDecoder: bytes of a BMP, PNM or PNG file to pixels. (No JPEG, JPEG 2000, TIFF or WebP.)
 */
#include "image.h"

typedef struct param { const char *pixel_format; } param;

static linnet_status decoder_open(const ln_desc *d, const void *data, ln_image *im, linnet_error *err)
{
    if (!ln_image_open(data, ln_count(d), im))
        return ln_fail(err, LINNET_ERR_UNSUPPORTED,
                       "ImageDecoder: the bytes are no BMP, PNM or PNG file that is supported");
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const bool grey = ln_is(p->pixel_format, "RGB", "Grayscale");
    ln_image im;

    if (q->in[0].dtype != LINNET_U8 || q->in[0].rank != 1)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    if (!grey && !ln_is(p->pixel_format, "RGB", "RGB") && !ln_is(p->pixel_format, "RGB", "BGR"))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "ImageDecoder: pixel_format \"%s\"", p->pixel_format);
    if (!q->value[0] && ln_count(&q->in[0]))
        return LN_WAIT;
    const linnet_status st = decoder_open(&q->in[0], q->value[0], &im, q->err);
    if (st)
        return st;
    q->out[0] = ln_desc_of(LINNET_U8, 3, (int64_t[]){ (int64_t)im.height, (int64_t)im.width, grey ? 1 : 3 });
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    ln_image im;
    const linnet_status st = decoder_open(&q->in[0], q->value[0], &im, q->err);

    if (st)
        return st;
    q->workspace = im.work;
    return ln_mul(im.width, 3, &q->scratch) ? LINNET_OK : LINNET_ERR_LIMIT;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const bool grey = r->out_desc[0].dim[2] == 1, swap = ln_is(p->pixel_format, "RGB", "BGR");
    uint8_t *row = r->scratch, *y = r->out[0];
    ln_image im;
    const linnet_status st = decoder_open(&r->in_desc[0], r->in[0], &im, r->err);

    if (st)
        return st;
    if (im.work && !ln_png_decode(&im, r->workspace))
        return ln_fail(r->err, LINNET_ERR_DATA, "ImageDecoder: the PNG file is damaged");
    for (size_t i = 0; i < im.height; i++) {
        ln_image_row(&im, r->workspace, i, row);
        for (size_t x = 0; x < im.width; x++) {
            const uint8_t *c = row + 3 * x;
            if (grey) { /* as ITU-R 601 weighs them */
                *y++ = (uint8_t)((c[0] * 19595u + c[1] * 38470u + c[2] * 7471u + 32768u) >> 16);
                continue;
            }
            *y++ = c[swap ? 2 : 0];
            *y++ = c[1];
            *y++ = c[swap ? 0 : 2];
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "pixel_format", LN_ATTR_STR, offsetof(param, pixel_format), 0, false },
    { 0 },
};

const ln_op ln_op_image_decoder = {
    .name = "ImageDecoder", .attr = attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .infer = infer, .prepare = prepare, .run = run,
};
