/*
 * The device as the files of this folder see it.
 *
 * A device is opened by its method's ios_files and is then used by any number of contexts of the
 * same method. Its id is an index into the file table of every ring, so that no ring needs a map.
 */
#ifndef KEEL_IOSCHED_DEVICE_H
#define KEEL_IOSCHED_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "keel/iosched.h"

struct ios_files;
struct ios_sched;

#define IOS_DEVICE_IDS_MAX 256 /* devices beyond it are used without registration */

struct keel_device {
    /* set at open, then constant */
    const struct ios_files *files;
    int fd;            /* -1 under sim */
    int32_t id;        /* -1: no number was free */
    void *method_data; /* the files' own (sim) */
    struct ios_sched *sched;

    /* A part (keel_device_part) borrows all of the above from the whole; constant. */
    struct keel_device *whole; /* NULL: it is one */
    uint64_t base_bytes;       /* where its block 0 lies in the whole */
    uint64_t room_bytes;

    uint32_t parts; /* atomic: parts that are open */

    /* constant but for size_bytes, which is atomic: keel_device_grow stores it with release when
     * the new room is durable, ios_device_size() loads it */
    struct keel_device_info info;

    /* atomic, relaxed: the device said that it cannot poll after all */
    uint32_t poll_refused;
};

/* The host's headers may be older than the kernel. */
#define IOS_RWF_ATOMIC 0x40

/* Is a write of so many bytes, at a multiple of that, there whole or not at all? */
static inline bool ios_device_writes_untorn(const struct keel_device *device, uint32_t bytes)
{
    return device->info.atomic_write_max > 0 && bytes >= device->info.atomic_write_min &&
           bytes <= device->info.atomic_write_max && (bytes & (bytes - 1)) == 0;
}

static inline uint64_t ios_device_size(const struct keel_device *device)
{
    return __atomic_load_n(&device->info.size_bytes, __ATOMIC_ACQUIRE);
}

#endif
