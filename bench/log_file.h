/*
 * A bare log in a file of the scratch folder, for jobs that measure the log without an engine.
 */
#ifndef KEEL_BENCH_LOG_FILE_H
#define KEEL_BENCH_LOG_FILE_H

#include "bench/job.h"

struct log_file {
    const char *command;
    char path[640];
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_wal *wal;
};

/* All block and return 0 or CLI_FAILED after a complaint. */

/* Make and format the file `name` in the run's folder: bytes, written with zeroes. */
int log_file_create(const struct bench_run *run, const char *name, uint64_t bytes);

/* Open it; wal_options may be NULL. On failure nothing stays open. */
int log_file_open(const struct bench_run *run, const char *name,
                  const struct keel_wal_options *wal_options, struct log_file *ret);

/* Let it be appended to. */
int log_file_start(struct log_file *log);

/* Close what is open of it. */
int log_file_close(struct log_file *log);

/* CPU time of this process so far. */
uint64_t log_cpu_ns(void);

/* fio with O_DIRECT on a file of its own: sequential "read" or "write" in blocks of bs bytes at
 * this depth, synced as our log does when written. Its rate is given in units of unit_bytes. */
bool log_peer_fio(struct bench_run *run, struct bench_series *series, const char *direction,
                  uint64_t bs_bytes, uint32_t depth, uint64_t unit_bytes);

#endif
