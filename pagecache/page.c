/*
 * Making, sealing and checking pages.
 *
 * The checksum covers the header behind itself, so also space and page number: a page that was
 * written to, or read from, a wrong place is whole but names another place, and is refused.
 */
#include "pagecache/page.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/text.h"

static uint32_t checksum(const void *page, uint32_t page_bytes)
{
    return crc32c(0, (const char *)page + PC_PAGE_CRC_END, page_bytes - PC_PAGE_CRC_END);
}

/* All bytes zero: the first is, and each equals its successor. */
static bool all_zero(const char *page, uint32_t page_bytes)
{
    return page[0] == 0 && memcmp(page, page + 1, page_bytes - 1) == 0;
}

void pc_page_name(struct keel_err_info *info, uint32_t space, keel_pageno pageno, keel_lsn lsn)
{
    struct text text;

    text_init(&text, info->object, sizeof(info->object));
    text_printf(&text, "space %u page %llu", space, (unsigned long long)pageno);
    if (lsn != KEEL_LSN_MAX)
        text_printf(&text, " lsn %llu", (unsigned long long)lsn);
}

void pc_page_init(void *page, uint32_t page_bytes, uint32_t space, keel_pageno pageno)
{
    KEEL_ASSERT(page_bytes >= KEEL_PAGE_BYTES_MIN && page_bytes <= KEEL_PAGE_BYTES_MAX);
    KEEL_ASSERT(space != 0);

    memset(page, 0, page_bytes);
    pc_page_set_pageno(page, pageno);
    pc_page_set_space(page, space);
}

void pc_page_seal(void *page, uint32_t page_bytes)
{
    KEEL_ASSERT(pc_page_flags(page) == 0 && pc_page_reserved(page) == 0);
    KEEL_ASSERT(pc_page_space(page) != 0);

    pc_page_set_crc(page, checksum(page, page_bytes));
}

static int damaged(struct pc_page_fault *fault, const char *what, uint64_t want, uint64_t got)
{
    fault->what = what;
    fault->want = want;
    fault->got = got;
    return KEEL_ECHECKSUM;
}

int pc_page_check(const void *page, uint32_t page_bytes, uint32_t space, keel_pageno pageno,
                  struct pc_page_fault *fault)
{
    KEEL_ASSERT(page_bytes >= KEEL_PAGE_BYTES_MIN && space != 0);

    /* Space 0 does not exist: only a page never written, or a damaged one, has it. */
    if (pc_page_space(page) == 0 && all_zero(page, page_bytes)) {
        *fault = (struct pc_page_fault){.what = "never written"};
        return KEEL_ENOPAGE;
    }

    uint32_t crc = checksum(page, page_bytes);
    if (crc != pc_page_crc(page))
        return damaged(fault, "checksum", pc_page_crc(page), crc);
    if (pc_page_pageno(page) != pageno)
        return damaged(fault, "page number", pageno, pc_page_pageno(page));
    if (pc_page_space(page) != space)
        return damaged(fault, "space", space, pc_page_space(page));
    if (pc_page_flags(page) != 0)
        return damaged(fault, "flags", 0, pc_page_flags(page));
    if (pc_page_reserved(page) != 0)
        return damaged(fault, "reserved field", 0, pc_page_reserved(page));
    return 0;
}
