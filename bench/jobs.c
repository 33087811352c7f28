/*
 * The table of jobs, in the order of `keel bench --help`.
 */
#include "bench/job.h"

/* clang-format off */
const struct bench_job *const bench_jobs[] = {
    &bench_job_nop,
    &bench_job_read,
    &bench_job_write,
    &bench_job_mixed,
    &bench_job_commit,
    &bench_job_acommit,
    &bench_job_append,
    &bench_job_recover,
    &bench_job_sync,
    &bench_job_fix,
    &bench_job_lookup,
    &bench_job_scan,
    &bench_job_checkpoint,
    &bench_job_evict,
    &bench_job_ladder,
    &bench_job_map,
    &bench_job_ycsb,
    NULL,
};
/* clang-format on */
