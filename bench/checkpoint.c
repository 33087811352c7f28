/*
 * The job `checkpoint`: every page of a cache was changed; write them all back, while a thread goes
 * on changing pages.
 *
 * A round: all pages become dirty; the foreground thread changes pages at random, one after the
 * other, for a moment alone (before); then, while it goes on (during), everything that was dirty is
 * written back, as a checkpoint does it, until no recLSN is left below the cut. The figure is pages
 * per second of the latter. The peer `fio` writes as many bytes into the same file, in requests and
 * at a depth as ours. Neither syncs: that is one flush more for both.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/lib/fio_load.h"
#include "bench/lib/malloc_count.h"
#include "bench/lib/proc.h"
#include "bench/lib/scene.h"
#include "tools/cli.h"

#define PAGE      4096u
#define WRITES    8u
#define BEFORE_NS (UINT64_C(300) * 1000 * 1000)

struct job {
    const struct bench_options *config;
    struct bench_report *report;
    struct scene scene;
    keel_pageno pages;
    _Atomic keel_lsn lsn;
    uint64_t writes, written;           /* merged writes and pages of all rounds */
    struct bench_series before, during; /* of the foreground: latencies alone */

    /* one round */
    pthread_t thread;
    _Atomic int phase, error; /* phase: 0 before, 1 during, 2 stop */
    struct hist latency[2];
};

/* ---------------------------------------------------------------- the foreground */

static int change_one(struct job *job, struct keel_ctx *ctx, keel_pageno pageno)
{
    struct keel_page page;
    int rc = keel_page_fix(ctx, job->scene.space, pageno, KEEL_FIX_EXCLUSIVE, 0, NULL, &page);

    if (rc)
        return rc;
    keel_lsn lsn = atomic_fetch_add(&job->lsn, 1);
    memcpy(page.data, &lsn, sizeof(lsn));
    keel_page_dirty(&page, lsn, lsn + 1);
    keel_page_unfix(&page);
    return 0;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec time = {.tv_nsec = (long)ns};

    nanosleep(&time, NULL);
}

static void *foreground(void *arg)
{
    struct job *job = arg;
    struct prng prng;
    struct keel_ctx *ctx;
    int phase, rc = keel_ctx_open(NULL, &ctx);

    prng_seed(&prng, 1);
    while (!rc && (phase = atomic_load(&job->phase)) < 2) {
        uint64_t begin_ns = clock_now_ns();
        rc = change_one(job, ctx, prng_below(&prng, job->pages));
        hist_record(&job->latency[phase], clock_now_ns() - begin_ns);
        /* Some ten thousand a second: a load, not a competitor for the two processors. */
        sleep_ns(50000);
    }
    atomic_store(&job->error, rc);
    if (rc == 0)
        keel_ctx_close(ctx);
    return NULL;
}

/* ---------------------------------------------------------------- the checkpoint */

static int dirty_all(struct job *job)
{
    for (keel_pageno pageno = 0; pageno < job->pages; pageno++) {
        int rc = change_one(job, job->scene.ctx, pageno);
        if (rc)
            return rc;
    }
    return 0;
}

static int measure(struct job *job, struct bench_round *ret)
{
    struct bench_counts *counts = &job->report->counts;
    struct keel_pagecache_stats before, after;
    struct keel_ctx_stats ctx_before, ctx_after;
    keel_lsn cut = atomic_load(&job->lsn);

    keel_pagecache_stats(job->scene.cache, &before);
    keel_ctx_stats(job->scene.ctx, &ctx_before);
    uint64_t allocations = malloc_count(), cpu = proc_cpu_ns(), begin_ns = clock_now_ns();
    atomic_store(&job->phase, 1);
    int rc = scene_write_all(&job->scene, cut);
    uint64_t ns = clock_now_ns() - begin_ns;
    atomic_store(&job->phase, 2);
    cpu = proc_cpu_ns() - cpu;
    counts->allocations += malloc_count() - allocations;
    keel_ctx_stats(job->scene.ctx, &ctx_after);
    keel_pagecache_stats(job->scene.cache, &after);

    uint64_t pages = after.pages_written - before.pages_written;
    *ret = (struct bench_round){.ops_per_s = (double)pages * 1e9 / (double)ns,
                                .cpu_ns_per_op = (double)cpu / (double)pages,
                                .lat = bench_lat_of(&job->latency[1])};
    counts->ops += pages;
    counts->allocation_ops += pages;
    counts->enters += ctx_after.enters - ctx_before.enters;
    counts->submitted_writes += after.writes - before.writes;
    job->writes += after.writes - before.writes;
    job->written += pages;
    return rc;
}

static int checkpoint_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct bench_series *ours = &job->report->ours;
    int rc = dirty_all(job);

    hist_init(&job->latency[0]);
    hist_init(&job->latency[1]);
    atomic_store(&job->phase, 0);
    if (!rc)
        rc = -pthread_create(&job->thread, NULL, foreground, job);
    if (rc)
        return cli_error(job->config->command, "checkpoint", rc, NULL);
    sleep_ns(BEFORE_NS);
    rc = measure(job, &ours->rounds[ours->count]);
    pthread_join(job->thread, NULL);
    rc = rc ? rc : atomic_load(&job->error);
    /* What the foreground left is not the peer's to wait for. */
    rc = rc ? rc : scene_write_all(&job->scene, KEEL_LSN_MAX);
    if (rc)
        return cli_error(job->config->command, "checkpoint", rc, NULL);
    ours->count++;
    job->before.rounds[job->before.count++].lat = bench_lat_of(&job->latency[0]);
    job->during.rounds[job->during.count++].lat = bench_lat_of(&job->latency[1]);
    hist_merge(&job->report->latency, &job->latency[1]);
    scene_path(&job->scene, &job->report->path);
    return 0;
}

static bool fio_round_of(struct bench_run *run, struct bench_series *series)
{
    struct job *job = run->state;
    uint64_t bs = run->options->bs_bytes;
    struct fio_load load = {.path = job->scene.path,
                            .rw = "write",
                            .bs_bytes = bs,
                            .depth = WRITES,
                            .batch = 1,
                            .threads = 1,
                            .size_bytes = job->pages * PAGE / bs * bs};

    if (!fio_load_round(run, &load, series))
        return false;
    struct bench_round *round = &series->rounds[series->count - 1];
    double pages = (double)bs / PAGE;
    round->ops_per_s *= pages;
    if (round->cpu_ns_per_op > 0)
        round->cpu_ns_per_op /= pages;
    return true;
}

/* ---------------------------------------------------------------- all rounds */

static int checkpoint_begin(struct bench_run *run)
{
    struct keel_pagecache_options options = KEEL_PAGECACHE_OPTIONS_DEFAULT;
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    job->config = run->options;
    job->report = run->report;
    job->pages = run->options->data_bytes / PAGE;
    atomic_init(&job->lsn, 1);
    options.write_bytes_max = (uint32_t)run->options->bs_bytes;
    options.writes_max = WRITES;
    int rc = scene_open(run, job->pages * PAGE, job->pages * PAGE * 9 / 8, job->pages, &options,
                        &job->scene);
    if (rc) {
        mem_free(job);
        return rc;
    }
    rc = scene_make_pages(&job->scene, job->pages, NULL, NULL);
    if (rc) {
        scene_close(&job->scene);
        mem_free(job);
        return cli_error(run->options->command, "making pages", rc, NULL);
    }
    run->state = job;
    return 0;
}

static void checkpoint_end(struct bench_run *run)
{
    struct job *job = run->state;
    struct bench_lat before = bench_median_lat(&job->before);
    struct bench_lat during = bench_median_lat(&job->during);

    run->report->extra = json_pack("{s:f,s:o,s:o}", "pages_per_write",
                                   job->writes ? (double)job->written / (double)job->writes : 0,
                                   "foreground_before_ns", bench_lat_json(&before),
                                   "foreground_during_ns", bench_lat_json(&during));
    scene_close(&job->scene);
    mem_free(job);
}

static void print_foreground(const char *when, const json_t *lat)
{
    printf("foreground %s: p50 %lld ns, p99 %lld ns, p99.9 %lld ns\n", when,
           (long long)json_integer_value(json_object_get(lat, "p50")),
           (long long)json_integer_value(json_object_get(lat, "p99")),
           (long long)json_integer_value(json_object_get(lat, "p999")));
}

static void checkpoint_print(const struct bench_options *options, const struct bench_report *report)
{
    (void)options;
    printf("pages per write: %.1f\n",
           json_number_value(json_object_get(report->extra, "pages_per_write")));
    print_foreground("before", json_object_get(report->extra, "foreground_before_ns"));
    print_foreground("during", json_object_get(report->extra, "foreground_during_ns"));
}

static uint64_t checkpoint_bytes(const struct bench_options *options)
{
    (void)options;
    return PAGE;
}

static const struct bench_peer peers[] = {
    {"fio", fio_round_of},
    {NULL, NULL},
};

const struct bench_job bench_job_checkpoint = {
    .name = "checkpoint",
    .summary = "every page of a cache written back while a thread goes on changing pages",
    .unit = "page",
    .takes = BENCH_DATA | BENCH_BS | BENCH_METHOD | BENCH_IOPOLL | BENCH_SCHED,
    .defaults = {.threads = 1,
                 .sched = BENCH_SCHED_ADAPTIVE,
                 .bs_bytes = KEEL_IO_BYTES_MAX,
                 .data_bytes = UINT64_C(512) << 20},
    .peers = peers,
    .begin = checkpoint_begin,
    .round = checkpoint_round,
    .end = checkpoint_end,
    .print = checkpoint_print,
    .op_bytes = checkpoint_bytes,
};
