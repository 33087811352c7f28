#include "base/clock.h"

#include <criterion/criterion.h>

TestSuite(clock, .timeout = 20);

Test(clock, never_goes_back)
{
    uint64_t before = clock_now_ns();

    for (unsigned i = 0; i < 100000; i++) {
        uint64_t now = clock_now_ns();
        cr_assert_geq(now, before);
        before = now;
    }
}

Test(clock, ticks_on)
{
    uint64_t ticks = clock_ticks();
    uint64_t end = clock_now_ns() + 1000000;

    while (clock_now_ns() < end)
        ;

    cr_assert_gt(clock_ticks(), ticks);
}
