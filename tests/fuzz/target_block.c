/*
 * One block of the log: whatever is in it, the check says one of its kinds; a block it calls valid
 * can be walked through.
 *
 * Input: flags, then the block. Flags: 1 CRC put right, 2 LSN, 4 uuid, 8 epoch.
 */
#include <string.h>

#include "base/assert.h"
#include "base/endian.h"
#include "tests/fuzz/fuzz.h"
#include "wal/walk.h"

#define LSN UINT64_C(0x9000)

static void each(uint32_t *count, const struct wal_found *found)
{
    (*count)++;
    KEEL_ASSERT(found->data && found->len <= KEEL_WAL_RECORD_MAX);
    fuzz_touch(found->data, found->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t uuid[WAL_UUID_BYTES] = "keel fuzz target";
    static uint8_t assembly[WAL_WALK_ASSEMBLY];
    struct fuzz_input input = {data, size};
    struct wal_super super = {.epoch_count = 2, .epochs = {{1, 0x1000, 0x1000}, {2, LSN, 0x5000}}};
    struct wal_block_head head;
    struct wal_seed seed;
    uint8_t block[WAL_BLOCK];
    uint32_t records = 0;

    uint8_t flags = fuzz_u8(&input);
    fuzz_bytes(&input, block, sizeof(block));
    wal_seed_init(&seed, uuid);
    if (flags & 2)
        store_le64(block + WAL_BLOCK_LSN, LSN);
    if (flags & 4)
        store_le32(block + WAL_BLOCK_UUID, seed.uuid_low);
    if (flags & 8)
        store_le32(block + WAL_BLOCK_EPOCH, 2);
    if (flags & 1)
        store_le32(block + WAL_BLOCK_CRC, wal_block_crc(&seed, block));

    enum wal_block_kind kind = wal_block_check(&seed, &super, block, LSN, &head);
    KEEL_ASSERT(strlen(wal_block_kind_name(kind)) > 0);
    if (kind != WAL_BLOCK_VALID)
        return 0;
    KEEL_ASSERT(head.lsn == LSN && head.epoch == 2 && head.used <= WAL_PAYLOAD);
    for (int whole = 0; whole < 2; whole++) {
        struct wal_walk walk;
        wal_walk_begin(&walk, LSN, assembly, whole);
        int rc;
        wal_walk_block(&walk, block, &head);
        while ((rc = wal_walk_next(&walk)) > 0)
            each(&records, &walk.found);
        KEEL_ASSERT(rc == 0 || rc == KEEL_ECORRUPT);
    }
    KEEL_ASSERT(records <= 2 * WAL_PAYLOAD / WAL_RECORD_HEADER);
    return 0;
}
