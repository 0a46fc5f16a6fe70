/*
 * stream_vad.c - when is somebody speaking? Sound goes through silero-vad chunk by chunk, as it would come from a
 * microphone; its state stays in the session.
 */
#include "audio.h"
#include "example.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: stream_vad [--threshold P] [--show] MODEL SOUND.wav\n"
    "  MODEL is silero_vad_16k_op15.onnx. Prints the stretches of speech, then how long a chunk of 32 ms took.\n"
    "  --threshold P   probability from which a chunk is speech [0.5]; it ends 0.15 below\n"
    "  --show          also the probability of every chunk\n"
    "  A raw stream of 16-bit samples, 16000 a second: - in place of SOUND.wav, for instance\n"
    "      arecord -q -r 16000 -f S16_LE -t raw | stream_vad MODEL -\n";

enum { RATE = 16000, CHUNK = 512, CONTEXT = 64 };
#define CHUNK_TIME   ((double)CHUNK / RATE)
#define LEAST_SPEECH 0.25 /* seconds; shorter ones are left out */
#define LEAST_PAUSE  0.10 /* shorter ones do not end a stretch */

typedef struct vad {
    linnet_session *session;
    size_t          output;
    float           input[CONTEXT + CHUNK]; /* the end of the chunk before, and a chunk */
    double          threshold, start, end, speech, *took;
    int             speaking, show;
    size_t          chunks, room, stretches;
} vad;

static void open_vad(vad *v, const char *path)
{
    static const int64_t rate = RATE, shape[] = { 1, CONTEXT + CHUNK };
    static const float silence[2 * 1 * 128];
    linnet_model *m;
    linnet_error err;

    v->session = open_session(path, &m);
    v->output = output_of(m, "output");
    const size_t state = input_of(m, "state");
    set_input(v->session, input_of(m, "input"), LINNET_F32, 2, shape, v->input);
    set_input(v->session, input_of(m, "sr"), LINNET_I64, 0, NULL, &rate);
    set_input(v->session, state, LINNET_F32, 3, (const int64_t[]){ 2, 1, 128 }, silence);
    check(linnet_session_tie(v->session, output_of(m, "stateN"), state, &err), path, &err);
    check(linnet_session_plan(v->session, &err), path, &err);
    linnet_model_free(m);
}

/* A chunk, already in v->input: the probability of speech in it. */
static double hear(vad *v)
{
    if (v->chunks == v->room) {
        v->room = v->room ? 2 * v->room : 4096;
        v->took = realloc(v->took, v->room * sizeof *v->took);
        if (!v->took)
            fail("out of memory");
    }
    const double start = seconds();
    run(v->session);
    v->took[v->chunks++] = seconds() - start;
    memcpy(v->input, v->input + CHUNK, CONTEXT * sizeof *v->input);
    return linnet_tensor_get(linnet_session_output(v->session, v->output), 0);
}

static void stretch_ends(vad *v)
{
    if (v->speaking && v->end - v->start >= LEAST_SPEECH) {
        printf("speech  %6.2f s to %6.2f s\n", v->start, v->end);
        fflush(stdout);
        v->speech += v->end - v->start;
        v->stretches++;
    }
    v->speaking = 0;
}

static void judge(vad *v, double p)
{
    const double from = (double)(v->chunks - 1) * CHUNK_TIME, to = from + CHUNK_TIME;

    if (v->show)
        printf("        %6.2f s  %.3f\n", from, p);
    if (!v->speaking && p >= v->threshold) {
        v->speaking = 1;
        v->start = from;
    }
    if (v->speaking && p >= v->threshold - 0.15)
        v->end = to;
    else if (v->speaking && to - v->end >= LEAST_PAUSE)
        stretch_ends(v);
}

static void hear_file(vad *v, const char *path)
{
    audio a = audio_read(path, RATE);

    for (size_t at = 0; at < a.count; at += CHUNK) {
        const size_t count = a.count - at < CHUNK ? a.count - at : CHUNK;
        memset(v->input + CONTEXT, 0, CHUNK * sizeof *v->input);
        memcpy(v->input + CONTEXT, a.sample + at, count * sizeof *v->input);
        judge(v, hear(v));
    }
    audio_free(&a);
}

static void hear_stream(vad *v, FILE *f)
{
    unsigned char bytes[2 * CHUNK];

    while (fread(bytes, sizeof bytes, 1, f) == 1) {
        for (size_t i = 0; i < CHUNK; i++)
            v->input[CONTEXT + i] = (float)((bytes[2 * i] | bytes[2 * i + 1] << 8) ^ 0x8000) / 32768 - 1;
        judge(v, hear(v));
    }
}

int main(int argc, char **argv)
{
    static vad v = { .threshold = 0.5 };
    const char *model = NULL, *sound = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--threshold") == 0 && i + 1 < argc)
            v.threshold = atof(argv[++i]);
        else if (strcmp(argv[i], "--show") == 0)
            v.show = 1;
        else if (strncmp(argv[i], "--", 2) != 0 && !sound)
            *(model ? &sound : &model) = argv[i];
        else
            usage(help, strcmp(argv[i], "--help") != 0);
    }
    if (!sound)
        usage(help, 1);
    open_vad(&v, model);
    if (strcmp(sound, "-") == 0)
        hear_stream(&v, stdin);
    else
        hear_file(&v, sound);
    stretch_ends(&v);

    double sum = 0;
    for (size_t i = 0; i < v.chunks; i++)
        sum += v.took[i];
    const double length = (double)v.chunks * CHUNK_TIME;
    printf("%zu stretches, %.1f s of speech in %.1f s; %.0f times faster than real time, median %.1f us for a chunk "
           "of %.0f ms\n", v.stretches, v.speech, length, length / fmax(sum, 1e-9),
           1e6 * median(v.took, v.chunks), 1e3 * CHUNK_TIME);
    linnet_session_free(v.session);
    free(v.took);
    return 0;
}
