/*
 * The job `acommit`: one thread appends records to a bare log and commits each of them
 * asynchronously, a window of them outstanding; then it is killed, and what it had been told is
 * durable is looked for.
 *
 * A round: a child process opens the log, appends and commits until the time is up, taking readings
 * in shared memory, and dies by SIGKILL in the middle of it. The parent opens the log, which ends
 * where the child's last write ended, and reads every record that was not truncated: they are
 * numbered, so one that is missing, twice there or changed shows. Fewer than were acknowledged is a
 * failed run.
 *
 * Latencies are of every SAMPLE-th commit: append to callback.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/endian.h"
#include "base/mem.h"
#include "bench/log_file.h"
#include "tools/cli.h"

#define NAME         "acommit.wal"
#define WINDOW       65536u /* commits outstanding at most */
#define SAMPLE       64u
#define POLL_EVERY   1024u /* appends */
#define CREDIT_BYTES (2u << 20)
#define RECORD_MAX   65536u
#define RECORD_MIN   16u
#define NS_PER_S     1000000000ull

/* What the child leaves behind. */
struct shared {
    _Atomic uint64_t acked;     /* records 1 to acked were reported durable */
    _Atomic uint64_t truncated; /* records up to it may be gone from the log */
    _Atomic int measured;       /* 1: the readings below are there */
    uint64_t ops, ns, cpu_ns;
    struct keel_wal_stats before, after;
    uint64_t enters;
    struct path_report path;
    struct hist latency;
    int error;
};

/* Of all rounds. */
struct totals {
    uint64_t ns, writes, bytes, padding, verified;
};

struct load {
    const struct bench_options *options;
    struct shared *shared;
    struct log_file log;
    struct keel_wal_credit credit;
    uint64_t appended, answered;
    uint64_t truncate_at; /* log bytes in use */
    uint8_t *record;
    struct keel_commit *commits; /* WINDOW of them: number n is at n % WINDOW */
    uint64_t *begun;             /* of every SAMPLE-th; 0: not measured */
    bool measuring;
    int error;
};

/* ---------------------------------------------------------------- the child */

static void answered(struct keel_commit *commit)
{
    struct load *load = commit->user;

    if (commit->res) {
        load->error = commit->res;
        return;
    }
    uint64_t number = ++load->answered;
    if (number % SAMPLE == 0 && load->begun[number % WINDOW / SAMPLE])
        hist_record(&load->shared->latency, clock_now_ns() - load->begun[number % WINDOW / SAMPLE]);
}

/* Everything that is durable may go: the log is used as a ring. */
static int truncate_log(struct load *load)
{
    keel_lsn cut = keel_wal_cut(load->log.wal);

    atomic_store(&load->shared->truncated, load->appended);
    while (load->answered < load->appended && !load->error) {
        int rc = keel_ctx_poll(load->log.ctx, 0, -1);
        if (rc < 0)
            return rc;
    }
    atomic_store(&load->shared->acked, load->answered);
    return load->error ? load->error : keel_wal_truncate(load->log.ctx, load->log.wal, cut);
}

static int more_credit(struct load *load)
{
    int rc = keel_wal_credit_take(load->log.wal, &load->credit, CREDIT_BYTES);
    if (rc != KEEL_ELOGFULL)
        return rc;
    rc = truncate_log(load);
    return rc ? rc : keel_wal_credit_take(load->log.wal, &load->credit, CREDIT_BYTES);
}

static int append_one(struct load *load)
{
    uint64_t number = load->appended + 1;
    struct keel_commit *commit = &load->commits[number % WINDOW];
    struct iovec part = {load->record, load->options->record_bytes};
    struct keel_wal_record record = {&part, 1, 1};
    keel_lsn lsn;
    int rc;

    store_le64(load->record, number);
    store_le64(load->record + part.iov_len - 8, ~number);
    if (number % SAMPLE == 0)
        load->begun[number % WINDOW / SAMPLE] = load->measuring ? clock_now_ns() : 0;
    do {
        rc = keel_wal_append(load->log.wal, &load->credit, keel_wal_mark(load->log.wal), &record, 1,
                             &lsn, &commit->lsn);
        if (rc == KEEL_ELOGFULL)
            rc = more_credit(load);
        else
            break;
    } while (rc == 0);
    if (rc)
        return rc;
    load->appended = number;
    return keel_wal_commit_async(load->log.ctx, load->log.wal, commit);
}

/* Take answers in; wait for some while the window is full. */
static int take_answers(struct load *load)
{
    do {
        bool full = load->appended - load->answered >= WINDOW - POLL_EVERY;
        int rc = keel_ctx_poll(load->log.ctx, 0, full ? -1 : 0);
        if (rc < 0)
            return rc;
    } while (load->appended - load->answered >= WINDOW - POLL_EVERY && !load->error);
    atomic_store_explicit(&load->shared->acked, load->answered, memory_order_relaxed);
    return load->error;
}

static int run_for(struct load *load, uint64_t ns)
{
    uint64_t end = clock_now_ns() + ns;

    while (clock_now_ns() < end) {
        for (uint32_t i = 0; i < POLL_EVERY; i++) {
            int rc = append_one(load);
            if (rc)
                return rc;
        }
        int rc = take_answers(load);
        if (rc)
            return rc;
    }
    return 0;
}

static uint64_t enters(struct load *load)
{
    struct keel_ctx_stats own, log;

    keel_ctx_stats(load->log.ctx, &own);
    keel_ctx_stats(keel_wal_ctx(load->log.wal), &log);
    return own.enters + log.enters;
}

static int measure(struct load *load)
{
    struct shared *shared = load->shared;

    int rc = run_for(load, NS_PER_S / 4);
    if (rc)
        return rc;
    load->measuring = true;
    keel_wal_stats(load->log.wal, &shared->before);
    uint64_t ops = load->answered, cpu = log_cpu_ns(), begin = clock_now_ns();
    uint64_t entered = enters(load);
    rc = run_for(load, load->options->seconds * NS_PER_S);
    shared->ns = clock_now_ns() - begin;
    shared->cpu_ns = log_cpu_ns() - cpu;
    shared->ops = load->answered - ops;
    shared->enters = enters(load) - entered;
    keel_wal_stats(load->log.wal, &shared->after);
    path_report_fill(&shared->path, load->log.ctx, load->log.wal);
    atomic_store(&shared->measured, 1);
    return rc;
}

/* Never returns 0: it is killed. */
static int child(struct bench_run *run, struct shared *shared)
{
    static struct load load;
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;

    load.options = run->options;
    load.shared = shared;
    load.record = mem_alloc(run->options->record_bytes);
    load.commits = mem_alloc(WINDOW * sizeof(*load.commits));
    load.begun = mem_alloc(WINDOW / SAMPLE * sizeof(*load.begun));
    if (!load.record || !load.commits || !load.begun)
        return -ENOMEM;
    for (uint32_t i = 0; i < WINDOW; i++)
        load.commits[i] = (struct keel_commit){.done = answered, .user = &load};
    options.sync = run->options->sync;
    options.inflight_max = run->options->depth;
    options.batch_bytes_max = (uint32_t)run->options->bs_bytes;
    options.pipeline_bytes = options.batch_bytes_max;
    int rc = log_file_open(run, NAME, &options, &load.log);
    if (rc)
        return rc;
    rc = keel_wal_truncate(load.log.ctx, load.log.wal, keel_wal_report(load.log.wal)->end_lsn);
    if (rc == 0)
        rc = keel_wal_start(load.log.ctx, load.log.wal);
    if (rc == 0)
        rc = measure(&load);
    if (rc == 0)
        rc = run_for(&load, NS_PER_S / 20);
    if (rc == 0)
        kill(getpid(), SIGKILL);
    return rc;
}

/* ---------------------------------------------------------------- what is there afterwards */

struct found {
    uint64_t first, last, count;
    bool wrong; /* a gap, a repetition, or other bytes */
};

static int look(void *arg, const struct keel_wal_entry *entry)
{
    struct found *found = arg;
    const uint8_t *data = entry->data;
    uint64_t number = entry->len >= RECORD_MIN ? load_le64(data) : 0;

    if (number == 0 || load_le64(data + entry->len - 8) != ~number)
        found->wrong = true;
    if (found->count > 0 && number != found->last + 1)
        found->wrong = true;
    if (found->count == 0)
        found->first = number;
    found->last = number;
    found->count++;
    return 0;
}

static int verify(struct bench_run *run, const struct shared *shared)
{
    struct log_file log;
    struct found found = {0};
    uint64_t acked = atomic_load(&shared->acked), truncated = atomic_load(&shared->truncated);
    const char *command = run->options->command;

    int rc = log_file_open(run, NAME, NULL, &log);
    if (rc)
        return rc;
    int replayed = keel_wal_replay(log.ctx, log.wal, 0, look, &found);
    if (replayed)
        rc = cli_error(command, log.path, replayed, NULL);
    else if (found.wrong || found.last < acked || found.first > truncated + 1)
        rc = cli_fail(command,
                      "records %llu to %llu were found where 1 to %llu were acknowledged and up to "
                      "%llu given up%s",
                      (unsigned long long)found.first, (unsigned long long)found.last,
                      (unsigned long long)acked, (unsigned long long)truncated,
                      found.wrong ? "; some are changed or not in order" : "");
    int closed = log_file_close(&log);
    ((struct totals *)run->state)->verified += found.count;
    return rc ? rc : closed;
}

/* ---------------------------------------------------------------- rounds */

static void add_round(struct bench_run *run, const struct shared *shared)
{
    struct bench_report *report = run->report;
    struct bench_round *round = &report->ours.rounds[report->ours.count++];
    const struct keel_wal_stats *a = &shared->before, *b = &shared->after;
    struct totals *totals = run->state;

    totals->ns += shared->ns;
    totals->writes += b->writes - a->writes;
    totals->bytes += b->block_bytes - a->block_bytes;
    totals->padding += b->padding_bytes - a->padding_bytes;
    double bytes = totals->bytes ? (double)totals->bytes : 1;
    double writes = totals->writes ? (double)totals->writes : 1;

    *round = (struct bench_round){
        .ops_per_s = (double)shared->ops * 1e9 / (double)shared->ns,
        .cpu_ns_per_op = shared->ops ? (double)shared->cpu_ns / (double)shared->ops : -1,
        .lat = bench_lat_of(&shared->latency)};
    hist_merge(&report->latency, &shared->latency);
    report->counts.ops += shared->ops;
    report->counts.enters += shared->enters;
    report->counts.submitted_writes += b->writes - a->writes;
    report->path = shared->path;
    json_object_set_new(report->extra, "bytes_per_log_write", json_real(bytes / writes));
    json_object_set_new(report->extra, "padding_share", json_real((double)totals->padding / bytes));
    json_object_set_new(report->extra, "log_bytes_per_s",
                        json_real(bytes * 1e9 / (double)totals->ns));
    json_object_set_new(report->extra, "verified", json_integer((json_int_t)totals->verified));
}

static int acommit_begin(struct bench_run *run)
{
    run->report->extra = json_object();
    if (run->options->record_bytes < RECORD_MIN)
        return cli_fail(run->options->command, "--record has to be 16 at least: it is numbered");
    int rc = log_file_create(run, NAME, run->options->log_bytes);
    if (rc)
        return rc;
    run->state = mem_alloc(sizeof(struct totals));
    return run->state ? 0 : cli_error(run->options->command, "totals", -ENOMEM, NULL);
}

static void acommit_end(struct bench_run *run)
{
    mem_free(run->state);
}

static int acommit_round(struct bench_run *run)
{
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *command = run->options->command;
    int status = 0;

    if (shared == MAP_FAILED)
        return cli_error(command, "shared memory", -errno, NULL);
    hist_init(&shared->latency);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        shared->error = child(run, shared);
        _exit(CLI_FAILED);
    }
    int rc = pid < 0 || waitpid(pid, &status, 0) < 0 ? cli_error(command, "fork", -errno, NULL) : 0;
    if (rc == 0 && (!WIFSIGNALED(status) || !atomic_load(&shared->measured)))
        rc = cli_error(command, "commit", shared->error < 0 ? shared->error : -EIO, NULL);
    if (rc == 0)
        rc = verify(run, shared);
    if (rc == 0)
        add_round(run, shared);
    munmap(shared, sizeof(*shared));
    return rc;
}

static void acommit_print(const struct bench_options *options, const struct bench_report *report)
{
    const json_t *extra = report->extra;

    (void)options;
    printf("log: %.1f MB/s, %.0f bytes per write, %.1f%% padding; killed each time, %lld records "
           "read back, none missing\n",
           json_number_value(json_object_get(extra, "log_bytes_per_s")) / 1e6,
           json_number_value(json_object_get(extra, "bytes_per_log_write")),
           json_number_value(json_object_get(extra, "padding_share")) * 100,
           (long long)json_integer_value(json_object_get(extra, "verified")));
}

static uint64_t acommit_bytes(const struct bench_options *options)
{
    return options->record_bytes;
}

/* As large as our writes were, as deep, synced the same way. */
static bool peer_fio(struct bench_run *run, struct bench_series *series)
{
    double mean = json_number_value(json_object_get(run->report->extra, "bytes_per_log_write"));
    uint64_t blocks = (uint64_t)(mean / KEEL_BLOCK_BYTES + 0.5);

    return log_peer_fio(run, series, "write", (blocks ? blocks : 1) * KEEL_BLOCK_BYTES,
                        run->options->depth, run->options->record_bytes);
}

static const struct bench_peer peers[] = {{"fio", peer_fio}, {NULL, NULL}};

const struct bench_job bench_job_acommit = {
    .name = "acommit",
    .summary = "one thread, asynchronous commits on a bare log; killed, then read back",
    .unit = "commit",
    .takes = BENCH_RECORD | BENCH_SYNC | BENCH_METHOD | BENCH_LOG | BENCH_DEPTH | BENCH_BS,
    .defaults = {.record_bytes = 100, .log_bytes = 512u << 20, .depth = 4, .bs_bytes = 256u << 10},
    .record_max = RECORD_MAX,
    .peers = peers,
    .begin = acommit_begin,
    .round = acommit_round,
    .end = acommit_end,
    .print = acommit_print,
    .op_bytes = acommit_bytes,
};
