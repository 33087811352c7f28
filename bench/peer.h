/*
 * The peers of the job `commit`, one round each, which sync as our log does (bench_sync_of); and
 * one of `fix`.
 */
#ifndef KEEL_BENCH_PEER_H
#define KEEL_BENCH_PEER_H

#include "bench/job.h"

bool peer_fio_commit(struct bench_run *run, struct bench_series *series);
bool peer_rocksdb_commit(struct bench_run *run, struct bench_series *series);
bool peer_rocksdb_fix(struct bench_run *run, struct bench_series *series);
bool peer_bare_commit(struct bench_run *run, struct bench_series *series);
/* Programs of their own: bench/peer_program.c. */
bool peer_wiredtiger_commit(struct bench_run *run, struct bench_series *series);
bool peer_sqlite_commit(struct bench_run *run, struct bench_series *series);
bool peer_lmdb_commit(struct bench_run *run, struct bench_series *series);

/* What these peers need of a run. */
struct peer_job {
    const char *folder;
    uint32_t threads, seconds, record_bytes;
    enum keel_sync_method sync; /* never AUTO */
};
static inline struct peer_job peer_job_of(const struct bench_run *run)
{
    return (struct peer_job){.folder = run->folder,
                             .threads = run->options->threads,
                             .seconds = run->options->seconds,
                             .record_bytes = (uint32_t)run->options->record_bytes,
                             .sync = bench_sync_of(run->report)};
}

#endif
