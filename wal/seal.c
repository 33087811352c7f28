/*
 * Sealing: the published part of the log buffer becomes batches, batches become durable.
 *
 *   wal_seal        somebody who waits for the log wants a write to start; one sealer at a time
 *   pad             the last, partly filled block is closed by moving the cursor to its end
 *   submit_run      headers, promises, CRCs; one write per run contiguous in buffer and ring
 *   batch_done      any thread that reaps: a write is complete, in any order
 *   advance         the written LSN moves over what is complete in a row, the durable one over what
 *                   of it is synced; says whether a flush is due
 *   flush_done      what was written when the flush was submitted is durable
 *
 * Two ways lead to durable: a write that syncs itself, if everything before it is durable, or a
 * flush behind the write. The latter is for KEEL_SYNC_FLUSH, for commits of a lower level
 * (KEEL_LEVEL_WRITTEN) and for whatever comes behind those; it starts once somebody asks for it, or
 * when K is used up.
 *
 * What starts a write: with none in flight, anything that is published; else whole blocks, once
 * pipeline_bytes of them wait. So one writer gets one write per commit, and a stream of commits
 * gets large batches.
 *
 * Failure: any error of a write or sync poisons the log; retire() then never moves again.
 *
 * Invariants: W2 (durable never goes back), W4 (nothing after a failed sync), W5 (a place is
 * written only behind redo + ring), W6 (no block is submitted twice), and the bound K: what is
 * submitted and not durable never exceeds inflight_bytes, which recovery relies on.
 */
#include "wal/seal.h"

#include <string.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/trace.h"
#include "wal/append.h"
#include "wal/commit_async.h"
#include "wal/tail.h"

void wal_poison(struct keel_wal *wal, int error)
{
    int32_t none = 0;

    KEEL_ASSERT(error < 0);
    lock_acquire(&wal->done_lock); /* so that no durable LSN moves while it is set */
    bool first = atomic_compare_exchange_strong(&wal->poison, &none, error);
    lock_release(&wal->done_lock);
    if (!first)
        return;

    TRACE(WAL_POISON, trace_id(wal), keel_err_name(error), wal_durable(wal), 0, error);
    wal_async_wake(wal);
    wal_tail_wake(wal);
    keel_ctx_wake(wal->ctx); /* whoever sleeps in keel_ctx_drive looks again */
}

/* ------------------------------------------------------------- completion */

/* Give a part of the buffer back to appenders; done_lock held, before durable moves over it. */
static void free_frames(struct keel_wal *wal, keel_lsn from, keel_lsn to)
{
    uint64_t number = (from - wal->base_lsn) / WAL_BLOCK;
    uint64_t end = (to - wal->base_lsn) / WAL_BLOCK;

    for (; number < end; number++) {
        struct wal_frame *frame = wal_frame(wal, number);

        /* Relaxed: the release store of durable_lsn publishes it to the next lap's appenders. */
        atomic_store_explicit(&frame->filled, 0, memory_order_relaxed);
        frame->used = WAL_PAYLOAD;
    }
}

/* Everything below lsn is written and synced; done_lock held. */
static void retire(struct keel_wal *wal, keel_lsn lsn)
{
    keel_lsn before = wal_durable(wal);

    KEEL_INV(W2, lsn >= before);
    if (lsn == before)
        return;
    KEEL_INV(W4, wal_poisoned(wal) == 0);
    KEEL_INV(W2, lsn <= wal_written(wal));
    free_frames(wal, before, lsn);
    atomic_store(&wal->durable_lsn, lsn); /* pairs with wal_durable() */
    TRACE(WAL_DURABLE, trace_id(wal), NULL, lsn, lsn - before, 0);
}

/* End of what was submitted; done_lock held. */
static keel_lsn submitted_end(const struct keel_wal *wal, uint32_t tail)
{
    return tail > 0 ? wal->batches[(tail - 1) % wal->inflight_max].end : wal->base_lsn;
}

/* The seeded bug: what is submitted when the flush is counts as covered, whether it is complete or
 * not; done_lock held. */
static bool flush_early(struct keel_wal *wal)
{
    keel_lsn end = submitted_end(wal, atomic_load(&wal->batch_tail));
    keel_lsn covered = wal->sync_cover < wal_written(wal) ? wal->sync_cover : wal_written(wal);

    if (atomic_load(&wal->sync_busy))
        return false;
    if (covered > wal_durable(wal))
        retire(wal, covered);
    if (wal->sync_cover == end)
        return false;
    wal->sync_cover = end;
    return true;
}

/* Is a flush due, and may it start? done_lock held. It covers what is written now, so nothing that
 * completes later counts as covered. */
static bool flush_due(struct keel_wal *wal)
{
    keel_lsn durable = wal_durable(wal);

    if (atomic_load(&wal->sync_busy) || wal->flush_goal <= durable || wal_written(wal) == durable)
        return false;
    wal->sync_cover = wal_written(wal);
    return true;
}

/* Say so before anybody can take the log for idle; done_lock held. */
static bool flush_begins(struct keel_wal *wal)
{
    bool early = BUG(FLUSH_BEFORE_REAP) && wal->sync == KEEL_SYNC_FLUSH;

    if (!(early ? flush_early(wal) : flush_due(wal)))
        return false;
    atomic_store(&wal->sync_busy, true);
    wal->stat_syncs++;
    return true;
}

/* What completed moves the log on; done_lock held. True: a flush has to be submitted. */
static bool advance(struct keel_wal *wal)
{
    uint32_t tail = atomic_load(&wal->batch_tail), head = atomic_load(&wal->batch_head);
    keel_lsn durable = wal_durable(wal), written = wal_written(wal);

    if (wal_poisoned(wal) != 0)
        return false;

    for (; head != tail; head++) {
        const struct wal_batch *batch = &wal->batches[head % wal->inflight_max];

        if (!batch->complete)
            break;
        KEEL_INV(W2, BUG(REWRITE_BLOCK) || batch->begin == written);
        written = batch->end;
        if (batch->synced && (batch->begin <= durable || BUG(WRITTEN_COVERED)))
            durable = written;
        if (batch->flush)
            wal->flush_goal = written;
    }
    atomic_store(&wal->written_lsn, written); /* pairs with wal_written() */
    retire(wal, durable);
    bool flush = flush_begins(wal);
    atomic_store(&wal->batch_head, head); /* after all that: who finds the log idle finds it done */
    return flush;
}

static void submit_flush(struct keel_wal *wal);

/* A request is complete; the last of it that touches wal is the count. */
static void settle(struct keel_wal *wal, bool flush)
{
    if (flush)
        submit_flush(wal);
    wal_async_wake(wal);
    wal_tail_wake(wal);

    uint32_t before = atomic_fetch_sub(&wal->pending_ios, 1); /* pairs with keel_wal_close() */
    KEEL_ASSERT(before > 0);
}

static void flush_done(struct keel_io *io)
{
    struct keel_wal *wal = io->user;

    if (io->res != 0 && !BUG(FSYNC_ERROR_IGNORED))
        wal_poison(wal, io->res);

    lock_acquire(&wal->done_lock);
    KEEL_ASSERT(atomic_load(&wal->sync_busy));
    if (wal_poisoned(wal) == 0 && !BUG(FLUSH_BEFORE_REAP) && wal->sync_cover > wal_durable(wal))
        retire(wal, wal->sync_cover);
    atomic_store(&wal->sync_busy, false);
    bool flush = advance(wal);
    lock_release(&wal->done_lock);

    settle(wal, flush);
}

static void submit_flush(struct keel_wal *wal)
{
    wal->sync_io = (struct keel_io){
        .device = wal->device,
        .op = KEEL_OP_SYNC,
        .cls = KEEL_CLASS_WAL,
        .flags = KEEL_IO_ANY_THREAD,
        .done = flush_done,
        .user = wal,
    };
    atomic_fetch_add(&wal->pending_ios, 1);

    int rc = keel_io_submit(wal->ctx, &wal->sync_io);
    KEEL_ASSERT(rc == 0); /* the context was opened with room for every request of the log */
}

/* What a log write takes, as a mean that forgets; done_lock held. */
static void note_write_time(struct keel_wal *wal, const struct wal_batch *batch)
{
    uint64_t took = clock_now_ns() - batch->begun_ns;
    uint64_t mean = atomic_load_explicit(&wal->write_ns, memory_order_relaxed);

    mean = mean == 0 ? took : mean - mean / 8 + took / 8;
    atomic_store_explicit(&wal->write_ns, mean, memory_order_relaxed);
}

static void batch_done(struct keel_io *io)
{
    struct wal_batch *batch = io->user;
    struct keel_wal *wal = batch->wal;
    struct wal_linker *linker = batch->linker;

    TRACE(WAL_WRITE, trace_id(wal), NULL, batch->begin, batch->end - batch->begin, io->res);
    if (io->res != 0 && !BUG(FSYNC_ERROR_IGNORED))
        wal_poison(wal, io->res);

    lock_acquire(&wal->done_lock);
    KEEL_ASSERT(!batch->complete);
    batch->complete = true;
    note_write_time(wal, batch);
    if (batch->io.flags & KEEL_IO_LINK_SYNC)
        wal->stat_syncs++;
    bool flush = advance(wal);
    lock_release(&wal->done_lock);

    if (linker)
        atomic_fetch_sub(&linker->pending, 1); /* pairs with lead_done(); it may be gone now */
    settle(wal, flush);
}

/* ------------------------------------------------------------- sealing */

/* Blocks that may be submitted now without exceeding K. */
static uint64_t window_blocks(const struct keel_wal *wal, uint64_t first)
{
    keel_lsn from = wal->base_lsn + first * WAL_BLOCK;
    keel_lsn durable = lsn_block_down(wal_durable(wal));

    KEEL_ASSERT(from >= durable && from - durable <= wal->inflight_bytes);
    return (wal->inflight_bytes - (from - durable)) / WAL_BLOCK;
}

/* No block at or beyond it has its frame yet: whoever reserved it still waits for room. */
static uint64_t frames_end(const struct keel_wal *wal)
{
    return wal_blocks_free(wal) + wal->frame_count;
}

static bool frame_complete(const struct wal_frame *frame)
{
    /* Acquire: pairs with publish() in append.c; the bytes are there. */
    uint64_t filled = atomic_load_explicit(&frame->filled, memory_order_acquire);

    return WAL_FILLED_BYTES(filled) == frame->used;
}

/*
 * Close block `number`, which is partly reserved: move the cursor to its end, so that nobody can
 * add to it. False: a reservation in it is not published yet, or a new one came in between.
 */
static bool pad(struct keel_wal *wal, uint64_t number, uint64_t cursor)
{
    struct wal_frame *frame = wal_frame(wal, number);
    uint32_t offset = position_offset(cursor_position(cursor));

    KEEL_ASSERT(position_block(cursor_position(cursor)) == number && offset > 0);
    uint64_t filled = atomic_load_explicit(&frame->filled, memory_order_acquire);
    if (WAL_FILLED_BYTES(filled) != offset)
        return false;
    /* Relaxed on failure: nothing was learnt. Success needs no order of its own, the bytes came
     * with the acquire above. */
    if (!BUG(REWRITE_BLOCK) && !atomic_compare_exchange_strong_explicit(
                                   &wal->cursor, &cursor, cursor + (WAL_PAYLOAD - offset),
                                   memory_order_acq_rel, memory_order_relaxed))
        return false;

    frame->used = (uint16_t)offset;
    return true;
}

/* One past the last block that can be submitted now; *later: there is more, but a publisher is at
 * work. whole: leave the partly filled last block open. */
static uint64_t seal_extent(struct keel_wal *wal, uint64_t first, bool whole, bool *later)
{
    uint64_t end = first + window_blocks(wal, first);
    uint64_t cursor = atomic_load_explicit(&wal->cursor, memory_order_acquire);
    uint64_t reserved = position_block(cursor_position(cursor)); /* whole blocks below it */
    uint64_t number = first;

    end = end < frames_end(wal) ? end : frames_end(wal);
    while (number < end && number < reserved && frame_complete(wal_frame(wal, number)))
        number++;
    if (number == end || (whole && number == reserved))
        return number;
    if (number < reserved) {
        *later = true;
        return number;
    }
    if (position_offset(cursor_position(cursor)) == 0)
        return number;
    if (pad(wal, number, cursor))
        return number + 1;
    *later = true;
    return number;
}

/* Header and checksum of one block, and its share of the counts. */
static void seal_block(struct keel_wal *wal, uint64_t number, keel_lsn promise)
{
    struct wal_frame *frame = wal_frame(wal, number);
    uint64_t filled = atomic_load_explicit(&frame->filled, memory_order_relaxed);
    struct wal_block_head head = {
        .lsn = wal->base_lsn + number * WAL_BLOCK,
        .promise = promise,
        .epoch = wal->epoch,
        .used = frame->used,
        .first = frame->used > 0 && frame->first < frame->used ? frame->first : WAL_FIRST_NONE,
    };

    KEEL_INV(W5, head.lsn + WAL_BLOCK <= atomic_load(&wal->limit_lsn));
    wal_block_seal(&wal->seed, wal_frame_bytes(wal, number), &head);
    wal->stat_groups += WAL_FILLED_GROUPS(filled);
    wal->stat_records += WAL_FILLED_RECORDS(filled);
    wal->stat_payload += frame->used;
    wal->stat_padding += WAL_PAYLOAD - frame->used;
    wal->stat_blocks++;
}

/* Blocks from first that one write can take. */
static uint64_t run_blocks(const struct keel_wal *wal, uint64_t first, uint64_t end)
{
    keel_lsn lsn = wal->base_lsn + first * WAL_BLOCK;
    uint64_t run = end - first;
    uint64_t in_buffer = wal->frame_count - (first & (wal->frame_count - 1));
    uint64_t in_ring = (wal->ring_bytes - lsn % wal->ring_bytes) / WAL_BLOCK;
    uint64_t in_batch = wal->batch_bytes_max / WAL_BLOCK;

    run = run < in_buffer ? run : in_buffer;
    run = run < in_ring ? run : in_ring;
    return run < in_batch ? run : in_batch;
}

static uint16_t sync_flag(const struct keel_wal *wal, const struct wal_linker *linker)
{
    if (BUG(ACK_BEFORE_SYNC) || wal->sync == KEEL_SYNC_FLUSH || wal->sync == KEEL_SYNC_NONE)
        return 0;
    return wal->sync == KEEL_SYNC_LINK && linker ? KEEL_IO_LINK_SYNC : KEEL_IO_DSYNC;
}

/* How this write gets to the level; seal_lock held. One that syncs itself makes nothing durable
 * that was written without before it, so behind such a write there has to be a flush. */
static void write_flags(struct keel_wal *wal, struct wal_batch *batch,
                        const struct wal_linker *linker, enum keel_level level)
{
    bool plain = level != KEEL_LEVEL_DURABLE || wal->sync == KEEL_SYNC_FLUSH ||
                 (wal->plain_end_lsn > wal_durable(wal) && !BUG(WRITTEN_COVERED));
    unsigned mode = linker && wal->write_inline ? KEEL_IO_INLINE : 0u;
    unsigned sync = plain ? 0u : sync_flag(wal, linker);

    batch->io.flags = (uint16_t)(KEEL_IO_ANY_THREAD | sync | mode);
    batch->synced = !plain || wal->sync == KEEL_SYNC_NONE || BUG(ACK_BEFORE_SYNC);
    batch->flush = !batch->synced && level == KEEL_LEVEL_DURABLE;
    if (!batch->synced)
        wal->plain_end_lsn = batch->end;
}

/* Seal count blocks from first and submit them as one write; seal_lock held. */
static void submit_run(struct keel_wal *wal, uint64_t first, uint64_t count,
                       struct wal_linker *linker, enum keel_level level)
{
    uint32_t tail = atomic_load(&wal->batch_tail);
    struct wal_batch *batch = &wal->batches[tail % wal->inflight_max];
    uint64_t sealed = (first + count) * WAL_PAYLOAD;

    KEEL_INV(W6, atomic_load(&wal->sealed) == first * WAL_PAYLOAD);
    wal->promised_lsn = wal_durable(wal);
    for (uint64_t i = 0; i < count; i++)
        seal_block(wal, first + i, lsn_block_down(wal->promised_lsn));

    batch->begin = wal->base_lsn + first * WAL_BLOCK;
    batch->end = batch->begin + count * WAL_BLOCK;
    if (BUG(REWRITE_BLOCK) && wal_frame(wal, first + count - 1)->used < WAL_PAYLOAD) {
        sealed -= WAL_PAYLOAD;
        batch->end -= WAL_PAYLOAD - wal_frame(wal, first + count - 1)->used;
        wal_frame(wal, first + count - 1)->used = WAL_PAYLOAD;
    }
    batch->complete = false;
    batch->linker = NULL;
    batch->io = (struct keel_io){
        .device = wal->device,
        .arena = wal->arena,
        .buf = wal_frame_bytes(wal, first),
        .offset_bytes = lsn_offset(wal->ring_bytes, batch->begin),
        .len_bytes = (uint32_t)(count * WAL_BLOCK),
        .op = KEEL_OP_WRITE,
        .cls = KEEL_CLASS_WAL,
        .done = batch_done,
        .user = batch,
    };
    write_flags(wal, batch, linker, level);
    if (batch->io.flags & (KEEL_IO_LINK_SYNC | KEEL_IO_INLINE)) {
        batch->linker = linker;
        atomic_fetch_add(&linker->pending, 1);
    }
    wal->stat_writes++;
    if (wal_frame(wal, first)->used > 0)
        wal->data_end_lsn = batch->end;
    TRACE(WAL_SEAL, trace_id(wal), NULL, batch->begin, batch->end - batch->begin, 0);

    batch->begun_ns = clock_now_ns();
    atomic_fetch_add(&wal->pending_ios, 1);
    atomic_store(&wal->sealed, sealed);
    atomic_store(&wal->batch_tail, tail + 1); /* before it can complete: advance() counts to it */
    int rc = keel_io_submit(wal->ctx, &batch->io);
    KEEL_ASSERT(rc == 0); /* the context was opened with room for every request of the log */
    if (BUG(FLUSH_BEFORE_REAP) && wal->sync == KEEL_SYNC_FLUSH) {
        lock_acquire(&wal->done_lock);
        bool flush = advance(wal);
        lock_release(&wal->done_lock);
        if (flush)
            submit_flush(wal);
    }
}

/* No block can be sealed before more of the log is durable. */
static bool window_closed(const struct keel_wal *wal)
{
    uint64_t first = position_block(atomic_load(&wal->sealed));
    keel_lsn ahead = (first + 1) * WAL_BLOCK + wal->base_lsn - lsn_block_down(wal_durable(wal));

    return first >= frames_end(wal) || ahead > wal->inflight_bytes;
}

/* What is written has to become durable: somebody asks for it, or nothing else can go on. True: a
 * flush was submitted. */
static bool flush_written(struct keel_wal *wal, enum keel_level level)
{
    if (wal_poisoned(wal) != 0 || wal_written(wal) == wal_durable(wal) ||
        (level != KEEL_LEVEL_DURABLE && !(wal_idle(wal) && window_closed(wal))))
        return false;

    lock_acquire(&wal->done_lock);
    if (wal->flush_goal < wal_written(wal))
        wal->flush_goal = wal_written(wal);
    bool flush = wal_poisoned(wal) == 0 && flush_begins(wal);
    lock_release(&wal->done_lock);
    if (flush)
        submit_flush(wal);
    return flush;
}

/* How many blocking commits came for this write: company for the next one (commit.c). */
static void note_arrivals(struct keel_wal *wal)
{
    uint64_t arrived = atomic_load(&wal->arrived);

    /* Relaxed: a hint, nothing depends on it. */
    atomic_store_explicit(&wal->last_batch, arrived - wal->arrived_sealed, memory_order_relaxed);
    wal->arrived_sealed = arrived;
}

static uint32_t slots_free(const struct keel_wal *wal)
{
    return wal->inflight_max - (atomic_load(&wal->batch_tail) - atomic_load(&wal->batch_head));
}

/* May a write start, and is there something for it? Looked at with and without the lock. */
static bool seal_wanted(const struct keel_wal *wal)
{
    uint64_t reserved = cursor_position(atomic_load_explicit(&wal->cursor, memory_order_acquire));
    uint64_t sealed = atomic_load(&wal->sealed);

    if (reserved <= sealed || wal_poisoned(wal) != 0)
        return false;
    return wal_idle(wal) || (reserved - sealed >= wal->pipeline_bytes && slots_free(wal) > 0);
}

static enum wal_seal_result seal_locked(struct keel_wal *wal, struct wal_linker *linker,
                                        enum keel_level level)
{
    uint64_t first = position_block(atomic_load(&wal->sealed));
    bool later = false;

    KEEL_DCHECK(lock_held(&wal->seal_lock));
    if (!seal_wanted(wal))
        return WAL_SEAL_NOTHING;

    uint64_t end = seal_extent(wal, first, !wal_idle(wal), &later);
    if (end == first)
        return later ? WAL_SEAL_LATER : WAL_SEAL_NOTHING;

    note_arrivals(wal);
    while (first < end && slots_free(wal) > 0) {
        uint64_t count = run_blocks(wal, first, end);

        KEEL_ASSERT(count > 0);
        submit_run(wal, first, count, linker, level);
        first += count;
    }
    return WAL_SEAL_SUBMITTED;
}

enum wal_seal_result wal_seal(struct keel_wal *wal, struct wal_linker *linker,
                              enum keel_level level)
{
    enum wal_seal_result result = WAL_SEAL_NOTHING;

    if (seal_wanted(wal)) {
        if (!lock_try(&wal->seal_lock))
            return WAL_SEAL_LATER;
        result = seal_locked(wal, linker, level);
        lock_release(&wal->seal_lock);
    }
    if (result == WAL_SEAL_NOTHING && flush_written(wal, level))
        result = WAL_SEAL_SUBMITTED;
    if (result == WAL_SEAL_SUBMITTED)
        wal_tail_wake(wal);
    return result;
}

/* ------------------------------------------------------------- promise block */

/* Close an empty block behind a log that is durable to its end; seal_lock held. */
static bool promise_locked(struct keel_wal *wal)
{
    uint64_t cursor = atomic_load_explicit(&wal->cursor, memory_order_acquire);
    uint64_t position = cursor_position(cursor);
    uint64_t number = position_block(position);

    if (!wal_idle(wal) || wal_poisoned(wal) != 0 || position != atomic_load(&wal->sealed))
        return false;
    if (wal_written(wal) != wal_durable(wal)) /* it could not promise that */
        return false;
    if (wal->promised_lsn >= wal->data_end_lsn || number >= frames_end(wal))
        return false;
    /* As in pad(): nobody can be in this block once the cursor has passed it in one step. */
    if (!atomic_compare_exchange_strong_explicit(&wal->cursor, &cursor, cursor + WAL_PAYLOAD,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;

    struct wal_frame *frame = wal_frame(wal, number);
    frame->first = WAL_FIRST_NONE;
    frame->used = 0;
    submit_run(wal, number, 1, NULL, KEEL_LEVEL_DURABLE);
    return true;
}

void keel_wal_promise(struct keel_wal *wal)
{
    bool submitted = false;

    KEEL_ASSERT(wal->started);
    if (!wal_idle(wal) || wal_credit_reserve(wal, WAL_BLOCK, wal->reserve_bytes) != 0)
        return;
    if (lock_try(&wal->seal_lock)) {
        submitted = promise_locked(wal);
        lock_release(&wal->seal_lock);
    }
    wal_credit_release(wal, WAL_BLOCK);
    if (submitted)
        wal_tail_wake(wal);
    if (submitted)
        keel_ignore(keel_ctx_kick(wal->ctx), "a count");
}
