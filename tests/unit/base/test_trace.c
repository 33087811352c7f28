#include "base/trace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "base/text.h"

TestSuite(trace, .timeout = 20);

static char buf[65536];

static uint64_t fixed_clock(void)
{
    static uint64_t now;
    return now += 1000000001;
}

static const char *print(size_t n)
{
    struct text text;

    text_init(&text, buf, sizeof(buf));
    trace_print_last(&text, n);
    return buf;
}

static size_t count_of(const char *in, const char *what)
{
    size_t count = 0;

    for (const char *at = in; (at = strstr(at, what)); at++)
        count++;
    return count;
}

Test(trace, prints_a_heading_alone_before_the_first_event)
{
    cr_assert_str_eq(print(32), "last 0 trace events of this thread\n");
}

Test(trace, prints_events_in_fixed_columns)
{
    trace_use_clock(fixed_clock);

    TRACE(TEST, 0x2a, "knock", 4096, 512, -5);

    cr_assert_str_eq(print(32),
                     "last 1 trace events of this thread\n"
                     "               time  object                 id  state          op          "
                     "         offset        len        res\n"
                     "        1.000000001  test                   2a  TEST           knock       "
                     "           4096        512         -5\n");
}

Test(trace, prints_the_last_events_oldest_first)
{
    for (unsigned i = 0; i < 3; i++)
        TRACE(TEST, i, i == 0 ? "first" : i == 1 ? "second" : "third", 0, 0, 0);

    const char *out = print(2);

    cr_assert_null(strstr(out, "first"));
    cr_assert_lt(strstr(out, "second"), strstr(out, "third"));
}

Test(trace, keeps_no_more_than_its_ring_holds)
{
    for (unsigned i = 0; i < 3 * TRACE_RING_MAX; i++)
        TRACE(TEST, i, "tick", i, 0, 0);

    cr_assert_eq(count_of(print(10 * TRACE_RING_MAX), "tick"), TRACE_RING_MAX);
}

Test(trace, shows_a_missing_operation_as_a_dash)
{
    TRACE(TEST, 1, NULL, 0, 0, 0);

    cr_assert(strstr(print(1), " - "));
}

Test(trace, forgets_when_cleared)
{
    TRACE(TEST, 1, "tick", 0, 0, 0);
    trace_clear();

    cr_assert_eq(count_of(print(8), "tick"), 0);
}

static void *count_own_events(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)count_of(print(8), "tick");
}

Test(trace, belongs_to_its_thread)
{
    pthread_t thread;
    void *seen;

    TRACE(TEST, 1, "tick", 0, 0, 0);
    cr_assert_eq(pthread_create(&thread, NULL, count_own_events, NULL), 0);
    cr_assert_eq(pthread_join(thread, &seen), 0);

    cr_assert_eq((uintptr_t)seen, 0);
    cr_assert_eq(count_of(print(8), "tick"), 1);
}

Test(trace, stamps_rise_along_the_real_clock)
{
    TRACE(TEST, 1, "a", 0, 0, 0);
    TRACE(TEST, 1, "b", 0, 0, 0);

    const struct trace_ring *ring = &trace_ring_self;
    cr_assert_leq(ring->base_ticks, ring->entry[0].ticks);
    cr_assert_leq(ring->entry[0].ticks, ring->entry[1].ticks);
}

Test(trace, names_every_event_of_the_table)
{
    for (unsigned i = 0; i < TRACE_EVENT_COUNT; i++) {
        enum trace_event event = (enum trace_event)i;
        cr_assert_gt(strlen(trace_event_name(event)), 0);
        cr_assert_gt(strlen(trace_event_object(event)), 0);
        cr_assert_leq(strlen(trace_event_object(event)), 8, "%s", trace_event_name(event));
        cr_assert_leq(strlen(trace_event_name(event)), 14, "%s", trace_event_name(event));
        cr_assert_gt(strlen(trace_event_meaning(event)), 0);
    }
    cr_assert_str_eq(trace_event_name(TRACE_EVENT_COUNT), "?");
}
