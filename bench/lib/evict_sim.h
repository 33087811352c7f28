/*
 * Caches of page numbers alone, under one policy or another, over one trace.
 */
#ifndef KEEL_BENCH_LIB_EVICT_SIM_H
#define KEEL_BENCH_LIB_EVICT_SIM_H

#include <stdint.h>

#include "bench/job.h"

enum evict_policy {
    EVICT_KEEL,
    EVICT_STREAM,
    EVICT_LRU,
    EVICT_CLOCK,
    EVICT_OPTIMUM,
    EVICT_POLICIES
};
extern const char *const evict_policy_names[EVICT_POLICIES];

struct evict_access {
    uint32_t page;
    bool scan; /* part of a scan, which could go through a stream */
};

struct evict_sim;

/* trace: borrowed; may be changed between runs. Page numbers are below pages. NULL: out of memory.
 */
struct evict_sim *evict_sim_make(const struct evict_access *trace, uint32_t accesses,
                                 uint32_t pages);
void evict_sim_free(struct evict_sim *sim);

/* How many of the accesses, but for those of scans, find their page, with room for so many pages,
 * empty at first; scaled up to all accesses. */
uint64_t evict_sim_run(struct evict_sim *sim, enum evict_policy policy, uint32_t room);

#endif
