/*
 * Zipf numbers after Gray and others, "Quickly generating billion-record synthetic databases"
 * (SIGMOD 1994): constant time each, after one sum over n.
 */
#include "bench/lib/dist.h"

#include <math.h>

#include "base/assert.h"

/* Larger than any n here and prime, so multiplying by it modulo n is a permutation. */
#define SCATTER UINT64_C(2654435761)

void dist_init(struct dist *dist, uint64_t n, double zipf)
{
    KEEL_ASSERT(n > 0 && n < SCATTER);

    *dist = (struct dist){.n = n, .zipf = zipf};
    if (zipf <= 0)
        return;
    if (zipf > 0.9999 && zipf < 1.0001)
        dist->zipf = zipf = 0.9999; /* the formulas divide by 1 - zipf */
    for (uint64_t i = 1; i <= n; i++)
        dist->zeta_n += pow((double)i, -zipf);
    double zeta_2 = 1 + pow(2, -zipf);
    dist->alpha = 1 / (1 - zipf);
    dist->eta = (1 - pow(2.0 / (double)n, 1 - zipf)) / (1 - zeta_2 / dist->zeta_n);
    dist->half_power = 1 + pow(0.5, zipf);
}

static uint64_t zipf_rank(const struct dist *dist, struct prng *prng)
{
    double u = (double)(prng_u64(prng) >> 11) * 0x1p-53;
    double uz = u * dist->zeta_n;

    if (uz < 1)
        return 0;
    if (uz < dist->half_power)
        return 1;
    double rank = (double)dist->n * pow(dist->eta * u - dist->eta + 1, dist->alpha);
    return rank < (double)dist->n ? (uint64_t)rank : dist->n - 1;
}

uint64_t dist_next(const struct dist *dist, struct prng *prng)
{
    if (dist->zipf <= 0)
        return prng_below(prng, dist->n);
    return zipf_rank(dist, prng) * SCATTER % dist->n;
}
