/*
 * Judging one crash state.
 *
 * Two judges: keel's own, which opens the store in the state and asks it for every transaction that
 * was acknowledged before the cut; and a command of the user's, which gets the state as a file.
 */
#ifndef KEEL_TOOLS_CRASH_CHECK_H
#define KEEL_TOOLS_CRASH_CHECK_H

#include "tools/crash/history.h"

#define CRASH_WHY_BYTES 256u

struct crash_check;

/* The recording holds a store of keel's with transactions of `keel demo`, marked "try W SEQ" before
 * and "ack W SEQ" after each of writer W. history: borrowed. KEEL_EFORMAT: it does not. */
int crash_check_store(const struct crash_history *history, struct crash_check **ret);

/*
 * A shell command, run once for each state with one more argument: the file with the state (with
 * regions: the folder with the files). In its environment: KEEL_CRASH_EVENT, KEEL_CRASH_MODE,
 * KEEL_CRASH_DRAW, and KEEL_CRASH_MARKS, a file with all marks before the cut, a line each. Exit
 * status 0: the state is good; any other: a violation. folder: for the files, made by the caller.
 */
int crash_check_command(const struct crash_history *history, const char *command,
                        const char *folder, struct crash_check **ret);

/* One state. state: borrowed. 1 good, 0 violation (why says which), or an error: not judged. One
 * process, any order of events; ascending is fast. */
int crash_check_run(struct crash_check *check, struct keel_sim *state, uint64_t event,
                    uint32_t mode, uint32_t draw, char why[CRASH_WHY_BYTES]);

void crash_check_free(struct crash_check *check);

#endif
