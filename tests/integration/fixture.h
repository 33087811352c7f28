/*
 * A store for tests, over each method: the same test body runs on the simulation, with plain system
 * calls, and on io_uring; in a folder, and on one device.
 *
 * KEEL_TEST_DEVICE=PATH puts every store that is not simulated on that block device or namespace,
 * whose content is lost; one test at a time then (-j1).
 * KEEL_TEST_NVME=/dev/ngXnY is the namespace for the variants of the nvme method, which do not run
 * without it.
 */
#ifndef KEEL_TESTS_INTEGRATION_FIXTURE_H
#define KEEL_TESTS_INTEGRATION_FIXTURE_H

#include <criterion/criterion.h>
#include <keel/keel.h>

#include "tests/support/tmpdir.h"

struct world {
    enum keel_method method;
    enum keel_background background;
    struct keel_sim *sim; /* or NULL */
    struct tmpdir dir;    /* not on the simulation */
    struct keel_ctx *ctx;
    struct keel_options options;
    struct keel_store *store;
    char path[600];
    bool one_device; /* path is one */
};

struct variant {
    const char *label;
    enum keel_method method;
    enum keel_background background;
    bool one_device; /* the store is not in a folder */
};

extern const struct variant variants[];
extern const unsigned variant_count;

/* Run body on every variant; one that cannot be had on this machine is named and skipped. */
void for_each_variant(void (*body)(struct world *world));

/* Small sizes: log 272 KiB, 64 pages, 64 frames. Nothing is opened yet but a context. False: this
 * method cannot be had here. */
bool world_init(struct world *world, const struct variant *variant);
void world_fini(struct world *world);
/* The store is to be on a device of 16 MiB full of zeroes (a file) instead of in a folder. */
void world_on_device(struct world *world);
/* A simulated world; sim: taken. */
void world_init_sim(struct world *world, struct keel_sim *sim);
struct keel_sim *make_sim(uint64_t seed, bool history, uint64_t bytes_max);

void world_open(struct world *world);
void world_close(struct world *world);
struct keel_ctx *world_new_ctx(struct world *world);

/* One page allocated with text in it, committed durably. */
keel_pageno put_page(struct world *world, const char *text);
void set_page(struct world *world, keel_pageno pageno, const char *text);
void expect_page(struct world *world, keel_pageno pageno, const char *text);
struct keel_tx *begin(struct world *world);
struct keel_tx *begin_nowait(struct world *world);
struct keel_store_info info_of(struct world *world);

#define expect_rc(expr, want)                                                  \
    do {                                                                       \
        int rc_ = (expr);                                                      \
        cr_assert_eq(rc_, (want), "%s: %s, not %s", #expr, keel_err_name(rc_), \
                     keel_err_name(want));                                     \
    } while (0)
#define expect_ok(expr) expect_rc(expr, 0)

#endif
