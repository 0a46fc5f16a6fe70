/*
 * files.c - tensors from .npy, .pb and image files, and to .npy.
 *
 * Images: 8-bit grey or RGB, brought to f32 in [0, 1] and into the layout of the input that wants
 * them (1 or 3 channels, first or last). Size must fit; nothing is scaled.
 */
#include "cli.h"

#include "../../examples/image.h"

#include <stdlib.h>
#include <string.h>

/* ---- .npy -------------------------------------------------------------------------- */

static const struct { const char *code; int32_t dtype; } npy_types[] = {
    { "<f4", LINNET_F32 }, { "<f8", LINNET_F64 }, { "<f2", LINNET_F16 }, { "<i8", LINNET_I64 },
    { "<i4", LINNET_I32 }, { "<i2", LINNET_I16 }, { "|i1", LINNET_I8 },  { "<u8", LINNET_U64 },
    { "<u4", LINNET_U32 }, { "<u2", LINNET_U16 }, { "|u1", LINNET_U8 },  { "|b1", LINNET_BOOL },
};

static linnet_tensor *npy_read(const char *path, const unsigned char *data, size_t size)
{
    char head[1024], *at;
    size_t skip, length;
    int64_t dims[LINNET_MAX_RANK];
    int32_t dtype = 0, rank = 0;
    linnet_tensor *t = NULL;
    linnet_error err;

    if (size < 12)
        goto bad;
    const bool wide = data[6] >= 2;
    length = wide ? data[8] | (size_t)data[9] << 8 | (size_t)data[10] << 16 : data[8] | (size_t)data[9] << 8;
    skip = wide ? 12 : 10;
    if (length >= sizeof head || length > size - skip)
        goto bad;
    memcpy(head, data + skip, length);
    head[length] = '\0';
    for (size_t i = 0; i < sizeof npy_types / sizeof *npy_types; i++)
        if (strstr(head, npy_types[i].code))
            dtype = npy_types[i].dtype;
    if (!dtype || strstr(head, "'fortran_order': True") || !(at = strstr(head, "'shape': (")))
        goto bad;
    at += 10;
    while (*at != ')') {
        char *end;
        if (rank == LINNET_MAX_RANK)
            goto bad;
        dims[rank++] = strtoll(at, &end, 10);
        if (end == at)
            goto bad;
        at = end + strspn(end, ", L");
    }
    if (linnet_tensor_create(dtype, rank, dims, NULL, &t, &err)) {
        cli_fail("%s: %s", path, err.message);
        return NULL;
    }
    if (linnet_tensor_size(t) == size - skip - length) {
        if (linnet_tensor_size(t))
            memcpy(linnet_tensor_data(t), data + skip + length, size - skip - length);
        return t;
    }
    linnet_tensor_free(t);
bad:
    cli_fail("%s is not a .npy file of a type that linnet has", path);
    return NULL;
}

bool cli_write_npy(const char *path, const linnet_tensor *t)
{
    const char *code = NULL;
    char dict[512];

    for (size_t i = 0; i < sizeof npy_types / sizeof *npy_types; i++)
        if (npy_types[i].dtype == linnet_tensor_dtype(t))
            code = npy_types[i].code;
    if (!code) {
        cli_fail("%s: .npy has no type %s", path, linnet_dtype_name(linnet_tensor_dtype(t)));
        return false;
    }
    int n = snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", code);
    for (int32_t i = 0; i < linnet_tensor_rank(t); i++)
        n += snprintf(dict + n, sizeof dict - (size_t)n, "%lld,", (long long)linnet_tensor_dim(t, i));
    n += snprintf(dict + n, sizeof dict - (size_t)n, "), }");
    while ((n + 11) % 64)
        dict[n++] = ' ';
    dict[n++] = '\n';
    const unsigned char magic[10] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)n, (unsigned char)(n >> 8) };
    FILE *f = fopen(path, "wb");
    const bool good = f && fwrite(magic, 1, 10, f) == 10 && fwrite(dict, 1, (size_t)n, f) == (size_t)n &&
                      fwrite(linnet_tensor_data(t), 1, linnet_tensor_size(t), f) == linnet_tensor_size(t);
    if ((f && fclose(f)) || !good) {
        cli_fail("%s cannot be written", path);
        return false;
    }
    return true;
}

/* ---- images ---------------------------------------------------------------------------- */

static linnet_tensor *image_tensor(const char *path, const image *im, const linnet_value_info *want)
{
    const bool batch = want->rank == 4;
    const int64_t *d = want->dims + batch;
    linnet_tensor *t;
    linnet_error err;

    if ((want->rank != 3 && want->rank != 4) || want->dtype != LINNET_F32) {
        cli_fail("%s: input %s does not take an image", path, want->name);
        return NULL;
    }
    const bool last = d[2] == im->channels && d[0] != im->channels;
    const int64_t shape[4] = { 1, last ? im->height : im->channels, last ? im->width : im->height,
                               last ? im->channels : im->width };
    if (linnet_tensor_create(LINNET_F32, want->rank, shape + !batch, NULL, &t, &err)) {
        cli_fail("%s: %s", path, err.message);
        return NULL;
    }
    float *y = linnet_tensor_data(t);
    const size_t pixels = (size_t)im->width * (size_t)im->height, channels = (size_t)im->channels;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            y[last ? i * channels + c : c * pixels + i] = (float)im->pixel[i * channels + c] / 255.0f;
    return t;
}

linnet_tensor *cli_read_tensor(const char *path, const linnet_value_info *want)
{
    linnet_tensor *t = NULL;
    linnet_error err;
    size_t size;
    unsigned char *data = cli_read_file(path, &size);
    image im = { 0 };

    if (!data)
        return NULL;
    if (size > 6 && memcmp(data, "\x93NUMPY", 6) == 0) {
        t = npy_read(path, data, size);
    } else if (want && size > 2 && (data[0] == 'P' || data[0] == 0x89)) {
        const bool grey = want->rank > 2 && (want->dims[want->rank - 1] == 1 || want->dims[want->rank - 3] == 1);
        const char *wrong = image_decode(data, size, grey ? 1 : 3, &im);
        if (wrong)
            cli_fail("%s: %s", path, wrong);
        else
            t = image_tensor(path, &im, want);
    } else if (linnet_tensor_load_pb(data, size, &t, NULL, 0, &err)) {
        cli_fail("%s: %s", path, err.message);
        t = NULL;
    }
    image_free(&im);
    free(data);
    return t;
}
