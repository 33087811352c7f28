/*
 * Lanes: queues of one context for one disk, and what passes between them and the scheduler. See
 * lane.h.
 */
#include "iosched/lane.h"

#include <sched.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/trace.h"
#include "iosched/probes.h"
#include "iosched/push.h"

/* ------------------------------------------------------------- schedulers */

static struct list schedulers; /* of ios_sched.registry_link, under the registry lock */

struct ios_sched *ios_sched_get(const void *key, uint32_t dev_major, uint32_t dev_minor,
                                uint64_t now_ns)
{
    struct ios_sched *sched = NULL;

    ios_registry_lock();
    if (!schedulers.next)
        list_init(&schedulers);
    list_for_each (link, &schedulers) {
        struct ios_sched *at = container_of(link, struct ios_sched, registry_link);
        if (at->key == key && at->dev_major == dev_major && at->dev_minor == dev_minor)
            sched = at;
    }
    if (!sched) {
        sched = mem_alloc_aligned(MEM_CACHE_LINE, sizeof(*sched));
        if (sched) {
            *sched = (struct ios_sched){.key = key, .dev_major = dev_major, .dev_minor = dev_minor};
            lock_init(&sched->lock, LOCK_SCHED);
            sched_init(&sched->policy, now_ns);
            atomic_store_explicit(&sched->mode, sched->policy.options.mode, memory_order_relaxed);
            list_init(&sched->lanes);
            list_push_tail(&schedulers, &sched->registry_link);
        }
    }
    if (sched)
        atomic_fetch_add_explicit(&sched->refs, 1, memory_order_relaxed);
    ios_registry_unlock();
    return sched;
}

void ios_sched_put(struct ios_sched *sched)
{
    ios_registry_lock();
    bool last = atomic_fetch_sub(&sched->refs, 1) == 1;
    if (last)
        list_remove(&sched->registry_link);
    ios_registry_unlock();
    if (!last)
        return;
    KEEL_ASSERT(list_empty(&sched->lanes));
    lock_fini(&sched->lock);
    mem_free(sched);
}

/* ------------------------------------------------------------- lanes */

static struct ios_lane *open_lane(struct keel_ctx *ctx, struct ios_sched *sched)
{
    uint32_t count = ios_lanes_open(ctx);

    if (count == IOS_LANES_MAX)
        return &ctx->lanes[0];

    struct ios_lane *lane = &ctx->lanes[count];
    atomic_store_explicit(&ctx->lane_count, count + 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sched->refs, 1, memory_order_relaxed);
    lane->index = (uint8_t)count;
    lane->sched = sched;
    lane->ctx = ctx;
    list_init(&lane->link);
    lock_acquire(&sched->lock);
    list_push_tail(&sched->lanes, &lane->link);
    sched->lane_count++;
    lock_release(&sched->lock);
    return lane;
}

__attribute__((hot)) struct ios_lane *ios_lane_for(struct keel_ctx *ctx,
                                                   const struct keel_device *device)
{
    struct ios_sched *sched = device ? device->sched : NULL;

    if (ctx->lane_last->sched == sched)
        return ctx->lane_last;
    uint32_t i = ios_lanes_open(ctx);
    while (i-- > 0 && ctx->lanes[i].sched != sched)
        continue;
    ctx->lane_last = i < IOS_LANES_MAX ? &ctx->lanes[i] : open_lane(ctx, sched);
    return ctx->lane_last;
}

void ios_stats_add(struct keel_sched_class_stats *to, const struct keel_sched_class_stats *from)
{
    uint64_t *sum = (uint64_t *)(void *)to;
    const uint64_t *add = (const uint64_t *)(const void *)from;

    /* All of it is 64-bit counters but for the two 32-bit gauges, which lanes leave at zero. */
    _Static_assert(sizeof(*to) % sizeof(uint64_t) == 0, "counters only");
    for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
        sum[i] += __atomic_load_n(&add[i], __ATOMIC_RELAXED);
}

static void close_lane(struct ios_lane *lane)
{
    struct ios_sched *sched = lane->sched;

    lock_acquire(&sched->lock);
    /* Progress: who has pinned it only submits, which does not wait for this context. */
    while (lane->pins > 0) {
        lock_release(&sched->lock);
        sched_yield();
        lock_acquire(&sched->lock);
    }
    if (lane->held)
        atomic_fetch_sub_explicit(&sched->held_count, 1, memory_order_relaxed);
    list_remove(&lane->link);
    sched->lane_count--;
    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        sched->policy.classes[cls].queued -= lane->reported[cls];
        ios_stats_add(&sched->retired[cls], &lane->stats[cls]);
    }
    lock_release(&sched->lock);
    ios_sched_put(sched);
}

void ios_lanes_close(struct keel_ctx *ctx)
{
    for (uint32_t i = 1; i < ios_lanes_open(ctx); i++)
        close_lane(&ctx->lanes[i]);
    atomic_store_explicit(&ctx->lane_count, 1, memory_order_relaxed);
}

/* ------------------------------------------------------------- queues */

static void look_at_head(struct ios_lane *lane, uint32_t cls)
{
    const struct keel_io *head = lane->queues[cls].head;
    struct sched_flow *flow = &lane->flows[cls];

    flow->waiting = lane->queues[cls].count;
    if (!head) {
        lane->classes &= ~(1u << cls);
        return;
    }
    lane->classes |= 1u << cls;
    flow->head_cost_ns = head->private_.cost_ns;
    flow->head_since_ns = head->private_.stamp_ns;
}

/* What the rest of it costs by itself, at most a chunk where commands are cut. */
static uint32_t cost_of(const struct ios_lane *lane, const struct keel_io *io)
{
    uint32_t left = io->len_bytes - io->private_.done_bytes;

    if (io->private_.phase == IOS_PHASE_SYNC_ONLY)
        return sched_cost(&lane->sched->policy, KEEL_OP_SYNC, 0, false);
    return sched_cost(&lane->sched->policy, (enum keel_op)io->op, left,
                      (io->flags & (KEEL_IO_DSYNC | KEEL_IO_LINK_SYNC)) != 0);
}

__attribute__((noinline)) static void push_class(struct keel_ctx *ctx, struct ios_lane *lane,
                                                 struct keel_io *io, bool first)
{
    uint32_t cls = io->private_.cls;
    struct ios_queue *queue = &lane->queues[cls];

    io->private_.cost_ns = cost_of(lane, io);
    io->private_.stamp_ns = ios_now(ctx);
    lane->waiting++;
    if (queue->count == 0)
        lane->fresh |= 1u << cls;
    PROBE_QUEUED(io);
    if (first)
        ios_queue_push_head(queue, io);
    else
        ios_queue_push_tail(queue, io);
    if (first || queue->count == 1)
        look_at_head(lane, cls);
    else
        lane->flows[cls].waiting++;
}

__attribute__((always_inline)) static inline void
lane_push(struct keel_ctx *ctx, struct ios_lane *lane, struct keel_io *io, bool first)
{
    io->private_.lane = lane->index;
    if (!ios_lane_is_off(lane))
        push_class(ctx, lane, io, first);
    else if (first)
        ios_queue_push_head(&lane->fifo, io);
    else
        ios_queue_push_tail(&lane->fifo, io);
}

void ios_lane_push(struct keel_ctx *ctx, struct keel_io *io, bool first)
{
    /* Not always its first time. */
    io->private_.cost_ns = 0;
    io->private_.step_bytes = 0;
    lane_push(ctx, ios_lane_for(ctx, io->device), io, first);
}

void ios_lane_remove(struct keel_ctx *ctx, struct keel_io *io)
{
    struct ios_lane *lane = &ctx->lanes[io->private_.lane];
    uint32_t cls = io->private_.cls;

    if (io->private_.cost_ns == 0) {
        ios_queue_remove(&lane->fifo, io);
        return;
    }
    ios_queue_remove(&lane->queues[cls], io);
    lane->waiting--;
    look_at_head(lane, cls);
}

/* ------------------------------------------------------------- going */

void ios_chain_abort(struct keel_ctx *ctx, struct keel_io *io, int rc)
{
    struct keel_io *next;

    for (; io; io = next) {
        next = io->private_.chain;
        io->private_.chain = NULL;
        io->res = rc;
        ios_queue_push_tail(&ctx->aborted, io);
        ios_queued_add(ctx, 1);
    }
}

void ios_inbox_take_locked(struct keel_ctx *ctx)
{
    uint32_t head = atomic_load_explicit(&ctx->inbox_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&ctx->inbox_tail, memory_order_acquire);
    uint32_t queued = tail - head;

    KEEL_DCHECK(lock_held(&ctx->submit));
    for (; head != tail; head++) {
        struct keel_io *io = ctx->inbox[head % IOS_INBOX_MAX];
        lane_push(ctx, ios_lane_for(ctx, io->device), io, false);
    }
    if (queued > 0)
        ios_queued_add(ctx, queued);
    atomic_store_explicit(&ctx->inbox_head, head, memory_order_release);
}

/* First come, first served. */
static uint32_t dispatch_fifo(struct keel_ctx *ctx, struct ios_lane *lane)
{
    uint32_t pushed = 0;

    while (ios_slots_free(ctx) > 0 && lane->fifo.head) {
        struct keel_io *io = ios_queue_pop(&lane->fifo);
        if (ios_push_one(ctx, io, ctx->method->push) == IOS_PUSH_FULL) {
            ios_queue_push_head(&lane->fifo, io);
            break;
        }
        pushed++;
    }
    ios_queued_add(ctx, -pushed);
    return pushed;
}

static struct sched_others others_than(const struct ios_sched *sched, const struct ios_lane *lane)
{
    struct sched_others others = {UINT64_MAX, UINT64_MAX};

    if (atomic_load_explicit(&sched->held_count, memory_order_relaxed) == 0)
        return others;
    list_for_each (link, &sched->lanes) {
        const struct ios_lane *other = container_of(link, struct ios_lane, link);
        if (other == lane || !other->held)
            continue;
        if (other->held_tags.for_all < others.for_all)
            others.for_all = other->held_tags.for_all;
        if (other->held_tags.for_lower < others.for_lower)
            others.for_lower = other->held_tags.for_lower;
    }
    return others;
}

/* Note what is held back, so that the next completion anywhere finds it; or that nothing is. */
static void note_held(struct ios_lane *lane, const enum sched_hold *holds)
{
    struct ios_sched *sched = lane->sched;
    struct sched_others tags = {UINT64_MAX, UINT64_MAX};
    bool held = false;

    for (uint32_t cls = 0; holds && cls < KEEL_CLASS_COUNT; cls++) {
        const struct sched_flow *flow = &lane->flows[cls];
        struct keel_sched_class_stats *stats = &lane->stats[cls];
        if (flow->waiting == 0 || holds[cls] == SCHED_GO)
            continue;
        held = true;
        switch (holds[cls]) {
        case SCHED_HOLD_CAP:
            ios_count(&stats->held_cap, 1);
            if (flow->start < tags.for_lower)
                tags.for_lower = flow->start;
            break;
        case SCHED_HOLD_BUDGET:
        case SCHED_HOLD_TURN:
            ios_count(holds[cls] == SCHED_HOLD_TURN ? &stats->held_turn : &stats->held_budget, 1);
            if (flow->start < tags.for_all)
                tags.for_all = flow->start;
            break;
        case SCHED_HOLD_LIMIT:
            ios_count(&stats->held_limit, 1);
            break;
        case SCHED_GO:
            break;
        }
    }
    if (held != lane->held)
        atomic_store_explicit(&sched->held_count,
                              atomic_load_explicit(&sched->held_count, memory_order_relaxed) +
                                  (held ? 1 : (uint32_t)-1),
                              memory_order_relaxed);
    lane->held = held;
    lane->held_tags = tags;
}

static void report_waiting(struct ios_lane *lane)
{
    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        lane->sched->policy.classes[cls].queued += lane->flows[cls].waiting - lane->reported[cls];
        lane->reported[cls] = lane->flows[cls].waiting;
    }
}

/* The class's next command goes. False: the method takes no more now. */
static bool go(struct keel_ctx *ctx, struct ios_lane *lane, uint32_t cls)
{
    struct keel_sched_class_stats *stats = &lane->stats[cls];
    struct keel_io *io = ios_compose(ctx, lane, cls);
    uint64_t waited = ctx->now_ns - io->private_.stamp_ns;
    struct sched_flow flow = {.start = lane->flows[cls].start,
                              .head_cost_ns = io->private_.cost_ns};

    io->private_.stamp_ns = ctx->now_ns;
    /* Once it is gone it may complete in another thread, and be used again. */
    uint64_t cost_ns = io->private_.cost_ns, offset = io->offset_bytes;
    uint32_t bytes = io->private_.step_bytes;
    uint8_t op = io->op;
    enum ios_pushed pushed = ios_push_one(ctx, io, ctx->method->push);
    if (pushed == IOS_PUSH_FULL) {
        ios_decompose(ctx, io);
        look_at_head(lane, cls);
        return false;
    }
    look_at_head(lane, cls);
    if (pushed == IOS_PUSH_GONE) {
        sched_start(&lane->sched->policy, &flow, cls);
        lane->flows[cls].start = flow.start;
        ios_count(&stats->commands, 1);
        ios_count(&stats->cost_ns, cost_ns);
        ios_count_ns(&stats->queue, waited);
        PROBE_DISPATCHED(io, cls, op, offset, bytes, waited);
    }
    return true;
}

/* The waiting class with the smallest tag, whatever holds it back. */
static uint32_t least(const struct ios_lane *lane)
{
    uint32_t best = KEEL_CLASS_COUNT;

    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        if (lane->flows[cls].waiting > 0 &&
            (best == KEEL_CLASS_COUNT || lane->flows[cls].start < lane->flows[best].start))
            best = cls;
    }
    return best;
}

static uint32_t dispatch_lane(struct keel_ctx *ctx, struct ios_lane *lane)
{
    struct ios_sched *sched = lane->sched;
    enum sched_hold holds[KEEL_CLASS_COUNT] = {SCHED_GO};
    uint32_t pushed = 0;
    bool all = true; /* what stays behind is held back by the scheduler, not for want of slots */

    lock_acquire(&sched->lock);
    uint64_t cap = sched->policy.cap_ns;
    sched_advance(&sched->policy, ios_now(ctx));
    if (sched->policy.cap_ns != cap)
        PROBE_CAP(sched, cap, sched->policy.cap_ns);
    for (uint32_t cls = 0; lane->fresh; cls++, lane->fresh >>= 1) {
        if (lane->fresh & 1)
            sched_join(&sched->policy, &lane->flows[cls]);
    }
    struct sched_others others = others_than(sched, lane);
    while (lane->waiting > 0) {
        if (ios_slots_free(ctx) <= (lane->flows[KEEL_CLASS_WAL].waiting > 0 ? 0 : ctx->reserved)) {
            all = false;
            break;
        }
        uint32_t cls = sched_pick(&sched->policy, lane->flows, lane->classes, &others, holds);
        if (cls == KEEL_CLASS_COUNT && !ctx->method->flush && ios_in_flight(ctx) == 0)
            cls = least(lane);
        if (cls == KEEL_CLASS_COUNT)
            break;
        if (cls != KEEL_CLASS_WAL && ios_slots_free(ctx) <= ctx->reserved) {
            all = false;
            break;
        }
        if (!go(ctx, lane, cls)) {
            all = false;
            break;
        }
        pushed++;
    }
    report_waiting(lane);
    note_held(lane, all && lane->waiting > 0 ? holds : NULL);
    /* Whoever waits for the scheduler will be found by the next one who completes something. */
    KEEL_INV(I5, !all || lane->waiting == 0 || lane->held);
    lock_release(&sched->lock);
    return pushed;
}

uint32_t ios_lanes_dispatch(struct keel_ctx *ctx)
{
    uint32_t pushed = 0;

    for (uint32_t i = 0; i < ios_lanes_open(ctx); i++) {
        /* Another one begins each time, so that none takes all slots for good (I5). */
        struct ios_lane *lane = &ctx->lanes[(ctx->lane_first + i) % ios_lanes_open(ctx)];
        if (lane->fifo.head)
            pushed += dispatch_fifo(ctx, lane);
        if (lane->waiting > 0 || lane->held)
            pushed += dispatch_lane(ctx, lane);
    }
    ctx->lane_first++;
    return pushed;
}

/* ------------------------------------------------------------- coming back */

static void keep_sample(struct ios_lane *lane, enum sched_signal signal, uint64_t exec_ns)
{
    if (lane->sample_count[signal] < IOS_SAMPLES_MAX)
        lane->samples[signal][lane->sample_count[signal]++] = exec_ns;
}

void ios_lane_count(struct keel_ctx *ctx, const struct keel_io *io)
{
    struct keel_sched_class_stats *stats = &ctx->lanes[io->private_.lane].stats[io->private_.cls];

    ios_count(&stats->requests, 1);
    ios_count(&stats->bytes, io->private_.done_bytes);
}

void ios_lane_done(struct keel_ctx *ctx, const struct keel_io *io, int32_t res)
{
    struct ios_lane *lane = &ctx->lanes[io->private_.lane];
    uint32_t cls = io->private_.cls;
    struct keel_sched_class_stats *stats = &lane->stats[cls];

    if (ctx->done_at_ns == 0)
        ctx->done_at_ns = ios_clock(ctx);
    uint64_t exec =
        ctx->done_at_ns > io->private_.stamp_ns ? ctx->done_at_ns - io->private_.stamp_ns : 0;
    lane->done_any = 1;
    lane->done_count[cls]++;
    lane->done_ns[cls] += io->private_.cost_ns;
    ios_count_ns(&stats->exec, exec);
    if (res < 0)
        ios_count(&stats->errors, 1);
    PROBE_COMPLETED(io, res, exec);
    if (cls == KEEL_CLASS_READ && io->op == KEEL_OP_READ)
        keep_sample(lane, SCHED_SIGNAL_READ, exec);
    else if (cls == KEEL_CLASS_WAL &&
             (io->op == KEEL_OP_SYNC || (io->flags & (KEEL_IO_DSYNC | KEEL_IO_LINK_SYNC))))
        keep_sample(lane, SCHED_SIGNAL_LOG, exec);
}

static void settle_lane(struct ios_lane *lane, uint64_t now_ns)
{
    struct ios_sched *sched = lane->sched;

    lock_acquire(&sched->lock);
    uint64_t cap = sched->policy.cap_ns;
    sched_advance(&sched->policy, now_ns);
    for (uint32_t signal = 0; signal < SCHED_SIGNALS; signal++) {
        for (uint32_t i = 0; i < lane->sample_count[signal]; i++)
            sched_sample(&sched->policy, (enum sched_signal)signal, lane->samples[signal][i]);
        lane->sample_count[signal] = 0;
    }
    for (uint32_t cls = 0; cls < KEEL_CLASS_COUNT; cls++) {
        if (lane->done_count[cls] == 0)
            continue;
        sched_finish(&sched->policy, cls, lane->done_count[cls], lane->done_ns[cls]);
        lane->done_count[cls] = 0;
        lane->done_ns[cls] = 0;
    }
    if (sched->policy.cap_ns != cap)
        PROBE_CAP(sched, cap, sched->policy.cap_ns);
    lock_release(&sched->lock);
    lane->done_any = 0;
}

__attribute__((hot)) void ios_lanes_settle(struct keel_ctx *ctx)
{
    for (uint32_t i = 1; i < ios_lanes_open(ctx); i++) {
        if (ctx->lanes[i].done_any)
            settle_lane(&ctx->lanes[i], ctx->done_at_ns);
    }
    ctx->done_at_ns = 0;
}

/* ------------------------------------------------------------- kicks */

static uint64_t urgency(const struct ios_lane *lane)
{
    return lane->held_tags.for_all < lane->held_tags.for_lower ? lane->held_tags.for_all
                                                               : lane->held_tags.for_lower;
}

/* The held lane of another context with the smallest tag that is larger than after; pinned. */
static struct ios_lane *next_held(struct ios_sched *sched, const struct keel_ctx *ctx,
                                  const struct ios_lane *after)
{
    struct ios_lane *best = NULL;

    list_for_each (link, &sched->lanes) {
        struct ios_lane *lane = container_of(link, struct ios_lane, link);
        if (!lane->held || lane->ctx == ctx || lane == after ||
            (after && urgency(lane) < urgency(after)))
            continue;
        if (!best || urgency(lane) < urgency(best))
            best = lane;
    }
    if (best)
        best->pins++;
    return best;
}

static void kick_lanes_of(struct keel_ctx *ctx, struct ios_sched *sched)
{
    struct ios_lane *lane = NULL;

    for (uint32_t i = 0; i < IOS_KICKS_MAX; i++) {
        lock_acquire(&sched->lock);
        struct ios_lane *next = next_held(sched, ctx, lane);
        if (lane)
            lane->pins--;
        lock_release(&sched->lock);
        lane = next;
        if (!lane)
            return;
        ios_kick_busy(lane->ctx);
    }
    lock_acquire(&sched->lock);
    lane->pins--;
    lock_release(&sched->lock);
}

__attribute__((hot)) void ios_lanes_kick(struct keel_ctx *ctx)
{
    for (uint32_t i = 1; i < ios_lanes_open(ctx); i++) {
        struct ios_sched *sched = ctx->lanes[i].sched;
        if (atomic_load_explicit(&sched->held_count, memory_order_relaxed) > 0)
            kick_lanes_of(ctx, sched);
    }
}

/* Reap for those whose threads may be silent: what they have in flight holds this context back. */
void ios_lanes_drive_others(struct keel_ctx *ctx)
{
    for (uint32_t i = 1; i < ios_lanes_open(ctx); i++) {
        struct ios_sched *sched = ctx->lanes[i].sched;
        for (uint32_t at = 0;; at++) {
            struct ios_lane *other = NULL;
            uint32_t index = 0;
            lock_acquire(&sched->lock);
            list_for_each (link, &sched->lanes) {
                struct ios_lane *lane = container_of(link, struct ios_lane, link);
                if (lane->ctx != ctx && index++ == at)
                    other = lane;
            }
            if (other)
                other->pins++;
            lock_release(&sched->lock);
            if (!other)
                break;
            keel_ignore(keel_ctx_kick(other->ctx), "what it reaped it has announced");
            lock_acquire(&sched->lock);
            other->pins--;
            lock_release(&sched->lock);
        }
    }
}
