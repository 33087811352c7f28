/*
 * A log on a simulated device, with a model of what it should hold.
 *
 * Groups are numbered from 1. Each record of group n says {n, its index, how many the group has}
 * and goes on with bytes that follow from n and the index, so that replay can tell a whole group,
 * in order and with the right bytes, from anything else.
 */
#ifndef KEEL_TESTS_WAL_FIXTURE_H
#define KEEL_TESTS_WAL_FIXTURE_H

#include <criterion/criterion.h>
#include <string.h>
#include <sys/uio.h>

#include <keel/iosched.h>
#include <keel/sim.h>
#include <keel/wal.h>

#include "base/assert.h"
#include "base/endian.h"
#include "base/mem.h"
#include "wal/wal_format.h"

#define WORLD_PATH     "wal.keel"
#define WORLD_RING_MIN (256u * 1024u)
#define GROUP_HEAD     16u /* group, index, count */
#define GROUPS_MAX     20000u

static const uint8_t world_uuid[16] = {0x6b, 0x65, 0x65, 0x6c, 0x20, 0x74, 0x65, 0x73,
                                       0x74, 0x20, 0x6c, 0x6f, 0x67, 0x20, 0x23, 0x31};

struct world {
    struct keel_sim *sim;
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_wal *wal;
    struct keel_wal_options options;
    struct keel_err_info info;
    uint64_t next_group;
    keel_lsn last_end; /* of the group appended last */
};

static inline void world_attach(struct world *world)
{
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;

    ctx_options.method = KEEL_METHOD_SIM;
    ctx_options.sim = world->sim;
    cr_assert_eq(keel_ctx_open(&ctx_options, &world->ctx), 0);
    cr_assert_eq(keel_device_open(world->ctx, WORLD_PATH, &device_options, NULL, &world->device),
                 0);
    world->options.sim = world->sim;
}

static inline void world_detach(struct world *world)
{
    keel_device_close(world->device);
    keel_ctx_close(world->ctx);
    world->device = NULL;
    world->ctx = NULL;
}

/* A formatted log of this ring size, not open. */
static inline void world_create(struct world *world, uint64_t ring_bytes, uint64_t seed)
{
    struct keel_sim_options sim_options = KEEL_SIM_OPTIONS_DEFAULT;
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;

    memset(world, 0, sizeof(*world));
    sim_options.seed = seed;
    sim_options.history = true;
    cr_assert_eq(keel_sim_create(&sim_options, &world->sim), 0);
    world->options = (struct keel_wal_options)KEEL_WAL_OPTIONS_DEFAULT;
    world->options.method = KEEL_METHOD_SIM;
    world->options.sim = world->sim;
    world->options.uuid = world_uuid;
    world->options.batch_bytes_max = 16384;
    world->options.buffer_bytes = 65536;
    world->options.inflight_max = 4;
    world->next_group = 1;

    ctx_options.method = KEEL_METHOD_SIM;
    ctx_options.sim = world->sim;
    cr_assert_eq(keel_ctx_open(&ctx_options, &world->ctx), 0);
    device_options.create_bytes = ring_bytes + WAL_SUPER_BYTES;
    cr_assert_eq(keel_device_open(world->ctx, WORLD_PATH, &device_options, NULL, &world->device),
                 0);
    cr_assert_eq(keel_wal_create(world->ctx, world->device, &world->options, NULL), 0);
}

static inline int world_open(struct world *world)
{
    return keel_wal_open(world->ctx, world->device, &world->options, &world->info, &world->wal);
}

/* Open and start; both have to work. */
static inline void world_start(struct world *world)
{
    cr_assert_eq(world_open(world), 0, "%s at LSN %lu", world->info.op,
                 (unsigned long)world->info.offset);
    cr_assert_eq(keel_wal_start(world->ctx, world->wal), 0);
}

static inline int world_close(struct world *world)
{
    int rc = keel_wal_close(world->ctx, world->wal);

    world->wal = NULL;
    return rc;
}

static inline void world_destroy(struct world *world)
{
    if (world->wal)
        keel_ignore(world_close(world), "teardown");
    world_detach(world);
    keel_sim_destroy(world->sim);
}

/* The world as power leaves it at this event. */
static inline void world_cut(struct world *world, uint64_t event, enum keel_cut_mode mode,
                             uint64_t seed, struct world *ret)
{
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;

    options.seed = seed;
    options.history = true;
    *ret = *world;
    ret->wal = NULL;
    ret->sim = NULL;
    cr_assert_eq(keel_sim_cut(world->sim, event, mode, seed, &options, NULL, &ret->sim), 0);
    world_attach(ret);
}

static inline uint8_t group_byte(uint64_t group, uint32_t index, uint32_t at)
{
    return (uint8_t)(group * 31 + index * 7 + at * 13 + 5);
}

/* Append a group of `count` records of len payload bytes each (at least GROUP_HEAD). */
static inline int group_append_mark(struct world *world, struct keel_wal_credit *credit,
                                    uint32_t mark, uint32_t count, uint32_t len, keel_lsn *ret_lsn,
                                    keel_lsn *ret_end)
{
    uint8_t *bytes = mem_alloc((size_t)count * len);
    struct keel_wal_record records[64];
    struct iovec parts[64][2];

    cr_assert(bytes && count <= 64 && len >= GROUP_HEAD);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = bytes + (uint64_t)i * len;
        store_le64(at, world->next_group);
        store_le32(at + 8, i);
        store_le32(at + 12, count);
        for (uint32_t b = GROUP_HEAD; b < len; b++)
            at[b] = group_byte(world->next_group, i, b);
        parts[i][0] = (struct iovec){at, GROUP_HEAD};
        parts[i][1] = (struct iovec){at + GROUP_HEAD, len - GROUP_HEAD};
        records[i] = (struct keel_wal_record){parts[i], 2, (uint8_t)(1 + i % 255)};
    }
    int rc = keel_wal_append(world->wal, credit, mark, records, count, ret_lsn, ret_end);
    mem_free(bytes);
    if (rc == 0) {
        world->next_group++;
        world->last_end = *ret_end;
    }
    return rc;
}

static inline int group_append(struct world *world, uint32_t count, uint32_t len)
{
    struct keel_wal_credit credit = {0};
    keel_lsn lsn, end;
    int rc = keel_wal_credit_take(world->wal, &credit,
                                  keel_wal_credit_bytes((uint64_t)count * len, count));

    if (rc == 0)
        rc = group_append_mark(world, &credit, keel_wal_mark(world->wal), count, len, &lsn, &end);
    keel_wal_credit_put(world->wal, &credit);
    return rc;
}

static inline int group_commit(struct world *world, uint32_t count, uint32_t len)
{
    int rc = group_append(world, count, len);

    return rc != 0 ? rc : keel_wal_commit(world->wal, world->last_end);
}

/* What a replay gave. */
struct harvest {
    uint64_t first, last; /* groups, 0: none */
    uint64_t groups, records;
    uint32_t index;
    keel_lsn lsn, end_lsn;
    keel_lsn ends[GROUPS_MAX]; /* by group number */
};

static inline int harvest_entry(void *arg, const struct keel_wal_entry *entry)
{
    struct harvest *harvest = arg;
    const uint8_t *data = entry->data;
    uint64_t group = load_le64(data);
    uint32_t index = load_le32(data + 8);
    uint32_t count = load_le32(data + 12);

    if (index == 0) {
        if (harvest->first == 0)
            harvest->first = group;
        else
            cr_assert_eq(group, harvest->last + 1, "group %lu after %lu", (unsigned long)group,
                         (unsigned long)harvest->last);
        cr_assert_eq(entry->group_lsn, entry->lsn);
        cr_assert_geq(entry->group_lsn, harvest->end_lsn);
        harvest->last = group;
        harvest->end_lsn = entry->end_lsn;
        harvest->groups++;
        harvest->index = 0;
    }
    cr_assert_eq(group, harvest->last);
    cr_assert_eq(index, harvest->index++);
    cr_assert_eq(entry->end_lsn, harvest->end_lsn);
    cr_assert_eq(entry->last, index + 1 == count);
    cr_assert_eq(entry->type, 1 + index % 255);
    cr_assert_gt(entry->lsn, harvest->lsn);
    for (uint32_t b = GROUP_HEAD; b < entry->len; b++)
        cr_assert_eq(data[b], group_byte(group, index, b));
    harvest->lsn = entry->lsn;
    harvest->records++;
    if (group < GROUPS_MAX)
        harvest->ends[group] = entry->end_lsn;
    return 0;
}

static inline int world_replay(struct world *world, struct harvest *harvest)
{
    memset(harvest, 0, sizeof(*harvest));
    return keel_wal_replay(world->ctx, world->wal, 0, harvest_entry, harvest);
}

/* Where block `lsn` lies on the device. */
static inline uint64_t world_offset(const struct world *world, keel_lsn lsn)
{
    uint64_t ring = keel_device_info(world->device)->size_bytes - WAL_SUPER_BYTES;

    return WAL_RING_OFFSET + lsn / WAL_BLOCK * WAL_BLOCK % ring + lsn % WAL_BLOCK;
}

/* Change one byte of the device. */
static inline void world_flip(struct world *world, uint64_t offset, uint8_t mask)
{
    uint8_t byte;

    cr_assert_eq(keel_sim_peek(world->sim, WORLD_PATH, offset, &byte, 1), 0);
    byte ^= mask;
    cr_assert_eq(keel_sim_poke(world->sim, WORLD_PATH, offset, &byte, 1), 0);
}

static inline void world_fault(struct world *world, uint8_t op, uint8_t kind, int32_t error,
                               uint32_t countdown, uint32_t repeat)
{
    struct keel_fault fault = {.path = WORLD_PATH,
                               .op = op,
                               .kind = kind,
                               .error = error,
                               .countdown = countdown,
                               .repeat = repeat};

    cr_assert_eq(keel_sim_fault(world->sim, &fault), 0);
}

#endif
