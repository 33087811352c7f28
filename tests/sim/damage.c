/*
 * sim_damage: damage and torn tails, told apart, case by case.
 *
 *   damage  a log whose process was killed, around its ring at least once; one thing is wrong
 *           between the redo LSN and the last promise. Every case must be refused as damage, with
 *           the LSN of the first block that is not as it was written (W7)
 *   torn    a log with writes in flight loses power; what is above the durable LSN may be lost,
 * torn or garbage. Every case must open, and give back every group that was durable (E1)
 *
 * usage: sim_damage [--cases N] [--seed S]      N of each, 8,000 by default
 *
 * Each case follows from the seed of its world and its number, both of which a violation names.
 * Exit: 0 as it should be, 1 violation, 2 wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keel/sim.h>
#include <keel/wal.h>

#include "base/assert.h"
#include "base/endian.h"
#include "base/prng.h"
#include "tests/support/share.h"
#include "wal/log.h"

#define PATH           "wal.keel"
#define RING           (256u * 1024u)
#define PLACES         (RING / WAL_BLOCK)
#define CASES_DEFAULT  TEST_SHARE(8000u)
#define CASES_OF_WORLD 400u /* of one world */
#define CASES_OF_STEP  8u   /* cuts of one state */
#define SECTOR         512u
#define GROUP_MAX      9000u
#define GROUPS_MAX     4096u
#define GUARDED_MIN    (16u * WAL_BLOCK)

/* clang-format off */
#define KINDS(X) \
X(FLIP,        "one bit flipped") \
X(SECTOR,      "512 bytes lost") \
X(BLOCK,       "a block lost") \
X(FOREIGN,     "a block of another log") \
X(OLD_LAP,     "a block of an older lap") \
X(MISDIRECTED, "another block of this log in its place")
/* clang-format on */

enum kind {
#define KIND_MEMBER(name, text) KIND_##name,
    KINDS(KIND_MEMBER)
#undef KIND_MEMBER
        KIND_COUNT
};

static const char *const kind_text[] = {
#define KIND_TEXT(name, text) text,
    KINDS(KIND_TEXT)
#undef KIND_TEXT
};

struct world {
    struct keel_sim *sim;
    struct keel_ctx *ctx;
    struct keel_device *device;
    struct keel_wal *wal;
    struct keel_wal_options options;
    struct keel_err_info info;
    struct prng prng;
    uint64_t groups; /* appended so far */
    keel_lsn ends[GROUPS_MAX];
};

struct totals {
    uint64_t damage[KIND_COUNT];
    uint64_t torn, torn_rows, shortened, garbage;
    uint64_t violations;
};

static void must(int rc)
{
    KEEL_ASSERT(rc == 0);
}

static void attach(struct world *world, uint64_t create_bytes)
{
    struct keel_ctx_options ctx = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;

    ctx.method = KEEL_METHOD_SIM;
    ctx.sim = world->sim;
    must(keel_ctx_open(&ctx, &world->ctx));
    device.create_bytes = create_bytes;
    must(keel_device_open(world->ctx, PATH, &device, NULL, &world->device));
    world->options.sim = world->sim;
}

static void detach(struct world *world)
{
    keel_device_close(world->device);
    keel_ctx_close(world->ctx);
    keel_sim_destroy(world->sim);
}

static void start(struct world *world)
{
    must(keel_wal_open(world->ctx, world->device, &world->options, &world->info, &world->wal));
    must(keel_wal_start(world->ctx, world->wal));
}

/* A log that is open. */
static void create(struct world *world, uint64_t seed)
{
    struct keel_sim_options sim = KEEL_SIM_OPTIONS_DEFAULT;
    static const enum keel_sync_method syncs[] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK, KEEL_SYNC_FLUSH};

    memset(world, 0, sizeof(*world));
    prng_seed(&world->prng, seed);
    sim.seed = seed;
    sim.history = true;
    must(keel_sim_create(&sim, &world->sim));
    world->options = (struct keel_wal_options)KEEL_WAL_OPTIONS_DEFAULT;
    world->options.method = KEEL_METHOD_SIM;
    world->options.batch_bytes_max = 8192;
    world->options.buffer_bytes = 65536;
    world->options.inflight_max = 4;
    world->options.pipeline_bytes = 4096;
    world->options.sync = syncs[prng_below(&world->prng, 3)];
    attach(world, RING + WAL_SUPER_BYTES);
    must(keel_wal_create(world->ctx, world->device, &world->options, NULL));
    start(world);
}

/* What is there if power fails now. */
static void cut(struct world *world, enum keel_cut_mode mode, uint64_t seed, struct world *ret)
{
    *ret = *world;
    ret->wal = NULL;
    ret->options.read_only = true;
    must(keel_sim_cut(world->sim, keel_sim_events(world->sim), mode, seed, NULL, NULL, &ret->sim));
    attach(ret, 0);
}

static void fill(uint8_t *bytes, uint64_t group, uint32_t len)
{
    store_le64(bytes, group);
    for (uint32_t i = 8; i < len; i++)
        bytes[i] = (uint8_t)(group * 31 + i * 13 + 5);
}

/* Append group number world->groups; makes room when there is none. */
static void append(struct world *world, uint32_t len)
{
    static uint8_t bytes[GROUP_MAX];
    struct iovec part = {bytes, len};
    struct keel_wal_record record = {&part, 1, 1};
    struct keel_wal_credit credit = {0};
    keel_lsn lsn;

    KEEL_ASSERT(len >= 8 && len <= GROUP_MAX && world->groups < GROUPS_MAX);
    uint64_t bytes_needed = keel_wal_credit_bytes(len, 1);
    if (keel_wal_credit_take(world->wal, &credit, bytes_needed) != 0) {
        keel_lsn end = keel_wal_cut(world->wal);
        must(keel_wal_commit(world->wal, end));
        must(keel_wal_truncate(world->ctx, world->wal, end));
        must(keel_wal_credit_take(world->wal, &credit, bytes_needed));
    }
    fill(bytes, world->groups, len);
    must(keel_wal_append(world->wal, &credit, keel_wal_mark(world->wal), &record, 1, &lsn,
                         &world->ends[world->groups++]));
    keel_wal_credit_put(world->wal, &credit);
}

static uint32_t draw_len(struct world *world)
{
    return 8 + (uint32_t)prng_below(&world->prng,
                                    prng_chance(&world->prng, 1, 4) ? GROUP_MAX - 8 : 1000);
}

static void append_durable(struct world *world)
{
    append(world, draw_len(world));
    must(keel_wal_commit(world->wal, world->ends[world->groups - 1]));
}

static bool violation(struct totals *totals, const struct world *world, uint64_t seed,
                      uint64_t number, const char *what, int rc)
{
    printf("VIOLATION world %llu case %llu: %s (%s, %s)\n", (unsigned long long)seed,
           (unsigned long long)number, what, rc ? keel_err_name(rc) : "opened",
           rc ? world->info.object : "");
    totals->violations++;
    return false;
}

/* ---------------------------------------------------------------- damage */

/* A killed log: its bytes, those of the lap before, and what is guarded. */
struct victim {
    struct world world;
    uint8_t now[RING], before[RING];
    struct wal_super super;
    struct wal_seed seed;
    keel_lsn blocks[PLACES]; /* guarded by a promise, ascending */
    uint32_t count;
};

static void peek_ring(struct world *world, uint8_t *bytes)
{
    must(keel_sim_peek(world->sim, PATH, WAL_RING_OFFSET, bytes, RING));
}

static uint8_t *place_of(uint8_t *ring, keel_lsn lsn)
{
    return ring + lsn % RING;
}

static void poke_block(struct world *world, keel_lsn lsn, const uint8_t *block)
{
    must(keel_sim_poke(world->sim, PATH, lsn_offset(RING, lsn), block, WAL_BLOCK));
}

static void victim_note(struct victim *victim)
{
    struct world *world = &victim->world;

    peek_ring(world, victim->now);
    must(keel_wal_open(world->ctx, world->device, &world->options, &world->info, &world->wal));
    victim->super = world->wal->super;
    victim->seed = world->wal->seed;
    keel_lsn promise = keel_wal_report(world->wal)->promise_lsn;
    must(keel_wal_close(world->ctx, world->wal));
    for (keel_lsn lsn = lsn_block_down(victim->super.redo_lsn); lsn < promise; lsn += WAL_BLOCK) {
        if (wal_super_owner(&victim->super, lsn) >= 0)
            victim->blocks[victim->count++] = lsn;
    }
}

/* From the redo LSN to the last promise, gaps between epochs included. */
static uint64_t guarded_bytes(struct world *world)
{
    struct keel_wal_stats stats;

    keel_wal_stats(world->wal, &stats);
    return world->wal->promised_lsn > stats.redo_lsn ? world->wal->promised_lsn - stats.redo_lsn
                                                     : 0;
}

static void victim_create(struct victim *victim, uint64_t seed)
{
    struct world world;

    memset(victim, 0, sizeof(*victim));
    create(&world, seed);
    /* Once around the ring, more or less; a restart in every second world. */
    keel_lsn begin = keel_wal_durable(world.wal);
    keel_lsn lap = begin + RING + prng_below(&world.prng, RING / 2);
    while (keel_wal_durable(world.wal) < lap)
        append_durable(&world);
    peek_ring(&world, victim->before);
    if (seed % 2) {
        must(keel_wal_close(world.ctx, world.wal));
        start(&world);
    }
    uint64_t more = 8 + prng_below(&world.prng, 60);
    for (uint64_t i = 0; i < more; i++)
        append_durable(&world);
    /* A checkpoint may just have been: then there is nothing to damage yet. */
    while (guarded_bytes(&world) < GUARDED_MIN)
        append_durable(&world);
    cut(&world, KEEL_CUT_LOSE_ALL, seed, &victim->world);
    keel_ignore(keel_wal_close(world.ctx, world.wal), "its work is done");
    detach(&world);
    victim_note(victim);
}

/* Bytes that a lost write leaves: those of the lap before, zeroes, or what an erased cell reads. */
static void lose(struct victim *victim, const uint8_t *before, uint8_t *bytes, uint32_t len)
{
    switch (prng_below(&victim->world.prng, 3)) {
    case 0:
        memcpy(bytes, before, len);
        return;
    case 1:
        memset(bytes, 0, len);
        return;
    default:
        memset(bytes, 0xff, len);
    }
}

/* The same block as another log would have written it; in half of the cases one whose uuid begins
 * with the same four bytes. */
static void foreign(struct victim *victim, uint8_t *block)
{
    uint8_t uuid[WAL_UUID_BYTES];
    struct wal_seed seed;

    memcpy(uuid, victim->super.uuid, sizeof(uuid));
    uuid[prng_below(&victim->world.prng, 2) ? 15 : 0] ^= 0x10;
    wal_seed_init(&seed, uuid);
    store_le32(block + WAL_BLOCK_UUID, seed.uuid_low);
    store_le32(block + WAL_BLOCK_CRC, wal_block_crc(&seed, block));
}

/* Block of the lap before; where that is none (a gap then, or not overwritten since), it is made
 * from this one. */
static void old_lap(struct victim *victim, keel_lsn lsn, uint8_t *block)
{
    const uint8_t *before = place_of(victim->before, lsn);

    if (load_le64(before + WAL_BLOCK_LSN) != 0 && memcmp(before, block, WAL_BLOCK) != 0) {
        memcpy(block, before, WAL_BLOCK);
        return;
    }
    store_le64(block + WAL_BLOCK_LSN, lsn - RING);
    store_le64(block + WAL_BLOCK_PROMISE, lsn - RING);
    store_le32(block + WAL_BLOCK_CRC, wal_block_crc(&victim->seed, block));
}

/* Spoil the block at lsn. Returns the other block that is spoilt with it, or lsn itself. */
static keel_lsn spoil(struct victim *victim, enum kind kind, keel_lsn lsn, uint8_t *block)
{
    struct prng *prng = &victim->world.prng;
    keel_lsn other;
    uint64_t at;

    switch (kind) {
    case KIND_FLIP:
        at = prng_below(prng, WAL_BLOCK * 8);
        block[at / 8] ^= (uint8_t)(1u << at % 8);
        return lsn;
    case KIND_SECTOR:
        at = prng_below(prng, WAL_BLOCK / SECTOR) * SECTOR;
        lose(victim, place_of(victim->before, lsn) + at, block + at, SECTOR);
        return lsn;
    case KIND_BLOCK:
        lose(victim, place_of(victim->before, lsn), block, WAL_BLOCK);
        return lsn;
    case KIND_FOREIGN:
        foreign(victim, block);
        return lsn;
    case KIND_OLD_LAP:
        old_lap(victim, lsn, block);
        return lsn;
    default:
        break;
    }
    /* A write meant for one place went to another: the block is there, and its own place holds it
     * still, or what was there before. */
    other = victim->blocks[prng_below(prng, victim->count)];
    memcpy(block, place_of(victim->now, other), WAL_BLOCK);
    if (other != lsn && prng_chance(prng, 1, 2)) {
        poke_block(&victim->world, other, place_of(victim->before, other));
        if (memcmp(place_of(victim->before, other), place_of(victim->now, other), WAL_BLOCK) != 0)
            return other;
    }
    return lsn;
}

static bool damage_case(struct victim *victim, struct totals *totals, uint64_t seed,
                        uint64_t number)
{
    struct world *world = &victim->world;
    enum kind kind = (enum kind)(number % KIND_COUNT);
    uint8_t block[WAL_BLOCK];
    keel_lsn lsn, other;

    KEEL_ASSERT(victim->count > 1);
    do { /* until something is really different: a lost sector may have been zero before */
        lsn = victim->blocks[prng_below(&world->prng, victim->count)];
        memcpy(block, place_of(victim->now, lsn), WAL_BLOCK);
        other = spoil(victim, kind, lsn, block);
    } while (memcmp(block, place_of(victim->now, lsn), WAL_BLOCK) == 0);

    poke_block(world, lsn, block);
    int rc = keel_wal_open(world->ctx, world->device, &world->options, &world->info, &world->wal);
    if (rc == 0)
        keel_ignore(keel_wal_close(world->ctx, world->wal), "read only");
    poke_block(world, lsn, place_of(victim->now, lsn));
    poke_block(world, other, place_of(victim->now, other));

    totals->damage[kind]++;
    if (rc != KEEL_ECORRUPT)
        return violation(totals, world, seed, number, kind_text[kind], rc);
    if (world->info.offset != (lsn < other ? lsn : other))
        return violation(totals, world, seed, number, "reported at another LSN", rc);
    return true;
}

static bool damage_world(struct totals *totals, uint64_t seed, uint64_t cases)
{
    static struct victim victim;
    struct world *world = &victim.world;
    bool good = true;

    victim_create(&victim, seed);
    for (uint64_t number = 0; number < cases && good; number++)
        good = damage_case(&victim, totals, seed, number);
    if (good) { /* and as it was, it opens */
        must(keel_wal_open(world->ctx, world->device, &world->options, &world->info, &world->wal));
        must(keel_wal_close(world->ctx, world->wal));
    }
    detach(world);
    return good;
}

/* ---------------------------------------------------------------- torn tails */

struct found {
    uint64_t next; /* group */
    bool any, wrong;
};

static int found_group(void *arg, const struct keel_wal_entry *entry)
{
    static uint8_t want[GROUP_MAX];
    struct found *found = arg;
    uint64_t group = entry->len >= 8 ? load_le64(entry->data) : 0;

    found->wrong |= entry->len < 8 || (found->any && group != found->next);
    if (!found->wrong) {
        fill(want, group, entry->len);
        found->wrong |= memcmp(want, entry->data, entry->len) != 0;
    }
    found->any = true;
    found->next = group + 1;
    return found->wrong;
}

/* Above the durable LSN anything may be: garbage in some sectors of what was in flight. */
static void spoil_torn(struct world *after, struct prng *prng, keel_lsn durable, keel_lsn sealed,
                       struct totals *totals)
{
    uint8_t garbage[SECTOR];
    uint64_t sectors = (sealed - durable) / SECTOR;

    if (sectors == 0)
        return;
    for (uint64_t i = 0; i <= prng_below(prng, 3); i++) {
        keel_lsn at = durable + prng_below(prng, sectors) * SECTOR;
        for (uint32_t b = 0; b < SECTOR; b += 8)
            store_le64(garbage + b, prng_below(prng, 3) ? prng_u64(prng) : 0);
        must(keel_sim_poke(after->sim, PATH, lsn_offset(RING, lsn_block_down(at)) + at % WAL_BLOCK,
                           garbage, SECTOR));
    }
    totals->garbage++;
}

static bool torn_case(struct world *world, struct totals *totals, uint64_t seed, uint64_t number)
{
    static const enum keel_cut_mode modes[] = {KEEL_CUT_TORN, KEEL_CUT_SUBSET, KEEL_CUT_TORN,
                                               KEEL_CUT_LOSE_ALL};
    keel_lsn durable = keel_wal_durable(world->wal);
    keel_lsn sealed = position_end(world->wal->base_lsn, atomic_load(&world->wal->sealed));
    struct found found = {0};
    struct world after;
    uint64_t owed = world->groups;

    while (owed > 0 && world->ends[owed - 1] > durable)
        owed--;
    cut(world, modes[number % 4], seed * 1000 + number, &after);
    if (number % 2)
        spoil_torn(&after, &world->prng, durable, sealed, totals);
    int rc = keel_wal_open(after.ctx, after.device, &after.options, &after.info, &after.wal);
    totals->torn++;
    if (rc == 0) {
        const struct keel_wal_report *report = keel_wal_report(after.wal);
        totals->torn_rows += report->verdict == 'I';
        totals->shortened += report->end_lsn < sealed;
        /* Without any group behind the redo LSN there is nothing to be owed. */
        if (owed > 0 && world->ends[owed - 1] <= report->redo_lsn)
            owed = 0;
        rc = keel_wal_replay(after.ctx, after.wal, 0, found_group, &found);
        keel_ignore(keel_wal_close(after.ctx, after.wal), "read only");
    }
    bool good = true;
    if (rc != 0)
        good = violation(totals, &after, seed, number, "a torn tail is refused", rc);
    else if (found.wrong || found.next < owed || found.next > world->groups)
        good = violation(totals, &after, seed, number, "acknowledged bytes were dropped", rc);
    detach(&after);
    return good;
}

static bool torn_world(struct totals *totals, uint64_t seed, uint64_t cases)
{
    struct world world;
    bool good = true;
    uint64_t number = 0;

    create(&world, seed);
    while (number < cases && good && world.groups < GROUPS_MAX) {
        /* Something in flight, something complete, some of it durable. */
        append(&world, draw_len(&world));
        keel_wal_kick(world.wal);
        if (prng_chance(&world.prng, 1, 3)) {
            uint64_t back = prng_below(&world.prng, world.groups < 4 ? world.groups : 4);
            must(keel_wal_commit(world.wal, world.ends[world.groups - 1 - back]));
        }
        if (wal_idle(world.wal) && prng_chance(&world.prng, 7, 8))
            continue;
        for (uint32_t i = 0; i < CASES_OF_STEP && number < cases && good; i++)
            good = torn_case(&world, totals, seed, number++);
    }
    keel_ignore(keel_wal_close(world.ctx, world.wal), "its work is done");
    detach(&world);
    return good;
}

/* ---------------------------------------------------------------- program */

static void print(const struct totals *totals)
{
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++)
        printf("%10llu  %s\n", (unsigned long long)totals->damage[kind], kind_text[kind]);
    printf("%10llu  power cuts with writes in flight\n", (unsigned long long)totals->torn);
    printf("%10llu  of them with garbage above the durable LSN\n",
           (unsigned long long)totals->garbage);
    printf("%10llu  of them lost something that was submitted\n",
           (unsigned long long)totals->shortened);
    printf("%10llu  of them left valid blocks above the end\n",
           (unsigned long long)totals->torn_rows);
    printf("%10llu  violations\n", (unsigned long long)totals->violations);
}

int main(int argc, char **argv)
{
    uint64_t cases = CASES_DEFAULT, seed = 1;
    static struct totals totals;
    bool good = true;

    for (int i = 1; i < argc; i += 2) {
        uint64_t *value = strcmp(argv[i], "--cases") == 0  ? &cases
                          : strcmp(argv[i], "--seed") == 0 ? &seed
                                                           : NULL;
        if (!value || i + 1 == argc || argv[i + 1][0] < '0' || argv[i + 1][0] > '9') {
            fprintf(stderr, "usage: %s [--cases N] [--seed S]\n", argv[0]);
            return 2;
        }
        *value = strtoull(argv[i + 1], NULL, 10);
    }
    for (uint64_t done = 0; done < cases && good; done += CASES_OF_WORLD, seed++) {
        uint64_t count = cases - done < CASES_OF_WORLD ? cases - done : CASES_OF_WORLD;
        good = damage_world(&totals, seed, count) && torn_world(&totals, seed, count);
    }
    print(&totals);
    /* A proof that met no torn tail proved nothing about one. */
    return totals.violations || (cases >= CASES_OF_WORLD && totals.torn_rows == 0) ? 1 : 0;
}
