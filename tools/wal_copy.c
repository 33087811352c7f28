/*
 * Both open the log as its owner would, read only for a copy, so nobody else may have it open: who
 * has a log in use copies it with keel_wal_copy.
 */
#include "tools/wal_copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/wal_file.h"

/* What keel_wal_copy or keel_wal_resize had against it, in one line. */
static int complain(const char *command, const char *path, const char *copy, int rc,
                    const struct keel_err_info *info)
{
    if (rc == -EEXIST)
        return cli_fail(command, "%s is there already; name a file that is not", copy);
    if (rc == KEEL_EOPTION)
        return cli_fail(command, "the size is not a multiple of 4096, or below %u bytes",
                        KEEL_WAL_BYTES_MIN);
    if (rc == KEEL_ERANGE)
        return cli_fail(command,
                        "%s: what the log holds does not fit; name at least %" PRIu64
                        " bytes, or close the store in order first, which empties its log",
                        path, info->want + WAL_SUPER_BYTES);
    if (rc == KEEL_ENOTSUP)
        return cli_fail(
            command, "%s: the log is no file of its own; only such a log can be given another size",
            path);
    return cli_error(command, path, rc, info);
}

static int copy_log(struct wal_file *file, const char *copy, uint64_t bytes,
                    struct keel_err_info *info, struct keel_wal_report *report)
{
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct keel_wal *wal;

    options.read_only = true;
    int rc = keel_wal_open(file->ctx, file->device, &options, info, &wal);
    if (rc)
        return rc;
    *report = *keel_wal_report(wal);
    rc = keel_wal_copy(file->ctx, wal, copy, bytes, info, NULL);
    int closed = keel_wal_close(file->ctx, wal);
    return rc ? rc : closed;
}

int wal_copy(const char *command, const char *path, const char *copy, uint64_t bytes, bool json)
{
    struct keel_err_info info = {0};
    struct keel_wal_report report;
    struct wal_file file;

    int rc = wal_file_open(&file, path, &info);
    if (rc)
        return cli_error(command, path, rc, &info);
    uint64_t size = bytes ? bytes : file.super.ring_bytes + WAL_SUPER_BYTES;
    rc = copy_log(&file, copy, bytes, &info, &report);
    wal_file_close(&file);
    if (rc)
        return complain(command, path, copy, rc, &info);
    if (json)
        return cli_json(command,
                        json_pack("{s:s,s:s,s:I,s:I,s:I}", "log", path, "copy", copy, "bytes",
                                  (json_int_t)size, "redo_lsn", (json_int_t)report.redo_lsn,
                                  "end_lsn", (json_int_t)report.end_lsn));
    printf("%s: %" PRIu64 " bytes, from redo lsn %" PRIu64 " to %" PRIu64 "\n", copy, size,
           report.redo_lsn, report.end_lsn);
    return CLI_OK;
}

int wal_resize(const char *command, const char *path, uint64_t bytes, bool json)
{
    struct keel_wal_options options = KEEL_WAL_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};
    struct wal_file file;
    struct keel_ctx *ctx;

    int rc = wal_file_open(&file, path, &info); /* which file it is, and how large */
    if (rc)
        return cli_error(command, path, rc, &info);
    uint64_t before = file.super.ring_bytes + WAL_SUPER_BYTES;
    bool part = file.whole != NULL;
    wal_file_close(&file);
    if (part)
        return complain(command, path, file.path, KEEL_ENOTSUP, &info);
    rc = cli_ctx_open(KEEL_METHOD_AUTO, &ctx);
    if (rc)
        return cli_error(command, path, rc, NULL);
    rc = keel_wal_resize(ctx, file.path, bytes, &options, &info);
    keel_ctx_close(ctx);
    if (rc)
        return complain(command, path, file.path, rc, &info);
    if (json)
        return cli_json(command, json_pack("{s:s,s:I,s:I}", "log", file.path, "bytes_before",
                                           (json_int_t)before, "bytes", (json_int_t)bytes));
    printf("%s: %" PRIu64 " bytes, was %" PRIu64 "\n", file.path, bytes, before);
    return CLI_OK;
}
