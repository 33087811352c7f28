/*
 * The table of armed faults of one simulation: which command is struck, and by what.
 *
 * Commands are counted as they are handed to the device, which is the same in every run of a seed.
 * A command is struck by at most one fault, but counts for every one that it matches.
 */
#ifndef KEEL_IOSCHED_SIM_FAULT_H
#define KEEL_IOSCHED_SIM_FAULT_H

#include <stdint.h>

#include <keel/sim.h>

#define SIM_FAULTS_MAX 8u

/* All zero: nothing is armed. */
struct sim_faults {
    struct {
        struct keel_fault fault; /* kind NONE: free */
        uint32_t seen;           /* matching commands so far */
        uint32_t struck;         /* of them by this one */
    } slot[SIM_FAULTS_MAX];
    uint32_t armed; /* slots in use, so that a command without faults costs one look */
};

/* KEEL_EFULL, KEEL_EOPTION (a kind that no command of this op can suffer). */
int sim_faults_arm(struct sim_faults *faults, const struct keel_fault *fault);
void sim_faults_clear(struct sim_faults *faults);

/* Count a command; ret: a copy of the fault that strikes it, kind NONE when none does. */
void sim_faults_strike(struct sim_faults *faults, const char *path, uint8_t op,
                       struct keel_fault *ret);

#endif
