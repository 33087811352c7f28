/*
 * Goal: each kind of bad input has an error of its own, and creates or changes nothing.
 * Method: real files where the kernel is what refuses, else the simulation.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "engine/superblock_format.h"
#include "tests/integration/fixture.h"
#include "tests/support/table.h"

#define TMPFS 0x01021994

static int try_open(struct world *world, struct keel_err_info *info)
{
    int rc = keel_open(world->ctx, world->path, &world->options, info, &world->store);

    if (rc == 0)
        world_close(world);
    cr_assert(rc == 0 || info->code == rc, "%s, but info says %s", keel_err_name(rc),
              keel_err_name(info->code));
    return rc;
}

static const struct variant real = {"sync", KEEL_METHOD_SYNC, KEEL_MANUAL, .one_device = false};

static void real_world(struct world *world)
{
    cr_assert(world_init(world, &real));
}

static unsigned files_seen;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path;
    (void)st;
    (void)at;
    files_seen += type == FTW_F;
    return 0;
}

static unsigned files_in(const char *path)
{
    files_seen = 0;
    nftw(path, count_file, 8, FTW_PHYS);
    return files_seen;
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t len)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

/* ------------------------------------------------------------------ options */

struct option_row {
    const char *option;
    struct keel_options options;
};

#define ROW(name, value)                                       \
    {                                                          \
#name,                                                 \
        {                                                      \
            .size = sizeof(struct keel_options), .name = value \
        }                                                      \
    }

static const struct option_row option_rows[] = {
    ROW(page_bytes, 2048),
    ROW(page_bytes, 12288),
    ROW(page_bytes, 131072),
    ROW(log_bytes, 4096),
    ROW(log_bytes, (1u << 20) + 1),
    ROW(log_bytes, (uint64_t)1 << 50),
    ROW(space_bytes, 4096),
    ROW(space_bytes, 100000),
    ROW(space_bytes_max, 4096),
    ROW(cache_bytes_max, 4096),
    ROW(cache_bytes, 4096),
    ROW(tx_bytes, (uint64_t)1 << 40),
    ROW(checkpoint_bytes, (uint64_t)1 << 40),
    ROW(inflight_max, 33),
    ROW(batch_bytes_max, 5000),
    ROW(batch_bytes_max, 1u << 20),
    ROW(log_buffer_bytes, 3u << 20),
    ROW(log_buffer_bytes, 4096),
    ROW(tx_max, 1u << 20),
    ROW(background, (enum keel_background)7),
    ROW(method, (enum keel_method)9),
    ROW(sync, (enum keel_sync_method)9),
    ROW(fixed, (enum keel_want)9),
    {"sim", {.size = sizeof(struct keel_options), .method = KEEL_METHOD_SIM}},
    {"size", {.size = 2}},
    {"size", {.size = 4096}},
};

TABLE_TEST(input, an_option_out_of_its_range_is_named_and_nothing_is_made, option_rows)
{
    struct keel_err_info info = {0};
    struct world world;

    real_world(&world);
    world.options = row->options;
    expect_rc(try_open(&world, &info), KEEL_EOPTION);
    cr_assert_str_eq(info.object, row->option);
    cr_assert_eq(access(world.path, F_OK), -1);
    world_fini(&world);
}

Test(input, a_shorter_options_struct_of_an_older_caller_is_taken, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;

    real_world(&world);
    world.options.size = offsetof(struct keel_options, inflight_max);
    world.options.log_bytes = 16u << 20;
    world.options.log_buffer_bytes = 3; /* not looked at */
    expect_ok(try_open(&world, &info));
    world_fini(&world);
}

/* ------------------------------------------------------------------ places */

Test(input, a_missing_store_is_not_made_when_creation_is_off, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;

    real_world(&world);
    world.options.create_off = true;
    expect_rc(try_open(&world, &info), KEEL_ENOTFOUND);
    cr_assert_eq(access(world.path, F_OK), -1);
    world_fini(&world);
}

Test(input, a_folder_whose_parent_is_missing_is_not_found, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;

    real_world(&world);
    snprintf(world.path, sizeof(world.path), "%s/deep/er", world.dir.path);
    expect_rc(try_open(&world, &info), KEEL_ENOTFOUND);
    world.path[0] = '\0';
    expect_rc(try_open(&world, &info), KEEL_ENOTFOUND);
    memset(world.path, 'a', 500);
    world.path[500] = '\0';
    expect_rc(try_open(&world, &info), -ENAMETOOLONG);
    world_fini(&world);
}

Test(input, a_folder_with_something_else_in_it_is_left_alone, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;

    real_world(&world);
    cr_assert_eq(mkdir(world.path, 0755), 0);
    write_file(world.path, "letter.txt", "dear", 4);
    expect_rc(try_open(&world, &info), KEEL_ENOTEMPTY);
    cr_assert_str_eq(info.object, "letter.txt");
    cr_assert_eq(files_in(world.path), 1);
    world_fini(&world);
}

Test(input, data_without_its_superblock_is_not_taken_for_rubbish, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;
    char path[700];

    real_world(&world);
    world_open(&world);
    world_close(&world);
    snprintf(path, sizeof(path), "%s/store.keel", world.path);
    cr_assert_eq(unlink(path), 0);
    expect_rc(try_open(&world, &info), KEEL_ENOTEMPTY);
    cr_assert_eq(files_in(world.path), 2);
    world_fini(&world);
}

/* Run body as a user without rights; its status is how many of its checks failed. */
static void as_nobody(void (*body)(struct world *world), struct world *world)
{
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(77);
        body(world);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        cr_skip_test("cannot become another user");
    cr_assert_eq(WEXITSTATUS(status), 0);
}

static void open_refused(struct world *world)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_err_info info = {0};
    struct keel_store *store;
    struct keel_ctx *ctx;

    options.method = KEEL_METHOD_SYNC;
    if (keel_ctx_open(&options, &ctx) != 0)
        _exit(2);
    int rc = keel_open(ctx, world->path, &world->options, &info, &store);
    if (rc != KEEL_EACCESS) {
        fprintf(stderr, "%s\n", keel_err_name(rc));
        _exit(3);
    }
}

Test(input, a_folder_without_rights_is_refused, .timeout = 30)
{
    struct world world;

    if (geteuid() != 0)
        cr_skip_test("needs the right to become another user");
    real_world(&world);
    cr_assert_eq(mkdir(world.path, 0755), 0); /* readable, not writable */
    as_nobody(open_refused, &world);
    cr_assert_eq(files_in(world.path), 0);
    cr_assert_eq(chmod(world.path, 0700), 0); /* not even readable */
    as_nobody(open_refused, &world);
    cr_assert_eq(files_in(world.path), 0);
    world_fini(&world);
}

Test(input, a_file_system_without_direct_io_is_refused, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct tmpdir folder = {"/dev/shm/keel-test-XXXXXX"};
    struct statfs fs;
    struct world world;

    if (statfs("/dev/shm", &fs) != 0 || fs.f_type != TMPFS || !mkdtemp(folder.path))
        cr_skip_test("no tmpfs on /dev/shm");
    real_world(&world);
    snprintf(world.path, sizeof(world.path), "%s/db", folder.path);
    int rc = try_open(&world, &info);
    unsigned files = files_in(folder.path);
    tmpdir_destroy(&folder);
    world_fini(&world);
    if (rc == 0)
        cr_skip_test("this kernel's tmpfs has O_DIRECT");
    cr_assert_eq(rc, KEEL_EDIRECT, "%s", keel_err_name(rc));
    cr_assert_eq(files, 0);
}

/* ------------------------------------------------------------------ contents */

static void superblock_file(struct world *world, int *ret_fd)
{
    char path[700];

    world_open(world);
    world_close(world);
    snprintf(path, sizeof(path), "%s/store.keel", world->path);
    *ret_fd = open(path, O_RDWR);
    cr_assert_geq(*ret_fd, 0);
}

static uint64_t sum_of(int fd)
{
    unsigned char bytes[16384];
    ssize_t len = pread(fd, bytes, sizeof(bytes), 0);

    return (uint64_t)crc32c(0, bytes, (size_t)len) << 32 | (uint64_t)len;
}

Test(input, a_superblock_of_another_format_is_refused_and_not_repaired, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;
    int fd;

    real_world(&world);
    superblock_file(&world, &fd);
    char other[16384];
    memset(other, 'Q', sizeof(other));
    cr_assert_eq(pwrite(fd, other, sizeof(other), 0), (ssize_t)sizeof(other));
    uint64_t before = sum_of(fd);
    expect_rc(try_open(&world, &info), KEEL_EFORMAT);
    cr_assert_eq(sum_of(fd), before);

    cr_assert_eq(ftruncate(fd, 10), 0);
    expect_rc(try_open(&world, &info), KEEL_EFORMAT);
    cr_assert_eq(ftruncate(fd, 0), 0);
    expect_rc(try_open(&world, &info), KEEL_EFORMAT);
    close(fd);
    world_fini(&world);
}

Test(input, a_superblock_of_a_newer_version_is_refused_and_not_changed, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;
    unsigned char block[4096];
    int fd;

    real_world(&world);
    superblock_file(&world, &fd);
    for (unsigned i = 0; i < 4; i++) { /* docs/format/quad.md: checksum at 8, version at 12 */
        cr_assert_eq(pread(fd, block, 4096, i * 4096), 4096);
        store_le32(block + 12, SUPER_VERSION + 1);
        store_le32(block + 8, 0);
        store_le32(block + 8, crc32c(0, block, 4096));
        cr_assert_eq(pwrite(fd, block, 4096, i * 4096), 4096);
    }
    uint64_t before = sum_of(fd);
    expect_rc(try_open(&world, &info), KEEL_EVERSION);
    cr_assert_eq(sum_of(fd), before);
    close(fd);
    world_fini(&world);
}

Test(input, two_damaged_copies_of_the_superblock_are_repaired_and_three_are_too_many, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;
    char rubbish[4096];
    int fd;

    real_world(&world);
    superblock_file(&world, &fd);
    memset(rubbish, 1, sizeof(rubbish));
    uint64_t before = sum_of(fd);
    cr_assert_eq(pwrite(fd, rubbish, 4096, 0), 4096);
    cr_assert_eq(pwrite(fd, rubbish, 4096, 8192), 4096);
    expect_ok(try_open(&world, &info));
    cr_assert_neq(sum_of(fd), 0);
    (void)before;
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(pwrite(fd, rubbish, 4096, i * 4096), 4096);
    expect_rc(try_open(&world, &info), KEEL_ESUPER);
    close(fd);
    world_fini(&world);
}

static void missing_file(struct world *world, const char *name, int want)
{
    struct keel_err_info info = {0};
    char path[700];

    world_open(world);
    world_close(world);
    snprintf(path, sizeof(path), "%s/%s", world->path, name);
    cr_assert_eq(truncate(path, 64 * 1024), 0);
    expect_rc(try_open(world, &info), want);
    cr_assert_eq(unlink(path), 0);
    expect_rc(try_open(world, &info), KEEL_ENOTFOUND);
    cr_assert(strstr(info.object, name), "%s", info.object);
}

Test(input, a_missing_or_short_page_file_is_named, .timeout = 30)
{
    struct world world;

    real_world(&world);
    missing_file(&world, "pages.keel", KEEL_EFORMAT);
    world_fini(&world);
}

Test(input, a_missing_or_short_log_is_named, .timeout = 30)
{
    struct world world;

    real_world(&world);
    missing_file(&world, "wal.keel", KEEL_EFORMAT);
    world_fini(&world);
}

Test(input, the_log_of_another_store_is_refused, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;
    char first[700], second[700], keep[600];

    real_world(&world);
    world_open(&world);
    world_close(&world);
    memcpy(keep, world.path, sizeof(keep));
    snprintf(first, sizeof(first), "%s/wal.keel", world.path);
    snprintf(world.path, sizeof(world.path), "%s/db2", world.dir.path);
    world_open(&world);
    world_close(&world);
    snprintf(second, sizeof(second), "%s/wal.keel", world.path);
    cr_assert_eq(rename(second, first), 0);
    memcpy(world.path, keep, sizeof(keep));
    expect_rc(try_open(&world, &info), KEEL_EFORMAT);
    world_fini(&world);
}

/* ------------------------------------------------------------------ two at once */

static void second_open(struct world *world)
{
    struct keel_err_info info = {0};
    struct keel_store *second;

    world_open(world);
    keel_pageno page = put_page(world, "mine");
    expect_rc(keel_open(world->ctx, world->path, &world->options, &info, &second), KEEL_EINUSE);
    expect_page(world, page, "mine");
}

Test(input, a_store_that_is_open_cannot_be_opened_again, .timeout = 30)
{
    for_each_variant(second_open);
}

static void child_opens(const char *path, const struct keel_options *options)
{
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_store *store;
    struct keel_ctx *ctx;

    ctx_options.method = KEEL_METHOD_SYNC;
    if (keel_ctx_open(&ctx_options, &ctx) != 0)
        _exit(2);
    int rc = keel_open(ctx, path, options, NULL, &store);
    _exit(rc == KEEL_EINUSE ? 0 : 3);
}

Test(input, a_store_that_another_process_has_open_is_in_use, .timeout = 30)
{
    struct world world;
    int status;

    real_world(&world);
    world_open(&world);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        child_opens(world.path, &world.options);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", WEXITSTATUS(status));
    put_page(&world, "still ours");
    world_fini(&world);
}

/* Several processes create the same store at once: each either has it or is told it is in use. */
static void child_creates(const char *path, const struct keel_options *options)
{
    struct keel_ctx_options ctx_options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_store *store;
    struct keel_ctx *ctx;

    ctx_options.method = KEEL_METHOD_SYNC;
    if (keel_ctx_open(&ctx_options, &ctx) != 0)
        _exit(2);
    int rc = keel_open(ctx, path, options, NULL, &store);
    if (rc == KEEL_EINUSE)
        _exit(0);
    if (rc != 0) {
        fprintf(stderr, "%s\n", keel_err_name(rc));
        _exit(3);
    }
    struct keel_tx *tx;
    keel_pageno page;
    if (keel_tx_begin(ctx, store, NULL, &tx) != 0 || keel_tx_alloc(tx, &page) != 0 ||
        keel_tx_commit(tx, NULL) != 0)
        _exit(4);
    _exit(keel_close(ctx, store) == 0 ? 1 : 5);
}

Test(input, creators_that_meet_do_not_harm_each_other, .timeout = 60)
{
    for (unsigned round = 0; round < 10; round++) {
        struct world world;
        unsigned made = 0;

        real_world(&world);
        pid_t pids[4];
        for (unsigned i = 0; i < 4; i++) {
            pids[i] = fork();
            cr_assert_geq(pids[i], 0);
            if (pids[i] == 0)
                child_creates(world.path, &world.options);
        }
        for (unsigned i = 0; i < 4; i++) {
            int status;
            cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
            cr_assert(WIFEXITED(status) && WEXITSTATUS(status) <= 1, "status %d", status);
            made += WEXITSTATUS(status);
        }
        cr_assert_gt(made, 0);
        world_open(&world);
        cr_assert_eq(info_of(&world).pages_allocated, made);
        world_fini(&world);
    }
}

/* ------------------------------------------------------------------ a full disk at creation */

Test(input, a_disk_too_full_for_a_new_store_gets_nothing, .timeout = 60)
{
    for (uint64_t bytes = 4096; bytes < (272u << 10) + 68u * 4096u; bytes += 36864) {
        struct keel_err_info info = {0};
        struct world world;

        world_init_sim(&world, make_sim(bytes, false, bytes));
        expect_rc(try_open(&world, &info), KEEL_ENOSPACE);
        const char *names[] = {"db/store.keel", "db/store.keel.tmp", "db/wal.keel", "db/pages.keel",
                               "db"};
        for (unsigned i = 0; i < 5; i++)
            expect_rc(keel_path_exists(world.ctx, names[i]), 0);
        world_fini(&world);
    }
}

/* ------------------------------------------------------------------ the profile of the disk */

static const char profile_text[] = "{\"costs\": {\"sync_ns\": 700, \"points\": ["
                                   "{\"bytes\": 4096, \"read_ns\": 11000, \"write_ns\": 12000}]}}";

/* What the disk of the world's folder charges for reading a block, while its store is open. */
static uint32_t read_cost(struct world *world)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_sched_costs costs;
    struct keel_device *device;
    char path[700];

    snprintf(path, sizeof(path), "%s.other", world->path);
    options.create_bytes = KEEL_BLOCK_BYTES;
    cr_assert_eq(keel_device_open(world->ctx, path, &options, NULL, &device), 0);
    keel_sched_costs_get(device, &costs);
    keel_device_close(device);
    unlink(path);
    return costs.points[0].read_ns;
}

Test(input, a_profile_is_taken_from_the_folder_or_by_its_path_and_else_refused, .timeout = 30)
{
    struct keel_err_info info = {0};
    struct world world;
    char other[700];

    real_world(&world);
    cr_assert_eq(mkdir(world.path, 0700) == 0 || errno == EEXIST, true);
    write_file(world.path, "profile.json", profile_text, sizeof(profile_text) - 1);
    world_open(&world); /* made in a folder that holds nothing but a profile */
    cr_assert_eq(read_cost(&world), 11000);
    world_close(&world);

    snprintf(other, sizeof(other), "%s/profile.json", world.path);
    unlink(other);
    write_file(world.path, "profile.json", "{}", 2);
    cr_assert_eq(try_open(&world, &info), KEEL_EFORMAT);
    cr_assert_str_eq(info.op, "profile");
    snprintf(other, sizeof(other), "%s/nothing", world.path);
    world.options.profile = other;
    cr_assert_eq(try_open(&world, &info), KEEL_ENOTFOUND);
    cr_assert_str_eq(info.op, "profile");
    world_fini(&world);
}
