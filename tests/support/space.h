/* Opening a space with the options that nearly every test wants. */
#ifndef KEEL_TESTS_SPACE_H
#define KEEL_TESTS_SPACE_H

#include <keel/pagecache.h>

/* page_bytes: 0 for the cache's. */
KEEL_MUST_CHECK static inline int space_open(struct keel_pagecache *cache, uint32_t id,
                                             struct keel_device *device, uint32_t page_bytes,
                                             keel_pageno pages, keel_pageno pages_max,
                                             struct keel_space **ret)
{
    const struct keel_space_options options = {
        .size = sizeof(options),
        .id = id,
        .device = device,
        .pages = pages,
        .pages_max = pages_max,
        .page_bytes = page_bytes,
    };

    return keel_space_open(cache, &options, ret);
}

#endif
