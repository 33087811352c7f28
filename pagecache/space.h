/*
 * The spaces of a cache.
 */
#ifndef KEEL_PAGECACHE_SPACE_H
#define KEEL_PAGECACHE_SPACE_H

#include "pagecache/cache.h"

/* The cache was poisoned: nothing is served without asking any more. */
void pc_spaces_poisoned(struct keel_pagecache *cache);

/* Close them all, and the lock of their list. */
void pc_spaces_fini(struct keel_pagecache *cache);

#endif
