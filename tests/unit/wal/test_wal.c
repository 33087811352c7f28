/*
 * Creating, opening, starting and closing.
 */
#include "base/crc32c.h"
#include "tests/unit/wal/fixture.h"
#include "wal/log.h"

TestSuite(wal_wal, .timeout = 60);

static struct harvest harvest;

Test(wal_wal, a_new_log_is_clean_and_empty)
{
    struct world world;
    struct keel_wal_stats stats;

    world_create(&world, WORLD_RING_MIN, 1);
    cr_assert_eq(world_open(&world), 0);
    cr_assert(keel_wal_report(world.wal)->clean);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    cr_assert_eq(harvest.groups, 0);
    keel_wal_stats(world.wal, &stats);
    cr_assert_eq(stats.ring_bytes, WORLD_RING_MIN);
    cr_assert_eq(stats.used_bytes, 0);
    world_destroy(&world);
}

Test(wal_wal, opening_alone_changes_nothing_and_can_be_repeated)
{
    struct world world, after;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(group_commit(&world, 1, 1000), 0);
    world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_LOSE_ALL, 1, &after);
    cr_assert_eq(world_open(&after), 0);
    struct keel_wal_report first = *keel_wal_report(after.wal);
    cr_assert_eq(world_close(&after), 0);
    cr_assert_eq(world_open(&after), 0);
    cr_assert_arr_eq(keel_wal_report(after.wal), &first, sizeof(first));
    world_destroy(&after);
    world_destroy(&world);
}

Test(wal_wal, options_are_checked)
{
    static const struct keel_wal_options wrong[] = {
        {.size = 1},
        {.size = sizeof(struct keel_wal_options), .inflight_max = 33},
        {.size = sizeof(struct keel_wal_options), .batch_bytes_max = 5000},
        {.size = sizeof(struct keel_wal_options), .batch_bytes_max = KEEL_IO_BYTES_MAX + 4096},
        {.size = sizeof(struct keel_wal_options), .buffer_bytes = 1000000},
        {.size = sizeof(struct keel_wal_options), .batch_bytes_max = 65536, .buffer_bytes = 65536},
        {.size = sizeof(struct keel_wal_options), .sync = (enum keel_sync_method)9},
    };
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct keel_wal_options options = wrong[i];
        struct keel_wal *wal;

        options.method = KEEL_METHOD_SIM;
        options.sim = world.sim;
        cr_assert_eq(keel_wal_open(world.ctx, world.device, &options, NULL, &wal), KEEL_EOPTION,
                     "row %zu", i);
    }
    world_destroy(&world);
}

Test(wal_wal, a_device_that_is_too_small_is_refused)
{
    struct world world;
    struct keel_device *small;
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_wal *wal;

    world_create(&world, WORLD_RING_MIN, 1);
    options.create_bytes = KEEL_WAL_BYTES_MIN - 4096;
    cr_assert_eq(keel_device_open(world.ctx, "small", &options, NULL, &small), 0);
    cr_assert_eq(keel_wal_create(world.ctx, small, &world.options, NULL), KEEL_EOPTION);
    cr_assert_eq(keel_wal_open(world.ctx, small, &world.options, NULL, &wal), KEEL_EFORMAT);
    keel_device_close(small);
    world_destroy(&world);
}

Test(wal_wal, a_file_that_is_no_log_is_refused)
{
    struct world world;
    struct keel_device *other;
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_wal *wal;

    world_create(&world, WORLD_RING_MIN, 1);
    options.create_bytes = KEEL_WAL_BYTES_MIN;
    cr_assert_eq(keel_device_open(world.ctx, "other", &options, NULL, &other), 0);
    cr_assert_eq(keel_wal_open(world.ctx, other, &world.options, NULL, &wal), KEEL_EFORMAT);
    keel_device_close(other);
    world_destroy(&world);
}

/* Write a superblock of a later version into all four copies, with good checksums. */
Test(wal_wal, a_newer_version_is_refused)
{
    struct world world;
    uint64_t size;

    world_create(&world, WORLD_RING_MIN, 1);
    size = keel_device_info(world.device)->size_bytes;
    const uint64_t at[4] = {0, WAL_BLOCK, size - 2 * WAL_BLOCK, size - WAL_BLOCK};
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t block[WAL_BLOCK];

        cr_assert_eq(keel_sim_peek(world.sim, WORLD_PATH, at[i], block, WAL_BLOCK), 0);
        cr_assert_eq(load_le64(block), WAL_MAGIC);
        cr_assert_eq(load_le32(block + 12), WAL_VERSION);
        store_le32(block + 12, WAL_VERSION + 1);
        store_le32(block + 8, 0);
        store_le32(block + 8, crc32c(0, block, WAL_BLOCK));
        cr_assert_eq(keel_sim_poke(world.sim, WORLD_PATH, at[i], block, WAL_BLOCK), 0);
    }
    cr_assert_eq(world_open(&world), KEEL_EVERSION);
    world_destroy(&world);
}

Test(wal_wal, two_lost_superblock_copies_are_repaired_and_three_are_too_many)
{
    struct world world;
    uint64_t size;

    world_create(&world, WORLD_RING_MIN, 1);
    size = keel_device_info(world.device)->size_bytes;
    world_flip(&world, 100, 1);
    world_flip(&world, size - WAL_BLOCK + 100, 1);
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_close(&world), 0);
    world_flip(&world, WAL_BLOCK + 100, 1);
    world_flip(&world, size - 2 * WAL_BLOCK + 100, 1);
    cr_assert_eq(world_open(&world), 0, "the first two were not repaired");
    cr_assert_eq(world_close(&world), 0);
    for (uint32_t i = 0; i < 3; i++)
        world_flip(&world, (i < 2 ? i * WAL_BLOCK : size - WAL_BLOCK) + 100, 1);
    cr_assert_eq(world_open(&world), KEEL_ESUPER);
    world_destroy(&world);
}

Test(wal_wal, read_only_repairs_nothing_and_does_not_start)
{
    struct world world;
    uint8_t byte;

    world_create(&world, WORLD_RING_MIN, 1);
    world_flip(&world, 100, 1);
    cr_assert_eq(keel_sim_peek(world.sim, WORLD_PATH, 100, &byte, 1), 0);
    uint8_t damaged = byte;
    world.options.read_only = true;
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(keel_wal_start(world.ctx, world.wal), KEEL_EREADONLY);
    cr_assert_eq(world_close(&world), 0);
    cr_assert_eq(keel_sim_peek(world.sim, WORLD_PATH, 100, &byte, 1), 0);
    cr_assert_eq(byte, damaged);
    world_destroy(&world);
}

Test(wal_wal, creating_anew_makes_the_old_contents_void)
{
    static const uint8_t other[16] = "another one here";
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(group_commit(&world, 1, 1000), 0);
    cr_assert_eq(world_close(&world), 0);
    world.options.uuid = other;
    cr_assert_eq(keel_wal_create(world.ctx, world.device, &world.options, NULL), 0);
    world.next_group = 1;
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 1000), 0);

    struct world after;
    world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_LOSE_ALL, 1, &after);
    cr_assert_eq(world_open(&after), 0);
    cr_assert_eq(keel_wal_report(after.wal)->verdict, 'J');
    cr_assert_eq(world_replay(&after, &harvest), 0);
    cr_assert_eq(harvest.groups, 1);
    world_destroy(&after);
    world_destroy(&world);
}

Test(wal_wal, a_start_whose_superblock_cannot_be_written_is_poison)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    cr_assert_eq(world_open(&world), 0);
    world_fault(&world, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, 0, UINT32_MAX);
    cr_assert_neq(keel_wal_start(world.ctx, world.wal), 0);
    cr_assert_eq(keel_wal_poisoned(world.wal), -EIO);
    keel_sim_fault_clear(world.sim);
    cr_assert_eq(keel_wal_start(world.ctx, world.wal), KEEL_EPOISON);
    world_destroy(&world);
}

Test(wal_wal, closing_makes_everything_durable_that_was_appended)
{
    struct world world, after;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(group_append(&world, 1, 1000), 0);
    cr_assert_eq(world_close(&world), 0);
    world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_LOSE_ALL, 1, &after);
    cr_assert_eq(world_open(&after), 0);
    cr_assert(keel_wal_report(after.wal)->clean);
    cr_assert_eq(world_replay(&after, &harvest), 0);
    cr_assert_eq(harvest.groups, 20);
    world_destroy(&after);
    world_destroy(&world);
}

/* An in-flight bound that was raised holds from the next start on; it is never lowered. */
Test(wal_wal, K_can_be_raised_and_is_remembered)
{
    struct world world;

    world_create(&world, 16 * WORLD_RING_MIN, 1);
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world.wal->super.inflight_bytes, 4 * 16384);
    cr_assert_eq(world_close(&world), 0);
    world.options.inflight_max = 16;
    world_start(&world);
    cr_assert_eq(world_close(&world), 0);
    world.options.inflight_max = 1;
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world.wal->super.inflight_bytes, 16 * 16384);
    world_destroy(&world);
}
