/*
 * Arenas: one mapping per store, and the numbers of its chunks.
 *
 * A number is an index into the buffer table of every ring of the process, so a chunk needs no map
 * from ring to index. Rings register chunks by themselves when they first transfer from them.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/mem.h"
#include "iosched/arena.h"
#include "iosched/ctx.h"

_Static_assert(IOS_CHUNK_BYTES_MIN >= KEEL_IO_BYTES_MAX, "a transfer spans two chunks at most");

/* Which numbers are taken; under the registry lock. */
static bool numbers[IOS_CHUNK_IDS_MAX];

/* First of count free numbers in a row, taken; or IOS_CHUNK_IDS_MAX. */
static uint32_t take_numbers(uint32_t count)
{
    uint32_t run = 0;
    uint32_t first = IOS_CHUNK_IDS_MAX;

    ios_registry_lock();
    for (uint32_t i = 0; i < IOS_CHUNK_IDS_MAX && run < count; i++) {
        run = numbers[i] ? 0 : run + 1;
        first = i;
    }
    first = run == count ? first + 1 - count : IOS_CHUNK_IDS_MAX;
    for (uint32_t i = 0; first < IOS_CHUNK_IDS_MAX && i < count; i++)
        numbers[first + i] = true;
    ios_registry_unlock();
    return first;
}

static void give_numbers_back(uint32_t first, uint32_t count)
{
    ios_registry_lock();
    for (uint32_t i = 0; i < count; i++) {
        KEEL_ASSERT(numbers[first + i]);
        numbers[first + i] = false;
    }
    ios_registry_unlock();
}

static void number_chunks(struct keel_arena *arena)
{
    arena->chunk_bytes = IOS_CHUNK_BYTES_MIN;
    while (arena->chunk_bytes < IOS_CHUNK_BYTES_MAX &&
           arena->bytes / arena->chunk_bytes > IOS_ARENA_CHUNKS)
        arena->chunk_bytes *= 2;

    size_t count = (arena->bytes + arena->chunk_bytes - 1) / arena->chunk_bytes;
    if (count > IOS_CHUNK_IDS_MAX)
        return;
    arena->chunk_first = take_numbers((uint32_t)count);
    if (arena->chunk_first < IOS_CHUNK_IDS_MAX)
        arena->chunk_count = (uint32_t)count;
}

int keel_arena_create(size_t bytes, struct keel_arena **ret)
{
    if (bytes == 0)
        return KEEL_EOPTION;

    struct keel_arena *arena = mem_alloc(sizeof(*arena));
    if (!arena)
        return -ENOMEM;
    arena->bytes = (bytes + KEEL_BLOCK_BYTES - 1) / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES;
    arena->base = mem_map(arena->bytes, arena->bytes >= MEM_HUGE_PAGE ? MEM_MAP_HUGE : 0);
    if (!arena->base) {
        mem_free(arena);
        return -ENOMEM;
    }
    number_chunks(arena);
    *ret = arena;
    return 0;
}

static void forget(struct keel_ctx *ctx, const void *arg)
{
    if (!ctx->method->forget_chunks)
        return;
    lock_acquire(&ctx->submit);
    ctx->method->forget_chunks(ctx, arg);
    lock_release(&ctx->submit);
}

/* Every ring of the process forgets count chunks from number first on. */
static void forget_everywhere(const struct keel_arena *arena, uint32_t first, uint32_t count)
{
    const struct ios_chunks chunks = {.arena = arena, .first = first, .count = count};

    ios_registry_lock();
    ios_registry_each(forget, &chunks);
    ios_registry_unlock();
}

void keel_arena_destroy(struct keel_arena *arena)
{
    if (!arena)
        return;

    if (arena->chunk_count > 0) {
        forget_everywhere(arena, arena->chunk_first, arena->chunk_count);
        give_numbers_back(arena->chunk_first, arena->chunk_count);
    }
    mem_unmap(arena->base, arena->bytes);
    mem_free(arena);
}

void *keel_arena_alloc(struct keel_arena *arena, size_t bytes)
{
    size_t left = arena->bytes - arena->used;

    if (bytes == 0 || bytes > left)
        return NULL;
    bytes = (bytes + KEEL_BLOCK_BYTES - 1) / KEEL_BLOCK_BYTES * KEEL_BLOCK_BYTES;

    char *at = arena->base + arena->used;
    arena->used += bytes;
    KEEL_ASSERT(arena->used <= arena->bytes);
    return at;
}

size_t keel_arena_used(const struct keel_arena *arena)
{
    return arena->used;
}

size_t keel_arena_chunk_bytes(const struct keel_arena *arena)
{
    return arena->chunk_bytes;
}

int keel_arena_release(struct keel_arena *arena, size_t offset, size_t bytes)
{
    KEEL_ASSERT(bytes <= arena->used && offset <= arena->used - bytes);
    KEEL_ASSERT(offset % arena->chunk_bytes == 0);
    KEEL_ASSERT(bytes % arena->chunk_bytes == 0 || offset + bytes == arena->used);
    size_t kept = offset > 0 ? IOS_CHUNK_OVERLAP : 0;
    if (bytes <= kept)
        return 0;
    if (arena->chunk_count > 0)
        forget_everywhere(arena, arena->chunk_first + (uint32_t)(offset / arena->chunk_bytes),
                          (uint32_t)((bytes + arena->chunk_bytes - 1) / arena->chunk_bytes));
    return madvise(arena->base + offset + kept, bytes - kept, MADV_DONTNEED) == 0 ? 0 : -errno;
}

int32_t ios_arena_chunk(const struct keel_arena *arena, const void *buf)
{
    size_t at = (size_t)((const char *)buf - arena->base);

    KEEL_ASSERT((const char *)buf >= arena->base && at < arena->bytes);
    if (arena->chunk_count == 0)
        return -1;
    return (int32_t)(arena->chunk_first + at / arena->chunk_bytes);
}

void ios_arena_chunk_range(const struct keel_arena *arena, uint32_t id, void **ret_base,
                           size_t *ret_bytes)
{
    KEEL_ASSERT(id >= arena->chunk_first && id - arena->chunk_first < arena->chunk_count);

    size_t at = (id - arena->chunk_first) * arena->chunk_bytes;
    size_t bytes = arena->chunk_bytes + IOS_CHUNK_OVERLAP;
    *ret_base = arena->base + at;
    *ret_bytes = bytes < arena->bytes - at ? bytes : arena->bytes - at;
}
