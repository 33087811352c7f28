/*
 * What the methods over io_uring share: the ring pair and the way of a request through it. What
 * goes into an entry is the methods' own: method_uring.c and method_nvme.c.
 *
 * The ring pair: the *sync ring* is driven by interrupts and takes everything; the *data ring* is
 * polled, exists where a device can poll, and takes what the method says. Where nothing polls there
 * is the sync ring alone, and one enter serves both. With `sqpoll` there is a data ring in any
 * case, and a thread of the kernel submits for it: polled where the first device is, else by
 * interrupts.
 *
 * The path of a request:
 *   push     fills one entry, or two for a linked pair, in the ring that suits it (the method)
 *   flush    announces them for the holder's next enter, or enters at once (kick)
 *   turn     one enter per ring that needs one: submits, and waits if told to; then reaps
 *   reap     reports each completion by slot, part and generation
 *
 * On the polled ring there are no links, no CQE_SKIP_SUCCESS and no fdatasync: such a ring refuses
 * syncs and does not break a link behind a short write. It is never waited on in the kernel;
 * keel_ctx_poll and keel_ctx_drive turn again and again (must_spin), and so it takes new work
 * between rounds. Whoever waits for a data ring with interrupts sleeps in poll, on both rings.
 *
 * Both rings are restricted by the kernel to the operations that the method submits, so code that
 * takes the process over finds no other way through them.
 *
 * Failure modes:
 *   - no io_uring: attaching is refused and says why
 *   - a kernel without restrictions: said in keel_ctx_path; refused when they are REQUIRED
 *   - no fixed file or buffer: the plain opcode, said in keel_ctx_path
 *   - no thread that submits: the data ring goes without; refused when it is REQUIRED
 *   - a device that polls only in name answers -EOPNOTSUPP: it is moved to the sync ring
 *   - a chain cut by a partial submit, or cancelled by the exit of the thread that submitted it:
 *     the sync is reported as cancelled, and the core makes up for it with one fdatasync
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/trace.h"
#include "iosched/blocking.h"
#include "iosched/complete.h"
#include "iosched/uring_loop.h"

#define SQ_ENTRIES_MAX 1024u

/* ------------------------------------------------------------- attaching */

static uint32_t sq_entries(const struct keel_ctx *ctx)
{
    uint32_t entries = ctx->depth * 2;

    return entries < SQ_ENTRIES_MAX ? entries : SQ_ENTRIES_MAX;
}

/* A text that goes on where ctx->path.why ends. */
static struct text why_text(struct keel_ctx *ctx)
{
    return (struct text){
        .buf = ctx->path.why, .cap = sizeof(ctx->path.why), .len = strlen(ctx->path.why)};
}

static const char *remedy(int rc)
{
    switch (rc) {
    case -EPERM:
    case -EACCES:
        return "; allow it: sysctl kernel.io_uring_disabled=0, or the container's seccomp profile";
    case -ENOMEM:
        return "; raise ulimit -l";
    default:
        return "; a kernel from 5.10 on has it";
    }
}

static void free_method(struct uring_method *method)
{
    if (method->both_fd >= 0)
        close(method->both_fd);
    mem_free(method);
}

/*
 * A ring with tables and rules, enabled. Where not even enabling is allowed (a filter that refuses
 * io_uring_register) and rules are not required: one that needs it for nothing. Returns
 * KEEL_EMETHOD when something that is required is missing, or the kernel's -errno.
 */
static int open_ring(const struct keel_ctx *ctx, struct uring_ring *ring, struct uring_shape shape,
                     const struct uring_rules *rules, struct text *why)
{
    const struct uring_method *method = ctx->method_data;

    shape.entries = sq_entries(ctx);
    shape.completions = 4 * ctx->depth;
    shape.commands = method->carrier->commands;
    shape.restricted = ctx->restricted != KEEL_OFF;
    for (;;) {
        int rc = uring_ring_open(ring, &shape, uring_queue_init, why);
        if (rc)
            return rc;
        if (ctx->fixed != KEEL_OFF)
            uring_ring_tables(ring, why);
        if (ios_is_owner(ctx))
            uring_ring_register(ring, why);
        rc = uring_ring_enable(ring, rules, why);
        if (rc == 0)
            break;
        uring_ring_close(ring);
        if (ctx->restricted == KEEL_REQUIRED)
            return KEEL_EMETHOD;
        shape.restricted = false;
    }
    if ((ctx->restricted == KEEL_REQUIRED && !ring->restricted) ||
        (ctx->fixed == KEEL_REQUIRED && !(ring->has_files && ring->has_buffers))) {
        uring_ring_close(ring);
        return KEEL_EMETHOD;
    }
    return 0;
}

/* What the method submits to the sync ring, what this file adds, and the host's raw operations. */
static struct uring_rules sync_rules(const struct uring_carrier *carrier,
                                     const struct keel_ctx_options *options, uint8_t *ops)
{
    static const uint8_t own[] = {IORING_OP_NOP, IORING_OP_POLL_ADD,
                                  /* last: what takes raw operations back */
                                  IORING_OP_ASYNC_CANCEL};
    bool raw = options->raw_ops_count > 0;
    uint32_t count = raw ? sizeof(own) : sizeof(own) - 1;

    KEEL_ASSERT(carrier->sync_op_count + sizeof(own) <= URING_OWN_OPS_MAX);
    memcpy(ops, carrier->sync_ops, carrier->sync_op_count);
    memcpy(ops + carrier->sync_op_count, own, count);
    return (struct uring_rules){
        .ops = ops,
        .op_count = carrier->sync_op_count + count,
        .more_ops = options->raw_ops,
        .more_op_count = options->raw_ops_count,
        .sqe_flags =
            IOSQE_FIXED_FILE | IOSQE_IO_LINK | (raw ? IOSQE_ASYNC | IOSQE_BUFFER_SELECT : 0),
    };
}

static int watch_ring(const struct uring_method *method, const struct uring_ring *ring)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(method->both_fd, EPOLL_CTL_ADD, ring->io.ring_fd, &event) == 0 ? 0 : -errno;
}

/* The descriptor that is readable when either ring has completions; the sync ring is there. */
static int open_both(struct uring_method *method)
{
    method->both_fd = epoll_create1(EPOLL_CLOEXEC);
    return method->both_fd < 0 ? -errno : watch_ring(method, &method->sync);
}

int uring_loop_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options,
                      const struct uring_carrier *carrier)
{
    uint8_t ops[URING_OWN_OPS_MAX];
    struct uring_rules rules = sync_rules(carrier, options, ops);
    struct text why = why_text(ctx);

    struct uring_method *method = mem_alloc(sizeof(*method));
    if (!method)
        return -ENOMEM;
    method->both_fd = -1;
    method->carrier = carrier;
    ctx->method_data = method;
    /* What many submit to stays plain: each would wait for the others' parts. */
    struct uring_shape shape = {.cooperative = ctx->kind == KEEL_CTX_THREAD &&
                                               ctx->sqpoll == KEEL_OFF && uring_can_nudge()};
    int rc = open_ring(ctx, &method->sync, shape, &rules, &why);
    if (rc == 0 && ctx->sqpoll != KEEL_OFF) {
        rc = open_both(method);
        if (rc)
            uring_ring_close(&method->sync);
    }
    if (rc) {
        if (rc != KEEL_EMETHOD)
            ios_ctx_why(ctx, "no io_uring: %s%s", strerror(-rc), remedy(rc));
        free_method(method);
        ctx->method_data = NULL;
        return KEEL_EMETHOD;
    }
    ctx->path.fixed_files = method->sync.has_files;
    ctx->path.restricted = method->sync.restricted;
    ctx->path.setup_flags = method->sync.setup_flags;
    return 0;
}

void uring_loop_detach(struct keel_ctx *ctx)
{
    struct uring_method *method = ctx->method_data;

    KEEL_ASSERT(!uring_data_in_flight(method));
    if (atomic_load(&method->data_open))
        uring_ring_close(&method->data);
    uring_ring_close(&method->sync);
    free_method(method);
}

void uring_loop_owner_leaves(struct keel_ctx *ctx)
{
    struct uring_method *method = ctx->method_data;

    uring_ring_unregister(&method->sync);
    if (atomic_load(&method->data_open))
        uring_ring_unregister(&method->data);
}

/* ------------------------------------------------------------- the data ring */

bool uring_can_poll(const struct keel_device *device)
{
    return device->info.io_poll && device->info.direct &&
           !__atomic_load_n(&device->poll_refused, __ATOMIC_RELAXED);
}

/* The flags of the polled ring: with HYBRID_IOPOLL where it is wanted and there. False: it is
 * wanted, not there, and polling is required. */
static bool settle_hybrid(struct keel_ctx *ctx, struct uring_shape *shape)
{
    shape->hybrid = shape->polled && ctx->hybrid &&
                    uring_kernel_has(IORING_SETUP_IOPOLL | IORING_SETUP_HYBRID_IOPOLL);
    if (!shape->polled || shape->hybrid == ctx->hybrid)
        return true;
    ios_ctx_why(ctx, "no IORING_SETUP_HYBRID_IOPOLL (kernel before 6.13)");
    return ctx->iopoll != KEEL_REQUIRED;
}

static int open_shape(struct keel_ctx *ctx, struct uring_method *method,
                      const struct uring_shape *shape)
{
    const struct uring_rules rules = {.ops = method->carrier->data_ops,
                                      .op_count = method->carrier->data_op_count,
                                      .sqe_flags = IOSQE_FIXED_FILE};
    struct text why = why_text(ctx);

    int rc = open_ring(ctx, &method->data, *shape, &rules, &why);
    if (rc == 0 && !shape->polled) {
        rc = watch_ring(method, &method->data);
        if (rc)
            uring_ring_close(&method->data);
    }
    if (rc)
        ios_ctx_why(ctx, "no %sring%s: %s", shape->polled ? "polled " : "",
                    shape->sqpoll ? " with SQPOLL" : "",
                    rc == KEEL_EMETHOD ? "it would lack what is required" : strerror(-rc));
    return rc;
}

/* Open the data ring at the first device that needs one. Submit lock held. */
static bool open_data(struct keel_ctx *ctx, struct uring_method *method, bool polled)
{
    struct uring_shape shape = {.polled = polled, .sqpoll = ctx->sqpoll != KEEL_OFF};

    if (method->data_tried)
        return false;
    method->data_tried = true;
    if (!settle_hybrid(ctx, &shape))
        return false;
    int rc = open_shape(ctx, method, &shape);
    if (rc && shape.sqpoll && polled && ctx->sqpoll != KEEL_REQUIRED) {
        shape.sqpoll = false;
        rc = open_shape(ctx, method, &shape);
    }
    if (rc)
        return false;
    ctx->path.restricted = ctx->path.restricted && method->data.restricted;
    ctx->path.iopoll = polled;
    ctx->path.hybrid = shape.hybrid;
    ctx->path.sqpoll = shape.sqpoll;
    atomic_store_explicit(&method->data_open, 1, memory_order_release);
    return true;
}

struct uring_ring *uring_data_ring(struct keel_ctx *ctx, const struct keel_device *device)
{
    struct uring_method *method = ctx->method_data;
    bool polls = ctx->iopoll != KEEL_OFF && device && uring_can_poll(device);

    if (method->fd_needed || (!polls && (ctx->sqpoll == KEEL_OFF || ctx->iopoll == KEEL_REQUIRED)))
        return NULL;
    if (!atomic_load_explicit(&method->data_open, memory_order_relaxed) &&
        !open_data(ctx, method, polls))
        return NULL;
    return polls || !method->data.polled ? &method->data : NULL;
}

/* Does the device get what the context must have? Else says why not. Submit lock held. */
static bool admits(struct keel_ctx *ctx, const struct keel_device *device)
{
    const struct uring_ring *data = uring_data_ring(ctx, device);

    if (ctx->iopoll == KEEL_REQUIRED && !uring_can_poll(device))
        ios_ctx_why(ctx,
                    "no polling on %s: its disk has no poll queues (queue/io_poll is 0); for "
                    "NVMe load the driver with nvme.poll_queues=2",
                    device->info.path);
    else if (ctx->sqpoll == KEEL_REQUIRED && !data && ctx->path.sqpoll)
        ios_ctx_why(ctx, "no SQPOLL for %s: it does not poll, as others here do",
                    device->info.path);
    return (ctx->iopoll != KEEL_REQUIRED || (data && data->polled)) &&
           (ctx->sqpoll != KEEL_REQUIRED || (data && data->sqpoll));
}

int uring_loop_admit(struct keel_ctx *ctx, const struct keel_device *device)
{
    lock_acquire(&ctx->submit);
    bool admitted = admits(ctx, device);
    lock_release(&ctx->submit);
    return admitted ? 0 : KEEL_EMETHOD;
}

/* Is something in flight on the data ring? Then it is there. */
static bool data_busy(const struct uring_method *method)
{
    /* Acquire pairs with the release in open_data(). */
    return atomic_load_explicit(&method->data_open, memory_order_acquire) &&
           uring_data_in_flight(method);
}

int uring_loop_need_fd(struct keel_ctx *ctx)
{
    struct uring_method *method = ctx->method_data;

    if (ctx->iopoll == KEEL_REQUIRED || ctx->sqpoll == KEEL_REQUIRED)
        return KEEL_ENOTSUP; /* a polled ring makes no descriptor readable; the loop has one ring */
    if (data_busy(method))
        return KEEL_EBUSY;
    method->fd_needed = true;
    ctx->path.iopoll = false;
    ctx->path.sqpoll = false;
    return 0;
}

__attribute__((hot)) bool uring_loop_must_spin(struct keel_ctx *ctx)
{
    const struct uring_method *method = ctx->method_data;

    return data_busy(method) && method->data.polled;
}

/* ------------------------------------------------------------- pushing */

/* Index of the registered buffer that the transfer lies in, or -1. */
int32_t uring_fixed_buffer(struct keel_ctx *ctx, struct uring_ring *ring, const struct keel_io *io,
                           const struct ios_step *step)
{
    size_t bytes;

    int32_t id = io->arena ? ios_arena_chunk(io->arena, step->buf) : -1;
    enum uring_table_state state = id < 0 ? URING_REFUSED : uring_ring_buffer(ring, (uint32_t)id);
    if (state != URING_UNKNOWN)
        return state == URING_REGISTERED ? id : -1;

    int rc = uring_ring_add_buffer(ring, io->arena, (uint32_t)id, &bytes);
    if (rc == 1) {
        ctx->path.fixed_buffers = true;
        ctx->path.registered_bytes += bytes;
        return id;
    }
    if (ctx->path.refused_bytes == 0)
        ios_ctx_why(ctx, "buffers not registered: %s%s", strerror(-rc),
                    rc == -ENOMEM || rc == -EPERM ? " (raise ulimit -l)" : "");
    ctx->path.refused_bytes += bytes;
    return -1;
}

void uring_push_inline(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot)
{
    struct uring_method *method = ctx->method_data;

    uring_note(slot, 0, 0, URING_NEVER);
    ios_queue_push_tail(&method->inline_queue, io);
    atomic_store_explicit(&method->inline_waits, 1, memory_order_relaxed);
}

int uring_loop_raw(struct keel_ctx *ctx, struct keel_raw *raw)
{
    struct uring_method *method = ctx->method_data;

    _Static_assert(_Alignof(struct keel_raw) > TAG_MASK, "the tag fits below the address");
    if (!uring_ring_fits(&method->sync, 1))
        return KEEL_EFULL;

    struct io_uring_sqe *sqe = uring_ring_sqe(&method->sync);
    raw->prep(raw, sqe);
    KEEL_ASSERT(!(sqe->flags &
                  (IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN | IOSQE_CQE_SKIP_SUCCESS)));
    sqe->user_data = (uintptr_t)raw | TAG_RAW;
    return 0;
}

void uring_loop_raw_cancel(struct keel_ctx *ctx, struct keel_raw *raw)
{
    struct uring_method *method = ctx->method_data;
    uint64_t cut;

    /* The caller has nothing but raw operations left, so a kick makes room. */
    if (!uring_ring_fits(&method->sync, 1))
        uring_ring_kick(&method->sync, ios_is_owner(ctx), &ctx->submit, &cut);

    struct io_uring_sqe *sqe = uring_ring_sqe(&method->sync);
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = (uintptr_t)raw | TAG_RAW;
    sqe->user_data = TAG_NOISE;
}

/* ------------------------------------------------------------- flushing */

/* The kernel would have linked more to this entry, and was not given it: its sync is alone. */
static void note_cut(const struct keel_ctx *ctx, uint64_t data)
{
    if (data == 0 || (data & TAG_MASK) != TAG_REQUEST)
        return;
    atomic_store_explicit(&ctx->slots[(uint32_t)data >> 4].cut, 1, memory_order_relaxed);
}

/* A sleeping owner is woken through its event_fd, which the ring watches. */
static void arm_wake(struct keel_ctx *ctx, struct uring_method *method)
{
    if (!atomic_load_explicit(&ctx->sleeping, memory_order_relaxed) || ctx->event_fd < 0)
        return;
    if (atomic_load_explicit(&method->wake_armed, memory_order_relaxed) ||
        !uring_ring_fits(&method->sync, 1))
        return;

    struct io_uring_sqe *sqe = uring_ring_sqe(&method->sync);
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = ctx->event_fd;
    sqe->poll32_events = POLLIN;
    sqe->user_data = TAG_WAKE;
    atomic_store_explicit(&method->wake_armed, 1, memory_order_relaxed);
}

static void kick_ring(struct keel_ctx *ctx, struct uring_ring *ring)
{
    uint64_t cut;

    uint32_t enters = uring_ring_kick(ring, ios_is_owner(ctx), &ctx->submit, &cut);
    ios_stat_add(&ctx->kicks, enters);
    note_cut(ctx, cut);
}

/* A no-op on the sync ring, which is complete at once, gets whoever sleeps there out. */
static void rouse(struct uring_method *method)
{
    if (!uring_ring_fits(&method->sync, 1))
        return; /* it is about to be entered anyway */

    struct io_uring_sqe *sqe = uring_ring_sqe(&method->sync);
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = TAG_NOISE;
}

/*
 * A lone linked pair is waited for as a whole, so that it costs one enter. The role is held, so
 * nothing is reported meanwhile, and what others submit meanwhile only completes in addition.
 */
static uint32_t completions_to_wait_for(const struct keel_ctx *ctx,
                                        const struct uring_method *method)
{
    if (ios_in_flight(ctx) != 1 || ctx->raw_count > 0)
        return 1;

    uint32_t parts = method->pushed - method->reported;
    return parts > 1 ? parts : 1;
}

/*
 * Not the owner is about to submit to its cooperative ring. Who sleeps there without knowing has to
 * look again, since what comes of it waits for this thread, which may be silent from now on. The
 * owner stores `sleeping` (or `fd_used`) before it takes the submit lock, under which `lent` is
 * stored, to look for it: so it finds it, or is seen here.
 */
static void lend(struct keel_ctx *ctx, struct uring_method *method, enum ios_flush how)
{
    atomic_store_explicit(&ctx->lent, 1, memory_order_relaxed);
    if (how == IOS_FLUSH_KICK || atomic_load(&ctx->sleeping) || atomic_load(&ctx->fd_used))
        rouse(method);
}

__attribute__((hot)) void uring_loop_flush(struct keel_ctx *ctx, enum ios_flush how)
{
    struct uring_method *method = ctx->method_data;
    bool data = atomic_load_explicit(&method->data_open, memory_order_relaxed) != 0;

    if (method->sync.cooperative && !ios_is_owner(ctx) && uring_ring_staged(&method->sync))
        lend(ctx, method, how);
    if (how == IOS_FLUSH_HOLDER) {
        arm_wake(ctx, method);
        method->wait_for = completions_to_wait_for(ctx, method);
        uring_ring_announce(&method->sync);
        if (data)
            ios_stat_add(&ctx->enters, uring_ring_announce(&method->data));
        return;
    }
    if (data && data_busy(method)) {
        kick_ring(ctx, &method->data);
        /* The holder may sleep in the sync ring, where it does not see the other, and a polled one
         * completes nothing then. */
        rouse(method);
    }
    kick_ring(ctx, &method->sync);
}

/* ------------------------------------------------------------- turning */

/* Up to 6.11 the kernel counts all pages of a registered buffer that lie behind a transfer against
 * what the device takes in one command, and refuses those that are too many. */
static void refuse_fixed(struct keel_ctx *ctx, struct uring_method *method)
{
    if (atomic_exchange_explicit(&method->fixed_refused, 1, memory_order_relaxed))
        return;
    lock_acquire(&ctx->submit);
    ctx->path.fixed_buffers = false;
    ios_ctx_why(ctx, "the kernel takes no NVMe commands from registered buffers of this size");
    lock_release(&ctx->submit);
}

/* The rules for what is not simply a number of bytes. */
static int32_t result_of(struct keel_ctx *ctx, struct keel_io *io, const struct ios_slot *slot,
                         unsigned part, int32_t res)
{
    struct uring_method *method = ctx->method_data;

    if (part == 1 && res == 0 && atomic_load_explicit(&slot->cut, memory_order_relaxed) != 0)
        return -ECANCELED; /* it ran, but maybe before the write was complete */
    if (res == -EOPNOTSUPP && (slot->notes & URING_ON_DATA) && ctx->iopoll != KEEL_REQUIRED) {
        __atomic_store_n(&io->device->poll_refused, 1, __ATOMIC_RELAXED);
        return -EAGAIN; /* once more, on the sync ring */
    }
    if (res == -EINVAL && (slot->notes & URING_FIXED) && ctx->fixed != KEEL_REQUIRED) {
        refuse_fixed(ctx, method);
        return -EAGAIN; /* once more, by its address */
    }
    if (res > 0 && method->carrier->status)
        return method->carrier->status(io, res);
    return res == 0 ? (int32_t)slot->bytes : res;
}

/* Not all of a plain request. Once its last part is reported, the slot may be another's. */
static void report_part(struct keel_ctx *ctx, struct keel_io *io, const struct ios_slot *slot,
                        unsigned part, int32_t res)
{
    const struct uring_method *method = ctx->method_data;

    if (res <= 0 || slot->notes != 0 || method->carrier->status) {
        if (res != 0 || slot->bytes != 0 || part != 0)
            res = result_of(ctx, io, slot, part, res);
        if (slot->notes & URING_SYNC_APART)
            ios_ctx_part_done(ctx, io, 1, -ECANCELED);
    }
    ios_ctx_part_done(ctx, io, part, res);
}

static inline void report_request(struct keel_ctx *ctx, uint64_t data, int32_t res, bool traced)
{
    uint32_t index = (uint32_t)data >> 4;

    KEEL_INV(I4, index < ctx->depth);
    struct ios_slot *slot = &ctx->slots[index];
    /* Acquire pairs with ios_push_one(): what the submitting thread wrote. */
    struct keel_io *io = atomic_load_explicit(&slot->io, memory_order_acquire);
    KEEL_INV(I4, io != NULL && slot->key == (data & ~URING_PART));

    if (__builtin_expect(res == slot->whole && !traced, 1))
        ios_ctx_whole_done(ctx, io, slot, index);
    else
        report_part(ctx, io, slot, (data & URING_PART) != 0, res);
}

/* Whatever is no request's. */
static void report_other(struct keel_ctx *ctx, const struct io_uring_cqe *cqe)
{
    struct uring_method *method = ctx->method_data;
    uint64_t data = cqe->user_data;

    switch ((enum tag)(data & TAG_MASK)) {
    case TAG_RAW:
        ios_ctx_raw_done(ctx, (struct keel_raw *)(uintptr_t)(data & ~(uint64_t)TAG_MASK), cqe->res,
                         (cqe->flags & IORING_CQE_F_MORE) != 0, cqe->flags);
        return;
    case TAG_WAKE:
        atomic_store_explicit(&method->wake_armed, 0, memory_order_relaxed);
        ios_event_seen(ctx);
        return;
    case TAG_NOISE:
        return;
    case TAG_REQUEST:
    case TAG_MASK:
        break;
    }
    KEEL_UNREACHABLE();
}

/* What is there now; what comes meanwhile is for the next turn. */
__attribute__((hot)) static void reap_ring(struct keel_ctx *ctx, struct uring_ring *ring)
{
    struct uring_method *method = ctx->method_data;
    uint32_t count = uring_ring_completed(ring);

    if (count == 0)
        return;
    uint32_t room = ctx->raw_events ? ios_raw_room(ctx) : count;
    if (count > room)
        count = room;
    uint32_t others = 0;
    bool traced = trace_each_wanted();
    for (uint32_t i = 0; i < count; i++) {
        const struct io_uring_cqe *cqe = uring_ring_cqe(ring, i);
        if (__builtin_expect((cqe->user_data & TAG_MASK) == TAG_REQUEST, 1)) {
            report_request(ctx, cqe->user_data, cqe->res, traced);
        } else {
            report_other(ctx, cqe);
            others++;
        }
    }
    uring_ring_seen(ring, count);
    if (ring == &method->data)
        uring_count(&method->data_reported, count - others);
    else
        method->reported += count - others;
}

__attribute__((hot)) bool uring_loop_ready(const struct keel_ctx *ctx)
{
    const struct uring_method *method = ctx->method_data;

    return uring_ring_filled(&method->sync) ||
           (atomic_load_explicit(&method->data_open, memory_order_acquire) &&
            uring_ring_filled(&method->data));
}

__attribute__((hot)) void uring_loop_reap(struct keel_ctx *ctx)
{
    struct uring_method *method = ctx->method_data;

    reap_ring(ctx, &method->sync);
    if (atomic_load_explicit(&method->data_open, memory_order_acquire))
        reap_ring(ctx, &method->data);
}

__attribute__((hot)) static void enter_ring(struct keel_ctx *ctx, struct uring_ring *ring,
                                            unsigned wait, bool briefly)
{
    uint32_t submit = ring->to_submit;

    uring_ring_enter(ring, ios_is_owner(ctx), wait, briefly);
    ios_stat_add(&ctx->enters, 1);
    if (submit == 0 || !uring_ring_left(ring))
        return;

    /* The kernel took less: close the announcement, so that others may go on; the rest is announced
     * again by the next flush. */
    lock_acquire(&ctx->submit);
    ring->announced = false;
    note_cut(ctx, uring_ring_cut(ring));
    lock_release(&ctx->submit);
}

/* Sleep until one of the rings has something; a nudge and a wake-up come by the sync ring. */
static void wait_for_both(struct keel_ctx *ctx, const struct uring_method *method)
{
    struct pollfd fd = {.fd = method->both_fd, .events = POLLIN};

    if (poll(&fd, 1, -1) < 0)
        KEEL_ASSERT(errno == EINTR);
    ios_stat_add(&ctx->enters, 1);
}

/* Where the data ring is looked after in a turn. Its thread, where there is one, submits and polls;
 * what is left is to let it run, since it may be on this processor. */
static void turn_data(struct keel_ctx *ctx, struct uring_ring *data, bool spin)
{
    bool enter = data->sqpoll ? uring_ring_overflow(data) : spin || data->to_submit > 0;

    if (enter)
        enter_ring(ctx, data, 0, false);
    else if (spin && !uring_ring_ready(data))
        sched_yield();
}

/* What others submitted for the owner has completed, all of it? Then it need not look after them
 * any more. */
static void take_back(struct keel_ctx *ctx, const struct uring_method *method)
{
    lock_acquire(&ctx->submit);
    if (ios_in_flight(ctx) == 0 && ctx->raw_count == 0 &&
        method->sync.tail == uring_ring_taken(&method->sync))
        atomic_store_explicit(&ctx->lent, 0, memory_order_relaxed);
    lock_release(&ctx->submit);
}

/* A turn that must not wait leaves KEEL_IO_INLINE requests to one that may: whoever submitted them
 * is about to drive until they are complete. */
__attribute__((hot)) void uring_loop_turn(struct keel_ctx *ctx, enum ios_wait wait)
{
    struct uring_method *method = ctx->method_data;
    bool data = atomic_load_explicit(&method->data_open, memory_order_acquire) != 0;
    bool spin = data && uring_loop_must_spin(ctx);
    bool ready = uring_ring_ready(&method->sync) || (data && uring_ring_ready(&method->data));
    bool inlined =
        wait == IOS_WAIT && atomic_load_explicit(&method->inline_waits, memory_order_relaxed) != 0;
    bool block = wait == IOS_WAIT && !ready && !spin && !inlined;
    bool both = block && data_busy(method);
    /* Is something here that another thread has to do its part for? Progress: it is interrupted,
     * or does it when it runs again. */
    bool foreign = method->sync.cooperative && !ios_is_owner(ctx);
    bool lent = atomic_load_explicit(&ctx->lent, memory_order_relaxed) != 0;

    if (foreign && uring_ring_work_waits(&method->sync))
        uring_nudge();
    if (data)
        turn_data(ctx, &method->data, spin);
    if ((block && !both) || method->sync.to_submit > 0 || uring_ring_owes(&method->sync))
        enter_ring(ctx, &method->sync, block && !both ? method->wait_for : 0, foreign || lent);
    /* The owner's own part is done, by the enter. */
    if (lent && !foreign && uring_ring_work_waits(&method->sync))
        uring_nudge();
    if (both)
        wait_for_both(ctx, method);
    if (inlined) {
        atomic_store_explicit(&method->inline_waits, 0, memory_order_relaxed);
        ios_blocking_run(ctx, &method->inline_queue);
    }
    uring_loop_reap(ctx);
    if (lent)
        take_back(ctx, method);
}

int uring_loop_wait_fd(struct keel_ctx *ctx)
{
    const struct uring_method *method = ctx->method_data;

    return method->both_fd >= 0 ? method->both_fd : method->sync.io.ring_fd;
}

/* ------------------------------------------------------------- forgetting */

void uring_loop_forget_device(struct keel_ctx *ctx, const struct keel_device *device)
{
    struct uring_method *method = ctx->method_data;

    uring_ring_forget_file(&method->sync, device);
    if (atomic_load_explicit(&method->data_open, memory_order_relaxed))
        uring_ring_forget_file(&method->data, device);
}

void uring_loop_forget_chunks(struct keel_ctx *ctx, const struct ios_chunks *chunks)
{
    struct uring_method *method = ctx->method_data;

    size_t bytes = uring_ring_forget_buffers(&method->sync, chunks);
    if (atomic_load_explicit(&method->data_open, memory_order_relaxed))
        bytes += uring_ring_forget_buffers(&method->data, chunks);
    KEEL_ASSERT(bytes <= ctx->path.registered_bytes);
    ctx->path.registered_bytes -= bytes;
}
