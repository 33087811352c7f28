/*
 * A page cache over a file of the run's folder, without a log: what the jobs about pages measure
 * on.
 */
#ifndef KEEL_BENCH_LIB_SCENE_H
#define KEEL_BENCH_LIB_SCENE_H

#include "bench/job.h"

struct scene {
    struct keel_ctx *ctx; /* of the thread that opened it */
    struct keel_arena *arena;
    struct keel_device *device;
    struct keel_pagecache *cache;
    struct keel_space *space;
    char path[600]; /* of the file */
};

/*
 * Open all of it: a file of file_bytes, written with zeroes if it is not there yet; a cache of
 * cache_bytes; a space of `pages`. *cache_options: filled in by the caller but for arena and
 * cache_bytes; NULL for defaults. 0 or CLI_FAILED after a complaint, and then nothing is open.
 */
int scene_open(const struct bench_run *run, uint64_t file_bytes, uint64_t cache_bytes,
               keel_pageno pages, const struct keel_pagecache_options *cache_options,
               struct scene *ret);

/* Dirty pages are dropped. */
void scene_close(struct scene *scene);

#endif
