/*
 * Translation words: which frame holds a page, and who may look at it, in one 64-bit atomic.
 *
 *    63 ............. 32 | 31 . 21 | 20    | 19     | 18      | 17    | 16   | 15 ............ 0
 *    frame index + 1     | 0       | YOUNG | FROZEN | WAITERS | FRESH | MARK | latch
 *    0                   | past            | FROZEN | 0 ...
 *
 * No frame: the page is not resident. past: when it went, for a page that was young (policy.h).
 * The latch is the pin as well: a frame whose latch is not free
 * is not evicted (P3), and there is no other count.
 *
 *   latch       held by                                    ends with
 *   0           nobody
 *   1..SHARED   that many readers                          pc_unlatch_shared
 *   BAD         nobody; the frame holds a failed read      whoever takes the error makes it
 * EXCLUSIVE IO          a read in flight                           its completion: 0 or BAD
 *   EXCLUSIVE   one thread                                 pc_unlatch_exclusive, pc_word_clear
 *
 * YOUNG: in the queue of those that came lately (evict.c). MARK: evicted at the next visit unless
 * fixed before. FRESH: loaded and not fixed since, so the first fix is no second use and leaves
 * MARK. FROZEN: the translation memory is
 * being given back (pagecache/table.h).
 *
 * Memory order: taking a latch is an acquire, giving it back a release, on the one word; so what a
 * holder wrote to frame and page is seen by the next.
 */
#ifndef KEEL_PAGECACHE_LATCH_H
#define KEEL_PAGECACHE_LATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "pagecache/policy.h"

typedef _Atomic uint64_t pc_word;

#define PC_LATCH_MASK      KEEL_WORD_LATCH_PRIVATE
#define PC_LATCH_SHARED    KEEL_WORD_SHARED_PRIVATE /* most readers at once */
#define PC_LATCH_BAD       UINT64_C(0xFFFD)
#define PC_LATCH_IO        UINT64_C(0xFFFE)
#define PC_LATCH_EXCLUSIVE UINT64_C(0xFFFF)
#define PC_WORD_MARK       KEEL_WORD_MARK_PRIVATE
#define PC_WORD_FRESH      KEEL_WORD_FRESH_PRIVATE
#define PC_WORD_WAITERS    KEEL_WORD_WAITERS_PRIVATE
#define PC_WORD_FROZEN     (UINT64_C(1) << 19)

_Static_assert(sizeof(pc_word) == 8, "a word is eight bytes, atomic without a lock");

static inline uint64_t pc_word_make(uint32_t index, uint64_t low)
{
    return ((uint64_t)index + 1) << 32 | low;
}

static inline bool pc_word_resident(uint64_t value)
{
    return value >> 32 != 0;
}

/* Not resident, and nobody is about to change that; all it may have is its past (policy.h). */
static inline bool pc_word_vacant(uint64_t value)
{
    return (value & ~(PC_PAST_MAX << PC_PAST_SHIFT)) == 0;
}

/* The frame. Only of a resident page. */
static inline uint32_t pc_word_index(uint64_t value)
{
    return (uint32_t)(value >> 32) - 1;
}

static inline uint64_t pc_word_latch(uint64_t value)
{
    return value & PC_LATCH_MASK;
}

/* Held by threads: pinned (P3). */
static inline bool pc_word_fixed(uint64_t value)
{
    uint64_t latch = pc_word_latch(value);

    return (latch > 0 && latch <= PC_LATCH_SHARED) || latch == PC_LATCH_EXCLUSIVE;
}

/* Can one more reader come in? */
static inline bool pc_word_sharable(uint64_t value)
{
    return pc_word_resident(value) && pc_word_latch(value) < PC_LATCH_SHARED;
}

/*
 * What an exclusive holder stores into the page comes after the latch, also for those who look
 * without one: pairs with the fence in keel_peek_valid. ThreadSanitizer knows no fences; what they
 * order it does not look at either (keel_page_copy).
 */
static inline void pc_fence_change(void)
{
#if !defined(__SANITIZE_THREAD__)
    atomic_thread_fence(memory_order_release);
#endif
}

/*
 * Between making a page resident and looking at the space's limit again, and between lowering the
 * limit and looking for pages beyond it: one of the two sees what the other did. (As above for
 * ThreadSanitizer: all of it is atomics.)
 */
static inline void pc_fence_limit(void)
{
#if !defined(__SANITIZE_THREAD__)
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/*
 * Take the latch if *word still is `value`, which must allow it; false: it changed. The caller has
 * chosen pc_policy_used(value) or value for `base`, that is whether this counts as a use.
 */
static inline bool pc_latch_shared(pc_word *word, uint64_t value, uint64_t base)
{
    KEEL_DCHECK(pc_word_sharable(value) && !(value & PC_WORD_FROZEN));

    return atomic_compare_exchange_strong_explicit(word, &value, base + 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline bool pc_latch_exclusive(pc_word *word, uint64_t value, uint64_t base)
{
    KEEL_DCHECK(pc_word_resident(value) && !(value & PC_WORD_FROZEN));
    KEEL_DCHECK(pc_word_latch(value) == 0 || pc_word_latch(value) == PC_LATCH_BAD);

    bool taken = atomic_compare_exchange_strong_explicit(
        word, &value, base | PC_LATCH_EXCLUSIVE, memory_order_acquire, memory_order_relaxed);
    pc_fence_change();
    return taken;
}

/* The one reader becomes the one writer, if *word still is `value` with one reader. */
static inline bool pc_latch_upgrade(pc_word *word, uint64_t value)
{
    KEEL_DCHECK(pc_word_latch(value) == 1);

    bool taken = atomic_compare_exchange_strong_explicit(
        word, &value, value | PC_LATCH_EXCLUSIVE, memory_order_acquire, memory_order_relaxed);
    pc_fence_change();
    return taken;
}

/* Wake everyone who waits for the latch of word; see latch.c. */
void pc_latch_wake(pc_word *word);

/*
 * Sleep until the latch, seen as `value` and held by threads, may have become free. Comes back at
 * any time; the caller looks again.
 */
void pc_latch_wait(pc_word *word, uint64_t value);

static inline void pc_unlatch_shared(pc_word *word)
{
    uint64_t old = atomic_fetch_sub_explicit(word, 1, memory_order_release);

    KEEL_DCHECK(pc_word_latch(old) >= 1 && pc_word_latch(old) <= PC_LATCH_SHARED);
    if (__builtin_expect((old & (PC_LATCH_MASK | PC_WORD_WAITERS)) == (1 | PC_WORD_WAITERS), 0))
        pc_latch_wake(word);
}

static inline void pc_unlatch_exclusive(pc_word *word)
{
    uint64_t old = atomic_fetch_sub_explicit(word, PC_LATCH_EXCLUSIVE, memory_order_release);

    KEEL_DCHECK(pc_word_latch(old) == PC_LATCH_EXCLUSIVE);
    if (__builtin_expect((old & PC_WORD_WAITERS) != 0, 0))
        pc_latch_wake(word);
}

/* The writer becomes one reader; the others may come in. */
static inline void pc_latch_downgrade(pc_word *word)
{
    uint64_t old = atomic_fetch_sub_explicit(word, PC_LATCH_EXCLUSIVE - 1, memory_order_release);

    KEEL_DCHECK(pc_word_latch(old) == PC_LATCH_EXCLUSIVE);
    if (__builtin_expect((old & PC_WORD_WAITERS) != 0, 0))
        pc_latch_wake(word);
}

/* The page leaves the cache, by the holder of IO or EXCLUSIVE. past: what its word is from now on.
 */
void pc_word_clear(pc_word *word, uint64_t past);

#endif
