/*
 * Write-back: changed pages to the device, in merged writes of copies.
 */
#ifndef KEEL_PAGECACHE_FLUSH_H
#define KEEL_PAGECACHE_FLUSH_H

#include "pagecache/cache.h"

#define PC_SEEDS_MAX 256u /* changed frames that one sweep of the hand collects */

/* Set up the chunk's request: open only. */
void pc_chunk_init(struct pc_chunk *chunk);

/* Is a write in flight? If it is on another context than ctx it is moved along, without waiting
 * (I6). */
bool pc_flush_kick(struct keel_ctx *ctx, struct keel_pagecache *cache);

/* Somebody waits for the write that is in flight for the longest: it is as urgent as a read. */
void pc_flush_promote(struct keel_pagecache *cache);

/* What was changed in the frame, DIRTY and held exclusively, need not be written: its page goes. */
void pc_flush_forget(struct keel_pagecache *cache, struct keel_frame *frame);

/* As keel_pagecache_writeback with wait_log, for the pages of one space. */
int pc_flush_space(struct keel_ctx *ctx, struct keel_space *space, keel_lsn below);

/* The frame, held exclusively, was changed by [rec_lsn, ...). */
void pc_flush_changed(struct keel_pagecache *cache, struct keel_frame *frame, keel_lsn rec_lsn);

#endif
