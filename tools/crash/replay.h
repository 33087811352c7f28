/*
 * Making and judging the crash states of a recording, in several processes.
 */
#ifndef KEEL_TOOLS_CRASH_REPLAY_H
#define KEEL_TOOLS_CRASH_REPLAY_H

#include "tools/crash/check.h"

#define REPLAY_JOBS_MAX 64u
#define REPLAY_ANY      UINT64_MAX

struct replay_options {
    uint64_t states; /* at least so many */
    uint64_t seed;
    uint32_t jobs;
    uint64_t event, mode, draw; /* this one alone; REPLAY_ANY: all */
    const char *command;        /* NULL: keel's own check */
};

struct replay_report {
    uint64_t states, violations;
    double seconds;
    uint64_t event; /* of the first violation */
    uint32_t mode, draw;
    char why[CRASH_WHY_BYTES];
};

/* 0: every state was judged. An error: not, and why says what stood in the way. */
int replay_run(const struct crash_history *history, const struct replay_options *options,
               struct replay_report *ret, char why[256]);

#endif
