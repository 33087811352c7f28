/*
 * Names: the public calls, and what they do in the kernel's file systems.
 *
 * They block and are for opening and closing, not for I/O paths. A changed name is durable only
 * when its folder was synced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "iosched/ctx.h"
#include "iosched/nvme_device.h"
#include "iosched/path.h"

int ios_path_error(int error)
{
    KEEL_ASSERT(error > 0);

    switch (error) {
    case ENOENT:
        return KEEL_ENOTFOUND;
    case EACCES:
    case EPERM:
        return KEEL_EACCESS;
    case ENOSPC:
    case EDQUOT:
        return KEEL_ENOSPACE;
    default:
        return -error;
    }
}

static int path_exists(struct keel_ctx *ctx, const char *path)
{
    struct stat st;

    (void)ctx;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return ios_path_error(errno);
        return lstat(path, &st) == 0 ? KEEL_PATH_OTHER : KEEL_PATH_NONE;
    }
    if (S_ISDIR(st.st_mode))
        return KEEL_PATH_FOLDER;
    bool device = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode);
    return device ? KEEL_PATH_DEVICE : KEEL_PATH_OTHER;
}

static int path_mkdir(struct keel_ctx *ctx, const char *path)
{
    struct stat st;

    (void)ctx;
    if (mkdir(path, 0700) == 0)
        return 0;
    int error = errno;
    if (error == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return ios_path_error(error);
}

static int path_rename(struct keel_ctx *ctx, const char *from, const char *to)
{
    (void)ctx;
    return rename(from, to) == 0 ? 0 : ios_path_error(errno);
}

static int path_unlink(struct keel_ctx *ctx, const char *path)
{
    (void)ctx;
    /* remove(3): rmdir for a folder, which fails unless it is empty. */
    return remove(path) == 0 ? 0 : ios_path_error(errno);
}

static int path_sync(struct keel_ctx *ctx, const char *folder)
{
    (void)ctx;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ios_path_error(errno);

    int rc = fsync(fd) == 0 ? 0 : ios_path_error(errno);
    close(fd);
    return rc;
}

int ios_path_sync_folder_of(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    if (len >= sizeof(folder))
        return -ENAMETOOLONG;
    if (!slash) {
        folder[0] = '.';
        len = 1;
    } else if (len == 0) {
        folder[0] = '/';
        len = 1;
    } else {
        memcpy(folder, path, len);
    }
    folder[len] = '\0';
    return path_sync(NULL, folder);
}

static int path_list(struct keel_ctx *ctx, const char *folder,
                     void (*each)(void *arg, const char *name), void *arg)
{
    const struct dirent *entry;

    (void)ctx;
    DIR *dir = opendir(folder);
    if (!dir)
        return ios_path_error(errno);

    for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(arg, entry->d_name);
    }
    int rc = errno == 0 ? 0 : ios_path_error(errno);
    closedir(dir);
    return rc;
}

const struct ios_files ios_files_posix = {
    .open = ios_posix_open,
    .close = ios_posix_close,
    .grow = ios_posix_grow,
    .exists = path_exists,
    .mkdir = path_mkdir,
    .rename = path_rename,
    .unlink = path_unlink,
    .sync = path_sync,
    .list = path_list,
};

const struct ios_files ios_files_nvme = {
    .open = ios_nvme_open,
    .close = ios_nvme_close,
    .grow = ios_nvme_grow,
    .exists = path_exists,
    .mkdir = path_mkdir,
    .rename = path_rename,
    .unlink = path_unlink,
    .sync = path_sync,
    .list = path_list,
};

/* ------------------------------------------------------------- public */

int keel_path_exists(struct keel_ctx *ctx, const char *path)
{
    return ctx->method->files->exists(ctx, path);
}

int keel_path_mkdir(struct keel_ctx *ctx, const char *path)
{
    return ctx->method->files->mkdir(ctx, path);
}

int keel_path_rename(struct keel_ctx *ctx, const char *from, const char *to)
{
    return ctx->method->files->rename(ctx, from, to);
}

int keel_path_unlink(struct keel_ctx *ctx, const char *path)
{
    return ctx->method->files->unlink(ctx, path);
}

int keel_path_sync(struct keel_ctx *ctx, const char *folder)
{
    return ctx->method->files->sync(ctx, folder);
}

int keel_path_list(struct keel_ctx *ctx, const char *folder,
                   void (*each)(void *arg, const char *name), void *arg)
{
    KEEL_ASSERT(each != NULL);
    return ctx->method->files->list(ctx, folder, each, arg);
}
