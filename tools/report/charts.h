/*
 * The pictures of `keel report`, each made from the JSON of one run of `keel bench`. What a run
 * does not have is not drawn: each returns false then and prints nothing.
 */
#ifndef KEEL_TOOLS_REPORT_CHARTS_H
#define KEEL_TOOLS_REPORT_CHARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Rates of ours and of each peer: the median as a bar, each round as a dot. */
bool chart_rates(FILE *out, const json_t *run);
/* Percentiles of the latencies on one logarithmic axis. */
bool chart_latencies(FILE *out, const json_t *run);
/* `ladder`: rate and CPU time of each rung, or why it did not run. */
bool chart_ladder(FILE *out, const json_t *run);
/* `map`: latency of reads over both rates. percentile: "p50", "p99". */
bool chart_map(FILE *out, const json_t *run, const char *percentile);
/* `fix`: time for one access over the number of pages. */
bool chart_curve(FILE *out, const json_t *run);

#endif
