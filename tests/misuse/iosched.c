/*
 * Misuse of contexts and requests traps.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>

#include "keel/iosched.h"
#include "keel/sim.h"

TestSuite(misuse_iosched, .timeout = 20);

static struct keel_ctx *ctx;

static struct keel_io nop(void (*done)(struct keel_io *io), unsigned flags)
{
    return (struct keel_io){.op = KEEL_OP_NOP, .done = done, .flags = (uint16_t)flags};
}

static void open_ctx(enum keel_ctx_kind kind)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = KEEL_METHOD_SYNC;
    options.kind = kind;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
}

static void run(struct keel_io *io)
{
    cr_assert_eq(keel_io_submit(ctx, io), 0);
    int rc = keel_io_wait(ctx, io);
    (void)rc;
}

static bool true_at_once(void *arg)
{
    (void)arg;
    return true;
}

static void drive_again(struct keel_io *io)
{
    (void)io;
    int rc = keel_ctx_drive(ctx, true_at_once, NULL);
    (void)rc;
}

Test(misuse_iosched, driving_inside_a_callback_traps, .signal = SIGILL)
{
    open_ctx(KEEL_CTX_THREAD);
    struct keel_io io = nop(drive_again, 0);
    run(&io);
}

Test(misuse_iosched, driving_inside_a_callback_for_any_thread_traps, .signal = SIGILL)
{
    open_ctx(KEEL_CTX_THREAD);
    struct keel_io io = nop(drive_again, KEEL_IO_ANY_THREAD);
    run(&io);
}

static void close_it(struct keel_io *io)
{
    (void)io;
    keel_ctx_close(ctx);
}

Test(misuse_iosched, closing_inside_a_callback_traps, .signal = SIGILL)
{
    open_ctx(KEEL_CTX_THREAD);
    struct keel_io io = nop(close_it, 0);
    run(&io);
}

/* I1: a request has one owner, and while it is queued that is not the caller. */
Test(misuse_iosched, submitting_twice_traps_I1, .signal = SIGILL)
{
    open_ctx(KEEL_CTX_THREAD);
    struct keel_io io = nop(NULL, 0);
    cr_assert_eq(keel_io_submit(ctx, &io), 0);
    int rc = keel_io_submit(ctx, &io);
    (void)rc;
}

static void *submit_elsewhere(void *arg)
{
    int rc = keel_io_submit(ctx, arg);

    (void)rc;
    return NULL;
}

Test(misuse_iosched, submitting_on_another_threads_context_traps, .signal = SIGILL)
{
    pthread_t thread;

    open_ctx(KEEL_CTX_THREAD);
    struct keel_io io = nop(NULL, 0);
    cr_assert_eq(pthread_create(&thread, NULL, submit_elsewhere, &io), 0);
    pthread_join(thread, NULL);
}

static void *poll_elsewhere(void *arg)
{
    int rc = keel_ctx_poll(arg, 0, 0);

    (void)rc;
    return NULL;
}

Test(misuse_iosched, polling_another_threads_context_traps, .signal = SIGILL)
{
    pthread_t thread;

    open_ctx(KEEL_CTX_THREAD);
    cr_assert_eq(pthread_create(&thread, NULL, poll_elsewhere, ctx), 0);
    pthread_join(thread, NULL);
}

static void nothing(struct keel_io *io)
{
    (void)io;
}

Test(misuse_iosched, a_shared_context_has_no_owner_to_call_back, .signal = SIGILL)
{
    open_ctx(KEEL_CTX_SHARED);
    struct keel_io io = nop(nothing, 0);
    int rc = keel_io_submit(ctx, &io);
    (void)rc;
}

Test(misuse_iosched, a_transfer_without_a_device_traps, .signal = SIGILL)
{
    open_ctx(KEEL_CTX_THREAD);
    struct keel_io io = nop(NULL, 0);
    io.op = KEEL_OP_READ;
    int rc = keel_io_submit(ctx, &io);
    (void)rc;
}

#ifndef NDEBUG

/* I2: what a write carries must not change while the device has it. Seen in debug builds. */
Test(misuse_iosched, changing_what_is_being_written_traps_I2, .signal = SIGILL)
{
    static _Alignas(KEEL_BLOCK_BYTES) char block[KEEL_BLOCK_BYTES];
    struct keel_sim_options sim_options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_device *device;

    cr_assert_eq(keel_sim_create(&sim_options, &options.sim), 0);
    options.method = KEEL_METHOD_SIM;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    device_options.create_bytes = KEEL_BLOCK_BYTES;
    cr_assert_eq(keel_device_open(ctx, "device", &device_options, NULL, &device), 0);

    struct keel_io io = {
        .device = device, .buf = block, .len_bytes = KEEL_BLOCK_BYTES, .op = KEEL_OP_WRITE};
    cr_assert_eq(keel_io_submit(ctx, &io), 0);
    keel_ctx_kick(ctx);
    block[17] = 1;
    int rc = keel_io_wait(ctx, &io);
    (void)rc;
}

#endif

Test(misuse_iosched, a_read_cannot_be_durable, .signal = SIGILL)
{
    open_ctx(KEEL_CTX_THREAD);
    struct keel_io io = nop(NULL, KEEL_IO_DSYNC);
    int rc = keel_io_submit(ctx, &io);
    (void)rc;
}
