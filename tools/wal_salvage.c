/*
 * The copy is the log block by block, with a superblock that ends it where it can be followed to
 * and begins a new epoch above everything that was seen, as recovery does after a torn tail: what
 * lies in between belongs to nobody from then on, and no LSN is given twice. What cannot be read is
 * zero in the copy. The original is only read.
 *
 * Behind damage nothing is kept: records there may build on what is missing. `keel wal dump` shows
 * them.
 *
 * Failure: a copy that was not finished, or that recovery does not accept, is removed again.
 */
#include "tools/wal_salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/wal_survey.h"
#include "wal/position.h"

static int write_at(int fd, const void *bytes, uint64_t offset)
{
    ssize_t done = pwrite(fd, bytes, WAL_BLOCK, (off_t)offset);

    if (done < 0)
        return -errno;
    return done == WAL_BLOCK ? 0 : -ENOSPC;
}

/* The ring; superblock copies come later. */
static int copy_blocks(struct wal_file *file, int fd)
{
    static const uint8_t zero[WAL_BLOCK];
    uint64_t ring = file->super.ring_bytes;
    int rc = 0;

    for (uint64_t at = 0; at < ring && rc == 0; at += WAL_BLOCK) {
        const uint8_t *block;
        if (wal_file_block(file, at, &block) != 0) /* an LSN of the first lap is its place */
            block = zero;
        rc = write_at(fd, block, WAL_RING_OFFSET + at);
    }
    for (uint64_t i = 0; i < 2 && rc == 0; i++) {
        rc = write_at(fd, zero, i * WAL_BLOCK);
        if (rc == 0)
            rc = write_at(fd, zero, WAL_RING_OFFSET + ring + i * WAL_BLOCK);
    }
    return rc;
}

static int copy_file(struct wal_file *file, const char *path)
{
    char folder[4096];

    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int rc = copy_blocks(file, fd);
    if (rc == 0 && fsync(fd) != 0)
        rc = -errno;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    snprintf(folder, sizeof(folder), "%s", path);
    fd = rc == 0 ? open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (rc == 0 && (fd < 0 || fsync(fd) != 0))
        rc = -errno;
    if (fd >= 0)
        close(fd);
    return rc;
}

/* The superblock of the copy. */
static int end_super(const struct wal_file *file, const struct wal_survey *survey,
                     struct wal_super *super)
{
    keel_lsn end = survey->end_lsn;
    keel_lsn highest = survey->highest_lsn > end ? survey->highest_lsn : end;

    *super = file->super;
    if (highest < super->promise_lsn) /* superblock and all: beyond whatever was given out */
        highest = lsn_block_up(super->promise_lsn);
    /* Epochs that began behind the end have nothing left. */
    uint32_t newest = super->epochs[super->epoch_count - 1].number;
    while (super->epoch_count > 1 && super->epochs[super->epoch_count - 1].first >= end &&
           super->epochs[super->epoch_count - 1].prev_end >= end)
        super->epoch_count--;
    struct wal_epoch *last = &super->epochs[super->epoch_count - 1];
    bool wrote = end > last->first;
    last->number = wrote ? last->number : newest;
    if (end < last->first)
        end = last->first;
    int rc = wal_super_add_epoch(super, wrote, end, highest + super->inflight_bytes);
    if (rc)
        return rc;
    last = &super->epochs[super->epoch_count - 1];
    last->number = newest + 1;
    super->clean = false;
    super->end_lsn = 0;
    super->promise_lsn = last->first;
    return 0;
}

/* Write it, and let recovery judge the copy. */
static int finish(struct wal_file *file, const struct wal_survey *survey, const char *path,
                  struct keel_err_info *info, struct keel_wal_report *report)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_wal_options wal_options = KEEL_WAL_OPTIONS_DEFAULT;
    uint8_t payload[WAL_SUPER_MAX];
    struct keel_device *device;
    struct wal_super super;
    struct keel_quad quad;
    struct keel_wal *wal;
    struct keel_ctx *ctx;

    int rc = end_super(file, survey, &super);
    if (rc)
        return rc;
    rc = cli_ctx_open(KEEL_METHOD_AUTO,
                      &ctx); /* the log may be on a namespace, the copy is a file */
    if (rc)
        return rc;
    rc = keel_device_open(ctx, path, &options, info, &device);
    if (rc) {
        keel_ctx_close(ctx);
        return rc;
    }
    wal_super_cell(&quad, device, NULL, file->cell);
    quad.generation = file->generation;
    rc = keel_quad_step(ctx, &quad, payload, wal_super_encode(&super, payload));
    wal_options.read_only = true;
    if (rc == 0)
        rc = keel_wal_open(ctx, device, &wal_options, info, &wal);
    if (rc == 0) {
        *report = *keel_wal_report(wal);
        rc = keel_wal_close(ctx, wal);
    }
    keel_device_close(device);
    keel_ctx_close(ctx);
    return rc;
}

static void print(const struct wal_file *file, const struct wal_survey *survey, bool damaged,
                  const char *path)
{
    printf("%s: %" PRIu64 " groups with %" PRIu64 " records, from redo lsn %" PRIu64 " to %" PRIu64
           "\n",
           path, survey->kept.groups, survey->kept.records, file->super.redo_lsn, survey->end_lsn);
    if (file->copies_valid < 2)
        printf("taken from the only superblock copy that is left\n");
    for (uint64_t i = 0; i < survey->unreadable_count && i < SURVEY_UNREADABLE_MAX; i++)
        printf("cannot be read: block lsn %" PRIu64 ", device offset %" PRIu64 "\n",
               survey->unreadable[i], lsn_offset(file->super.ring_bytes, survey->unreadable[i]));
    if (!damaged) {
        printf("nothing that was promised is missing\n");
        return;
    }
    printf("given up: everything from lsn %" PRIu64 " on, where there is: %s\n", survey->end_lsn,
           survey->reason);
    printf("given up: %" PRIu64 " valid blocks behind it, up to lsn %" PRIu64 ", with %" PRIu64
           " groups and %" PRIu64 " records that are whole; promised was up to %" PRIu64 "\n",
           survey->beyond.blocks, survey->highest_lsn, survey->beyond.groups,
           survey->beyond.records, survey->promise_lsn);
}

static json_t *to_json(const struct wal_file *file, const struct wal_survey *survey, bool damaged,
                       const char *path)
{
    json_t *places = json_array();

    for (uint64_t i = 0; i < survey->unreadable_count && i < SURVEY_UNREADABLE_MAX; i++)
        json_array_append_new(places, json_integer((json_int_t)survey->unreadable[i]));
    return json_pack(
        "{s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "log", file->path, "copy",
        path, "gave_up", (int)damaged, "redo_lsn", (json_int_t)file->super.redo_lsn, "end_lsn",
        (json_int_t)survey->end_lsn, "kept_groups", (json_int_t)survey->kept.groups, "kept_records",
        (json_int_t)survey->kept.records, "at_end", survey->reason, "promise_lsn",
        (json_int_t)survey->promise_lsn, "highest_lsn", (json_int_t)survey->highest_lsn,
        "lost_blocks", (json_int_t)survey->beyond.blocks, "lost_groups",
        (json_int_t)survey->beyond.groups, "superblock_copies", (json_int_t)file->copies_valid,
        "unreadable_count", (json_int_t)survey->unreadable_count, "unreadable_lsn", places);
}

int wal_salvage(const char *command, struct wal_file *file, const char *copy_path, bool json)
{
    struct keel_wal_report report;
    struct keel_err_info info = {0};
    struct wal_survey survey;

    int rc = wal_survey(file, &survey);
    if (rc)
        return cli_error(command, file->path, rc, NULL);
    rc = copy_file(file, copy_path);
    if (rc == -EEXIST)
        return cli_fail(command, "%s is there already; name a file that is not", copy_path);
    if (rc == 0)
        rc = finish(file, &survey, copy_path, &info, &report);
    if (rc) {
        unlink(copy_path);
        return cli_error(command, copy_path, rc, &info);
    }
    bool damaged = wal_survey_damaged(file, &survey);
    int status = damaged ? SALVAGE_GAVE_UP : SALVAGE_WHOLE;
    if (json) {
        int printed = cli_json(command, to_json(file, &survey, damaged, copy_path));
        return printed ? printed : status;
    }
    print(file, &survey, damaged, copy_path);
    return status;
}
