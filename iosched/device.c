/*
 * Devices: files and block devices of the kernel, opened once and exclusively.
 *
 * Opening, in the order of events: open (O_DIRECT, on block devices O_EXCL), OFD lock on files,
 * geometry (statx), the disk below (sysfs). Creating: the file is made exclusively and locked, gets
 * its room, is written with zeroes to the last block, and then file and folder are synced, so that
 * no later write has metadata to commit. Growing is the same for the new part.
 *
 * Failure modes: what fails half-way is undone; a created file is unlinked, a grown one is cut back
 * to its old size. A crash in the middle leaves a file that no superblock names yet, or one that is
 * longer than its user knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/trace.h"
#include "iosched/ctx.h"
#include "iosched/device.h"
#include "iosched/disk.h"
#include "iosched/path.h"

#define ZERO_BYTES    ((size_t)1 << 20) /* written at once when a file is filled */
#define LOCK_WAIT_NS  2000000000u       /* longest that a lock is waited for */
#define LOCK_PAUSE_NS 2000000           /* between looks at it */

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000U
#endif
#ifndef STATX_WRITE_ATOMIC
#define STATX_WRITE_ATOMIC 0x10000U
#endif

/* Where the kernel puts what this header's struct statx may not name yet. */
#define STATX_AT_ATOMIC_MIN 0xa8u
#define STATX_AT_ATOMIC_MAX 0xacu
#define STATX_AT_ATOMIC_OPT 0xb8u
_Static_assert(sizeof(struct statx) == 0x100, "room for all fields there will be");

/* ------------------------------------------------------------- numbers */

/* Which numbers are taken; under the registry lock. */
static bool numbers[IOS_DEVICE_IDS_MAX];

static int32_t take_number(void)
{
    int32_t id = -1;

    ios_registry_lock();
    for (int32_t i = 0; i < IOS_DEVICE_IDS_MAX && id < 0; i++) {
        if (!numbers[i])
            id = i;
    }
    if (id >= 0)
        numbers[id] = true;
    ios_registry_unlock();
    return id;
}

static void forget(struct keel_ctx *ctx, const void *arg)
{
    if (!ctx->method->forget_device)
        return;
    lock_acquire(&ctx->submit);
    ctx->method->forget_device(ctx, arg);
    lock_release(&ctx->submit);
}

/* No ring knows the device any more when this returns. */
static void give_number_back(const struct keel_device *device)
{
    KEEL_ASSERT(!device->whole);
    if (device->id < 0)
        return;

    ios_registry_lock();
    ios_registry_each(forget, device);
    KEEL_ASSERT(numbers[device->id]);
    numbers[device->id] = false;
    ios_registry_unlock();
}

/* ------------------------------------------------------------- opening */

/*
 * A process that was killed holds its files, and so the locks on them, until the kernel has taken
 * its rings down with what they had in flight (tens of milliseconds). That is exactly as long as
 * nobody else may write, so what is in use is waited for a little before it counts as somebody's.
 * False once the deadline has passed.
 */
static bool pause_until(uint64_t deadline)
{
    struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};

    if (clock_now_ns() >= deadline)
        return false;
    keel_ignore(nanosleep(&pause, NULL), "the caller looks again in any case");
    return true;
}

static int lock_file(int fd, bool read_only)
{
    struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    uint64_t deadline = clock_now_ns() + LOCK_WAIT_NS;

    while (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return -errno;
        if (!pause_until(deadline))
            return KEEL_EINUSE;
    }
    return 0;
}

static int size_of(int fd, const struct stat *st, uint64_t *ret)
{
    if (!S_ISBLK(st->st_mode)) {
        *ret = (uint64_t)st->st_size;
        return 0;
    }
    return ioctl(fd, BLKGETSIZE64, ret) == 0 ? 0 : -errno;
}

/* Alignment that direct transfers need: what statx says, or a logical block. */
static int alignment_of(int fd, struct keel_device_info *info)
{
    struct statx stx;

    info->memory_align = info->logical_block;
    info->offset_align = info->logical_block;
    if (!info->direct || statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) != 0)
        return 0;
    if (!(stx.stx_mask & STATX_DIOALIGN))
        return 0;
    if (stx.stx_dio_mem_align == 0 || stx.stx_dio_offset_align == 0)
        return KEEL_EDIRECT;
    info->memory_align = stx.stx_dio_mem_align;
    info->offset_align = stx.stx_dio_offset_align;
    return 0;
}

static uint32_t statx_field(const struct statx *stx, size_t at)
{
    uint32_t value;

    memcpy(&value, (const char *)stx + at, sizeof(value));
    return value;
}

/*
 * What is written untorn. Where a file system names a largest size that goes fast, beyond that it
 * writes elsewhere first: for pages that is no help (ADR 0054). Only with O_DIRECT.
 */
static void atomic_of(int fd, struct keel_device_info *info)
{
    struct statx stx = {0};

    info->atomic_write_min = info->atomic_write_max = 0;
    if (!info->direct || statx(fd, "", AT_EMPTY_PATH, STATX_WRITE_ATOMIC, &stx) != 0 ||
        !(stx.stx_mask & STATX_WRITE_ATOMIC))
        return;
    uint32_t most = statx_field(&stx, STATX_AT_ATOMIC_OPT);
    info->atomic_write_min = statx_field(&stx, STATX_AT_ATOMIC_MIN);
    info->atomic_write_max = most > 0 ? most : statx_field(&stx, STATX_AT_ATOMIC_MAX);
}

static int describe(struct keel_device *device, const char *path, bool direct)
{
    struct keel_device_info *info = &device->info;
    struct stat st;

    if (fstat(device->fd, &st) != 0)
        return -errno;
    info->is_block = S_ISBLK(st.st_mode);
    info->direct = direct;
    snprintf(info->path, sizeof(info->path), "%s", path);

    dev_t disk = info->is_block ? st.st_rdev : st.st_dev;
    ios_disk_sysfs(info, major(disk), minor(disk));
    if (info->is_block)
        ios_disk_identify(info, device->fd);
    int rc = size_of(device->fd, &st, &info->size_bytes);
    if (rc == 0)
        rc = alignment_of(device->fd, info);
    atomic_of(device->fd, info);
    if (rc == 0 && (info->memory_align > KEEL_BLOCK_BYTES || info->offset_align > KEEL_BLOCK_BYTES))
        rc = KEEL_EALIGN;
    return rc;
}

/* Write zeroes from `from` to `to` with the device's own descriptor. Block multiples. */
static int write_zeroes(int fd, uint64_t from, uint64_t to)
{
    int rc = 0;
    char *zeroes = mem_map(ZERO_BYTES, 0);

    if (!zeroes)
        return -ENOMEM;
    /* All room at once where the file system can, so that a full disk shows before any work. */
    if (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) != 0 && errno != EOPNOTSUPP)
        rc = ios_path_error(errno);
    while (rc == 0 && from < to) {
        size_t len = to - from < ZERO_BYTES ? (size_t)(to - from) : ZERO_BYTES;
        ssize_t n = pwrite(fd, zeroes, len, (off_t)from);
        if (n < 0 && errno != EINTR)
            rc = ios_path_error(errno);
        else if (n == 0)
            rc = KEEL_EKERNEL;
        else if (n > 0)
            from += (uint64_t)n / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES;
    }
    if (rc == 0 && fsync(fd) != 0)
        rc = ios_path_error(errno);
    mem_unmap(zeroes, ZERO_BYTES);
    return rc;
}

/* O_EXCL means "nobody else" on a block device and "create it" nowhere, hence the look before. */
int ios_posix_open_existing(const char *path, int flags)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return ios_path_error(errno);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return KEEL_ENOTSUP;

    uint64_t deadline = clock_now_ns() + LOCK_WAIT_NS;
    int fd;
    do {
        fd = open(path, flags | (S_ISBLK(st.st_mode) ? O_EXCL : 0));
        if (fd >= 0)
            return fd;
    } while (errno == EBUSY && pause_until(deadline));
    if (errno == EINVAL && (flags & O_DIRECT))
        return KEEL_EDIRECT;
    return errno == EBUSY ? KEEL_EINUSE : ios_path_error(errno);
}

/* An open(2) that refuses O_DIRECT has made the file all the same. */
static int open_new(const char *path, int flags)
{
    int fd = open(path, flags | O_CREAT | O_EXCL, 0600);

    if (fd >= 0)
        return fd;
    int error = errno;
    if (error == EINVAL && (flags & O_DIRECT)) {
        keel_ignore(unlink(path), "it may not be there");
        return KEEL_EDIRECT;
    }
    return ios_path_error(error);
}

/* Is what we have opened still what the name stands for? */
static bool still_named(int fd, const char *path)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

int ios_posix_open(struct keel_ctx *ctx, struct keel_device *device, const char *path,
                   const struct keel_device_options *options, struct keel_err_info *info)
{
    bool direct = options->direct != KEEL_OFF;
    bool create = options->create_bytes > 0;
    int flags = (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (direct ? O_DIRECT : 0);

    (void)ctx;
    info->op = create ? "create" : "open";
    int rc = create ? open_new(path, flags) : ios_posix_open_existing(path, flags);
    if (rc < 0)
        return rc;
    device->fd = rc;

    info->op = "lock";
    rc = lock_file(device->fd, options->read_only);
    /* Between open and lock it may have been renamed or removed by whoever had the lock. */
    if (rc == 0 && !still_named(device->fd, path))
        rc = KEEL_EINUSE;
    if (rc) {
        close(device->fd); /* not ours to unlink, even if we made it: another has locked it first */
        return rc;
    }
    if (create) {
        info->op = "write zeroes";
        rc = write_zeroes(device->fd, 0, options->create_bytes);
        if (rc)
            goto fail;
        info->op = "sync folder";
        rc = ios_path_sync_folder_of(path);
        if (rc)
            goto fail;
    }
    info->op = "geometry";
    rc = describe(device, path, direct);
    if (rc == 0 && device->info.is_block && !options->read_only)
        rc = ios_disk_fit(device->info.dev_major, device->info.dev_minor, info);
    if (rc)
        goto fail;
    return 0;

fail:
    if (create)
        keel_ignore(unlink(path), "the first error counts");
    close(device->fd);
    return rc;
}

void ios_posix_close(struct keel_device *device)
{
    struct flock unlock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    /* A ring may let go of the file a moment later than it was told to, and the lock is the file's.
     */
    keel_ignore(fcntl(device->fd, F_OFD_SETLK, &unlock), "closing unlocks too");
    close(device->fd);
}

int ios_posix_grow(struct keel_ctx *ctx, struct keel_device *device, uint64_t size_bytes)
{
    uint64_t old = ios_device_size(device);

    (void)ctx;
    if (device->info.is_block)
        return KEEL_ENOTSUP;

    int rc = write_zeroes(device->fd, old, size_bytes);
    if (rc && ftruncate(device->fd, (off_t)old) == 0)
        keel_ignore(fsync(device->fd), "the first error counts");
    return rc;
}

/* ------------------------------------------------------------- public */

static int check_options(const struct keel_device_options *options)
{
    if (options->size != sizeof(*options))
        return KEEL_EOPTION;
    if (options->create_bytes % KEEL_BLOCK_BYTES != 0)
        return KEEL_EALIGN;
    if (options->create_bytes > 0 && options->read_only)
        return KEEL_EOPTION;
    return 0;
}

static int refuse(struct keel_err_info *info, const char *path, int rc)
{
    struct text text;

    info->code = rc;
    text_init(&text, info->object, sizeof(info->object));
    text_printf(&text, "%s", path);
    return rc;
}

int keel_device_open(struct keel_ctx *ctx, const char *path,
                     const struct keel_device_options *options, struct keel_err_info *info,
                     struct keel_device **ret)
{
    static const struct keel_device_options defaults = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_err_info unused;

    if (!info)
        info = &unused;
    *info = (struct keel_err_info){.op = "open"};
    if (!options)
        options = &defaults;
    int rc = check_options(options);
    if (rc)
        return refuse(info, path, rc);

    struct keel_device *device = mem_alloc(sizeof(*device));
    if (!device)
        return refuse(info, path, -ENOMEM);
    device->files = ctx->method->files;
    device->fd = -1;
    rc = device->files->open(ctx, device, path, options, info);
    if (rc)
        goto fail;
    rc = ctx->method->admit ? ctx->method->admit(ctx, device) : 0;
    if (rc) {
        info->op = "admit";
        device->files->close(device);
        goto fail;
    }
    device->sched =
        ios_sched_get(ctx->sim, device->info.dev_major, device->info.dev_minor, ios_clock(ctx));
    if (!device->sched) {
        rc = -ENOMEM;
        device->files->close(device);
        goto fail;
    }
    device->id = take_number();
    TRACE(DEV_OPEN, trace_id(device), NULL, 0, device->info.size_bytes, 0);
    *ret = device;
    return 0;

fail:
    mem_free(device);
    return refuse(info, path, rc);
}

void keel_device_close(struct keel_device *device)
{
    if (!device)
        return;

    TRACE(DEV_CLOSE, trace_id(device), NULL, 0, 0, 0);
    if (device->whole) {
        uint32_t before = __atomic_fetch_sub(&device->whole->parts, 1, __ATOMIC_RELEASE);
        KEEL_ASSERT(before > 0);
        mem_free(device);
        return;
    }
    KEEL_ASSERT(__atomic_load_n(&device->parts, __ATOMIC_ACQUIRE) == 0); /* pairs with the above */
    give_number_back(device);
    device->files->close(device);
    ios_sched_put(device->sched);
    mem_free(device);
}

const struct keel_device_info *keel_device_info(const struct keel_device *device)
{
    return &device->info;
}

/* ------------------------------------------------------------- parts */

int keel_device_part(struct keel_device *whole, const struct keel_device_range *range,
                     struct keel_device **ret)
{
    uint64_t size = ios_device_size(whole);

    KEEL_ASSERT(!whole->whole);
    if ((range->offset_bytes | range->room_bytes | range->size_bytes) % KEEL_BLOCK_BYTES != 0)
        return KEEL_EALIGN;
    if (range->offset_bytes > size || range->room_bytes > size - range->offset_bytes ||
        range->size_bytes > range->room_bytes)
        return KEEL_ERANGE;

    struct keel_device *part = mem_alloc(sizeof(*part));
    if (!part)
        return -ENOMEM;
    *part = *whole;
    part->whole = whole;
    part->base_bytes = range->offset_bytes;
    part->room_bytes = range->room_bytes;
    part->info.size_bytes = range->size_bytes;
    part->parts = 0;
    __atomic_fetch_add(&whole->parts, 1, __ATOMIC_RELAXED);
    TRACE(DEV_OPEN, trace_id(part), NULL, range->offset_bytes, range->size_bytes, 0);
    *ret = part;
    return 0;
}

static int one_request(struct keel_ctx *ctx, struct keel_io *io)
{
    int rc = keel_io_submit(ctx, io);

    return rc ? rc : keel_io_wait(ctx, io);
}

/* By requests, so that it is the same for every method. What lies behind the size is not used by
 * anybody, so a growth that was cut is made again from the same place. */
static int grow_part(struct keel_ctx *ctx, struct keel_device *part, uint64_t size_bytes)
{
    struct keel_device room = *part; /* for transfers behind the size */
    struct keel_io io = {.device = &room, .op = KEEL_OP_WRITE, .cls = KEEL_CLASS_WRITEBACK};
    int rc = 0;

    if (size_bytes > part->room_bytes)
        return KEEL_ENOSPACE;
    io.buf = mem_map(KEEL_IO_BYTES_MAX, 0);
    if (!io.buf)
        return -ENOMEM;
    room.info.size_bytes = part->room_bytes;
    io.offset_bytes = ios_device_size(part);
    while (rc == 0 && io.offset_bytes < size_bytes) {
        uint64_t left = size_bytes - io.offset_bytes;
        io.len_bytes = left < KEEL_IO_BYTES_MAX ? (uint32_t)left : KEEL_IO_BYTES_MAX;
        rc = one_request(ctx, &io);
        io.offset_bytes += io.len_bytes;
    }
    mem_unmap(io.buf, KEEL_IO_BYTES_MAX);
    if (rc == 0) {
        io = (struct keel_io){.device = &room, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_WRITEBACK};
        rc = one_request(ctx, &io);
    }
    return rc;
}

int keel_device_grow(struct keel_ctx *ctx, struct keel_device *device, uint64_t size_bytes)
{
    KEEL_ASSERT(device->files == ctx->method->files);
    if (size_bytes % KEEL_BLOCK_BYTES != 0)
        return KEEL_EALIGN;
    if (size_bytes < ios_device_size(device))
        return KEEL_ERANGE;
    if (size_bytes == ios_device_size(device))
        return 0;

    int rc = device->whole ? grow_part(ctx, device, size_bytes)
                           : device->files->grow(ctx, device, size_bytes);
    if (rc)
        return rc;
    /* Pairs with ios_device_size(): who sees the size sees room that is there. */
    __atomic_store_n(&device->info.size_bytes, size_bytes, __ATOMIC_RELEASE);
    return 0;
}
