/*
 * Queues, slots and the order in which classes go.
 *
 * On the sync method nothing moves unless the test drives. The policy has tests of its own.
 */
#include <errno.h>
#include <stdlib.h>

#include "iosched/ctx.h"
#include "tests/unit/iosched/fixture.h"

TestSuite(dispatch, .timeout = 20);

/* ------------------------------------------------------------- queues */

static unsigned calls;
static int32_t last_res;

static void note(struct keel_io *io)
{
    calls++;
    last_res = io->res;
}

/* I3: what does not fit is refused, and fits again when something completed. */
Test(dispatch, a_full_queue_refuses_until_it_is_polled_I3)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct fixture f;
    struct keel_io ios[5];

    options.method = KEEL_METHOD_SYNC;
    options.queue_max = 4;
    fixture_open(&f, &options);
    for (unsigned i = 0; i < 5; i++) {
        ios[i] = fixture_io(&f, KEEL_OP_READ, i, 1, 0);
        ios[i].done = note;
        cr_assert_eq(keel_io_submit(f.ctx, &ios[i]), i < 4 ? 0 : KEEL_EFULL);
    }

    cr_assert_eq(keel_ctx_poll(f.ctx, 0, 0), 4);
    cr_assert_eq(keel_io_submit(f.ctx, &ios[4]), 0);
    cr_assert_eq(keel_ctx_poll(f.ctx, 0, 0), 1);
    fixture_close(&f);
}

/* I3: never more in flight than there are slots, however much is queued. */
Test(dispatch, what_is_in_flight_never_exceeds_the_slots_I3)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct fixture f;
    static struct keel_io ios[200];

    options.depth = 8;
    fixture_open(&f, &options);
    for (unsigned i = 0; i < 200; i++) {
        ios[i] = fixture_io(&f, KEEL_OP_READ, i % FILE_BLOCKS, 1, 0);
        ios[i].cls = (uint8_t)(i % KEEL_CLASS_COUNT);
        ios[i].done = note;
        cr_assert_eq(keel_io_submit(f.ctx, &ios[i]), 0);
        if (i % 7 == 0)
            keel_ctx_kick(f.ctx);
        cr_assert_leq(ios_in_flight(f.ctx), 8);
    }
    while (calls < 200) {
        cr_assert_geq(keel_ctx_poll(f.ctx, 0, -1), 0);
        cr_assert_leq(ios_in_flight(f.ctx), 8);
    }
    fixture_close(&f);
}

Test(dispatch, a_queued_request_can_be_cancelled_once)
{
    struct fixture f;

    fixture_open_method(&f, KEEL_METHOD_SYNC);
    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 0, 1, 0);
    struct keel_io other = fixture_io(&f, KEEL_OP_WRITE, 1, 1, 0);
    io.done = note;
    cr_assert_eq(keel_io_submit(f.ctx, &io), 0);
    cr_assert_eq(keel_io_submit(f.ctx, &other), 0);

    cr_assert_eq(keel_io_cancel(f.ctx, &io), 0);
    cr_assert_eq(keel_io_cancel(f.ctx, &io), KEEL_EBUSY);
    cr_assert_eq(calls, 0, "not inside the call");
    cr_assert_eq(keel_io_wait(f.ctx, &other), 0, "the other one is not concerned");
    cr_assert_eq(keel_ctx_poll(f.ctx, 0, -1), 1);
    cr_assert_eq(last_res, -ECANCELED);

    cr_assert_eq(keel_io_submit(f.ctx, &io), 0, "and it can be used again");
    cr_assert_eq(keel_io_wait(f.ctx, &io), 0);
    cr_assert_eq(keel_io_cancel(f.ctx, &io), KEEL_EBUSY);
    fixture_close(&f);
}

Test(dispatch, closing_completes_what_is_queued_and_in_flight)
{
    static const enum keel_method methods[] = {KEEL_METHOD_SYNC, KEEL_METHOD_AUTO};

    for (unsigned m = 0; m < 2; m++) {
        struct fixture f;
        struct keel_io ios[32];

        calls = 0;
        fixture_open_method(&f, methods[m]);
        for (unsigned i = 0; i < 32; i++) {
            ios[i] = fixture_io(&f, KEEL_OP_WRITE, i, 1, i % 2 ? KEEL_IO_DSYNC : 0);
            ios[i].done = note;
            cr_assert_eq(keel_io_submit(f.ctx, &ios[i]), 0);
            if (i == 15)
                keel_ctx_kick(f.ctx);
        }
        fixture_close(&f);
        cr_assert_eq(calls, 32);
        cr_assert_eq(last_res, 0);
    }
}

/* ------------------------------------------------------------- results */

Test(dispatch, counts_what_it_did)
{
    struct keel_ctx_stats stats;
    struct fixture f;

    fixture_open_method(&f, KEEL_METHOD_SYNC);
    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 0, 2, KEEL_IO_LINK_SYNC);
    cr_assert_eq(fixture_run(&f, &io), 0);
    io = fixture_io(&f, KEEL_OP_READ, 0, 3, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);
    io = fixture_io(&f, KEEL_OP_SYNC, 0, 0, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);
    keel_ctx_stats(f.ctx, &stats);

    cr_assert_eq(stats.submitted, 3);
    cr_assert_eq(stats.completed, 3);
    cr_assert_eq(stats.writes, 1);
    cr_assert_eq(stats.reads, 1);
    cr_assert_eq(stats.syncs, 2);
    cr_assert_eq(stats.enters, 4);
    cr_assert_eq(stats.bytes_written, 2 * BLOCK);
    cr_assert_eq(stats.bytes_read, 3 * BLOCK);
    fixture_close(&f);
}
