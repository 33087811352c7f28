/*
 * Goal: a store on one device is made only where nothing else is, whole or not at all, and stays
 * inside the device. Method: a simulated disk, or a real file where two processes are needed.
 */
#include <stdio.h>

#include "tests/integration/fixture.h"

#define DISK_BYTES (16u << 20)

static void disk_world(struct world *world, uint64_t seed)
{
    world_init_sim(world, make_sim(seed, true, 0));
    world_on_device(world);
}

static int try_open(struct world *world, struct keel_err_info *info)
{
    *info = (struct keel_err_info){0};
    int rc = keel_open(world->ctx, world->path, &world->options, info, &world->store);

    if (rc == 0)
        world_close(world);
    else
        cr_assert_eq(info->code, rc, "%s, but info says %s", keel_err_name(rc),
                     keel_err_name(info->code));
    return rc;
}

static void poke(struct world *world, uint64_t offset)
{
    expect_ok(keel_sim_poke(world->sim, "disk", offset, "x", 1));
}

Test(on_device, a_creation_cut_anywhere_is_complete_or_absent, .timeout = 120)
{
    struct world world;

    disk_world(&world, 11);
    uint64_t first = keel_sim_events(world.sim);
    world_open(&world);
    world_close(&world);
    uint64_t events = keel_sim_events(world.sim);
    cr_assert_gt(events, first + 20);
    for (uint64_t event = first; event <= events; event++) {
        for (unsigned mode = 0; mode < KEEL_CUT_MODES; mode++) {
            struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
            struct keel_sim *sim;
            struct world cut;

            options.seed = event * 4 + mode;
            expect_ok(keel_sim_cut(world.sim, event, mode, options.seed, &options, NULL, &sim));
            world_init_sim(&cut, sim);
            snprintf(cut.path, sizeof(cut.path), "%s", "disk");
            world_open(&cut);
            cr_assert_eq(info_of(&cut).pages_allocated, 0);
            put_page(&cut, "works");
            world_fini(&cut);
        }
    }
    world_fini(&world);
}

Test(on_device, a_device_that_holds_anything_is_left_alone, .timeout = 30)
{
    /* Block 0, the claim's place, the last byte of the first MiB, and the last MiB. */
    static const uint64_t places[] = {510, 16384, (1u << 20) - 1, DISK_BYTES - (1u << 20),
                                      DISK_BYTES - 1};

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct keel_err_info info;
        struct world world;
        uint8_t byte;

        disk_world(&world, 1);
        poke(&world, places[i]);
        expect_rc(try_open(&world, &info), KEEL_ENOTEMPTY);
        cr_assert_eq(info.offset, places[i]);
        cr_assert_str_eq(info.object, "disk");
        expect_ok(keel_sim_peek(world.sim, "disk", places[i], &byte, 1));
        cr_assert_eq(byte, 'x', "nothing was changed");
        world_fini(&world);
    }
}

Test(on_device, overwriting_is_for_what_is_no_store, .timeout = 30)
{
    struct keel_err_info info;
    struct world world;
    uint8_t byte;

    disk_world(&world, 1);
    poke(&world, 1024);
    poke(&world, DISK_BYTES - 1);
    world.options.overwrite = true;
    expect_ok(try_open(&world, &info));
    expect_ok(keel_sim_peek(world.sim, "disk", DISK_BYTES - 1, &byte, 1));
    cr_assert_eq(byte, 0, "no mark of the former use is left");
    world_open(&world);
    keel_pageno page = put_page(&world, "mine");
    world_close(&world);
    world_open(&world);
    expect_page(&world, page, "mine");
    world_close(&world);

    for (unsigned copy = 0; copy < 3; copy++)
        poke(&world, copy * 4096u + 100);
    expect_rc(try_open(&world, &info), KEEL_ESUPER);
    world_fini(&world);
}

Test(on_device, create_off_finds_a_store_and_makes_none, .timeout = 30)
{
    struct keel_err_info info;
    struct world world;

    disk_world(&world, 1);
    world.options.create_off = true;
    expect_rc(try_open(&world, &info), KEEL_ENOTFOUND);
    world.options.create_off = false;
    expect_ok(try_open(&world, &info));
    world.options.create_off = true;
    expect_ok(try_open(&world, &info));
    world_fini(&world);
}

Test(on_device, a_device_that_is_too_small_says_how_much_it_takes, .timeout = 30)
{
    static const uint64_t sizes[] = {4096, 1u << 20, 4u << 20};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
        struct keel_err_info info;
        struct keel_device *device;
        struct world world;

        world_init_sim(&world, make_sim(1, false, 0));
        snprintf(world.path, sizeof(world.path), "%s", "small");
        options.create_bytes = sizes[i];
        expect_ok(keel_device_open(world.ctx, "small", &options, NULL, &device));
        keel_device_close(device);
        world.options.space_bytes = 4u << 20;
        expect_rc(try_open(&world, &info), KEEL_ENOSPACE);
        cr_assert_eq(info.got, sizes[i]);
        cr_assert_eq(info.want, (1u << 20) + (1u << 20) + (4u << 20), "head, log, pages");
        world_fini(&world);
    }
}

Test(on_device, pages_grow_to_the_end_of_the_device_and_no_further, .timeout = 60)
{
    enum { ROOM = (DISK_BYTES - (2u << 20)) / 4096 };
    struct world world;
    struct keel_tx *tx;
    keel_pageno page;
    unsigned count = 0;
    int rc;

    disk_world(&world, 1);
    world.options.space_bytes_max = 0; /* whatever there is */
    world_open(&world);
    for (;; count++) {
        tx = begin(&world);
        rc = keel_tx_alloc(tx, &page);
        if (rc)
            break;
        expect_ok(keel_tx_commit(tx, NULL));
    }
    keel_tx_abort(tx);
    cr_assert_eq(rc, KEEL_ESPACEFULL, "%s", keel_err_name(rc));
    cr_assert_eq(info_of(&world).pages, ROOM);
    cr_assert_geq(count, ROOM - 8, "all but pages of the map, not %u", count);
    world_close(&world);
    world_open(&world);
    cr_assert_eq(info_of(&world).pages_allocated, count);
    world_fini(&world);
}

Test(on_device, a_file_of_a_folder_is_no_device_of_a_store, .timeout = 30)
{
    static const char *const names[] = {"db/store.keel", "db/wal.keel", "db/pages.keel"};
    struct keel_err_info info;
    struct world world;

    world_init_sim(&world, make_sim(1, false, 0));
    world.options.space_bytes = 4u << 20;
    world.options.log_bytes = 4u << 20;
    world_open(&world);
    put_page(&world, "something");
    world_close(&world);
    world.options.log_bytes = 272u << 10;
    world.options.space_bytes = 64u * 4096u;
    for (unsigned i = 0; i < 3; i++) {
        snprintf(world.path, sizeof(world.path), "%s", names[i]);
        expect_rc(try_open(&world, &info), i == 0 ? KEEL_ENOSPACE : KEEL_ENOTEMPTY);
    }
    snprintf(world.path, sizeof(world.path), "%s", "db");
    expect_ok(try_open(&world, &info));
    world_fini(&world);
}
