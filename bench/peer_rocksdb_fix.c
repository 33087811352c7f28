/*
 * RocksDB as peer of `fix`: cache_bench, which looks up blocks of 4 KiB that are all in a cache of
 * the same size, by its LRU cache as databases have it by default, and lets go of them.
 *
 * What stays different: it finds a block by a hash of its key, ours by its number in a table; it
 * does not look into the block (-lean), ours does; and Debian builds it with assertions. It runs
 * for a number of look-ups, not for a time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bench/lib/proc.h"
#include "bench/peer.h"

#define OPS_PER_SECOND 1000000u /* of a thread, about */

/* "Complete in 1.196 s; Rough parallel ops/sec = 1672937" */
static bool parse(const char *text, struct bench_round *round)
{
    const char *line = strstr(text, "Rough parallel ops/sec = ");

    return line && sscanf(line, "Rough parallel ops/sec = %lf", &round->ops_per_s) == 1 &&
           round->ops_per_s > 0;
}

static bool run(const struct bench_options *options, struct bench_series *series,
                struct proc_output *output)
{
    char threads[32], cache[48], ops[48];
    const char *const argv[] = {"cache_bench",
                                threads,
                                cache,
                                ops,
                                "-value_bytes=4096",
                                "-resident_ratio=1",
                                "-skew=0",
                                "-lookup_percent=100",
                                "-lookup_insert_percent=0",
                                "-insert_percent=0",
                                "-erase_percent=0",
                                "-lean=true",
                                NULL};
    struct bench_round round = {.cpu_ns_per_op = -1};

    snprintf(threads, sizeof(threads), "-threads=%u", options->threads);
    snprintf(cache, sizeof(cache), "-cache_size=%" PRIu64, options->cache_bytes);
    snprintf(ops, sizeof(ops), "-ops_per_thread=%" PRIu64,
             (uint64_t)options->seconds * OPS_PER_SECOND);
    int rc = proc_run(argv, output);
    if (rc || output->missing || output->exit_status || !parse(output->text, &round)) {
        snprintf(series->note, sizeof(series->note), "%.190s",
                 output->missing ? "cache_bench is not installed: apt-get install rocksdb-tools"
                 : rc            ? keel_err_text(rc)
                                 : proc_last_line(output));
        return false;
    }
    series->rounds[series->count++] = round;
    snprintf(series->note, sizeof(series->note),
             "cache_bench, LRU, look-ups that hit, uniform; without a look into the block");
    return true;
}

bool peer_rocksdb_fix(struct bench_run *bench, struct bench_series *series)
{
    KEEL_ASSERT(series->count < BENCH_ROUNDS_MAX);
    if (bench->options->zipf > 0) {
        snprintf(series->note, sizeof(series->note),
                 "cache_bench does not draw by a zipf law; give --dist uniform");
        return false;
    }
    struct proc_output *output = mem_alloc(sizeof(*output));
    if (!output) {
        snprintf(series->note, sizeof(series->note), "out of memory");
        return false;
    }
    bool good = run(bench->options, series, output);
    mem_free(output);
    return good;
}
