/*
 * fio's JSON report. Its CPU time is what it says of its own jobs while they ran, so neither
 * starting up nor ramping up is in it.
 */
#include "bench/lib/fio.h"

#include <jansson.h>
#include <stdio.h>

#include "base/mem.h"
#include "bench/lib/proc.h"
#include "keel/error.h"

static uint64_t percentile(const json_t *group, const char *name)
{
    return (uint64_t)json_integer_value(
        json_object_get(json_object_get(group, "percentile"), name));
}

static bool read_report(const char *path, const char *direction, struct bench_round *round)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    const json_t *job = json_array_get(json_object_get(root, "jobs"), 0);
    const json_t *side = json_object_get(job, direction);
    const json_t *lat = json_object_get(side, "lat_ns");
    double ops = (double)json_integer_value(json_object_get(side, "total_ios"));
    double busy_ns = (double)json_integer_value(json_object_get(job, "job_runtime")) * 1e6 *
                     (json_number_value(json_object_get(job, "usr_cpu")) +
                      json_number_value(json_object_get(job, "sys_cpu"))) /
                     100;

    *round = (struct bench_round){
        .ops_per_s = json_number_value(json_object_get(side, "iops")),
        .cpu_ns_per_op = ops > 0 ? busy_ns / ops : -1,
        .lat = {.p50 = percentile(lat, "50.000000"),
                .p90 = percentile(lat, "90.000000"),
                .p99 = percentile(lat, "99.000000"),
                .p999 = percentile(lat, "99.900000"),
                .max = (uint64_t)json_integer_value(json_object_get(lat, "max"))},
    };
    json_decref(root);
    return ops > 0;
}

bool fio_round(const char *const argv[], const char *report, const char *direction,
               struct bench_series *series)
{
    struct proc_output *output = mem_alloc(sizeof(*output));
    const char *why = NULL;

    if (!output) {
        snprintf(series->note, sizeof(series->note), "out of memory");
        return false;
    }
    int rc = proc_run(argv, output);
    if (rc)
        why = keel_err_text(rc);
    else if (output->missing)
        why = "fio is not installed: apt-get install fio";
    else if (output->exit_status)
        why = proc_last_line(output);
    else if (!read_report(report, direction, &series->rounds[series->count]))
        why = "fio's report could not be read";
    if (why)
        snprintf(series->note, sizeof(series->note), "%.190s", why);
    else
        series->count++;
    mem_free(output);
    return !why;
}
