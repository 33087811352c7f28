/*
 * Which page goes: young pages by a queue, the others by a clock, and a memory of those that went.
 * Pure functions over words; evict.c and keel/pagehit.h carry them out, and `keel bench evict`
 * compares them with other policies.
 *
 * A page comes in young. The young have a tenth of the cache and leave it in the order in which
 * they came: who was used again meanwhile stays, and is the clock's from then on; the others go,
 * and their word keeps when that was. A page that is read again before the cache has been filled
 * anew since then was in use after all: it is the clock's at once. So a scan, or what is used once,
 * goes through a tenth of the cache, and what is used more seldom than that is told by its return.
 *
 *   loaded                MARK | FRESH, and YOUNG if its word knows of nothing
 *   used                  FRESH goes, and if it was not there MARK goes
 *   end of the queue      FRESH goes and it waits again; or MARK: evicted; or YOUNG goes, MARK
 * comes visited by the clock  YOUNG stays; MARK without FRESH: evicted; else FRESH goes, MARK comes
 */
#ifndef KEEL_PAGECACHE_POLICY_H
#define KEEL_PAGECACHE_POLICY_H

#include <keel/pagehit.h>

#define PC_WORD_YOUNG (UINT64_C(1) << 20)

/* In the word of a page that is not resident: when it went, or 0. */
#define PC_PAST_SHIFT 20u
#define PC_PAST_MAX   UINT64_C(0xFFF)

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

/* Of a page of the clock. True: evict it. False: and *word is what it becomes. */
static inline bool pc_policy_visit(uint64_t *word)
{
    if ((*word & KEEL_WORD_MARK_PRIVATE) && !(*word & KEEL_WORD_FRESH_PRIVATE))
        return true;
    *word = (*word & ~KEEL_WORD_FRESH_PRIVATE) | KEEL_WORD_MARK_PRIVATE;
    return false;
}

/* Of a young page at the end of its queue. True: evict it. False: *word is what it becomes, and if
 * that is still young it queues again. */
static inline bool pc_policy_visit_young(uint64_t *word)
{
    if (*word & KEEL_WORD_FRESH_PRIVATE) {
        *word &= ~KEEL_WORD_FRESH_PRIVATE;
        return false;
    }
    if (*word & KEEL_WORD_MARK_PRIVATE)
        return true;
    *word = (*word & ~PC_WORD_YOUNG) | KEEL_WORD_MARK_PRIVATE;
    return false;
}

/* Is the next one to go a young one? Both in frames of one size. */
static inline bool pc_policy_young_first(uint32_t young, uint32_t frames)
{
    return young > frames / 10;
}

/* Sixteenths of the cache that were evicted so far, as words keep it: 1 to PC_PAST_MAX. */
static inline uint64_t pc_policy_time(uint64_t evictions, uint32_t frames)
{
    return evictions / (frames / 16 + 1) % PC_PAST_MAX + 1;
}

/* The word of a young page that is evicted. */
static inline uint64_t pc_policy_past(uint64_t evictions, uint32_t frames)
{
    return pc_policy_time(evictions, frames) << PC_PAST_SHIFT;
}

/* What a page whose word was `past` is loaded with: YOUNG, or not if it went a short while ago. */
static inline uint64_t pc_policy_come(uint64_t past, uint64_t evictions, uint32_t frames)
{
    uint64_t then = past >> PC_PAST_SHIFT & PC_PAST_MAX;
    uint64_t since = (pc_policy_time(evictions, frames) + PC_PAST_MAX - then) % PC_PAST_MAX;

    return then != 0 && since <= 16 ? 0 : PC_WORD_YOUNG;
}

/* Is it a stream's own still: nobody has used it a second time? */
static inline bool pc_policy_used_once(uint64_t word)
{
    return (word & KEEL_WORD_MARK_PRIVATE) != 0;
}

#endif
