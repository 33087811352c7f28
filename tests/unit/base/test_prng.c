#include "base/prng.h"

#include <criterion/criterion.h>
#include <signal.h>

TestSuite(prng, .timeout = 20);

Test(prng, gives_the_published_numbers_for_a_seed)
{
    /* splitmix64 from 0 begins e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f f88bb8a8724c81ec
     */
    struct prng prng;
    prng_seed(&prng, 0);

    cr_assert_eq(prng.s[0], 0xe220a8397b1dcdaf);
    cr_assert_eq(prng.s[3], 0xf88bb8a8724c81ec);
    cr_assert_eq(prng_u64(&prng), 0x99ec5f36cb75f2b4);
}

Test(prng, repeats_itself_for_the_same_seed_alone)
{
    struct prng a, b, c;
    prng_seed(&a, 7);
    prng_seed(&b, 7);
    prng_seed(&c, 8);

    unsigned same = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t x = prng_u64(&a);
        cr_assert_eq(x, prng_u64(&b));
        same += x == prng_u64(&c);
    }
    cr_assert_eq(same, 0);
}

Test(prng, stays_below_its_bound_and_reaches_every_number)
{
    struct prng prng;
    prng_seed(&prng, 1);

    for (uint64_t n = 1; n <= 20; n++) {
        unsigned seen[20] = {0};
        for (unsigned i = 0; i < 2000; i++) {
            uint64_t x = prng_below(&prng, n);
            cr_assert_lt(x, n);
            seen[x]++;
        }
        for (uint64_t x = 0; x < n; x++)
            cr_assert_gt(seen[x], 0, "%u of %u", (unsigned)x, (unsigned)n);
    }
}

Test(prng, spreads_evenly_below_a_bound_that_is_no_power_of_two)
{
    struct prng prng;
    prng_seed(&prng, 2);

    uint64_t n = UINT64_C(3) << 62; /* a plain remainder would favour the lower third */
    unsigned low = 0;
    for (unsigned i = 0; i < 30000; i++)
        low += prng_below(&prng, n) < n / 3;

    cr_assert(low > 9500 && low < 10500, "%u of 30000 in the lower third", low);
}

Test(prng, takes_chances_as_often_as_told)
{
    struct prng prng;
    prng_seed(&prng, 3);

    unsigned hits = 0;
    for (unsigned i = 0; i < 10000; i++) {
        hits += prng_chance(&prng, 1, 10);
        cr_assert(prng_chance(&prng, 5, 5));
        cr_assert_not(prng_chance(&prng, 0, 5));
    }

    cr_assert(hits > 850 && hits < 1150, "%u of 10000", hits);
}

Test(prng, traps_when_asked_for_a_number_below_nothing, .signal = SIGILL)
{
    struct prng prng;
    prng_seed(&prng, 4);

    cr_assert_eq(prng_below(&prng, 0), 0);
}
