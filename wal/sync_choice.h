/*
 * Which way of making a log write durable is best on this device.
 */
#ifndef KEEL_WAL_SYNC_CHOICE_H
#define KEEL_WAL_SYNC_CHOICE_H

#include "wal/log.h"

/* Settle wal->sync for what was asked for: sets sync, sync_why, sync_ns_p25. The epoch that is
 * about to begin is durable already; only blocks that no epoch owns are written. from, end: such
 * blocks. */
int wal_sync_choose(struct keel_wal *wal, enum keel_sync_method asked, keel_lsn from, keel_lsn end);

/* Is a method named one that this device can have? KEEL_EOPTION. */
int wal_sync_check(const struct keel_wal *wal, enum keel_sync_method asked);

/* What is in force, by the name that a user of the log's method knows. */
enum keel_sync_method wal_sync_shown(const struct keel_wal *wal);

#endif
