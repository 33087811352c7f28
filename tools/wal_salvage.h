/*
 * `keel wal salvage`: from a log that recovery refuses, a copy that it accepts.
 */
#ifndef KEEL_TOOLS_WAL_SALVAGE_H
#define KEEL_TOOLS_WAL_SALVAGE_H

#include <stdbool.h>

#include "tools/wal_file.h"

enum salvage_exit {
    SALVAGE_WHOLE = 0,      /* the copy has all that was promised */
    SALVAGE_GAVE_UP = 3,    /* the copy is there, something promised is not in it */
    SALVAGE_UNREADABLE = 4, /* no copy: there is no log to be read */
};

/* Write copy_path, which must not be there, and say what was given up. Exit status. */
int wal_salvage(const char *command, struct wal_file *file, const char *copy_path, bool json);

#endif
