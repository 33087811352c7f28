/*
 * Making what a scan found durable, before anything is built on it.
 */
#ifndef KEEL_WAL_SECURE_H
#define KEEL_WAL_SECURE_H

#include "wal/log.h"

/* Write the blocks between the last promise and the end of the log again, as they are, and durably.
 * After wal_scan, before wal_start. Blocks. KEEL_EREAD (they read differently now), -errno. */
int wal_secure(struct keel_ctx *ctx, struct keel_wal *wal);

#endif
