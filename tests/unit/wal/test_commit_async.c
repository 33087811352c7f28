/*
 * Asynchronous commits: order, answers, poison, several contexts.
 */
#include "tests/unit/wal/fixture.h"

TestSuite(wal_commit_async, .timeout = 60);

#define COMMITS 200

struct tally {
    struct world *world;
    uint32_t done;
    uint32_t failed;
    keel_lsn last;
    bool chain; /* each answer appends and commits again */
};

static struct keel_commit commits[COMMITS];

static void on_commit(struct keel_commit *commit)
{
    struct tally *tally = commit->user;

    if (commit->res == 0)
        cr_assert_geq(keel_wal_durable(tally->world->wal), commit->lsn); /* W1 */
    else
        tally->failed++;
    cr_assert_geq(commit->lsn, tally->last); /* W2: in LSN order */
    tally->last = commit->lsn;
    tally->done++;
    if (tally->chain && tally->done < COMMITS) {
        cr_assert_eq(group_append(tally->world, 1, 100), 0);
        commit->lsn = tally->world->last_end;
        cr_assert_eq(keel_wal_commit_async(tally->world->ctx, tally->world->wal, commit), 0);
    }
}

static int commit_next(struct world *world, struct keel_ctx *ctx, struct tally *tally, uint32_t i)
{
    int rc = group_append(world, 1, 300);

    if (rc != 0)
        return rc;
    commits[i] = (struct keel_commit){.lsn = world->last_end, .done = on_commit, .user = tally};
    return keel_wal_commit_async(ctx, world->wal, &commits[i]);
}

static void poll_until(struct world *world, struct keel_ctx *ctx, const struct tally *tally,
                       uint32_t done)
{
    for (uint32_t turns = 0; tally->done < done; turns++) {
        cr_assert_geq(keel_ctx_poll(ctx, 0, -1), 0);
        cr_assert_lt(turns, 100000, "stuck at %u of %u", tally->done, done);
    }
    (void)world;
}

Test(wal_commit_async, W2_answers_in_lsn_order_when_durable)
{
    static const enum keel_sync_method methods[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK,
                                                    KEEL_SYNC_FLUSH};

    for (size_t m = 0; m < 3; m++) {
        struct world world;
        struct tally tally = {.world = &world};

        world_create(&world, WORLD_RING_MIN, 21 + m);
        world.options.sync = methods[m];
        world.options.pipeline_bytes = 8192;
        world_start(&world);
        for (uint32_t i = 0; i < COMMITS; i++)
            cr_assert_eq(commit_next(&world, world.ctx, &tally, i), 0);
        cr_assert_eq(tally.done, 0, "an answer outside keel_ctx_poll");
        poll_until(&world, world.ctx, &tally, COMMITS);
        cr_assert_eq(tally.failed, 0);
        cr_assert_eq(keel_ctx_poll(world.ctx, 0, -1), 0);
        cr_assert_eq(world_close(&world), 0);
        world_destroy(&world);
    }
}

Test(wal_commit_async, an_answer_may_ask_for_the_next)
{
    struct world world;
    struct tally tally = {.world = &world, .chain = true};

    world_create(&world, 4 * WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(commit_next(&world, world.ctx, &tally, 0), 0);
    poll_until(&world, world.ctx, &tally, COMMITS);
    cr_assert_eq(world_close(&world), 0);
    world_destroy(&world);
}

Test(wal_commit_async, max_callbacks_is_respected)
{
    struct world world;
    struct tally tally = {.world = &world};

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(commit_next(&world, world.ctx, &tally, i), 0);
    while (tally.done < 20) {
        uint32_t before = tally.done;
        int ran = keel_ctx_poll(world.ctx, 3, -1);

        cr_assert(ran >= 0 && ran <= 3);
        cr_assert_eq(tally.done, before + (uint32_t)ran);
    }
    world_destroy(&world);
}

Test(wal_commit_async, W4_poison_answers_everybody_with_the_same_error)
{
    struct world world;
    struct tally tally = {.world = &world};

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    world_fault(&world, KEEL_OP_WRITE, KEEL_FAULT_ERROR, -EIO, 0, 1);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(commit_next(&world, world.ctx, &tally, i), 0);
    poll_until(&world, world.ctx, &tally, 20);

    cr_assert_eq(tally.failed, 20);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(commits[i].res, KEEL_EPOISON);
    world_destroy(&world);
}

Test(wal_commit_async, going_back_or_beyond_the_tail_is_refused)
{
    struct world world;
    struct tally tally = {.world = &world};
    struct keel_commit commit = {.done = on_commit, .user = &tally};

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(commit_next(&world, world.ctx, &tally, 0), 0);
    cr_assert_eq(commit_next(&world, world.ctx, &tally, 1), 0);
    commit.lsn = commits[0].lsn;
    cr_assert_eq(keel_wal_commit_async(world.ctx, world.wal, &commit), KEEL_ERANGE);
    commit.lsn = world.last_end + 8;
    cr_assert_eq(keel_wal_commit_async(world.ctx, world.wal, &commit), KEEL_ERANGE);
    poll_until(&world, world.ctx, &tally, 2);
    world_destroy(&world);
}

Test(wal_commit_async, many_contexts_each_get_their_own)
{
    struct world world;
    struct keel_ctx *others[10];
    struct tally tallies[10];
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    options.method = KEEL_METHOD_SIM;
    options.sim = world.sim;
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(keel_ctx_open(&options, &others[i]), 0);
        tallies[i] = (struct tally){.world = &world};
    }
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(commit_next(&world, others[i * 7 % 10], &tallies[i * 7 % 10], i), 0);
    for (uint32_t i = 0; i < 10; i++)
        poll_until(&world, others[9 - i], &tallies[9 - i], 10);
    for (uint32_t i = 0; i < 10; i++)
        keel_ctx_close(others[i]);
    world_destroy(&world);
}

Test(wal_commit_async, closing_a_context_waits_for_its_commits)
{
    struct world world;
    struct keel_ctx *other;
    struct tally tally = {.world = &world};
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    options.method = KEEL_METHOD_SIM;
    options.sim = world.sim;
    cr_assert_eq(keel_ctx_open(&options, &other), 0);
    for (uint32_t i = 0; i < 30; i++)
        cr_assert_eq(commit_next(&world, other, &tally, i), 0);
    keel_ctx_close(other);

    cr_assert_eq(tally.done, 30);
    cr_assert_eq(tally.failed, 0);
    cr_assert_eq(world_close(&world), 0);
    world_destroy(&world);
}

/* A callback may not drive: when the log buffer is full, append says so instead of waiting. */
static void append_until_full(struct keel_commit *commit)
{
    struct tally *tally = commit->user;
    int rc = 0;

    for (uint32_t i = 0; i < 100 && rc == 0; i++)
        rc = group_append(tally->world, 1, 2000);
    cr_assert_eq(rc, KEEL_EFULL);
    tally->done++;
}

Test(wal_commit_async, a_callback_is_never_made_to_wait_for_room)
{
    struct world world;
    struct tally tally = {.world = &world};
    struct keel_commit commit = {.done = append_until_full, .user = &tally};

    world_create(&world, WORLD_RING_MIN, 1);
    world_start(&world);
    cr_assert_eq(group_append(&world, 1, 100), 0);
    commit.lsn = world.last_end;
    cr_assert_eq(keel_wal_commit_async(world.ctx, world.wal, &commit), 0);
    poll_until(&world, world.ctx, &tally, 1);
    cr_assert_eq(keel_wal_commit(world.wal, world.last_end), 0);
    cr_assert_eq(group_commit(&world, 1, 2000), 0);
    world_destroy(&world);
}
