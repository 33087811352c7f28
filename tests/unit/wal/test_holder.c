/*
 * Holders: what they keep, what happens at their cap, and the reserve of a full log (W5).
 */
#include <stdio.h>

#include "tests/unit/wal/fixture.h"
#include "wal/log.h"

TestSuite(wal_holder, .timeout = 60);

static struct harvest harvest;

static struct keel_wal_holder *hold(struct world *world, keel_lsn lsn, uint64_t cap,
                                    enum keel_wal_beyond beyond)
{
    struct keel_wal_hold_options options = KEEL_WAL_HOLD_OPTIONS_DEFAULT;
    struct keel_wal_holder *holder;

    options.name = "test";
    options.lsn = lsn;
    options.cap_bytes = cap;
    options.beyond = beyond;
    cr_assert_eq(keel_wal_hold(world->wal, &options, &holder), 0);
    return holder;
}

/* Commit groups, truncating whenever the log is full, until it stays full or its end is there. */
static int fill(struct world *world, keel_lsn end)
{
    while (keel_wal_durable(world->wal) < end) {
        int rc = group_commit(world, 1, 3000);

        if (rc == KEEL_ELOGFULL) {
            cr_assert_eq(keel_wal_truncate(world->ctx, world->wal, keel_wal_cut(world->wal)), 0);
            rc = group_commit(world, 1, 3000);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Everything from lsn on, group by group; how many. */
static uint64_t read_from(struct world *world, keel_lsn lsn)
{
    struct keel_wal_reader *reader;
    struct keel_wal_entry entry;
    int rc;

    memset(&harvest, 0, sizeof(harvest));
    cr_assert_eq(keel_wal_reader_open(world->ctx, world->wal, lsn, &world->info, &reader), 0, "%s",
                 world->info.object);
    while ((rc = keel_wal_reader_next(reader, &entry)) > 0)
        cr_assert_eq(harvest_entry(&harvest, &entry), 0);
    cr_assert_eq(rc, 0);
    keel_wal_reader_close(reader);
    return harvest.groups;
}

Test(wal_holder, W5_keeps_what_it_holds_and_gives_way_as_it_moves)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 3000), 0);
    keel_lsn from = world.last_end;
    struct keel_wal_holder *holder = hold(&world, from, 0, KEEL_WAL_WAIT);

    for (uint32_t lap = 0; lap < 5; lap++) {
        cr_assert_eq(fill(&world, keel_wal_tail(world.wal) + 3 * WORLD_RING_MIN), KEEL_ELOGFULL);
        cr_assert_leq(keel_wal_tail(world.wal), lsn_block_down(from) + WORLD_RING_MIN);
        cr_assert_gt(read_from(&world, from), 50);
        cr_assert_eq(harvest.last, world.next_group - 1);
        cr_assert_not(keel_wal_hold_broken(holder));
        cr_assert_eq(keel_wal_hold_move(holder, from - 8), KEEL_ERANGE);
        from = harvest.ends[harvest.first + 40];
        cr_assert_eq(keel_wal_hold_move(holder, from), 0);
    }
    keel_wal_hold_end(holder);
    cr_assert_eq(fill(&world, keel_wal_tail(world.wal) + 3 * WORLD_RING_MIN), 0);
    world_destroy(&world);
}

Test(wal_holder, W5_at_its_cap_it_is_broken_or_appenders_wait_as_it_chose)
{
    struct world world;
    struct keel_wal_stats stats;
    uint64_t cap = WORLD_RING_MIN / 2;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    struct keel_wal_holder *holder = hold(&world, 0, cap, KEEL_WAL_WAIT);
    keel_wal_stats(world.wal, &stats);
    keel_lsn from = stats.holders[0].lsn;
    cr_assert_eq(fill(&world, keel_wal_tail(world.wal) + 3 * WORLD_RING_MIN), KEEL_ELOGFULL);
    cr_assert_leq(keel_wal_tail(world.wal), lsn_block_down(from) + cap);
    cr_assert_geq(keel_wal_tail(world.wal) + 2 * WAL_BLOCK, lsn_block_down(from) + cap);
    keel_wal_hold_end(holder);

    from = keel_wal_cut(world.wal);
    cr_assert_eq(keel_wal_commit(world.wal, from), 0);
    holder = hold(&world, from, cap, KEEL_WAL_BREAK);
    cr_assert_eq(fill(&world, from + cap - 4 * WAL_BLOCK), 0);
    cr_assert_not(keel_wal_hold_broken(holder));
    cr_assert_eq(fill(&world, from + 3 * WORLD_RING_MIN), 0);
    cr_assert(keel_wal_hold_broken(holder));
    cr_assert_eq(keel_wal_hold_move(holder, keel_wal_durable(world.wal)), KEEL_EGONE);
    keel_wal_stats(world.wal, &stats);
    cr_assert_eq(stats.holder_count, 1);
    cr_assert_str_eq(stats.holders[0].name, "test");
    cr_assert(stats.holders[0].broken);
    keel_wal_hold_end(holder);
    world_destroy(&world);
}

/* One that is at the redo LSN does not make the log any fuller than it is. */
Test(wal_holder, is_not_broken_for_space_that_recovery_needs_itself)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    struct keel_wal_holder *holder = hold(&world, 0, 0, KEEL_WAL_BREAK);
    int rc;
    while ((rc = group_commit(&world, 1, 3000)) == 0)
        ;
    cr_assert_eq(rc, KEEL_ELOGFULL);
    cr_assert_not(keel_wal_hold_broken(holder));
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, keel_wal_cut(world.wal)), 0);
    cr_assert_eq(group_commit(&world, 1, 3000), 0);
    cr_assert(keel_wal_hold_broken(holder));
    keel_wal_hold_end(holder);
    world_destroy(&world);
}

Test(wal_holder, names_lsns_and_their_number_are_checked)
{
    struct world world;
    struct keel_wal_hold_options options = KEEL_WAL_HOLD_OPTIONS_DEFAULT;
    struct keel_wal_holder *holders[KEEL_WAL_HOLDERS_MAX], *more;
    char name[40];

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(fill(&world, 2 * WORLD_RING_MIN), 0);
    cr_assert_eq(keel_wal_hold(world.wal, &options, &more), KEEL_EOPTION);
    options.name = "";
    cr_assert_eq(keel_wal_hold(world.wal, &options, &more), KEEL_EOPTION);
    options.name = "a,b";
    cr_assert_eq(keel_wal_hold(world.wal, &options, &more), KEEL_EOPTION);
    options.name = "0123456789012345678901234567890123456789";
    cr_assert_eq(keel_wal_hold(world.wal, &options, &more), KEEL_EOPTION);
    options.name = name;
    for (uint32_t i = 0; i < KEEL_WAL_HOLDERS_MAX; i++) {
        snprintf(name, sizeof(name), "holder-%u", i);
        if (i == 1) {
            options.lsn = WAL_LSN_FIRST;
            cr_assert_eq(keel_wal_hold(world.wal, &options, &more), KEEL_EGONE);
            options.lsn = keel_wal_durable(world.wal) + 1;
            cr_assert_eq(keel_wal_hold(world.wal, &options, &more), KEEL_ERANGE);
            options.lsn = 0;
        }
        cr_assert_eq(keel_wal_hold(world.wal, &options, &holders[i]), 0);
        cr_assert_eq(keel_wal_hold(world.wal, &options, &more), KEEL_EINUSE);
    }
    snprintf(name, sizeof(name), "one-more");
    cr_assert_eq(keel_wal_hold(world.wal, &options, &more), KEEL_EFULL);
    for (uint32_t i = 0; i < KEEL_WAL_HOLDERS_MAX; i++)
        keel_wal_hold_end(holders[i]);
    world_destroy(&world);
}

/* W5 over a restart, also one by power cut: who passes its LSN again before start finds all of it,
 * however often; who does not, is told. */
Test(wal_holder, W5_who_passes_its_lsn_before_start_has_missed_nothing)
{
    struct world world, after;
    struct keel_wal_hold_options options = KEEL_WAL_HOLD_OPTIONS_DEFAULT;
    struct keel_wal_holder *holder;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_commit(&world, 1, 3000), 0);
    keel_lsn from = world.last_end;
    hold(&world, from, 0, KEEL_WAL_WAIT);
    for (uint32_t life = 0; life < 4; life++) {
        for (uint32_t i = 0; i < 6; i++)
            cr_assert_eq(group_commit(&world, 1, 3000), 0);
        cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, keel_wal_cut(world.wal)), 0);
        world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_TORN, life, &after);
        world_destroy(&world);
        world = after;
        cr_assert_eq(world_open(&world), 0);
        holder = hold(&world, from, 0, KEEL_WAL_WAIT);
        cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
        cr_assert_eq(read_from(&world, from), 6 * (life + 1));
        cr_assert_eq(harvest.first, 2);
    }
    /* What was promised at registration holds until it moves. */
    cr_assert_eq(fill(&world, keel_wal_tail(world.wal) + 3 * WORLD_RING_MIN), KEEL_ELOGFULL);
    cr_assert_gt(read_from(&world, from), 24);
    cr_assert_eq(harvest.first, 2);
    cr_assert_eq(world_close(&world), 0);

    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
    cr_assert_eq(fill(&world, keel_wal_tail(world.wal) + WORLD_RING_MIN), 0);
    options.name = "late";
    options.lsn = from;
    cr_assert_eq(keel_wal_hold(world.wal, &options, &holder), KEEL_EGONE);
    world_destroy(&world);
}

/* A full log: everybody is refused, and what a checkpoint has to append before it can truncate goes
 * through all the same, again and again. */
Test(wal_holder, a_full_log_has_a_reserve_for_what_the_checkpoint_appends)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world.options.reserve_bytes = WORLD_RING_MIN;
    cr_assert_eq(world_open(&world), KEEL_EOPTION);
    world.options.reserve_bytes = 3 * WAL_BLOCK;
    world_start(&world);
    for (uint32_t lap = 0; lap < 20; lap++) {
        struct keel_wal_credit credit = {.of_reserve = true};
        keel_lsn lsn, end;
        int rc;

        while ((rc = group_commit(&world, 1, 3000)) == 0)
            ;
        cr_assert_eq(rc, KEEL_ELOGFULL);
        keel_lsn cut = keel_wal_cut(world.wal);
        rc = keel_wal_credit_take(world.wal, &credit, keel_wal_credit_bytes(5000, 1));
        cr_assert_eq(rc, 0, "a full log cannot checkpoint itself free: %s", keel_err_name(rc));
        cr_assert_eq(
            group_append_mark(&world, &credit, keel_wal_mark(world.wal), 1, 5000, &lsn, &end), 0);
        keel_wal_credit_put(world.wal, &credit);
        cr_assert_eq(keel_wal_commit(world.wal, end), 0);
        cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), 0);
    }
    world_destroy(&world);
}
