/*
 * Which page goes: a clock with a second chance, and none for what was used once. Pure functions
 * over the two flags of a word; evict.c and keel/pagehit.h carry them out, and `keel bench evict`
 * compares them with other policies.
 *
 *   loaded            MARK | FRESH
 *   used              FRESH goes, and if it was not there MARK goes
 *   visited by hand   evicted if MARK without FRESH; else FRESH goes, MARK comes
 *
 * So a page that is used once after it was loaded has MARK left, and goes at the first visit: a
 * scan flows through. A page that was used again has none, gets MARK at a visit, and goes at the
 * next one unless it was used meanwhile.
 */
#ifndef KEEL_PAGECACHE_POLICY_H
#define KEEL_PAGECACHE_POLICY_H

#include <keel/pagehit.h>

static inline uint64_t pc_policy_loaded(void)
{
    return KEEL_WORD_MARK_PRIVATE | KEEL_WORD_FRESH_PRIVATE;
}

/* The word with this use noted. */
static inline uint64_t pc_policy_used(uint64_t word)
{
    return word &
           ~(word & KEEL_WORD_FRESH_PRIVATE ? KEEL_WORD_FRESH_PRIVATE : KEEL_WORD_MARK_PRIVATE);
}

/* True: evict it. False: and *word is what it becomes. */
static inline bool pc_policy_visit(uint64_t *word)
{
    if ((*word & KEEL_WORD_MARK_PRIVATE) && !(*word & KEEL_WORD_FRESH_PRIVATE))
        return true;
    *word = (*word & ~KEEL_WORD_FRESH_PRIVATE) | KEEL_WORD_MARK_PRIVATE;
    return false;
}

/* Is it a stream's own still: nobody has used it a second time? */
static inline bool pc_policy_used_once(uint64_t word)
{
    return (word & KEEL_WORD_MARK_PRIVATE) != 0;
}

#endif
