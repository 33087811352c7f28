/* Sealing and checking pages (P4): every bit of damage shows, and so does a wrong place. */
#include <criterion/criterion.h>
#include <criterion/theories.h>
#include <signal.h>
#include <string.h>

#include "pagecache/page.h"

#define PAGE 4096u

static char page[PAGE];
static struct pc_page_fault fault;

static void make(uint32_t space, keel_pageno pageno)
{
    pc_page_init(page, PAGE, space, pageno);
    memset(page + KEEL_PAGE_HEADER_BYTES, 0x5a, PAGE - KEEL_PAGE_HEADER_BYTES);
    pc_page_set_lsn(page, 777);
    pc_page_seal(page, PAGE);
}

Test(page, is_valid_where_it_belongs_after_it_was_sealed)
{
    make(3, 42);

    cr_assert_eq(pc_page_check(page, PAGE, 3, 42, &fault), 0);
    cr_assert_eq(pc_page_lsn(page), 777);
}

Test(page, of_zeroes_was_never_written)
{
    cr_assert_eq(pc_page_check(page, PAGE, 1, 0, &fault), KEEL_ENOPAGE);
}

Test(page, of_zeroes_but_for_the_last_byte_is_damaged)
{
    page[PAGE - 1] = 1;

    cr_assert_eq(pc_page_check(page, PAGE, 1, 0, &fault), KEEL_ECHECKSUM);
}

Test(page, at_another_number_is_refused_and_told_P4)
{
    make(3, 42);

    cr_assert_eq(pc_page_check(page, PAGE, 3, 43, &fault), KEEL_ECHECKSUM);
    cr_assert_str_eq(fault.what, "page number");
    cr_assert_eq(fault.want, 43);
    cr_assert_eq(fault.got, 42);
}

Test(page, of_another_space_is_refused_P4)
{
    make(3, 42);

    cr_assert_eq(pc_page_check(page, PAGE, 4, 42, &fault), KEEL_ECHECKSUM);
    cr_assert_str_eq(fault.what, "space");
}

Test(page, with_any_bit_flipped_is_refused_P4)
{
    make(3, 42);

    for (uint32_t bit = 0; bit < PAGE * 8; bit++) {
        page[bit / 8] = (char)(page[bit / 8] ^ 1 << bit % 8);
        cr_assert_eq(pc_page_check(page, PAGE, 3, 42, &fault), KEEL_ECHECKSUM, "bit %u", bit);
        page[bit / 8] = (char)(page[bit / 8] ^ 1 << bit % 8);
    }
}

Test(page, with_flags_or_reserved_bytes_set_is_refused_although_its_checksum_is_right)
{
    static const uint32_t fields[] = {PC_PAGE_FLAGS_AT, PC_PAGE_RESERVED_AT};

    for (int i = 0; i < 2; i++) {
        make(3, 42);
        store_le32(page + fields[i], 1);
        pc_page_check(page, PAGE, 3, 42, &fault);
        pc_page_set_crc(page, (uint32_t)fault.got);

        cr_assert_eq(pc_page_check(page, PAGE, 3, 42, &fault), KEEL_ECHECKSUM, "field %d", i);
        cr_assert_eq(fault.got, 1);
    }
}

Test(page, of_64_kib_is_sealed_as_a_whole)
{
    static char large[KEEL_PAGE_BYTES_MAX];

    pc_page_init(large, sizeof(large), 1, 5);
    pc_page_seal(large, sizeof(large));
    cr_assert_eq(pc_page_check(large, sizeof(large), 1, 5, &fault), 0);
    large[sizeof(large) - 1] = 1;
    cr_assert_eq(pc_page_check(large, sizeof(large), 1, 5, &fault), KEEL_ECHECKSUM);
}

Test(page, that_carries_flags_is_not_sealed, .signal = SIGILL)
{
    make(3, 42);
    store_le32(page + PC_PAGE_FLAGS_AT, 1);

    pc_page_seal(page, PAGE);
}
