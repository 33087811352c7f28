/*
 * fio as peer: each thread writes 4 KiB blocks one after the other, each synced the way keel syncs
 * its log, through io_uring at depth 1, O_DIRECT, into a file that was written before. That is what
 * the disk gives to commits that are not grouped.
 *
 * With fdatasync fio tells the latencies of write and sync apart; then the sums of the percentiles
 * are given, which is above the percentile of the sum.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bench/lib/proc.h"
#include "bench/peer.h"

#define AREA_BYTES (32ull << 20) /* of each thread */

static uint64_t percentile(const json_t *group, const char *name)
{
    const json_t *value = json_object_get(json_object_get(group, "percentile"), name);
    return (uint64_t)json_integer_value(value);
}

/* The latency group that a fio of any version has in obj. */
static const json_t *lat_group(const json_t *obj)
{
    static const char *const NAMES[] = {"lat_ns", "clat_ns"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *group = json_object_get(obj, NAMES[i]);
        if (json_object_get(group, "percentile"))
            return group;
    }
    return NULL;
}

static void add_lat(struct bench_lat *lat, const json_t *group)
{
    lat->p50 += percentile(group, "50.000000");
    lat->p90 += percentile(group, "90.000000");
    lat->p99 += percentile(group, "99.000000");
    lat->p999 += percentile(group, "99.900000");
    lat->max += (uint64_t)json_integer_value(json_object_get(group, "max"));
}

static bool read_report(const char *path, struct bench_round *round)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    const json_t *job = json_array_get(json_object_get(root, "jobs"), 0);
    const json_t *write = json_object_get(job, "write");
    const json_t *sync = json_object_get(job, "sync");
    round->ops_per_s = json_number_value(json_object_get(write, "iops"));
    round->lat = (struct bench_lat){0};
    add_lat(&round->lat, lat_group(write));
    if (json_integer_value(json_object_get(sync, "total_ios")) > 0)
        add_lat(&round->lat, lat_group(sync));
    int64_t ops = json_integer_value(json_object_get(write, "total_ios"));
    json_decref(root);
    round->cpu_ns_per_op = ops > 0 ? round->cpu_ns_per_op / (double)ops : -1;
    return ops > 0;
}

static bool run(const struct peer_job *job, struct bench_series *series, struct proc_output *output)
{
    char file[600], report[600], filename[640], outname[640], jobs[32], runtime[32], offset[48],
        size[48];
    snprintf(file, sizeof(file), "%s/fio.data", job->folder);
    snprintf(report, sizeof(report), "%s/fio.json", job->folder);
    snprintf(filename, sizeof(filename), "--filename=%s", file);
    snprintf(outname, sizeof(outname), "--output=%s", report);
    snprintf(jobs, sizeof(jobs), "--numjobs=%u", job->threads);
    snprintf(runtime, sizeof(runtime), "--runtime=%u", job->seconds);
    snprintf(offset, sizeof(offset), "--offset_increment=%llu", AREA_BYTES);
    snprintf(size, sizeof(size), "--size=%llu", AREA_BYTES);
    if (access(file, F_OK)) {
        int rc = bench_file_create(file, AREA_BYTES * job->threads);
        if (rc) {
            snprintf(series->note, sizeof(series->note), "cannot make its file: %s",
                     keel_err_text(rc));
            return false;
        }
    }
    const char *sync = job->sync == KEEL_SYNC_DSYNC  ? "--sync=dsync"
                       : job->sync == KEEL_SYNC_NONE ? "--sync=none"
                                                     : "--fdatasync=1";
    const char *const argv[] = {"fio",
                                "--name=commit",
                                filename,
                                outname,
                                jobs,
                                runtime,
                                offset,
                                size,
                                sync,
                                "--output-format=json",
                                "--ioengine=io_uring",
                                "--direct=1",
                                "--rw=write",
                                "--bs=4k",
                                "--iodepth=1",
                                "--time_based",
                                "--ramp_time=200ms",
                                "--thread",
                                "--group_reporting",
                                "--overwrite=1",
                                "--lat_percentiles=1",
                                "--percentile_list=50:90:99:99.9",
                                NULL};
    int rc = proc_run(argv, output);
    if (rc || output->missing || output->exit_status) {
        snprintf(series->note, sizeof(series->note), "%.190s",
                 output->missing ? "fio is not installed: apt-get install fio"
                 : rc            ? keel_err_text(rc)
                                 : proc_last_line(output));
        return false;
    }
    struct bench_round *round = &series->rounds[series->count];
    round->cpu_ns_per_op = (double)output->cpu_ns;
    if (!read_report(report, round)) {
        snprintf(series->note, sizeof(series->note), "fio's report could not be read");
        return false;
    }
    series->count++;
    snprintf(series->note, sizeof(series->note),
             "fio io_uring direct=1 rw=write bs=4k iodepth=1 numjobs=%u %s", job->threads, sync);
    return true;
}

bool peer_fio_commit(struct bench_run *bench, struct bench_series *series)
{
    struct peer_job job = peer_job_of(bench);

    KEEL_ASSERT(series->count < BENCH_ROUNDS_MAX && job.sync != KEEL_SYNC_AUTO);
    struct proc_output *output = mem_alloc(sizeof(*output));
    if (!output) {
        snprintf(series->note, sizeof(series->note), "out of memory");
        return false;
    }
    bool good = run(&job, series, output);
    mem_free(output);
    return good;
}
