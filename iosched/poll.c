/*
 * The owner's turn: keel_ctx_poll, and how it is woken.
 *
 * One turn, in this order:
 *   - report what is there without a system call, and run the callbacks that wait for the owner
 *   - dispatch, one enter; it waits if nothing has been done so far and waiting is allowed
 *   - drive the contexts that pollers wait for, run the pollers, run callbacks
 *   - sleep in ppoll(2) if there is more than one thing to wait for, or a time to wait until
 *
 * Waking: ios_wake_owner() stores `wake` and then reads `sleeping`; the owner stores `sleeping` and
 * then reads `wake`. All four are sequentially consistent, so either the owner does not sleep or
 * event_fd is written. event_fd is read before `wake` is cleared, and `wake` is cleared before
 * anything is looked at: what is put down before a wake-up is found after it.
 *
 * Failure modes: none; a time that runs out returns what was run.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "iosched/ctx.h"

/* ------------------------------------------------------------- waking */

void ios_wake_owner(struct keel_ctx *ctx)
{
    static const uint64_t one = 1;

    if (atomic_exchange(&ctx->wake, 1) != 0 || ctx->event_fd < 0)
        return;
    if (atomic_load(&ctx->sleeping) || atomic_load(&ctx->fd_used))
        keel_ignore((int)write(ctx->event_fd, &one, sizeof(one)), "full is readable too");
}

void keel_ctx_wake(struct keel_ctx *ctx)
{
    if (ctx->kind == KEEL_CTX_THREAD) {
        ios_wake_owner(ctx);
        return;
    }
    atomic_fetch_add(&ctx->completions, 1);
    ios_wake_all(ctx);
}

/* Was the owner woken since the last call? */
static bool take_wake(struct keel_ctx *ctx)
{
    uint64_t count;
    bool seen = atomic_load_explicit(&ctx->event_seen, memory_order_relaxed) != 0;

    if (!seen && !atomic_load(&ctx->wake) &&
        !atomic_load_explicit(&ctx->fd_used, memory_order_relaxed))
        return false;
    if (seen) /* before it is read: who finds it readable later says so again */
        atomic_store_explicit(&ctx->event_seen, 0, memory_order_relaxed);
    if (ctx->event_fd >= 0)
        keel_ignore((int)read(ctx->event_fd, &count, sizeof(count)), "may be empty");
    return atomic_exchange(&ctx->wake, 0) != 0;
}

/* ------------------------------------------------------------- callbacks */

static inline struct keel_io *next_ready(struct keel_ctx *ctx)
{
    if (!ctx->ready.head) {
        if (!atomic_load_explicit(&ctx->done_waits, memory_order_relaxed))
            return NULL;
        lock_acquire(&ctx->done_lock);
        ios_queue_splice(&ctx->ready, &ctx->done);
        atomic_store_explicit(&ctx->done_waits, 0, memory_order_relaxed);
        lock_release(&ctx->done_lock);
    }
    return ios_queue_pop(&ctx->ready);
}

static bool next_raw_event(struct keel_ctx *ctx, struct ios_raw_event *ret)
{
    lock_acquire(&ctx->done_lock);
    bool found = ctx->raw_head != ctx->raw_tail;
    if (found)
        *ret = ctx->raw_events[ctx->raw_head++ % IOS_RAW_EVENTS_MAX];
    lock_release(&ctx->done_lock);
    return found;
}

__attribute__((hot)) uint32_t ios_run_ready(struct keel_ctx *ctx, unsigned max)
{
    struct ios_raw_event event;
    struct keel_io *io;
    uint32_t ran = 0;

    KEEL_ASSERT(ctx->kind == KEEL_CTX_THREAD || ctx->done.count == 0);
    ios_callback_enter();
    while ((max == 0 || ran < max) && (io = next_ready(ctx)) != NULL) {
        void (*done)(struct keel_io *) = io->done;
        ios_request_move_from(io, KEEL_IO_DONE, KEEL_IO_IDLE);
        done(io);
        ran++;
    }
    ios_callback_leave();
    while (ctx->raw_events && (max == 0 || ran < max) && next_raw_event(ctx, &event)) {
        ios_callback_enter();
        event.raw->done(event.raw, event.res, event.flags, event.more);
        ios_callback_leave();
        ran++;
    }
    return ran;
}

/* ------------------------------------------------------------- pollers */

void keel_ctx_poller_add(struct keel_ctx *ctx, struct keel_poller *poller)
{
    KEEL_ASSERT(ctx->kind == KEEL_CTX_THREAD && ios_is_owner(ctx));
    KEEL_ASSERT(poller->poll && poller->waiting && poller->drive && poller->drive != ctx);

    poller->next_private = ctx->pollers;
    ctx->pollers = poller;
    if (ctx->epoll_fd >= 0)
        ios_watch(ctx, poller->drive);
}

void keel_ctx_poller_remove(struct keel_ctx *ctx, struct keel_poller *poller)
{
    KEEL_ASSERT(ios_is_owner(ctx) || ctx->orphan);

    struct keel_poller **at = &ctx->pollers;
    while (*at && *at != poller)
        at = &(*at)->next_private;
    KEEL_ASSERT(*at == poller);
    *at = poller->next_private;

    for (const struct keel_poller *other = ctx->pollers; other; other = other->next_private) {
        if (other->drive == poller->drive)
            return;
    }
    if (ctx->epoll_fd >= 0 && poller->drive->method->wait_fd)
        keel_ignore(epoll_ctl(ctx->epoll_fd, EPOLL_CTL_DEL,
                              poller->drive->method->wait_fd(poller->drive), NULL),
                    "was there");
}

void ios_pollers_close(struct keel_ctx *ctx)
{
    while (ctx->pollers) {
        struct keel_poller *poller = ctx->pollers;
        KEEL_ASSERT(poller->closed != NULL);
        ctx->pollers = poller->next_private;
        poller->closed(poller);
    }
}

static bool pollers_wait(struct keel_ctx *ctx)
{
    for (struct keel_poller *poller = ctx->pollers; poller; poller = poller->next_private) {
        if (poller->waiting(poller))
            return true;
    }
    return false;
}

/* Move what pollers wait for, and let them run. The next pointer is read first: a poller may be
 * removed by what it runs. */
static uint32_t run_pollers(struct keel_ctx *ctx, unsigned max)
{
    struct keel_poller *poller = ctx->pollers;
    uint32_t ran = 0;

    while (poller && (max == 0 || ran < max)) {
        struct keel_poller *next = poller->next_private;
        if (poller->waiting(poller))
            keel_ctx_kick(poller->drive);
        ios_callback_enter();
        int rc = poller->poll(poller, max == 0 ? 0 : max - ran);
        ios_callback_leave();
        KEEL_ASSERT(rc >= 0);
        ran += (uint32_t)rc;
        poller = next;
    }
    return ran;
}

/* ------------------------------------------------------------- polling */

struct turn {
    struct keel_ctx *ctx;
    unsigned max;
    uint32_t ran;
    int64_t timeout_ns;
    uint64_t deadline_ns; /* for timeout_ns > 0 */
    bool progress;        /* something was done or somebody woke us */
    bool nothing;         /* nothing is queued or in flight here */
};

/* Is there something for the owner to run? */
static inline bool own_waits(const struct keel_ctx *ctx)
{
    return ctx->ready.head || ctx->raw_events ||
           atomic_load_explicit(&ctx->done_waits, memory_order_relaxed);
}

static bool room(const struct turn *turn)
{
    return turn->max == 0 || turn->ran < turn->max;
}

__attribute__((hot)) static void run_own(struct turn *turn)
{
    if (room(turn))
        turn->ran += ios_run_ready(turn->ctx, turn->max == 0 ? 0 : turn->max - turn->ran);
    if (turn->ran > 0)
        turn->progress = true;
}

/* The one enter. It may wait only for what the ring alone can bring. Role held. */
static void enter_once(struct turn *turn)
{
    struct keel_ctx *ctx = turn->ctx;
    bool block = !turn->progress && turn->timeout_ns < 0 && !ctx->method->steps_clock &&
                 !(ctx->method->must_spin && ctx->method->must_spin(ctx)) && !pollers_wait(ctx);

    if (block) {
        atomic_store(&ctx->sleeping, 1);
        block = !atomic_load(&ctx->wake);
    }
    if (ios_turn(ctx, block ? IOS_WAIT : IOS_NOWAIT, &turn->nothing) > 0)
        turn->progress = true;
    /* Relaxed: whoever still sees it wakes one that is awake. */
    if (atomic_load_explicit(&ctx->sleeping, memory_order_relaxed))
        atomic_store_explicit(&ctx->sleeping, 0, memory_order_relaxed);
}

/* Everything that can be done without sleeping, or with sleeping in the one enter. */
static void work(struct turn *turn)
{
    struct keel_ctx *ctx = turn->ctx;

    if (take_wake(ctx))
        turn->progress = true;
    if (ctx->method->ready && ctx->method->ready(ctx) && ios_role_try(ctx)) {
        if (ios_reap(ctx) > 0)
            turn->progress = true;
        ios_role_release(ctx);
    }
    if (own_waits(ctx))
        run_own(turn); /* the host's callbacks never run in the role: they may be slow, or wait */
    if (ios_role_try(ctx)) {
        enter_once(turn);
        ios_role_release(ctx);
    } else {
        ios_kick_busy(ctx);
        turn->nothing = false;
    }
    if (room(turn))
        turn->ran += run_pollers(ctx, turn->max == 0 ? 0 : turn->max - turn->ran);
    run_own(turn);
}

static void add_fd(struct pollfd *fds, nfds_t *count, struct keel_ctx *ctx)
{
    if (!ctx->method->wait_fd || *count == IOS_POLL_FDS_MAX)
        return;
    fds[(*count)++] = (struct pollfd){.fd = ctx->method->wait_fd(ctx), .events = POLLIN};
}

/* Is everything that is queued held back, by what others have in flight, or has another thread to
 * do its part for what is in flight here? Then their silence must not stop us: nothing that happens
 * here would make the descriptor readable. */
static bool needs_others(struct keel_ctx *ctx)
{
    lock_acquire(&ctx->submit);
    bool held = (ios_in_flight(ctx) == 0 && ios_queued(ctx) > 0) ||
                atomic_load_explicit(&ctx->lent, memory_order_relaxed) != 0;
    lock_release(&ctx->submit);
    return held;
}

/* Sleep until the owner is woken, something completes here or where a poller waits, or time is up.
 */
static void sleep_until(struct turn *turn)
{
    struct keel_ctx *ctx = turn->ctx;
    struct pollfd fds[IOS_POLL_FDS_MAX] = {{.fd = ctx->event_fd, .events = POLLIN}};
    struct timespec time = {0};
    nfds_t count = 1;

    if (turn->timeout_ns > 0) {
        uint64_t now = clock_now_ns();
        uint64_t left = now < turn->deadline_ns ? turn->deadline_ns - now : 0;
        if (left == 0) {
            turn->progress = true;
            return;
        }
        time = (struct timespec){.tv_sec = (time_t)(left / 1000000000),
                                 .tv_nsec = (long)(left % 1000000000)};
    }
    atomic_store(&ctx->sleeping, 1);
    bool held = needs_others(ctx); /* after the store: see lend() in uring_loop.c */
    if (held && (turn->timeout_ns <= 0 || time.tv_sec > 0 || time.tv_nsec > IOS_HELD_NS))
        time = (struct timespec){.tv_nsec = IOS_HELD_NS};
    add_fd(fds, &count, ctx);
    for (struct keel_poller *poller = ctx->pollers; poller; poller = poller->next_private) {
        if (poller->waiting(poller))
            add_fd(fds, &count, poller->drive);
    }

    if (!atomic_load(&ctx->wake)) {
        int rc = ppoll(fds, count, turn->timeout_ns > 0 || held ? &time : NULL, NULL);
        /* Interrupted by a signal, or by the kernel, which completes requests in this thread. */
        KEEL_ASSERT(rc >= 0 || errno == EINTR);
        if (rc > 0 && fds[0].revents)
            ios_event_seen(ctx);
    }
    atomic_store(&ctx->sleeping, 0);
}

/* Step the clock that all contexts of the simulation share. False: there is nothing to wait for. */
static bool step_clock(struct turn *turn)
{
    struct keel_ctx *ctx = turn->ctx;
    bool pending = ios_pending(ctx);

    for (struct keel_poller *poller = ctx->pollers; poller; poller = poller->next_private) {
        if (poller->waiting(poller) && ios_pending(poller->drive))
            pending = true;
    }
    if (!pending || !ios_role_try(ctx))
        return false;

    uint64_t handed = ios_handed(ctx);
    ctx->method->turn(ctx, IOS_WAIT);
    ios_hand_over(ctx);
    if (ios_handed(ctx) != handed)
        turn->progress = true;
    ios_role_release(ctx);
    return true;
}

/* Wait for what is next. False: there is nothing to wait for. */
static bool wait_more(struct turn *turn)
{
    struct keel_ctx *ctx = turn->ctx;

    if (ctx->method->steps_clock)
        return step_clock(turn);
    if (turn->nothing && !pollers_wait(ctx) && turn->timeout_ns < 0)
        return false;
    if (ctx->method->must_spin && ctx->method->must_spin(ctx))
        return turn->timeout_ns < 0 || clock_now_ns() < turn->deadline_ns;
    sleep_until(turn);
    return true;
}

/* An event loop will sleep on the descriptor now: nothing may be staged that it does not see. */
static void leave_to_loop(struct keel_ctx *ctx)
{
    if (!atomic_load_explicit(&ctx->fd_used, memory_order_relaxed))
        return;

    ios_submit_queued(ctx);
    lock_acquire(&ctx->done_lock);
    bool more = ctx->ready.count > 0 || ctx->done.count > 0 || ctx->raw_head != ctx->raw_tail;
    lock_release(&ctx->done_lock);
    if (more || needs_others(ctx) || (!ctx->method->wait_fd && ios_pending(ctx)))
        ios_wake_owner(ctx);
}

__attribute__((hot)) int keel_ctx_poll(struct keel_ctx *ctx, unsigned callbacks_max,
                                       int64_t timeout_ns)
{
    KEEL_ASSERT(ctx->kind == KEEL_CTX_THREAD && ios_is_owner(ctx));
    if (ios_in_callback())
        return KEEL_EBUSY;

    struct turn turn = {.ctx = ctx, .max = callbacks_max, .timeout_ns = timeout_ns};
    if (timeout_ns > 0)
        turn.deadline_ns = clock_now_ns() + (uint64_t)timeout_ns;

    ctx->polling = true;
    do {
        work(&turn);
    } while (!turn.progress && timeout_ns != 0 && wait_more(&turn));
    ctx->polling = false;

    leave_to_loop(ctx);
    return (int)turn.ran;
}

/* ------------------------------------------------------------- event loops */

void ios_watch(struct keel_ctx *ctx, struct keel_ctx *other)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (!other->method->wait_fd)
        return;
    int rc = epoll_ctl(ctx->epoll_fd, EPOLL_CTL_ADD, other->method->wait_fd(other), &event);
    KEEL_ASSERT(rc == 0 || errno == EEXIST || errno == ENOMEM || errno == ENOSPC);
}

int keel_ctx_fd(struct keel_ctx *ctx)
{
    struct epoll_event event = {.events = EPOLLIN};
    int rc;

    KEEL_ASSERT(ctx->kind == KEEL_CTX_SHARED || ios_is_owner(ctx));
    if (ctx->epoll_fd >= 0)
        return ctx->epoll_fd;
    if (ctx->event_fd < 0)
        return KEEL_ENOTSUP;

    lock_acquire(&ctx->submit);
    rc = ctx->method->need_fd ? ctx->method->need_fd(ctx) : 0;
    lock_release(&ctx->submit);
    if (rc)
        return rc;

    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (epoll_ctl(fd, EPOLL_CTL_ADD, ctx->event_fd, &event) != 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    ctx->epoll_fd = fd;
    ios_watch(ctx, ctx);
    for (struct keel_poller *poller = ctx->pollers; poller; poller = poller->next_private)
        ios_watch(ctx, poller->drive);

    atomic_store(&ctx->fd_used, 1);
    ios_inbox_look(ctx);
    atomic_store(&ctx->wake, 0);
    ios_wake_owner(ctx); /* what was staged before is not forgotten */
    return fd;
}
