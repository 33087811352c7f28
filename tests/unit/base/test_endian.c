#include "base/endian.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(endian, .timeout = 20);

Test(endian, stores_the_low_byte_first)
{
    uint8_t bytes[14];

    store_le16(bytes, 0x0102);
    store_le32(bytes + 2, 0x03040506);
    store_le64(bytes + 6, 0x0708090a0b0c0d0e);

    static const uint8_t want[14] = {0x02, 0x01, 0x06, 0x05, 0x04, 0x03, 0x0e,
                                     0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 0x07};
    cr_assert_arr_eq(bytes, want, sizeof(want));
}

Test(endian, loads_what_it_stored_at_every_alignment)
{
    uint8_t bytes[32];

    for (size_t at = 0; at < 16; at++) {
        store_le16(bytes + at, 0xfedc);
        cr_assert_eq(load_le16(bytes + at), 0xfedc);
        store_le32(bytes + at, 0xfedcba98);
        cr_assert_eq(load_le32(bytes + at), 0xfedcba98);
        store_le64(bytes + at, 0xfedcba9876543210);
        cr_assert_eq(load_le64(bytes + at), 0xfedcba9876543210);
    }
}
