/*
 * Sealing and checking blocks, and the CRC of records.
 *
 * Cheap tests come first in the check: most blocks of a look-ahead are of an earlier lap, and their
 * LSN says so without a checksum over 4 KiB.
 *
 * Invariants: W3.
 */
#include "wal/block.h"

#include <string.h>

#include "base/assert.h"
#include "base/bug.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "wal/position.h"

void wal_seed_init(struct wal_seed *seed, const uint8_t uuid[WAL_UUID_BYTES])
{
    static const uint8_t zero[4];

    seed->record = crc32c(0, uuid, WAL_UUID_BYTES);
    seed->block = crc32c(seed->record, zero, sizeof(zero));
    seed->uuid_low = load_le32(uuid);
}

uint32_t wal_block_crc(const struct wal_seed *seed, const uint8_t *block)
{
    return crc32c(seed->block, block + WAL_BLOCK_CRC + 4, WAL_BLOCK - 4);
}

static bool head_plausible(const struct wal_block_head *head)
{
    if (head->used > WAL_PAYLOAD || head->used % WAL_RECORD_ALIGN != 0)
        return false;
    if (head->promise > head->lsn)
        return false;
    if (head->first == WAL_FIRST_NONE)
        return true;
    return head->first < head->used && head->first % WAL_RECORD_ALIGN == 0;
}

void wal_block_seal(const struct wal_seed *seed, uint8_t *block, const struct wal_block_head *head)
{
    KEEL_ASSERT(head->lsn % WAL_BLOCK == 0);
    KEEL_ASSERT(head_plausible(head));

    store_le16(block + WAL_BLOCK_USED, head->used);
    store_le16(block + WAL_BLOCK_FIRST, head->first);
    store_le64(block + WAL_BLOCK_LSN, head->lsn);
    store_le64(block + WAL_BLOCK_PROMISE, head->promise);
    store_le32(block + WAL_BLOCK_EPOCH, head->epoch);
    store_le32(block + WAL_BLOCK_UUID, seed->uuid_low);
    memset(block + WAL_HEADER + head->used, 0, WAL_PAYLOAD - head->used);
    store_le32(block + WAL_BLOCK_CRC, wal_block_crc(seed, block));
}

enum wal_block_kind wal_block_check(const struct wal_seed *seed, const struct wal_super *super,
                                    const uint8_t *block, keel_lsn lsn, struct wal_block_head *head)
{
    head->lsn = load_le64(block + WAL_BLOCK_LSN);
    head->promise = load_le64(block + WAL_BLOCK_PROMISE);
    head->epoch = load_le32(block + WAL_BLOCK_EPOCH);
    head->used = load_le16(block + WAL_BLOCK_USED);
    head->first = load_le16(block + WAL_BLOCK_FIRST);

    if (head->lsn != lsn)
        return WAL_BLOCK_ELSEWHERE;
    if (load_le32(block + WAL_BLOCK_UUID) != seed->uuid_low)
        return WAL_BLOCK_FOREIGN;

    int owner = wal_super_owner(super, lsn);
    if (owner < 0 || (super->epochs[owner].number != head->epoch && !BUG(RULE_EPOCH)))
        return WAL_BLOCK_VOID;
    if (load_le32(block + WAL_BLOCK_CRC) != wal_block_crc(seed, block))
        return WAL_BLOCK_BROKEN;
    return head_plausible(head) ? WAL_BLOCK_VALID : WAL_BLOCK_MALFORMED;
}

const char *wal_block_kind_name(enum wal_block_kind kind)
{
    static const char *const names[] = {
        [WAL_BLOCK_VALID] = "valid",     [WAL_BLOCK_ELSEWHERE] = "another LSN",
        [WAL_BLOCK_FOREIGN] = "foreign", [WAL_BLOCK_VOID] = "void epoch",
        [WAL_BLOCK_BROKEN] = "checksum", [WAL_BLOCK_MALFORMED] = "malformed",
    };

    KEEL_ASSERT((unsigned)kind < sizeof(names) / sizeof(names[0]));
    return names[kind];
}

uint32_t wal_record_crc(uint32_t payload_crc, const uint8_t *header, keel_lsn lsn)
{
    uint8_t tail[WAL_RECORD_TAIL];

    memcpy(tail, header + WAL_RECORD_LEN, 4);
    memcpy(tail + 4, header + WAL_RECORD_GROUP, WAL_RECORD_HEADER - WAL_RECORD_GROUP);
    store_le64(tail + WAL_RECORD_TAIL - 8, lsn);
    return crc32c(payload_crc, tail, sizeof(tail));
}
