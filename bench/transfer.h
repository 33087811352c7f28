/*
 * What the jobs `nop`, `read` and `write` share with their peers.
 */
#ifndef KEEL_BENCH_TRANSFER_H
#define KEEL_BENCH_TRANSFER_H

#include "bench/job.h"

/* The file or device under test: in the run's folder, or what --path names. Returns buf. */
const char *transfer_path(const struct bench_run *run, char buf[600]);

/* Random reads or writes with the same size, depth, threads, batch and polling. */
bool peer_fio_read(struct bench_run *run, struct bench_series *series);
bool peer_fio_write(struct bench_run *run, struct bench_series *series);
/* One loop in this process: fill a batch of no-ops, enter once, reap them all. */
bool peer_liburing_nop(struct bench_run *run, struct bench_series *series);

#endif
