/*
 * What `keel top` says about the time between two samples of a store's segment.
 */
#ifndef KEEL_TOOLS_TOP_SHOW_H
#define KEEL_TOOLS_TOP_SHOW_H

#include <stdio.h>

#include "tools/stats_read.h"

/* before may be empty (bytes NULL): then there are no rates yet. lines: at most so many. */
void top_show(const struct stats_view *before, const struct stats_view *now, unsigned lines,
              FILE *out);

/* Counters as NAME_per_s, gauges as they are. */
json_t *top_json(const struct stats_view *before, const struct stats_view *now);

#endif
