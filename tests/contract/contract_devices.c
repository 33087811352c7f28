/*
 * Contract: devices and names.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/contract/contract.h"

static int open_as(struct contract *c, const char *name, struct keel_device_options options,
                   struct keel_device **ret)
{
    options.size = sizeof(options);
    return keel_device_open(c->ctx, contract_path(c, name), &options, NULL, ret);
}

CONTRACT_TEST(creates_a_device_full_of_zeroes)
{
    struct keel_device *device = contract_create(c, "d", DEVICE_BLOCKS);

    cr_assert_eq(keel_device_info(device)->size_bytes, DEVICE_BLOCKS * BLOCK);
    for (uint32_t at = 0; at < DEVICE_BLOCKS; at += 128)
        contract_expect(c, device, at, 128, 0);
    keel_device_close(device);
}

CONTRACT_TEST(finds_out_the_geometry)
{
    struct keel_device *device = contract_create(c, "d", 4);
    const struct keel_device_info *info = keel_device_info(device);

    cr_assert_eq(info->size_bytes, 4 * BLOCK);
    cr_assert(info->direct);
    cr_assert_eq(info->is_block, c->disk != NULL);
    cr_assert(info->memory_align > 0 && BLOCK % info->memory_align == 0);
    cr_assert(info->offset_align > 0 && BLOCK % info->offset_align == 0);
    cr_assert(info->logical_block >= 512 && info->physical_block >= info->logical_block);
    cr_assert_geq(info->max_transfer, BLOCK);
    cr_assert_str_eq(info->path, c->disk ? c->disk : contract_path(c, "d"));
    keel_device_close(device);
}

CONTRACT_TEST(a_device_has_one_writer_or_many_readers)
{
    CONTRACT_NEEDS_FILES(c);
    struct keel_device *device = contract_create(c, "d", 4);
    struct keel_device_options writer = {0};
    struct keel_device_options reader = {.read_only = true};
    struct keel_device *other = NULL;
    struct keel_device *third = NULL;

    cr_assert_eq(open_as(c, "d", writer, &other), KEEL_EINUSE);
    cr_assert_eq(open_as(c, "d", reader, &other), KEEL_EINUSE);
    keel_device_close(device);
    cr_assert_eq(open_as(c, "d", reader, &other), 0);
    cr_assert_eq(open_as(c, "d", reader, &third), 0);
    cr_assert_eq(open_as(c, "d", writer, &device), KEEL_EINUSE);
    keel_device_close(third);
    keel_device_close(other);
    cr_assert_eq(open_as(c, "d", writer, &device), 0, "closing lets go of it");
    keel_device_close(device);
}

CONTRACT_TEST(refuses_to_open_what_is_not_a_device_of_its_own)
{
    CONTRACT_NEEDS_FILES(c);
    struct keel_device_options open = {0};
    struct keel_device_options create = {.create_bytes = 4 * BLOCK};
    struct keel_device *device = contract_create(c, "d", 4);
    struct keel_device *other;

    keel_device_close(device);
    cr_assert_eq(open_as(c, "none", open, &other), KEEL_ENOTFOUND);
    cr_assert_eq(open_as(c, "none/d", create, &other), KEEL_ENOTFOUND);
    cr_assert_eq(open_as(c, "", open, &other), KEEL_ENOTSUP, "a folder");
    cr_assert_eq(open_as(c, "d", create, &other), -EEXIST);
    contract_expect(c, device = contract_open(c, "d"), 0, 4, 0);
    keel_device_close(device);
}

CONTRACT_TEST(refuses_options_that_make_no_sense)
{
    CONTRACT_NEEDS_FILES(c);
    struct keel_device_options odd = {.create_bytes = 4 * BLOCK + 512};
    struct keel_device_options both = {.create_bytes = 4 * BLOCK, .read_only = true};
    struct keel_device *device;

    cr_assert_eq(open_as(c, "d", odd, &device), KEEL_EALIGN);
    cr_assert_eq(open_as(c, "d", both, &device), KEEL_EOPTION);
    cr_assert_eq(keel_path_exists(c->ctx, contract_path(c, "d")), 0, "nothing is left behind");
}

CONTRACT_TEST(says_which_device_could_not_be_opened)
{
    struct keel_err_info info = {0};
    struct keel_device *device;
    const char *path = contract_path(c, "n");
    int rc = keel_device_open(c->ctx, path, NULL, &info, &device);

    cr_assert_eq(rc, KEEL_ENOTFOUND);
    cr_assert_eq(info.code, KEEL_ENOTFOUND);
    cr_assert_not_null(info.op);
    cr_assert_eq(strncmp(info.object, path, sizeof(info.object) - 4), 0, "%s", info.object);
}

CONTRACT_TEST(what_was_written_is_there_when_the_device_is_opened_again)
{
    struct keel_device *device = contract_create(c, "d", 16);

    contract_write(c, device, 3, 2, 'a');
    keel_device_close(device);
    device = contract_open(c, "d");

    contract_expect(c, device, 3, 2, 'a');
    contract_expect(c, device, 5, 1, 0);
    cr_assert_eq(keel_device_info(device)->size_bytes, 16 * BLOCK);
    keel_device_close(device);
}

CONTRACT_TEST(grows_with_zeroes_and_keeps_what_is_there)
{
    struct keel_device *device = contract_create(c, "d", 8);
    uint8_t *buf = contract_alloc(c, 1);
    struct keel_io beyond = contract_io(c, device, KEEL_OP_READ, buf, 8, 1);

    contract_write(c, device, 0, 8, 'a');
    cr_assert_eq(contract_run(c, &beyond), KEEL_ERANGE);
    cr_assert_eq(keel_device_grow(c->ctx, device, 4 * BLOCK), KEEL_ERANGE, "never smaller");
    cr_assert_eq(keel_device_grow(c->ctx, device, 8 * BLOCK + 512), KEEL_EALIGN);
    cr_assert_eq(keel_device_grow(c->ctx, device, 8 * BLOCK), 0, "as it is");
    cr_assert_eq(keel_device_grow(c->ctx, device, 24 * BLOCK), 0);

    cr_assert_eq(keel_device_info(device)->size_bytes, 24 * BLOCK);
    contract_expect(c, device, 0, 8, 'a');
    contract_expect(c, device, 8, 16, 0);
    contract_write(c, device, 23, 1, 'b');
    contract_expect(c, device, 23, 1, 'b');
    keel_device_close(device);
}

CONTRACT_TEST(a_write_to_a_device_opened_for_reading_fails)
{
    CONTRACT_NEEDS_FILES(c);
    struct keel_device *device = contract_create(c, "d", 8);
    struct keel_device_options reader = {.read_only = true};
    uint8_t *buf = contract_alloc(c, 1);

    contract_write(c, device, 0, 1, 'a');
    keel_device_close(device);
    cr_assert_eq(open_as(c, "d", reader, &device), 0);
    struct keel_io io = contract_io(c, device, KEEL_OP_WRITE, buf, 0, 1);

    cr_assert_eq(contract_run(c, &io), -EBADF);
    io.flags = KEEL_IO_LINK_SYNC;
    cr_assert_eq(contract_run(c, &io), -EBADF, "the write's error, not that of the sync behind it");
    contract_expect(c, device, 0, 1, 'a');
    keel_device_close(device);
}

CONTRACT_TEST(two_contexts_share_a_device)
{
    struct keel_device *device = contract_create(c, "d", 8);
    struct keel_ctx *mine = c->ctx;
    struct keel_ctx *other = contract_ctx(c, NULL);

    contract_write(c, device, 2, 1, 'a');
    c->ctx = other;
    contract_expect(c, device, 2, 1, 'a');
    contract_write(c, device, 2, 1, 'b');
    c->ctx = mine;
    contract_expect(c, device, 2, 1, 'b');
    keel_ctx_close(other);
    keel_device_close(device);
}

/* ---------------------------------------------------------------- parts */

static struct keel_device *part_of(struct keel_device *whole, uint32_t block, uint32_t room,
                                   uint32_t size)
{
    const struct keel_device_range range = {.offset_bytes = (uint64_t)block * BLOCK,
                                            .room_bytes = (uint64_t)room * BLOCK,
                                            .size_bytes = (uint64_t)size * BLOCK};
    struct keel_device *part = NULL;

    cr_assert_eq(keel_device_part(whole, &range, &part), 0);
    return part;
}

CONTRACT_TEST(a_part_of_a_device_is_one_of_its_own)
{
    CONTRACT_NEEDS_FILES(c); /* a disk's devices are parts themselves */

    struct keel_device *whole = contract_create(c, "d", 16);
    struct keel_device *part = part_of(whole, 4, 8, 2);
    struct keel_device *rest = part_of(whole, 12, 4, 4);
    uint8_t *buf = contract_alloc(c, 1);
    struct keel_io beyond = contract_io(c, part, KEEL_OP_WRITE, buf, 2, 1);

    contract_write(c, whole, 0, 16, 'w');
    contract_write(c, part, 0, 2, 'p');
    contract_write(c, rest, 0, 1, 'r');
    cr_assert_eq(contract_run(c, &beyond), KEEL_ERANGE, "the room is not its size");
    contract_expect(c, whole, 0, 4, 'w');
    contract_expect(c, whole, 4, 2, 'p');
    contract_expect(c, whole, 6, 6, 'w');
    contract_expect(c, whole, 12, 1, 'r');

    cr_assert_eq(keel_device_grow(c->ctx, part, 9 * BLOCK), KEEL_ENOSPACE);
    cr_assert_eq(keel_device_grow(c->ctx, part, 8 * BLOCK), 0);
    cr_assert_eq(keel_device_info(part)->size_bytes, 8 * BLOCK);
    contract_expect(c, part, 0, 2, 'p');
    contract_expect(c, part, 2, 6, 0);
    contract_expect(c, whole, 12, 1, 'r');

    struct keel_io sync = contract_io(c, part, KEEL_OP_SYNC, NULL, 0, 0);
    cr_assert_eq(contract_run(c, &sync), 0);
    keel_device_close(part);
    keel_device_close(rest);
    contract_expect(c, whole, 12, 1, 'r');
    keel_device_close(whole);
}

CONTRACT_TEST(a_part_lies_inside_its_device)
{
    static const struct {
        uint64_t offset, room, size;
        int rc;
    } rows[] = {
        {0, 16 * BLOCK, 0, 0},
        {16 * BLOCK, 0, 0, 0},
        {0, 17 * BLOCK, 0, KEEL_ERANGE},
        {17 * BLOCK, 0, 0, KEEL_ERANGE},
        {8 * BLOCK, 9 * BLOCK, 0, KEEL_ERANGE},
        {0, UINT64_MAX / BLOCK * BLOCK, 0, KEEL_ERANGE},
        {0, BLOCK, 2 * BLOCK, KEEL_ERANGE},
        {512, BLOCK, 0, KEEL_EALIGN},
        {0, 512, 0, KEEL_EALIGN},
    };

    CONTRACT_NEEDS_FILES(c);
    struct keel_device *whole = contract_create(c, "d", 16);

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct keel_device_range range = {rows[i].offset, rows[i].room, rows[i].size};
        struct keel_device *part = NULL;

        cr_assert_eq(keel_device_part(whole, &range, &part), rows[i].rc, "row %u", i);
        keel_device_close(part);
    }
    keel_device_close(whole);
}

CONTRACT_TEST(a_disk_has_one_writer)
{
    struct keel_device *other;

    if (!c->disk)
        CONTRACT_SKIP(c, "no disk was named (KEEL_TEST_DEVICE)");
    cr_assert_eq(keel_device_open(c->ctx, c->disk, NULL, NULL, &other), KEEL_EINUSE);
}

/* ---------------------------------------------------------------- names */

struct names {
    unsigned count;
    char text[256];
};

/* Sorted, because no file system promises an order. */
static void add_name(void *arg, const char *name)
{
    struct names *names = arg;
    char rest[256];
    char *at = names->text;

    names->count++;
    while (*at && strncmp(at, name, strlen(name)) < 0)
        at += strcspn(at, " ") + 1;
    snprintf(rest, sizeof(rest), "%s", at);
    snprintf(at, sizeof(names->text) - (size_t)(at - names->text), "%s %s", name, rest);
}

static void expect_names(struct contract *c, const char *folder, const char *want)
{
    struct names names = {0};

    cr_assert_eq(keel_path_list(c->ctx, contract_path(c, folder), add_name, &names), 0);
    cr_assert_str_eq(names.text, want);
}

CONTRACT_TEST(lists_what_is_in_a_folder)
{
    CONTRACT_NEEDS_FILES(c);
    expect_names(c, "", "");
    keel_device_close(contract_create(c, "b", 1));
    keel_device_close(contract_create(c, "a", 1));
    cr_assert_eq(keel_path_mkdir(c->ctx, contract_path(c, "sub")), 0);
    keel_device_close(contract_create(c, "sub/x", 1));

    expect_names(c, "", "a b sub ");
    expect_names(c, "sub", "x ");
    cr_assert_eq(keel_path_list(c->ctx, contract_path(c, "none"), add_name, NULL), KEEL_ENOTFOUND);
}

CONTRACT_TEST(making_a_folder_twice_is_no_error)
{
    CONTRACT_NEEDS_FILES(c);
    cr_assert_eq(keel_path_mkdir(c->ctx, contract_path(c, "sub")), 0);
    cr_assert_eq(keel_path_mkdir(c->ctx, contract_path(c, "sub")), 0);
    cr_assert_eq(keel_path_mkdir(c->ctx, contract_path(c, "no/sub")), KEEL_ENOTFOUND);
    keel_device_close(contract_create(c, "d", 1));
    cr_assert_eq(keel_path_mkdir(c->ctx, contract_path(c, "d")), -EEXIST);
}

CONTRACT_TEST(tells_whether_a_name_exists)
{
    CONTRACT_NEEDS_FILES(c);
    cr_assert_eq(keel_path_exists(c->ctx, contract_path(c, "d")), 0);
    cr_assert_eq(keel_path_exists(c->ctx, c->folder), KEEL_PATH_FOLDER);
    keel_device_close(contract_create(c, "d", 1));
    cr_assert_eq(keel_path_exists(c->ctx, contract_path(c, "d")), KEEL_PATH_DEVICE);
    cr_assert_eq(keel_path_exists(c->ctx, contract_path(c, "d/x")), 0);
    cr_assert_eq(keel_path_exists(c->ctx, contract_path(c, "no/x")), 0);
}

CONTRACT_TEST(renaming_moves_a_file_and_replaces_what_was_there)
{
    CONTRACT_NEEDS_FILES(c);
    struct keel_device *device = contract_create(c, "new", 4);

    contract_write(c, device, 0, 4, 'n');
    keel_device_close(device);
    device = contract_create(c, "old", 8);
    contract_write(c, device, 0, 4, 'o');
    keel_device_close(device);
    cr_assert_eq(keel_path_rename(c->ctx, contract_path(c, "new"), contract_path(c, "old")), 0);
    cr_assert_eq(keel_path_sync(c->ctx, c->folder), 0);

    expect_names(c, "", "old ");
    device = contract_open(c, "old");
    cr_assert_eq(keel_device_info(device)->size_bytes, 4 * BLOCK);
    contract_expect(c, device, 0, 4, 'n');
    keel_device_close(device);
    cr_assert_eq(keel_path_rename(c->ctx, contract_path(c, "new"), contract_path(c, "x")),
                 KEEL_ENOTFOUND);
    cr_assert_eq(keel_path_rename(c->ctx, contract_path(c, "old"), contract_path(c, "no/x")),
                 KEEL_ENOTFOUND);
}

CONTRACT_TEST(a_file_does_not_replace_a_folder)
{
    CONTRACT_NEEDS_FILES(c);
    keel_device_close(contract_create(c, "d", 1));
    cr_assert_eq(keel_path_mkdir(c->ctx, contract_path(c, "sub")), 0);

    cr_assert_eq(keel_path_rename(c->ctx, contract_path(c, "d"), contract_path(c, "sub")), -EISDIR);
    expect_names(c, "", "d sub ");
}

CONTRACT_TEST(an_open_device_survives_renaming_and_unlinking)
{
    CONTRACT_NEEDS_FILES(c);
    struct keel_device *device = contract_create(c, "d", 4);

    cr_assert_eq(keel_path_rename(c->ctx, contract_path(c, "d"), contract_path(c, "e")), 0);
    contract_write(c, device, 0, 1, 'a');
    cr_assert_eq(keel_path_unlink(c->ctx, contract_path(c, "e")), 0);
    contract_write(c, device, 1, 1, 'b');

    contract_expect(c, device, 0, 1, 'a');
    contract_expect(c, device, 1, 1, 'b');
    expect_names(c, "", "");
    keel_device_close(device);
}

CONTRACT_TEST(a_folder_goes_only_when_it_is_empty)
{
    CONTRACT_NEEDS_FILES(c);
    char folder[640];

    snprintf(folder, sizeof(folder), "%s", contract_path(c, "folder"));
    cr_assert_eq(keel_path_mkdir(c->ctx, folder), 0);
    keel_device_close(contract_create(c, "folder/file", 1));
    cr_assert_eq(keel_path_unlink(c->ctx, folder), -ENOTEMPTY);
    cr_assert_eq(keel_path_unlink(c->ctx, contract_path(c, "folder/file")), 0);
    cr_assert_eq(keel_path_unlink(c->ctx, folder), 0);
    cr_assert_eq(keel_path_exists(c->ctx, folder), 0);
}

CONTRACT_TEST(unlinking_frees_the_name)
{
    CONTRACT_NEEDS_FILES(c);
    struct keel_device *device = contract_create(c, "d", 4);

    contract_write(c, device, 0, 1, 'a');
    keel_device_close(device);
    cr_assert_eq(keel_path_unlink(c->ctx, contract_path(c, "d")), 0);
    cr_assert_eq(keel_path_unlink(c->ctx, contract_path(c, "d")), KEEL_ENOTFOUND);
    device = contract_create(c, "d", 4);

    contract_expect(c, device, 0, 1, 0);
    keel_device_close(device);
}

CONTRACT_TEST(syncing_a_folder_that_is_not_there_fails)
{
    CONTRACT_NEEDS_FILES(c);
    cr_assert_eq(keel_path_sync(c->ctx, c->folder), 0);
    cr_assert_eq(keel_path_sync(c->ctx, contract_path(c, "none")), KEEL_ENOTFOUND);
    keel_device_close(contract_create(c, "d", 1));
    cr_assert_eq(keel_path_sync(c->ctx, contract_path(c, "d")), -ENOTDIR);
}
