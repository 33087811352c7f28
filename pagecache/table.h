/*
 * Translation table of a space: one word per page in reserved address space, which costs memory
 * only where pages are or were resident. Trimming gives it back.
 */
#ifndef KEEL_PAGECACHE_TABLE_H
#define KEEL_PAGECACHE_TABLE_H

#include <keel/types.h>

#include "base/lock.h"
#include "pagecache/latch.h"

#define PC_RANGE_WORDS 512u /* words of a range: what is given back at once, one memory page */

struct pc_table {
    /* set at init, then constant */
    pc_word *words;
    _Atomic uint64_t
        *touched; /* one bit per range that may own memory; set after a word of it was */
    keel_pageno pages_max;

    /* one trim at a time (rank LEAF) */
    struct lock trim_lock;
};

/* 0 or -ENOMEM. */
int pc_table_init(struct pc_table *table, keel_pageno pages_max);
void pc_table_fini(struct pc_table *table);

/* The word of this page was made resident. Any thread. */
void pc_table_touch(struct pc_table *table, keel_pageno pageno);

/* Give back the memory of ranges without resident pages; bytes given back. Any thread; 0 when
 * another thread is at it. */
uint64_t pc_table_trim(struct pc_table *table);

#endif
