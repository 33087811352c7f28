/*
 * Waiting for a latch, and waking.
 *
 * A waiter sets WAITERS by compare-and-swap on the value that it saw, then sleeps in the kernel on
 * the word's low half while that still is the value with WAITERS set. A thread whose release makes
 * the latch free and finds WAITERS clears the bit and wakes all; they try again.
 *
 * No wake-up is lost. All steps are read-modify-writes of one word, so they have one order.
 *   (1) A thread falls asleep only if, under the kernel's lock of the futex, the low half has
 *       WAITERS set and a latch held by threads (SHARED or EXCLUSIVE): it compares with such a
 *       value.
 *   (2) The release that makes such a latch free comes later in that order, and nothing but a
 *       waker clears WAITERS before it: taking a latch, marking and counting keep the bit.
 *       So it either sees WAITERS and calls pc_latch_wake, or another waker cleared it in between.
 *       Evicting (pc_word_clear) takes bit and page away at once, and wakes if the bit was there.
 *   (3) Every clearing of WAITERS is followed by a wake-up of all that sleep. The sleeper of (1)
 *       was queued before the clearing, because the kernel compared the word with the bit set;
 *       so that wake-up finds it.
 * Between the release and the clearing another thread may take the latch: its own release finds
 * WAITERS again, or the wake-up of the first has gone out; either way (3) holds.
 *
 * IO and BAD latches are never slept on: a read in flight is driven (fix.c), which a sleeper could
 * not do (I6). The compare of (1) also rules it out that a sleeper of an EXCLUSIVE latch is caught
 * by an IO latch that came after it.
 *
 * Readers come in beside readers even when WAITERS is set, because a thread may fix a page shared
 * twice, and would wait for itself otherwise. The price: readers that overlap without a gap hold up
 * a writer.
 */
#include "pagecache/latch.h"

#include <limits.h>

#include "base/lock.h"

/* The half of a word that holds latch and flags, as the kernel sees it. */
static _Atomic uint32_t *low_half(pc_word *word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (_Atomic uint32_t *)(uintptr_t)word;
#else
    return (_Atomic uint32_t *)(uintptr_t)word + 1;
#endif
}

void pc_latch_wake(pc_word *word)
{
    /* relaxed: orders nothing but the bit itself, which is one word's own order. */
    atomic_fetch_and_explicit(word, ~PC_WORD_WAITERS, memory_order_relaxed);
    futex_wake(low_half(word), INT_MAX);
}

void pc_latch_wait(pc_word *word, uint64_t value)
{
    KEEL_ASSERT(pc_word_resident(value) && pc_word_fixed(value));

    uint64_t waiting = value | PC_WORD_WAITERS;
    if (value != waiting && !atomic_compare_exchange_strong_explicit(
                                word, &value, waiting, memory_order_relaxed, memory_order_relaxed))
        return;

    /* Progress: whoever holds the latch is a thread, and its release wakes (3). */
    keel_ignore(futex_wait(low_half(word), (uint32_t)waiting, -1),
                "woken, changed or interrupted: the caller looks again");
}

void pc_word_clear(pc_word *word, uint64_t past)
{
    KEEL_DCHECK(pc_word_vacant(past));
    uint64_t old = atomic_exchange_explicit(word, past, memory_order_release);

    KEEL_INV(P3, pc_word_latch(old) == PC_LATCH_EXCLUSIVE || pc_word_latch(old) == PC_LATCH_IO);
    if (old & PC_WORD_WAITERS)
        pc_latch_wake(word);
}
