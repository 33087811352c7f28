/*
 * Contract: requests, from submit to callback.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/prng.h"
#include "tests/contract/contract.h"
#include "tests/support/seed.h"

/* What callbacks of a test leave behind. */
struct record {
    unsigned calls;
    int32_t res;
    struct keel_ctx *ctx;
    struct keel_io *next; /* submitted by the callback */
};

static void note(struct keel_io *io)
{
    struct record *record = io->user;

    record->calls++;
    record->res = io->res;
    if (record->next) {
        struct keel_io *next = record->next;

        record->next = NULL;
        cr_assert_eq(keel_io_submit(record->ctx, next), 0);
    }
}

static void poll_until(struct contract *c, const unsigned *calls, unsigned want)
{
    while (*calls < want)
        cr_assert_geq(keel_ctx_poll(c->ctx, 0, -1), 0);
    cr_assert_eq(*calls, want);
}

/* ---------------------------------------------------------------- transfers */

CONTRACT_TEST(reads_what_was_written_at_any_block_and_length)
{
    enum { WRITES = 60 };
    struct keel_device *device = contract_create(c, "d", DEVICE_BLOCKS);
    uint8_t *buf = contract_alloc(c, 128);
    uint8_t model[DEVICE_BLOCKS] = {0};
    uint64_t seed = test_seed("contract: reads_what_was_written");
    struct prng prng;

    prng_seed(&prng, seed);
    for (unsigned i = 1; i <= WRITES; i++) {
        uint32_t blocks = (uint32_t)prng_below(&prng, 128) + 1;
        uint32_t block = (uint32_t)prng_below(&prng, DEVICE_BLOCKS - blocks + 1);
        struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, block, blocks);

        memset(buf, (int)i, (size_t)blocks * BLOCK);
        io.flags = i % 3 == 1 ? KEEL_IO_DSYNC : i % 3 == 2 ? KEEL_IO_LINK_SYNC : 0;
        if (i % 2 == 1)
            io.flags |= KEEL_IO_INLINE;
        cr_assert_eq(contract_run(c, &io), 0, "seed %llu", (unsigned long long)seed);
        memset(model + block, (int)i, blocks);
    }

    for (uint32_t at = 0; at < DEVICE_BLOCKS; at += 128) {
        struct keel_io io = contract_io(c, device, KEEL_OP_READ, buf, at, 128);

        cr_assert_eq(contract_run(c, &io), 0);
        for (uint32_t i = 0; i < 128 * BLOCK; i++)
            cr_assert_eq(buf[i], model[at + i / BLOCK], "seed %llu block %u",
                         (unsigned long long)seed, at + i / BLOCK);
    }
    keel_device_close(device);
}

CONTRACT_TEST(transfers_memory_that_is_in_no_arena)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = aligned_alloc(BLOCK, 2 * BLOCK);
    struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, 1, 2);

    io.arena = NULL;
    memset(buf, 'm', 2 * BLOCK);
    cr_assert_eq(contract_run(c, &io), 0);
    contract_expect(c, device, 1, 2, 'm');
    keel_device_close(device);
    free(buf);
}

CONTRACT_TEST(transfers_anywhere_in_an_arena_of_several_chunks)
{
    struct keel_device *device = contract_create(c, "d", 128);
    uint8_t *base = contract_alloc(c, ARENA_BYTES / BLOCK);

    /* Each step begins in one 2 MiB chunk and ends in the next for some of them. */
    for (uint32_t at = 64; at + 128 <= ARENA_BYTES / BLOCK; at += 128) {
        uint8_t *buf = base + (size_t)at * BLOCK;
        struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 128);

        memset(buf, (int)(at / 128 + 1), 128 * BLOCK);
        cr_assert_eq(contract_run(c, &io), 0, "at %u", at);
        memset(buf, 0, 128 * BLOCK);
        io.op = KEEL_OP_READ;
        cr_assert_eq(contract_run(c, &io), 0, "at %u", at);
        for (size_t i = 0; i < 128 * BLOCK; i++)
            cr_assert_eq(buf[i], (uint8_t)(at / 128 + 1), "at %u byte %zu", at, i);
    }
    keel_device_close(device);
}

CONTRACT_TEST(refuses_requests_that_are_not_in_blocks_or_not_in_the_device)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 130);
    struct keel_io good = contract_io(c, device, KEEL_OP_READ, buf, 0, 1);
    struct keel_io io;

    io = good;
    io.offset_bytes = 512;
    cr_assert_eq(keel_io_submit(c->ctx, &io), KEEL_EALIGN);
    io = good;
    io.len_bytes = 100;
    cr_assert_eq(keel_io_submit(c->ctx, &io), KEEL_EALIGN);
    io = good;
    io.buf = buf + 512;
    cr_assert_eq(keel_io_submit(c->ctx, &io), KEEL_EALIGN);
    io = good;
    io.len_bytes = 0;
    cr_assert_eq(keel_io_submit(c->ctx, &io), KEEL_ERANGE);
    io = good;
    io.len_bytes = KEEL_IO_BYTES_MAX + BLOCK;
    cr_assert_eq(keel_io_submit(c->ctx, &io), KEEL_ERANGE);
    io = good;
    io.offset_bytes = 8 * BLOCK;
    cr_assert_eq(keel_io_submit(c->ctx, &io), KEEL_ERANGE);
    io = good;
    io.offset_bytes = UINT64_MAX / BLOCK * BLOCK;
    cr_assert_eq(keel_io_submit(c->ctx, &io), KEEL_ERANGE);
    io = contract_io(c, device, KEEL_OP_SYNC, NULL, 0, 1);
    cr_assert_eq(keel_io_submit(c->ctx, &io), KEEL_ERANGE, "a sync has no length");
    cr_assert_eq(contract_run(c, &good), 0, "and all is well afterwards");
    keel_device_close(device);
}

/* ---------------------------------------------------------------- durability */

CONTRACT_TEST(syncs_and_durable_writes_complete_and_are_counted)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct keel_io write = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);
    struct keel_io sync = contract_io(c, device, KEEL_OP_SYNC, NULL, 0, 0);
    struct keel_ctx_stats before;
    struct keel_ctx_stats after;

    keel_ctx_stats(c->ctx, &before);
    cr_assert_eq(contract_run(c, &write), 0);
    cr_assert_eq(contract_run(c, &sync), 0);
    write.flags = KEEL_IO_DSYNC;
    cr_assert_eq(contract_run(c, &write), 0);
    write.flags = KEEL_IO_LINK_SYNC;
    cr_assert_eq(contract_run(c, &write), 0);
    keel_ctx_stats(c->ctx, &after);

    cr_assert_eq(after.writes - before.writes, 3);
    cr_assert_eq(after.syncs - before.syncs, 2);
    cr_assert_eq(after.reads, before.reads);
    cr_assert_eq(after.bytes_written - before.bytes_written, 3 * BLOCK);
    cr_assert_eq(after.completed - before.completed, 4);
    cr_assert_eq(after.submitted - before.submitted, 4);
    keel_device_close(device);
}

/* What a power cut now leaves in block 0, if everything unsynced is lost. */
static uint8_t after_power_cut(struct contract *c)
{
    struct keel_sim *cut;
    uint8_t byte;

    cr_assert_eq(
        keel_sim_cut(c->sim, keel_sim_events(c->sim), KEEL_CUT_LOSE_ALL, 1, NULL, NULL, &cut), 0);
    cr_assert_eq(keel_sim_peek(cut, contract_path(c, "d"), 0, &byte, 1), 0);
    keel_sim_destroy(cut);
    return byte;
}

CONTRACT_TEST(durable_means_that_a_power_cut_does_not_take_it_back)
{
    if (!c->sim)
        CONTRACT_SKIP(c, "only the simulated device can lose its power here");

    static const uint16_t flags[] = {0, KEEL_IO_DSYNC, KEEL_IO_LINK_SYNC,
                                     KEEL_IO_DSYNC | KEEL_IO_INLINE};
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct keel_io sync = contract_io(c, device, KEEL_OP_SYNC, NULL, 0, 0);

    for (uint8_t i = 0; i < 4; i++) {
        struct keel_io write = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);

        memset(buf, i + 1, BLOCK);
        write.flags = flags[i];
        cr_assert_eq(contract_run(c, &write), 0);
        cr_assert_eq(after_power_cut(c), flags[i] ? i + 1 : 0, "flags %u", flags[i]);
        cr_assert_eq(contract_run(c, &sync), 0);
        cr_assert_eq(after_power_cut(c), i + 1);
    }
    keel_device_close(device);
}

/* ---------------------------------------------------------------- callbacks and order */

CONTRACT_TEST(I4_every_request_of_many_completes_exactly_once)
{
    enum { COUNT = 400 };
    static struct keel_io io[COUNT];
    static struct record record[COUNT];
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device *device = contract_create(c, "d", COUNT);
    uint8_t *buf = contract_alloc(c, COUNT);
    struct keel_ctx *main_ctx = c->ctx;
    unsigned finished = 0;

    options.depth = 8; /* most of them have to wait for a slot */
    c->ctx = contract_ctx(c, &options);
    memset(record, 0, sizeof(record));
    for (unsigned i = 0; i < COUNT; i++) {
        memset(buf + (size_t)i * BLOCK, (int)(i % 251 + 1), BLOCK);
        io[i] = contract_io(c, device, KEEL_OP_WRITE, buf + (size_t)i * BLOCK, i, 1);
        io[i].cls = (uint8_t)(i % KEEL_CLASS_COUNT);
        io[i].done = note;
        io[i].user = &record[i];
        cr_assert_eq(keel_io_submit(c->ctx, &io[i]), 0);
    }
    while (finished < COUNT) {
        int rc = keel_ctx_poll(c->ctx, 0, -1);

        cr_assert_gt(rc, 0, "nothing completes any more after %u", finished);
        finished += (unsigned)rc;
    }

    for (unsigned i = 0; i < COUNT; i++) {
        cr_assert_eq(record[i].calls, 1, "request %u", i);
        cr_assert_eq(record[i].res, 0);
        contract_expect(c, device, i, 1, (uint8_t)(i % 251 + 1));
    }
    cr_assert_eq(keel_ctx_poll(c->ctx, 0, -1), 0, "nothing is left to wait for");
    keel_ctx_close(c->ctx);
    c->ctx = main_ctx;
    keel_device_close(device);
}

CONTRACT_TEST(callbacks_run_in_poll_and_nowhere_else)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 2);
    struct record record = {0};
    struct keel_io noted = contract_io(c, device, KEEL_OP_READ, buf, 0, 1);
    struct keel_io waited = contract_io(c, device, KEEL_OP_READ, buf + BLOCK, 1, 1);

    noted.done = note;
    noted.user = &record;
    cr_assert_eq(keel_io_submit(c->ctx, &noted), 0);
    cr_assert_eq(contract_run(c, &waited), 0);
    keel_ctx_kick(c->ctx);
    cr_assert_eq(record.calls, 0, "neither waiting nor kicking runs it");
    poll_until(c, &record.calls, 1);
    keel_device_close(device);
}

CONTRACT_TEST(poll_runs_no_more_callbacks_than_it_may)
{
    enum { COUNT = 10 };
    struct keel_device *device = contract_create(c, "d", COUNT);
    uint8_t *buf = contract_alloc(c, COUNT);
    struct keel_io io[COUNT];
    struct record record = {0};

    for (unsigned i = 0; i < COUNT; i++) {
        io[i] = contract_io(c, device, KEEL_OP_READ, buf + (size_t)i * BLOCK, i, 1);
        io[i].done = note;
        io[i].user = &record;
        cr_assert_eq(keel_io_submit(c->ctx, &io[i]), 0);
    }
    while (record.calls < COUNT) {
        unsigned before = record.calls;
        int rc = keel_ctx_poll(c->ctx, 3, -1);

        cr_assert(rc > 0 && rc <= 3, "%d", rc);
        cr_assert_eq(record.calls, before + (unsigned)rc);
    }
    keel_device_close(device);
}

CONTRACT_TEST(a_callback_may_submit_the_next_request)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 2);
    struct record first = {.ctx = c->ctx};
    struct record second = {0};
    struct keel_io write = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);
    struct keel_io read = contract_io(c, device, KEEL_OP_READ, buf + BLOCK, 0, 1);

    memset(buf, 'w', BLOCK);
    first.next = &read;
    write.done = read.done = note;
    write.user = &first;
    read.user = &second;
    cr_assert_eq(keel_io_submit(c->ctx, &write), 0);
    poll_until(c, &second.calls, 1);

    cr_assert_eq(first.calls, 1);
    cr_assert_eq(second.res, 0);
    cr_assert_eq(buf[BLOCK], 'w', "it was written before its callback ran");
    keel_device_close(device);
}

static void poll_inside(struct keel_io *io)
{
    struct record *record = io->user;

    record->calls++;
    record->res = keel_ctx_poll(record->ctx, 0, 0);
}

CONTRACT_TEST(poll_inside_a_callback_is_refused)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct record record = {.ctx = c->ctx};
    struct keel_io io = contract_io(c, device, KEEL_OP_READ, buf, 0, 1);

    io.done = poll_inside;
    io.user = &record;
    cr_assert_eq(keel_io_submit(c->ctx, &io), 0);
    poll_until(c, &record.calls, 1);
    cr_assert_eq(record.res, KEEL_EBUSY);
    keel_device_close(device);
}

CONTRACT_TEST(wait_returns_the_result_and_runs_the_callback)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct record record = {0};
    struct keel_io io = contract_io(c, device, KEEL_OP_READ, buf, 0, 1);

    io.done = note;
    io.user = &record;
    for (unsigned i = 1; i <= 3; i++) {
        cr_assert_eq(contract_run(c, &io), 0, "a request can be used again");
        cr_assert_eq(record.calls, i);
    }
    keel_device_close(device);
}

CONTRACT_TEST(polling_without_waiting_gets_there_too)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct record record = {0};
    struct keel_io io = contract_io(c, device, KEEL_OP_READ, buf, 0, 1);

    io.done = note;
    io.user = &record;
    cr_assert_eq(keel_io_submit(c->ctx, &io), 0);
    while (record.calls == 0)
        cr_assert_geq(keel_ctx_poll(c->ctx, 0, 0), 0);
    cr_assert_eq(record.res, 0);
    keel_device_close(device);
}

CONTRACT_TEST(kicking_gets_there_too)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct record record = {0};
    struct keel_io io = contract_io(c, device, KEEL_OP_READ, buf, 0, 1);

    io.done = note;
    io.user = &record;
    io.flags = KEEL_IO_ANY_THREAD;
    cr_assert_eq(keel_io_submit(c->ctx, &io), 0);
    while (record.calls == 0)
        keel_ctx_kick(c->ctx);
    cr_assert_eq(record.res, 0);
    keel_device_close(device);
}

static bool seen(void *arg)
{
    const struct record *record = arg;

    return record->calls > 0;
}

CONTRACT_TEST(driving_a_shared_context_runs_callbacks_of_any_thread)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct record record = {0};
    struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);

    options.kind = KEEL_CTX_SHARED;
    struct keel_ctx *shared = contract_ctx(c, &options);
    io.done = note;
    io.user = &record;
    io.flags = KEEL_IO_ANY_THREAD | KEEL_IO_DSYNC;
    cr_assert_eq(keel_io_submit(shared, &io), 0);
    cr_assert_eq(keel_ctx_drive(shared, seen, &record), 0);
    cr_assert_eq(record.res, 0);

    record.calls = 0;
    cr_assert_eq(keel_ctx_drive(shared, seen, &record), KEEL_EBUSY, "nothing could make it true");
    keel_ctx_close(shared);
    keel_device_close(device);
}

CONTRACT_TEST(I6_waiting_for_a_request_drives_the_context_it_is_on)
{
    struct keel_ctx *silent = contract_ctx(c, NULL);
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct record record = {0};
    struct keel_io io = contract_io(c, device, KEEL_OP_READ, buf, 0, 1);

    io.done = note;
    io.user = &record;
    io.flags = KEEL_IO_ANY_THREAD;
    cr_assert_eq(keel_io_submit(silent, &io), 0);
    struct keel_ioref ref = keel_io_ref(&io);
    cr_assert_not(keel_ioref_done(ref));
    keel_ioref_wait(ref);

    cr_assert(keel_ioref_done(ref));
    cr_assert_eq(record.calls, 1);
    keel_ioref_wait(ref);
    keel_ctx_close(silent);
    keel_device_close(device);
}

CONTRACT_TEST(a_request_that_does_nothing_comes_back)
{
    struct record record = {0};
    struct keel_io io = {.op = KEEL_OP_NOP, .cls = KEEL_CLASS_HOST, .done = note, .user = &record};

    for (unsigned i = 1; i <= 20; i++) {
        cr_assert_eq(contract_run(c, &io), 0);
        cr_assert_eq(record.calls, i);
    }
}

/* ---------------------------------------------------------------- cancelling, bounds, closing */

CONTRACT_TEST(what_is_still_queued_can_be_cancelled)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct record record = {0};
    struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);

    memset(buf, 'x', BLOCK);
    io.done = note;
    io.user = &record;
    cr_assert_eq(keel_io_submit(c->ctx, &io), 0);
    cr_assert_eq(keel_io_cancel(c->ctx, &io), 0);
    cr_assert_eq(keel_io_cancel(c->ctx, &io), KEEL_EBUSY, "once is enough");
    poll_until(c, &record.calls, 1);

    cr_assert_eq(record.res, -ECANCELED);
    contract_expect(c, device, 0, 1, 0);
    cr_assert_eq(contract_run(c, &io), 0, "it can be used again");
    cr_assert_eq(record.calls, 2);
    contract_expect(c, device, 0, 1, 'x');
    keel_device_close(device);
}

CONTRACT_TEST(what_is_at_the_device_completes_by_itself)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct record record = {0};
    struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);

    memset(buf, 'x', BLOCK);
    io.done = note;
    io.user = &record;
    cr_assert_eq(keel_io_submit(c->ctx, &io), 0);
    keel_ctx_kick(c->ctx);
    cr_assert_eq(keel_io_cancel(c->ctx, &io), KEEL_EBUSY);
    poll_until(c, &record.calls, 1);

    cr_assert_eq(record.res, 0);
    contract_expect(c, device, 0, 1, 'x');
    keel_device_close(device);
}

CONTRACT_TEST(I3_a_full_queue_refuses_until_something_was_done)
{
    enum { COUNT = 64 };
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, COUNT);
    struct keel_ctx *main_ctx = c->ctx;
    struct keel_io io[COUNT];
    struct record record = {0};
    unsigned accepted = 0;

    options.depth = 8;
    options.queue_max = 16;
    c->ctx = contract_ctx(c, &options);
    for (unsigned i = 0; i < COUNT; i++) {
        io[i] = contract_io(c, device, KEEL_OP_READ, buf + (size_t)i * BLOCK, i % 8, 1);
        io[i].done = note;
        io[i].user = &record;
        int rc = keel_io_submit(c->ctx, &io[i]);

        cr_assert(rc == 0 || rc == KEEL_EFULL, "%s", keel_err_name(rc));
        accepted += rc == 0;
    }
    cr_assert_eq(accepted, 16);
    poll_until(c, &record.calls, accepted);
    cr_assert_eq(keel_io_submit(c->ctx, &io[COUNT - 1]), 0);
    poll_until(c, &record.calls, accepted + 1);
    keel_ctx_close(c->ctx);
    c->ctx = main_ctx;
    keel_device_close(device);
}

CONTRACT_TEST(closing_a_context_finishes_what_is_queued_and_in_flight)
{
    enum { COUNT = 100 };
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device *device = contract_create(c, "d", COUNT);
    uint8_t *buf = contract_alloc(c, COUNT);
    static struct keel_io io[COUNT];
    struct record record = {0};

    options.depth = 16;
    struct keel_ctx *ctx = contract_ctx(c, &options);
    memset(buf, 'c', (size_t)COUNT * BLOCK);
    for (unsigned i = 0; i < COUNT; i++) {
        io[i] = contract_io(c, device, KEEL_OP_WRITE, buf + (size_t)i * BLOCK, i, 1);
        io[i].flags = i % 5 == 0 ? KEEL_IO_LINK_SYNC : 0;
        io[i].done = note;
        io[i].user = &record;
        cr_assert_eq(keel_io_submit(ctx, &io[i]), 0);
        if (i == COUNT / 2)
            keel_ctx_kick(ctx);
    }
    keel_ctx_close(ctx);

    cr_assert_eq(record.calls, COUNT);
    contract_expect(c, device, 0, COUNT, 'c');
    keel_device_close(device);
}

CONTRACT_TEST(what_its_submitter_carries_out_completes_beside_what_is_in_flight)
{
    enum { COUNT = 48 };
    struct keel_device *device = contract_create(c, "d", COUNT);
    uint8_t *buf = contract_alloc(c, COUNT);
    struct keel_io io[COUNT];

    memset(buf, 'i', (size_t)COUNT * BLOCK);
    for (uint32_t i = 0; i < COUNT; i++) {
        io[i] = contract_io(c, device, KEEL_OP_WRITE, buf + (size_t)i * BLOCK, i, 1);
        io[i].flags = i % 3 == 0 ? KEEL_IO_DSYNC | KEEL_IO_INLINE : 0;
        cr_assert_eq(keel_io_submit(c->ctx, &io[i]), 0);
        if (i % 7 == 0) /* never waits, so it leaves them to those who do */
            keel_ctx_kick(c->ctx);
        if (i % 3 == 0 && i % 2 == 0)
            cr_assert_eq(keel_io_wait(c->ctx, &io[i]), 0);
    }
    for (uint32_t i = COUNT; i-- > 0;)
        cr_assert_eq(keel_io_wait(c->ctx, &io[i]), 0);

    contract_expect(c, device, 0, COUNT, 'i');
    keel_device_close(device);
}

CONTRACT_TEST(waiting_with_nothing_to_wait_for_returns_at_once)
{
    cr_assert_eq(keel_ctx_poll(c->ctx, 0, -1), 0);
    cr_assert_eq(keel_ctx_poll(c->ctx, 0, 0), 0);
    cr_assert_eq(keel_ctx_poll(c->ctx, 0, 1000000), 0);
    cr_assert_eq(keel_ctx_kick(c->ctx), 0);
}

/* ---------------------------------------------------------------- errors and short transfers */

/* Make the file smaller than the device knows. */
static void cut_file(struct contract *c, const char *name, uint32_t blocks)
{
    cr_assert_eq(truncate(contract_path(c, name), (off_t)blocks * BLOCK), 0);
}

CONTRACT_TEST(a_read_that_cannot_be_completed_fails)
{
    CONTRACT_NEEDS_FILES(c); /* a disk cannot be cut short */

    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 8);
    struct keel_fault fault = {.op = KEEL_OP_READ, .kind = KEEL_FAULT_ERROR, .error = -EIO};
    struct keel_io io = contract_io(c, device, KEEL_OP_READ, buf, 0, 8);

    contract_write(c, device, 0, 8, 'a');
    if (c->sim)
        cr_assert_eq(keel_sim_fault(c->sim, &fault), 0);
    else
        cut_file(c, "d", 4);

    cr_assert_eq(contract_run(c, &io), c->sim ? -EIO : KEEL_ERANGE);
    contract_expect(c, device, 0, 4, 'a');
    keel_device_close(device);
}

CONTRACT_TEST(short_transfers_are_continued)
{
    if (!c->sim)
        CONTRACT_SKIP(c, "no way to make this kernel cut a transfer short and go on");

    static const uint16_t flags[] = {0, KEEL_IO_DSYNC, KEEL_IO_LINK_SYNC};
    struct keel_device *device = contract_create(c, "d", 64);
    uint8_t *buf = contract_alloc(c, 64);
    struct keel_fault fault = {.kind = KEEL_FAULT_SHORT, .repeat = 3};

    for (uint8_t i = 0; i < 3; i++) {
        struct keel_io write = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 64);
        struct keel_io read = contract_io(c, device, KEEL_OP_READ, buf, 0, 64);

        memset(buf, i + 1, 64 * BLOCK);
        write.flags = flags[i];
        cr_assert_eq(keel_sim_fault(c->sim, &fault), 0);
        cr_assert_eq(contract_run(c, &write), 0);
        cr_assert_eq(after_power_cut(c), flags[i] ? i + 1 : 0);
        memset(buf, 0xff, 64 * BLOCK);
        cr_assert_eq(keel_sim_fault(c->sim, &fault), 0);
        cr_assert_eq(contract_run(c, &read), 0);
        for (size_t at = 0; at < 64 * BLOCK; at++)
            cr_assert_eq(buf[at], i + 1);
        contract_write(c, device, 0, 64, 0);
        struct keel_io sync = contract_io(c, device, KEEL_OP_SYNC, NULL, 0, 0);
        cr_assert_eq(contract_run(c, &sync), 0);
    }
    keel_device_close(device);
}

CONTRACT_TEST(W4_a_failed_sync_is_reported_and_never_repeated)
{
    if (!c->sim)
        CONTRACT_SKIP(c, "no way to make a sync fail on this device");

    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct keel_fault fault = {.op = KEEL_OP_SYNC, .kind = KEEL_FAULT_ERROR, .error = -EIO};
    struct keel_io linked = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);
    struct keel_io sync = contract_io(c, device, KEEL_OP_SYNC, NULL, 0, 0);
    uint64_t writes;
    uint64_t before;
    uint64_t after;

    linked.flags = KEEL_IO_LINK_SYNC;
    keel_sim_counts(c->sim, contract_path(c, "d"), &writes, &before);
    cr_assert_eq(keel_sim_fault(c->sim, &fault), 0);
    cr_assert_eq(contract_run(c, &linked), -EIO);
    cr_assert_eq(keel_sim_fault(c->sim, &fault), 0);
    cr_assert_eq(contract_run(c, &sync), -EIO);
    keel_sim_counts(c->sim, contract_path(c, "d"), &writes, &after);

    cr_assert_eq(after - before, 2, "one for each request");
    keel_device_close(device);
}

CONTRACT_TEST(a_failed_write_of_a_linked_pair_is_what_is_reported)
{
    if (!c->sim)
        CONTRACT_SKIP(c, "no way to make a write fail on this device");

    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct keel_fault fault = {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_ERROR, .error = -ENODATA};
    struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);
    uint64_t writes;
    uint64_t before;
    uint64_t after;

    io.flags = KEEL_IO_LINK_SYNC;
    keel_sim_counts(c->sim, contract_path(c, "d"), &writes, &before);
    cr_assert_eq(keel_sim_fault(c->sim, &fault), 0);
    cr_assert_eq(contract_run(c, &io), -ENODATA);
    keel_sim_counts(c->sim, contract_path(c, "d"), &writes, &after);
    cr_assert_eq(after, before, "the sync behind it was cancelled");
    keel_device_close(device);
}

/* ---------------------------------------------------------------- ranges */

CONTRACT_TEST(zeroes_are_there_where_they_were_written_and_nowhere_else)
{
    struct keel_device *device = contract_create(c, "d", 64);
    struct keel_io io = contract_io(c, device, KEEL_OP_WRITE_ZEROES, NULL, 3, 40);

    contract_write(c, device, 0, 64, 'a');
    int rc = contract_run(c, &io);
    if (rc == -EOPNOTSUPP) {
        keel_device_close(device);
        CONTRACT_SKIP(c, "no write of zeroes on this file system or device");
    }
    cr_assert_eq(rc, 0, "%s", keel_err_name(rc));
    contract_expect(c, device, 0, 3, 'a');
    contract_expect(c, device, 3, 40, 0);
    contract_expect(c, device, 43, 21, 'a');
    contract_write(c, device, 4, 1, 'b');
    contract_expect(c, device, 3, 1, 0);
    contract_expect(c, device, 4, 1, 'b');
    keel_device_close(device);
}

CONTRACT_TEST(deallocating_leaves_the_neighbours_and_the_range_can_be_written_again)
{
    struct keel_device *device = contract_create(c, "d", 64);
    struct keel_io io = contract_io(c, device, KEEL_OP_DEALLOCATE, NULL, 8, 16);

    contract_write(c, device, 0, 64, 'a');
    int rc = contract_run(c, &io);
    if (rc == -EOPNOTSUPP) {
        keel_device_close(device);
        CONTRACT_SKIP(c, "nothing can be deallocated on this file system or device");
    }
    cr_assert_eq(rc, 0, "%s", keel_err_name(rc));
    contract_expect(c, device, 0, 8, 'a');
    contract_expect(c, device, 24, 40, 'a');
    if (!c->disk)
        contract_expect(c, device, 8, 16, 0); /* a disk may say what it likes */
    contract_write(c, device, 8, 16, 'b');
    contract_expect(c, device, 8, 16, 'b');
    keel_device_close(device);
}

CONTRACT_TEST(ranges_have_no_memory_and_stay_inside_the_device)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    static const enum keel_op ops[] = {KEEL_OP_WRITE_ZEROES, KEEL_OP_DEALLOCATE};

    contract_write(c, device, 0, 8, 'a');
    for (unsigned i = 0; i < 2; i++) {
        struct keel_io with = contract_io(c, device, ops[i], buf, 0, 1);
        struct keel_io beyond = contract_io(c, device, ops[i], NULL, 7, 2);
        struct keel_io none = contract_io(c, device, ops[i], NULL, 0, 0);
        struct keel_io odd = contract_io(c, device, ops[i], NULL, 0, 1);

        odd.len_bytes = 512;
        cr_assert_eq(contract_run(c, &with), KEEL_EALIGN);
        cr_assert_eq(contract_run(c, &beyond), KEEL_ERANGE);
        cr_assert_eq(contract_run(c, &none), KEEL_ERANGE);
        cr_assert_eq(contract_run(c, &odd), KEEL_EALIGN);
    }
    contract_expect(c, device, 0, 8, 'a');
    keel_device_close(device);
}

static void prepare_nothing(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    (void)raw;
    (void)sqe;
    cr_assert_fail("there is no ring to prepare anything for");
}

static void finish_nothing(struct keel_raw *raw, int32_t res, uint32_t cqe_flags, bool more)
{
    (void)raw;
    (void)res;
    (void)cqe_flags;
    (void)more;
    cr_assert_fail("nothing was submitted");
}

CONTRACT_TEST(raw_operations_are_for_rings_only)
{
    struct keel_raw raw = {.prep = prepare_nothing, .done = finish_nothing};

    if (c->method == KEEL_METHOD_URING)
        CONTRACT_SKIP(c, "a ring has them; the tests of the ring show it");
    cr_assert_eq(keel_ctx_raw(c->ctx, &raw), KEEL_ENOTSUP);
}
