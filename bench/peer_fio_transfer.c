/*
 * fio as peer of `read` and `write`: io_uring with registered buffers and files, O_DIRECT, the same
 * size, depth, threads and batch, on the same file or device. Polled when ours was.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/lib/fio.h"
#include "bench/transfer.h"

#define ARGS_MAX 32u

struct args {
    char text[ARGS_MAX][640];
    const char *argv[ARGS_MAX + 1];
    unsigned count;
};

__attribute__((format(printf, 2, 3))) static void add(struct args *args, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(args->text[args->count], sizeof(args->text[0]), format, list);
    va_end(list);
    args->argv[args->count] = args->text[args->count];
    args->count++;
}

static bool run_fio(struct bench_run *run, struct bench_series *series, const char *direction)
{
    static struct args args;
    const struct bench_options *options = run->options;
    char path[600], report[] = "/tmp/keel-fio-XXXXXX";
    int fd = mkstemp(report);

    if (fd < 0) {
        snprintf(series->note, sizeof(series->note), "no room in /tmp for fio's report");
        return false;
    }
    close(fd);
    args = (struct args){0};
    add(&args, "fio");
    add(&args, "--name=transfer");
    add(&args, "--filename=%s", transfer_path(run, path));
    add(&args, "--output=%s", report);
    add(&args, "--output-format=json");
    add(&args, "--ioengine=io_uring");
    add(&args, "--direct=1");
    add(&args, "--rw=rand%s", direction);
    add(&args, "--bs=%llu", (unsigned long long)options->bs_bytes);
    add(&args, "--iodepth=%u", options->depth);
    add(&args, "--iodepth_batch_submit=%u", options->batch);
    add(&args, "--iodepth_batch_complete_min=1");
    add(&args, "--iodepth_batch_complete_max=%u", options->batch);
    add(&args, "--numjobs=%u", options->threads);
    add(&args, "--runtime=%u", options->seconds);
    add(&args, "--time_based");
    add(&args, "--ramp_time=300ms");
    add(&args, "--thread");
    add(&args, "--group_reporting");
    add(&args, "--norandommap");
    add(&args, "--randrepeat=0");
    add(&args, "--overwrite=1");
    add(&args, "--lat_percentiles=1");
    add(&args, "--percentile_list=50:90:99:99.9");
    if (run->report->path.fixed_buffers)
        add(&args, "--fixedbufs");
    if (run->report->path.fixed_files)
        add(&args, "--registerfiles");
    if (run->report->path.iopoll)
        add(&args, "--hipri");
    bool good = fio_round(args.argv, report, direction, series);
    keel_ignore(remove(report), "nothing depends on it");
    if (good)
        snprintf(series->note, sizeof(series->note),
                 "fio io_uring direct=1 rw=rand%s bs=%llu iodepth=%u batch=%u numjobs=%u%s%s%s",
                 direction, (unsigned long long)options->bs_bytes, options->depth, options->batch,
                 options->threads, run->report->path.fixed_buffers ? " fixedbufs" : "",
                 run->report->path.fixed_files ? " registerfiles" : "",
                 run->report->path.iopoll ? " hipri" : "");
    return good;
}

bool peer_fio_read(struct bench_run *run, struct bench_series *series)
{
    return run_fio(run, series, "read");
}

bool peer_fio_write(struct bench_run *run, struct bench_series *series)
{
    return run_fio(run, series, "write");
}
