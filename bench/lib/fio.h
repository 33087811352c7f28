/*
 * What fio's JSON report says of one job, read or write.
 */
#ifndef KEEL_BENCH_LIB_FIO_H
#define KEEL_BENCH_LIB_FIO_H

#include <stdbool.h>

#include "bench/lib/result.h"

/* Run fio with these arguments (NULL-terminated, argv[0] "fio"; --output=report among them), and
 * add a round to series: rate, latencies and CPU time of the direction ("read" or "write"). False:
 * the note says why not. */
bool fio_round(const char *const argv[], const char *report, const char *direction,
               struct bench_series *series);

#endif
