/*
 * Durations by the processor's counter: a reading is a few nanoseconds, and touches no page, where
 * the clock's takes 20, and three times that after a system call. For processors whose counter runs
 * at one rate, as all of the last ten years do; how fast, the clock says over the time of warming
 * up.
 */
#ifndef KEEL_BENCH_TICKS_H
#define KEEL_BENCH_TICKS_H

#include <stdint.h>

#include "base/clock.h"

struct bench_ticks {
    uint64_t begin_ticks, begin_ns;
    double ns_each; /* 0: not known yet */
};

static inline void bench_ticks_begin(struct bench_ticks *rate)
{
    *rate = (struct bench_ticks){.begin_ticks = clock_ticks(), .begin_ns = clock_now_ns()};
}

/* Enough time has gone by. At the first call; then nothing. */
static inline void bench_ticks_settle(struct bench_ticks *rate)
{
    if (rate->ns_each == 0)
        rate->ns_each =
            (double)(clock_now_ns() - rate->begin_ns) / (double)(clock_ticks() - rate->begin_ticks);
}

static inline uint64_t bench_ticks_ns(const struct bench_ticks *rate, uint64_t ticks)
{
    return (uint64_t)((double)ticks * rate->ns_each);
}

#endif
