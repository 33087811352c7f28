/*
 * Opening an NVMe namespace for passthrough.
 *
 * The character device /dev/ngXnY has no owner: the kernel lets anybody who may open it write
 * beside a mounted file system. So keel also opens the block device of the same namespace with
 * O_EXCL and holds it: mounted, or open by another keel, it is refused; and while it is held nobody
 * mounts it. Which block device that is, is decided by the namespace's number (NVME_IOCTL_ID) on
 * both, among those of the same controller or subsystem, since numbers in names need not agree with
 * it.
 *
 * In the order of events: character device, its number, block device, partitions and zones,
 * Identify (metadata, sharing), geometry. What fails leaves nothing open, and says in info->op what
 * it was.
 */
#include "iosched/nvme_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "iosched/ctx.h"
#include "iosched/disk.h"
#include "iosched/nvme_ident.h"
#include "iosched/path.h"

#define DATASET_MANAGEMENT (1u << 2) /* oncs */
#define WRITE_ZEROES       (1u << 3)

/* ------------------------------------------------------------- the block device */

/* Is the block device at path the namespace nsid? Opened as flags say. fd, or a negative code;
 * KEEL_ENOTFOUND: it is another one. */
static int open_if_namespace(const char *path, int flags, int nsid)
{
    struct stat st;

    if (stat(path, &st) != 0 || !S_ISBLK(st.st_mode))
        return KEEL_ENOTFOUND;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ios_path_error(errno);
    int found = ioctl(fd, NVME_IOCTL_ID);
    close(fd);
    return found == nsid ? ios_posix_open_existing(path, flags) : KEEL_ENOTFOUND;
}

/* The block device beside the character device `st` in /sys, opened. fd or a negative code. */
static int open_block(const struct stat *st, int flags, int nsid)
{
    char path[96];
    const struct dirent *entry;
    int rc = KEEL_ENOTFOUND;

    snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device", major(st->st_rdev),
             minor(st->st_rdev));
    DIR *dir = opendir(path);
    if (!dir)
        return ios_path_error(errno);
    while (rc == KEEL_ENOTFOUND && (entry = readdir(dir)) != NULL) {
        char node[32];
        int len = snprintf(node, sizeof(node), "/dev/%s", entry->d_name);
        if (strncmp(entry->d_name, "nvme", 4) == 0 && len < (int)sizeof(node))
            rc = open_if_namespace(node, flags, nsid);
    }
    closedir(dir);
    return rc;
}

/* ------------------------------------------------------------- opening */

static int open_character(const char *path, int flags, struct stat *ret_st)
{
    int fd = open(path, flags);

    if (fd < 0)
        return ios_path_error(errno);
    if (fstat(fd, ret_st) == 0 && S_ISCHR(ret_st->st_mode) && ioctl(fd, NVME_IOCTL_ID) > 0)
        return fd;
    close(fd);
    return KEEL_ENOTSUP;
}

int ios_nvme_usable(const struct keel_nvme_info *ident, bool shared, struct keel_err_info *info)
{
    if (ident->metadata_bytes != 0) {
        info->op = "metadata in each block";
        info->got = ident->metadata_bytes;
        return KEEL_EGEOMETRY;
    }
    if (ident->block_bytes < 512 || ident->block_bytes > KEEL_BLOCK_BYTES) {
        info->op = "block size";
        info->got = ident->block_bytes;
        return KEEL_EGEOMETRY;
    }
    if (ident->shared && !shared) {
        info->op = "namespace";
        return KEEL_ESHARED;
    }
    return 0;
}

/* Geometry: the block device's, with limits of passthrough instead of the block layer's. */
static int describe(struct keel_device *device, const char *path, dev_t disk,
                    const struct keel_nvme_info *ident)
{
    struct ios_nvme_device *nvme = device->method_data;
    struct keel_device_info *info = &device->info;

    ios_disk_sysfs(info, major(disk), minor(disk));
    ios_disk_identified(info, ident);
    snprintf(info->path, sizeof(info->path), "%s", path);
    info->max_transfer = ios_disk_passthrough_bytes(major(disk), minor(disk));
    info->is_block = true;
    info->direct = true;
    info->memory_align = KEEL_BLOCK_BYTES;
    info->offset_align = info->logical_block;
    if (ioctl(nvme->block_fd, BLKGETSIZE64, &info->size_bytes) != 0)
        return -errno;
    if (info->logical_block != ident->block_bytes)
        return KEEL_EGEOMETRY;

    nvme->space = (struct ios_nvme_space){
        .nsid = ident->nsid,
        .lba_shift = (uint32_t)__builtin_ctz(ident->block_bytes),
        .transfer_bytes = info->max_transfer,
        .zeroes_bytes =
            ident->oncs & WRITE_ZEROES ? ios_disk_zeroes_bytes(major(disk), minor(disk)) : 0,
        .deallocate = (ident->oncs & DATASET_MANAGEMENT) != 0,
    };
    return 0;
}

static int open_namespace(struct keel_device *device, const char *path,
                          const struct keel_device_options *options, const struct stat *st,
                          struct keel_err_info *info)
{
    struct ios_nvme_device *nvme = device->method_data;
    struct keel_nvme_info ident;
    struct stat disk;
    int flags = (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    int nsid = ioctl(device->fd, NVME_IOCTL_ID);

    info->op = "hold the block device";
    nvme->block_fd = open_block(st, flags, nsid);
    if (nvme->block_fd < 0)
        return nvme->block_fd;
    if (fstat(nvme->block_fd, &disk) != 0)
        return -errno;
    if (!options->read_only) {
        int rc = ios_disk_fit(major(disk.st_rdev), minor(disk.st_rdev), info);
        if (rc)
            return rc;
    }
    info->op = "Identify";
    int rc = ios_nvme_ident_short(device->fd, (uint32_t)nsid, &ident);
    if (rc == -EACCES || rc == -EPERM)
        return KEEL_EACCESS;
    if (rc == 0)
        rc = ios_nvme_usable(&ident, options->shared || options->read_only, info);
    if (rc)
        return rc;
    info->op = "geometry";
    return describe(device, path, disk.st_rdev, &ident);
}

int ios_nvme_open(struct keel_ctx *ctx, struct keel_device *device, const char *path,
                  const struct keel_device_options *options, struct keel_err_info *info)
{
    struct stat st;

    (void)ctx;
    if (options->create_bytes > 0) {
        info->op = "create";
        return KEEL_ENOTSUP;
    }
    info->op = "an NVMe namespace is needed (/dev/ngXnY)";
    int rc = open_character(path, (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC, &st);
    if (rc < 0)
        return rc;
    device->fd = rc;
    struct ios_nvme_device *nvme = mem_alloc(sizeof(*nvme));
    rc = -ENOMEM;
    if (!nvme)
        goto fail;
    nvme->block_fd = -1;
    device->method_data = nvme;
    rc = open_namespace(device, path, options, &st, info);
    if (rc == 0)
        return 0;
    if (nvme->block_fd >= 0)
        close(nvme->block_fd);
    mem_free(nvme);
fail:
    close(device->fd);
    return rc;
}

void ios_nvme_close(struct keel_device *device)
{
    struct ios_nvme_device *nvme = device->method_data;

    close(device->fd);
    close(nvme->block_fd); /* last: until here nobody else has it */
    mem_free(nvme);
}

int ios_nvme_grow(struct keel_ctx *ctx, struct keel_device *device, uint64_t size_bytes)
{
    (void)ctx;
    (void)device;
    (void)size_bytes;
    return KEEL_ENOTSUP;
}
