/*
 * The job `fix`: what it costs to get at a page that is in the cache.
 *
 * T threads ask for pages in an order drawn beforehand, look at one word of each, and let go: with
 * --mode shared by keel_page_fix and keel_page_unfix, with --mode optimistic by keel_page_peek and
 * keel_peek_valid. The peer `bare` is the least that any cache with a word per page pays for the
 * same: on an array of words, in the same order, an atomic addition and subtraction (shared) or two
 * loads (optimistic), around a look at the same word of the same page.
 *
 * The curve: the same by one thread over the first N pages alone, for growing N, ours and bare.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/lib/dist.h"
#include "bench/lib/malloc_count.h"
#include "bench/lib/scene.h"
#include "bench/peer.h"
#include "tools/cli.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define ORDER         (1u << 20) /* accesses drawn beforehand, for each thread; then again */
#define BATCH         4096u      /* accesses between two looks at the clock */
#define CURVE_NS      (NS_PER_SECOND / 5)

/* Where in a page's user part the access looks, in bytes: at one of 62 lines, as page numbers go.
 * At one place for all, every access would fall into the same few sets of each of the processor's
 * caches, and what else lies there would be measured. */
static inline size_t look_at(uint32_t page)
{
    return (size_t)(page % 62) * 64;
}

static const keel_pageno curve_pages[] = {1000,   4000,   16000,   64000,
                                          256000, 512000, 1000000, 3000000};
#define CURVE_MAX (sizeof(curve_pages) / sizeof(curve_pages[0]))

typedef _Atomic uint64_t bare_word;

struct job {
    const struct bench_options *config;
    struct bench_report *report;
    struct scene scene;
    keel_pageno pages;
    char *data; /* the first page's user part; page p's lies page_bytes * p behind it */
    bare_word *words;
    uint32_t *order[BENCH_THREADS_MAX];
    uint32_t *curve_order;
    double curve[2][CURVE_MAX][BENCH_ROUNDS_MAX]; /* ns of ours, of bare */
    uint32_t curve_count, curve_rounds[2];
};

/* One thread of a round. */
struct runner {
    struct job *job;
    pthread_t id;
    const uint32_t *order;
    bool bare;
    uint64_t run_ns;
    pthread_barrier_t *ready;
    uint64_t ops, ns, sum;
    struct hist latency; /* of one access, as the mean of a batch */
};

/* ---------------------------------------------------------------- the accesses */

/* Each does BATCH accesses and returns the sum of what it saw, so that nothing is left out. */
typedef uint64_t (*batch_fn)(struct job *job, const uint32_t *order);

static uint64_t batch_peek(struct job *job, const uint32_t *order)
{
    struct keel_space *space = job->scene.space;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < BATCH; i++) {
        const uint32_t pageno = order[i];
        struct keel_peek peek;
        uint64_t seen;
        do {
            bool there = keel_page_peek(space, pageno, &peek);
            KEEL_ASSERT(there); /* every page is in the cache, and nobody writes */
            seen = __atomic_load_n((const uint64_t *)((const char *)peek.data + look_at(pageno)),
                                   __ATOMIC_RELAXED);
        } while (!keel_peek_valid(&peek));
        sum += seen;
    }
    return sum;
}

static uint64_t batch_shared(struct job *job, const uint32_t *order)
{
    struct keel_ctx *ctx = job->scene.ctx;
    struct keel_space *space = job->scene.space;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < BATCH; i++) {
        const uint32_t pageno = order[i];
        struct keel_page page;
        int rc = keel_page_fix(ctx, space, pageno, KEEL_FIX_SHARED, 0, NULL, &page);
        KEEL_ASSERT(rc == 0);
        sum += *(const uint64_t *)((const char *)page.data + look_at(pageno));
        keel_page_unfix(&page);
    }
    return sum;
}

static inline uint64_t bare_look(const char *data, uint32_t pageno)
{
    return __atomic_load_n((const uint64_t *)(data + ((size_t)pageno << 12) + look_at(pageno)),
                           __ATOMIC_RELAXED);
}

static uint64_t batch_bare_loads(struct job *job, const uint32_t *order)
{
    bare_word *words = job->words;
    const char *data = job->data;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < BATCH; i++) {
        const uint32_t pageno = order[i];
        bare_word *word = &words[pageno];
        uint64_t before = atomic_load_explicit(word, memory_order_acquire);
        sum += bare_look(data, pageno);
        if (atomic_load_explicit(word, memory_order_acquire) != before)
            sum++;
    }
    return sum;
}

static uint64_t batch_bare_atomics(struct job *job, const uint32_t *order)
{
    bare_word *words = job->words;
    const char *data = job->data;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < BATCH; i++) {
        const uint32_t pageno = order[i];
        bare_word *word = &words[pageno];
        sum += atomic_fetch_add_explicit(word, 1, memory_order_acquire) >> 32;
        sum += bare_look(data, pageno);
        atomic_fetch_sub_explicit(word, 1, memory_order_release);
    }
    return sum;
}

static batch_fn batch_of(const struct job *job, bool bare)
{
    bool optimistic = job->config->mode == BENCH_MODE_OPTIMISTIC;

    if (bare)
        return optimistic ? batch_bare_loads : batch_bare_atomics;
    return optimistic ? batch_peek : batch_shared;
}

static void run_for(struct runner *runner)
{
    batch_fn batch = batch_of(runner->job, runner->bare);
    uint64_t begin = clock_now_ns(), at = begin;

    for (uint32_t i = 0; at - begin < runner->run_ns; i = (i + BATCH) % ORDER) {
        runner->sum += batch(runner->job, runner->order + i);
        uint64_t now = clock_now_ns();
        hist_record(&runner->latency, (now - at) / BATCH);
        runner->ops += BATCH;
        at = now;
    }
    runner->ns = at - begin;
}

static void *runner_main(void *arg)
{
    struct runner *runner = arg;

    pthread_barrier_wait(runner->ready);
    run_for(runner);
    return NULL;
}

/* ---------------------------------------------------------------- a round */

static bool run_threads(struct job *job, bool bare, struct bench_round *ret, struct hist *latency)
{
    uint32_t count = job->config->threads;
    struct runner *runners = mem_alloc(count * sizeof(*runners));
    pthread_barrier_t ready;
    if (!runners)
        return false;

    pthread_barrier_init(&ready, NULL, count);
    for (uint32_t i = 0; i < count; i++) {
        runners[i] = (struct runner){.job = job,
                                     .order = job->order[i],
                                     .bare = bare,
                                     .run_ns = job->config->seconds * NS_PER_SECOND,
                                     .ready = &ready};
        hist_init(&runners[i].latency);
        int rc = pthread_create(&runners[i].id, NULL, runner_main, &runners[i]);
        KEEL_ASSERT(rc == 0); /* 128 at most; there is no way on without one of them */
    }
    struct hist *all = &runners[0].latency;
    double rate = 0, ns_sum = 0, ops = 0;
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(runners[i].id, NULL);
        rate += (double)runners[i].ops * 1e9 / (double)runners[i].ns;
        ns_sum += (double)runners[i].ns;
        ops += (double)runners[i].ops;
        if (i > 0)
            hist_merge(all, &runners[i].latency);
    }
    pthread_barrier_destroy(&ready);
    /* The threads do nothing but this, so their time is their CPU time. */
    *ret = (struct bench_round){
        .ops_per_s = rate, .cpu_ns_per_op = ns_sum / ops, .lat = bench_lat_of(all)};
    if (latency) {
        hist_merge(latency, all);
        job->report->counts.ops += (uint64_t)ops;
    }
    mem_free(runners);
    return true;
}

static void draw_curve(struct job *job, bool bare)
{
    static struct runner runner;
    struct prng prng;

    prng_seed(&prng, 3);
    for (uint32_t at = 0; at < job->curve_count; at++) {
        struct dist dist;
        dist_init(&dist, curve_pages[at], job->config->zipf);
        for (uint32_t i = 0; i < ORDER; i++)
            job->curve_order[i] = (uint32_t)dist_next(&dist, &prng);
        runner = (struct runner){
            .job = job, .order = job->curve_order, .bare = bare, .run_ns = CURVE_NS};
        hist_init(&runner.latency);
        run_for(&runner);
        job->curve[bare][at][job->curve_rounds[bare]] = (double)runner.ns / (double)runner.ops;
    }
    job->curve_rounds[bare]++;
}

static int fix_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct bench_series *ours = &job->report->ours;
    uint64_t allocations = malloc_count();

    if (!run_threads(job, false, &ours->rounds[ours->count], &job->report->latency))
        return cli_error(job->config->command, "threads", -ENOMEM, NULL);
    ours->count++;
    draw_curve(job, false);
    /* Those of the threads and of this function itself included. */
    job->report->counts.allocations += malloc_count() - allocations;
    job->report->counts.allocation_ops = job->report->counts.ops;
    scene_path(&job->scene, &job->report->path);
    return 0;
}

static bool bare_round(struct bench_run *run, struct bench_series *series)
{
    struct job *job = run->state;
    bool optimistic = job->config->mode == BENCH_MODE_OPTIMISTIC;

    snprintf(series->note, sizeof(series->note),
             "%s on an array of words around a look at the page",
             optimistic ? "two loads" : "atomic addition and subtraction");
    if (!run_threads(job, true, &series->rounds[series->count], NULL))
        return false;
    series->count++;
    draw_curve(job, true);
    return true;
}

/* ---------------------------------------------------------------- all rounds */

/* Make every page resident: as new ones, so the device is never asked. */
static int fill(struct job *job)
{
    for (keel_pageno pageno = 0; pageno < job->pages; pageno++) {
        struct keel_page page;
        int rc =
            keel_page_fix(job->scene.ctx, job->scene.space, pageno, KEEL_FIX_NEW, 0, NULL, &page);
        if (rc)
            return cli_error(job->config->command, "making pages", rc, NULL);
        if (pageno == 0)
            job->data = page.data;
        KEEL_ASSERT((char *)page.data == job->data + (pageno << 12)); /* for the peer */
        memcpy((char *)page.data + look_at((uint32_t)pageno), &pageno, sizeof(pageno));
        keel_page_dirty(&page, 0, 1);
        keel_page_unfix(&page);
    }
    return 0;
}

static void free_job(struct job *job)
{
    for (uint32_t i = 0; i < job->config->threads; i++)
        mem_free(job->order[i]);
    mem_free(job->curve_order);
    if (job->words)
        mem_unmap((void *)(uintptr_t)job->words, job->pages * sizeof(*job->words));
    mem_free(job);
}

static int take_orders(struct job *job)
{
    struct dist dist;
    struct prng prng;

    job->words = mem_map(job->pages * sizeof(*job->words), 0);
    job->curve_order = mem_alloc(ORDER * sizeof(*job->curve_order));
    if (!job->words || !job->curve_order)
        return -ENOMEM;
    dist_init(&dist, job->pages, job->config->zipf);
    for (uint32_t t = 0; t < job->config->threads; t++) {
        job->order[t] = mem_alloc(ORDER * sizeof(*job->order[t]));
        if (!job->order[t])
            return -ENOMEM;
        prng_seed(&prng, t + 1);
        for (uint32_t i = 0; i < ORDER; i++)
            job->order[t][i] = (uint32_t)dist_next(&dist, &prng);
    }
    for (keel_pageno i = 0; i < job->pages; i++)
        atomic_store_explicit(&job->words[i], 1, memory_order_relaxed); /* memory of its own */
    return 0;
}

static int fix_begin(struct bench_run *run)
{
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    job->config = run->options;
    job->report = run->report;
    job->pages = run->options->cache_bytes / 4096;
    while (job->curve_count < CURVE_MAX && curve_pages[job->curve_count] <= job->pages)
        job->curve_count++;
    int rc = take_orders(job);
    if (rc) {
        free_job(job);
        return cli_error(run->options->command, "job", rc, NULL);
    }
    rc =
        scene_open(run, KEEL_BLOCK_BYTES, run->options->cache_bytes, job->pages, NULL, &job->scene);
    if (!rc)
        rc = fill(job);
    if (rc) {
        scene_close(&job->scene);
        free_job(job);
        return rc;
    }
    run->state = job;
    return 0;
}

static double curve_median(struct job *job, bool bare, uint32_t at)
{
    struct bench_series *series = mem_alloc(sizeof(*series));
    if (!series)
        return 0;

    for (; series->count < job->curve_rounds[bare]; series->count++)
        series->rounds[series->count].ops_per_s = job->curve[bare][at][series->count];
    double median = bench_median_ops(series);
    mem_free(series);
    return median;
}

static void fix_end(struct bench_run *run)
{
    struct job *job = run->state;
    json_t *curve = json_array();

    for (uint32_t at = 0; at < job->curve_count; at++) {
        json_t *bare = job->curve_rounds[1] ? json_real(curve_median(job, true, at)) : json_null();
        json_array_append_new(curve,
                              json_pack("{s:I,s:f,s:o}", "pages", (json_int_t)curve_pages[at], "ns",
                                        curve_median(job, false, at), "bare_ns", bare));
    }
    run->report->extra = json_pack("{s:o}", "curve", curve);
    scene_close(&job->scene);
    free_job(job);
}

static void fix_print(const struct bench_options *options, const struct bench_report *report)
{
    const json_t *curve = json_object_get(report->extra, "curve");
    const json_t *point;
    size_t at;

    (void)options;
    printf("one thread     pages   ns    bare ns\n");
    json_array_foreach(curve, at, point)
    {
        printf("          %10lld %6.1f",
               (long long)json_integer_value(json_object_get(point, "pages")),
               json_real_value(json_object_get(point, "ns")));
        const json_t *bare = json_object_get(point, "bare_ns");
        if (json_is_real(bare))
            printf(" %6.1f", json_real_value(bare));
        printf("\n");
    }
}

static uint64_t fix_bytes(const struct bench_options *options)
{
    (void)options;
    return 0;
}

static const struct bench_peer peers[] = {
    {"bare", bare_round},
    {"rocksdb", peer_rocksdb_fix},
    {NULL, NULL},
};

const struct bench_job bench_job_fix = {
    .name = "fix",
    .summary = "pages that are in the cache, found and let go",
    .unit = "access",
    .takes = BENCH_THREADS | BENCH_CACHE | BENCH_DIST | BENCH_MODE,
    .defaults = {.threads = 1,
                 .sched = BENCH_SCHED_ADAPTIVE,
                 .seconds = 2,
                 .cache_bytes = UINT64_C(1) << 30,
                 .mode = BENCH_MODE_OPTIMISTIC},
    .peers = peers,
    .begin = fix_begin,
    .round = fix_round,
    .end = fix_end,
    .print = fix_print,
    .op_bytes = fix_bytes,
};
