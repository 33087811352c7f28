/*
 * Seeds of random tests.
 */
#include "tests/support/seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED_DEFAULT 1

uint64_t test_seed(const char *test)
{
    const char *text = getenv("KEEL_SEED");
    uint64_t seed = text && *text ? strtoull(text, NULL, 0) : SEED_DEFAULT;

    fprintf(stderr, "%s: seed %" PRIu64 " (KEEL_SEED=%" PRIu64 " runs it again)\n", test, seed,
            seed);
    return seed;
}
