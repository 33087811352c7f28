/*
 * Requests carried out by system calls of the calling thread: all of the sync method, and what has
 * KEEL_IO_INLINE on a ring.
 */
#ifndef KEEL_IOSCHED_BLOCKING_H
#define KEEL_IOSCHED_BLOCKING_H

#include "iosched/ctx.h"

/* Take all of queue, which is guarded by the submit lock, carry the requests out one after another
 * and report their parts. Role held. Returns how many there were. */
uint32_t ios_blocking_run(struct keel_ctx *ctx, struct ios_queue *queue);

#endif
