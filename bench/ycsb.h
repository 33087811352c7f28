/*
 * What the job `ycsb` and its peer share.
 */
#ifndef KEEL_BENCH_YCSB_H
#define KEEL_BENCH_YCSB_H

#include "bench/job.h"

unsigned ycsb_read_percent(enum bench_workload workload);
uint64_t ycsb_records(const struct bench_options *options);

/* db_bench with the same mix, where it has one. */
bool peer_rocksdb_ycsb(struct bench_run *run, struct bench_series *series);

#endif
