/*
 * What fixing a page shares with the rest of the folder: waiting for a read.
 */
#ifndef KEEL_PAGECACHE_FIX_H
#define KEEL_PAGECACHE_FIX_H

#include "pagecache/cache.h"

/* Wait until the read that the frame is in, if any, is complete: drives whichever context it is in
 * flight on (I6). May come back early; the caller looks again. */
void pc_read_wait(struct keel_pagecache *cache, struct keel_frame *frame);

/*
 * Start reading pages first to first + count - 1 by one request, each into its own of the adjacent
 * frames, which are FREE and the caller's. Returns how many: up to the first page that is resident,
 * 0 when that is the first one or the request could not be queued; the frames behind are the
 * caller's still.
 */
uint32_t pc_read_run(struct keel_ctx *ctx, struct keel_space *space, keel_pageno first,
                     uint32_t count, struct keel_frame *frames);

/* Completion of the read of a frame; runs in whoever reaps it. */
void pc_read_done(struct keel_io *io);

#endif
