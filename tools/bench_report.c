/*
 * The report of `keel bench`; the keys of the JSON are a contract (bench/README.md has their
 * meaning).
 */
#include "tools/bench_report.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bench/lib/malloc_count.h"
#include "tools/cli.h"

/* ---------------------------------------------------------------- JSON */

static json_t *machine_json(const struct bench_options *options, const struct disk *disk)
{
    struct utsname uts = {0};
    struct statfs fs;
    char cpu[128] = "", line[256];
    uname(&uts);
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "model name : %127[^\n]", cpu) == 1)
            break;
    }
    if (file)
        fclose(file);
    json_t *magic = statfs(options->path, &fs) ? json_null() : json_integer(fs.f_type);
    return json_pack("{s:s,s:s,s:s,s:i,s:o,s:o}", "kernel", uts.release, "arch", uts.machine, "cpu",
                     cpu, "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN), "file_system_magic", magic,
                     "disk", disk_json(disk));
}

static json_t *per_op(uint64_t count, uint64_t ops, bool known)
{
    return known && ops ? json_real((double)count / (double)ops) : json_null();
}

static json_t *per_op_json(const struct bench_counts *counts)
{
    uint64_t ops = counts->ops;
    bool device = counts->device_known;

    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "enters", per_op(counts->enters, ops, true),
                     "device_reads", per_op(counts->device_reads, ops, device), "device_writes",
                     per_op(counts->device_writes, ops, device), "device_write_bytes",
                     per_op(counts->device_write_bytes, ops, device), "flushes",
                     per_op(counts->flushes, ops, device), "allocations",
                     per_op(counts->allocations, counts->allocation_ops, malloc_count_known()),
                     "submitted_writes", per_op(counts->submitted_writes, ops, true));
}

static json_t *result_json(const struct bench_job *job, const struct bench_options *options,
                           const struct bench_report *report)
{
    double ops = bench_median_ops(&report->ours);
    double cpu = bench_median_cpu(&report->ours);
    json_t *rounds = json_array();

    for (unsigned i = 0; i < report->ours.count; i++)
        json_array_append_new(rounds, json_real(report->ours.rounds[i].ops_per_s));
    json_t *result =
        json_pack("{s:f,s:f,s:o,s:o,s:o,s:I,s:o}", "ops_per_s", ops, "bytes_per_s",
                  job->op_bytes ? ops * (double)job->op_bytes(options) : 0.0, "lat_ns",
                  cli_lat_json(&report->latency), "cpu_ns_per_op",
                  cpu < 0 ? json_null() : json_real(cpu), "per_op", per_op_json(&report->counts),
                  "ops", (json_int_t)report->counts.ops, "rounds", rounds);
    if (report->extra)
        json_object_update(result, report->extra);
    return result;
}

static const char *method_name(enum keel_method method)
{
    static const char *const names[] = {
        [KEEL_METHOD_AUTO] = "auto", [KEEL_METHOD_URING] = "uring", [KEEL_METHOD_NVME] = "nvme",
        [KEEL_METHOD_SYNC] = "sync", [KEEL_METHOD_SIM] = "sim",
    };
    return names[method];
}

/* Adds the options that the job takes. */
static json_t *config_json(const struct bench_job *job, const struct bench_options *options)
{
    static const char *const scheds[] = {"off", "static", "adaptive"};
    static const char *const wants[] = {"preferred", "required", "off"};
    static const char *const modes[] = {"optimistic", "shared"};
    static const char *const workloads[] = {"a", "b", "c", "f"};
    const struct {
        unsigned bit;
        const char *name;
        uint64_t value;
    } numbers[] = {
        {BENCH_THREADS, "threads", options->threads},    {BENCH_DEPTH, "depth", options->depth},
        {BENCH_BATCH, "batch", options->batch},          {BENCH_BS, "bs", options->bs_bytes},
        {BENCH_RECORD, "record", options->record_bytes}, {BENCH_LOG, "log", options->log_bytes},
        {BENCH_CACHE, "cache", options->cache_bytes},    {BENCH_DATA, "data", options->data_bytes},
    };
    const struct {
        unsigned bit;
        const char *name, *value;
    } names[] = {
        {BENCH_SCHED, "sched", scheds[options->sched]},
        {BENCH_PROFILE, "profile", options->profile ? options->profile : "none"},
        {BENCH_METHOD, "method", method_name(options->method)},
        {BENCH_IOPOLL, "iopoll", wants[options->iopoll]},
        {BENCH_SQPOLL, "sqpoll", wants[options->sqpoll]},
        {BENCH_SYNC, "sync", keel_wal_sync_name(options->sync)},
        {BENCH_MODE, "mode", modes[options->mode]},
        {BENCH_WORKLOAD, "workload", workloads[options->workload]},
        {BENCH_DURABILITY, "durability", keel_level_name(options->level)},
    };

    json_t *config = json_pack("{s:s,s:i,s:i}", "path", options->path, "seconds",
                               (int)options->seconds, "rounds", (int)options->rounds);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (job->takes & numbers[i].bit)
            json_object_set_new(config, numbers[i].name,
                                json_integer((json_int_t)numbers[i].value));
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (job->takes & names[i].bit)
            json_object_set_new(config, names[i].name, json_string(names[i].value));
    }
    if (job->takes & BENCH_DIST)
        json_object_set_new(config, "dist",
                            options->zipf > 0 ? json_sprintf("zipf:%g", options->zipf)
                                              : json_string("uniform"));
    return config;
}

int bench_report_json(const struct bench_job *job, const struct bench_options *options,
                      const struct bench_report *report, uint32_t peer_count)
{
    double ours = bench_median_ops(&report->ours);
    json_t *versus = json_array();

    for (uint32_t i = 0; i < peer_count; i++)
        json_array_append_new(versus, bench_series_json(&report->versus[i], ours));
    return cli_json(options->command,
                    json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "job", job->name, "version",
                              keel_version(), "config", config_json(job, options), "machine",
                              machine_json(options, &report->disk), "path",
                              path_report_json(&report->path), "result",
                              result_json(job, options, report), "versus", versus));
}

/* ---------------------------------------------------------------- text */

static void print_per_op(const struct bench_job *job, const struct bench_counts *counts)
{
    double ops = counts->ops ? (double)counts->ops : 1;

    printf("per %s: %.3f enters, %.3f writes handed to the kernel", job->unit,
           (double)counts->enters / ops, (double)counts->submitted_writes / ops);
    if (malloc_count_known() && counts->allocation_ops)
        printf(", %.4f allocations", (double)counts->allocations / (double)counts->allocation_ops);
    printf("\n");
    if (counts->device_known)
        printf("disk, per %s: %.3f writes, %.0f bytes, %.3f flushes, %.3f reads (all that it "
               "did; the kernel counts a flush among the writes too)\n",
               job->unit, (double)counts->device_writes / ops,
               (double)counts->device_write_bytes / ops, (double)counts->flushes / ops,
               (double)counts->device_reads / ops);
    else
        printf("disk: not counted\n");
}

static void print_row(const struct bench_series *series, double ours)
{
    char ns[4][16], rate[32];
    if (!series->count) {
        printf("%-8s did not run: %s\n", series->name, series->note);
        return;
    }
    struct bench_lat lat = bench_median_lat(series);
    double ops = bench_median_ops(series), cpu = bench_median_cpu(series);
    printf("%-8s %10s/s  p50 %-9s p99 %-9s p99.9 %-9s cpu/op %-9s", series->name,
           cli_count((uint64_t)ops, rate), lat.p50 ? cli_ns(lat.p50, ns[0]) : "?",
           lat.p99 ? cli_ns(lat.p99, ns[1]) : "?", lat.p999 ? cli_ns(lat.p999, ns[2]) : "?",
           cpu < 0 ? "?" : cli_ns((uint64_t)cpu, ns[3]));
    if (ours > 0 && ops > 0)
        printf(" keel is %.2fx", ours / ops);
    printf("\n");
}

void bench_report_print(const struct bench_job *job, const struct bench_options *options,
                        const struct bench_report *report, uint32_t peer_count)
{
    json_t *config = config_json(job, options);
    const char *key;
    json_t *value;

    printf("%s:", job->name);
    json_object_foreach(config, key, value)
    {
        if (json_is_string(value))
            printf(" %s %s", key, json_string_value(value));
        else
            printf(" %s %lld", key, (long long)json_integer_value(value));
    }
    json_decref(config);
    printf("\n");
    print_row(&report->ours, 0);
    for (uint32_t i = 0; i < peer_count; i++)
        print_row(&report->versus[i], bench_median_ops(&report->ours));
    print_per_op(job, &report->counts);
    if (job->print)
        job->print(options, report);
    if (report->path.method[0] == '\0')
        return;
    printf("path\n");
    path_report_print(&report->path, &report->disk, stdout);
}
