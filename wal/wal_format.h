/*
 * What the log looks like on the device: sizes, offsets, magic. docs/format/wal.md is the same in
 * words, with an example. All integers are little-endian; go through base/endian.h.
 *
 *   device: | super 0 | super 1 | ring of 4 KiB blocks ... | super 2 | super 3 |
 *   block:  | 32-byte header | 4064 bytes of payload: records, one after another |
 *   record: | 16-byte header | payload | zeroes up to a multiple of 8 |
 *
 * Records and groups run across blocks. A block is written once and never again.
 */
#ifndef KEEL_WAL_FORMAT_H
#define KEEL_WAL_FORMAT_H

#include "keel/iosched.h"
#include "keel/wal.h"

#define WAL_MAGIC   UINT64_C(0x6c61772d6c65656b) /* "keel-wal" */
#define WAL_VERSION 2u

#define WAL_BLOCK   KEEL_BLOCK_BYTES
#define WAL_HEADER  32u
#define WAL_PAYLOAD (WAL_BLOCK - WAL_HEADER)

/* Superblock copies: so many at each end of the device. */
#define WAL_SUPER_SIDE  2u
#define WAL_SUPER_BYTES (2u * WAL_SUPER_SIDE * WAL_BLOCK)
#define WAL_RING_OFFSET ((uint64_t)WAL_SUPER_SIDE * WAL_BLOCK)
#define WAL_RING_MIN    (KEEL_WAL_BYTES_MIN - WAL_SUPER_BYTES)
#define WAL_RING_SHARE  8u                    /* K is at most this part of the ring */
#define WAL_LSN_FIRST   ((keel_lsn)WAL_BLOCK) /* of a new log; 0 stays "before the first byte" */
#define WAL_LSN_MAX     (UINT64_C(1) << 63)   /* no superblock names more: 29 years at 10 GB/s */
#define WAL_UUID_BYTES  16u

/* Block header. */
enum {
    WAL_BLOCK_CRC = 0,      /* u32, CRC32C of uuid and the block with this field zero */
    WAL_BLOCK_USED = 4,     /* u16, payload bytes in use, multiple of 8 */
    WAL_BLOCK_FIRST = 6,    /* u16, payload offset of the first record that begins here */
    WAL_BLOCK_LSN = 8,      /* u64, of the block's first byte */
    WAL_BLOCK_PROMISE = 16, /* u64, everything below was durable when the block was sealed */
    WAL_BLOCK_EPOCH = 24,   /* u32 */
    WAL_BLOCK_UUID = 28,    /* u32, first four bytes of the uuid */
};
#define WAL_FIRST_NONE 0xffffu /* no record begins in this block */

/* Record header. */
enum {
    WAL_RECORD_LEN = 0, /* u32, payload bytes */
    WAL_RECORD_CRC = 4, /* u32, CRC32C of uuid, payload, and the rest of the header with the LSN */
    WAL_RECORD_GROUP = 8,  /* u32, bytes from here to the end of the group, this record included */
    WAL_RECORD_TYPE = 12,  /* u8, the caller's, not 0 */
    WAL_RECORD_FLAGS = 13, /* u8 */
    WAL_RECORD_RESERVED = 14 /* u16, zero */
};
#define WAL_RECORD_HEADER KEEL_WAL_RECORD_HEADER
#define WAL_RECORD_ALIGN  8u
#define WAL_FLAG_LAST     1u /* last record of its group */

/* What is appended to the payload for a record's CRC: the header without the CRC, then the LSN. */
#define WAL_RECORD_TAIL (WAL_RECORD_HEADER - 4u + 8u)

/* Superblock payload inside a four-copy cell (docs/format/quad.md). */
enum {
    WAL_SUPER_UUID = 0,      /* 16 bytes */
    WAL_SUPER_RING = 16,     /* u64, ring bytes */
    WAL_SUPER_INFLIGHT = 24, /* u64, K: most bytes that were ever between durable and submitted */
    WAL_SUPER_REDO = 32,     /* u64, redo LSN */
    WAL_SUPER_PROMISE = 40,  /* u64, everything below was durable when this was written */
    WAL_SUPER_END = 48,      /* u64, where the log ends; only if clean */
    WAL_SUPER_FLAGS = 56,    /* u32 */
    WAL_SUPER_EPOCHS = 60,   /* u32, how many follow, 1 to WAL_EPOCHS_MAX */
    WAL_SUPER_SYNC = 64,     /* u32, sync method that was measured, 0: none; and WAL_SUPER_INLINE */
    WAL_SUPER_DEVICE = 68,   /* u32, on which device: CRC32C of what tells it from others */
    WAL_SUPER_RESERVED = 72, /* u64, zero */
    WAL_SUPER_LIST = 80,     /* epochs, oldest first */
    WAL_SUPER_LIST_V1 = 64,  /* version 1 has neither SYNC nor what follows it, but the list here */
};
#define WAL_SUPER_CLEAN  1u   /* closed in order */
#define WAL_SUPER_INLINE 256u /* a blocking commit carries its write out itself */

/* One epoch of the list. */
enum {
    WAL_EPOCH_NUMBER = 0,   /* u32 */
    WAL_EPOCH_RESERVED = 4, /* u32, zero */
    WAL_EPOCH_FIRST = 8,    /* u64, LSN of its first block */
    WAL_EPOCH_PREV_END = 16 /* u64, where the one before it ends */
};
#define WAL_EPOCH_BYTES 24u
#define WAL_EPOCHS_MAX  128u

#define WAL_SUPER_MAX (WAL_SUPER_LIST + WAL_EPOCHS_MAX * WAL_EPOCH_BYTES)

_Static_assert(WAL_BLOCK_UUID + 4 == WAL_HEADER, "block header without holes");
_Static_assert(WAL_RECORD_RESERVED + 2 == WAL_RECORD_HEADER, "record header without holes");
_Static_assert(WAL_EPOCH_PREV_END + 8 == WAL_EPOCH_BYTES, "epoch without holes");
_Static_assert(WAL_PAYLOAD % WAL_RECORD_ALIGN == 0, "records stay aligned across blocks");
_Static_assert(WAL_HEADER % WAL_RECORD_ALIGN == 0, "records are aligned in memory");
_Static_assert(WAL_RECORD_HEADER % WAL_RECORD_ALIGN == 0, "payload is aligned");
_Static_assert(WAL_PAYLOAD < WAL_FIRST_NONE, "no offset looks like none");
_Static_assert(WAL_SUPER_MAX <= KEEL_QUAD_PAYLOAD_MAX, "the list fits into a superblock copy");

#endif
