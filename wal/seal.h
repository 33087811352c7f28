/*
 * From published bytes to durable ones: batches, writes, syncs, the durable LSN, poison.
 */
#ifndef KEEL_WAL_SEAL_H
#define KEEL_WAL_SEAL_H

#include "wal/log.h"

enum wal_seal_result {
    WAL_SEAL_NOTHING = 0, /* nothing to write, or it may not start now: a completion is to come */
    WAL_SEAL_SUBMITTED,   /* queued on the log's context: somebody has to drive or kick it */
    WAL_SEAL_LATER,       /* another thread is publishing or sealing just now: try again */
};

/* Start writing what is appended, if a write may start, so that it gets to the level; where it is
 * written and to be durable, start a flush. Never waits. linker: the caller stays until its pending
 * count is zero (KEEL_SYNC_LINK), or NULL. Any thread. */
enum wal_seal_result wal_seal(struct keel_wal *wal, struct wal_linker *linker,
                              enum keel_level level);

/* First error wins; everybody who waits is told. Any thread, also inside completions. */
void wal_poison(struct keel_wal *wal, int error);

#endif
