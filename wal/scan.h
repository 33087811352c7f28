/*
 * Finding the end of the log.
 */
#ifndef KEEL_WAL_SCAN_H
#define KEEL_WAL_SCAN_H

#include "wal/log.h"

/*
 * Read the ring from the redo LSN on, find X, look further for what must not be there, decide by
 * the truth table and fill in wal->report. 0, KEEL_ECORRUPT or KEEL_EREAD with *info filled in, or
 * what reading returned. Writes nothing. Before start.
 */
int wal_scan(struct keel_ctx *ctx, struct keel_wal *wal, struct keel_err_info *info);

#endif
