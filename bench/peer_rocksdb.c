/*
 * RocksDB as peer: db_bench fillrandom with sync=1, which groups the commits of its threads. Values
 * are as long as keel's records; keys are 16 bytes. Each round begins with an empty database.
 * db_bench tells no 90th percentile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bench/lib/proc.h"
#include "bench/peer.h"

/* "fillrandom : 24.912 micros/op 40140 ops/sec 10.003 seconds 401536 operations; ..." */
static bool parse_line(const char *text, struct bench_round *round)
{
    const char *line = strstr(text, "\nfillrandom ");
    double micros, ops_per_s, seconds;
    unsigned long long operations;
    if (!line || sscanf(line, " fillrandom : %lf micros/op %lf ops/sec %lf seconds %llu operations",
                        &micros, &ops_per_s, &seconds, &operations) != 4)
        return false;
    round->ops_per_s = ops_per_s;
    round->cpu_ns_per_op = operations ? round->cpu_ns_per_op / (double)operations : -1;
    return operations > 0;
}

static uint64_t after(const char *text, const char *label)
{
    const char *at = text ? strstr(text, label) : NULL;
    return at ? (uint64_t)(strtod(at + strlen(label), NULL) * 1000) : 0;
}

/* "Min: 14  Median: 22.2  Max: 9123" and "Percentiles: P50: 22.2 P75: ... P99: ... P99.9: ..." */
static void parse_latency(const char *text, struct bench_lat *lat)
{
    const char *group = strstr(text, "Microseconds per write:");
    *lat = (struct bench_lat){.p50 = after(group, "P50: "),
                              .p99 = after(group, "P99: "),
                              .p999 = after(group, "P99.9: "),
                              .max = after(group, "Max: ")};
}

static bool run(const struct peer_job *job, struct bench_series *series, struct proc_output *output)
{
    char db[640], threads[32], duration[32], value[32];
    snprintf(db, sizeof(db), "--db=%s/rocksdb", job->folder);
    snprintf(threads, sizeof(threads), "--threads=%u", job->threads);
    snprintf(duration, sizeof(duration), "--duration=%u", job->seconds);
    snprintf(value, sizeof(value), "--value_size=%u", job->record_bytes);
    const char *const argv[] = {"db_bench",
                                "--benchmarks=fillrandom",
                                "--sync=1",
                                db,
                                threads,
                                duration,
                                value,
                                "--key_size=16",
                                "--num=10000000",
                                "--histogram=1",
                                "--compression_type=none",
                                NULL};
    int rc = proc_run(argv, output);
    struct bench_round *round = &series->rounds[series->count];
    round->cpu_ns_per_op = (double)output->cpu_ns;
    if (rc || output->missing || output->exit_status || !parse_line(output->text, round)) {
        snprintf(series->note, sizeof(series->note), "%.190s",
                 output->missing ? "db_bench is not installed: apt-get install rocksdb-tools"
                 : rc            ? keel_err_text(rc)
                                 : proc_last_line(output));
        return false;
    }
    parse_latency(output->text, &round->lat);
    series->count++;
    snprintf(series->note, sizeof(series->note),
             "db_bench fillrandom sync=1 threads=%u key_size=16 value_size=%u", job->threads,
             job->record_bytes);
    return true;
}

bool peer_rocksdb_commit(struct bench_run *bench, struct bench_series *series)
{
    struct peer_job job = peer_job_of(bench);

    KEEL_ASSERT(series->count < BENCH_ROUNDS_MAX);
    struct proc_output *output = mem_alloc(sizeof(*output));
    if (!output) {
        snprintf(series->note, sizeof(series->note), "out of memory");
        return false;
    }
    bool good = run(&job, series, output);
    mem_free(output);
    return good;
}
