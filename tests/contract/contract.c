/*
 * The contract suite's fixture.
 */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/support/methods.h"
#include "tests/support/seed.h"

static const struct contract_row methods[CONTRACT_METHODS] = {
    {"uring", KEEL_METHOD_URING, KEEL_OFF}, {"uring-sqpoll", KEEL_METHOD_URING, KEEL_REQUIRED},
    {"nvme", KEEL_METHOD_NVME, KEEL_OFF},   {"nvme-sqpoll", KEEL_METHOD_NVME, KEEL_REQUIRED},
    {"sync", KEEL_METHOD_SYNC, KEEL_OFF},   {"sim", KEEL_METHOD_SIM, KEEL_OFF},
};

const struct contract_row *contract_method(size_t number)
{
    return &methods[number];
}

size_t contract_choose(size_t *numbers)
{
    size_t count = 0;

    for (size_t i = 0; i < CONTRACT_METHODS; i++)
        if (test_choice(methods[i].label) != TEST_LEFT_OUT)
            numbers[count++] = i;
    KEEL_ASSERT(count > 0); /* KEEL_TEST_METHODS names one that there is */
    return count;
}

/* Does the folder's file system have O_DIRECT? */
static int try_device(struct contract *c)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_device *device;

    options.create_bytes = BLOCK;
    int rc = keel_device_open(c->ctx, contract_path(c, "probe"), &options, NULL, &device);
    if (rc == 0) {
        keel_device_close(device);
        rc = keel_path_unlink(c->ctx, contract_path(c, "probe"));
    }
    return rc;
}

static int open_disk(struct contract *c)
{
    struct keel_err_info info = {0};

    int rc = keel_device_open(c->ctx, c->disk, NULL, &info, &c->whole);
    cr_assert_eq(rc, 0, "%s: %s, %s", c->disk, keel_err_name(rc), info.op);
    return rc;
}

static int begin(struct contract *c, const char *test)
{
    struct keel_sim_options sim_options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    int rc = 0;

    if (c->method == KEEL_METHOD_SIM) {
        sim_options.seed = test_seed(test);
        sim_options.history = true;
        rc = keel_sim_create(&sim_options, &c->sim);
        snprintf(c->folder, sizeof(c->folder), "folder");
    } else {
        c->disk = getenv(c->method == KEEL_METHOD_NVME ? "KEEL_TEST_NVME" : "KEEL_TEST_DEVICE");
    }
    if (c->method == KEEL_METHOD_NVME && !c->disk)
        return KEEL_EMETHOD;
    if (!c->sim && !c->disk) {
        tmpdir_create(&c->dir);
        snprintf(c->folder, sizeof(c->folder), "%s/folder", c->dir.path);
    }
    options.method = c->method;
    options.iopoll = test_iopoll(c->method);
    options.sqpoll = c->sqpoll;
    options.sim = c->sim;
    if (rc == 0)
        rc = keel_ctx_open(&options, &c->ctx);
    if (rc == 0 && c->disk)
        rc = open_disk(c);
    if (rc == 0 && !c->disk)
        rc = keel_path_mkdir(c->ctx, c->folder);
    if (rc == 0 && !c->disk)
        rc = try_device(c);
    if (rc == 0)
        rc = keel_arena_create(ARENA_BYTES, &c->arena);
    return rc;
}

bool contract_begin(struct contract *c, const struct contract_row *row, const char *test)
{
    *c = (struct contract){.label = row->label, .method = row->method, .sqpoll = row->sqpoll};

    int rc = begin(c, test);
    if (rc == 0) {
        const char *method = keel_ctx_path(c->ctx)->method;
        cr_assert(strncmp(method, row->label, strlen(method)) == 0, "%s", method);
        return true;
    }
    contract_end(c);
    cr_assert(test_choice(row->label) == TEST_IF_THERE &&
                  (rc == KEEL_EMETHOD || rc == KEEL_EDIRECT),
              "%s: %s", row->label, keel_err_name(rc));
    fprintf(stderr, "contract: %s cannot run here: %s, %s\n", row->label, keel_err_name(rc),
            keel_err_text(rc));
    return false;
}

void contract_end(struct contract *c)
{
    keel_ctx_close(c->ctx);
    c->ctx = NULL;
    keel_device_close(c->whole);
    c->whole = NULL;
    keel_arena_destroy(c->arena);
    c->arena = NULL;
    keel_sim_destroy(c->sim);
    c->sim = NULL;
    if (c->dir.path[0])
        tmpdir_destroy(&c->dir);
}

struct keel_ctx *contract_ctx(const struct contract *c, const struct keel_ctx_options *options)
{
    struct keel_ctx_options mine = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx = NULL;

    if (options)
        mine = *options;
    mine.method = c->method;
    if (mine.iopoll == KEEL_PREFERRED)
        mine.iopoll = test_iopoll(c->method);
    if (mine.sqpoll == KEEL_OFF)
        mine.sqpoll = c->sqpoll;
    mine.sim = c->sim;
    int rc = keel_ctx_open(&mine, &ctx);
    cr_assert_eq(rc, 0, "%s", keel_err_name(rc));
    return ctx;
}

const char *contract_path(const struct contract *c, const char *name)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", c->folder, name);
    return path;
}

/* A part of the disk, behind the others, with room to grow. */
static struct keel_device *create_part(struct contract *c, const char *name, uint32_t blocks)
{
    unsigned at = c->part_count;
    uint64_t end =
        at > 0 ? c->parts[at - 1].range.offset_bytes + c->parts[at - 1].range.room_bytes : 0;
    struct keel_device *device = NULL;

    cr_assert_lt(at, CONTRACT_PARTS_MAX);
    c->part_count++;
    snprintf(c->parts[at].name, sizeof(c->parts[at].name), "%s", name);
    c->parts[at].range =
        (struct keel_device_range){.offset_bytes = end, .room_bytes = 4u * BLOCK * blocks};
    cr_assert_eq(keel_device_part(c->whole, &c->parts[at].range, &device), 0);
    int rc = keel_device_grow(c->ctx, device, (uint64_t)blocks * BLOCK);
    cr_assert_eq(rc, 0, "%s: %s", name, keel_err_name(rc));
    c->parts[at].range.size_bytes = (uint64_t)blocks * BLOCK;
    return device;
}

static struct keel_device *open_part(struct contract *c, const char *name)
{
    struct keel_device *device = NULL;

    for (unsigned i = 0; i < c->part_count; i++) {
        if (strcmp(c->parts[i].name, name) == 0)
            cr_assert_eq(keel_device_part(c->whole, &c->parts[i].range, &device), 0);
    }
    cr_assert_not_null(device);
    return device;
}

struct keel_device *contract_create(struct contract *c, const char *name, uint32_t blocks)
{
    if (c->disk)
        return create_part(c, name, blocks);

    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_err_info info;
    struct keel_device *device = NULL;

    options.create_bytes = (uint64_t)blocks * BLOCK;
    int rc = keel_device_open(c->ctx, contract_path(c, name), &options, &info, &device);
    cr_assert_eq(rc, 0, "%s: %s in %s", name, keel_err_name(rc), info.op);
    return device;
}

struct keel_device *contract_open(struct contract *c, const char *name)
{
    if (c->disk)
        return open_part(c, name);

    struct keel_err_info info;
    struct keel_device *device = NULL;
    int rc = keel_device_open(c->ctx, contract_path(c, name), NULL, &info, &device);

    cr_assert_eq(rc, 0, "%s: %s in %s", name, keel_err_name(rc), info.op);
    return device;
}

uint8_t *contract_alloc(struct contract *c, uint32_t blocks)
{
    uint8_t *buf = keel_arena_alloc(c->arena, (size_t)blocks * BLOCK);

    cr_assert_not_null(buf);
    return buf;
}

struct keel_io contract_io(struct contract *c, struct keel_device *device, enum keel_op op,
                           void *buf, uint32_t block, uint32_t blocks)
{
    return (struct keel_io){
        .device = device,
        .arena = buf ? c->arena : NULL,
        .buf = buf,
        .offset_bytes = (uint64_t)block * BLOCK,
        .len_bytes = blocks * BLOCK,
        .op = (uint8_t)op,
        .cls = KEEL_CLASS_HOST,
    };
}

int contract_run(struct contract *c, struct keel_io *io)
{
    int rc = keel_io_submit(c->ctx, io);

    return rc ? rc : keel_io_wait(c->ctx, io);
}

/* Memory that is not the arena's, so that many calls do not spend it. */
static uint8_t *borrow(uint32_t blocks)
{
    uint8_t *buf = aligned_alloc(BLOCK, (size_t)blocks * BLOCK);

    cr_assert_not_null(buf);
    return buf;
}

void contract_write(struct contract *c, struct keel_device *device, uint32_t block, uint32_t blocks,
                    uint8_t fill)
{
    uint8_t *buf = borrow(blocks);
    struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, block, blocks);

    memset(buf, fill, (size_t)blocks * BLOCK);
    io.arena = NULL;
    cr_assert_eq(contract_run(c, &io), 0);
    free(buf);
}

void contract_expect(struct contract *c, struct keel_device *device, uint32_t block,
                     uint32_t blocks, uint8_t fill)
{
    uint8_t *buf = borrow(blocks);
    struct keel_io io = contract_io(c, device, KEEL_OP_READ, buf, block, blocks);

    memset(buf, (uint8_t)~fill, (size_t)blocks * BLOCK);
    io.arena = NULL;
    cr_assert_eq(contract_run(c, &io), 0);
    for (size_t i = 0; i < (size_t)blocks * BLOCK; i++)
        cr_assert_eq(buf[i], fill, "byte %zu behind block %u is %u, not %u", i, block, buf[i],
                     fill);
    free(buf);
}
