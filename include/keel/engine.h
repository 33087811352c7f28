/*
 * keel/engine.h: a store: atomic, durable changes of several pages, checkpoints, recovery.
 *
 * A store is a folder with three files: `store.keel` (superblock), `wal.keel` (log), `pages.keel` (space 1).
 * A transaction (`keel_tx`) fixes pages, changes them in place under exclusive latches, and commits as one group of
 * log records; after a crash it is there whole or not at all (E1).
 *
 * Order of pages: a transaction that waits for a page must not hold a higher-numbered one, or two transactions could
 * wait for each other. Ask in ascending order; out of order, a page held elsewhere gives KEEL_EDEADLK (abort, begin again).
 *
 * States: OPENING, RUNNING, READ_ONLY (a write or sync failed: sticky; reads of what is durable go on), CLOSED.
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
	KEEL_MANUAL,      /* none: the host calls keel_tick, and blocking calls do what they need themselves */
};

struct keel_options {
	uint32_t size;
	enum keel_background background;
	enum keel_method method;       /* of contexts that the store opens itself (log, background thread) */
	struct keel_sim *sim;
	enum keel_sync_method sync;
	enum keel_want fixed;
	bool create_off;               /* true: KEEL_ENOTFOUND instead of creating */
	uint32_t page_bytes;           /* at creation; 0 = 4096 */
	uint64_t log_bytes;            /* at creation; 0 = 256 MiB; from KEEL_WAL_BYTES_MIN to 1 TiB */
	uint64_t space_bytes;          /* at creation: first size of pages.keel; 0 = 16 MiB */
	uint64_t space_bytes_max;      /* 0 = 1 TiB */
	uint64_t cache_bytes;          /* 0 = 64 MiB */
	uint64_t tx_bytes;             /* log credit of one transaction unless it says otherwise; 0 = 64 KiB */
	uint64_t checkpoint_bytes;     /* checkpoint after this much log; 0 = a third of the log */
	uint32_t inflight_max, batch_bytes_max, pipeline_bytes, log_buffer_bytes; /* keel_wal_options */
	uint32_t tx_max;               /* transactions open at once; 0 = 256 */
};
#define KEEL_OPTIONS_DEFAULT {.size = sizeof(struct keel_options)}

/*
 * Open the store in folder path, creating folder and store if there is none (the creation is complete or absent, whenever
 * it is cut), recovering it if it was not closed. ctx: the caller's, used for this call. options: borrowed, NULL = defaults.
 * *ret: the caller owns it. info: may be NULL. Blocks. Errors: KEEL_EOPTION, KEEL_EACCESS, KEEL_ENOTEMPTY, KEEL_EFORMAT, KEEL_EVERSION, KEEL_EINUSE,
 * KEEL_EDIRECT, KEEL_ENOSPACE, KEEL_ENOTFOUND, KEEL_ESUPER, KEEL_ECORRUPT, KEEL_EREAD, KEEL_ECHECKSUM, -errno.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_open(struct keel_ctx *ctx, const char *path,
					  const struct keel_options *options, struct keel_err_info *info,
					  struct keel_store **ret);
/* Checkpoint, mark clean, free. No transaction is open and no page fixed, in any thread. Returns what it met; the store is gone. */
KEEL_PUBLIC int keel_close(struct keel_ctx *ctx, struct keel_store *store);

enum keel_state { KEEL_OPENING = 0, KEEL_RUNNING, KEEL_READ_ONLY, KEEL_CLOSED };
KEEL_PUBLIC enum keel_state keel_state(const struct keel_store *store);

/* ---------------------------------------------------------------- transactions */

struct keel_tx_options {
	uint32_t size;
	uint64_t log_bytes;  /* log credit, waited for at begin; 0 = keel_options.tx_bytes. Grows later only without waiting. */
	bool nowait;         /* every call of this transaction returns KEEL_PENDING instead of waiting */
};
#define KEEL_TX_OPTIONS_DEFAULT {.size = sizeof(struct keel_tx_options)}

/* Begin. Takes log space: waits (driving a checkpoint under KEEL_MANUAL) when the log is full. tx is used in one thread at
 * a time with the ctx given here. KEEL_EFULL (tx_max), KEEL_PENDING, KEEL_EREADONLY, KEEL_EPOISON, KEEL_ETXSIZE (log_bytes more than the log
 * can ever give). */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_begin(struct keel_ctx *ctx, struct keel_store *store,
					      const struct keel_tx_options *options, struct keel_tx **ret);
/* Allocate a page: exclusively fixed, zeroed, part of the transaction. Grows the file when needed.
 * KEEL_ESPACEFULL, KEEL_ENOSPACE, KEEL_EDEADLK, KEEL_PENDING. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_alloc(struct keel_tx *tx, keel_pageno *ret);
/* Free a page at commit. The page is fixed exclusively by this. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_free(struct keel_tx *tx, keel_pageno pageno);
/* Make a page part of the transaction: fixed exclusively until commit or abort; *ret (may be NULL): its bytes, to read. A page that
 * is part already is found again. KEEL_EDEADLK, KEEL_PENDING, KEEL_ERANGE, KEEL_ENOPAGE, KEEL_ECHECKSUM, -errno. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_page(struct keel_tx *tx, keel_pageno pageno, const void **ret);
/* Change bytes of a page of the transaction (fixes it first if it is not part yet). offset: in the user part.
 * bytes: copied. KEEL_ERANGE, KEEL_ETXSIZE (the log has no room to extend; abort), and those of keel_tx_page. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_write(struct keel_tx *tx, keel_pageno pageno, uint32_t offset,
					      const void *bytes, uint32_t len);
/* Commit and block until durable. On success *ret_lsn (may be NULL) is its end. On KEEL_EPOISON it is unknown whether it
 * will be there after recovery. tx is gone in any case. A transaction that wrote nothing commits without I/O. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_commit(struct keel_tx *tx, keel_lsn *ret_lsn);
/* Commit; done runs in ctx's keel_ctx_poll when durable. tx is gone when it returns (also on error, which then means
 * nothing was committed and done will not run). */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tx_commit_async(struct keel_tx *tx, struct keel_commit *commit);
/* Undo from memory and unlatch. tx is gone. */
KEEL_PUBLIC void keel_tx_abort(struct keel_tx *tx);

/* Read a page outside of transactions: shared; keel_page_unfix when done. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_read(struct keel_ctx *ctx, struct keel_store *store, keel_pageno pageno,
					  unsigned flags, struct keel_page *ret);

/* ---------------------------------------------------------------- upkeep */

/* Do a bounded piece of background work (write-back, eviction, a step of a checkpoint), without waiting. Returns 1
 * when there is more to do now, 0 when not, or an error. Any thread; one at a time does the work. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_tick(struct keel_ctx *ctx, struct keel_store *store);
/* Run a whole checkpoint: every change committed before the call is in pages.keel and synced, and the log below is free.
 * Blocks. KEEL_EBUSY when this ctx's own open transaction holds a page it would wait for. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_checkpoint(struct keel_ctx *ctx, struct keel_store *store);

struct keel_store_info {
	uint8_t uuid[16];
	enum keel_state state;
	int poison;                 /* first error, 0 */
	uint32_t page_bytes;
	keel_pageno pages, pages_allocated;
	uint64_t checkpoints, tx_committed, tx_aborted;
	uint64_t recovered_groups, recovered_pages; /* of the last open */
	uint64_t open_ns;
};
KEEL_PUBLIC void keel_store_info(struct keel_store *store, struct keel_store_info *ret);
KEEL_PUBLIC struct keel_wal *keel_store_wal(struct keel_store *store);
KEEL_PUBLIC struct keel_pagecache *keel_store_cache(struct keel_store *store);
KEEL_PUBLIC struct keel_space *keel_store_space(struct keel_store *store);

/* Walk the allocation map and verify the checksum of each allocated page. each: called per damaged page. Returns the
 * number of damaged pages or an error. Blocks. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_check(struct keel_ctx *ctx, struct keel_store *store,
					   void (*each)(void *arg, const struct keel_err_info *info), void *arg,
					   uint64_t *ret_pages);

#ifdef __cplusplus
}
#endif
#endif
