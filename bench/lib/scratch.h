/*
 * A folder for what is measured, which is gone afterwards however the process ends.
 */
#ifndef KEEL_BENCH_LIB_SCRATCH_H
#define KEEL_BENCH_LIB_SCRATCH_H

#include <sys/types.h>

struct scratch {
    char path[512]; /* "": there is none */
    pid_t sweeper;
    int alive; /* write end of its pipe */
};

/* Make one in parent, before any thread. Returns 0 or -errno (-ENAMETOOLONG: of parent). */
int scratch_make(struct scratch *scratch, const char *parent);

/* Remove it with all that is in it, if there is one. 0, or -EBUSY when something could not be
 * removed. */
int scratch_remove(struct scratch *scratch);

#endif
