/*
 * The job `sync`: every way of making a 4 KiB write durable, at several queue depths, on a file
 * that was written before and is overwritten in place, as a log is.
 *
 *   dsync      RWF_DSYNC through the ring: D writes in flight, each durable when it completes
 *   link       write and linked fdatasync through the ring: D pairs in flight
 *   flush      D writes through the ring, then one fdatasync for all of them; the latency is that
 * of the whole pwritev2   RWF_DSYNC by a system call of the thread's own: depth 1 fdatasync  pwrite
 * and fdatasync by system calls: depth 1 none       the write alone, not durable: what syncing
 * costs is the difference
 *
 * The time of a round is shared out among them. ops_per_s is that of the way that the log would
 * take at depth 1 (--sync names another); the table has all. What pg_test_fsync lacks: queue
 * depths, percentiles, rings, and a word on syncs that are too fast to be true.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/log_file.h"
#include "tools/cli.h"

#define NAME        "sync.data"
#define FILE_BYTES  (64u << 20)
#define DEPTH_MAX   32u
#define BS_MAX      (512u << 10)
#define NS_PER_S    1000000000ull
#define TOO_FAST_NS 4000u /* a sync that is faster reached no medium behind a cache */

enum way { WAY_DSYNC, WAY_LINK, WAY_FLUSH, WAY_PWRITEV2, WAY_FDATASYNC, WAY_NONE, WAY_COUNT };

static const struct {
    const char *name;
    uint16_t flags;
    bool sync_behind; /* one for all in flight */
    bool deep;        /* more than one in flight makes sense */
    bool durable;
} ways[WAY_COUNT] = {
    [WAY_DSYNC] = {"dsync", KEEL_IO_DSYNC, false, true, true},
    [WAY_LINK] = {"link", KEEL_IO_LINK_SYNC, false, true, true},
    [WAY_FLUSH] = {"flush", 0, true, true, true},
    [WAY_PWRITEV2] = {"pwritev2", KEEL_IO_DSYNC | KEEL_IO_INLINE, false, false, true},
    [WAY_FDATASYNC] = {"fdatasync", KEEL_IO_LINK_SYNC | KEEL_IO_INLINE, false, false, true},
    [WAY_NONE] = {"none", 0, false, true, false},
};

static const uint32_t depths[] = {1, 2, 4, 8, 16, 32};
#define DEPTH_COUNT (sizeof(depths) / sizeof(depths[0]))

struct cell {
    uint64_t ops, ns;
    struct hist latency;
};

struct job {
    const struct bench_options *options;
    struct log_file log;
    struct keel_arena *arena;
    uint8_t *buf;
    uint64_t at; /* next write */
    struct keel_io io[DEPTH_MAX];
    struct cell cells[WAY_COUNT][DEPTH_COUNT];
};

/* ---------------------------------------------------------------- one cell */

static int submit(struct job *job, enum way way, struct keel_io *io)
{
    uint64_t bs = job->options->bs_bytes;

    *io = (struct keel_io){
        .device = job->log.device,
        .arena = job->arena,
        .buf = job->buf,
        .offset_bytes = job->at,
        .len_bytes = (uint32_t)bs,
        .op = KEEL_OP_WRITE,
        .cls = KEEL_CLASS_WAL,
        .flags = ways[way].flags,
    };
    job->at = job->at + 2 * bs > FILE_BYTES ? 0 : job->at + bs;
    return keel_io_submit(job->log.ctx, io);
}

static int sync_all(struct job *job)
{
    struct keel_io io = {.device = job->log.device, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_WAL};
    int rc = keel_io_submit(job->log.ctx, &io);

    return rc ? rc : keel_io_wait(job->log.ctx, &io);
}

/* D writes, all of them waited for, then one sync. */
static int run_covered(struct job *job, uint32_t depth, struct cell *cell, uint64_t end)
{
    for (uint64_t now = clock_now_ns(), begun; now < end; cell->ops += depth) {
        int rc = 0;

        begun = now;
        for (uint32_t i = 0; i < depth && rc == 0; i++)
            rc = submit(job, WAY_FLUSH, &job->io[i]);
        for (uint32_t i = 0; i < depth && rc == 0; i++)
            rc = keel_io_wait(job->log.ctx, &job->io[i]);
        if (rc == 0)
            rc = sync_all(job);
        if (rc)
            return rc;
        now = clock_now_ns();
        hist_record(&cell->latency, now - begun);
    }
    return 0;
}

/* D writes in flight: the oldest is waited for, and followed by another. */
static int run_flowing(struct job *job, enum way way, uint32_t depth, struct cell *cell,
                       uint64_t end)
{
    uint64_t begun[DEPTH_MAX];
    uint64_t submitted = 0, completed = 0, now = clock_now_ns();

    while (now < end || completed < submitted) {
        int rc = 0;

        for (; now < end && submitted - completed < depth && rc == 0; submitted++) {
            begun[submitted % depth] = clock_now_ns();
            rc = submit(job, way, &job->io[submitted % depth]);
        }
        if (rc == 0)
            rc = keel_io_wait(job->log.ctx, &job->io[completed % depth]);
        if (rc)
            return rc;
        now = clock_now_ns();
        hist_record(&cell->latency, now - begun[completed % depth]);
        completed++;
    }
    cell->ops += completed;
    return 0;
}

static int run_cell(struct job *job, enum way way, uint32_t index, uint64_t ns)
{
    struct cell *cell = &job->cells[way][index];
    uint64_t begin = clock_now_ns();

    int rc = ways[way].sync_behind ? run_covered(job, depths[index], cell, begin + ns)
                                   : run_flowing(job, way, depths[index], cell, begin + ns);
    cell->ns += clock_now_ns() - begin;
    return rc;
}

/* ---------------------------------------------------------------- rounds */

static int sync_begin(struct bench_run *run)
{
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    run->state = job;
    job->options = run->options;
    for (uint32_t way = 0; way < WAY_COUNT; way++) {
        for (uint32_t i = 0; i < DEPTH_COUNT; i++)
            hist_init(&job->cells[way][i].latency);
    }
    /* A log of its own says which way would be taken; its file is then overwritten. */
    int rc = log_file_create(run, NAME, FILE_BYTES);
    if (rc == 0)
        rc = log_file_open(run, NAME, NULL, &job->log);
    if (rc == 0)
        rc = log_file_start(&job->log);
    if (rc == 0) {
        path_report_fill(&run->report->path, job->log.ctx, job->log.wal);
        keel_ignore(keel_wal_close(job->log.ctx, job->log.wal), "it is overwritten now");
        job->log.wal = NULL;
        int made = keel_arena_create(BS_MAX, &job->arena);
        rc = made ? cli_error(run->options->command, "buffers", made, NULL) : 0;
    }
    if (rc == 0) {
        job->buf = keel_arena_alloc(job->arena, run->options->bs_bytes);
        rc = job->buf ? 0 : cli_error(run->options->command, "buffers", -ENOMEM, NULL);
    }
    if (rc == 0)
        return 0;
    keel_ignore(log_file_close(&job->log), "the first error is reported");
    mem_free(job);
    return rc;
}

static void sync_end(struct bench_run *run)
{
    struct job *job = run->state;

    keel_ignore(log_file_close(&job->log), "nothing in it matters");
    if (job->arena)
        keel_arena_destroy(job->arena);
    mem_free(job);
}

static json_t *cell_json(enum way way, uint32_t index, const struct cell *cell)
{
    struct bench_lat lat = bench_lat_of(&cell->latency);

    return json_pack("{s:s,s:i,s:f,s:b,s:o}", "name", ways[way].name, "depth", (int)depths[index],
                     "ops_per_s", (double)cell->ops * 1e9 / (double)cell->ns, "durable",
                     ways[way].durable, "lat_ns", bench_lat_json(&lat));
}

/* Which way our own figure is of. */
static enum way way_of(const struct bench_run *run)
{
    enum keel_sync_method sync = run->options->sync;

    if (sync == KEEL_SYNC_AUTO)
        sync = bench_sync_of(run->report);
    if (sync == KEEL_SYNC_DSYNC)
        return strstr(run->report->path.sync_why, "pwritev2") ? WAY_PWRITEV2 : WAY_DSYNC;
    return sync == KEEL_SYNC_LINK ? WAY_LINK : sync == KEEL_SYNC_FLUSH ? WAY_FLUSH : WAY_NONE;
}

static void report_cells(struct bench_run *run, const struct job *job)
{
    json_t *table = json_array();

    for (uint32_t way = 0; way < WAY_COUNT; way++) {
        for (uint32_t i = 0; i < (ways[way].deep ? DEPTH_COUNT : 1); i++)
            json_array_append_new(table, cell_json((enum way)way, i, &job->cells[way][i]));
    }
    json_decref(run->report->extra);
    run->report->extra = json_pack("{s:o}", "methods", table);
}

static int sync_round(struct bench_run *run)
{
    struct job *job = run->state;
    struct bench_series *ours = &run->report->ours;
    enum way way = way_of(run);
    uint32_t cells = 0;

    for (uint32_t i = 0; i < WAY_COUNT; i++)
        cells += ways[i].deep ? (uint32_t)DEPTH_COUNT : 1;
    struct cell before = job->cells[way][0];
    for (uint32_t at = 0; at < WAY_COUNT * DEPTH_COUNT; at++) {
        uint32_t of = at % WAY_COUNT, index = at / WAY_COUNT;
        if (index > 0 && !ways[of].deep)
            continue;
        int rc = run_cell(job, (enum way)of, index, run->options->seconds * NS_PER_S / cells);
        if (rc)
            return cli_error(run->options->command, ways[of].name, rc, NULL);
    }
    const struct cell *cell = &job->cells[way][0];
    ours->rounds[ours->count++] = (struct bench_round){
        .ops_per_s = (double)(cell->ops - before.ops) * 1e9 / (double)(cell->ns - before.ns),
        .cpu_ns_per_op = -1,
        .lat = bench_lat_of(&cell->latency)};
    run->report->latency = cell->latency;
    run->report->counts.ops = cell->ops;
    report_cells(run, job);
    return 0;
}

/* ---------------------------------------------------------------- report */

static void sync_print(const struct bench_options *options, const struct bench_report *report)
{
    size_t index;
    json_t *row;

    printf(
        "%llu-byte writes   depth    writes/s        p50        p90        p99      p99.9        "
        "max\n",
        (unsigned long long)options->bs_bytes);
    json_array_foreach(json_object_get(report->extra, "methods"), index, row)
    {
        static const char *const keys[] = {"p50", "p90", "p99", "p999", "max"};
        const json_t *lat = json_object_get(row, "lat_ns");
        char ns[16];

        printf("%-17s %5lld  %10.0f", json_string_value(json_object_get(row, "name")),
               (long long)json_integer_value(json_object_get(row, "depth")),
               json_number_value(json_object_get(row, "ops_per_s")));
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            printf(" %10s",
                   cli_ns((uint64_t)json_integer_value(json_object_get(lat, keys[i])), ns));
        if (json_is_true(json_object_get(row, "durable")) &&
            json_integer_value(json_object_get(lat, "p50")) < TOO_FAST_NS)
            printf("  too fast to be true");
        printf("\n");
    }
}

static uint64_t sync_bytes(const struct bench_options *options)
{
    return options->bs_bytes;
}

static bool peer_fio(struct bench_run *run, struct bench_series *series)
{
    return log_peer_fio(run, series, "write", run->options->bs_bytes, 1, run->options->bs_bytes);
}

static const struct bench_peer peers[] = {{"fio", peer_fio}, {NULL, NULL}};

const struct bench_job bench_job_sync = {
    .name = "sync",
    .summary = "every way of making a write durable, at several depths",
    .unit = "durable write",
    .takes = BENCH_BS | BENCH_SYNC | BENCH_METHOD,
    .defaults = {.bs_bytes = 4096},
    .peers = peers,
    .begin = sync_begin,
    .round = sync_round,
    .end = sync_end,
    .print = sync_print,
    .op_bytes = sync_bytes,
};
