/*
 * The simulated method through the public calls: what the contract suite cannot ask of every
 * method, because only here the clock, the faults and the power belong to the test.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keel/iosched.h>
#include <keel/sched.h>
#include <keel/sim.h>

#define BLOCK  KEEL_BLOCK_BYTES
#define BLOCKS 64u

static struct keel_sim *sim;
static struct keel_ctx *ctx;
static struct keel_device *device;
static uint8_t *buf;

static void open_on(struct keel_sim *on, struct keel_ctx **ret)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = KEEL_METHOD_SIM;
    options.sim = on;
    cr_assert_eq(keel_ctx_open(&options, ret), 0);
}

static int create(const char *path, uint32_t blocks, struct keel_device **ret)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;

    options.create_bytes = (uint64_t)blocks * BLOCK;
    return keel_device_open(ctx, path, &options, NULL, ret);
}

static void setup_seed(uint64_t seed)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;

    options.seed = seed;
    options.history = true;
    options.bytes_max = 128 * BLOCK;
    cr_assert_eq(keel_sim_create(&options, &sim), 0);
    open_on(sim, &ctx);
    cr_assert_eq(create("d", BLOCKS, &device), 0);
    buf = aligned_alloc(BLOCK, BLOCKS * BLOCK);
}

static void setup(void)
{
    setup_seed(1);
}

static void teardown(void)
{
    keel_device_close(device);
    keel_ctx_close(ctx);
    keel_sim_destroy(sim);
    free(buf);
}

TestSuite(sim_method, .init = setup, .fini = teardown);

static struct keel_io io_of(enum keel_op op, uint32_t block, uint32_t blocks)
{
    return (struct keel_io){.device = device,
                            .buf = op == KEEL_OP_SYNC ? NULL : buf,
                            .offset_bytes = (uint64_t)block * BLOCK,
                            .len_bytes = blocks * BLOCK,
                            .op = (uint8_t)op,
                            .cls = KEEL_CLASS_HOST};
}

static int run(struct keel_io *io)
{
    cr_assert_eq(keel_io_submit(ctx, io), 0);
    return keel_io_wait(ctx, io);
}

Test(sim_method, nothing_happens_to_a_request_until_somebody_drives)
{
    struct keel_io io = io_of(KEEL_OP_WRITE, 0, 1);
    uint64_t now_ns = keel_sim_now_ns(sim);
    uint64_t events = keel_sim_events(sim);

    cr_assert_eq(keel_io_submit(ctx, &io), 0);
    cr_assert_eq(keel_sim_now_ns(sim), now_ns);
    cr_assert_eq(keel_io_wait(ctx, &io), 0);

    cr_assert_gt(keel_sim_now_ns(sim), now_ns);
    cr_assert_eq(keel_sim_events(sim), events + 1);
}

Test(sim_method, a_linked_pair_is_two_events_and_a_read_is_none)
{
    struct keel_io write = io_of(KEEL_OP_WRITE, 0, 1);
    struct keel_io read = io_of(KEEL_OP_READ, 0, 1);
    uint64_t events = keel_sim_events(sim);

    write.flags = KEEL_IO_LINK_SYNC;
    cr_assert_eq(run(&write), 0);
    cr_assert_eq(keel_sim_events(sim), events + 2);
    cr_assert_eq(run(&read), 0);
    cr_assert_eq(keel_sim_events(sim), events + 2);
}

Test(sim_method, waiting_on_one_context_moves_the_others_too)
{
    struct keel_ctx *other;
    struct keel_io theirs = io_of(KEEL_OP_WRITE, 0, 1);
    struct keel_fault slow = {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_SLOW, .countdown = 1};

    open_on(sim, &other);
    cr_assert_eq(keel_sim_fault(sim, &slow), 0);
    cr_assert_eq(keel_io_submit(other, &theirs), 0);
    keel_ctx_kick(other);
    struct keel_ioref ref = keel_io_ref(&theirs);
    struct keel_io mine = io_of(KEEL_OP_WRITE, 1, 1);
    cr_assert_eq(run(&mine), 0);

    cr_assert(keel_ioref_done(ref), "it came first");
    keel_ctx_close(other);
}

/* Time and order of a run that does a bit of everything, as one number. */
static uint64_t fingerprint(uint64_t seed)
{
    struct keel_io io[24];
    uint64_t sum = 0;

    teardown();
    setup_seed(seed);
    memset(buf, 1, BLOCKS * BLOCK);
    for (uint32_t i = 0; i < 24; i++) {
        io[i] = io_of(i % 8 == 7 ? KEEL_OP_SYNC : KEEL_OP_WRITE, i, i % 8 == 7 ? 0 : 1 + i % 3);
        io[i].flags = i % 4 == 1 ? KEEL_IO_LINK_SYNC : 0;
        cr_assert_eq(keel_io_submit(ctx, &io[i]), 0);
    }
    for (uint32_t i = 0; i < 24; i++) {
        cr_assert_eq(keel_io_wait(ctx, &io[i]), 0);
        sum = sum * 31 + keel_sim_now_ns(sim) + keel_sim_events(sim);
    }
    return sum;
}

Test(sim_method, the_same_seed_gives_the_same_run)
{
    cr_assert_eq(fingerprint(5), fingerprint(5));
    cr_assert_neq(fingerprint(5), fingerprint(6));
}

Test(sim_method, a_lost_write_and_a_misdirected_one_are_reported_as_done)
{
    struct keel_fault lost = {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_LOST};
    struct keel_fault misdirected = {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_MISDIRECT};
    struct keel_io write = io_of(KEEL_OP_WRITE, 0, 1);
    struct keel_io read = io_of(KEEL_OP_READ, 0, 2);

    memset(buf, 'a', BLOCK);
    cr_assert_eq(keel_sim_fault(sim, &lost), 0);
    cr_assert_eq(run(&write), 0);
    cr_assert_eq(run(&read), 0);
    cr_assert_eq(buf[0], 0);

    memset(buf, 'b', BLOCK);
    cr_assert_eq(keel_sim_fault(sim, &misdirected), 0);
    cr_assert_eq(run(&write), 0);
    cr_assert_eq(run(&read), 0);
    cr_assert_eq(buf[0], 0);
    cr_assert_eq(buf[BLOCK], 'b');
}

Test(sim_method, a_transfer_that_never_gets_on_fails_in_the_end)
{
    struct keel_fault fault = {.op = KEEL_OP_READ, .kind = KEEL_FAULT_SHORT, .repeat = UINT32_MAX};
    struct keel_io read = io_of(KEEL_OP_READ, 0, 8);

    cr_assert_eq(keel_sim_fault(sim, &fault), 0);
    cr_assert_lt(run(&read), 0, "half a block at a time is no progress");
}

/* Four writes that touch, handed over together. */
static void write_four(struct keel_io *ios, int want)
{
    for (unsigned i = 0; i < 4; i++) {
        ios[i] = (struct keel_io){.device = device,
                                  .buf = buf + i * BLOCK,
                                  .offset_bytes = i * BLOCK,
                                  .len_bytes = BLOCK,
                                  .op = KEEL_OP_WRITE,
                                  .cls = KEEL_CLASS_WRITEBACK};
        cr_assert_eq(keel_io_submit(ctx, &ios[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(keel_io_wait(ctx, &ios[i]), want);
}

static struct keel_sched_class_stats class_stats(unsigned cls)
{
    struct keel_sched_stats stats = {.size = sizeof(stats)};

    cr_assert_eq(keel_sched_stats(device, &stats), 0);
    return stats.classes[cls];
}

static uint64_t writes_sent(uint64_t *ret_syncs)
{
    uint64_t writes;

    keel_sim_counts(sim, "d", &writes, ret_syncs);
    return writes;
}

Test(sim_method, a_merged_write_that_fails_goes_again_in_its_parts_and_is_counted)
{
    struct keel_fault fault = {.op = KEEL_OP_WRITE, .kind = KEEL_FAULT_ERROR};
    struct keel_io ios[4];
    uint64_t syncs;

    uint64_t before = writes_sent(&syncs);
    write_four(ios, 0);
    cr_assert_eq(writes_sent(&syncs) - before, 1, "they are one command");
    cr_assert_eq(class_stats(KEEL_CLASS_WRITEBACK).resent, 0);

    cr_assert_eq(keel_sim_fault(sim, &fault), 0);
    write_four(ios, 0);
    cr_assert_eq(writes_sent(&syncs) - before, 1 + 1 + 4);
    cr_assert_eq(class_stats(KEEL_CLASS_WRITEBACK).resent, 1);
    cr_assert_eq(class_stats(KEEL_CLASS_WRITEBACK).errors, 1);

    fault.repeat = UINT32_MAX;
    cr_assert_eq(keel_sim_fault(sim, &fault), 0);
    write_four(ios, -EIO);
    cr_assert_eq(writes_sent(&syncs) - before, 6 + 1 + 4, "once, and no more");
    cr_assert_eq(class_stats(KEEL_CLASS_WRITEBACK).resent, 2);
}

Test(sim_method, W4_a_sync_that_fails_is_not_sent_again)
{
    const struct keel_fault fault = {.op = KEEL_OP_SYNC, .kind = KEEL_FAULT_ERROR};
    struct keel_io io = {.device = device, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_WRITEBACK};
    uint64_t before, after;

    writes_sent(&before);
    cr_assert_eq(keel_sim_fault(sim, &fault), 0);
    cr_assert_eq(keel_io_submit(ctx, &io), 0);
    cr_assert_eq(keel_io_wait(ctx, &io), -EIO);
    writes_sent(&after);
    cr_assert_eq(after - before, 1);
    cr_assert_eq(class_stats(KEEL_CLASS_WRITEBACK).resent, 0);
}

Test(sim_method, a_full_disk_refuses_devices_and_growth_and_leaves_nothing_behind)
{
    struct keel_device *other;

    cr_assert_eq(create("e", 65, &other), KEEL_ENOSPACE);
    cr_assert_eq(keel_path_exists(ctx, "e"), 0);
    cr_assert_eq(keel_device_grow(ctx, device, 129 * BLOCK), KEEL_ENOSPACE);
    cr_assert_eq(keel_device_info(device)->size_bytes, BLOCKS * BLOCK);
    cr_assert_eq(create("e", 64, &other), 0);
    keel_device_close(other);
}

Test(sim_method, E1_a_device_that_was_created_or_grown_survives_every_cut)
{
    uint64_t created = keel_sim_events(sim);

    cr_assert_eq(keel_device_grow(ctx, device, 2 * BLOCKS * BLOCK), 0);
    for (uint64_t event = created; event <= keel_sim_events(sim); event++) {
        for (int mode = 0; mode < KEEL_CUT_MODES; mode++) {
            struct keel_sim *cut;
            struct keel_ctx *on_cut;
            struct keel_device *there;

            cr_assert_eq(
                keel_sim_cut(sim, event, (enum keel_cut_mode)mode, event, NULL, NULL, &cut), 0);
            open_on(cut, &on_cut);
            cr_assert_eq(keel_device_open(on_cut, "d", NULL, NULL, &there), 0);
            uint64_t bytes = keel_device_info(there)->size_bytes;
            cr_assert(bytes == 2 * BLOCKS * BLOCK ||
                      (bytes == BLOCKS * BLOCK && event < keel_sim_events(sim)));
            keel_device_close(there);
            keel_ctx_close(on_cut);
            keel_sim_destroy(cut);
        }
    }
}

Test(sim_method, needs_a_simulation_and_no_ring)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *none;

    options.method = KEEL_METHOD_SIM;
    cr_assert_eq(keel_ctx_open(&options, &none), KEEL_EOPTION);
    options.sim = sim;
    options.iopoll = KEEL_REQUIRED;
    cr_assert_eq(keel_ctx_open(&options, &none), KEEL_EMETHOD);
    options.iopoll = KEEL_PREFERRED;
    options.fixed = KEEL_REQUIRED;
    cr_assert_eq(keel_ctx_open(&options, &none), KEEL_EMETHOD);
}
