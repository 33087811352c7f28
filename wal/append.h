/*
 * What the other files of this folder need of appending.
 */
#ifndef KEEL_WAL_APPEND_H
#define KEEL_WAL_APPEND_H

#include "wal/log.h"

/* Take log space, but not the last `keep` bytes there are; as keel_wal_credit_take(), for the log's
 * own use. */
int wal_credit_reserve(struct keel_wal *wal, uint64_t bytes, uint64_t keep);
void wal_credit_release(struct keel_wal *wal, uint64_t bytes);

#endif
