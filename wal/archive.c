/*
 * The archive: each finished part of the log is handed to a hook before its space is used again.
 *
 *   keel_wal_archive_run   is the next part finished? where does its last whole group end?
 *   hook                   the host's; keel_wal_part_write makes the usual file of it
 *   holder                 moves to where the next part begins, once the hook has returned 0
 *
 * A part ends at a multiple of part_bytes, and the next one begins with the group that this border
 * cuts: so each group is whole in exactly one part, and a part is a log by itself, whose blocks at
 * the border are in two files. A part in which no group ends grows by one more part_bytes.
 *
 * Failure: the hook's error stays visible with the holder, and the part is handed over again by the
 * next run.
 *
 * Invariants: W5.
 */
#include <errno.h>
#include <string.h>

#include "wal/copy.h"
#include "wal/reader.h"

#define PART_BYTES_DEFAULT (16u * 1024u * 1024u)

struct keel_wal_archive {
    struct keel_wal *wal;
    struct keel_wal_holder *holder;
    uint64_t part_bytes;
    int (*save)(void *arg, const struct keel_wal_part *part);
    void *arg;
};

int keel_wal_archive_open(struct keel_wal *wal, const struct keel_wal_archive_options *options,
                          struct keel_wal_archive **ret)
{
    uint64_t part_bytes = options->part_bytes;

    if (options->size != sizeof(*options) || !options->save)
        return KEEL_EOPTION;
    if (part_bytes == 0)
        part_bytes = PART_BYTES_DEFAULT < wal->ring_bytes / 8 ? PART_BYTES_DEFAULT
                                                              : lsn_block_up(wal->ring_bytes / 8);
    if (part_bytes % WAL_BLOCK != 0 || part_bytes > wal->ring_bytes / 2)
        return KEEL_EOPTION;

    struct keel_wal_archive *archive = mem_alloc(sizeof(*archive));
    if (!archive)
        return -ENOMEM;
    *archive = (struct keel_wal_archive){
        .wal = wal, .part_bytes = part_bytes, .save = options->save, .arg = options->arg};
    int rc = keel_wal_hold(wal, &options->hold, &archive->holder);
    if (rc != 0) {
        mem_free(archive);
        return rc;
    }
    *ret = archive;
    return 0;
}

/* Where the last whole group below `to` ends, `from` if there is none; every record is checked. */
static int last_group(struct keel_ctx *ctx, struct keel_wal *wal, keel_lsn from, keel_lsn to,
                      keel_lsn *ret)
{
    struct keel_wal_reader *reader;
    struct keel_wal_entry entry;

    *ret = from;
    int rc = keel_wal_reader_open(ctx, wal, from, NULL, &reader);
    if (rc != 0)
        return rc;
    while ((rc = keel_wal_reader_next(reader, &entry)) == 1 && entry.end_lsn <= to)
        *ret = entry.last ? entry.end_lsn : *ret;
    keel_wal_reader_close(reader);
    return rc < 0 ? rc : 0;
}

/* The next part, if it is finished, or with `all`, whatever is durable. 1, 0, or negative. */
static int next_part(struct keel_ctx *ctx, struct keel_wal_archive *archive, bool all,
                     struct keel_wal_part *ret)
{
    struct keel_wal *wal = archive->wal;
    keel_lsn from = archive->holder->lsn; /* moved by nobody else */
    keel_lsn durable = wal_durable(wal), to = from, next = from;

    while (next == from && to < durable) {
        to = (to / archive->part_bytes + 1) * archive->part_bytes;
        lock_acquire(&wal->super_lock);
        to = wal_stretch_end(&wal->super, to);
        lock_release(&wal->super_lock);
        if (to > durable && !all)
            return 0;
        to = to < durable ? to : durable;
        int rc = last_group(ctx, wal, from, to, &next);
        if (rc != 0)
            return rc;
    }
    *ret = (struct keel_wal_part){
        .begin_lsn = from, .end_lsn = to, .next_lsn = next, .ctx_private = ctx, .wal_private = wal};
    return next > from;
}

static void note_result(struct keel_wal_archive *archive, int rc)
{
    struct keel_wal *wal = archive->wal;

    lock_acquire(&wal->hold_lock);
    archive->holder->error = rc;
    archive->holder->failures += rc != 0;
    lock_release(&wal->hold_lock);
}

int keel_wal_archive_run(struct keel_ctx *ctx, struct keel_wal_archive *archive, bool all)
{
    struct keel_wal_part part;
    int count = 0;

    for (;;) {
        if (keel_wal_hold_broken(archive->holder))
            return KEEL_EGONE;
        int rc = next_part(ctx, archive, all, &part);
        if (rc == 0)
            return count;
        if (rc == 1)
            rc = archive->save(archive->arg, &part);
        note_result(archive, rc);
        if (rc == 0)
            rc = keel_wal_hold_move(archive->holder, part.next_lsn);
        if (rc != 0)
            return rc;
        count++;
    }
}

int keel_wal_part_write(const struct keel_wal_part *part, const char *path,
                        struct keel_err_info *info)
{
    struct wal_stretch stretch = {.from = part->begin_lsn, .to = part->end_lsn};

    stretch.ring_bytes = stretch.to - lsn_block_down(stretch.from);
    if (stretch.ring_bytes < WAL_RING_MIN)
        stretch.ring_bytes = WAL_RING_MIN;
    return wal_copy_stretch(part->ctx_private, part->wal_private, &stretch, path, info);
}

void keel_wal_archive_close(struct keel_wal_archive *archive)
{
    keel_wal_hold_end(archive->holder);
    mem_free(archive);
}
