/*
 * Reading the log record by record, from any LSN that is kept: while it is open, or offline.
 *
 *   readahead   blocks in LSN order, up to what is durable
 *   enter       is it valid there (W3)? is it the first of an epoch?
 *   advance     the next record that begins at or above `from`
 *   deliver     if its group is whole and durable, and its own checksum is right
 *
 * A group is whole if it ends at or below the end of its epoch; what an epoch began and did not
 * finish is void.
 *
 * Failure: a place that may have been used again meanwhile is KEEL_EGONE: log space is given to
 * appenders before it is written, so whoever sees other bytes there also sees the limit that
 * allowed them. Anything else that is not a valid block is KEEL_ECORRUPT, and so is a record whose
 * bytes are not those that were appended, although its block is intact: it was changed in memory,
 * or on the way, before the block was sealed. Both are final for the reader.
 *
 * Invariants: W3, W5 (what is read is what was kept).
 */
#include "wal/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "wal/holder.h"
#include "wal/tail.h"

/* ------------------------------------------------------------- failing */

static int fail(struct keel_wal_reader *reader, int rc, keel_lsn lsn, const char *what)
{
    struct keel_err_info *info = &reader->info;

    memset(info, 0, sizeof(*info));
    info->code = rc;
    info->op = "read the log";
    info->offset = lsn;
    info->want = wal_kept_from(reader->wal);
    info->got = reader->end;
    snprintf(info->object, sizeof(info->object), "log, LSN %llu, device offset %llu: %s",
             (unsigned long long)lsn,
             (unsigned long long)lsn_offset(reader->super.ring_bytes, lsn_block_down(lsn)), what);
    reader->error = rc;
    return rc;
}

static int fail_block(struct keel_wal_reader *reader, keel_lsn lsn, enum wal_block_kind kind)
{
    if (lsn < wal_kept_from(reader->wal))
        return fail(reader, KEEL_EGONE, lsn, "used again");
    return fail(reader, KEEL_ECORRUPT, lsn, wal_block_kind_name(kind));
}

/* ------------------------------------------------------------- blocks */

/* A block that an epoch owns. */
static int enter_block(struct keel_wal_reader *reader, int owner, const uint8_t *block,
                       keel_lsn lsn)
{
    const struct wal_epoch *epoch = &reader->super.epochs[owner];
    struct wal_block_head head;
    enum wal_block_kind kind =
        wal_block_check(&reader->wal->seed, &reader->super, block, lsn, &head);

    if (kind != WAL_BLOCK_VALID)
        return fail_block(reader, lsn, kind);
    KEEL_INV(W3, epoch->number == head.epoch);
    if (owner != reader->owner) {
        wal_walk_begin(&reader->walk, lsn, reader->assembly, lsn == epoch->first);
        reader->owner = owner;
        reader->group_lsn = 0;
    }
    /* What a block begins with that is not the beginning of a record belongs to one below. */
    if (!reader->walk.in_step && head.used > 0 && head.first != 0)
        reader->passed = lsn + WAL_HEADER + (head.first == WAL_FIRST_NONE ? head.used : head.first);
    wal_walk_block(&reader->walk, block, &head);
    reader->in_block = true;
    return 1;
}

/* The next block that an epoch owns. 1, 0 at the end, or negative. */
static int enter(struct keel_wal_reader *reader)
{
    const uint8_t *block;
    keel_lsn lsn;
    int rc;

    while ((rc = wal_readahead_next(&reader->ahead, reader->end, &block, &lsn)) > 0) {
        int owner = wal_super_owner(&reader->super, lsn);

        if (owner >= 0)
            return enter_block(reader, owner, block, lsn);
    }
    if (rc == KEEL_EREAD)
        return fail(reader, rc, reader->ahead.failed_lsn, "unreadable");
    return rc;
}

/* ------------------------------------------------------------- records */

/* Walk on until reader->walk.found is a record to be given. 1, 0 at the end, or negative. */
static int advance(struct keel_wal_reader *reader)
{
    const struct wal_found *found = &reader->walk.found;

    for (;;) {
        int rc = reader->in_block ? 1 : enter(reader);
        if (rc <= 0)
            return rc;

        rc = wal_walk_next(&reader->walk);
        if (rc < 0)
            return fail(reader, rc, found->lsn, "the records do not fit together");
        if (rc == 0) {
            reader->in_block = false;
            continue;
        }
        if (found->lsn < reader->from) {
            reader->passed = found->end_lsn;
            continue;
        }
        if (reader->group_lsn == 0)
            reader->group_lsn = found->lsn;
        reader->have = true;
        return 1;
    }
}

/* Where the epoch at hand ends. */
static keel_lsn epoch_end(const struct keel_wal_reader *reader)
{
    keel_lsn end = wal_super_epoch_end(&reader->super, (uint32_t)reader->owner);

    return end < reader->end ? end : reader->end;
}

static bool is_last_epoch(const struct keel_wal_reader *reader)
{
    return (uint32_t)reader->owner + 1 == reader->super.epoch_count;
}

/* Give out the record at hand. */
static int deliver(struct keel_wal_reader *reader, struct keel_wal_entry *ret)
{
    const struct wal_found *found = &reader->walk.found;
    uint32_t crc = crc32c(reader->wal->seed.record, found->data, found->len);

    if (wal_record_crc(crc, found->header, found->lsn) != load_le32(found->header + WAL_RECORD_CRC))
        return fail(reader, KEEL_ECORRUPT, found->lsn, "record");
    *ret = (struct keel_wal_entry){
        .lsn = found->lsn,
        .group_lsn = reader->group_lsn,
        .end_lsn = found->group_end_lsn,
        .data = found->data,
        .len = found->len,
        .type = found->type,
        .last = found->last,
    };
    return 1;
}

/* The record at hand is done with. */
static void let_go(struct keel_wal_reader *reader)
{
    reader->have = false;
    if (reader->walk.found.last)
        reader->group_lsn = 0;
}

int keel_wal_reader_next(struct keel_wal_reader *reader, struct keel_wal_entry *ret)
{
    if (reader->error != 0)
        return reader->error;
    for (;;) {
        int rc = reader->have ? 1 : advance(reader);
        if (rc <= 0)
            return rc;
        if (reader->walk.found.group_end_lsn <= epoch_end(reader)) {
            rc = deliver(reader, ret);
            let_go(reader);
            return rc;
        }
        if (is_last_epoch(reader)) /* the rest of it is not durable */
            return 0;
        let_go(reader);
    }
}

const struct keel_err_info *keel_wal_reader_info(const struct keel_wal_reader *reader)
{
    return &reader->info;
}

/* ------------------------------------------------------------- open and close */

/* A reader that has read nothing yet. own: with a buffer of its own. */
static int reader_new(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn from, bool own,
                      struct keel_wal_reader **ret)
{
    struct keel_wal_reader *reader = mem_alloc(sizeof(*reader));

    if (!reader)
        return -ENOMEM;
    reader->wal = wal;
    reader->ctx = ctx;
    reader->from = from;
    reader->owner = -1;
    reader->end = wal_durable(wal);
    reader->assembly = mem_reserve(WAL_WALK_ASSEMBLY);
    if (own)
        reader->buffer = mem_reserve(WAL_READAHEAD_BYTES_MAX);
    if (!reader->assembly || (own && !reader->buffer)) {
        keel_wal_reader_close(reader);
        return -ENOMEM;
    }
    lock_acquire(&wal->super_lock);
    reader->super = wal->super;
    lock_release(&wal->super_lock);
    if (own)
        wal_readahead_begin_in(&reader->ahead, ctx, wal, lsn_block_down(from), reader->buffer,
                               WAL_READAHEAD_BYTES_MAX);
    else
        wal_readahead_begin(&reader->ahead, ctx, wal, lsn_block_down(from));
    *ret = reader;
    return 0;
}

int wal_reader_open_redo(struct keel_ctx *ctx, struct keel_wal *wal, struct keel_wal_reader **ret)
{
    return reader_new(ctx, wal, wal->super.redo_lsn, false, ret);
}

/* Is it a place where a reader can begin? Reads up to the first record from there. */
static int reader_seek(struct keel_wal_reader *reader)
{
    if (reader->from < wal_kept_from(reader->wal))
        return fail(reader, KEEL_EGONE, reader->from, "no longer kept");
    if (reader->from > reader->end)
        return fail(reader, KEEL_ERANGE, reader->from, "beyond what is durable");

    int rc = advance(reader);
    if (rc >= 0 && reader->passed > reader->from)
        return fail(reader, KEEL_ELSN, reader->from, "within a record");
    return rc < 0 ? rc : 0;
}

int keel_wal_reader_open(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn from,
                         struct keel_err_info *info, struct keel_wal_reader **ret)
{
    struct keel_wal_reader *reader;

    if (from == 0) {
        lock_acquire(&wal->super_lock);
        from = wal->super.redo_lsn;
        lock_release(&wal->super_lock);
    }
    int rc = reader_new(ctx, wal, from, true, &reader);
    if (rc != 0)
        return rc;
    rc = reader_seek(reader);
    if (rc != 0) {
        if (info)
            *info = reader->info;
        keel_wal_reader_close(reader);
        return rc;
    }
    *ret = reader;
    return 0;
}

void keel_wal_reader_close(struct keel_wal_reader *reader)
{
    wal_tail_leave(reader);
    if (reader->ahead.ctx)
        wal_readahead_end(&reader->ahead);
    if (reader->assembly)
        mem_unmap(reader->assembly, WAL_WALK_ASSEMBLY);
    if (reader->buffer)
        mem_unmap(reader->buffer, WAL_READAHEAD_BYTES_MAX);
    mem_free(reader);
}
