/*
 * xoshiro256** seeded by splitmix64 (Blackman and Vigna), and Lemire's bounded numbers.
 */
#include "base/prng.h"

#include "base/assert.h"

__extension__ typedef unsigned __int128 u128;

static uint64_t rotate_left(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t splitmix_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void prng_seed(struct prng *prng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        prng->s[i] = splitmix_next(&seed);
}

uint64_t prng_u64(struct prng *prng)
{
    uint64_t *s = prng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t n)
{
    KEEL_ASSERT(n > 0);

    u128 product = (u128)prng_u64(prng) * n;
    uint64_t low = (uint64_t)product;
    if (low < n) {
        uint64_t uneven = (0 - n) % n; /* products below this would favour small numbers */
        while (low < uneven) {
            product = (u128)prng_u64(prng) * n;
            low = (uint64_t)product;
        }
    }
    return (uint64_t)(product >> 64);
}

bool prng_chance(struct prng *prng, uint64_t num, uint64_t den)
{
    KEEL_ASSERT(num <= den);

    return prng_below(prng, den) < num;
}
