/*
 * Spaces: added, grown, truncated, dropped, flushed, counted.
 *
 * A space that is dropped leaves a husk, its struct and its address space without memory, which the
 * next space that fits into it gets: evictors and flushers look at `space` of a frame without a
 * lock, and may do so long after. They find that the page's word does not name the frame.
 *
 * Truncating waits for whoever still has one of the pages: a read or a write in flight is driven
 * (I6), a latch waited for. What was changed and not written is dropped with the page.
 */
#include "pagecache/space.h"

#include <errno.h>
#include <sched.h>

#include "base/mem.h"
#include "pagecache/evict.h"
#include "pagecache/fix.h"
#include "pagecache/flush.h"

#define PAGES_MAX (UINT64_C(1) << 48) /* of a space: words of an address space */

/* Under space_lock: pages below are served without asking further, unless after poison. release:
 * pairs with keel_here_private_; the device was grown before. */
static void set_limit(struct keel_space *space)
{
    bool poisoned = atomic_load(&space->cache->poison_lsn) != KEEL_LSN_MAX;

    __atomic_store_n(&space->hot.limit, poisoned ? 0 : keel_space_pages(space), __ATOMIC_RELEASE);
}

void pc_spaces_poisoned(struct keel_pagecache *cache)
{
    lock_acquire(&cache->space_lock);
    for (struct keel_space *space = cache->spaces; space; space = space->next)
        set_limit(space);
    lock_release(&cache->space_lock);
}

static void free_list(struct keel_space *space)
{
    while (space) {
        struct keel_space *next = space->next;
        lock_fini(&space->runs_lock);
        pc_table_fini(&space->table);
        mem_free(space);
        space = next;
    }
}

void pc_spaces_fini(struct keel_pagecache *cache)
{
    free_list(cache->spaces);
    free_list(cache->husks);
    lock_fini(&cache->space_lock);
}

/* ---------------------------------------------------------------- adding */

/* Under space_lock. */
static bool id_taken(const struct keel_pagecache *cache, uint32_t id)
{
    const struct keel_space *space = cache->spaces;

    while (space && space->id != id)
        space = space->next;
    return space != NULL;
}

/* Can what is left of a space serve as this one? Its page size and way of writing stay as they are,
 * since flushers look at them without a lock. */
static bool husk_fits(const struct keel_space *husk, const struct keel_space_options *options,
                      uint32_t order)
{
    return husk->table.pages_max >= options->pages_max && husk->order == order &&
           husk->atomic_writes == options->atomic_writes;
}

/* Such a husk, off the list; or NULL. */
static struct keel_space *take_husk(struct keel_pagecache *cache,
                                    const struct keel_space_options *options, uint32_t order)
{
    lock_acquire(&cache->space_lock);
    struct keel_space **at = &cache->husks;
    while (*at && !husk_fits(*at, options, order))
        at = &(*at)->next;
    struct keel_space *husk = *at;
    if (husk)
        *at = husk->next;
    lock_release(&cache->space_lock);
    return husk;
}

static void put_husk(struct keel_space *space)
{
    lock_acquire(&space->cache->space_lock);
    space->next = space->cache->husks;
    space->cache->husks = space;
    lock_release(&space->cache->space_lock);
}

static int make_space(struct keel_pagecache *cache, const struct keel_space_options *options,
                      uint32_t order, struct keel_space **ret)
{
    struct keel_space *space = mem_alloc_aligned(MEM_CACHE_LINE, sizeof(*space));
    if (!space)
        return -ENOMEM;
    int rc = pc_table_init(&space->table, options->pages_max);
    if (rc != 0) {
        mem_free(space);
        return rc;
    }
    lock_init(&space->runs_lock, LOCK_LEAF);
    space->cache = cache;
    space->order = order;
    space->page_shift = cache->unit_shift + order;
    space->atomic_writes = options->atomic_writes;
    space->hot = (struct keel_space_private_){
        .words = (uint64_t *)(uintptr_t)space->table.words,
        .versions = (uint64_t *)(uintptr_t)cache->versions,
        .data = (uintptr_t)cache->data + KEEL_PAGE_HEADER_BYTES - ((size_t)1 << cache->unit_shift),
        .stripes = (char *)cache->stripes,
        .shift = cache->unit_shift,
        .len = pc_page_bytes(space) - KEEL_PAGE_HEADER_BYTES,
    };
    *ret = space;
    return 0;
}

/* The order of pages of this size, or PC_ORDERS when the cache cannot have them. */
static uint32_t order_of(const struct keel_pagecache *cache, uint32_t page_bytes)
{
    for (uint32_t order = 0; order < PC_ORDERS; order++) {
        bool fits = 1u << order <= cache->slab_units && cache->chunk_units >> order > 0 &&
                    cache->frame_count >> order >= PC_FRAMES_MIN;
        if (fits && (page_bytes == 0 || page_bytes == 1u << (cache->unit_shift + order)))
            return order;
    }
    return PC_ORDERS;
}

/* Does the device write a page of this size whole or not at all? */
static bool untorn(const struct keel_device *device, uint32_t page_bytes)
{
    const struct keel_device_info *info = keel_device_info(device);

    return info->atomic_write_max > 0 && page_bytes >= info->atomic_write_min &&
           page_bytes <= info->atomic_write_max;
}

static bool valid(const struct keel_space_options *options)
{
    return options && options->size == sizeof(*options) && options->device && options->id > 0 &&
           options->id <= PC_SPACE_MAX && options->pages_max > 0 &&
           options->pages_max <= PAGES_MAX && options->pages <= options->pages_max;
}

int keel_space_open(struct keel_pagecache *cache, const struct keel_space_options *options,
                    struct keel_space **ret)
{
    if (!valid(options))
        return KEEL_EOPTION;
    uint32_t order = order_of(cache, options->page_bytes);
    if (order == PC_ORDERS)
        return KEEL_EOPTION;
    if (options->atomic_writes && !untorn(options->device, 1u << (cache->unit_shift + order)))
        return KEEL_ENOTSUP;

    struct keel_space *space = take_husk(cache, options, order);
    int rc = space ? 0 : make_space(cache, options, order, &space);
    if (rc != 0)
        return rc;
    space->id = options->id;
    space->device = options->device;
    atomic_store_explicit(&space->pages, options->pages, memory_order_relaxed);
    space->runs = (struct pc_runs){0};
    atomic_store_explicit(&space->reads, 0, memory_order_relaxed);
    atomic_store_explicit(&space->pages_written, 0, memory_order_relaxed);
    atomic_store_explicit(&space->checksum_errors, 0, memory_order_relaxed);

    lock_acquire(&cache->space_lock);
    bool taken = id_taken(cache, options->id);
    if (!taken) {
        set_limit(space);
        space->next = cache->spaces;
        cache->spaces = space;
    }
    lock_release(&cache->space_lock);
    if (taken) {
        put_husk(space);
        return KEEL_EOPTION;
    }
    atomic_fetch_or_explicit(&cache->orders, 1u << order, memory_order_relaxed);
    *ret = space;
    return 0;
}

void keel_space_grow(struct keel_space *space, keel_pageno pages)
{
    KEEL_ASSERT(pages <= space->table.pages_max);

    lock_acquire(&space->cache->space_lock);
    if (pages > keel_space_pages(space)) {
        /* release: pairs with keel_page_fix; the device was grown before */
        atomic_store_explicit(&space->pages, pages, memory_order_release);
        set_limit(space);
    }
    lock_release(&space->cache->space_lock);
}

keel_pageno keel_space_pages(const struct keel_space *space)
{
    return atomic_load_explicit(&space->pages, memory_order_acquire);
}

uint32_t keel_space_id(const struct keel_space *space)
{
    return space->id;
}

uint32_t keel_space_page_bytes(const struct keel_space *space)
{
    return pc_page_bytes(space);
}

uint64_t keel_space_trim(struct keel_space *space)
{
    return pc_table_trim(&space->table);
}

/* ---------------------------------------------------------------- truncating, dropping */

/* Does the frame hold a page of space at or beyond first? Its word, or NULL. */
static pc_word *word_beyond(const struct keel_frame *frame, const struct keel_space *space,
                            keel_pageno first, uint64_t *ret_value)
{
    pc_word *words = space->table.words;
    pc_word *word = pc_frame_word(frame, ret_value);

    return word && word >= words + first && word < words + space->table.pages_max ? word : NULL;
}

/* The page, held exclusively, goes. False: a write of it is in flight. */
static bool discard(struct keel_pagecache *cache, struct keel_frame *frame, pc_word *word)
{
    enum pc_frame_state state = pc_frame_state(frame);

    if (pc_frame_being_written(state)) {
        pc_unlatch_exclusive(word);
        return false;
    }
    pc_version_bump(cache, frame->index);
    if (state == PC_FRAME_DIRTY)
        pc_flush_forget(cache, frame);
    pc_frame_release(cache, frame, word, state, 0);
    return true;
}

/*
 * Progress: each round waits for a read or a write in flight, which it drives, or for a latch whose
 * holder is a thread; or finds the page gone.
 */
static void discard_frame(struct keel_space *space, struct keel_frame *frame, keel_pageno first)
{
    struct keel_pagecache *cache = space->cache;
    uint64_t value;
    pc_word *word;

    while ((word = word_beyond(frame, space, first, &value)) != NULL) {
        uint64_t latch = pc_word_latch(value);

        if (latch == PC_LATCH_IO)
            pc_read_wait(cache, frame);
        else if (pc_word_fixed(value))
            pc_latch_wait(word, value);
        else if (pc_latch_exclusive(word, value, value & ~PC_LATCH_MASK) &&
                 !discard(cache, frame, word) && !keel_pagecache_wait_any(cache))
            sched_yield(); /* its completion is running this moment */
    }
}

void keel_space_truncate(struct keel_space *space, keel_pageno pages)
{
    struct keel_pagecache *cache = space->cache;

    lock_acquire(&cache->space_lock);
    if (pages < keel_space_pages(space)) {
        atomic_store_explicit(&space->pages, pages, memory_order_release);
        set_limit(space);
    }
    lock_release(&cache->space_lock);
    pc_fence_limit(); /* pairs with start_read in fix.c */
    for (uint32_t i = 0; i < cache->frames_seen; i++)
        discard_frame(space, &cache->frames[i], pages);
}

void keel_space_drop(struct keel_space *space)
{
    struct keel_pagecache *cache = space->cache;

    keel_space_truncate(space, 0);
    keel_space_trim(space);
    lock_acquire(&cache->space_lock);
    struct keel_space **at = &cache->spaces;
    while (*at != space) {
        KEEL_ASSERT(*at);
        at = &(*at)->next;
    }
    *at = space->next;
    lock_release(&cache->space_lock);
    put_husk(space);
}

/* ---------------------------------------------------------------- flushing */

/* Largest recLSN of the space's changed pages plus one; 0 when there are none. */
static keel_lsn rec_lsn_end(const struct keel_space *space)
{
    struct keel_pagecache *cache = space->cache;
    keel_lsn end = 0;

    for (uint32_t i = 0; i < cache->frames_seen; i++) {
        struct keel_frame *frame = &cache->frames[i];
        if (atomic_load_explicit(&frame->space, memory_order_acquire) != space)
            continue;
        keel_lsn rec = atomic_load_explicit(&frame->rec_lsn, memory_order_acquire);
        keel_lsn write = atomic_load_explicit(&frame->write_lsn, memory_order_acquire);
        if (rec != KEEL_LSN_MAX && rec >= end)
            end = rec + 1;
        if (write != KEEL_LSN_MAX && write >= end)
            end = write + 1;
    }
    return end;
}

static bool changed_below(const struct keel_space *space, keel_lsn end)
{
    struct keel_pagecache *cache = space->cache;

    for (uint32_t i = 0; i < cache->frames_seen; i++) {
        struct keel_frame *frame = &cache->frames[i];
        if (atomic_load_explicit(&frame->space, memory_order_acquire) == space &&
            pc_frame_rec_lsn(frame) < end)
            return true;
    }
    return false;
}

int keel_space_flush(struct keel_ctx *ctx, struct keel_space *space)
{
    struct keel_pagecache *cache = space->cache;
    struct keel_io sync = {
        .device = space->device, .op = KEEL_OP_SYNC, .cls = KEEL_CLASS_WRITEBACK};
    keel_lsn end = rec_lsn_end(space);

    /* Progress: each round starts a write or waits for one in flight, driving it; pages changed
     * meanwhile have larger recLSNs. */
    while (changed_below(space, end)) {
        uint64_t errors = atomic_load(&cache->write_errors);
        int rc = pc_flush_space(ctx, space, end);
        bool waited = keel_pagecache_wait_any(cache);
        if (atomic_load(&cache->write_errors) != errors)
            return atomic_load(&cache->write_error);
        if (waited)
            continue;
        if (rc < 0)
            return rc;
        if (rc == 0)
            sched_yield(); /* latched exclusively by a thread */
    }
    int rc = keel_io_submit(ctx, &sync);
    return rc ? rc : keel_io_wait(ctx, &sync);
}

void keel_space_stats(struct keel_space *space, struct keel_space_stats *ret)
{
    struct keel_pagecache *cache = space->cache;

    *ret = (struct keel_space_stats){
        .pages = keel_space_pages(space),
        .reads = atomic_load_explicit(&space->reads, memory_order_relaxed),
        .pages_written = atomic_load_explicit(&space->pages_written, memory_order_relaxed),
        .checksum_errors = atomic_load_explicit(&space->checksum_errors, memory_order_relaxed),
        .page_bytes = pc_page_bytes(space),
        .atomic_writes = space->atomic_writes,
    };
    for (uint32_t i = 0; i < cache->frames_seen; i++) {
        struct keel_frame *frame = &cache->frames[i];
        uint64_t value;
        if (!word_beyond(frame, space, 0, &value))
            continue;
        enum pc_frame_state state = pc_frame_state(frame);
        ret->resident++;
        ret->dirty += state == PC_FRAME_DIRTY;
        ret->writing += pc_frame_being_written(state);
        ret->reading += pc_word_latch(value) == PC_LATCH_IO;
        ret->fixed += pc_word_fixed(value);
    }
}
