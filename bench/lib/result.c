/*
 * Medians, because disks have slow phases of seconds and a mean would be made of those.
 */
#include "bench/lib/result.h"

#include <stdlib.h>
#include <string.h>

#include <keel/iosched.h>

#include "base/assert.h"
#include "base/hist.h"

struct bench_lat bench_lat_of(const struct hist *hist)
{
    return (struct bench_lat){
        .p50 = hist_percentile(hist, 500),
        .p90 = hist_percentile(hist, 900),
        .p99 = hist_percentile(hist, 990),
        .p999 = hist_percentile(hist, 999),
        .max = hist_max(hist),
    };
}

static json_t *known(uint64_t ns)
{
    return ns ? json_integer((json_int_t)ns) : json_null();
}

json_t *bench_lat_json(const struct bench_lat *lat)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "p50", known(lat->p50), "p90", known(lat->p90), "p99",
                     known(lat->p99), "p999", known(lat->p999), "max", known(lat->max));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    if (!count)
        return 0;
    qsort(values, count, sizeof(*values), compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double bench_median_ops(const struct bench_series *series)
{
    double values[BENCH_ROUNDS_MAX];
    for (unsigned i = 0; i < series->count; i++)
        values[i] = series->rounds[i].ops_per_s;
    return median(values, series->count);
}

double bench_median_cpu(const struct bench_series *series)
{
    double values[BENCH_ROUNDS_MAX];
    for (unsigned i = 0; i < series->count; i++)
        values[i] = series->rounds[i].cpu_ns_per_op;
    return median(values, series->count);
}

static uint64_t median_field(const struct bench_series *series, size_t offset)
{
    double values[BENCH_ROUNDS_MAX];
    KEEL_ASSERT(offset < sizeof(struct bench_lat));
    for (unsigned i = 0; i < series->count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&series->rounds[i].lat + offset, sizeof(value));
        values[i] = (double)value;
    }
    return (uint64_t)median(values, series->count);
}

struct bench_lat bench_median_lat(const struct bench_series *series)
{
    return (struct bench_lat){
        .p50 = median_field(series, offsetof(struct bench_lat, p50)),
        .p90 = median_field(series, offsetof(struct bench_lat, p90)),
        .p99 = median_field(series, offsetof(struct bench_lat, p99)),
        .p999 = median_field(series, offsetof(struct bench_lat, p999)),
        .max = median_field(series, offsetof(struct bench_lat, max)),
    };
}

json_t *bench_series_json(const struct bench_series *series, double ours_ops_per_s)
{
    if (!series->count)
        return json_pack("{s:s,s:n,s:n,s:n,s:n,s:s}", "name", series->name, "ops_per_s", "lat_ns",
                         "cpu_ns_per_op", "ratio", "note", series->note);

    struct bench_lat lat = bench_median_lat(series);
    double ops = bench_median_ops(series), cpu = bench_median_cpu(series);
    json_t *rounds = json_array();
    for (unsigned i = 0; i < series->count; i++)
        json_array_append_new(rounds, json_real(series->rounds[i].ops_per_s));
    return json_pack("{s:s,s:f,s:o,s:o,s:o,s:s,s:o}", "name", series->name, "ops_per_s", ops,
                     "lat_ns", bench_lat_json(&lat), "cpu_ns_per_op",
                     cpu < 0 ? json_null() : json_real(cpu), "ratio",
                     ops > 0 ? json_real(ours_ops_per_s / ops) : json_null(), "note", series->note,
                     "rounds", rounds);
}

int bench_file_create(const char *path, uint64_t bytes)
{
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    options.create_bytes = bytes;
    int rc = keel_ctx_open(NULL, &ctx);
    if (rc)
        return rc;
    rc = keel_device_open(ctx, path, &options, NULL, &device);
    if (!rc)
        keel_device_close(device);
    keel_ctx_close(ctx);
    return rc;
}
