/* Translation tables: memory comes with use and goes with trim, and never under a resident page. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>

#include "pagecache/table.h"

#define RANGE_BYTES (PC_RANGE_WORDS * sizeof(pc_word))

static struct pc_table table;

static void init(keel_pageno pages_max)
{
    cr_assert_eq(pc_table_init(&table, pages_max), 0);
}

static void set(keel_pageno pageno, uint64_t value)
{
    atomic_store(&table.words[pageno], value);
    if (value)
        pc_table_touch(&table, pageno);
}

Test(table, of_a_terabyte_is_reserved_and_reads_as_not_resident)
{
    init((UINT64_C(1) << 40) / 4096);

    cr_assert_eq(atomic_load(&table.words[table.pages_max - 1]), 0);
    pc_table_fini(&table);
}

Test(table, trim_gives_back_ranges_whose_pages_all_left)
{
    init(3 * PC_RANGE_WORDS);
    for (keel_pageno p = 0; p < 3 * PC_RANGE_WORDS; p += PC_RANGE_WORDS) {
        set(p, pc_word_make(1, 0));
        set(p, 0);
    }

    cr_assert_eq(pc_table_trim(&table), 3 * RANGE_BYTES);
    cr_assert_eq(pc_table_trim(&table), 0, "twice");
    cr_assert_eq(atomic_load(&table.words[0]), 0);
    pc_table_fini(&table);
}

Test(table, trim_leaves_a_range_with_a_resident_page_as_it_is)
{
    init(2 * PC_RANGE_WORDS);
    set(5, pc_word_make(1, 0));
    set(PC_RANGE_WORDS, pc_word_make(2, 0));
    set(PC_RANGE_WORDS, 0);

    cr_assert_eq(pc_table_trim(&table), RANGE_BYTES, "the second range");
    cr_assert_eq(atomic_load(&table.words[5]), pc_word_make(1, 0));
    for (keel_pageno p = 0; p < PC_RANGE_WORDS; p++)
        cr_assert(p == 5 || atomic_load(&table.words[p]) == 0, "word %d is thawed", (int)p);
    set(5, 0);
    cr_assert_eq(pc_table_trim(&table), RANGE_BYTES, "the first, later");
    pc_table_fini(&table);
}

Test(table, trim_of_a_table_that_was_never_used_gives_nothing)
{
    init(UINT64_C(1) << 28);

    cr_assert_eq(pc_table_trim(&table), 0);
    pc_table_fini(&table);
}

static _Atomic int stop;

static void *trim_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        pc_table_trim(&table);
        sched_yield();
    }
    return NULL;
}

/* A word that was made resident stays until it is cleared, whatever is trimmed around it. */
Test(table, trim_never_takes_a_page_that_became_resident_meanwhile, .timeout = 30)
{
    pthread_t thread;
    uint64_t frozen = 0;

    init(PC_RANGE_WORDS);
    cr_assert_eq(pthread_create(&thread, NULL, trim_on, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        keel_pageno p = (keel_pageno)i % PC_RANGE_WORDS;
        uint64_t zero = 0;
        while (!atomic_compare_exchange_strong(&table.words[p], &zero, pc_word_make(3, 1))) {
            cr_assert_eq(zero, PC_WORD_FROZEN);
            frozen++;
            zero = 0;
            sched_yield();
        }
        pc_table_touch(&table, p);
        cr_assert_eq(atomic_exchange(&table.words[p], 0), pc_word_make(3, 1), "round %d", i);
    }
    atomic_store(&stop, 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    KEEL_MAYBE(frozen > 0);
    pc_table_fini(&table);
}
