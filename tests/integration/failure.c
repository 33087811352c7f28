/*
 * Goal: what fails is reported, nothing durable is lost, and the store goes on or stands still.
 * Method: faults of simulated devices; a file size limit for a full disk on real ones.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/integration/fixture.h"

static void arm(struct world *world, const char *path, uint8_t op, int error)
{
    struct keel_fault fault = {
        .path = path,
        .op = op,
        .kind = KEEL_FAULT_ERROR,
        .error = error,
        .countdown = 0,
        .repeat = 1,
    };

    expect_ok(keel_sim_fault(world->sim, &fault));
}

/* Sticky: writes are refused for good, what was durable can be read. */
static void expect_read_only(struct world *world, keel_pageno durable, const char *text)
{
    struct keel_tx *tx;

    cr_assert_eq(keel_state(world->store), KEEL_READ_ONLY);
    cr_assert_lt(info_of(world).poison, 0);
    expect_rc(keel_tx_begin(world->ctx, world->store, NULL, &tx), KEEL_EREADONLY);
    expect_rc(keel_checkpoint(world->ctx, world->store), KEEL_EREADONLY);
    expect_rc(keel_tick(world->ctx, world->store), KEEL_EREADONLY);
    expect_page(world, durable, text);
    cr_assert_eq(keel_state(world->store), KEEL_READ_ONLY);
}

static void close_poisoned(struct world *world)
{
    struct keel_store *store = world->store;

    world->store = NULL;
    cr_assert_lt(keel_close(world->ctx, store), 0);
}

Test(failure, W4_a_failed_log_write_makes_the_store_read_only_and_opening_again_decides,
     .timeout = 30)
{
    struct world world;

    world_init_sim(&world, make_sim(3, false, 0));
    world_open(&world);
    keel_pageno durable = put_page(&world, "durable"), other = put_page(&world, "old");
    struct keel_tx *open = begin(&world);
    expect_ok(keel_tx_write(open, durable, 100, "never", 6));
    struct keel_tx *tx = begin(&world);
    expect_ok(keel_tx_write(tx, other, 0, "new", 4));

    arm(&world, "wal.keel", KEEL_OP_WRITE, -EIO);
    expect_rc(keel_tx_commit(tx, NULL), KEEL_EPOISON);
    int rc = keel_tx_commit(open, NULL);
    cr_assert(rc == KEEL_EPOISON || rc == KEEL_EREADONLY, "%s", keel_err_name(rc));

    expect_read_only(&world, durable, "durable");
    struct keel_page page;
    expect_rc(keel_read(world.ctx, world.store, other, 0, &page), KEEL_EPOISON);
    close_poisoned(&world);
    world_open(&world);
    expect_page(&world, durable, "durable");
    world_fini(&world);
}

Test(failure, a_failed_page_write_makes_the_store_read_only_and_loses_nothing, .timeout = 30)
{
    struct world world;

    world_init_sim(&world, make_sim(4, false, 0));
    world_open(&world);
    keel_pageno page = put_page(&world, "in the log");
    arm(&world, "pages.keel", KEEL_OP_WRITE, -EIO);
    expect_rc(keel_checkpoint(world.ctx, world.store), KEEL_EPOISON);
    cr_assert_eq(info_of(&world).poison, -EIO);

    expect_read_only(&world, page, "in the log");
    close_poisoned(&world);
    world_open(&world);
    expect_page(&world, page, "in the log");
    cr_assert_gt(info_of(&world).recovered_groups, 0);
    world_fini(&world);
}

Test(failure, E3_a_failed_sync_of_the_pages_leaves_the_log_as_it_was, .timeout = 30)
{
    struct world world;
    struct keel_wal_stats before, after;

    world_init_sim(&world, make_sim(5, false, 0));
    world_open(&world);
    keel_pageno page = put_page(&world, "in the log");
    keel_wal_stats(keel_store_wal(world.store), &before);
    arm(&world, "pages.keel", KEEL_OP_SYNC, -EIO);
    expect_rc(keel_checkpoint(world.ctx, world.store), KEEL_EPOISON);
    keel_wal_stats(keel_store_wal(world.store), &after);
    cr_assert_eq(before.redo_lsn, after.redo_lsn);

    expect_read_only(&world, page, "in the log");
    close_poisoned(&world);
    world_open(&world);
    expect_page(&world, page, "in the log");
    world_fini(&world);
}

/* After a failed sync what it was for can still be read, until the power goes; no image in the log
 * makes the page whole, and the page is not older than its records. */
Test(failure, E2_what_a_failed_sync_left_in_a_cache_is_written_again_by_recovery, .timeout = 30)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_sim *sim;
    struct world world, cut;

    options.atomic_write_bytes = 4096;
    options.history = true;
    expect_ok(keel_sim_create(&options, &sim));
    world_init_sim(&world, sim);
    world.options.torn = KEEL_TORN_ATOMIC;
    world_open(&world);
    keel_pageno page = put_page(&world, "before");
    expect_ok(keel_checkpoint(world.ctx, world.store));
    set_page(&world, page, "after");
    arm(&world, "pages.keel", KEEL_OP_SYNC, -EIO);
    expect_rc(keel_checkpoint(world.ctx, world.store), KEEL_EPOISON);
    close_poisoned(&world);
    world_open(&world);
    expect_page(&world, page, "after");

    expect_ok(keel_sim_cut(sim, keel_sim_events(sim), KEEL_CUT_LOSE_ALL, 1, &options, NULL, &sim));
    world_init_sim(&cut, sim);
    world_open(&cut);
    cr_assert_eq(info_of(&cut).recovered_groups, 0, "a checkpoint ended the recovery");
    expect_page(&cut, page, "after");
    world_fini(&cut);
    world_fini(&world);
}

Test(failure, a_page_that_cannot_be_read_is_refused_and_the_store_goes_on, .timeout = 30)
{
    struct world world;
    struct keel_page page;

    world_init_sim(&world, make_sim(6, false, 0));
    world_open(&world);
    keel_pageno bad = put_page(&world, "bad"), good = put_page(&world, "good");
    world_close(&world);
    world_open(&world);
    arm(&world, "pages.keel", KEEL_OP_READ, -EIO);
    expect_rc(keel_read(world.ctx, world.store, bad, 0, &page), KEEL_EREAD);
    expect_page(&world, bad, "bad");
    set_page(&world, good, "written");
    cr_assert_eq(keel_state(world.store), KEEL_RUNNING);
    world_fini(&world);
}

struct damage {
    unsigned count;
    struct keel_err_info last;
};

static void note_damage(void *arg, const struct keel_err_info *info)
{
    struct damage *damage = arg;

    damage->count++;
    damage->last = *info;
}

Test(failure, P4_the_check_names_the_page_whose_bytes_are_not_those_written, .timeout = 30)
{
    struct world world;
    struct damage damage = {0};
    uint64_t pages;

    world_init_sim(&world, make_sim(7, false, 0));
    world_open(&world);
    keel_pageno page[40];
    for (unsigned i = 0; i < 40; i++)
        page[i] = put_page(&world, "x");
    world_close(&world);
    unsigned char byte;
    expect_ok(keel_sim_peek(world.sim, "db/pages.keel", page[20] * 4096 + 999, &byte, 1));
    byte ^= 4;
    expect_ok(keel_sim_poke(world.sim, "db/pages.keel", page[20] * 4096 + 999, &byte, 1));

    world_open(&world);
    expect_rc(keel_check(world.ctx, world.store, note_damage, &damage, &pages), 1);
    cr_assert_eq(pages, 40);
    cr_assert_eq(damage.count, 1);
    cr_assert_eq(damage.last.code, KEEL_ECHECKSUM);
    cr_assert_eq(damage.last.offset, page[20] * 4096);
    world_fini(&world);
}

/* ------------------------------------------------------------------ a full disk */

/* Allocate until it is refused; then everything else goes on. */
static void fill_disk(struct world *world)
{
    keel_pageno page = 0;
    unsigned count = 0;
    int rc;

    for (;; count++) {
        struct keel_tx *tx = begin(world);
        keel_pageno got;

        rc = keel_tx_alloc(tx, &got);
        if (rc) {
            keel_tx_abort(tx);
            break;
        }
        page = got;
        expect_ok(keel_tx_write(tx, page, 0, "kept", 5));
        expect_ok(keel_tx_commit(tx, NULL));
    }
    cr_assert_eq(rc, KEEL_ENOSPACE, "%s after %u pages", keel_err_name(rc), count);
    cr_assert_geq(count, 63);
    cr_assert_eq(keel_state(world->store), KEEL_RUNNING);
    expect_page(world, page, "kept");
    set_page(world, page, "changed");
    struct keel_tx *tx = begin(world);
    expect_ok(keel_tx_free(tx, page));
    expect_ok(keel_tx_commit(tx, NULL));
    cr_assert_eq(put_page(world, "again"), page);
    world_close(world);

    world_open(world);
    expect_page(world, page, "again");
    cr_assert_eq(info_of(world).pages_allocated, count);
}

Test(failure, growth_on_a_full_simulated_disk_leaves_the_old_size_working, .timeout = 30)
{
    for (uint64_t spare = 0; spare < 16; spare++) {
        struct world world;
        uint64_t bytes = (272u << 10) + 64u * 4096u + 4u * 4096u + spare * 65536u;

        world_init_sim(&world, make_sim(8 + spare, false, bytes));
        world_open(&world);
        fill_disk(&world);
        world_fini(&world);
    }
}

static void fill_real_disk(struct world *world)
{
    struct rlimit old, now;

    if (world->method == KEEL_METHOD_SIM || world->one_device)
        return; /* nothing there that the limit concerns */
    world_open(world);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    now = old;
    now.rlim_cur = 600u << 10;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &now), 0);
    fill_disk(world);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
}

Test(failure, growth_past_a_limit_of_the_system_leaves_the_old_size_working, .timeout = 60)
{
    signal(SIGXFSZ, SIG_IGN);
    for_each_variant(fill_real_disk);
}
