/*
 * Optimistic reads (keel/pagehit.h): look at a page without a latch, then check that nobody changed
 * it meanwhile.
 *
 * keel_page_peek reads (1) the word and (2) the version of the frame that the word names; the
 * caller reads bytes; keel_peek_valid reads (3) the word and (4) the version again. True means that
 * both words name the same frame, neither is latched exclusively, and the versions are equal.
 *
 * Why the bytes then are those of the page at one moment. Three kinds of change could be mixed in:
 *   - A writer that took EXCLUSIVE after (1). If one of its stores was seen, its latch lies before
 *     (3) (pc_fence_change and the fence in keel_peek_valid), so (3) sees the latch, or its
 * release; which comes after the bump of the version (release), so (4) sees that.
 *   - The frame was given to another page between (1) and (2), and (2) read that one's version:
 *     then (3) names the frame again only if this page was loaded into it once more, and the load
 *     bumped the version, so (4) differs from (2).
 *   - The frame was given away after (2): the word was emptied before; (3) sees that or, once more,
 *     a load of this page, which bumped the version.
 * A version in the word would not do: the word is zero after an eviction, and forgets.
 *
 * - Keeps: a reader stores nothing but the clock's bit, and that only when it is set.
 */
#include <string.h>

#include "pagecache/cache.h"

/* The clock learns of this use. A failed exchange means that another thread came: no matter. */
void keel_page_used_private_(uint64_t *at, uint64_t value)
{
    pc_word *word = (pc_word *)at;

    atomic_compare_exchange_strong_explicit(word, &value, pc_policy_used(value),
                                            memory_order_relaxed, memory_order_relaxed);
}

/*
 * Loads in whole words where the source is aligned, each of them atomic. Not seen by
 * ThreadSanitizer, to which the holder of the latch stores without atomics: what was read beside it
 * is thrown away by keel_peek_valid.
 */
__attribute__((no_sanitize("thread"))) void keel_page_copy_private_(void *to, const void *from,
                                                                    size_t bytes)
{
    char *at = to;
    const char *source = from;

    while (bytes > 0 && (bytes < sizeof(uint64_t) || (uintptr_t)source % sizeof(uint64_t) != 0)) {
        *at++ = __atomic_load_n(source, __ATOMIC_RELAXED);
        source++;
        bytes--;
    }
    while (bytes >= sizeof(uint64_t)) {
        uint64_t word = __atomic_load_n((const uint64_t *)(const void *)source, __ATOMIC_RELAXED);
        memcpy(at, &word, sizeof(word));
        at += sizeof(word);
        source += sizeof(word);
        bytes -= sizeof(word);
    }
    for (; bytes > 0; bytes--)
        *at++ = __atomic_load_n(source++, __ATOMIC_RELAXED);
}
