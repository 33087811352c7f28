/*
 * Contexts: opening, closing, the registry of all of them, and what happens when a thread exits.
 *
 * Everything that a context ever needs is allocated by keel_ctx_open(). A context is freed when
 * nothing is in flight on it, its callbacks have run and no foreign thread is inside (drivers).
 *
 * A thread that exits takes its submissions with it as far as the kernel is concerned: links that
 * it left behind would be cancelled. The destructor of a thread-specific key therefore waits for
 * what the thread has in flight on its contexts. The contexts stay allocated, their callbacks
 * unrun, until somebody closes them.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "iosched/ctx.h"

/* ------------------------------------------------------------- threads */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static struct lock registry_lock;
static uint64_t opened;      /* contexts so far, under registry_lock */
static struct list registry; /* of keel_ctx.registry_link, under registry_lock */

/* this thread only */
static _Thread_local struct list
    own_contexts; /* of keel_ctx.thread_link; next NULL: not yet used */
_Thread_local uint32_t ios_callback_depth;

bool keel_in_callback(void)
{
    return ios_in_callback();
}

static bool nothing_queued_or_submitted(void *arg)
{
    struct keel_ctx *ctx = arg;

    lock_acquire(&ctx->submit);
    bool nothing = ios_inbox_empty(ctx) && ios_queued(ctx) == 0 && ios_in_flight(ctx) == 0;
    lock_release(&ctx->submit);
    return nothing;
}

/* Wait for every request. Raw operations are the host's and may never end. */
static void drain(struct keel_ctx *ctx)
{
    int rc = keel_ctx_drive(ctx, nothing_queued_or_submitted, ctx);

    KEEL_ASSERT(rc == 0);
}

/* Destructor of exit_key: the thread ends. */
static void thread_exits(void *arg)
{
    struct list *contexts = arg;

    while (!list_empty(contexts)) {
        struct keel_ctx *ctx = container_of(list_pop_head(contexts), struct keel_ctx, thread_link);
        /* A simulation has one thread, and may be gone by now. */
        if (!ctx->method->steps_clock)
            drain(ctx);
        if (ctx->method->owner_leaves)
            ctx->method->owner_leaves(ctx);
        ctx->orphan = true;
    }
}

static void init_once(void)
{
    int rc = pthread_key_create(&exit_key, thread_exits);
    KEEL_ASSERT(rc == 0);

    lock_init(&registry_lock, LOCK_CTX_REGISTRY);
    list_init(&registry);
}

/* ------------------------------------------------------------- registry */

void ios_registry_lock(void)
{
    pthread_once(&once, init_once);
    lock_acquire(&registry_lock);
}

void ios_registry_unlock(void)
{
    lock_release(&registry_lock);
}

void ios_registry_each(void (*each)(struct keel_ctx *ctx, const void *arg), const void *arg)
{
    KEEL_DCHECK(lock_held(&registry_lock));
    list_for_each (link, &registry) {
        each(container_of(link, struct keel_ctx, registry_link), arg);
    }
}

void keel_ctx_each(void (*each)(void *arg, struct keel_ctx *ctx), void *arg)
{
    KEEL_ASSERT(each);

    pthread_once(&once, init_once);
    ios_registry_lock();
    list_for_each (link, &registry) {
        each(arg, container_of(link, struct keel_ctx, registry_link));
    }
    ios_registry_unlock();
}

struct keel_ctx *ios_registry_running(const struct keel_io *io)
{
    KEEL_DCHECK(lock_held(&registry_lock));
    list_for_each (link, &registry) {
        struct keel_ctx *ctx = container_of(link, struct keel_ctx, registry_link);
        if (atomic_load_explicit(&ctx->running, memory_order_acquire) == io)
            return ctx;
    }
    return NULL;
}

/* ------------------------------------------------------------- opening */

void ios_ctx_why(struct keel_ctx *ctx, const char *format, ...)
{
    struct text text;
    va_list args;
    size_t used = strlen(ctx->path.why);

    text_init(&text, ctx->path.why + used, sizeof(ctx->path.why) - used);
    if (used > 0)
        text_printf(&text, "; ");
    va_start(args, format);
    text_vprintf(&text, format, args);
    va_end(args);
}

static bool want_valid(enum keel_want want)
{
    return want == KEEL_PREFERRED || want == KEEL_REQUIRED || want == KEEL_OFF;
}

static int check_options(const struct keel_ctx_options *options)
{
    if (options->size != sizeof(*options))
        return KEEL_EOPTION;
    if ((unsigned)options->method > KEEL_METHOD_SIM || (unsigned)options->kind > KEEL_CTX_SHARED)
        return KEEL_EOPTION;
    if (!want_valid(options->fixed) || !want_valid(options->iopoll) ||
        !want_valid(options->sqpoll) || !want_valid(options->restricted))
        return KEEL_EOPTION;
    if (options->raw_ops_count > KEEL_RAW_OPS_MAX ||
        (options->raw_ops_count > 0 && !options->raw_ops))
        return KEEL_EOPTION;
    if (options->depth != 0 && (options->depth < IOS_DEPTH_MIN || options->depth > IOS_DEPTH_MAX))
        return KEEL_EOPTION;
    if ((options->method == KEEL_METHOD_SIM) != (options->sim != NULL))
        return KEEL_EOPTION;
    return 0;
}

static void free_memory(struct keel_ctx *ctx)
{
    mem_free(ctx->raw_events);
    mem_free(ctx->iovs);
    mem_free(ctx->lanes);
    mem_free(ctx->free_slots);
    mem_free(ctx->slots);
    mem_free(ctx);
}

static int alloc_ctx(const struct keel_ctx_options *options, struct keel_ctx **ret)
{
    struct keel_ctx *ctx = mem_alloc_aligned(MEM_CACHE_LINE, sizeof(*ctx));
    if (!ctx)
        return -ENOMEM;

    ctx->depth = options->depth ? options->depth : IOS_DEPTH_DEFAULT;
    ctx->reserved = ctx->depth >= 32 ? 8 : ctx->depth / 4;
    ctx->queue_max = options->queue_max ? options->queue_max : IOS_QUEUE_DEFAULT;
    ctx->slots = mem_alloc(ctx->depth * sizeof(*ctx->slots));
    ctx->free_mask = IOS_DEPTH_MIN - 1;
    while (ctx->free_mask < ctx->depth - 1)
        ctx->free_mask = ctx->free_mask * 2 + 1;
    ctx->free_slots = mem_alloc((ctx->free_mask + 1) * sizeof(*ctx->free_slots));
    ctx->lanes = mem_alloc_aligned(MEM_CACHE_LINE, IOS_LANES_MAX * sizeof(*ctx->lanes));
    if (!ctx->slots || !ctx->free_slots || !ctx->lanes) {
        free_memory(ctx);
        return -ENOMEM;
    }

    for (uint32_t i = 0; i < ctx->depth; i++) {
        ctx->slots[i].key = (uint64_t)i << 4;
        ctx->free_slots[i] = i;
    }
    atomic_store_explicit(&ctx->free_tail, ctx->depth, memory_order_relaxed);
    ctx->lanes[0].ctx = ctx;
    ctx->lane_last = &ctx->lanes[0];
    atomic_store_explicit(&ctx->lane_count, 1, memory_order_relaxed);
    ctx->kind = options->kind;
    ctx->fixed = options->fixed;
    ctx->iopoll = options->iopoll;
    ctx->hybrid = options->hybrid;
    ctx->sqpoll = options->sqpoll;
    ctx->restricted = options->restricted;
    ctx->raw_allowed = options->restricted == KEEL_OFF || options->raw_ops_count > 0;
    ctx->sim = options->sim;
    ctx->event_fd = -1;
    ctx->epoll_fd = -1;
    ctx->owner = options->kind == KEEL_CTX_THREAD ? ios_thread_self() : NULL;
    ctx->path.depth = ctx->depth;
    list_init(&ctx->raws);
    list_init(&ctx->registry_link);
    list_init(&ctx->thread_link);
    *ret = ctx;
    return 0;
}

static int attach_as(struct keel_ctx *ctx, const struct ios_method *method,
                     const struct keel_ctx_options *options)
{
    ctx->method = method;
    ctx->path.method = method->name;
    return method->attach(ctx, options);
}

/* The method that was asked for; for AUTO uring, and sync where a kernel or a policy refuses it. */
static int attach(struct keel_ctx *ctx, const struct keel_ctx_options *options)
{
    switch (options->method) {
    case KEEL_METHOD_SIM:
        return attach_as(ctx, &ios_method_sim, options);
    case KEEL_METHOD_SYNC:
        return attach_as(ctx, &ios_method_sync, options);
    case KEEL_METHOD_URING:
        return attach_as(ctx, &ios_method_uring, options);
    case KEEL_METHOD_NVME:
        return attach_as(ctx, &ios_method_nvme, options);
    case KEEL_METHOD_AUTO:
        break;
    }

    int rc = attach_as(ctx, &ios_method_uring, options);
    if (rc == 0 || rc == -ENOMEM || options->fixed == KEEL_REQUIRED ||
        options->iopoll == KEEL_REQUIRED || options->sqpoll == KEEL_REQUIRED)
        return rc;
    return attach_as(ctx, &ios_method_sync, options);
}

static void join_thread(struct keel_ctx *ctx)
{
    if (ctx->kind != KEEL_CTX_THREAD)
        return;

    if (!own_contexts.next)
        list_init(&own_contexts);
    int rc = pthread_setspecific(exit_key, &own_contexts);
    KEEL_ASSERT(rc == 0);
    list_push_tail(&own_contexts, &ctx->thread_link);
}

int keel_ctx_open(const struct keel_ctx_options *options, struct keel_ctx **ret)
{
    static const struct keel_ctx_options defaults = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    pthread_once(&once, init_once);
    if (!options)
        options = &defaults;
    int rc = check_options(options);
    if (rc)
        return rc;
    rc = alloc_ctx(options, &ctx);
    if (rc)
        return rc;

    lock_init(&ctx->submit, LOCK_SUBMIT);
    lock_init(&ctx->done_lock, LOCK_DONE);
    if (options->method != KEEL_METHOD_SIM && options->kind == KEEL_CTX_THREAD) {
        ctx->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (ctx->event_fd < 0) {
            rc = -errno;
            goto fail;
        }
    }
    rc = attach(ctx, options);
    if (rc)
        goto fail;
    if (ctx->method->raw && ctx->raw_allowed && ctx->kind == KEEL_CTX_THREAD) {
        ctx->raw_events = mem_alloc(IOS_RAW_EVENTS_MAX * sizeof(*ctx->raw_events));
        if (!ctx->raw_events) {
            ctx->method->detach(ctx);
            rc = -ENOMEM;
            goto fail;
        }
    }

    if (ctx->method->iov_max > 1) {
        ctx->iovs = mem_alloc(ctx->depth * IOS_CHAIN_MAX * sizeof(*ctx->iovs));
        if (!ctx->iovs) {
            ctx->method->detach(ctx);
            rc = -ENOMEM;
            goto fail;
        }
    }

    join_thread(ctx);
    ios_registry_lock();
    ctx->number = ++opened;
    list_push_tail(&registry, &ctx->registry_link);
    ios_registry_unlock();
    *ret = ctx;
    return 0;

fail:
    if (ctx->event_fd >= 0)
        close(ctx->event_fd);
    lock_fini(&ctx->done_lock);
    lock_fini(&ctx->submit);
    free_memory(ctx);
    return rc;
}

/* ------------------------------------------------------------- closing */

static bool raws_over(void *arg)
{
    struct keel_ctx *ctx = arg;

    lock_acquire(&ctx->submit);
    bool over = ctx->raw_count == 0;
    lock_release(&ctx->submit);
    ios_run_ready(ctx, 0);
    return over;
}

/* Take the host's raw operations back; their last completions reach their callbacks. */
static void end_raws(struct keel_ctx *ctx)
{
    if (ctx->raw_count == 0)
        return;

    lock_acquire(&ctx->submit);
    list_for_each (link, &ctx->raws) {
        struct keel_raw *raw = container_of(link, struct keel_raw, private_);
        ctx->method->raw_cancel(ctx, raw);
    }
    lock_release(&ctx->submit);
    keel_ignore(keel_ctx_drive(ctx, raws_over, ctx), "EBUSY: the last one was reaped");
}

/*
 * Leave the registry, so that no new foreign driver comes, and wait for those that are inside.
 * Progress: what they wait for is done, so they need nothing but to run.
 */
static void leave_registry(struct keel_ctx *ctx)
{
    ios_registry_lock();
    list_remove(&ctx->registry_link);
    while (ctx->drivers > 0) {
        ios_registry_unlock();
        atomic_fetch_add(&ctx->completions, 1);
        ios_wake_all(ctx);
        sched_yield();
        ios_registry_lock();
    }
    ios_registry_unlock();
}

void keel_ctx_close(struct keel_ctx *ctx)
{
    if (!ctx)
        return;
    KEEL_ASSERT(!ios_in_callback());
    if (ctx->kind == KEEL_CTX_THREAD && !ctx->orphan)
        KEEL_ASSERT(ios_is_owner(ctx));

    lock_acquire(&ctx->submit);
    ctx->closing = true;
    ios_inbox_look(ctx);
    lock_release(&ctx->submit);
    ios_pollers_close(ctx);
    drain(ctx);
    end_raws(ctx);
    ios_run_ready(ctx, 0);

    leave_registry(ctx);
    ios_lanes_close(ctx);
    if (list_linked(&ctx->thread_link))
        list_remove(&ctx->thread_link);
    KEEL_INV(I3, ios_queued(ctx) == 0 && ios_in_flight(ctx) == 0);
    KEEL_ASSERT(atomic_load(&ctx->role) == 0 && ctx->ready.count == 0 && ctx->done.count == 0);

    ctx->method->detach(ctx);
    if (ctx->epoll_fd >= 0)
        close(ctx->epoll_fd);
    if (ctx->event_fd >= 0)
        close(ctx->event_fd);
    lock_fini(&ctx->done_lock);
    lock_fini(&ctx->submit);
    free_memory(ctx);
}

/* ------------------------------------------------------------- looking */

const struct keel_ctx_path *keel_ctx_path(struct keel_ctx *ctx)
{
    return &ctx->path;
}

void keel_ctx_stats(struct keel_ctx *ctx, struct keel_ctx_stats *ret)
{
    uint64_t commands[KEEL_OP_DEALLOCATE + 1], bytes[KEEL_OP_DEALLOCATE + 1], submitted = 0;

    for (unsigned op = 0; op <= KEEL_OP_DEALLOCATE; op++) {
        commands[op] = atomic_load_explicit(&ctx->commands[op], memory_order_relaxed);
        bytes[op] = atomic_load_explicit(&ctx->moved_bytes[op], memory_order_relaxed);
        submitted += commands[op];
    }
    *ret = (struct keel_ctx_stats){
        .number = ctx->number,
        .enters = atomic_load_explicit(&ctx->enters, memory_order_relaxed) +
                  atomic_load_explicit(&ctx->kicks, memory_order_relaxed),
        .submitted = submitted,
        .completed = atomic_load_explicit(&ctx->completed, memory_order_relaxed),
        .reads = commands[KEEL_OP_READ],
        .writes = commands[KEEL_OP_WRITE],
        .syncs = commands[KEEL_OP_SYNC] + atomic_load_explicit(&ctx->linked, memory_order_relaxed),
        .bytes_read = bytes[KEEL_OP_READ],
        .bytes_written = bytes[KEEL_OP_WRITE],
    };
}
