/*
 * keel/pagecache.h: fixed pages of spaces in frames of one arena.
 *
 * A *space* is an array of pages of one size on a device; spaces of different page sizes, on any
 * number of devices, share one cache. A page is *fixed* (found or read, latched shared or
 * exclusive, and so pinned) and unfixed. Changed pages are written back later, never before the log
 * is durable up to their LSN (P1). Each page begins with a header (docs/format/page.md) that
 * carries a CRC32C over space, page number and contents, checked after each read (P4).
 *
 * The cache knows no log: its owner hands it one callback.
 */
#ifndef KEEL_PAGECACHE_H
#define KEEL_PAGECACHE_H

#include <keel/iosched.h>

#ifdef __cplusplus
extern "C" {
#endif

struct keel_pagecache;
struct keel_space;

#define KEEL_PAGE_HEADER_BYTES 32u
#define KEEL_PAGE_BYTES_MIN    4096u
#define KEEL_PAGE_BYTES_MAX    65536u

struct keel_pagecache_options {
    uint32_t size;
    uint32_t page_bytes;      /* of the smallest pages; 4096 to 65536, power of two; 0 = 4096 */
    uint64_t cache_bytes;     /* frames; at least 16 pages; 0 = 64 MiB */
    uint64_t cache_bytes_max; /* keel_pagecache_resize goes up to that; 0 = it is not resized */
    struct keel_arena *arena; /* frames and write buffers come from here */
    /* Of one merged write; at most KEEL_IO_BYTES_MAX. 0: that, or less in a small cache, but
     * 128 KiB at least. */
    uint32_t write_bytes_max;
    uint32_t writes_max; /* merged writes in flight; 0 = 8 */
    /* keel_pagecache_throttle: percent of the frames; 0 = 50 and 80; soft below hard. */
    uint32_t dirty_soft, dirty_hard;
    /*
     * Make the log durable up to lsn. wait: block (driving the log) until it is; else start it and
     * return KEEL_PENDING if it is not yet. 0, KEEL_PENDING or an error (KEEL_EPOISON). NULL: no
     * log, always durable.
     */
    int (*log_durable)(void *arg, keel_lsn lsn, bool wait);
    /* A page could not be written; called once for each page of a failed write, before the page is
     * dirty again; any thread, must not block. */
    void (*write_failed)(void *arg, int error, uint32_t space, keel_pageno page);
    void *arg;
};
#define KEEL_PAGECACHE_OPTIONS_DEFAULT                \
    {                                                 \
        .size = sizeof(struct keel_pagecache_options) \
    }

/* Arena bytes that a cache with these options takes; 0 when an option is out of range. */
KEEL_PUBLIC uint64_t keel_pagecache_arena_bytes(const struct keel_pagecache_options *options);
KEEL_PUBLIC KEEL_MUST_CHECK int keel_pagecache_open(const struct keel_pagecache_options *options,
                                                    struct keel_pagecache **ret);
/*
 * Resize to about cache_bytes: by whole chunks of the arena, the least that is not less, and at
 * most cache_bytes_max. Allocates nothing: address space for all there can be was reserved at open.
 * Shrinking forgets the pages of the last chunks, which are written first when they were changed;
 * waits for who has one fixed (the caller none), for reads and writes in flight; and gives the
 * memory back, once every ring has forgotten it. Owner thread of ctx; blocks. Errors:
 *   KEEL_EOPTION  the cache was opened without cache_bytes_max, or would not hold 16 pages of each
 *                 page size in use
 *   KEEL_EBUSY    a stream has frames there, which it gives up as it goes on or is closed; or
 *                 another thread resizes
 *   the error of a write or of the log, -errno
 * After an error in shrinking nobody takes those frames any more (`leaving` in the statistics) and
 * calling again goes on; or growing takes them back.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int
keel_pagecache_resize(struct keel_ctx *ctx, struct keel_pagecache *cache, uint64_t cache_bytes);
/* No page is fixed, no other thread is inside; reads and writes in flight are waited for; dirty
 * pages are dropped. */
KEEL_PUBLIC void keel_pagecache_close(struct keel_ctx *ctx, struct keel_pagecache *cache);

struct keel_space_options {
    uint32_t size;
    uint32_t id;                /* 1 to 65535, unused so far */
    struct keel_device *device; /* borrowed until the space is dropped or the cache closed */
    keel_pageno pages;          /* that the device holds, from offset 0 on */
    keel_pageno pages_max;      /* translation is reserved for so many; at least `pages`, and 1 */
    /* Power of two up to 65536, at least the cache's; a write must hold one page and the cache 16;
     * 0 = the cache's. */
    uint32_t page_bytes;
    /* Pages are written untorn (KEEL_IO_ATOMIC), each by a request of its own and not from
     * registered memory. KEEL_ENOTSUP: the device does not write pages of this size so. */
    bool atomic_writes;
};
#define KEEL_SPACE_OPTIONS_DEFAULT                \
    {                                             \
        .size = sizeof(struct keel_space_options) \
    }
/* Add a space. KEEL_EOPTION, KEEL_ENOTSUP, -ENOMEM. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_space_open(struct keel_pagecache *cache,
                                                const struct keel_space_options *options,
                                                struct keel_space **ret);
/* The device has grown to hold this many pages. Any thread; never less than before. */
KEEL_PUBLIC void keel_space_grow(struct keel_space *space, keel_pageno pages);
KEEL_PUBLIC keel_pageno keel_space_pages(const struct keel_space *space);
KEEL_PUBLIC uint32_t keel_space_id(const struct keel_space *space);
KEEL_PUBLIC uint32_t keel_space_page_bytes(const struct keel_space *space);
/*
 * The space ends at this page now: what lies behind is forgotten, changed or not. Nobody fixes
 * those pages any more, or reads them ahead; who still has one fixed is waited for. The device is
 * the caller's to shorten. Blocks.
 */
KEEL_PUBLIC void keel_space_truncate(struct keel_space *space, keel_pageno pages);
/* The same for all pages, and the space is closed; its id may be used again. Blocks. */
KEEL_PUBLIC void keel_space_drop(struct keel_space *space);
/* Write every page that is changed now, and sync the device. Blocks. The error of a write, of the
 * log, or of the sync. Owner thread of ctx. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_space_flush(struct keel_ctx *ctx, struct keel_space *space);

struct keel_space_stats {
    keel_pageno pages;
    uint64_t resident, reading, dirty, writing, fixed; /* now; O(frames) */
    uint64_t reads, pages_written, checksum_errors;    /* since it was opened */
    uint32_t page_bytes;
    bool atomic_writes;
};
KEEL_PUBLIC void keel_space_stats(struct keel_space *space, struct keel_space_stats *ret);

/* Give translation memory of page ranges without resident pages back to the system: words to
 * FROZEN, punch; fixers that meet FROZEN retry. Returns bytes given back. */
KEEL_PUBLIC uint64_t keel_space_trim(struct keel_space *space);

enum keel_fix_mode {
    KEEL_FIX_SHARED = 0,
    KEEL_FIX_EXCLUSIVE,
    /* Exclusive; contents are void, not read: zeroed, header made anew. LSN 0, or, if the page was
     * resident, the one it had. */
    KEEL_FIX_NEW,
};
enum {
    /* Never wait: KEEL_PENDING when a read was started, a latch is held elsewhere or no frame is
     * free (a write-back was started where that helps); call again after keel_ctx_poll of this
     * context. A read that another thread's context has in flight is moved along by the call. */
    KEEL_FIX_NOWAIT = 1u << 0,
    /* Redo: do not check the LSN against the poison limit, and give a page never written as zeroes
     * with LSN 0, always exclusively. */
    KEEL_FIX_REDO = 1u << 1,
    /* Do not wait for a latch that other threads hold: KEEL_EBUSY, which with NOWAIT too tells it
     * from KEEL_PENDING (a read in flight, no frame free). For callers that hold latches and ask
     * out of their order. */
    KEEL_FIX_TRYLATCH = 1u << 2,
};

/* A fixed page. */
struct keel_page {
    void *data;   /* user part: the space's page_bytes - KEEL_PAGE_HEADER_BYTES bytes behind the
                     header; lent   until unfix */
    uint32_t len; /* of data */
    uint8_t mode; /* enum keel_fix_mode */
    keel_pageno pageno;
    struct keel_space *space;
    uint64_t *word_private;
};

/*
 * Fix a page. Blocks unless NOWAIT, driving what it waits for. ctx: reads are issued on it; owner
 * thread. Errors: KEEL_PENDING, KEEL_ERANGE (beyond the space), KEEL_ENOPAGE (all zero: never
 * written), KEEL_ECHECKSUM, KEEL_EREAD/-errno, KEEL_EPOISON, KEEL_EFULL (every frame is fixed),
 * KEEL_EBUSY (TRYLATCH); the error of a write that failed, when only dirty pages were left. A
 * failed read is told once and then forgotten: the next fix reads again. Pages that are missed one
 * after the other are read ahead of, up to 256 KiB. The same thread must not
 * fix a page twice unless both are shared. info may be NULL; filled in on errors but KEEL_PENDING
 * and KEEL_EBUSY: object is "space S page P", with KEEL_ECHECKSUM also " lsn L", which is what the
 * page's header says; offset its byte on the device, op what was wrong.
 */
KEEL_MUST_CHECK static inline int keel_page_fix(struct keel_ctx *ctx, struct keel_space *space,
                                                keel_pageno pageno, enum keel_fix_mode mode,
                                                unsigned flags, struct keel_err_info *info,
                                                struct keel_page *ret);
/* Any thread, but one at a time with the page. A page that was NEW (or zeroes for redo) and was not
 * dirtied is forgotten: the next fix reads the device. */
static inline void keel_page_unfix(struct keel_page *page);
KEEL_PUBLIC keel_lsn keel_page_lsn(const struct keel_page *page);
/* The exclusively fixed page was changed by the group [rec_lsn, page_lsn): it becomes dirty. Before
 * unfix. page_lsn must not be below the page's. */
KEEL_PUBLIC void keel_page_dirty(struct keel_page *page, keel_lsn rec_lsn, keel_lsn page_lsn);
/* A NEW page whose change was given up: dropped (it was not dirtied since it was fixed), instead of
 * unfix. If an older life of the page was still dirty, zeroes are written under that life's LSN. */
KEEL_PUBLIC void keel_page_drop(struct keel_page *page);
/*
 * From shared to exclusive without letting go: 0, or KEEL_EBUSY when the page has another reader
 * (a write-back that copies it is one), and nothing happened. Never waits: two readers that both
 * wanted this would wait for each other.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_page_upgrade(struct keel_page *page);
/* From exclusive to shared without letting go. Not of a page whose contents are void (NEW and not
 * dirtied: traps). */
KEEL_PUBLIC void keel_page_downgrade(struct keel_page *page);

/*
 * Optimistic reading: look at a resident page without a latch, then ask whether what was seen was
 * whole. It stores nothing that threads share, but for a use that the clock did not know of.
 *
 *     struct keel_peek peek;
 *     do {
 *         if (!keel_page_peek(space, pageno, &peek))
 *             ... keel_page_fix, as ever
 *         keel_page_copy(&key, (const char *)peek.data + at, sizeof(key));
 *     } while (!keel_peek_valid(&peek));
 *
 * Between the two calls the bytes may change, or become those of another page: read them with
 * keel_page_copy alone, trust none of them (no length, no offset) before keel_peek_valid said yes,
 * and do not write. Any thread. The memory stays mapped until the cache is closed.
 */
struct keel_peek {
    const void *data; /* user part, as in struct keel_page */
    uint32_t len;
    uint32_t frame_private;
    uint64_t version_private;
    const uint64_t *word_private, *at_private;
};
/*
 * Begin to fetch into the processor's cache what keel_page_peek and keel_page_fix look at first.
 * For who has several look-ups under way and takes a step of another one meanwhile. Any thread, any
 * pageno; reads nothing of the disk, counts as no use, and changes nothing but the time.
 */
static inline void keel_page_hint(const struct keel_space *space, keel_pageno pageno);
/* False: fix it instead. It is not resident, being changed, beyond the space, or its LSN is above
 * the poison limit. */
KEEL_MUST_CHECK static inline bool keel_page_peek(struct keel_space *space, keel_pageno pageno,
                                                  struct keel_peek *ret);
/* What was copied since keel_page_peek is the page as it was at one moment. */
KEEL_MUST_CHECK static inline bool keel_peek_valid(const struct keel_peek *peek);
/* Copy out of a page that others may be changing, by loads that the language allows there. */
static inline void keel_page_copy(void *to, const void *from, size_t bytes);

/* Start reading pages that are not resident; as many as go; returns how many were started. Pages
 * side by side go as one command where the device's scheduler may merge. Owner thread of ctx. */
KEEL_PUBLIC int keel_page_prefetch(struct keel_ctx *ctx, struct keel_space *space,
                                   const keel_pageno *pages, uint32_t count);

/* ---------------------------------------------------------------- streams */

/*
 * Pages in an order that is known ahead: a scan, the leaves of a range, a list of row addresses.
 * `next` names them, one a call, and KEEL_PAGENO_NONE at the end; it runs inside keel_stream_open's
 * and keel_stream_next's caller and must not block. The stream reads ahead of its user, as far as
 * it pays, pages side by side in one request of up to 256 KiB, into a ring of at most a 16th of the
 * cache or 4 MiB: what else is in the cache stays there. At most 4 streams at a time (KEEL_EFULL).
 * Owner thread of ctx; closed before ctx and cache are.
 */
struct keel_stream;
KEEL_PUBLIC KEEL_MUST_CHECK int keel_stream_open(struct keel_ctx *ctx, struct keel_space *space,
                                                 keel_pageno (*next)(void *arg), void *arg,
                                                 struct keel_stream **ret);
/*
 * The next page, fixed shared; unfix it before more than a few others are asked for (a page that
 * stays fixed costs the stream the frames around it). KEEL_STREAM_END: there are no more. Errors as
 * keel_page_fix with these flags; after KEEL_PENDING, KEEL_EBUSY and KEEL_EFULL the same page comes
 * again, any other error is that page's, which is passed over.
 */
#define KEEL_STREAM_END 1
KEEL_PUBLIC KEEL_MUST_CHECK int keel_stream_next(struct keel_stream *stream, unsigned flags,
                                                 struct keel_err_info *info, struct keel_page *ret);
/* Pages that were fixed may stay so. */
KEEL_PUBLIC void keel_stream_close(struct keel_stream *stream);

/* ---------------------------------------------------------------- scrubbing */

/*
 * Reading a space's pages from the device, over and over and slowly, to find damage before somebody
 * needs the page. In the class SCRUB, without a frame of the cache; a page that is being written is
 * left to the next round. What is damaged is told each round, until it is written anew.
 */
struct keel_scrub;
struct keel_scrub_options {
    uint32_t size;
    struct keel_space *space; /* borrowed until keel_scrub_close; not dropped before */
    uint64_t bytes_per_s;     /* more than 0 */
    /* A damaged page, info as keel_page_fix has it (KEEL_ECHECKSUM, or KEEL_EREAD when it cannot be
     * read); in the caller of keel_scrub_step, whose ctx it gets. May be NULL. */
    void (*damaged)(void *arg, struct keel_ctx *ctx, const struct keel_err_info *info);
    void *arg;
};
#define KEEL_SCRUB_OPTIONS_DEFAULT                \
    {                                             \
        .size = sizeof(struct keel_scrub_options) \
    }
struct keel_scrub_stats {
    uint64_t pages, damaged, rounds; /* looked at; of them told as damaged; ends of the space met */
};
/* KEEL_EOPTION, -ENOMEM. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_scrub_open(struct keel_pagecache *cache,
                                                const struct keel_scrub_options *options,
                                                struct keel_scrub **ret);
/* Look at what was read and start the next read of up to 256 KiB, if it is time: now and then, with
 * any clock. Waits for nothing. 0 or an error of keel_io_submit. Any thread, on its own ctx; a
 * second one inside does nothing. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_scrub_step(struct keel_ctx *ctx, struct keel_scrub *scrub,
                                                uint64_t now_ns);
KEEL_PUBLIC void keel_scrub_stats(const struct keel_scrub *scrub, struct keel_scrub_stats *ret);
/* Waits for the read in flight. NULL: nothing. */
KEEL_PUBLIC void keel_scrub_close(struct keel_scrub *scrub);

/* ---------------------------------------------------------------- write-back */

/*
 * Start writing dirty pages whose recLSN is below `below` (KEEL_LSN_MAX: any), at most `pages_max`
 * (0 = as many as writes_max allows): sorted, merged when adjacent, from copies, checksummed. Never
 * waits, skips pages latched exclusively and those being written already. wait_log: force the log
 * for pages above the durable LSN (blocks), else skip those and start a log write. Returns the
 * number of pages started, which may be 0 (nothing to do, or writes_max writes are in flight:
 * keel_pagecache_wait_any), or if none was a negative code (of the log, KEEL_EFULL of ctx).
 * Owner thread of ctx.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_pagecache_writeback(struct keel_ctx *ctx,
                                                         struct keel_pagecache *cache,
                                                         keel_lsn below, uint32_t pages_max,
                                                         bool wait_log);
/*
 * Before changing pages, with none fixed: nothing while few pages are changed; above the soft limit
 * the caller starts some write-backs, more the nearer the hard one is, and goes on; at the hard
 * limit it waits (wait; else KEEL_PENDING) until there are fewer. The error of a write or of the
 * log. Owner thread of ctx.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_pagecache_throttle(struct keel_ctx *ctx,
                                                        struct keel_pagecache *cache, bool wait);
/* Wait until at least one write-back that is in flight now has finished, driving whichever context
 * it is on. False if none is in flight. */
KEEL_PUBLIC bool keel_pagecache_wait_any(struct keel_pagecache *cache);
/* The same for those who must not wait: move write-backs along that are in flight on other contexts
 * than ctx, which may be ones that nobody polls. */
KEEL_PUBLIC void keel_pagecache_kick(struct keel_ctx *ctx, struct keel_pagecache *cache);
/* Smallest recLSN of any page that is dirty or being written; KEEL_LSN_MAX if none. O(frames). */
KEEL_PUBLIC keel_lsn keel_pagecache_rec_lsn_min(struct keel_pagecache *cache);
/* Keep the free lists full: evict clean pages in batches (second chance) until `target` units are
 * free for each page size in use, or a round found nothing. Returns how many units are free. A unit
 * is the cache's page_bytes. Any thread. */
KEEL_PUBLIC uint32_t keel_pagecache_evict(struct keel_pagecache *cache, uint32_t target);
/* From now on pages with a larger LSN are not served (KEEL_EPOISON) nor written. */
KEEL_PUBLIC void keel_pagecache_poison(struct keel_pagecache *cache, keel_lsn durable);

struct keel_pagecache_stats {
    uint64_t frames, free, dirty, writing, fixed; /* units: the cache's page_bytes */
    uint64_t frames_max, leaving; /* what resizing can reach; what it has still to take out */
    /* hits: fixes and optimistic reads */
    uint64_t hits, misses, reads, writes, pages_written, evictions, checksum_errors, log_waits;
};
KEEL_PUBLIC void keel_pagecache_stats(struct keel_pagecache *cache,
                                      struct keel_pagecache_stats *ret);
/* The same without the walk over all frames: `writing` counts among `dirty`, and both it and
 * `fixed` are 0. */
KEEL_PUBLIC void keel_pagecache_counters(struct keel_pagecache *cache,
                                         struct keel_pagecache_stats *ret);

/*
 * What the cache is busy with: calls line for each page that is fixed (by whoever does not let it
 * go) or being read, and for the 64 oldest writes in flight; text is lent for the call. Returns the
 * number of lines. Any thread, at any time; blocks for nothing but `line`.
 */
KEEL_PUBLIC uint32_t keel_pagecache_dump(struct keel_pagecache *cache,
                                         void (*line)(void *arg, const char *text), void *arg);

#ifdef __cplusplus
}
#endif

#include <keel/pagehit.h>

#endif
