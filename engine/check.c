/*
 * keel_check: read every allocated page and say which do not hold what was written.
 *
 * The map is read in chunks and no latch is held from one to the next, so the store may be in use:
 * a page that is freed meanwhile still has a good checksum, and one that is allocated is in memory.
 */
#include <string.h>

#include <keel/pagecache.h>

#include "base/assert.h"
#include "engine/store.h"

#define AHEAD 32u /* pages read ahead */

struct check {
    struct keel_ctx *ctx;
    struct keel_store *store;
    void (*each)(void *arg, const struct keel_err_info *info);
    void *arg;
    uint64_t pages;
    int damaged;
    /* pages whose reads are started, checked when it is full */
    keel_pageno batch[AHEAD];
    uint32_t count;
};

/* Damage is counted, refusals of a poisoned store are passed over, anything else ends the check. */
static int check_page(struct check *check, keel_pageno pageno)
{
    struct keel_err_info info = {0};
    struct keel_page page;

    int rc =
        keel_page_fix(check->ctx, check->store->space, pageno, KEEL_FIX_SHARED, 0, &info, &page);
    check->pages++;
    if (rc == 0) {
        keel_page_unfix(&page);
        return 0;
    }
    if (rc == KEEL_EPOISON)
        return 0;
    if (rc != KEEL_ENOPAGE && keel_err_class(rc) != KEEL_CLASS_CORRUPT)
        return rc;

    check->damaged++;
    if (info.code == 0) {
        store_error(&info, rc, "check", "pages.keel");
        info.offset = pageno * check->store->config.page_bytes;
    }
    if (check->each)
        check->each(check->arg, &info);
    return 0;
}

static int flush(struct check *check)
{
    int rc = 0;

    keel_ignore(keel_page_prefetch(check->ctx, check->store->space, check->batch, check->count),
                "a hint");
    for (uint32_t i = 0; i < check->count && rc == 0; i++)
        rc = check_page(check, check->batch[i]);
    check->count = 0;
    return rc;
}

static int check_chunk(struct check *check, keel_pageno first, const uint8_t *bits, uint32_t bytes)
{
    int rc = 0;

    for (uint32_t i = 0; i < bytes * 8 && rc == 0; i++) {
        if (!(bits[i / 8] >> i % 8 & 1))
            continue;
        check->batch[check->count++] = first + i;
        if (check->count == AHEAD)
            rc = flush(check);
    }
    return rc;
}

/* One page of the map and all that it describes. */
static int check_map_page(struct check *check, keel_pageno base)
{
    uint8_t bits[ALLOC_CHUNK_BYTES];
    uint32_t bytes;
    int rc = 0;

    for (uint32_t at = 0; at < check->store->page_len && rc == 0; at += bytes) {
        struct keel_err_info info = {0};
        rc = alloc_map_read(check->store, check->ctx, base, at, bits, &info, &bytes);
        if (rc && keel_err_class(rc) == KEEL_CLASS_CORRUPT) {
            /* What it describes cannot be told; it is damage itself. */
            check->damaged++;
            if (check->each)
                check->each(check->arg, &info);
            return 0;
        }
        if (rc == 0)
            rc = check_chunk(check, base + (keel_pageno)at * 8, bits, bytes);
    }
    return rc;
}

int keel_check(struct keel_ctx *ctx, struct keel_store *store,
               void (*each)(void *arg, const struct keel_err_info *info), void *arg,
               uint64_t *ret_pages)
{
    struct check check = {.ctx = ctx, .store = store, .each = each, .arg = arg};
    int rc = 0;

    KEEL_ASSERT(ctx && store);
    keel_pageno pages = keel_space_pages(store->space);
    for (keel_pageno base = 0; base < pages && rc == 0; base += store->map.bits)
        rc = check_map_page(&check, base);
    if (rc == 0)
        rc = flush(&check);
    if (rc)
        return rc;
    if (ret_pages)
        *ret_pages = check.pages;
    return check.damaged;
}
