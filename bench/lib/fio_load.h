/*
 * fio as peer of whatever reads or writes one file: io_uring, O_DIRECT, of one size, with
 * registered buffers and files and polling where ours had them.
 */
#ifndef KEEL_BENCH_LIB_FIO_LOAD_H
#define KEEL_BENCH_LIB_FIO_LOAD_H

#include "bench/job.h"

struct fio_load {
    const char *path; /* of a file that is there, or a device */
    const char *rw;   /* fio's: "randread", "read", "randwrite", "write" */
    uint64_t bs_bytes;
    uint32_t depth, batch, threads;
    uint64_t size_bytes; /* move so many and stop; 0: run for the seconds of the run's options */
};

/* One round: adds to series; false: the note says why not. */
bool fio_load_round(const struct bench_run *run, const struct fio_load *load,
                    struct bench_series *series);

#endif
