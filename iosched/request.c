/*
 * The life of a request, and queues of requests. See request.h.
 *
 * Everything here works on one request and is called by whoever owns it in its present state; the
 * only concurrent readers look at the state word.
 */
#include "iosched/request.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/text.h"
#include "base/trace.h"

#define STATE_COUNT (KEEL_IO_DONE + 1)

static const char *const state_names[STATE_COUNT] = {
#define STATE_NAME(name, owner, list, fields, meaning) [KEEL_IO_##name] = #name,
    IOS_REQUEST_STATES(STATE_NAME)
#undef STATE_NAME
};

static const bool edges[STATE_COUNT][STATE_COUNT] = {
#define EDGE(from, to, why) [KEEL_IO_##from][KEEL_IO_##to] = true,
    IOS_REQUEST_EDGES(EDGE)
#undef EDGE
};

const char *ios_request_state_name(enum keel_io_state state)
{
    return (unsigned)state < STATE_COUNT ? state_names[state] : "?";
}

bool ios_request_edge(enum keel_io_state from, enum keel_io_state to)
{
    return (unsigned)from < STATE_COUNT && (unsigned)to < STATE_COUNT && edges[from][to];
}

struct move {
    const struct keel_io *io;
    enum keel_io_state from;
    enum keel_io_state to;
};

static void print_move(struct text *text, const void *arg)
{
    const struct move *move = arg;

    text_printf(text, "request %p: no edge from %s to %s", (const void *)move->io,
                ios_request_state_name(move->from), ios_request_state_name(move->to));
}

void ios_request_missing_edge(const struct keel_io *io, enum keel_io_state from,
                              enum keel_io_state to)
{
    struct move move = {.io = io, .from = from, .to = to};

    assert_object_push(print_move, &move);
    KEEL_INV(I1, ios_request_edge(from, to));
    KEEL_UNREACHABLE();
}

void ios_request_check(const struct keel_io *io)
{
    enum keel_io_state state = ios_request_state(io);

    KEEL_ASSERT((unsigned)state < STATE_COUNT);
    if (state == KEEL_IO_IDLE)
        return;

    KEEL_ASSERT(io->private_.ctx != NULL);
    KEEL_ASSERT(io->op >= KEEL_OP_READ && io->op <= KEEL_OP_DEALLOCATE);
    KEEL_ASSERT(io->private_.done_bytes <= io->len_bytes);
    KEEL_ASSERT(io->private_.retries <= IOS_RETRIES_MAX);
    if (state == KEEL_IO_SUBMITTED)
        KEEL_ASSERT(io->private_.parts_left <= 3);
    if (io->private_.phase == IOS_PHASE_SYNC_ONLY)
        KEEL_ASSERT(io->private_.done_bytes == io->len_bytes);
}

#ifndef NDEBUG

/* Checksum of what a write carries; 0 for everything else. */
static uint32_t buffer_sum(const struct keel_io *io)
{
    return io->op == KEEL_OP_WRITE ? crc32c(0, io->buf, io->len_bytes) : 0;
}

void ios_request_seal(struct keel_io *io)
{
    for (; io; io = io->private_.chain)
        io->private_.sum = buffer_sum(io);
}

void ios_request_unseal(const struct keel_io *io)
{
    for (; io; io = io->private_.chain)
        KEEL_INV(I2, io->private_.sum == buffer_sum(io));
}

#endif

static enum ios_verdict finish(struct keel_io *io, int32_t res)
{
    KEEL_ASSERT(res <= 0);

    io->res = res;
    return IOS_FINISHED;
}

/* Once more without progress, but not for ever. */
static enum ios_verdict try_again(struct keel_io *io, int32_t error)
{
    if (io->private_.retries == IOS_RETRIES_MAX)
        return finish(io, error);

    io->private_.retries++;
    TRACE(IO_RETRY, trace_id(io), "again", io->offset_bytes, io->len_bytes, error);
    return IOS_AGAIN;
}

/*
 * A transfer moved res bytes. Whole blocks count; the rest of a block is transferred again, since
 * O_DIRECT could not go on from its middle.
 */
static enum ios_verdict settle_transfer(struct keel_io *io, int32_t res)
{
    uint32_t left = io->len_bytes - io->private_.done_bytes;

    if (res == -EAGAIN || res == -EINTR)
        return try_again(io, res);
    if (res < 0)
        return finish(io, res);
    if ((uint32_t)res > (io->private_.step_bytes ? io->private_.step_bytes : left))
        return finish(io, KEEL_EKERNEL);
    if ((uint32_t)res == left) {
        io->private_.done_bytes = io->len_bytes;
        return finish(io, 0);
    }

    uint32_t blocks = (uint32_t)res / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES;
    io->private_.done_bytes += blocks;
    if (blocks == 0) /* end of file, or a device that moves less than a block for ever */
        return try_again(io, io->op == KEEL_OP_READ ? KEEL_ERANGE : KEEL_EKERNEL);
    if ((uint32_t)res != io->private_.step_bytes)
        TRACE(IO_RETRY, trace_id(io), "rest", io->offset_bytes, io->private_.done_bytes, res);
    return IOS_AGAIN;
}

/*
 * A sync's answer is final whatever it is (W4): a failed fdatasync may have dropped the dirty
 * state, so that a second one that succeeds proves nothing.
 */
static enum ios_verdict settle_sync(struct keel_io *io, int32_t res)
{
    return finish(io, res > 0 ? KEEL_EKERNEL : res);
}

/*
 * The write of a linked pair decides first; its error or the rest of it goes before what the sync
 * says, which the kernel cancelled then. A sync that was cancelled although the write was complete
 * was never issued (the submitting thread exited, or the chain was cut): one fdatasync makes up for
 * it.
 */
static enum ios_verdict settle_pair(struct keel_io *io)
{
    int32_t sync = io->private_.part_res[1];
    enum ios_verdict verdict = settle_transfer(io, io->private_.part_res[0]);

    if (verdict == IOS_AGAIN || io->res < 0)
        return verdict;
    if (sync == -ECANCELED || sync == -EFAULT) {
        io->private_.phase = IOS_PHASE_SYNC_ONLY;
        TRACE(IO_RETRY, trace_id(io), "sync", io->offset_bytes, io->len_bytes, sync);
        return IOS_AGAIN;
    }
    return settle_sync(io, sync);
}

enum ios_verdict ios_request_settle(struct keel_io *io)
{
    KEEL_ASSERT(ios_request_state(io) == KEEL_IO_SUBMITTED);
    KEEL_ASSERT(io->private_.parts_left == 0);

    if (ios_request_complete(io))
        return IOS_FINISHED;
    if (ios_request_is_pair(io))
        return settle_pair(io);
    if (ios_has_extent(io->op) && io->private_.phase == IOS_PHASE_TRANSFER)
        return settle_transfer(io, io->private_.part_res[0]);
    return settle_sync(io, io->private_.part_res[0]);
}

/* ------------------------------------------------------------- queues of requests */

void ios_queue_remove(struct ios_queue *queue, struct keel_io *io)
{
    struct keel_io *next = io->private_.next;
    struct keel_io *prev = io->private_.prev;

    KEEL_ASSERT(queue->count > 0);
    KEEL_ASSERT(prev ? prev->private_.next == io : queue->head == io);
    KEEL_ASSERT(next ? next->private_.prev == io : queue->tail == io);

    if (prev)
        prev->private_.next = next;
    else
        queue->head = next;
    if (next)
        next->private_.prev = prev;
    else
        queue->tail = prev;
    io->private_.next = NULL;
    io->private_.prev = NULL;
    queue->count--;
}

void ios_queue_splice(struct ios_queue *queue, struct ios_queue *from)
{
    if (!from->head)
        return;

    from->head->private_.prev = queue->tail;
    if (queue->tail)
        queue->tail->private_.next = from->head;
    else
        queue->head = from->head;
    queue->tail = from->tail;
    queue->count += from->count;
    *from = (struct ios_queue){0};
}
