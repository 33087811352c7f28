/*
 * Holders and the two limits that come of them.
 *
 *   limit_lsn    no block is written beyond it: a ring above the lowest LSN that somebody needs
 *                (recovery from the redo LSN, or a holder). It never goes back (W5)
 *   credit_lsn   no credit goes beyond it: limit_lsn, or less where a holder's cap says so
 *
 * The redo LSN counts as a holder with the whole ring as its cap. All of this is under hold_lock,
 * which is taken when something changes or a credit is refused, never on the way of one that is
 * given.
 *
 * A holder is not written anywhere. Who needs the log over a restart passes its LSN again between
 * open and start: nothing is used again before start.
 *
 * Invariants: W5.
 */
#include "wal/holder.h"

#include <string.h>

#include "base/bug.h"
#include "base/trace.h"

/* ------------------------------------------------------------- limits */

keel_lsn wal_kept_from(const struct keel_wal *wal)
{
    /* Acquire: pairs with the release in settle(). */
    if (wal->started)
        return atomic_load_explicit(&wal->limit_lsn, memory_order_acquire) - wal->ring_bytes;

    keel_lsn redo = lsn_block_down(wal->super.redo_lsn);
    return wal->kept_lsn < redo ? wal->kept_lsn : redo;
}

static bool holds(const struct keel_wal_holder *holder)
{
    return holder->used && !holder->broken;
}

/* Where this holder would rather not have the log go. */
static keel_lsn holder_limit(const struct keel_wal *wal, const struct keel_wal_holder *holder)
{
    uint64_t cap = holder->cap_bytes;

    if (cap == 0 || cap > wal->ring_bytes)
        cap = wal->ring_bytes;
    return lsn_block_down(holder->lsn) + cap;
}

/* hold_lock held. */
static keel_lsn lowest(const struct keel_wal *wal, keel_lsn redo)
{
    keel_lsn lsn = redo;

    for (uint32_t i = 0; i < KEEL_WAL_HOLDERS_MAX; i++) {
        const struct keel_wal_holder *holder = &wal->holders[i];

        if (holds(holder) && holder->lsn < lsn && !BUG(HOLDER_IGNORED))
            lsn = holder->lsn;
    }
    return lsn;
}

/* The limits as holders and redo LSN have them now; hold_lock held, log started. */
static void settle(struct keel_wal *wal)
{
    keel_lsn limit = lsn_block_down(lowest(wal, wal->held_redo)) + wal->ring_bytes;
    keel_lsn credit = limit;

    for (uint32_t i = 0; i < KEEL_WAL_HOLDERS_MAX; i++) {
        const struct keel_wal_holder *holder = &wal->holders[i];

        if (holds(holder) && holder_limit(wal, holder) < credit && !BUG(HOLDER_IGNORED))
            credit = holder_limit(wal, holder);
    }
    KEEL_INV(W5, limit >= atomic_load(&wal->limit_lsn));
    /* Release: pairs with the acquire in wal_credit_reserve() and wal_kept_from(). */
    atomic_store_explicit(&wal->limit_lsn, limit, memory_order_release);
    atomic_store_explicit(&wal->credit_lsn, credit, memory_order_release);
}

void wal_hold_redo(struct keel_wal *wal, keel_lsn redo)
{
    lock_acquire(&wal->hold_lock);
    wal->held_redo = redo;
    if (wal->started)
        settle(wal);
    lock_release(&wal->hold_lock);
}

void wal_hold_start(struct keel_wal *wal)
{
    lock_acquire(&wal->hold_lock);
    settle(wal);
    lock_release(&wal->hold_lock);
}

keel_lsn wal_hold_lowest(struct keel_wal *wal, keel_lsn redo)
{
    lock_acquire(&wal->hold_lock);
    keel_lsn lsn = lowest(wal, redo);
    lock_release(&wal->hold_lock);
    return lsn;
}

bool wal_hold_break(struct keel_wal *wal, uint64_t bytes)
{
    bool broken = false;

    lock_acquire(&wal->hold_lock);
    keel_lsn end = lsn_block_up(keel_wal_tail(wal)) + atomic_load(&wal->credits_out) + bytes;
    for (uint32_t i = 0; i < KEEL_WAL_HOLDERS_MAX; i++) {
        struct keel_wal_holder *holder = &wal->holders[i];

        /* One that holds no more than recovery does is not in the way. */
        if (!holds(holder) || holder->beyond != KEEL_WAL_BREAK ||
            holder_limit(wal, holder) >= lsn_block_down(wal->held_redo) + wal->ring_bytes ||
            holder_limit(wal, holder) >= end)
            continue;
        holder->broken = true;
        broken = true;
        TRACE(WAL_SEGMENT, trace_id(wal), "holder broken", holder->lsn, end, 0);
    }
    if (broken)
        settle(wal);
    lock_release(&wal->hold_lock);
    return broken;
}

/* ------------------------------------------------------------- the calls */

static int check_options(const struct keel_wal_hold_options *options)
{
    if (options->size != sizeof(*options) || !options->name)
        return KEEL_EOPTION;
    size_t len = strnlen(options->name, KEEL_WAL_HOLDER_NAME);
    if (len == 0 || len == KEEL_WAL_HOLDER_NAME)
        return KEEL_EOPTION;
    for (size_t i = 0; i < len; i++) { /* it becomes a label */
        char c = options->name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return KEEL_EOPTION;
    }
    if (options->beyond != KEEL_WAL_BREAK && options->beyond != KEEL_WAL_WAIT)
        return KEEL_EOPTION;
    return 0;
}

/* hold_lock held. */
static int take_holder(struct keel_wal *wal, const struct keel_wal_hold_options *options,
                       struct keel_wal_holder **ret)
{
    struct keel_wal_holder *holder = NULL;
    keel_lsn lsn = options->lsn != 0 ? options->lsn : wal->held_redo;

    for (uint32_t i = 0; i < KEEL_WAL_HOLDERS_MAX; i++) {
        if (!wal->holders[i].used)
            holder = holder ? holder : &wal->holders[i];
        else if (strcmp(wal->holders[i].name, options->name) == 0)
            return KEEL_EINUSE;
    }
    if (!holder)
        return KEEL_EFULL;
    if (lsn < wal_kept_from(wal))
        return KEEL_EGONE;
    if (lsn > wal_durable(wal))
        return KEEL_ERANGE;
    *holder = (struct keel_wal_holder){.wal = wal,
                                       .used = true,
                                       .lsn = lsn,
                                       .cap_bytes = options->cap_bytes,
                                       .beyond = options->beyond};
    memcpy(holder->name, options->name, strlen(options->name) + 1);
    if (wal->started)
        settle(wal);
    *ret = holder;
    return 0;
}

int keel_wal_hold(struct keel_wal *wal, const struct keel_wal_hold_options *options,
                  struct keel_wal_holder **ret)
{
    int rc = check_options(options);

    if (rc != 0)
        return rc;
    lock_acquire(&wal->hold_lock);
    rc = take_holder(wal, options, ret);
    lock_release(&wal->hold_lock);
    return rc;
}

/* The limits may have risen: tell who waits for log space. */
static void space_freed(struct keel_wal *wal)
{
    if (wal->space)
        wal->space(wal->space_arg);
}

int keel_wal_hold_move(struct keel_wal_holder *holder, keel_lsn lsn)
{
    struct keel_wal *wal = holder->wal;
    int rc = 0;

    lock_acquire(&wal->hold_lock);
    KEEL_ASSERT(holder->used);
    if (holder->broken)
        rc = KEEL_EGONE;
    else if (lsn < holder->lsn || lsn > wal_durable(wal))
        rc = KEEL_ERANGE;
    else
        holder->lsn = lsn;
    if (rc == 0 && wal->started)
        settle(wal);
    lock_release(&wal->hold_lock);
    if (rc == 0)
        space_freed(wal);
    return rc;
}

bool keel_wal_hold_broken(struct keel_wal_holder *holder)
{
    struct keel_wal *wal = holder->wal;

    lock_acquire(&wal->hold_lock);
    KEEL_ASSERT(holder->used);
    bool broken = holder->broken;
    lock_release(&wal->hold_lock);
    return broken;
}

void keel_wal_hold_end(struct keel_wal_holder *holder)
{
    struct keel_wal *wal = holder->wal;

    lock_acquire(&wal->hold_lock);
    KEEL_ASSERT(holder->used);
    holder->used = false;
    if (wal->started)
        settle(wal);
    lock_release(&wal->hold_lock);
    space_freed(wal);
}

void wal_hold_stats(struct keel_wal *wal, struct keel_wal_stats *ret)
{
    lock_acquire(&wal->hold_lock);
    ret->kept_lsn = wal_kept_from(wal);
    for (uint32_t i = 0; i < KEEL_WAL_HOLDERS_MAX; i++) {
        const struct keel_wal_holder *holder = &wal->holders[i];
        struct keel_wal_holder_stats *stats = &ret->holders[ret->holder_count];

        if (!holder->used)
            continue;
        ret->holder_count++;
        memcpy(stats->name, holder->name, sizeof(stats->name));
        stats->lsn = holder->lsn;
        stats->cap_bytes = holder->cap_bytes;
        stats->beyond = holder->beyond;
        stats->broken = holder->broken;
        stats->failures = holder->failures;
        stats->error = holder->error;
        stats->behind_bytes = ret->tail_lsn > holder->lsn ? ret->tail_lsn - holder->lsn : 0;
    }
    lock_release(&wal->hold_lock);
}
