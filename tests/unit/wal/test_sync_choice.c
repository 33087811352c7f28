/*
 * Choosing the sync method on a real file: it is measured, and measuring damages nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"
#include "tests/unit/wal/fixture.h"

TestSuite(wal_sync_choice, .timeout = 60);

static struct tmpdir dir;
static struct harvest harvest;

/* A formatted log on a real file, in a world without a simulation. */
static void real_create(struct world *world)
{
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    char path[600];

    memset(world, 0, sizeof(*world));
    tmpdir_create(&dir);
    world->next_group = 1;
    world->options = (struct keel_wal_options)KEEL_WAL_OPTIONS_DEFAULT;
    cr_assert_eq(keel_ctx_open(NULL, &world->ctx), 0);
    device_options.create_bytes = KEEL_WAL_BYTES_MIN;
    cr_assert_eq(keel_device_open(world->ctx, tmpdir_join(&dir, "log", path, sizeof(path)),
                                  &device_options, NULL, &world->device),
                 0);
    cr_assert_eq(keel_wal_create(world->ctx, world->device, &world->options, NULL), 0);
}

static void real_destroy(struct world *world)
{
    if (world->wal)
        keel_ignore(world_close(world), "teardown");
    world_detach(world);
    tmpdir_destroy(&dir);
}

/* Leave the log as a crash would: not closed in order. */
static void crash(struct world *world)
{
    keel_wal_poison(world->wal, -EIO);
    cr_assert_eq(world_close(world), KEEL_EPOISON);
}

Test(wal_sync_choice, auto_measures_both_ways_and_says_so)
{
    struct keel_wal_stats stats;
    struct world world;

    real_create(&world);
    world_start(&world);
    keel_wal_stats(world.wal, &stats);
    cr_assert_gt(stats.sync_ns_p25[KEEL_SYNC_DSYNC], 0);
    cr_assert_gt(stats.sync_ns_p25[KEEL_SYNC_LINK], 0);
    cr_assert(stats.sync == KEEL_SYNC_DSYNC || stats.sync == KEEL_SYNC_LINK);
    cr_assert(strstr(stats.sync_why, "measured"));
    cr_assert_eq(group_commit(&world, 1, 100), 0);
    cr_assert_eq(world_close(&world), 0);
    real_destroy(&world);
}

static const char *sync_why(struct world *world)
{
    static struct keel_wal_stats stats;

    keel_wal_stats(world->wal, &stats);
    return stats.sync_why;
}

/* Start, and close in order, which keeps what was measured. ret_why: lent until the next call. */
static const char *start_once(struct world *world)
{
    world_start(world);
    const char *why = sync_why(world);
    cr_assert_eq(group_commit(world, 1, 100), 0);
    cr_assert_eq(world_close(world), 0);
    return why;
}

static void copy_file(const char *from, int to)
{
    static char bytes[65536];
    FILE *in = fopen(from, "rb");
    size_t len;

    cr_assert(in);
    while ((len = fread(bytes, 1, sizeof(bytes), in)) > 0)
        cr_assert_eq(write(to, bytes, len), (ssize_t)len);
    fclose(in);
}

/* A log that is moved, byte for byte, to a disk that is another one. */
Test(wal_sync_choice, another_device_is_measured_again_and_the_same_one_is_not)
{
    static const char earlier[] = "measured at an earlier start", now[] = "measured: ";
    char path[600], moved[] = "/dev/shm/keel-moved-XXXXXX";
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_device_info home;
    struct world world;

    int fd = mkstemp(moved);
    if (fd < 0) {
        cr_skip("no second disk: /dev/shm cannot be written to");
        return;
    }
    real_create(&world);
    cr_assert(strncmp(start_once(&world), now, strlen(now)) == 0);
    cr_assert(strncmp(start_once(&world), earlier, strlen(earlier)) == 0);
    home = *keel_device_info(world.device);

    copy_file(tmpdir_join(&dir, "log", path, sizeof(path)), fd);
    close(fd);
    keel_device_close(world.device);
    int rc = keel_device_open(world.ctx, moved, &device_options, NULL, &world.device);
    bool same = rc == 0 && keel_device_info(world.device)->dev_major == home.dev_major &&
                keel_device_info(world.device)->dev_minor == home.dev_minor;
    if (rc == 0 && !same) {
        cr_assert(strncmp(start_once(&world), now, strlen(now)) == 0, "%s", "not measured there");
        cr_assert(strncmp(start_once(&world), earlier, strlen(earlier)) == 0);
    }
    unlink(moved);
    if (rc == 0)
        keel_device_close(world.device);
    keel_ctx_close(world.ctx);
    tmpdir_destroy(&dir);
    if (rc != 0 || same)
        cr_skip("no second disk: /dev/shm %s", rc != 0 ? keel_err_name(rc) : "is on the same one");
}

Test(wal_sync_choice, W3_measuring_writes_only_where_nobody_owns_anything)
{
    struct world world;

    real_create(&world);
    for (uint32_t round = 0; round < 6; round++) {
        cr_assert_eq(world_open(&world), 0, "%s", world.info.object);
        cr_assert_eq(world_replay(&world, &harvest), 0);
        cr_assert_eq(harvest.last, world.next_group - 1);
        cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
        if (group_commit(&world, 2, 2500) == KEEL_ELOGFULL)
            break;
        crash(&world);
    }
    real_destroy(&world);
}

Test(wal_sync_choice, a_ring_without_a_free_block_is_not_measured)
{
    struct keel_wal_stats stats;
    struct world world;
    int rc = 0;

    real_create(&world);
    world.options.sync = KEEL_SYNC_DSYNC;
    world_start(&world);
    while (rc == 0)
        rc = group_commit(&world, 1, 3000);
    cr_assert_eq(rc, KEEL_ELOGFULL);
    crash(&world);

    world.options.sync = KEEL_SYNC_AUTO;
    world_start(&world);
    keel_wal_stats(world.wal, &stats);
    cr_assert_eq(stats.sync, KEEL_SYNC_DSYNC);
    cr_assert(strstr(stats.sync_why, "not measured"));
    cr_assert_eq(stats.free_bytes, 0);

    /* A checkpoint makes room without needing any. */
    keel_lsn cut = keel_wal_cut(world.wal);
    cr_assert_eq(keel_wal_commit(world.wal, cut), 0);
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, cut), 0);
    cr_assert_eq(group_commit(&world, 1, 3000), 0);
    real_destroy(&world);
}

Test(wal_sync_choice, a_named_method_is_taken_as_it_is)
{
    static const enum keel_sync_method methods[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK,
                                                    KEEL_SYNC_FLUSH};
    struct keel_wal_stats stats;
    struct world world;

    real_create(&world);
    for (size_t m = 0; m < 3; m++) {
        world.options.sync = methods[m];
        world_start(&world);
        for (uint32_t i = 0; i < 5; i++)
            cr_assert_eq(group_commit(&world, 1, 100), 0);
        keel_wal_stats(world.wal, &stats);
        cr_assert_eq(stats.sync, methods[m]);
        cr_assert_eq(stats.writes, 5);
        cr_assert_eq(stats.syncs, methods[m] == KEEL_SYNC_DSYNC ? 0 : 5);
        cr_assert_eq(world_close(&world), 0);
    }
    real_destroy(&world);
}
