/*
 * The background thread: does what keel_tick does, but may wait, and sleeps when there is nothing.
 *
 * It has a context of its own. It is woken when a checkpoint falls due or growth is wanted, and
 * looks by itself now and then to keep free frames at hand.
 */
#include "engine/background.h"

#include <keel/iosched.h>

#include "base/assert.h"
#include "base/lock.h"
#include "engine/store.h"
#include "engine/tick.h"

#define LOOK_NS    INT64_C(50000000) /* between looks when nobody wakes it */
#define BLOCKED_NS INT64_C(1000000)  /* when a page that a transaction holds is in the way */

enum background_phase { BACKGROUND_STARTING = 0, BACKGROUND_UP };

static void announce(struct background *bg, int rc)
{
    atomic_store_explicit(&bg->open_rc, rc, memory_order_relaxed);
    /* Release: pairs with the acquire in background_start. */
    atomic_store_explicit(&bg->phase, BACKGROUND_UP, memory_order_release);
    futex_wake(&bg->phase, 1);
}

static void work(struct keel_store *store, struct keel_ctx *ctx)
{
    struct background *bg = &store->background;

    while (!atomic_load(&bg->stop)) {
        uint32_t seen = atomic_load(&bg->wake);
        int rc = tick_run(store, ctx, CHECKPOINT_WAIT);

        keel_ignore(keel_ctx_poll(ctx, 0, 0), "its requests' callbacks run in whoever reaps");
        if (rc == 1)
            continue;
        /* Errors are the store's by now: it is READ_ONLY, and there is nothing left to do here. */
        keel_ignore(futex_wait(&bg->wake, seen, rc == KEEL_PENDING ? BLOCKED_NS : LOOK_NS),
                    "looks again in any case");
    }
}

static void *background_main(void *arg)
{
    struct keel_store *store = arg;
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    options.method = store->config.method;
    options.fixed = store->config.fixed;
    options.iopoll = KEEL_OFF; /* it sleeps between its requests */
    int rc = keel_ctx_open(&options, &ctx);
    store->background.ctx = rc ? NULL : ctx;
    announce(&store->background, rc);
    if (rc)
        return NULL;

    work(store, ctx);
    keel_ctx_close(ctx);
    return NULL;
}

int background_start(struct keel_store *store)
{
    struct background *bg = &store->background;

    if (store->config.background == KEEL_MANUAL)
        return 0;
    KEEL_ASSERT(!bg->started);

    int rc = pthread_create(&bg->thread, NULL, background_main, store);
    if (rc)
        return -rc;
    bg->started = true;

    while (atomic_load_explicit(&bg->phase, memory_order_acquire) == BACKGROUND_STARTING)
        keel_ignore(futex_wait(&bg->phase, BACKGROUND_STARTING, -1), "looks again in any case");
    rc = atomic_load_explicit(&bg->open_rc, memory_order_relaxed);
    if (rc)
        background_stop(store);
    return rc;
}

void background_stop(struct keel_store *store)
{
    struct background *bg = &store->background;

    if (!bg->started)
        return;
    atomic_store(&bg->stop, true);
    background_wake(store);
    int rc = pthread_join(bg->thread, NULL);
    KEEL_ASSERT(rc == 0);
    bg->started = false;
}

void background_wake(struct keel_store *store)
{
    struct background *bg = &store->background;

    if (!bg->started)
        return;
    atomic_fetch_add(&bg->wake, 1);
    futex_wake(&bg->wake, 1);
}
