/*
 * The job `scan`: every page of a file, in order, through a stream; and what such a scan does to a
 * workload beside it.
 *
 * A round of ours reads the whole file once and looks at each page; the peer `fio` reads the same
 * file sequentially, 256 KiB a request. Then, outside the round's figures, pages are asked for by a
 * zipf distribution, alone and with a scan of the whole file mixed in (one page of the scan for
 * each page asked for): the hit rates are in the report.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/lib/dist.h"
#include "bench/lib/fio_load.h"
#include "bench/lib/malloc_count.h"
#include "bench/lib/proc.h"
#include "bench/lib/scene.h"
#include "tools/cli.h"

#define PAGE       4096u
#define READ_BYTES (256u << 10)

struct job {
    const struct bench_options *config;
    struct bench_report *report;
    struct scene scene;
    keel_pageno pages;
    double hits_alone, hits_beside; /* per page asked for, of the last round */
};

/* Where a scan is. */
struct walk {
    keel_pageno at, end;
};

static keel_pageno walk_next(void *arg)
{
    struct walk *walk = arg;

    return walk->at < walk->end ? walk->at++ : KEEL_PAGENO_NONE;
}

static void fill(const void *arg, void *data, keel_pageno pageno)
{
    (void)arg;
    memcpy(data, &pageno, sizeof(pageno));
}

/* One page of the stream, looked at; KEEL_STREAM_END or an error. */
static int scan_one(struct keel_stream *stream)
{
    struct keel_page page;
    int rc = keel_stream_next(stream, 0, NULL, &page);

    if (rc)
        return rc;
    KEEL_ASSERT(memcmp(page.data, &page.pageno, sizeof(page.pageno)) == 0);
    keel_page_unfix(&page);
    return 0;
}

static int scan_all(struct job *job)
{
    struct walk walk = {.end = job->pages};
    struct keel_stream *stream;
    int rc = keel_stream_open(job->scene.ctx, job->scene.space, walk_next, &walk, &stream);

    if (rc)
        return rc;
    while ((rc = scan_one(stream)) == 0)
        ;
    keel_stream_close(stream);
    return rc == KEEL_STREAM_END ? 0 : rc;
}

/* ---------------------------------------------------------------- beside a workload */

/* Ask for as many pages as the file has, of its first half, by zipf; each step may scan a page. */
static int ask(struct job *job, const struct dist *dist, struct prng *prng,
               struct keel_stream *stream, double *ret_hits)
{
    uint64_t hits = 0;

    for (keel_pageno i = 0; i < job->pages; i++) {
        keel_pageno pageno = dist_next(dist, prng);
        struct keel_page page;
        struct keel_peek peek;
        /* Is it there? The fix that follows counts as the use. */
        hits += keel_page_peek(job->scene.space, pageno, &peek) && keel_peek_valid(&peek);
        int rc = keel_page_fix(job->scene.ctx, job->scene.space, pageno, KEEL_FIX_SHARED, 0, NULL,
                               &page);
        if (rc)
            return rc;
        keel_page_unfix(&page);
        rc = stream ? scan_one(stream) : 0;
        if (rc && rc != KEEL_STREAM_END)
            return rc;
    }
    *ret_hits = (double)hits / (double)job->pages;
    return 0;
}

static int measure_hits(struct job *job)
{
    struct walk walk = {.end = job->pages};
    struct keel_stream *stream;
    struct prng prng;
    struct dist dist;
    double warm;

    prng_seed(&prng, 1);
    dist_init(&dist, job->pages / 2, job->config->zipf > 0 ? job->config->zipf : 0.99);
    int rc = ask(job, &dist, &prng, NULL, &warm);
    if (!rc)
        rc = ask(job, &dist, &prng, NULL, &job->hits_alone);
    if (!rc)
        rc = keel_stream_open(job->scene.ctx, job->scene.space, walk_next, &walk, &stream);
    if (rc)
        return rc;
    rc = ask(job, &dist, &prng, stream, &job->hits_beside);
    keel_stream_close(stream);
    return rc;
}

/* ---------------------------------------------------------------- rounds */

static int scan_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct bench_counts *counts = &job->report->counts;
    struct bench_series *ours = &job->report->ours;
    struct keel_ctx_stats before, after;

    keel_ctx_stats(job->scene.ctx, &before);
    uint64_t allocations = malloc_count(), cpu = proc_cpu_ns(), begin_ns = clock_now_ns();
    int rc = scan_all(job);
    double ns = (double)(clock_now_ns() - begin_ns);
    cpu = proc_cpu_ns() - cpu;
    counts->allocations += malloc_count() - allocations;
    keel_ctx_stats(job->scene.ctx, &after);
    if (!rc)
        rc = measure_hits(job);
    if (rc)
        return cli_error(job->config->command, "scan", rc, NULL);

    ours->rounds[ours->count++] =
        (struct bench_round){.ops_per_s = (double)job->pages * 1e9 / ns,
                             .cpu_ns_per_op = (double)cpu / (double)job->pages};
    counts->ops += job->pages;
    counts->allocation_ops += job->pages;
    counts->enters += after.enters - before.enters;
    scene_path(&job->scene, &job->report->path);
    return 0;
}

static bool fio_round_of(struct bench_run *run, struct bench_series *series)
{
    struct job *job = run->state;
    struct fio_load load = {.path = job->scene.path,
                            .rw = "read",
                            .bs_bytes = READ_BYTES,
                            .depth = run->options->depth,
                            .batch = 1,
                            .threads = 1,
                            .size_bytes = job->pages * PAGE};

    if (!fio_load_round(run, &load, series))
        return false;
    struct bench_round *round = &series->rounds[series->count - 1];
    round->ops_per_s *= (double)READ_BYTES / PAGE;
    if (round->cpu_ns_per_op > 0)
        round->cpu_ns_per_op /= (double)READ_BYTES / PAGE;
    return true;
}

static int scan_begin(struct bench_run *run)
{
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    job->config = run->options;
    job->report = run->report;
    job->pages = run->options->data_bytes / PAGE;
    int rc = scene_open(run, job->pages * PAGE, run->options->cache_bytes, job->pages, NULL,
                        &job->scene);
    if (rc) {
        mem_free(job);
        return rc;
    }
    rc = scene_make_pages(&job->scene, job->pages, fill, NULL);
    if (rc) {
        scene_close(&job->scene);
        mem_free(job);
        return cli_error(run->options->command, "making pages", rc, NULL);
    }
    run->state = job;
    return 0;
}

static void scan_end(struct bench_run *run)
{
    struct job *job = run->state;

    run->report->extra = json_pack("{s:f,s:f}", "hit_rate_alone", job->hits_alone,
                                   "hit_rate_beside_scan", job->hits_beside);
    scene_close(&job->scene);
    mem_free(job);
}

static void scan_print(const struct bench_options *options, const struct bench_report *report)
{
    (void)options;
    printf("hit rate of a zipf workload: alone %.4f, beside a scan of the whole file %.4f\n",
           json_number_value(json_object_get(report->extra, "hit_rate_alone")),
           json_number_value(json_object_get(report->extra, "hit_rate_beside_scan")));
}

static uint64_t scan_bytes(const struct bench_options *options)
{
    (void)options;
    return PAGE;
}

static const struct bench_peer peers[] = {
    {"fio", fio_round_of},
    {NULL, NULL},
};

const struct bench_job bench_job_scan = {
    .name = "scan",
    .summary = "every page in order through a stream, and what it does to others",
    .unit = "page",
    .takes = BENCH_CACHE | BENCH_DATA | BENCH_DIST | BENCH_METHOD | BENCH_IOPOLL | BENCH_SCHED |
             BENCH_DEPTH,
    .defaults = {.threads = 1,
                 .sched = BENCH_SCHED_ADAPTIVE,
                 .depth = 16,
                 .cache_bytes = UINT64_C(64) << 20,
                 .data_bytes = UINT64_C(640) << 20},
    .peers = peers,
    .begin = scan_begin,
    .round = scan_round,
    .end = scan_end,
    .print = scan_print,
    .op_bytes = scan_bytes,
};
