/*
 * Streams: pages that are named ahead of their use, in any order, and read before they are asked
 * for.
 *
 * keel_stream_next -> look_ahead: asks the callback for pages, up to `distance` ahead of the one
 * that is handed out next, and has those side by side read together (ring.c) -> keel_page_fix: by
 * now a hit, or a read under way that it waits for (I6).
 *
 * The distance begins at one group of the ring, doubles when a page that is asked for is not there
 * yet, and shrinks by one page with each that was resident before the stream named it: a stream
 * over what is in the cache reads nothing and looks ahead hardly at all.
 *
 * - Failure: a page that cannot be read is an error of that page alone; the stream goes on behind
 *   it. A request for several pages that failed is undone, and each page read by itself.
 */
#include "pagecache/stream.h"

#include <errno.h>

#include "base/mem.h"
#include "pagecache/ring.h"

struct keel_stream {
    struct keel_pagecache *cache; /* constant */
    struct list link;             /* under space_lock: on streams_idle, or none */

    /* owner thread of ctx */
    struct keel_ctx *ctx;
    struct keel_space *space;
    keel_pageno (*next)(void *arg);
    void *arg;
    struct pc_ring ring;
    uint32_t distance, distance_max; /* in pages */
    bool ended;                      /* the callback has no more */
    keel_pageno kept;                /* named, but not side by side with those before; or NONE */
    uint64_t named, given;           /* pages so far; named - given are ahead */
    uint32_t capacity;
    keel_pageno *pages; /* page number n of the stream is at n % capacity */
};

int pc_streams_init(struct keel_pagecache *cache)
{
    uint32_t capacity = pc_ring_frames(cache, cache->frames_max, 0);

    list_init(&cache->streams_idle);
    cache->streams = mem_alloc(PC_STREAMS_MAX * sizeof(*cache->streams));
    cache->stream_pages = mem_alloc((size_t)PC_STREAMS_MAX * capacity * sizeof(keel_pageno));
    if (!cache->streams || !cache->stream_pages)
        return -ENOMEM;
    for (uint32_t i = 0; i < PC_STREAMS_MAX; i++) {
        struct keel_stream *stream = &cache->streams[i];
        stream->cache = cache;
        stream->capacity = capacity;
        stream->pages = cache->stream_pages + (size_t)i * capacity;
        list_init(&stream->link);
        list_push_tail(&cache->streams_idle, &stream->link);
    }
    return 0;
}

void pc_streams_fini(struct keel_pagecache *cache)
{
    mem_free(cache->streams);
    mem_free(cache->stream_pages);
}

int keel_stream_open(struct keel_ctx *ctx, struct keel_space *space, keel_pageno (*next)(void *arg),
                     void *arg, struct keel_stream **ret)
{
    struct keel_pagecache *cache = space->cache;

    lock_acquire(&cache->space_lock);
    struct list *link = list_pop_head(&cache->streams_idle);
    lock_release(&cache->space_lock);
    if (!link)
        return KEEL_EFULL;

    struct keel_stream *stream = container_of(link, struct keel_stream, link);
    stream->ctx = ctx;
    stream->space = space;
    stream->next = next;
    stream->arg = arg;
    stream->ended = false;
    stream->kept = KEEL_PAGENO_NONE;
    stream->named = stream->given = 0;
    pc_ring_init(&stream->ring, space);
    /* One group less: the one being filled anew holds only pages that were given out. */
    uint32_t groups = stream->ring.group_count;
    stream->distance_max = stream->ring.group_frames * (groups > 1 ? groups - 1 : 1);
    stream->distance = stream->ring.group_frames;
    *ret = stream;
    return 0;
}

void keel_stream_close(struct keel_stream *stream)
{
    struct keel_pagecache *cache = stream->cache;

    pc_ring_give_back(&stream->ring);
    lock_acquire(&cache->space_lock);
    list_push_tail(&cache->streams_idle, &stream->link);
    lock_release(&cache->space_lock);
}

/* ---------------------------------------------------------------- looking ahead */

static uint32_t ahead(const struct keel_stream *stream)
{
    return (uint32_t)(stream->named - stream->given);
}

/* Fixing it would be a hit. */
static bool readable(const struct keel_space *space, keel_pageno pageno)
{
    return pageno < keel_space_pages(space) &&
           pc_word_sharable(
               atomic_load_explicit(&space->table.words[pageno], memory_order_relaxed));
}

/* The next page that the callback names, or NONE. */
static keel_pageno name_one(struct keel_stream *stream)
{
    keel_pageno pageno = stream->kept;

    stream->kept = KEEL_PAGENO_NONE;
    if (pageno == KEEL_PAGENO_NONE && !stream->ended) {
        pageno = stream->next(stream->arg);
        stream->ended = pageno == KEEL_PAGENO_NONE;
    }
    return pageno;
}

/* Name pages that lie side by side, at most `most`, and have them read. False: no more. */
static bool name_run(struct keel_stream *stream, uint32_t most)
{
    keel_pageno first = name_one(stream);
    uint32_t count = 0;

    if (first == KEEL_PAGENO_NONE)
        return false;
    for (keel_pageno at = first; at == first + count && count < most;) {
        stream->pages[stream->named++ % stream->capacity] = at;
        count++;
        if (count == most)
            break;
        at = name_one(stream);
        if (at != first + count)
            stream->kept = at;
        if (at == KEEL_PAGENO_NONE)
            break;
    }

    keel_pageno limit = keel_space_pages(stream->space);
    uint32_t inside = first >= limit          ? 0
                      : limit - first < count ? (uint32_t)(limit - first)
                                              : count;
    bool resident = inside > 0 && pc_resident(stream->space, first);
    /* What could not be started is read by keel_page_fix when its turn comes. */
    uint32_t under_way = pc_ring_read(stream->ctx, &stream->ring, stream->space, first, inside);
    if (resident && under_way == inside && stream->distance > stream->ring.group_frames)
        stream->distance -= count < stream->distance - stream->ring.group_frames
                                ? count
                                : stream->distance - stream->ring.group_frames;
    return true;
}

static void look_ahead(struct keel_stream *stream)
{
    uint32_t group = stream->ring.group_frames;
    uint64_t before = stream->named;

    /* Whole groups at a time, so that requests are as long as they can be. */
    while (ahead(stream) == 0 || ahead(stream) + group <= stream->distance) {
        uint32_t room = stream->capacity - ahead(stream);
        if (!name_run(stream, group < room ? group : room))
            break;
    }
    if (stream->named != before)
        keel_ctx_kick(stream->ctx);
}

int keel_stream_next(struct keel_stream *stream, unsigned flags, struct keel_err_info *info,
                     struct keel_page *ret)
{
    look_ahead(stream);
    if (ahead(stream) == 0)
        return KEEL_STREAM_END;

    keel_pageno pageno = stream->pages[stream->given % stream->capacity];
    if (!readable(stream->space, pageno)) {
        uint32_t twice = 2 * stream->distance;
        stream->distance = twice < stream->distance_max ? twice : stream->distance_max;
        look_ahead(stream);
    }
    int rc = keel_page_fix(stream->ctx, stream->space, pageno, KEEL_FIX_SHARED, flags, info, ret);
    if (rc != KEEL_PENDING && rc != KEEL_EBUSY && rc != KEEL_EFULL)
        stream->given++;
    return rc;
}
