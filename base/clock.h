/*
 * Clocks. Nanoseconds of CLOCK_MONOTONIC for everything that decides; the processor's counter for
 * stamps that are only looked at later.
 */
#ifndef KEEL_BASE_CLOCK_H
#define KEEL_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some fixed instant; never goes back. */
uint64_t clock_now_ns(void);

/* The processor's free-running counter, of unknown rate; nanoseconds where there is none. */
static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return clock_now_ns();
#endif
}

#endif
