/*
 * denoise.c - speech out of noise, with the first half of DTLN: two LSTM layers look at the spectrum of a block, and
 * answer with a mask for it. Blocks of 32 ms overlap, one every 8 ms, as they would in a telephone; the state of
 * the network stays in the session.
 */
#include "audio.h"
#include "example.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: denoise [--clean CLEAN.wav] MODEL NOISY.wav OUT.wav\n"
    "  MODEL is DTLN's model_1.onnx. Writes 16 kHz sound, then prints how long a block of 8 ms took.\n"
    "  --clean CLEAN.wav   the sound without noise: prints the signal-to-noise ratio before and after\n";

enum { RATE = 16000, BLOCK = 512, SHIFT = 128, BINS = BLOCK / 2 + 1 };
#define PI 3.14159265358979323846

typedef struct bin {
    float re, im;
} bin;

typedef struct denoiser {
    linnet_session *session;
    size_t          mask;
    float           magnitude[BINS], window[BLOCK];
    bin             turn[BLOCK / 2]; /* the roots of unity in the upper half plane */
} denoiser;

/* Fast Fourier transform of BLOCK numbers in place; sign 1 forwards, -1 back, without the division. */
static void transform(const denoiser *d, bin *x, float sign)
{
    for (size_t i = 1, k = 0; i < BLOCK; i++) { /* into the order of reversed bits */
        size_t bit = BLOCK / 2;
        for (; k & bit; bit /= 2)
            k ^= bit;
        k ^= bit;
        if (i < k) {
            const bin swap = x[i];
            x[i] = x[k];
            x[k] = swap;
        }
    }
    for (size_t half = 1; half < BLOCK; half *= 2)
        for (size_t k = 0; k < half; k++) {
            const bin turn = d->turn[k * (BLOCK / 2 / half)];
            for (bin *a = x + k, *b = a + half; b < x + BLOCK; a += 2 * half, b += 2 * half) {
                const float re = b->re * turn.re + sign * b->im * turn.im;
                const float im = b->im * turn.re - sign * b->re * turn.im;
                *b = (bin){ a->re - re, a->im - im };
                *a = (bin){ a->re + re, a->im + im };
            }
        }
}

static void open_denoiser(denoiser *d, const char *path)
{
    static const int64_t shape[] = { 1, 1, BINS };
    linnet_model *m;
    linnet_error err;

    d->session = open_session(path, &m);
    d->mask = output_of(m, "activation_2");
    set_input(d->session, input_of(m, "input_2"), LINNET_F32, 3, shape, d->magnitude);
    check(linnet_session_tie(d->session, output_of(m, "tf_op_layer_stack_2"), input_of(m, "input_3"), &err), path,
          &err);
    linnet_model_free(m);
    for (int i = 0; i < BLOCK; i++) /* a squared sine: BLOCK / SHIFT of them, each moved by SHIFT, add up to 1 */
        d->window[i] = (float)(pow(sin(PI * (i + 0.5) / BLOCK), 2) * 2 * SHIFT / BLOCK);
    for (int i = 0; i < BLOCK / 2; i++)
        d->turn[i] = (bin){ (float)cos(2 * PI * i / BLOCK), (float)sin(2 * PI * i / BLOCK) };
}

/* BLOCK samples of `in`, cleaned, are added to `out`. */
static void block(denoiser *d, const float *in, float *out)
{
    bin x[BLOCK];

    for (size_t i = 0; i < BLOCK; i++)
        x[i] = (bin){ in[i], 0 };
    transform(d, x, 1);
    for (size_t k = 0; k < BINS; k++)
        d->magnitude[k] = hypotf(x[k].re, x[k].im);
    run(d->session);
    const float *mask = linnet_tensor_data(linnet_session_output(d->session, d->mask));
    for (size_t k = 0; k < BINS; k++)
        x[k] = (bin){ x[k].re * mask[k], x[k].im * mask[k] };
    for (size_t k = BINS; k < BLOCK; k++)
        x[k] = (bin){ x[BLOCK - k].re, -x[BLOCK - k].im };
    transform(d, x, -1);
    for (size_t i = 0; i < BLOCK; i++)
        out[i] += x[i].re / BLOCK * d->window[i];
}

/* In decibels, of a sound that should be `clean`. */
static double ratio(const audio *clean, const audio *a)
{
    double signal = 0, noise = 1e-12;

    for (size_t i = 0; i < clean->count && i < a->count; i++) {
        const double difference = (double)a->sample[i] - clean->sample[i];
        signal += (double)clean->sample[i] * clean->sample[i];
        noise += difference * difference;
    }
    return 10 * log10(signal / noise);
}

int main(int argc, char **argv)
{
    static denoiser d;
    const char *path[3] = { 0 }, *clean_path = NULL;
    int paths = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--clean") == 0 && i + 1 < argc)
            clean_path = argv[++i];
        else if (argv[i][0] != '-' && paths < 3)
            path[paths++] = argv[i];
        else
            usage(help, strcmp(argv[i], "--help") != 0);
    }
    if (paths < 3)
        usage(help, 1);
    open_denoiser(&d, path[0]);
    audio noisy = audio_read(path[1], RATE);

    /* Silence around the sound, so that every sample is in BLOCK / SHIFT blocks. */
    const size_t blocks = (noisy.count + BLOCK) / SHIFT, room = BLOCK + blocks * SHIFT + BLOCK;
    float *in = calloc(room, sizeof *in), *out = calloc(room, sizeof *out);
    double *took = malloc((blocks + 1) * sizeof *took), sum = 0;
    if (!in || !out || !took)
        fail("out of memory");
    memcpy(in + BLOCK, noisy.sample, noisy.count * sizeof *in);
    for (size_t i = 0; i < blocks; i++) {
        const double start = seconds();
        block(&d, in + i * SHIFT + SHIFT, out + i * SHIFT + SHIFT);
        sum += took[i] = seconds() - start;
    }
    audio cleaned = { out + BLOCK, noisy.count, RATE };
    audio_write(path[2], &cleaned);
    if (clean_path) {
        audio clean = audio_read(clean_path, RATE);
        const double before = ratio(&clean, &noisy), after = ratio(&clean, &cleaned);
        printf("signal to noise %.1f dB before, %.1f dB after: %.1f dB better\n", before, after, after - before);
        audio_free(&clean);
    }
    printf("%.1f s of sound; %.0f times faster than real time, median %.1f us for a block of %.0f ms\n",
           (double)noisy.count / RATE, (double)blocks * SHIFT / RATE / fmax(sum, 1e-9), 1e6 * median(took, blocks),
           1e3 * SHIFT / RATE);
    free(in);
    free(out);
    free(took);
    audio_free(&noisy);
    linnet_session_free(d.session);
    return 0;
}
