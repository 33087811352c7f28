/*
 * What fixing a page shares with the rest of the folder: waiting for a read.
 */
#ifndef KEEL_PAGECACHE_FIX_H
#define KEEL_PAGECACHE_FIX_H

#include "pagecache/cache.h"

/* Wait until the read that the frame is in, if any, is complete: drives whichever context it is in
 * flight on (I6). May come back early; the caller looks again. */
void pc_read_wait(struct keel_frame *frame);

/* Completion of the read of a frame; runs in whoever reaps it. */
void pc_read_done(struct keel_io *io);

#endif
