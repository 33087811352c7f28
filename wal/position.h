/*
 * Arithmetic of the log: cursor, position, block, LSN.
 *
 *   cursor    one 64-bit word: the mark (cut number) in the top 8 bits, the position below
 *   position  payload bytes since the first block of this start, so that a reservation is one add
 *   block     4064 payload bytes; number = position / 4064
 *   LSN       byte offset in the log with all headers; block n begins at base + n * 4096
 *
 * A position between two bytes has two LSNs at a block's edge: as an end it is the end of the
 * block, as a beginning it lies behind the header of the next one. end <= begin, always.
 */
#ifndef KEEL_WAL_POSITION_H
#define KEEL_WAL_POSITION_H

#include "base/assert.h"
#include "wal/wal_format.h"

#define WAL_MARK_SHIFT    56
#define WAL_MARK_ONE      (UINT64_C(1) << WAL_MARK_SHIFT)
#define WAL_POSITION_MASK (WAL_MARK_ONE - 1)

static inline uint64_t cursor_position(uint64_t cursor)
{
    return cursor & WAL_POSITION_MASK;
}

static inline uint32_t cursor_mark(uint64_t cursor)
{
    return (uint32_t)(cursor >> WAL_MARK_SHIFT);
}

static inline uint64_t position_block(uint64_t position)
{
    return position / WAL_PAYLOAD;
}

static inline uint32_t position_offset(uint64_t position)
{
    return (uint32_t)(position % WAL_PAYLOAD);
}

/* LSN of the byte that comes at this position. */
static inline keel_lsn position_begin(keel_lsn base, uint64_t position)
{
    return base + position_block(position) * WAL_BLOCK + WAL_HEADER + position_offset(position);
}

/* LSN behind the last byte before this position. */
static inline keel_lsn position_end(keel_lsn base, uint64_t position)
{
    uint32_t offset = position_offset(position);

    return base + position_block(position) * WAL_BLOCK + (offset > 0 ? WAL_HEADER + offset : 0);
}

static inline keel_lsn lsn_block_down(keel_lsn lsn)
{
    return lsn / WAL_BLOCK * WAL_BLOCK;
}

static inline keel_lsn lsn_block_up(keel_lsn lsn)
{
    return lsn_block_down(lsn + WAL_BLOCK - 1);
}

/* Where a block lies on the device. */
static inline uint64_t lsn_offset(uint64_t ring_bytes, keel_lsn block_lsn)
{
    KEEL_DCHECK(block_lsn % WAL_BLOCK == 0);

    return WAL_RING_OFFSET + block_lsn % ring_bytes;
}

/* A record of len payload bytes with header and padding. */
static inline uint64_t record_bytes(uint64_t len)
{
    return (WAL_RECORD_HEADER + len + WAL_RECORD_ALIGN - 1) / WAL_RECORD_ALIGN * WAL_RECORD_ALIGN;
}

/* Most log bytes by which n payload bytes in a row can move the end of the last block. */
static inline uint64_t group_log_bytes(uint64_t n)
{
    return (n / WAL_PAYLOAD + 1) * WAL_BLOCK;
}

#endif
