/*
 * The job `append`: what appending to the log costs, without writing or syncing.
 *
 * Bursts that fit the log buffer: in a burst T threads append records, each a group of its own, as
 * fast as they can, and nothing is sealed; the time is that of the slowest thread. Between bursts
 * the log is made durable and truncated, which is not counted. Beside it the checksum of a record's
 * payload, and a bare copy of it, as what nobody can do without.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "bench/lib/malloc_count.h"
#include "bench/log_file.h"
#include "tools/cli.h"

#define NAME         "append.wal"
#define BUFFER_BYTES (32u << 20)
#define BURST_BYTES  (24u << 20) /* of log, all threads together */
#define LOG_BYTES    (256u << 20)
#define CREDIT_BYTES (2u << 20)
#define THREADS_MAX  16u
#define RECORD_MAX   65536u
#define NS_PER_S     1000000000ull

struct job;

struct thread {
    struct job *job;
    pthread_t id;
    uint64_t count; /* records of a burst */
    uint64_t ns;    /* of the last burst */
    keel_lsn end;
    int error;
};

struct job {
    const struct bench_options *options;
    struct log_file log;
    uint32_t thread_count;
    struct thread threads[THREADS_MAX];
    pthread_barrier_t gate;
    _Atomic int stop;
    uint64_t ops, ns, allocations; /* of the round */
};

/* ---------------------------------------------------------------- bursts */

static int burst(struct thread *thread, const uint8_t *data)
{
    struct keel_wal *wal = thread->job->log.wal;
    struct iovec part = {(void *)(uintptr_t)data, thread->job->options->record_bytes};
    struct keel_wal_record record = {&part, 1, 1};
    struct keel_wal_credit credit = {0};
    uint32_t mark = keel_wal_mark(wal);
    keel_lsn lsn;
    int rc = 0;

    for (uint64_t i = 0; i < thread->count && rc == 0; i++) {
        rc = keel_wal_append(wal, &credit, mark, &record, 1, &lsn, &thread->end);
        if (rc == KEEL_ELOGFULL) { /* a credit covers the worst case: whole blocks */
            rc = keel_wal_credit_take(wal, &credit, CREDIT_BYTES);
            i--;
        }
    }
    keel_wal_credit_put(wal, &credit);
    return rc;
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    struct job *job = thread->job;
    uint8_t *data = mem_alloc(job->options->record_bytes);

    thread->error = data ? 0 : -ENOMEM;
    for (;;) {
        pthread_barrier_wait(&job->gate); /* begin */
        if (atomic_load(&job->stop))
            break;
        uint64_t begin = clock_now_ns();
        if (thread->error == 0)
            thread->error = burst(thread, data);
        thread->ns = clock_now_ns() - begin;
        pthread_barrier_wait(&job->gate); /* done */
    }
    mem_free(data);
    return NULL;
}

/* Everything durable, and the log empty again. */
static int drain(struct job *job)
{
    struct keel_wal *wal = job->log.wal;
    keel_lsn cut = keel_wal_cut(wal);

    int rc = keel_wal_commit(wal, cut);
    return rc ? rc : keel_wal_truncate(job->log.ctx, wal, cut);
}

static int one_burst(struct job *job)
{
    uint64_t slowest = 0;
    int rc = 0;

    pthread_barrier_wait(&job->gate);
    pthread_barrier_wait(&job->gate);
    for (uint32_t i = 0; i < job->thread_count; i++) {
        const struct thread *thread = &job->threads[i];

        slowest = thread->ns > slowest ? thread->ns : slowest;
        job->ops += thread->count;
        rc = rc ? rc : thread->error;
    }
    job->ns += slowest;
    return rc ? rc : drain(job);
}

/* ---------------------------------------------------------------- rounds */

/* Nanoseconds that the checksum of a payload takes, and its copy. */
static double time_each(const struct job *job, bool sum)
{
    enum { TIMES = 200000 };
    uint64_t len = job->options->record_bytes;
    uint8_t *data = mem_alloc(2 * len);
    volatile uint32_t sink = 0;

    if (!data)
        return -1;
    uint64_t begin = clock_now_ns();
    for (uint32_t i = 0; i < TIMES; i++) {
        data[0] = (uint8_t)i;
        if (sum)
            sink = crc32c(sink, data, len);
        else {
            memcpy(data + len, data, len);
            __asm__ volatile("" ::: "memory");
        }
    }
    double ns = (double)(clock_now_ns() - begin) / TIMES;
    mem_free(data);
    return ns;
}

static int append_begin(struct bench_run *run)
{
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    run->state = job;
    job->options = run->options;
    job->thread_count = run->options->threads;
    options.buffer_bytes = BUFFER_BYTES;
    int rc = job->thread_count > THREADS_MAX
                 ? cli_fail(run->options->command, "--threads: at most %u here", THREADS_MAX)
                 : log_file_create(run, NAME, LOG_BYTES);
    if (rc == 0)
        rc = log_file_open(run, NAME, &options, &job->log);
    if (rc == 0)
        rc = log_file_start(&job->log);
    if (rc) {
        keel_ignore(log_file_close(&job->log), "the first error is reported");
        mem_free(job);
        return rc;
    }
    path_report_fill(&run->report->path, job->log.ctx, job->log.wal);
    run->report->extra =
        json_pack("{s:f,s:f}", "crc_ns", time_each(job, true), "copy_ns", time_each(job, false));
    return 0;
}

static void append_end(struct bench_run *run)
{
    struct job *job = run->state;

    keel_ignore(log_file_close(&job->log), "nothing in it matters");
    mem_free(job);
}

static int run_bursts(struct job *job)
{
    uint64_t until = clock_now_ns() + job->options->seconds * NS_PER_S;
    int rc = one_burst(job); /* warms up */

    job->ops = 0;
    job->ns = 0;
    job->allocations = malloc_count();
    while (rc == 0 && clock_now_ns() < until)
        rc = one_burst(job);
    job->allocations = malloc_count() - job->allocations;
    return rc;
}

static int append_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct bench_series *ours = &run->report->ours;
    uint64_t each = (KEEL_WAL_RECORD_HEADER + job->options->record_bytes + 7) / 8 * 8;
    uint64_t cpu = log_cpu_ns();
    uint32_t started = 0;
    int rc = 0;

    atomic_store(&job->stop, 0);
    pthread_barrier_init(&job->gate, NULL, job->thread_count + 1);
    for (; started < job->thread_count; started++) {
        struct thread *thread = &job->threads[started];

        *thread = (struct thread){.job = job, .count = BURST_BYTES / each / job->thread_count};
        rc = pthread_create(&thread->id, NULL, thread_main, thread);
        KEEL_ASSERT(rc == 0); /* a few threads; there is no way on without one of them */
    }
    rc = run_bursts(job);
    atomic_store(&job->stop, 1);
    pthread_barrier_wait(&job->gate);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(job->threads[i].id, NULL);
    pthread_barrier_destroy(&job->gate);
    if (rc)
        return cli_error(run->options->command, "append", rc, NULL);

    double ns = (double)job->ns;
    ours->rounds[ours->count++] =
        (struct bench_round){.ops_per_s = (double)job->ops * 1e9 / ns,
                             .cpu_ns_per_op = (double)(log_cpu_ns() - cpu) / (double)job->ops};
    run->report->counts.ops += job->ops;
    run->report->counts.allocations += job->allocations;
    run->report->counts.allocation_ops += job->ops;
    json_object_set_new(run->report->extra, "append_ns",
                        json_real(1e9 / bench_median_ops(ours) * job->thread_count));
    return 0;
}

static void append_print(const struct bench_options *options, const struct bench_report *report)
{
    (void)options;
    printf(
        "an append takes a thread %.1f ns; the checksum of its payload %.1f ns, a bare copy %.1f "
        "ns\n",
        json_number_value(json_object_get(report->extra, "append_ns")),
        json_number_value(json_object_get(report->extra, "crc_ns")),
        json_number_value(json_object_get(report->extra, "copy_ns")));
}

static uint64_t append_bytes(const struct bench_options *options)
{
    return options->record_bytes;
}

static const struct bench_peer peers[] = {{NULL, NULL}};

const struct bench_job bench_job_append = {
    .name = "append",
    .summary = "appending to the log, nothing written or synced meanwhile",
    .unit = "append",
    .takes = BENCH_THREADS | BENCH_RECORD | BENCH_METHOD,
    .defaults = {.threads = 1, .record_bytes = 128},
    .record_max = RECORD_MAX,
    .peers = peers,
    .begin = append_begin,
    .round = append_round,
    .end = append_end,
    .print = append_print,
    .op_bytes = append_bytes,
};
