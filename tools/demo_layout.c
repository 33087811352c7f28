/*
 * The pages of the demo: making them, and one transaction over them.
 *
 * Pages are fixed in ascending order of their numbers, as the engine wants it. A transaction that
 * is told to try again (class RETRY: the log or a queue is full, a page is held elsewhere) begins
 * anew; each such answer means that somebody else is getting on, so this ends.
 */
#include "tools/demo_layout.h"

#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/clock.h"

struct keel_options demo_options(const char *path)
{
    struct keel_options options = KEEL_OPTIONS_DEFAULT;

    struct stat st;

    if (stat(path, &st) == 0 && S_ISCHR(st.st_mode))
        options.method = KEEL_METHOD_NVME;
    /* A small log, so that a run of seconds sees checkpoints too. */
    options.log_bytes = 64ull << 20;
    options.cache_bytes = 32ull << 20;
    return options;
}

/* The finaliser of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

uint64_t demo_hash(uint64_t salt, uint32_t writer, uint64_t seq)
{
    return mix(mix(salt ^ ((uint64_t)writer << 48)) + seq * 0x9e3779b97f4a7c15ull);
}

uint64_t demo_chain(uint64_t chain, uint64_t hash)
{
    return mix(chain + 0x9e3779b97f4a7c15ull) ^ hash;
}

int demo_read(struct keel_ctx *ctx, struct keel_store *store, keel_pageno pageno, void *ret,
              uint32_t len)
{
    struct keel_page page;
    int rc = keel_read(ctx, store, pageno, 0, &page);
    if (rc)
        return rc;
    if (len > page.len) {
        keel_page_unfix(&page);
        return KEEL_EFORMAT;
    }
    memcpy(ret, page.data, len);
    keel_page_unfix(&page);
    return 0;
}

/* ---------------------------------------------------------------- map */

/* The header is the first page that the demo allocated, so it is not far from the front. */
#define HEADER_SEARCH_PAGES 64u

int demo_map_load(struct keel_ctx *ctx, struct keel_store *store, struct demo_map *ret)
{
    struct keel_store_info info;
    keel_store_info(store, &info);
    if (info.page_bytes != 4096)
        return KEEL_EFORMAT;

    struct demo_header_page header;
    for (keel_pageno p = 0; p < info.pages && p < HEADER_SEARCH_PAGES; p++) {
        int rc = demo_read(ctx, store, p, &header, sizeof(header));
        if (rc == KEEL_ENOPAGE)
            continue;
        if (rc)
            return rc;
        if (header.magic != DEMO_HEADER_MAGIC)
            continue;
        ret->salt = header.salt;
        ret->header = p;
        ret->ledger = header.ledger;
        memcpy(ret->slots, header.slots, sizeof(ret->slots));
        return 0;
    }
    /* The map's own page may count as allocated. */
    return info.pages_allocated > 1 ? KEEL_EFORMAT : KEEL_ENOTFOUND;
}

static int create_header(struct keel_ctx *ctx, struct keel_store *store, struct demo_map *map)
{
    struct keel_tx *tx;
    int rc = keel_tx_begin(ctx, store, NULL, &tx);
    if (rc)
        return rc;

    struct demo_header_page header = {.magic = DEMO_HEADER_MAGIC};
    if (getrandom(&header.salt, sizeof(header.salt), 0) != (ssize_t)sizeof(header.salt))
        header.salt = clock_now_ns();
    struct demo_ledger_page ledger = {.magic = DEMO_LEDGER_MAGIC};
    keel_pageno header_page;
    rc = keel_tx_alloc(tx, &header_page);
    if (rc)
        goto fail;
    rc = keel_tx_alloc(tx, &header.ledger);
    if (rc)
        goto fail;
    rc = keel_tx_write(tx, header_page, 0, &header, sizeof(header));
    if (rc)
        goto fail;
    rc = keel_tx_write(tx, header.ledger, 0, &ledger, sizeof(ledger));
    if (rc)
        goto fail;
    rc = keel_tx_commit(tx, NULL);
    if (rc)
        return rc;
    *map = (struct demo_map){.salt = header.salt, .header = header_page, .ledger = header.ledger};
    return 0;
fail:
    keel_tx_abort(tx);
    return rc;
}

static int create_slot(struct keel_ctx *ctx, struct keel_store *store, uint32_t writer,
                       struct demo_map *map)
{
    struct keel_tx *tx;
    int rc = keel_tx_begin(ctx, store, NULL, &tx);
    if (rc)
        return rc;

    struct demo_slot_page slot = {.magic = DEMO_SLOT_MAGIC, .writer = writer};
    uint32_t offset = (uint32_t)offsetof(struct demo_header_page, slots[writer]);
    keel_pageno pageno;
    rc = keel_tx_alloc(tx, &pageno);
    if (rc)
        goto fail;
    rc = keel_tx_write(tx, pageno, 0, &slot, sizeof(slot));
    if (rc)
        goto fail;
    rc = keel_tx_write(tx, map->header, offset, &pageno, sizeof(pageno));
    if (rc)
        goto fail;
    rc = keel_tx_commit(tx, NULL);
    if (rc)
        return rc;
    map->slots[writer] = pageno;
    return 0;
fail:
    keel_tx_abort(tx);
    return rc;
}

int demo_map_prepare(struct keel_ctx *ctx, struct keel_store *store, uint32_t writers,
                     struct demo_map *map)
{
    KEEL_ASSERT(writers >= 1 && writers <= DEMO_WRITERS_MAX);
    if (!map->ledger) {
        int rc = create_header(ctx, store, map);
        if (rc)
            return rc;
    }
    for (uint32_t w = 0; w < writers; w++) {
        int rc = map->slots[w] ? 0 : create_slot(ctx, store, w, map);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---------------------------------------------------------------- writers */

int demo_writer_load(struct demo_writer *writer, struct keel_ctx *ctx, struct keel_store *store,
                     const struct demo_map *map, uint32_t index)
{
    KEEL_ASSERT(index < DEMO_WRITERS_MAX && map->slots[index]);
    struct demo_slot_page slot;
    int rc = demo_read(ctx, store, map->slots[index], &slot, sizeof(slot));
    if (rc)
        return rc;
    if (slot.magic != DEMO_SLOT_MAGIC || slot.writer != index)
        return KEEL_EFORMAT;
    *writer = (struct demo_writer){.ctx = ctx,
                                   .store = store,
                                   .map = map,
                                   .index = index,
                                   .seq = slot.seq,
                                   .chain = slot.chain};
    memcpy(writer->journal, slot.journal, sizeof(writer->journal));
    return 0;
}

static uint32_t journal_index(uint64_t seq)
{
    return (uint32_t)((seq - 1) % DEMO_RING / DEMO_ENTRIES);
}

static bool try_again(int rc)
{
    return rc < 0 && keel_err_class(rc) == KEEL_CLASS_RETRY;
}

static int room_once(struct demo_writer *writer, uint32_t index)
{
    struct keel_tx *tx;
    int rc = keel_tx_begin(writer->ctx, writer->store, NULL, &tx);
    if (rc)
        return rc;

    uint64_t head[2] = {DEMO_JOURNAL_MAGIC, writer->index};
    uint32_t offset = (uint32_t)offsetof(struct demo_slot_page, journal[index]);
    keel_pageno pageno;
    rc = keel_tx_alloc(tx, &pageno);
    if (rc)
        goto fail;
    rc = keel_tx_write(tx, pageno, 0, head, sizeof(head));
    if (rc)
        goto fail;
    rc = keel_tx_write(tx, writer->map->slots[writer->index], offset, &pageno, sizeof(pageno));
    if (rc)
        goto fail;
    rc = keel_tx_commit(tx, NULL);
    if (rc)
        return rc;
    writer->journal[index] = pageno;
    return 0;
fail:
    keel_tx_abort(tx);
    return rc;
}

int demo_writer_room(struct demo_writer *writer)
{
    uint32_t index = journal_index(writer->seq + 1);
    int rc = 0;
    while (!writer->journal[index]) {
        rc = room_once(writer, index);
        if (rc && !try_again(rc))
            return rc;
        if (rc)
            sched_yield();
    }
    return rc;
}

static void sort3(keel_pageno p[3])
{
    for (int i = 1; i < 3; i++) {
        for (int j = i; j > 0 && p[j - 1] > p[j]; j--) {
            keel_pageno swap = p[j];
            p[j] = p[j - 1];
            p[j - 1] = swap;
        }
    }
}

/* Fix the three pages in order, then change them. */
static int write_parts(struct demo_writer *writer, struct keel_tx *tx, uint64_t seq, uint64_t hash,
                       uint64_t chain)
{
    const struct demo_map *map = writer->map;
    keel_pageno journal = writer->journal[journal_index(seq)];
    keel_pageno pages[3] = {journal, map->slots[writer->index], map->ledger};
    sort3(pages);
    for (int i = 0; i < 3; i++) {
        int rc = keel_tx_page(tx, pages[i], NULL);
        if (rc)
            return rc;
    }

    const void *data;
    int rc = keel_tx_page(tx, map->ledger, &data);
    if (rc)
        return rc;
    uint64_t total = ((const struct demo_ledger_page *)data)->total + 1;
    struct demo_entry entry = {.seq = seq, .hash = hash};
    uint64_t slot[2] = {seq, chain};
    uint32_t place =
        (uint32_t)offsetof(struct demo_journal_page, entries[(seq - 1) % DEMO_ENTRIES]);
    rc = keel_tx_write(tx, journal, place, &entry, sizeof(entry));
    if (rc)
        return rc;
    rc = keel_tx_write(tx, map->slots[writer->index],
                       (uint32_t)offsetof(struct demo_slot_page, seq), slot, sizeof(slot));
    if (rc)
        return rc;
    rc = keel_tx_write(tx, map->ledger, (uint32_t)offsetof(struct demo_ledger_page, total), &total,
                       sizeof(total));
    if (rc)
        return rc;
    return keel_tx_write(tx, map->ledger,
                         (uint32_t)offsetof(struct demo_ledger_page, count[writer->index]), &seq,
                         sizeof(seq));
}

int demo_writer_commit(struct demo_writer *writer)
{
    uint64_t seq = writer->seq + 1;
    uint64_t hash = demo_hash(writer->map->salt, writer->index, seq);
    uint64_t chain = demo_chain(writer->chain, hash);
    KEEL_ASSERT(writer->journal[journal_index(seq)]);

    for (;;) {
        struct keel_tx *tx;
        int rc = keel_tx_begin(writer->ctx, writer->store, NULL, &tx);
        if (!rc) {
            rc = write_parts(writer, tx, seq, hash, chain);
            if (rc)
                keel_tx_abort(tx);
            else
                rc = keel_tx_commit(tx, NULL);
        }
        if (!rc)
            break;
        if (!try_again(rc))
            return rc;
        sched_yield();
    }
    writer->seq = seq;
    writer->chain = chain;
    return 0;
}
