/*
 * The store of the integration tests.
 */
#include "tests/integration/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/methods.h"

const struct variant variants[] = {
    {"sim", KEEL_METHOD_SIM, KEEL_MANUAL, false},
    {"sim, one device", KEEL_METHOD_SIM, KEEL_MANUAL, true},
    {"sync, manual", KEEL_METHOD_SYNC, KEEL_MANUAL, false},
    {"sync, threads", KEEL_METHOD_SYNC, KEEL_THREADS, false},
    {"uring, manual", KEEL_METHOD_URING, KEEL_MANUAL, false},
    {"uring, threads", KEEL_METHOD_URING, KEEL_THREADS, false},
    {"uring, threads, one device", KEEL_METHOD_URING, KEEL_THREADS, true},
    {"nvme, manual", KEEL_METHOD_NVME, KEEL_MANUAL, true},
    {"nvme, threads", KEEL_METHOD_NVME, KEEL_THREADS, true},
};
const unsigned variant_count = sizeof(variants) / sizeof(variants[0]);

struct keel_sim *make_sim(uint64_t seed, bool history, uint64_t bytes_max)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_sim *sim;

    options.seed = seed;
    options.history = history;
    options.bytes_max = bytes_max;
    expect_ok(keel_sim_create(&options, &sim));
    return sim;
}

struct keel_ctx *world_new_ctx(struct world *world)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    options.method = world->method;
    options.iopoll = test_iopoll(world->method);
    options.sim = world->sim;
    int rc = keel_ctx_open(&options, &ctx);
    cr_assert(rc == 0 || rc == KEEL_EMETHOD, "%s", keel_err_name(rc));
    return rc == 0 ? ctx : NULL;
}

static void set_options(struct world *world)
{
    world->options = (struct keel_options){
        .size = sizeof(world->options),
        .background = world->background,
        .method = world->method,
        .sim = world->sim,
        .sync = KEEL_SYNC_DSYNC,
        .log_bytes = 272u << 10,
        .space_bytes = 64u * 4096u,
        .space_bytes_max = 2048u * 4096u,
        .cache_bytes = 64u * 4096u,
        .log_buffer_bytes = 64u << 10,
        .tx_max = 16,
    };
}

/* The first MiB of a disk: without it, there is no store. */
static void wipe(struct world *world)
{
    static _Alignas(4096) uint8_t zeroes[256u << 10];
    struct keel_io io = {.buf = zeroes, .len_bytes = sizeof(zeroes), .op = KEEL_OP_WRITE};

    expect_ok(keel_device_open(world->ctx, world->path, NULL, NULL, &io.device));
    for (; io.offset_bytes < 1u << 20; io.offset_bytes += sizeof(zeroes)) {
        expect_ok(keel_io_submit(world->ctx, &io));
        expect_ok(keel_io_wait(world->ctx, &io));
    }
    keel_device_close(io.device);
}

void world_on_device(struct world *world)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_device *device;

    snprintf(world->path, sizeof(world->path), "%s%sdisk", world->dir.path,
             world->dir.path[0] ? "/" : "");
    options.create_bytes = 16u << 20;
    expect_ok(keel_device_open(world->ctx, world->path, &options, NULL, &device));
    keel_device_close(device);
    world->one_device = true;
}

bool world_init(struct world *world, const struct variant *variant)
{
    bool nvme = variant->method == KEEL_METHOD_NVME;
    const char *disk = getenv(nvme ? "KEEL_TEST_NVME" : "KEEL_TEST_DEVICE");

    *world = (struct world){.method = variant->method, .background = variant->background};
    if (world->method == KEEL_METHOD_SIM) {
        world_init_sim(world, make_sim(1, false, 0));
        if (variant->one_device)
            world_on_device(world);
        return true;
    }
    world->ctx = nvme && !disk ? NULL : world_new_ctx(world);
    if (!world->ctx)
        return false;
    set_options(world);
    if (disk) {
        snprintf(world->path, sizeof(world->path), "%s", disk);
        wipe(world);
        world->one_device = true;
        world->options.overwrite = true; /* the last MiB may be somebody's */
        return true;
    }
    tmpdir_create(&world->dir);
    snprintf(world->path, sizeof(world->path), "%s/db", world->dir.path);
    if (variant->one_device)
        world_on_device(world);
    return true;
}

void world_init_sim(struct world *world, struct keel_sim *sim)
{
    *world = (struct world){
        .method = KEEL_METHOD_SIM, .background = KEEL_MANUAL, .sim = sim, .path = "db"};
    world->ctx = world_new_ctx(world);
    cr_assert(world->ctx);
    set_options(world);
}

void world_fini(struct world *world)
{
    if (world->store)
        world_close(world);
    keel_ctx_close(world->ctx);
    if (world->sim)
        keel_sim_destroy(world->sim);
    else if (world->dir.path[0])
        tmpdir_destroy(&world->dir);
}

void for_each_variant(void (*body)(struct world *world))
{
    unsigned count = 0;

    for (unsigned i = 0; i < variant_count; i++) {
        struct world world;
        enum test_choice choice = test_choice(variants[i].label);

        if (choice == TEST_LEFT_OUT)
            continue;
        count++;
        if (!world_init(&world, &variants[i])) {
            cr_assert(choice == TEST_IF_THERE, "%s cannot be had here", variants[i].label);
            fprintf(stderr, "skipped on %s: the method cannot be had here\n", variants[i].label);
            continue;
        }
        cr_log_info("on %s", variants[i].label);
        body(&world);
        world_fini(&world);
    }
    cr_assert_gt(count, 0, "no method is named by KEEL_TEST_METHODS");
}

void world_open(struct world *world)
{
    struct keel_err_info info = {0};

    int rc = keel_open(world->ctx, world->path, &world->options, &info, &world->store);
    cr_assert_eq(rc, 0, "open: %s, %s, %s", keel_err_name(rc), info.op ? info.op : "", info.object);
    cr_assert_eq(keel_state(world->store), KEEL_RUNNING);
}

void world_close(struct world *world)
{
    struct keel_store *store = world->store;

    world->store = NULL;
    expect_ok(keel_close(world->ctx, store));
}

struct keel_tx *begin(struct world *world)
{
    struct keel_tx *tx;

    expect_ok(keel_tx_begin(world->ctx, world->store, NULL, &tx));
    return tx;
}

struct keel_tx *begin_nowait(struct world *world)
{
    struct keel_tx_options options = KEEL_TX_OPTIONS_DEFAULT;
    struct keel_tx *tx;

    options.nowait = true;
    for (;;) {
        int rc = keel_tx_begin(world->ctx, world->store, &options, &tx);
        if (rc == 0)
            return tx;
        cr_assert_eq(rc, KEEL_PENDING, "%s", keel_err_name(rc)); /* the log is full */
        cr_assert_geq(keel_tick(world->ctx, world->store), 0);
        cr_assert_geq(keel_ctx_poll(world->ctx, 0, 1000000), 0);
    }
}

keel_pageno put_page(struct world *world, const char *text)
{
    struct keel_tx *tx = begin(world);
    keel_pageno pageno;

    expect_ok(keel_tx_alloc(tx, &pageno));
    expect_ok(keel_tx_write(tx, pageno, 0, text, (uint32_t)strlen(text) + 1));
    expect_ok(keel_tx_commit(tx, NULL));
    return pageno;
}

void set_page(struct world *world, keel_pageno pageno, const char *text)
{
    struct keel_tx *tx = begin(world);

    expect_ok(keel_tx_write(tx, pageno, 0, text, (uint32_t)strlen(text) + 1));
    expect_ok(keel_tx_commit(tx, NULL));
}

void expect_page(struct world *world, keel_pageno pageno, const char *text)
{
    struct keel_page page;

    expect_ok(keel_read(world->ctx, world->store, pageno, 0, &page));
    cr_assert_str_eq(page.data, text, "page %llu", (unsigned long long)pageno);
    keel_page_unfix(&page);
}

struct keel_store_info info_of(struct world *world)
{
    struct keel_store_info info;

    keel_store_info(world->store, &info);
    return info;
}
