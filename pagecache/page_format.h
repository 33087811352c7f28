/*
 * Bytes of a page on the device. docs/format/page.md has the table, the validity rules and a worked
 * example. Little-endian; disk only: constants, offsets, loads and stores.
 */
#ifndef KEEL_PAGECACHE_PAGE_FORMAT_H
#define KEEL_PAGECACHE_PAGE_FORMAT_H

#include <keel/pagecache.h>

#include "base/endian.h"

/* clang-format off */
/* name, offset, size, meaning */
#define PC_PAGE_FIELDS(X) \
X(CRC,      0,  4, "CRC32C over every byte of the page behind this field") \
X(FLAGS,    4,  4, "0; anything else is invalid") \
X(LSN,      8,  8, "page LSN: end of the last group that changed the page") \
X(PAGENO,   16, 8, "number of the page in its space") \
X(SPACE,    24, 4, "id of the space") \
X(RESERVED, 28, 4, "0; anything else is invalid")
/* clang-format on */

enum pc_page_field {
#define PC_PAGE_FIELD_AT(name, at, size, meaning) PC_PAGE_##name##_AT = (at),
    PC_PAGE_FIELDS(PC_PAGE_FIELD_AT)
#undef PC_PAGE_FIELD_AT
#define PC_PAGE_FIELD_END(name, at, size, meaning) PC_PAGE_##name##_END = (at) + (size),
        PC_PAGE_FIELDS(PC_PAGE_FIELD_END)
#undef PC_PAGE_FIELD_END
};

/* No gap, no overlap, and the whole header. */
_Static_assert(PC_PAGE_CRC_AT == 0, "the checksum comes first");
_Static_assert((int)PC_PAGE_FLAGS_AT == (int)PC_PAGE_CRC_END, "no gap");
_Static_assert((int)PC_PAGE_LSN_AT == (int)PC_PAGE_FLAGS_END, "no gap");
_Static_assert((int)PC_PAGE_PAGENO_AT == (int)PC_PAGE_LSN_END, "no gap");
_Static_assert((int)PC_PAGE_SPACE_AT == (int)PC_PAGE_PAGENO_END, "no gap");
_Static_assert((int)PC_PAGE_RESERVED_AT == (int)PC_PAGE_SPACE_END, "no gap");
_Static_assert(PC_PAGE_RESERVED_END == KEEL_PAGE_HEADER_BYTES, "header size");
_Static_assert(KEEL_PAGE_BYTES_MIN % KEEL_BLOCK_BYTES == 0, "pages are whole blocks");

static inline uint32_t pc_page_crc(const void *page)
{
    return load_le32((const char *)page + PC_PAGE_CRC_AT);
}

static inline uint32_t pc_page_flags(const void *page)
{
    return load_le32((const char *)page + PC_PAGE_FLAGS_AT);
}

static inline keel_lsn pc_page_lsn(const void *page)
{
    return load_le64((const char *)page + PC_PAGE_LSN_AT);
}

static inline keel_pageno pc_page_pageno(const void *page)
{
    return load_le64((const char *)page + PC_PAGE_PAGENO_AT);
}

static inline uint32_t pc_page_space(const void *page)
{
    return load_le32((const char *)page + PC_PAGE_SPACE_AT);
}

static inline uint32_t pc_page_reserved(const void *page)
{
    return load_le32((const char *)page + PC_PAGE_RESERVED_AT);
}

static inline void pc_page_set_crc(void *page, uint32_t crc)
{
    store_le32((char *)page + PC_PAGE_CRC_AT, crc);
}

static inline void pc_page_set_lsn(void *page, keel_lsn lsn)
{
    store_le64((char *)page + PC_PAGE_LSN_AT, lsn);
}

static inline void pc_page_set_pageno(void *page, keel_pageno pageno)
{
    store_le64((char *)page + PC_PAGE_PAGENO_AT, pageno);
}

static inline void pc_page_set_space(void *page, uint32_t space)
{
    store_le32((char *)page + PC_PAGE_SPACE_AT, space);
}

#endif
