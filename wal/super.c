/*
 * The log's superblock as bytes and as a list of epochs. No I/O: keel_quad does that.
 *
 * Invariants: W3 (who owns an LSN), W5 (the redo LSN that frees space is written through here).
 */
#include "wal/super.h"

#include <string.h>

#include "base/assert.h"
#include "base/endian.h"
#include "wal/position.h"

keel_lsn wal_super_epoch_end(const struct wal_super *super, uint32_t index)
{
    KEEL_ASSERT(index < super->epoch_count);

    return index + 1 < super->epoch_count ? super->epochs[index + 1].prev_end : KEEL_LSN_MAX;
}

int wal_super_owner(const struct wal_super *super, keel_lsn lsn)
{
    /* From the newest: nearly every question is about it. */
    for (uint32_t i = super->epoch_count; i-- > 0;) {
        if (lsn >= super->epochs[i].first)
            return lsn < wal_super_epoch_end(super, i) ? (int)i : -1;
    }
    return -1;
}

void wal_super_trim(struct wal_super *super, keel_lsn lsn)
{
    uint32_t drop = 0;

    while (drop + 1 < super->epoch_count && super->epochs[drop + 1].first <= lsn)
        drop++;
    super->epoch_count -= drop;
    memmove(super->epochs, super->epochs + drop, super->epoch_count * sizeof(super->epochs[0]));

    KEEL_ASSERT(super->epoch_count > 0);
}

int wal_super_add_epoch(struct wal_super *super, bool wrote, keel_lsn end, keel_lsn first)
{
    struct wal_epoch *last = &super->epochs[super->epoch_count - 1];

    KEEL_ASSERT(super->epoch_count > 0);
    KEEL_ASSERT(first % WAL_BLOCK == 0 && end % WAL_BLOCK == 0);
    KEEL_INV(W3, first >= end && end >= last->first); /* no LSN is ever given twice */

    uint32_t number = last->number + 1;
    if (wrote) {
        if (super->epoch_count == WAL_EPOCHS_MAX)
            return KEEL_EFULL;
        super->epochs[super->epoch_count++] = (struct wal_epoch){number, first, end};
    } else {
        last->number = number;
        last->first = first;
    }
    return 0;
}

static uint32_t super_bytes(uint32_t list, uint32_t epochs)
{
    return list + epochs * WAL_EPOCH_BYTES;
}

uint32_t wal_super_encode(const struct wal_super *super, uint8_t *buf)
{
    uint32_t len = super_bytes(WAL_SUPER_LIST, super->epoch_count);

    KEEL_ASSERT(super->epoch_count > 0 && super->epoch_count <= WAL_EPOCHS_MAX);
    memset(buf, 0, len);
    memcpy(buf + WAL_SUPER_UUID, super->uuid, WAL_UUID_BYTES);
    store_le64(buf + WAL_SUPER_RING, super->ring_bytes);
    store_le64(buf + WAL_SUPER_INFLIGHT, super->inflight_bytes);
    store_le64(buf + WAL_SUPER_REDO, super->redo_lsn);
    store_le64(buf + WAL_SUPER_PROMISE, super->promise_lsn);
    store_le64(buf + WAL_SUPER_END, super->end_lsn);
    store_le32(buf + WAL_SUPER_FLAGS, super->clean ? WAL_SUPER_CLEAN : 0);
    store_le32(buf + WAL_SUPER_EPOCHS, super->epoch_count);
    for (uint32_t i = 0; i < super->epoch_count; i++) {
        uint8_t *at = buf + WAL_SUPER_LIST + i * WAL_EPOCH_BYTES;
        store_le32(at + WAL_EPOCH_NUMBER, super->epochs[i].number);
        store_le64(at + WAL_EPOCH_FIRST, super->epochs[i].first);
        store_le64(at + WAL_EPOCH_PREV_END, super->epochs[i].prev_end);
    }
    store_le32(buf + WAL_SUPER_SYNC,
               super->choice.method | (super->choice.write_inline ? WAL_SUPER_INLINE : 0));
    store_le32(buf + WAL_SUPER_DEVICE, super->choice.device);
    return len;
}

/* Does the list say what a log can say? Each epoch begins at or behind the end of the one before.
 */
static bool epochs_plausible(const struct wal_super *super)
{
    for (uint32_t i = 0; i < super->epoch_count; i++) {
        const struct wal_epoch *epoch = &super->epochs[i];

        if (epoch->first % WAL_BLOCK != 0 || epoch->prev_end % WAL_BLOCK != 0)
            return false;
        if (epoch->prev_end > epoch->first)
            return false;
        if (i > 0 && epoch->prev_end <= super->epochs[i - 1].first)
            return false;
        if (i > 0 && epoch->number <= super->epochs[i - 1].number)
            return false;
    }
    return true;
}

static bool super_plausible(const struct wal_super *super)
{
    if (super->ring_bytes % WAL_BLOCK != 0 || super->ring_bytes < WAL_RING_MIN)
        return false;
    if (super->inflight_bytes % WAL_BLOCK != 0 || super->inflight_bytes == 0)
        return false;
    if (super->inflight_bytes > super->ring_bytes / WAL_RING_SHARE)
        return false;
    if (super->redo_lsn < WAL_LSN_FIRST || super->promise_lsn < super->redo_lsn)
        return false;
    if (super->clean != (super->end_lsn != 0) || super->end_lsn % WAL_BLOCK != 0)
        return false;
    /* An epoch is made durable together with the promise of its first LSN. */
    if (super->promise_lsn < super->epochs[super->epoch_count - 1].first)
        return false;
    /* So that nothing that is added to an LSN overflows. */
    if (super->promise_lsn > WAL_LSN_MAX || super->end_lsn > WAL_LSN_MAX)
        return false;
    return epochs_plausible(super);
}

/* What version 1 does not have. */
static int decode_choice(struct wal_super *super, const uint8_t *buf)
{
    uint32_t sync = load_le32(buf + WAL_SUPER_SYNC);

    super->choice.method = sync & ~WAL_SUPER_INLINE;
    super->choice.write_inline = (sync & WAL_SUPER_INLINE) != 0;
    super->choice.device = load_le32(buf + WAL_SUPER_DEVICE);
    return load_le64(buf + WAL_SUPER_RESERVED) == 0 ? 0 : KEEL_ESUPER;
}

int wal_super_decode(struct wal_super *super, const uint8_t *buf, uint32_t len)
{
    if (len < WAL_SUPER_LIST_V1)
        return KEEL_ESUPER;

    uint32_t flags = load_le32(buf + WAL_SUPER_FLAGS);
    uint32_t count = load_le32(buf + WAL_SUPER_EPOCHS);
    if (flags & ~WAL_SUPER_CLEAN || count == 0 || count > WAL_EPOCHS_MAX)
        return KEEL_ESUPER;
    uint32_t list =
        len == super_bytes(WAL_SUPER_LIST_V1, count) ? WAL_SUPER_LIST_V1 : WAL_SUPER_LIST;
    if (len != super_bytes(list, count))
        return KEEL_ESUPER;

    memset(super, 0, sizeof(*super));
    memcpy(super->uuid, buf + WAL_SUPER_UUID, WAL_UUID_BYTES);
    super->ring_bytes = load_le64(buf + WAL_SUPER_RING);
    super->inflight_bytes = load_le64(buf + WAL_SUPER_INFLIGHT);
    super->redo_lsn = load_le64(buf + WAL_SUPER_REDO);
    super->promise_lsn = load_le64(buf + WAL_SUPER_PROMISE);
    super->end_lsn = load_le64(buf + WAL_SUPER_END);
    super->clean = (flags & WAL_SUPER_CLEAN) != 0;
    super->epoch_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = buf + list + i * WAL_EPOCH_BYTES;
        super->epochs[i].number = load_le32(at + WAL_EPOCH_NUMBER);
        super->epochs[i].first = load_le64(at + WAL_EPOCH_FIRST);
        super->epochs[i].prev_end = load_le64(at + WAL_EPOCH_PREV_END);
        if (load_le32(at + WAL_EPOCH_RESERVED) != 0)
            return KEEL_ESUPER;
    }
    int rc = list == WAL_SUPER_LIST_V1 ? 0 : decode_choice(super, buf);
    if (rc == 0 && !super_plausible(super))
        rc = KEEL_ESUPER;
    return rc;
}

void wal_super_cell(struct keel_quad *quad, struct keel_device *device, struct keel_arena *arena,
                    void *block)
{
    uint64_t size = keel_device_info(device)->size_bytes / WAL_BLOCK * WAL_BLOCK;

    KEEL_ASSERT(size >= KEEL_WAL_BYTES_MIN);
    *quad = (struct keel_quad){
        .device = device,
        .offsets = {0, WAL_BLOCK, size - 2 * WAL_BLOCK, size - WAL_BLOCK},
        .magic = WAL_MAGIC,
        .version = WAL_VERSION,
        .arena = arena,
        .block = block,
    };
}
