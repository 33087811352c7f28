/*
 * The job `commit`: T threads, each committing small transactions on pages of its own, each
 * blocking until durable (or what --durability says; the peers' commits are always durable).
 *
 * One store for all rounds, opened anew for each. The threads are a crew (bench/lib/crew.h).
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/lib/crew.h"
#include "bench/peer.h"
#include "tools/cli.h"

#define PAGE_USER  (4096u - KEEL_PAGE_HEADER_BYTES)
#define RECORD_MAX 32768u
#define PAGES_MAX  (RECORD_MAX / PAGE_USER + 1)

struct job {
    const struct bench_options *config;
    struct bench_report *report;
    char store_path[600];
    uint32_t pages_per_thread;
    keel_pageno *pages; /* threads * pages_per_thread, made in the first round */
    bool pages_made;

    /* one round */
    struct keel_ctx *ctx;
    struct keel_store *store;
    struct bench_crew crew;
    struct thread *threads;
};

struct thread {
    struct job *job;
    pthread_t id;
    struct keel_ctx *ctx;
    const keel_pageno *pages;
    uint32_t offset; /* where in the page the next record goes */
    _Atomic uint64_t ops;
    struct hist latency; /* of what began and ended while measuring */
    unsigned char record[RECORD_MAX];
};

/* ---------------------------------------------------------------- the load */

static int write_record(struct thread *thread, struct keel_tx *tx, uint64_t stamp)
{
    uint32_t bytes = (uint32_t)thread->job->config->record_bytes;
    memcpy(thread->record, &stamp, bytes < sizeof(stamp) ? bytes : sizeof(stamp));
    if (bytes <= PAGE_USER) {
        if (thread->offset + bytes > PAGE_USER)
            thread->offset = 0;
        int rc = keel_tx_write(tx, thread->pages[0], thread->offset, thread->record, bytes);
        thread->offset += bytes;
        return rc;
    }
    for (uint32_t at = 0, page = 0; at < bytes; at += PAGE_USER, page++) {
        uint32_t len = bytes - at < PAGE_USER ? bytes - at : PAGE_USER;
        int rc = keel_tx_write(tx, thread->pages[page], 0, thread->record + at, len);
        if (rc)
            return rc;
    }
    return 0;
}

/* Begins anew when told to try again (log full, page held); that only happens while others get on.
 */
static int commit_one(struct thread *thread, uint64_t stamp)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;

    options.level = thread->job->config->level;
    for (;;) {
        struct keel_tx *tx;
        int rc = keel_tx_begin(thread->ctx, thread->job->store, &options, &tx);
        if (!rc) {
            rc = write_record(thread, tx, stamp);
            if (rc)
                keel_tx_abort(tx);
            else
                rc = keel_tx_commit(tx, NULL);
        }
        if (!rc || keel_err_class(rc) != KEEL_CLASS_RETRY)
            return rc;
        sched_yield();
    }
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    struct job *job = thread->job;
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    options.method = job->config->method;
    int rc = keel_ctx_open(&options, &thread->ctx);
    bench_crew_begin(&job->crew);

    for (uint64_t stamp = 1; !rc && bench_crew_running(&job->crew); stamp++) {
        bool measured = bench_crew_measuring(&job->crew);
        uint64_t begin = clock_now_ns();
        rc = commit_one(thread, stamp);
        if (rc)
            break;
        if (measured)
            hist_record(&thread->latency, clock_now_ns() - begin);
        atomic_fetch_add_explicit(&thread->ops, 1, memory_order_relaxed);
    }
    bench_crew_end(&job->crew, rc);
    keel_ctx_close(thread->ctx);
    return NULL;
}

/* ---------------------------------------------------------------- readings */

static void take_reading(void *arg, struct bench_reading *ret)
{
    struct job *job = arg;
    struct keel_ctx_stats stats;

    bench_read_store(job->store, ret);
    for (uint32_t i = 0; i < job->config->threads; i++) {
        keel_ctx_stats(job->threads[i].ctx, &stats);
        ret->enters += stats.enters;
        ret->ops += atomic_load_explicit(&job->threads[i].ops, memory_order_relaxed);
    }
}

/* ---------------------------------------------------------------- one round of ours */

static int make_pages(struct job *job)
{
    uint32_t total = job->config->threads * job->pages_per_thread;
    for (uint32_t i = 0; i < total && !job->pages_made; i++) {
        struct keel_tx *tx;
        unsigned char zero = 0;
        int rc = keel_tx_begin(job->ctx, job->store, NULL, &tx);
        if (rc)
            return rc;
        rc = keel_tx_alloc(tx, &job->pages[i]);
        if (!rc)
            rc = keel_tx_write(tx, job->pages[i], 0, &zero, 1);
        if (rc)
            keel_tx_abort(tx);
        else
            rc = keel_tx_commit(tx, NULL);
        if (rc)
            return rc;
    }
    job->pages_made = true;
    return 0;
}

static int open_store(struct job *job)
{
    const struct bench_options *config = job->config;
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    ctx_options.method = config->method;
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    options.method = config->method;
    options.sync = config->sync;
    options.log_bytes = config->log_bytes;
    options.cache_bytes = config->cache_bytes;
    struct keel_err_info info = {0};

    int rc = keel_ctx_open(&ctx_options, &job->ctx);
    if (rc)
        return cli_error(config->command, "opening a context", rc, NULL);
    rc = keel_open(job->ctx, job->store_path, &options, &info, &job->store);
    if (rc) {
        keel_ctx_close(job->ctx);
        return cli_error(config->command, config->path, rc, &info);
    }
    rc = make_pages(job);
    if (!rc)
        return 0;
    keel_ignore(keel_close(job->ctx, job->store), "the first error is reported");
    keel_ctx_close(job->ctx);
    return cli_error(config->command, "making pages", rc, NULL);
}

static int close_store(struct job *job)
{
    int rc = keel_close(job->ctx, job->store);
    keel_ctx_close(job->ctx);
    return rc ? cli_error(job->config->command, "closing the store", rc, NULL) : 0;
}

static void start_threads(struct job *job, struct thread *threads)
{
    struct prng prng;
    prng_seed(&prng, 1);
    for (uint32_t i = 0; i < job->config->threads; i++) {
        struct thread *thread = &threads[i];
        thread->job = job;
        thread->pages = job->pages + (size_t)i * job->pages_per_thread;
        hist_init(&thread->latency);
        for (uint32_t at = 0; at < job->config->record_bytes; at++)
            thread->record[at] = (unsigned char)prng_u64(&prng);
        int rc = pthread_create(&thread->id, NULL, thread_main, thread);
        KEEL_ASSERT(rc == 0); /* 128 threads at most; there is no way on without one of them */
    }
}

static int commit_round(struct bench_run *run)
{
    struct job *job = run->state;
    static struct hist round;
    uint32_t count = job->config->threads;
    struct thread *threads = mem_alloc(count * sizeof(*threads));
    if (!threads)
        return cli_error(job->config->command, "threads", -ENOMEM, NULL);
    int rc = open_store(job);
    if (rc)
        goto out;

    job->threads = threads;
    bench_crew_init(&job->crew, count);
    start_threads(job, threads);
    bench_crew_measure(&job->crew, job->config->seconds, job->report, take_reading, job);
    hist_init(&round);
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        hist_merge(&round, &threads[i].latency);
    }
    int error = bench_crew_fini(&job->crew);
    path_report_fill(&job->report->path, job->ctx, keel_store_wal(job->store));
    if (error) {
        rc = cli_error(job->config->command, "commit", error, NULL);
    } else {
        job->report->ours.rounds[job->report->ours.count - 1].lat = bench_lat_of(&round);
        hist_merge(&job->report->latency, &round);
    }
    int closed = close_store(job);
    rc = rc ? rc : closed;
out:
    mem_free(threads);
    return rc;
}

/* ---------------------------------------------------------------- all rounds */

static int commit_begin(struct bench_run *run)
{
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    job->config = run->options;
    job->report = run->report;
    job->pages_per_thread = (uint32_t)(run->options->record_bytes / PAGE_USER + 1);
    KEEL_ASSERT(job->pages_per_thread <= PAGES_MAX);
    snprintf(job->store_path, sizeof(job->store_path), "%s/store", run->folder);
    job->pages = mem_alloc(run->options->threads * job->pages_per_thread * sizeof(*job->pages));
    if (!job->pages) {
        mem_free(job);
        return cli_error(run->options->command, "pages", -ENOMEM, NULL);
    }
    run->state = job;
    return 0;
}

static void commit_end(struct bench_run *run)
{
    struct job *job = run->state;
    const struct bench_counts *counts = &run->report->counts;
    double batch = counts->log_writes ? (double)counts->ops / (double)counts->log_writes : 0;

    run->report->extra = json_pack("{s:f}", "commits_per_log_write", batch);
    mem_free(job->pages);
    mem_free(job);
}

static void commit_print(const struct bench_options *options, const struct bench_report *report)
{
    (void)options;
    printf("commits per log write: %.1f\n",
           json_number_value(json_object_get(report->extra, "commits_per_log_write")));
}

static uint64_t commit_bytes(const struct bench_options *options)
{
    return options->record_bytes;
}

static const struct bench_peer peers[] = {
    {"fio", peer_fio_commit},
    {"rocksdb", peer_rocksdb_commit},
    {"wiredtiger", peer_wiredtiger_commit},
    {"sqlite", peer_sqlite_commit},
    {"lmdb", peer_lmdb_commit},
    {"bare", peer_bare_commit},
    {NULL, NULL},
};

const struct bench_job bench_job_commit = {
    .name = "commit",
    .summary = "blocking writers, each commit durable before the next",
    .unit = "commit",
    .takes = BENCH_THREADS | BENCH_RECORD | BENCH_SYNC | BENCH_METHOD | BENCH_LOG | BENCH_CACHE |
             BENCH_DURABILITY,
    .defaults = {.threads = 8,
                 .record_bytes = 128,
                 .log_bytes = 256u << 20,
                 .cache_bytes = 64u << 20},
    .record_max = RECORD_MAX,
    .peers = peers,
    .begin = commit_begin,
    .round = commit_round,
    .end = commit_end,
    .print = commit_print,
    .op_bytes = commit_bytes,
};
