/*
 * The policy of the scheduler, as the pure function that it is.
 *
 * A model device serves what is in flight in the order in which it went, one after the other, each
 * for as long as it costs; the policy keeps its queue short enough for the order to matter. Time is
 * what the model says.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "iosched/sched.h"
#include "tests/support/seed.h"

TestSuite(sched, .timeout = 20);

static const struct sched_others nobody = {UINT64_MAX, UINT64_MAX};

/* ------------------------------------------------------------- one decision */

static uint32_t pick(const struct sched *sched, const struct sched_flow *flows,
                     const struct sched_others *others, enum sched_hold *holds)
{
    uint32_t waiting = 0;

    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++)
        waiting |= (uint32_t)(flows[cls].waiting > 0) << cls;
    return sched_pick(sched, flows, waiting, others, holds);
}

static void wait_with(const struct sched *sched, struct sched_flow *flow, uint32_t cost)
{
    flow->waiting = 1;
    flow->head_cost_ns = cost;
    flow->head_since_ns = sched->now_ns;
    sched_join(sched, flow);
}

/* Every set of waiting classes: the log goes first, and what goes is waiting. */
Test(sched, the_log_goes_first_and_only_what_waits_goes)
{
    enum sched_hold holds[KEEL_CLASS_COUNT];
    static struct sched sched;

    sched_init(&sched, 0);
    for (unsigned set = 0; set < 1u << KEEL_CLASS_COUNT; set++) {
        struct sched_flow flows[KEEL_CLASS_COUNT] = {{0}};
        for (unsigned cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
            if (set >> cls & 1)
                wait_with(&sched, &flows[cls], 10000);
        }
        uint32_t cls = pick(&sched, flows, &nobody, holds);
        if (set == 0)
            cr_assert_eq(cls, KEEL_CLASS_COUNT);
        else if (set & 1)
            cr_assert_eq(cls, KEEL_CLASS_WAL);
        else
            cr_assert(set >> cls & 1, "set %u, class %u", set, cls);
    }
}

/* Whatever is in flight, one of each limited kind may go when nothing of its kind does. */
Test(sched, one_may_always_go_I5)
{
    enum sched_hold holds[KEEL_CLASS_COUNT];
    static struct sched sched;

    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        sched_init(&sched, 0);
        sched.cap_ns = 1;
        sched.options.budget_ns = 1;
        struct sched_flow flows[KEEL_CLASS_COUNT] = {{0}};
        wait_with(&sched, &flows[cls], 1000000);
        cr_assert_eq(pick(&sched, flows, &nobody, holds), cls);
        sched_start(&sched, &flows[cls], cls);
        uint32_t again = pick(&sched, flows, &nobody, holds);
        cr_assert_eq(again, cls == KEEL_CLASS_WAL ? cls : KEEL_CLASS_COUNT);
        sched_finish(&sched, cls, 1, 1000000);
        cr_assert_eq(pick(&sched, flows, &nobody, holds), cls);
    }
}

Test(sched, the_cap_holds_back_what_is_below_reads_and_nothing_else)
{
    enum sched_hold holds[KEEL_CLASS_COUNT];
    static struct sched sched;

    sched_init(&sched, 0);
    sched.cap_ns = sched.floor_ns;
    struct sched_flow flows[KEEL_CLASS_COUNT] = {{0}};
    wait_with(&sched, &flows[KEEL_CLASS_SCRUB], sched.floor_ns);
    sched_start(&sched, &flows[KEEL_CLASS_SCRUB], KEEL_CLASS_SCRUB);
    flows[KEEL_CLASS_SCRUB].waiting = 0;
    for (uint32_t cls = KEEL_CLASS_READ; cls < KEEL_CLASS_COUNT; cls++)
        wait_with(&sched, &flows[cls], 20000);
    cr_assert_eq(pick(&sched, flows, &nobody, holds), KEEL_CLASS_READ);
    flows[KEEL_CLASS_READ].waiting = 0;
    cr_assert_eq(pick(&sched, flows, &nobody, holds), KEEL_CLASS_COUNT);
    for (uint32_t cls = KEEL_CLASS_PREFETCH; cls < KEEL_CLASS_COUNT; cls++)
        cr_assert_eq(holds[cls], SCHED_HOLD_CAP);
}

/* A flow that is far ahead of what is held back elsewhere waits, unless it has waited too long. */
Test(sched, who_is_ahead_of_another_context_gives_way)
{
    enum sched_hold holds[KEEL_CLASS_COUNT];
    static struct sched sched;

    sched_init(&sched, 0);
    struct sched_flow flows[KEEL_CLASS_COUNT] = {{0}};
    wait_with(&sched, &flows[KEEL_CLASS_READ], 10000);
    flows[KEEL_CLASS_READ].start = 2 * SCHED_LEAD_NS;
    struct sched_others others = {.for_all = 0, .for_lower = UINT64_MAX};
    cr_assert_eq(pick(&sched, flows, &others, holds), KEEL_CLASS_COUNT);
    cr_assert_eq(holds[KEEL_CLASS_READ], SCHED_HOLD_TURN);
    others = (struct sched_others){.for_all = UINT64_MAX, .for_lower = 0};
    cr_assert_eq(pick(&sched, flows, &others, holds), KEEL_CLASS_READ,
                 "the cap is nothing to a read");
}

/* ------------------------------------------------------------- options */

Test(sched, refuses_options_and_costs_that_are_out_of_range)
{
    static struct sched sched;

    sched_init(&sched, 0);
    struct keel_sched_options good = sched.options;
    for (unsigned i = 0; i < 8; i++) {
        struct keel_sched_options bad = good;
        switch (i) {
        case 0:
            bad.size--;
            break;
        case 1:
            bad.classes[2].weight = 0;
            break;
        case 2:
            bad.classes[2].weight = 10001;
            break;
        case 3:
            bad.classes[1].limit_permille = 1001;
            break;
        case 4:
            bad.cap_ns = 0;
            break;
        case 5:
            bad.budget_ns = 0;
            break;
        case 6:
            bad.tail_permille = 999;
            break;
        default:
            bad.mode = (enum keel_sched_mode)3;
            break;
        }
        cr_assert_eq(sched_set_options(&sched, &bad), KEEL_EOPTION, "%u", i);
        cr_assert_eq(memcmp(&sched.options, &good, sizeof(good)), 0);
    }
    struct keel_sched_costs costs = sched.costs;
    costs.points[1].bytes = costs.points[0].bytes;
    cr_assert_eq(sched_set_costs(&sched, &costs), KEEL_EOPTION);
    costs = sched.costs;
    costs.point_count = 0;
    cr_assert_eq(sched_set_costs(&sched, &costs), KEEL_EOPTION);
}

/* Between points on the line, at points exact, and never less for more. */
Test(sched, costs_lie_on_the_lines_of_the_profile)
{
    static struct sched sched;
    struct keel_sched_costs costs = {
        .size = sizeof(costs),
        .point_count = 3,
        .points = {{4096, 10000, 20000}, {16384, 16000, 50000}, {131072, 100000, 110000}},
        .sync_ns = 7000};

    sched_init(&sched, 0);
    cr_assert_eq(sched_set_costs(&sched, &costs), 0);
    cr_assert_eq(sched_cost(&sched, KEEL_OP_READ, 4096, false), 10000);
    cr_assert_eq(sched_cost(&sched, KEEL_OP_READ, 16384, false), 16000);
    cr_assert_eq(sched_cost(&sched, KEEL_OP_READ, 8192, false), 12000);
    cr_assert_eq(sched_cost(&sched, KEEL_OP_WRITE, 131072, true), 117000);
    for (uint32_t bytes = 8192; bytes <= KEEL_IO_BYTES_MAX; bytes += 4096) {
        cr_assert_geq(sched_cost(&sched, KEEL_OP_READ, bytes, false),
                      sched_cost(&sched, KEEL_OP_READ, bytes - 4096, false));
    }
}

/* ------------------------------------------------------------- the tail */

Test(sched, percentiles_of_a_window_are_within_a_step)
{
    static struct sched_tail tail;
    static struct sched sched;

    for (uint64_t ns = 20000; ns < 4000000000ull; ns = ns * 5 / 4) {
        sched_init(&sched, 0);
        sched_sample(&sched, SCHED_SIGNAL_LOG, ns);
        tail = sched.tails[SCHED_SIGNAL_LOG];
        uint64_t got = sched_tail_percentile(&tail, 500);
        cr_assert(got > ns * 9 / 10 && got < ns * 11 / 10, "%llu became %llu",
                  (unsigned long long)ns, (unsigned long long)got);
    }
}

/* Feed so much time with commits that took so long, while write-back is in flight or not. */
static void feed(struct sched *sched, uint64_t span_ns, unsigned commits, uint64_t exec_ns,
                 bool lower)
{
    struct sched_flow flow = {.waiting = 1, .head_cost_ns = 10000};

    if (lower)
        sched_start(sched, &flow, KEEL_CLASS_WRITEBACK);
    for (unsigned i = 0; i < commits; i++)
        sched_sample(sched, SCHED_SIGNAL_LOG, exec_ns);
    sched_advance(sched, sched->now_ns + span_ns);
    if (lower)
        sched_finish(sched, KEEL_CLASS_WRITEBACK, 1, 10000);
}

static void window(struct sched *sched, uint64_t exec_ns, bool lower)
{
    feed(sched, SCHED_WINDOW_NS, 64, exec_ns, lower);
}

Test(sched, the_cap_falls_within_five_windows_and_comes_back_within_a_second)
{
    static struct sched sched;

    sched_init(&sched, 0);
    for (unsigned i = 0; i < 10; i++)
        window(&sched, 100000, false);
    cr_assert_eq(sched.cap_ns, sched.options.cap_ns, "nothing is cut on an idle disk");
    for (unsigned i = 0; i < 5; i++)
        window(&sched, 600000, true);
    cr_assert_eq(sched.cap_ns, sched.floor_ns);
    for (unsigned i = 0; i < 20; i++)
        window(&sched, 600000, true);
    cr_assert_eq(sched.cap_ns, sched.floor_ns, "and no further");

    uint64_t begin = sched.now_ns;
    while (sched.cap_ns < sched.options.cap_ns && sched.now_ns < begin + 10000000000ull)
        sched_advance(&sched, sched.now_ns + SCHED_WINDOW_NS);
    cr_assert_lt(sched.now_ns - begin, 1000000000ull);
}

Test(sched, a_disk_so_slow_that_it_answers_few_commits_is_not_taken_for_a_quiet_one)
{
    static struct sched sched;
    struct sched_flow log = {.waiting = 1, .head_cost_ns = 10000};

    sched_init(&sched, 0);
    for (unsigned i = 0; i < 10; i++)
        window(&sched, 4000000, false);
    for (unsigned i = 0; i < 5; i++)
        feed(&sched, SCHED_WINDOW_MAX, 3, 30000000, true);
    cr_assert_eq(sched.cap_ns, sched.floor_ns);
    /* Not one is answered, but one waits. */
    sched_start(&sched, &log, KEEL_CLASS_WAL);
    for (unsigned i = 0; i < 50; i++)
        feed(&sched, SCHED_WINDOW_MAX, 0, 0, true);
    cr_assert_eq(sched.cap_ns, sched.floor_ns);
    sched_finish(&sched, KEEL_CLASS_WAL, 1, 10000);
    /* The disk is as it was, and the few commits are in time: up again in seconds, not in windows
     * of some number. */
    for (unsigned i = 0; i < 50 && sched.cap_ns < sched.options.cap_ns; i++)
        feed(&sched, SCHED_WINDOW_MAX, 20, 4000000, true);
    cr_assert_eq(sched.cap_ns, sched.options.cap_ns);
}

Test(sched, the_cap_stays_where_commits_keep_their_aim)
{
    static struct sched sched;

    sched_init(&sched, 0);
    for (unsigned i = 0; i < 10; i++)
        window(&sched, 100000, false);
    for (unsigned i = 0; i < 100; i++)
        window(&sched, 130000, true);
    cr_assert_eq(sched.cap_ns, sched.options.cap_ns);
    cr_assert_eq(sched.cap_downs, 0);
}

Test(sched, a_static_cap_does_not_move)
{
    static struct sched sched;

    sched_init(&sched, 0);
    struct keel_sched_options options = sched.options;
    options.mode = KEEL_SCHED_STATIC;
    options.cap_ns = 300000;
    cr_assert_eq(sched_set_options(&sched, &options), 0);
    for (unsigned i = 0; i < 50; i++)
        window(&sched, i % 2 ? 5000000 : 100000, i % 3 == 0);
    cr_assert_eq(sched.cap_ns, 300000);
    cr_assert_eq(sched.cap_ups + sched.cap_downs, 0);
}
