/*
 * Faults: each kind does what it says, to the command that it was aimed at and to no other.
 */
#include "tests/support/table.h"
#include "tests/unit/iosched/sim_fixture.h"

static struct keel_sim *sim;
static struct sim_file *file;

static void setup(void)
{
    sim = make_sim(7, true);
    file = make_file(sim, "wal", 16);
}

static void teardown(void)
{
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

TestSuite(sim_fault, .init = setup, .fini = teardown);

static void arm(uint8_t op, uint8_t kind, uint32_t countdown, uint32_t repeat)
{
    struct keel_fault fault = {.op = op,
                               .kind = kind,
                               .countdown = countdown,
                               .repeat = repeat,
                               .error = kind == KEEL_FAULT_ERROR ? -ENODATA : 0};

    cr_assert_eq(keel_sim_fault(sim, &fault), 0);
}

Test(sim_fault, strikes_after_the_countdown_as_often_as_it_was_told_to)
{
    arm(KEEL_OP_WRITE, KEEL_FAULT_ERROR, 2, 3);

    for (int i = 0; i < 8; i++) {
        cr_assert_eq(do_write(file, 0, 1, 'a'), i >= 2 && i < 5 ? -ENODATA : 4096, "write %d", i);
        cr_assert_eq(do_sync(file), 0, "syncs are not meant");
    }
}

Test(sim_fault, strikes_for_ever_when_told_to_and_once_when_not_told)
{
    arm(KEEL_OP_SYNC, KEEL_FAULT_ERROR, 0, 0);
    cr_assert_eq(do_sync(file), -ENODATA);
    cr_assert_eq(do_sync(file), 0);

    arm(KEEL_OP_SYNC, KEEL_FAULT_ERROR, 0, UINT32_MAX);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(do_sync(file), -ENODATA);
    keel_sim_fault_clear(sim);
    cr_assert_eq(do_sync(file), 0);
}

Test(sim_fault, strikes_only_files_whose_path_matches)
{
    struct sim_file *other = make_file(sim, "pages", 4);
    struct keel_fault fault = {.path = "page", .kind = KEEL_FAULT_ERROR, .repeat = UINT32_MAX};

    cr_assert_eq(keel_sim_fault(sim, &fault), 0);
    cr_assert_eq(do_write(file, 0, 1, 'a'), 4096);
    cr_assert_eq(do_write(other, 0, 1, 'a'), -EIO, "the error when none was named");
    sim_file_close(sim, other);
}

Test(sim_fault, a_failed_write_leaves_nothing_all_or_its_beginning)
{
    bool nothing = false;
    bool all = false;
    bool part = false;

    for (int i = 0; i < 300; i++) {
        uint8_t fill = (uint8_t)(i % 2 + 1);
        uint8_t data[2 * SIM_BLOCK_BYTES];
        uint32_t stored = 0;

        arm(KEEL_OP_WRITE, KEEL_FAULT_ERROR, 0, 1);
        cr_assert_eq(do_write(file, 2, 2, fill), -ENODATA);
        do_read(file, 2, data, sizeof(data));
        while (stored < sizeof(data) && data[stored] == fill)
            stored++;
        cr_assert_eq(stored % SIM_SECTOR_BYTES, 0);
        nothing |= stored == 0;
        all |= stored == sizeof(data);
        part |= stored > 0 && stored < sizeof(data);
        cr_assert_eq(do_write(file, 2, 2, fill), 2 * 4096);
    }
    cr_assert(nothing && all && part);
}

Test(sim_fault, a_short_transfer_moves_its_first_half)
{
    uint8_t data[4 * SIM_BLOCK_BYTES];

    arm(KEEL_OP_WRITE, KEEL_FAULT_SHORT, 0, 1);
    cr_assert_eq(do_write(file, 0, 4, 'a'), 2 * 4096);
    memset(data, 'x', sizeof(data));
    arm(KEEL_OP_READ, KEEL_FAULT_SHORT, 0, 1);
    cr_assert_eq(do_read(file, 0, data, 4096), 2048);
    cr_assert_eq(data[2047], 'a');
    cr_assert_eq(data[2048], 'x', "the rest of the buffer is untouched");
    cr_assert_eq(do_read(file, 0, data, sizeof(data)), sizeof(data));
    cr_assert_eq(data[2 * 4096 - 1], 'a');
    cr_assert_eq(data[2 * 4096], 0);
}

static unsigned bits_different(const uint8_t *data, size_t len, uint8_t fill)
{
    unsigned bits = 0;

    for (size_t i = 0; i < len; i++)
        bits += (unsigned)__builtin_popcount((unsigned)(data[i] ^ fill));
    return bits;
}

Test(sim_fault, a_flipped_read_leaves_what_is_stored_alone)
{
    uint8_t data[2 * SIM_BLOCK_BYTES];

    do_write(file, 0, 2, 'a');
    arm(KEEL_OP_READ, KEEL_FAULT_FLIP, 0, 1);

    cr_assert_eq(do_read(file, 0, data, sizeof(data)), sizeof(data));
    cr_assert_eq(bits_different(data, sizeof(data), 'a'), 1);
    do_read(file, 0, data, sizeof(data));
    cr_assert_eq(bits_different(data, sizeof(data), 'a'), 0);
}

Test(sim_fault, a_flipped_write_is_stored_with_one_bit_changed)
{
    static const uint8_t fills[] = {'a', 0};

    for (size_t i = 0; i < sizeof(fills); i++) {
        uint8_t data[2 * SIM_BLOCK_BYTES];

        arm(KEEL_OP_WRITE, KEEL_FAULT_FLIP, 0, 1);
        cr_assert_eq(do_write(file, 0, 2, fills[i]), 2 * 4096);
        do_read(file, 0, data, sizeof(data));
        cr_assert_eq(bits_different(data, sizeof(data), fills[i]), 1);
    }
}

Test(sim_fault, a_lost_write_is_reported_as_done_and_never_stored)
{
    arm(KEEL_OP_WRITE, KEEL_FAULT_LOST, 0, 1);
    cr_assert_eq(do_write(file, 0, 1, 'a'), 4096);
    cr_assert_eq(do_sync(file), 0);

    cr_assert_eq(durable_block(sim, "wal", 0), 0);
}

Test(sim_fault, a_lost_sync_is_caught_by_a_power_cut)
{
    arm(KEEL_OP_SYNC, KEEL_FAULT_LOST, 0, 1);
    do_write(file, 0, 1, 'a');
    cr_assert_eq(do_sync(file), 0, "it says that all is well");

    struct keel_sim *cut = cut_now(sim, KEEL_CUT_LOSE_ALL, 1);
    cr_assert_eq(durable_block(cut, "wal", 0), 0, "but the write is lost");
    keel_sim_destroy(cut);
    cr_assert_eq(do_sync(file), 0);
    cut = cut_now(sim, KEEL_CUT_LOSE_ALL, 1);
    cr_assert_eq(durable_block(cut, "wal", 0), 'a', "an honest sync saves it");
    keel_sim_destroy(cut);
}

Test(sim_fault, a_sync_after_a_failed_one_proves_nothing)
{
    arm(KEEL_OP_SYNC, KEEL_FAULT_ERROR, 0, 1);
    do_write(file, 0, 1, 'a');
    cr_assert_eq(do_sync(file), -ENODATA);
    do_write(file, 1, 1, 'b');
    cr_assert_eq(do_sync(file), 0);

    struct keel_sim *cut = cut_now(sim, KEEL_CUT_LOSE_ALL, 1);
    cr_assert_eq(durable_block(cut, "wal", 0), 0);
    cr_assert_eq(durable_block(cut, "wal", 1), 'b');
    keel_sim_destroy(cut);
    cut = cut_now(sim, KEEL_CUT_KEEP_ALL, 1);
    cr_assert_eq(durable_block(cut, "wal", 0), 'a', "it may survive all the same");
    keel_sim_destroy(cut);
}

Test(sim_fault, a_misdirected_write_lands_one_block_further)
{
    uint8_t data[3 * SIM_BLOCK_BYTES];

    arm(KEEL_OP_WRITE, KEEL_FAULT_MISDIRECT, 0, 1);
    cr_assert_eq(do_write(file, 0, 1, 'a'), 4096);
    do_read(file, 0, data, sizeof(data));
    cr_assert_eq(data[0], 0);
    cr_assert_eq(data[4096], 'a');
    cr_assert_eq(data[8192], 0);

    arm(KEEL_OP_WRITE, KEEL_FAULT_MISDIRECT, 0, 1);
    cr_assert_eq(do_write(file, 15, 1, 'b'), 4096, "behind the end it is simply lost");
}

Test(sim_fault, a_slow_command_takes_a_thousand_times_as_long)
{
    uint64_t start_ns = keel_sim_now_ns(sim);

    arm(0, KEEL_FAULT_SLOW, 0, 1);
    cr_assert_eq(do_sync(file), 0);

    cr_assert_geq(keel_sim_now_ns(sim) - start_ns, 10000u * 1000u);
    cr_assert_leq(keel_sim_now_ns(sim) - start_ns, 200000u * 1000u);
}

Test(sim_fault, two_faults_share_the_commands_between_them)
{
    arm(KEEL_OP_WRITE, KEEL_FAULT_ERROR, 0, 1);
    arm(KEEL_OP_WRITE, KEEL_FAULT_LOST, 0, 1);

    cr_assert_eq(do_write(file, 0, 1, 'a'), -ENODATA);
    cr_assert_eq(do_write(file, 1, 1, 'b'), 4096);
    do_sync(file);
    cr_assert_eq(durable_block(sim, "wal", 1), 0);
    cr_assert_eq(do_write(file, 1, 1, 'c'), 4096);
    do_sync(file);
    cr_assert_eq(durable_block(sim, "wal", 1), 'c');
}

Test(sim_fault, eight_can_be_armed_and_a_spent_one_makes_room)
{
    struct keel_fault fault = {.kind = KEEL_FAULT_SLOW, .op = KEEL_OP_SYNC, .countdown = 100};

    for (unsigned i = 0; i < SIM_FAULTS_MAX - 1; i++)
        cr_assert_eq(keel_sim_fault(sim, &fault), 0);
    arm(KEEL_OP_WRITE, KEEL_FAULT_ERROR, 0, 1);
    cr_assert_eq(keel_sim_fault(sim, &fault), KEEL_EFULL);
    cr_assert_eq(do_write(file, 0, 1, 'a'), -ENODATA);
    cr_assert_eq(keel_sim_fault(sim, &fault), 0);
}

static const struct {
    const char *label;
    struct keel_fault fault;
} nonsense[] = {
    {"no kind", {.kind = KEEL_FAULT_NONE}},
    {"unknown kind", {.kind = KEEL_FAULT_SLOW + 1}},
    {"unknown op", {.kind = KEEL_FAULT_ERROR, .op = 9}},
    {"positive error", {.kind = KEEL_FAULT_ERROR, .error = 5}},
    {"a sync cannot be short", {.kind = KEEL_FAULT_SHORT, .op = KEEL_OP_SYNC}},
    {"a read cannot be lost", {.kind = KEEL_FAULT_LOST, .op = KEEL_OP_READ}},
    {"a read cannot be misdirected", {.kind = KEEL_FAULT_MISDIRECT, .op = KEEL_OP_READ}},
    {"reserved", {.kind = KEEL_FAULT_ERROR, .reserved = 1}},
};

TABLE_TEST(sim_fault_options, refuses_what_is_no_fault, nonsense)
{
    struct sim_faults faults = {0};

    cr_assert_eq(sim_faults_arm(&faults, &row->fault), KEEL_EOPTION, "%s", row->label);
    cr_assert_eq(faults.armed, 0);
}
