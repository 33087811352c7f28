/*
 * The truth table of recovery and its one reader.
 *
 * Invariants: W7 (each row that ends the log below a promise is a refusal).
 */
#include "wal/recovery_cases.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/text.h"

static const struct recovery_case cases[] = {
#define RECOVERY_CASE_ROW(letter, facts, verdict, meaning) \
    {letter, facts, RECOVERY_##verdict, meaning},
    RECOVERY_CASES(RECOVERY_CASE_ROW)
#undef RECOVERY_CASE_ROW
};

#define CASE_COUNT (sizeof(cases) / sizeof(cases[0]))

static const struct {
    const char *name;
    const char *meaning;
} facts_table[] = {
#define RECOVERY_FACT_ROW(name, meaning) {#name, meaning},
    RECOVERY_FACTS(RECOVERY_FACT_ROW)
#undef RECOVERY_FACT_ROW
};

static const char *const verdicts[] = {
    [RECOVERY_READ_ERROR] = "KEEL_EREAD",
    [RECOVERY_CORRUPT] = "KEEL_ECORRUPT",
    [RECOVERY_CLEAN] = "open",
    [RECOVERY_TORN] = "open",
    [RECOVERY_END] = "open",
};

const struct recovery_case *recovery_case_at(uint32_t index)
{
    return index < CASE_COUNT ? &cases[index] : NULL;
}

bool recovery_case_meets(const struct recovery_case *row, uint32_t facts)
{
    for (uint32_t i = 0; i < RECOVERY_FACT_COUNT; i++) {
        char is = (facts >> i & 1u) ? '1' : '0';

        if (row->facts[i] != '-' && row->facts[i] != is)
            return false;
    }
    return true;
}

const struct recovery_case *recovery_decide(uint32_t facts)
{
    KEEL_ASSERT(facts < 1u << RECOVERY_FACT_COUNT);

    for (uint32_t i = 0; i < CASE_COUNT; i++) {
        if (recovery_case_meets(&cases[i], facts))
            return &cases[i];
    }
    KEEL_UNREACHABLE();
}

void recovery_print(struct text *text)
{
    for (uint32_t i = 0; i < RECOVERY_FACT_COUNT; i++)
        text_printf(text, "%u. `%s`: %s\n", i + 1, facts_table[i].name, facts_table[i].meaning);

    text_printf(text, "\n| row |");
    for (uint32_t i = 0; i < RECOVERY_FACT_COUNT; i++)
        text_printf(text, " %u |", i + 1);
    text_printf(text, " result | meaning |\n|---|");
    for (uint32_t i = 0; i < RECOVERY_FACT_COUNT; i++)
        text_printf(text, "---|");
    text_printf(text, "---|---|\n");

    for (uint32_t i = 0; i < CASE_COUNT; i++) {
        text_printf(text, "| %c |", cases[i].letter);
        for (uint32_t f = 0; f < RECOVERY_FACT_COUNT; f++)
            text_printf(text, " %c |", cases[i].facts[f]);
        text_printf(text, " %s | %s |\n", verdicts[cases[i].verdict], cases[i].meaning);
    }
}
