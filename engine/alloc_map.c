/*
 * Finding, reserving and freeing pages, and growing the space.
 *
 * A search holds a shared latch on the map page and then the lock, so a bit and its reservation are
 * looked at together: commit sets the bit under the exclusive latch before it ends the reservation.
 *
 * No page below `hint` is free: the search begins there, moves it up over what it has found taken,
 * and whoever gives a page back moves it down.
 *
 * Growth: zeroes are written and synced, then the superblock names the new size, then the pages can
 * be had. A power cut in between leaves the old size in force and some zeroes behind it.
 */
#include "engine/alloc_map.h"

#include <string.h>

#include <keel/wal.h>

#include "base/assert.h"
#include "base/endian.h"
#include "base/mem.h"
#include "engine/store.h"

#define NOTHING_FREE   1 /* of search: every page is taken */
#define MIB            (UINT64_C(1) << 20)
#define GROW_BYTES_MIN MIB
#define GROW_BYTES_MAX (256 * MIB)
#define COUNT_AHEAD    32u /* map pages read ahead when counting */

int alloc_map_init(struct keel_store *store, keel_pageno pages_max)
{
    struct alloc_map *map = &store->map;
    uint64_t words = pages_max / 64 + 1;

    KEEL_ASSERT(pages_max >= 2);
    map->bits = (uint64_t)store->page_len * 8;
    KEEL_ASSERT(map->bits % 64 == 0); /* so that a map page's bits are whole words of `reserved` */
    map->pages_max = pages_max;
    map->reserved_bytes = words * sizeof(uint64_t) + LIMBO_MAX * sizeof(struct limbo_entry);
    map->reserved = mem_reserve(map->reserved_bytes);
    if (!map->reserved)
        return -ENOMEM;
    map->limbo = (struct limbo_entry *)(void *)(map->reserved + words);
    lock_init(&map->lock, LOCK_SPACE);
    return 0;
}

void alloc_map_fini(struct keel_store *store)
{
    struct alloc_map *map = &store->map;

    if (!map->reserved)
        return;
    lock_fini(&map->lock);
    mem_unmap(map->reserved, map->reserved_bytes);
    map->reserved = NULL;
}

keel_pageno alloc_map_page_of(const struct alloc_map *map, keel_pageno pageno)
{
    return pageno - pageno % map->bits;
}

bool alloc_map_is_map(const struct alloc_map *map, keel_pageno pageno)
{
    return pageno % map->bits == 0;
}

/* ------------------------------------------------------------------ reservations, under lock */

static bool is_reserved_locked(const struct alloc_map *map, keel_pageno pageno)
{
    return map->reserved[pageno / 64] >> pageno % 64 & 1;
}

static void reserve_locked(struct alloc_map *map, keel_pageno pageno)
{
    KEEL_DCHECK(lock_held(&map->lock));
    KEEL_ASSERT(pageno < map->pages_max && !is_reserved_locked(map, pageno));

    map->reserved[pageno / 64] |= UINT64_C(1) << pageno % 64;
}

static void unreserve_locked(struct alloc_map *map, keel_pageno pageno)
{
    KEEL_DCHECK(lock_held(&map->lock));
    KEEL_ASSERT(pageno < map->pages_max && is_reserved_locked(map, pageno));

    map->reserved[pageno / 64] &= ~(UINT64_C(1) << pageno % 64);
    if (pageno < map->hint)
        map->hint = pageno;
}

void alloc_map_unreserve(struct keel_store *store, keel_pageno pageno)
{
    struct alloc_map *map = &store->map;

    lock_acquire(&map->lock);
    unreserve_locked(map, pageno);
    lock_release(&map->lock);
}

/* ------------------------------------------------------------------ limbo */

/* Let go of pages whose freeing is durable. Entries are nearly in order; a later one with a lower
 * LSN only waits a little longer. */
static void drain_limbo_locked(struct keel_store *store)
{
    struct alloc_map *map = &store->map;
    keel_lsn durable = map->limbo_count > 0 ? keel_wal_durable(store->wal) : 0;

    while (map->limbo_count > 0 && map->limbo[map->limbo_head].lsn <= durable) {
        unreserve_locked(map, map->limbo[map->limbo_head].pageno);
        map->limbo_head = (map->limbo_head + 1) % LIMBO_MAX;
        map->limbo_count--;
    }
}

/* Make the head of limbo durable. 0: look again; KEEL_EFULL: nothing is there to wait for. */
static int wait_limbo(struct keel_store *store, enum alloc_wait wait)
{
    struct alloc_map *map = &store->map;

    lock_acquire(&map->lock);
    keel_lsn lsn = map->limbo_count > 0 ? map->limbo[map->limbo_head].lsn : 0;
    lock_release(&map->lock);

    if (lsn == 0)
        return KEEL_EFULL;
    if (wait == ALLOC_WAIT)
        return store_failed(store, keel_wal_commit(store->wal, lsn));
    keel_wal_kick(store->wal);
    if (keel_wal_poisoned(store->wal))
        return KEEL_EPOISON;
    return keel_wal_durable(store->wal) >= lsn ? 0 : KEEL_PENDING;
}

int alloc_map_claim_limbo(struct keel_store *store, enum alloc_wait wait, keel_pageno pageno)
{
    struct alloc_map *map = &store->map;

    for (;;) {
        lock_acquire(&map->lock);
        drain_limbo_locked(store);
        bool room = map->limbo_count + map->limbo_claimed < LIMBO_MAX;
        if (room) {
            map->limbo_claimed++;
            reserve_locked(map, pageno);
        }
        lock_release(&map->lock);

        if (room)
            return 0;
        int rc = wait_limbo(store, wait);
        if (rc)
            return rc;
    }
}

void alloc_map_unclaim_limbo(struct keel_store *store, keel_pageno pageno)
{
    struct alloc_map *map = &store->map;

    lock_acquire(&map->lock);
    KEEL_ASSERT(map->limbo_claimed > 0);
    map->limbo_claimed--;
    unreserve_locked(map, pageno);
    lock_release(&map->lock);
}

void alloc_map_enter_limbo(struct keel_store *store, keel_pageno pageno, keel_lsn lsn)
{
    struct alloc_map *map = &store->map;

    lock_acquire(&map->lock);
    KEEL_ASSERT(map->limbo_claimed > 0 && map->limbo_count < LIMBO_MAX);
    map->limbo_claimed--;
    map->limbo[(map->limbo_head + map->limbo_count++) % LIMBO_MAX] =
        (struct limbo_entry){.pageno = pageno, .lsn = lsn};
    lock_release(&map->lock);
}

/* ------------------------------------------------------------------ pages of the map */

/* A page of the map that was never written reads as zeroes: that is what REDO asks for. */
static int fix_map(struct keel_store *store, struct keel_ctx *ctx, enum alloc_wait wait,
                   keel_pageno pageno, struct keel_page *ret)
{
    unsigned flags = KEEL_FIX_REDO | (wait == ALLOC_NOWAIT ? KEEL_FIX_NOWAIT : 0u);

    KEEL_ASSERT(alloc_map_is_map(&store->map, pageno));
    return keel_page_fix(ctx, store->space, pageno, KEEL_FIX_SHARED, flags, NULL, ret);
}

static bool bit_of(const struct keel_page *page, uint64_t bit)
{
    const uint8_t *bytes = page->data;

    KEEL_ASSERT(bit / 8 < page->len);
    return bytes[bit / 8] >> bit % 8 & 1;
}

int alloc_map_test(struct keel_store *store, struct keel_ctx *ctx, enum alloc_wait wait,
                   keel_pageno pageno, bool *ret)
{
    struct alloc_map *map = &store->map;
    struct keel_page page;

    int rc = fix_map(store, ctx, wait, alloc_map_page_of(map, pageno), &page);
    if (rc)
        return rc;
    *ret = bit_of(&page, pageno % map->bits);
    keel_page_unfix(&page);
    return 0;
}

uint32_t alloc_map_flip(const struct alloc_map *map, struct keel_page *page, keel_pageno pageno,
                        bool allocated)
{
    uint64_t bit = pageno % map->bits;
    uint8_t *bytes = page->data;

    KEEL_ASSERT(page->pageno == pageno - bit && bit != 0);
    KEEL_ASSERT(bit_of(page, bit) != allocated);
    bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
    return (uint32_t)(bit / 8);
}

/* The first free page of this map page that is not below hint; moves hint. 0 or NOTHING_FREE. */
static int search_page_locked(struct alloc_map *map, const struct keel_page *page, keel_pageno end,
                              keel_pageno *ret)
{
    keel_pageno base = page->pageno;
    bool from_hint = map->hint >= base;
    keel_pageno first = from_hint ? map->hint : base;
    const uint8_t *bytes = page->data;

    KEEL_DCHECK(lock_held(&map->lock));
    for (keel_pageno at = first - first % 64; at < end; at += 64) {
        uint64_t taken = load_le64(bytes + (at - base) / 8) | map->reserved[at / 64];

        if (at == base)
            taken |= 1; /* the map page itself */
        if (at < first)
            taken |= (UINT64_C(1) << (first - at)) - 1;
        if (~taken == 0)
            continue;
        keel_pageno found = at + (unsigned)__builtin_ctzll(~taken);
        if (found >= end)
            break;
        reserve_locked(map, found);
        if (from_hint)
            map->hint = found + 1;
        *ret = found;
        return 0;
    }
    if (from_hint && map->hint < end)
        map->hint = end;
    return NOTHING_FREE;
}

static int search(struct keel_store *store, struct keel_ctx *ctx, enum alloc_wait wait,
                  keel_pageno pages, keel_pageno *ret)
{
    struct alloc_map *map = &store->map;

    lock_acquire(&map->lock);
    drain_limbo_locked(store);
    keel_pageno base = alloc_map_page_of(map, map->hint);
    lock_release(&map->lock);

    for (; base < pages; base += map->bits) {
        keel_pageno end = pages - base < map->bits ? pages : base + map->bits;
        struct keel_page page;
        int rc = fix_map(store, ctx, wait, base, &page);
        if (rc)
            return rc;
        lock_acquire(&map->lock);
        rc = search_page_locked(map, &page, end, ret);
        lock_release(&map->lock);
        keel_page_unfix(&page);
        if (rc != NOTHING_FREE)
            return rc;
    }
    return NOTHING_FREE;
}

/* ------------------------------------------------------------------ growth */

static int grow_file(struct keel_store *store, struct keel_ctx *ctx, keel_pageno pages)
{
    uint64_t bytes = pages * store->config.page_bytes;

    /* A growth that a power cut interrupted may have left the file long enough. Its new part is
     * void; only its size has to be durable. */
    if (keel_device_info(store->pages_device)->size_bytes >= bytes)
        return store_sync_device(ctx, store->pages_device);
    return store_map_errno(keel_device_grow(ctx, store->pages_device, bytes));
}

/* By the one thread that has set `growing`. */
static int grow_now(struct keel_store *store, struct keel_ctx *ctx, keel_pageno pages)
{
    uint32_t page_bytes = store->config.page_bytes;
    uint64_t have = pages * page_bytes;
    uint64_t step = have / 2 < GROW_BYTES_MIN ? GROW_BYTES_MIN : have / 2;
    uint64_t room = (store->map.pages_max - pages) * page_bytes;

    KEEL_ASSERT(pages == store->super.space_pages);
    if (step > GROW_BYTES_MAX)
        step = GROW_BYTES_MAX;
    if (step > room)
        step = room;
    step -= step % page_bytes;

    /* A nearly full disk may still have room for less. */
    int rc = KEEL_ENOSPACE;
    for (; step >= 2 * (uint64_t)page_bytes && rc == KEEL_ENOSPACE;
         step = step / 4 / page_bytes * page_bytes) {
        rc = grow_file(store, ctx, pages + step / page_bytes);
        if (rc == 0)
            break;
    }
    if (rc)
        return rc;

    store->super.space_pages = pages + step / page_bytes;
    rc = superblock_step(ctx, &store->quad, &store->super);
    if (rc)
        return store_failed(store, KEEL_EPOISON); /* which size is in force is unknown */
    keel_space_grow(store->space, store->super.space_pages);
    return 0;
}

static int grow_claimed(struct keel_store *store, struct keel_ctx *ctx, keel_pageno pages)
{
    struct alloc_map *map = &store->map;
    int rc = grow_now(store, ctx, pages);

    lock_acquire(&map->lock);
    map->growing = false;
    lock_release(&map->lock);
    store_event(store);
    return rc;
}

/*
 * The space was found full when it had `pages`. 0: look again.
 * Progress: one thread grows and is inside keel until it has; the others sleep until it moves
 * event_seq.
 */
static int grow(struct keel_store *store, struct keel_ctx *ctx, enum alloc_wait wait,
                keel_pageno pages)
{
    struct alloc_map *map = &store->map;
    uint32_t seq = atomic_load(&store->event_seq);
    int rc = 0;

    lock_acquire(&map->lock);
    bool changed = keel_space_pages(store->space) != pages;
    bool growing = map->growing;
    if (!changed && pages + 2 > map->pages_max) {
        rc = KEEL_ESPACEFULL;
    } else if (!changed && wait == ALLOC_NOWAIT) {
        rc = map->grow_error ? map->grow_error : KEEL_PENDING;
        map->grow_error = 0;
        if (rc == KEEL_PENDING)
            atomic_store(&map->grow_wanted, true);
    } else if (!changed && !growing) {
        map->growing = true;
    }
    lock_release(&map->lock);

    if (rc == KEEL_PENDING)
        background_wake(store);
    if (rc || changed)
        return rc;
    if (!growing)
        return grow_claimed(store, ctx, pages);
    store_wait_event(store, seq);
    return store_writable(store);
}

int alloc_map_grow_wanted(struct keel_store *store, struct keel_ctx *ctx)
{
    struct alloc_map *map = &store->map;

    if (!atomic_load(&map->grow_wanted))
        return 0;
    keel_pageno pages = keel_space_pages(store->space);
    lock_acquire(&map->lock);
    bool mine = !map->growing;
    if (mine) {
        map->growing = true;
        atomic_store(&map->grow_wanted, false);
    }
    /* Under the lock nobody else grows, so this is the size that grow_now extends. */
    pages = keel_space_pages(store->space);
    lock_release(&map->lock);
    if (!mine)
        return 0;

    int rc = pages + 2 > map->pages_max ? KEEL_ESPACEFULL : 0;
    if (rc == 0) {
        rc = grow_claimed(store, ctx, pages);
    } else {
        lock_acquire(&map->lock);
        map->growing = false;
        lock_release(&map->lock);
    }
    if (rc) {
        lock_acquire(&map->lock);
        map->grow_error = rc;
        lock_release(&map->lock);
    }
    return keel_err_class(rc) == KEEL_CLASS_FATAL ? rc : 1;
}

/*
 * Progress: each round finds a page, grows the space, or makes the oldest freeing in limbo durable;
 * none of them can go on without end, since each is bounded or makes a page free.
 */
int alloc_map_reserve(struct keel_store *store, struct keel_ctx *ctx, enum alloc_wait wait,
                      keel_pageno *ret)
{
    for (;;) {
        keel_pageno pages = keel_space_pages(store->space);
        int rc = search(store, ctx, wait, pages, ret);
        if (rc != NOTHING_FREE)
            return rc;

        rc = grow(store, ctx, wait, pages);
        if (rc == 0)
            continue;
        if (rc != KEEL_ESPACEFULL && rc != KEEL_ENOSPACE)
            return rc;
        int limbo = wait_limbo(store, wait);
        if (limbo)
            return limbo == KEEL_EFULL ? rc : limbo;
    }
}

/* ------------------------------------------------------------------ walking the map */

int alloc_map_read(struct keel_store *store, struct keel_ctx *ctx, keel_pageno base, uint32_t at,
                   uint8_t bits[ALLOC_CHUNK_BYTES], struct keel_err_info *info, uint32_t *ret_bytes)
{
    struct keel_page page;

    KEEL_ASSERT(alloc_map_is_map(&store->map, base) && at < store->page_len);
    int rc = keel_page_fix(ctx, store->space, base, KEEL_FIX_SHARED, KEEL_FIX_REDO, info, &page);
    if (rc)
        return rc;
    uint32_t bytes = page.len - at < ALLOC_CHUNK_BYTES ? page.len - at : ALLOC_CHUNK_BYTES;
    memcpy(bits, (const uint8_t *)page.data + at, bytes);
    keel_page_unfix(&page);
    if (at == 0)
        bits[0] &= 0xfe;
    *ret_bytes = bytes;
    return 0;
}

static uint64_t count_page(const struct keel_page *page)
{
    const uint8_t *bytes = page->data;
    uint64_t count = 0;

    for (uint32_t at = 0; at < page->len; at += 8)
        count += (unsigned)__builtin_popcountll(load_le64(bytes + at));
    return count;
}

int alloc_map_count(struct keel_store *store, struct keel_ctx *ctx, struct keel_err_info *info)
{
    struct alloc_map *map = &store->map;
    keel_pageno pages = keel_space_pages(store->space);
    keel_pageno ahead[COUNT_AHEAD];
    uint64_t count = 0;

    for (keel_pageno base = 0, next = 0; base < pages; base += map->bits) {
        uint32_t n = 0;
        while (base == next && n < COUNT_AHEAD && base + n * map->bits < pages) {
            ahead[n] = base + n * map->bits;
            n++;
        }
        if (n > 1)
            keel_ignore(keel_page_prefetch(ctx, store->space, ahead, n), "a hint");
        if (n > 0)
            next = base + n * map->bits;

        struct keel_page page;
        int rc =
            keel_page_fix(ctx, store->space, base, KEEL_FIX_SHARED, KEEL_FIX_REDO, info, &page);
        if (rc)
            return rc;
        count += count_page(&page);
        keel_page_unfix(&page);
    }
    atomic_store(&map->allocated, count);
    return 0;
}
