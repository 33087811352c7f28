/* The runs of misses by themselves. */
#include <criterion/criterion.h>

#include "pagecache/readahead.h"

static struct pc_runs runs;

static uint32_t miss(keel_pageno pageno)
{
    return pc_runs_miss(&runs, pageno, 64);
}

Test(readahead, begins_at_the_fourth_miss_and_goes_twice_as_far_each_time)
{
    cr_assert_eq(miss(100), 0);
    cr_assert_eq(miss(101), 0);
    cr_assert_eq(miss(102), 0);
    cr_assert_eq(miss(103), 8);
    cr_assert_eq(miss(112), 16);
    cr_assert_eq(miss(129), 32);
    cr_assert_eq(miss(162), 64);
    cr_assert_eq(miss(227), 64, "as far as it may");
}

Test(readahead, follows_four_runs_at_once)
{
    for (uint32_t i = 0; i < 3; i++) {
        for (keel_pageno run = 0; run < 4; run++)
            cr_assert_eq(miss(run * 1000 + i), 0);
    }
    for (keel_pageno run = 0; run < 4; run++)
        cr_assert_eq(miss(run * 1000 + 3), 8);
}

Test(readahead, forgets_the_run_that_was_not_heard_of_for_longest)
{
    for (keel_pageno p = 0; p < 3; p++)
        cr_assert_eq(miss(p), 0);
    for (keel_pageno other = 0; other < 4; other++)
        cr_assert_eq(miss(5000 + 10 * other), 0);

    cr_assert_eq(miss(3), 0, "begins anew");
}

Test(readahead, of_misses_that_go_back_or_leave_out_a_page_is_none)
{
    for (keel_pageno p = 1000; p > 0; p--)
        cr_assert_eq(miss(p), 0);
    for (keel_pageno p = 2000; p < 3000; p += 2)
        cr_assert_eq(miss(p), 0);
}
