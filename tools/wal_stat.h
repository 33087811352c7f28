/*
 * `keel wal stat`: what a log holds, in numbers.
 */
#ifndef KEEL_TOOLS_WAL_STAT_H
#define KEEL_TOOLS_WAL_STAT_H

#include <stdbool.h>

#include "tools/wal_file.h"

/* Print it. Exit status. */
int wal_stat(const char *command, struct wal_file *file, bool json);

#endif
