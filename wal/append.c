/*
 * Appending: credit, reserve, copy, publish. No locks; nothing here submits but to make room.
 *
 *   keel_wal_credit_take   log space for later, where waiting is allowed
 *   keel_wal_append        checksums of the payload first (this also touches its memory), then
 *     reserve              one compare-and-swap moves the cursor, if the mark is still the same
 *     put_*                copy into the log buffer, block by block
 *     publish              add the bytes to each block's count: the sealer may have it
 *
 * Between reserve and publish nobody waits (W8): space was taken as credit, room in the buffer was
 * there when the cursor moved. The one exception is a group longer than the buffer, which drives
 * the log itself: the blocks before its own are either published or owned by threads of which the
 * same holds, so the lowest of them always gets on.
 *
 * Failure: a group that is refused has reserved nothing. Poison while waiting for room leaves a
 * hole in a log that will never be sealed again.
 *
 * Invariants: W5 (credit never promises a place in use), W8.
 */
#include "wal/append.h"

#include <sched.h>
#include <string.h>
#include <sys/uio.h>

#include "base/bug.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/trace.h"
#include "wal/holder.h"
#include "wal/seal.h"

#define GROUP_BYTES_MAX (UINT64_C(1) << 31)
#define CRCS_MAX        16u /* records whose payload is summed up before anything is reserved */

/* ------------------------------------------------------------- credit */

uint64_t keel_wal_credit_bytes(uint64_t payload, uint32_t records)
{
    uint64_t each = WAL_RECORD_HEADER + WAL_RECORD_ALIGN - 1;

    return group_log_bytes(payload + (uint64_t)records * each);
}

int wal_credit_reserve(struct keel_wal *wal, uint64_t bytes, uint64_t keep)
{
    /*
     * The sum of credits and cursor never looks smaller than it is: append moves the cursor first,
     * its credit is given back afterwards (release, in give_back_used), here the credits are read
     * first (acquire) and the cursor afterwards. Padding does not change the cursor's block.
     */
    uint64_t out =
        atomic_fetch_add_explicit(&wal->credits_out, bytes, memory_order_acq_rel) + bytes;
    uint64_t cursor = atomic_load_explicit(&wal->cursor, memory_order_acquire);
    keel_lsn end = lsn_block_up(position_end(wal->base_lsn, cursor_position(cursor)));
    keel_lsn limit = atomic_load_explicit(&wal->credit_lsn, memory_order_acquire);

    if (end + keep > limit || out > limit - keep - end) {
        wal_credit_release(wal, bytes);
        return KEEL_ELOGFULL;
    }
    return 0;
}

void wal_credit_release(struct keel_wal *wal, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub_explicit(&wal->credits_out, bytes, memory_order_release);

    KEEL_ASSERT(before >= bytes);
}

/* What appends have used is given back here and not there: one atomic for many of them. Until then
 * it is counted twice, so less than there is looks free, never more. */
static void give_back_used(struct keel_wal *wal, struct keel_wal_credit *credit)
{
    if (credit->used_private > 0)
        wal_credit_release(wal, credit->used_private);
    credit->used_private = 0;
}

int keel_wal_credit_take(struct keel_wal *wal, struct keel_wal_credit *credit, uint64_t bytes)
{
    KEEL_ASSERT(wal->started);

    if (wal_poisoned(wal) != 0)
        return KEEL_EPOISON;
    if (bytes > wal->ring_bytes)
        return KEEL_ELOGFULL;

    give_back_used(wal, credit);
    uint64_t keep = credit->of_reserve && !BUG(NO_RESERVE) ? 0 : wal->reserve_bytes;
    int rc = wal_credit_reserve(wal, bytes, keep);
    if (rc == KEEL_ELOGFULL && wal_hold_break(wal, bytes + keep))
        rc = wal_credit_reserve(wal, bytes, keep);
    if (rc == 0)
        credit->bytes_private += bytes;
    return rc;
}

void keel_wal_credit_put(struct keel_wal *wal, struct keel_wal_credit *credit)
{
    credit->used_private += credit->bytes_private;
    credit->bytes_private = 0;
    give_back_used(wal, credit);
}

/* ------------------------------------------------------------- room and reserve */

struct room {
    struct keel_wal *wal;
    uint64_t number;
};

static bool room_done(void *arg)
{
    struct room *room = arg;
    struct keel_wal *wal = room->wal;

    if (wal_poisoned(wal) != 0 || room->number < wal_blocks_free(wal) + wal->frame_count)
        return true;
    wal_seal(wal, NULL, KEEL_LEVEL_DURABLE);
    return false;
}

/*
 * Wait until block `number` has its place in the log buffer, by driving the log. Progress: the
 * block that has the place now is published or ours to wait for in the order given above, so it is
 * sealed by somebody, in the end by us, and its write completes.
 */
static int wait_room(struct keel_wal *wal, uint64_t number)
{
    struct room room = {wal, number};

    while (!room_done(&room)) {
        /* KEEL_EBUSY: nothing is in flight, so another thread is just publishing. */
        if (keel_ctx_drive(wal->ctx, room_done, &room) != 0)
            sched_yield();
    }
    return wal_poisoned(wal) != 0 ? KEEL_EPOISON : 0;
}

/* Is there room in the log buffer for a group that would end at this position? */
static bool has_room(const struct keel_wal *wal, uint64_t end)
{
    return position_block(end - 1) < wal_blocks_free(wal) + wal->frame_count;
}

/*
 * Move the cursor by n bytes, if the mark is the one the group was made under and the log buffer
 * has room for all of it; it is waited for before anything is reserved, and not at all in a
 * callback. A group that is longer than the buffer waits block by block while it is copied.
 */
static int reserve(struct keel_wal *wal, uint32_t mark, uint64_t n, uint64_t *ret_position)
{
    bool oversize = n > (wal->frame_count - 1) * WAL_PAYLOAD;
    uint64_t cursor;

    for (;;) {
        cursor = atomic_load_explicit(&wal->cursor, memory_order_acquire);
        uint64_t end = cursor_position(cursor) + n;

        KEEL_ASSERT(end < WAL_POSITION_MASK);
        if (cursor_mark(cursor) != (mark & 0xff))
            return KEEL_ESTALE;
        if (oversize || !has_room(wal, end)) {
            if (keel_in_callback())
                return KEEL_EFULL;
            int rc = oversize ? 0 : wait_room(wal, position_block(end - 1));
            if (rc != 0)
                return rc;
            if (!oversize)
                continue;
        }
        /* Acquire and release: a group that begins behind another one comes after it, and
         * keel_wal_cut() with its fetch_add is in the same order. */
        if (atomic_compare_exchange_weak_explicit(&wal->cursor, &cursor, cursor + n,
                                                  memory_order_acq_rel, memory_order_relaxed))
            break;
    }
    *ret_position = cursor_position(cursor);
    return 0;
}

/* ------------------------------------------------------------- copy and publish */

/* Where a group is being copied to. */
struct put {
    struct keel_wal *wal;
    struct wal_frame *frame;
    uint8_t *at;
    uint32_t left;   /* in this block */
    uint32_t put;    /* in this block, not yet published */
    uint64_t number; /* of this block */
    bool owns_first; /* payload byte 0 of this block is ours: we say where the first record is */
};

static int put_block(struct put *put, uint64_t number, uint32_t offset)
{
    struct keel_wal *wal = put->wal;

    if (number >= wal_blocks_free(wal) + wal->frame_count) {
        int rc = wait_room(wal, number);
        if (rc != 0)
            return rc;
    }
    /* What was in this place is written and synced: no device reads it any more. */
    KEEL_INV(I2, number < wal_blocks_free(wal) + wal->frame_count);
    put->number = number;
    put->frame = wal_frame(wal, number);
    put->at = wal_frame_bytes(wal, number) + WAL_HEADER + offset;
    put->left = WAL_PAYLOAD - offset;
    put->put = 0;
    put->owns_first = offset == 0;
    if (put->owns_first)
        put->frame->first = WAL_FIRST_NONE;
    return 0;
}

/* Release: pairs with frame_complete() and pad() in seal.c. Nothing of the frame is touched after.
 */
static void publish(struct put *put, uint64_t counts)
{
    atomic_fetch_add_explicit(&put->frame->filled, counts + put->put, memory_order_release);
}

/* A record, or what follows the group, begins here. */
static void put_begin(struct put *put)
{
    if (put->owns_first && put->left > 0) {
        put->frame->first = (uint16_t)(WAL_PAYLOAD - put->left);
        put->owns_first = false;
    }
}

static int put_bytes(struct put *put, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;

    while (len > 0) {
        if (put->left == 0) {
            publish(put, 0);
            int rc = put_block(put, put->number + 1, 0);
            if (rc != 0)
                return rc;
        }
        uint32_t part = len < put->left ? (uint32_t)len : put->left;
        memcpy(put->at, from, part);
        put->at += part;
        put->left -= part;
        put->put += part;
        from += part;
        len -= part;
    }
    return 0;
}

static int put_record(struct put *put, const struct keel_wal_record *record,
                      const uint8_t header[WAL_RECORD_HEADER], uint32_t padding)
{
    static const uint8_t zero[WAL_RECORD_ALIGN];
    int rc = put_bytes(put, header, WAL_RECORD_HEADER);

    for (uint32_t i = 0; rc == 0 && i < record->part_count; i++)
        rc = put_bytes(put, record->parts[i].iov_base, record->parts[i].iov_len);
    return rc != 0 ? rc : put_bytes(put, zero, padding);
}

/* ------------------------------------------------------------- groups */

static uint64_t payload_len(const struct keel_wal_record *record)
{
    uint64_t len = 0;

    for (uint32_t i = 0; i < record->part_count; i++)
        len += record->parts[i].iov_len;
    return len;
}

static uint32_t payload_crc(const struct keel_wal *wal, const struct keel_wal_record *record)
{
    uint32_t crc = wal->seed.record;

    for (uint32_t i = 0; i < record->part_count; i++)
        crc = crc32c(crc, record->parts[i].iov_base, record->parts[i].iov_len);
    return crc;
}

/* Bytes of the whole group with headers and padding, or 0 if it is not one that can be written. */
static uint64_t group_bytes(const struct keel_wal_record *records, uint32_t count)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t len = payload_len(&records[i]);

        if (len > KEEL_WAL_RECORD_MAX || records[i].type == 0)
            return 0;
        bytes += record_bytes(len);
        if (bytes > GROUP_BYTES_MAX)
            return 0;
    }
    return bytes;
}

/* Copy the group to where it was reserved. crcs: of the first CRCS_MAX payloads. */
static int put_group(struct keel_wal *wal, uint64_t position, uint64_t bytes,
                     const struct keel_wal_record *records, uint32_t count, const uint32_t *crcs)
{
    struct put put = {.wal = wal};
    int rc = put_block(&put, position_block(position), position_offset(position));

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        uint32_t crc = i < CRCS_MAX ? crcs[i] : payload_crc(wal, &records[i]);
        uint64_t len = payload_len(&records[i]);
        uint64_t whole = record_bytes(len);
        uint8_t header[WAL_RECORD_HEADER] = {0};

        store_le32(header + WAL_RECORD_LEN, (uint32_t)len);
        store_le32(header + WAL_RECORD_GROUP, (uint32_t)bytes);
        header[WAL_RECORD_TYPE] = records[i].type;
        header[WAL_RECORD_FLAGS] = i + 1 == count ? WAL_FLAG_LAST : 0;
        crc = wal_record_crc(crc, header, position_begin(wal->base_lsn, position));
        store_le32(header + WAL_RECORD_CRC, crc);

        /* A full block is left here, not in put_bytes(), so that the record begins in the next. */
        if (put.left == 0) {
            publish(&put, 0);
            rc = put_block(&put, put.number + 1, 0);
        }
        if (rc == 0) {
            put_begin(&put);
            rc = put_record(&put, &records[i], header, (uint32_t)(whole - len - WAL_RECORD_HEADER));
        }
        position += whole;
        bytes -= whole;
    }
    if (rc != 0)
        return rc;

    KEEL_ASSERT(bytes == 0);
    put_begin(&put);
    publish(&put, WAL_FILLED_GROUP + count * WAL_FILLED_RECORD);
    return 0;
}

int keel_wal_append(struct keel_wal *wal, struct keel_wal_credit *credit, uint32_t mark,
                    const struct keel_wal_record *records, uint32_t count, keel_lsn *ret_lsn,
                    keel_lsn *ret_end)
{
    uint64_t bytes = group_bytes(records, count);
    uint64_t cost = group_log_bytes(bytes);
    uint32_t crcs[CRCS_MAX];
    uint64_t position;

    KEEL_ASSERT(wal->started);
    if (bytes == 0)
        return KEEL_ERANGE;
    if (cost > credit->bytes_private)
        return KEEL_ELOGFULL;
    if (wal_poisoned(wal) != 0)
        return KEEL_EPOISON;
    for (uint32_t i = 0; i < count && i < CRCS_MAX; i++)
        crcs[i] = payload_crc(wal, &records[i]);

    int rc = reserve(wal, mark, bytes, &position);
    if (rc != 0)
        return rc;
    keel_lsn begin = position_begin(wal->base_lsn, position);
    keel_lsn end = position_end(wal->base_lsn, position + bytes);

    /* The space was there before it was asked for: nobody has to wait for it now. */
    KEEL_INV(W8, end <= atomic_load_explicit(&wal->limit_lsn, memory_order_relaxed));
    rc = put_group(wal, position, bytes, records, count, crcs);
    if (rc != 0)
        return rc;

    credit->bytes_private -= cost;
    credit->used_private += cost;
    TRACE(WAL_PUBLISH, trace_id(wal), NULL, begin, bytes, 0);
    *ret_lsn = begin;
    *ret_end = end;
    return 0;
}

/* ------------------------------------------------------------- marks and ends */

uint32_t keel_wal_mark(const struct keel_wal *wal)
{
    return cursor_mark(atomic_load_explicit(&wal->cursor, memory_order_acquire));
}

keel_lsn keel_wal_cut(struct keel_wal *wal)
{
    /* In the same modification order as every reservation, so each lies on one side; the mark wraps
     * out of the top without touching the position. */
    uint64_t cursor = atomic_fetch_add_explicit(&wal->cursor, WAL_MARK_ONE, memory_order_acq_rel);

    KEEL_ASSERT(wal->started);
    return position_end(wal->base_lsn, cursor_position(cursor));
}

keel_lsn keel_wal_tail(const struct keel_wal *wal)
{
    uint64_t cursor = atomic_load_explicit(&wal->cursor, memory_order_acquire);

    return position_end(wal->base_lsn, cursor_position(cursor));
}
