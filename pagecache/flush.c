/*
 * Write-back.
 *
 * Functions in the order in which a page meets them:
 *   keel_page_dirty -> pc_flush_changed: recLSN, CLEAN -> DIRTY
 *   keel_pagecache_writeback: a hand goes over the frames and collects changed ones (collect),
 *   sorted by place; the log is forced up to the largest LSN among them, once
 *   -> write_run: around each, adjacent changed pages are looked up in the table, so that merging
 *   needs no global order -> capture: under a shared latch, P1 at its one place, DIRTY -> WRITING,
 *   copied, sealed (P4) -> submit: one request per chunk
 *   -> write_done, in whoever reaps it: WRITING -> CLEAN, REDIRTIED -> DIRTY, failed -> DIRTY
 *
 * What is written is a copy, so nobody waits for the device: the latch is held while the page is
 * copied, and the page may be changed while it is written.
 *
 * recLSN (E3) is the smaller of two fields. pc_flush_changed sets rec_lsn when it says nothing;
 * capture lowers write_lsn to rec_lsn and then empties rec_lsn; only a write that succeeded
 * empties write_lsn. So a value is in one of them from the change until a copy that holds it is on
 * the device, also when a write fails.
 *
 * - Failure: a failed write is reported (write_failed) and counted, its pages are DIRTY again.
 * - Keeps P1, P2 (one write in flight per frame: only DIRTY is captured), P4.
 */
#include "pagecache/flush.h"

#include <sched.h>
#include <string.h>

#include "base/bug.h"
#include "base/trace.h"

#define LOOK_AHEAD 24u          /* frames whose memory is asked for ahead of the hand */
#define KICK_BYTES (128u << 10) /* of copies that are queued before they are sent to the device */

/* A changed page, and where it belongs. */
struct seed {
    struct keel_space *space;
    keel_pageno pageno;
    keel_lsn lsn;
};

/* One call of keel_pagecache_writeback. */
struct flush {
    struct keel_ctx *ctx;
    struct keel_pagecache *cache;
    const struct keel_space *space; /* pages of this one alone, or NULL */
    keel_lsn below;
    uint32_t budget; /* pages that may still be started */
    uint32_t started;
    uint32_t visits;       /* frames that the hand may still pass */
    uint32_t staged_bytes; /* queued since the context was last kicked */
    bool wait_log;
    bool full;              /* no chunk, or no room in the queue of ctx */
    int error;              /* of the log or the queue; the first */
    struct pc_chunk *chunk; /* being filled, or NULL */
    uint32_t seed_count;
    struct seed seeds[PC_SEEDS_MAX];
};

/* ---------------------------------------------------------------- becoming dirty */

void pc_flush_changed(struct keel_pagecache *cache, struct keel_frame *frame, keel_lsn rec_lsn)
{
    /* Only this thread and a flusher with a shared latch write rec_lsn, and we hold it exclusively.
     * Before the move, so that whoever sees DIRTY sees a recLSN. */
    if (atomic_load_explicit(&frame->rec_lsn, memory_order_relaxed) == KEEL_LSN_MAX)
        atomic_store_explicit(&frame->rec_lsn, rec_lsn, memory_order_release);

    for (;;) {
        enum pc_frame_state state = pc_frame_state(frame);

        if (state == PC_FRAME_CLEAN) {
            pc_frame_moved(frame, PC_FRAME_CLEAN, PC_FRAME_DIRTY);
            atomic_fetch_add_explicit(&cache->dirty_units, pc_frame_units(frame),
                                      memory_order_relaxed);
            return;
        }
        /* Progress: a failed move means that the write ended meanwhile, which happens once. */
        if (state != PC_FRAME_WRITING || pc_frame_move(frame, state, PC_FRAME_REDIRTIED))
            break;
    }
    KEEL_DCHECK(pc_frame_rec_lsn(frame) <= rec_lsn);
}

void pc_flush_forget(struct keel_pagecache *cache, struct keel_frame *frame)
{
    KEEL_ASSERT(pc_frame_state(frame) == PC_FRAME_DIRTY);

    atomic_store_explicit(&frame->rec_lsn, KEEL_LSN_MAX, memory_order_release);
    atomic_store_explicit(&frame->write_lsn, KEEL_LSN_MAX, memory_order_release);
    atomic_fetch_sub_explicit(&cache->dirty_units, pc_frame_units(frame), memory_order_relaxed);
}

void keel_page_dirty(struct keel_page *page, keel_lsn rec_lsn, keel_lsn page_lsn)
{
    struct keel_frame *frame = pc_page_frame(page);
    char *bytes = (char *)page->data - KEEL_PAGE_HEADER_BYTES;

    KEEL_ASSERT(page->mode != KEEL_FIX_SHARED);
    KEEL_ASSERT(rec_lsn < page_lsn && page_lsn != KEEL_LSN_MAX);
    KEEL_ASSERT(page_lsn >= pc_page_lsn(bytes));
    KEEL_DCHECK(pc_page_pageno(bytes) == page->pageno && pc_page_space(bytes) == page->space->id);

    pc_page_set_lsn(bytes, page_lsn);
    atomic_store_explicit(&frame->page_lsn, page_lsn, memory_order_relaxed);
    frame->void_private = false;
    pc_flush_changed(page->space->cache, frame, rec_lsn);
}

/* ---------------------------------------------------------------- chunks */

static struct pc_chunk *chunk_take(struct flush *flush)
{
    struct keel_pagecache *cache = flush->cache;

    lock_acquire(&cache->pool_lock);
    struct list *link = list_pop_head(&cache->chunks_idle);
    if (link)
        atomic_fetch_sub_explicit(&cache->idle_count, 1, memory_order_relaxed);
    lock_release(&cache->pool_lock);
    if (!link)
        return NULL;

    struct pc_chunk *chunk = container_of(link, struct pc_chunk, link);
    chunk->count = 0;
    chunk->lsn_max = 0;
    return chunk;
}

static void chunk_put(struct pc_chunk *chunk)
{
    struct keel_pagecache *cache = chunk->cache;

    lock_acquire(&cache->pool_lock);
    if (list_linked(&chunk->link))
        list_remove(&chunk->link);
    list_push_tail(&cache->chunks_idle, &chunk->link);
    atomic_fetch_add_explicit(&cache->idle_count, 1, memory_order_relaxed);
    /* release: pairs with keel_pagecache_wait_any, which then sees the frames' states */
    atomic_fetch_add_explicit(&chunk->uses, 1, memory_order_release);
    lock_release(&cache->pool_lock);
}

/* The write of a frame ended. */
static void frame_written(struct keel_pagecache *cache, struct keel_frame *frame, bool written)
{
    if (written)
        atomic_store_explicit(&frame->write_lsn, KEEL_LSN_MAX, memory_order_release);

    /* The holder of the latch may make it REDIRTIED at any moment, once. Once it is CLEAN it may be
     * another's. */
    uint32_t units = pc_frame_units(frame);
    if (written && pc_frame_move(frame, PC_FRAME_WRITING, PC_FRAME_CLEAN)) {
        atomic_fetch_sub_explicit(&cache->dirty_units, units, memory_order_relaxed);
        return;
    }
    if (!written && pc_frame_move(frame, PC_FRAME_WRITING, PC_FRAME_DIRTY))
        return;
    pc_frame_moved(frame, PC_FRAME_REDIRTIED, PC_FRAME_DIRTY);
}

static void chunk_end(struct pc_chunk *chunk, bool written)
{
    struct keel_pagecache *cache = chunk->cache;

    KEEL_ASSERT(chunk->count > 0);
    for (uint32_t i = 0; i < chunk->count; i++)
        frame_written(cache, &cache->frames[chunk->frames[i]], written);
    chunk_put(chunk);
}

static void write_done(struct keel_io *io)
{
    struct pc_chunk *chunk = io->user;
    struct keel_pagecache *cache = chunk->cache;

    if (io->res != 0) {
        int32_t none = 0;
        atomic_compare_exchange_strong(&cache->write_error, &none, io->res);
        atomic_fetch_add(&cache->write_errors, 1);
        for (uint32_t i = 0; cache->options.write_failed && i < chunk->count; i++)
            cache->options.write_failed(cache->options.arg, io->res, chunk->space->id,
                                        chunk->first + i);
    } else {
        pc_count(&cache->pages_written, chunk->count);
        pc_count(&chunk->space->pages_written, chunk->count);
    }
    chunk_end(chunk, io->res == 0);
}

void pc_chunk_init(struct pc_chunk *chunk)
{
    chunk->io.arena = chunk->cache->options.arena;
    chunk->io.buf = chunk->copy;
    chunk->io.op = KEEL_OP_WRITE;
    chunk->io.cls = KEEL_CLASS_WRITEBACK;
    chunk->io.flags = KEEL_IO_ANY_THREAD;
    chunk->io.done = write_done;
    chunk->io.user = chunk;
    list_init(&chunk->link);
}

static keel_lsn log_known(const struct keel_pagecache *cache)
{
    /* acquire: pairs with log_note */
    return atomic_load_explicit(&cache->log_known, memory_order_acquire);
}

/* Pages of the space that a chunk has room for. */
static uint32_t run_pages(const struct keel_space *space)
{
    if (space->atomic_writes)
        return 1; /* what is untorn is one request */
    return space->cache->chunk_units >> space->order;
}

/* Queue what the chunk holds, if anything. */
static void submit(struct flush *flush)
{
    struct pc_chunk *chunk = flush->chunk;
    struct keel_pagecache *cache = flush->cache;

    flush->chunk = NULL;
    if (!chunk)
        return;
    if (chunk->count == 0) {
        chunk_put(chunk);
        return;
    }
    KEEL_ASSERT(chunk->count <= run_pages(chunk->space));
    KEEL_INV(P1, chunk->lsn_max <= log_known(cache));

    chunk->io.device = chunk->space->device;
    chunk->io.flags = KEEL_IO_ANY_THREAD;
    if (chunk->space->atomic_writes && !BUG(PAGE_WITHOUT_IMAGE))
        chunk->io.flags |= KEEL_IO_ATOMIC;
    chunk->io.offset_bytes = chunk->first << chunk->space->page_shift;
    chunk->io.len_bytes = chunk->count << chunk->space->page_shift;
    lock_acquire(&cache->pool_lock);
    list_push_tail(&cache->chunks_busy, &chunk->link);
    lock_release(&cache->pool_lock);

    uint32_t count = chunk->count, bytes = chunk->io.len_bytes;
    TRACE(PAGE_WRITE, chunk->frames[0], NULL, chunk->io.offset_bytes, chunk->io.len_bytes, 0);
    int rc = keel_io_submit(flush->ctx, &chunk->io);
    if (rc != 0) {
        flush->error = flush->error ? flush->error : rc;
        flush->full = true;
        chunk_end(chunk, false);
        return;
    }
    flush->started += count;
    pc_count(&cache->writes, 1);

    /* The device works on these while the next ones are copied. */
    flush->staged_bytes += bytes;
    if (flush->staged_bytes >= KICK_BYTES) {
        flush->staged_bytes = 0;
        keel_ctx_kick(flush->ctx);
    }
}

/* ---------------------------------------------------------------- the log (P1) */

static void log_note(struct keel_pagecache *cache, keel_lsn lsn)
{
    keel_lsn known = log_known(cache);

    /* release: pairs with log_known; only upwards */
    while (known < lsn &&
           !atomic_compare_exchange_weak_explicit(&cache->log_known, &known, lsn,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

/*
 * May a page with this LSN be written? Asks the log when it is not known to be durable that far.
 * Waiting with a latch held is safe: nobody who is needed for the log to move waits for a page
 * (W8).
 */
static bool log_allows(struct flush *flush, keel_lsn lsn, bool wait)
{
    struct keel_pagecache *cache = flush->cache;

    if (lsn <= log_known(cache))
        return true;
    if (BUG(PAGE_BEFORE_LOG)) {
        log_note(cache, lsn);
        return true;
    }
    if (flush->error)
        return false;

    int rc = cache->options.log_durable(cache->options.arg, lsn, false);
    if (rc == KEEL_PENDING) {
        pc_count(&cache->log_waits, 1);
        if (wait)
            rc = cache->options.log_durable(cache->options.arg, lsn, true);
    }
    KEEL_ASSERT(rc <= 0);
    if (rc == 0)
        log_note(cache, lsn);
    else if (rc != KEEL_PENDING)
        flush->error = rc;
    return rc == 0;
}

/* ---------------------------------------------------------------- choosing */

/* Is this frame to be written by this call? Without latch: a guess, capture decides. */
static bool wanted(const struct flush *flush, const struct keel_frame *frame)
{
    if (flush->space && flush->space != atomic_load_explicit(&frame->space, memory_order_relaxed))
        return false;
    return pc_frame_state(frame) == PC_FRAME_DIRTY && pc_frame_rec_lsn(frame) < flush->below &&
           atomic_load_explicit(&frame->page_lsn, memory_order_relaxed) <=
               atomic_load_explicit(&flush->cache->poison_lsn, memory_order_relaxed);
}

static bool seed_before(const struct seed *a, const struct seed *b)
{
    return a->space->id != b->space->id ? a->space->id < b->space->id : a->pageno < b->pageno;
}

/* Shell sort: in place, and the C library's may allocate. */
static void sort_seeds(struct seed *seeds, uint32_t count)
{
    static const uint32_t gaps[] = {132, 57, 23, 10, 4, 1};

    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        for (uint32_t i = gaps[g]; i < count; i++) {
            struct seed seed = seeds[i];
            uint32_t at = i;
            for (; at >= gaps[g] && seed_before(&seed, &seeds[at - gaps[g]]); at -= gaps[g])
                seeds[at] = seeds[at - gaps[g]];
            seeds[at] = seed;
        }
    }
}

/* A seed for this frame, if it is to be written. Returns its LSN, or 0. */
static keel_lsn add_seed(struct flush *flush, const struct keel_frame *frame)
{
    struct seed *seed = &flush->seeds[flush->seed_count];

    if (!wanted(flush, frame))
        return 0;
    seed->space = atomic_load_explicit(&frame->space, memory_order_acquire);
    seed->pageno = atomic_load_explicit(&frame->pageno, memory_order_relaxed);
    seed->lsn = atomic_load_explicit(&frame->page_lsn, memory_order_relaxed);
    if (!seed->space || seed->pageno >= seed->space->table.pages_max)
        return 0; /* it changed hands this moment */
    flush->seed_count++;
    return seed->lsn;
}

/* How many frames the hand may take at once, each of which may be a seed of the largest page. */
static uint32_t run_of(const struct keel_pagecache *cache, uint32_t seeds, uint64_t room)
{
    uint32_t orders = atomic_load_explicit(&cache->orders, memory_order_relaxed);
    uint64_t fit = orders ? room >> (31 - __builtin_clz(orders)) : room;

    return fit < seeds ? (fit > 0 ? (uint32_t)fit : 1) : seeds;
}

/*
 * Let the hand collect changed frames, sorted by place. Returns the largest LSN among them.
 * The hand takes as many frames at once as there are seeds to be had, so that none is passed over
 * for want of room, and asks for the memory of those ahead: a checkpoint looks at every frame, and
 * none of them is in the processor's caches.
 */
static keel_lsn collect(struct flush *flush)
{
    struct keel_pagecache *cache = flush->cache;
    uint32_t most = flush->budget - flush->started;
    uint32_t idle = atomic_load_explicit(&cache->idle_count, memory_order_relaxed);
    keel_lsn lsn_max = 0;

    if (most > PC_SEEDS_MAX)
        most = PC_SEEDS_MAX;
    /* No more than there is room for: what the hand has passed it sees again a round later. */
    uint32_t frames = cache->frames_seen;
    uint64_t room = (uint64_t)idle * cache->chunk_units;
    flush->full = idle == 0;
    flush->seed_count = 0;
    while (flush->visits > 0 && flush->seed_count < most && room > 0) {
        uint32_t run = run_of(cache, most - flush->seed_count, room);
        if (run > flush->visits)
            run = flush->visits;
        flush->visits -= run;
        uint32_t at = atomic_fetch_add_explicit(&cache->write_hand, run, memory_order_relaxed);
        for (uint32_t end = at + run; at != end; at++) {
            const struct keel_frame *frame = &cache->frames[at % frames];
            __builtin_prefetch(&cache->frames[(at + LOOK_AHEAD) % frames]);
            keel_lsn lsn = add_seed(flush, frame);
            if (lsn == 0)
                continue;
            lsn_max = lsn > lsn_max ? lsn : lsn_max;
            uint64_t units = UINT64_C(1) << flush->seeds[flush->seed_count - 1].space->order;
            room -= room < units ? room : units;
        }
    }
    sort_seeds(flush->seeds, flush->seed_count);
    return lsn_max;
}

/* ---------------------------------------------------------------- writing */

/* Under a shared latch: may this frame be written now? Then it becomes WRITING. */
static bool capture_begin(struct flush *flush, struct keel_frame *frame)
{
    keel_lsn lsn = atomic_load_explicit(&frame->page_lsn, memory_order_relaxed);

    if (!wanted(flush, frame) || !log_allows(flush, lsn, flush->wait_log))
        return false;
    /* Another flusher may hold a shared latch too: one of us moves it. */
    if (!pc_frame_move(frame, PC_FRAME_DIRTY, PC_FRAME_WRITING))
        return false;

    /* To write_lsn first, then out of rec_lsn (release): pc_frame_rec_lsn looks in that order. */
    keel_lsn rec = atomic_load_explicit(&frame->rec_lsn, memory_order_relaxed);
    if (rec < atomic_load_explicit(&frame->write_lsn, memory_order_relaxed))
        atomic_store_explicit(&frame->write_lsn, rec, memory_order_release);
    atomic_store_explicit(&frame->rec_lsn, KEEL_LSN_MAX, memory_order_release);
    return true;
}

/* Copy and seal the page into the chunk. */
static void capture_copy(struct flush *flush, struct keel_frame *frame)
{
    struct keel_pagecache *cache = flush->cache;
    struct pc_chunk *chunk = flush->chunk;
    uint32_t page_bytes = pc_page_bytes(chunk->space);
    char *copy = chunk->copy + (size_t)chunk->count * page_bytes;
    struct pc_page_fault fault;

    memcpy(copy, pc_frame_page(cache, frame->index), page_bytes);
    pc_page_seal(copy, page_bytes);
    KEEL_INV(P1, pc_page_lsn(copy) <= log_known(cache));
    KEEL_INV(P2, pc_page_pageno(copy) == chunk->first + chunk->count &&
                     pc_page_space(copy) == chunk->space->id);
    KEEL_DCHECK(pc_page_check(copy, page_bytes, chunk->space->id, chunk->first + chunk->count,
                              &fault) == 0);
    if (pc_page_lsn(copy) > chunk->lsn_max)
        chunk->lsn_max = pc_page_lsn(copy);
    chunk->frames[chunk->count++] = frame->index;
}

/* The frame of this page if it is resident, not held exclusively and wanted, else NULL. */
static struct keel_frame *wanted_at(const struct flush *flush, const struct keel_space *space,
                                    keel_pageno pageno, uint64_t *ret_value)
{
    *ret_value = atomic_load_explicit(&space->table.words[pageno], memory_order_acquire);
    if (!pc_word_sharable(*ret_value))
        return NULL;

    struct keel_frame *frame = &flush->cache->frames[pc_word_index(*ret_value)];
    return wanted(flush, frame) ? frame : NULL;
}

/* A chunk to fill, from this page on; false: all are in flight. */
static bool chunk_begin(struct flush *flush, struct keel_space *space, keel_pageno pageno)
{
    if (flush->chunk)
        return true;

    flush->chunk = chunk_take(flush);
    flush->full = !flush->chunk;
    if (flush->chunk) {
        flush->chunk->space = space;
        flush->chunk->first = pageno;
    }
    return flush->chunk != NULL;
}

/* Add this page to the chunk being filled, or begin one; false: not to be written now. */
static bool capture(struct flush *flush, struct keel_space *space, keel_pageno pageno)
{
    pc_word *word = &space->table.words[pageno];
    struct keel_frame *frame;
    uint64_t value;

    /* Not a use: the mark stays as it is. Progress: a failed exchange means that another thread
     * came or went, and the page is looked at anew. */
    do {
        frame = wanted_at(flush, space, pageno, &value);
        if (!frame || !chunk_begin(flush, space, pageno))
            return false;
    } while (!pc_latch_shared(word, value, value));

    bool captured = capture_begin(flush, frame);
    if (captured)
        capture_copy(flush, frame);
    pc_unlatch_shared(word);
    return captured;
}

/* Write the changed pages around a seed. */
static void write_run(struct flush *flush, const struct seed *seed)
{
    uint32_t most = run_pages(seed->space);
    keel_pageno first = seed->pageno;
    keel_pageno limit = keel_space_pages(seed->space);
    uint64_t value;

    if (!wanted_at(flush, seed->space, first, &value))
        return; /* an earlier run took it along */
    while (first > 0 && seed->pageno - first + 1 < most &&
           wanted_at(flush, seed->space, first - 1, &value))
        first--;

    /* One chunk at most for what lies around the seed, one more where the run is broken. */
    keel_pageno end = first + most < limit ? first + most : limit;
    for (keel_pageno at = first; at < end && !flush->full; at++) {
        uint32_t filling = flush->chunk ? flush->chunk->count : 0;
        if (flush->started + filling >= flush->budget)
            break;
        if (!capture(flush, seed->space, at)) {
            submit(flush);
            if (at >= seed->pageno)
                break;
        }
    }
    submit(flush);
}

static int write_some(struct flush *flush)
{
    struct keel_pagecache *cache = flush->cache;

    while (flush->visits > 0 && flush->started < flush->budget && !flush->full &&
           atomic_load_explicit(&cache->dirty_units, memory_order_relaxed) > 0) {
        keel_lsn lsn_max = collect(flush);
        if (flush->seed_count == 0)
            break;
        /* Once for all, with no latch held; a page that is changed meanwhile asks again. */
        log_allows(flush, lsn_max, flush->wait_log);

        atomic_fetch_add(&cache->sweepers, 1);
        for (uint32_t i = 0; i < flush->seed_count && !flush->full; i++)
            write_run(flush, &flush->seeds[i]);
        atomic_fetch_sub(&cache->sweepers, 1);
    }
    if (flush->staged_bytes > 0)
        keel_ctx_kick(flush->ctx);
    return flush->started > 0 ? (int)flush->started : flush->error;
}

int keel_pagecache_writeback(struct keel_ctx *ctx, struct keel_pagecache *cache, keel_lsn below,
                             uint32_t pages_max, bool wait_log)
{
    struct flush flush = {
        .ctx = ctx,
        .cache = cache,
        .below = below,
        .budget = pages_max ? pages_max : cache->options.writes_max * cache->chunk_units,
        .visits = cache->frames_seen,
        .wait_log = wait_log,
    };

    return write_some(&flush);
}

int pc_flush_space(struct keel_ctx *ctx, struct keel_space *space, keel_lsn below)
{
    struct flush flush = {
        .ctx = ctx,
        .cache = space->cache,
        .space = space,
        .below = below,
        .budget = UINT32_MAX,
        .visits = space->cache->frames_seen,
        .wait_log = true,
    };

    return write_some(&flush);
}

int keel_pagecache_throttle(struct keel_ctx *ctx, struct keel_pagecache *cache, bool wait)
{
    uint64_t soft = (uint64_t)cache->frame_count * cache->options.dirty_soft / 100;
    uint64_t hard = (uint64_t)cache->frame_count * cache->options.dirty_hard / 100;

    /* Progress: each round waits for a write in flight, driving it, or learns why there is none. */
    for (;;) {
        uint64_t dirty = atomic_load_explicit(&cache->dirty_units, memory_order_relaxed);
        if (dirty <= soft)
            return 0;

        /* The nearer to the hard limit, the more of the work is the caller's. */
        uint64_t over = dirty < hard ? dirty - soft : hard - soft;
        uint32_t share = 1 + (uint32_t)(over * cache->chunk_units / (hard - soft + 1));
        bool at_limit = dirty >= hard;
        uint64_t errors = atomic_load(&cache->write_errors);
        int rc = keel_pagecache_writeback(ctx, cache, KEEL_LSN_MAX, share, at_limit && wait);
        if (!at_limit)
            return 0;
        if (!wait)
            return rc < 0 && rc != KEEL_EFULL ? rc : KEEL_PENDING;
        bool waited = keel_pagecache_wait_any(cache);
        if (atomic_load(&cache->write_errors) != errors)
            return atomic_load(&cache->write_error);
        if (!waited && rc < 0)
            return rc;
        if (!waited && rc == 0)
            return 0; /* nothing can be written now: latched, or beyond the poison limit */
    }
}

/* ---------------------------------------------------------------- waiting */

static struct pc_chunk *oldest_busy(struct keel_pagecache *cache, uint64_t *ret_uses)
{
    struct pc_chunk *chunk = NULL;

    lock_acquire(&cache->pool_lock);
    struct list *link = list_head(&cache->chunks_busy);
    if (link) {
        chunk = container_of(link, struct pc_chunk, link);
        *ret_uses = atomic_load_explicit(&chunk->uses, memory_order_relaxed);
    }
    lock_release(&cache->pool_lock);
    return chunk;
}

bool pc_flush_kick(struct keel_ctx *ctx, struct keel_pagecache *cache)
{
    uint64_t uses;
    struct pc_chunk *chunk = oldest_busy(cache, &uses);

    if (chunk)
        keel_ioref_kick(ctx, keel_io_ref(&chunk->io));
    return chunk != NULL;
}

void pc_flush_promote(struct keel_pagecache *cache)
{
    uint64_t uses;
    struct pc_chunk *chunk = oldest_busy(cache, &uses);

    if (chunk)
        keel_ioref_promote(keel_io_ref(&chunk->io), KEEL_CLASS_READ);
}

bool keel_pagecache_wait_any(struct keel_pagecache *cache)
{
    uint64_t uses = 0;
    struct pc_chunk *chunk = oldest_busy(cache, &uses);
    if (!chunk)
        return false;

    /*
     * Progress: the chunk is on its list just before it is queued and until its completion has run;
     * in between it is in flight and driven here, at both ends a thread is inside keel with it.
     * acquire: pairs with chunk_put.
     */
    while (atomic_load_explicit(&chunk->uses, memory_order_acquire) == uses) {
        struct keel_ioref ref = keel_io_ref(&chunk->io);
        if (keel_ioref_done(ref))
            sched_yield();
        else
            keel_ioref_wait(ref);
    }
    return true;
}

void keel_pagecache_kick(struct keel_ctx *ctx, struct keel_pagecache *cache)
{
    for (uint32_t i = 0; i < cache->options.writes_max; i++)
        keel_ioref_kick(ctx, keel_io_ref(&cache->chunks[i].io));
}

keel_lsn keel_pagecache_rec_lsn_min(struct keel_pagecache *cache)
{
    keel_lsn min = KEEL_LSN_MAX;

    for (uint32_t i = 0; i < cache->frames_seen; i++) {
        keel_lsn lsn = pc_frame_rec_lsn(&cache->frames[i]);
        if (lsn < min)
            min = lsn;
    }
    return min;
}
