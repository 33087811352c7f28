/*
 * The proof for one seed: make a history, cut the power after each of its events in each mode,
 * recover, compare with the model.
 */
#ifndef KEEL_TOOLS_SIM_PROOF_H
#define KEEL_TOOLS_SIM_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/sim/coverage.h"

#define PROOF_ANY UINT64_MAX

/* Where the proof is now; read by the parent process when this one dies. */
struct progress {
    uint64_t seed, event;
    uint32_t mode;
    char phase[24];
};

struct proof;

/* coverage and progress: borrowed until proof_destroy. */
struct proof *proof_create(struct coverage *coverage, struct progress *progress);
void proof_destroy(struct proof *proof);

/* Only cuts after this event, only in this mode; PROOF_ANY: all. */
void proof_restrict(struct proof *proof, uint64_t event, uint64_t mode);

/* Prove one seed. False: violation; *ret_text, lent until the next call, says which. */
bool proof_seed(struct proof *proof, uint64_t seed, const char **ret_text);

#endif
