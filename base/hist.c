/*
 * Log-linear histogram. Values below 64 have a bucket each; above, the six bits behind the leading
 * one choose the step within its power of two.
 */
#include "base/hist.h"

#include <stddef.h>

#include "base/assert.h"

static size_t bucket_of(uint64_t value)
{
    if (value < HIST_STEPS)
        return (size_t)value;

    unsigned power = 63u - (unsigned)__builtin_clzll(value);
    if (power > HIST_POWER_LAST)
        return HIST_BUCKETS - 1;

    unsigned shift = power - HIST_STEP_BITS;
    uint64_t step = (value >> shift) - HIST_STEPS;
    return (size_t)(shift + 1) * HIST_STEPS + (size_t)step;
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_top(size_t bucket)
{
    if (bucket < HIST_STEPS)
        return bucket;

    unsigned shift = (unsigned)(bucket / HIST_STEPS) - 1;
    uint64_t step = bucket % HIST_STEPS;
    return ((HIST_STEPS + step + 1) << shift) - 1;
}

void hist_init(struct hist *hist)
{
    *hist = (struct hist){.min = UINT64_MAX};
}

void hist_record(struct hist *hist, uint64_t value)
{
    hist_record_many(hist, value, 1);
}

void hist_record_many(struct hist *hist, uint64_t value, uint64_t count)
{
    size_t bucket = bucket_of(value);

    KEEL_DCHECK(bucket < HIST_BUCKETS);
    if (count == 0)
        return;
    hist->bucket[bucket] += count;
    hist->count += count;
    hist->sum += value * count;
    if (value < hist->min)
        hist->min = value;
    if (value > hist->max)
        hist->max = value;
}

void hist_merge(struct hist *hist, const struct hist *from)
{
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        hist->bucket[i] += from->bucket[i];
    hist->count += from->count;
    hist->sum += from->sum;
    if (from->min < hist->min)
        hist->min = from->min;
    if (from->max > hist->max)
        hist->max = from->max;
}

uint64_t hist_percentile(const struct hist *hist, uint32_t permille)
{
    KEEL_ASSERT(permille <= 1000);

    if (hist->count == 0)
        return 0;

    /* Rounded up, without overflow for any count: the rank of the value looked for, from 1. */
    uint64_t rank = hist->count / 1000 * permille + (hist->count % 1000 * permille + 999) / 1000;
    if (rank == 0)
        return hist->min;

    uint64_t seen = 0;
    for (size_t i = 0; i < HIST_BUCKETS - 1; i++) {
        seen += hist->bucket[i];
        if (seen >= rank) {
            uint64_t top = bucket_top(i);
            return top < hist->max ? top : hist->max;
        }
    }
    return hist->max;
}

uint64_t hist_count(const struct hist *hist)
{
    return hist->count;
}

uint64_t hist_min(const struct hist *hist)
{
    return hist->count > 0 ? hist->min : 0;
}

uint64_t hist_max(const struct hist *hist)
{
    return hist->max;
}

uint64_t hist_mean(const struct hist *hist)
{
    return hist->count > 0 ? hist->sum / hist->count : 0;
}
