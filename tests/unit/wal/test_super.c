/*
 * The superblock as bytes, and the list of epochs.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "wal/super.h"

TestSuite(wal_super, .timeout = 20);

static struct wal_super three_epochs(void)
{
    struct wal_super super = {
        .uuid = {1, 2, 3},
        .ring_bytes = 1u << 20,
        .inflight_bytes = 65536,
        .redo_lsn = 4096 * 3 + 40,
        .promise_lsn = 4096 * 100,
        .choice = {KEEL_SYNC_LINK, true, 77},
        .epoch_count = 3,
        .epochs = {{1, 4096, 4096}, {4, 4096 * 40, 4096 * 20}, {5, 4096 * 100, 4096 * 60}},
    };

    return super;
}

Test(wal_super, is_read_back_as_it_was_written)
{
    struct wal_super super = three_epochs(), back;
    uint8_t bytes[WAL_SUPER_MAX];

    memset(&back, 0, sizeof(back));
    uint32_t len = wal_super_encode(&super, bytes);
    cr_assert_eq(len, WAL_SUPER_LIST + 3 * WAL_EPOCH_BYTES);
    cr_assert_eq(wal_super_decode(&back, bytes, len), 0);
    cr_assert_arr_eq(&back, &super, sizeof(super));
}

/* Version 1 had neither the choice nor room behind it. */
Test(wal_super, version_1_is_read_with_nothing_measured)
{
    struct wal_super super = three_epochs(), back;
    uint8_t bytes[WAL_SUPER_MAX];

    uint32_t len = wal_super_encode(&super, bytes);
    memmove(bytes + WAL_SUPER_LIST_V1, bytes + WAL_SUPER_LIST, len - WAL_SUPER_LIST);
    len -= WAL_SUPER_LIST - WAL_SUPER_LIST_V1;

    cr_assert_eq(wal_super_decode(&back, bytes, len), 0);
    super.choice = (struct wal_choice){0};
    cr_assert_eq(back.epoch_count, 3);
    cr_assert_eq(back.choice.method, 0);
    cr_assert_arr_eq(&back, &super, sizeof(super));
}

Test(wal_super, refuses_what_is_never_written)
{
    struct wal_super super = three_epochs(), back;
    uint8_t bytes[WAL_SUPER_MAX];
    static const struct {
        uint32_t at;
        uint8_t value;
    } changes[] = {
        {WAL_SUPER_RING, 1},      {WAL_SUPER_INFLIGHT, 1}, {WAL_SUPER_INFLIGHT + 3, 1},
        {WAL_SUPER_REDO + 5, 1},  {WAL_SUPER_END, 1},      {WAL_SUPER_FLAGS, 2},
        {WAL_SUPER_EPOCHS, 0},    {WAL_SUPER_EPOCHS, 4},   {WAL_SUPER_EPOCHS + 1, 1},
        {WAL_SUPER_LIST + 4, 1},  {WAL_SUPER_LIST + 8, 1}, {WAL_SUPER_LIST + 16 + 5, 1},
        {WAL_SUPER_LIST + 24, 1}, {WAL_SUPER_RESERVED, 1}, {WAL_SUPER_RESERVED + 7, 1},
    };

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        uint32_t len = wal_super_encode(&super, bytes);
        bytes[changes[i].at] = changes[i].value;
        cr_assert_eq(wal_super_decode(&back, bytes, len), KEEL_ESUPER, "change %zu", i);
    }
    cr_assert_eq(wal_super_decode(&back, bytes, 10), KEEL_ESUPER);
}

Test(wal_super, W3_says_who_owns_an_lsn)
{
    struct wal_super super = three_epochs();

    cr_assert_eq(wal_super_owner(&super, 0), -1);
    cr_assert_eq(wal_super_owner(&super, 4096), 0);
    cr_assert_eq(wal_super_owner(&super, 4096 * 20 - 1), 0);
    cr_assert_eq(wal_super_owner(&super, 4096 * 20), -1);
    cr_assert_eq(wal_super_owner(&super, 4096 * 40), 1);
    cr_assert_eq(wal_super_owner(&super, 4096 * 60), -1);
    cr_assert_eq(wal_super_owner(&super, 4096 * 99), -1);
    cr_assert_eq(wal_super_owner(&super, 4096 * 100), 2);
    cr_assert_eq(wal_super_owner(&super, KEEL_LSN_MAX - 1), 2);
}

Test(wal_super, an_epoch_that_wrote_nothing_is_replaced_by_the_next)
{
    struct wal_super super = three_epochs();

    cr_assert_eq(wal_super_add_epoch(&super, false, 4096 * 100, 4096 * 116), 0);

    cr_assert_eq(super.epoch_count, 3);
    cr_assert_eq(super.epochs[2].number, 6);
    cr_assert_eq(super.epochs[2].first, 4096 * 116);
    cr_assert_eq(super.epochs[2].prev_end, 4096 * 60);
}

Test(wal_super, the_list_is_bounded)
{
    struct wal_super super = three_epochs();
    int rc = 0;

    for (keel_lsn end = 4096 * 110; rc == 0; end += 4096 * 32)
        rc = wal_super_add_epoch(&super, true, end, end + 4096 * 16);

    cr_assert_eq(rc, KEEL_EFULL);
    cr_assert_eq(super.epoch_count, WAL_EPOCHS_MAX);
}

Test(wal_super, trimming_keeps_the_epoch_that_owns_the_redo_lsn)
{
    struct wal_super super = three_epochs();

    super.redo_lsn = 4096 * 40;
    wal_super_trim(&super, super.redo_lsn);
    cr_assert_eq(super.epoch_count, 2);
    cr_assert_eq(super.epochs[0].number, 4);
    super.redo_lsn = 4096 * 99;
    wal_super_trim(&super, super.redo_lsn);
    cr_assert_eq(super.epoch_count, 2);
    super.redo_lsn = 4096 * 100;
    wal_super_trim(&super, super.redo_lsn);
    cr_assert_eq(super.epoch_count, 1);
    cr_assert_eq(super.epochs[0].number, 5);
}
