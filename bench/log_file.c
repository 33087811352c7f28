/*
 * A bare log in a file; and fio on a file of the same size beside it.
 */
#include "bench/log_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/lib/fio.h"
#include "tools/cli.h"

#define FIO_BYTES (512ull << 20)

uint64_t log_cpu_ns(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

static int open_ctx(const struct bench_run *run, const char *name, struct log_file *ret)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    *ret = (struct log_file){.command = run->options->command};
    snprintf(ret->path, sizeof(ret->path), "%s/%s", run->folder, name);
    options.method = run->options->method;
    int rc = keel_ctx_open(&options, &ret->ctx);
    return rc ? cli_error(ret->command, "opening a context", rc, NULL) : 0;
}

static int open_device(struct log_file *log, uint64_t create_bytes)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};

    options.create_bytes = create_bytes;
    int rc = keel_device_open(log->ctx, log->path, &options, &info, &log->device);
    return rc ? cli_error(log->command, log->path, rc, &info) : 0;
}

int log_file_create(const struct bench_run *run, const char *name, uint64_t bytes)
{
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct log_file log;

    int rc = open_ctx(run, name, &log);
    if (rc)
        return rc;
    rc = open_device(&log, bytes);
    if (rc == 0) {
        int made = keel_wal_create(log.ctx, log.device, &options, NULL);
        rc = made ? cli_error(log.command, log.path, made, NULL) : 0;
    }
    int closed = log_file_close(&log);
    return rc ? rc : closed;
}

int log_file_open(const struct bench_run *run, const char *name,
                  const struct keel_wal_options *wal_options, struct log_file *ret)
{
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};

    if (wal_options)
        options = *wal_options;
    options.method = run->options->method;
    int rc = open_ctx(run, name, ret);
    if (rc)
        return rc;
    rc = open_device(ret, 0);
    if (rc == 0) {
        int opened = keel_wal_open(ret->ctx, ret->device, &options, &info, &ret->wal);
        rc = opened ? cli_error(ret->command, ret->path, opened, &info) : 0;
    }
    if (rc)
        keel_ignore(log_file_close(ret), "the first error is reported");
    return rc;
}

int log_file_start(struct log_file *log)
{
    int rc = keel_wal_start(log->ctx, log->wal);

    return rc ? cli_error(log->command, log->path, rc, NULL) : 0;
}

int log_file_close(struct log_file *log)
{
    int rc = log->wal ? keel_wal_close(log->ctx, log->wal) : 0;

    if (log->device)
        keel_device_close(log->device);
    if (log->ctx)
        keel_ctx_close(log->ctx);
    log->wal = NULL;
    log->device = NULL;
    log->ctx = NULL;
    return rc ? cli_error(log->command, log->path, rc, NULL) : 0;
}

/* ---------------------------------------------------------------- fio */

static const char *fio_sync(const struct bench_run *run, const char *direction)
{
    enum keel_sync_method sync = bench_sync_of(run->report);

    if (strcmp(direction, "read") == 0 || sync == KEEL_SYNC_NONE)
        return "--sync=none";
    return sync == KEEL_SYNC_DSYNC ? "--sync=dsync" : "--fdatasync=1";
}

bool log_peer_fio(struct bench_run *run, struct bench_series *series, const char *direction,
                  uint64_t bs_bytes, uint32_t depth, uint64_t unit_bytes)
{
    char file[600], report[600], text[6][640];
    const char *sync = fio_sync(run, direction);

    snprintf(file, sizeof(file), "%s/fio.data", run->folder);
    int rc = access(file, F_OK) ? bench_file_create(file, FIO_BYTES) : 0;
    if (rc) {
        snprintf(series->note, sizeof(series->note), "cannot make its file: %s", keel_err_text(rc));
        return false;
    }
    snprintf(text[0], sizeof(text[0]), "--filename=%s", file);
    snprintf(report, sizeof(report), "%s/fio.json", run->folder);
    snprintf(text[1], sizeof(text[1]), "--output=%s", report);
    snprintf(text[2], sizeof(text[2]), "--rw=%s", direction);
    snprintf(text[3], sizeof(text[3]), "--bs=%llu", (unsigned long long)bs_bytes);
    snprintf(text[4], sizeof(text[4]), "--iodepth=%u", depth);
    snprintf(text[5], sizeof(text[5]), "--runtime=%u", run->options->seconds);
    const char *const argv[] = {"fio",
                                "--name=log",
                                text[0],
                                text[1],
                                text[2],
                                text[3],
                                text[4],
                                text[5],
                                sync,
                                "--output-format=json",
                                "--ioengine=io_uring",
                                "--direct=1",
                                "--time_based",
                                "--ramp_time=200ms",
                                "--thread",
                                "--fixedbufs",
                                "--registerfiles",
                                "--overwrite=1",
                                "--lat_percentiles=1",
                                "--percentile_list=50:90:99:99.9",
                                NULL};
    if (!fio_round(argv, report, direction, series))
        return false;
    struct bench_round *round = &series->rounds[series->count - 1];
    double units = (double)bs_bytes / (double)unit_bytes;
    round->ops_per_s *= units;
    if (round->cpu_ns_per_op >= 0)
        round->cpu_ns_per_op /= units;
    snprintf(series->note, sizeof(series->note),
             "fio io_uring direct=1 rw=%s bs=%llu iodepth=%u %s, in units of %llu bytes", direction,
             (unsigned long long)bs_bytes, depth, sync, (unsigned long long)unit_bytes);
    return true;
}
