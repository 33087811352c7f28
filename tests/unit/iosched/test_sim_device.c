/*
 * Commands on a simulated device: what reads see, what a sync covers, and when things happen.
 */
#include <signal.h>

#include "tests/unit/iosched/sim_fixture.h"

Test(sim_device, a_read_sees_what_was_written_and_not_yet_synced)
{
    struct keel_sim *sim = make_sim(1, false);
    struct sim_file *file = make_file(sim, "f", 8);
    uint8_t data[2 * SIM_BLOCK_BYTES];

    cr_assert_eq(do_write(file, 3, 2, 'a'), 2 * 4096);
    cr_assert_eq(do_read(file, 3, data, sizeof(data)), 2 * 4096);

    cr_assert_eq(data[0], 'a');
    cr_assert_eq(data[sizeof(data) - 1], 'a');
    cr_assert_eq(durable_block(sim, "f", 3), 0, "but it is not durable");
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, takes_the_data_when_a_write_is_submitted)
{
    struct keel_sim *sim = make_sim(1, false);
    struct sim_file *file = make_file(sim, "f", 8);
    struct sim_cmd cmd = {0};

    submit_write(file, &cmd, 0, 1, 'a'); /* overwrites its buffer behind the submit */
    wait_for(sim, &cmd);
    cr_assert_eq(do_sync(file), 0);

    cr_assert_eq(durable_block(sim, "f", 0), 'a');
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, a_sync_covers_only_what_was_complete_when_it_was_submitted)
{
    /* Looks for a seed whose latencies let the write overtake the sync. */
    for (uint64_t seed = 1;; seed++) {
        struct keel_sim *sim = make_sim(seed, false);
        struct sim_file *file = make_file(sim, "f", 8);
        struct sim_cmd late = {0};
        struct sim_cmd sync;

        cr_assert_eq(do_write(file, 0, 1, 'a'), 4096);
        submit_write(file, &late, 1, 1, 'b');
        submit_sync(file, &sync);
        bool overtook = sim_step(sim, UINT64_MAX) == &late;
        finish_all(sim);

        cr_assert_eq(durable_block(sim, "f", 0), 'a');
        cr_assert_eq(durable_block(sim, "f", 1), 0, "it was in flight when the sync was submitted");
        cr_assert_eq(do_sync(file), 0);
        cr_assert_eq(durable_block(sim, "f", 1), 'b');
        sim_file_close(sim, file);
        keel_sim_destroy(sim);
        if (overtook)
            return;
    }
}

Test(sim_device, a_dsync_write_is_durable_alone)
{
    struct keel_sim *sim = make_sim(1, false);
    struct sim_file *file = make_file(sim, "f", 8);

    do_write(file, 0, 1, 'a');
    cr_assert_eq(do_dsync_write(file, 1, 'b'), 4096);

    cr_assert_eq(durable_block(sim, "f", 1), 'b');
    cr_assert_eq(durable_block(sim, "f", 0), 0, "it flushes nothing else");
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, a_late_sync_does_not_bring_back_what_was_durably_overwritten)
{
    for (uint64_t seed = 1;; seed++) {
        struct keel_sim *sim = make_sim(seed, false);
        struct sim_file *file = make_file(sim, "f", 8);
        struct sim_cmd newer = {.dsync = true};
        struct sim_cmd sync;

        do_write(file, 0, 1, 'a');
        submit_sync(file, &sync);
        submit_write(file, &newer, 0, 1, 'b');
        bool overtook = sim_step(sim, UINT64_MAX) == &newer;
        finish_all(sim);

        cr_assert_eq(durable_block(sim, "f", 0), 'b', "seed %llu", (unsigned long long)seed);
        sim_file_close(sim, file);
        keel_sim_destroy(sim);
        if (overtook)
            return;
    }
}

/* Order of completion of many commands, as one number. */
static uint64_t fingerprint(uint64_t seed)
{
    struct keel_sim *sim = make_sim(seed, false);
    struct sim_file *file = make_file(sim, "f", 64);
    struct sim_cmd cmd[32];
    uint64_t sum = 0;
    bool overtaken = false;

    for (unsigned i = 0; i < 32; i++) {
        cmd[i].dsync = false;
        submit_write(file, &cmd[i], i, 1, (uint8_t)(i + 1));
    }
    const struct sim_cmd *last = NULL;
    for (struct sim_cmd *done; (done = sim_step(sim, UINT64_MAX)) != NULL; last = done) {
        sum = sum * 31 + (uint64_t)(done - cmd) + keel_sim_now_ns(sim);
        overtaken |= last > done;
    }
    cr_assert(overtaken, "commands overtake each other");
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
    return sum;
}

Test(sim_device, the_same_seed_gives_the_same_run_and_another_seed_another)
{
    cr_assert_eq(fingerprint(1), fingerprint(1));
    cr_assert_neq(fingerprint(1), fingerprint(2));
}

Test(sim_device, the_clock_stops_where_it_was_told_to)
{
    struct keel_sim *sim = make_sim(1, false);
    struct sim_file *file = make_file(sim, "f", 8);
    uint64_t start_ns = keel_sim_now_ns(sim);
    struct sim_cmd sync;

    submit_sync(file, &sync);
    cr_assert_null(sim_step(sim, start_ns + 9999), "no command takes less than 10 us");
    cr_assert_eq(keel_sim_now_ns(sim), start_ns + 9999);
    cr_assert_eq(sim_step(sim, start_ns + 200000), &sync);
    cr_assert_null(sim_step(sim, UINT64_MAX));
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, writes_part_of_a_block_without_touching_the_rest)
{
    struct keel_sim *sim = make_sim(1, true);
    struct sim_file *file = make_file(sim, "f", 8);
    uint8_t data[3072];
    struct sim_cmd cmd = {
        .file = file, .buf = data, .offset = 4096 + 512, .len = 3072, .op = KEEL_OP_WRITE};

    memset(data, 'b', sizeof(data));
    do_write(file, 1, 1, 'a');
    sim_submit(sim, &cmd);
    wait_for(sim, &cmd);
    do_sync(file);

    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(durable_sector(sim, "f", 1, i), i == 0 || i == 7 ? 'a' : 'b', "sector %u", i);
    struct keel_sim *cut = cut_now(sim, KEEL_CUT_LOSE_ALL, 1);
    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(durable_sector(cut, "f", 1, i), i == 0 || i == 7 ? 'a' : 'b', "sector %u", i);
    keel_sim_destroy(cut);
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, answers_commands_outside_the_file_as_a_block_device_does)
{
    struct keel_sim *sim = make_sim(1, false);
    struct sim_file *file = make_file(sim, "f", 4);
    uint8_t data[2 * SIM_BLOCK_BYTES];

    cr_assert_eq(do_read(file, 3, data, sizeof(data)), 4096, "short at the end");
    cr_assert_eq(do_read(file, 4, data, sizeof(data)), 0, "nothing behind it");
    cr_assert_eq(do_write(file, 4, 1, 'a'), -ENOSPC);
    cr_assert_eq(do_read(file, 0, data, 100), -EINVAL, "not in sectors");
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, a_file_is_opened_by_one_writer_or_many_readers)
{
    struct keel_sim *sim = make_sim(1, false);
    struct sim_file *file = make_file(sim, "f", 4);
    struct sim_file *other;
    struct sim_file *third;

    cr_assert_eq(sim_file_open(sim, "f", false, &other), KEEL_EINUSE);
    cr_assert_eq(sim_file_open(sim, "f", true, &other), KEEL_EINUSE);
    cr_assert_eq(sim_file_open(sim, "g", true, &other), -ENOENT);
    sim_file_close(sim, file);
    cr_assert_eq(sim_file_open(sim, "f", true, &other), 0);
    cr_assert_eq(sim_file_open(sim, "f", true, &third), 0);
    cr_assert_eq(sim_file_open(sim, "f", false, &file), KEEL_EINUSE);
    sim_file_close(sim, other);
    sim_file_close(sim, third);
    keel_sim_destroy(sim);
}

Test(sim_device, a_full_disk_refuses_to_grow_and_changes_nothing)
{
    struct keel_sim_options options = {.size = sizeof(options), .bytes_max = 100 * 4096};
    struct keel_sim *sim;
    struct sim_file *file;
    struct sim_file *other;

    cr_assert_eq(keel_sim_create(&options, &sim), 0);
    file = make_file(sim, "f", 60);
    other = make_file(sim, "g", 40);

    cr_assert_eq(sim_file_resize(sim, file, 61 * 4096), KEEL_ENOSPACE);
    cr_assert_eq(file->bytes, 60 * 4096);
    cr_assert_eq(sim_path_unlink(sim, "g"), 0);
    cr_assert_eq(sim_file_resize(sim, file, 61 * 4096), KEEL_ENOSPACE, "it is still open");
    sim_file_close(sim, other);
    cr_assert_eq(sim_file_resize(sim, file, 100 * 4096), 0);
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, peek_and_poke_reach_durable_bytes_at_any_alignment)
{
    struct keel_sim *sim = make_sim(1, true);
    struct sim_file *file = make_file(sim, "f", 4);
    uint8_t data[SIM_BLOCK_BYTES];
    char text[6] = {0};

    do_write(file, 0, 1, 'a');
    uint64_t before = keel_sim_events(sim);
    cr_assert_eq(keel_sim_poke(sim, "f", 4094, "hello", 5), 0);
    cr_assert_eq(keel_sim_peek(sim, "f", 4094, text, 5), 0);

    cr_assert_str_eq(text, "hello");
    do_read(file, 0, data, sizeof(data));
    cr_assert_eq(data[4093], 'a', "reads see it and what was pending around it");
    cr_assert_eq(data[4094], 'h');
    cr_assert_eq(keel_sim_events(sim), before + 1);
    cr_assert_eq(keel_sim_peek(sim, "f", 4 * 4096 - 1, text, 2), KEEL_ERANGE);
    cr_assert_eq(keel_sim_peek(sim, "g", 0, text, 2), -ENOENT);

    struct keel_sim *cut = cut_at(sim, before, KEEL_CUT_LOSE_ALL, 1);
    keel_ignore(keel_sim_peek(cut, "f", 4094, text, 5), "checked by the next line");
    cr_assert_eq(text[0], 0, "not there before it happened");
    keel_sim_destroy(cut);
    cut = cut_at(sim, before + 1, KEEL_CUT_LOSE_ALL, 1);
    keel_ignore(keel_sim_peek(cut, "f", 4094, text, 5), "checked by the next line");
    cr_assert_str_eq(text, "hello");
    keel_sim_destroy(cut);
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, counts_writes_and_syncs_of_a_file)
{
    struct keel_sim *sim = make_sim(1, false);
    struct sim_file *file = make_file(sim, "f", 4);
    uint64_t writes;
    uint64_t syncs;
    uint64_t syncs_before;

    keel_sim_counts(sim, "f", &writes, &syncs_before);
    cr_assert_eq(writes, 0);
    do_write(file, 0, 1, 'a');
    do_dsync_write(file, 1, 'b');
    do_sync(file);
    keel_sim_counts(sim, "f", &writes, &syncs);

    cr_assert_eq(writes, 2);
    cr_assert_eq(syncs - syncs_before, 1);
    keel_sim_counts(sim, "none", &writes, &syncs);
    cr_assert_eq(writes + syncs, 0);
    sim_file_close(sim, file);
    keel_sim_destroy(sim);
}

Test(sim_device, refuses_options_that_make_no_sense)
{
    struct keel_sim_options small = {.size = 1};
    struct keel_sim_options upside = {
        .size = sizeof(upside), .latency_ns_min = 2, .latency_ns_max = 1};
    struct keel_sim *sim;

    cr_assert_eq(keel_sim_create(&small, &sim), KEEL_EOPTION);
    cr_assert_eq(keel_sim_create(&upside, &sim), KEEL_EOPTION);
    cr_assert_eq(keel_sim_create(NULL, &sim), 0);
    keel_sim_destroy(sim);
    keel_sim_destroy(NULL);
}

Test(sim_device, destroying_a_simulation_with_an_open_file_traps, .signal = SIGILL)
{
    struct keel_sim *sim = make_sim(1, false);

    make_file(sim, "f", 4);
    keel_sim_destroy(sim);
}
