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

/* Make pages 0 to pages - 1 anew, each filled by fill (NULL: zeroes), and write them all. 0 or a
 * negative code. */
int scene_make_pages(struct scene *scene, keel_pageno pages,
                     void (*fill)(const void *arg, void *data, keel_pageno pageno),
                     const void *arg);

/* What the transfers went by. */
void scene_path(const struct scene *scene, struct path_report *ret);

/* Write every page that was changed and has a recLSN below, as a checkpoint does. 0 or a negative
 * code. */
int scene_write_all(struct scene *scene, keel_lsn below);

/* Dirty pages are dropped. */
void scene_close(struct scene *scene);

#endif
