/*
 * struct keel_wal, and the small things that more than one file of this folder does with it.
 *
 * Four ends move up the log, each at or behind the next:
 *   durable  everything below is written and synced; moved by completions (seal.c), under done_lock
 *   written  everything below was taken by the device; likewise
 *   sealed   everything below was given to the device; moved by the sealer, under seal_lock
 *   cursor   everything below is reserved; moved by appenders and, for padding, by the sealer
 * and redo <= durable is where recovery would begin.
 *
 * Locks (base/lock.h has their order): super_lock (WAL), seal_lock (WAL_SEAL, in hot paths tried
 * only), done_lock (LEAF). No appender ever takes one.
 */
#ifndef KEEL_WAL_LOG_H
#define KEEL_WAL_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bug.h"
#include "base/lock.h"
#include "base/mem.h"
#include "keel/wal.h"
#include "wal/block.h"
#include "wal/position.h"
#include "wal/super.h"

#define WAL_INFLIGHT_MAX 32u
#define WAL_FIFOS_MAX    128u /* contexts with asynchronous commits outstanding at once */

/* Fields of wal_frame.filled: bytes, groups that end here, records of these groups. */
#define WAL_FILLED_GROUP           (UINT64_C(1) << 16)
#define WAL_FILLED_RECORD          (UINT64_C(1) << 32)
#define WAL_FILLED_BYTES(filled)   ((uint32_t)((filled)&0xffff))
#define WAL_FILLED_GROUPS(filled)  ((uint32_t)((filled) >> 16 & 0xffff))
#define WAL_FILLED_RECORDS(filled) ((uint32_t)((filled) >> 32))

/* One block of the log buffer. */
struct wal_frame {
    _Atomic uint64_t filled; /* published so far; release in append.c, acquire in seal.c */
    uint16_t first;          /* set by whoever owns payload byte 0, before it publishes */
    uint16_t used;           /* payload bytes once complete; sealer only */
};

/* A thread that submitted linked syncs, or writes that whoever drives carries out (KEEL_IO_INLINE),
 * stays inside keel until they are complete: an exiting thread would cancel the ones, and nobody
 * else need be there for the others. Lives on its stack. */
struct wal_linker {
    _Atomic uint32_t pending;
};

/* Whom the next leader waits for; see commit.c. */
struct wal_company {
    uint64_t base;   /* arrivals when the last leader left */
    uint64_t back;   /* how many were expected to follow; 0: nobody was waited for */
    uint32_t failed; /* gathers in a row that brought too few */
};

/* One log write. */
struct wal_batch {
    struct keel_io io;
    struct keel_wal *wal;
    struct wal_linker *linker; /* or NULL */
    keel_lsn begin, end;
    uint64_t begun_ns;
    bool synced;   /* durable once complete, if all before it is */
    bool flush;    /* not synced, and somebody waits for it to be durable */
    bool complete; /* under done_lock */
};

/* Asynchronous commits of one context, in LSN order. Bound to the context while not empty. */
struct wal_fifo {
    struct keel_poller poller;
    struct keel_wal *wal;
    struct keel_commit *head, *tail; /* owner thread of the context */
    bool polling;                    /* owner thread: its callbacks run */
    _Atomic uint64_t head_lsn;       /* KEEL_LSN_MAX while empty; read by completions */
    _Atomic uint32_t head_level;     /* enum keel_level; stored before head_lsn */
    _Atomic uint32_t wakers;         /* completions that are about to wake the context */
};

/* Who needs the log from lsn on; under hold_lock (holder.c). */
struct keel_wal_holder {
    struct keel_wal *wal;
    char name[KEEL_WAL_HOLDER_NAME];
    bool used, broken;
    keel_lsn lsn;
    uint64_t cap_bytes;
    enum keel_wal_beyond beyond;
    uint64_t failures; /* of the archive's hook */
    int error;         /* of its last call */
};

struct keel_wal {
    /* set at open, then constant */
    struct keel_device *device;
    struct keel_ctx *ctx;
    struct keel_arena *arena;
    struct keel_arena *arena_own; /* NULL when lent */
    uint8_t *buffer;
    struct wal_frame *frames;
    uint64_t frame_count; /* a power of two */
    struct wal_seed seed;
    uint64_t ring_bytes;
    uint32_t batch_bytes_max;
    uint32_t inflight_max;
    uint64_t pipeline_bytes;
    enum keel_method method;
    bool ctx_is_sync; /* ctx runs without a ring: nothing happens on it unless somebody drives */
    bool read_only;
    uint64_t reserve_bytes;   /* of the ring, for credits of the reserve alone */
    void (*space)(void *arg); /* or NULL */
    void *space_arg;
    struct keel_wal_report report;
    keel_lsn kept_lsn; /* as the scan found it: everything from here to X is still in its place */

    /* set at start, then constant */
    bool started;
    keel_lsn base_lsn; /* first block of this epoch: position 0 */
    uint32_t epoch;
    enum keel_sync_method sync;
    bool write_inline;       /* a blocking commit carries its write out itself: measured */
    uint64_t inflight_bytes; /* K */
    char sync_why[96];
    uint64_t sync_ns_p25[7];

    /* under super_lock */
    struct lock super_lock;
    struct wal_super super;
    struct keel_quad quad;
    uint8_t super_bytes[WAL_SUPER_MAX];

    /* under hold_lock (LEAF) */
    struct lock hold_lock;
    keel_lsn held_redo; /* the redo LSN, once it is durable */
    struct keel_wal_holder holders[KEEL_WAL_HOLDERS_MAX];

    /* appenders: mark and position. Reserved and padded by compare-and-swap */
    _Alignas(MEM_CACHE_LINE) _Atomic uint64_t cursor;
    _Alignas(MEM_CACHE_LINE) _Atomic uint64_t credits_out; /* log bytes promised, not yet used */
    _Atomic uint64_t limit_lsn;  /* no block may end beyond it; moved by holder.c, never back */
    _Atomic uint64_t credit_lsn; /* no credit goes beyond it; at most limit_lsn */
    _Alignas(MEM_CACHE_LINE) _Atomic uint64_t durable_lsn;
    _Atomic uint64_t written_lsn;
    _Atomic int32_t poison; /* first error, 0: none */

    /* under seal_lock; read by others */
    _Alignas(MEM_CACHE_LINE) struct lock seal_lock;
    _Atomic uint64_t sealed;     /* position; a multiple of the payload of a block */
    _Atomic uint32_t batch_tail; /* batches submitted, ever */
    keel_lsn promised_lsn;       /* in the last block sealed */
    keel_lsn data_end_lsn;       /* end of the last block sealed that holds any record */
    keel_lsn plain_end_lsn;      /* end of the last write that did not sync itself */
    uint64_t arrived_sealed;     /* arrivals when the last write was sealed */
    uint64_t stat_groups, stat_records, stat_payload, stat_padding, stat_blocks, stat_writes;

    /* under done_lock; the atomic ones read by others */
    struct lock done_lock;
    struct wal_batch *batches;   /* inflight_max of them: number n is at n % inflight_max */
    _Atomic uint32_t batch_head; /* batches complete in a row, ever: their places are free */
    keel_lsn flush_goal;         /* below it somebody waits for what a flush has to make durable */
    struct keel_io sync_io;      /* that flush */
    keel_lsn sync_cover;         /* written_lsn when it was submitted */
    _Atomic bool sync_busy;
    uint64_t stat_syncs;
    _Atomic uint32_t pending_ios; /* requests not complete; also says when wal may be freed */

    /* blocking commits (commit.c), atomic */
    _Alignas(MEM_CACHE_LINE) _Atomic uint32_t leader; /* LEADER_*: who seals and drives for all */
    _Atomic uint32_t gathers;                         /* begun, ever */
    _Atomic uint32_t followers;                       /* threads that sleep on commit_seq */
    _Atomic uint32_t commit_seq;                      /* futex */
    _Atomic uint64_t arrived;                         /* commits that had to wait, ever */
    _Atomic uint64_t goal;                            /* arrivals worth waiting for */
    _Atomic uint64_t last_batch;                      /* commits that came for the last write */
    _Atomic uint64_t write_ns;                        /* of a log write, lately */
    _Atomic uint64_t stat_commits;
    struct wal_company company; /* whoever leads */

    /* readers that wait (tail.c), atomic */
    _Alignas(MEM_CACHE_LINE) _Atomic uint32_t tail_sleepers; /* threads that sleep on tail_seq */
    _Atomic uint32_t tail_seq;                               /* futex */
    _Atomic uint32_t tail_armed;                             /* readers in tails */
    /* under tail_lock (LEAF) */
    struct lock tail_lock;
    struct keel_wal_reader *tails;

    /* asynchronous commits (commit_async.c) */
    _Alignas(MEM_CACHE_LINE) _Atomic(struct keel_ctx *) fifo_ctx[WAL_FIFOS_MAX]; /* NULL: free */
    _Atomic uint32_t fifo_high; /* no fifo at or above it was ever bound */
    struct wal_fifo *fifos;
};

static inline keel_lsn wal_durable(const struct keel_wal *wal)
{
    /* Pairs with the store in retire() (seal.c); sequentially consistent there and here because
     * an asynchronous commit publishes its LSN and then looks, and a completion stores and then
     * looks at the LSN: one of the two sees the other. */
    return atomic_load(&wal->durable_lsn);
}

static inline keel_lsn wal_written(const struct keel_wal *wal)
{
    /* Pairs with advance() (seal.c), as above. */
    return atomic_load(&wal->written_lsn);
}

/* Is what lies below lsn what the level promises? */
static inline bool wal_reached(const struct keel_wal *wal, keel_lsn lsn, enum keel_level level)
{
    if (level == KEEL_LEVEL_NONE || (level == KEEL_LEVEL_WRITTEN && BUG(WRITTEN_EARLY)))
        return true;
    return (level == KEEL_LEVEL_DURABLE ? wal_durable(wal) : wal_written(wal)) >= lsn;
}

static inline int wal_poisoned(const struct keel_wal *wal)
{
    return atomic_load(&wal->poison);
}

/* The part of the log buffer and its bookkeeping that block `number` of this epoch has. */
static inline struct wal_frame *wal_frame(const struct keel_wal *wal, uint64_t number)
{
    return &wal->frames[number & (wal->frame_count - 1)];
}

static inline uint8_t *wal_frame_bytes(const struct keel_wal *wal, uint64_t number)
{
    return wal->buffer + (number & (wal->frame_count - 1)) * WAL_BLOCK;
}

/* Blocks of this epoch whose place in the buffer is free again. */
static inline uint64_t wal_blocks_free(const struct keel_wal *wal)
{
    return (wal_durable(wal) - wal->base_lsn) / WAL_BLOCK;
}

/* Is no write or sync in flight? What is written may still wait for a sync. */
static inline bool wal_idle(const struct keel_wal *wal)
{
    return atomic_load(&wal->batch_tail) == atomic_load(&wal->batch_head) &&
           !atomic_load(&wal->sync_busy);
}

/* checkpoint.c: write the superblock as it stands in memory. super_lock held (or nobody else knows
 * the log yet). An error poisons. */
int wal_super_step(struct keel_ctx *ctx, struct keel_wal *wal);

#endif
