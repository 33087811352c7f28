/*
 * The job `mixed`: what commits take while write-back saturates the same disk.
 *
 * One thread commits small transactions of a store, each blocking until durable. Another keeps
 * --depth writes of --bs bytes in flight at random places of a file beside it, with the class
 * WRITEBACK. A round runs through the phases of PHASES in one go: commits alone, writes alone, both
 * with the scheduler off, both adaptive; the last round then repeats the last phase with other
 * weights of write-back. In each phase everything runs for SETTLE_NS before it is measured.
 *
 * "result" is the adaptive phase; idle_lat_ns and off_lat_ns are the same figure of the others, and
 * the two ratios are the rate of write-back in a phase over its rate alone. "series" has one point
 * for each SLICE_NS of the last round.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/job.h"
#include "tools/cli.h"

#define SETTLE_NS     500000000ull
#define SLICE_NS      100000000ull
#define DEPTH_MAX     64u
#define WEIGHTS_COUNT (sizeof(WEIGHTS) / sizeof(WEIGHTS[0]))
#define PHASE_COUNT   (sizeof(PHASES) / sizeof(PHASES[0]))

struct phase {
    const char *name;
    bool commits, writes;
    enum bench_sched sched;
};
enum { IDLE, ALONE, OFF, ADAPTIVE };
static const struct phase PHASES[] = {
    [IDLE] = {"idle", true, false, BENCH_SCHED_ADAPTIVE},
    [ALONE] = {"alone", false, true, BENCH_SCHED_ADAPTIVE},
    [OFF] = {"off", true, true, BENCH_SCHED_OFF},
    [ADAPTIVE] = {"adaptive", true, true, BENCH_SCHED_ADAPTIVE},
};
static const uint32_t WEIGHTS[] = {50, 100, 200, 400, 800, 1600, 3200};

/* What was seen of one phase, all rounds. */
struct seen {
    struct hist latency;
    uint64_t bytes, ns;
};

struct job {
    const struct bench_options *options;
    struct bench_report *report;
    struct keel_ctx *ctx;
    struct keel_store *store;
    struct keel_device *device;
    keel_pageno page;
    struct seen seen[PHASE_COUNT];
    json_t *series, *curve;
    uint64_t begin_ns;
    bool weights; /* the phase is one of those that change it */

    /* relaxed: the phases are long beside what a late look does */
    _Atomic int commits, writes, stop, error;
    _Atomic(struct hist *) latency; /* where commits of now are counted; NULL: nowhere */
    _Atomic uint64_t commit_count, commit_ns, bytes;
};

/* ---------------------------------------------------------------- the load */

static void nap(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};
    nanosleep(&time, NULL);
}

static void fail(struct job *job, int rc)
{
    int none = 0;

    atomic_compare_exchange_strong(&job->error, &none, rc);
}

static int commit_one(struct job *job, struct keel_ctx *ctx, uint64_t stamp)
{
    unsigned char record[128] = {0};
    struct keel_tx *tx;

    memcpy(record, &stamp, sizeof(stamp));
    int rc = keel_tx_begin(ctx, job->store, NULL, &tx);
    if (rc)
        return rc;
    rc = keel_tx_write(tx, job->page, (uint32_t)(stamp % 16 * sizeof(record)), record,
                       sizeof(record));
    if (rc) {
        keel_tx_abort(tx);
        return rc;
    }
    return keel_tx_commit(tx, NULL);
}

static void *committer(void *arg)
{
    struct job *job = arg;
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    options.method = job->options->method;
    int rc = keel_ctx_open(&options, &ctx);
    if (rc) {
        fail(job, rc);
        return NULL;
    }
    for (uint64_t stamp = 1; !atomic_load(&job->stop) && rc == 0;) {
        if (!atomic_load(&job->commits)) {
            nap(1000000);
            continue;
        }
        struct hist *latency = atomic_load(&job->latency);
        uint64_t begin = clock_now_ns();
        rc = commit_one(job, ctx, stamp);
        if (rc && keel_err_class(rc) == KEEL_CLASS_RETRY) {
            rc = 0;
            sched_yield();
            continue;
        }
        uint64_t took = clock_now_ns() - begin;
        if (latency && latency == atomic_load(&job->latency))
            hist_record(latency, took);
        atomic_fetch_add(&job->commit_count, 1);
        atomic_fetch_add(&job->commit_ns, took);
        stamp++;
    }
    if (rc)
        fail(job, rc);
    keel_ctx_close(ctx);
    return NULL;
}

struct writer {
    struct job *job;
    struct keel_ctx *ctx;
    struct prng prng;
    uint64_t blocks;
    uint32_t idle;
    int error;
    struct keel_io ios[DEPTH_MAX];
    struct keel_io *free[DEPTH_MAX];
};

static void written(struct keel_io *io)
{
    struct writer *writer = io->user;

    if (io->res)
        writer->error = io->res;
    atomic_fetch_add_explicit(&writer->job->bytes, io->len_bytes, memory_order_relaxed);
    writer->free[writer->idle++] = io;
}

static int prepare(struct writer *writer, struct keel_arena **ret)
{
    const struct bench_options *options = writer->job->options;

    int rc = keel_arena_create(options->bs_bytes * options->depth, ret);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < options->depth; i++) {
        void *buf = keel_arena_alloc(*ret, options->bs_bytes);
        memset(buf, 0x5a, options->bs_bytes);
        writer->ios[i] = (struct keel_io){.device = writer->job->device,
                                          .arena = *ret,
                                          .buf = buf,
                                          .len_bytes = (uint32_t)options->bs_bytes,
                                          .op = KEEL_OP_WRITE,
                                          .cls = KEEL_CLASS_WRITEBACK,
                                          .done = written,
                                          .user = writer};
        writer->free[writer->idle++] = &writer->ios[i];
    }
    writer->blocks = keel_device_info(writer->job->device)->size_bytes / options->bs_bytes;
    return 0;
}

static void write_on(struct writer *writer)
{
    struct job *job = writer->job;

    while (!atomic_load(&job->stop) && !writer->error) {
        if (!atomic_load(&job->writes) && writer->idle == job->options->depth) {
            nap(1000000);
            continue;
        }
        while (writer->idle > 0 && atomic_load(&job->writes)) {
            struct keel_io *io = writer->free[--writer->idle];
            io->offset_bytes = prng_u64(&writer->prng) % writer->blocks * job->options->bs_bytes;
            int rc = keel_io_submit(writer->ctx, io);
            if (rc) {
                writer->error = rc;
                break;
            }
        }
        int rc = keel_ctx_poll(writer->ctx, 0, -1);
        if (rc < 0)
            writer->error = rc;
    }
}

static void *write_back(void *arg)
{
    static struct writer writer;
    struct job *job = arg;
    struct keel_arena *arena = NULL;
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    writer = (struct writer){.job = job};
    prng_seed(&writer.prng, 1);
    options.method = job->options->method;
    int rc = keel_ctx_open(&options, &writer.ctx);
    if (rc == 0) {
        rc = prepare(&writer, &arena);
        if (rc == 0)
            write_on(&writer);
        keel_ctx_close(writer.ctx);
    }
    if (arena)
        keel_arena_destroy(arena);
    if (rc || writer.error)
        fail(job, rc ? rc : writer.error);
    return NULL;
}

/* ---------------------------------------------------------------- phases */

struct reading {
    uint64_t ns, commits, commit_ns, bytes, cpu_ns;
};

static struct reading read_all(struct job *job)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (struct reading){
        .ns = clock_now_ns(),
        .commits = atomic_load(&job->commit_count),
        .commit_ns = atomic_load(&job->commit_ns),
        .bytes = atomic_load(&job->bytes),
        .cpu_ns = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
                  (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u,
    };
}

static void add_point(struct job *job, const char *phase, const struct reading *a,
                      const struct reading *b)
{
    struct keel_sched_stats stats = {.size = sizeof(stats)};
    struct keel_sched_options sched;
    double seconds = (double)(b->ns - a->ns) / 1e9;
    uint64_t commits = b->commits - a->commits;

    int rc = keel_sched_stats(job->device, &stats);
    KEEL_ASSERT(rc == 0);
    keel_sched_get(job->device, &sched);
    json_array_append_new(
        job->series,
        json_pack(
            "{s:s,s:o,s:f,s:f,s:f,s:o,s:I}", "phase", phase, "weight",
            job->weights ? json_integer(sched.classes[KEEL_CLASS_WRITEBACK].weight) : json_null(),
            "s", (double)(b->ns - job->begin_ns) / 1e9, "commits_per_s", (double)commits / seconds,
            "writeback_bytes_per_s", (double)(b->bytes - a->bytes) / seconds, "commit_mean_ns",
            commits ? json_real((double)(b->commit_ns - a->commit_ns) / (double)commits)
                    : json_null(),
            "cap_ns", (json_int_t)stats.cap_ns));
}

/* Let it run for so long, with a point of the series for each slice. */
static void run_for(struct job *job, const char *phase, uint64_t ns, bool keep)
{
    struct reading last = read_all(job);
    uint64_t end = last.ns + ns;

    while (last.ns < end && !atomic_load(&job->error)) {
        nap(end - last.ns < SLICE_NS ? end - last.ns : SLICE_NS);
        struct reading now = read_all(job);
        if (keep)
            add_point(job, phase, &last, &now);
        last = now;
    }
}

static int run_phase(struct job *job, const struct phase *phase, uint64_t ns, struct seen *seen,
                     bool keep)
{
    int rc = bench_sched_set(job->device, phase->sched);
    if (rc)
        return rc;
    atomic_store(&job->commits, phase->commits);
    atomic_store(&job->writes, phase->writes);
    run_for(job, phase->name, SETTLE_NS, keep);
    struct reading before = read_all(job);
    atomic_store(&job->latency, &seen->latency);
    run_for(job, phase->name, ns, keep);
    atomic_store(&job->latency, NULL);
    struct reading after = read_all(job);
    seen->bytes += after.bytes - before.bytes;
    seen->ns += after.ns - before.ns;
    if (phase == &PHASES[ADAPTIVE] && seen == &job->seen[ADAPTIVE]) {
        struct bench_series *ours = &job->report->ours;
        uint64_t commits = after.commits - before.commits;
        ours->rounds[ours->count++] = (struct bench_round){
            .ops_per_s = (double)commits * 1e9 / (double)(after.ns - before.ns),
            .cpu_ns_per_op =
                commits ? (double)(after.cpu_ns - before.cpu_ns) / (double)commits : -1,
            .lat = bench_lat_of(&seen->latency)};
        job->report->counts.ops += commits;
    }
    return atomic_load(&job->error);
}

static double rate(const struct seen *seen)
{
    return seen->ns ? (double)seen->bytes * 1e9 / (double)seen->ns : 0;
}

static int run_weights(struct job *job)
{
    static struct seen seen;
    struct keel_sched_options options;

    job->weights = true;
    keel_sched_get(job->device, &options);
    uint32_t usual = options.classes[KEEL_CLASS_WRITEBACK].weight;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < WEIGHTS_COUNT; i++) {
        options.classes[KEEL_CLASS_WRITEBACK].weight = WEIGHTS[i];
        rc = keel_sched_set(job->device, &options);
        if (rc)
            break;
        seen = (struct seen){0};
        hist_init(&seen.latency);
        rc = run_phase(job, &PHASES[ADAPTIVE], 1000000000, &seen, true);
        json_array_append_new(job->curve,
                              json_pack("{s:I,s:f,s:o}", "weight", (json_int_t)WEIGHTS[i],
                                        "writeback_bytes_per_s", rate(&seen), "lat_ns",
                                        cli_lat_json(&seen.latency)));
    }
    keel_sched_get(job->device, &options);
    options.classes[KEEL_CLASS_WRITEBACK].weight = usual;
    int rc2 = keel_sched_set(job->device, &options);
    return rc ? rc : rc2;
}

static int run_phases(struct job *job, bool last)
{
    uint64_t ns = job->options->seconds * 1000000000ull;
    int rc = 0;

    job->begin_ns = clock_now_ns();
    for (size_t i = 0; rc == 0 && i < PHASE_COUNT; i++)
        rc = run_phase(job, &PHASES[i], ns, &job->seen[i], last);
    if (rc == 0 && last)
        rc = run_weights(job);
    return rc;
}

/* ---------------------------------------------------------------- one round */

static int make_page(struct job *job)
{
    struct keel_tx *tx;

    int rc = keel_tx_begin(job->ctx, job->store, NULL, &tx);
    if (rc)
        return rc;
    rc = keel_tx_alloc(tx, &job->page);
    if (rc) {
        keel_tx_abort(tx);
        return rc;
    }
    return keel_tx_commit(tx, NULL);
}

static int open_all(struct bench_run *run, struct job *job)
{
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};
    char path[600];

    ctx.method = run->options->method;
    options.method = run->options->method;
    options.log_bytes = run->options->log_bytes;
    options.cache_bytes = run->options->cache_bytes;
    options.sync = run->options->sync;
    int rc = keel_ctx_open(&ctx, &job->ctx);
    if (rc)
        return cli_error(run->options->command, "opening a context", rc, NULL);
    snprintf(path, sizeof(path), "%s/store", run->folder);
    rc = keel_open(job->ctx, path, &options, &info, &job->store);
    if (rc == 0)
        rc = make_page(job);
    if (rc == 0) {
        snprintf(path, sizeof(path), "%s/data", run->folder);
        rc = keel_device_open(job->ctx, path, &device, &info, &job->device);
    }
    if (rc)
        return cli_error(run->options->command, path, rc, &info);
    return bench_profile_use(run->options, job->device);
}

static void close_all(struct job *job)
{
    if (job->device)
        keel_device_close(job->device);
    if (job->store)
        keel_ignore(keel_close(job->ctx, job->store), "what was measured is measured");
    keel_ctx_close(job->ctx);
    job->device = NULL;
    job->store = NULL;
    job->ctx = NULL;
}

static int mixed_round(struct bench_run *run)
{
    struct job *job = run->state;
    bool last = job->report->ours.count + 1 == run->options->rounds;
    pthread_t threads[2];

    int rc = open_all(run, job);
    if (rc) {
        close_all(job);
        return rc;
    }
    atomic_store(&job->stop, 0);
    atomic_store(&job->commits, 0);
    atomic_store(&job->writes, 0);
    rc = pthread_create(&threads[0], NULL, committer, job);
    KEEL_ASSERT(rc == 0);
    rc = pthread_create(&threads[1], NULL, write_back, job);
    KEEL_ASSERT(rc == 0);
    rc = run_phases(job, last);
    atomic_store(&job->stop, 1);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    path_report_fill(&run->report->path, job->ctx, keel_store_wal(job->store));
    close_all(job);
    rc = rc ? rc : atomic_load(&job->error);
    return rc ? cli_error(run->options->command, "mixed", rc, NULL) : 0;
}

/* ---------------------------------------------------------------- all rounds */

static int mixed_begin(struct bench_run *run)
{
    char path[600];
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    *job = (struct job){.options = run->options, .report = run->report};
    for (size_t i = 0; i < PHASE_COUNT; i++)
        hist_init(&job->seen[i].latency);
    job->series = json_array();
    job->curve = json_array();
    run->state = job;
    cli_progress("writing the file");
    snprintf(path, sizeof(path), "%s/data", run->folder);
    int rc = run->options->depth > DEPTH_MAX ? KEEL_ERANGE
                                             : bench_file_create(path, run->options->data_bytes);
    if (rc == 0)
        return 0;
    mem_free(job);
    return cli_error(run->options->command, path, rc, NULL);
}

static void mixed_end(struct bench_run *run)
{
    struct job *job = run->state;
    double alone = rate(&job->seen[ALONE]);

    hist_merge(&run->report->latency, &job->seen[ADAPTIVE].latency);
    run->report->extra = json_pack(
        "{s:o,s:o,s:f,s:f,s:f,s:o,s:o}", "idle_lat_ns", cli_lat_json(&job->seen[IDLE].latency),
        "off_lat_ns", cli_lat_json(&job->seen[OFF].latency), "writeback_ratio",
        alone > 0 ? rate(&job->seen[ADAPTIVE]) / alone : 0, "off_writeback_ratio",
        alone > 0 ? rate(&job->seen[OFF]) / alone : 0, "writeback_alone_bytes_per_s", alone,
        "weights", job->curve, "series", job->series);
    mem_free(job);
}

static void print_line(const char *name, const json_t *lat, const json_t *idle)
{
    static const char *const keys[] = {"p50", "p99", "p999"};
    char ns[16];

    printf("%-16s", name);
    for (unsigned i = 0; i < 3; i++) {
        double value = json_number_value(json_object_get(lat, keys[i]));
        double base = json_number_value(json_object_get(idle, keys[i]));
        printf(" %s %s (%.2fx)", keys[i], cli_ns((uint64_t)value, ns), base > 0 ? value / base : 0);
    }
}

static void mixed_print(const struct bench_options *options, const struct bench_report *report)
{
    const json_t *idle = json_object_get(report->extra, "idle_lat_ns");
    json_t *adaptive = cli_lat_json(&report->latency);
    size_t i;
    json_t *point;

    printf("%u writes of %llu bytes in flight; alone %.0f MB/s\n", options->depth,
           (unsigned long long)options->bs_bytes,
           json_number_value(json_object_get(report->extra, "writeback_alone_bytes_per_s")) / 1e6);
    print_line("idle", idle, idle);
    printf("\n");
    print_line("off", json_object_get(report->extra, "off_lat_ns"), idle);
    printf(" write-back %.2f\n",
           json_number_value(json_object_get(report->extra, "off_writeback_ratio")));
    print_line("adaptive", adaptive, idle);
    printf(" write-back %.2f\n",
           json_number_value(json_object_get(report->extra, "writeback_ratio")));
    json_array_foreach(json_object_get(report->extra, "weights"), i, point)
    {
        char name[32];
        snprintf(name, sizeof(name), "weight %lld",
                 (long long)json_integer_value(json_object_get(point, "weight")));
        print_line(name, json_object_get(point, "lat_ns"), idle);
        printf(" %.0f MB/s\n",
               json_number_value(json_object_get(point, "writeback_bytes_per_s")) / 1e6);
    }
    json_decref(adaptive);
}

const struct bench_job bench_job_mixed = {
    .name = "mixed",
    .summary = "commits while write-back saturates the disk: idle, off and adaptive",
    .unit = "commit",
    .takes = BENCH_DEPTH | BENCH_BS | BENCH_DATA | BENCH_METHOD | BENCH_SYNC | BENCH_LOG |
             BENCH_CACHE | BENCH_PROFILE,
    .defaults = {.threads = 1,
                 .depth = 8,
                 .bs_bytes = 131072,
                 .data_bytes = 1ull << 30,
                 .log_bytes = 256u << 20,
                 .cache_bytes = 64u << 20},
    .begin = mixed_begin,
    .round = mixed_round,
    .end = mixed_end,
    .print = mixed_print,
};
