/*
 * Giving a log another size: a copy with a ring of that size beside it, which then takes its name.
 *
 * Crash-safe by the rename alone: before it the old log is whole and untouched, after it the copy
 * is. A copy that a crash left behind is removed by the next try. The log keeps its uuid, epochs
 * and LSNs; the copy ends where recovery ends the log.
 */
#include <stdio.h>
#include <string.h>

#include "wal/copy.h"

#define PATH_BYTES 4096u

/* Folder of path, "." if it names none. */
static void folder_of(const char *path, char folder[PATH_BYTES])
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(folder, PATH_BYTES, ".");
    else
        snprintf(folder, PATH_BYTES, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static int resize_open(struct keel_ctx *ctx, const char *path, const char *copy, uint64_t bytes,
                       const struct keel_wal_options *options, struct keel_device *device,
                       struct keel_err_info *info)
{
    struct keel_wal *wal;
    char folder[PATH_BYTES];

    int rc = keel_wal_open(ctx, device, options, info, &wal);
    if (rc != 0)
        return rc;
    if (keel_path_exists(ctx, copy) == KEEL_PATH_DEVICE)
        rc = keel_path_unlink(ctx, copy);
    if (rc == 0)
        rc = keel_wal_copy(ctx, wal, copy, bytes, info, NULL);
    keel_ignore(keel_wal_close(ctx, wal), "it was not started");
    if (rc != 0)
        return rc;
    folder_of(path, folder);
    rc = keel_path_sync(ctx, folder);
    if (rc == 0)
        rc = keel_path_rename(ctx, copy, path);
    return rc != 0 ? rc : keel_path_sync(ctx, folder);
}

int keel_wal_resize(struct keel_ctx *ctx, const char *path, uint64_t bytes,
                    const struct keel_wal_options *options, struct keel_err_info *info)
{
    struct keel_device_options device_options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_device *device;
    char copy[PATH_BYTES];

    if (bytes % WAL_BLOCK != 0 || bytes < KEEL_WAL_BYTES_MIN)
        return KEEL_EOPTION;
    int len = snprintf(copy, sizeof(copy), "%s.resize", path);
    if (len < 0 || (size_t)len >= sizeof(copy))
        return KEEL_EOPTION;
    int rc = keel_device_open(ctx, path, &device_options, info, &device);
    if (rc != 0)
        return rc;
    rc = keel_device_info(device)->is_block
             ? KEEL_ENOTSUP
             : resize_open(ctx, path, copy, bytes, options, device, info);
    keel_device_close(device);
    return rc;
}
