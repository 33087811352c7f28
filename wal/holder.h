/*
 * Holders: who still needs the log, and what that means for the space that appenders are given.
 */
#ifndef KEEL_WAL_HOLDER_H
#define KEEL_WAL_HOLDER_H

#include "wal/log.h"

/* Everything from here on is there, up to the durable LSN; a block border. */
keel_lsn wal_kept_from(const struct keel_wal *wal);

/* The redo LSN is durable in the superblock: give appenders what that frees. Before start it only
 * is noted; wal_hold_start() gives out the first limits. */
void wal_hold_redo(struct keel_wal *wal, keel_lsn redo);
void wal_hold_start(struct keel_wal *wal);

/* The lowest LSN that is needed, by recovery from redo or by a holder. */
keel_lsn wal_hold_lowest(struct keel_wal *wal, keel_lsn redo);

/* A credit of so many bytes is refused: break the holders that stand in its way, are beyond their
 * cap, and would rather be broken. True: there were some. */
bool wal_hold_break(struct keel_wal *wal, uint64_t bytes);

void wal_hold_stats(struct keel_wal *wal, struct keel_wal_stats *ret);

#endif
