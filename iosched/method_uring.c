/*
 * The uring method: requests through io_uring.
 *
 * The ring pair: the *sync ring* is driven by interrupts and takes everything; the *data ring* is
 * polled, exists where a device can poll, and takes plain reads and writes of such devices. Where
 * nothing polls there is the sync ring alone, and one enter serves both.
 *
 * The path of a request:
 *   push     fills one entry, or two for a linked pair, in the ring that suits it
 *   flush    announces them for the holder's next enter, or enters at once (kick)
 *   turn     one enter per ring that needs one: submits, and waits if told to; then reaps
 *   reap     reports each completion by slot, part and generation
 *
 * On the polled ring there are no links, no CQE_SKIP_SUCCESS, no syncs and no durable writes: such
 * a ring refuses syncs, does not break a link behind a short write, and its reaper would spin while
 * a worker of the kernel needs the processor. It is never waited on in the kernel; keel_ctx_poll
 * and keel_ctx_drive turn again and again (must_spin), and so it takes new work between rounds.
 *
 * Both rings are restricted by the kernel to the operations that this file submits, so code that
 * takes the process over finds no other way through them: see sync_rules() and open_data().
 *
 * Failure modes:
 *   - no io_uring: attach() refuses and says why
 *   - a kernel without restrictions: said in keel_ctx_path; refused when they are REQUIRED
 *   - no fixed file or buffer: the plain opcode, said in keel_ctx_path
 *   - a device that polls only in name answers -EOPNOTSUPP: it is moved to the sync ring
 *   - a chain cut by a partial submit, or cancelled by the exit of the thread that submitted it:
 *     the sync is reported as cancelled, and the core makes up for it with one fdatasync
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/trace.h"
#include "iosched/blocking.h"
#include "iosched/ctx.h"
#include "iosched/uring_ring.h"

#define SQ_ENTRIES_MAX 1024u
#define REAP_BATCH     64u

/* User data: bits 0-2 what it is, then for requests bit 3 part, bits 4-31 slot, bits 32-63
 * generation of the slot; for raw operations the address of the keel_raw. */
enum tag {
    TAG_REQUEST = 0,
    TAG_RAW = 1,
    TAG_WAKE = 2,  /* event_fd became readable */
    TAG_NOISE = 3, /* nobody wants to know */
    TAG_MASK = 7,
};

struct uring_method {
    struct uring_ring sync;
    struct uring_ring data; /* while data_open */

    /* under submit */
    bool data_tried;
    bool fd_needed;   /* keel_ctx_fd: nothing may be polled */
    uint8_t *on_data; /* per slot: it went to the data ring; written before it is published */
    uint32_t pushed;  /* parts to the sync ring so far */
    struct ios_queue inline_queue; /* KEEL_IO_INLINE: for whoever waits in turn() */

    /* role */
    uint32_t reported; /* parts from the sync ring so far */
    uint32_t wait_for; /* completions that the next waiting enter waits for */

    /* atomic */
    _Atomic uint32_t data_open; /* release in open_data(), acquire in turn(): the ring is there */
    _Atomic uint32_t data_inflight; /* relaxed: only a hint whether to spin */
    _Atomic uint32_t wake_armed;    /* relaxed: set under submit, cleared in the role */
    _Atomic uint8_t *cut; /* per slot, relaxed: its sync was not linked behind its write */
};

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
    mem_free((void *)(uintptr_t)method->cut);
    mem_free(method->on_data);
    mem_free(method);
}

static struct uring_method *alloc_method(const struct keel_ctx *ctx)
{
    struct uring_method *method = mem_alloc(sizeof(*method));

    if (!method)
        return NULL;
    method->on_data = mem_alloc(ctx->depth * sizeof(*method->on_data));
    method->cut = mem_alloc(ctx->depth * sizeof(*method->cut));
    if (method->on_data && method->cut)
        return method;
    free_method(method);
    return NULL;
}

/*
 * A ring with tables and rules, enabled. Where not even enabling is allowed (a filter that refuses
 * io_uring_register) and rules are not required: one that needs it for nothing. Returns
 * KEEL_EMETHOD when something that is required is missing, or the kernel's -errno.
 */
static int open_ring(const struct keel_ctx *ctx, struct uring_ring *ring, bool polled,
                     const struct uring_rules *rules, struct text *why)
{
    struct uring_shape shape = {.entries = sq_entries(ctx),
                                .completions = 4 * ctx->depth,
                                .polled = polled,
                                .restricted = ctx->restricted != KEEL_OFF};

    for (;;) {
        int rc = uring_ring_open(ring, &shape, io_uring_queue_init_params, why);
        if (rc)
            return rc;
        if (ctx->fixed != KEEL_OFF)
            uring_ring_tables(ring, why);
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

/* What this file submits, and the host's raw operations. */
static struct uring_rules sync_rules(const struct keel_ctx_options *options)
{
    static const uint8_t ops[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV,
                                  IORING_OP_WRITEV, IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED,
                                  IORING_OP_FSYNC, IORING_OP_NOP, IORING_OP_POLL_ADD,
                                  /* last: what takes raw operations back */
                                  IORING_OP_ASYNC_CANCEL};
    bool raw = options->raw_ops_count > 0;

    _Static_assert(sizeof(ops) + KEEL_RAW_OPS_MAX < URING_RULES_MAX, "they fit");
    return (struct uring_rules){
        .ops = ops,
        .op_count = raw ? sizeof(ops) : sizeof(ops) - 1,
        .more_ops = options->raw_ops,
        .more_op_count = options->raw_ops_count,
        .sqe_flags =
            IOSQE_FIXED_FILE | IOSQE_IO_LINK | (raw ? IOSQE_ASYNC | IOSQE_BUFFER_SELECT : 0),
    };
}

static int uring_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options)
{
    struct uring_rules rules = sync_rules(options);
    struct text why = why_text(ctx);

    struct uring_method *method = alloc_method(ctx);
    if (!method)
        return -ENOMEM;
    int rc = open_ring(ctx, &method->sync, false, &rules, &why);
    if (rc) {
        if (rc != KEEL_EMETHOD)
            ios_ctx_why(ctx, "no io_uring: %s%s", strerror(-rc), remedy(rc));
        free_method(method);
        return KEEL_EMETHOD;
    }
    ctx->path.fixed_files = method->sync.has_files;
    ctx->path.restricted = method->sync.restricted;
    ctx->path.setup_flags = method->sync.setup_flags;
    ctx->method_data = method;
    return 0;
}

static void uring_detach(struct keel_ctx *ctx)
{
    struct uring_method *method = ctx->method_data;

    KEEL_ASSERT(atomic_load(&method->data_inflight) == 0);
    if (atomic_load(&method->data_open))
        uring_ring_close(&method->data);
    uring_ring_close(&method->sync);
    free_method(method);
}

/* ------------------------------------------------------------- the polled ring */

static bool can_poll(const struct keel_device *device)
{
    return device->info.io_poll && device->info.direct &&
           !__atomic_load_n(&device->poll_refused, __ATOMIC_RELAXED);
}

/* Open the data ring at the first device that polls. Submit lock held. */
static bool open_data(struct keel_ctx *ctx, struct uring_method *method)
{
    static const uint8_t ops[] = {IORING_OP_READ,   IORING_OP_WRITE,      IORING_OP_READV,
                                  IORING_OP_WRITEV, IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED};
    static const struct uring_rules rules = {
        .ops = ops, .op_count = sizeof(ops), .sqe_flags = IOSQE_FIXED_FILE};
    struct text why = why_text(ctx);

    if (atomic_load_explicit(&method->data_open, memory_order_relaxed))
        return true;
    if (method->data_tried || ctx->iopoll == KEEL_OFF || method->fd_needed)
        return false;

    method->data_tried = true;
    int rc = open_ring(ctx, &method->data, true, &rules, &why);
    if (rc) {
        ios_ctx_why(ctx, "no polled ring: %s",
                    rc == KEEL_EMETHOD ? "it would lack what is required" : strerror(-rc));
        return false;
    }
    ctx->path.restricted = ctx->path.restricted && method->data.restricted;
    ctx->path.iopoll = true;
    atomic_store_explicit(&method->data_open, 1, memory_order_release);
    return true;
}

static int uring_admit(struct keel_ctx *ctx, const struct keel_device *device)
{
    struct uring_method *method = ctx->method_data;
    bool polls = can_poll(device);

    lock_acquire(&ctx->submit);
    if (polls)
        polls = open_data(ctx, method);
    else if (ctx->iopoll == KEEL_REQUIRED)
        ios_ctx_why(ctx,
                    "no polling on %s: its disk has no poll queues (queue/io_poll is 0); for "
                    "NVMe load the driver with nvme.poll_queues=2",
                    device->info.path);
    lock_release(&ctx->submit);
    return !polls && ctx->iopoll == KEEL_REQUIRED ? KEEL_EMETHOD : 0;
}

static int uring_need_fd(struct keel_ctx *ctx)
{
    struct uring_method *method = ctx->method_data;

    if (ctx->iopoll == KEEL_REQUIRED)
        return KEEL_ENOTSUP; /* a polled ring makes no descriptor readable */
    if (atomic_load_explicit(&method->data_inflight, memory_order_relaxed) > 0)
        return KEEL_EBUSY;
    method->fd_needed = true;
    ctx->path.iopoll = false;
    return 0;
}

static bool uring_must_spin(struct keel_ctx *ctx)
{
    struct uring_method *method = ctx->method_data;

    return atomic_load_explicit(&method->data_inflight, memory_order_relaxed) > 0;
}

/* ------------------------------------------------------------- pushing */

static uint64_t request_data(const struct keel_ctx *ctx, const struct keel_io *io, unsigned part)
{
    uint32_t slot = io->private_.slot;

    return (uint64_t)ctx->slots[slot].gen << 32 | (uint64_t)slot << 4 | part << 3 | TAG_REQUEST;
}

static void set_file(struct uring_ring *ring, struct io_uring_sqe *sqe,
                     const struct keel_device *device)
{
    if (uring_ring_file(ring, device)) {
        sqe->fd = device->id;
        sqe->flags |= IOSQE_FIXED_FILE;
    } else {
        sqe->fd = device->fd;
    }
}

/* Index of the registered buffer that the transfer lies in, or -1. */
static int32_t fixed_buffer(struct keel_ctx *ctx, struct uring_ring *ring, const struct keel_io *io,
                            const struct ios_step *step)
{
    size_t bytes = 0;
    int rc = 0;

    int32_t id = io->arena ? ios_arena_chunk(io->arena, step->buf) : -1;
    if (id < 0)
        return -1;
    bool there = uring_ring_buffer(ring, io->arena, (uint32_t)id, &rc, &bytes);
    if (rc < 0 && ctx->path.refused_bytes == 0)
        ios_ctx_why(ctx, "buffers not registered: %s%s", strerror(-rc),
                    rc == -ENOMEM || rc == -EPERM ? " (raise ulimit -l)" : "");
    if (rc < 0)
        ctx->path.refused_bytes += bytes;
    if (rc > 0) {
        ctx->path.fixed_buffers = true;
        ctx->path.registered_bytes += bytes;
    }
    return there ? id : -1;
}

static void fill_transfer(struct keel_ctx *ctx, struct uring_ring *ring, const struct keel_io *io,
                          const struct ios_step *step)
{
    int32_t index = step->iov_count ? -1 : fixed_buffer(ctx, ring, io, step);
    bool read = step->op == KEEL_OP_READ;
    struct io_uring_sqe *sqe = uring_ring_sqe(ring);

    sqe->opcode = read ? IORING_OP_READ : IORING_OP_WRITE;
    if (step->iov_count)
        sqe->opcode = read ? IORING_OP_READV : IORING_OP_WRITEV;
    if (index >= 0) {
        sqe->opcode = read ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
        sqe->buf_index = (uint16_t)index;
    }
    set_file(ring, sqe, io->device);
    sqe->addr = step->iov_count ? (uintptr_t)step->iov : (uintptr_t)step->buf;
    sqe->len = step->iov_count ? step->iov_count : step->len_bytes;
    sqe->off = step->offset_bytes;
    sqe->rw_flags = step->dsync ? RWF_DSYNC : 0;
    if (step->link_sync)
        sqe->flags |= IOSQE_IO_LINK;
    sqe->user_data = request_data(ctx, io, 0);
}

static void fill_sync(struct keel_ctx *ctx, struct uring_ring *ring, const struct keel_io *io,
                      unsigned part)
{
    struct io_uring_sqe *sqe = uring_ring_sqe(ring);

    sqe->opcode = IORING_OP_FSYNC;
    set_file(ring, sqe, io->device);
    sqe->fsync_flags = IORING_FSYNC_DATASYNC;
    sqe->user_data = request_data(ctx, io, part);
}

/*
 * Which ring a step goes to; see the head of this file. One that the disk cannot take as a single
 * command is split by the kernel, which cannot poll for the parts: 6.1 then spins for ever.
 */
static struct uring_ring *ring_for(struct keel_ctx *ctx, const struct keel_io *io,
                                   const struct ios_step *step)
{
    struct uring_method *method = ctx->method_data;
    bool transfer = step->op == KEEL_OP_READ || step->op == KEEL_OP_WRITE;

    if (transfer && !step->dsync && !step->link_sync && !method->fd_needed &&
        step->len_bytes <= io->device->info.max_transfer && can_poll(io->device) &&
        open_data(ctx, method))
        return &method->data;
    return &method->sync;
}

static int uring_push(struct keel_ctx *ctx, struct keel_io *io)
{
    struct uring_method *method = ctx->method_data;
    struct ios_step step = ios_request_step(io);
    struct uring_ring *ring = ring_for(ctx, io, &step);

    if (io->flags & KEEL_IO_INLINE) {
        method->on_data[io->private_.slot] = 0;
        ios_queue_push_tail(&method->inline_queue, io);
        return 0;
    }
    if (uring_ring_room(ring) < io->private_.parts)
        return KEEL_EFULL;

    if (step.link_sync)
        atomic_store_explicit(&method->cut[io->private_.slot], 0, memory_order_relaxed);
    method->on_data[io->private_.slot] = ring == &method->data;
    switch (step.op) {
    case KEEL_OP_READ:
    case KEEL_OP_WRITE:
        fill_transfer(ctx, ring, io, &step);
        if (step.link_sync)
            fill_sync(ctx, ring, io, 1);
        break;
    case KEEL_OP_SYNC:
        fill_sync(ctx, ring, io, 0);
        break;
    case KEEL_OP_NOP: {
        struct io_uring_sqe *sqe = uring_ring_sqe(ring);
        sqe->opcode = IORING_OP_NOP;
        sqe->user_data = request_data(ctx, io, 0);
        break;
    }
    }
    if (ring == &method->data)
        atomic_fetch_add_explicit(&method->data_inflight, 1, memory_order_relaxed);
    else
        method->pushed += io->private_.parts;
    return 0;
}

static int uring_raw(struct keel_ctx *ctx, struct keel_raw *raw)
{
    struct uring_method *method = ctx->method_data;

    _Static_assert(_Alignof(struct keel_raw) > TAG_MASK, "the tag fits below the address");
    if (uring_ring_room(&method->sync) == 0)
        return KEEL_EFULL;

    struct io_uring_sqe *sqe = uring_ring_sqe(&method->sync);
    raw->prep(raw, sqe);
    KEEL_ASSERT(!(sqe->flags &
                  (IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN | IOSQE_CQE_SKIP_SUCCESS)));
    sqe->user_data = (uintptr_t)raw | TAG_RAW;
    return 0;
}

static void uring_raw_cancel(struct keel_ctx *ctx, struct keel_raw *raw)
{
    struct uring_method *method = ctx->method_data;
    uint64_t cut;

    /* The caller has nothing but raw operations left, so a kick makes room. */
    if (uring_ring_room(&method->sync) == 0)
        uring_ring_kick(&method->sync, &ctx->submit, &cut);

    struct io_uring_sqe *sqe = uring_ring_sqe(&method->sync);
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = (uintptr_t)raw | TAG_RAW;
    sqe->user_data = TAG_NOISE;
}

/* ------------------------------------------------------------- flushing */

/* The kernel would have linked more to this entry, and was not given it: its sync is alone. */
static void note_cut(struct uring_method *method, uint64_t data)
{
    if (data == 0 || (data & TAG_MASK) != TAG_REQUEST)
        return;
    atomic_store_explicit(&method->cut[(uint32_t)data >> 4], 1, memory_order_relaxed);
}

/* A sleeping owner is woken through its event_fd, which the ring watches. */
static void arm_wake(struct keel_ctx *ctx, struct uring_method *method)
{
    if (!atomic_load_explicit(&ctx->sleeping, memory_order_relaxed) || ctx->event_fd < 0)
        return;
    if (atomic_load_explicit(&method->wake_armed, memory_order_relaxed) ||
        uring_ring_room(&method->sync) == 0)
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

    if (uring_ring_kick(ring, &ctx->submit, &cut) > 0)
        ios_stat_add(ctx, IOS_STAT_ENTERS, 1);
    note_cut(ctx->method_data, cut);
}

/*
 * Polled work that did not come from the holder: it may sleep in the sync ring, and nothing on the
 * data ring completes then. A no-op on the sync ring gets it out.
 */
static void nudge_holder(struct uring_method *method)
{
    if (uring_ring_room(&method->sync) == 0)
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
    if (ctx->in_flight != 1 || ctx->raw_count > 0)
        return 1;

    uint32_t parts = method->pushed - method->reported;
    return parts > 1 ? parts : 1;
}

static void uring_flush(struct keel_ctx *ctx, enum ios_flush how)
{
    struct uring_method *method = ctx->method_data;
    bool data = atomic_load_explicit(&method->data_open, memory_order_relaxed) != 0;

    if (how == IOS_FLUSH_HOLDER) {
        arm_wake(ctx, method);
        method->wait_for = completions_to_wait_for(ctx, method);
        uring_ring_announce(&method->sync);
        if (data)
            uring_ring_announce(&method->data);
        return;
    }
    if (data && uring_must_spin(ctx)) {
        kick_ring(ctx, &method->data);
        nudge_holder(method);
    }
    kick_ring(ctx, &method->sync);
}

/* ------------------------------------------------------------- turning */

static void report_request(struct keel_ctx *ctx, uint64_t data, int32_t res)
{
    struct uring_method *method = ctx->method_data;
    uint32_t slot = (uint32_t)data >> 4;
    unsigned part = (unsigned)(data >> 3) & 1;

    KEEL_INV(I4, slot < ctx->depth);
    /* Acquire pairs with push() in dispatch.c: what the submitting thread wrote. */
    struct keel_io *io = atomic_load_explicit(&ctx->slots[slot].io, memory_order_acquire);
    KEEL_INV(I4, io != NULL && ctx->slots[slot].gen == (uint32_t)(data >> 32));

    if (part == 1 && res == 0 &&
        atomic_load_explicit(&method->cut[slot], memory_order_relaxed) != 0)
        res = -ECANCELED; /* it ran, but maybe before the write was complete */
    if (method->on_data[slot]) {
        atomic_fetch_sub_explicit(&method->data_inflight, 1, memory_order_relaxed);
        if (res == -EOPNOTSUPP && ctx->iopoll != KEEL_REQUIRED) {
            __atomic_store_n(&io->device->poll_refused, 1, __ATOMIC_RELAXED);
            res = -EAGAIN; /* once more, on the sync ring */
        }
    } else {
        method->reported++;
    }
    ios_ctx_part_done(ctx, io, part, res);
}

static void report(struct keel_ctx *ctx, const struct uring_event *event)
{
    struct uring_method *method = ctx->method_data;

    switch ((enum tag)(event->user_data & TAG_MASK)) {
    case TAG_REQUEST:
        report_request(ctx, event->user_data, event->res);
        return;
    case TAG_RAW:
        ios_ctx_raw_done(ctx,
                         (struct keel_raw *)(uintptr_t)(event->user_data & ~(uint64_t)TAG_MASK),
                         event->res, (event->flags & IORING_CQE_F_MORE) != 0, event->flags);
        return;
    case TAG_WAKE:
        atomic_store_explicit(&method->wake_armed, 0, memory_order_relaxed);
        ios_event_seen(ctx);
        return;
    case TAG_NOISE:
    case TAG_MASK:
        return;
    }
    KEEL_UNREACHABLE();
}

static void reap_ring(struct keel_ctx *ctx, struct uring_ring *ring)
{
    struct uring_event events[REAP_BATCH];
    uint32_t count;

    do {
        uint32_t max = ios_raw_room(ctx);
        count = uring_ring_reap(ring, events, max < REAP_BATCH ? max : REAP_BATCH);
        for (uint32_t i = 0; i < count; i++)
            report(ctx, &events[i]);
    } while (count == REAP_BATCH);
}

static void uring_reap(struct keel_ctx *ctx)
{
    struct uring_method *method = ctx->method_data;

    reap_ring(ctx, &method->sync);
    if (atomic_load_explicit(&method->data_open, memory_order_acquire))
        reap_ring(ctx, &method->data);
}

static void enter_ring(struct keel_ctx *ctx, struct uring_ring *ring, unsigned wait)
{
    uint32_t submit = ring->to_submit;

    uring_ring_enter(ring, wait);
    ios_stat_add(ctx, IOS_STAT_ENTERS, 1);
    if (submit == 0 || !uring_ring_left(ring))
        return;

    /* The kernel took less: close the announcement, so that others may go on; the rest is announced
     * again by the next flush. */
    lock_acquire(&ctx->submit);
    ring->announced = false;
    note_cut(ctx->method_data, uring_ring_cut(ring));
    lock_release(&ctx->submit);
}

static bool inline_waits(struct keel_ctx *ctx, const struct uring_method *method)
{
    lock_acquire(&ctx->submit);
    bool waits = method->inline_queue.count > 0;
    lock_release(&ctx->submit);
    return waits;
}

/* A turn that must not wait leaves KEEL_IO_INLINE requests to one that may: whoever submitted them
 * is about to drive until they are complete. */
static void uring_turn(struct keel_ctx *ctx, enum ios_wait wait)
{
    struct uring_method *method = ctx->method_data;
    bool data = atomic_load_explicit(&method->data_open, memory_order_acquire) != 0;
    bool spin = data && uring_must_spin(ctx);
    bool ready = uring_ring_ready(&method->sync);
    bool inlined = wait == IOS_WAIT && inline_waits(ctx, method);
    bool block = wait == IOS_WAIT && !ready && !spin && !inlined;

    if (data && (spin || method->data.to_submit > 0))
        enter_ring(ctx, &method->data, 0);
    if (block || method->sync.to_submit > 0 || uring_ring_overflow(&method->sync))
        enter_ring(ctx, &method->sync, block ? method->wait_for : 0);
    if (inlined)
        ios_blocking_run(ctx, &method->inline_queue);
    uring_reap(ctx);
}

static int uring_wait_fd(struct keel_ctx *ctx)
{
    const struct uring_method *method = ctx->method_data;

    return method->sync.io.ring_fd;
}

/* ------------------------------------------------------------- forgetting */

static void uring_forget_device(struct keel_ctx *ctx, const struct keel_device *device)
{
    struct uring_method *method = ctx->method_data;

    uring_ring_forget_file(&method->sync, device);
    if (atomic_load_explicit(&method->data_open, memory_order_relaxed))
        uring_ring_forget_file(&method->data, device);
}

static void uring_forget_arena(struct keel_ctx *ctx, const struct keel_arena *arena)
{
    struct uring_method *method = ctx->method_data;

    size_t bytes = uring_ring_forget_buffers(&method->sync, arena);
    if (atomic_load_explicit(&method->data_open, memory_order_relaxed))
        bytes += uring_ring_forget_buffers(&method->data, arena);
    KEEL_ASSERT(bytes <= ctx->path.registered_bytes);
    ctx->path.registered_bytes -= bytes;
}

const struct ios_method ios_method_uring = {
    .name = "uring",
    .iov_max = IOS_CHAIN_MAX,
    .files = &ios_files_posix,
    .attach = uring_attach,
    .detach = uring_detach,
    .push = uring_push,
    .flush = uring_flush,
    .turn = uring_turn,
    .reap = uring_reap,
    .must_spin = uring_must_spin,
    .wait_fd = uring_wait_fd,
    .need_fd = uring_need_fd,
    .raw = uring_raw,
    .raw_cancel = uring_raw_cancel,
    .admit = uring_admit,
    .forget_device = uring_forget_device,
    .forget_arena = uring_forget_arena,
};
