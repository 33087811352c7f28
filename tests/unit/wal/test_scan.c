/*
 * Recovery: where the log ends, what is void, what is damage. Damage is planted in what a power cut
 * left, so that each case is one that a device could produce.
 */
#include "base/prng.h"
#include "tests/support/seed.h"
#include "tests/support/share.h"
#include "tests/unit/wal/fixture.h"
#include "wal/log.h"

TestSuite(wal_scan, .timeout = 120);

static struct harvest harvest;

/* Groups of one block each, committed one by one: block i of the epoch holds group i + 1. */
static keel_lsn commit_blocks(struct world *world, uint32_t count)
{
    keel_lsn base = keel_wal_durable(world->wal);

    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(group_commit(world, 1, 3000), 0);
    return base;
}

static void cut_now(struct world *world, struct world *after)
{
    world_cut(world, keel_sim_events(world->sim), KEEL_CUT_LOSE_ALL, 1, after);
}

Test(wal_scan, an_unclean_log_ends_behind_its_last_block)
{
    struct world world, after;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    keel_lsn base = commit_blocks(&world, 5);
    cut_now(&world, &after);

    cr_assert_eq(world_open(&after), 0);
    const struct keel_wal_report *report = keel_wal_report(after.wal);
    cr_assert_eq(report->end_lsn, base + 5 * WAL_BLOCK);
    cr_assert_eq(report->last_group_lsn, world.last_end);
    cr_assert_eq(report->promise_lsn, base + 4 * WAL_BLOCK);
    cr_assert_eq(report->verdict, 'J');
    cr_assert(!report->clean);
    cr_assert_eq(world_replay(&after, &harvest), 0);
    cr_assert_eq(harvest.groups, 5);
    world_destroy(&after);
    world_destroy(&world);
}

Test(wal_scan, W7_damage_below_a_promise_is_reported_with_its_lsn)
{
    for (uint32_t victim = 0; victim < 5; victim++) {
        struct world world, after;

        world_create(&world, WORLD_RING_MIN, 1);
        world_start(&world);
        keel_lsn base = commit_blocks(&world, 6);
        keel_lsn lsn = base + victim * WAL_BLOCK;
        cut_now(&world, &after);
        world_flip(&after, world_offset(&after, lsn) + 100, 4);

        cr_assert_eq(world_open(&after), KEEL_ECORRUPT, "block %u", victim);
        cr_assert_eq(after.info.code, KEEL_ECORRUPT);
        cr_assert_eq(after.info.offset, lsn);
        cr_assert(strstr(after.info.object, "checksum"));
        cr_assert_eq(after.info.want, base + 5 * WAL_BLOCK, "the promise");

        /* Nothing was changed: undo the damage and it opens. */
        world_flip(&after, world_offset(&after, lsn) + 100, 4);
        cr_assert_eq(world_open(&after), 0);
        world_destroy(&after);
        world_destroy(&world);
    }
}

/* The documented blind spot: the very last batch, which no later block vouches for. */
Test(wal_scan, damage_to_the_last_batch_alone_passes_for_a_torn_tail)
{
    struct world world, after;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    keel_lsn base = commit_blocks(&world, 6);
    cut_now(&world, &after);
    world_flip(&after, world_offset(&after, base + 5 * WAL_BLOCK), 1);

    cr_assert_eq(world_open(&after), 0);
    cr_assert_eq(keel_wal_report(after.wal)->end_lsn, base + 5 * WAL_BLOCK);
    world_destroy(&after);
    world_destroy(&world);
}

Test(wal_scan, a_clean_log_is_held_to_its_exact_end)
{
    for (uint32_t victim = 0; victim < 6; victim++) {
        struct world world;

        world_create(&world, WORLD_RING_MIN, 1);
        world_start(&world);
        keel_lsn base = commit_blocks(&world, 6);
        cr_assert_eq(world_close(&world), 0);
        cr_assert_eq(world_open(&world), 0);
        cr_assert(keel_wal_report(world.wal)->clean);
        cr_assert_eq(keel_wal_report(world.wal)->verdict, 'D');
        cr_assert_eq(keel_wal_report(world.wal)->end_lsn, base + 6 * WAL_BLOCK);
        cr_assert_eq(world_close(&world), 0);

        world_flip(&world, world_offset(&world, base + victim * WAL_BLOCK) + 4000, 0x80);
        cr_assert_eq(world_open(&world), KEEL_ECORRUPT, "block %u", victim);
        cr_assert_eq(world.info.offset, base + victim * WAL_BLOCK);
        world_destroy(&world);
    }
}

Test(wal_scan, a_read_error_is_never_a_torn_tail)
{
    struct world world, after;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    commit_blocks(&world, 6);
    cut_now(&world, &after);
    /* The four superblock reads and the one of the newest copy pass; everything after fails. */
    world_fault(&after, KEEL_OP_READ, KEEL_FAULT_ERROR, -ENODATA, 5, UINT32_MAX);
    cr_assert_eq(world_open(&after), KEEL_EREAD);
    cr_assert_eq(after.info.got, ENODATA);
    cr_assert(strstr(after.info.object, "unreadable"));

    /* One that passes when it is repeated is none. */
    keel_sim_fault_clear(after.sim);
    world_fault(&after, KEEL_OP_READ, KEEL_FAULT_ERROR, -EIO, 5, 1);
    cr_assert_eq(world_open(&after), 0);
    world_destroy(&after);
    world_destroy(&world);
}

/*
 * A torn tail: of several writes in flight a later one is on the device and an earlier one is not.
 * The log ends at the hole; after the next start the leftovers are void, for ever (W3), also when
 * the new epoch is torn in its turn.
 */
Test(wal_scan, W3_leftovers_of_a_torn_tail_are_void_after_the_epoch_step)
{
    uint32_t torn_seen = 0;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct world world, after, again;

        world_create(&world, WORLD_RING_MIN, seed);
        world.options.pipeline_bytes = 4096;
        world_start(&world);
        commit_blocks(&world, 3);
        uint64_t acknowledged = world.next_group - 1;
        for (uint32_t i = 0; i < 12; i++) {
            cr_assert_eq(group_append(&world, 1, 3000), 0);
            keel_wal_kick(world.wal);
        }
        world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_SUBSET, seed, &after);

        cr_assert_eq(world_open(&after), 0, "seed %lu: %s", (unsigned long)seed, after.info.op);
        struct keel_wal_report report = *keel_wal_report(after.wal);
        torn_seen += report.blocks_torn > 0;
        cr_assert_eq(report.verdict, report.blocks_torn > 0 ? 'I' : 'J');
        cr_assert_eq(world_replay(&after, &harvest), 0);
        cr_assert_geq(harvest.last, acknowledged);
        uint64_t last = harvest.last;
        after.next_group = last + 1;
        cr_assert_eq(keel_wal_start(after.ctx, after.wal), 0);
        cr_assert_geq(keel_wal_durable(after.wal), report.end_lsn + after.wal->inflight_bytes);

        /* With and without anything written in the new epoch. */
        if (seed % 2)
            cr_assert_eq(group_commit(&after, 1, 500), 0);
        cut_now(&after, &again);
        cr_assert_eq(world_open(&again), 0);
        cr_assert_eq(keel_wal_report(again.wal)->blocks_torn, 0);
        cr_assert_geq(keel_wal_report(again.wal)->blocks_void, report.blocks_torn);
        cr_assert_eq(world_replay(&again, &harvest), 0);
        cr_assert_eq(harvest.last, last + seed % 2);
        world_destroy(&again);
        world_destroy(&after);
        world_destroy(&world);
    }
    cr_assert_gt(torn_seen, 5, "only %u torn tails", torn_seen);
}

Test(wal_scan, a_valid_block_further_on_than_K_is_damage)
{
    struct world world, after;
    uint8_t block[WAL_BLOCK];

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    keel_lsn base = commit_blocks(&world, 2);
    struct wal_seed seed = world.wal->seed;
    struct wal_block_head head = {.lsn = base + 2 * WAL_BLOCK + world.wal->inflight_bytes,
                                  .promise = base,
                                  .epoch = world.wal->epoch,
                                  .used = 0,
                                  .first = WAL_FIRST_NONE};
    cut_now(&world, &after);

    memset(block, 0, sizeof(block));
    wal_block_seal(&seed, block, &head);
    cr_assert_eq(
        keel_sim_poke(after.sim, WORLD_PATH, world_offset(&after, head.lsn), block, WAL_BLOCK), 0);
    cr_assert_eq(world_open(&after), KEEL_ECORRUPT);
    cr_assert_eq(after.info.got, head.lsn);

    /* One block lower it may be part of a torn tail. */
    memset(block, 0, sizeof(block));
    cr_assert_eq(
        keel_sim_poke(after.sim, WORLD_PATH, world_offset(&after, head.lsn), block, WAL_BLOCK), 0);
    head.lsn -= WAL_BLOCK;
    wal_block_seal(&seed, block, &head);
    cr_assert_eq(
        keel_sim_poke(after.sim, WORLD_PATH, world_offset(&after, head.lsn), block, WAL_BLOCK), 0);
    cr_assert_eq(world_open(&after), 0);
    cr_assert_eq(keel_wal_report(after.wal)->verdict, 'I');
    world_destroy(&after);
    world_destroy(&world);
}

/* W7, bit by bit: each bit of each block below the last promise, of a log that was not closed. */
Test(wal_scan, W7_every_bit_below_the_promise_is_guarded)
{
    struct world world, after;
    uint64_t blocks = 3, stride = TEST_SHARE(8) == 8 ? 7 : 29;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    keel_lsn base = commit_blocks(&world, (uint32_t)blocks + 1);
    cut_now(&world, &after);
    /* All bits of a block's first 64 bytes, then each seventh: one or two of each byte.
     * Fewer of these under a sanitizer. */
    for (uint64_t bit = 0; bit < blocks * WAL_BLOCK * 8;
         bit += bit / 8 % WAL_BLOCK < 64 ? 1 : stride) {
        uint64_t at =
            world_offset(&after, base + bit / 8 / WAL_BLOCK * WAL_BLOCK) + bit / 8 % WAL_BLOCK;

        world_flip(&after, at, (uint8_t)(1u << bit % 8));
        cr_assert_eq(world_open(&after), KEEL_ECORRUPT, "bit %lu", (unsigned long)bit);
        world_flip(&after, at, (uint8_t)(1u << bit % 8));
    }
    cr_assert_eq(world_open(&after), 0);
    world_destroy(&after);
    world_destroy(&world);
}

/* E1, the log's part: any byte anywhere, any time: either refused, or a prefix that holds all that
 * was acknowledged below the blind spot. Never a hole, an invention or a changed byte (harvest
 * checks). */
Test(wal_scan, a_flipped_byte_anywhere_gives_a_refusal_or_a_true_prefix)
{
    struct world world, after;
    struct prng prng;
    uint32_t refused = 0, opened = 0;

    prng_seed(&prng, test_seed("wal_scan bytes"));
    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 15; i++)
        cr_assert_eq(group_commit(&world, 1 + i % 3, 200 + i * 300), 0);
    cut_now(&world, &after);
    uint64_t size = keel_device_info(after.device)->size_bytes;
    for (uint32_t i = 0; i < TEST_SHARE(6000); i++) {
        /* Two thirds of them where the log is. */
        uint64_t at = i % 3 ? world_offset(&after, keel_wal_durable(world.wal) - WAL_BLOCK) -
                                  prng_below(&prng, 15 * WAL_BLOCK)
                            : prng_below(&prng, size);
        uint8_t mask = (uint8_t)(1 + prng_below(&prng, 255));

        world_flip(&after, at, mask);
        int rc = world_open(&after);
        if (rc == 0) {
            opened++;
            cr_assert_eq(world_replay(&after, &harvest), 0);
            cr_assert_eq(harvest.first, 1);
            cr_assert_geq(harvest.last, 14, "byte %lu", (unsigned long)at);
            cr_assert_eq(world_close(&after), 0);
        } else {
            refused++;
            cr_assert_eq(rc, KEEL_ECORRUPT);
        }
        world_flip(&after, at, mask);
    }
    cr_assert(refused > TEST_SHARE(1000) && opened > TEST_SHARE(500), "%u refused, %u opened",
              refused, opened);
    world_destroy(&after);
    world_destroy(&world);
}

/* E1, the log's part: cut after every event, in each mode. */
Test(wal_scan, E1_every_cut_gives_the_acknowledged_groups_and_a_prefix)
{
    static const enum keel_sync_method methods[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK,
                                                    KEEL_SYNC_FLUSH};
    static uint64_t events[2000], acknowledged[2000];

    for (uint64_t run = 0; run < 9; run++) {
        struct world world;
        uint32_t marks = 0;

        world_create(&world, WORLD_RING_MIN, 100 + run);
        world.options.sync = methods[run % 3];
        world.options.pipeline_bytes = 4096 + (uint32_t)run * 1024;
        uint64_t begin = keel_sim_events(world.sim);
        world_start(&world);
        for (uint32_t i = 0; i < 40; i++) {
            int rc = group_append(&world, 1 + i % 4, 16 + i * 531 % 4000);
            if (rc == KEEL_ELOGFULL) {
                keel_lsn cut = keel_wal_cut(world.wal);
                cr_assert_eq(keel_wal_commit(world.wal, cut), 0);
                /* Not truncated: the groups stay where the harvest begins. */
                break;
            }
            keel_wal_kick(world.wal);
            if (i % 3 != 2)
                continue;
            cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
            events[marks] = keel_sim_events(world.sim);
            acknowledged[marks++] = world.next_group - 1;
        }
        uint64_t end = keel_sim_events(world.sim);
        for (uint64_t event = begin; event <= end; event++) {
            for (uint32_t mode = 0; mode < KEEL_CUT_MODES; mode++) {
                struct world after;
                uint64_t least = 0;

                for (uint32_t i = 0; i < marks && events[i] <= event; i++)
                    least = acknowledged[i];
                world_cut(&world, event, (enum keel_cut_mode)mode, event * 7 + mode, &after);
                cr_assert_eq(world_open(&after), 0, "event %lu mode %u: %s, %s",
                             (unsigned long)event, mode, after.info.op, after.info.object);
                cr_assert_eq(world_replay(&after, &harvest), 0);
                cr_assert_geq(harvest.last, least, "event %lu mode %u", (unsigned long)event, mode);
                cr_assert(harvest.groups == 0 || harvest.first == 1);
                world_destroy(&after);
            }
        }
        world_destroy(&world);
    }
}

/*
 * E2: what recovery found, it has made durable. A sync of the log fails, the process opens the log
 * again without a power cut and reads what is in the device's cache, which no later flush covers;
 * then power fails.
 */
Test(wal_scan, E2_what_was_found_once_is_found_again_after_a_failed_sync)
{
    uint32_t unsynced = 0;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world, after;

        world_create(&world, WORLD_RING_MIN, seed);
        world.options.sync = seed % 2 ? KEEL_SYNC_FLUSH : KEEL_SYNC_LINK;
        world_start(&world);
        commit_blocks(&world, 3);
        world_fault(&world, KEEL_OP_SYNC, KEEL_FAULT_ERROR, -EIO, 0, 1);
        cr_assert_eq(group_commit(&world, 1, 3000 + (uint32_t)seed * 300), KEEL_EPOISON);
        cr_assert_eq(world_close(&world), KEEL_EPOISON);

        cr_assert_eq(world_open(&world), 0);
        cr_assert_eq(world_replay(&world, &harvest), 0);
        uint64_t found = harvest.groups;
        unsynced += found == 4;
        cut_now(&world, &after);
        cr_assert_eq(world_open(&after), 0, "%s", after.info.op);
        cr_assert_eq(world_replay(&after, &harvest), 0);
        cr_assert_eq(harvest.groups, found, "seed %lu", (unsigned long)seed);
        world_destroy(&after);
        world_destroy(&world);
    }
    cr_assert_gt(unsynced, 5);
}

/* Crash upon crash, with a little written in between and no truncation: all of it is replayed, and
 * the list of epochs does not grow by starts alone. */
Test(wal_scan, many_epochs_in_a_row_are_replayed_in_order)
{
    struct world world, after;
    uint64_t expect = 0;

    world_create(&world, 16 * WORLD_RING_MIN, 3);
    for (uint32_t i = 0; i < 40; i++) {
        cr_assert_eq(world_open(&world), 0, "%s", world.info.op);
        cr_assert_eq(world_replay(&world, &harvest), 0);
        cr_assert_eq(harvest.groups, expect);
        cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
        if (i % 3 == 0) {
            cr_assert_eq(group_commit(&world, 2, 2500), 0);
            expect++;
            cr_assert_eq(group_append(&world, 3, 3000), 0); /* never sealed */
            world.next_group--;
        }
        cut_now(&world, &after);
        world_destroy(&world);
        world = after;
    }
    cr_assert_eq(world_open(&world), 0);
    cr_assert_leq(world.wal->super.epoch_count, 16);
    world_destroy(&world);
}
