/*
 * fuzz_seeds FOLDER: writes the corpus that a fuzzer begins with, one folder per target. What it
 * writes follows from the code alone, so it can be made anew when a format changes; what fuzzers
 * find is added by hand.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/endian.h"
#include "engine/superblock.h"
#include "pagecache/page.h"
#include "tests/fuzz/image.h"
#include "wal/block.h"
#include "wal/position.h"

#define PATH      "fuzz.keel"
#define RING      IMAGE_RING_SMALL
#define IMAGE_ALL (IMAGE_BLOCK_CRC | IMAGE_BLOCK_LSN | IMAGE_BLOCK_UUID | IMAGE_BLOCK_RECORDS)
#define SEED_MAX  65536u

static const char *top;
static int failed;

struct seed {
    uint8_t bytes[SEED_MAX];
    uint32_t len;
};

static void add(struct seed *seed, const void *bytes, uint32_t len)
{
    KEEL_ASSERT(seed->len + len <= SEED_MAX);
    if (len > 0)
        memcpy(seed->bytes + seed->len, bytes, len);
    seed->len += len;
}

static void add_u8(struct seed *seed, uint32_t value)
{
    uint8_t byte = (uint8_t)value;

    add(seed, &byte, 1);
}

static void add_u16(struct seed *seed, uint32_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, (uint16_t)value);
    add(seed, bytes, 2);
}

static void save(struct seed *seed, const char *target, const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", top, target);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        perror(path);
    snprintf(path, sizeof(path), "%s/%s/%s", top, target, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(seed->bytes, 1, seed->len, file) != seed->len || fclose(file) != 0) {
        perror(path);
        failed = 1;
    }
    seed->len = 0;
}

/* ---------------------------------------------------------------- a log to take apart */

struct life {
    struct fuzz_device fuzz;
    struct keel_wal *wal;
    struct keel_wal_options options;
    keel_lsn end;
};

static void must(int rc)
{
    KEEL_ASSERT(rc == 0);
}

static void life_start(struct life *life)
{
    must(keel_wal_open(life->fuzz.ctx, life->fuzz.device, &life->options, NULL, &life->wal));
    must(keel_wal_start(life->fuzz.ctx, life->wal));
}

static void life_begin(struct life *life)
{
    static const uint8_t uuid[16] = "keel fuzz corpus";

    *life = (struct life){.options = KEEL_WAL_OPTIONS_DEFAULT};
    fuzz_device_open(&life->fuzz, RING + WAL_SUPER_BYTES);
    life->options.method = KEEL_METHOD_SIM;
    life->options.sim = life->fuzz.sim;
    life->options.uuid = uuid;
    life->options.batch_bytes_max = 16384;
    life->options.buffer_bytes = 65536;
    must(keel_wal_create(life->fuzz.ctx, life->fuzz.device, &life->options, NULL));
    life_start(life);
}

/* A group of records of 5, 25 and len bytes. */
static void life_append(struct life *life, uint32_t len)
{
    static const char text[6000] = "records of the corpus";
    struct iovec parts[3];
    struct keel_wal_record records[3];
    struct keel_wal_credit credit = {0};
    const uint32_t lens[3] = {5, 25, len};
    keel_lsn lsn;

    for (uint32_t i = 0; i < 3; i++) {
        parts[i] = (struct iovec){(void *)(uintptr_t)text, lens[i]};
        records[i] = (struct keel_wal_record){&parts[i], 1, (uint8_t)(i + 1)};
    }
    must(keel_wal_credit_take(life->wal, &credit, keel_wal_credit_bytes(30 + len, 3)));
    must(keel_wal_append(life->wal, &credit, keel_wal_mark(life->wal), records, 3, &lsn,
                         &life->end));
    keel_wal_credit_put(life->wal, &credit);
}

static void life_commit(struct life *life, uint32_t len)
{
    life_append(life, len);
    must(keel_wal_commit(life->wal, life->end));
}

static void peek(struct life *life, uint64_t offset, uint8_t *block)
{
    must(keel_sim_peek(life->fuzz.sim, PATH, offset, block, WAL_BLOCK));
}

/* What is durable now, as an image description. lost: a place that is left out, or -1. */
static void describe(struct life *life, struct seed *seed, uint32_t flags, int lost)
{
    uint8_t block[WAL_BLOCK];

    peek(life, 0, block);
    uint32_t len = load_le32(block + 28);
    add_u8(seed, flags | IMAGE_RING_RIGHT);
    add_u16(seed, len);
    add(seed, block + 32, len);
    for (uint32_t place = 0; place < RING / WAL_BLOCK; place++) {
        peek(life, WAL_RING_OFFSET + (uint64_t)place * WAL_BLOCK, block);
        if (load_le64(block + WAL_BLOCK_LSN) == 0 || (int)place == lost)
            continue;
        uint32_t used = WAL_HEADER + load_le16(block + WAL_BLOCK_USED);
        add_u8(seed, place);
        add_u8(seed, place % 2 ? IMAGE_ALL : IMAGE_BLOCK_CRC);
        add_u16(seed, used);
        add(seed, block, used);
    }
}

static void recovery_seeds(struct seed *seed)
{
    struct life life;

    life_begin(&life);
    describe(&life, seed, 0, -1);
    save(seed, "recovery", "started");
    life_commit(&life, 40);
    life_commit(&life, 300);
    life_commit(&life, 4500);
    int place = (int)((life.end - 1) % RING / WAL_BLOCK);
    life_commit(&life, 10);
    describe(&life, seed, 0, -1);
    save(seed, "recovery", "not-closed");
    describe(&life, seed, IMAGE_READ_ONLY, place);
    save(seed, "recovery", "lost-block");
    must(keel_wal_close(life.fuzz.ctx, life.wal));
    describe(&life, seed, 0, -1);
    save(seed, "recovery", "closed");
    for (uint32_t i = 0; i < 3; i++) {
        life_start(&life);
        life_commit(&life, 16 + i);
        if (i == 1)
            must(keel_wal_truncate(life.fuzz.ctx, life.wal, keel_wal_cut(life.wal)));
        must(keel_wal_close(life.fuzz.ctx, life.wal));
    }
    describe(&life, seed, 0, -1);
    save(seed, "recovery", "epochs");
    fuzz_device_close(&life.fuzz);
}

static void part_seeds(struct seed *seed)
{
    struct life life;
    uint8_t block[WAL_BLOCK];

    life_begin(&life);
    keel_lsn base = keel_wal_durable(life.wal);
    life_commit(&life, 5500);
    peek(&life, lsn_offset(RING, base), block);
    add_u8(seed, 15);
    add(seed, block, WAL_BLOCK);
    save(seed, "block", "full");

    add_u8(seed, 1);
    for (keel_lsn lsn = base; lsn < life.end; lsn += WAL_BLOCK) {
        peek(&life, lsn_offset(RING, lsn), block);
        add_u16(seed, load_le16(block + WAL_BLOCK_USED));
        add_u16(seed, load_le16(block + WAL_BLOCK_FIRST));
        add(seed, block + WAL_HEADER, load_le16(block + WAL_BLOCK_USED));
    }
    save(seed, "records", "group");

    peek(&life, 0, block);
    uint32_t len = load_le32(block + 28);
    add_u8(seed, 0);
    add(seed, block + 32, len);
    save(seed, "super", "log");
    for (uint32_t copy = 0; copy < 4; copy++) {
        if (copy == 0)
            add_u8(seed, 0);
        add_u8(seed, 1);
        add_u8(seed, 3 - copy / 2);
        add_u16(seed, len);
        add(seed, block + 32, len);
    }
    save(seed, "quad", "half-way");
    must(keel_wal_close(life.fuzz.ctx, life.wal));
    fuzz_device_close(&life.fuzz);
}

static void other_seeds(struct seed *seed)
{
    struct superblock super = {.page_bytes = 4096, .space_id = 1, .space_pages = 64};
    uint8_t page[KEEL_PAGE_BYTES_MIN];

    memcpy(super.uuid, "a store's uuid..", SUPER_UUID_BYTES);
    memcpy(super.log_uuid, "keel fuzz corpus", SUPER_UUID_BYTES);
    add_u8(seed, 1);
    superblock_encode(&super, seed->bytes + 1);
    seed->len = 1 + SUPER_BYTES;
    save(seed, "super", "store");

    pc_page_init(page, sizeof(page), 1, 77);
    pc_page_seal(page, sizeof(page));
    add_u8(seed, 0);
    add(seed, page, sizeof(page));
    save(seed, "page", "good");
    add_u8(seed, 3);
    add(seed, page, KEEL_PAGE_HEADER_BYTES);
    save(seed, "page", "sealed");
}

int main(int argc, char **argv)
{
    static struct seed seed;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    top = argv[1];
    recovery_seeds(&seed);
    part_seeds(&seed);
    other_seeds(&seed);
    return failed;
}
