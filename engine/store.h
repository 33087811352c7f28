/*
 * A store in memory: what hangs on it, who may touch it, and its four states.
 *
 * Folder header. Each part is used through its own header; this one only says where they live.
 */
#ifndef KEEL_ENGINE_STORE_H
#define KEEL_ENGINE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <keel/engine.h>

#include "base/lock.h"
#include "engine/alloc_map.h"
#include "engine/background.h"
#include "engine/checkpoint.h"
#include "engine/options.h"
#include "engine/scrub.h"
#include "engine/stats_publish.h"
#include "engine/superblock.h"
#include "engine/txn.h"

#define STORE_SPACE_ID     1u
#define STORE_PROFILE_NAME "profile.json" /* what its disk charges, if it is there */

/* clang-format off */
/* state, what holds in it */
#define STORE_STATES(X) \
X(OPENING,   "files are found or made, the log is replayed; nobody else has the store") \
X(RUNNING,   "everything is allowed") \
X(READ_ONLY, "a write or sync failed: sticky; what is durable can be read") \
X(CLOSED,    "being taken apart")

/* from, to, why */
#define STORE_EDGES(E) \
E(OPENING,   RUNNING,   "recovery and its checkpoint are done") \
E(OPENING,   READ_ONLY, "a write or sync failed in recovery; open fails") \
E(OPENING,   CLOSED,    "open failed") \
E(RUNNING,   READ_ONLY, "the first failed write or sync") \
E(RUNNING,   CLOSED,    "keel_close") \
E(READ_ONLY, CLOSED,    "keel_close")
/* clang-format on */

/* How long the log has been idle, as ticks see it; atomic. */
struct store_idle {
    _Atomic uint64_t tail_lsn; /* at the last tick */
    _Atomic uint64_t since_ns; /* when a tick first saw that */
};

struct keel_store {
    /* set at open, then constant */
    struct store_config config;
    struct keel_device *super_device, *wal_device, *pages_device;
    struct keel_device *whole_device; /* of which these are parts; NULL in a folder */
    struct keel_arena *arena;
    struct keel_wal *wal;
    struct keel_pagecache *cache;
    struct keel_space *space;
    struct keel_scrub *scrub; /* NULL: not */
    uint32_t page_len;        /* user part of a page */
    bool atomic_pages;        /* written untorn: no images in the log for their sake */
    uint64_t recovered_groups, recovered_pages;
    uint64_t begun_ns, open_ns; /* when opening began; how long it took */

    /* the superblock: set at open, then only by the thread that grows the space */
    struct keel_quad quad;
    struct superblock super;

    /* atomic; moved by store_move alone */
    _Atomic uint32_t state;
    _Atomic int32_t poison; /* first error that made it READ_ONLY */

    /*
     * atomic. Where the last cut is: the LSN is stored first, then its mark with release; a reader
     * that finds another mark than the log's takes every page as changed before the cut (commit.c).
     */
    _Atomic uint64_t cut_lsn;
    _Atomic uint32_t cut_mark;
    /* atomic. Commits between deciding their records and stamping their pages, by parity of the
     * mark (commit.c and checkpoint.c). */
    _Atomic uint32_t inflight[2];

    /*
     * atomic. Moves when log space may have come free or a transaction has ended; sleepers of
     * store_wait_event wait on it.
     */
    _Atomic uint32_t event_seq;
    _Atomic uint32_t event_waiters;

    _Atomic uint64_t tx_committed, tx_aborted;
    _Atomic uint64_t pages_damaged; /* that scrubbing has told of */

    struct tx_pool txs;
    struct alloc_map map;
    struct checkpoint checkpoint;
    struct background background;
    struct store_idle idle;
    struct stats_segment stats;
};

/* Move along an edge of the table; traps on a missing one. False: another thread moved it first. */
bool store_move(struct keel_store *store, enum keel_state from, enum keel_state to);
const char *store_state_name(enum keel_state state);
bool store_edge_allowed(enum keel_state from, enum keel_state to);

/*
 * A write or sync has failed with `error`: poison log and cache, go READ_ONLY, wake all. The first
 * caller wins. Any thread; does not block.
 */
void store_poison(struct keel_store *store, int error);
/* Notice a log that poisoned itself. 0 while all is well, KEEL_EREADONLY from then on. */
int store_writable(struct keel_store *store);

/* Has a failure on the way of a write: anything but a plain refusal poisons. Returns rc. */
int store_failed(struct keel_store *store, int rc);

/* event_seq has a reason to move. Any thread. */
void store_event(struct keel_store *store);
/* Sleep until event_seq is no longer `seq`, or a short while. */
void store_wait_event(struct keel_store *store, uint32_t seq);

/* Fill info (may be NULL) and return code. */
int store_error(struct keel_err_info *info, int code, const char *op, const char *object);

/* errno of a system call on a name or file, as keel's codes where there is one. */
int store_map_errno(int rc);

/* One request of the engine's own, submitted and waited for. */
int store_sync_device(struct keel_ctx *ctx, struct keel_device *device);

#endif
