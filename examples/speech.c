/*
 * speech.c - sound to try the audio examples on: two sentences between silences, and noise of known strength.
 *
 * The sentences have no meaning: a small formant synthesiser says them. Pulses of a voice and hiss go through four
 * resonators whose frequencies glide from sound to sound. A recording, or the voice of espeak-ng, does as well:
 *
 *     espeak-ng -w voice.wav "The north wind and the sun were arguing."
 *     speech --voice voice.wav --noise 5 noisy.wav
 */
#include "audio.h"
#include "example.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: speech [--voice VOICE.wav] [--noise DB] [--clean CLEAN.wav] OUT.wav\n"
    "  Writes 16 kHz sound with speech in it, and prints where the speech is.\n"
    "  --voice VOICE.wav   what is said [two sentences of a synthesiser]\n"
    "  --noise DB          add white noise; the speech has so many decibels more energy\n"
    "  --clean CLEAN.wav   the same without the noise\n";

enum { RATE = 16000, RESONATORS = 4 };
#define PI      3.14159265358979323846
#define SILENCE 1.5 /* seconds before, between and after */

/* A sound: strength of the voice and of the hiss, seconds, and the first three resonances in Hz. */
typedef struct sound {
    char  letter;
    float voice, hiss, time, formant[3];
} sound;

static const sound sounds[] = {
    { 'a', 1.00f, 0.00f, 0.13f, { 730, 1090, 2440 } }, { 'e', 1.00f, 0.00f, 0.13f, { 530, 1840, 2480 } },
    { 'i', 1.00f, 0.00f, 0.13f, { 270, 2290, 3010 } }, { 'o', 1.00f, 0.00f, 0.13f, { 570, 840, 2410 } },
    { 'u', 1.00f, 0.00f, 0.13f, { 300, 870, 2240 } },  { 'm', 0.45f, 0.00f, 0.07f, { 250, 1000, 2200 } },
    { 'n', 0.45f, 0.00f, 0.07f, { 250, 1600, 2500 } }, { 'l', 0.45f, 0.00f, 0.07f, { 350, 1100, 2600 } },
    { 'r', 0.45f, 0.00f, 0.07f, { 350, 1200, 1600 } }, { 'w', 0.45f, 0.00f, 0.07f, { 300, 700, 2200 } },
    { 's', 0.00f, 0.35f, 0.09f, { 300, 1800, 2700 } }, { 'z', 0.20f, 0.20f, 0.09f, { 300, 1800, 2700 } },
    { 't', 0.00f, 0.30f, 0.09f, { 300, 1800, 2700 } }, { 'h', 0.00f, 0.15f, 0.09f, { 300, 1800, 2700 } },
    { ' ', 0.00f, 0.00f, 0.12f, { 500, 1500, 2500 } },
};

/* The synthesiser: what glides, and what the resonators remember. */
typedef struct mouth {
    double   pitch, phase, voice, hiss, formant[3], last[RESONATORS][2];
    float    before;
    uint32_t random;
} mouth;

static float noise(uint32_t *random)
{
    *random = *random * 1664525u + 1013904223u;
    return (float)(*random >> 8) * 0x1p-23f - 1;
}

/* A resonator at `hz`: gain 1 at 0 Hz, falling away at both sides of its peak. */
static double resonate(double x, double hz, double width, double last[2])
{
    const double r = exp(-PI * width / RATE), c1 = 2 * r * cos(2 * PI * hz / RATE), c2 = -r * r;
    const double y = (1 - c1 - c2) * x + c1 * last[0] + c2 * last[1];

    last[1] = last[0];
    last[0] = y;
    return y;
}

/* One sample while the mouth moves towards the sound. */
static float say_sample(mouth *m, const sound *s)
{
    static const double width[RESONATORS] = { 70, 100, 150, 250 };

    for (int i = 0; i < 3; i++)
        m->formant[i] += (s->formant[i] - m->formant[i]) / (0.020 * RATE);
    m->voice += (s->voice - m->voice) / (0.012 * RATE);
    m->hiss += (s->hiss - m->hiss) / (0.008 * RATE);
    m->phase = fmod(m->phase + m->pitch / RATE, 1);
    const double p = m->phase / 0.6; /* the flow of air: open for 0.6 of a period */
    double x = p < 1 ? (2 * p - 3 * p * p) * m->voice : 0;
    for (int i = 0; i < RESONATORS; i++)
        x = resonate(x, i < 3 ? m->formant[i] : 3500, width[i], m->last[i]);
    const float n = noise(&m->random), high = n - m->before;
    m->before = n;
    return (float)(x + 0.25 * m->hiss * high);
}

static void append(audio *a, const float *x, size_t count)
{
    float *more = realloc(a->sample, (a->count + count + 1) * sizeof *more);

    if (!more)
        fail("out of memory");
    for (size_t i = 0; i < count; i++)
        more[a->count + i] = x ? x[i] : 0;
    a->sample = more;
    a->count += count;
}

/* The pitch falls over a sentence. */
static audio say(const char *text, double pitch)
{
    audio a = { .rate = RATE };
    mouth m = { .random = 1 };

    for (size_t i = 0, length = strlen(text); i < length; i++) {
        const sound *s = sounds;
        float x[RATE];
        while (s->letter != text[i] && s->letter != ' ')
            s++;
        const size_t count = (size_t)(s->time * RATE);
        m.pitch = pitch * (1.15 - 0.35 * (double)i / (double)length);
        for (size_t k = 0; k < count; k++)
            x[k] = say_sample(&m, s);
        append(&a, x, count);
    }
    return a;
}

/* Silence, then a sentence with a peak of 0.25. */
static void add_sentence(audio *out, audio *a)
{
    float peak = 1e-9f;

    append(out, NULL, (size_t)(SILENCE * RATE));
    for (size_t i = 0; i < a->count; i++)
        peak = fmaxf(peak, fabsf(a->sample[i]));
    for (size_t i = 0; i < a->count; i++)
        a->sample[i] *= 0.25f / peak;
    printf("speech  %6.2f s to %6.2f s\n", (double)out->count / RATE, (double)(out->count + a->count) / RATE);
    append(out, a->sample, a->count);
    audio_free(a);
}

/* White noise, with an energy so many decibels below that of the sound. */
static void add_noise(audio *a, double db)
{
    double energy = 0;
    uint32_t random = 2;

    for (size_t i = 0; i < a->count; i++)
        energy += (double)a->sample[i] * a->sample[i];
    const double rms = sqrt(energy / (double)a->count * pow(10, -db / 10));
    for (size_t i = 0; i < a->count; i++)
        a->sample[i] += (float)(rms * sqrt(3)) * noise(&random); /* the mean square of noise() is 1/3 */
}

int main(int argc, char **argv)
{
    const char *voice = NULL, *clean = NULL, *level = NULL, *path = NULL;
    audio out = { .rate = RATE };

    for (int i = 1; i < argc; i++) {
        const char **value = strcmp(argv[i], "--voice") == 0 ? &voice : strcmp(argv[i], "--noise") == 0 ? &level :
                             strcmp(argv[i], "--clean") == 0 ? &clean : NULL;
        if (value && i + 1 < argc)
            *value = argv[++i];
        else if (argv[i][0] != '-' && !path)
            path = argv[i];
        else
            usage(help, strcmp(argv[i], "--help") != 0);
    }
    if (!path)
        usage(help, 1);
    audio first = voice ? audio_read(voice, RATE) : say("hala masi nolu were ta somi ", 115);
    add_sentence(&out, &first);
    if (!voice) {
        audio second = say("mina talo seru wimo hesa lanu ", 200);
        add_sentence(&out, &second);
    }
    append(&out, NULL, (size_t)(SILENCE * RATE));
    if (clean)
        audio_write(clean, &out);
    if (level)
        add_noise(&out, atof(level));
    audio_write(path, &out);
    audio_free(&out);
    return 0;
}
