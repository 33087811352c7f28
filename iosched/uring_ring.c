/*
 * One ring. See uring_ring.h.
 *
 * Restricting. A ring that is set up disabled takes registrations, but no submissions. So its
 * tables are made first, and what may still be registered afterwards is to update them. Through
 * 6.19 one rule of any kind restricts operations and registrations; from 7.0 each is restricted by
 * rules of its own kind, which are there.
 *
 * Memory order. Ours beside the kernel's, of which each pairs with its own on the other side:
 *   - sq.ktail, a release store: the entries are filled
 *   - sq.khead, an acquire load: entries may be filled again
 *   - cq.ktail, an acquire load: completions are there
 *   - cq.khead, a release store: their places may be used again
 * With SQPOLL, between our store of sq.ktail and our load of sq.kflags stands a full barrier, which
 * pairs with the one between the thread's store of NEED_WAKEUP and its last look at the tail: one
 * of the two sees the other, or entries would lie there until somebody else wakes it.
 */
#include "iosched/uring_ring.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "base/trace.h"

#define ENTRIES_MIN 16u
/* How long the thread of a ring with SQPOLL looks for entries before it sleeps; waking it costs a
 * system call, and tens of microseconds until it runs. */
#define SQPOLL_IDLE_MS 10u

/* ------------------------------------------------------------- setting up */

static const struct {
    uint32_t flag;
    const char *name;
    const char *since;
} ladder[] = {
#define RUNG(name, since) {IORING_SETUP_##name, #name, since},
    URING_SETUP_LADDER(RUNG)
#undef RUNG
};

#define RUNGS (sizeof(ladder) / sizeof(ladder[0]))

static bool rung_wanted(const struct uring_shape *shape, unsigned rung)
{
    switch (ladder[rung].flag) {
    case IORING_SETUP_R_DISABLED:
        return shape->restricted;
    case IORING_SETUP_COOP_TASKRUN:
        return shape->cooperative;
    default:
        return true;
    }
}

/* Set up with the flags of the first `rungs` rungs; halve it as long as memory is short. */
static int setup_with(struct uring_ring *ring, const struct uring_shape *shape, unsigned rungs,
                      uring_setup *setup)
{
    uint32_t entries = shape->entries;
    int rc;

    for (;;) {
        struct io_uring_params params = {.cq_entries = shape->completions};
        uint32_t needed = URING_FEATURES_NEEDED | (shape->sqpoll ? URING_FEATURES_SQPOLL : 0);
        for (unsigned i = 0; i < rungs; i++)
            params.flags |= rung_wanted(shape, i) ? ladder[i].flag : 0;
        /* Of the same kernel, and the one is of little use without the other. */
        params.flags |= params.flags & IORING_SETUP_COOP_TASKRUN ? IORING_SETUP_TASKRUN_FLAG : 0;
        params.flags |= ring->polled ? IORING_SETUP_IOPOLL : 0;
        params.flags |= shape->hybrid ? IORING_SETUP_HYBRID_IOPOLL : 0;
        params.flags |= shape->sqpoll ? IORING_SETUP_SQPOLL : 0;
        params.sq_thread_idle = shape->sqpoll ? SQPOLL_IDLE_MS : 0;
        params.flags |= shape->commands ? IORING_SETUP_SQE128 | IORING_SETUP_CQE32 : 0;
        rc = setup(entries, &ring->io, &params);
        if (rc == 0) {
            ring->setup_flags = params.flags;
            if ((params.features & needed) == needed)
                return 0;
            io_uring_queue_exit(&ring->io);
            return -ENOSYS;
        }
        if (rc != -ENOMEM || entries <= ENTRIES_MIN)
            return rc;
        entries /= 2;
    }
}

int uring_ring_open(struct uring_ring *ring, const struct uring_shape *shape, uring_setup *setup,
                    struct text *why)
{
    int rc = -EINVAL;

    *ring = (struct uring_ring){.polled = shape->polled,
                                .sqpoll = shape->sqpoll,
                                .registered = -1,
                                .sqe_shift = shape->commands,
                                .cqe_shift = shape->commands};
    for (unsigned rungs = RUNGS + 1; rungs-- > 0;) {
        if (rungs > 0 && !rung_wanted(shape, rungs - 1))
            continue; /* the same flags as one rung below */
        rc = setup_with(ring, shape, rungs, setup);
        if (rc != -EINVAL)
            break;
        if (rungs > 0)
            text_printf(why, "%sno IORING_SETUP_%s (kernel before %s)", why->len > 0 ? "; " : "",
                        ladder[rungs - 1].name, ladder[rungs - 1].since);
    }
    if (rc)
        return rc;

    /* If there is an array, entry i of the ring is entry i of it, for ever: only the tail moves. */
    bool has_array = !(ring->setup_flags & IORING_SETUP_NO_SQARRAY);
    for (uint32_t i = 0; has_array && i < *ring->io.sq.kring_entries; i++)
        ring->io.sq.array[i] = i;
    ring->cooperative = (ring->setup_flags & IORING_SETUP_COOP_TASKRUN) != 0;
    ring->tail = *ring->io.sq.ktail;
    ring->tail_known = ring->tail;
    ring->sq_mask = *ring->io.sq.kring_mask;
    ring->cq_mask = *ring->io.cq.kring_mask;
    return 0;
}

static bool can_nudge;

static void register_nudges(void)
{
    can_nudge = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool uring_can_nudge(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_nudges);
    return can_nudge;
}

void uring_nudge(void)
{
    keel_ignore((int)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0),
                "whoever waits comes again");
}

void uring_ring_close(struct uring_ring *ring)
{
    uring_ring_unregister(ring);
    io_uring_queue_exit(&ring->io);
}

static int make_file_table(struct uring_ring *ring)
{
    int none[IOS_DEVICE_IDS_MAX];

    int rc = io_uring_register_files_sparse(&ring->io, IOS_DEVICE_IDS_MAX);
    if (rc != -EINVAL)
        return rc;
    /* Before 5.19: a table of holes. */
    for (unsigned i = 0; i < IOS_DEVICE_IDS_MAX; i++)
        none[i] = -1;
    return io_uring_register_files(&ring->io, none, IOS_DEVICE_IDS_MAX);
}

void uring_ring_tables(struct uring_ring *ring, struct text *why)
{
    int rc = make_file_table(ring);
    ring->has_files = rc == 0;
    if (rc)
        text_printf(why, "%sno fixed files: %s%s", why->len > 0 ? "; " : "", strerror(-rc),
                    rc == -EMFILE ? " (raise ulimit -n)" : "");

    rc = io_uring_register_buffers_sparse(&ring->io, IOS_CHUNK_IDS_MAX);
    ring->has_buffers = rc == 0;
    if (rc)
        text_printf(why, "%sno fixed buffers: %s%s", why->len > 0 ? "; " : "", strerror(-rc),
                    rc == -EINVAL ? " (kernel before 5.19)" : "");
}

void uring_ring_register(struct uring_ring *ring, struct text *why)
{
    struct io_uring_rsrc_update place = {.offset = UINT32_MAX, .data = (uint64_t)ring->io.ring_fd};

    int rc = uring_register(ring->io.ring_fd, IORING_REGISTER_RING_FDS, &place, 1);
    if (rc == 1)
        ring->registered = (int)place.offset;
    else
        text_printf(why, "%sring not registered: %s%s", why->len > 0 ? "; " : "", strerror(-rc),
                    rc == -EINVAL  ? " (kernel before 5.18)"
                    : rc == -EBUSY ? " (a thread has room for 16)"
                                   : "");
}

void uring_ring_unregister(struct uring_ring *ring)
{
    struct io_uring_rsrc_update place = {.offset = (uint32_t)ring->registered};

    if (ring->registered < 0)
        return;
    keel_ignore(
        uring_register(ring->io.ring_fd, IORING_UNREGISTER_RING_FDS, &place, 1),
        "where a filter forbids it by now, the kernel keeps the ring as long as the thread");
    ring->registered = -1;
}

/* ------------------------------------------------------------- restricting */

/* What is registered once the ring is enabled: updates of its tables, and its leaving the thread's.
 * A kernel refuses rules about a registration that it does not know (5.10 has no updates of
 * buffers), hence only what the ring has. */
static uint32_t registration_rules(const struct uring_ring *ring, struct io_uring_restriction *ret)
{
    uint32_t count = 0;

    if (ring->has_files)
        ret[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_REGISTER_OP,
                                                     .register_op = IORING_REGISTER_FILES_UPDATE};
    if (ring->has_buffers)
        ret[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_REGISTER_OP,
                                                     .register_op = IORING_REGISTER_BUFFERS_UPDATE};
    if (ring->registered >= 0)
        ret[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_REGISTER_OP,
                                                     .register_op = IORING_UNREGISTER_RING_FDS};
    return count;
}

static uint32_t operation_rules(const uint8_t *ops, uint32_t op_count,
                                struct io_uring_restriction *ret)
{
    for (uint32_t i = 0; i < op_count; i++)
        ret[i] =
            (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = ops[i]};
    return op_count;
}

int uring_ring_enable(struct uring_ring *ring, const struct uring_rules *rules, struct text *why)
{
    struct io_uring_restriction all[URING_RULES_MAX] = {0};
    uint32_t count = 0;

    if (!(ring->setup_flags & IORING_SETUP_R_DISABLED))
        return 0;
    KEEL_ASSERT(rules->op_count + rules->more_op_count + 4 <= URING_RULES_MAX);
    count += registration_rules(ring, all);
    count += operation_rules(rules->ops, rules->op_count, all + count);
    count += operation_rules(rules->more_ops, rules->more_op_count, all + count);
    all[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
                                                 .sqe_flags = rules->sqe_flags};

    int rc = uring_register(ring->io.ring_fd, IORING_REGISTER_RESTRICTIONS, all, count);
    ring->restricted = rc == 0;
    if (rc)
        text_printf(why, "%srings not restricted: %s", why->len > 0 ? "; " : "", strerror(-rc));
    rc = uring_register(ring->io.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (rc)
        text_printf(why, "%sring not enabled: %s", why->len > 0 ? "; " : "", strerror(-rc));
    else
        ring->setup_flags &= ~(uint32_t)IORING_SETUP_R_DISABLED;
    return rc;
}

/* ------------------------------------------------------------- submission */

/* Show the kernel what is filled; how many it has not taken yet. */
static uint32_t publish(struct uring_ring *ring)
{
    __atomic_store_n(ring->io.sq.ktail, ring->tail, __ATOMIC_RELEASE);
    return ring->tail - uring_ring_taken(ring);
}

/* Returns entries taken; what can be tried again later is no error. own: this is the thread that
 * opened it; time: to wait at most, or NULL. */
__attribute__((hot)) static uint32_t enter_for(struct uring_ring *ring, bool own, uint32_t submit,
                                               unsigned wait, unsigned flags,
                                               const struct __kernel_timespec *time)
{
    unsigned fd = (unsigned)ring->io.ring_fd;

    if (own && ring->registered >= 0) {
        fd = (unsigned)ring->registered;
        flags |= IORING_ENTER_REGISTERED_RING;
    }
    int rc;
    if (time) {
        struct io_uring_getevents_arg arg = {.ts = (uintptr_t)time};
        rc = io_uring_enter2(fd, submit, wait, flags | IORING_ENTER_EXT_ARG, (void *)&arg,
                             sizeof(arg));
    } else {
        rc = io_uring_enter(fd, submit, wait, flags, NULL);
    }

    /* There are as many as there are requests, or turns: one that went as it should is kept with
     * the events of each of those, and does not push out what is rare. */
    if (rc != (int)submit || trace_each_wanted())
        TRACE(RING_ENTER, (uint64_t)ring->io.ring_fd, wait ? "wait" : "", 0, submit, rc);
    if (rc >= 0)
        return (uint32_t)rc;
    /* Anything else means that completions were lost or the ring is broken. */
    KEEL_ASSERT(rc == -EAGAIN || rc == -EBUSY || rc == -EINTR || (rc == -ETIME && time));
    if (rc == -EAGAIN || rc == -EBUSY)
        sched_yield();
    return 0;
}

/* A ring with SQPOLL: show the thread what is filled. Returns how many enters that took: one if it
 * slept. */
static uint32_t hand_to_thread(struct uring_ring *ring)
{
    if (publish(ring) == 0)
        return 0;
    atomic_thread_fence(memory_order_seq_cst); /* see the head of this file */
    if (!(__atomic_load_n(ring->io.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP))
        return 0;
    enter_for(ring, false, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL);
    return 1;
}

__attribute__((hot)) uint32_t uring_ring_announce(struct uring_ring *ring)
{
    if (ring->sqpoll)
        return hand_to_thread(ring);
    ring->to_submit = publish(ring);
    ring->announced = ring->to_submit > 0;
    ring->announced_tail = ring->tail;
    return 0;
}

uint64_t uring_ring_cut(const struct uring_ring *ring)
{
    uint32_t head = uring_ring_taken(ring);
    const struct io_uring_sqe *last = uring_ring_sqe_at(ring, head - 1, ring->sqe_shift);

    if (head == ring->tail || !(last->flags & IOSQE_IO_LINK))
        return 0;
    return last->user_data;
}

uint32_t uring_ring_kick(struct uring_ring *ring, bool own, struct lock *submit, uint64_t *ret_cut)
{
    *ret_cut = 0;
    if (ring->sqpoll)
        return hand_to_thread(ring);
    while (ring->announced && uring_ring_left(ring)) {
        lock_release(submit);
        sched_yield();
        lock_acquire(submit);
    }
    ring->announced = false;

    uint32_t count = publish(ring);
    if (count == 0)
        return 0;
    if (enter_for(ring, own, count, 0, 0, NULL) < count)
        *ret_cut = uring_ring_cut(ring);
    return 1;
}

/* ------------------------------------------------------------- entering and reaping */

__attribute__((hot)) uint32_t uring_ring_enter(struct uring_ring *ring, bool own, unsigned wait,
                                               bool briefly)
{
    static const struct __kernel_timespec brief = {.tv_nsec = URING_BRIEF_NS};
    uint32_t submit = ring->to_submit;
    bool events = wait > 0 || ring->polled || uring_ring_owes(ring);

    ring->to_submit = 0;
    return enter_for(ring, own, submit, wait, events ? IORING_ENTER_GETEVENTS : 0,
                     wait > 0 && briefly ? &brief : NULL);
}

/* ------------------------------------------------------------- tables */

bool uring_ring_add_file(struct uring_ring *ring, const struct keel_device *device)
{
    int fd = device->fd;

    if (ring->files[device->id] == URING_UNKNOWN) {
        int rc = io_uring_register_files_update(&ring->io, (unsigned)device->id, &fd, 1);
        ring->files[device->id] = rc == 1 ? URING_REGISTERED : URING_REFUSED;
    }
    return ring->files[device->id] == URING_REGISTERED;
}

void uring_ring_forget_file(struct uring_ring *ring, const struct keel_device *device)
{
    int none = -1;

    if (device->id < 0)
        return;
    if (ring->files[device->id] == URING_REGISTERED) {
        int rc = io_uring_register_files_update(&ring->io, (unsigned)device->id, &none, 1);
        KEEL_ASSERT(rc == 1);
    }
    ring->files[device->id] = URING_UNKNOWN;
}

int uring_ring_add_buffer(struct uring_ring *ring, const struct keel_arena *arena, uint32_t id,
                          size_t *ret_bytes)
{
    struct iovec iov;

    KEEL_ASSERT(ring->buffers[id] == URING_UNKNOWN);
    ios_arena_chunk_range(arena, id, &iov.iov_base, &iov.iov_len);
    int rc = io_uring_register_buffers_update_tag(&ring->io, id, &iov, NULL, 1);
    ring->buffers[id] = rc == 1 ? URING_REGISTERED : URING_REFUSED;
    *ret_bytes = iov.iov_len;
    return rc;
}

size_t uring_ring_forget_buffers(struct uring_ring *ring, const struct ios_chunks *chunks)
{
    struct iovec none = {0};
    struct iovec range;
    size_t bytes = 0;

    for (uint32_t i = 0; i < chunks->count; i++) {
        uint32_t id = chunks->first + i;
        if (ring->buffers[id] == URING_REGISTERED) {
            int rc = io_uring_register_buffers_update_tag(&ring->io, id, &none, NULL, 1);
            KEEL_ASSERT(rc == 1);
            ios_arena_chunk_range(chunks->arena, id, &range.iov_base, &range.iov_len);
            bytes += range.iov_len;
        }
        ring->buffers[id] = URING_UNKNOWN;
    }
    return bytes;
}
