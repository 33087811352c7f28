/*
 * Which store in use is meant, when its name may be left out.
 */
#ifndef KEEL_TOOLS_STATS_CHOOSE_H
#define KEEL_TOOLS_STATS_CHOOSE_H

#include "tools/stats_read.h"

/* With a store named, nothing to do: 0. Else the only one that this user has open: its object's
 * name in ret_name, 0; or a complaint that lists them, and the exit status. */
int stats_choose(const char *command, const char *store, char ret_name[STATS_NAME_MAX]);

#endif
