/*
 * The page cache as a whole: open, close, spaces, poison, counters. Fixing is in fix.c, free frames
 * in evict.c, write-back in flush.c.
 *
 * - Failure: options out of range (KEEL_EOPTION), the arena is spent (-ENOMEM).
 * - Everything is allocated here; no other file of this folder allocates.
 */
#include <errno.h>

#include "base/mem.h"
#include "pagecache/cache.h"
#include "pagecache/fix.h"
#include "pagecache/flush.h"
#include "pagecache/stream.h"

#define PAGE_BYTES_DEFAULT  4096u
#define CACHE_BYTES_DEFAULT (UINT64_C(64) << 20)
#define WRITE_BYTES_DEFAULT (128u << 10)
#define WRITES_DEFAULT      8u
#define WRITES_MAX          1024u
#define PAGES_MAX           (UINT64_C(1) << 48) /* of a space: words of an address space */

static struct keel_pagecache_options with_defaults(const struct keel_pagecache_options *options)
{
    struct keel_pagecache_options full = *options;

    if (full.page_bytes == 0)
        full.page_bytes = PAGE_BYTES_DEFAULT;
    if (full.cache_bytes == 0)
        full.cache_bytes = CACHE_BYTES_DEFAULT;
    if (full.write_bytes_max == 0)
        full.write_bytes_max =
            full.page_bytes > WRITE_BYTES_DEFAULT ? full.page_bytes : WRITE_BYTES_DEFAULT;
    if (full.writes_max == 0)
        full.writes_max = WRITES_DEFAULT;
    return full;
}

static bool valid(const struct keel_pagecache_options *options)
{
    uint32_t page_bytes = options->page_bytes;

    if (page_bytes < KEEL_PAGE_BYTES_MIN || page_bytes > KEEL_PAGE_BYTES_MAX ||
        (page_bytes & (page_bytes - 1)) != 0)
        return false;
    if (options->cache_bytes / page_bytes < PC_FRAMES_MIN ||
        options->cache_bytes / page_bytes > INT32_MAX)
        return false;
    if (options->write_bytes_max < page_bytes || options->write_bytes_max > KEEL_IO_BYTES_MAX ||
        options->write_bytes_max % page_bytes != 0)
        return false;
    return options->writes_max >= 1 && options->writes_max <= WRITES_MAX;
}

uint64_t keel_pagecache_arena_bytes(const struct keel_pagecache_options *options)
{
    struct keel_pagecache_options full = with_defaults(options);

    if (!valid(&full))
        return 0;
    return full.cache_bytes / full.page_bytes * full.page_bytes +
           (uint64_t)full.write_bytes_max * full.writes_max;
}

/* ---------------------------------------------------------------- open and close */

static void chunks_init(struct keel_pagecache *cache, char *copies)
{
    for (uint32_t i = 0; i < cache->options.writes_max; i++) {
        struct pc_chunk *chunk = &cache->chunks[i];
        chunk->cache = cache;
        chunk->copy = copies + (size_t)i * cache->options.write_bytes_max;
        chunk->frames = cache->chunk_frames + (size_t)i * cache->chunk_pages;
        pc_chunk_init(chunk);
        list_push_tail(&cache->chunks_idle, &chunk->link);
    }
}

static void frames_init(struct keel_pagecache *cache)
{
    for (uint32_t i = 0; i < cache->frame_count; i++) {
        struct keel_frame *frame = &cache->frames[i];
        pc_frame_init(frame, i);
        frame->io = (struct keel_io){
            .arena = cache->options.arena,
            .buf = pc_frame_page(cache, i),
            .len_bytes = cache->page_bytes,
            .op = KEEL_OP_READ,
            .flags = KEEL_IO_ANY_THREAD,
            .done = pc_read_done,
            .user = frame,
        };
        /* Handed out from the first on. */
        cache->free[cache->frame_count - 1 - i] = i;
        frame->free_at = cache->frame_count - i;
    }
    atomic_init(&cache->free_count, cache->frame_count);
}

static void free_memory(struct keel_pagecache *cache)
{
    pc_streams_fini(cache);
    mem_free(cache->free);
    mem_free((void *)(uintptr_t)cache->versions);
    mem_free(cache->chunks);
    mem_free(cache->chunk_frames);
    if (cache->frames_bytes >= MEM_HUGE_PAGE)
        mem_unmap(cache->frames, cache->frames_bytes);
    else
        mem_free(cache->frames);
    mem_free(cache);
}

/* Writes come first in the arena: they are registered first. */
static int take_memory(struct keel_pagecache *cache, char **ret_copies)
{
    uint32_t writes = cache->options.writes_max;

    cache->free = mem_alloc(cache->frame_count * sizeof(*cache->free));
    cache->versions = mem_alloc(cache->frame_count * sizeof(*cache->versions));
    cache->chunks = mem_alloc(writes * sizeof(*cache->chunks));
    cache->chunk_frames =
        mem_alloc((size_t)writes * cache->chunk_pages * sizeof(*cache->chunk_frames));
    cache->frames = cache->frames_bytes >= MEM_HUGE_PAGE
                        ? mem_map(cache->frames_bytes, MEM_MAP_HUGE)
                        : mem_alloc_aligned(MEM_CACHE_LINE, cache->frames_bytes);
    if (!cache->free || !cache->versions || !cache->chunks || !cache->chunk_frames ||
        !cache->frames)
        return -ENOMEM;

    int rc = pc_streams_init(cache);
    if (rc != 0)
        return rc;
    *ret_copies =
        keel_arena_alloc(cache->options.arena, (size_t)writes * cache->options.write_bytes_max);
    if (!*ret_copies)
        return -ENOMEM;
    cache->data =
        keel_arena_alloc(cache->options.arena, (size_t)cache->frame_count << cache->page_shift);
    return cache->data ? 0 : -ENOMEM;
}

int keel_pagecache_open(const struct keel_pagecache_options *options, struct keel_pagecache **ret)
{
    if (!options || options->size != sizeof(*options) || !options->arena)
        return KEEL_EOPTION;
    struct keel_pagecache_options full = with_defaults(options);
    if (!valid(&full))
        return KEEL_EOPTION;

    struct keel_pagecache *cache =
        mem_alloc_aligned(_Alignof(struct keel_pagecache), sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    cache->options = full;
    cache->page_bytes = full.page_bytes;
    cache->page_shift = (uint32_t)__builtin_ctz(full.page_bytes);
    cache->frame_count = (uint32_t)(full.cache_bytes / full.page_bytes);
    cache->chunk_pages = full.write_bytes_max / full.page_bytes;
    cache->frames_bytes = cache->frame_count * sizeof(struct keel_frame);

    char *copies;
    int rc = take_memory(cache, &copies);
    if (rc != 0) {
        free_memory(cache);
        return rc;
    }
    lock_init(&cache->free_lock, LOCK_LEAF);
    lock_init(&cache->pool_lock, LOCK_LEAF);
    lock_init(&cache->space_lock, LOCK_LEAF);
    list_init(&cache->chunks_idle);
    list_init(&cache->chunks_busy);
    atomic_init(&cache->poison_lsn, KEEL_LSN_MAX);
    atomic_init(&cache->log_known, full.log_durable ? 0 : KEEL_LSN_MAX);
    chunks_init(cache, copies);
    frames_init(cache);
    *ret = cache;
    return 0;
}

static void spaces_close(struct keel_pagecache *cache)
{
    while (cache->spaces) {
        struct keel_space *space = cache->spaces;
        cache->spaces = space->next;
        pc_table_fini(&space->table);
        mem_free(space);
    }
}

void keel_pagecache_close(struct keel_ctx *ctx, struct keel_pagecache *cache)
{
    (void)ctx;
    if (!cache)
        return;

    /* Progress: each of these is in flight and driven by the wait; nobody starts new ones. */
    while (keel_pagecache_wait_any(cache))
        ;
    for (uint32_t i = 0; i < cache->frame_count; i++) {
        struct keel_frame *frame = &cache->frames[i];
        uint64_t value;

        while (pc_frame_state(frame) == PC_FRAME_READING)
            pc_read_wait(cache, frame);
        if (pc_frame_word(frame, &value))
            KEEL_ASSERT(!pc_word_fixed(value));
    }
    spaces_close(cache);
    lock_fini(&cache->space_lock);
    lock_fini(&cache->pool_lock);
    lock_fini(&cache->free_lock);
    free_memory(cache);
}

/* ---------------------------------------------------------------- spaces */

static bool id_taken(const struct keel_pagecache *cache, uint32_t id)
{
    const struct keel_space *space = cache->spaces;

    while (space && space->id != id)
        space = space->next;
    return space != NULL;
}

/* Under space_lock: pages below are served without asking further, unless after poison. release:
 * pairs with keel_word_private_; the device was grown before. */
static void set_limit(struct keel_space *space)
{
    bool poisoned = atomic_load(&space->cache->poison_lsn) != KEEL_LSN_MAX;

    __atomic_store_n(&space->hot.limit, poisoned ? 0 : keel_space_pages(space), __ATOMIC_RELEASE);
}

int keel_space_open(struct keel_pagecache *cache, uint32_t id, struct keel_device *device,
                    keel_pageno pages, keel_pageno pages_max, struct keel_space **ret)
{
    if (id == 0 || id > PC_SPACE_MAX || pages_max == 0 || pages_max > PAGES_MAX ||
        pages > pages_max)
        return KEEL_EOPTION;

    struct keel_space *space = mem_alloc_aligned(MEM_CACHE_LINE, sizeof(*space));
    if (!space)
        return -ENOMEM;
    int rc = pc_table_init(&space->table, pages_max);
    if (rc != 0) {
        mem_free(space);
        return rc;
    }
    space->cache = cache;
    space->id = id;
    space->device = device;
    atomic_init(&space->pages, pages);
    space->hot = (struct keel_space_private_){
        .words = (uint64_t *)(uintptr_t)space->table.words,
        .versions = (uint64_t *)(uintptr_t)cache->versions,
        .data = cache->data + KEEL_PAGE_HEADER_BYTES,
        .stripes = (char *)cache->stripes,
        .shift = cache->page_shift,
        .len = cache->page_bytes - KEEL_PAGE_HEADER_BYTES,
    };

    lock_acquire(&cache->space_lock);
    bool taken = id_taken(cache, id);
    if (!taken) {
        set_limit(space);
        space->next = cache->spaces;
        cache->spaces = space;
    }
    lock_release(&cache->space_lock);
    if (taken) {
        pc_table_fini(&space->table);
        mem_free(space);
        return KEEL_EOPTION;
    }
    *ret = space;
    return 0;
}

void keel_space_grow(struct keel_space *space, keel_pageno pages)
{
    KEEL_ASSERT(pages <= space->table.pages_max);

    /* release: pairs with keel_page_fix; the device was grown before */
    keel_pageno was = atomic_load_explicit(&space->pages, memory_order_relaxed);
    while (was < pages &&
           !atomic_compare_exchange_weak_explicit(&space->pages, &was, pages, memory_order_release,
                                                  memory_order_relaxed))
        ;
    lock_acquire(&space->cache->space_lock);
    set_limit(space);
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

uint64_t keel_space_trim(struct keel_space *space)
{
    return pc_table_trim(&space->table);
}

/* ---------------------------------------------------------------- poison and counters */

static _Atomic uint32_t stripes_given;
__thread uint32_t keel_stripe_private_;

void keel_stripe_choose_private_(void)
{
    keel_stripe_private_ = 1 + atomic_fetch_add(&stripes_given, 1) % PC_STRIPES;
}

void keel_pagecache_poison(struct keel_pagecache *cache, keel_lsn durable)
{
    KEEL_ASSERT(durable != KEEL_LSN_MAX);

    keel_lsn was = atomic_load_explicit(&cache->poison_lsn, memory_order_relaxed);
    while (durable < was && !atomic_compare_exchange_weak(&cache->poison_lsn, &was, durable))
        ;
    lock_acquire(&cache->space_lock);
    for (struct keel_space *space = cache->spaces; space; space = space->next)
        set_limit(space);
    lock_release(&cache->space_lock);
}

static void count_frame(struct keel_pagecache_stats *stats, const struct keel_frame *frame)
{
    enum pc_frame_state state = pc_frame_state(frame);
    uint64_t value;

    if (state == PC_FRAME_DIRTY)
        stats->dirty++;
    if (pc_frame_being_written(state))
        stats->writing++;
    if (state != PC_FRAME_FREE && pc_frame_word(frame, &value) && pc_word_fixed(value))
        stats->fixed++;
}

void keel_pagecache_counters(struct keel_pagecache *cache, struct keel_pagecache_stats *ret)
{
    struct keel_pagecache_stats stats = {
        .frames = cache->frame_count,
        .free = atomic_load(&cache->free_count),
        .dirty = atomic_load(&cache->dirty_count),
        .reads = atomic_load(&cache->reads),
        .writes = atomic_load(&cache->writes),
        .pages_written = atomic_load(&cache->pages_written),
        .evictions = atomic_load(&cache->evictions),
        .checksum_errors = atomic_load(&cache->checksum_errors),
        .log_waits = atomic_load(&cache->log_waits),
    };

    for (uint32_t i = 0; i < PC_STRIPES; i++) {
        stats.hits += atomic_load_explicit(&cache->stripes[i].hits, memory_order_relaxed);
        stats.misses += atomic_load_explicit(&cache->stripes[i].misses, memory_order_relaxed);
    }
    *ret = stats;
}

void keel_pagecache_stats(struct keel_pagecache *cache, struct keel_pagecache_stats *ret)
{
    struct keel_pagecache_stats stats;

    keel_pagecache_counters(cache, &stats);
    stats.dirty = 0;
    for (uint32_t i = 0; i < cache->frame_count; i++)
        count_frame(&stats, &cache->frames[i]);
    *ret = stats;
}
