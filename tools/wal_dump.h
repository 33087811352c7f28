/*
 * Prints a log: superblock, blocks, records.
 */
#ifndef KEEL_TOOLS_WAL_DUMP_H
#define KEEL_TOOLS_WAL_DUMP_H

#include "tools/wal_file.h"

/* Print all of it, as text or as one JSON object. Damage is shown, not refused. Returns 0, or what
 * reading gave. */
int wal_dump(struct wal_file *file, bool json);

#endif
