/*
 * Opening and closing, in one order and its reverse.
 */
#include "bench/lib/scene.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/cli.h"

static int open_file(const struct bench_run *run, uint64_t file_bytes, struct scene *scene)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};

    snprintf(scene->path, sizeof(scene->path), "%s/pages", run->folder);
    if (access(scene->path, F_OK))
        options.create_bytes = file_bytes;
    int rc = keel_device_open(scene->ctx, scene->path, &options, &info, &scene->device);
    if (!rc)
        rc = bench_sched_set(scene->device, run->options->sched);
    return rc ? cli_error(run->options->command, scene->path, rc, &info) : 0;
}

void scene_path(const struct scene *scene, struct path_report *ret)
{
    struct keel_sched_options sched;

    path_report_fill(ret, scene->ctx, NULL);
    keel_sched_get(scene->device, &sched);
    snprintf(ret->sched, sizeof(ret->sched), "%s", keel_sched_mode_name(sched.mode));
}

static int open_cache(const struct bench_run *run, uint64_t cache_bytes, keel_pageno pages,
                      const struct keel_pagecache_options *cache_options, struct scene *scene)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;

    if (cache_options)
        options = *cache_options;
    options.cache_bytes = cache_bytes;
    int rc = keel_arena_create(keel_pagecache_arena_bytes(&options), &scene->arena);
    options.arena = scene->arena;
    if (!rc)
        rc = keel_pagecache_open(&options, &scene->cache);
    struct keel_space_options space = KEEL_SPACE_OPTIONS_DEFAULT;
    space.id = 1;
    space.device = scene->device;
    space.pages = space.pages_max = pages;
    if (!rc)
        rc = keel_space_open(scene->cache, &space, &scene->space);
    return rc ? cli_error(run->options->command, "opening the page cache", rc, NULL) : 0;
}

int scene_open(const struct bench_run *run, uint64_t file_bytes, uint64_t cache_bytes,
               keel_pageno pages, const struct keel_pagecache_options *cache_options,
               struct scene *ret)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    *ret = (struct scene){0};
    options.method = run->options->method;
    options.iopoll = run->options->iopoll;
    int rc = keel_ctx_open(&options, &ret->ctx);
    if (rc)
        return cli_error(run->options->command, "opening a context", rc, NULL);
    rc = open_file(run, file_bytes, ret);
    if (!rc)
        rc = open_cache(run, cache_bytes, pages, cache_options, ret);
    if (rc)
        scene_close(ret);
    return rc;
}

int scene_write_all(struct scene *scene, keel_lsn below)
{
    for (;;) {
        int rc = keel_pagecache_writeback(scene->ctx, scene->cache, below, 0, true);
        if (rc < 0)
            return rc;
        /* Only when nothing is in flight: the smallest recLSN is a look at every frame. */
        if (keel_pagecache_wait_any(scene->cache) || rc > 0)
            continue;
        if (keel_pagecache_rec_lsn_min(scene->cache) >= below)
            return 0;
        sched_yield(); /* latched by another thread */
    }
}

int scene_make_pages(struct scene *scene, keel_pageno pages,
                     void (*fill)(const void *arg, void *data, keel_pageno pageno), const void *arg)
{
    for (keel_pageno pageno = 0; pageno < pages; pageno++) {
        struct keel_page page;
        int rc = keel_page_fix(scene->ctx, scene->space, pageno, KEEL_FIX_NEW, 0, NULL, &page);
        if (rc)
            return rc;
        if (fill)
            fill(arg, page.data, pageno);
        keel_page_dirty(&page, 0, 1);
        keel_page_unfix(&page);
    }
    return scene_write_all(scene, KEEL_LSN_MAX);
}

void scene_close(struct scene *scene)
{
    keel_pagecache_close(scene->ctx, scene->cache);
    keel_device_close(scene->device);
    keel_ctx_close(scene->ctx);
    keel_arena_destroy(scene->arena);
    *scene = (struct scene){0};
}
