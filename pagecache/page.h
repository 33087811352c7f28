/*
 * Whole pages: make one, seal it just before it is written, check it just after it was read (P4).
 * Pure functions over bytes.
 */
#ifndef KEEL_PAGECACHE_PAGE_H
#define KEEL_PAGECACHE_PAGE_H

#include "pagecache/page_format.h"

/* What was wrong with a page; the numbers go into keel_err_info. */
struct pc_page_fault {
    const char *what; /* constant string */
    uint64_t want;
    uint64_t got;
};

/* info->object: "space S page P lsn L"; lsn KEEL_LSN_MAX: without it. The LSN is what the page's
 * header says, damaged or not. */
void pc_page_name(struct keel_err_info *info, uint32_t space, keel_pageno pageno, keel_lsn lsn);

/* All zero but for a header that names space and page; LSN 0. */
void pc_page_init(void *page, uint32_t page_bytes, uint32_t space, keel_pageno pageno);

/* Set the checksum, after the last change (P4). */
void pc_page_seal(void *page, uint32_t page_bytes);

/*
 * Is this the page that belongs there? 0; KEEL_ENOPAGE: all zero, never written; KEEL_ECHECKSUM and
 * *fault: the bytes are damaged, or whole but of another place.
 */
int pc_page_check(const void *page, uint32_t page_bytes, uint32_t space, keel_pageno pageno,
                  struct pc_page_fault *fault);

#endif
