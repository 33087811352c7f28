/*
 * What `keel bench` prints: one JSON object, or text.
 */
#ifndef KEEL_TOOLS_BENCH_REPORT_H
#define KEEL_TOOLS_BENCH_REPORT_H

#include "bench/job.h"

/* Returns the exit status. */
int bench_report_json(const struct bench_job *job, const struct bench_options *options,
                      const struct bench_report *report, uint32_t peer_count);
void bench_report_print(const struct bench_job *job, const struct bench_options *options,
                        const struct bench_report *report, uint32_t peer_count);

#endif
