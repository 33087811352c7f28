/*
 * Memory of simulated devices: one pool for a simulation and everything that was cut from it.
 *
 * Blocks of contents are shared between a simulation and its cuts by counting references, so all of
 * them live in one pool, which goes when the last simulation of the family does. Memory comes in
 * large maps and is handed out from free lists: taking and giving back costs a few nanoseconds, and
 * nothing is allocated through malloc, so a sealed thread (mem_seal) can simulate.
 *
 * Not thread-safe: a family belongs to one thread. A simulation is a tool of tests: when the
 * machine has no more memory it traps, since a model that lost a write would prove nothing.
 */
#ifndef KEEL_IOSCHED_SIM_POOL_H
#define KEEL_IOSCHED_SIM_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

#define SIM_BLOCK_BYTES   4096u
#define SIM_SECTOR_BYTES  512u
#define SIM_BLOCK_SECTORS (SIM_BLOCK_BYTES / SIM_SECTOR_BYTES)

struct sim_pool;

/* One 4 KiB block of contents, constant once it is reachable from two places. */
struct sim_block {
    uint32_t refs;
    uint8_t *data;               /* constant: SIM_BLOCK_BYTES of the pool's */
    struct sim_block *next_free; /* valid while refs is 0 */
};

/* A new pool with one reference, or NULL when there is no memory. */
struct sim_pool *sim_pool_create(void);
void sim_pool_get(struct sim_pool *pool);
void sim_pool_put(struct sim_pool *pool);

/* size bytes, zeroed, aligned for anything. Given back with the same size. */
void *sim_pool_alloc(struct sim_pool *pool, size_t size);
void sim_pool_free(struct sim_pool *pool, void *ptr, size_t size);

/*
 * Make room for one more element of a vector: *room elements of size bytes are there, count of them
 * used. Returns the vector, moved or not; doubles *room when it was full.
 */
void *sim_pool_grow(struct sim_pool *pool, void *vector, uint32_t count, uint32_t *room,
                    size_t size);

/* A block with one reference and undefined contents. */
struct sim_block *sim_block_new(struct sim_pool *pool);

/* Bytes handed out and not given back; for tests that look for leaks. */
uint64_t sim_pool_used(const struct sim_pool *pool);

/* Last reference is gone. */
void sim_block_recycle(struct sim_pool *pool, struct sim_block *block);

/* NULL is the block of zeroes, for both. */
static inline void sim_block_get(struct sim_block *block)
{
    if (!block)
        return;
    KEEL_DCHECK(block->refs > 0);
    block->refs++;
}

static inline void sim_block_put(struct sim_pool *pool, struct sim_block *block)
{
    if (!block)
        return;
    KEEL_DCHECK(block->refs > 0);
    if (--block->refs == 0)
        sim_block_recycle(pool, block);
}

#endif
