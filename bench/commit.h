/*
 * The job `commit`: T threads, each committing small transactions on pages of its own, each
 * blocking until durable. In rounds: ours, then each peer, then ours again.
 */
#ifndef KEEL_BENCH_COMMIT_H
#define KEEL_BENCH_COMMIT_H

#include <keel/engine.h>

#include "base/hist.h"
#include "bench/peer.h"
#include "tools/disk.h"
#include "tools/path_report.h"

#define COMMIT_THREADS_MAX 128u
#define COMMIT_RECORD_MAX  32768u
#define COMMIT_PEERS_MAX   8

struct commit_config {
    const char *command; /* for messages */
    const char *path;    /* folder on the disk under test; everything made in it is removed */
    uint32_t threads, seconds, rounds, record_bytes;
    enum keel_sync_method sync;
    enum keel_method method;
    uint64_t log_bytes, cache_bytes;
    const struct peer *peers[COMMIT_PEERS_MAX];
    uint32_t peer_count;
};

/* What happened while the rounds of ours were measured, all rounds together. */
struct commit_counts {
    uint64_t ops, ns, cpu_ns;
    uint64_t enters, log_writes, page_writes;
    uint64_t device_reads, device_writes, device_write_bytes, flushes;
    bool device_known;
    /* from the moment when all contexts are open to the last commit, warm-up included */
    uint64_t allocations, allocation_ops;
};

struct commit_report {
    struct bench_series ours;
    struct hist latency; /* all rounds */
    struct commit_counts counts;
    struct path_report path;
    struct disk disk;
    struct bench_series versus[COMMIT_PEERS_MAX];
};

/* Run all rounds. Blocks. Returns 0 or CLI_FAILED after a complaint. ret: zeroed by the caller. */
int commit_run(const struct commit_config *config, struct commit_report *ret);

#endif
