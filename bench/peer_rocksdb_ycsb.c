/*
 * RocksDB as peer of `ycsb`: db_bench with the same share of reads, the same number of records of
 * the same length, a block cache of the same size, direct I/O, and each write synced.
 *
 * What db_bench cannot do is said and not approximated: it draws keys for this mix uniformly, and
 * it has no mix of reads and read-modify-writes. What stays different: RocksDB finds its records by
 * key in a tree of sorted files, keel's are at fixed places; RocksDB writes records once to the log
 * and to a memtable, keel changes pages.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bench/lib/proc.h"
#include "bench/ycsb.h"

#define ARGS_COMMON 9u

struct args {
    char db[640], num[48], value[32], cache[48], threads[32], duration[32], percent[40];
    const char *argv[24];
};

static void common_args(const struct bench_run *run, struct args *args)
{
    const struct bench_options *options = run->options;

    snprintf(args->db, sizeof(args->db), "--db=%s/rocksdb", run->folder);
    snprintf(args->num, sizeof(args->num), "--num=%" PRIu64, ycsb_records(options));
    snprintf(args->value, sizeof(args->value), "--value_size=%" PRIu64, options->record_bytes);
    snprintf(args->cache, sizeof(args->cache), "--cache_size=%" PRIu64, options->cache_bytes);
    snprintf(args->threads, sizeof(args->threads), "--threads=%u", options->threads);
    snprintf(args->duration, sizeof(args->duration), "--duration=%u", options->seconds);
    snprintf(args->percent, sizeof(args->percent), "--readwritepercent=%u",
             ycsb_read_percent(options->workload));
    const char *const common[ARGS_COMMON] = {"db_bench",
                                             args->db,
                                             args->num,
                                             args->value,
                                             args->cache,
                                             "--key_size=16",
                                             "--compression_type=none",
                                             "--use_direct_reads=1",
                                             "--use_direct_io_for_flush_and_compaction=1"};
    memcpy(args->argv, common, sizeof(common));
}

static bool failed(struct bench_series *series, const struct proc_output *output, int rc,
                   struct proc_output *writable)
{
    snprintf(series->note, sizeof(series->note), "%.190s",
             output->missing ? "db_bench is not installed: apt-get install rocksdb-tools"
             : rc            ? keel_err_text(rc)
                             : proc_last_line(writable));
    return false;
}

/* "NAME : 24.912 micros/op 40140 ops/sec 10.003 seconds 401536 operations; ..." */
static bool parse(const char *text, const char *name, struct bench_round *round)
{
    char label[64];
    double micros, ops_per_s, seconds;
    unsigned long long operations;

    snprintf(label, sizeof(label), "\n%s ", name);
    const char *line = strstr(text, label);
    const char *colon = line ? strchr(line, ':') : NULL;
    if (!colon || sscanf(colon, ": %lf micros/op %lf ops/sec %lf seconds %llu operations", &micros,
                         &ops_per_s, &seconds, &operations) != 4)
        return false;
    round->ops_per_s = ops_per_s;
    round->cpu_ns_per_op = operations ? round->cpu_ns_per_op / (double)operations : -1;
    return operations > 0;
}

static bool run_mix(const struct bench_run *run, struct bench_series *series,
                    struct proc_output *output)
{
    bool reads = run->options->workload == BENCH_YCSB_C;
    const char *name = reads ? "readrandom" : "readrandomwriterandom";
    struct bench_round *round = &series->rounds[series->count];
    char benchmark[64];
    struct args args = {0};

    if (series->count == 0) {
        common_args(run, &args);
        args.argv[ARGS_COMMON] = "--benchmarks=fillseq,compact";
        int rc = proc_run(args.argv, output);
        if (rc || output->missing || output->exit_status)
            return failed(series, output, rc, output);
    }
    common_args(run, &args);
    snprintf(benchmark, sizeof(benchmark), "--benchmarks=%s", name);
    const char *const more[] = {benchmark,    "--use_existing_db=1", "--sync=1",
                                args.threads, args.duration,         args.percent};
    memcpy(args.argv + ARGS_COMMON, more, sizeof(more));
    int rc = proc_run(args.argv, output);
    *round = (struct bench_round){.cpu_ns_per_op = (double)output->cpu_ns};
    if (rc || output->missing || output->exit_status || !parse(output->text, name, round))
        return failed(series, output, rc, output);
    series->count++;
    snprintf(series->note, sizeof(series->note),
             "db_bench %s sync=1, %u%% reads, uniform keys in a sorted tree, direct I/O; no "
             "percentiles of the mix",
             name, ycsb_read_percent(run->options->workload));
    return true;
}

bool peer_rocksdb_ycsb(struct bench_run *run, struct bench_series *series)
{
    KEEL_ASSERT(series->count < BENCH_ROUNDS_MAX);
    if (run->options->workload == BENCH_YCSB_F) {
        snprintf(series->note, sizeof(series->note),
                 "db_bench has no mix of reads and read-modify-writes");
        return false;
    }
    if (run->options->zipf > 0) {
        snprintf(series->note, sizeof(series->note),
                 "db_bench draws the keys of this mix uniformly; compare with --dist uniform");
        return false;
    }
    struct proc_output *output = mem_alloc(sizeof(*output));
    if (!output) {
        snprintf(series->note, sizeof(series->note), "out of memory");
        return false;
    }
    bool good = run_mix(run, series, output);
    mem_free(output);
    return good;
}
