/*
 * Peers: what keel's figures are put beside. Each runs one round of the same load in its own way
 * and adds it to its series. A peer that cannot run says why in the series' note and returns false;
 * it is then named in the output, never left out.
 */
#ifndef KEEL_BENCH_PEER_H
#define KEEL_BENCH_PEER_H

#include <keel/wal.h>

#include "bench/lib/result.h"

struct peer_job {
    const char *folder; /* on the disk under test; the peer makes its files in it */
    uint32_t threads, seconds;
    uint32_t record_bytes;
    enum keel_sync_method sync; /* as chosen for ours: never AUTO */
};

struct peer {
    const char *name;
    bool (*commit)(const struct peer_job *job, struct bench_series *series);
};

bool peer_fio_commit(const struct peer_job *job, struct bench_series *series);
bool peer_rocksdb_commit(const struct peer_job *job, struct bench_series *series);
bool peer_bare_commit(const struct peer_job *job, struct bench_series *series);

#endif
