/*
 * Heads of the engine's log records, byte for byte as docs/format/records.md has them.
 */
#include "engine/record_format.h"

#include <criterion/criterion.h>

Test(records, a_head_is_written_as_documented)
{
    static const uint8_t golden[RECORD_DELTA_BYTES] = {
        0x01, 0x00, 0x00, 0x00, 0x39, 0x30, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x05, 0x00,
    };
    uint8_t head[RECORD_DELTA_BYTES];

    record_store_delta(head, 1, 12345, 64, 5);
    cr_assert_arr_eq(head, golden, sizeof(golden));

    uint8_t page[RECORD_PAGE_BYTES];
    record_store_page(page, 1, 12345);
    cr_assert_arr_eq(page, golden, sizeof(page));
}
