/*
 * The method of simulated devices: requests become commands of a keel_sim, names become its names.
 *
 * The way of a request:
 *   push    sim_push(): one command, or for a linked pair its write; data is captured here
 *   turn    sim_turn(): the clock moves to the next completion (IOS_WAIT) or by the time a turn
 * takes (IOS_NOWAIT), and what completes is reported, whichever context it belongs to parts
 * report(): the sync of a linked pair is sent when its write is complete, as the kernel does, or
 * cancelled when that was short or failed
 *
 * There is one thread, so nothing is locked, and waiting for one context moves all of them. A turn
 * that does not wait still takes a microsecond: otherwise a host that only polls would stand still
 * in time for ever.
 *
 * Failure modes: only those that the simulation was told to have (keel_sim_fault, bytes_max).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "iosched/complete.h"
#include "iosched/device.h"
#include "iosched/push.h"
#include "iosched/sim_model.h"

#define TURN_NS 1000u

/* One pushed request. */
struct sim_io {
    struct sim_cmd cmd;
    struct keel_ctx *ctx;
    struct keel_io *io;
    bool link_sync; /* the sync is still to come */
    bool part;      /* which part cmd is */
};

/* ---------------------------------------------------------------- context */

static int sim_attach(struct keel_ctx *ctx, const struct keel_ctx_options *options)
{
    if (!options->sim)
        return KEEL_EOPTION;
    if (options->fixed == KEEL_REQUIRED || options->iopoll == KEEL_REQUIRED ||
        options->sqpoll == KEEL_REQUIRED) {
        ios_ctx_why(ctx, "a simulated device has neither registered buffers nor rings, polled or "
                         "not; do not require them");
        return KEEL_EMETHOD;
    }

    options->sim->users++;
    ctx->method_data = options->sim;
    return 0;
}

static void sim_detach(struct keel_ctx *ctx)
{
    struct keel_sim *sim = ctx->method_data;

    KEEL_ASSERT(sim->users > 0);
    for (uint32_t i = 0; i < sim->dues; i++)
        KEEL_DCHECK(container_of(sim->due[i].cmd, struct sim_io, cmd)->ctx != ctx);
    sim->users--;
}

/* ---------------------------------------------------------------- requests */

static const uint8_t zeroes[KEEL_IO_BYTES_MAX];

static int sim_push(struct keel_ctx *ctx, struct keel_io *io, struct ios_slot *slot)
{
    struct keel_sim *sim = ctx->method_data;
    struct sim_io *sio = sim_pool_alloc(sim->pool, sizeof(*sio));
    struct ios_step step = ios_request_step(io);
    struct sim_file *file = io->device ? io->device->method_data : NULL;

    (void)slot;
    KEEL_ASSERT(!file || file->sim == sim);
    sio->ctx = ctx;
    sio->io = io;
    sio->link_sync = step.link_sync;
    if (step.op == KEEL_OP_WRITE_ZEROES || step.op == KEEL_OP_DEALLOCATE) {
        /* Either is a write of zeroes to this device, piece by piece. */
        step.op = KEEL_OP_WRITE;
        step.buf = (void *)(uintptr_t)zeroes;
        step.len_bytes = step.len_bytes < sizeof(zeroes) ? step.len_bytes : sizeof(zeroes);
    }
    sio->cmd = (struct sim_cmd){
        .file = file,
        .buf = step.buf,
        .offset = step.offset_bytes,
        .len = step.len_bytes,
        .op = (uint8_t)step.op,
        .dsync = step.dsync,
        .atomic = step.atomic,
    };
    sim_submit(sim, &sio->cmd);
    return 0;
}

static uint32_t sim_dispatch(struct keel_ctx *ctx)
{
    return ios_inbox_dispatch(ctx, sim_push);
}

/* Everything went to the device in sim_push(). That there is a flush at all tells the core that a
 * kick need not wait for a turn. */
static void sim_flush(struct keel_ctx *ctx, enum ios_flush how)
{
    KEEL_DCHECK(lock_held(&ctx->submit));
    (void)how;
}

/* A command is back. The request may be gone after its last part was reported, and its memory may
 * have been used for the next one. */
static void report(struct keel_sim *sim, struct sim_io *sio)
{
    struct keel_ctx *ctx = sio->ctx;
    struct keel_io *io = sio->io;
    int32_t res = sio->cmd.res;
    unsigned part = sio->part;
    bool broken = sio->link_sync && res != (int32_t)sio->cmd.len;

    if (sio->link_sync && !broken) {
        sio->link_sync = false;
        sio->part = true;
        sio->cmd.op = KEEL_OP_SYNC;
        sio->cmd.dsync = false;
        sim_submit(sim, &sio->cmd);
    } else {
        sim_pool_free(sim->pool, sio, sizeof(*sio));
    }
    ios_ctx_part_done(ctx, io, part, res);
    if (broken)
        ios_ctx_part_done(ctx, io, 1, -ECANCELED);
}

static void sim_turn(struct keel_ctx *ctx, enum ios_wait wait)
{
    struct keel_sim *sim = ctx->method_data;
    struct sim_cmd *cmd;

    if (wait == IOS_WAIT) {
        cmd = sim_step(sim, UINT64_MAX);
        if (cmd)
            report(sim, container_of(cmd, struct sim_io, cmd));
        return;
    }

    /* Callbacks may submit commands that are due at once: those are for the next turn. */
    uint64_t until_ns = sim->now_ns + TURN_NS;
    for (uint32_t left = sim->dues; left > 0; left--) {
        cmd = sim_step(sim, until_ns);
        if (!cmd)
            break;
        report(sim, container_of(cmd, struct sim_io, cmd));
    }
    if (sim->dues == 0 && sim->now_ns < until_ns)
        sim->now_ns = until_ns;
}

/* ---------------------------------------------------------------- devices */

/* Errors of names as device.c and path.c give them. */
static int code_of(int rc)
{
    return rc == -ENOENT ? KEEL_ENOTFOUND : rc;
}

/* Writing zeroes needs no writes here: what was never written reads as zeroes. */
static int make_file(struct keel_sim *sim, const char *path, uint64_t bytes, struct sim_file **ret)
{
    char folder[SIM_PATH_MAX];
    int rc = sim_file_create(sim, path, ret);
    if (rc != 0)
        return rc;

    rc = sim_file_resize(sim, *ret, bytes);
    if (rc == 0) {
        sim_file_sync(sim, *ret);
        snprintf(folder, sizeof(folder), "%s", (*ret)->name->text);
        char *slash = strrchr(folder, '/');
        *(slash ? slash : folder) = '\0';
        rc = sim_path_sync(sim, folder);
    }
    if (rc != 0) {
        keel_ignore(sim_path_unlink(sim, path), "it was made above");
        sim_file_close(sim, *ret);
    }
    return rc;
}

static int sim_device_open(struct keel_ctx *ctx, struct keel_device *device, const char *path,
                           const struct keel_device_options *options, struct keel_err_info *info)
{
    struct keel_sim *sim = ctx->method_data;
    struct sim_file *file;
    int rc = options->create_bytes > 0 ? make_file(sim, path, options->create_bytes, &file)
                                       : sim_file_open(sim, path, options->read_only, &file);

    info->op = options->create_bytes > 0 ? "create" : "open";
    if (rc != 0)
        return rc == -EISDIR ? KEEL_ENOTSUP : code_of(rc);

    device->fd = -1;
    device->method_data = file;
    device->info = (struct keel_device_info){
        .size_bytes = file->bytes,
        .memory_align = SIM_SECTOR_BYTES,
        .offset_align = SIM_SECTOR_BYTES,
        .logical_block = SIM_SECTOR_BYTES,
        .physical_block = SIM_BLOCK_BYTES,
        .max_transfer = KEEL_IO_BYTES_MAX,
        .volatile_cache = true,
        .fua = true,
        .direct = true,
        .atomic_write_min = sim->atomic_write_bytes ? SIM_SECTOR_BYTES : 0,
        .atomic_write_max = sim->atomic_write_bytes,
    };
    snprintf(device->info.path, sizeof(device->info.path), "%s", path);
    return 0;
}

static void sim_device_close(struct keel_device *device)
{
    struct sim_file *file = device->method_data;

    sim_file_close(file->sim, file);
}

static int sim_device_grow(struct keel_ctx *ctx, struct keel_device *device, uint64_t size_bytes)
{
    struct keel_sim *sim = ctx->method_data;
    struct sim_file *file = device->method_data;
    int rc = sim_file_resize(sim, file, size_bytes);

    if (rc == 0)
        sim_file_sync(sim, file);
    return rc;
}

/* ---------------------------------------------------------------- names */

static int exists(struct keel_ctx *ctx, const char *path)
{
    return code_of(sim_path_exists(ctx->method_data, path));
}

static int make_folder(struct keel_ctx *ctx, const char *path)
{
    return code_of(sim_path_mkdir(ctx->method_data, path));
}

static int rename_path(struct keel_ctx *ctx, const char *from, const char *to)
{
    return code_of(sim_path_rename(ctx->method_data, from, to));
}

static int unlink_path(struct keel_ctx *ctx, const char *path)
{
    return code_of(sim_path_unlink(ctx->method_data, path));
}

static int sync_folder(struct keel_ctx *ctx, const char *folder)
{
    return code_of(sim_path_sync(ctx->method_data, folder));
}

static int list_folder(struct keel_ctx *ctx, const char *folder,
                       void (*each)(void *arg, const char *name), void *arg)
{
    return code_of(sim_path_list(ctx->method_data, folder, each, arg));
}

static const struct ios_files sim_files = {
    .open = sim_device_open,
    .close = sim_device_close,
    .grow = sim_device_grow,
    .exists = exists,
    .mkdir = make_folder,
    .rename = rename_path,
    .unlink = unlink_path,
    .sync = sync_folder,
    .list = list_folder,
};

static uint64_t sim_clock(const struct keel_ctx *ctx)
{
    const struct keel_sim *sim = ctx->method_data;

    return sim->now_ns;
}

const struct ios_method ios_method_sim = {
    .name = "sim",
    .steps_clock = true,
    .now_ns = sim_clock,
    .files = &sim_files,
    .attach = sim_attach,
    .detach = sim_detach,
    .push = sim_push,
    .dispatch = sim_dispatch,
    .flush = sim_flush,
    .turn = sim_turn,
};
