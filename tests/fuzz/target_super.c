/*
 * The payloads of the two superblocks: what decodes says something that can be, and encodes to the
 * same bytes; a log's of version 1 to those of version 2, which has a longer head.
 *
 * Input: flags (1: the store's, else the log's), then the payload.
 */
#include <string.h>

#include "base/assert.h"
#include "engine/superblock.h"
#include "tests/fuzz/fuzz.h"
#include "wal/position.h"
#include "wal/super.h"

static void store_super(const uint8_t *bytes, uint32_t len)
{
    struct superblock super;
    uint8_t again[SUPER_BYTES];

    if (!superblock_decode(bytes, len, &super))
        return;
    superblock_encode(&super, again);
    KEEL_ASSERT(len == SUPER_BYTES && memcmp(bytes, again, len) == 0);
}

static void log_super(const uint8_t *bytes, uint32_t len)
{
    struct wal_super super;
    uint8_t again[WAL_SUPER_MAX];

    int rc = wal_super_decode(&super, bytes, len);
    KEEL_ASSERT(rc == 0 || rc == KEEL_ESUPER);
    if (rc != 0)
        return;
    uint32_t again_len = wal_super_encode(&super, again);
    uint32_t epochs_len = super.epoch_count * WAL_EPOCH_BYTES;
    bool old = again_len != len;
    KEEL_ASSERT(len == epochs_len + (old ? WAL_SUPER_LIST_V1 : WAL_SUPER_LIST));
    KEEL_ASSERT(memcmp(bytes, again, len - epochs_len) == 0);
    KEEL_ASSERT(memcmp(bytes + len - epochs_len, again + WAL_SUPER_LIST, epochs_len) == 0);
    KEEL_ASSERT(!old || (super.choice.method == 0 && super.choice.device == 0));

    for (uint32_t i = 0; i < super.epoch_count; i++) {
        const struct wal_epoch *epoch = &super.epochs[i];
        KEEL_ASSERT(wal_super_owner(&super, epoch->first) == (int)i);
        KEEL_ASSERT(epoch->first < wal_super_epoch_end(&super, i));
    }
    keel_lsn last = super.epochs[super.epoch_count - 1].first;
    keel_lsn end = lsn_block_down(super.promise_lsn);
    KEEL_ASSERT(end >= last);
    rc = wal_super_add_epoch(&super, end > last, end, end + super.inflight_bytes);
    KEEL_ASSERT(rc == 0 || (rc == KEEL_EFULL && super.epoch_count == WAL_EPOCHS_MAX));
    wal_super_trim(&super, super.redo_lsn);
    KEEL_ASSERT(super.epoch_count >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 + WAL_SUPER_MAX + 64)
        return 0;
    if (data[0] & 1)
        store_super(data + 1, (uint32_t)size - 1);
    else
        log_super(data + 1, (uint32_t)size - 1);
    return 0;
}
