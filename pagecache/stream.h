/*
 * The streams of a cache: allocated with it, handed out by keel_stream_open.
 */
#ifndef KEEL_PAGECACHE_STREAM_H
#define KEEL_PAGECACHE_STREAM_H

#include "pagecache/cache.h"

#define PC_STREAMS_MAX 4u

/* At open; 0 or -ENOMEM, and then pc_streams_fini all the same. */
int pc_streams_init(struct keel_pagecache *cache);
void pc_streams_fini(struct keel_pagecache *cache);

#endif
