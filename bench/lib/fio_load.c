/*
 * The command line of fio, and what is said of it.
 */
#include "bench/lib/fio_load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/lib/fio.h"

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

static void add_all(struct args *args, const struct bench_run *run, const struct fio_load *load,
                    const char *report)
{
    bool nvme = strcmp(run->report->path.method, "nvme") == 0;

    add(args, "fio");
    add(args, "--name=load");
    add(args, "--filename=%s", load->path);
    add(args, "--output=%s", report);
    add(args, "--output-format=json");
    if (nvme) {
        add(args, "--ioengine=io_uring_cmd");
        add(args, "--cmd_type=nvme"); /* which are direct, and are not told so */
    } else {
        add(args, "--ioengine=io_uring");
        add(args, "--direct=1");
    }
    add(args, "--rw=%s", load->rw);
    add(args, "--bs=%llu", (unsigned long long)load->bs_bytes);
    add(args, "--iodepth=%u", load->depth);
    add(args, "--iodepth_batch_submit=%u", load->batch);
    add(args, "--iodepth_batch_complete_min=1");
    add(args, "--iodepth_batch_complete_max=%u", load->batch);
    add(args, "--numjobs=%u", load->threads);
    if (load->size_bytes > 0) {
        add(args, "--io_size=%llu", (unsigned long long)load->size_bytes);
    } else {
        add(args, "--runtime=%u", run->options->seconds);
        add(args, "--time_based");
        add(args, "--ramp_time=300ms");
    }
    add(args, "--thread");
    add(args, "--group_reporting");
    add(args, "--norandommap");
    add(args, "--randrepeat=0");
    add(args, "--overwrite=1");
    add(args, "--lat_percentiles=1");
    add(args, "--percentile_list=50:90:99:99.9");
    if (run->report->path.fixed_buffers)
        add(args, "--fixedbufs");
    if (run->report->path.fixed_files)
        add(args, "--registerfiles");
    if (run->report->path.iopoll)
        add(args, "--hipri");
    if (run->report->path.sqpoll)
        add(args, "--sqthread_poll");
}

bool fio_load_round(const struct bench_run *run, const struct fio_load *load,
                    struct bench_series *series)
{
    static struct args args;
    const struct path_report *path = &run->report->path;
    char report[] = "/tmp/keel-fio-XXXXXX";
    int fd = mkstemp(report);

    if (fd < 0) {
        snprintf(series->note, sizeof(series->note), "no room in /tmp for fio's report");
        return false;
    }
    close(fd);
    args = (struct args){0};
    add_all(&args, run, load, report);
    bool good = fio_round(args.argv, report, strstr(load->rw, "write") ? "write" : "read", series);
    keel_ignore(remove(report), "nothing depends on it");
    if (good)
        snprintf(series->note, sizeof(series->note),
                 "fio %s rw=%s bs=%llu iodepth=%u batch=%u numjobs=%u%s%s%s%s",
                 strcmp(path->method, "nvme") == 0 ? "io_uring_cmd" : "io_uring direct=1", load->rw,
                 (unsigned long long)load->bs_bytes, load->depth, load->batch, load->threads,
                 path->fixed_buffers ? " fixedbufs" : "", path->fixed_files ? " registerfiles" : "",
                 path->iopoll ? " hipri" : "", path->sqpoll ? " sqthread_poll" : "");
    return good;
}
