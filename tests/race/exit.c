/*
 * A thread that exits with writes in flight: they complete, nobody is left waiting, and their
 * callbacks run when the context is closed.
 *
 * The kernel cancels what an exited thread had linked, and may finish its durable writes on its
 * behalf; the context therefore waits for them in the thread's last moments.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "keel/iosched.h"
#include "tests/support/tmpdir.h"

#define ROUNDS 20u
#define WRITES 4u
#define BLOCK  KEEL_BLOCK_BYTES

static struct keel_arena *arena;
static struct keel_device *device;
static uint8_t *memory; /* WRITES blocks, and WRITES more to read into */

struct leaver {
    enum keel_method method;
    bool kick;
    struct keel_ctx *ctx;
    struct keel_io ios[WRITES];
    struct keel_ioref refs[WRITES];
    _Atomic uint32_t called;
    _Atomic uint32_t submitted;
};

static void count_call(struct keel_io *io)
{
    struct leaver *leaver = io->user;

    atomic_fetch_add(&leaver->called, 1);
}

static void *submit_and_leave(void *arg)
{
    static const unsigned flags[WRITES] = {KEEL_IO_DSYNC, KEEL_IO_LINK_SYNC,
                                           KEEL_IO_DSYNC | KEEL_IO_ANY_THREAD, 0};
    struct leaver *leaver = arg;
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = leaver->method;
    int rc = keel_ctx_open(&options, &leaver->ctx);
    KEEL_ASSERT(rc == 0);
    for (unsigned i = 0; i < WRITES; i++) {
        leaver->ios[i] = (struct keel_io){.device = device,
                                          .arena = arena,
                                          .buf = memory + i * BLOCK,
                                          .offset_bytes = (uint64_t)i * BLOCK,
                                          .len_bytes = BLOCK,
                                          .op = KEEL_OP_WRITE,
                                          .flags = (uint16_t)flags[i],
                                          .done = count_call,
                                          .user = leaver};
        rc = keel_io_submit(leaver->ctx, &leaver->ios[i]);
        KEEL_ASSERT(rc == 0);
        leaver->refs[i] = keel_io_ref(&leaver->ios[i]);
    }
    if (leaver->kick)
        keel_ctx_kick(leaver->ctx);
    atomic_store_explicit(&leaver->submitted, 1, memory_order_release);
    return NULL;
}

/* Waits for one of the requests while its thread may be on its way out. */
static void *wait_for_one(void *arg)
{
    struct leaver *leaver = arg;

    while (!atomic_load_explicit(&leaver->submitted, memory_order_acquire))
        sched_yield();
    keel_ioref_wait(leaver->refs[2]);
    KEEL_ASSERT(keel_ioref_done(leaver->refs[2]));
    return NULL;
}

static void check_file(unsigned round)
{
    struct keel_ctx *ctx;
    struct keel_io io = {.device = device,
                         .arena = arena,
                         .buf = memory + WRITES * BLOCK,
                         .len_bytes = WRITES * BLOCK,
                         .op = KEEL_OP_READ};

    int rc = keel_ctx_open(NULL, &ctx);
    KEEL_ASSERT(rc == 0);
    rc = keel_io_submit(ctx, &io);
    KEEL_ASSERT(rc == 0);
    rc = keel_io_wait(ctx, &io);
    KEEL_ASSERT(rc == 0);
    for (unsigned i = 0; i < WRITES; i++)
        KEEL_ASSERT(memory[(WRITES + i) * BLOCK] == (uint8_t)(round + i));
    keel_ctx_close(ctx);
}

static void run(enum keel_method method, unsigned round)
{
    struct leaver leaver = {.method = method, .kick = round % 2};
    pthread_t thread;
    pthread_t waiter;

    for (unsigned i = 0; i < WRITES; i++)
        memset(memory + i * BLOCK, (int)(round + i), BLOCK);
    int rc = pthread_create(&thread, NULL, submit_and_leave, &leaver);
    KEEL_ASSERT(rc == 0);
    rc = pthread_create(&waiter, NULL, wait_for_one, &leaver);
    KEEL_ASSERT(rc == 0);
    pthread_join(thread, NULL);
    pthread_join(waiter, NULL);

    for (unsigned i = 0; i < WRITES; i++) {
        KEEL_ASSERT(keel_ioref_done(leaver.refs[i]));
        KEEL_ASSERT(leaver.ios[i].res == 0);
    }
    keel_ctx_close(leaver.ctx);
    KEEL_ASSERT(atomic_load(&leaver.called) == WRITES);
    check_file(round);
}

int main(void)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct tmpdir dir;
    struct keel_ctx *ctx;
    char path[600];

    tmpdir_create(&dir);
    tmpdir_join(&dir, "exit", path, sizeof(path));
    int rc = keel_arena_create(2 * WRITES * BLOCK, &arena);
    KEEL_ASSERT(rc == 0);
    memory = keel_arena_alloc(arena, 2 * WRITES * BLOCK);
    rc = keel_ctx_open(NULL, &ctx);
    KEEL_ASSERT(rc == 0);
    options.create_bytes = WRITES * BLOCK;
    rc = keel_device_open(ctx, path, &options, NULL, &device);
    KEEL_ASSERT(rc == 0);

    for (unsigned round = 0; round < ROUNDS; round++) {
        run(KEEL_METHOD_AUTO, 2 * round);
        run(KEEL_METHOD_SYNC, 2 * round + 1);
    }

    printf("exit: %u threads left with writes in flight, all of them completed on %s and on sync\n",
           2 * ROUNDS, keel_ctx_path(ctx)->method);
    keel_device_close(device);
    keel_ctx_close(ctx);
    keel_arena_destroy(arena);
    tmpdir_destroy(&dir);
    return 0;
}
