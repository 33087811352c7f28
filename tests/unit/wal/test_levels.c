/*
 * What a commit waits for: durable, written or nothing, and what each outlives. Power cuts are
 * those of the simulation; the kill is a real one, of a process with a log in a real file.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"
#include "tests/unit/wal/fixture.h"

TestSuite(wal_levels, .timeout = 60);

static struct harvest harvest;

static const enum keel_sync_method methods[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK, KEEL_SYNC_FLUSH};

static int group_commit_level(struct world *world, enum keel_level level)
{
    int rc = group_append(world, 1, 200);

    return rc != 0 ? rc : keel_wal_commit_level(world->wal, world->last_end, level);
}

static void create_and_start(struct world *world, size_t method, uint64_t seed)
{
    world_create(world, 8 * WORLD_RING_MIN, seed);
    world->options.sync = methods[method];
    world_start(world);
}

Test(wal_levels, a_written_commit_is_one_write_and_shares_its_sync_with_many)
{
    for (size_t m = 0; m < 3; m++) {
        struct world world;
        struct keel_wal_stats stats;
        uint64_t writes_before, writes, syncs_before, syncs;

        create_and_start(&world, m, 1);
        keel_sim_counts(world.sim, WORLD_PATH, &writes_before, &syncs_before);
        for (uint32_t i = 0; i < 64; i++) {
            cr_assert_eq(group_commit_level(&world, KEEL_LEVEL_WRITTEN), 0);
            cr_assert_geq(keel_wal_written(world.wal), world.last_end);
        }
        keel_sim_counts(world.sim, WORLD_PATH, &writes, &syncs);
        keel_wal_stats(world.wal, &stats);
        cr_assert_eq(writes - writes_before, 64);
        cr_assert_leq(syncs - syncs_before, 64 * WAL_BLOCK / 65536, "one for each K of bytes");
        cr_assert_eq(stats.commits, 64);
        cr_assert_lt(keel_wal_durable(world.wal), world.last_end);

        /* One that is durable makes all of them so, with one flush. */
        cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
        cr_assert_geq(keel_wal_durable(world.wal), world.last_end);
        keel_sim_counts(world.sim, WORLD_PATH, &writes_before, &syncs_before);
        cr_assert_eq(writes_before, writes);
        cr_assert_eq(syncs_before, syncs + 1);
        cr_assert_eq(world_close(&world), 0);
        world_destroy(&world);
    }
}

Test(wal_levels, none_starts_nothing_and_is_not_there_after_a_kill)
{
    struct world world;
    struct keel_wal_stats stats;

    create_and_start(&world, 0, 1);
    cr_assert_eq(group_commit(&world, 1, 200), 0);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(group_commit_level(&world, KEEL_LEVEL_NONE), 0);
    keel_wal_stats(world.wal, &stats);
    cr_assert_eq(stats.writes, 1);

    keel_wal_poison(world.wal, -EIO); /* so that closing writes nothing */
    cr_assert_eq(world_close(&world), KEEL_EPOISON);
    cr_assert_eq(world_open(&world), 0);
    cr_assert_eq(world_replay(&world, &harvest), 0);
    cr_assert_eq(harvest.last, 1);
    world_destroy(&world);
}

Test(wal_levels, refuses_what_is_no_level_and_answers_none_after_a_failure)
{
    struct world world;
    struct keel_commit commit = {.done = (void (*)(struct keel_commit *))1,
                                 .level = (enum keel_level)3};

    create_and_start(&world, 0, 1);
    cr_assert_eq(keel_wal_commit_level(world.wal, 0, (enum keel_level)3), KEEL_EOPTION);
    cr_assert_eq(keel_wal_commit_async(world.ctx, world.wal, &commit), KEEL_EOPTION);
    cr_assert_str_eq(keel_level_name(KEEL_LEVEL_WRITTEN), "written");
    cr_assert_str_eq(keel_level_name((enum keel_level)3), "?");

    world_fault(&world, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, 0, 1);
    cr_assert_eq(group_commit_level(&world, KEEL_LEVEL_WRITTEN), KEEL_EPOISON);
    cr_assert_eq(keel_wal_commit_level(world.wal, world.last_end, KEEL_LEVEL_NONE), KEEL_EPOISON);
    world_destroy(&world);
}

Test(wal_levels, W4_a_failed_flush_behind_written_commits_poisons)
{
    struct world world;

    create_and_start(&world, 0, 1);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(group_commit_level(&world, KEEL_LEVEL_WRITTEN), 0);
    keel_lsn durable = keel_wal_durable(world.wal);
    world_fault(&world, KEEL_OP_SYNC, KEEL_FAULT_ERROR, -EIO, 0, 1);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), KEEL_EPOISON);
    cr_assert_eq(keel_wal_durable(world.wal), durable);
    cr_assert_eq(group_commit_level(&world, KEEL_LEVEL_WRITTEN), KEEL_EPOISON);
    world_destroy(&world);
}

/* Levels in a drawn order; the power fails after each of the commits in each mode. What a durable
 * commit covered is there, and what is there is a prefix. */
Test(wal_levels, W1_after_a_power_cut_what_was_durable_is_there_whatever_was_written_before_it)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct world world, after;
        uint64_t durable = 0, lost = 0;

        create_and_start(&world, seed % 3, seed);
        for (uint32_t i = 1; i <= 40; i++) {
            enum keel_level level = (i * seed * 7 + i / 3) % 5 == 0 ? KEEL_LEVEL_DURABLE
                                    : (i + seed) % 4 == 0           ? KEEL_LEVEL_NONE
                                                                    : KEEL_LEVEL_WRITTEN;

            cr_assert_eq(group_commit_level(&world, level), 0);
            if (level == KEEL_LEVEL_DURABLE)
                durable = i;
            world_cut(&world, keel_sim_events(world.sim), (enum keel_cut_mode)(i % KEEL_CUT_MODES),
                      seed * 100 + i, &after);
            cr_assert_eq(world_open(&after), 0, "%s", after.info.op);
            cr_assert_eq(world_replay(&after, &harvest), 0);
            cr_assert_geq(harvest.last, durable, "seed %lu", (unsigned long)seed);
            cr_assert_leq(harvest.last, i);
            lost += i - harvest.last;
            world_destroy(&after);
        }
        cr_assert_gt(lost, 0, "the cuts took nothing: they prove nothing");
        world_destroy(&world);
    }
}

/* ---------------------------------------------------------------- asynchronous */

#define COMMITS 120
static struct keel_commit commits[COMMITS];
static uint32_t answers;

static void on_commit(struct keel_commit *commit)
{
    struct world *world = commit->user;

    cr_assert_eq(commit->res, 0);
    cr_assert_eq(commit, &commits[answers], "W2: in LSN order");
    if (commit->level == KEEL_LEVEL_DURABLE)
        cr_assert_geq(keel_wal_durable(world->wal), commit->lsn);
    if (commit->level == KEEL_LEVEL_WRITTEN)
        cr_assert_geq(keel_wal_written(world->wal), commit->lsn);
    answers++;
}

Test(wal_levels, W2_asynchronous_commits_of_all_levels_are_answered_in_order)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct world world;

        create_and_start(&world, seed % 3, seed + 1);
        answers = 0;
        for (uint32_t i = 0; i < COMMITS; i++) {
            cr_assert_eq(group_append(&world, 1, 300), 0);
            commits[i] = (struct keel_commit){.lsn = world.last_end,
                                              .done = on_commit,
                                              .user = &world,
                                              .level = (enum keel_level)((i * 5 + seed) / 7 % 3)};
            cr_assert_eq(keel_wal_commit_async(world.ctx, world.wal, &commits[i]), 0);
            if (i % 11 == 0)
                cr_assert_geq(keel_ctx_poll(world.ctx, 0, 0), 0);
        }
        for (uint32_t turns = 0; answers < COMMITS; turns++) {
            cr_assert_geq(keel_ctx_poll(world.ctx, 0, -1), 0);
            cr_assert_lt(turns, 100000, "stuck at %u", answers);
        }
        cr_assert_eq(world_close(&world), 0);
        world_destroy(&world);
    }
}

/* ---------------------------------------------------------------- a real kill */

#define ACKED_MIN 300

/* A log in a real file; the world has no simulation. */
static void real_open(struct world *world, const char *path, enum keel_method method, bool create)
{
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;

    memset(world, 0, sizeof(*world));
    world->next_group = 1;
    world->options = (struct keel_wal_options)KEEL_WAL_OPTIONS_DEFAULT;
    world->options.method = method;
    ctx_options.method = method;
    cr_assert_eq(keel_ctx_open(&ctx_options, &world->ctx), 0);
    device_options.create_bytes = create ? 16u << 20 : 0;
    cr_assert_eq(keel_device_open(world->ctx, path, &device_options, NULL, &world->device), 0);
    if (create)
        cr_assert_eq(keel_wal_create(world->ctx, world->device, &world->options, NULL), 0);
    cr_assert_eq(world_open(world), 0, "%s", world->info.op);
}

/* In the process that will be killed: commit, and only then say so. */
static void commit_and_tell(const char *path, enum keel_method method, int pipe)
{
    struct world world;

    real_open(&world, path, method, false);
    cr_assert_eq(keel_wal_start(world.ctx, world.wal), 0);
    for (uint32_t i = 0; group_commit_level(&world, KEEL_LEVEL_WRITTEN) == 0; i++) {
        uint64_t number = world.next_group - 1;

        for (uint32_t n = 0; n < i % 3; n++) /* nobody is owed these */
            cr_assert_eq(group_commit_level(&world, KEEL_LEVEL_NONE), 0);
        cr_assert_eq(write(pipe, &number, sizeof(number)), (ssize_t)sizeof(number));
    }
}

static uint64_t kill_while_committing(const char *path, enum keel_method method)
{
    int ends[2];
    uint64_t acked = 0, number;

    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(ends[0]);
        commit_and_tell(path, method, ends[1]);
        _exit(1); /* the log was full before it was killed: the count below fails */
    }
    close(ends[1]);
    while (read(ends[0], &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        acked = number;
        if (acked >= ACKED_MIN)
            kill(child, SIGKILL); /* and read on: what was said before it died counts */
    }
    close(ends[0]);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    return acked;
}

Test(wal_levels, W1_a_written_commit_is_there_after_the_process_was_killed)
{
    static const enum keel_method ways[] = {KEEL_METHOD_URING, KEEL_METHOD_SYNC};
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct tmpdir dir;
    struct world world;
    char path[600];

    tmpdir_create(&dir);
    for (size_t i = 0; i < 2; i++) {
        struct keel_ctx *ctx;

        ctx_options.method = ways[i];
        if (keel_ctx_open(&ctx_options, &ctx) == KEEL_EMETHOD) {
            printf("method %zu cannot be had here, left out\n", i);
            continue;
        }
        keel_ctx_close(ctx);
        tmpdir_join(&dir, i == 0 ? "uring" : "sync", path, sizeof(path));
        real_open(&world, path, ways[i], true);
        cr_assert_eq(world_close(&world), 0);
        world_detach(&world);

        uint64_t acked = kill_while_committing(path, ways[i]);
        cr_assert_geq(acked, ACKED_MIN);
        real_open(&world, path, ways[i], false);
        cr_assert(!keel_wal_report(world.wal)->clean);
        cr_assert_eq(world_replay(&world, &harvest), 0);
        cr_assert_eq(harvest.first, 1);
        cr_assert_geq(harvest.last, acked);
        cr_assert_eq(world_close(&world), 0);
        world_detach(&world);
    }
    tmpdir_destroy(&dir);
}
