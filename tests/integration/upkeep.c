/*
 * Goal: checkpoints, a full log, growth and the check of all pages, on every method.
 * Method: a log of 256 KiB fills after a few dozen whole pages, so these happen by themselves.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/integration/fixture.h"

static void fill_page(struct world *world, keel_pageno pageno, unsigned char byte)
{
    unsigned char bytes[4064];
    struct keel_tx *tx = begin(world);

    memset(bytes, byte, sizeof(bytes));
    expect_ok(keel_tx_write(tx, pageno, 0, bytes, sizeof(bytes)));
    expect_ok(keel_tx_commit(tx, NULL));
}

static void expect_filled(struct world *world, keel_pageno pageno, unsigned char byte)
{
    struct keel_page page;

    expect_ok(keel_read(world->ctx, world->store, pageno, 0, &page));
    for (uint32_t i = 0; i < page.len; i++)
        cr_assert_eq(((unsigned char *)page.data)[i], byte, "page %llu",
                     (unsigned long long)pageno);
    keel_page_unfix(&page);
}

static void log_goes_round(struct world *world)
{
    keel_pageno pages[12];

    world_open(world);
    for (unsigned i = 0; i < 12; i++)
        pages[i] = put_page(world, "");
    for (unsigned i = 0; i < 600; i++) /* ten times the log */
        fill_page(world, pages[i % 12], (unsigned char)i);

    cr_assert_gt(info_of(world).checkpoints, 4);
    world_close(world);
    world_open(world);
    for (unsigned i = 0; i < 12; i++)
        expect_filled(world, pages[i], (unsigned char)(588 + i));
}

Test(upkeep, a_begin_on_a_full_log_makes_room_by_itself, .timeout = 60)
{
    for_each_variant(log_goes_round);
}

/* Under KEEL_MANUAL: the host ticks and polls, and no call of the transaction waits. */
static void log_goes_round_nowait(struct world *world)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    unsigned char bytes[4064];
    unsigned pending = 0;

    options.nowait = true;
    world_open(world);
    keel_pageno page = put_page(world, "");
    for (unsigned i = 0; i < 300; i++) {
        struct keel_tx *tx;
        int rc;

        while ((rc = keel_tx_begin(world->ctx, world->store, &options, &tx)) == KEEL_PENDING) {
            pending++;
            while (keel_tick(world->ctx, world->store) == 1)
                continue;
            cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
        }
        expect_ok(rc);
        memset(bytes, (int)i, sizeof(bytes));
        while ((rc = keel_tx_write(tx, page, 0, bytes, sizeof(bytes))) == KEEL_PENDING)
            cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
        expect_ok(rc);
        expect_ok(keel_tx_commit(tx, NULL));
    }
    if (world->background == KEEL_MANUAL)
        cr_assert_gt(pending, 0);
    expect_filled(world, page, (unsigned char)299);
}

Test(upkeep, a_nowait_begin_on_a_full_log_is_pending_until_ticks_made_room, .timeout = 60)
{
    for_each_variant(log_goes_round_nowait);
}

/* One transaction; KEEL_PENDING: there is no log space for it, however often it is asked for, since
 * all that is left is held. */
static int write_or_give_up(struct world *world, keel_pageno page, unsigned char byte)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    unsigned char bytes[4064];
    struct keel_wal_stats stats;
    struct keel_tx *tx;
    int rc;

    options.nowait = true;
    while ((rc = keel_tx_begin(world->ctx, world->store, &options, &tx)) == KEEL_PENDING) {
        while (keel_tick(world->ctx, world->store) == 1)
            continue;
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
        keel_wal_stats(keel_store_wal(world->store), &stats);
        /* Nothing can be truncated any more, and still the log is full. */
        if (stats.tail_lsn - stats.redo_lsn <= KEEL_BLOCK_BYTES && stats.kept_lsn < stats.redo_lsn)
            return KEEL_PENDING;
    }
    expect_ok(rc);
    memset(bytes, byte, sizeof(bytes));
    while ((rc = keel_tx_write(tx, page, 0, bytes, sizeof(bytes))) == KEEL_PENDING)
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
    expect_ok(rc);
    expect_ok(keel_tx_commit(tx, NULL));
    return 0;
}

static void held_log(struct world *world)
{
    struct keel_wal_hold_options options = KEEL_WAL_HOLD_OPTIONS_DEFAULT;
    struct keel_wal_holder *holder;
    struct keel_wal_stats stats;
    unsigned stops = 0;

    world_open(world);
    keel_pageno page = put_page(world, "");
    struct keel_wal *wal = keel_store_wal(world->store);
    options.name = "follower";
    options.beyond = KEEL_WAL_WAIT;
    expect_ok(keel_wal_hold(wal, &options, &holder));
    for (unsigned i = 0; i < 300;) {
        if (write_or_give_up(world, page, (unsigned char)i) == 0) {
            i++;
            continue;
        }
        stops++;
        keel_wal_stats(wal, &stats);
        cr_assert_leq(stats.tail_lsn - stats.holders[0].lsn, stats.ring_bytes + KEEL_BLOCK_BYTES);
        expect_ok(keel_wal_hold_move(holder, stats.durable_lsn));
    }
    cr_assert_geq(stops, 3);
    keel_wal_hold_end(holder);
    expect_filled(world, page, (unsigned char)299);
}

Test(upkeep, transactions_wait_for_a_holder_that_does_not_move_and_no_longer, .timeout = 60)
{
    for_each_variant(held_log);
}

static void held_page(struct world *world)
{
    world_open(world);
    keel_pageno page = put_page(world, "before");
    struct keel_tx *tx = begin(world);
    expect_ok(keel_tx_write(tx, page, 0, "inside", 7));
    expect_rc(keel_checkpoint(world->ctx, world->store), KEEL_EBUSY);
    expect_ok(keel_tx_commit(tx, NULL));

    expect_ok(keel_checkpoint(world->ctx, world->store));
    struct keel_wal_stats stats;
    keel_wal_stats(keel_store_wal(world->store), &stats);
    cr_assert_leq(stats.used_bytes, 4096u, "nothing is left in the log");
    cr_assert_eq(keel_pagecache_rec_lsn_min(keel_store_cache(world->store)), KEEL_LSN_MAX);
    expect_page(world, page, "inside");
}

Test(upkeep, a_checkpoint_does_not_wait_for_its_own_callers_transaction, .timeout = 60)
{
    for_each_variant(held_page);
}

static void log_full_of_own_credit(struct world *world)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    struct keel_tx *tx[3];

    world_open(world);
    options.log_bytes = 100u << 10;
    expect_ok(keel_tx_begin(world->ctx, world->store, &options, &tx[0]));
    expect_ok(keel_tx_begin(world->ctx, world->store, &options, &tx[1]));
    expect_rc(keel_tx_begin(world->ctx, world->store, &options, &tx[2]), KEEL_EBUSY);
    keel_tx_abort(tx[0]);
    expect_ok(keel_tx_begin(world->ctx, world->store, &options, &tx[2]));
    keel_tx_abort(tx[1]);
    keel_tx_abort(tx[2]);
}

Test(upkeep, a_begin_that_only_its_own_threads_transactions_stop_is_refused, .timeout = 60)
{
    for_each_variant(log_full_of_own_credit);
}

static void ticking(struct world *world)
{
    world->options.checkpoint_bytes = 64u << 10;
    world_open(world);
    keel_pageno page = put_page(world, "");
    for (unsigned i = 0; i < 40; i++) {
        fill_page(world, page, (unsigned char)i);
        for (;;) {
            int rc = keel_tick(world->ctx, world->store);
            cr_assert_geq(rc, 0);
            cr_assert_geq(keel_ctx_poll(world->ctx, 0, 0), 0);
            if (rc == 0)
                break;
        }
    }
    for (unsigned i = 0; i < 1000 && info_of(world).checkpoints == 0; i++) {
        cr_assert_geq(keel_tick(world->ctx, world->store), 0);
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
    }
    cr_assert_gt(info_of(world).checkpoints, 0, "ticks alone make one when it is due");
}

Test(upkeep, ticks_make_a_checkpoint_when_it_is_due, .timeout = 60)
{
    for_each_variant(ticking);
}

static void growing(struct world *world)
{
    enum { COUNT = 1000 };
    static keel_pageno pages[COUNT];

    world_open(world);
    for (unsigned i = 0; i < COUNT; i++) {
        pages[i] = put_page(world, "page");
        for (unsigned k = i > 3 ? i - 3 : 0; k < i; k++)
            cr_assert_neq(pages[k], pages[i]);
    }
    cr_assert_gt(info_of(world).pages, 1000);
    cr_assert_eq(info_of(world).pages_allocated, COUNT);
    world_close(world);

    world_open(world);
    cr_assert_gt(info_of(world).pages, 1000);
    cr_assert_eq(info_of(world).pages_allocated, COUNT);
    uint64_t checked;
    expect_rc(keel_check(world->ctx, world->store, NULL, NULL, &checked), 0);
    cr_assert_eq(checked, COUNT);
    expect_page(world, pages[COUNT - 1], "page");
}

Test(upkeep, the_space_grows_as_pages_are_allocated, .timeout = 120)
{
    for_each_variant(growing);
}

static void growing_to_the_end(struct world *world)
{
    world->options.space_bytes_max = 100u * 4096u;
    world_open(world);
    keel_pageno pages[100];
    unsigned count = 0;
    int rc;

    for (;; count++) {
        struct keel_tx *tx = begin(world);
        rc = keel_tx_alloc(tx, &pages[count]);
        if (rc) {
            keel_tx_abort(tx);
            break;
        }
        expect_ok(keel_tx_commit(tx, NULL));
    }
    cr_assert_eq(rc, KEEL_ESPACEFULL, "%s", keel_err_name(rc));
    cr_assert_eq(count, 99, "all but the page of the map, not %u", count);
    struct keel_tx *tx = begin(world);
    expect_ok(keel_tx_free(tx, pages[50]));
    expect_ok(keel_tx_commit(tx, NULL));
    cr_assert_eq(put_page(world, "again"), pages[50]);
}

Test(upkeep, a_space_at_its_largest_size_says_so_and_takes_freed_pages, .timeout = 60)
{
    for_each_variant(growing_to_the_end);
}

static void growing_nowait(struct world *world)
{
    world_open(world);
    for (unsigned i = 0; i < 200; i++) {
        struct keel_tx *tx;
        keel_pageno page;
        int rc;

        tx = begin_nowait(world);
        while ((rc = keel_tx_alloc(tx, &page)) == KEEL_PENDING) {
            cr_assert_geq(keel_tick(world->ctx, world->store), 0);
            cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
        }
        expect_ok(rc);
        while ((rc = keel_tx_commit(tx, NULL)) == KEEL_PENDING)
            cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
        expect_ok(rc);
    }
    cr_assert_eq(info_of(world).pages_allocated, 200);
    cr_assert_gt(info_of(world).pages, 200);
}

Test(upkeep, a_nowait_allocation_is_pending_until_a_tick_has_grown_the_space, .timeout = 60)
{
    for_each_variant(growing_nowait);
}

/* More pages than frames: every one is written back and read again. */
static void larger_than_cache(struct world *world)
{
    enum { COUNT = 300 };

    world->options.cache_bytes = 32u * 4096u;
    world_open(world);
    keel_pageno pages[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        pages[i] = put_page(world, "");
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            fill_page(world, pages[i * 7 % COUNT], (unsigned char)(round + i));
            cr_assert_geq(keel_tick(world->ctx, world->store), 0);
        }
        for (unsigned i = 0; i < COUNT; i++)
            expect_filled(world, pages[i * 7 % COUNT], (unsigned char)(round + i));
    }
}

Test(upkeep, a_store_larger_than_its_cache_keeps_every_page, .timeout = 120)
{
    for_each_variant(larger_than_cache);
}

/* Where pages can be torn, a store that would need them untorn is refused, and AUTO has images. */
static void untorn_pages(struct world *world)
{
    struct keel_err_info info;

    world->options.torn = KEEL_TORN_ATOMIC;
    int rc = keel_open(world->ctx, world->path, &world->options, &info, &world->store);
    if (rc == KEEL_ENOTSUP) {
        cr_assert_eq(info.want, 4096);
        world->options.torn = KEEL_TORN_AUTO;
        world_open(world);
        cr_assert_eq(info_of(world).torn, KEEL_TORN_IMAGES);
    } else {
        cr_assert_eq(rc, 0, "%s", keel_err_name(rc));
        cr_assert_eq(info_of(world).torn, KEEL_TORN_ATOMIC);
    }
    keel_pageno page = put_page(world, "first");
    expect_ok(keel_checkpoint(world->ctx, world->store));
    set_page(world, page, "second");
    world_close(world);
    world_open(world);
    expect_page(world, page, "second");
}

Test(upkeep, pages_are_written_untorn_where_the_device_can, .timeout = 60)
{
    for_each_variant(untorn_pages);
}

/* Records of the log that a first change after a checkpoint takes. */
static uint64_t first_change_bytes(uint32_t atomic_write_bytes, enum keel_torn want)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_wal_stats before, after;
    struct keel_sim *sim;
    struct world world;

    options.atomic_write_bytes = atomic_write_bytes;
    cr_assert_eq(keel_sim_create(&options, &sim), 0);
    world_init_sim(&world, sim);
    world.options.torn = KEEL_TORN_AUTO;
    world_open(&world);
    cr_assert_eq(info_of(&world).torn, want);
    keel_pageno page = put_page(&world, "first");
    expect_ok(keel_checkpoint(world.ctx, world.store));
    keel_wal_stats(keel_store_wal(world.store), &before);
    set_page(&world, page, "second");
    keel_wal_stats(keel_store_wal(world.store), &after);
    world_close(&world);
    world_fini(&world);
    return after.payload_bytes - before.payload_bytes;
}

Test(upkeep, first_change_after_a_checkpoint_is_an_image_only_where_pages_can_be_torn)
{
    cr_assert_gt(first_change_bytes(0, KEEL_TORN_IMAGES), 4000);
    cr_assert_gt(first_change_bytes(2048, KEEL_TORN_IMAGES), 4000, "less than a page");
    cr_assert_lt(first_change_bytes(4096, KEEL_TORN_ATOMIC), 200);
}

/* The devices of a simulation, as they are, on a machine that tears pages. */
static struct keel_sim *moved(struct keel_sim *sim)
{
    struct keel_sim *ret;

    cr_assert_eq(keel_sim_cut(sim, keel_sim_events(sim), KEEL_CUT_KEEP_ALL, 1, NULL, NULL, &ret),
                 0);
    return ret;
}

Test(upkeep, store_without_images_is_not_redone_where_pages_can_be_torn)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_sim *sim;
    struct world here, there;
    keel_pageno page;

    options.atomic_write_bytes = 4096;
    options.history = true;
    cr_assert_eq(keel_sim_create(&options, &sim), 0);
    world_init_sim(&here, sim);
    here.options.torn = KEEL_TORN_ATOMIC;
    world_open(&here);
    page = put_page(&here, "untorn");
    struct keel_sim *open_one = moved(sim);
    world_close(&here);
    struct keel_sim *closed_one = moved(sim);

    world_init_sim(&there, open_one);
    expect_rc(keel_open(there.ctx, there.path, &there.options, NULL, &there.store), KEEL_ENOTSUP);
    there.store = NULL;
    world_fini(&there);
    world_init_sim(&there, closed_one);
    world_open(&there);
    cr_assert_eq(info_of(&there).torn, KEEL_TORN_IMAGES, "it was closed: images from here on");
    expect_page(&there, page, "untorn");
    world_close(&there);
    world_fini(&there);
    world_fini(&here);
}

struct scrubbed {
    _Atomic uint32_t count;
    struct keel_err_info info;
};

static void note_damage(void *arg, const struct keel_err_info *info)
{
    struct scrubbed *found = arg;

    if (atomic_load(&found->count) == 0)
        found->info = *info;
    atomic_fetch_add(&found->count, 1);
}

Test(upkeep, scrubbing_tells_of_an_allocated_page_that_went_bad_and_of_no_free_one, .timeout = 60)
{
    struct scrubbed found = {0};
    struct world world;
    char object[32];

    world_init_sim(&world, make_sim(1, false, 0));
    world.options.scrub_bytes_per_s = 1u << 20;
    world.options.damaged = note_damage;
    world.options.damaged_arg = &found;
    world_open(&world);
    keel_pageno page = put_page(&world, "kept"), freed = put_page(&world, "freed");
    struct keel_tx *tx = begin(&world);
    expect_ok(keel_tx_free(tx, freed));
    expect_ok(keel_tx_commit(tx, NULL));
    expect_ok(keel_checkpoint(world.ctx, world.store));
    cr_assert_eq(keel_sim_poke(world.sim, "db/pages.keel", page * 4096 + 2000, "rot", 3), 0);
    cr_assert_eq(keel_sim_poke(world.sim, "db/pages.keel", freed * 4096 + 2000, "rot", 3), 0);

    for (unsigned i = 0; i < 2000000 && info_of(&world).pages_scrubbed < 300; i++) {
        cr_assert_geq(keel_tick(world.ctx, world.store), 0);
        cr_assert_geq(keel_ctx_poll(world.ctx, 0, 0), 0);
    }
    cr_assert_gt(atomic_load(&found.count), 0);
    cr_assert_eq(found.info.code, KEEL_ECHECKSUM);
    cr_assert_eq(found.info.offset, page * 4096);
    snprintf(object, sizeof(object), "space 1 page %llu lsn ", (unsigned long long)page);
    cr_assert_eq(strncmp(found.info.object, object, strlen(object)), 0, "%s", found.info.object);
    cr_assert_eq(info_of(&world).pages_damaged, atomic_load(&found.count));
    expect_page(&world, page, "kept"); /* it is in memory still */
    world_close(&world);
    world_fini(&world);
}

static void scrubbed_in_use(struct world *world)
{
    struct scrubbed found = {0};

    world->options.scrub_bytes_per_s = 64u << 20;
    world->options.damaged = note_damage;
    world->options.damaged_arg = &found;
    world_open(world);
    for (unsigned i = 0; i < 400 || info_of(world).pages_scrubbed < 64; i++) {
        put_page(world, "busy");
        if (i % 8 == 7)
            expect_ok(keel_checkpoint(world->ctx, world->store));
        if (i > 40 && world->background == KEEL_MANUAL)
            cr_assert_geq(keel_tick(world->ctx, world->store), 0);
    }
    cr_assert_eq(atomic_load(&found.count), 0, "%s", found.info.object);
    world_close(world);
}

Test(upkeep, scrubbing_beside_writes_finds_no_damage, .timeout = 120)
{
    for_each_variant(scrubbed_in_use);
}

/* Resized in use, without an allocation, and what is in it stays. */
static void resized(struct world *world)
{
    enum { PAGES = 1200 };
    static keel_pageno pages[PAGES];
    char text[16];

    world->options.cache_bytes = 2u << 20;
    world->options.cache_bytes_max = 8u << 20;
    world->options.space_bytes_max = 16u << 20;
    world_open(world);
    struct keel_pagecache *cache = keel_store_cache(world->store);
    struct keel_pagecache_stats stats;

    for (unsigned i = 0; i < PAGES; i++) {
        snprintf(text, sizeof(text), "page %u", i);
        pages[i] = put_page(world, text);
        if (i % 300 == 299) {
            uint64_t before = mem_alloc_count();
            mem_seal();
            expect_ok(keel_pagecache_resize(world->ctx, cache, (i % 600 == 299 ? 8u : 2u) << 20));
            mem_unseal();
            if (world->method != KEEL_METHOD_SIM)
                cr_assert_eq(mem_alloc_count(), before);
        }
    }
    expect_ok(keel_pagecache_resize(world->ctx, cache, 1u << 20));
    keel_pagecache_stats(cache, &stats);
    cr_assert_lt(stats.frames, PAGES);
    for (int again = 0; again < 2; again++) {
        for (unsigned i = 0; i < PAGES; i++) {
            snprintf(text, sizeof(text), "page %u", i);
            expect_page(world, pages[i], text);
        }
        if (again == 0) {
            world_close(world);
            world_open(world);
        }
    }
}

Test(upkeep, cache_that_is_resized_in_use_loses_nothing, .timeout = 120)
{
    for_each_variant(resized);
}

static void large_pages(struct world *world)
{
    world->options.page_bytes = 65536;
    world->options.space_bytes = 64u * 65536u;
    world->options.space_bytes_max = 256u * 65536u;
    world->options.cache_bytes = 32u * 65536u;
    world->options.log_bytes = (4u << 20) + 16384u;
    world->options.log_buffer_bytes = 1u << 20;
    world->options.tx_bytes = 1u << 20;
    world_open(world);
    keel_pageno page = put_page(world, "large");
    struct keel_tx *tx = begin(world);
    expect_ok(keel_tx_write(tx, page, 65536 - 32 - 4, "end", 4));
    expect_ok(keel_tx_commit(tx, NULL));
    for (unsigned i = 0; i < 100; i++)
        put_page(world, "more");
    world_close(world);

    world->options.page_bytes = 4096; /* that of the store counts */
    world_open(world);
    cr_assert_eq(info_of(world).page_bytes, 65536);
    struct keel_page fixed;
    expect_ok(keel_read(world->ctx, world->store, page, 0, &fixed));
    cr_assert_eq(fixed.len, 65536 - 32);
    cr_assert_str_eq((char *)fixed.data + fixed.len - 4, "end");
    keel_page_unfix(&fixed);
    expect_page(world, page, "large");
}

Test(upkeep, pages_of_64_kib_work_and_their_size_stays_with_the_store, .timeout = 60)
{
    for_each_variant(large_pages);
}

/* ---------------------------------------------------------------- an idle log */

static void pause_and_tick(struct world *world, uint64_t ns)
{
    uint64_t until = keel_sim_now_ns(world->sim) + ns;

    while (keel_sim_now_ns(world->sim) < until) {
        expect_ok(keel_tick(world->ctx, world->store));
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 0), 0);
    }
}

static uint64_t log_writes(struct world *world)
{
    uint64_t writes, syncs;

    keel_sim_counts(world->sim, "db/wal.keel", &writes, &syncs);
    return writes;
}

/* W7, the last batch as well: after a pause nothing that was acknowledged is without a witness. */
Test(upkeep, W7_a_tick_closes_the_blind_spot_once_the_log_is_idle, .timeout = 60)
{
    struct world world, after;

    world_init_sim(&world, make_sim(7, true, 0));
    world_open(&world);
    put_page(&world, "the last of all");
    uint64_t before = log_writes(&world);
    pause_and_tick(&world, 5000000);
    cr_assert_eq(log_writes(&world), before, "that was no pause yet");
    pause_and_tick(&world, 40000000);
    cr_assert_eq(log_writes(&world), before + 1, "one empty block");
    pause_and_tick(&world, 200000000);
    cr_assert_eq(log_writes(&world), before + 1, "and no second one in the same pause");

    /* Damage to the last batch is told now: zero each block of the ring in turn; what is refused
     * as damage must include the one that holds the last commit, one place before the end. */
    uint32_t refused = 0;
    for (uint64_t at = 2 * 4096; at < 272 * 1024 - 2 * 4096; at += 4096) {
        unsigned char block[4096], zero[4096] = {0};
        struct keel_store *store;
        struct keel_sim *sim;

        expect_ok(keel_sim_cut(world.sim, keel_sim_events(world.sim), KEEL_CUT_LOSE_ALL, 1, NULL,
                               NULL, &sim));
        world_init_sim(&after, sim);
        expect_ok(keel_sim_peek(sim, "db/wal.keel", at, block, sizeof(block)));
        if (memmem(block, sizeof(block), "the last of all", 15)) {
            expect_ok(keel_sim_poke(sim, "db/wal.keel", at, zero, sizeof(zero)));
            expect_rc(keel_open(after.ctx, after.path, &after.options, NULL, &store),
                      KEEL_ECORRUPT);
            refused++;
        }
        world_fini(&after);
    }
    cr_assert_eq(refused, 1);
    world_close(&world);
    world_fini(&world);
}
