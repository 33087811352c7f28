/*
 * One ring: setting it up with what the kernel has, filling its submission queue, entering the
 * kernel, reading its completion queue, and its tables of files and buffers.
 *
 * What it is not: it knows nothing of requests; that is method_uring.c.
 *
 * Submitting without tearing chains apart. The kernel ends a chain of linked entries where a submit
 * ends, and takes exactly as many entries as it is told to, or fewer. Two threads that enter at the
 * same time could therefore cut a chain of a third. So: entries are filled privately and published
 * by whole chains under the submit lock; a *kick* also enters under it; and the holder of the role,
 * who must not hold a lock while it waits in the kernel, announces what it is about to submit.
 * While an announcement is open, that is until the kernel's head has passed it, nobody else
 * publishes or enters. Waiting for it to close is waiting for the holder to reach the kernel and
 * for the kernel to take the entries, which is what waiting for the kernel's own lock of the ring
 * would be.
 *
 * A *cooperative* ring (COOP_TASKRUN) spares the thread that submitted the interrupt at each
 * completion. What completed is then a completion only once that thread enters the kernel, or is
 * interrupted for another reason; till then the kernel says that work waits. So whoever waits for
 * what another thread submitted waits briefly, and nudges: a memory barrier in all threads of the
 * process (membarrier(2)) interrupts those that run, and on their way back they do that work.
 *
 * A ring with SQPOLL has a thread of the kernel that takes what is published, so nobody enters to
 * submit: a kick and an announcement publish, and wake that thread if it went to sleep. It takes
 * entries whenever it likes, hence no links there.
 */
#ifndef KEEL_IOSCHED_URING_RING_H
#define KEEL_IOSCHED_URING_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"
#include "iosched/arena.h"
#include "iosched/device.h"
#include "iosched/uring_compat.h"

struct text;

enum uring_table_state {
    URING_UNKNOWN = 0, /* not tried */
    URING_REGISTERED,
    URING_REFUSED,
};

struct uring_ring {
    /* constant while open */
    struct io_uring io;   /* mapping and descriptor; liburing's submission code is not used */
    uint32_t setup_flags; /* IORING_SETUP_* in force */
    uint8_t sqe_shift, cqe_shift; /* 1: entries of the double size, for passthrough */
    uint32_t sq_mask, cq_mask;
    bool polled;
    bool sqpoll;      /* a thread of the kernel submits */
    bool cooperative; /* see above */
    bool restricted;  /* the kernel enforces the rules given to uring_ring_enable() */
    bool has_files;   /* there is a table for them */
    bool has_buffers;
    int registered; /* its place among the rings of the thread that opened it, or -1; by this that
                     * thread enters, and spares the kernel the look-up of a shared descriptor */

    /* under submit */
    uint32_t tail;       /* entries filled so far; published up to *io.sq.ktail */
    uint32_t tail_known; /* how far there was room when the kernel's head was last read */
    bool announced;
    uint32_t announced_tail;

    /* role */
    uint32_t to_submit; /* announced by the holder for its next enter */
    uint32_t cq_head;   /* what *io.cq.khead is, which nobody else stores */

    /* under submit; last, since they are large and seldom looked at */
    uint8_t files[IOS_DEVICE_IDS_MAX];  /* enum uring_table_state */
    uint8_t buffers[IOS_CHUNK_IDS_MAX]; /* enum uring_table_state */
};

/* uring_queue_init(), or a test's. */
typedef int uring_setup(unsigned entries, struct io_uring *io, struct io_uring_params *params);

/* May rings be cooperative? Where the process may not nudge, they are not. */
bool uring_can_nudge(void);
/* Interrupt the threads of this process that run. */
void uring_nudge(void);

/* How long one waits for what another thread submitted, before one looks whether to nudge. */
#define URING_BRIEF_NS 100000

struct uring_shape {
    uint32_t entries;     /* submission entries at most; 16 at least */
    uint32_t completions; /* room for them */
    bool polled;
    bool hybrid; /* polled: sleep before polling */
    bool sqpoll; /* a thread of the kernel submits */
    bool cooperative;
    bool commands;   /* SQE128 and CQE32, which passthrough needs */
    bool restricted; /* disabled until uring_ring_enable(), so that it can be restricted */
};

/*
 * Open a ring. Newest flags first; what is refused is dropped, newest first, and said in why.
 * Nothing can be submitted before uring_ring_enable(). Returns 0 or the kernel's -errno (-ENOMEM at
 * the smallest ring: not to be had).
 */
int uring_ring_open(struct uring_ring *ring, const struct uring_shape *shape, uring_setup *setup,
                    struct text *why);
/* By the thread that registered it, or after it unregistered it. */
void uring_ring_close(struct uring_ring *ring);

/* Make empty tables for files and buffers; what cannot be had is said in why. Before
 * uring_ring_enable(), which forbids it. */
void uring_ring_tables(struct uring_ring *ring, struct text *why);

/* Name it in a table of this thread's own (5.18; 16 rings at most), by which it enters; what cannot
 * be had is said in why. Before uring_ring_enable(), which forbids it. */
void uring_ring_register(struct uring_ring *ring, struct text *why);
/* Take it from there, by the same thread. */
void uring_ring_unregister(struct uring_ring *ring);

#define URING_RULES_MAX 48u /* of all kinds together */

/* What may be submitted to a ring from now on; everything else is -EACCES. */
struct uring_rules {
    const uint8_t *ops; /* IORING_OP_* */
    uint32_t op_count;
    const uint8_t *more_ops; /* the host's */
    uint32_t more_op_count;
    uint8_t sqe_flags; /* IOSQE_* */
};

/* Restrict a ring that was opened so, to these rules and to updates of its tables, and enable it.
 * A kernel that refuses the rules is said in why, and the ring is enabled without. */
int uring_ring_enable(struct uring_ring *ring, const struct uring_rules *rules, struct text *why);

/* -------------------------------------------------------- submission, under submit */

/* commands: as the ring was opened, here and below. */
static inline struct io_uring_sqe *uring_ring_sqe_at(const struct uring_ring *ring, uint32_t index,
                                                     bool commands)
{
    return &ring->io.sq.sqes[(index & ring->sq_mask) << commands];
}

/* Entries that the kernel has taken so far. */
static inline uint32_t uring_ring_taken(const struct uring_ring *ring)
{
    return __atomic_load_n(ring->io.sq.khead, __ATOMIC_ACQUIRE);
}

/* Can so many entries be filled now? */
static inline bool uring_ring_fits(struct uring_ring *ring, uint32_t entries)
{
    if (__builtin_expect(ring->tail_known - ring->tail >= entries, 1))
        return true;
    /* One place stays free: uring_ring_cut() looks at the entry before the head. */
    ring->tail_known = uring_ring_taken(ring) + ring->sq_mask;
    KEEL_ASSERT(ring->tail_known - ring->tail <= ring->sq_mask);
    return ring->tail_known - ring->tail >= entries;
}

/* Is something left of the announcement, that the kernel has not taken? Indices wrap, hence the
 * difference. After an enter the holder asks without the lock: nobody else stores what this reads.
 */
static inline bool uring_ring_left(const struct uring_ring *ring)
{
    return (int32_t)(uring_ring_taken(ring) - ring->announced_tail) < 0;
}

/* Is something filled that nobody has announced? */
static inline bool uring_ring_staged(const struct uring_ring *ring)
{
    bool open = ring->announced && uring_ring_left(ring);

    return ring->tail != (open ? ring->announced_tail : uring_ring_taken(ring));
}

/* The next entry, zeroed in its whole size. There is room. */
__attribute__((always_inline)) static inline struct io_uring_sqe *
uring_ring_entry(struct uring_ring *ring, bool commands)
{
    KEEL_DCHECK(uring_ring_fits(ring, 1) && ring->sqe_shift == commands);

    struct io_uring_sqe *sqe = uring_ring_sqe_at(ring, ring->tail++, commands);
    memset(sqe, 0, sizeof(*sqe) << commands);
    return sqe;
}

/* The same where that is not known. */
static inline struct io_uring_sqe *uring_ring_sqe(struct uring_ring *ring)
{
    return ring->sqe_shift ? uring_ring_entry(ring, true) : uring_ring_entry(ring, false);
}

/* The holder of the role will enter next: publish, and announce. Returns how many times it entered
 * the kernel for that: once to wake the thread of a ring with SQPOLL, else 0. */
uint32_t uring_ring_announce(struct uring_ring *ring);

/* Anyone: publish and enter without waiting. submit: the lock that is held; it may be let go of and
 * taken again. own: this is the thread that opened it. Returns how many times it entered the
 * kernel; *ret_cut (see uring_ring_cut). */
uint32_t uring_ring_kick(struct uring_ring *ring, bool own, struct lock *submit, uint64_t *ret_cut);

/*
 * After an enter that took fewer entries than it was given: was a chain cut? Returns the user data
 * of the last entry that was taken if the kernel would have linked the next one to it, else 0.
 */
uint64_t uring_ring_cut(const struct uring_ring *ring);

/* -------------------------------------------------------- entering and reaping, role */

/* Submit what was announced and wait for `wait` completions; briefly: for URING_BRIEF_NS at most.
 * own: this is the thread that opened it. Returns entries taken. */
uint32_t uring_ring_enter(struct uring_ring *ring, bool own, unsigned wait, bool briefly);

/* Are completions kept back in the kernel? Then an enter brings them. */
static inline bool uring_ring_overflow(const struct uring_ring *ring)
{
    return (__atomic_load_n(ring->io.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) != 0;
}

/* Cooperative: did something complete that its submitter has not looked after yet? */
static inline bool uring_ring_work_waits(const struct uring_ring *ring)
{
    return (__atomic_load_n(ring->io.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0;
}

/* Does an enter bring completions? */
static inline bool uring_ring_owes(const struct uring_ring *ring)
{
    return uring_ring_overflow(ring) || uring_ring_work_waits(ring);
}

/* Are completions there? Any thread, so by what the kernel sees. */
static inline bool uring_ring_filled(const struct uring_ring *ring)
{
    return __atomic_load_n(ring->io.cq.ktail, __ATOMIC_RELAXED) !=
           __atomic_load_n(ring->io.cq.khead, __ATOMIC_RELAXED);
}

/* Completions that are there now. */
static inline uint32_t uring_ring_completed(const struct uring_ring *ring)
{
    return __atomic_load_n(ring->io.cq.ktail, __ATOMIC_ACQUIRE) - ring->cq_head;
}

/* One of them, from 0 on. */
static inline const struct io_uring_cqe *uring_ring_cqe(const struct uring_ring *ring, uint32_t i)
{
    return &ring->io.cq.cqes[((ring->cq_head + i) & ring->cq_mask) << ring->cqe_shift];
}

/* The first count of them were looked at; their places may be used again. */
static inline void uring_ring_seen(struct uring_ring *ring, uint32_t count)
{
    ring->cq_head += count;
    __atomic_store_n(ring->io.cq.khead, ring->cq_head, __ATOMIC_RELEASE);
}

/* Are completions there, or kept back in the kernel for want of room? */
static inline bool uring_ring_ready(const struct uring_ring *ring)
{
    return uring_ring_completed(ring) > 0 || uring_ring_overflow(ring);
}

/* -------------------------------------------------------- tables, under submit */

/* Put a device there that was not tried yet; is it there now? */
bool uring_ring_add_file(struct uring_ring *ring, const struct keel_device *device);

/* Is the device in the file table? Puts it there at the first call. */
static inline bool uring_ring_file(struct uring_ring *ring, const struct keel_device *device)
{
    if (!ring->has_files || device->id < 0)
        return false;
    return ring->files[device->id] == URING_REGISTERED || uring_ring_add_file(ring, device);
}
void uring_ring_forget_file(struct uring_ring *ring, const struct keel_device *device);

/* What the buffer table has for chunk number id. */
static inline enum uring_table_state uring_ring_buffer(const struct uring_ring *ring, uint32_t id)
{
    KEEL_ASSERT(id < IOS_CHUNK_IDS_MAX);
    return ring->has_buffers ? (enum uring_table_state)ring->buffers[id] : URING_REFUSED;
}
/* Put it there: 1, or what the kernel said; *ret_bytes is its length. */
int uring_ring_add_buffer(struct uring_ring *ring, const struct keel_arena *arena, uint32_t id,
                          size_t *ret_bytes);
/* Returns how many bytes were registered. */
size_t uring_ring_forget_buffers(struct uring_ring *ring, const struct ios_chunks *chunks);

#endif
