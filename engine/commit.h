/*
 * Commit: one group of log records for all pages of a transaction.
 */
#ifndef KEEL_ENGINE_COMMIT_H
#define KEEL_ENGINE_COMMIT_H

#include <stdint.h>

#include <keel/types.h>

struct keel_tx;

/*
 * Append the transaction's group, stamp and unlatch its pages, and end it. *ret_end: what has to be
 * durable. KEEL_PENDING (nowait): nothing happened, the transaction is still there; any other
 * error: it was rolled back and is gone.
 */
int commit_append(struct keel_tx *tx, keel_lsn *ret_end);

#endif
