/*
 * The store's superblock: bytes and meaning.
 */
#include "engine/superblock.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct superblock sample = {
    .uuid = {0x6b, 0x65, 0x65, 0x6c, 1, 2, 0x43, 4, 0x85, 6, 7, 8, 9, 10, 11, 12},
    .log_uuid = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d,
                 0x1e, 0x1f},
    .page_bytes = 4096,
    .space_id = 1,
    .space_pages = 4096,
};

/* The worked example of docs/format/superblock.md. */
static const uint8_t golden[SUPER_BYTES] = {
    0x6b, 0x65, 0x65, 0x6c, 0x01, 0x02, 0x43, 0x04, 0x85, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c,
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
    0x00, 0x10, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

Test(superblock, is_written_byte_for_byte_as_documented)
{
    uint8_t bytes[SUPER_BYTES];

    superblock_encode(&sample, bytes);

    cr_assert_arr_eq(bytes, golden, sizeof(golden));
}

Test(superblock, is_read_back_as_it_was)
{
    struct superblock super;

    cr_assert(superblock_decode(golden, sizeof(golden), &super));

    cr_assert_arr_eq(super.uuid, sample.uuid, 16);
    cr_assert_arr_eq(super.log_uuid, sample.log_uuid, 16);
    cr_assert_eq(super.page_bytes, 4096);
    cr_assert_eq(super.space_id, 1);
    cr_assert_eq(super.space_pages, 4096);
}

Test(superblock, says_whether_pages_are_written_untorn)
{
    uint8_t bytes[SUPER_BYTES];
    struct superblock super = sample;

    super.torn = 1;
    superblock_encode(&super, bytes);
    cr_assert_eq(bytes[SUPER_AT_TORN], 1);
    cr_assert_arr_eq(bytes, golden, SUPER_AT_TORN, "nothing else differs");
    memset(&super, 0, sizeof(super));
    cr_assert(superblock_decode(bytes, sizeof(bytes), &super));
    cr_assert_eq(super.torn, 1);
    cr_assert(superblock_decode(golden, sizeof(golden), &super));
    cr_assert_eq(super.torn, 0);
}

static bool accepts(uint32_t at, uint8_t value)
{
    uint8_t bytes[SUPER_BYTES];
    struct superblock super;

    memcpy(bytes, golden, sizeof(bytes));
    bytes[at] = value;
    return superblock_decode(bytes, sizeof(bytes), &super);
}

Test(superblock, a_field_out_of_range_is_refused)
{
    struct superblock super;

    cr_assert_not(accepts(SUPER_AT_PAGE_BYTES, 1), "not a power of two");
    cr_assert_not(accepts(SUPER_AT_PAGE_BYTES + 1, 0x08), "2048");
    cr_assert_not(accepts(SUPER_AT_PAGE_BYTES + 2, 0x02), "131072 + 4096");
    cr_assert_not(accepts(SUPER_AT_SPACE_ID, 2));
    cr_assert_not(accepts(SUPER_AT_SPACE_PAGES + 1, 0), "no pages");
    cr_assert_not(accepts(SUPER_AT_SPACE_PAGES + 7, 0xff), "more than can be");
    cr_assert_not(accepts(SUPER_AT_TORN, 2));
    for (uint32_t at = SUPER_AT_RESERVED; at < SUPER_BYTES; at++)
        cr_assert_not(accepts(at, 1), "reserved byte %u", at);
    cr_assert_not(superblock_decode(golden, SUPER_BYTES - 1, &super));
    cr_assert(accepts(SUPER_AT_UUID, 0));
}

Test(superblock, a_store_gets_a_uuid_of_its_own_from_that_of_its_log)
{
    uint8_t first[16], again[16], other[16], log[16];

    memcpy(log, sample.log_uuid, 16);
    superblock_make_uuid(log, first);
    superblock_make_uuid(log, again);
    log[0] ^= 1;
    superblock_make_uuid(log, other);

    cr_assert_arr_eq(first, again, 16);
    cr_assert_arr_neq(first, other, 16);
    cr_assert_arr_neq(first, sample.log_uuid, 16);
    cr_assert_eq(first[6] >> 4, 4, "version");
    cr_assert_eq(first[8] >> 6, 2, "variant");
}
