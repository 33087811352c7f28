/*
 * Choosing the sync method by measuring the device.
 *
 * Neither way wins everywhere: RWF_DSYNC is one FUA write where the device is good at FUA, and
 * twice as slow as write and flush on some consumer drives. So a few 4 KiB writes of each are
 * timed, in turn, on the log's own context, at its own place: the gap between the end of the log
 * and the first block of the new epoch. Nobody owns these LSNs once the epoch is durable, and what
 * is written there is zero, which no check takes for a block; so a crash meanwhile costs nothing.
 * The part of the gap whose place in the ring still holds blocks behind the redo LSN is left alone;
 * without any free block, and in a simulation, dsync is taken unmeasured.
 *
 * dsync is preferred unless link is clearly faster, because asynchronous commits use it in any
 * case.
 */
#include "wal/sync_choice.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define ROUNDS    12u /* of each method */
#define LINK_GAIN 20u /* percent by which link has to be faster */

const char *wal_sync_name(enum keel_sync_method method)
{
    static const char *const names[] = {
        [KEEL_SYNC_AUTO] = "auto",   [KEEL_SYNC_DSYNC] = "dsync", [KEEL_SYNC_LINK] = "link",
        [KEEL_SYNC_FLUSH] = "flush", [KEEL_SYNC_NONE] = "none",
    };

    return (unsigned)method < sizeof(names) / sizeof(names[0]) ? names[method] : "?";
}

int wal_sync_check(const struct keel_wal *wal, enum keel_sync_method asked)
{
    if ((unsigned)asked > KEEL_SYNC_NONE)
        return KEEL_EOPTION;
    if (asked == KEEL_SYNC_NONE && keel_device_info(wal->device)->volatile_cache)
        return KEEL_EOPTION;
    return 0;
}

/* One 4 KiB write of zeroes, made durable; nanoseconds or a negative code. */
static int64_t time_write(struct keel_wal *wal, keel_lsn lsn, uint16_t flag)
{
    struct keel_io io = {
        .device = wal->device,
        .arena = wal->arena,
        .buf = wal->buffer,
        .offset_bytes = lsn_offset(wal->ring_bytes, lsn),
        .len_bytes = WAL_BLOCK,
        .op = KEEL_OP_WRITE,
        .cls = KEEL_CLASS_WAL,
        .flags = (uint16_t)(flag | KEEL_IO_ANY_THREAD),
    };
    uint64_t before = clock_now_ns();
    int rc = keel_io_submit(wal->ctx, &io);

    if (rc == 0)
        rc = keel_io_wait(wal->ctx, &io);
    return rc != 0 ? rc : (int64_t)(clock_now_ns() - before);
}

/* Their lower quartile: what the device can do, without what else the machine was busy with. A
 * median was not enough: beside a busy processor it took link for four times as fast. */
static uint64_t quartile(uint64_t *ns, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint64_t value = ns[i];
        uint32_t at = i;

        for (; at > 0 && ns[at - 1] > value; at--)
            ns[at] = ns[at - 1];
        ns[at] = value;
    }
    return ns[count / 4];
}

static int measure(struct keel_wal *wal, keel_lsn from, uint64_t blocks)
{
    static const uint16_t flags[2] = {KEEL_IO_DSYNC, KEEL_IO_LINK_SYNC};
    static const enum keel_sync_method methods[2] = {KEEL_SYNC_DSYNC, KEEL_SYNC_LINK};
    uint64_t ns[2][ROUNDS];

    memset(wal->buffer, 0, WAL_BLOCK);
    for (uint32_t i = 0; i < 2 * ROUNDS; i++) {
        keel_lsn lsn = from + i % blocks * WAL_BLOCK;
        int64_t took = time_write(wal, lsn, flags[i % 2]);

        if (took < 0)
            return (int)took;
        ns[i % 2][i / 2] = (uint64_t)took;
    }
    for (uint32_t i = 0; i < 2; i++)
        wal->sync_ns_p25[methods[i]] = quartile(ns[i], ROUNDS);
    return 0;
}

int wal_sync_choose(struct keel_wal *wal, enum keel_sync_method asked, keel_lsn from, keel_lsn end)
{
    size_t room = sizeof(wal->sync_why);

    wal->sync = asked != KEEL_SYNC_AUTO ? asked : KEEL_SYNC_DSYNC;
    if (asked != KEEL_SYNC_AUTO) {
        snprintf(wal->sync_why, room, "asked for");
        return 0;
    }
    if (wal->method == KEEL_METHOD_SIM) {
        snprintf(wal->sync_why, room, "simulated: not measured");
        return 0;
    }
    if (end <= from) {
        snprintf(wal->sync_why, room, "not measured: the ring has no free block");
        return 0;
    }

    int rc = measure(wal, from, (end - from) / WAL_BLOCK);
    if (rc != 0)
        return rc;
    uint64_t dsync = wal->sync_ns_p25[KEEL_SYNC_DSYNC];
    uint64_t link = wal->sync_ns_p25[KEEL_SYNC_LINK];
    if (link * 100 < dsync * (100 - LINK_GAIN))
        wal->sync = KEEL_SYNC_LINK;
    snprintf(wal->sync_why, room, "measured: dsync %llu us, link %llu us",
             (unsigned long long)dsync / 1000, (unsigned long long)link / 1000);
    return 0;
}
