/*
 * The truth table of recovery: every combination of facts has one row, the refusals are where they
 * have to be (W7), and the document has the same table.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wal/recovery_cases.h"

TestSuite(wal_recovery_cases, .timeout = 20);

#define FACT(name) (1u << RECOVERY_FACT_##name)
#define FACTS_ALL  (1u << RECOVERY_FACT_COUNT)

Test(wal_recovery_cases, each_combination_of_facts_meets_exactly_one_row)
{
    for (uint32_t facts = 0; facts < FACTS_ALL; facts++) {
        unsigned met = 0;

        for (uint32_t i = 0; recovery_case_at(i); i++)
            met += recovery_case_meets(recovery_case_at(i), facts);
        cr_assert_eq(met, 1, "facts %#x meet %u rows", facts, met);
        cr_assert(recovery_case_meets(recovery_decide(facts), facts));
    }
}

Test(wal_recovery_cases, no_row_is_dead)
{
    for (uint32_t i = 0; recovery_case_at(i); i++) {
        bool met = false;

        for (uint32_t facts = 0; facts < FACTS_ALL; facts++)
            met = met || recovery_decide(facts) == recovery_case_at(i);
        cr_assert(met, "row %c", recovery_case_at(i)->letter);
    }
}

/* W7: whatever else is true, the log is not opened below a promise, nor over an unreadable block.
 */
Test(wal_recovery_cases, W7_nothing_opens_below_a_promise)
{
    for (uint32_t facts = 0; facts < FACTS_ALL; facts++) {
        enum recovery_verdict verdict = recovery_decide(facts)->verdict;
        bool opens =
            verdict == RECOVERY_CLEAN || verdict == RECOVERY_TORN || verdict == RECOVERY_END;

        if (facts & FACT(READ_ERROR))
            cr_assert_eq(verdict, RECOVERY_READ_ERROR);
        if (facts &
            (FACT(READ_ERROR) | FACT(BELOW_SUPER) | FACT(PROMISE_ABOVE) | FACT(BEYOND_INFLIGHT)))
            cr_assert(!opens, "facts %#x", facts);
        if ((facts & FACT(CLEAN)) && !(facts & FACT(ENDS_AS_CLOSED)))
            cr_assert(!opens, "facts %#x", facts);
    }
}

Test(wal_recovery_cases, a_plain_end_and_a_torn_tail_open)
{
    cr_assert_eq(recovery_decide(0)->verdict, RECOVERY_END);
    cr_assert_eq(recovery_decide(FACT(LATER_VALID))->verdict, RECOVERY_TORN);
    cr_assert_eq(recovery_decide(FACT(CLEAN) | FACT(ENDS_AS_CLOSED))->verdict, RECOVERY_CLEAN);
}

Test(wal_recovery_cases, the_document_has_this_table)
{
    static char want[8192], have[65536];
    struct text text;
    FILE *file = fopen(KEEL_TEST_DATA "/../docs/design/recovery.md", "r");

    cr_assert(file, "docs/design/recovery.md");
    size_t len = fread(have, 1, sizeof(have) - 1, file);
    fclose(file);
    have[len] = '\0';
    text_init(&text, want, sizeof(want));
    recovery_print(&text);

    cr_assert(!text.truncated);
    cr_assert(strstr(have, want), "docs/design/recovery.md should hold:\n%s", want);
}
