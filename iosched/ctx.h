/*
 * The context as the files of this folder see it, and the calls between them.
 *
 * Locks and roles, in the order in which they may be taken:
 *   registry (CTX_REGISTRY)  which contexts exist; who must not be freed under a foreign driver
 *   role                     who drives the context. Not a lock: it is tried, never waited for, so
 *                            that callbacks that run in it may take locks of any rank
 *   submit (SUBMIT)          queues, slots, the submission side of the method
 *   done_lock (DONE)         the list on which finished requests reach the owner
 *
 * Waiting: see drive.c, which also has the argument why no wake-up is lost.
 */
#ifndef KEEL_IOSCHED_CTX_H
#define KEEL_IOSCHED_CTX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"
#include "iosched/device.h"
#include "iosched/lane.h"
#include "iosched/method.h"
#include "iosched/request.h"
#include "keel/iosched.h"

#define IOS_DEPTH_MIN      8u
#define IOS_DEPTH_MAX      4096u
#define IOS_DEPTH_DEFAULT  256u
#define IOS_QUEUE_DEFAULT  16384u
#define IOS_RAW_EVENTS_MAX 1024u /* raw completions that wait for the owner; a power of two */
#define IOS_POLL_FDS_MAX   16u   /* descriptors one keel_ctx_poll can wait for */
#define IOS_INBOX_MAX      256u  /* submitted by the owner without a lock; a power of two */

/* A place in flight, and what the methods over io_uring keep there (uring_loop.h). */
struct ios_slot {
    /* NULL: free. Stored last, with release, before the method may hand the request over; loaded
     * with acquire by who finds the answer: that is the hand-over through the kernel. */
    _Atomic(struct keel_io *) io;
    uint64_t key;   /* generation << 32 | index << 4: another one for each use, so that an answer to
                     * a former one is caught */
    int32_t whole;  /* the result that says that all of the request is done, or URING_NEVER */
    uint32_t bytes; /* what a result of 0 stands for */
    uint32_t notes; /* URING_* */
    _Atomic uint32_t cut; /* relaxed: its sync was not linked behind its write */
};
#define IOS_SLOT_GENERATION (1ull << 32)

/* A raw completion on its way to the owner. */
struct ios_raw_event {
    struct keel_raw *raw;
    int32_t res;
    uint32_t flags;
    bool more;
};

struct keel_ctx {
    /* set at open, then constant */
    const struct ios_method *method;
    void *method_data; /* the method's own */
    struct keel_sim *sim;
    enum keel_ctx_kind kind;
    enum keel_want fixed;
    enum keel_want iopoll;
    bool hybrid;
    enum keel_want sqpoll;
    enum keel_want restricted;
    bool raw_allowed; /* keel_ctx_raw was asked for */
    uint64_t number;  /* in the order of opening, from 1 */
    uint32_t depth;
    uint32_t reserved; /* slots that only the log's class may take */
    uint32_t queue_max;
    struct ios_slot *slots;
    /* Ring of the indices of free slots, for depth of them: taken at free_head under submit, given
     * back at free_tail in the role, which is stored with release and loaded with acquire. */
    uint32_t *free_slots;
    uint32_t free_mask;
    int event_fd; /* -1 where one thread runs everything */

    /* registry lock */
    struct list registry_link;
    uint32_t drivers; /* foreign threads inside; keeps it from being freed */

    /* owner thread */
    const void *owner;       /* ios_thread_self() of the owner; NULL: a shared one. Any thread after
                              * it exited */
    struct list thread_link; /* list of the owner's contexts */
    int epoll_fd;            /* keel_ctx_fd, or -1 */
    struct keel_poller *pollers;
    struct ios_queue ready; /* taken from done, callback not yet run */
    bool orphan;            /* the owner thread has exited */
    bool polling;           /* inside keel_ctx_poll */

    /* under submit */
    struct lock submit;
    struct ios_lane *lanes;      /* IOS_LANES_MAX; the first is the plain one */
    _Atomic uint32_t lane_count; /* relaxed; more of them under submit, read in the role too */
    uint32_t lane_first;         /* which one begins next */
    struct ios_lane *lane_last;  /* that something was put on */
    struct ios_queue aborted;    /* cancelled or refused: completed by the next turn */
    _Atomic uint32_t queued;     /* on lanes and aborted; relaxed, the owner reads it without.
                                  * ios_queued_add() */
    uint64_t now_ns;             /* the clock, read at most once in a dispatch; 0: not yet */
    uint64_t ticks;              /* the same for the trace */
    struct iovec *iovs;          /* IOS_CHAIN_MAX for each slot; NULL where iov_max is 1 at most */
    uint32_t free_head;
    struct list raws; /* keel_raw in flight */
    uint32_t raw_count;
    bool closing;
    struct keel_ctx_path path;

    /* role */
    _Atomic uint32_t role;     /* 1: somebody drives; acquire and release in drive.c */
    struct ios_queue finished; /* complete, not yet handed over; but for what the owner found
                                * itself, which is on ready */
    /* In this turn the owner itself holds the role, and has nothing on the way: what is finished
     * need not go through the list that others put things on. */
    bool straight;
    _Atomic uint32_t free_tail;
    uint32_t free_seen;  /* of it, when it was last announced */
    uint64_t handed;     /* requests that completed so far, */
    uint64_t handed_raw; /* and raw operations */
    uint64_t done_at_ns; /* the clock, read once for all that came back in a turn; 0: not yet */
    uint64_t done_ticks; /* the same for the trace */

    /*
     * The inbox: what the owner submits goes here without a lock, and onto lanes by the next one
     * who dispatches. inbox_claim is stored by the owner before the request can be seen as QUEUED
     * (whose release store orders it), inbox_tail with release when it is in its place, and loaded
     * with acquire under submit. Who finds them different waits for the owner, which is between
     * two instructions. inbox_head is stored with release under submit, and loaded with acquire by
     * the owner: the place is free. Up to inbox_known, which is the owner's alone, it has looked:
     * there is room, here and in the queues, the context is not closing, and there is no event
     * loop. What others queue meanwhile may exceed queue_max by IOS_INBOX_MAX.
     */
    _Alignas(64) _Atomic uint32_t inbox_claim;
    _Atomic uint32_t inbox_tail;
    _Atomic uint32_t inbox_head;
    uint32_t inbox_known;
    struct keel_io *inbox[IOS_INBOX_MAX];

    /* under done_lock */
    struct lock done_lock;
    struct ios_queue done;
    _Atomic uint32_t done_waits; /* relaxed: done is not empty. Whoever puts something there wakes
                                  * the owner afterwards, so that it looks again */
    struct ios_raw_event *raw_events; /* ring of IOS_RAW_EVENTS_MAX; NULL where there is no raw */
    uint32_t raw_head;
    uint32_t raw_tail;

    /* atomic: pairs are named in drive.c and poll.c */
    _Atomic uint32_t seq;              /* futex: changes at each wake-up */
    _Atomic uint64_t waiters;          /* epoch << 32 | sleepers that came in it */
    _Atomic uint32_t kicked;           /* a kick found the role taken, and only the role can act */
    _Atomic uint64_t completions;      /* turns that completed something */
    _Atomic(struct keel_io *) running; /* its KEEL_IO_ANY_THREAD callback runs now */
    _Atomic uint32_t wake;             /* keel_ctx_wake, or something for the owner */
    _Atomic uint32_t sleeping;         /* the owner sleeps or is about to */
    _Atomic uint32_t fd_used;          /* keel_ctx_fd was called */
    _Atomic uint32_t event_seen;       /* event_fd was found readable, and is to be read */
    /* Relaxed, set and cleared under submit: something may be in flight that not the owner
     * submitted, and that completes only once its submitter does its part (a cooperative ring). */
    _Atomic uint32_t lent;

    /* relaxed; kicks, commands and linked are added to under submit, the others in the role */
    _Atomic uint64_t enters, kicks;
    _Atomic uint64_t commands[KEEL_OP_DEALLOCATE + 1]; /* submitted, by operation */
    _Atomic uint64_t linked;                           /* of the writes, those with a sync behind */
    _Atomic uint64_t completed;                        /* at the end of each turn */
    _Atomic uint64_t moved_bytes[KEEL_OP_DEALLOCATE + 1];
};

/* Add to a counter that only the holder of one lock or role adds to: no locked instruction. */
static inline void ios_stat_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* n more are queued; or, with UINT32_MAX and so on, fewer. Submit lock held. */
static inline void ios_queued_add(struct keel_ctx *ctx, uint32_t n)
{
    atomic_store_explicit(&ctx->queued,
                          atomic_load_explicit(&ctx->queued, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint32_t ios_queued(const struct keel_ctx *ctx)
{
    return atomic_load_explicit(&ctx->queued, memory_order_relaxed);
}

static inline uint32_t ios_lanes_open(const struct keel_ctx *ctx)
{
    return atomic_load_explicit(&ctx->lane_count, memory_order_relaxed);
}

/* Slots that can be taken now, and those that are. Submit lock held. */
static inline uint32_t ios_slots_free(const struct keel_ctx *ctx)
{
    return atomic_load_explicit(&ctx->free_tail, memory_order_acquire) - ctx->free_head;
}

static inline uint32_t ios_in_flight(const struct keel_ctx *ctx)
{
    return ctx->depth - ios_slots_free(ctx);
}

/* ------------------------------------------------------------- ctx.c */

/* this thread only: callbacks that it is inside of */
extern _Thread_local uint32_t ios_callback_depth __attribute__((visibility("hidden")));

/* An address that tells this thread from all others that live. */
static inline const void *ios_thread_self(void)
{
    return &ios_callback_depth;
}

/* Of the context? Nobody is of a shared one. */
static inline bool ios_is_owner(const struct keel_ctx *ctx)
{
    return ctx->owner == ios_thread_self();
}

/* Is this thread inside a callback? And enter and leave one. */
static inline bool ios_in_callback(void)
{
    return ios_callback_depth > 0;
}

static inline void ios_callback_enter(void)
{
    ios_callback_depth++;
}

static inline void ios_callback_leave(void)
{
    KEEL_ASSERT(ios_callback_depth > 0);
    ios_callback_depth--;
}

/* Registry lock; each() for every open context. */
void ios_registry_lock(void);
void ios_registry_unlock(void);
/* The context in which the callback of io runs right now, or NULL. */
struct keel_ctx *ios_registry_running(const struct keel_io *io);
void ios_registry_each(void (*each)(struct keel_ctx *ctx, const void *arg), const void *arg);

/* ------------------------------------------------------------- dispatch.c, lane.c */

/* From the inbox onto lanes. Submit lock held. */
void ios_inbox_take_locked(struct keel_ctx *ctx);

/* The owner has to look before it puts more into the inbox. Owner thread. */
static inline void ios_inbox_look(struct keel_ctx *ctx)
{
    ctx->inbox_known = atomic_load_explicit(&ctx->inbox_tail, memory_order_relaxed);
}

/* Nothing is in the inbox, nor about to be. Submit lock held. */
static inline bool ios_inbox_empty(const struct keel_ctx *ctx)
{
    return atomic_load_explicit(&ctx->inbox_claim, memory_order_relaxed) ==
           atomic_load_explicit(&ctx->inbox_head, memory_order_relaxed);
}

/* If it is still queued, on with it in class cls (keel_ioref_promote). */
void ios_promote(struct keel_ctx *ctx, struct keel_ioref ref, enum keel_class cls);

/* A command that carried several requests came back (merge.c). Role held. */
void ios_chain_done(struct keel_ctx *ctx, struct keel_io *head, int32_t res);

static inline uint64_t ios_clock(const struct keel_ctx *ctx)
{
    return ctx->method->now_ns ? ctx->method->now_ns(ctx) : clock_now_ns();
}

/* The clock, read once for all of a dispatch. Submit lock held. */
static inline uint64_t ios_now(struct keel_ctx *ctx)
{
    if (ctx->now_ns == 0)
        ctx->now_ns = ios_clock(ctx);
    return ctx->now_ns;
}

/* Push what may go and flush. Submit lock held. Returns how many were pushed. */
uint32_t ios_dispatch_locked(struct keel_ctx *ctx, enum ios_flush how);

/* ------------------------------------------------------------- drive.c */

bool ios_role_try(struct keel_ctx *ctx);
void ios_role_release(struct keel_ctx *ctx);

/* One turn; role held. Returns how many requests completed. *ret_nothing (may be NULL): nothing is
 * in flight, queued or finished. */
uint32_t ios_turn(struct keel_ctx *ctx, enum ios_wait wait, bool *ret_nothing);

/* Give finished requests back: callbacks for any thread run here, the rest goes to the owner. Role
 * held. */
void ios_hand_over(struct keel_ctx *ctx);

/* Report and hand over what is there without a system call; role held. Returns how many. */
uint32_t ios_reap(struct keel_ctx *ctx);

/* Is anything queued, in flight or (raw) posted? Takes the submit lock. */
bool ios_pending(struct keel_ctx *ctx);

/* All that completed so far. Role held. */
static inline uint64_t ios_handed(const struct keel_ctx *ctx)
{
    return ctx->handed + ctx->handed_raw;
}

/* Submit what is queued, without the role. */
void ios_submit_queued(struct keel_ctx *ctx);

/* Somebody else has the role: what is queued goes to the device from here, or by the holder. */
void ios_kick_busy(struct keel_ctx *ctx);

/* Wake everyone who sleeps in keel_ctx_drive. */
void ios_wake_all(struct keel_ctx *ctx);

/* ------------------------------------------------------------- poll.c */

/* Will the owner find new work by itself? So if this is the owner, and it is in keel_ctx_poll or
 * has no event loop that sleeps on keel_ctx_fd. THREAD contexts. */
static inline bool ios_owner_looks(const struct keel_ctx *ctx)
{
    return ios_is_owner(ctx) &&
           (ctx->polling || !atomic_load_explicit(&ctx->fd_used, memory_order_relaxed));
}

/* Tell the owner that there is something for it. Any thread. */
void ios_wake_owner(struct keel_ctx *ctx);

/* event_fd was found readable. Any thread. */
static inline void ios_event_seen(struct keel_ctx *ctx)
{
    atomic_store_explicit(&ctx->event_seen, 1, memory_order_relaxed);
}

/* Let the owner's descriptor also be readable when other has completions. */
void ios_watch(struct keel_ctx *ctx, struct keel_ctx *other);

/* The context closes: no poller stays. Owner thread. */
void ios_pollers_close(struct keel_ctx *ctx);

/* Run callbacks that wait for the owner, at most max (0: all). Owner thread. */
uint32_t ios_run_ready(struct keel_ctx *ctx, unsigned max);

#endif
