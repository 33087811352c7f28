/*
 * The job `recover`: how fast a log is found and read after a crash.
 *
 * begin makes a log of --data bytes: a child process appends records until they fill it, commits
 * and dies by SIGKILL, so that the log was not closed in order and has to be scanned. A round opens
 * it read-only, which scans it from the redo LSN to its end and looks further through the ring, and
 * then replays it, with a callback that adds up the bytes of each record: the smallest redo there
 * is. Nothing is repaired, so each round finds the same. The operation is a block of 4 KiB scanned;
 * fio reads a file sequentially, as many bytes at once and as deep as the scan does.
 *
 * Beside it a small log that was closed in order is opened and closed again and again: that is what
 * a clean start costs.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/log_file.h"
#include "tools/cli.h"

#define NAME         "recover.wal"
#define CLEAN_NAME   "clean.wal"
#define CLEAN_BYTES  (64u << 20)
#define CREDIT_BYTES (2u << 20)
#define RECORD_MAX   65536u
#define COMMIT_BYTES (8u << 20) /* appended between two commits */

struct totals {
    uint64_t scan_ns, scan_bytes, replay_ns, replay_bytes, records;
    struct hist clean; /* opening and starting */
    uint32_t rounds, clean_opens;
};

/* ---------------------------------------------------------------- the log that is left behind */

static int fill(struct log_file *log, uint64_t bytes, uint64_t record_bytes)
{
    struct keel_wal_credit credit = {0};
    keel_lsn lsn, end = 0, first = keel_wal_tail(log->wal), committed = first;
    uint8_t *data = mem_alloc(record_bytes);
    struct iovec part = {data, record_bytes};
    struct keel_wal_record record = {&part, 1, 1};
    int rc = data ? 0 : -ENOMEM;

    for (uint64_t number = 0; rc == 0 && keel_wal_tail(log->wal) - first < bytes; number++) {
        memcpy(data, &number, record_bytes < sizeof(number) ? record_bytes : sizeof(number));
        rc = keel_wal_append(log->wal, &credit, keel_wal_mark(log->wal), &record, 1, &lsn, &end);
        if (rc == KEEL_ELOGFULL)
            rc = keel_wal_credit_take(log->wal, &credit, CREDIT_BYTES);
        else if (rc == 0 && end - committed > COMMIT_BYTES) {
            rc = keel_wal_commit(log->wal, end);
            committed = end;
        }
    }
    mem_free(data);
    return rc ? rc : keel_wal_commit(log->wal, end);
}

static int leave_behind(struct bench_run *run)
{
    const struct bench_options *options = run->options;
    int status = 0;

    cli_progress("writing the log");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct log_file log;
        int rc = log_file_open(run, NAME, NULL, &log);
        if (rc == 0)
            rc = log_file_start(&log);
        if (rc == 0)
            rc = fill(&log, options->data_bytes, options->record_bytes);
        if (rc == 0)
            kill(getpid(), SIGKILL);
        _exit(rc < 0 ? cli_error(options->command, NAME, rc, NULL) : CLI_FAILED);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return cli_error(options->command, "fork", -errno, NULL);
    return WIFSIGNALED(status) ? 0 : CLI_FAILED;
}

static int recover_begin(struct bench_run *run)
{
    const struct bench_options *options = run->options;
    uint64_t bytes = options->data_bytes + options->data_bytes / 4 + KEEL_WAL_BYTES_MIN;

    int rc = log_file_create(run, NAME, bytes / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES);
    if (rc == 0)
        rc = log_file_create(run, CLEAN_NAME, CLEAN_BYTES);
    if (rc == 0)
        rc = leave_behind(run);
    if (rc)
        return rc;
    run->report->extra = json_object();
    struct totals *totals = mem_alloc(sizeof(*totals));
    if (!totals)
        return cli_error(options->command, "totals", -ENOMEM, NULL);
    hist_init(&totals->clean);
    run->state = totals;
    return 0;
}

static void recover_end(struct bench_run *run)
{
    mem_free(run->state);
}

/* ---------------------------------------------------------------- rounds */

static int add_up(void *arg, const struct keel_wal_entry *entry)
{
    struct totals *totals = arg;

    totals->records++;
    totals->replay_bytes += entry->len;
    return 0;
}

/* Scan and replay. */
static int read_log(struct bench_run *run, struct totals *totals, struct bench_round *round)
{
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct log_file log;
    uint64_t cpu = log_cpu_ns(), begin = clock_now_ns();

    options.read_only = true;
    int rc = log_file_open(run, NAME, &options, &log);
    if (rc)
        return rc;
    uint64_t scanned = clock_now_ns() - begin;
    cpu = log_cpu_ns() - cpu;
    /* Without a clean end the whole ring is looked at, once. */
    uint64_t bytes = keel_device_info(log.device)->size_bytes - 4u * KEEL_BLOCK_BYTES;
    begin = clock_now_ns();
    int replayed = keel_wal_replay(log.ctx, log.wal, 0, add_up, totals);
    totals->replay_ns += clock_now_ns() - begin;
    path_report_fill(&run->report->path, log.ctx, NULL);
    int closed = log_file_close(&log);
    if (replayed)
        return cli_error(run->options->command, NAME, replayed, NULL);

    double blocks = (double)bytes / KEEL_BLOCK_BYTES;
    round->ops_per_s = blocks * 1e9 / (double)scanned;
    round->cpu_ns_per_op = (double)cpu / blocks;
    totals->scan_ns += scanned;
    totals->scan_bytes += bytes;
    run->report->counts.ops += bytes / KEEL_BLOCK_BYTES;
    return closed;
}

/* Open, start and close one that was closed in order; the time is that of opening and starting. */
static int open_clean(struct bench_run *run, struct totals *totals)
{
    struct log_file log;
    uint64_t begin = clock_now_ns();

    int rc = log_file_open(run, CLEAN_NAME, NULL, &log);
    if (rc)
        return rc;
    rc = log_file_start(&log);
    uint64_t took = clock_now_ns() - begin;
    int closed = log_file_close(&log);
    /* The first start measures the device, once. */
    if (totals->clean_opens++ > 0)
        hist_record(&totals->clean, took);
    return rc ? rc : closed;
}

static void report_totals(struct bench_run *run, const struct totals *totals)
{
    json_t *extra = run->report->extra;
    double rounds = totals->rounds;

    json_object_set_new(extra, "scan_bytes_per_s",
                        json_real((double)totals->scan_bytes * 1e9 / (double)totals->scan_ns));
    json_object_set_new(extra, "replay_s", json_real((double)totals->replay_ns / 1e9 / rounds));
    json_object_set_new(extra, "scan_s", json_real((double)totals->scan_ns / 1e9 / rounds));
    json_object_set_new(extra, "replay_payload_bytes",
                        json_real((double)totals->replay_bytes / rounds));
    json_object_set_new(extra, "replay_records", json_real((double)totals->records / rounds));
    json_object_set_new(extra, "clean_open_ns",
                        json_integer((json_int_t)bench_lat_of(&totals->clean).p50));
}

static int recover_round(struct bench_run *run)
{
    struct bench_series *ours = &run->report->ours;
    struct totals *totals = run->state;

    for (int i = 0; i < 5; i++) {
        int rc = open_clean(run, totals);
        if (rc)
            return rc;
    }
    int rc = read_log(run, totals, &ours->rounds[ours->count]);
    if (rc)
        return rc;
    ours->count++;
    totals->rounds++;
    report_totals(run, totals);
    return 0;
}

static double figure(const struct bench_report *report, const char *key)
{
    return json_number_value(json_object_get(report->extra, key));
}

static void recover_print(const struct bench_options *options, const struct bench_report *report)
{
    (void)options;
    printf("scan %.0f MB/s, %.3f s; replay of %.0f records with %.0f MB %.3f s; clean open and "
           "start %.2f ms\n",
           figure(report, "scan_bytes_per_s") / 1e6, figure(report, "scan_s"),
           figure(report, "replay_records"), figure(report, "replay_payload_bytes") / 1e6,
           figure(report, "replay_s"), figure(report, "clean_open_ns") / 1e6);
}

static uint64_t recover_bytes(const struct bench_options *options)
{
    (void)options;
    return KEEL_BLOCK_BYTES;
}

static bool peer_fio(struct bench_run *run, struct bench_series *series)
{
    return log_peer_fio(run, series, "read", 256u << 10, 8, KEEL_BLOCK_BYTES);
}

static const struct bench_peer peers[] = {{"fio", peer_fio}, {NULL, NULL}};

const struct bench_job bench_job_recover = {
    .name = "recover",
    .summary = "scan and replay of a log that a killed process left",
    .unit = "block scanned",
    .takes = BENCH_RECORD | BENCH_METHOD | BENCH_DATA,
    .defaults = {.record_bytes = 128, .data_bytes = 1u << 30},
    .record_max = RECORD_MAX,
    .peers = peers,
    .begin = recover_begin,
    .round = recover_round,
    .end = recover_end,
    .print = recover_print,
    .op_bytes = recover_bytes,
};
