/*
 * Seeded pseudo-random numbers (xoshiro256**): the same seed gives the same run everywhere. Not for
 * secrets.
 */
#ifndef KEEL_BASE_PRNG_H
#define KEEL_BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t s[4];
};

void prng_seed(struct prng *prng, uint64_t seed);

/* Any 64-bit number. */
uint64_t prng_u64(struct prng *prng);

/* A number below n, each equally likely. n > 0. */
uint64_t prng_below(struct prng *prng, uint64_t n);

/* True num times out of den. 0 <= num <= den, den > 0. */
bool prng_chance(struct prng *prng, uint64_t num, uint64_t den);

#endif
