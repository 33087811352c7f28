/*
 * Eight slots, looked through from the first to the last.
 */
#include "iosched/sim_fault.h"

#include <string.h>

#include <keel/iosched.h>

#include "base/assert.h"

/* Which operations can suffer a kind of fault. */
static bool kind_strikes(uint8_t kind, uint8_t op)
{
    switch (kind) {
    case KEEL_FAULT_ERROR:
    case KEEL_FAULT_SLOW:
        return true;
    case KEEL_FAULT_SHORT:
    case KEEL_FAULT_FLIP:
        return op != KEEL_OP_SYNC;
    case KEEL_FAULT_LOST:
        return op != KEEL_OP_READ;
    case KEEL_FAULT_MISDIRECT:
        return op == KEEL_OP_WRITE;
    default:
        return false;
    }
}

int sim_faults_arm(struct sim_faults *faults, const struct keel_fault *fault)
{
    if (fault->kind == KEEL_FAULT_NONE || fault->kind > KEEL_FAULT_SLOW || fault->error > 0 ||
        fault->reserved != 0 || fault->op > KEEL_OP_SYNC)
        return KEEL_EOPTION;
    if (fault->op != 0 && !kind_strikes(fault->kind, fault->op))
        return KEEL_EOPTION;

    for (unsigned i = 0; i < SIM_FAULTS_MAX; i++) {
        if (faults->slot[i].fault.kind != KEEL_FAULT_NONE)
            continue;
        faults->slot[i].fault = *fault;
        faults->slot[i].seen = 0;
        faults->slot[i].struck = 0;
        faults->armed++;
        return 0;
    }
    KEEL_ASSERT(faults->armed == SIM_FAULTS_MAX);
    return KEEL_EFULL;
}

void sim_faults_clear(struct sim_faults *faults)
{
    memset(faults, 0, sizeof(*faults));
}

static bool matches(const struct keel_fault *fault, const char *path, uint8_t op)
{
    if (fault->op != 0 && fault->op != op)
        return false;
    if (!kind_strikes(fault->kind, op))
        return false;
    return !fault->path || strstr(path, fault->path);
}

/* Count a command at one slot. True: its fault strikes. */
static bool strike_slot(struct sim_faults *faults, unsigned i)
{
    const struct keel_fault *fault = &faults->slot[i].fault;
    uint32_t repeat = fault->repeat ? fault->repeat : 1;

    if (faults->slot[i].seen < fault->countdown) {
        faults->slot[i].seen++;
        return false;
    }
    KEEL_DCHECK(faults->slot[i].struck < repeat);
    if (repeat != UINT32_MAX)
        faults->slot[i].struck++;
    return true;
}

/* A fault that has struck as often as it was to leaves its slot. */
static void retire_slot(struct sim_faults *faults, unsigned i)
{
    const struct keel_fault *fault = &faults->slot[i].fault;
    uint32_t repeat = fault->repeat ? fault->repeat : 1;

    if (faults->slot[i].struck < repeat)
        return;
    faults->slot[i].fault.kind = KEEL_FAULT_NONE;
    KEEL_ASSERT(faults->armed > 0);
    faults->armed--;
}

void sim_faults_strike(struct sim_faults *faults, const char *path, uint8_t op,
                       struct keel_fault *ret)
{
    KEEL_DCHECK(op >= KEEL_OP_READ && op <= KEEL_OP_SYNC);

    ret->kind = KEEL_FAULT_NONE;
    if (faults->armed == 0)
        return;

    for (unsigned i = 0; i < SIM_FAULTS_MAX; i++) {
        if (!matches(&faults->slot[i].fault, path, op))
            continue;
        if (ret->kind != KEEL_FAULT_NONE && faults->slot[i].seen >= faults->slot[i].fault.countdown)
            continue; /* one fault a command: this one strikes the next */
        if (!strike_slot(faults, i))
            continue;
        *ret = faults->slot[i].fault;
        retire_slot(faults, i);
    }
}
