/*
 * What a run of the crash proof has reached. Each kind that must be reached fails the run when it
 * never was: a proof that did not visit a state says nothing about it.
 */
#ifndef KEEL_TOOLS_SIM_COVERAGE_H
#define KEEL_TOOLS_SIM_COVERAGE_H

#include <stdint.h>

/* clang-format off */
/* name, must be reached, what is counted */
#define COVERAGE(X) \
X(seeds,          1, "seeds") \
X(untorn,         1, "of them with devices that write pages untorn, and no images in the log") \
X(events,         1, "device events in their histories") \
X(transactions,   1, "transactions committed in them") \
X(blocking,       1, "of them waited for") \
X(states,         1, "crash states checked") \
X(same,           1, "of them the very bytes of the one before, not recovered again") \
X(recoveries,     1, "recoveries run") \
X(in_flight,      1, "states with two or more log writes in flight") \
X(out_of_order,   1, "states with completions out of order") \
X(hole_torn,      1, "states with a torn hole") \
X(in_creation,    1, "crashes inside creation") \
X(in_growth,      1, "crashes inside growth of the page file") \
X(in_reopen,      1, "crashes inside the recovery of a killed process") \
X(in_recovery,    1, "crashes inside the recovery from a crash") \
X(unacked_kept,   1, "states that kept a transaction without acknowledgement") \
X(unacked_lost,   1, "states that lost one") \
X(twice,          1, "recoveries run twice and compared byte for byte") \
X(extended,       1, "recovered stores worked on, cut and recovered again") \
X(kills,          1, "processes killed without a power cut") \
X(closes,         1, "orderly closes in a history") \
X(faults,         1, "failed writes and syncs that poisoned a store") \
X(laps,           1, "histories with a full lap of the log") \
X(checkpoints,    1, "checkpoints") \
X(aborts,         1, "transactions aborted") \
X(violations,     0, "violations")
/* clang-format on */

struct coverage {
#define COVERAGE_MEMBER(name, must, text) uint64_t name;
    COVERAGE(COVERAGE_MEMBER)
#undef COVERAGE_MEMBER
};

#endif
