/*
 * Translation tables and giving their memory back.
 *
 * A range is given back in three steps: its bit in `touched` is cleared, each word goes from vacant
 * to FROZEN, the memory page is punched, after which its words read zero again. A fixer that meets
 * FROZEN tries again, so nobody can make a page resident in memory that is about to vanish. A word
 * that is not vacant stops it: the words frozen so far go back to zero and the bit is set again.
 *
 * The bit of a range is set after the word is, and cleared before the words are looked at; so a
 * range with a resident page has its bit set, or the thread that made the page resident is about to
 * set it. The late clearing of a WAITERS bit (latch.c) can bring back a zero page without its bit:
 * 4 KiB that the next use of the range accounts for.
 */
#include "pagecache/table.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/mem.h"

_Static_assert(PC_RANGE_WORDS * sizeof(pc_word) == MEM_PAGE, "a range is one memory page");

static size_t words_bytes(keel_pageno pages_max)
{
    return (size_t)((pages_max + PC_RANGE_WORDS - 1) / PC_RANGE_WORDS) * MEM_PAGE;
}

static uint64_t range_count(const struct pc_table *table)
{
    return words_bytes(table->pages_max) / MEM_PAGE;
}

static size_t touched_bytes(keel_pageno pages_max)
{
    return (size_t)((words_bytes(pages_max) / MEM_PAGE + 63) / 64) * sizeof(uint64_t);
}

int pc_table_init(struct pc_table *table, keel_pageno pages_max)
{
    KEEL_ASSERT(pages_max > 0 && pages_max <= KEEL_PAGENO_MAX / 64);

    table->pages_max = pages_max;
    char *memory = mem_reserve(words_bytes(pages_max) + touched_bytes(pages_max));
    if (!memory)
        return -ENOMEM;
    table->words = (pc_word *)(void *)memory;
    table->touched = (_Atomic uint64_t *)(void *)(memory + words_bytes(pages_max));
    /* Advice: a huge page would cost memory for words that nobody uses. */
    if (words_bytes(pages_max) >= MEM_HUGE_PAGE)
        keel_ignore(madvise(table->words, words_bytes(pages_max), MADV_NOHUGEPAGE), "advice");
    lock_init(&table->trim_lock, LOCK_LEAF);
    return 0;
}

void pc_table_fini(struct pc_table *table)
{
    KEEL_ASSERT(table->words && table->touched);

    lock_fini(&table->trim_lock);
    mem_unmap(table->words, words_bytes(table->pages_max) + touched_bytes(table->pages_max));
    table->words = NULL;
    table->touched = NULL;
}

void pc_table_touch(struct pc_table *table, keel_pageno pageno)
{
    KEEL_ASSERT(pageno < table->pages_max);

    uint64_t range = pageno / PC_RANGE_WORDS;
    uint64_t bit = UINT64_C(1) << (range % 64);
    _Atomic uint64_t *bits = &table->touched[range / 64];

    /* seq_cst, with the clearing in trim_range: set after the word, cleared before the words. */
    if (!(atomic_load(bits) & bit))
        atomic_fetch_or(bits, bit);
}

static void thaw(pc_word *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t old = atomic_exchange_explicit(&words[i], 0, memory_order_release);
        KEEL_ASSERT(old == PC_WORD_FROZEN);
    }
}

static uint64_t trim_range(struct pc_table *table, uint64_t range)
{
    pc_word *words = table->words + range * PC_RANGE_WORDS;

    for (uint32_t i = 0; i < PC_RANGE_WORDS; i++) {
        uint64_t vacant = atomic_load_explicit(&words[i], memory_order_relaxed);
        if (!pc_word_vacant(vacant) ||
            !atomic_compare_exchange_strong(&words[i], &vacant, PC_WORD_FROZEN)) {
            thaw(words, i);
            return 0;
        }
    }
    /* The kernel takes the memory page away at once: a word is FROZEN before and zero after. */
    if (madvise(words, MEM_PAGE, MADV_DONTNEED) != 0) {
        thaw(words, PC_RANGE_WORDS);
        return 0;
    }
    return MEM_PAGE;
}

uint64_t pc_table_trim(struct pc_table *table)
{
    KEEL_ASSERT(table->words);

    if (!lock_try(&table->trim_lock))
        return 0;

    uint64_t bytes = 0;
    for (uint64_t range = 0; range < range_count(table); range++) {
        uint64_t bit = UINT64_C(1) << (range % 64);
        _Atomic uint64_t *bits = &table->touched[range / 64];

        if (!(atomic_load(bits) & bit))
            continue;
        atomic_fetch_and(bits, ~bit);
        uint64_t freed = trim_range(table, range);
        if (freed == 0)
            atomic_fetch_or(bits, bit);
        bytes += freed;
    }
    lock_release(&table->trim_lock);
    return bytes;
}
