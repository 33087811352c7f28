/*
 * The arithmetic of positions and LSNs, over all edges of a block.
 */
#include <criterion/criterion.h>

#include "wal/position.h"

TestSuite(wal_position, .timeout = 20);

Test(wal_position, begins_behind_the_header_and_ends_at_the_last_byte)
{
    keel_lsn base = 40960;

    cr_assert_eq(position_end(base, 0), base);
    cr_assert_eq(position_begin(base, 0), base + WAL_HEADER);
    cr_assert_eq(position_end(base, 8), base + WAL_HEADER + 8);
    cr_assert_eq(position_end(base, WAL_PAYLOAD), base + WAL_BLOCK);
    cr_assert_eq(position_begin(base, WAL_PAYLOAD), base + WAL_BLOCK + WAL_HEADER);
}

Test(wal_position, is_monotone_and_an_end_is_never_above_the_beginning_there)
{
    for (uint64_t position = 0; position < 3 * WAL_PAYLOAD; position += WAL_RECORD_ALIGN) {
        cr_assert_leq(position_end(4096, position), position_begin(4096, position));
        cr_assert_lt(position_begin(4096, position), position_begin(4096, position + 8));
        cr_assert_lt(position_end(4096, position), position_end(4096, position + 8));
        cr_assert_lt(position_begin(4096, position), position_end(4096, position + 8));
    }
}

Test(wal_position, the_mark_wraps_without_touching_the_position)
{
    uint64_t cursor = 12345;

    for (uint32_t i = 0; i < 600; i++) {
        cr_assert_eq(cursor_mark(cursor), i % 256);
        cr_assert_eq(cursor_position(cursor), 12345);
        cursor += WAL_MARK_ONE;
    }
}

Test(wal_position, a_credit_covers_the_worst_way_in_which_a_group_can_lie)
{
    for (uint64_t n = 8; n < 3 * WAL_PAYLOAD; n += 8) {
        for (uint64_t at = 0; at < WAL_PAYLOAD; at += 8 * 31) {
            keel_lsn before = lsn_block_up(position_end(0, at));
            keel_lsn after = lsn_block_up(position_end(0, at + n));

            cr_assert_leq(after - before, group_log_bytes(n), "%lu bytes at %lu", (unsigned long)n,
                          (unsigned long)at);
        }
    }
}

Test(wal_position, offsets_stay_inside_the_ring)
{
    uint64_t ring = 64 * WAL_BLOCK;

    for (keel_lsn lsn = 0; lsn < 200 * WAL_BLOCK; lsn += WAL_BLOCK) {
        uint64_t offset = lsn_offset(ring, lsn);

        cr_assert_geq(offset, WAL_RING_OFFSET);
        cr_assert_leq(offset + WAL_BLOCK, WAL_RING_OFFSET + ring);
        cr_assert_eq(lsn_offset(ring, lsn + ring), offset);
    }
}
