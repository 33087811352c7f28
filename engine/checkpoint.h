/*
 * Checkpoints: make the log below a cut superfluous, then give it back (E3).
 *
 * One state machine per store, moved one step at a time by whoever holds the lock: keel_tick,
 * keel_checkpoint, the background thread, and a transaction that waits for log space. A step that
 * another thread left in flight is waited for by driving it (I6), so no thread's silence stops it.
 *
 *   IDLE      no checkpoint is under way
 *   CUT       one is wanted
 *   DRAIN     the mark has moved; commits decided under the old one are being stamped
 *   WRITE     pages with a recLSN below the cut are being written
 *   SYNC      all are written; the page file is to be synced
 *   SYNCING   the sync is in flight
 *   TRUNCATE  pages are durable; the redo LSN may move to the cut
 */
#ifndef KEEL_ENGINE_CHECKPOINT_H
#define KEEL_ENGINE_CHECKPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <keel/iosched.h>

#include "base/lock.h"

struct keel_store;

/* clang-format off */
#define CHECKPOINT_STEPS(X) \
X(IDLE) X(CUT) X(DRAIN) X(WRITE) X(SYNC) X(SYNCING) X(TRUNCATE)
/* clang-format on */

enum checkpoint_step {
#define CHECKPOINT_STEP_MEMBER(name) CHECKPOINT_##name,
    CHECKPOINT_STEPS(CHECKPOINT_STEP_MEMBER)
#undef CHECKPOINT_STEP_MEMBER
        CHECKPOINT_STEP_COUNT
};

struct checkpoint {
    struct lock lock; /* rank CHECKPOINT */
    /* under lock */
    enum checkpoint_step step;
    keel_lsn cut;
    uint32_t old_mark; /* the mark before the cut */
    uint64_t started;  /* cuts made */
    struct keel_io sync;
    struct keel_ioref sync_ref;
    /* atomic */
    _Atomic uint64_t completed; /* written under lock; read anywhere */
    _Atomic uint64_t redo_lsn;  /* likewise */
    _Atomic bool wanted;        /* log space is short; cleared by CUT */
    _Atomic bool kicked; /* the background was woken for one; cleared by CUT and at the end */
};

enum checkpoint_wait { CHECKPOINT_NOWAIT, CHECKPOINT_WAIT };

void checkpoint_init(struct keel_store *store);
void checkpoint_fini(struct keel_store *store);

/* Is one due, by log bytes or because space was asked for? Any thread. */
bool checkpoint_due(struct keel_store *store);
/* Ask for one, and wake whoever makes them. Any thread. */
void checkpoint_want(struct keel_store *store);

/* One is due: wake the background thread, once. Any thread. */
void checkpoint_kick(struct keel_store *store);

/*
 * One step, under the lock; begins a checkpoint when it is idle and begin is true. Returns 1: moved
 * on; 0: idle; KEEL_PENDING: cannot go on right now (with NOWAIT: something is in flight; with
 * WAIT: a page is held exclusively); or an error, by which the store is poisoned.
 */
int checkpoint_step(struct keel_store *store, struct keel_ctx *ctx, bool begin,
                    enum checkpoint_wait wait);

/* A whole one, of everything committed before the call. Blocks. KEEL_EBUSY as keel_checkpoint. */
int checkpoint_run(struct keel_store *store, struct keel_ctx *ctx);

/*
 * The log is full and this thread waits for space (it holds no page of the transaction that is to
 * begin): do a step, or wait until something happened after event_seq was `seq`. KEEL_EBUSY: only
 * open transactions of ctx stand in the way.
 */
int checkpoint_help(struct keel_store *store, struct keel_ctx *ctx, uint32_t seq);

/* Tell committers where the cut is. At open, and by the CUT step. */
void checkpoint_publish_cut(struct keel_store *store, keel_lsn cut);

#endif
