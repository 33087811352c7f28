/*
 * Readers that wait for more of the log.
 */
#ifndef KEEL_WAL_TAIL_H
#define KEEL_WAL_TAIL_H

#include "wal/log.h"

/* Something was submitted, or became durable, or the log was poisoned: readers that wait look
 * again. Any thread, no lock held; two loads when nobody waits. */
void wal_tail_wake(struct keel_wal *wal);

/* The reader is closed. */
void wal_tail_leave(struct keel_wal_reader *reader);

#endif
