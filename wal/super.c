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

void wal_super_trim(struct wal_super *super)
{
    uint32_t drop = 0;

    while (drop + 1 < super->epoch_count && super->epochs[drop + 1].first <= super->redo_lsn)
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

static uint32_t super_bytes(uint32_t epochs, uint32_t holders)
{
    return WAL_SUPER_LIST + epochs * WAL_EPOCH_BYTES + holders * WAL_HOLDER_BYTES;
}

static void encode_holders(const struct wal_super *super, uint8_t *at)
{
    for (uint32_t i = 0; i < super->holder_count; i++, at += WAL_HOLDER_BYTES) {
        const struct keel_wal_holder *holder = &super->holders[i];

        memcpy(at + WAL_HOLDER_NAME, holder->name, KEEL_WAL_HOLDER_NAME_MAX);
        store_le64(at + WAL_HOLDER_LSN, holder->lsn);
        store_le64(at + WAL_HOLDER_CAP, holder->cap_bytes);
    }
}

uint32_t wal_super_encode(const struct wal_super *super, uint8_t *buf)
{
    uint32_t len = super_bytes(super->epoch_count, super->holder_count);

    KEEL_ASSERT(super->epoch_count > 0 && super->epoch_count <= WAL_EPOCHS_MAX);
    KEEL_ASSERT(super->holder_count <= KEEL_WAL_HOLDERS_MAX);
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
    store_le32(buf + WAL_SUPER_HOLDERS, super->holder_count);
    encode_holders(super, buf + super_bytes(super->epoch_count, 0));
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

static bool decode_holders(struct wal_super *super, const uint8_t *at)
{
    for (uint32_t i = 0; i < super->holder_count; i++, at += WAL_HOLDER_BYTES) {
        struct keel_wal_holder *holder = &super->holders[i];
        const char *name = (const char *)at + WAL_HOLDER_NAME;

        if (!wal_holder_name_valid(name))
            return false;
        memcpy(holder->name, name, KEEL_WAL_HOLDER_NAME_MAX);
        holder->lsn = load_le64(at + WAL_HOLDER_LSN);
        holder->cap_bytes = load_le64(at + WAL_HOLDER_CAP);
        if (holder->lsn < WAL_LSN_FIRST || holder->lsn > WAL_LSN_MAX)
            return false;
    }
    return true;
}

bool wal_holder_name_valid(const char name[KEEL_WAL_HOLDER_NAME_MAX])
{
    size_t len = strnlen(name, KEEL_WAL_HOLDER_NAME_MAX);

    if (len == 0 || len == KEEL_WAL_HOLDER_NAME_MAX)
        return false;
    for (size_t i = len; i < KEEL_WAL_HOLDER_NAME_MAX; i++) {
        if (name[i] != 0)
            return false;
    }
    return true;
}

int wal_super_decode(struct wal_super *super, const uint8_t *buf, uint32_t len)
{
    if (len < WAL_SUPER_LIST)
        return KEEL_ESUPER;

    uint32_t flags = load_le32(buf + WAL_SUPER_FLAGS);
    uint32_t count = load_le32(buf + WAL_SUPER_EPOCHS);
    uint32_t holders = load_le32(buf + WAL_SUPER_HOLDERS);
    uint32_t sync = load_le32(buf + WAL_SUPER_SYNC);
    if (flags & ~WAL_SUPER_CLEAN || count == 0 || count > WAL_EPOCHS_MAX)
        return KEEL_ESUPER;
    if (holders > KEEL_WAL_HOLDERS_MAX || len != super_bytes(count, holders))
        return KEEL_ESUPER;
    if (load_le32(buf + WAL_SUPER_RESERVED) != 0)
        return KEEL_ESUPER;

    memset(super, 0, sizeof(*super));
    memcpy(super->uuid, buf + WAL_SUPER_UUID, WAL_UUID_BYTES);
    super->ring_bytes = load_le64(buf + WAL_SUPER_RING);
    super->inflight_bytes = load_le64(buf + WAL_SUPER_INFLIGHT);
    super->redo_lsn = load_le64(buf + WAL_SUPER_REDO);
    super->promise_lsn = load_le64(buf + WAL_SUPER_PROMISE);
    super->end_lsn = load_le64(buf + WAL_SUPER_END);
    super->clean = (flags & WAL_SUPER_CLEAN) != 0;
    super->choice.method = sync & ~WAL_SUPER_INLINE;
    super->choice.write_inline = (sync & WAL_SUPER_INLINE) != 0;
    super->choice.device = load_le32(buf + WAL_SUPER_DEVICE);
    super->holder_count = holders;
    super->epoch_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = buf + WAL_SUPER_LIST + i * WAL_EPOCH_BYTES;
        super->epochs[i].number = load_le32(at + WAL_EPOCH_NUMBER);
        super->epochs[i].first = load_le64(at + WAL_EPOCH_FIRST);
        super->epochs[i].prev_end = load_le64(at + WAL_EPOCH_PREV_END);
        if (load_le32(at + WAL_EPOCH_RESERVED) != 0)
            return KEEL_ESUPER;
    }
    if (!decode_holders(super, buf + super_bytes(count, 0)))
        return KEEL_ESUPER;
    return super_plausible(super) ? 0 : KEEL_ESUPER;
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
