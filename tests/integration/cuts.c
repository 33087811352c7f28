/*
 * Goal: whatever the power cut, the store is there whole: E1, E2, E3 in the small. (tests/sim does
 * it in the large, with many clients and a model.) Method: one deterministic run with history; a
 * cut after each event, in each mode; open what is left.
 */
#include <string.h>

#include "tests/integration/fixture.h"

#define PAGES 6u

static struct world cut_world(struct world *from, uint64_t event, unsigned mode, bool history)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_sim *sim;
    struct world world;

    options.seed = event * 4 + mode;
    options.history = history;
    expect_ok(keel_sim_cut(from->sim, event, mode, options.seed, &options, NULL, &sim));
    world_init_sim(&world, sim);
    memcpy(world.path, from->path, sizeof(world.path));
    return world;
}

Test(cuts, a_creation_cut_anywhere_is_complete_or_absent, .timeout = 120)
{
    struct world world;

    world_init_sim(&world, make_sim(11, true, 0));
    world_open(&world);
    world_close(&world);
    uint64_t events = keel_sim_events(world.sim);
    for (uint64_t event = 0; event <= events; event++) {
        for (unsigned mode = 0; mode < KEEL_CUT_MODES; mode++) {
            struct world cut = cut_world(&world, event, mode, false);

            world_open(&cut);
            cr_assert_eq(info_of(&cut).pages_allocated, 0);
            put_page(&cut, "works");
            world_fini(&cut);
        }
    }
    world_fini(&world);
}

/*
 * Transaction n writes n into PAGES pages; so after a cut all of them hold the same number, which
 * is at least the last acknowledged one.
 */
struct run {
    struct world world;
    keel_pageno page[PAGES];
    uint64_t event[200]; /* at which transaction n was acknowledged */
    uint32_t count;
    uint64_t first; /* event: the pages are there */
};

static void write_number(struct run *run, uint32_t n)
{
    struct keel_tx *tx = begin(&run->world);

    for (unsigned i = 0; i < PAGES; i++)
        expect_ok(keel_tx_write(tx, run->page[i], 64 * (n % 8), &n, sizeof(n)));
    expect_ok(keel_tx_commit(tx, NULL));
    run->event[n] = keel_sim_events(run->world.sim);
}

/* run->world is there, and not open. */
static void start_run_in(struct run *run, enum keel_sync_method sync)
{
    run->world.options.sync = sync;
    run->world.options.tx_bytes = 48u << 10;
    world_open(&run->world);
    for (unsigned i = 0; i < PAGES; i++)
        run->page[i] = put_page(&run->world, "");
    run->first = keel_sim_events(run->world.sim);
    run->count = 0;
}

static void start_run(struct run *run, uint64_t seed, enum keel_sync_method sync)
{
    world_init_sim(&run->world, make_sim(seed, true, 0));
    start_run_in(run, sync);
}

/* What the store holds: the number of the last transaction, the same on all pages. */
static uint32_t read_number(struct world *world, const struct run *run)
{
    uint32_t found[PAGES] = {0};

    for (unsigned i = 0; i < PAGES; i++) {
        struct keel_page page;
        expect_ok(keel_read(world->ctx, world->store, run->page[i], 0, &page));
        for (unsigned k = 0; k < 8; k++) {
            uint32_t n;
            memcpy(&n, (char *)page.data + 64 * k, sizeof(n));
            if (n > found[i])
                found[i] = n;
        }
        keel_page_unfix(&page);
        cr_assert_eq(found[i], found[0], "a transaction is there in part: %u and %u", found[i],
                     found[0]);
    }
    return found[0];
}

static uint32_t acked(const struct run *run, uint64_t event)
{
    uint32_t n = 0;

    while (n < run->count && run->event[n + 1] <= event)
        n++;
    return n;
}

static void cut_everywhere(struct run *run, uint64_t step)
{
    uint64_t events = keel_sim_events(run->world.sim);

    for (uint64_t event = run->first; event <= events; event += step) {
        for (unsigned mode = 0; mode < KEEL_CUT_MODES; mode++) {
            struct world cut = cut_world(&run->world, event, mode, false);

            world_open(&cut);
            uint32_t n = read_number(&cut, run), must = acked(run, event);
            cr_assert_geq(n, must, "event %llu mode %u: %u was acknowledged",
                          (unsigned long long)event, mode, must);
            cr_assert_leq(n, must + 1);
            world_fini(&cut);
        }
    }
}

static void numbers(struct run *run, uint32_t count)
{
    while (run->count < count)
        write_number(run, ++run->count);
}

Test(cuts, E1_each_transaction_is_there_whole_or_not_at_all_and_acknowledged_ones_are,
     .timeout = 120)
{
    static const enum keel_sync_method syncs[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK, KEEL_SYNC_FLUSH};

    for (unsigned i = 0; i < 3; i++) {
        struct run run;

        start_run(&run, 21 + i, syncs[i]);
        numbers(&run, 150); /* several checkpoints */
        cr_assert_gt(info_of(&run.world).checkpoints, 1);
        cut_everywhere(&run, 1);
        world_fini(&run.world);
    }
}

Test(cuts, E3_a_cut_anywhere_in_a_checkpoint_loses_nothing, .timeout = 120)
{
    struct run run;

    start_run(&run, 31, KEEL_SYNC_DSYNC);
    numbers(&run, 5);
    run.first = keel_sim_events(run.world.sim);
    expect_ok(keel_checkpoint(run.world.ctx, run.world.store));
    numbers(&run, 7);
    cut_everywhere(&run, 1);
    world_fini(&run.world);
}

Test(cuts, E1_a_cut_anywhere_loses_nothing_on_one_device, .timeout = 240)
{
    struct run run;

    world_init_sim(&run.world, make_sim(35, true, 0));
    world_on_device(&run.world);
    start_run_in(&run, KEEL_SYNC_LINK);
    numbers(&run, 30);
    expect_ok(keel_checkpoint(run.world.ctx, run.world.store));
    numbers(&run, 40);
    cut_everywhere(&run, 1);
    world_fini(&run.world);
}

static void read_all(struct world *world, unsigned char *bytes)
{
    for (unsigned page = 0; page < 64; page++)
        expect_ok(
            keel_sim_peek(world->sim, "db/pages.keel", page * 4096u, bytes + page * 4096u, 4096));
}

/* The user parts; headers hold LSNs of the recovering run. */
static void expect_same(const unsigned char *left, const unsigned char *right)
{
    for (unsigned page = 0; page < 64; page++)
        cr_assert_arr_eq(left + page * 4096u, right + page * 4096u, 4096, "page %u", page);
}

Test(cuts, E2_recovery_cut_anywhere_and_run_again_gives_the_same_bytes, .timeout = 120)
{
    static unsigned char once[64 * 4096], again[64 * 4096];
    struct run run;

    start_run(&run, 41, KEEL_SYNC_DSYNC);
    numbers(&run, 9);
    uint64_t event = keel_sim_events(run.world.sim);
    struct world first = cut_world(&run.world, event, KEEL_CUT_TORN, true);
    world_open(&first);
    cr_assert_gt(info_of(&first).recovered_groups, 0);
    read_all(&first, once);
    uint64_t events = keel_sim_events(first.sim);

    for (uint64_t at = 0; at <= events; at++) {
        for (unsigned mode = 0; mode < KEEL_CUT_MODES; mode++) {
            struct world second = cut_world(&first, at, mode, false);
            world_open(&second);
            cr_assert_eq(read_number(&second, &run), 9);
            read_all(&second, again);
            expect_same(once, again);
            world_fini(&second);
        }
    }
    world_fini(&first);
    world_fini(&run.world);
}

Test(cuts, growth_cut_anywhere_leaves_a_store_that_works, .timeout = 120)
{
    struct world world;

    world_init_sim(&world, make_sim(51, true, 0));
    world.options.space_bytes_max = 128u * 4096u;
    world.options.space_bytes = 8u * 4096u;
    world_open(&world);
    for (unsigned i = 0; i < 7; i++)
        put_page(&world, "before");
    uint64_t first = keel_sim_events(world.sim);
    put_page(&world, "after");
    uint64_t events = keel_sim_events(world.sim);
    cr_assert_gt(info_of(&world).pages, 8);

    for (uint64_t event = first; event <= events; event++) {
        for (unsigned mode = 0; mode < KEEL_CUT_MODES; mode++) {
            struct world cut = cut_world(&world, event, mode, false);
            uint64_t pages;

            cut.options.space_bytes_max = 128u * 4096u;
            world_open(&cut);
            expect_rc(keel_check(cut.ctx, cut.store, NULL, NULL, &pages), 0);
            cr_assert_geq(pages, 7);
            for (unsigned i = 0; i < 4; i++)
                put_page(&cut, "more");
            expect_rc(keel_check(cut.ctx, cut.store, NULL, NULL, &pages), 0);
            cr_assert_geq(pages, 11);
            world_fini(&cut);
        }
    }
    world_fini(&world);
}

static void ignore_ack(struct keel_commit *commit)
{
    (void)commit;
}

/* A page freed and made anew by a transaction that was given up: its last contents come back if the
 * freeing does not survive. */
Test(cuts, a_page_freed_but_not_durably_keeps_its_contents, .timeout = 60)
{
    for (unsigned round = 0; round < 2; round++) {
        struct world world;
        struct keel_tx *tx;
        struct keel_commit commit = {.done = NULL};
        keel_pageno got;

        world_init_sim(&world, make_sim(61, true, 0));
        world_open(&world);
        keel_pageno page = put_page(&world, "precious");
        commit.done = ignore_ack;
        tx = begin(&world);
        expect_ok(keel_tx_free(tx, page));
        expect_ok(keel_tx_commit_async(tx, &commit)); /* on its way */
        tx = begin(&world);
        expect_ok(keel_tx_alloc(tx, &got));
        cr_assert_neq(got, page, "it is not given out before its freeing is durable");
        keel_tx_abort(tx);
        if (round == 1) {
            uint64_t event = keel_sim_events(world.sim);
            struct world cut = cut_world(&world, event, KEEL_CUT_LOSE_ALL, false);
            world_open(&cut);
            expect_page(&cut, page, "precious");
            world_fini(&cut);
        }
        while (keel_wal_durable(keel_store_wal(world.store)) < commit.lsn)
            cr_assert_geq(keel_ctx_poll(world.ctx, 0, -1), 0);
        cr_assert_geq(keel_ctx_poll(world.ctx, 0, 0), 0);
        cr_assert_eq(put_page(&world, "new"), page);
        world_fini(&world);
    }
}
