/*
 * Seeded bugs: known mistakes that the crash proof must catch, compiled in for that test alone.
 *
 * A library built with KEEL_SEEDED_BUGS asks the global below at each place of the table; elsewhere
 * BUG(NAME) is the constant false and nothing is left of it in the code. To add one, add a row here
 * and one line with BUG(NAME) where the mistake would be made; tests/sim runs every row and fails
 * when one of them goes unseen.
 */
#ifndef KEEL_BASE_BUG_H
#define KEEL_BASE_BUG_H

#include <stdbool.h>

/* clang-format off */
/* name, name on the command line, the mistake */
#define SEEDED_BUGS(X) \
X(ACK_BEFORE_SYNC,               "ack-before-sync",               "the durable LSN moves when a log write completes, before its sync") \
X(FLUSH_BEFORE_REAP,             "flush-before-reap",             "a flush of the log is submitted before the write that it is to cover was reaped") \
X(PAGE_BEFORE_LOG,               "page-before-log",               "a page is written while the log below its LSN is not durable (P1)") \
X(REWRITE_BLOCK,                 "rewrite-block",                 "the next batch begins in the last, padded block of the one before (W6)") \
X(NO_EPOCH_STEP,                 "no-epoch-step",                 "recovery appends from X in the old epoch, so a torn tail may come back (W3)") \
X(FSYNC_ERROR_IGNORED,           "fsync-error-ignored",           "a failed sync or synced write of the log counts as done (W4)") \
X(CHECKPOINT_WITHOUT_PAGE_FLUSH, "checkpoint-without-page-flush", "the redo LSN moves before the page file is synced (E3)") \
X(PAGE_WITHOUT_IMAGE,            "page-without-image",            "pages that can be torn have no image in the log") \
X(RECOVERY_WITHOUT_FLUSH,        "recovery-without-flush",        "recovery trusts what it reads out of a volatile cache (E2)") \
X(RECOVERY_WITHOUT_REWRITE,      "recovery-without-rewrite",      "a page that redo finds new enough is not written again (E2)")

/* Mistakes of the scheduler, which lose no bytes; sim/sched_proof.c must catch them. */
#define SEEDED_BUGS_OF_SCHED(X) \
X(NO_CAP,        "no-cap",        "nothing holds back what is in flight below READ") \
X(COST_BY_COUNT, "cost-by-count", "each request costs the same, whatever its size") \
X(NO_REJOIN,     "no-rejoin",     "who was idle keeps its old tag, and takes all until it has caught up") \
X(NO_MERGE,      "no-merge",      "adjacent pages go one by one")

/* Mistakes with the log's space; sim/log.c must catch them. */
#define SEEDED_BUGS_OF_LOG(X) \
X(HOLDER_IGNORED, "holder-ignored", "log space is given out although a holder needs it (W5)") \
X(NO_RESERVE,     "no-reserve",     "the reserve for a checkpoint's records is kept from them too")

/* Mistakes in what a commit's level promises; sim/log.c must catch them. */
#define SEEDED_BUGS_OF_LEVELS(X) \
X(WRITTEN_COVERED, "written-covered", "a write that syncs itself makes durable what was written without before it (W1)") \
X(WRITTEN_EARLY,   "written-early",   "what is in the log buffer counts as written (W1)")

/* Rules of the log's recovery, left out; sim/rules.c must catch them. */
#define SEEDED_BUGS_OF_RECOVERY(X) \
X(RULE_PROMISE,  "rule-promise",  "what a block above X promises is not looked at") \
X(RULE_INFLIGHT, "rule-inflight", "a block may lie any distance above X") \
X(RULE_SUPER,    "rule-super",    "what the superblock promises is not looked at") \
X(RULE_CLEAN,    "rule-clean",    "a clean log may end anywhere") \
X(RULE_READ,     "rule-read",     "an unreadable block ends the log as a torn one does") \
X(RULE_EPOCH,    "rule-epoch",    "a block of any epoch counts")
/* clang-format on */

enum seeded_bug {
    SEEDED_BUG_NONE = 0,
#define SEEDED_BUG_MEMBER(name, text, mistake) SEEDED_BUG_##name,
    SEEDED_BUGS(SEEDED_BUG_MEMBER) SEEDED_BUG_COUNT,
    SEEDED_BUGS_OF_SCHED(SEEDED_BUG_MEMBER) SEEDED_BUGS_OF_LOG(SEEDED_BUG_MEMBER)
        SEEDED_BUGS_OF_LEVELS(SEEDED_BUG_MEMBER) SEEDED_BUGS_OF_RECOVERY(SEEDED_BUG_MEMBER)
            SEEDED_BUG_END
#undef SEEDED_BUG_MEMBER
};

#ifdef KEEL_SEEDED_BUGS
/* Set once, before the library is used; one thread. */
extern enum seeded_bug keel_seeded_bug;
#define BUG(NAME) (keel_seeded_bug == SEEDED_BUG_##NAME)
#else
#define BUG(NAME) (false)
#endif

/* The bug of that name, or SEEDED_BUG_NONE. */
enum seeded_bug seeded_bug_find(const char *name);

/* Its name on the command line and its sentence; "none" and "" for SEEDED_BUG_NONE. */
const char *seeded_bug_name(enum seeded_bug bug);
const char *seeded_bug_text(enum seeded_bug bug);

#endif
