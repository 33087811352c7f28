#include "base/hist.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

#include "base/prng.h"
#include "tests/support/seed.h"

TestSuite(hist, .timeout = 60);

static struct hist one, two;

Test(hist, says_nothing_while_empty)
{
    hist_init(&one);

    cr_assert_eq(hist_count(&one), 0);
    cr_assert_eq(hist_min(&one), 0);
    cr_assert_eq(hist_max(&one), 0);
    cr_assert_eq(hist_mean(&one), 0);
    cr_assert_eq(hist_percentile(&one, 500), 0);
}

Test(hist, is_exact_for_small_values)
{
    hist_init(&one);
    for (uint64_t i = 1; i <= 50; i++)
        hist_record(&one, i);

    cr_assert_eq(hist_percentile(&one, 0), 1);
    cr_assert_eq(hist_percentile(&one, 500), 25);
    cr_assert_eq(hist_percentile(&one, 980), 49);
    cr_assert_eq(hist_percentile(&one, 1000), 50);
    cr_assert_eq(hist_min(&one), 1);
    cr_assert_eq(hist_max(&one), 50);
    cr_assert_eq(hist_mean(&one), 25);
}

Test(hist, gives_a_single_value_back_within_a_step)
{
    for (uint64_t value = 1; value < UINT64_C(1) << 44; value = value * 5 / 4 + 1) {
        hist_init(&one);
        hist_record(&one, value);
        hist_record(&one, UINT64_C(1) << 50); /* so that the maximum does not cap it */

        uint64_t got = hist_percentile(&one, 500);
        cr_assert_geq(got, value);
        cr_assert_leq(got - value, value / 63);
    }
}

static int compare(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

    return a < b ? -1 : a > b;
}

Test(hist, is_never_below_and_at_most_two_percent_above_a_sorted_array)
{
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    struct prng prng;
    prng_seed(&prng, test_seed("hist"));

    hist_init(&one);
    for (unsigned i = 0; i < COUNT; i++) {
        values[i] = prng_below(&prng, UINT64_C(1) << (1 + prng_below(&prng, 43)));
        hist_record(&one, values[i]);
    }
    qsort(values, COUNT, sizeof(values[0]), compare);

    for (uint32_t permille = 1; permille <= 1000; permille++) {
        uint64_t want = values[(COUNT * permille + 999) / 1000 - 1];
        uint64_t got = hist_percentile(&one, permille);
        cr_assert_geq(got, want, "permille %u", permille);
        cr_assert_leq(got - want, want / 50, "permille %u", permille);
    }
}

Test(hist, merges_as_if_all_had_been_recorded_in_one)
{
    static struct hist all;
    struct prng prng;
    prng_seed(&prng, test_seed("hist"));

    hist_init(&one);
    hist_init(&two);
    hist_init(&all);
    for (unsigned i = 0; i < 5000; i++) {
        uint64_t value = prng_below(&prng, 1000000);
        hist_record(i % 3 ? &one : &two, value);
        hist_record(&all, value);
    }
    hist_merge(&one, &two);

    cr_assert_eq(hist_count(&one), hist_count(&all));
    cr_assert_eq(hist_min(&one), hist_min(&all));
    cr_assert_eq(hist_max(&one), hist_max(&all));
    cr_assert_eq(hist_mean(&one), hist_mean(&all));
    for (uint32_t permille = 0; permille <= 1000; permille++)
        cr_assert_eq(hist_percentile(&one, permille), hist_percentile(&all, permille));
}

Test(hist, keeps_the_maximum_exact_beyond_its_range)
{
    hist_init(&one);
    hist_record(&one, 5);
    hist_record(&one, UINT64_MAX / 2);

    cr_assert_eq(hist_max(&one), UINT64_MAX / 2);
    cr_assert_eq(hist_percentile(&one, 1000), UINT64_MAX / 2);
    cr_assert_eq(hist_percentile(&one, 500), 5);
}

Test(hist, traps_on_more_than_a_thousand_permille, .signal = SIGILL)
{
    hist_init(&one);
    hist_percentile(&one, 1001);
}
