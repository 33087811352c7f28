/*
 * The page cache as a whole: open, close, poison, counters. Spaces are in space.c, fixing in fix.c,
 * free frames in evict.c, write-back in flush.c.
 *
 * - Failure: options out of range (KEEL_EOPTION), the arena is spent (-ENOMEM).
 * - Everything is allocated here; no other file of this folder allocates.
 */
#include <errno.h>

#include "base/mem.h"
#include "pagecache/cache.h"
#include "pagecache/evict.h"
#include "pagecache/fix.h"
#include "pagecache/flush.h"
#include "pagecache/space.h"
#include "pagecache/stream.h"

#define PAGE_BYTES_DEFAULT  4096u
#define CACHE_BYTES_DEFAULT (UINT64_C(64) << 20)
#define WRITE_BYTES_LEAST   (128u << 10)
#define WRITES_DEFAULT      8u
#define WRITES_MAX          1024u
#define SOFT_DEFAULT        50u /* percent of the frames */
#define HARD_DEFAULT        80u

/* All writes in flight together at most a 16th of the cache, but worth merging. */
static uint32_t write_bytes_default(const struct keel_pagecache_options *options)
{
    uint32_t bytes = KEEL_IO_BYTES_MAX;

    while (bytes > WRITE_BYTES_LEAST &&
           (uint64_t)bytes * WRITES_DEFAULT * 16 > options->cache_bytes)
        bytes /= 2;
    return bytes;
}

static struct keel_pagecache_options with_defaults(const struct keel_pagecache_options *options)
{
    struct keel_pagecache_options full = *options;

    if (full.page_bytes == 0)
        full.page_bytes = PAGE_BYTES_DEFAULT;
    if (full.cache_bytes == 0)
        full.cache_bytes = CACHE_BYTES_DEFAULT;
    if (full.write_bytes_max == 0)
        full.write_bytes_max = write_bytes_default(&full);
    if (full.writes_max == 0)
        full.writes_max = WRITES_DEFAULT;
    if (full.dirty_soft == 0)
        full.dirty_soft = SOFT_DEFAULT;
    if (full.dirty_hard == 0)
        full.dirty_hard = HARD_DEFAULT;
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
    if (options->cache_bytes_max > 0 && (options->cache_bytes_max < options->cache_bytes ||
                                         options->cache_bytes_max / page_bytes > INT32_MAX))
        return false;
    if (options->write_bytes_max < page_bytes || options->write_bytes_max > KEEL_IO_BYTES_MAX ||
        options->write_bytes_max % page_bytes != 0)
        return false;
    if (options->dirty_soft >= options->dirty_hard || options->dirty_hard > 100)
        return false;
    return options->writes_max >= 1 && options->writes_max <= WRITES_MAX;
}

static uint64_t frames_max(const struct keel_pagecache_options *full)
{
    uint64_t bytes = full->cache_bytes_max ? full->cache_bytes_max : full->cache_bytes;

    return bytes / full->page_bytes;
}

uint64_t keel_pagecache_arena_bytes(const struct keel_pagecache_options *options)
{
    struct keel_pagecache_options full = with_defaults(options);

    if (!valid(&full))
        return 0;
    /* Of a cache that is resized, a slab may begin where a chunk of the arena does. */
    return frames_max(&full) * full.page_bytes + (uint64_t)full.write_bytes_max * full.writes_max +
           (full.cache_bytes_max ? KEEL_PAGE_BYTES_MAX : 0);
}

/* ---------------------------------------------------------------- open and close */

static void chunks_init(struct keel_pagecache *cache, char *copies)
{
    for (uint32_t i = 0; i < cache->options.writes_max; i++) {
        struct pc_chunk *chunk = &cache->chunks[i];
        chunk->cache = cache;
        chunk->copy = copies + (size_t)i * cache->options.write_bytes_max;
        chunk->frames = cache->chunk_frames + (size_t)i * cache->chunk_units;
        pc_chunk_init(chunk);
        list_push_tail(&cache->chunks_idle, &chunk->link);
        atomic_fetch_add_explicit(&cache->idle_count, 1, memory_order_relaxed);
    }
}

void pc_frames_begin(struct keel_pagecache *cache, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        struct keel_frame *frame = &cache->frames[i];
        pc_frame_init(frame, i);
        frame->io = (struct keel_io){
            .arena = cache->options.arena,
            .buf = pc_frame_page(cache, i),
            .op = KEEL_OP_READ,
            .flags = KEEL_IO_ANY_THREAD,
            .done = pc_read_done,
            .user = frame,
        };
    }
}

static void frames_init(struct keel_pagecache *cache)
{
    pc_frames_begin(cache, 0, cache->frame_count);
    cache->frames_begun = cache->frame_count;
    for (uint32_t i = 0; i < cache->frame_count; i++)
        list_push_tail(&cache->free[0], &cache->frames[i].free_link);
    atomic_init(&cache->free_count[0], cache->frame_count);
}

static void free_memory(struct keel_pagecache *cache)
{
    pc_streams_fini(cache);
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

    cache->versions = mem_alloc(cache->frames_max * sizeof(*cache->versions));
    cache->chunks = mem_alloc(writes * sizeof(*cache->chunks));
    cache->chunk_frames =
        mem_alloc((size_t)writes * cache->chunk_units * sizeof(*cache->chunk_frames));
    cache->frames = cache->frames_bytes >= MEM_HUGE_PAGE
                        ? mem_map(cache->frames_bytes, MEM_MAP_HUGE)
                        : mem_alloc_aligned(MEM_CACHE_LINE, cache->frames_bytes);
    if (!cache->versions || !cache->chunks || !cache->chunk_frames || !cache->frames)
        return -ENOMEM;

    int rc = pc_streams_init(cache);
    if (rc != 0)
        return rc;
    *ret_copies =
        keel_arena_alloc(cache->options.arena, (size_t)writes * cache->options.write_bytes_max);
    if (!*ret_copies)
        return -ENOMEM;
    size_t over = keel_arena_used(cache->options.arena) % KEEL_PAGE_BYTES_MAX;
    if (cache->options.cache_bytes_max && over > 0 &&
        !keel_arena_alloc(cache->options.arena, KEEL_PAGE_BYTES_MAX - over))
        return -ENOMEM;
    cache->data_at = keel_arena_used(cache->options.arena);
    cache->data =
        keel_arena_alloc(cache->options.arena, (size_t)cache->frames_max << cache->unit_shift);
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
    cache->unit_shift = (uint32_t)__builtin_ctz(full.page_bytes);
    cache->frames_max = (uint32_t)frames_max(&full);
    cache->frame_count = (uint32_t)(full.cache_bytes / full.page_bytes);
    cache->frames_seen = cache->frame_count;
    cache->slab_units = KEEL_PAGE_BYTES_MAX / full.page_bytes;
    cache->chunk_units = full.write_bytes_max / full.page_bytes;
    cache->frames_bytes = cache->frames_max * sizeof(struct keel_frame);

    char *copies;
    int rc = take_memory(cache, &copies);
    if (rc != 0) {
        free_memory(cache);
        return rc;
    }
    lock_init(&cache->free_lock, LOCK_LEAF);
    lock_init(&cache->pool_lock, LOCK_LEAF);
    lock_init(&cache->space_lock, LOCK_LEAF);
    for (uint32_t order = 0; order < PC_ORDERS; order++)
        list_init(&cache->free[order]);
    for (uint32_t order = 0; order < PC_ORDERS; order++)
        list_init(&cache->young[order]);
    list_init(&cache->chunks_idle);
    list_init(&cache->chunks_busy);
    atomic_init(&cache->poison_lsn, KEEL_LSN_MAX);
    atomic_init(&cache->log_known, full.log_durable ? 0 : KEEL_LSN_MAX);
    chunks_init(cache, copies);
    frames_init(cache);
    *ret = cache;
    return 0;
}

void keel_pagecache_close(struct keel_ctx *ctx, struct keel_pagecache *cache)
{
    (void)ctx;
    if (!cache)
        return;

    /* Progress: each of these is in flight and driven by the wait; nobody starts new ones. */
    while (keel_pagecache_wait_any(cache))
        ;
    for (uint32_t i = 0; i < cache->frames_seen; i++) {
        struct keel_frame *frame = &cache->frames[i];
        uint64_t value;

        while (pc_frame_state(frame) == PC_FRAME_READING)
            pc_read_wait(cache, frame);
        if (pc_frame_word(frame, &value))
            KEEL_ASSERT(!pc_word_fixed(value));
    }
    pc_spaces_fini(cache);
    lock_fini(&cache->pool_lock);
    lock_fini(&cache->free_lock);
    free_memory(cache);
}

/* ---------------------------------------------------------------- poison and counters */

static _Atomic uint32_t stripes_given;
__thread uint32_t keel_stripe_private_;

void keel_stripe_choose_private_(void)
{
    uint32_t stripe = atomic_fetch_add(&stripes_given, 1) % PC_STRIPES;

    keel_stripe_private_ = (stripe + 1) * (uint32_t)sizeof(struct pc_stripe);
}

void keel_pagecache_poison(struct keel_pagecache *cache, keel_lsn durable)
{
    KEEL_ASSERT(durable != KEEL_LSN_MAX);

    keel_lsn was = atomic_load_explicit(&cache->poison_lsn, memory_order_relaxed);
    while (durable < was && !atomic_compare_exchange_weak(&cache->poison_lsn, &was, durable))
        ;
    pc_spaces_poisoned(cache);
}

static void count_frame(struct keel_pagecache_stats *stats, const struct keel_frame *frame)
{
    enum pc_frame_state state = pc_frame_state(frame);
    uint64_t value;

    uint32_t order = pc_frame_order(frame);
    if (state == PC_FRAME_FREE || order == PC_ORDER_PART)
        return;
    uint32_t units = 1u << order;
    if (state == PC_FRAME_DIRTY)
        stats->dirty += units;
    if (pc_frame_being_written(state))
        stats->writing += units;
    if (pc_frame_word(frame, &value) && pc_word_fixed(value))
        stats->fixed += units;
}

void keel_pagecache_counters(struct keel_pagecache *cache, struct keel_pagecache_stats *ret)
{
    struct keel_pagecache_stats stats = {
        .frames = cache->frame_count,
        .frames_max = cache->frames_max,
        .leaving = cache->frames_seen - cache->frame_count,
        .free = pc_free_units(cache),
        .dirty = atomic_load(&cache->dirty_units),
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
    for (uint32_t i = 0; i < cache->frames_seen; i++)
        count_frame(&stats, &cache->frames[i]);
    *ret = stats;
}
