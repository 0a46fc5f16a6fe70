/*
 * audio.h - sound of one channel from and to WAV files.
 */
#ifndef LINNET_AUDIO_H
#define LINNET_AUDIO_H

#include <stddef.h>

typedef struct audio {
    float *sample; /* -1 to 1; audio_free() ends it */
    size_t count;
    int    rate;   /* samples in a second */
} audio;

/*
 * A WAV file: integers of 8, 16, 24 or 32 bits or 32-bit floats; channels are averaged. rate: resample to
 * this, or 0 to take what the file has. Ends the program where the file cannot be read.
 */
audio audio_read(const char *path, int rate);
/* The same from bytes: NULL on success, else what is wrong. */
const char *audio_decode(const unsigned char *data, size_t size, int rate, audio *out);
/* With 16 bits. Samples beyond -1 and 1 are cut. */
void audio_write(const char *path, const audio *a);
void audio_free(audio *a);

#endif
