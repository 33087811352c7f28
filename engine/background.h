/*
 * The one thread of a store under KEEL_THREADS: write-back, checkpoints, growth.
 */
#ifndef KEEL_ENGINE_BACKGROUND_H
#define KEEL_ENGINE_BACKGROUND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct keel_store;

struct background {
    /* set at start, then constant */
    pthread_t thread;
    bool started;
    struct keel_ctx *ctx; /* of the thread, set by it before phase moves; NULL: none */
    /* atomic */
    _Atomic uint32_t wake;  /* moves when there is something to do; the thread sleeps on it */
    _Atomic uint32_t phase; /* enum background_phase; start waits on it */
    _Atomic bool stop;
    _Atomic int32_t open_rc; /* of the thread's own context; stored before phase moves */
};

/* Start the thread and wait until its context is open. Nothing under KEEL_MANUAL. */
int background_start(struct keel_store *store);
/* Stop and join it. Safe when it was never started. */
void background_stop(struct keel_store *store);
/* There is something to do. Any thread; nothing under KEEL_MANUAL. */
void background_wake(struct keel_store *store);

#endif
