/*
 * Scrubbing a store: that of its space, as long as it is open.
 */
#ifndef KEEL_ENGINE_SCRUB_H
#define KEEL_ENGINE_SCRUB_H

#include <stdint.h>

struct keel_ctx;
struct keel_store;

/* Nothing where the options say so. 0 or -ENOMEM. */
int scrub_init(struct keel_store *store);
void scrub_fini(struct keel_store *store);
/* A step, if it is time. 0 or an error. */
int scrub_tick(struct keel_store *store, struct keel_ctx *ctx, uint64_t now_ns);

#endif
