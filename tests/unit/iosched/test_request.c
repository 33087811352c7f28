/*
 * The life of a request, as a table: which edges exist, what follows from a completion.
 */
#include "iosched/request.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "iosched/ctx.h"
#include "iosched/device.h"
#include "tests/support/table.h"

TestSuite(request, .timeout = 20);

#define STATES (KEEL_IO_DONE + 1)

static struct keel_ctx some_ctx; /* an address */

Test(request, only_queued_reaches_the_device_and_only_done_waits_for_the_owner)
{
    for (int from = 0; from < STATES; from++) {
        for (int to = 0; to < STATES; to++) {
            bool edge = ios_request_edge((enum keel_io_state)from, (enum keel_io_state)to);
            if (to == KEEL_IO_SUBMITTED)
                cr_assert_eq(edge, from == KEEL_IO_QUEUED, "%d -> %d", from, to);
            if (from == KEEL_IO_DONE)
                cr_assert_eq(edge, to == KEEL_IO_IDLE, "%d -> %d", from, to);
            if (from == KEEL_IO_IDLE)
                cr_assert_eq(edge, to == KEEL_IO_QUEUED, "%d -> %d", from, to);
            if (from == to)
                cr_assert(!edge, "%d -> %d", from, to);
        }
    }
    cr_assert(!ios_request_edge((enum keel_io_state)STATES, KEEL_IO_IDLE));
}

/* The page about the life of a request has the same tables as the code. */
static bool page_has(const char *line)
{
    FILE *page = fopen(KEEL_TEST_DATA "/../docs/design/io-request.md", "r");
    char buf[512];
    bool found = false;

    cr_assert_not_null(page);
    while (!found && fgets(buf, sizeof(buf), page))
        found = strcmp(buf, line) == 0;
    fclose(page);
    return found;
}

Test(request, the_page_in_the_documents_says_the_same)
{
#define STATE_LINE(name, owner, list, fields, meaning) \
    "| " #name " | " owner " | " list " | " fields " | " meaning " |\n",
#define EDGE_LINE(from, to, why)  "| " #from " | " #to " | " why " |\n",
#define ARROW_LINE(from, to, why) "    " #from " --> " #to "\n",
    static const char *const lines[] = {IOS_REQUEST_STATES(STATE_LINE) IOS_REQUEST_EDGES(EDGE_LINE)
                                            IOS_REQUEST_EDGES(ARROW_LINE)};

    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        cr_assert(page_has(lines[i]), "not there: %s", lines[i]);
}

/* I1: the owner of a request is who its state says, so a missing edge is a trap. */
Test(request, a_missing_edge_traps_I1, .signal = SIGILL)
{
    struct keel_io io = {0};

    ios_request_move(&io, KEEL_IO_SUBMITTED);
}

/* I4: a part that was reported already is not reported again. */
Test(request, a_part_that_completes_twice_traps_I4, .signal = SIGILL)
{
    struct keel_io io = {.op = KEEL_OP_NOP};

    ios_request_begin(&io, &some_ctx);
    ios_request_move(&io, KEEL_IO_QUEUED);
    ios_request_step(&io);
    ios_request_move(&io, KEEL_IO_SUBMITTED);
    cr_assert(ios_request_part(&io, 0, 0));
    ios_request_part(&io, 0, 0);
}

Test(request, the_generation_counts_uses)
{
    struct keel_io io = {0};

    struct keel_ioref before = keel_io_ref(&io);
    ios_request_move(&io, KEEL_IO_QUEUED);
    struct keel_ioref first = keel_io_ref(&io);
    cr_assert(keel_ioref_done(before));
    cr_assert(!keel_ioref_done(first));

    ios_request_move(&io, KEEL_IO_SUBMITTED);
    cr_assert(!keel_ioref_done(first));
    ios_request_move(&io, KEEL_IO_DONE);
    cr_assert(keel_ioref_done(first));
    ios_request_move(&io, KEEL_IO_IDLE);
    ios_request_move(&io, KEEL_IO_QUEUED);
    cr_assert(keel_ioref_done(first), "a later use does not undo it");
    cr_assert(!keel_ioref_done(keel_io_ref(&io)));
}

/* ------------------------------------------------------------- validation */

static const struct {
    const char *label;
    uint8_t op;
    uint64_t offset;
    uint32_t len;
    uint32_t skew; /* of the buffer */
    int want;
} validations[] = {
    {"one block", KEEL_OP_READ, 0, 4096, 0, 0},
    {"last block", KEEL_OP_WRITE, 7 * 4096, 4096, 0, 0},
    {"beyond the end", KEEL_OP_READ, 7 * 4096, 8192, 0, KEEL_ERANGE},
    {"far beyond the end", KEEL_OP_READ, UINT64_MAX - 4095, 4096, 0, KEEL_ERANGE},
    {"nothing", KEEL_OP_READ, 0, 0, 0, KEEL_ERANGE},
    {"too much", KEEL_OP_READ, 0, KEEL_IO_BYTES_MAX + 4096, 0, KEEL_ERANGE},
    {"crooked offset", KEEL_OP_READ, 512, 4096, 0, KEEL_EALIGN},
    {"crooked length", KEEL_OP_READ, 0, 512, 0, KEEL_EALIGN},
    {"crooked buffer", KEEL_OP_READ, 0, 4096, 512, KEEL_EALIGN},
    {"sync", KEEL_OP_SYNC, 0, 0, 0, 0},
    {"sync with a length", KEEL_OP_SYNC, 0, 4096, 0, KEEL_ERANGE},
};

TABLE_TEST(request, is_refused_when_crooked_or_out_of_range, validations)
{
    static _Alignas(4096) char buf[8192];
    struct keel_device device = {.info.size_bytes = 8 * 4096};
    struct keel_io io = {.device = &device,
                         .buf = buf + row->skew,
                         .offset_bytes = row->offset,
                         .len_bytes = row->len,
                         .op = row->op};

    cr_assert_eq(ios_request_validate(&io), row->want, "%s", row->label);
}

/* ------------------------------------------------------------- settling */

static struct keel_device some_device = {.info.size_bytes = 64 * 4096};

/* A request of `len` bytes that is at the device. */
static struct keel_io at_device(uint8_t op, uint32_t len, unsigned flags)
{
    static _Alignas(4096) char buf[65536];
    struct keel_io io = {.device = &some_device,
                         .buf = op == KEEL_OP_SYNC ? NULL : buf,
                         .len_bytes = len,
                         .op = op,
                         .flags = (uint16_t)flags};

    ios_request_begin(&io, &some_ctx);
    ios_request_move(&io, KEEL_IO_QUEUED);
    return io;
}

static struct ios_step again(struct keel_io *io)
{
    if (ios_request_state(io) == KEEL_IO_SUBMITTED)
        ios_request_move(io, KEEL_IO_QUEUED);
    struct ios_step step = ios_request_step(io);
    ios_request_move(io, KEEL_IO_SUBMITTED);
    return step;
}

static const struct {
    const char *label;
    uint8_t op;
    unsigned flags;
    int32_t part[2];
    enum ios_verdict verdict;
    int32_t res;   /* when finished */
    uint32_t done; /* bytes that count, when again */
} settles[] = {
    {"whole read", KEEL_OP_READ, 0, {16384, 0}, IOS_FINISHED, 0, 0},
    {"short read", KEEL_OP_READ, 0, {8192, 0}, IOS_AGAIN, 0, 8192},
    {"short inside a block", KEEL_OP_READ, 0, {5000, 0}, IOS_AGAIN, 0, 4096},
    {"less than a block", KEEL_OP_WRITE, 0, {512, 0}, IOS_AGAIN, 0, 0},
    {"nothing", KEEL_OP_READ, 0, {0, 0}, IOS_AGAIN, 0, 0},
    {"error", KEEL_OP_READ, 0, {-EIO, 0}, IOS_FINISHED, -EIO, 0},
    {"again", KEEL_OP_WRITE, 0, {-EAGAIN, 0}, IOS_AGAIN, 0, 0},
    {"interrupted", KEEL_OP_WRITE, KEEL_IO_DSYNC, {-EINTR, 0}, IOS_AGAIN, 0, 0},
    {"too much", KEEL_OP_WRITE, 0, {16388, 0}, IOS_FINISHED, KEEL_EKERNEL, 0},
    {"sync", KEEL_OP_SYNC, 0, {0, 0}, IOS_FINISHED, 0, 0},
    {"failed sync is final", KEEL_OP_SYNC, 0, {-EAGAIN, 0}, IOS_FINISHED, -EAGAIN, 0},
    {"pair", KEEL_OP_WRITE, KEEL_IO_LINK_SYNC, {16384, 0}, IOS_FINISHED, 0, 0},
    {"pair, write fails",
     KEEL_OP_WRITE,
     KEEL_IO_LINK_SYNC,
     {-EFBIG, -ECANCELED},
     IOS_FINISHED,
     -EFBIG,
     0},
    {"pair, short write", KEEL_OP_WRITE, KEEL_IO_LINK_SYNC, {4096, -ECANCELED}, IOS_AGAIN, 0, 4096},
    {"pair, sync fails", KEEL_OP_WRITE, KEEL_IO_LINK_SYNC, {16384, -EIO}, IOS_FINISHED, -EIO, 0},
    {"pair, sync cancelled",
     KEEL_OP_WRITE,
     KEEL_IO_LINK_SYNC,
     {16384, -ECANCELED},
     IOS_AGAIN,
     0,
     16384},
    {"pair, thread gone", KEEL_OP_WRITE, KEEL_IO_LINK_SYNC, {16384, -EFAULT}, IOS_AGAIN, 0, 16384},
};

TABLE_TEST(request, settles_by_its_parts, settles)
{
    struct keel_io io = at_device(row->op, row->op == KEEL_OP_SYNC ? 0 : 16384, row->flags);
    struct ios_step step = again(&io);

    cr_assert_eq(ios_request_part(&io, 0, row->part[0]), !step.link_sync, "%s", row->label);
    if (step.link_sync)
        cr_assert(ios_request_part(&io, 1, row->part[1]), "%s", row->label);
    cr_assert_eq(ios_request_settle(&io), row->verdict, "%s", row->label);
    if (row->verdict == IOS_FINISHED)
        cr_assert_eq(io.res, row->res, "%s: %d", row->label, io.res);
    else
        cr_assert_eq(io.private_.done_bytes, row->done, "%s", row->label);
    ios_request_check(&io);
}

Test(request, the_rest_of_a_short_write_goes_with_its_sync)
{
    struct keel_io io = at_device(KEEL_OP_WRITE, 16384, KEEL_IO_LINK_SYNC);

    again(&io);
    ios_request_part(&io, 0, 12288);
    ios_request_part(&io, 1, -ECANCELED);
    cr_assert_eq(ios_request_settle(&io), IOS_AGAIN);
    struct ios_step step = again(&io);

    cr_assert(step.link_sync);
    cr_assert_eq(step.offset_bytes, 12288);
    cr_assert_eq(step.len_bytes, 4096);
    cr_assert_eq(step.buf, (char *)io.buf + 12288);
}

Test(request, a_sync_that_was_never_issued_is_made_up_for_once)
{
    struct keel_io io = at_device(KEEL_OP_WRITE, 4096, KEEL_IO_LINK_SYNC);

    again(&io);
    ios_request_part(&io, 0, 4096);
    ios_request_part(&io, 1, -ECANCELED);
    cr_assert_eq(ios_request_settle(&io), IOS_AGAIN);
    struct ios_step step = again(&io);

    cr_assert_eq(step.op, KEEL_OP_SYNC);
    cr_assert_eq(io.private_.parts_left, 1);
    ios_request_part(&io, 0, -ECANCELED);
    cr_assert_eq(ios_request_settle(&io), IOS_FINISHED);
    cr_assert_eq(io.res, -ECANCELED);
}

Test(request, without_progress_it_is_tried_only_so_often)
{
    struct keel_io io = at_device(KEEL_OP_READ, 4096, 0);

    for (unsigned i = 0; i < IOS_RETRIES_MAX; i++) {
        again(&io);
        ios_request_part(&io, 0, -EAGAIN);
        cr_assert_eq(ios_request_settle(&io), IOS_AGAIN, "%u", i);
    }
    again(&io);
    ios_request_part(&io, 0, -EAGAIN);
    cr_assert_eq(ios_request_settle(&io), IOS_FINISHED);
    cr_assert_eq(io.res, -EAGAIN);
}

Test(request, reading_beyond_the_end_of_a_file_says_so)
{
    struct keel_io io = at_device(KEEL_OP_READ, 4096, 0);
    enum ios_verdict verdict = IOS_AGAIN;

    while (verdict == IOS_AGAIN) {
        again(&io);
        ios_request_part(&io, 0, 0);
        verdict = ios_request_settle(&io);
    }
    cr_assert_eq(io.res, KEEL_ERANGE);
}

/* ------------------------------------------------------------- queues */

Test(request, queues_keep_their_order_when_one_leaves_from_the_middle)
{
    struct ios_queue queue = {0};
    struct ios_queue other = {0};
    struct keel_io ios[4];

    memset(ios, 0, sizeof(ios));
    for (unsigned i = 1; i < 4; i++)
        ios_queue_push_tail(&queue, &ios[i]);
    ios_queue_push_head(&other, &ios[0]);
    ios_queue_remove(&queue, &ios[2]);
    ios_queue_splice(&other, &queue);

    cr_assert_eq(other.count, 3);
    cr_assert_eq(queue.count, 0);
    cr_assert_eq(ios_queue_pop(&other), &ios[0]);
    cr_assert_eq(ios_queue_pop(&other), &ios[1]);
    cr_assert_eq(ios_queue_pop(&other), &ios[3]);
    cr_assert_null(ios_queue_pop(&other));
}
