/*
 * audio.c - WAV files, read with every length checked, and change of the sampling rate.
 */
#include "audio.h"
#include "example.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AUDIO_PI       3.14159265358979323846
#define AUDIO_CHANNELS 64
#define AUDIO_RATE     768000

typedef struct format {
    int kind, channels, rate, bits; /* kind 1: integers, 3: floats */
} format;

void audio_free(audio *a)
{
    free(a->sample);
    *a = (audio){ 0 };
}

static uint32_t little(const unsigned char *p, int bytes)
{
    uint32_t v = 0;

    while (bytes--)
        v = v << 8 | p[bytes];
    return v;
}

/* One sample of `bits`, the low byte first. Bytes are unsigned, as WAV has it. */
static float sample(const unsigned char *p, const format *f)
{
    if (f->kind == 3) {
        const uint32_t bits = little(p, 4);
        float v;
        memcpy(&v, &bits, sizeof v);
        return v;
    }
    if (f->bits == 8)
        return ((float)*p - 128) / 128;
    return (float)(int32_t)(little(p, f->bits / 8) << (32 - f->bits)) * 0x1p-31f;
}

static const char *read_format(const unsigned char *p, size_t size, format *f)
{
    if (size < 16)
        return "its format chunk is too short";
    f->kind = (int)little(p, 2);
    f->channels = (int)little(p + 2, 2);
    f->rate = (int)(little(p + 4, 4) & INT32_MAX);
    f->bits = (int)little(p + 14, 2);
    if (f->kind == 0xFFFE && size >= 26) /* "extensible": the kind is in the first bytes of its GUID */
        f->kind = (int)little(p + 24, 2);
    if (!(f->kind == 1 && (f->bits == 8 || f->bits == 16 || f->bits == 24 || f->bits == 32)) &&
        !(f->kind == 3 && f->bits == 32))
        return "only uncompressed WAV files of 8, 16, 24 or 32 bits can be read";
    if (f->channels < 1 || f->channels > AUDIO_CHANNELS || f->rate < 1000 || f->rate > AUDIO_RATE)
        return "its rate or its number of channels is impossible";
    return NULL;
}

static const char *read_samples(const unsigned char *p, size_t size, const format *f, audio *out)
{
    const size_t bytes = (size_t)f->bits / 8, frame = bytes * (size_t)f->channels;

    out->count = size / frame;
    out->rate = f->rate;
    out->sample = malloc((out->count + 1) * sizeof *out->sample);
    if (!out->sample)
        return "out of memory";
    for (size_t i = 0; i < out->count; i++) {
        float sum = 0;
        for (size_t c = 0; c < (size_t)f->channels; c++)
            sum += sample(p + i * frame + c * bytes, f);
        sum /= (float)f->channels;
        out->sample[i] = sum >= -1e6f && sum <= 1e6f ? sum : 0; /* floats may be anything */
    }
    return NULL;
}

/*
 * Each new sample is a sum over the 2 * reach old ones around it, weighted by the ideal low pass for the lower
 * of both rates under a window of squared cosine.
 */
static const char *resample(audio *a, int rate)
{
    if (rate == 0 || rate == a->rate)
        return NULL;
    const double step = (double)a->rate / rate, cut = 0.95 / fmax(step, 1);
    const int64_t reach = (int64_t)ceil(20 * fmax(step, 1));
    audio to = { .count = (size_t)((double)a->count / step), .rate = rate };
    to.sample = malloc((to.count + 1) * sizeof *to.sample);
    if (!to.sample)
        return "out of memory";
    for (size_t i = 0; i < to.count; i++) {
        const double at = (double)i * step;
        double sum = 0;
        for (int64_t k = (int64_t)at - reach + 1; k <= (int64_t)at + reach; k++) {
            const double d = at - (double)k, x = AUDIO_PI * cut * d, window = cos(AUDIO_PI / 2 * d / (double)reach);
            if (k >= 0 && k < (int64_t)a->count)
                sum += a->sample[k] * cut * (x == 0 ? 1 : sin(x) / x) * window * window;
        }
        to.sample[i] = (float)sum;
    }
    audio_free(a);
    *a = to;
    return NULL;
}

const char *audio_decode(const unsigned char *data, size_t size, int rate, audio *out)
{
    const unsigned char *sound = NULL;
    const char *wrong = NULL;
    size_t length = 0;
    format f = { 0 };

    *out = (audio){ 0 };
    if (size < 12 || memcmp(data, "RIFF", 4) != 0 || memcmp(data + 8, "WAVE", 4) != 0)
        return "not a WAV file";
    for (size_t at = 12; size - at >= 8 && !sound && !wrong; at += length + (length % 2 && length < size - at)) {
        const unsigned char *chunk = data + at;
        at += 8;
        length = little(chunk + 4, 4);
        if (length > size - at) /* also of files written to a pipe, which do not know their length */
            length = size - at;
        if (memcmp(chunk, "fmt ", 4) == 0)
            wrong = read_format(chunk + 8, length, &f);
        else if (memcmp(chunk, "data", 4) == 0)
            sound = chunk + 8;
    }
    if (!wrong && (!sound || !f.kind))
        wrong = "it has no sound in it";
    if (!wrong && !(wrong = read_samples(sound, length, &f, out)) && (wrong = resample(out, rate)) != NULL)
        audio_free(out);
    return wrong;
}

audio audio_read(const char *path, int rate)
{
    size_t size;
    char *data = read_file(path, &size);
    audio a;
    const char *wrong = audio_decode((const unsigned char *)data, size, rate, &a);

    if (wrong)
        fail("%s: %s", path, wrong);
    free(data);
    return a;
}

static void put(FILE *f, uint32_t v, int bytes)
{
    for (; bytes--; v >>= 8)
        putc((int)(v & 255), f);
}

void audio_write(const char *path, const audio *a)
{
    const uint32_t bytes = a->count < INT32_MAX / 2 - 64 ? (uint32_t)a->count * 2 : 0, rate = (uint32_t)a->rate;
    FILE *f = fopen(path, "wb");

    if (!f)
        fail("%s: cannot be written", path);
    fputs("RIFF", f);
    put(f, 36 + bytes, 4);
    fputs("WAVEfmt ", f);
    put(f, 16, 4);
    put(f, 1 | 1 << 16, 4); /* integers, one channel */
    put(f, rate, 4);
    put(f, rate * 2, 4);
    put(f, 2 | 16 << 16, 4); /* bytes and bits of a sample */
    fputs("data", f);
    put(f, bytes, 4);
    for (size_t i = 0; i < bytes / 2; i++) {
        const float v = a->sample[i] * 32768;
        put(f, (uint32_t)(int32_t)lrintf(v < -32768 ? -32768 : v > 32767 ? 32767 : v), 2);
    }
    if (ferror(f) | fclose(f))
        fail("%s: cannot be written", path);
}
