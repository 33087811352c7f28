/*
 * The chain of records through many blocks: any bytes give records or KEEL_ECORRUPT.
 *
 * Input: flags (1: the first block begins an epoch), then for each block used (u16), first record
 * (u16), and as many bytes as are used. What a block check would refuse is made acceptable.
 */
#include "base/assert.h"
#include "tests/fuzz/fuzz.h"
#include "wal/walk.h"

#define BLOCKS_MAX 600u /* more than the longest record takes */
#define BASE_LSN   UINT64_C(0x9000)

static void each(keel_lsn *last_end, const struct wal_found *found)
{
    KEEL_ASSERT(found->data && found->len <= KEEL_WAL_RECORD_MAX && found->type != 0);
    KEEL_ASSERT(found->lsn >= *last_end && found->end_lsn > found->lsn);
    KEEL_ASSERT(found->last ? found->group_end_lsn == found->end_lsn
                            : found->group_end_lsn > found->end_lsn);
    fuzz_touch(found->data, found->len);
    *last_end = found->end_lsn;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t assembly[WAL_WALK_ASSEMBLY];
    struct fuzz_input input = {data, size};
    struct wal_walk walk;
    keel_lsn last_end = 0;

    wal_walk_begin(&walk, BASE_LSN, assembly, fuzz_u8(&input) & 1);
    for (uint32_t i = 0; i < BLOCKS_MAX && input.left > 0; i++) {
        uint8_t block[WAL_BLOCK];
        struct wal_block_head head = {.lsn = BASE_LSN + (keel_lsn)i * WAL_BLOCK, .epoch = 1};

        head.used = (uint16_t)(fuzz_u16(&input) % (WAL_PAYLOAD + 1) & ~(WAL_RECORD_ALIGN - 1));
        head.first = (uint16_t)(fuzz_u16(&input) & ~(WAL_RECORD_ALIGN - 1));
        if (head.first >= head.used)
            head.first = WAL_FIRST_NONE;
        fuzz_bytes(&input, block + WAL_HEADER, head.used);
        int rc;
        wal_walk_block(&walk, block, &head);
        while ((rc = wal_walk_next(&walk)) > 0)
            each(&last_end, &walk.found);
        KEEL_ASSERT(rc == 0 || rc == KEEL_ECORRUPT);
        if (rc != 0)
            break;
    }
    return 0;
}
