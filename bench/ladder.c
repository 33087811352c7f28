/*
 * The job `ladder`: the same random reads by every way there is to the disk, each rung with one
 * thing more than the one before, in turn with keel's own. A rung that cannot be had on this
 * machine is named with the reason.
 *
 *   pread, libaio, io_uring, +batch, +fixed, +IOPOLL, +passthrough, +SQPOLL
 *
 * SQPOLL stands on the highest rung before it that works. Only reads; what is measured beside (what
 * an enter costs, ring sizes, links, multishot) writes to the scratch folder, if there is one.
 */
#include "bench/ladder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/lib/proc.h"
#include "bench/transfer.h"
#include "tools/cli.h"

enum rung_id {
    RUNG_PREAD,
    RUNG_LIBAIO,
    RUNG_URING,
    RUNG_ADD_BATCH,
    RUNG_ADD_FIXED,
    RUNG_ADD_IOPOLL,
    RUNG_ADD_PASSTHROUGH,
    RUNG_ADD_SQPOLL,
    RUNG_COUNT,
};

static const struct {
    const char *name, *adds;
    unsigned has;
} rungs[RUNG_COUNT] = {
    [RUNG_PREAD] = {"pread", "one thread, one read after the other", 0},
    [RUNG_LIBAIO] = {"libaio", "many in flight, two system calls a batch", 0},
    [RUNG_URING] = {"io_uring", "an enter for each request", 0},
    [RUNG_ADD_BATCH] = {"+batch", "an enter for each batch", RUNG_BATCH},
    [RUNG_ADD_FIXED] = {"+fixed", "registered file and buffers", RUNG_BATCH | RUNG_FIXED},
    [RUNG_ADD_IOPOLL] = {"+IOPOLL", "completions are polled for",
                         RUNG_BATCH | RUNG_FIXED | RUNG_IOPOLL},
    [RUNG_ADD_PASSTHROUGH] = {"+passthrough", "NVMe commands past the block layer",
                              RUNG_BATCH | RUNG_FIXED | RUNG_IOPOLL | RUNG_PASSTHROUGH},
    [RUNG_ADD_SQPOLL] = {"+SQPOLL", "a kernel thread takes requests over", RUNG_SQPOLL},
};

struct rung {
    struct bench_series series;
    struct hist latency;
    double calls_per_op;
    bool refused;
    unsigned has; /* of SQPOLL: what it stands on */
};

struct job {
    struct ladder_load load;
    void *transfer; /* state of the job `read`, which is our own rung */
    struct rung rungs[RUNG_COUNT];
};

bool ladder_fail(char why[LADDER_WHY_BYTES], const char *what, int error)
{
    snprintf(why, LADDER_WHY_BYTES, "%s: %s", what, strerror(error < 0 ? -error : error));
    return false;
}

/* ---------------------------------------------------------------- one round */

static bool run_rung(struct job *job, enum rung_id id, struct ladder_round *round)
{
    struct rung *rung = &job->rungs[id];
    char *why = rung->series.note;

    _Static_assert(sizeof(rung->series.note) >= LADDER_WHY_BYTES, "the reason fits");
    if (id == RUNG_PREAD)
        return ladder_pread(&job->load, round, why);
    if (id == RUNG_LIBAIO)
        return ladder_libaio(&job->load, round, why);
    rung->has = rungs[id].has;
    if (id != RUNG_ADD_SQPOLL)
        return ladder_uring(&job->load, rung->has, round, why);

    enum rung_id under = RUNG_ADD_PASSTHROUGH;
    while (under > RUNG_URING && job->rungs[under].series.count == 0)
        under--;
    rung->has = rungs[under].has | RUNG_SQPOLL;
    bool ok = ladder_uring(&job->load, rung->has, round, why);
    if (ok)
        snprintf(why, LADDER_WHY_BYTES, "on top of %s", rungs[under].name);
    return ok;
}

static void measure_rung(struct job *job, enum rung_id id)
{
    static struct ladder_round round;
    struct rung *rung = &job->rungs[id];
    struct bench_series *series = &rung->series;

    memset(&round, 0, sizeof(round));
    hist_init(&round.latency);
    uint64_t cpu = proc_cpu_ns();
    if (!run_rung(job, id, &round) || round.ops == 0) {
        rung->refused = true; /* and not asked again */
        return;
    }
    cpu = proc_cpu_ns() - cpu;
    series->rounds[series->count++] =
        (struct bench_round){.ops_per_s = (double)round.ops * 1e9 / (double)round.ns,
                             .cpu_ns_per_op = (double)cpu / (double)round.ops,
                             .lat = bench_lat_of(&round.latency)};
    rung->calls_per_op = (double)round.calls / (double)round.ops;
    hist_merge(&rung->latency, &round.latency);
}

static int ladder_round(struct bench_run *run)
{
    struct job *job = run->state;

    run->state = job->transfer;
    int rc = bench_job_read.round(run);
    run->state = job;
    for (unsigned id = 0; rc == 0 && id < RUNG_COUNT; id++) {
        if (job->rungs[id].refused)
            continue;
        cli_progress("rung %u of %u: %s", id + 1, RUNG_COUNT, rungs[id].name);
        measure_rung(job, (enum rung_id)id);
    }
    return rc;
}

/* ---------------------------------------------------------------- all rounds */

static int open_load(struct bench_run *run, struct ladder_load *load)
{
    const struct bench_options *options = run->options;

    load->options = options;
    load->ns = (uint64_t)options->seconds * 1000000000u;
    transfer_path(run, load->path);
    load->fd = open(load->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (load->fd < 0)
        return -errno;
    off_t bytes = lseek(load->fd, 0, SEEK_END);
    if (bytes < (off_t)options->bs_bytes)
        return KEEL_ERANGE;
    load->blocks = (uint64_t)bytes / options->bs_bytes;
    load->buffers = mem_alloc_aligned(KEEL_BLOCK_BYTES, options->depth * options->bs_bytes);
    return load->buffers ? 0 : -ENOMEM;
}

static void ladder_end(struct bench_run *run)
{
    struct job *job = run->state;

    run->state = job->transfer;
    bench_job_read.end(run);
    if (job->load.fd >= 0)
        close(job->load.fd);
    mem_free(job->load.buffers);
    mem_free(job);
}

static int ladder_begin(struct bench_run *run)
{
    struct job *job = mem_alloc(sizeof(*job));

    if (!job)
        return cli_error(run->options->command, "job", -ENOMEM, NULL);
    job->load.fd = -1;
    for (unsigned id = 0; id < RUNG_COUNT; id++) {
        job->rungs[id].series.name = rungs[id].name;
        hist_init(&job->rungs[id].latency);
    }
    int rc = bench_job_read.begin(run);
    if (rc) {
        mem_free(job);
        return rc;
    }
    job->transfer = run->state;
    run->state = job;
    rc = open_load(run, &job->load);
    if (rc == 0)
        return 0;
    cli_error(run->options->command, job->load.path, rc, NULL);
    ladder_end(run);
    return CLI_FAILED;
}

static json_t *rung_json(const struct rung *rung, unsigned id)
{
    json_t *object = json_pack("{s:s,s:s}", "name", rungs[id].name, "adds", rungs[id].adds);
    json_t *each = json_array();

    if (rung->series.note[0])
        json_object_set_new(object, rung->refused ? "why_not" : "note",
                            json_string(rung->series.note));
    for (unsigned i = 0; i < rung->series.count; i++)
        json_array_append_new(each, json_real(rung->series.rounds[i].ops_per_s));
    bool ran = rung->series.count > 0;
    json_object_set_new(object, "ops_per_s",
                        ran ? json_real(bench_median_ops(&rung->series)) : json_null());
    json_object_set_new(object, "lat_ns", cli_lat_json(ran ? &rung->latency : NULL));
    json_object_set_new(object, "cpu_ns_per_op",
                        ran ? json_real(bench_median_cpu(&rung->series)) : json_null());
    json_object_set_new(object, "calls_per_op", ran ? json_real(rung->calls_per_op) : json_null());
    json_object_set_new(object, "rounds", each);
    return object;
}

static void ladder_finish(struct bench_run *run)
{
    struct job *job = run->state;
    json_t *list = json_array();

    for (unsigned id = 0; id < RUNG_COUNT; id++)
        json_array_append_new(list, rung_json(&job->rungs[id], id));
    cli_progress("what an enter costs, ring sizes, links, multishot");
    run->report->extra = json_pack("{s:o,s:o*}", "rungs", list, "costs", ladder_costs(run->folder));
    ladder_end(run);
}

static void ladder_print(const struct bench_options *options, const struct bench_report *report)
{
    json_t *rung;
    size_t i;

    (void)options;
    printf("%-13s %12s %9s %9s %9s %9s  %s\n", "rung", "reads/s", "p50", "p99", "cpu/read", "calls",
           "");
    json_array_foreach(json_object_get(report->extra, "rungs"), i, rung)
    {
        const char *name = json_string_value(json_object_get(rung, "name"));
        const json_t *lat = json_object_get(rung, "lat_ns");
        const char *why = json_string_value(json_object_get(rung, "why_not"));
        const char *note = json_string_value(json_object_get(rung, "note"));
        char rate[32], p50[16], p99[16], cpu[16];
        if (why) {
            printf("%-13s did not run: %s\n", name, why);
            continue;
        }
        printf("%-13s %12s %9s %9s %9s %9.3f  %s%s%s\n", name,
               cli_count((uint64_t)json_real_value(json_object_get(rung, "ops_per_s")), rate),
               cli_ns((uint64_t)json_integer_value(json_object_get(lat, "p50")), p50),
               cli_ns((uint64_t)json_integer_value(json_object_get(lat, "p99")), p99),
               cli_ns((uint64_t)json_real_value(json_object_get(rung, "cpu_ns_per_op")), cpu),
               json_real_value(json_object_get(rung, "calls_per_op")),
               json_string_value(json_object_get(rung, "adds")), note ? ", " : "",
               note ? note : "");
    }
    ladder_costs_print(json_object_get(report->extra, "costs"));
}

static uint64_t ladder_bytes(const struct bench_options *options)
{
    return options->bs_bytes;
}

const struct bench_job bench_job_ladder = {
    .name = "ladder",
    .summary = "the same reads by pread, libaio, io_uring and each of its features",
    .unit = "read",
    .takes = BENCH_DEPTH | BENCH_BS | BENCH_BATCH | BENCH_DATA,
    .takes_device = true,
    .defaults = {.seconds = 2,
                 .rounds = 3,
                 .threads = 1,
                 .depth = 128,
                 .batch = 32,
                 .bs_bytes = 4096,
                 .data_bytes = 1ull << 30},
    .begin = ladder_begin,
    .round = ladder_round,
    .end = ladder_finish,
    .print = ladder_print,
    .op_bytes = ladder_bytes,
};
