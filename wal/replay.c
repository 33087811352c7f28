/*
 * Replay: every record of every whole group between the redo LSN and X, in order, once.
 *
 * The scan has found where each epoch ends and that its blocks are valid; here the records are put
 * together and their own checksums are verified. A group is whole if it ends at or below the end of
 * its epoch; what an epoch began and did not finish is void.
 *
 * Failure: a record whose bytes are not those that were appended is KEEL_ECORRUPT, although its
 * block is intact: it was changed in memory, or on the way, before the block was sealed.
 */
#include "base/crc32c.h"
#include "base/endian.h"
#include "wal/reader.h"
#include "wal/walk.h"

struct replay {
    struct keel_wal *wal;
    keel_lsn from;
    keel_lsn epoch_end; /* of the epoch at hand */
    keel_lsn group_lsn; /* of the group at hand, 0 between groups */
    int (*each)(void *arg, const struct keel_wal_entry *entry);
    void *arg;
};

static int replay_record(void *arg, const struct wal_found *found)
{
    struct replay *replay = arg;

    if (found->lsn < replay->wal->super.redo_lsn)
        return 0;
    if (replay->group_lsn == 0)
        replay->group_lsn = found->lsn;

    struct keel_wal_entry entry = {
        .lsn = found->lsn,
        .group_lsn = replay->group_lsn,
        .end_lsn = found->group_end_lsn,
        .data = found->data,
        .len = found->len,
        .type = found->type,
        .last = found->last,
    };
    if (found->last)
        replay->group_lsn = 0;
    if (entry.end_lsn > replay->epoch_end || entry.group_lsn < replay->from)
        return 0;

    uint32_t crc = crc32c(replay->wal->seed.record, found->data, found->len);
    if (wal_record_crc(crc, found->header, found->lsn) != load_le32(found->header + WAL_RECORD_CRC))
        return KEEL_ECORRUPT;
    return replay->each(replay->arg, &entry);
}

static keel_lsn min_lsn(keel_lsn a, keel_lsn b)
{
    return a < b ? a : b;
}

/* The part of the log that one epoch wrote. */
static int replay_epoch(struct replay *replay, struct keel_ctx *ctx, uint32_t index,
                        uint8_t *assembly)
{
    struct keel_wal *wal = replay->wal;
    const struct wal_epoch *epoch = &wal->super.epochs[index];
    keel_lsn begin = lsn_block_down(wal->super.redo_lsn);
    struct wal_reader reader;
    struct wal_walk walk;
    const uint8_t *block;
    keel_lsn lsn;
    int rc;

    if (begin < epoch->first)
        begin = epoch->first;
    replay->epoch_end = min_lsn(wal_super_epoch_end(&wal->super, index), wal->report.end_lsn);
    replay->group_lsn = 0;
    if (begin >= replay->epoch_end)
        return 0;

    wal_walk_begin(&walk, begin, assembly, begin == epoch->first);
    wal_reader_open(&reader, ctx, wal, begin, replay->epoch_end);
    while ((rc = wal_reader_next(&reader, &block, &lsn)) > 0) {
        struct wal_block_head head;

        /* It was valid when it was scanned; if it is not now, the device changed its mind. */
        rc = wal_block_check(&wal->seed, &wal->super, block, lsn, &head) == WAL_BLOCK_VALID
                 ? wal_walk_block(&walk, block, &head, replay_record, replay)
                 : KEEL_ECORRUPT;
        if (rc != 0)
            break;
    }
    wal_reader_close(&reader);
    return rc;
}

int keel_wal_replay(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn from,
                    int (*each)(void *arg, const struct keel_wal_entry *entry), void *arg)
{
    struct replay replay = {.wal = wal, .from = from, .each = each, .arg = arg};
    int rc = 0;

    KEEL_ASSERT(!wal->started);
    uint8_t *assembly = mem_reserve(WAL_WALK_ASSEMBLY);
    if (!assembly)
        return -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < wal->super.epoch_count; i++)
        rc = replay_epoch(&replay, ctx, i, assembly);
    mem_unmap(assembly, WAL_WALK_ASSEMBLY);
    return rc;
}
