/*
 * Which of n things is asked for next: uniform, or by a power law (zipf), from a seed.
 */
#ifndef KEEL_BENCH_LIB_DIST_H
#define KEEL_BENCH_LIB_DIST_H

#include <stdint.h>

#include "base/prng.h"

/* Constant once made; any number of threads may draw from it, each with a generator of its own. */
struct dist {
    uint64_t n;
    double zipf; /* exponent; 0: uniform */
    double alpha, zeta_n, eta, half_power;
};

/* n > 0. zipf: below 1 or above, not 1 itself; 0 for uniform. O(n) for zipf. */
void dist_init(struct dist *dist, uint64_t n, double zipf);

/* A number below n. The popular ones are scattered over the range, so that neighbours are not
 * popular together. */
uint64_t dist_next(const struct dist *dist, struct prng *prng);

#endif
