/*
 * What one round of anything gives, ours or a peer's, and the few sums that comparing needs.
 */
#ifndef KEEL_BENCH_LIB_RESULT_H
#define KEEL_BENCH_LIB_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hist;

#define BENCH_ROUNDS_MAX 64

/* Percentiles in nanoseconds; 0: not known (peers do not tell them all). */
struct bench_lat {
    uint64_t p50, p90, p99, p999, max;
};

struct bench_round {
    double ops_per_s;
    double cpu_ns_per_op; /* negative: not known */
    struct bench_lat lat;
};

/* A peer over all rounds. */
struct bench_series {
    const char *name;
    char note[200]; /* what was run, or why it could not be: then count is 0 */
    unsigned count;
    struct bench_round rounds[BENCH_ROUNDS_MAX];
};

struct bench_lat bench_lat_of(const struct hist *hist);
json_t *bench_lat_json(const struct bench_lat *lat);

/* Median of ops_per_s, of cpu_ns_per_op; 0 when there is none. */
double bench_median_ops(const struct bench_series *series);
double bench_median_cpu(const struct bench_series *series);
/* Median of each percentile over the rounds. */
struct bench_lat bench_median_lat(const struct bench_series *series);

/* {"name","ops_per_s","lat_ns","cpu_ns_per_op","ratio","note","rounds"}; nulls when it did not run.
 */
json_t *bench_series_json(const struct bench_series *series, double ours_ops_per_s);

/* Make a file of so many bytes, written with zeroes and synced, as keel makes its own. 0 or a
 * negative code. */
int bench_file_create(const char *path, uint64_t bytes);

#endif
