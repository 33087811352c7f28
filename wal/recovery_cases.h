/*
 * The decisions of recovery as a truth table. Pure: facts in, one lettered row out.
 *
 * docs/design/recovery.md holds the same table (a test compares), the letter is in
 * keel_wal_report.verdict and in the trace.
 */
#ifndef KEEL_WAL_RECOVERY_CASES_H
#define KEEL_WAL_RECOVERY_CASES_H

#include <stdbool.h>
#include <stdint.h>

struct text;

/* clang-format off */
/* name, meaning; the order is the order of the columns */
#define RECOVERY_FACTS(X) \
X(READ_ERROR,      "a block of the ring could not be read") \
X(BELOW_SUPER,     "X lies below what the superblock says was durable") \
X(CLEAN,           "the superblock says the log was closed in order") \
X(ENDS_AS_CLOSED,  "X is exactly where it was closed") \
X(PROMISE_ABOVE,   "a non-void block above X promises more than X") \
X(BEYOND_INFLIGHT, "a valid, non-void block lies at or beyond X+K") \
X(LATER_VALID,     "a valid, non-void block lies above X")

/* letter, the facts in their order (1 true, 0 false, - either), verdict, what it means.
 * Each combination of facts meets exactly one row. */
#define RECOVERY_CASES(X) \
X('A', "1------", READ_ERROR, "refused: an unreadable block is never a torn tail") \
X('B', "01-----", CORRUPT,    "damage below a promise of the superblock") \
X('C', "0010---", CORRUPT,    "a clean log does not end where it was closed") \
X('D', "001100-", CLEAN,      "ends where it was closed") \
X('E', "00111--", CORRUPT,    "damage below a promise, in a clean log") \
X('F', "001101-", CORRUPT,    "blocks that nobody can have written, in a clean log") \
X('G', "000-1--", CORRUPT,    "damage below a promise of a later block") \
X('H', "000-01-", CORRUPT,    "a valid block further on than ever was in flight") \
X('I', "000-001", TORN,       "torn tail: the log ends at X, what lies above is void") \
X('J', "000-000", END,        "the log ends at X")
/* clang-format on */

enum recovery_fact {
#define RECOVERY_FACT_MEMBER(name, meaning) RECOVERY_FACT_##name,
    RECOVERY_FACTS(RECOVERY_FACT_MEMBER)
#undef RECOVERY_FACT_MEMBER
        RECOVERY_FACT_COUNT
};

enum recovery_verdict {
    RECOVERY_READ_ERROR,
    RECOVERY_CORRUPT,
    RECOVERY_CLEAN,
    RECOVERY_TORN,
    RECOVERY_END,
};

struct recovery_case {
    char letter;
    const char *facts;
    enum recovery_verdict verdict;
    const char *meaning;
};

/* facts: bit 1 << enum recovery_fact. The one row that they meet; lent for ever. */
const struct recovery_case *recovery_decide(uint32_t facts);

/* Row by index, NULL behind the last. */
const struct recovery_case *recovery_case_at(uint32_t index);
bool recovery_case_meets(const struct recovery_case *row, uint32_t facts);

/* The table as it stands in docs/design/recovery.md. */
void recovery_print(struct text *text);

#endif
