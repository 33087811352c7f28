/*
 * Pictures of `mixed`, as charts.h has them: false, and nothing printed, where a run has no such.
 */
#ifndef KEEL_TOOLS_REPORT_PANELS_H
#define KEEL_TOOLS_REPORT_PANELS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Over time: what a commit takes, the rate of write-back, the cap; where each phase begins. */
bool chart_series(FILE *out, const json_t *run);
/* Over the weight of write-back: what a commit takes, and its rate. */
bool chart_weights(FILE *out, const json_t *run);

#endif
