/*
 * Readers: from which LSNs, how far, and what they say about a place that is not there (W3, W5).
 */
#include "tests/unit/wal/fixture.h"
#include "wal/log.h"

TestSuite(wal_reader, .timeout = 60);

static struct harvest harvest;

/* The records of a log as a reader gave them. */
#define RECORDS_MAX 4000u
static struct keel_wal_entry records[RECORDS_MAX];
static uint32_t record_count;

static struct keel_wal_reader *reader_open(struct world *world, keel_lsn from)
{
    struct keel_wal_reader *reader;

    cr_assert_eq(keel_wal_reader_open(world->ctx, world->wal, from, &world->info, &reader), 0, "%s",
                 world->info.object);
    return reader;
}

/* Read to the end into harvest and records; what the last call returned. */
static int reader_drain(struct keel_wal_reader *reader)
{
    struct keel_wal_entry entry;
    int rc;

    memset(&harvest, 0, sizeof(harvest));
    record_count = 0;
    while ((rc = keel_wal_reader_next(reader, &entry)) > 0) {
        cr_assert_eq(harvest_entry(&harvest, &entry), 0);
        cr_assert_lt(record_count, RECORDS_MAX);
        records[record_count++] = entry;
    }
    return rc;
}

static void read_all(struct world *world, keel_lsn from)
{
    struct keel_wal_reader *reader = reader_open(world, from);

    struct keel_wal_entry entry;

    cr_assert_eq(reader_drain(reader), 0);
    cr_assert_eq(keel_wal_reader_next(reader, &entry), 0, "asked again, it says the same");
    keel_wal_reader_close(reader);
}

/* Does this LSN lie within a record that was read? */
static bool within_record(keel_lsn lsn, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        keel_lsn end = records[i].end_lsn;

        if (!records[i].last) {
            end = records[i + 1].lsn;
            end -= end % WAL_BLOCK == WAL_HEADER ? WAL_HEADER : 0;
        }
        if (records[i].lsn < lsn && lsn < end)
            return true;
    }
    return false;
}

Test(wal_reader, begins_at_each_record_and_end_of_a_group_and_nowhere_else)
{
    struct world world;
    uint64_t refused = 0;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 12; i++) {
        cr_assert_eq(group_append(&world, 1 + i % 3, 16 + 400 * i), 0);
        if (i % 4 == 3)
            cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    }
    struct keel_wal_reader *reader = reader_open(&world, 0);
    cr_assert_eq(reader_drain(reader), 0);
    keel_wal_reader_close(reader);
    cr_assert_eq(harvest.last, 12);
    uint32_t count = record_count;

    for (keel_lsn from = records[0].lsn; from <= records[count - 1].end_lsn; from += 8) {
        struct keel_wal_entry entry;
        uint32_t next = 0;
        int rc = keel_wal_reader_open(world.ctx, world.wal, from, &world.info, &reader);

        if (within_record(from, count)) {
            cr_assert_eq(rc, KEEL_ELSN, "%lu: %d", (unsigned long)from, rc);
            cr_assert_eq(world.info.offset, from);
            refused++;
            continue;
        }
        cr_assert_eq(rc, 0, "%lu: %d", (unsigned long)from, rc);
        while (next < count && records[next].lsn < from)
            next++;
        rc = keel_wal_reader_next(reader, &entry);
        cr_assert_eq(rc, next < count);
        if (rc == 1) {
            cr_assert_eq(entry.lsn, records[next].lsn);
            cr_assert_eq(entry.group_lsn, entry.lsn);
        }
        keel_wal_reader_close(reader);
    }
    cr_assert_gt(refused, 1000);
    world_destroy(&world);
}

Test(wal_reader, gives_what_is_durable_when_it_is_opened_and_whole_groups_only)
{
    struct world world;
    struct keel_wal_entry entry;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_commit(&world, 2, 100), 0);
    cr_assert_eq(group_append(&world, 2, 100), 0);
    read_all(&world, 0);
    cr_assert_eq(group_commit(&world, 1, 100), 0);

    struct keel_wal_reader *reader = reader_open(&world, 0);
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(keel_wal_reader_next(reader, &entry), 1);
    cr_assert_eq(load_le64(entry.data), 3);
    cr_assert_eq(keel_wal_reader_next(reader, &entry), 0);
    keel_wal_reader_close(reader);

    /* A group of which the first blocks are durable and the last is not: its first record is there
     * whole, and still is not given. */
    struct keel_wal_credit credit = {0};
    keel_lsn lsn, end, durable = keel_wal_durable(world.wal);
    world.options.inflight_max = 1;
    cr_assert_eq(keel_wal_credit_take(world.wal, &credit, 40 * WAL_BLOCK), 0);
    cr_assert_eq(
        group_append_mark(&world, &credit, keel_wal_mark(world.wal), 10, 14000, &lsn, &end), 0);
    keel_wal_credit_put(world.wal, &credit);
    cr_assert_gt(keel_wal_durable(world.wal), durable, "the buffer is smaller than the group");
    cr_assert_lt(keel_wal_durable(world.wal), end);
    reader = reader_open(&world, lsn);
    cr_assert_eq(keel_wal_reader_next(reader, &entry), 0);
    keel_wal_reader_close(reader);
    cr_assert_eq(keel_wal_commit(world.wal, end), 0);
    reader = reader_open(&world, lsn);
    cr_assert_eq(reader_drain(reader), 0);
    cr_assert_eq(record_count, 10);
    keel_wal_reader_close(reader);
    world_destroy(&world);
}

Test(wal_reader, W5_what_is_no_longer_kept_or_not_yet_durable_is_refused)
{
    struct world world;
    struct keel_wal_reader *reader;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 9; i++)
        cr_assert_eq(group_commit(&world, 1, 3000), 0);
    keel_lsn cut = keel_wal_cut(world.wal);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), 0);
    cr_assert_eq(keel_wal_reader_open(world.ctx, world.wal, cut - WAL_BLOCK, &world.info, &reader),
                 KEEL_EGONE);
    cr_assert_eq(world.info.offset, cut - WAL_BLOCK);
    cr_assert_eq(world.info.want, cut / WAL_BLOCK * WAL_BLOCK);
    cr_assert_eq(group_append(&world, 1, 100), 0);
    cr_assert_eq(keel_wal_reader_open(world.ctx, world.wal, world.last_end, &world.info, &reader),
                 KEEL_ERANGE);
    cr_assert_eq(world.info.got, keel_wal_durable(world.wal));
    cr_assert_eq(group_append(&world, 1, 100), 0);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    read_all(&world, cut);
    world_destroy(&world);
}

/* Nothing holds the log: it goes around under a reader, which is told so, and is given nothing that
 * was not appended. */
Test(wal_reader, W5_a_reader_that_the_log_overtakes_is_told)
{
    struct world world;
    struct keel_wal_entry entry;

    world_create(&world, 64 * WORLD_RING_MIN, 1);
    world_start(&world);
    while (keel_wal_durable(world.wal) < 20 * WORLD_RING_MIN)
        cr_assert_eq(group_commit(&world, 4, 3000), 0);
    struct keel_wal_reader *reader = reader_open(&world, 0);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(keel_wal_reader_next(reader, &entry), 1);
    while (keel_wal_durable(world.wal) < 80 * WORLD_RING_MIN) {
        if (group_commit(&world, 4, 3000) == KEEL_ELOGFULL)
            cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, keel_wal_cut(world.wal)), 0);
    }
    cr_assert_eq(reader_drain(reader), KEEL_EGONE);
    cr_assert_gt(record_count, 0);
    cr_assert_eq(keel_wal_reader_info(reader)->code, KEEL_EGONE);
    cr_assert_lt(keel_wal_reader_info(reader)->offset, keel_wal_reader_info(reader)->want);
    cr_assert_eq(keel_wal_reader_next(reader, &entry), KEEL_EGONE, "final");
    keel_wal_reader_close(reader);
    world_destroy(&world);
}

Test(wal_reader, damage_is_named_with_its_lsn_and_kind)
{
    struct world world;
    struct keel_wal_reader *reader;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 9; i++)
        cr_assert_eq(group_commit(&world, 1, 3000), 0);
    read_all(&world, 0);
    keel_lsn bad = lsn_block_down(records[5].lsn);
    world_flip(&world, world_offset(&world, bad + 1000), 1);
    reader = reader_open(&world, 0);
    cr_assert_eq(reader_drain(reader), KEEL_ECORRUPT);
    cr_assert_eq(record_count, 5);
    cr_assert_eq(keel_wal_reader_info(reader)->offset, bad);
    cr_assert(strstr(keel_wal_reader_info(reader)->object, "checksum"));
    keel_wal_reader_close(reader);

    /* Where it would begin. */
    cr_assert_eq(
        keel_wal_reader_open(world.ctx, world.wal, records[3].end_lsn, &world.info, &reader), 0);
    cr_assert_eq(reader_drain(reader), KEEL_ECORRUPT);
    keel_wal_reader_close(reader);
    cr_assert_eq(keel_wal_reader_open(world.ctx, world.wal, bad, &world.info, &reader),
                 KEEL_ECORRUPT);
    cr_assert_eq(world.info.offset, bad);

    world_flip(&world, world_offset(&world, bad + 1000), 1);
    world_fault(&world, KEEL_OP_READ, KEEL_FAULT_ERROR, -EIO, 0, UINT32_MAX);
    cr_assert_eq(keel_wal_reader_open(world.ctx, world.wal, bad, &world.info, &reader), KEEL_EREAD);
    cr_assert_eq(world.info.offset, bad);
    keel_sim_fault_clear(world.sim);
    read_all(&world, 0);
    world_destroy(&world);
}

/* Offline, over several starts with torn tails between them: what replay gives, from any group. */
Test(wal_reader, offline_it_gives_what_replay_gives)
{
    struct world world, after;
    static struct harvest replayed;

    world_create(&world, 4 * WORLD_RING_MIN, 1);
    for (uint32_t i = 0; i < 4; i++) {
        world_start(&world);
        for (uint32_t g = 0; g < 6; g++)
            cr_assert_eq(group_commit(&world, 2, 900 + 300 * i), 0);
        cr_assert_eq(group_append(&world, 3, 5000), 0);
        keel_wal_kick(world.wal);
        world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_LOSE_ALL, i, &after);
        world_destroy(&world);
        world = after;
        cr_assert_eq(world_open(&world), 0);
        cr_assert_eq(world_replay(&world, &replayed), 0);
        world.next_group = replayed.last + 1;
        cr_assert_eq(world_close(&world), 0);
    }
    world.options.read_only = true;
    cr_assert_eq(world_open(&world), 0);
    cr_assert_gt(world.wal->super.epoch_count, 3);
    read_all(&world, 0);
    cr_assert_eq(world_replay(&world, &replayed), 0);
    cr_assert_eq(replayed.groups, 24);

    struct keel_wal_reader *reader = reader_open(&world, 0);
    cr_assert_eq(reader_drain(reader), 0);
    keel_wal_reader_close(reader);
    cr_assert_eq(memcmp(&harvest, &replayed, sizeof(harvest)), 0);
    for (uint64_t g = 1; g < 24; g++) {
        read_all(&world, replayed.ends[g]);
        cr_assert_eq(keel_wal_reader_open(world.ctx, world.wal, replayed.ends[g], NULL, &reader),
                     0);
        cr_assert_eq(reader_drain(reader), 0);
        keel_wal_reader_close(reader);
        cr_assert_eq(harvest.first, g + 1);
        cr_assert_eq(harvest.last, 24);
    }
    world_destroy(&world);
}
