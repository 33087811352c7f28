/*
 * Fixing pages: found, read, made new; and letting go of them.
 *
 * Happy path, a hit: keel/pagehit.h. One load and one compare-and-swap of the page's word; it
 * writes nothing else that threads share.
 *
 * Happy path, a miss, in the order in which a request meets the functions:
 *   keel_page_fix_private_ -> fix_slow -> fix_absent: pc_frame_get pops a frame, start_read
 * publishes the word with the IO latch (a second fixer finds it and waits on the same read, P2) and
 * queues the request -> keel_ioref_wait drives it, whoever waits (I6) -> pc_read_done, in whoever
 * reaps it: checks (P4), FREE latch -> the waiters try again and find it
 *
 * Failure: pc_read_done leaves frame and word FAILED and BAD; the next fixer takes the error
 * (fix_failed) and the frame is free again, so the one after that reads anew.
 *
 * Progress: each round of fix_slow ends, or waits for a request in flight, which it drives, or for
 * a latch held by a thread, or found that another thread changed the word meanwhile.
 *
 * Keeps P2 (the word is published by compare-and-swap from zero), P3, P4, I6.
 */
#include "pagecache/fix.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/trace.h"
#include "pagecache/evict.h"

#define FIX_AGAIN 1 /* the word changed or something was waited for: look again */

/* One call of keel_page_fix that was not a plain hit. */
struct fix {
    struct keel_ctx *ctx;
    struct keel_space *space;
    keel_pageno pageno;
    pc_word *word;
    enum keel_fix_mode mode;
    unsigned flags;
    struct keel_err_info *info;
    struct keel_page *page;
    bool missed;
};

/* ---------------------------------------------------------------- errors */

static int fail(struct keel_err_info *info, int code, const char *op,
                const struct keel_space *space, keel_pageno pageno)
{
    if (!info)
        return code;

    *info = (struct keel_err_info){
        .code = code,
        .op = op,
        .offset = pageno << space->page_shift,
    };
    pc_page_name(info, space->id, pageno, KEEL_LSN_MAX);
    return code;
}

static int fix_fail(const struct fix *fix, int code, const char *op)
{
    return fail(fix->info, code, op, fix->space, fix->pageno);
}

/* ---------------------------------------------------------------- holding */

static inline void hold(struct keel_page *page, struct keel_space *space, keel_pageno pageno,
                        uint32_t index, enum keel_fix_mode mode)
{
    struct keel_pagecache *cache = space->cache;

    page->data = pc_frame_page(cache, index) + KEEL_PAGE_HEADER_BYTES;
    page->len = space->hot.len;
    page->mode = (uint8_t)mode;
    page->pageno = pageno;
    page->space = space;
    page->word_private = (uint64_t *)(uintptr_t)&space->table.words[pageno];
}

/* After poison, what lies above the durable LSN may never have happened. */
static int refuse_above_poison(struct keel_page *page, keel_lsn limit, unsigned flags,
                               struct keel_err_info *info)
{
    keel_lsn lsn = keel_page_lsn(page);

    if ((flags & KEEL_FIX_REDO) || page->mode == KEEL_FIX_NEW || lsn <= limit)
        return 0;

    int rc = fail(info, KEEL_EPOISON, "page fix", page->space, page->pageno);
    if (info) {
        info->want = limit;
        info->got = lsn;
    }
    keel_page_unfix(page);
    return rc;
}

static inline int held(struct keel_page *page, unsigned flags, struct keel_err_info *info)
{
    /* relaxed: poison is not ordered with reads that are under way when it comes */
    keel_lsn limit = atomic_load_explicit(&page->space->cache->poison_lsn, memory_order_relaxed);

    if (__builtin_expect(limit != KEEL_LSN_MAX, 0))
        return refuse_above_poison(page, limit, flags, info);
    return 0;
}

/* The contents of a frame held exclusively become void: zero, with a header that names the page. */
static void make_void(const struct fix *fix, struct keel_frame *frame, keel_lsn lsn)
{
    char *page = pc_frame_page(fix->space->cache, frame->index);

    pc_page_init(page, pc_page_bytes(fix->space), fix->space->id, fix->pageno);
    pc_page_set_lsn(page, lsn);
    atomic_store_explicit(&frame->page_lsn, lsn, memory_order_relaxed);
    frame->void_private = true;
}

static int fix_held(struct fix *fix, uint32_t index, enum keel_fix_mode mode)
{
    struct keel_frame *frame = &fix->space->cache->frames[index];

    KEEL_INV(P2, atomic_load_explicit(&frame->space, memory_order_relaxed) == fix->space &&
                     atomic_load_explicit(&frame->pageno, memory_order_relaxed) == fix->pageno);
    if (!fix->missed)
        pc_count_own(&pc_stripe_self(fix->space->cache)->hits);
    TRACE(PAGE_FIX, index, pc_frame_state_name(pc_frame_state(frame)), fix->pageno, mode, 0);
    hold(fix->page, fix->space, fix->pageno, index, mode);
    return held(fix->page, fix->flags, fix->info);
}

/* ---------------------------------------------------------------- reading */

/* The page lies inside the space; a device that ends before it was cut off, or has vanished. */
static int read_error(int res)
{
    bool lost = res == -EIO || res == -ENODATA || res == KEEL_ERANGE;
    return lost ? KEEL_EREAD : res;
}

/* The read of one frame ended with rc: its page is there, or FAILED. */
static void frame_read(struct keel_pagecache *cache, struct keel_frame *frame, int rc)
{
    struct keel_space *space = atomic_load_explicit(&frame->space, memory_order_relaxed);
    keel_pageno pageno = atomic_load_explicit(&frame->pageno, memory_order_relaxed);
    const char *page = pc_frame_page(cache, frame->index);

    KEEL_ASSERT(rc <= 0);
    frame->fail = (struct pc_page_fault){.what = "device"};
    if (rc == 0)
        rc = pc_page_check(page, pc_page_bytes(space), space->id, pageno, &frame->fail);
    if (rc == KEEL_ECHECKSUM) {
        pc_count(&cache->checksum_errors, 1);
        pc_count(&space->checksum_errors, 1);
    }

    pc_word *word = &space->table.words[pageno];
    /* Nobody changes a word under IO, and nobody sleeps on it. */
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed), next;
    KEEL_INV(P2, pc_word_index(old) == frame->index && pc_word_latch(old) == PC_LATCH_IO);
    if (rc == 0) {
        KEEL_INV(P4, pc_page_pageno(page) == pageno && pc_page_space(page) == space->id);
        atomic_store_explicit(&frame->page_lsn, pc_page_lsn(page), memory_order_relaxed);
        next = pc_word_make(frame->index, pc_policy_loaded() | (old & PC_WORD_YOUNG));
        pc_frame_moved(frame, PC_FRAME_READING, PC_FRAME_CLEAN);
    } else {
        frame->fail_code = rc;
        next = pc_word_make(frame->index, PC_LATCH_BAD | PC_WORD_MARK | (old & PC_WORD_YOUNG));
        pc_frame_moved(frame, PC_FRAME_READING, PC_FRAME_FAILED);
    }
    /* release: the fixer that takes the latch sees page and frame; after this the frame is no
     * longer ours. */
    atomic_store_explicit(word, next, memory_order_release);
}

/* As if it had never been read; past: what was in its word then. */
static void frame_unread(struct keel_pagecache *cache, struct keel_frame *frame, uint64_t past)
{
    struct keel_space *space = atomic_load_explicit(&frame->space, memory_order_relaxed);
    keel_pageno pageno = atomic_load_explicit(&frame->pageno, memory_order_relaxed);

    pc_frame_release(cache, frame, &space->table.words[pageno], PC_FRAME_READING, past);
}

void pc_read_done(struct keel_io *io)
{
    struct keel_frame *frame = io->user;
    struct keel_space *space = atomic_load_explicit(&frame->space, memory_order_relaxed);
    struct keel_pagecache *cache = space->cache;
    uint32_t count = io->len_bytes >> space->page_shift;
    int rc = read_error(io->res);

    /* Which page of several was it? Each is read by itself, by whoever wants it. */
    bool undo = rc != 0 && count > 1;
    for (uint32_t i = 0; i < count; i++) {
        if (undo)
            frame_unread(cache, &frame[i << space->order], 0);
        else
            frame_read(cache, &frame[i << space->order], rc);
    }
}

/*
 * Make the frame, whose fields are set, the one of a page that is not resident. low: its latch and
 * flags. *past: what the word was. False: another thread was first.
 */
static bool take_word(struct keel_space *space, keel_pageno pageno, struct keel_frame *frame,
                      uint64_t low, uint64_t *past)
{
    pc_word *word = &space->table.words[pageno];

    *past = atomic_load_explicit(word, memory_order_relaxed);
    if (!pc_word_vacant(*past))
        return false;
    low |= pc_come(space->cache, frame, *past);
    /* release: who finds the word finds the frame's fields */
    if (!atomic_compare_exchange_strong_explicit(word, past, pc_word_make(frame->index, low),
                                                 memory_order_release, memory_order_relaxed))
        return false;
    pc_table_touch(&space->table, pageno);
    if (low & PC_WORD_YOUNG)
        pc_young_put(space->cache, frame);
    return true;
}

/*
 * Publish the frame (FREE, the caller's) as being read, by the request of frame `lead`. False:
 * another thread was first, and the frame is as before.
 */
static bool publish(struct keel_space *space, keel_pageno pageno, struct keel_frame *frame,
                    uint32_t lead, uint64_t *past)
{
    KEEL_DCHECK(pc_frame_rec_lsn(frame) == KEEL_LSN_MAX && !frame->void_private);
    KEEL_ASSERT(pc_frame_order(frame) == space->order);
    atomic_store_explicit(&frame->pageno, pageno, memory_order_relaxed);
    atomic_store_explicit(&frame->lead, lead, memory_order_relaxed);
    atomic_store_explicit(&frame->space, space, memory_order_release);
    pc_version_bump(space->cache, frame->index);
    pc_frame_moved(frame, PC_FRAME_FREE, PC_FRAME_READING);

    if (take_word(space, pageno, frame, PC_LATCH_IO, past))
        return true;
    pc_frame_moved(frame, PC_FRAME_READING, PC_FRAME_FREE);
    return false;
}

/* Queue the read of count published frames from lead on. */
static int queue_read(struct keel_ctx *ctx, struct keel_space *space, struct keel_frame *lead,
                      uint32_t count, enum keel_class cls)
{
    struct keel_pagecache *cache = space->cache;
    keel_pageno pageno = atomic_load_explicit(&lead->pageno, memory_order_relaxed);

    lead->io.device = space->device;
    lead->io.offset_bytes = pageno << space->page_shift;
    lead->io.len_bytes = count << space->page_shift;
    lead->io.cls = (uint8_t)cls;
    int rc = keel_io_submit(ctx, &lead->io);
    if (rc == 0) {
        pc_count(&cache->reads, count);
        pc_count(&space->reads, count);
    }
    return rc;
}

/*
 * Read a page into the frame (FREE, the caller's). 0: started. FIX_AGAIN: another thread was first.
 * KEEL_EFULL and others of keel_io_submit: nothing happened. The frame is taken in any case.
 */
static int start_read(struct keel_ctx *ctx, struct keel_space *space, keel_pageno pageno,
                      struct keel_frame *frame, enum keel_class cls)
{
    uint64_t past;

    if (!publish(space, pageno, frame, frame->index, &past)) {
        pc_frame_put(space->cache, frame);
        return FIX_AGAIN;
    }
    /* Who reads ahead may not know of a truncation that is under way. */
    pc_fence_limit();
    if (cls == KEEL_CLASS_PREFETCH && pageno >= keel_space_pages(space)) {
        frame_unread(space->cache, frame, 0);
        return FIX_AGAIN;
    }
    int rc = queue_read(ctx, space, frame, 1, cls);
    if (rc != 0)
        frame_unread(space->cache, frame, past);
    return rc;
}

/* Start reading a page that nobody waits for: 1; 0: it is there, or beyond the space; else there is
 * no frame or no room in the queue. */
static int read_early(struct keel_ctx *ctx, struct keel_space *space, keel_pageno pageno)
{
    if (pageno >= keel_space_pages(space) || pc_resident(space, pageno))
        return 0;
    struct keel_frame *frame = pc_frame_try_get(space->cache, space->order);
    if (!frame)
        return KEEL_EFULL;
    int rc = start_read(ctx, space, pageno, frame, KEEL_CLASS_PREFETCH);
    return rc == FIX_AGAIN ? 0 : rc == 0 ? 1 : rc;
}

/* The read of this page was started because somebody wants it. */
static void read_ahead(struct keel_ctx *ctx, struct keel_space *space, keel_pageno pageno)
{
    uint32_t most = PC_AHEAD_BYTES >> space->page_shift;
    uint32_t part = space->cache->frame_count / 16 >> space->order;

    most = most < part ? most : part;
    /* Another thread's miss is a miss of another run, most likely. */
    if (most < 2 || !lock_try(&space->runs_lock))
        return;
    uint32_t count = pc_runs_miss(&space->runs, pageno, most);
    lock_release(&space->runs_lock);
    for (uint32_t i = 1; i <= count && read_early(ctx, space, pageno + i) >= 0; i++)
        ;
}

uint32_t pc_read_run(struct keel_ctx *ctx, struct keel_space *space, keel_pageno first,
                     uint32_t count, struct keel_frame *frames)
{
    uint64_t past;
    uint32_t run = 0;

    KEEL_ASSERT(count >= 1 && (uint64_t)count << space->page_shift <= KEEL_IO_BYTES_MAX);
    while (run < count &&
           publish(space, first + run, &frames[run << space->order], frames[0].index, &past))
        run++;
    if (run == 0)
        return 0;
    if (queue_read(ctx, space, &frames[0], run, KEEL_CLASS_PREFETCH) == 0)
        return run;
    /* They are a ring's (ring.c), and stay its own. */
    for (uint32_t i = 0; i < run; i++) {
        struct keel_frame *frame = &frames[i << space->order];
        frame_unread(space->cache, frame, 0);
        atomic_store_explicit(&frame->ring, PC_RING_OWNED, memory_order_relaxed);
    }
    return 0;
}

void pc_read_wait(struct keel_pagecache *cache, struct keel_frame *frame)
{
    struct keel_ioref ref = keel_io_ref(pc_frame_io(cache, frame));

    if (pc_frame_state(frame) != PC_FRAME_READING)
        return;
    /* The frame may be in another read by now, or ours not queued yet, or its completion just
     * running in another thread: waiting for that one ends too, or there is nothing to drive. */
    keel_ioref_promote(ref, KEEL_CLASS_READ);
    if (keel_ioref_done(ref))
        sched_yield();
    else
        keel_ioref_wait(ref);
}

/* ---------------------------------------------------------------- the cases */

/* For a full queue: wait until ctx completed something. */
struct progress {
    struct keel_ctx *ctx;
    uint64_t completed;
};

static uint64_t completed(struct keel_ctx *ctx)
{
    struct keel_ctx_stats stats;

    keel_ctx_stats(ctx, &stats);
    return stats.completed;
}

static bool progressed(void *arg)
{
    const struct progress *progress = arg;

    return completed(progress->ctx) != progress->completed;
}

static int wait_for_room(struct keel_ctx *ctx)
{
    struct progress progress = {.ctx = ctx, .completed = completed(ctx)};

    /* Progress: a full queue has something to complete; if it is empty by now, there is room. */
    keel_ignore(keel_ctx_drive(ctx, progressed, &progress), "KEEL_EBUSY: nothing in flight");
    return FIX_AGAIN;
}

static int fix_new(struct fix *fix, struct keel_frame *frame)
{
    uint64_t past;

    KEEL_ASSERT(pc_frame_order(frame) == fix->space->order);
    atomic_store_explicit(&frame->pageno, fix->pageno, memory_order_relaxed);
    atomic_store_explicit(&frame->space, fix->space, memory_order_release);
    pc_version_bump(fix->space->cache, frame->index);
    make_void(fix, frame, 0);
    pc_frame_moved(frame, PC_FRAME_FREE, PC_FRAME_CLEAN);

    if (!take_word(fix->space, fix->pageno, frame, PC_LATCH_EXCLUSIVE | PC_WORD_MARK, &past)) {
        frame->void_private = false;
        pc_frame_moved(frame, PC_FRAME_CLEAN, PC_FRAME_FREE);
        pc_frame_put(fix->space->cache, frame);
        return FIX_AGAIN;
    }
    fix->missed = true;
    return fix_held(fix, frame->index, KEEL_FIX_NEW);
}

static int fix_absent(struct fix *fix)
{
    struct keel_pagecache *cache = fix->space->cache;
    bool nowait = (fix->flags & KEEL_FIX_NOWAIT) != 0;
    struct keel_frame *frame;

    int rc = pc_frame_get(fix->ctx, cache, fix->space->order, nowait, &frame);
    if (rc != 0)
        return rc == KEEL_PENDING ? rc : fix_fail(fix, rc, "page fix: no frame");
    if (fix->mode == KEEL_FIX_NEW)
        return fix_new(fix, frame);

    rc = start_read(fix->ctx, fix->space, fix->pageno, frame, KEEL_CLASS_READ);
    if (rc == KEEL_EFULL)
        return nowait ? KEEL_PENDING : wait_for_room(fix->ctx);
    if (rc < 0)
        return fix_fail(fix, rc, "page read");
    if (rc == 0 && !fix->missed) {
        fix->missed = true;
        pc_count_own(&pc_stripe_self(cache)->misses);
        read_ahead(fix->ctx, fix->space, fix->pageno);
    }
    return rc == 0 && nowait ? KEEL_PENDING : FIX_AGAIN;
}

/* Its read failed: whoever gets the latch has the error. */
static int fix_failed(struct fix *fix, uint64_t value)
{
    struct keel_frame *frame = &fix->space->cache->frames[pc_word_index(value)];

    if (!pc_latch_exclusive(fix->word, value, value & ~PC_LATCH_MASK))
        return FIX_AGAIN;

    KEEL_ASSERT(pc_frame_state(frame) == PC_FRAME_FAILED);
    int code = frame->fail_code;
    bool redo = (fix->flags & KEEL_FIX_REDO) && code == KEEL_ENOPAGE;
    if (fix->mode == KEEL_FIX_NEW || redo) {
        make_void(fix, frame, 0);
        pc_frame_moved(frame, PC_FRAME_FAILED, PC_FRAME_CLEAN);
        return fix_held(fix, frame->index,
                        fix->mode == KEEL_FIX_NEW ? KEEL_FIX_NEW : KEEL_FIX_EXCLUSIVE);
    }

    struct pc_page_fault fault = frame->fail;
    keel_lsn lsn = pc_page_lsn(pc_frame_page(fix->space->cache, frame->index));
    pc_frame_release(fix->space->cache, frame, fix->word, PC_FRAME_FAILED, 0);
    fix_fail(fix, code, "page read");
    if (fix->info) {
        fix->info->op = fault.what;
        fix->info->want = fault.want;
        fix->info->got = fault.got;
        if (code == KEEL_ECHECKSUM)
            pc_page_name(fix->info, fix->space->id, fix->pageno, lsn);
    }
    return code;
}

static int fix_resident(struct fix *fix, uint64_t value)
{
    uint32_t index = pc_word_index(value);
    struct keel_frame *frame = &fix->space->cache->frames[index];

    if (fix->mode == KEEL_FIX_SHARED) {
        if (!pc_latch_shared(fix->word, value, pc_policy_used(value)))
            return FIX_AGAIN;
        return fix_held(fix, index, KEEL_FIX_SHARED);
    }
    if (!pc_latch_exclusive(fix->word, value, pc_policy_used(value)))
        return FIX_AGAIN;
    KEEL_DCHECK(!frame->void_private);
    pc_frame_check(frame);
    if (fix->mode == KEEL_FIX_NEW) /* the LSN of a page never goes back while it is resident */
        make_void(fix, frame, pc_page_lsn(pc_frame_page(fix->space->cache, index)));
    return fix_held(fix, index, fix->mode);
}

static int fix_round(struct fix *fix)
{
    bool nowait = (fix->flags & KEEL_FIX_NOWAIT) != 0;
    uint64_t value = atomic_load_explicit(fix->word, memory_order_acquire);
    uint64_t latch = pc_word_latch(value);

    if (value & PC_WORD_FROZEN) {
        /* Progress: the trimming thread is between two system calls. */
        sched_yield();
        return nowait ? KEEL_PENDING : FIX_AGAIN;
    }
    if (!pc_word_resident(value))
        return fix_absent(fix);
    if (latch == PC_LATCH_BAD)
        return fix_failed(fix, value);
    if (latch == PC_LATCH_IO) {
        struct keel_pagecache *cache = fix->space->cache;
        struct keel_frame *frame = &cache->frames[pc_word_index(value)];
        struct keel_ioref ref = keel_io_ref(pc_frame_io(cache, frame));

        if (nowait) { /* another thread's context may be one that nobody polls (I6) */
            keel_ioref_promote(ref, KEEL_CLASS_READ);
            keel_ioref_kick(fix->ctx, ref);
        } else {
            pc_read_wait(cache, frame);
        }
        return nowait ? KEEL_PENDING : FIX_AGAIN;
    }
    if (latch == 0 || (fix->mode == KEEL_FIX_SHARED && latch < PC_LATCH_SHARED))
        return fix_resident(fix, value);
    if (fix->flags & KEEL_FIX_TRYLATCH)
        return KEEL_EBUSY;
    if (nowait)
        return KEEL_PENDING;
    pc_latch_wait(fix->word, value);
    return FIX_AGAIN;
}

static int fix_slow(struct fix *fix)
{
    int rc;

    KEEL_ASSERT(fix->mode <= KEEL_FIX_NEW);
    do {
        rc = fix_round(fix);
    } while (rc == FIX_AGAIN);
    KEEL_ASSERT(rc <= 0);
    return rc;
}

int keel_page_fix_private_(struct keel_ctx *ctx, struct keel_space *space, keel_pageno pageno,
                           enum keel_fix_mode mode, unsigned flags, struct keel_err_info *info,
                           struct keel_page *ret)
{
    /* acquire: pairs with keel_space_grow */
    if (pageno >= atomic_load_explicit(&space->pages, memory_order_acquire))
        return fail(info, KEEL_ERANGE, "page fix", space, pageno);

    struct fix fix = {
        .ctx = ctx,
        .space = space,
        .pageno = pageno,
        .word = &space->table.words[pageno],
        .mode = mode,
        .flags = flags,
        .info = info,
        .page = ret,
    };
    return fix_slow(&fix);
}

/* ---------------------------------------------------------------- letting go */

/*
 * A page whose contents are void leaves the cache. Where a former life of it is still to be
 * written, the zeroes are, under the LSN of that life: the page was made anew because nothing
 * of that life is needed.
 */
static void forget(struct keel_pagecache *cache, struct keel_frame *frame, pc_word *word)
{
    frame->void_private = false;
    for (;;) {
        enum pc_frame_state state = pc_frame_state(frame);

        if (state == PC_FRAME_CLEAN) {
            pc_frame_release(cache, frame, word, PC_FRAME_CLEAN, 0);
            return;
        }
        if (state == PC_FRAME_WRITING) {
            /* What is being written is no longer what is here. If its completion comes first,
             * recLSN goes with it. */
            keel_lsn lsn = atomic_load_explicit(&frame->write_lsn, memory_order_acquire);
            atomic_store_explicit(&frame->rec_lsn, lsn, memory_order_release);
            if (lsn == KEEL_LSN_MAX || !pc_frame_move(frame, state, PC_FRAME_REDIRTIED)) {
                atomic_store_explicit(&frame->rec_lsn, KEEL_LSN_MAX, memory_order_release);
                sched_yield();
                continue;
            }
        }
        pc_unlatch_exclusive(word);
        return;
    }
}

void keel_page_unfix_private_(const struct keel_page *page)
{
    struct keel_frame *frame = pc_page_frame(page);
    pc_word *word = &page->space->table.words[page->pageno];

    KEEL_ASSERT(page->mode != KEEL_FIX_SHARED);
    pc_version_bump(page->space->cache, frame->index);
    if (frame->void_private) {
        forget(page->space->cache, frame, word);
        return;
    }
    pc_frame_check(frame);
    pc_unlatch_exclusive(word);
}

void keel_page_wake_private_(uint64_t *word)
{
    pc_latch_wake((pc_word *)word);
}

int keel_page_upgrade(struct keel_page *page)
{
    pc_word *word = &page->space->table.words[page->pageno];
    uint64_t value;

    KEEL_ASSERT(page->mode == KEEL_FIX_SHARED);
    /* Progress: a failed exchange means that another thread came, went or marked it. */
    do {
        value = atomic_load_explicit(word, memory_order_relaxed);
        if (pc_word_latch(value) != 1)
            return KEEL_EBUSY;
    } while (!pc_latch_upgrade(word, value));
    page->mode = KEEL_FIX_EXCLUSIVE;
    return 0;
}

void keel_page_downgrade(struct keel_page *page)
{
    struct keel_frame *frame = pc_page_frame(page);

    KEEL_ASSERT(page->mode != KEEL_FIX_SHARED && !frame->void_private);
    pc_frame_check(frame);
    pc_version_bump(page->space->cache, frame->index);
    page->mode = KEEL_FIX_SHARED;
    pc_latch_downgrade(&page->space->table.words[page->pageno]);
}

void keel_page_drop(struct keel_page *page)
{
    KEEL_ASSERT(page->mode == KEEL_FIX_NEW);
    KEEL_ASSERT(pc_page_frame(page)->void_private); /* nothing was dirtied */

    keel_page_unfix(page);
}

keel_lsn keel_page_lsn(const struct keel_page *page)
{
    return pc_page_lsn((const char *)page->data - KEEL_PAGE_HEADER_BYTES);
}

int keel_page_prefetch(struct keel_ctx *ctx, struct keel_space *space, const keel_pageno *pages,
                       uint32_t count)
{
    int started = 0;

    for (uint32_t i = 0; i < count; i++) {
        int rc = read_early(ctx, space, pages[i]);
        if (rc < 0)
            break;
        started += rc;
    }
    if (started > 0)
        keel_ctx_kick(ctx);
    return started;
}
