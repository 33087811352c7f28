/*
 * Copies, archived parts, another size: what they hold, and what a power cut leaves of them (W5).
 */
#include <errno.h>
#include <stdio.h>

#include "tests/unit/wal/fixture.h"
#include "wal/log.h"

TestSuite(wal_copy, .timeout = 120);

static struct harvest harvest;

/* The log at path in the same simulation, opened read only: what opening it returned. */
static int look_at(const struct world *world, const char *path, struct world *ret)
{
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;

    *ret = *world;
    ret->wal = NULL;
    ret->options.read_only = true;
    ctx_options.method = KEEL_METHOD_SIM;
    ctx_options.sim = world->sim;
    device_options.read_only = true;
    cr_assert_eq(keel_ctx_open(&ctx_options, &ret->ctx), 0);
    int rc = keel_device_open(ret->ctx, path, &device_options, NULL, &ret->device);
    if (rc != 0) {
        keel_ctx_close(ret->ctx);
        return rc;
    }
    rc = world_open(ret);
    if (rc != 0)
        world_detach(ret);
    return rc;
}

static void look_away(struct world *world)
{
    cr_assert_eq(world_close(world), 0);
    world_detach(world);
}

/* Groups first to last are in the log at path, and nothing else. */
static void expect_groups(const struct world *world, const char *path, uint64_t first,
                          uint64_t last)
{
    struct world copy;

    cr_assert_eq(look_at(world, path, &copy), 0, "%s: %s", path, copy.info.object);
    cr_assert(keel_wal_report(copy.wal)->clean);
    cr_assert_eq(world_replay(&copy, &harvest), 0);
    cr_assert_eq(harvest.first, first);
    cr_assert_eq(harvest.last, last);
    look_away(&copy);
}

static int copy_to(struct world *world, const char *path, uint64_t ring)
{
    keel_lsn end = 0, durable = keel_wal_durable(world->wal);
    int rc = keel_wal_copy(world->ctx, world->wal, path, ring > 0 ? ring + WAL_SUPER_BYTES : 0,
                           &world->info, &end);

    if (rc == 0)
        cr_assert_geq(end, durable);
    return rc;
}

Test(wal_copy, of_a_log_in_use_has_what_is_durable_and_nothing_else)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(copy_to(&world, "empty", 0), 0);
    for (uint32_t i = 0; i < 400; i++) {
        char path[32];
        int rc = group_commit(&world, 2, 1500);

        if (rc == KEEL_ELOGFULL)
            cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, keel_wal_cut(world.wal)), 0);
        if (i % 37 != 5 || rc != 0)
            continue;
        uint64_t last = world.next_group - 1;
        cr_assert_eq(group_append(&world, 1, 100), 0);
        struct keel_wal_reader *reader;
        struct keel_wal_entry entry;
        cr_assert_eq(keel_wal_reader_open(world.ctx, world.wal, 0, NULL, &reader), 0);
        cr_assert_eq(keel_wal_reader_next(reader, &entry), 1);
        uint64_t first = load_le64(entry.data);
        keel_wal_reader_close(reader);
        snprintf(path, sizeof(path), "copy-%u", i);
        cr_assert_eq(copy_to(&world, path, 0), 0);
        expect_groups(&world, path, first, last);
        cr_assert_eq(copy_to(&world, path, 0), -EEXIST);
        snprintf(path, sizeof(path), "large-%u", i);
        cr_assert_eq(copy_to(&world, path, 3 * WORLD_RING_MIN), 0);
        expect_groups(&world, path, first, last);
    }
    world_destroy(&world);
}

/* The copy is a log like any other: it goes on from its end. */
Test(wal_copy, can_be_opened_for_writing_and_takes_the_place_of_the_log)
{
    struct world world;

    world_create(&world, 2 * WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(group_commit(&world, 1, 3000), 0);
    cr_assert_eq(copy_to(&world, "small", WORLD_RING_MIN), 0);
    for (uint32_t i = 0; i < 60; i++)
        cr_assert_eq(group_commit(&world, 1, 3000), 0);
    cr_assert_eq(copy_to(&world, "too-small", WORLD_RING_MIN), KEEL_ERANGE);
    cr_assert_gt(world.info.want, world.info.got);
    cr_assert_eq(world_close(&world), 0);
    cr_assert_eq(keel_path_rename(world.ctx, "small", WORLD_PATH), 0);
    world_detach(&world);
    world_attach(&world);
    world.next_group = 21;
    world_start(&world);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(group_commit(&world, 1, 3000), 0);
    cr_assert_eq(world_close(&world), 0);
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    cr_assert_eq(harvest.first, 1);
    cr_assert_eq(harvest.last, 30);
    world_destroy(&world);
}

Test(wal_copy, damage_in_the_log_is_reported_and_leaves_no_copy)
{
    struct world world;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 9; i++)
        cr_assert_eq(group_commit(&world, 1, 3000), 0);
    keel_lsn bad = lsn_block_down(world.last_end) - 3 * WAL_BLOCK;
    world_flip(&world, world_offset(&world, bad + 77), 4);
    cr_assert_eq(copy_to(&world, "copy", 0), KEEL_ECORRUPT);
    cr_assert_eq(world.info.offset, bad);
    cr_assert_eq(keel_path_exists(world.ctx, "copy"), KEEL_PATH_NONE);
    world_destroy(&world);
}

/* ---------------------------------------------------------------- archive */

struct archived {
    struct world *world;
    int fail; /* what the hook returns the next time */
    uint32_t parts;
    keel_lsn next;
};

static int save(void *arg, const struct keel_wal_part *part)
{
    struct archived *archived = arg;
    char path[32];

    if (archived->fail != 0) {
        int rc = archived->fail;
        archived->fail = 0;
        return rc;
    }
    if (archived->parts > 0)
        cr_assert_eq(part->begin_lsn, archived->next);
    archived->next = part->next_lsn;
    snprintf(path, sizeof(path), "part-%u", archived->parts++);
    return keel_wal_part_write(part, path, NULL);
}

static struct keel_wal_archive *archive_open(struct archived *archived, keel_lsn from)
{
    struct keel_wal_archive_options options = KEEL_WAL_ARCHIVE_OPTIONS_DEFAULT;
    struct keel_wal_archive *archive;

    options.hold.lsn = from;
    options.hold.beyond = KEEL_WAL_WAIT;
    options.part_bytes = 8 * WAL_BLOCK;
    options.save = save;
    options.arg = archived;
    cr_assert_eq(keel_wal_archive_open(archived->world->wal, &options, &archive), 0);
    return archive;
}

/* Each group is whole in one part, and no part has anything else: from group 1 to last. */
static void expect_archived(const struct archived *archived, uint64_t last)
{
    uint64_t next = 1;

    for (uint32_t i = 0; i < archived->parts; i++) {
        char path[32];
        struct world part;

        snprintf(path, sizeof(path), "part-%u", i);
        cr_assert_eq(look_at(archived->world, path, &part), 0, "%s", path);
        cr_assert_eq(world_replay(&part, &harvest), 0);
        cr_assert_eq(harvest.first, next, "part %u", i);
        next = harvest.last + 1;
        look_away(&part);
    }
    cr_assert_eq(next, last + 1);
}

/* Over many laps and a restart by power cut; groups from a few bytes to more than a part. */
Test(wal_copy, W5_an_archive_has_each_group_once_whatever_happens_to_the_log)
{
    struct world world, after;
    struct archived archived = {.world = &world};
    uint64_t refused = 0;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    struct keel_wal_archive *archive = archive_open(&archived, 0);
    for (uint32_t i = 0; i < 400; i++) {
        if (group_append(&world, 1 + i % 3, i % 50 == 7 ? 14000 : 16 + i * 13 % 3000) != 0) {
            refused++;
            cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
            cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, keel_wal_cut(world.wal)), 0);
            cr_assert_geq(keel_wal_archive_run(world.ctx, archive, false), 1);
            continue;
        }
        if (i % 5 == 0)
            cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
        if (i == 250) {
            keel_wal_archive_close(archive);
            cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
            world_cut(&world, keel_sim_events(world.sim), KEEL_CUT_TORN, i, &after);
            world_destroy(&world);
            world = after;
            cr_assert_eq(world_open(&world), 0);
            archive = archive_open(&archived, archived.next);
            cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
        }
    }
    cr_assert_gt(refused, 3);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    cr_assert_geq(keel_wal_archive_run(world.ctx, archive, true), 1);
    cr_assert_eq(keel_wal_archive_run(world.ctx, archive, true), 0);
    keel_wal_archive_close(archive);
    expect_archived(&archived, world.next_group - 1);
    world_destroy(&world);
}

Test(wal_copy, a_failing_archive_keeps_the_log_and_can_be_seen)
{
    struct world world;
    struct archived archived = {.world = &world, .fail = -ENOSPC};
    struct keel_wal_stats stats;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    struct keel_wal_archive *archive = archive_open(&archived, 0);
    while (group_commit(&world, 1, 3000) == 0)
        ;
    cr_assert_eq(keel_wal_truncate(world.ctx, world.wal, keel_wal_cut(world.wal)), 0);
    cr_assert_eq(keel_wal_archive_run(world.ctx, archive, false), -ENOSPC);
    cr_assert_eq(group_commit(&world, 1, 3000), KEEL_ELOGFULL);
    keel_wal_stats(world.wal, &stats);
    cr_assert_eq(stats.holders[0].failures, 1);
    cr_assert_eq(stats.holders[0].error, -ENOSPC);
    cr_assert_str_eq(stats.holders[0].name, "archive");
    cr_assert_geq(keel_wal_archive_run(world.ctx, archive, false), 5);
    keel_wal_stats(world.wal, &stats);
    cr_assert_eq(stats.holders[0].error, 0);
    cr_assert_eq(group_commit(&world, 1, 3000), 0);
    cr_assert_geq(keel_wal_archive_run(world.ctx, archive, true), 1);
    keel_wal_archive_close(archive);
    expect_archived(&archived, world.next_group - 1);
    world_destroy(&world);
}

/* ---------------------------------------------------------------- another size */

static int resize(struct world *world, uint64_t ring)
{
    return keel_wal_resize(world->ctx, WORLD_PATH, ring + WAL_SUPER_BYTES, &world->options,
                           &world->info);
}

/* A log that ended by a power cut, with some groups behind the redo LSN; not open. */
static uint64_t crashed_log(struct world *world, uint64_t ring, uint32_t groups)
{
    struct world after;
    uint64_t kept = 0;

    world_create(world, ring, 1);
    world_start(world);
    for (uint32_t i = 0; i < groups; i++) {
        cr_assert_eq(group_commit(world, 1, 3000), 0);
        if (i == groups / 3) {
            cr_assert_eq(keel_wal_truncate(world->ctx, world->wal, keel_wal_cut(world->wal)), 0);
            kept = world->next_group;
        }
    }
    world_cut(world, keel_sim_events(world->sim), KEEL_CUT_TORN, 3, &after);
    world_destroy(world);
    *world = after;
    return kept;
}

/* Wherever power fails, and whatever it leaves, the log has its old size or the new one, and every
 * group; and what failed can be done again. */
Test(wal_copy, another_size_is_there_whole_or_not_at_all)
{
    static const uint64_t sizes[][2] = {{WORLD_RING_MIN, 2 * WORLD_RING_MIN},
                                        {2 * WORLD_RING_MIN, WORLD_RING_MIN}};
    uint64_t seen[2] = {0};

    for (uint32_t s = 0; s < 2; s++) {
        struct world world, after;
        uint64_t kept = crashed_log(&world, sizes[s][0], 30);
        uint64_t begun, last = world.next_group - 1;

        keel_device_close(world.device);
        begun = keel_sim_events(world.sim);
        cr_assert_eq(resize(&world, sizes[s][1]), 0, "%s", world.info.op);
        uint64_t events = keel_sim_events(world.sim);
        cr_assert_eq(keel_device_open(world.ctx, WORLD_PATH,
                                      &(struct keel_device_options)KEEL_DEVICE_OPTIONS_DEFAULT,
                                      NULL, &world.device),
                     0);
        for (uint64_t event = begun; event <= events; event++) {
            for (uint32_t mode = 0; mode < KEEL_CUT_MODES; mode++) {
                world_cut(&world, event, (enum keel_cut_mode)mode, event, &after);
                uint64_t ring = keel_device_info(after.device)->size_bytes - WAL_SUPER_BYTES;
                cr_assert(ring == sizes[s][0] || ring == sizes[s][1]);
                seen[ring == sizes[s][1]]++;
                cr_assert_eq(world_open(&after), 0, "event %lu: %s", (unsigned long)event,
                             after.info.object);
                cr_assert_eq(world_replay(&after, &harvest), 0);
                cr_assert_eq(harvest.first, kept);
                cr_assert_eq(harvest.last, last);
                cr_assert_eq(world_close(&after), 0);
                keel_device_close(after.device);
                cr_assert_eq(resize(&after, sizes[s][1]), 0, "again, event %lu",
                             (unsigned long)event);
                keel_ctx_close(after.ctx);
                keel_sim_destroy(after.sim);
            }
        }
        world_destroy(&world);
    }
    cr_assert_gt(seen[0], 50);
    cr_assert_gt(seen[1], 4);
}

Test(wal_copy, another_size_is_refused_where_the_log_does_not_fit_or_is_in_use)
{
    struct world world;

    crashed_log(&world, 2 * WORLD_RING_MIN, 100);
    cr_assert_eq(resize(&world, WORLD_RING_MIN), KEEL_EINUSE);
    keel_device_close(world.device);
    cr_assert_eq(resize(&world, WORLD_RING_MIN), KEEL_ERANGE);
    cr_assert_gt(world.info.want, WORLD_RING_MIN);
    cr_assert_eq(resize(&world, 4096), KEEL_EOPTION);
    cr_assert_eq(keel_path_exists(world.ctx, "wal.keel.resize"), KEEL_PATH_NONE);
    cr_assert_eq(resize(&world, 3 * WORLD_RING_MIN), 0);
    expect_groups(&world, WORLD_PATH, 35, 100);
    keel_ctx_close(world.ctx);
    keel_sim_destroy(world.sim);
}
