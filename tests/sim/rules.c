/*
 * sim_rules: each rule by which recovery ends or refuses a log, alone.
 *
 * usage: sim_rules [--bug NAME]
 *
 * A row below makes a log in which exactly one rule decides, and says what the answer has to be.
 * Without a bug every row gets its answer; with the bug that removes a rule, its row does not: exit
 * status 1, or a trap. tests/sim/log_bugs.sh runs them all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <keel/sim.h>
#include <keel/wal.h>

#include "base/assert.h"
#include "base/bug.h"
#include "wal/log.h"

#define PATH "wal.keel"
#define RING (256u * 1024u)
#define K    (RING / WAL_RING_SHARE)

struct world {
    struct keel_sim *sim;
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_wal *wal;
    struct keel_wal_options options;
    keel_lsn first, end; /* of the blocks of the last epoch */
};

static void must(int rc)
{
    KEEL_ASSERT(rc == 0);
}

static void open_log(struct world *world)
{
    must(keel_wal_open(world->ctx, world->device, &world->options, NULL, &world->wal));
}

static void start_log(struct world *world)
{
    must(keel_wal_start(world->ctx, world->wal));
    world->first = keel_wal_durable(world->wal);
    world->end = world->first;
}

static void make(struct world *world)
{
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;

    memset(world, 0, sizeof(*world));
    must(keel_sim_create(NULL, &world->sim));
    ctx.method = KEEL_METHOD_SIM;
    ctx.sim = world->sim;
    must(keel_ctx_open(&ctx, &world->ctx));
    device.create_bytes = RING + WAL_SUPER_BYTES;
    must(keel_device_open(world->ctx, PATH, &device, NULL, &world->device));
    world->options = (struct keel_wal_options)KEEL_WAL_OPTIONS_DEFAULT;
    world->options.method = KEEL_METHOD_SIM;
    world->options.sim = world->sim;
    world->options.batch_bytes_max = 8192;
    world->options.buffer_bytes = 65536;
    must(keel_wal_create(world->ctx, world->device, &world->options, NULL));
    open_log(world);
    start_log(world);
}

static void destroy(struct world *world)
{
    keel_device_close(world->device);
    keel_ctx_close(world->ctx);
    keel_sim_destroy(world->sim);
}

/* A block for each: one record, durable before the next. */
static void write_blocks(struct world *world, uint32_t count)
{
    struct iovec part = {(void *)(uintptr_t) "a record", 8};
    struct keel_wal_record record = {&part, 1, 1};

    for (uint32_t i = 0; i < count; i++) {
        struct keel_wal_credit credit = {0};
        keel_lsn lsn, end;

        must(keel_wal_credit_take(world->wal, &credit, keel_wal_credit_bytes(8, 1)));
        must(keel_wal_append(world->wal, &credit, keel_wal_mark(world->wal), &record, 1, &lsn,
                             &end));
        keel_wal_credit_put(world->wal, &credit);
        must(keel_wal_commit(world->wal, end));
    }
    world->end = keel_wal_durable(world->wal);
}

/* Its process is killed: not closed in order. Everything is on the device. */
static void kill_log(struct world *world)
{
    keel_wal_poison(world->wal, -EIO);
    keel_ignore(keel_wal_close(world->ctx, world->wal), "it is killed");
    world->wal = NULL;
}

static void read_block(struct world *world, keel_lsn lsn, uint8_t *block)
{
    must(keel_sim_peek(world->sim, PATH, lsn_offset(RING, lsn), block, WAL_BLOCK));
}

static void write_block(struct world *world, keel_lsn lsn, const uint8_t *block)
{
    must(keel_sim_poke(world->sim, PATH, lsn_offset(RING, lsn), block, WAL_BLOCK));
}

static void break_block(struct world *world, keel_lsn lsn)
{
    uint8_t block[WAL_BLOCK];

    read_block(world, lsn, block);
    block[WAL_HEADER] ^= 1;
    write_block(world, lsn, block);
}

/* The block at lsn once more, with another promise, epoch or place, and a right checksum. */
static void forge(struct world *world, keel_lsn from, const struct wal_block_head *head)
{
    uint8_t block[WAL_BLOCK], uuid[WAL_UUID_BYTES];
    struct wal_seed seed;

    open_log(world);
    memcpy(uuid, keel_wal_report(world->wal)->uuid, sizeof(uuid));
    must(keel_wal_close(world->ctx, world->wal));
    wal_seed_init(&seed, uuid);
    read_block(world, from, block);
    wal_block_seal(&seed, block, head);
    write_block(world, head->lsn, block);
}

static struct wal_block_head head_of(struct world *world, keel_lsn lsn)
{
    uint8_t block[WAL_BLOCK];
    struct wal_super everything = {.epoch_count = 1, .epochs = {{0, 0, 0}}};
    struct wal_seed seed = {0};
    struct wal_block_head head;

    read_block(world, lsn, block);
    keel_ignore((int)wal_block_check(&seed, &everything, block, lsn, &head), "its fields");
    return head;
}

/* ---------------------------------------------------------------- one rule each */

/* A later block, within K, promises more than X. */
static int promise_of_a_block(struct world *world)
{
    write_blocks(world, 4);
    kill_log(world);
    break_block(world, world->first + WAL_BLOCK);
    return KEEL_ECORRUPT;
}

/* A valid block at X+K, and nobody promises anything above X. */
static int place_of_a_block(struct world *world)
{
    keel_lsn broken = world->first + WAL_BLOCK;

    write_blocks(world, K / WAL_BLOCK + 3);
    kill_log(world);
    for (keel_lsn lsn = broken + WAL_BLOCK; lsn < world->end; lsn += WAL_BLOCK) {
        struct wal_block_head head = head_of(world, lsn);

        head.promise = world->first;
        forge(world, lsn, &head);
    }
    break_block(world, broken);
    return KEEL_ECORRUPT;
}

/* The superblock promises more than X; no block above it does. */
static int promise_of_the_superblock(struct world *world)
{
    write_blocks(world, 1);
    keel_lsn cut = keel_wal_cut(world->wal);
    write_blocks(world, 3);
    must(keel_wal_truncate(world->ctx, world->wal, cut));
    kill_log(world);
    break_block(world, world->end - WAL_BLOCK);
    return KEEL_ECORRUPT;
}

/* Closed in order, and there is a block behind the end. */
static int end_of_a_clean_log(struct world *world)
{
    write_blocks(world, 3);
    must(keel_wal_close(world->ctx, world->wal));
    struct wal_block_head head = head_of(world, world->end - WAL_BLOCK);
    head.lsn = world->end;
    forge(world, world->end - WAL_BLOCK, &head);
    return KEEL_ECORRUPT;
}

/* A block cannot be read. Read-only, since what is not promised would be read once more (secure.c),
 * which finds it as well. */
static int unreadable_block(struct world *world)
{
    static const struct keel_fault fault = {
        .op = KEEL_OP_READ, .kind = KEEL_FAULT_ERROR, .countdown = 5, .repeat = UINT32_MAX};

    kill_log(world);
    world->options.read_only = true;
    must(keel_sim_fault(world->sim, &fault)); /* the five reads before are of the superblock */
    return KEEL_EREAD;
}

/* A block of an older epoch where the newest one would write next: void. */
static int owner_of_a_block(struct world *world)
{
    write_blocks(world, 2);
    struct wal_block_head old = head_of(world, world->first);
    must(keel_wal_close(world->ctx, world->wal));
    open_log(world);
    start_log(world);
    write_blocks(world, 2);
    kill_log(world);
    old.lsn = world->end;
    old.promise = world->first;
    forge(world, world->end - WAL_BLOCK, &old);
    return 0;
}

static const struct {
    const char *name;
    int (*make)(struct world *world); /* returns what opening has to say */
} rows[] = {
    {"a later block promises more than X", promise_of_a_block},
    {"a later block lies at or beyond X+K", place_of_a_block},
    {"the superblock promises more than X", promise_of_the_superblock},
    {"a clean log does not end where it was closed", end_of_a_clean_log},
    {"an unreadable block is never a torn tail", unreadable_block},
    {"a block of an epoch that does not own its LSN is void", owner_of_a_block},
};

static bool run_row(uint32_t i)
{
    struct world world;

    make(&world);
    int want = rows[i].make(&world);
    int rc = keel_wal_open(world.ctx, world.device, &world.options, NULL, &world.wal);
    bool good = rc == want;
    if (rc == 0) {
        good = good && keel_wal_report(world.wal)->end_lsn == world.end;
        must(keel_wal_close(world.ctx, world.wal));
    }
    printf("%s %s: %s\n", good ? "kept" : "VIOLATION", rows[i].name,
           rc ? keel_err_name(rc) : "opened");
    destroy(&world);
    return good;
}

int main(int argc, char **argv)
{
    bool good = true;

    if (argc == 3 && strcmp(argv[1], "--bug") == 0 && seeded_bug_find(argv[2]) != SEEDED_BUG_NONE) {
#ifdef KEEL_SEEDED_BUGS
        keel_seeded_bug = seeded_bug_find(argv[2]);
#else
        fprintf(stderr, "%s: the library was built without seeded bugs\n", argv[0]);
        return 2;
#endif
    } else if (argc != 1) {
        fprintf(stderr, "usage: %s [--bug NAME]\n", argv[0]);
        return 2;
    }
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        good = run_row(i) && good;
    return good ? 0 : 1;
}
