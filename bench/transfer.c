/*
 * The jobs `nop`, `read` and `write`: T threads, each with a context of its own and D requests in
 * flight, at random places of one file or device, or nowhere (`nop`: the software's ceiling).
 *
 * A thread's turn: hand over what is idle, at most --batch of it, then keel_ctx_poll, which waits
 * only when nothing is idle any more. The time is read once before a batch and once in the first
 * callback of a poll (bench/lib/ticks.h; of no-ops a batch begins when the last one ended), and
 * what began and ended together is recorded together, so that measuring costs little beside what is
 * measured. The main thread takes two readings of every counter (bench/lib/crew.h).
 */
#include "bench/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/prng.h"
#include "bench/lib/crew.h"
#include "bench/lib/ticks.h"
#include "tools/cli.h"

#define SAME_NONE   UINT64_MAX
#define SLOTS_SPARE 16u /* of a context, beyond the depth under test: the log's class has some */

struct thread;

struct transfer {
    struct keel_io io;     /* user: its thread */
    uint64_t begun;        /* ticks; 0: while warming up */
    struct transfer *next; /* idle */
};

struct job {
    const struct bench_options *options;
    struct bench_report *report;
    enum keel_op op;
    enum keel_want restricted; /* of the threads' rings */
    bool plain;                /* no sqpoll and no hybrid polling, whatever was asked for */
    uint64_t blocks;           /* of bs_bytes, to choose from */

    /* one round */
    struct keel_device *device;
    struct bench_crew crew;
    struct thread *threads;
};

struct thread {
    struct job *job;
    pthread_t id;
    uint64_t seed;
    struct keel_ctx *ctx;
    struct keel_arena *arena;
    struct transfer *transfers;
    struct transfer *idle;
    struct prng prng;
    struct bench_ticks rate;
    uint64_t now; /* ticks of the callbacks of the last poll; 0: there were none yet */
    /* In this poll so many in a row began in the same batch, at this time; SAME_NONE: none yet. */
    uint64_t same_count, same_begun;
    uint64_t done; /* callbacks run */
    int error;
    _Atomic uint64_t ops; /* done, as the main thread sees it */
    struct path_report path;
    struct hist latency; /* of what began and ended while measuring */
};

const char *transfer_path(const struct bench_run *run, char buf[600])
{
    if (run->folder[0] == '\0')
        snprintf(buf, 600, "%s", run->options->path);
    else
        snprintf(buf, 600, "%s/data", run->folder);
    return buf;
}

/* ---------------------------------------------------------------- the load */

static void record_same(struct thread *thread)
{
    if (thread->same_begun != SAME_NONE && thread->same_begun != 0)
        hist_record_many(&thread->latency,
                         bench_ticks_ns(&thread->rate, thread->now - thread->same_begun),
                         thread->same_count);
    thread->done += thread->same_count;
    thread->same_count = 0;
    thread->same_begun = SAME_NONE;
}

/* What comes next began at another time. */
__attribute__((noinline)) static void begin_same(struct thread *thread, uint64_t begun)
{
    if (thread->now == 0)
        thread->now = clock_ticks();
    record_same(thread);
    thread->same_begun = begun;
}

static void transfer_done(struct keel_io *io)
{
    struct transfer *transfer = container_of(io, struct transfer, io);
    struct thread *thread = io->user;

    if (transfer->begun != thread->same_begun)
        begin_same(thread, transfer->begun);
    thread->same_count++;
    if (io->res)
        thread->error = io->res;
    transfer->next = thread->idle;
    thread->idle = transfer;
}

static void hand_over(struct thread *thread)
{
    struct job *job = thread->job;
    uint64_t now = 0;

    if (bench_crew_measuring(&job->crew)) {
        bench_ticks_settle(&thread->rate);
        now = job->op == KEEL_OP_NOP && thread->now ? thread->now : clock_ticks();
    }
    for (uint32_t i = 0; i < job->options->batch && thread->idle; i++) {
        struct transfer *transfer = thread->idle;
        if (job->op != KEEL_OP_NOP)
            transfer->io.offset_bytes =
                prng_u64(&thread->prng) % job->blocks * job->options->bs_bytes;
        transfer->begun = now;
        int rc = keel_io_submit(thread->ctx, &transfer->io);
        if (rc) {
            thread->error = rc;
            return;
        }
        thread->idle = transfer->next;
    }
}

static int prepare(struct thread *thread)
{
    const struct bench_options *options = thread->job->options;
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    uint64_t bytes = thread->job->op == KEEL_OP_NOP ? 0 : options->bs_bytes;

    ctx.method = options->method;
    ctx.iopoll = options->iopoll;
    ctx.sqpoll = thread->job->plain ? KEEL_OFF : options->sqpoll;
    ctx.hybrid = !thread->job->plain && options->hybrid;
    ctx.restricted = thread->job->restricted;
    ctx.depth = options->depth + SLOTS_SPARE;
    thread->same_begun = SAME_NONE;
    int rc = keel_ctx_open(&ctx, &thread->ctx);
    if (rc)
        return rc;
    thread->transfers = mem_alloc(options->depth * sizeof(*thread->transfers));
    rc = thread->transfers ? keel_arena_create(bytes * options->depth + (2u << 20), &thread->arena)
                           : -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < options->depth; i++) {
        struct transfer *transfer = &thread->transfers[i];
        *transfer = (struct transfer){.next = thread->idle};
        transfer->io = (struct keel_io){.device = thread->job->device,
                                        .op = (uint8_t)thread->job->op,
                                        .cls = KEEL_CLASS_READ,
                                        .done = transfer_done,
                                        .user = thread};
        thread->idle = transfer;
        if (bytes == 0)
            continue;
        transfer->io.arena = thread->arena;
        transfer->io.buf = keel_arena_alloc(thread->arena, bytes);
        transfer->io.len_bytes = (uint32_t)bytes;
        for (uint64_t at = 0; at < bytes; at += sizeof(uint64_t)) {
            uint64_t value = prng_u64(&thread->prng);
            memcpy((char *)transfer->io.buf + at, &value, sizeof(value));
        }
    }
    return rc;
}

static void run_turns(struct thread *thread)
{
    struct job *job = thread->job;

    while (bench_crew_running(&job->crew) && !thread->error) {
        hand_over(thread);
        thread->now = 0;
        int rc = keel_ctx_poll(thread->ctx, 0, thread->idle ? 0 : -1);
        if (rc < 0)
            thread->error = rc;
        record_same(thread);
        atomic_store_explicit(&thread->ops, thread->done, memory_order_relaxed);
    }
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    struct job *job = thread->job;

    prng_seed(&thread->prng, thread->seed);
    int rc = prepare(thread);
    bench_crew_begin(&job->crew);
    bench_ticks_begin(&thread->rate);
    if (rc == 0)
        run_turns(thread);
    bench_crew_end(&job->crew, rc ? rc : thread->error);
    if (thread->ctx)
        path_report_fill(&thread->path, thread->ctx, NULL);
    keel_ctx_close(thread->ctx);
    if (thread->arena)
        keel_arena_destroy(thread->arena);
    mem_free(thread->transfers);
    return NULL;
}

/* ---------------------------------------------------------------- readings */

static void take_reading(void *arg, struct bench_reading *ret)
{
    struct job *job = arg;
    struct keel_ctx_stats stats;

    for (uint32_t i = 0; i < job->options->threads; i++) {
        if (!job->threads[i].ctx)
            continue;
        keel_ctx_stats(job->threads[i].ctx, &stats);
        ret->enters += stats.enters;
        ret->writes += stats.writes;
        ret->ops += atomic_load_explicit(&job->threads[i].ops, memory_order_relaxed);
    }
}

/* ---------------------------------------------------------------- one round of ours */

static int run_threads(struct job *job)
{
    static struct hist round;
    uint32_t count = job->options->threads;
    struct thread *threads = mem_alloc(count * sizeof(*threads));

    if (!threads)
        return -ENOMEM;
    job->threads = threads;
    bench_crew_init(&job->crew, count);
    for (uint32_t i = 0; i < count; i++) {
        threads[i].job = job;
        threads[i].seed = i + 1;
        hist_init(&threads[i].latency);
        int rc = pthread_create(&threads[i].id, NULL, thread_main, &threads[i]);
        KEEL_ASSERT(rc == 0); /* 128 threads at most; there is no way on without one of them */
    }
    bench_crew_measure(&job->crew, job->options->seconds, job->report, take_reading, job);
    hist_init(&round);
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        hist_merge(&round, &threads[i].latency);
    }
    int error = bench_crew_fini(&job->crew);
    struct keel_sched_options sched;
    keel_sched_get(job->device, &sched);
    job->report->path = threads[0].path;
    snprintf(job->report->path.sched, sizeof(job->report->path.sched), "%s",
             keel_sched_mode_name(sched.mode));
    mem_free(threads);
    if (error)
        return error;
    job->report->ours.rounds[job->report->ours.count - 1].lat = bench_lat_of(&round);
    hist_merge(&job->report->latency, &round);
    return 0;
}

static int transfer_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};
    struct keel_ctx *ctx;
    char path[600];

    ctx_options.method = run->options->method;
    options.read_only = job->op == KEEL_OP_READ && run->folder[0] == '\0';
    int rc = keel_ctx_open(&ctx_options, &ctx);
    if (rc)
        return cli_error(run->options->command, "opening a context", rc, NULL);
    rc = keel_device_open(ctx, transfer_path(run, path), &options, &info, &job->device);
    if (rc) {
        keel_ctx_close(ctx);
        return cli_error(run->options->command, path, rc, &info);
    }
    uint64_t bs = job->op == KEEL_OP_NOP ? KEEL_BLOCK_BYTES : run->options->bs_bytes;
    job->blocks = keel_device_info(job->device)->size_bytes / bs;
    int status = bench_profile_use(run->options, job->device);
    rc = job->blocks > 0 ? bench_sched_set(job->device, run->options->sched) : KEEL_ERANGE;
    if (rc == 0 && status == 0)
        rc = run_threads(job);
    keel_device_close(job->device);
    keel_ctx_close(ctx);
    return rc ? cli_error(run->options->command, path, rc, NULL) : status;
}

/* A round of ours that is reported as a peer's. */
static bool our_round(struct bench_run *run, struct bench_series *series)
{
    static struct bench_report report;
    struct job *job = run->state;

    report = (struct bench_report){.disk = run->report->disk};
    hist_init(&report.latency);
    job->report = &report;
    int status = transfer_round(run);
    job->report = run->report;
    if (status)
        return false;
    series->rounds[series->count++] = report.ours.rounds[0];
    return true;
}

/* On rings that take everything: what the kernel's rules cost. */
static bool peer_unrestricted(struct bench_run *run, struct bench_series *series)
{
    struct job *job = run->state;

    if (!run->report->path.restricted) {
        snprintf(series->note, sizeof(series->note), "our rings are not restricted here either");
        return false;
    }
    snprintf(series->note, sizeof(series->note), "ours, with rings that are not restricted");
    job->restricted = KEEL_OFF;
    bool good = our_round(run, series);
    job->restricted = KEEL_PREFERRED;
    return good;
}

/* Without sqpoll and hybrid polling: what they bring and cost. */
static bool peer_plain(struct bench_run *run, struct bench_series *series)
{
    struct job *job = run->state;

    if (!run->report->path.sqpoll && !run->report->path.hybrid) {
        snprintf(series->note, sizeof(series->note), "ours runs without --sqpoll and --hybrid too");
        return false;
    }
    snprintf(series->note, sizeof(series->note), "ours, without --sqpoll and --hybrid");
    job->plain = true;
    bool good = our_round(run, series);
    job->plain = false;
    return good;
}

/* ---------------------------------------------------------------- all rounds */

static int begin(struct bench_run *run, enum keel_op op)
{
    char path[600];
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    *job = (struct job){
        .options = run->options, .report = run->report, .op = op, .restricted = KEEL_PREFERRED};
    run->state = job;
    if (run->folder[0] == '\0')
        return 0;
    cli_progress("writing the file");
    uint64_t bytes = op == KEEL_OP_NOP ? 1u << 20 : run->options->data_bytes;
    int rc = bench_file_create(transfer_path(run, path), bytes);
    if (rc == 0)
        return 0;
    mem_free(job);
    return cli_error(run->options->command, path, rc, NULL);
}

static int nop_begin(struct bench_run *run)
{
    return begin(run, KEEL_OP_NOP);
}

static int read_begin(struct bench_run *run)
{
    return begin(run, KEEL_OP_READ);
}

static int write_begin(struct bench_run *run)
{
    return begin(run, KEEL_OP_WRITE);
}

static void end(struct bench_run *run)
{
    mem_free(run->state);
}

static uint64_t transfer_bytes(const struct bench_options *options)
{
    return options->bs_bytes;
}

static const struct bench_peer nop_peers[] = {{"liburing", peer_liburing_nop},
                                              {"unrestricted", peer_unrestricted},
                                              {"plain", peer_plain},
                                              {NULL, NULL}};
static const struct bench_peer read_peers[] = {
    {"fio", peer_fio_read}, {"plain", peer_plain}, {NULL, NULL}};
static const struct bench_peer write_peers[] = {
    {"fio", peer_fio_write}, {"plain", peer_plain}, {NULL, NULL}};

const struct bench_job bench_job_nop = {
    .name = "nop",
    .summary = "the software's ceiling: no-ops through scheduler and method",
    .unit = "no-op",
    .takes = BENCH_THREADS | BENCH_DEPTH | BENCH_BATCH | BENCH_METHOD | BENCH_SQPOLL | BENCH_SCHED,
    .defaults =
        {.threads = 1, .depth = 32, .batch = 32, .sqpoll = KEEL_OFF, .sched = BENCH_SCHED_ADAPTIVE},
    .peers = nop_peers,
    .begin = nop_begin,
    .round = transfer_round,
    .end = end,
    .op_bytes = transfer_bytes,
};

#define TRANSFER_TAKES                                                                  \
    (BENCH_THREADS | BENCH_DEPTH | BENCH_BS | BENCH_BATCH | BENCH_DATA | BENCH_METHOD | \
     BENCH_IOPOLL | BENCH_HYBRID | BENCH_SQPOLL | BENCH_SCHED | BENCH_PROFILE)
#define TRANSFER_DEFAULTS                                                                    \
    {                                                                                        \
        .threads = 1, .depth = 128, .batch = 32, .bs_bytes = 4096, .data_bytes = 1ull << 30, \
        .sqpoll = KEEL_OFF, .sched = BENCH_SCHED_ADAPTIVE                                    \
    }

const struct bench_job bench_job_read = {
    .name = "read",
    .summary = "random reads of a written file, or of a device",
    .unit = "read",
    .takes = TRANSFER_TAKES,
    .takes_device = true,
    .defaults = TRANSFER_DEFAULTS,
    .peers = read_peers,
    .begin = read_begin,
    .round = transfer_round,
    .end = end,
    .op_bytes = transfer_bytes,
};

const struct bench_job bench_job_write = {
    .name = "write",
    .summary = "random writes to a written file, or over a device",
    .unit = "write",
    .takes = TRANSFER_TAKES,
    .takes_device = true,
    .defaults = TRANSFER_DEFAULTS,
    .peers = write_peers,
    .begin = write_begin,
    .round = transfer_round,
    .end = end,
    .op_bytes = transfer_bytes,
};
