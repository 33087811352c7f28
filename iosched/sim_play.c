/*
 * Playing back recorded commands: the host says when each is submitted and when it completes, the
 * model does the rest. The queue of completions and the clock are not used.
 */
#include <errno.h>
#include <string.h>

#include <keel/iosched.h>

#include "iosched/sim_model.h"

struct keel_sim_play {
    struct keel_sim *sim;
    struct sim_file **file;
    uint32_t files, files_room;
    struct sim_cmd **cmd; /* by number; NULL: free */
    uint32_t cmds, cmds_room;
};

int keel_sim_play_open(struct keel_sim *sim, struct keel_sim_play **ret)
{
    if (!sim->history)
        return KEEL_EOPTION;

    struct keel_sim_play *play = sim_pool_alloc(sim->pool, sizeof(*play));
    play->sim = sim;
    sim->users++;
    *ret = play;
    return 0;
}

/* Make every folder above path. */
static int make_folders(struct keel_sim *sim, const char *path)
{
    char folder[SIM_PATH_MAX];
    int rc = 0;

    for (const char *slash = strchr(path, '/'); slash && !rc; slash = strchr(slash + 1, '/')) {
        size_t len = (size_t)(slash - path);

        if (len >= sizeof(folder))
            return -ENAMETOOLONG;
        if (len == 0)
            continue;
        memcpy(folder, path, len);
        folder[len] = '\0';
        rc = sim_path_exists(sim, folder);
        if (rc == 0)
            rc = sim_path_mkdir(sim, folder);
        else if (rc > 0)
            rc = 0;
    }
    return rc;
}

int keel_sim_play_file(struct keel_sim_play *play, const char *path, uint64_t bytes, uint32_t *ret)
{
    struct keel_sim *sim = play->sim;
    struct sim_file *file;
    int rc = make_folders(sim, path);

    if (rc != 0)
        return rc;
    rc = sim_file_create(sim, path, &file);
    if (rc != 0)
        return rc;
    rc = sim_file_resize(sim, file, bytes);
    if (rc != 0) {
        sim_file_close(sim, file);
        return rc;
    }
    sim_file_sync(sim, file);
    for (uint32_t i = sim->ops_durable; i < sim->ops; i++)
        sim->op[i].event_durable =
            sim->op[i].event_durable ? sim->op[i].event_durable : sim->events;
    sim->ops_durable = sim->ops;

    play->file = sim_pool_grow(sim->pool, play->file, play->files, &play->files_room,
                               sizeof(struct sim_file *));
    play->file[play->files] = file;
    *ret = play->files++;
    return 0;
}

static uint32_t free_number(struct keel_sim_play *play)
{
    for (uint32_t i = 0; i < play->cmds; i++)
        if (!play->cmd[i])
            return i;
    play->cmd = sim_pool_grow(play->sim->pool, play->cmd, play->cmds, &play->cmds_room,
                              sizeof(struct sim_cmd *));
    return play->cmds++;
}

/* A recording does not say what was asked for, only the disk what it does. */
static bool untorn(const struct keel_sim *sim, uint64_t offset, uint32_t len)
{
    return len > 0 && len <= sim->atomic_write_bytes && (len & (len - 1)) == 0 && offset % len == 0;
}

int keel_sim_play_submit(struct keel_sim_play *play, const struct keel_sim_command *command,
                         uint32_t *ret)
{
    if (command->op != KEEL_OP_WRITE && command->op != KEEL_OP_SYNC)
        return KEEL_EOPTION;
    if (command->file >= play->files)
        return KEEL_ERANGE;

    struct sim_file *file = play->file[command->file];
    uint64_t offset = command->offset;
    uint32_t len = command->len_bytes;
    if (command->op == KEEL_OP_WRITE) {
        if (len == 0 || len % SIM_SECTOR_BYTES || offset % SIM_SECTOR_BYTES)
            return KEEL_EOPTION;
        if (offset > file->bytes || len > file->bytes - offset)
            return KEEL_ERANGE;
    }

    struct sim_cmd *cmd = sim_pool_alloc(play->sim->pool, sizeof(*cmd));
    uint32_t number = free_number(play);

    /* The model reads from a write's buffer and never writes to it. */
    union {
        const void *in;
        void *out;
    } buf = {.in = command->buf};
    *cmd = (struct sim_cmd){.file = file,
                            .buf = buf.out,
                            .offset = offset,
                            .len = len,
                            .op = command->op,
                            .dsync = command->dsync,
                            .atomic = untorn(play->sim, offset, len)};
    sim_start(play->sim, cmd);
    cmd->buf = NULL;
    play->cmd[number] = cmd;
    *ret = number;
    return 0;
}

static void free_command(struct keel_sim_play *play, uint32_t number)
{
    sim_pool_free(play->sim->pool, play->cmd[number], sizeof(struct sim_cmd));
    play->cmd[number] = NULL;
}

void keel_sim_play_complete(struct keel_sim_play *play, uint32_t number)
{
    KEEL_ASSERT(number < play->cmds && play->cmd[number]);
    sim_finish(play->sim, play->cmd[number]);
    free_command(play, number);
}

void keel_sim_play_close(struct keel_sim_play *play)
{
    if (!play)
        return;

    struct keel_sim *sim = play->sim;
    for (uint32_t i = 0; i < play->cmds; i++)
        if (play->cmd[i])
            free_command(play, i); /* what it wrote belongs to the history */
    for (uint32_t i = 0; i < play->files; i++)
        sim_file_close(sim, play->file[i]);
    sim_pool_free(sim->pool, play->cmd, play->cmds_room * sizeof(struct sim_cmd *));
    sim_pool_free(sim->pool, play->file, play->files_room * sizeof(struct sim_file *));
    sim_pool_free(sim->pool, play, sizeof(*play));
    KEEL_ASSERT(sim->users > 0);
    sim->users--;
}
