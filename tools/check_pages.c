/*
 * Reading every page of a space, in large transfers, several in flight, and judging each.
 *
 * The transfers are waited for in the order of the file, so that what is found comes in that order.
 * A transfer that fails is made again page by page: only those that cannot be read are reported.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "pagecache/page.h"
#include "tools/check_store.h"

#define CHUNK_BYTES KEEL_IO_BYTES_MAX
#define CHUNKS      8u

struct chunk {
    struct keel_io io;
    keel_pageno first;
    uint32_t count; /* of pages; 0: nothing in flight */
};

/* What is wrong with a page as read, in *damage: 0 nothing, KEEL_ENOPAGE, KEEL_ECHECKSUM. */
static int judge(const struct check_store *store, const uint8_t *page, struct check_damage *damage)
{
    struct pc_page_fault fault = {0};
    int rc =
        pc_page_check(page, store->super.page_bytes, store->super.space_id, damage->page, &fault);

    damage->what = fault.what;
    damage->want = fault.want;
    damage->got = fault.got;
    damage->lsn = pc_page_lsn(page);
    if (rc == 0 && store->log_rc == 0 && damage->lsn > store->log.end_lsn) {
        damage->what = "LSN above the end of the log";
        damage->want = store->log.end_lsn;
        damage->got = damage->lsn;
        return KEEL_ECHECKSUM;
    }
    return rc;
}

static struct check_damage page_damage(const struct check_store *store, keel_pageno pageno)
{
    return (struct check_damage){.file = "pages.keel",
                                 .of_page = true,
                                 .in_use = check_bit(store->in_use, pageno),
                                 .space = store->super.space_id,
                                 .page = pageno,
                                 .offset = pageno * store->super.page_bytes};
}

static void check_page(struct check_store *store, keel_pageno pageno, const uint8_t *page)
{
    struct check_damage damage = page_damage(store, pageno);
    bool map = pageno % store->map_bits == 0;
    int rc = judge(store, page, &damage);

    store->counts.done++;
    if (rc == KEEL_ENOPAGE) {
        store->counts.never_written++;
        /* A map page that was never written says that nothing is allocated. */
        if (map || !damage.in_use || check_bit(store->whole, pageno))
            return;
        damage.what = "allocated, but never written";
    }
    if (rc == 0)
        return;
    if (check_bit(store->whole, pageno))
        store->counts.remade++;
    else
        check_report(store, &damage);
}

static void check_unreadable(struct check_store *store, keel_pageno pageno, int error)
{
    struct check_damage damage = page_damage(store, pageno);

    store->counts.done++;
    if (check_bit(store->whole, pageno)) {
        store->counts.remade++; /* it will be written without being read */
        return;
    }
    damage.what = "the device cannot read it";
    damage.got = (uint64_t)-error;
    check_report(store, &damage);
}

static int start(struct check_store *store, struct chunk *chunk, keel_pageno first, uint32_t count)
{
    uint32_t bytes = store->super.page_bytes;
    void *buf = chunk->io.buf;

    chunk->first = first;
    chunk->count = count;
    chunk->io = (struct keel_io){.device = store->pages_device,
                                 .buf = buf,
                                 .offset_bytes = first * bytes,
                                 .len_bytes = count * bytes,
                                 .op = KEEL_OP_READ,
                                 .cls = KEEL_CLASS_SCRUB};
    return keel_io_submit(store->ctx, &chunk->io);
}

static void finish(struct check_store *store, struct chunk *chunk, int rc)
{
    uint32_t bytes = store->super.page_bytes;
    uint8_t *buf = chunk->io.buf;
    keel_pageno first = chunk->first;
    uint32_t count = chunk->count;

    chunk->count = 0;
    if (rc == 0) {
        for (uint32_t i = 0; i < count; i++)
            check_page(store, first + i, buf + (size_t)i * bytes);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        rc = start(store, chunk, first + i, 1);
        chunk->count = 0;
        if (rc == 0)
            rc = keel_io_wait(store->ctx, &chunk->io);
        if (rc == 0)
            check_page(store, first + i, buf);
        else
            check_unreadable(store, first + i, rc);
    }
}

/* Pages of the space that the file does not have. */
static keel_pageno missing(struct check_store *store)
{
    uint64_t size = keel_device_info(store->pages_device)->size_bytes;
    keel_pageno there = size / store->super.page_bytes;

    if (there >= store->counts.pages)
        return store->counts.pages;
    struct check_damage damage = {.file = "pages.keel",
                                  .what = "pages are missing at the end",
                                  .want = store->counts.pages,
                                  .got = there};
    check_report(store, &damage);
    return there;
}

int check_pages(struct check_store *store, void (*progress)(const struct check_store *store))
{
    struct chunk chunks[CHUNKS] = {0};
    uint8_t *buffers = mem_alloc_aligned(KEEL_BLOCK_BYTES, (size_t)CHUNKS * CHUNK_BYTES);
    uint32_t each = CHUNK_BYTES / store->super.page_bytes;
    keel_pageno next = 0, end = missing(store);

    if (!buffers)
        return -ENOMEM;
    for (unsigned i = 0; i < CHUNKS; i++)
        chunks[i].io.buf = buffers + (size_t)i * CHUNK_BYTES;
    for (unsigned turn = 0, idle = 0; idle < CHUNKS; turn = (turn + 1) % CHUNKS) {
        struct chunk *chunk = &chunks[turn];
        if (chunk->count > 0)
            finish(store, chunk, keel_io_wait(store->ctx, &chunk->io));
        progress(store);
        idle = next < end ? 0 : idle + 1;
        if (next == end)
            continue;
        uint32_t count = end - next < each ? (uint32_t)(end - next) : each;
        int rc = start(store, chunk, next, count);
        if (rc)
            finish(store, chunk, rc);
        next += count;
    }
    mem_free(buffers);
    return 0;
}
