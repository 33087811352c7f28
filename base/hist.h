/*
 * Latency histogram of fixed size: 64 steps per power of two, so any percentile is at most 1.6
 * percent above the true value; from 1 ns (exact below 64) to five hours, and what is longer counts
 * in the last step. About 20 KiB, no allocation, one thread at a time; merge to add up threads.
 */
#ifndef KEEL_BASE_HIST_H
#define KEEL_BASE_HIST_H

#include <stdint.h>

#define HIST_STEP_BITS  6 /* 64 steps per power of two */
#define HIST_STEPS      (1u << HIST_STEP_BITS)
#define HIST_POWER_LAST 43 /* the last power of two: 2^44 ns = 4.9 hours */
#define HIST_BUCKETS    ((HIST_POWER_LAST - HIST_STEP_BITS + 2) * HIST_STEPS)

struct hist {
    uint64_t count;
    uint64_t sum;
    uint64_t min; /* UINT64_MAX while empty */
    uint64_t max;
    uint64_t bucket[HIST_BUCKETS];
};

/* Empty it; also the first thing to do with a new one. */
void hist_init(struct hist *hist);

void hist_record(struct hist *hist, uint64_t value);
/* The same value count times. */
void hist_record_many(struct hist *hist, uint64_t value, uint64_t count);

/* Add all of from. */
void hist_merge(struct hist *hist, const struct hist *from);

/* The smallest recorded value, to one step, that permille of 1000 values do not exceed; 0 if empty.
 */
uint64_t hist_percentile(const struct hist *hist, uint32_t permille);

uint64_t hist_count(const struct hist *hist);
uint64_t hist_min(const struct hist *hist); /* 0 if empty */
uint64_t hist_max(const struct hist *hist); /* exact */
uint64_t hist_mean(const struct hist *hist);

#endif
