/*
 * Power cuts: what they keep and what they lose. Tagged E1: the proofs of the whole store stand on
 * this model, so these tests show above all that it can lose.
 *
 * Method: small cases by hand, then random runs compared with a second model that recomputes, for
 * each block, from the numbers of the events alone which write must and which may be there.
 */
#include "base/mem.h"
#include "tests/support/seed.h"
#include "tests/unit/iosched/sim_fixture.h"

static struct keel_sim *sim;
static struct sim_file *file;

static void setup(void)
{
    sim = make_sim(11, true);
    file = make_file(sim, "f", 64);
}

static void teardown(void)
{
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

TestSuite(sim_cut, .init = setup, .fini = teardown);

static uint8_t block_after_cut(enum keel_cut_mode mode, uint64_t seed, uint64_t block)
{
    struct keel_sim *cut = cut_now(sim, mode, seed);
    uint8_t fill = durable_block(cut, "f", block);

    keel_sim_destroy(cut);
    return fill;
}

Test(sim_cut, an_unsynced_write_vanishes_or_survives_as_the_mode_says)
{
    unsigned kept = 0;

    do_write(file, 1, 1, 'a');

    cr_assert_eq(block_after_cut(KEEL_CUT_LOSE_ALL, 1, 1), 0);
    cr_assert_eq(block_after_cut(KEEL_CUT_KEEP_ALL, 1, 1), 'a');
    for (uint64_t seed = 0; seed < 100; seed++)
        kept += block_after_cut(KEEL_CUT_SUBSET, seed, 1) == 'a';
    cr_assert(kept > 20 && kept < 80, "kept %u of 100", kept);
}

Test(sim_cut, a_synced_write_survives_every_cut)
{
    do_write(file, 1, 1, 'a');
    do_sync(file);
    do_dsync_write(file, 2, 'b');

    for (int mode = 0; mode < KEEL_CUT_MODES; mode++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            cr_assert_eq(block_after_cut((enum keel_cut_mode)mode, seed, 1), 'a');
            cr_assert_eq(block_after_cut((enum keel_cut_mode)mode, seed, 2), 'b');
        }
    }
}

Test(sim_cut, a_torn_write_keeps_any_sectors)
{
    unsigned mixed = 0;
    uint32_t seen[SIM_BLOCK_SECTORS] = {0};

    do_write(file, 1, 1, 'o');
    do_sync(file);
    do_write(file, 1, 1, 'n');
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct keel_sim *cut = cut_now(sim, KEEL_CUT_TORN, seed);
        unsigned kept = 0;

        for (uint32_t i = 0; i < SIM_BLOCK_SECTORS; i++) {
            uint8_t fill = durable_sector(cut, "f", 1, i);

            cr_assert(fill == 'o' || fill == 'n');
            kept += fill == 'n';
            seen[i] += fill == 'n';
        }
        mixed += kept > 0 && kept < SIM_BLOCK_SECTORS;
        keel_sim_destroy(cut);
    }

    cr_assert(mixed > 50, "%u", mixed);
    for (uint32_t i = 0; i < SIM_BLOCK_SECTORS; i++)
        cr_assert(seen[i] > 20 && seen[i] < 180, "sector %u: %u", i, seen[i]);
}

Test(sim_cut, a_write_in_flight_may_survive)
{
    struct sim_cmd cmd = {0};
    struct keel_cut_info info;
    struct keel_sim *cut;

    submit_write(file, &cmd, 1, 1, 'a');
    cr_assert_eq(keel_sim_cut(sim, keel_sim_events(sim), KEEL_CUT_KEEP_ALL, 1, NULL, &info, &cut),
                 0);

    cr_assert_eq(info.writes_pending, 1);
    cr_assert_eq(info.writes_in_flight, 1);
    cr_assert_eq(durable_block(cut, "f", 1), 'a');
    cr_assert_eq(block_after_cut(KEEL_CUT_LOSE_ALL, 1, 1), 0);
    keel_sim_destroy(cut);
    finish_all(sim);
}

Test(sim_cut, overlapping_pending_writes_reach_the_medium_in_any_order)
{
    unsigned older = 0;

    do_write(file, 1, 1, 'a');
    do_write(file, 1, 1, 'b');

    for (uint64_t seed = 0; seed < 100; seed++)
        older += block_after_cut(KEEL_CUT_SUBSET, seed, 1) == 'a';
    cr_assert(older > 10, "%u", older);
    cr_assert_eq(block_after_cut(KEEL_CUT_KEEP_ALL, 1, 1), 'b');
}

Test(sim_cut, what_was_durably_overwritten_never_comes_back)
{
    do_write(file, 1, 1, 'a');
    do_dsync_write(file, 1, 'b');

    for (int mode = 0; mode < KEEL_CUT_MODES; mode++) {
        for (uint64_t seed = 0; seed < 50; seed++)
            cr_assert_eq(block_after_cut((enum keel_cut_mode)mode, seed, 1), 'b');
    }
}

Test(sim_cut, says_what_the_state_was_like)
{
    bool out_of_order = false;
    bool hole = false;

    for (unsigned i = 0; i < 16; i++) {
        struct sim_cmd cmd[8] = {0};

        for (unsigned n = 0; n < 8; n++)
            submit_write(file, &cmd[n], n, 1, 'a');
        finish_all(sim);
        for (uint64_t seed = 0; seed < 4; seed++) {
            struct keel_cut_info info;
            struct keel_sim *cut;
            int rc =
                keel_sim_cut(sim, keel_sim_events(sim), KEEL_CUT_SUBSET, seed, NULL, &info, &cut);

            cr_assert_eq(rc, 0);
            cr_assert_eq(info.writes_pending, 8);
            cr_assert_eq(info.writes_in_flight, 0);
            out_of_order |= info.out_of_order;
            hole |= info.hole_torn;
            keel_sim_destroy(cut);
        }
        do_sync(file);
    }
    cr_assert(out_of_order);
    cr_assert(hole);
}

/* ---------------------------------------------------------------- names and sizes */

static int exists_after_cut(enum keel_cut_mode mode, uint64_t seed, const char *path)
{
    struct keel_sim *cut = cut_now(sim, mode, seed);
    int rc = sim_path_exists(cut, path) != KEEL_PATH_NONE;

    keel_sim_destroy(cut);
    return rc;
}

Test(sim_cut, a_file_whose_folder_was_not_synced_is_lost_with_its_contents)
{
    struct sim_file *other;

    cr_assert_eq(sim_file_create(sim, "new", &other), 0);
    cr_assert_eq(sim_file_resize(sim, other, 4 * 4096), 0);
    do_write(other, 0, 1, 'a');
    do_sync(other);

    cr_assert_eq(exists_after_cut(KEEL_CUT_LOSE_ALL, 1, "new"), 0);
    cr_assert_eq(exists_after_cut(KEEL_CUT_KEEP_ALL, 1, "new"), 1);
    cr_assert_eq(sim_path_sync(sim, "/"), 0);
    cr_assert_eq(exists_after_cut(KEEL_CUT_LOSE_ALL, 1, "new"), 1);
    struct keel_sim *cut = cut_now(sim, KEEL_CUT_LOSE_ALL, 1);
    cr_assert_eq(durable_block(cut, "new", 0), 'a');
    keel_sim_destroy(cut);
    sim_file_close(sim, other);
}

Test(sim_cut, a_sync_of_one_folder_leaves_later_names_in_another_at_risk)
{
    struct sim_file *one;
    struct sim_file *two;

    cr_assert_eq(sim_path_mkdir(sim, "d"), 0);
    cr_assert_eq(sim_file_create(sim, "d/one", &one), 0);
    cr_assert_eq(sim_file_create(sim, "two", &two), 0);
    cr_assert_eq(sim_path_sync(sim, "d"), 0);

    cr_assert_eq(exists_after_cut(KEEL_CUT_LOSE_ALL, 1, "d/one"), 1);
    cr_assert_eq(exists_after_cut(KEEL_CUT_LOSE_ALL, 1, "two"), 0);
    sim_file_close(sim, one);
    sim_file_close(sim, two);
}

Test(sim_cut, an_unsynced_rename_leaves_the_old_or_the_new_and_never_neither)
{
    struct sim_file *other = make_file(sim, "tmp", 4);
    bool old_seen = false;
    bool new_seen = false;

    do_write(other, 0, 1, 'n');
    do_sync(other);
    do_write(file, 0, 1, 'o');
    do_sync(file);
    cr_assert_eq(sim_path_rename(sim, "tmp", "f"), 0);

    for (uint64_t seed = 0; seed < 40; seed++) {
        struct keel_sim *cut = cut_now(sim, KEEL_CUT_SUBSET, seed);
        uint8_t fill = durable_block(cut, "f", 0);

        cr_assert(fill == 'o' || fill == 'n');
        cr_assert_eq(sim_path_exists(cut, "tmp") != KEEL_PATH_NONE, fill == 'o');
        old_seen |= fill == 'o';
        new_seen |= fill == 'n';
        keel_sim_destroy(cut);
    }
    cr_assert(old_seen && new_seen);
    sim_file_close(sim, other);
}

static uint64_t size_after_cut(enum keel_cut_mode mode, uint64_t seed)
{
    struct keel_sim *cut = cut_now(sim, mode, seed);
    struct sim_file *found;

    cr_assert_eq(sim_path_file(cut, "f", &found), 0);
    uint64_t bytes = found->bytes;
    keel_sim_destroy(cut);
    return bytes / 4096;
}

Test(sim_cut, a_new_size_is_safe_when_the_file_was_synced)
{
    cr_assert_eq(sim_file_resize(sim, file, 100 * 4096), 0);
    do_write(file, 90, 1, 'a');

    cr_assert_eq(size_after_cut(KEEL_CUT_LOSE_ALL, 1), 64);
    cr_assert_eq(size_after_cut(KEEL_CUT_KEEP_ALL, 1), 100);
    do_sync(file);
    cr_assert_eq(size_after_cut(KEEL_CUT_LOSE_ALL, 1), 100);
    cr_assert_eq(block_after_cut(KEEL_CUT_LOSE_ALL, 1, 90), 'a');
}

Test(sim_cut, a_write_behind_a_size_that_was_lost_is_lost)
{
    unsigned grown = 0;

    cr_assert_eq(sim_file_resize(sim, file, 100 * 4096), 0);
    do_write(file, 90, 1, 'a');
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct keel_sim *cut = cut_now(sim, KEEL_CUT_SUBSET, seed);
        uint8_t data[1];
        int rc = keel_sim_peek(cut, "f", 90 * 4096, data, 1);

        cr_assert(rc == 0 || rc == KEEL_ERANGE);
        grown += rc == 0;
        keel_sim_destroy(cut);
    }
    cr_assert(grown > 5 && grown < 35);
}

/* ---------------------------------------------------------------- the new simulation */

Test(sim_cut, the_new_simulation_and_the_old_one_live_apart)
{
    do_write(file, 1, 1, 'a');
    do_sync(file);
    struct keel_sim *cut = cut_now(sim, KEEL_CUT_LOSE_ALL, 1);
    struct sim_file *copy;

    cr_assert_eq(sim_file_open(cut, "f", false, &copy), 0);
    do_write(copy, 1, 1, 'b');
    do_sync(copy);
    do_write(file, 1, 1, 'c');
    do_sync(file);

    cr_assert_eq(durable_block(cut, "f", 1), 'b');
    cr_assert_eq(durable_block(sim, "f", 1), 'c');
    sim_file_close(cut, copy);
    keel_sim_destroy(cut);
    cr_assert_eq(durable_block(sim, "f", 1), 'c');
}

Test(sim_cut, a_cut_outlives_the_simulation_it_came_from)
{
    struct keel_sim *old = make_sim(3, true);
    struct sim_file *its = make_file(old, "f", 8);

    do_write(its, 1, 1, 'a');
    do_sync(its);
    struct keel_sim *cut = cut_now(old, KEEL_CUT_LOSE_ALL, 1);
    sim_file_close(old, its);
    keel_sim_destroy(old);

    cr_assert_eq(durable_block(cut, "f", 1), 'a');
    keel_sim_destroy(cut);
}

Test(sim_cut, a_cut_can_be_cut_again)
{
    struct keel_sim_options options = {.size = sizeof(options), .history = true};
    struct keel_sim *first;
    struct sim_file *its;
    struct sim_cmd cmd = {0};

    do_write(file, 1, 1, 'a');
    submit_write(file, &cmd, 2, 1, 'b');
    cr_assert_eq(
        keel_sim_cut(sim, keel_sim_events(sim), KEEL_CUT_KEEP_ALL, 1, &options, NULL, &first), 0);
    finish_all(sim); /* the write in flight gets its place in the old run only now */

    cr_assert_eq(sim_file_open(first, "f", false, &its), 0);
    do_write(its, 2, 1, 'c');
    do_sync(its);
    do_write(its, 1, 1, 'd');
    for (int mode = 0; mode < KEEL_CUT_MODES; mode++) {
        struct keel_sim *second = cut_now(first, (enum keel_cut_mode)mode, 5);

        cr_assert_eq(durable_block(second, "f", 2), 'c');
        if (mode != KEEL_CUT_TORN)
            cr_assert_neq(durable_block(second, "f", 1), 0);
        keel_sim_destroy(second);
    }
    struct keel_sim *begin = cut_at(first, 0, KEEL_CUT_LOSE_ALL, 1);
    cr_assert_eq(durable_block(begin, "f", 1), 'a');
    cr_assert_eq(durable_block(begin, "f", 2), 'b');
    keel_sim_destroy(begin);
    sim_file_close(first, its);
    keel_sim_destroy(first);
}

Test(sim_cut, refuses_what_it_cannot_do)
{
    struct keel_sim *plain = make_sim(1, false);
    struct keel_sim *cut;

    cr_assert_eq(keel_sim_cut(plain, 0, KEEL_CUT_LOSE_ALL, 1, NULL, NULL, &cut), KEEL_EOPTION);
    cr_assert_eq(
        keel_sim_cut(sim, keel_sim_events(sim) + 1, KEEL_CUT_LOSE_ALL, 1, NULL, NULL, &cut),
        KEEL_ERANGE);
    cr_assert_eq(keel_sim_cut(sim, 0, KEEL_CUT_MODES, 1, NULL, NULL, &cut), KEEL_EOPTION);
    keel_sim_destroy(plain);
}

/* ---------------------------------------------------------------- random runs */

#define RUN_BLOCKS 12u
#define RUN_STEPS  120u

/* One write of a random run, as the second model sees it. */
struct fact {
    struct sim_cmd cmd;
    uint64_t submitted, completed; /* numbers of events; completed UINT64_MAX: in flight */
    uint32_t block, blocks;
    bool sync, busy;
    uint8_t fill;
};

static struct fact facts[RUN_STEPS];
static uint32_t fact_count;

static void note_completion(const struct sim_cmd *done)
{
    for (uint32_t i = 0; i < fact_count; i++) {
        if (&facts[i].cmd == done) {
            facts[i].completed = keel_sim_events(sim);
            facts[i].busy = false;
        }
    }
}

static void run_randomly(struct prng *prng)
{
    for (fact_count = 0; fact_count < RUN_STEPS;) {
        if (prng_chance(prng, 1, 2)) {
            const struct sim_cmd *done = sim_step(sim, UINT64_MAX);

            if (done)
                note_completion(done);
            continue;
        }

        struct fact *fact = &facts[fact_count++];
        *fact = (struct fact){.submitted = keel_sim_events(sim),
                              .completed = UINT64_MAX,
                              .fill = (uint8_t)fact_count,
                              .busy = true,
                              .sync = prng_chance(prng, 1, 6)};
        if (fact->sync) {
            submit_sync(file, &fact->cmd);
            continue;
        }
        fact->block = (uint32_t)prng_below(prng, RUN_BLOCKS);
        fact->blocks = (uint32_t)prng_below(prng, RUN_BLOCKS - fact->block) + 1;
        fact->cmd.dsync = prng_chance(prng, 1, 5);
        submit_write(file, &fact->cmd, fact->block, fact->blocks, fact->fill);
    }
}

/* Was the write durable when event had happened? */
static bool is_durable(const struct fact *write, uint64_t event)
{
    if (write->completed > event)
        return false;
    if (write->cmd.dsync)
        return true;
    for (uint32_t i = 0; i < fact_count; i++) {
        if (facts[i].sync && facts[i].completed <= event && facts[i].submitted >= write->completed)
            return true;
    }
    return false;
}

static bool writes_block(const struct fact *fact, uint32_t block)
{
    return !fact->sync && block >= fact->block && block < fact->block + fact->blocks;
}

/* The write that must be there if everything pending is lost; NULL: none. */
static const struct fact *newest_durable(uint32_t block, uint64_t event)
{
    const struct fact *newest = NULL;

    for (uint32_t i = 0; i < fact_count; i++) {
        if (writes_block(&facts[i], block) && is_durable(&facts[i], event) &&
            (!newest || facts[i].completed > newest->completed))
            newest = &facts[i];
    }
    return newest;
}

/* The write that must be there if nothing is lost. */
static const struct fact *newest_of_all(uint32_t block, uint64_t event)
{
    const struct fact *newest = NULL;

    for (uint32_t i = 0; i < fact_count; i++) {
        uint64_t done = facts[i].completed <= event ? facts[i].completed : UINT64_MAX;
        uint64_t best = newest && newest->completed <= event ? newest->completed : UINT64_MAX;

        if (writes_block(&facts[i], block) && facts[i].submitted <= event &&
            (!newest || done >= best))
            newest = &facts[i];
    }
    return newest;
}

/* May a sector of the block be of this fill? */
static bool possible(uint8_t fill, uint32_t block, uint64_t event)
{
    const struct fact *durable = newest_durable(block, event);

    if (fill == (durable ? durable->fill : 0))
        return true;
    for (uint32_t i = 0; i < fact_count; i++) {
        const struct fact *fact = &facts[i];

        if (fact->fill == fill && writes_block(fact, block) && fact->submitted <= event)
            return !durable || fact->completed > durable->completed;
    }
    return false;
}

static void check_cut(struct keel_sim *cut, uint64_t event, enum keel_cut_mode mode, uint64_t seed)
{
    for (uint32_t block = 0; block < RUN_BLOCKS; block++) {
        const struct fact *lost = newest_durable(block, event);
        const struct fact *kept = newest_of_all(block, event);

        for (uint32_t sector = 0; sector < SIM_BLOCK_SECTORS; sector++) {
            uint8_t fill = durable_sector(cut, "f", block, sector);
            bool good = possible(fill, block, event);

            if (mode == KEEL_CUT_LOSE_ALL)
                good = fill == (lost ? lost->fill : 0);
            else if (mode == KEEL_CUT_KEEP_ALL)
                good = fill == (kept ? kept->fill : 0);
            else if (mode == KEEL_CUT_SUBSET)
                good &= fill == durable_sector(cut, "f", block, 0);
            cr_assert(good, "seed %llu event %llu mode %d block %u sector %u holds %u",
                      (unsigned long long)seed, (unsigned long long)event, (int)mode, block, sector,
                      fill);
        }
    }
}

Test(sim_cut, E1_random_runs_keep_what_must_be_kept_and_nothing_that_cannot_be_there)
{
    uint64_t first = test_seed("sim_cut random runs");

    for (uint64_t seed = first; seed < first + 12; seed++) {
        struct prng prng;

        teardown();
        setup();
        prng_seed(&prng, seed);
        uint64_t begin = keel_sim_events(sim);
        run_randomly(&prng);

        for (uint64_t event = begin; event <= keel_sim_events(sim); event++) {
            for (int mode = 0; mode < KEEL_CUT_MODES; mode++) {
                struct keel_sim *cut = cut_at(sim, event, (enum keel_cut_mode)mode, seed + event);

                check_cut(cut, event, (enum keel_cut_mode)mode, seed);
                keel_sim_destroy(cut);
            }
        }
        finish_all(sim);
    }
}

Test(sim_cut, gives_the_same_bytes_in_whatever_order_events_are_asked_for)
{
    static uint8_t again[RUN_BLOCKS * SIM_BLOCK_BYTES];
    uint8_t(*ascending)[sizeof(again)] = mem_alloc((RUN_STEPS + 10) * sizeof(*ascending));
    struct prng prng;

    cr_assert(ascending);

    prng_seed(&prng, 5);
    uint64_t begin = keel_sim_events(sim);
    run_randomly(&prng);
    uint64_t count = keel_sim_events(sim) - begin + 1;
    cr_assert_leq(count, RUN_STEPS + 10);

    for (uint64_t i = 0; i < count; i++) {
        struct keel_sim *cut = cut_at(sim, begin + i, KEEL_CUT_TORN, i);
        cr_assert_eq(keel_sim_peek(cut, "f", 0, ascending[i], sizeof(again)), 0);
        keel_sim_destroy(cut);
    }
    for (uint64_t n = 0; n < 3 * count; n++) {
        uint64_t i = prng_below(&prng, count);
        struct keel_sim *cut = cut_at(sim, begin + i, KEEL_CUT_TORN, i);

        cr_assert_eq(keel_sim_peek(cut, "f", 0, again, sizeof(again)), 0);
        cr_assert_arr_eq(again, ascending[i], sizeof(again), "event %llu",
                         (unsigned long long)(begin + i));
        keel_sim_destroy(cut);
    }
    mem_free(ascending);
    finish_all(sim);
}
