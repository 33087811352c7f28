/*
 * The engine's log records on disk: type and payload (docs/format/records.md).
 *
 * Every record names a page. All records of one page in a group follow one another.
 */
#ifndef KEEL_ENGINE_RECORD_FORMAT_H
#define KEEL_ENGINE_RECORD_FORMAT_H

#include <stdint.h>

#include "base/endian.h"

enum record_type {
    RECORD_IMAGE = 1, /* the whole user part; what the page held before is void */
    RECORD_ZERO = 2,  /* the user part becomes zeroes; what the page held before is void */
    RECORD_DELTA = 3, /* some bytes of the user part */
};

#define RECORD_AT_SPACE   0u  /* u32 */
#define RECORD_AT_PAGENO  4u  /* u64 */
#define RECORD_PAGE_BYTES 12u /* head of IMAGE (the user part follows) and all of ZERO */

#define RECORD_AT_OFFSET   12u /* u16, in the user part */
#define RECORD_AT_LEN      14u /* u16; as many bytes follow */
#define RECORD_DELTA_BYTES 16u /* head of DELTA */

_Static_assert(RECORD_AT_PAGENO == RECORD_AT_SPACE + 4, "no padding");
_Static_assert(RECORD_PAGE_BYTES == RECORD_AT_PAGENO + 8, "no padding");
_Static_assert(RECORD_AT_OFFSET == RECORD_PAGE_BYTES, "a delta begins as the others do");
_Static_assert(RECORD_DELTA_BYTES == RECORD_AT_LEN + 2, "no padding");

static inline void record_store_page(uint8_t *head, uint32_t space, uint64_t pageno)
{
    store_le32(head + RECORD_AT_SPACE, space);
    store_le64(head + RECORD_AT_PAGENO, pageno);
}

static inline void record_store_delta(uint8_t *head, uint32_t space, uint64_t pageno,
                                      uint16_t offset, uint16_t len)
{
    record_store_page(head, space, pageno);
    store_le16(head + RECORD_AT_OFFSET, offset);
    store_le16(head + RECORD_AT_LEN, len);
}

#endif
