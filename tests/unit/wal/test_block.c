/*
 * Sealing and checking one block (W3).
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/endian.h"
#include "wal/block.h"

TestSuite(wal_block, .timeout = 20);

static const uint8_t uuid[16] = "a log, one of it";
static struct wal_super super;
static struct wal_seed seed;
static uint8_t block[WAL_BLOCK];

static void seal(uint16_t used, uint16_t first)
{
    struct wal_block_head head = {
        .lsn = 4096 * 7, .promise = 4096 * 3, .epoch = 9, .used = used, .first = first};

    super = (struct wal_super){.epoch_count = 1, .epochs = {{9, 4096, 4096}}};
    wal_seed_init(&seed, uuid);
    for (uint32_t i = 0; i < WAL_BLOCK; i++)
        block[i] = (uint8_t)(i * 7);
    wal_block_seal(&seed, block, &head);
}

static enum wal_block_kind check(keel_lsn lsn)
{
    struct wal_block_head head;

    return wal_block_check(&seed, &super, block, lsn, &head);
}

Test(wal_block, W3_is_valid_where_it_was_sealed_for)
{
    struct wal_block_head head;

    seal(800, 16);
    cr_assert_eq(wal_block_check(&seed, &super, block, 4096 * 7, &head), WAL_BLOCK_VALID);
    cr_assert_eq(head.used, 800);
    cr_assert_eq(head.first, 16);
    cr_assert_eq(head.epoch, 9);
    cr_assert_eq(head.promise, 4096 * 3);
    for (uint32_t i = WAL_HEADER + 800; i < WAL_BLOCK; i++)
        cr_assert_eq(block[i], 0);
}

Test(wal_block, W3_is_not_valid_anywhere_else_nor_for_another_log_or_epoch)
{
    static const uint8_t other[16] = "a log, two of it";
    struct wal_block_head head;
    struct wal_seed foreign;

    seal(4064, 0);
    cr_assert_eq(check(4096 * 8), WAL_BLOCK_ELSEWHERE);
    super.epochs[0].number = 8;
    cr_assert_eq(check(4096 * 7), WAL_BLOCK_VOID);
    super.epochs[0] = (struct wal_epoch){9, 4096 * 8, 4096};
    cr_assert_eq(check(4096 * 7), WAL_BLOCK_VOID);

    seal(4064, 0);
    wal_seed_init(&foreign, other); /* the same first four bytes */
    cr_assert_eq(wal_block_check(&foreign, &super, block, 4096 * 7, &head), WAL_BLOCK_BROKEN);
    foreign.uuid_low ^= 1;
    cr_assert_eq(wal_block_check(&foreign, &super, block, 4096 * 7, &head), WAL_BLOCK_FOREIGN);
}

Test(wal_block, W3_every_flipped_bit_is_seen)
{
    seal(2000, 8);
    for (uint32_t bit = 0; bit < WAL_BLOCK * 8; bit++) {
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_neq(check(4096 * 7), WAL_BLOCK_VALID, "bit %u", bit);
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(check(4096 * 7), WAL_BLOCK_VALID);
}

Test(wal_block, a_good_checksum_over_impossible_fields_is_malformed)
{
    static const struct {
        uint16_t used, first;
    } heads[] = {{4072, 0}, {12, 0}, {16, 16}, {16, 4}};
    uint8_t sealed[WAL_BLOCK];

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        /* A checksum for any content: seal the largest block with these bytes as they are. */
        seal(4064, 0);
        store_le16(block + WAL_BLOCK_USED, heads[i].used);
        store_le16(block + WAL_BLOCK_FIRST, heads[i].first);
        memcpy(sealed, block, sizeof(sealed));
        cr_assert_eq(check(4096 * 7), WAL_BLOCK_BROKEN);

        uint32_t crc = wal_block_crc(&seed, sealed);
        store_le32(block + WAL_BLOCK_CRC, crc);
        cr_assert_eq(check(4096 * 7), WAL_BLOCK_MALFORMED, "row %zu", i);
    }
}

Test(wal_block, never_written_is_elsewhere)
{
    seal(0, WAL_FIRST_NONE);
    cr_assert_eq(check(4096 * 7), WAL_BLOCK_VALID);
    memset(block, 0, sizeof(block));
    cr_assert_eq(check(4096 * 7), WAL_BLOCK_ELSEWHERE);
}
