/*
 * A page as it was read: good, never written, or damaged, and nothing else.
 *
 * Input: flags (1: checksum put right, 2: number and space as well, 4: 16 KiB instead of 4), then
 * the page.
 */
#include "base/assert.h"
#include "base/crc32c.h"
#include "pagecache/page.h"
#include "tests/fuzz/fuzz.h"

#define SPACE  1u
#define PAGENO 77u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t page[4 * KEEL_PAGE_BYTES_MIN];
    struct fuzz_input input = {data, size};
    struct pc_page_fault fault = {0};

    uint8_t flags = fuzz_u8(&input);
    uint32_t bytes = (flags & 4) ? sizeof(page) : KEEL_PAGE_BYTES_MIN;
    fuzz_bytes(&input, page, bytes);
    if (flags & 2) {
        pc_page_set_pageno(page, PAGENO);
        pc_page_set_space(page, SPACE);
    }
    if (flags & 1)
        pc_page_set_crc(page, crc32c(0, page + PC_PAGE_CRC_END, bytes - PC_PAGE_CRC_END));

    int rc = pc_page_check(page, bytes, SPACE, PAGENO, &fault);
    KEEL_ASSERT(rc == 0 || rc == KEEL_ENOPAGE || rc == KEEL_ECHECKSUM);
    KEEL_ASSERT(rc != KEEL_ECHECKSUM || fault.what);
    if (rc == 0)
        KEEL_ASSERT(pc_page_pageno(page) == PAGENO && pc_page_space(page) == SPACE);
    return 0;
}
