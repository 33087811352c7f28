/*
 * The bytes of a log: what is written today equals the golden log byte for byte, the golden log is
 * read, and docs/format/wal.md shows it.
 *
 * tests/format/wal.bin holds the blocks of a small log that are not zero: the four superblock
 * copies, then the three blocks of its one epoch. KEEL_GOLDEN=write makes it anew. wal_v1.bin is
 * the same log as version 1 wrote it, and is never made again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "tests/unit/wal/fixture.h"
#include "wal/block.h"
#include "wal/position.h"
#include "wal/super.h"

TestSuite(format_wal, .timeout = 20);

#define GOLDEN KEEL_TEST_DATA "/format/wal.bin"
#define DOC    KEEL_TEST_DATA "/../docs/format/wal.md"
#define BLOCKS 3u
#define BYTES  ((4u + BLOCKS) * WAL_BLOCK)
#define BASE   ((keel_lsn)(WAL_LSN_FIRST + WORLD_RING_MIN / WAL_RING_SHARE))

#define FIRST_TEXT "the first record of a log"
#define LONG_LEN   5000u

static uint8_t long_byte(uint32_t at)
{
    return (uint8_t)('a' + at % 26);
}

/* Two groups: one record, committed; then two, the second of which runs into another block. */
static void write_log(struct world *world)
{
    uint8_t bytes[LONG_LEN];
    struct iovec parts[3] = {{(void *)(uintptr_t)FIRST_TEXT, sizeof(FIRST_TEXT) - 1},
                             {(void *)(uintptr_t)FIRST_TEXT, 9},
                             {bytes, sizeof(bytes)}};
    struct keel_wal_record records[3] = {{&parts[0], 1, 1}, {&parts[1], 1, 2}, {&parts[2], 1, 3}};
    struct keel_wal_credit credit = {0};
    keel_lsn lsn, end;

    for (uint32_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = long_byte(i);
    world_create(world, WORLD_RING_MIN, 1);
    world_start(world);
    cr_assert_eq(keel_wal_credit_take(world->wal, &credit, 8 * WAL_BLOCK), 0);
    cr_assert_eq(keel_wal_append(world->wal, &credit, 0, records, 1, &lsn, &end), 0);
    cr_assert_eq(keel_wal_commit(world->wal, end), 0);
    cr_assert_eq(keel_wal_append(world->wal, &credit, 0, records + 1, 2, &lsn, &end), 0);
    cr_assert_eq(keel_wal_commit(world->wal, end), 0);
    keel_wal_credit_put(world->wal, &credit);
    cr_assert_eq(world_close(world), 0);
}

static void place(const struct world *world, uint32_t index, uint64_t *ret_offset)
{
    uint64_t size = keel_device_info(world->device)->size_bytes;
    const uint64_t offsets[4] = {0, WAL_BLOCK, size - 2 * WAL_BLOCK, size - WAL_BLOCK};

    *ret_offset =
        index < 4 ? offsets[index] : world_offset(world, BASE + (keel_lsn)(index - 4) * WAL_BLOCK);
}

static void take_blocks(struct world *world, uint8_t *blocks)
{
    for (uint32_t i = 0; i < 4 + BLOCKS; i++) {
        uint64_t offset;

        place(world, i, &offset);
        cr_assert_eq(
            keel_sim_peek(world->sim, WORLD_PATH, offset, blocks + i * WAL_BLOCK, WAL_BLOCK), 0);
    }
}

static size_t read_file(const char *path, void *buf, size_t cap)
{
    FILE *file = fopen(path, "rb");

    cr_assert_not_null(file, "%s", path);
    size_t len = fread(buf, 1, cap, file);
    fclose(file);
    return len;
}

Test(format_wal, is_written_as_the_golden_log)
{
    static uint8_t golden[BYTES + 1], blocks[BYTES];
    struct world world;

    write_log(&world);
    take_blocks(&world, blocks);
    if (getenv("KEEL_GOLDEN")) {
        FILE *file = fopen(GOLDEN, "wb");
        cr_assert_not_null(file);
        cr_assert_eq(fwrite(blocks, 1, BYTES, file), BYTES);
        fclose(file);
    }
    cr_assert_eq(read_file(GOLDEN, golden, sizeof(golden)), BYTES);
    for (uint32_t i = 0; i < BYTES; i++)
        cr_assert_eq(blocks[i], golden[i], "block %u byte %u", i / WAL_BLOCK, i % WAL_BLOCK);

    /* And everything else is zero. */
    uint64_t size = keel_device_info(world.device)->size_bytes;
    for (uint64_t at = WAL_RING_OFFSET; at < size - 2 * WAL_BLOCK; at += WAL_BLOCK) {
        static const uint8_t zero[WAL_BLOCK];
        uint8_t block[WAL_BLOCK];

        if (at >= world_offset(&world, BASE) && at < world_offset(&world, BASE + 3 * WAL_BLOCK))
            continue;
        cr_assert_eq(keel_sim_peek(world.sim, WORLD_PATH, at, block, WAL_BLOCK), 0);
        cr_assert_arr_eq(block, zero, WAL_BLOCK);
    }
    world_destroy(&world);
}

static int check_entry(void *arg, const struct keel_wal_entry *entry)
{
    static const uint32_t lens[] = {sizeof(FIRST_TEXT) - 1, 9, LONG_LEN};
    uint32_t *count = arg;
    const uint8_t *data = entry->data;

    cr_assert_lt(*count, 3);
    cr_assert_eq(entry->type, *count + 1);
    cr_assert_eq(entry->len, lens[*count]);
    cr_assert_eq(entry->last, *count != 1);
    for (uint32_t i = 0; i < entry->len; i++)
        cr_assert_eq(data[i], *count == 2 ? long_byte(i) : (uint8_t)FIRST_TEXT[i]);
    ++*count;
    return 0;
}

static void read_golden(const char *path)
{
    static uint8_t golden[BYTES];
    struct world world;
    uint32_t count = 0;

    cr_assert_eq(read_file(path, golden, sizeof(golden)), BYTES);
    world_create(&world, WORLD_RING_MIN, 2);
    for (uint32_t i = 0; i < 4 + BLOCKS; i++) {
        uint64_t offset;

        place(&world, i, &offset);
        cr_assert_eq(
            keel_sim_poke(world.sim, WORLD_PATH, offset, golden + i * WAL_BLOCK, WAL_BLOCK), 0);
    }
    cr_assert_eq(world_open(&world), 0);
    cr_assert(keel_wal_report(world.wal)->clean);
    cr_assert_eq(keel_wal_report(world.wal)->end_lsn, BASE + BLOCKS * WAL_BLOCK);
    cr_assert_eq(keel_wal_replay(world.ctx, world.wal, 0, check_entry, &count), 0);
    cr_assert_eq(count, 3);
    world_destroy(&world);
}

Test(format_wal, golden_log_is_read)
{
    read_golden(GOLDEN);
}

Test(format_wal, a_log_of_version_1_is_read)
{
    read_golden(KEEL_TEST_DATA "/format/wal_v1.bin");
}

static void expect(const char *doc, const char *what)
{
    cr_assert(strstr(doc, what), "docs/format/wal.md lacks:\n%s", what);
}

static void expect_hex(const char *doc, const uint8_t *bytes, uint32_t len)
{
    char buf[2048];
    struct text text;

    text_init(&text, buf, sizeof(buf));
    text_hex(&text, bytes, len);
    expect(doc, buf);
}

Test(format_wal, document_shows_the_golden_log_and_every_field)
{
    static char doc[65536];
    static uint8_t golden[BYTES];
    char buf[128];

    cr_assert_eq(read_file(GOLDEN, golden, sizeof(golden)), BYTES);
    doc[read_file(DOC, doc, sizeof(doc) - 1)] = 0;
    expect_hex(doc, golden, 144);
    expect_hex(doc, golden + 4 * WAL_BLOCK, 96);
    expect_hex(doc, golden + 5 * WAL_BLOCK, 96);
    expect_hex(doc, golden + 6 * WAL_BLOCK, 48);

    static const struct {
        unsigned at;
        const char *text; /* size and name */
    } fields[] = {
        {WAL_BLOCK_CRC, "4 | CRC"},
        {WAL_BLOCK_USED, "2 | USED"},
        {WAL_BLOCK_FIRST, "2 | FIRST"},
        {WAL_BLOCK_LSN, "8 | LSN"},
        {WAL_BLOCK_PROMISE, "8 | PROMISE"},
        {WAL_BLOCK_EPOCH, "4 | EPOCH"},
        {WAL_BLOCK_UUID, "4 | UUID"},
        {WAL_RECORD_LEN, "4 | LEN"},
        {WAL_RECORD_CRC, "4 | CRC"},
        {WAL_RECORD_GROUP, "4 | GROUP"},
        {WAL_RECORD_TYPE, "1 | TYPE"},
        {WAL_RECORD_FLAGS, "1 | FLAGS"},
        {WAL_RECORD_RESERVED, "2 | RESERVED"},
        {WAL_SUPER_UUID, "16 | UUID"},
        {WAL_SUPER_RING, "8 | RING"},
        {WAL_SUPER_INFLIGHT, "8 | INFLIGHT"},
        {WAL_SUPER_REDO, "8 | REDO"},
        {WAL_SUPER_PROMISE, "8 | PROMISE"},
        {WAL_SUPER_END, "8 | END"},
        {WAL_SUPER_FLAGS, "4 | FLAGS"},
        {WAL_SUPER_EPOCHS, "4 | EPOCHS"},
        {WAL_SUPER_SYNC, "4 | SYNC"},
        {WAL_SUPER_DEVICE, "4 | DEVICE"},
        {WAL_SUPER_RESERVED, "8 | RESERVED"},
        {WAL_EPOCH_NUMBER, "4 | NUMBER"},
        {WAL_EPOCH_RESERVED, "4 | RESERVED"},
        {WAL_EPOCH_FIRST, "8 | FIRST"},
        {WAL_EPOCH_PREV_END, "8 | PREV_END"},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        snprintf(buf, sizeof(buf), "| %u | %s |", fields[i].at, fields[i].text);
        expect(doc, buf);
    }
}
