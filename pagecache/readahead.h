/*
 * Reading ahead of plain fixes: a few runs of misses side by side are followed, and one that has
 * gone on for a while is read ahead of, twice as far each time it catches up.
 *
 * The decision is a pure function over the runs; fix.c tells it of each miss and starts the reads.
 * Hits are not told, so what is ahead is used up silently, and the miss behind it goes on with the
 * run. Who knows the pages beforehand does better with a stream (keel/pagecache.h).
 */
#ifndef KEEL_PAGECACHE_READAHEAD_H
#define KEEL_PAGECACHE_READAHEAD_H

#include <stddef.h>

#include <keel/types.h>

#define PC_RUNS 4u /* followed at once, in each space */
#define PC_RUN_MISSES                                                                              \
    4u                    /* side by side before anything is read ahead; chance does not get there \
                           */
#define PC_AHEAD_FIRST 8u /* pages */
#define PC_AHEAD_BYTES (256u << 10) /* most */

struct pc_run {
    keel_pageno next; /* the miss that would go on with it */
    uint32_t misses;  /* 0: nothing is followed here */
    uint32_t ahead;   /* pages, the last time */
    uint64_t seen_at;
};

struct pc_runs {
    uint64_t misses;
    struct pc_run runs[PC_RUNS];
};

/* A page was missed. How many behind it are to be read ahead, `most` at most. */
static inline uint32_t pc_runs_miss(struct pc_runs *runs, keel_pageno pageno, uint32_t most)
{
    struct pc_run *run = NULL, *oldest = &runs->runs[0];

    for (uint32_t i = 0; i < PC_RUNS; i++) {
        if (runs->runs[i].misses > 0 && runs->runs[i].next == pageno)
            run = &runs->runs[i];
        if (runs->runs[i].seen_at < oldest->seen_at)
            oldest = &runs->runs[i];
    }
    if (!run) {
        run = oldest;
        run->misses = run->ahead = 0;
    }
    run->seen_at = ++runs->misses;
    if (++run->misses >= PC_RUN_MISSES) {
        run->ahead = run->ahead ? 2 * run->ahead : PC_AHEAD_FIRST;
        run->ahead = run->ahead < most ? run->ahead : most;
    }
    run->next = pageno + 1 + run->ahead;
    return run->ahead;
}

#endif
