/*
 * What the cache is busy with, as lines of text: pages that somebody has fixed, and reads and
 * writes in flight. For finding a page that nobody lets go of, and for looking at a process that
 * does not get on.
 */
#include "pagecache/cache.h"

#define WRITES_SHOWN 64u

struct write {
    uint32_t space, count, page_shift;
    keel_pageno first;
};

struct dump {
    void (*line)(void *arg, const char *text);
    void *arg;
    uint32_t lines;
};

__attribute__((format(printf, 2, 3))) static void print(struct dump *dump, const char *format, ...)
{
    char buf[256];
    struct text text;
    va_list args;

    text_init(&text, buf, sizeof(buf));
    va_start(args, format);
    text_vprintf(&text, format, args);
    va_end(args);
    dump->line(dump->arg, buf);
    dump->lines++;
}

static void dump_frame(struct dump *dump, const struct keel_frame *frame)
{
    uint64_t value;

    if (!pc_frame_word(frame, &value))
        return;
    uint64_t latch = pc_word_latch(value);
    if (latch == 0 || latch == PC_LATCH_BAD)
        return;

    const struct keel_space *space = atomic_load_explicit(&frame->space, memory_order_acquire);
    char how[48], buf[160];
    struct text text;
    text_init(&text, how, sizeof(how));
    if (latch == PC_LATCH_IO)
        text_printf(&text, "read in flight");
    else if (latch == PC_LATCH_EXCLUSIVE)
        text_printf(&text, "fixed exclusively");
    else
        text_printf(&text, "fixed shared %u times", (unsigned)latch);
    text_init(&text, buf, sizeof(buf));
    pc_frame_text(&text, frame);
    print(dump, "space %u page %llu: %s%s; %s", space ? space->id : 0,
          (unsigned long long)atomic_load_explicit(&frame->pageno, memory_order_relaxed), how,
          value & PC_WORD_WAITERS ? ", waited for" : "", buf);
}

/* The oldest ones; how many. */
static uint32_t writes_in_flight(struct keel_pagecache *cache, struct write *ret)
{
    uint32_t count = 0;

    lock_acquire(&cache->pool_lock);
    for (struct list *at = cache->chunks_busy.next;
         at != &cache->chunks_busy && count < WRITES_SHOWN; at = at->next) {
        const struct pc_chunk *chunk = container_of(at, struct pc_chunk, link);
        ret[count++] = (struct write){.space = chunk->space->id,
                                      .count = chunk->count,
                                      .page_shift = chunk->space->page_shift,
                                      .first = chunk->first};
    }
    lock_release(&cache->pool_lock);
    return count;
}

uint32_t keel_pagecache_dump(struct keel_pagecache *cache,
                             void (*line)(void *arg, const char *text), void *arg)
{
    struct dump dump = {.line = line, .arg = arg};

    for (uint32_t i = 0; i < cache->frames_seen; i++)
        dump_frame(&dump, &cache->frames[i]);
    struct write writes[WRITES_SHOWN];
    uint32_t count = writes_in_flight(cache, writes);
    for (uint32_t i = 0; i < count; i++)
        print(&dump, "space %u pages %llu to %llu: write in flight, %llu bytes at offset %llu",
              writes[i].space, (unsigned long long)writes[i].first,
              (unsigned long long)(writes[i].first + writes[i].count - 1),
              (unsigned long long)writes[i].count << writes[i].page_shift,
              (unsigned long long)writes[i].first << writes[i].page_shift);
    return dump.lines;
}
