/*
 * The pool of transactions: their memory, laid out at open, and who has which.
 *
 * Each has a part of one reservation of address space, large enough for the largest transaction;
 * what it never touches costs nothing.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "engine/store.h"

#define TX_PAGES_MIN 8u
#define CACHE_SHARE  2u /* one transaction holds at most one in so many frames */
#define LOG_SHARE    2u /* one transaction takes at most one in so many bytes of the log */

static size_t align_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* Bytes of each part of a transaction's memory, for `pages` pages. */
struct tx_layout {
    size_t pages, slots, records, parts, heads, undo, total;
};

static struct tx_layout layout(uint32_t pages, uint32_t slots, uint32_t page_len)
{
    struct tx_layout out;
    size_t records = (size_t)pages * TX_RECORDS_PAGE;

    out.pages = align_up(pages * sizeof(struct tx_page), MEM_CACHE_LINE);
    out.slots = align_up(slots * sizeof(uint32_t), MEM_CACHE_LINE);
    out.records = align_up(records * sizeof(struct keel_wal_record), MEM_CACHE_LINE);
    out.parts = align_up(records * 2 * sizeof(struct iovec), MEM_CACHE_LINE);
    out.heads = align_up(records * RECORD_DELTA_BYTES, MEM_CACHE_LINE);
    out.undo = align_up((size_t)pages * page_len, MEM_CACHE_LINE);
    out.total = out.pages + out.slots + out.records + out.parts + out.heads + out.undo;
    return out;
}

static void place(struct keel_tx *tx, uint8_t *at, const struct tx_layout *sizes)
{
    tx->pages = (void *)at;
    at += sizes->pages;
    tx->slots = (void *)at;
    at += sizes->slots;
    tx->records = (void *)at;
    at += sizes->records;
    tx->parts = (void *)at;
    at += sizes->parts;
    tx->heads = (void *)at;
    at += sizes->heads;
    tx->undo = at;
}

static uint32_t choose_pages_max(const struct keel_store *store)
{
    uint64_t pages = store->config.cache_bytes / store->config.page_bytes / CACHE_SHARE;
    uint64_t undo = TX_UNDO_BYTES_MAX / store->config.page_bytes;

    if (pages > undo)
        pages = undo;
    if (pages > TX_PAGES_MAX)
        pages = TX_PAGES_MAX;
    return pages < TX_PAGES_MIN ? TX_PAGES_MIN : (uint32_t)pages;
}

int tx_pool_init(struct keel_store *store)
{
    struct tx_pool *pool = &store->txs;
    uint32_t count = store->config.tx_max;
    uint32_t slots = 16;

    pool->pages_max = choose_pages_max(store);
    while (slots < pool->pages_max * 2)
        slots *= 2;
    pool->slots_mask = slots - 1;

    struct keel_wal_stats stats;
    keel_wal_stats(store->wal, &stats);
    pool->log_max = stats.ring_bytes / LOG_SHARE;

    struct tx_layout sizes = layout(pool->pages_max, slots, store->page_len);
    pool->reserved_bytes = sizes.total * count;
    pool->reserved = mem_reserve(pool->reserved_bytes);
    pool->all = mem_alloc(count * sizeof(*pool->all) + count * sizeof(uint32_t));
    if (!pool->reserved || !pool->all)
        goto fail;

    pool->free = (uint32_t *)(void *)(pool->all + count);
    for (uint32_t i = 0; i < count; i++) {
        pool->all[i].store = store;
        pool->all[i].index = i;
        place(&pool->all[i], (uint8_t *)pool->reserved + sizes.total * i, &sizes);
        pool->free[i] = count - 1 - i;
    }
    pool->count = count;
    pool->free_count = count;
    lock_init(&pool->lock, LOCK_ENGINE);
    return 0;

fail:
    mem_free(pool->all);
    mem_unmap(pool->reserved, pool->reserved_bytes);
    pool->all = NULL;
    pool->reserved = NULL;
    return -ENOMEM;
}

void tx_pool_fini(struct keel_store *store)
{
    struct tx_pool *pool = &store->txs;

    if (!pool->all)
        return;
    KEEL_ASSERT(pool->free_count == pool->count);
    lock_fini(&pool->lock);
    mem_free(pool->all);
    mem_unmap(pool->reserved, pool->reserved_bytes);
    pool->all = NULL;
}

uint32_t tx_pool_open_count(struct keel_store *store)
{
    struct tx_pool *pool = &store->txs;

    lock_acquire(&pool->lock);
    uint32_t open = pool->count - pool->free_count;
    lock_release(&pool->lock);
    return open;
}

/* Does this one, of ctx's thread, hold what others wait for? One that is just beginning does not.
 * Its fields are read only when it is of the thread that asks. */
static bool tx_holds(const struct keel_tx *tx, const struct keel_ctx *ctx)
{
    return tx->open && tx->ctx == ctx &&
           (tx->page_count > 0 || tx->credit.bytes_private + tx->credit.used_private > 0);
}

bool tx_pool_held_by(struct keel_store *store, const struct keel_ctx *ctx)
{
    struct tx_pool *pool = &store->txs;
    bool held = false;

    lock_acquire(&pool->lock);
    for (uint32_t i = 0; i < pool->count && !held; i++)
        held = tx_holds(&pool->all[i], ctx);
    lock_release(&pool->lock);
    return held;
}

struct keel_tx *tx_pool_get(struct keel_store *store, struct keel_ctx *ctx)
{
    struct tx_pool *pool = &store->txs;
    struct keel_tx *tx = NULL;

    lock_acquire(&pool->lock);
    if (pool->free_count > 0) {
        tx = &pool->all[pool->free[--pool->free_count]];
        KEEL_ASSERT(!tx->open);
        tx->open = true;
        tx->ctx = ctx;
    }
    lock_release(&pool->lock);
    return tx;
}

void tx_pool_put(struct keel_tx *tx)
{
    struct tx_pool *pool = &tx->store->txs;

    lock_acquire(&pool->lock);
    KEEL_ASSERT(tx->open && pool->free_count < pool->count);
    tx->open = false;
    tx->ctx = NULL;
    pool->free[pool->free_count++] = tx->index;
    lock_release(&pool->lock);
}
