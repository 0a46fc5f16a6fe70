/*
 * random.h - numbers that look random: a counter through a mixing function.
 *
 * Number i of a stream is a function of the stream's key and i alone (the finishing steps of splitmix64,
 * twice), so any task makes its own part, and a run gives the same numbers on any number of threads,
 * every time. A model that needs fresh ones takes its noise as an input.
 */
#ifndef LN_RANDOM_H
#define LN_RANDOM_H

#include "op.h"

static inline uint64_t ln_random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The key of a seed. Floats are taken by their value: 0 and -0 are one seed. */
static inline uint64_t ln_random_key(double seed)
{
    uint64_t bits;

    seed = seed == 0 ? 0 : seed;
    memcpy(&bits, &seed, sizeof bits);
    return ln_random_mix(bits + 0x9e3779b97f4a7c15u);
}

static inline uint64_t ln_random_bits(uint64_t key, uint64_t i)
{
    return ln_random_mix(ln_random_mix(key + i * 0x9e3779b97f4a7c15u) + key);
}

/* Uniform in [0, 1): a multiple of 2^-53. */
static inline double ln_random_unit(uint64_t key, uint64_t i)
{
    return (double)(ln_random_bits(key, i) >> 11) * 0x1p-53;
}

#endif
