/*
 * fio as peer of `read` and `write`: the same size, depth, threads and batch, on the same file or
 * device.
 */
#include "bench/lib/fio_load.h"
#include "bench/transfer.h"

static bool run_fio(struct bench_run *run, struct bench_series *series, const char *rw)
{
    const struct bench_options *options = run->options;
    char path[600];
    struct fio_load load = {
        .path = transfer_path(run, path),
        .rw = rw,
        .bs_bytes = options->bs_bytes,
        .depth = options->depth,
        .batch = options->batch,
        .threads = options->threads,
    };

    return fio_load_round(run, &load, series);
}

bool peer_fio_read(struct bench_run *run, struct bench_series *series)
{
    return run_fio(run, series, "randread");
}

bool peer_fio_write(struct bench_run *run, struct bench_series *series)
{
    return run_fio(run, series, "randwrite");
}
