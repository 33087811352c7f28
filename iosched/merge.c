/*
 * Commands out of requests: what touches the head of a queue rides on its command, and what is too
 * long goes in pieces.
 *
 * Merged is what lies behind or before the head on the same device, in the same queue and
 * direction, and was not begun; not the log's, and nothing that is to be durable or untorn. Where
 * the method moves one piece of memory only, the memory has to touch too. A read of the very same
 * range is joined: it gets a copy. Nothing overtakes a request of its queue whose range it
 * overlaps.
 *
 * When a command that carries several requests fails or comes back short, each of them goes again
 * alone, and gets its own answer; that is counted (resent). Never so a sync: none is merged.
 *
 * Invariants: I4 (each completes once).
 */
#include <string.h>

#include "base/assert.h"
#include "base/bug.h"
#include "iosched/complete.h"
#include "iosched/probes.h"

#define LOOK_AHEAD 16u

struct build {
    struct keel_io *first, *last; /* in order of offset; joined ones are not last */
    uint64_t begin, end;
    uint32_t members;
    uint32_t pieces;
    uint32_t bytes_max, pieces_max;
};

static bool mergeable(const struct keel_io *io)
{
    return (io->op == KEEL_OP_READ || io->op == KEEL_OP_WRITE) && !io->private_.alone &&
           io->private_.done_bytes == 0 &&
           !(io->flags & (KEEL_IO_DSYNC | KEEL_IO_LINK_SYNC | KEEL_IO_INLINE | KEEL_IO_ATOMIC));
}

static uint32_t bytes_max(const struct ios_lane *lane, const struct keel_io *io, uint32_t cls)
{
    uint32_t max = io->device && io->device->info.max_transfer ? io->device->info.max_transfer
                                                               : KEEL_IO_BYTES_MAX;

    if (cls == KEEL_CLASS_READ && max > 64 * 1024)
        max = 64 * 1024;
    if (sched_is_lower(cls) && sched_cuts(&lane->sched->policy) && max > SCHED_CHUNK_BYTES)
        max = SCHED_CHUNK_BYTES;
    max = max / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES;
    return max < KEEL_BLOCK_BYTES    ? KEEL_BLOCK_BYTES
           : max > KEEL_IO_BYTES_MAX ? KEEL_IO_BYTES_MAX
                                     : max;
}

static uint64_t end_of(const struct keel_io *io)
{
    return io->offset_bytes + io->len_bytes;
}

static bool memory_touches(const struct keel_io *a, const struct keel_io *b)
{
    return a->arena == b->arena && (char *)a->buf + a->len_bytes == (char *)b->buf;
}

/* May io overtake those of its queue that are before it and stay behind? */
static bool may_overtake(const struct ios_queue *queue, const struct keel_io *io)
{
    for (const struct keel_io *at = queue->head; at != io; at = at->private_.next) {
        if (at->op == KEEL_OP_SYNC)
            return false;
        if (at->device == io->device && at->offset_bytes < end_of(io) &&
            io->offset_bytes < end_of(at) && (at->op == KEEL_OP_WRITE || io->op == KEEL_OP_WRITE))
            return false;
    }
    return true;
}

/* Add io to what is being built if it fits. */
static bool add(struct build *build, struct keel_io *io, struct keel_sched_class_stats *stats)
{
    struct keel_io *first = build->first, *last = build->last;
    bool fits = build->end - build->begin + io->len_bytes <= build->bytes_max;

    if (!mergeable(io) || io->op != first->op || io->device != first->device)
        return false;
    if (io->op == KEEL_OP_READ && build->members == 1 && io->offset_bytes == build->begin &&
        end_of(io) == build->end) {
        io->private_.chain = first->private_.chain;
        first->private_.chain = io;
        build->members++;
        build->bytes_max = 0; /* nothing else rides on it */
        ios_count(&stats->joined, 1);
        return true;
    }
    if (io->offset_bytes == build->end && fits) {
        uint32_t pieces = build->pieces + !memory_touches(last, io);
        if (pieces > build->pieces_max)
            return false;
        last->private_.chain = io;
        build->last = io;
        build->end = end_of(io);
        build->pieces = pieces;
    } else if (end_of(io) == build->begin && fits) {
        uint32_t pieces = build->pieces + !memory_touches(io, first);
        if (pieces > build->pieces_max)
            return false;
        io->private_.chain = first;
        build->first = io;
        build->begin = io->offset_bytes;
        build->pieces = pieces;
    } else {
        return false;
    }
    build->members++;
    ios_count(&stats->merged, 1);
    return true;
}

/* Look through the next ones of the queue again and again until nothing fits any more. */
static void gather(struct ios_lane *lane, uint32_t cls, struct build *build)
{
    struct ios_queue *queue = &lane->queues[cls];
    uint32_t ahead = cls == KEEL_CLASS_READ ? 1 : LOOK_AHEAD;
    struct keel_io *io = queue->head;

    for (uint32_t i = 0; io && i < ahead && build->members < IOS_CHAIN_MAX; i++) {
        struct keel_io *next = io->private_.next;
        if (may_overtake(queue, io) && add(build, io, &lane->stats[cls])) {
            PROBE_MERGED(build->first, io);
            ios_queue_remove(queue, io);
            lane->waiting--;
            ios_queued_add(lane->ctx, UINT32_MAX);
            i = UINT32_MAX; /* from the beginning */
            next = queue->head;
        }
        io = next;
    }
}

struct keel_io *ios_compose(struct keel_ctx *ctx, struct ios_lane *lane, uint32_t cls)
{
    struct keel_io *io = ios_queue_pop(&lane->queues[cls]);
    uint64_t stamp_ns = io->private_.stamp_ns;

    lane->waiting--;
    ios_queued_add(ctx, UINT32_MAX);
    if (cls == KEEL_CLASS_WAL || (io->op != KEEL_OP_READ && io->op != KEEL_OP_WRITE) ||
        io->private_.phase != IOS_PHASE_TRANSFER || (io->flags & KEEL_IO_LINK_SYNC))
        return io;

    struct build build = {.first = io,
                          .last = io,
                          .begin = io->offset_bytes,
                          .end = end_of(io),
                          .members = 1,
                          .pieces = 1,
                          .bytes_max = bytes_max(lane, io, cls),
                          .pieces_max = ctx->method->iov_max ? ctx->method->iov_max : 1};
    if (build.pieces_max > IOS_CHAIN_MAX)
        build.pieces_max = IOS_CHAIN_MAX;
    io->private_.step_bytes = io->len_bytes - io->private_.done_bytes;
    if (io->private_.step_bytes > build.bytes_max && !(io->flags & KEEL_IO_ATOMIC) &&
        (cls != KEEL_CLASS_READ || !mergeable(io))) {
        io->private_.step_bytes = build.bytes_max;
        ios_count(&lane->stats[cls].split, 1);
        PROBE_SPLIT(io);
    } else if (mergeable(io) && lane->queues[cls].head && !BUG(NO_MERGE)) {
        gather(lane, cls, &build);
        io = build.first;
        if (build.members > 1)
            io->private_.step_bytes = (uint32_t)(build.end - build.begin);
        io->private_.iov_count = build.pieces > 1 ? (uint8_t)build.pieces : 0;
    }
    io->private_.stamp_ns = stamp_ns;
    io->private_.cost_ns = sched_cost(&lane->sched->policy, (enum keel_op)io->op,
                                      io->private_.step_bytes, (io->flags & KEEL_IO_DSYNC) != 0);
    return io;
}

void ios_decompose(struct keel_ctx *ctx, struct keel_io *head)
{
    struct keel_io *members[IOS_CHAIN_MAX];
    uint32_t count = 0;

    for (struct keel_io *io = head; io; io = io->private_.chain)
        members[count++] = io;
    while (count > 0) {
        struct keel_io *io = members[--count];
        io->private_.chain = NULL;
        io->private_.iov_count = 0;
        ios_queued_add(ctx, 1);
        ios_lane_push(ctx, io, true);
    }
}

const struct iovec *ios_chain_iov(const struct keel_io *head)
{
    struct iovec *iov = head->private_.ctx->iovs + (size_t)head->private_.slot * IOS_CHAIN_MAX;
    const struct keel_io *last = NULL;
    uint32_t count = 0;

    for (const struct keel_io *io = head; io; last = io, io = io->private_.chain) {
        if (last && memory_touches(last, io))
            iov[count - 1].iov_len += io->len_bytes;
        else
            iov[count++] = (struct iovec){.iov_base = io->buf, .iov_len = io->len_bytes};
    }
    KEEL_ASSERT(count == head->private_.iov_count && count <= IOS_CHAIN_MAX);
    return iov;
}

/* Each of a chain goes again alone, in the order in which they were. */
static void go_alone(struct keel_ctx *ctx, struct keel_io *head)
{
    lock_acquire(&ctx->submit);
    ios_count(&ctx->lanes[head->private_.lane].stats[head->private_.cls].resent, 1);
    for (struct keel_io *io = head; io; io = io->private_.chain) {
        io->private_.alone = 1;
        ios_request_move_from(io, KEEL_IO_SUBMITTED, KEEL_IO_QUEUED);
    }
    ios_decompose(ctx, head);
    lock_release(&ctx->submit);
}

void ios_chain_done(struct keel_ctx *ctx, struct keel_io *head, int32_t res)
{
    if (res != (int32_t)head->private_.step_bytes) {
        go_alone(ctx, head);
        return;
    }
    struct keel_io *next;
    for (struct keel_io *io = head; io; io = next) {
        next = io->private_.chain;
        io->private_.chain = NULL;
        if (io != head && io->offset_bytes == head->offset_bytes)
            memcpy(io->buf, head->buf, io->len_bytes);
        io->private_.done_bytes = io->len_bytes;
        io->res = 0;
        ios_finish(ctx, io, KEEL_IO_SUBMITTED);
    }
}
