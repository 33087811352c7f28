/*
 * A context, a device of 64 blocks on the real disk, and memory for transfers.
 */
#ifndef KEEL_TESTS_IOSCHED_FIXTURE_H
#define KEEL_TESTS_IOSCHED_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "keel/iosched.h"
#include "tests/support/table.h"
#include "tests/support/tmpdir.h"

#define BLOCK       KEEL_BLOCK_BYTES
#define FILE_BLOCKS 64u

struct fixture {
    struct tmpdir dir;
    char path[600];
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_arena *arena;
    uint8_t *memory; /* FILE_BLOCKS blocks */
};

static inline void fixture_open(struct fixture *f, const struct keel_ctx_options *options)
{
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;

    tmpdir_create(&f->dir);
    tmpdir_join(&f->dir, "device", f->path, sizeof(f->path));
    cr_assert_eq(keel_ctx_open(options, &f->ctx), 0);
    device.create_bytes = FILE_BLOCKS * BLOCK;
    cr_assert_eq(keel_device_open(f->ctx, f->path, &device, NULL, &f->device), 0);
    cr_assert_eq(keel_arena_create(FILE_BLOCKS * BLOCK, &f->arena), 0);
    f->memory = keel_arena_alloc(f->arena, FILE_BLOCKS * BLOCK);
    cr_assert_not_null(f->memory);
}

static inline void fixture_open_method(struct fixture *f, enum keel_method method)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = method;
    fixture_open(f, &options);
}

static inline void fixture_close(struct fixture *f)
{
    keel_ctx_close(f->ctx);
    keel_device_close(f->device);
    keel_arena_destroy(f->arena);
    tmpdir_destroy(&f->dir);
}

/* A transfer between block `block` of the device and the same block of memory. */
static inline struct keel_io fixture_io(const struct fixture *f, enum keel_op op, unsigned block,
                                        unsigned blocks, unsigned flags)
{
    struct keel_io io = {.device = f->device,
                         .arena = f->arena,
                         .op = (uint8_t)op,
                         .cls = KEEL_CLASS_READ,
                         .flags = (uint16_t)flags};

    if (op == KEEL_OP_READ || op == KEEL_OP_WRITE) {
        io.buf = f->memory + block * BLOCK;
        io.offset_bytes = (uint64_t)block * BLOCK;
        io.len_bytes = blocks * BLOCK;
    }
    return io;
}

/* Submit and wait; the result. */
static inline int fixture_run(const struct fixture *f, struct keel_io *io)
{
    int rc = keel_io_submit(f->ctx, io);

    return rc ? rc : keel_io_wait(f->ctx, io);
}

/* Does uring work here? If not, says so on stderr. */
static inline bool fixture_has_uring(const char *test)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    options.method = KEEL_METHOD_URING;
    if (keel_ctx_open(&options, &ctx) != 0) {
        fprintf(stderr, "%s: skipped: io_uring is not to be had here\n", test);
        return false;
    }
    keel_ctx_close(ctx);
    return true;
}

#endif
