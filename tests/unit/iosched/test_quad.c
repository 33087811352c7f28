/*
 * The four-copy cell: what is read back after copies were lost, torn or left behind.
 *
 * The copies lie in blocks 0, 1, 62 and 63 of the device; the tests damage them there.
 */
#include <string.h>

#include "base/endian.h"
#include "iosched/quad_format.h"
#include "tests/unit/iosched/fixture.h"

TestSuite(quad, .timeout = 30);

#define MAGIC 0x64617571ull

struct cell {
    struct fixture f;
    struct keel_quad quad;
};

static const unsigned places[4] = {0, 1, 62, 63};

static void cell_open(struct cell *cell)
{
    fixture_open_method(&cell->f, KEEL_METHOD_SYNC);
    cell->quad = (struct keel_quad){.device = cell->f.device,
                                    .magic = MAGIC,
                                    .version = 1,
                                    .arena = cell->f.arena,
                                    .block = cell->f.memory + 8 * BLOCK};
    for (unsigned i = 0; i < 4; i++)
        cell->quad.offsets[i] = (uint64_t)places[i] * BLOCK;
}

static uint8_t *copy_read(struct cell *cell, unsigned copy)
{
    struct keel_io io = fixture_io(&cell->f, KEEL_OP_READ, places[copy], 1, 0);

    cr_assert_eq(fixture_run(&cell->f, &io), 0);
    return io.buf;
}

static void copy_write(struct cell *cell, unsigned copy)
{
    struct keel_io io = fixture_io(&cell->f, KEEL_OP_WRITE, places[copy], 1, 0);

    cr_assert_eq(fixture_run(&cell->f, &io), 0);
}

/* As a torn write leaves it: the second half is of another time. */
static void tear(struct cell *cell, unsigned copy)
{
    uint8_t *block = copy_read(cell, copy);

    memset(block + BLOCK / 2, 0xcc, BLOCK / 2);
    copy_write(cell, copy);
}

static int reopen(struct cell *cell, bool repair, char *payload)
{
    uint32_t len = 16;

    cell->quad.generation = 0;
    int rc = keel_quad_open(cell->f.ctx, &cell->quad, repair, payload, &len);
    if (rc == 0)
        cr_assert_eq(len, 6);
    return rc;
}

static uint64_t generation_of(struct cell *cell, unsigned copy)
{
    return load_le64(copy_read(cell, copy) + QUAD_AT_GENERATION);
}

Test(quad, reads_back_what_the_last_step_wrote)
{
    struct cell cell;
    char payload[16];

    cell_open(&cell);
    cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "first", 6), 0);
    cr_assert_eq(keel_quad_step(cell.f.ctx, &cell.quad, "other", 6), 0);
    cr_assert_eq(reopen(&cell, true, payload), 0);
    cr_assert_str_eq(payload, "other");
    cr_assert_eq(cell.quad.generation, 2);
    cr_assert_eq(cell.quad.steps_written, 2);
    fixture_close(&cell.f);
}

/* The example of docs/format/quad.md, byte for byte. */
Test(quad, writes_the_bytes_that_the_format_describes)
{
    static const uint8_t golden[40] = {0x71, 0x75, 0x61, 0x64, 0x00, 0x00, 0x00, 0x00, 0x38, 0xc9,
                                       0x87, 0x6a, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
                                       0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x06, 0x00,
                                       0x00, 0x00, 0x66, 0x69, 0x72, 0x73, 0x74, 0x00, 0x00, 0x00};
    struct cell cell;

    cell_open(&cell);
    cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "first", 6), 0);
    const uint8_t *block = copy_read(&cell, 2);
    for (unsigned i = 0; i < BLOCK; i++)
        cr_assert_eq(block[i], i < sizeof(golden) ? golden[i] : 0, "byte %u is %02x", i, block[i]);
    fixture_close(&cell.f);
}

/* Every set of torn copies: with two valid ones it opens and repairs, else it refuses. */
Test(quad, opens_with_any_two_copies_and_repairs_the_others)
{
    for (unsigned torn = 0; torn < 16; torn++) {
        unsigned valid = 4 - (unsigned)__builtin_popcount(torn);
        struct cell cell;
        char payload[16];

        cell_open(&cell);
        cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "first", 6), 0);
        for (unsigned copy = 0; copy < 4; copy++) {
            if (torn >> copy & 1)
                tear(&cell, copy);
        }
        cr_assert_eq(reopen(&cell, true, payload), valid >= 2 ? 0 : KEEL_ESUPER, "torn %x", torn);
        if (valid >= 2) {
            cr_assert_str_eq(payload, "first");
            for (unsigned copy = 0; copy < 4; copy++)
                cr_assert_eq(generation_of(&cell, copy), 1, "torn %x, copy %u", torn, copy);
            cr_assert_eq(reopen(&cell, false, payload), 0);
        }
        fixture_close(&cell.f);
    }
}

/* So that opening what was closed in order costs no synced write. */
Test(quad, copies_that_are_the_newest_already_are_not_written_again)
{
    for (unsigned torn = 0; torn < 3; torn++) {
        struct cell cell;
        char payload[16];

        cell_open(&cell);
        cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "first", 6), 0);
        for (unsigned copy = 0; copy < torn; copy++)
            tear(&cell, copy);
        cell.quad.steps_written = 0;
        cr_assert_eq(reopen(&cell, true, payload), 0);
        cr_assert_eq(cell.quad.steps_written, torn > 0, "%u torn", torn);
        cell.quad.steps_written = 0;
        cr_assert_eq(reopen(&cell, true, payload), 0);
        cr_assert_eq(cell.quad.steps_written, 0, "once repaired");
        fixture_close(&cell.f);
    }
}

/* Of one generation and yet different: only a step that failed on every copy and was made again
 * could leave that. One of the two is made all four. */
Test(quad, a_copy_of_the_same_generation_with_other_content_is_replaced)
{
    struct cell cell;
    char payload[16];
    uint8_t other[BLOCK];

    cell_open(&cell);
    cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "other", 6), 0);
    memcpy(other, copy_read(&cell, 3), BLOCK);
    cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "first", 6), 0);
    memcpy(copy_read(&cell, 3), other, BLOCK);
    copy_write(&cell, 3);
    cr_assert_eq(reopen(&cell, true, payload), 0);
    cr_assert_str_eq(payload, "first");
    for (unsigned copy = 0; copy < 3; copy++)
        tear(&cell, copy);
    cr_assert_eq(reopen(&cell, false, payload), KEEL_ESUPER);
    cr_assert_eq(memcmp(copy_read(&cell, 3) + QUAD_AT_PAYLOAD, "first", 6), 0);
    fixture_close(&cell.f);
}

/* A step that a crash cut off after `written` copies, the next of them torn: the newest is taken
 * and made whole, and stays after that whatever happens to the copy it came from. */
Test(quad, a_step_that_was_cut_off_is_undone_or_done_in_full)
{
    for (unsigned written = 0; written < 4; written++) {
        struct cell cell;
        char payload[16];
        uint8_t old[4][BLOCK];

        cell_open(&cell);
        cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "first", 6), 0);
        for (unsigned copy = 0; copy < 4; copy++)
            memcpy(old[copy], copy_read(&cell, copy), BLOCK);
        cr_assert_eq(keel_quad_step(cell.f.ctx, &cell.quad, "other", 6), 0);
        for (unsigned copy = written; copy < 4; copy++) {
            memcpy(copy_read(&cell, copy), old[copy], BLOCK);
            copy_write(&cell, copy);
        }
        tear(&cell, written);

        cr_assert_eq(reopen(&cell, true, payload), 0);
        cr_assert_str_eq(payload, written > 0 ? "other" : "first", "%u", written);
        tear(&cell, 0);
        cr_assert_eq(reopen(&cell, false, payload), 0);
        cr_assert_str_eq(payload, written > 0 ? "other" : "first", "%u", written);
        fixture_close(&cell.f);
    }
}

Test(quad, tells_what_is_no_cell_from_what_is_a_newer_one)
{
    struct cell cell;
    char payload[16];
    uint32_t len = 3;

    cell_open(&cell);
    cr_assert_eq(reopen(&cell, true, payload), KEEL_EFORMAT);
    cell.quad.version = 2;
    cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "first", 6), 0);
    cell.quad.version = 1;
    cr_assert_eq(reopen(&cell, true, payload), KEEL_EVERSION);
    cell.quad.version = 2;
    cr_assert_eq(keel_quad_open(cell.f.ctx, &cell.quad, false, payload, &len), KEEL_ERANGE);
    cell.quad.generation = 1;
    cr_assert_eq(keel_quad_step(cell.f.ctx, &cell.quad, payload, KEEL_QUAD_PAYLOAD_MAX + 1),
                 KEEL_ERANGE);
    fixture_close(&cell.f);
}

/* A copy in the wrong place is as bad as none. */
Test(quad, a_misplaced_copy_is_not_valid)
{
    struct cell cell;
    char payload[16];

    cell_open(&cell);
    cr_assert_eq(keel_quad_create(cell.f.ctx, &cell.quad, "first", 6), 0);
    for (unsigned copy = 1; copy < 4; copy++) {
        uint8_t first[BLOCK];
        memcpy(first, copy_read(&cell, 0), BLOCK);
        memcpy(copy_read(&cell, copy), first, BLOCK);
        copy_write(&cell, copy);
    }
    cr_assert_eq(reopen(&cell, true, payload), KEEL_ESUPER);
    fixture_close(&cell.f);
}
