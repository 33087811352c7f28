/*
 * The job `ycsb`: the workloads A (half reads, half updates), B (95 percent reads), C (reads alone)
 * and F (half reads, half read-modify-writes) of the Yahoo! Cloud Serving Benchmark, over pages of
 * a store. T threads, one operation after the other each; an update is durable before the next
 * begins.
 *
 * Keys are numbers, and record k lies at a fixed place: there is no index, so what is measured is
 * page cache, log and scheduler, and not the descent of a tree. Records carry their key and a
 * checksum over their bytes, and each read looks at both.
 *
 * One store for all rounds. Within a round the main thread takes two readings, --seconds apart,
 * while the threads go on.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/lib/crew.h"
#include "bench/lib/dist.h"
#include "bench/lib/proc.h"
#include "bench/ycsb.h"
#include "tools/cli.h"

#define PAGE_USER  (4096u - KEEL_PAGE_HEADER_BYTES)
#define RECORD_MAX PAGE_USER
#define LOAD_PAGES 32u /* of one transaction while loading */
#define LOAD_BYTES (LOAD_PAGES * 3u * 4096u)

/* What a record begins with; the rest is filling. */
struct head {
    uint64_t key;
    uint32_t version;
    uint32_t crc; /* over key, version and the filling */
};

struct job {
    const struct bench_options *options;
    struct bench_report *report;
    uint32_t record_bytes, per_page;
    uint64_t records, page_count;
    keel_pageno *pages;
    struct dist dist;
    struct keel_ctx *ctx;
    struct keel_store *store;
    struct hist reads, updates; /* all rounds */

    struct bench_crew crew;
    struct thread *threads; /* of this round */
};

struct thread {
    struct job *job;
    pthread_t id;
    struct keel_ctx *ctx;
    struct prng prng;
    _Atomic uint64_t ops; /* as the main thread sees it */
    struct hist reads, updates;
    uint8_t record[RECORD_MAX];
};

unsigned ycsb_read_percent(enum bench_workload workload)
{
    static const unsigned percents[] = {
        [BENCH_YCSB_A] = 50, [BENCH_YCSB_B] = 95, [BENCH_YCSB_C] = 100, [BENCH_YCSB_F] = 50};

    return percents[workload];
}

/* ---------------------------------------------------------------- records */

static uint32_t record_crc(const struct job *job, const uint8_t *record)
{
    uint32_t crc = crc32c(0, record, offsetof(struct head, crc));

    return crc32c(crc, record + sizeof(struct head), job->record_bytes - sizeof(struct head));
}

static void make_record(const struct job *job, struct prng *prng, uint64_t key, uint32_t version,
                        uint8_t *record)
{
    struct head head = {.key = key, .version = version};

    for (uint32_t at = sizeof(head); at < job->record_bytes; at++)
        record[at] = (uint8_t)(at % 8 == 0 ? prng_u64(prng) : record[at - 1] + 1u);
    memcpy(record, &head, sizeof(head));
    head.crc = record_crc(job, record);
    memcpy(record, &head, sizeof(head));
}

static int check_record(const struct job *job, uint64_t key, const uint8_t *record)
{
    struct head head;

    memcpy(&head, record, sizeof(head));
    return head.key == key && head.crc == record_crc(job, record) ? 0 : KEEL_ECHECKSUM;
}

static keel_pageno page_of(const struct job *job, uint64_t key)
{
    return job->pages[key / job->per_page];
}

static uint32_t place_of(const struct job *job, uint64_t key)
{
    return (uint32_t)(key % job->per_page) * job->record_bytes;
}

/* ---------------------------------------------------------------- operations */

static int do_read(struct thread *thread, uint64_t key)
{
    struct job *job = thread->job;
    struct keel_page page;
    int rc = keel_read(thread->ctx, job->store, page_of(job, key), 0, &page);

    if (rc)
        return rc;
    memcpy(thread->record, (const uint8_t *)page.data + place_of(job, key), job->record_bytes);
    keel_page_unfix(&page);
    return check_record(job, key, thread->record);
}

/* With read: takes what is there into account, as read-modify-write does. */
static int try_update(struct thread *thread, uint64_t key, bool read)
{
    struct job *job = thread->job;
    struct keel_tx *tx;
    const void *data;
    struct head head = {0};

    int rc = keel_tx_begin(thread->ctx, job->store, NULL, &tx);
    if (rc)
        return rc;
    if (read) {
        rc = keel_tx_page(tx, page_of(job, key), &data);
        if (rc == 0) {
            memcpy(thread->record, (const uint8_t *)data + place_of(job, key), job->record_bytes);
            rc = check_record(job, key, thread->record);
            memcpy(&head, thread->record, sizeof(head));
        }
    }
    if (rc == 0) {
        make_record(job, &thread->prng, key, head.version + 1, thread->record);
        rc = keel_tx_write(tx, page_of(job, key), place_of(job, key), thread->record,
                           job->record_bytes);
    }
    if (rc == 0)
        return keel_tx_commit(tx, NULL);
    keel_tx_abort(tx);
    return rc;
}

static int do_update(struct thread *thread, uint64_t key, bool read)
{
    for (;;) {
        int rc = try_update(thread, key, read);
        if (!rc || keel_err_class(rc) != KEEL_CLASS_RETRY)
            return rc;
        sched_yield(); /* the log is full, which a checkpoint of another thread ends */
    }
}

static int do_one(struct thread *thread, bool measured)
{
    struct job *job = thread->job;
    enum bench_workload workload = job->options->workload;
    uint64_t key = dist_next(&job->dist, &thread->prng);
    bool read = prng_below(&thread->prng, 100) < ycsb_read_percent(workload);
    uint64_t begin = clock_now_ns();
    int rc = read ? do_read(thread, key) : do_update(thread, key, workload == BENCH_YCSB_F);

    if (measured)
        hist_record(read ? &thread->reads : &thread->updates, clock_now_ns() - begin);
    return rc;
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    struct job *job = thread->job;
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = job->options->method;
    int rc = keel_ctx_open(&options, &thread->ctx);
    bench_crew_begin(&job->crew);
    while (!rc && bench_crew_running(&job->crew)) {
        rc = do_one(thread, bench_crew_measuring(&job->crew));
        if (!rc)
            atomic_fetch_add_explicit(&thread->ops, 1, memory_order_relaxed);
    }
    bench_crew_end(&job->crew, rc);
    keel_ctx_close(thread->ctx);
    return NULL;
}

/* ---------------------------------------------------------------- one round */

static void take_reading(void *arg, struct bench_reading *ret)
{
    struct job *job = arg;
    struct keel_ctx_stats stats;

    bench_read_store(job->store, ret);
    for (uint32_t i = 0; i < job->options->threads; i++) {
        keel_ctx_stats(job->threads[i].ctx, &stats);
        ret->enters += stats.enters;
        ret->ops += atomic_load_explicit(&job->threads[i].ops, memory_order_relaxed);
    }
}

static int run_threads(struct job *job, struct thread *threads)
{
    static struct hist round;
    uint32_t count = job->options->threads;

    job->threads = threads;
    bench_crew_init(&job->crew, count);
    for (uint32_t i = 0; i < count; i++) {
        struct thread *thread = &threads[i];
        thread->job = job;
        prng_seed(&thread->prng, job->report->ours.count * BENCH_THREADS_MAX + i + 1);
        hist_init(&thread->reads);
        hist_init(&thread->updates);
        int rc = pthread_create(&thread->id, NULL, thread_main, thread);
        KEEL_ASSERT(rc == 0); /* 128 threads at most; there is no way on without one of them */
    }
    bench_crew_measure(&job->crew, job->options->seconds, job->report, take_reading, job);
    hist_init(&round);
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        hist_merge(&job->reads, &threads[i].reads);
        hist_merge(&job->updates, &threads[i].updates);
        hist_merge(&round, &threads[i].reads);
        hist_merge(&round, &threads[i].updates);
    }
    int error = bench_crew_fini(&job->crew);
    if (error)
        return error;
    job->report->ours.rounds[job->report->ours.count - 1].lat = bench_lat_of(&round);
    hist_merge(&job->report->latency, &round);
    return 0;
}

static int ycsb_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct thread *threads = mem_alloc(run->options->threads * sizeof(*threads));
    int rc = threads ? run_threads(job, threads) : -ENOMEM;

    mem_free(threads);
    path_report_fill(&job->report->path, job->ctx, keel_store_wal(job->store));
    return rc ? cli_error(run->options->command, "an operation", rc, NULL) : 0;
}

/* ---------------------------------------------------------------- loading */

/* One transaction: pages from `first` on, with their records. */
static int load_some(struct job *job, struct prng *prng, uint64_t first)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    uint64_t end = first + LOAD_PAGES < job->page_count ? first + LOAD_PAGES : job->page_count;
    uint8_t record[RECORD_MAX];
    struct keel_tx *tx;

    options.log_bytes = LOAD_BYTES;
    int rc = keel_tx_begin(job->ctx, job->store, &options, &tx);
    if (rc)
        return rc;
    for (uint64_t at = first; rc == 0 && at < end; at++) {
        rc = keel_tx_alloc(tx, &job->pages[at]);
        uint64_t key = at * job->per_page;
        for (uint32_t i = 0; rc == 0 && i < job->per_page && key < job->records; i++, key++) {
            make_record(job, prng, key, 1, record);
            rc = keel_tx_write(tx, job->pages[at], place_of(job, key), record, job->record_bytes);
        }
    }
    if (rc == 0)
        return keel_tx_commit(tx, NULL);
    keel_tx_abort(tx);
    return rc;
}

static int load(struct job *job)
{
    struct prng prng;
    int rc = 0;

    prng_seed(&prng, 1);
    for (uint64_t at = 0; rc == 0 && at < job->page_count; at += LOAD_PAGES) {
        if (at % (LOAD_PAGES * 64) == 0)
            cli_progress("loading: %u%%", (unsigned)(100 * at / job->page_count));
        rc = load_some(job, &prng, at);
    }
    return rc ? rc : keel_checkpoint(job->ctx, job->store);
}

static int open_store(struct bench_run *run, struct job *job)
{
    const struct bench_options *config = run->options;
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};
    char path[600];

    ctx.method = options.method = config->method;
    options.sync = config->sync;
    options.log_bytes = config->log_bytes;
    options.cache_bytes = config->cache_bytes;
    snprintf(path, sizeof(path), "%s/store", run->folder);
    int rc = keel_ctx_open(&ctx, &job->ctx);
    if (rc)
        return cli_error(config->command, "opening a context", rc, NULL);
    rc = keel_open(job->ctx, path, &options, &info, &job->store);
    if (rc) {
        keel_ctx_close(job->ctx);
        return cli_error(config->command, config->path, rc, &info);
    }
    rc = load(job);
    if (rc == 0)
        return 0;
    cli_error(config->command, "loading", rc, NULL);
    keel_ignore(keel_close(job->ctx, job->store), "the first error is reported");
    keel_ctx_close(job->ctx);
    return CLI_FAILED;
}

static int ycsb_begin(struct bench_run *run)
{
    const struct bench_options *options = run->options;
    struct job *job = mem_alloc(sizeof(*job));
    int rc = 0;

    if (!job)
        return cli_error(options->command, "job", -ENOMEM, NULL);
    job->options = options;
    job->report = run->report;
    job->record_bytes = (uint32_t)options->record_bytes;
    if (job->record_bytes < sizeof(struct head))
        rc = cli_usage(options->command, "--record is less than the %zu bytes of key and checksum",
                       sizeof(struct head));
    job->per_page = rc ? 1 : PAGE_USER / job->record_bytes;
    job->records = ycsb_records(options);
    job->page_count = (job->records + job->per_page - 1) / job->per_page;
    hist_init(&job->reads);
    hist_init(&job->updates);
    dist_init(&job->dist, job->records, options->zipf);
    job->pages = mem_alloc(job->page_count * sizeof(*job->pages));
    if (rc == 0)
        rc =
            job->pages ? open_store(run, job) : cli_error(options->command, "pages", -ENOMEM, NULL);
    if (rc) {
        mem_free(job->pages);
        mem_free(job);
        return rc;
    }
    run->state = job;
    return 0;
}

static void ycsb_end(struct bench_run *run)
{
    struct job *job = run->state;
    struct keel_pagecache_stats cache;

    keel_pagecache_counters(keel_store_cache(job->store), &cache);
    run->report->extra = json_pack(
        "{s:I,s:o,s:o,s:f}", "records", (json_int_t)job->records, "read_lat_ns",
        cli_lat_json(&job->reads), "update_lat_ns", cli_lat_json(&job->updates), "hit_rate",
        (double)cache.hits / (double)(cache.hits + cache.misses ? cache.hits + cache.misses : 1));
    int rc = keel_close(job->ctx, job->store);
    if (rc)
        cli_error(run->options->command, "closing the store", rc, NULL);
    keel_ctx_close(job->ctx);
    mem_free(job->pages);
    mem_free(job);
}

static void print_side(const char *name, const json_t *lat)
{
    char ns[3][16];

    if (!json_is_object(lat))
        return;
    printf("%-8s p50 %-9s p99 %-9s p99.9 %-9s\n", name,
           cli_ns((uint64_t)json_integer_value(json_object_get(lat, "p50")), ns[0]),
           cli_ns((uint64_t)json_integer_value(json_object_get(lat, "p99")), ns[1]),
           cli_ns((uint64_t)json_integer_value(json_object_get(lat, "p999")), ns[2]));
}

static void ycsb_print(const struct bench_options *options, const struct bench_report *report)
{
    (void)options;
    print_side("reads", json_object_get(report->extra, "read_lat_ns"));
    print_side("updates", json_object_get(report->extra, "update_lat_ns"));
    printf("hits in the page cache, loading included: %.1f%%\n",
           100 * json_real_value(json_object_get(report->extra, "hit_rate")));
}

static uint64_t ycsb_bytes(const struct bench_options *options)
{
    return options->record_bytes;
}

uint64_t ycsb_records(const struct bench_options *options)
{
    uint64_t records = options->data_bytes / options->record_bytes;

    return records ? records : 1;
}

static const struct bench_peer peers[] = {{"rocksdb", peer_rocksdb_ycsb}, {NULL, NULL}};

const struct bench_job bench_job_ycsb = {
    .name = "ycsb",
    .summary = "the workloads A, B, C and F of YCSB over pages of a store",
    .unit = "operation",
    .takes = BENCH_THREADS | BENCH_RECORD | BENCH_SYNC | BENCH_METHOD | BENCH_LOG | BENCH_CACHE |
             BENCH_DATA | BENCH_DIST | BENCH_WORKLOAD,
    .defaults = {.threads = 8,
                 .record_bytes = 1000,
                 .log_bytes = 256u << 20,
                 .cache_bytes = 64u << 20,
                 .data_bytes = 256u << 20,
                 .zipf = 0.99},
    .record_max = RECORD_MAX,
    .peers = peers,
    .begin = ycsb_begin,
    .round = ycsb_round,
    .end = ycsb_end,
    .print = ycsb_print,
    .op_bytes = ycsb_bytes,
};
