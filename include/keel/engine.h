/*
 * keel/engine.h: a store: atomic, durable changes of several pages, checkpoints, recovery.
 *
 * A store is a folder with three files: `store.keel` (superblock), `wal.keel` (log), `pages.keel`
 * (space 1); or one device (block device, NVMe namespace, preallocated file) that holds all three.
 * A transaction (`keel_tx`) fixes pages, changes them in place under exclusive latches, and commits
 * as one group of log records; after a crash it is there whole or not at all (E1).
 *
 * Happy path: keel_open; keel_tx_begin, keel_tx_alloc / keel_tx_page / keel_tx_write,
 * keel_tx_commit; keel_read; keel_close. Under KEEL_MANUAL also keel_tick now and then.
 *
 * Order of pages: a transaction that waits for a page must not hold a higher-numbered one, or two
 * transactions could wait for each other. Ask in ascending order; out of order, a page held
 * elsewhere gives KEEL_EDEADLK (abort, begin again). Pages from keel_tx_alloc count with their
 * number.
 *
 * What is committed but not yet durable is seen by other threads. A transaction that read it ends
 * above it in the log, so it is never durable before it.
 *
 * States: OPENING, RUNNING, READ_ONLY (a write or sync failed: sticky; reads of what is durable go
 * on), CLOSED.
 */
#ifndef KEEL_ENGINE_H
#define KEEL_ENGINE_H

#include <keel/iosched.h>
#include <keel/pagecache.h>
#include <keel/wal.h>

#ifdef __cplusplus
extern "C" {
#endif

struct keel_store;
struct keel_tx;

enum keel_background {
    KEEL_THREADS = 0, /* one thread of keel's own writes pages back and checkpoints */
    KEEL_MANUAL,      /* none: the host calls keel_tick, and blocking calls do what they need */
};

/* What makes a page whole again that a power cut left torn. */
enum keel_torn {
    KEEL_TORN_IMAGES = 0, /* the log has the whole page at its first change after a checkpoint */
    KEEL_TORN_ATOMIC,     /* there are none: the device writes a page whole or not at all, which
                           * takes RWF_ATOMIC and pages no larger than its unit. Else KEEL_ENOTSUP */
    KEEL_TORN_AUTO,       /* ATOMIC where the device can, else IMAGES; keel_store_info says which */
};

struct keel_options {
    uint32_t size;
    enum keel_background background;
    enum keel_method method; /* of contexts that the store opens itself (log, background thread);
                              * where ctx is of the nvme method, these are too, and only there */
    struct keel_sim *sim;    /* KEEL_METHOD_SIM, which goes with KEEL_MANUAL */
    enum keel_sync_method sync;
    enum keel_want fixed;
    bool create_off;          /* true: KEEL_ENOTFOUND instead of creating */
    bool overwrite;           /* true: where there is no store, whatever else the device at path
                               * holds is destroyed to make one; means nothing for a folder */
    bool shared;              /* true: keel_device_options.shared, for a store on a namespace */
    uint32_t page_bytes;      /* at creation; 0 = 4096 */
    enum keel_torn torn;      /* at creation */
    uint64_t log_bytes;       /* at creation; 0 = 256 MiB; from KEEL_WAL_BYTES_MIN to 1 TiB */
    uint64_t space_bytes;     /* at creation: first size of pages.keel; 0 = 16 MiB */
    uint64_t space_bytes_max; /* 0 = 1 TiB */
    uint64_t cache_bytes;     /* at least 16 pages; 0 = 64 MiB */
    uint64_t cache_bytes_max; /* keel_pagecache_resize of keel_store_cache goes up to that; 0 = it
                               * is not resized. A transaction may have half of cache_bytes in
                               * pages all the same: KEEL_EFULL when a smaller cache has no room */
    uint64_t tx_bytes;        /* log credit of one transaction unless it says otherwise; 0 = 64 KiB,
                               * or an eighth of the log if that is less */
    uint64_t checkpoint_bytes; /* checkpoint after this much log; 0 = a third of the log */
    uint32_t inflight_max, batch_bytes_max, pipeline_bytes, log_buffer_bytes; /* keel_wal_options */
    /* Scrubbing: the pages are read over and over, at this rate, and what is damaged is told (as
     * keel_check would, which is also for when nothing runs); 0 = not. The thread of KEEL_THREADS
     * gets to 5 MiB/s, keel_tick to 256 KiB a call. */
    uint64_t scrub_bytes_per_s;
    /* An allocated page, or one of the allocation map, that is damaged on the device. In the thread
     * of KEEL_THREADS or the caller of keel_tick; must not call keel. May be NULL. */
    void (*damaged)(void *arg, const struct keel_err_info *info);
    void *damaged_arg;
    uint32_t tx_max;      /* transactions open at once; 0 = 256 */
    enum keel_want stats; /* publish counters in shared memory (keel/stats.h); keel_store_info says
                           * why not, and REQUIRED refuses to open without (KEEL_EINUSE: an object
                           * of another user stands in the way; KEEL_ENOTSUP; -errno) */
    const char *profile;  /* that `keel calibrate` wrote of the store's disk: what the scheduler
                           * charges for a transfer. Borrowed for the call. NULL: profile.json in
                           * the store's folder if there is one, else what the disk charges now (a
                           * guess, where nobody has set it) */
};
#define KEEL_OPTIONS_DEFAULT                \
    {                                       \
        .size = sizeof(struct keel_options) \
    }

/*
 * Open the store in folder path, or on the device at path, creating folder and store if there is
 * none (the creation is complete or absent, whenever it is cut), recovering it if it was not
 * closed. On a device, log_bytes and space_bytes are taken from its room; the pages grow to its
 * end. ctx: the caller's, used for this call. options: borrowed, NULL = defaults. *ret: the caller
 * owns it. info: may be NULL; says which option, file or page it was. Blocks. A refusal leaves no
 * file behind and changes none, but for superblock copies that were repaired from good ones (and an
 * empty folder, if keel made it); on a device, a creation that failed is made again by the next.
 *
 * KEEL_EOPTION      info->object names the option
 * KEEL_EACCESS      no right to the folder, a file or the device
 * KEEL_ENOTEMPTY    no store.keel, but other files; also a log or pages without their store.keel;
 *                   a device whose first or last MiB is not all zeroes (info->offset says where)
 * KEEL_EPARTITIONED, KEEL_EGEOMETRY: see keel_device_open
 * KEEL_ENOTFOUND    no store and create_off; the parent folder or one of the three files is missing
 * KEEL_EFORMAT      a file is not keel's, too short, or the log is another store's
 * KEEL_EVERSION     written by a newer version
 * KEEL_EINUSE       open elsewhere, or being created
 * KEEL_EDIRECT      the file system has no O_DIRECT
 * KEEL_ENOSPACE     no room to create it; on a device, info->want says how much it takes
 * KEEL_ESUPER, KEEL_ECORRUPT, KEEL_EREAD, KEEL_ECHECKSUM: what is stored is damaged
 * KEEL_ENOTFOUND, KEEL_EFORMAT with info->op "profile": there is none at that path, or it is none
 * KEEL_EPOISON      a write failed in recovery; opening again starts over
 * KEEL_ENOTSUP      a store without images in its log, not closed, on a device that tears pages
 * KEEL_EMETHOD, -errno
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_open(struct keel_ctx *ctx, const char *path,
                                          const struct keel_options *options,
                                          struct keel_err_info *info, struct keel_store **ret);
/*
 * Checkpoint, mark clean, free. No transaction is open, no page fixed and no other thread inside,
 * and every asynchronous commit has been answered (traps). Returns what it met (KEEL_EREADONLY when
 * the store had failed before); the store is gone in any case, and what was acknowledged is there.
 */
KEEL_PUBLIC int keel_close(struct keel_ctx *ctx, struct keel_store *store);

enum keel_state { KEEL_OPENING = 0, KEEL_RUNNING, KEEL_READ_ONLY, KEEL_CLOSED };
KEEL_PUBLIC enum keel_state keel_state(const struct keel_store *store);

/* ---------------------------------------------------------------- transactions */

struct keel_tx_options {
    uint32_t size;
    uint64_t log_bytes; /* log credit, waited for at begin; 0 = keel_options.tx_bytes. Grows later
                         * only without waiting. Half of the log is the most. */
    bool nowait;        /* every call of this transaction returns KEEL_PENDING instead of waiting,
                         * and is to be made again, the same, after keel_tick and keel_ctx_poll */
    enum keel_level level; /* what its commit waits for (keel/wal.h); 0 = durable */
};
#define KEEL_TX_OPTIONS_DEFAULT                \
    {                                          \
        .size = sizeof(struct keel_tx_options) \
    }

/*
 * Begin. Takes log space: waits, driving a checkpoint where that helps, when the log is full. tx is
 * used in one thread at a time with the ctx given here. A whole image of each page that is changed
 * is counted against the credit, since a checkpoint may make it necessary.
 *
 * KEEL_EFULL      tx_max are open
 * KEEL_PENDING    nowait: the log is full; no transaction was begun
 * KEEL_ETXSIZE    log_bytes is more than the log can ever give
 * KEEL_EBUSY      the log is full and only open transactions of this ctx stand in the way
 * KEEL_EREADONLY, KEEL_EPOISON, KEEL_EOPTION
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_begin(struct keel_ctx *ctx, struct keel_store *store,
                                              const struct keel_tx_options *options,
                                              struct keel_tx **ret);
/* Allocate a page: exclusively fixed, zeroed, part of the transaction. Grows the file when needed.
 * KEEL_ESPACEFULL, KEEL_ENOSPACE, KEEL_ETXSIZE, KEEL_EDEADLK, KEEL_PENDING, and those of
 * keel_tx_page. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_alloc(struct keel_tx *tx, keel_pageno *ret);
/* Free a page at commit; until then it stays fixed, and further calls on it get KEEL_ENOPAGE. It is
 * given out again once its freeing is durable. KEEL_ENOPAGE: it is not allocated; and those of
 * keel_tx_page. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_free(struct keel_tx *tx, keel_pageno pageno);
/* Make a page part of the transaction: fixed exclusively until commit or abort; *ret (may be NULL):
 * its bytes, to read; lent until then. A page that is part already is found again. KEEL_EDEADLK,
 * KEEL_PENDING, KEEL_ERANGE (no such page, or one of the store's own), KEEL_ENOPAGE, KEEL_ETXSIZE
 * (more pages than a transaction can have: half of the cache), KEEL_EFULL (every frame is fixed),
 * KEEL_ECHECKSUM, KEEL_EREAD, -errno. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_page(struct keel_tx *tx, keel_pageno pageno,
                                             const void **ret);
/* Change bytes of a page of the transaction (fixes it first if it is not part yet). offset: in the
 * user part. bytes: copied. KEEL_ERANGE, KEEL_ETXSIZE (the log has no room to extend; abort, and
 * begin again with more log_bytes), and those of keel_tx_page. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_write(struct keel_tx *tx, keel_pageno pageno,
                                              uint32_t offset, const void *bytes, uint32_t len);
/*
 * Commit and block until durable, or what the transaction's level says. On success *ret_lsn (may be
 * NULL) is its end. On KEEL_EPOISON it is unknown whether it will be there after recovery; on any
 * other error it will not. tx is gone in any case but one: KEEL_PENDING, which only a nowait
 * transaction gets (a page of the allocation map is not at hand): nothing has happened, and the
 * call is to be made again. A transaction that wrote nothing commits without I/O, at the end of the
 * newest change it has seen.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_commit(struct keel_tx *tx, keel_lsn *ret_lsn);
/* Commit; done runs in ctx's keel_ctx_poll when durable (or what its level says: keel_commit's is
 * set to the transaction's), in the order of commits. commit: borrowed until then; its lsn is set
 * when this returns 0. tx is gone when it returns, but for KEEL_PENDING as above. On an error done
 * will not run, and nothing was committed (KEEL_EPOISON: unknown). */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_commit_async(struct keel_tx *tx,
                                                     struct keel_commit *commit);
/* Undo from memory and unlatch. tx is gone. Never waits, never fails. */
KEEL_PUBLIC void keel_tx_abort(struct keel_tx *tx);

/* Read a page outside of transactions: shared; keel_page_unfix when done. flags: KEEL_FIX_NOWAIT,
 * KEEL_FIX_TRYLATCH. Errors of keel_page_fix. Not for a page that a transaction of this very thread
 * holds: that is keel_tx_page's. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_read(struct keel_ctx *ctx, struct keel_store *store,
                                          keel_pageno pageno, unsigned flags,
                                          struct keel_page *ret);

/* ---------------------------------------------------------------- upkeep */

/*
 * Do a bounded piece of background work (write-back, eviction, a step of a checkpoint, growth that
 * a nowait transaction asked for, scrubbing). Waits for nothing but the superblock that ends a
 * checkpoint or a growth, the zeroes of the latter, and a page of the allocation map when scrubbing
 * has found damage. Returns 1 when there is more to do now, 0 when not (poll
 * ctx: what was started moves there), or an error (KEEL_EREADONLY, KEEL_EPOISON). Any thread; one
 * at a time does the work.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tick(struct keel_ctx *ctx, struct keel_store *store);
/* Run a whole checkpoint: every change committed before the call is in pages.keel and synced, and
 * the log below is free. Blocks. KEEL_EBUSY: a transaction holds a page it needs, and ctx has open
 * transactions, so that waiting might not end. KEEL_EPOISON, KEEL_EREADONLY. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_checkpoint(struct keel_ctx *ctx, struct keel_store *store);

struct keel_store_info {
    uint8_t uuid[16];
    enum keel_state state;
    int poison; /* first error, 0 */
    uint32_t page_bytes;
    keel_pageno pages, pages_allocated;
    uint64_t checkpoints, tx_committed, tx_aborted; /* since open */
    uint64_t recovered_groups, recovered_pages;     /* of the last open */
    uint64_t open_ns;
    enum keel_torn torn;                    /* IMAGES or ATOMIC */
    uint64_t pages_scrubbed, pages_damaged; /* since open; the latter counts again each round */
    int stats; /* 0: counters are published (or that is OFF), else why not */
};
KEEL_PUBLIC void keel_store_info(struct keel_store *store, struct keel_store_info *ret);
/* The store's parts, for figures and for what has no call of its own. Lent until keel_close. */
KEEL_PUBLIC struct keel_wal *keel_store_wal(struct keel_store *store);
KEEL_PUBLIC struct keel_pagecache *keel_store_cache(struct keel_store *store);
KEEL_PUBLIC struct keel_space *keel_store_space(struct keel_store *store);

/*
 * Walk the allocation map and verify the checksum of each allocated page, reading what is not in
 * memory. each (may be NULL): called per damaged page. *ret_pages (may be NULL): how many were
 * looked at. Returns the number of damaged pages or an error. Blocks; the store may be in use.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_check(struct keel_ctx *ctx, struct keel_store *store,
                                           void (*each)(void *arg,
                                                        const struct keel_err_info *info),
                                           void *arg, uint64_t *ret_pages);

#ifdef __cplusplus
}
#endif
#endif
