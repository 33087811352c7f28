/*
 * Choosing by measuring the device: the sync method, and whether a blocking commit carries its
 * write out itself.
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
 * case. A system call of the committing thread's own (pwritev2) is preferred to the ring unless it
 * is slower: on a raw device with FUA it is, since the kernel adds a flush there; else it saves the
 * way over a worker of the kernel.
 *
 * What came out is kept in the superblock, with what tells the device from others, and taken over
 * by later starts: a device is measured once. The superblock is not written for it; the next step
 * that is due carries it.
 */
#include "wal/sync_choice.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"

#define ROUNDS    12u /* of each way */
#define LINK_GAIN 20u /* percent by which link has to be faster */
#define INLINE_COST                                                                 \
    5u /* percent by which a write of the thread's own may be slower: it costs less \
          processor time */

enum way { WAY_DSYNC, WAY_LINK, WAY_INLINE, WAY_COUNT };

static const uint16_t way_flags[WAY_COUNT] = {
    [WAY_DSYNC] = KEEL_IO_DSYNC,
    [WAY_LINK] = KEEL_IO_LINK_SYNC,
    [WAY_INLINE] = KEEL_IO_DSYNC | KEEL_IO_INLINE,
};

const char *keel_wal_sync_name(enum keel_sync_method method)
{
    static const char *const names[] = {
        [KEEL_SYNC_AUTO] = "auto",
        [KEEL_SYNC_DSYNC] = "dsync",
        [KEEL_SYNC_LINK] = "link",
        [KEEL_SYNC_FLUSH] = "flush",
        [KEEL_SYNC_NONE] = "none",
        [KEEL_SYNC_NVME_FUA] = "nvme-fua",
        [KEEL_SYNC_NVME_FLUSH] = "nvme-flush",
    };

    return (unsigned)method < sizeof(names) / sizeof(names[0]) ? names[method] : "?";
}

int wal_sync_check(const struct keel_wal *wal, enum keel_sync_method asked)
{
    bool commands = asked == KEEL_SYNC_NVME_FUA || asked == KEEL_SYNC_NVME_FLUSH;

    if ((unsigned)asked > KEEL_SYNC_NVME_FLUSH || (commands && wal->method != KEEL_METHOD_NVME))
        return KEEL_EOPTION;
    if (asked == KEEL_SYNC_NONE && keel_device_info(wal->device)->volatile_cache)
        return KEEL_EOPTION;
    return 0;
}

enum keel_sync_method wal_sync_shown(const struct keel_wal *wal)
{
    if (wal->method != KEEL_METHOD_NVME)
        return wal->sync;
    switch (wal->sync) {
    case KEEL_SYNC_DSYNC:
        return KEEL_SYNC_NVME_FUA;
    case KEEL_SYNC_FLUSH:
        return KEEL_SYNC_NVME_FLUSH;
    default:
        return wal->sync;
    }
}

/* What the log does for a method of that name. */
static enum keel_sync_method done_as(enum keel_sync_method asked)
{
    if (asked == KEEL_SYNC_NVME_FUA)
        return KEEL_SYNC_DSYNC;
    return asked == KEEL_SYNC_NVME_FLUSH ? KEEL_SYNC_FLUSH : asked;
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

static int measure(struct keel_wal *wal, keel_lsn from, uint64_t blocks, uint64_t p25[WAY_COUNT])
{
    uint64_t ns[WAY_COUNT][ROUNDS];

    memset(wal->buffer, 0, WAL_BLOCK);
    for (uint32_t i = 0; i < WAY_COUNT * ROUNDS; i++) {
        keel_lsn lsn = from + i % blocks * WAL_BLOCK;
        int64_t took = time_write(wal, lsn, way_flags[i % WAY_COUNT]);

        if (took < 0)
            return (int)took;
        ns[i % WAY_COUNT][i / WAY_COUNT] = (uint64_t)took;
    }
    for (uint32_t i = 0; i < WAY_COUNT; i++)
        p25[i] = quartile(ns[i], ROUNDS);
    return 0;
}

/* What tells this device, and the way to it, from another. */
static uint32_t device_sum(const struct keel_wal *wal)
{
    const struct keel_device_info *info = keel_device_info(wal->device);
    const struct keel_ctx_path *path = keel_ctx_path(wal->ctx);
    const uint64_t facts[] = {
        info->size_bytes,     info->dev_major, info->dev_minor,      info->logical_block,
        info->physical_block, info->is_block,  info->volatile_cache, info->fua,
        info->rotational,
    };
    uint32_t sum = crc32c(0, facts, sizeof(facts));

    return crc32c(sum, path->method, strlen(path->method));
}

static uint32_t microseconds(uint64_t ns)
{
    return ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

static void decide(struct keel_wal *wal, const uint64_t p25[WAY_COUNT], struct wal_choice *ret)
{
    bool nvme = wal->method == KEEL_METHOD_NVME; /* no system call does it there */

    ret->write_inline = !nvme && p25[WAY_INLINE] * 100 <= p25[WAY_DSYNC] * (100 + INLINE_COST);
    uint64_t dsync = ret->write_inline ? p25[WAY_INLINE] : p25[WAY_DSYNC];
    ret->method = KEEL_SYNC_DSYNC;
    if (p25[WAY_LINK] * 100 < dsync * (100 - LINK_GAIN)) {
        ret->method = KEEL_SYNC_LINK;
        ret->write_inline = false;
    }
    wal->sync_ns_p25[KEEL_SYNC_DSYNC] = dsync;
    wal->sync_ns_p25[KEEL_SYNC_LINK] = p25[WAY_LINK];
    if (nvme)
        snprintf(wal->sync_why, sizeof(wal->sync_why),
                 "measured: write with FUA %u us, write and then flush %u us",
                 microseconds(p25[WAY_DSYNC]), microseconds(p25[WAY_LINK]));
    else
        snprintf(wal->sync_why, sizeof(wal->sync_why),
                 "measured: dsync %u us, by pwritev2 %u us, link %u us",
                 microseconds(p25[WAY_DSYNC]), microseconds(p25[WAY_INLINE]),
                 microseconds(p25[WAY_LINK]));
}

/* Take over what an earlier start found on this device. */
static bool known(struct keel_wal *wal, uint32_t device)
{
    const struct wal_choice *choice = &wal->super.choice;

    if (choice->device != device)
        return false;
    if (choice->method != KEEL_SYNC_DSYNC && choice->method != KEEL_SYNC_LINK)
        return false;
    snprintf(wal->sync_why, sizeof(wal->sync_why),
             "measured at an earlier start on this device: %s%s",
             keel_wal_sync_name((enum keel_sync_method)choice->method),
             choice->write_inline ? " by pwritev2" : "");
    return true;
}

int wal_sync_choose(struct keel_wal *wal, enum keel_sync_method asked, keel_lsn from, keel_lsn end)
{
    struct wal_choice *choice = &wal->super.choice;
    uint64_t p25[WAY_COUNT];
    size_t room = sizeof(wal->sync_why);

    asked = done_as(asked);
    wal->sync = asked != KEEL_SYNC_AUTO ? asked : KEEL_SYNC_DSYNC;
    wal->write_inline = false;
    snprintf(wal->sync_why, room, "asked for");
    if (asked != KEEL_SYNC_AUTO && asked != KEEL_SYNC_DSYNC)
        return 0;
    if (wal->method == KEEL_METHOD_SIM) {
        if (asked == KEEL_SYNC_AUTO)
            snprintf(wal->sync_why, room, "simulated: not measured");
        return 0;
    }
    uint32_t device = device_sum(wal);
    if (!known(wal, device)) {
        if (end <= from) {
            snprintf(wal->sync_why, room, "not measured: the ring has no free block");
            return 0;
        }
        int rc = measure(wal, from, (end - from) / WAL_BLOCK, p25);
        if (rc != 0)
            return rc;
        decide(wal, p25, choice);
        choice->device = device;
    }
    if (asked == KEEL_SYNC_AUTO)
        wal->sync = (enum keel_sync_method)choice->method;
    else
        snprintf(wal->sync_why, room, "asked for%s", choice->write_inline ? ", by pwritev2" : "");
    wal->write_inline = choice->write_inline;
    return 0;
}
