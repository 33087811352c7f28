/*
 * Opening, creating and growing devices of the kernel; names.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iosched/disk.h"
#include "tests/unit/iosched/fixture.h"

TestSuite(device, .timeout = 30);

static int open_with(const struct fixture *f, const char *path, uint64_t create, bool read_only,
                     struct keel_device **ret)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;

    options.create_bytes = create;
    options.read_only = read_only;
    return keel_device_open(f->ctx, path, &options, NULL, ret);
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static long file_size(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (long)st.st_size : -errno;
}

Test(device, knows_its_geometry)
{
    struct fixture f;

    fixture_open(&f, NULL);
    const struct keel_device_info *info = keel_device_info(f.device);
    cr_assert_eq(info->size_bytes, FILE_BLOCKS * BLOCK);
    cr_assert(info->direct);
    cr_assert(!info->is_block);
    cr_assert_str_eq(info->path, f.path);
    cr_assert_gt(info->memory_align, 0);
    cr_assert_gt(info->offset_align, 0);
    cr_assert_gt(info->max_transfer, 0);
    cr_assert_geq(info->physical_block, info->logical_block);
    fixture_close(&f);
}

Test(device, what_sysfs_does_not_tell_is_taken_at_its_worst)
{
    struct keel_device_info info = {0};

    ios_disk_sysfs(&info, 4095, 1048575);
    cr_assert(info.volatile_cache);
    cr_assert(!info.fua);
    cr_assert(!info.io_poll);
    cr_assert_eq(info.logical_block, 512);
}

Test(device, is_opened_by_one_alone_and_free_again_at_once)
{
    struct keel_device *second;
    struct fixture f;

    fixture_open(&f, NULL);
    struct keel_io io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
    cr_assert_eq(fixture_run(&f, &io), 0, "now a ring knows it");
    cr_assert_eq(open_with(&f, f.path, 0, false, &second), KEEL_EINUSE);
    cr_assert_eq(open_with(&f, f.path, 0, true, &second), KEEL_EINUSE);

    for (unsigned i = 0; i < 20; i++) {
        keel_device_close(f.device);
        cr_assert_eq(open_with(&f, f.path, 0, false, &f.device), 0, "%u", i);
        io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
        cr_assert_eq(fixture_run(&f, &io), 0);
    }
    fixture_close(&f);
}

Test(device, may_be_read_by_many)
{
    struct keel_device *first;
    struct keel_device *second;
    struct fixture f;

    fixture_open(&f, NULL);
    keel_device_close(f.device);
    f.device = NULL;
    cr_assert_eq(open_with(&f, f.path, 0, true, &first), 0);
    cr_assert_eq(open_with(&f, f.path, 0, true, &second), 0);
    cr_assert_eq(open_with(&f, f.path, 0, false, &f.device), KEEL_EINUSE);
    keel_device_close(first);
    keel_device_close(second);
    fixture_close(&f);
}

Test(device, what_is_not_there_or_no_device_is_refused)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_err_info info;
    struct keel_device *device;
    struct fixture f;

    fixture_open(&f, NULL);
    cr_assert_eq(keel_device_open(f.ctx, "/nonexistent/x", &options, &info, &device),
                 KEEL_ENOTFOUND);
    cr_assert_eq(info.code, KEEL_ENOTFOUND);
    cr_assert_str_eq(info.object, "/nonexistent/x");
    cr_assert_eq(open_with(&f, f.dir.path, 0, false, &device), KEEL_ENOTSUP);
    cr_assert_eq(open_with(&f, f.path, BLOCK, false, &device), -EEXIST);
    cr_assert_eq(open_with(&f, f.path, 100, false, &device), KEEL_EALIGN);
    cr_assert_eq(open_with(&f, f.path, BLOCK, true, &device), KEEL_EOPTION);
    fixture_close(&f);
}

Test(device, a_creation_that_fails_leaves_nothing_behind)
{
    struct keel_device *device;
    struct fixture f;
    char path[700];

    fixture_open(&f, NULL);
    tmpdir_join(&f.dir, "new", path, sizeof(path));
    limit_file_size(64 * 1024);
    cr_assert_eq(open_with(&f, path, 4 << 20, false, &device), -EFBIG);
    cr_assert_eq(file_size(path), -ENOENT);
    limit_file_size(RLIM_INFINITY);
    cr_assert_eq(open_with(&f, path, 4 << 20, false, &device), 0);
    cr_assert_eq(file_size(path), 4 << 20);
    keel_device_close(device);
    fixture_close(&f);
}

Test(device, grows_with_zeroes_or_stays_as_it_was)
{
    struct fixture f;

    fixture_open(&f, NULL);
    memset(f.memory, 0xab, BLOCK);
    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 0, 1, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);

    limit_file_size(2 * FILE_BLOCKS * BLOCK);
    cr_assert_eq(keel_device_grow(f.ctx, f.device, 64u << 20), -EFBIG);
    cr_assert_eq(keel_device_info(f.device)->size_bytes, FILE_BLOCKS * BLOCK);
    cr_assert_eq(file_size(f.path), FILE_BLOCKS * BLOCK);
    limit_file_size(RLIM_INFINITY);
    cr_assert_eq(keel_device_grow(f.ctx, f.device, BLOCK), KEEL_ERANGE);
    cr_assert_eq(keel_device_grow(f.ctx, f.device, FILE_BLOCKS * BLOCK + 1), KEEL_EALIGN);

    cr_assert_eq(keel_device_grow(f.ctx, f.device, 3 * FILE_BLOCKS * BLOCK), 0);
    cr_assert_eq(keel_device_info(f.device)->size_bytes, 3 * FILE_BLOCKS * BLOCK);
    io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);
    cr_assert_eq(f.memory[0], 0xab);
    io.offset_bytes = (3 * FILE_BLOCKS - 1) * BLOCK;
    cr_assert_eq(fixture_run(&f, &io), 0);
    cr_assert_eq(f.memory[0], 0);
    fixture_close(&f);
}

/* ------------------------------------------------------------- block devices */

/* A loop device over the file, or -1 where that is not allowed. */
static int make_loop(const char *file, char *path, size_t size)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int backing = open(file, O_RDWR | O_CLOEXEC);
    int loop = -1;
    int number = control >= 0 ? ioctl(control, LOOP_CTL_GET_FREE) : -1;

    if (number >= 0) {
        snprintf(path, size, "/dev/loop%d", number);
        loop = open(path, O_RDWR | O_CLOEXEC);
    }
    if (loop >= 0 && ioctl(loop, LOOP_SET_FD, backing) != 0) {
        close(loop);
        loop = -1;
    }
    if (control >= 0)
        close(control);
    if (backing >= 0)
        close(backing);
    return loop;
}

Test(device, a_block_device_is_opened_by_one_alone)
{
    struct keel_device *device;
    struct keel_device *second;
    struct fixture f;
    char path[64];

    fixture_open(&f, NULL);
    int loop = make_loop(f.path, path, sizeof(path));
    if (loop < 0) {
        fprintf(stderr, "block device: skipped: no loop device to be had\n");
    } else {
        int rc = open_with(&f, path, 0, false, &device);
        if (rc == 0) {
            cr_assert(keel_device_info(device)->is_block);
            cr_assert_eq(keel_device_info(device)->size_bytes, FILE_BLOCKS * BLOCK);
            cr_assert_eq(open_with(&f, path, 0, false, &second), KEEL_EINUSE);
            cr_assert_eq(keel_device_grow(f.ctx, device, 1 << 20), KEEL_ENOTSUP);
            keel_device_close(device);
        }
        ioctl(loop, LOOP_CLR_FD);
        close(loop);
        cr_assert_eq(rc, 0, "%d", rc);
    }
    fixture_close(&f);
}

/* ------------------------------------------------------------- names */

static void count_entry(void *arg, const char *name)
{
    unsigned *count = arg;

    cr_assert_str_neq(name, ".");
    (*count)++;
}

Test(device, names_are_made_moved_listed_and_removed)
{
    struct fixture f;
    char folder[700];
    char from[800];
    char to[800];
    unsigned count = 0;
    struct keel_device *device;

    fixture_open(&f, NULL);
    tmpdir_join(&f.dir, "folder", folder, sizeof(folder));
    snprintf(from, sizeof(from), "%s/a", folder);
    snprintf(to, sizeof(to), "%s/b", folder);

    cr_assert_eq(keel_path_exists(f.ctx, folder), 0);
    cr_assert_eq(keel_path_mkdir(f.ctx, folder), 0);
    cr_assert_eq(keel_path_mkdir(f.ctx, folder), 0);
    cr_assert_eq(keel_path_mkdir(f.ctx, f.path), -EEXIST, "a file is in the way");
    cr_assert_eq(open_with(&f, from, BLOCK, false, &device), 0);
    keel_device_close(device);
    cr_assert_eq(keel_path_rename(f.ctx, from, to), 0);
    cr_assert_eq(keel_path_rename(f.ctx, from, to), KEEL_ENOTFOUND);
    cr_assert_eq(keel_path_exists(f.ctx, to), KEEL_PATH_DEVICE);
    cr_assert_eq(keel_path_list(f.ctx, folder, count_entry, &count), 0);
    cr_assert_eq(count, 1);
    cr_assert_eq(keel_path_sync(f.ctx, folder), 0);
    cr_assert_eq(keel_path_unlink(f.ctx, to), 0);
    cr_assert_eq(keel_path_unlink(f.ctx, to), KEEL_ENOTFOUND);
    cr_assert_eq(keel_path_list(f.ctx, from, count_entry, &count), KEEL_ENOTFOUND);
    cr_assert_eq(keel_path_sync(f.ctx, from), KEEL_ENOTFOUND);
    fixture_close(&f);
}
