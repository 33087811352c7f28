/*
 * A piece of upkeep: growth, a step of a checkpoint, free frames. Shared by keel_tick and the
 * background thread.
 */
#ifndef KEEL_ENGINE_TICK_H
#define KEEL_ENGINE_TICK_H

#include "engine/checkpoint.h"

/* 1: there is more to do now; 0: not; KEEL_PENDING (only with WAIT): blocked by a transaction; or
 * an error. */
int tick_run(struct keel_store *store, struct keel_ctx *ctx, enum checkpoint_wait wait);

#endif
