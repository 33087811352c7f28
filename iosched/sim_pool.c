/*
 * Free lists by power of two over chunks of anonymous memory. Chunks are given back to the system
 * only when the pool goes.
 *
 * A block keeps its 4 KiB for ever: its header goes on a list of its own when it is not in use.
 * Headers are made in batches, so that what reference counting touches lies close together.
 */
#include "iosched/sim_pool.h"

#include <string.h>

#include "base/mem.h"

#define CHUNK_BYTES ((size_t)1 << 20)
#define CLASS_MIN   5u  /* smallest item: 32 bytes */
#define CLASS_MAX   36u /* largest: 64 GiB */
#define BLOCK_BATCH 32u /* blocks made at once, so that their headers lie together */

struct pool_chunk {
    struct pool_chunk *next;
    size_t bytes;
    char pad[MEM_CACHE_LINE - sizeof(struct pool_chunk *) - sizeof(size_t)];
};

struct free_item {
    struct free_item *next;
};

struct sim_pool {
    uint32_t refs;
    uint64_t used_bytes;
    struct sim_block *free_block;
    struct free_item *free[CLASS_MAX + 1]; /* by logarithm of the size */
    struct pool_chunk *chunks;
    char *fresh; /* rest of the newest chunk */
    size_t fresh_bytes;
};

_Static_assert(sizeof(struct pool_chunk) == MEM_CACHE_LINE, "items start on a cache line");

static struct pool_chunk *map_chunk(size_t need)
{
    size_t bytes = need + sizeof(struct pool_chunk);
    if (bytes < CHUNK_BYTES)
        bytes = CHUNK_BYTES;

    struct pool_chunk *chunk = mem_map(bytes, 0);
    if (chunk)
        chunk->bytes = bytes;
    return chunk;
}

/* Memory that was never used, hence zero. The rest of the chunk in use is given up when it is too
 * small: that happens once per chunk. */
static void *take_fresh(struct sim_pool *pool, size_t bytes)
{
    if (pool->fresh_bytes < bytes) {
        struct pool_chunk *chunk = map_chunk(bytes);

        KEEL_ASSERT(chunk != NULL);
        chunk->next = pool->chunks;
        pool->chunks = chunk;
        pool->fresh = (char *)(chunk + 1);
        pool->fresh_bytes = chunk->bytes - sizeof(*chunk);
    }

    void *ptr = pool->fresh;
    pool->fresh += bytes;
    pool->fresh_bytes -= bytes;
    return ptr;
}

struct sim_pool *sim_pool_create(void)
{
    struct pool_chunk *chunk = map_chunk(0);
    if (!chunk)
        return NULL;

    struct sim_pool *pool = (struct sim_pool *)(void *)(chunk + 1);
    size_t own = (sizeof(*pool) + MEM_CACHE_LINE - 1) / MEM_CACHE_LINE * MEM_CACHE_LINE;

    pool->refs = 1;
    pool->chunks = chunk;
    pool->fresh = (char *)pool + own;
    pool->fresh_bytes = chunk->bytes - sizeof(*chunk) - own;
    return pool;
}

void sim_pool_get(struct sim_pool *pool)
{
    KEEL_ASSERT(pool->refs > 0);
    pool->refs++;
}

void sim_pool_put(struct sim_pool *pool)
{
    KEEL_ASSERT(pool->refs > 0);
    if (--pool->refs > 0)
        return;

    /* Every simulation gave back what it took, or a reference was lost on the way. */
    KEEL_ASSERT(pool->used_bytes == 0);

    /* The pool itself lies in one of the chunks. */
    struct pool_chunk *chunk = pool->chunks;
    while (chunk) {
        struct pool_chunk *next = chunk->next;

        mem_unmap(chunk, chunk->bytes);
        chunk = next;
    }
}

static unsigned class_of(size_t size)
{
    unsigned cls = size <= ((size_t)1 << CLASS_MIN)
                       ? CLASS_MIN
                       : 64u - (unsigned)__builtin_clzll((unsigned long long)size - 1);

    KEEL_ASSERT(cls <= CLASS_MAX);
    return cls;
}

static void *take_item(struct sim_pool *pool, size_t size)
{
    unsigned cls = class_of(size);
    struct free_item *item = pool->free[cls];

    pool->used_bytes += (uint64_t)1 << cls;
    if (!item)
        return take_fresh(pool, (size_t)1 << cls);

    pool->free[cls] = item->next;
    return item;
}

void *sim_pool_alloc(struct sim_pool *pool, size_t size)
{
    void *ptr = take_item(pool, size);

    memset(ptr, 0, size);
    return ptr;
}

void sim_pool_free(struct sim_pool *pool, void *ptr, size_t size)
{
    if (!ptr)
        return;

    unsigned cls = class_of(size);
    struct free_item *item = ptr;

    KEEL_DCHECK(pool->used_bytes >= (uint64_t)1 << cls);
    pool->used_bytes -= (uint64_t)1 << cls;
    item->next = pool->free[cls];
    pool->free[cls] = item;
}

void *sim_pool_grow(struct sim_pool *pool, void *vector, uint32_t count, uint32_t *room,
                    size_t size)
{
    KEEL_ASSERT(count <= *room);
    if (count < *room)
        return vector;

    uint32_t room_new = *room ? *room * 2 : 8;
    void *bigger = take_item(pool, room_new * size);

    KEEL_ASSERT(room_new > *room);
    if (count > 0)
        memcpy(bigger, vector, count * size);
    sim_pool_free(pool, vector, *room * size);
    *room = room_new;
    return bigger;
}

static void make_blocks(struct sim_pool *pool)
{
    struct sim_block *block = take_fresh(pool, BLOCK_BATCH * sizeof(struct sim_block));
    uint8_t *data = take_fresh(pool, (size_t)BLOCK_BATCH * SIM_BLOCK_BYTES);

    for (unsigned i = 0; i < BLOCK_BATCH; i++) {
        block[i].data = data + (size_t)i * SIM_BLOCK_BYTES;
        block[i].next_free = i + 1 < BLOCK_BATCH ? &block[i + 1] : pool->free_block;
    }
    pool->free_block = block;
}

struct sim_block *sim_block_new(struct sim_pool *pool)
{
    if (!pool->free_block)
        make_blocks(pool);

    struct sim_block *block = pool->free_block;

    KEEL_DCHECK(block->refs == 0);
    pool->free_block = block->next_free;
    pool->used_bytes += SIM_BLOCK_BYTES;
    block->refs = 1;
    return block;
}

void sim_block_recycle(struct sim_pool *pool, struct sim_block *block)
{
    KEEL_DCHECK(block->refs == 0);
    KEEL_DCHECK(pool->used_bytes >= SIM_BLOCK_BYTES);

    pool->used_bytes -= SIM_BLOCK_BYTES;
    block->next_free = pool->free_block;
    pool->free_block = block;
}

uint64_t sim_pool_used(const struct sim_pool *pool)
{
    return pool->used_bytes;
}
