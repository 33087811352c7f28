/*
 * Known answers from RFC 3720 B.4, and the chaining that page and block checksums rely on.
 */
#include "base/crc32c.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/prng.h"
#include "tests/support/seed.h"
#include "tests/support/table.h"

TestSuite(crc32c, .timeout = 20);

static const struct {
    const char *label;
    const char *fill; /* bytes, or NULL for the pattern */
    uint8_t first;    /* pattern: first, first + step, ... */
    int step;
    size_t len;
    uint32_t want;
} rows[] = {
    {"nothing", "", 0, 0, 0, 0},
    {"check value", "123456789", 0, 0, 9, 0xe3069283},
    {"32 zeroes", NULL, 0, 0, 32, 0x8a9136aa},
    {"32 ones", NULL, 0xff, 0, 32, 0x62a8ab43},
    {"rising", NULL, 0, 1, 32, 0x46dd794e},
    {"falling", NULL, 31, -1, 32, 0x113fdb5c},
};

TABLE_TEST(crc32c, gives_the_known_answer, rows)
{
    uint8_t bytes[32];

    if (row->fill)
        memcpy(bytes, row->fill, row->len);
    for (size_t i = 0; !row->fill && i < row->len; i++)
        bytes[i] = (uint8_t)(row->first + row->step * (int)i);

    cr_assert_eq(crc32c(0, bytes, row->len), row->want, "%s", row->label);
}

/* Bit by bit, straight from the polynomial. */
static uint32_t crc32c_slow(uint32_t crc, const uint8_t *bytes, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

Test(crc32c, agrees_with_the_polynomial_at_any_length_and_alignment)
{
    static uint8_t bytes[9000];
    struct prng prng;
    prng_seed(&prng, test_seed("crc32c"));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)prng_u64(&prng);

    for (unsigned i = 0; i < 300; i++) {
        size_t at = prng_below(&prng, 64);
        size_t len = prng_below(&prng, sizeof(bytes) - at);
        uint32_t crc = (uint32_t)prng_u64(&prng);

        cr_assert_eq(crc32c(crc, bytes + at, len), crc32c_slow(crc, bytes + at, len),
                     "at %zu len %zu crc %x", at, len, crc);
    }
}

Test(crc32c, can_be_continued_at_any_place)
{
    static const char bytes[] = "the checksum of a whole is that of its parts";

    for (size_t cut = 0; cut < sizeof(bytes); cut++) {
        uint32_t head = crc32c(0, bytes, cut);
        cr_assert_eq(crc32c(head, bytes + cut, sizeof(bytes) - cut),
                     crc32c(0, bytes, sizeof(bytes)), "cut at %zu", cut);
    }
}
