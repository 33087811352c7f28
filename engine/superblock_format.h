/*
 * The store's superblock on disk: the payload of the four-copy cell in store.keel.
 *
 * Offsets and sizes only; docs/format/superblock.md has the table in words. All integers are
 * little-endian. The cell around it (magic, checksum, generation) is docs/format/quad.md.
 */
#ifndef KEEL_ENGINE_SUPERBLOCK_FORMAT_H
#define KEEL_ENGINE_SUPERBLOCK_FORMAT_H

#include <stdint.h>

#define SUPER_MAGIC   UINT64_C(0x65726f74536c656b) /* "kelStore" in memory */
#define SUPER_VERSION 2u /* of a store with TORN 1; else 1, which a reader of 1 reads too */

#define SUPER_UUID_BYTES 16u

#define SUPER_AT_UUID        0u  /* 16 bytes: of the store */
#define SUPER_AT_LOG_UUID    16u /* 16 bytes: of the log that belongs to it */
#define SUPER_AT_PAGE_BYTES  32u /* u32 */
#define SUPER_AT_SPACE_ID    36u /* u32, 1 */
#define SUPER_AT_SPACE_PAGES 40u /* u64: pages of pages.keel that are zeroed, synced and usable */
#define SUPER_AT_LOG_BYTES   48u /* u64: length of the log on one device; 0 in a folder */
#define SUPER_AT_TORN        56u /* u32: 0 images in the log, 1 pages are written untorn */
#define SUPER_AT_RESERVED    60u /* 4 bytes, 0 */
#define SUPER_BYTES          64u

_Static_assert(SUPER_AT_LOG_UUID == SUPER_AT_UUID + SUPER_UUID_BYTES, "no padding");
_Static_assert(SUPER_AT_PAGE_BYTES == SUPER_AT_LOG_UUID + SUPER_UUID_BYTES, "no padding");
_Static_assert(SUPER_AT_SPACE_ID == SUPER_AT_PAGE_BYTES + 4, "no padding");
_Static_assert(SUPER_AT_SPACE_PAGES == SUPER_AT_SPACE_ID + 4, "no padding");
_Static_assert(SUPER_AT_LOG_BYTES == SUPER_AT_SPACE_PAGES + 8, "no padding");
_Static_assert(SUPER_AT_TORN == SUPER_AT_LOG_BYTES + 8, "no padding");
_Static_assert(SUPER_AT_RESERVED == SUPER_AT_TORN + 4, "no padding");
_Static_assert(SUPER_BYTES == SUPER_AT_RESERVED + 4, "no padding");

/* store.keel: the four copies, one after another, and nothing else. */
#define SUPER_COPIES     4u
#define SUPER_FILE_BYTES (SUPER_COPIES * 4096u)

#endif
