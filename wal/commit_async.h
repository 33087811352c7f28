/*
 * Asynchronous commits, as completions see them.
 */
#ifndef KEEL_WAL_COMMIT_ASYNC_H
#define KEEL_WAL_COMMIT_ASYNC_H

#include "wal/log.h"

/* Wake every context whose oldest commit can be answered; when nothing is in flight, also one
 * whose commit still has to be written. Any thread, also inside completions. */
void wal_async_wake(struct keel_wal *wal);

/* Once, at open: wal->fifos is there and zero. */
void wal_fifos_init(struct keel_wal *wal);

#endif
