/*
 * Driving: who waits, drives (I6).
 *
 * A context is driven by at most one thread at a time, the holder of its role. The holder
 * dispatches, enters the kernel, reports what completed and runs the callbacks that may run in any
 * thread. Everyone else who waits for something on the context sleeps on one futex word, seq.
 *
 * keel_ctx_drive(), in the order of events:
 *   - the condition holds: leave
 *   - the role is free: take it, and turn until the condition holds; on leaving, wake one sleeper
 *   - it is not: submit what is queued, register as a waiter, look again, sleep
 *
 * No wake-up is lost. A sleeper
 *     (1) reads `completions`, (2) evaluates its condition, (3) adds itself to `waiters`,
 *     (4) reads `seq`, (5) reads `completions` again, (6) tries the role, (7) sleeps while seq is
 *     what (4) read
 * and the holder
 *     (a) completes requests, (b) adds to `completions`, (c) reads `waiters` and, if there are any,
 *     changes seq and wakes all; on leaving it (d) frees the role, (e) reads `waiters` and, if
 *     there are any, changes seq and wakes one.
 * (3), (5), (6), (b), (c), (d), (e) are sequentially consistent, so of (3)-(5) and (b)-(c) one
 * side sees the other: either the sleeper finds `completions` changed and begins again, or it is
 * counted and woken. The same holds for (3)-(6) and (d)-(e): either the sleeper gets the role, or
 * it is counted and one of the counted is woken. One that is woken as the only one and then finds
 * its condition true leaves through pass_on(), which wakes the next. Waking all starts a new epoch
 * of `waiters`, so that those on their way out of the futex are not counted as asleep and nobody
 * wakes them again.
 *
 * Progress: the holder blocks only in the kernel and only while something is in flight. Everybody
 * else is woken by it at the latest when it leaves.
 *
 * Callbacks run here one after another, never inside each other: keel_ctx_drive() and its kin trap
 * inside a callback, and keel_ctx_kick() there only submits.
 *
 * Invariants: I1 (one holder), I4, I6.
 */
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <time.h>

#include "base/assert.h"
#include "base/trace.h"
#include "iosched/complete.h"
#include "keel/sched.h"

#define FETCH_BYTES 512u /* of what was read; then the processor has seen that it goes on */

/* ------------------------------------------------------------- the role */

__attribute__((hot)) bool ios_role_try(struct keel_ctx *ctx)
{
    uint32_t expected = 0;

    /* Acquire pairs with the release in ios_role_release(): what the last holder wrote.
     * Sequentially consistent for (6) above. */
    return atomic_compare_exchange_strong(&ctx->role, &expected, 1);
}

static uint32_t waiters_now(struct keel_ctx *ctx)
{
    return (uint32_t)atomic_load(&ctx->waiters);
}

/* If the role is free and somebody sleeps, wake one of them to take it. */
__attribute__((hot)) static void pass_on(struct keel_ctx *ctx)
{
    if (waiters_now(ctx) == 0 || atomic_load(&ctx->role) != 0)
        return;

    atomic_fetch_add(&ctx->seq, 1);
    futex_wake(&ctx->seq, 1);
}

__attribute__((hot)) void ios_role_release(struct keel_ctx *ctx)
{
    KEEL_INV(I1, atomic_load_explicit(&ctx->role, memory_order_relaxed) == 1);
    KEEL_ASSERT(ctx->finished.count == 0);

    for (;;) {
        atomic_store(&ctx->role, 0); /* (d) */
        /* A kick that found the role taken, on a method where only its holder can act, left its
         * work to it. Pairs with the store in ios_kick_busy(), in the same way as (d) and (6). */
        if (!atomic_load(&ctx->kicked) || !ios_role_try(ctx))
            break;
        atomic_store(&ctx->kicked, 0);
        ios_turn(ctx, IOS_NOWAIT, NULL);
    }
    pass_on(ctx); /* (e) */
}

__attribute__((hot)) void ios_wake_all(struct keel_ctx *ctx)
{
    uint64_t was = atomic_load(&ctx->waiters); /* (c) */

    do {
        if ((uint32_t)was == 0)
            return;
    } while (!atomic_compare_exchange_weak(&ctx->waiters, &was, ((was >> 32) + 1) << 32));

    atomic_fetch_add(&ctx->seq, 1);
    futex_wake(&ctx->seq, INT_MAX);
}

/* ------------------------------------------------------------- handing over */

/* Give io back and run its callback in this thread. io is not touched after the move. */
static void give_back(struct keel_ctx *ctx, struct keel_io *io)
{
    void (*done)(struct keel_io *) = io->done;

    /* keel_ioref_wait() reads `running` after it found the state IDLE: the release store of the
     * state orders these two, and the release of NULL shows it what the callback did. */
    if (done)
        atomic_store_explicit(&ctx->running, io, memory_order_relaxed);
    ios_request_move(io, KEEL_IO_IDLE);
    if (!done)
        return;

    ios_callback_enter();
    done(io);
    ios_callback_leave();
    atomic_store_explicit(&ctx->running, NULL, memory_order_release);
}

/* What the next callback will look at is fetched while this one runs: its object, and the beginning
 * of what was read, where nobody has looked yet. */
static void fetch_for(const struct keel_io *next)
{
    if (!next)
        return;
    __builtin_prefetch(next->user);
    if (next->op == KEEL_OP_READ) {
        for (uint32_t at = 0; at < FETCH_BYTES && at < next->len_bytes; at += 64)
            __builtin_prefetch((const char *)next->buf + at);
    }
}

__attribute__((hot)) void ios_hand_over(struct keel_ctx *ctx)
{
    struct ios_queue owners = {0};
    struct keel_io *io;

    while ((io = ios_queue_pop(&ctx->finished)) != NULL) {
        if (!io->done || (io->flags & KEEL_IO_ANY_THREAD)) {
            fetch_for(ctx->finished.head);
            give_back(ctx, io);
        } else {
            ios_queue_push_tail(&owners, io);
        }
    }
    if (owners.count > 0) {
        lock_acquire(&ctx->done_lock);
        /* DONE may be seen at once, but who sees it and wants the request waits for the lock. */
        for (io = owners.head; io; io = io->private_.next)
            ios_request_move(io, KEEL_IO_DONE);
        ios_queue_splice(&ctx->done, &owners);
        atomic_store_explicit(&ctx->done_waits, 1, memory_order_relaxed);
        lock_release(&ctx->done_lock);
    }
}

/* After a turn that completed something, or gave slots back: tell those who wait. */
static void announce(struct keel_ctx *ctx)
{
    if (ctx->done_at_ns)
        ios_lanes_settle(ctx);
    ctx->done_ticks = 0;
    atomic_store_explicit(&ctx->completed, ctx->handed, memory_order_relaxed);
    ctx->free_seen = atomic_load_explicit(&ctx->free_tail, memory_order_relaxed);
    atomic_fetch_add(&ctx->completions, 1); /* (b) */
    ios_wake_all(ctx);
    if (ctx->kind == KEEL_CTX_THREAD && !ios_owner_looks(ctx))
        ios_wake_owner(ctx);
}

/* ------------------------------------------------------------- turns */

static void begin_turn(struct keel_ctx *ctx)
{
    KEEL_DCHECK(atomic_load(&ctx->role) == 1);

    /* Only the holder of the role puts something on done. */
    ctx->straight = ios_is_owner(ctx) && ctx->polling && ctx->done.count == 0;
}

/* Give back what came. handed: ios_handed() at its beginning. Returns how many completed. */
__attribute__((hot)) static uint32_t end_turn(struct keel_ctx *ctx, uint64_t handed)
{
    /* Was something given back that others may wait for? */
    bool charged = ctx->done_at_ns != 0 || ctx->method->steps_clock;

    ctx->straight = false;
    if (ctx->finished.head)
        ios_hand_over(ctx);
    uint32_t count = (uint32_t)(ios_handed(ctx) - handed);
    if (count > 0 || atomic_load_explicit(&ctx->free_tail, memory_order_relaxed) != ctx->free_seen)
        announce(ctx);
    if (charged)
        ios_lanes_kick(ctx);
    return count;
}

/*
 * Everything here is held back by what others have in flight. Sleep for a moment, or until one of
 * them has submitted for us, and then drive them. Role held. Progress: either they have something
 * in flight, which completes, or the policy lets one request of ours go.
 */
static void wait_held(struct keel_ctx *ctx, enum ios_wait wait)
{
    if (ctx->method->steps_clock)
        return;
    if (wait == IOS_WAIT && ctx->method->wait_fd) {
        struct pollfd fds[2] = {{.fd = ctx->method->wait_fd(ctx), .events = POLLIN},
                                {.fd = ctx->event_fd, .events = POLLIN}};
        struct timespec time = {.tv_nsec = IOS_HELD_NS};
        if (!atomic_load(&ctx->wake) && ppoll(fds, ctx->event_fd < 0 ? 1 : 2, &time, NULL) > 0)
            return;
    }
    ios_lanes_drive_others(ctx);
}

/* Take cancelled and refused requests out; they complete here, under the role. */
static struct ios_queue take_aborted_locked(struct keel_ctx *ctx)
{
    struct ios_queue aborted = ctx->aborted;

    ctx->aborted = (struct ios_queue){0};
    ios_queued_add(ctx, -aborted.count);
    return aborted;
}

static void finish_aborted(struct keel_ctx *ctx, struct ios_queue *aborted)
{
    struct keel_io *io;

    while ((io = ios_queue_pop(aborted)) != NULL)
        ios_finish(ctx, io, KEEL_IO_QUEUED);
}

__attribute__((hot)) uint32_t ios_turn(struct keel_ctx *ctx, enum ios_wait wait, bool *ret_nothing)
{
    uint64_t handed = ios_handed(ctx);
    enum ios_wait asked = wait;

    begin_turn(ctx);

    lock_acquire(&ctx->submit);
    ios_dispatch_locked(ctx, IOS_FLUSH_HOLDER);
    struct ios_queue aborted = take_aborted_locked(ctx);
    uint32_t in_flight = ios_in_flight(ctx) + ctx->raw_count;
    bool held = ios_in_flight(ctx) == 0 && ios_queued(ctx) > 0;
    bool nothing =
        in_flight == 0 && ios_queued(ctx) == 0 && aborted.count == 0 && ios_inbox_empty(ctx);
    lock_release(&ctx->submit);

    if (aborted.count > 0 || (in_flight == 0 && !(held && ctx->method->steps_clock)))
        wait = IOS_NOWAIT;
    held = held && aborted.count == 0;
    finish_aborted(ctx, &aborted);
    /* The role sleeps for nothing else; where all share one clock, others may be waited for. */
    KEEL_INV(I6, wait == IOS_NOWAIT || in_flight > 0 || ctx->method->steps_clock);
    ctx->method->turn(ctx, wait);
    /* After the enter: what was announced for it is taken, or those who are driven now and have
     * something to submit here would wait for this thread, and this thread is the one that drives
     * them. */
    if (held)
        wait_held(ctx, asked);

    uint32_t count = end_turn(ctx, handed);
    if (ret_nothing)
        *ret_nothing = nothing && count == 0;
    return count;
}

uint32_t ios_reap(struct keel_ctx *ctx)
{
    uint64_t handed = ios_handed(ctx);

    begin_turn(ctx);
    ctx->method->reap(ctx);
    return end_turn(ctx, handed);
}

bool ios_pending(struct keel_ctx *ctx)
{
    lock_acquire(&ctx->submit);
    bool pending = !ios_inbox_empty(ctx) || ios_queued(ctx) > 0 || ios_in_flight(ctx) > 0 ||
                   ctx->raw_count > 0;
    lock_release(&ctx->submit);
    return pending;
}

/* ------------------------------------------------------------- driving */

/* Hold the role until done() or until nothing is left that could make it true. */
static int drive_holding(struct keel_ctx *ctx, bool (*done)(void *arg), void *arg)
{
    for (;;) {
        bool nothing;

        if (done(arg))
            return 0;
        ios_turn(ctx, IOS_WAIT, &nothing);
        if (nothing)
            return done(arg) ? 0 : KEEL_EBUSY;
    }
}

void ios_submit_queued(struct keel_ctx *ctx)
{
    lock_acquire(&ctx->submit);
    ios_dispatch_locked(ctx, IOS_FLUSH_KICK);
    lock_release(&ctx->submit);
}

/* Somebody else drives: sleep until it woke us. True: this thread now holds the role. */
static bool sleep_or_hold(struct keel_ctx *ctx, uint64_t completions)
{
    ios_submit_queued(ctx);

    uint64_t epoch = atomic_fetch_add(&ctx->waiters, 1) >> 32; /* (3) */
    uint32_t seq = atomic_load(&ctx->seq);                     /* (4) */
    bool held = false;
    if (atomic_load(&ctx->completions) == completions) { /* (5) */
        held = ios_role_try(ctx);                        /* (6) */
        if (!held)
            keel_ignore(futex_wait(&ctx->seq, seq, -1), "the loop looks again"); /* (7) */
    }

    uint64_t was = atomic_load(&ctx->waiters);
    while (was >> 32 == epoch) {
        KEEL_ASSERT((uint32_t)was > 0);
        if (atomic_compare_exchange_weak(&ctx->waiters, &was, was - 1))
            break;
    }
    return held;
}

int keel_ctx_drive(struct keel_ctx *ctx, bool (*done)(void *arg), void *arg)
{
    KEEL_ASSERT(!ios_in_callback());

    for (;;) {
        uint64_t completions = atomic_load(&ctx->completions); /* (1) */

        if (done(arg)) { /* (2) */
            pass_on(ctx);
            return 0;
        }
        if (ios_role_try(ctx) || sleep_or_hold(ctx, completions)) {
            int rc = drive_holding(ctx, done, arg);
            ios_role_release(ctx);
            return rc;
        }
    }
}

void ios_kick_busy(struct keel_ctx *ctx)
{
    ios_submit_queued(ctx);
    if (!ctx->method->flush)
        atomic_store(&ctx->kicked, 1);
}

int keel_ctx_kick(struct keel_ctx *ctx)
{
    uint32_t count = 0;

    if (ios_in_callback()) {
        ios_kick_busy(ctx);
        return 0;
    }
    bool held = ios_role_try(ctx);
    if (!held) {
        ios_kick_busy(ctx);
        held = !ctx->method->flush && ios_role_try(ctx);
    }
    if (held) {
        count = ios_turn(ctx, IOS_NOWAIT, NULL);
        ios_role_release(ctx);
    }
    return (int)count;
}

/* ------------------------------------------------------------- waiting for one request */

struct wait {
    struct keel_ctx *ctx;
    struct keel_ioref ref;
};

/* Done, and its callback, if it is one for any thread, has run. */
static bool wait_over(void *arg)
{
    const struct wait *wait = arg;

    return keel_ioref_done(wait->ref) &&
           atomic_load_explicit(&wait->ctx->running, memory_order_acquire) != wait->ref.io;
}

/* A finished request of the owner's that waits for its callback: take it off the lists. */
static bool take_ready(struct keel_ctx *ctx, struct keel_io *io)
{
    if (ctx->kind != KEEL_CTX_THREAD || !io->done || (io->flags & KEEL_IO_ANY_THREAD))
        return false;
    KEEL_ASSERT(ios_request_state(io) == KEEL_IO_DONE);

    lock_acquire(&ctx->done_lock);
    ios_queue_splice(&ctx->ready, &ctx->done);
    atomic_store_explicit(&ctx->done_waits, 0, memory_order_relaxed);
    lock_release(&ctx->done_lock);
    ios_queue_remove(&ctx->ready, io);
    return true;
}

int keel_io_wait(struct keel_ctx *ctx, struct keel_io *io)
{
    struct wait wait = {.ctx = ctx, .ref = keel_io_ref(io)};

    KEEL_ASSERT(ctx->kind == KEEL_CTX_SHARED || ios_is_owner(ctx));
    if (ios_request_state(io) == KEEL_IO_IDLE && !(io->flags & KEEL_IO_ANY_THREAD))
        return io->res;

    int rc = keel_ctx_drive(ctx, wait_over, &wait);
    KEEL_ASSERT(rc == 0);

    int32_t res = io->res;
    if (take_ready(ctx, io)) {
        void (*done)(struct keel_io *) = io->done;
        ios_request_move_from(io, KEEL_IO_DONE, KEEL_IO_IDLE);
        ios_callback_enter();
        done(io);
        ios_callback_leave();
    }
    return res;
}

struct keel_ioref keel_io_ref(const struct keel_io *io)
{
    return (struct keel_ioref){.io = (struct keel_io *)(uintptr_t)io,
                               .gen = ios_request_word(io) >> 8};
}

bool keel_ioref_done(struct keel_ioref ref)
{
    uint32_t word = ios_request_word(ref.io);
    enum keel_io_state state = (enum keel_io_state)(word & 0xff);

    return word >> 8 != ref.gen || state == KEEL_IO_DONE || state == KEEL_IO_IDLE;
}

/* Find the context and keep it from being freed. NULL: there is nothing to wait for. */
static struct keel_ctx *enter_foreign(struct keel_ioref ref)
{
    struct keel_ctx *ctx;

    ios_registry_lock();
    ctx = __atomic_load_n(&ref.io->private_.ctx, __ATOMIC_RELAXED);
    /* If it is not done now, then ctx was read in this use of it, and is open: a context closes
     * only when nothing is in flight, and leaves the registry under the lock that is held here. */
    if (keel_ioref_done(ref))
        ctx = ios_registry_running(ref.io);
    if (ctx)
        ctx->drivers++;
    ios_registry_unlock();
    return ctx;
}

void keel_ioref_wait(struct keel_ioref ref)
{
    KEEL_ASSERT(!ios_in_callback());

    struct wait wait = {.ctx = enter_foreign(ref), .ref = ref};
    if (!wait.ctx)
        return;

    int rc = keel_ctx_drive(wait.ctx, wait_over, &wait);
    KEEL_ASSERT(rc == 0);

    ios_registry_lock();
    wait.ctx->drivers--;
    ios_registry_unlock();
}

void keel_ioref_kick(struct keel_ctx *ctx, struct keel_ioref ref)
{
    /* Both are hints: if they are wrong, the caller comes again. */
    if (keel_ioref_done(ref) || __atomic_load_n(&ref.io->private_.ctx, __ATOMIC_RELAXED) == ctx)
        return;

    struct keel_ctx *other = enter_foreign(ref);
    if (!other)
        return;
    keel_ignore(keel_ctx_kick(other), "the caller looks again");

    ios_registry_lock();
    other->drivers--;
    ios_registry_unlock();
}

void keel_ioref_promote(struct keel_ioref ref, enum keel_class cls)
{
    KEEL_ASSERT((unsigned)cls < KEEL_CLASS_COUNT);
    /* Once it is at the device there is nothing to lift: the common case, without a lock. */
    if ((ios_request_word(ref.io) & 0xff) != KEEL_IO_QUEUED)
        return;

    struct keel_ctx *ctx = enter_foreign(ref);
    if (!ctx)
        return;
    ios_promote(ctx, ref, cls);
    ios_registry_lock();
    ctx->drivers--;
    ios_registry_unlock();
}
