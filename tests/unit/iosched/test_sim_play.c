/*
 * Playing back recorded commands: the history is the one that was told, whatever clock and seed
 * say.
 */
#include <signal.h>

#include "tests/unit/iosched/sim_fixture.h"

static struct keel_sim *sim;
static struct keel_sim_play *play;
static uint32_t file;

static void setup(void)
{
    sim = make_sim(3, true);
    cr_assert_eq(keel_sim_play_open(sim, &play), 0);
    cr_assert_eq(keel_sim_play_file(play, "/deep/down/f", 16 * 4096, &file), 0);
}

static void teardown(void)
{
    keel_sim_play_close(play);
    keel_sim_destroy(sim);
}

TestSuite(sim_play, .init = setup, .fini = teardown);

static uint32_t begin_write(uint64_t block, uint8_t fill, bool dsync)
{
    uint8_t bytes[4096];
    uint32_t number;
    struct keel_sim_command command = {.file = file,
                                       .op = KEEL_OP_WRITE,
                                       .dsync = dsync,
                                       .offset = block * 4096,
                                       .len_bytes = 4096,
                                       .buf = bytes};

    memset(bytes, fill, sizeof(bytes));
    cr_assert_eq(keel_sim_play_submit(play, &command, &number), 0);
    return number;
}

static uint32_t begin_sync(void)
{
    struct keel_sim_command command = {.file = file, .op = KEEL_OP_SYNC};
    uint32_t number;

    cr_assert_eq(keel_sim_play_submit(play, &command, &number), 0);
    return number;
}

/* The block's first byte when all that is volatile is lost, after the newest event. */
static uint8_t kept(uint64_t block)
{
    struct keel_sim *cut;
    uint8_t byte;

    cr_assert_eq(keel_sim_cut(sim, keel_sim_events(sim), KEEL_CUT_LOSE_ALL, 1, NULL, NULL, &cut),
                 0);
    cr_assert_eq(keel_sim_peek(cut, "deep/down/f", block * 4096, &byte, 1), 0);
    keel_sim_destroy(cut);
    return byte;
}

Test(sim_play, a_flush_covers_what_was_complete_when_it_was_submitted)
{
    uint32_t early = begin_write(1, 'a', false);
    uint32_t late = begin_write(2, 'b', false);

    keel_sim_play_complete(play, early);
    uint32_t flush = begin_sync();
    keel_sim_play_complete(play, late);
    cr_assert_eq(kept(1), 0);
    keel_sim_play_complete(play, flush);
    cr_assert_eq(kept(1), 'a');
    cr_assert_eq(kept(2), 0);
}

Test(sim_play, a_write_with_dsync_is_durable_when_it_is_complete)
{
    uint32_t write = begin_write(1, 'a', true);

    cr_assert_eq(kept(1), 0);
    keel_sim_play_complete(play, write);
    cr_assert_eq(kept(1), 'a');
}

Test(sim_play, a_command_that_never_completes_stays_in_doubt)
{
    unsigned there = 0;
    uint8_t byte;

    begin_write(1, 'a', true);
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct keel_sim *cut;
        cr_assert_eq(
            keel_sim_cut(sim, keel_sim_events(sim), KEEL_CUT_SUBSET, seed, NULL, NULL, &cut), 0);
        cr_assert_eq(keel_sim_peek(cut, "deep/down/f", 4096, &byte, 1), 0);
        there += byte == 'a';
        keel_sim_destroy(cut);
    }
    cr_assert(there > 20 && there < 80, "there in %u of 100", there);
}

Test(sim_play, what_does_not_fit_is_refused)
{
    uint8_t bytes[4096] = {0};
    uint32_t number;
    struct keel_sim_command command = {.file = file,
                                       .op = KEEL_OP_WRITE,
                                       .offset = 15 * 4096 + 512,
                                       .len_bytes = 4096,
                                       .buf = bytes};

    cr_assert_eq(keel_sim_play_submit(play, &command, &number), KEEL_ERANGE);
    command.offset = 100;
    cr_assert_eq(keel_sim_play_submit(play, &command, &number), KEEL_EOPTION);
    command.op = KEEL_OP_READ;
    cr_assert_eq(keel_sim_play_submit(play, &command, &number), KEEL_EOPTION);
    command.op = KEEL_OP_SYNC;
    command.file = 9;
    cr_assert_eq(keel_sim_play_submit(play, &command, &number), KEEL_ERANGE);
    cr_assert_eq(keel_sim_play_file(play, "/deep/down/f", 4096, &number), -EEXIST);
}

Test(sim_play, needs_history)
{
    struct keel_sim *plain = make_sim(1, false);
    struct keel_sim_play *none;

    cr_assert_eq(keel_sim_play_open(plain, &none), KEEL_EOPTION);
    keel_sim_destroy(plain);
}

Test(sim_play, a_command_completes_once, .signal = SIGILL)
{
    uint32_t write = begin_write(1, 'a', false);

    keel_sim_play_complete(play, write);
    keel_sim_play_complete(play, write);
}
