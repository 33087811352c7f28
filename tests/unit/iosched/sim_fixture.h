/*
 * What the tests of the simulated device share: a simulation, files in it, and commands whose data
 * is one byte repeated, so that a block says which write it came from.
 */
#ifndef KEEL_TESTS_SIM_FIXTURE_H
#define KEEL_TESTS_SIM_FIXTURE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include <keel/iosched.h>
#include <keel/sim.h>

#include "iosched/sim_model.h"

#define FIXTURE_BLOCKS_MAX 128u

static inline struct keel_sim *make_sim(uint64_t seed, bool history)
{
    struct keel_sim_options options = {.size = sizeof(options), .seed = seed, .history = history};
    struct keel_sim *sim = NULL;

    cr_assert_eq(keel_sim_create(&options, &sim), 0);
    return sim;
}

/* A file in the top folder, open, durable with its name and size. */
static inline struct sim_file *make_file(struct keel_sim *sim, const char *path, uint64_t blocks)
{
    struct sim_file *file = NULL;

    cr_assert_eq(sim_file_create(sim, path, &file), 0);
    cr_assert_eq(sim_file_resize(sim, file, blocks * SIM_BLOCK_BYTES), 0);
    sim_file_sync(sim, file);
    cr_assert_eq(sim_path_sync(sim, ""), 0);
    return file;
}

/* Hand over a write of `blocks` blocks of the byte fill. */
static inline void submit_write(struct sim_file *file, struct sim_cmd *cmd, uint64_t block,
                                uint32_t blocks, uint8_t fill)
{
    static uint8_t data[FIXTURE_BLOCKS_MAX * SIM_BLOCK_BYTES];

    cr_assert_leq(blocks, FIXTURE_BLOCKS_MAX);
    memset(data, fill, (size_t)blocks * SIM_BLOCK_BYTES);
    *cmd = (struct sim_cmd){.file = file,
                            .buf = data,
                            .offset = block * SIM_BLOCK_BYTES,
                            .len = blocks * SIM_BLOCK_BYTES,
                            .op = KEEL_OP_WRITE,
                            .dsync = cmd->dsync};
    sim_submit(file->sim, cmd);
    memset(data, 0xee, (size_t)blocks * SIM_BLOCK_BYTES);
}

static inline void submit_sync(struct sim_file *file, struct sim_cmd *cmd)
{
    *cmd = (struct sim_cmd){.file = file, .op = KEEL_OP_SYNC};
    sim_submit(file->sim, cmd);
}

/* Step until the command is back. */
static inline void wait_for(struct keel_sim *sim, const struct sim_cmd *cmd)
{
    const struct sim_cmd *done;

    do {
        done = sim_step(sim, UINT64_MAX);
        cr_assert_not_null(done);
    } while (done != cmd);
}

static inline void finish_all(struct keel_sim *sim)
{
    while (sim_step(sim, UINT64_MAX))
        ;
}

static inline int32_t do_write(struct sim_file *file, uint64_t block, uint32_t blocks, uint8_t fill)
{
    struct sim_cmd cmd = {0};

    submit_write(file, &cmd, block, blocks, fill);
    wait_for(file->sim, &cmd);
    return cmd.res;
}

static inline int32_t do_dsync_write(struct sim_file *file, uint64_t block, uint8_t fill)
{
    struct sim_cmd cmd = {.dsync = true};

    submit_write(file, &cmd, block, 1, fill);
    wait_for(file->sim, &cmd);
    return cmd.res;
}

static inline int32_t do_sync(struct sim_file *file)
{
    struct sim_cmd cmd;

    submit_sync(file, &cmd);
    wait_for(file->sim, &cmd);
    return cmd.res;
}

static inline int32_t do_read(struct sim_file *file, uint64_t block, void *buf, uint32_t len)
{
    struct sim_cmd cmd = {.file = file,
                          .buf = buf,
                          .offset = block * SIM_BLOCK_BYTES,
                          .len = len,
                          .op = KEEL_OP_READ};

    sim_submit(file->sim, &cmd);
    wait_for(file->sim, &cmd);
    return cmd.res;
}

/* First byte of a sector of what is durable. */
static inline uint8_t durable_sector(struct keel_sim *sim, const char *path, uint64_t block,
                                     uint32_t sector)
{
    uint8_t data[SIM_SECTOR_BYTES];

    cr_assert_eq(keel_sim_peek(sim, path, block * SIM_BLOCK_BYTES + sector * SIM_SECTOR_BYTES, data,
                               sizeof(data)),
                 0);
    for (uint32_t i = 1; i < sizeof(data); i++)
        cr_assert_eq(data[i], data[0], "a sector is never torn");
    return data[0];
}

/* The byte that a whole durable block consists of. */
static inline uint8_t durable_block(struct keel_sim *sim, const char *path, uint64_t block)
{
    uint8_t fill = durable_sector(sim, path, block, 0);

    for (uint32_t i = 1; i < SIM_BLOCK_SECTORS; i++)
        cr_assert_eq(durable_sector(sim, path, block, i), fill, "block %llu is torn",
                     (unsigned long long)block);
    return fill;
}

static inline struct keel_sim *cut_at(struct keel_sim *sim, uint64_t event, enum keel_cut_mode mode,
                                      uint64_t seed)
{
    struct keel_sim *cut = NULL;

    cr_assert_eq(keel_sim_cut(sim, event, mode, seed, NULL, NULL, &cut), 0);
    return cut;
}

static inline struct keel_sim *cut_now(struct keel_sim *sim, enum keel_cut_mode mode, uint64_t seed)
{
    return cut_at(sim, keel_sim_events(sim), mode, seed);
}

#endif
