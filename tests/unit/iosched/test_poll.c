/*
 * The owner's turn, and living in somebody else's event loop.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "iosched/uring_compat.h"
#include "tests/unit/iosched/fixture.h"

TestSuite(poll, .timeout = 30);

static unsigned calls;

static void note(struct keel_io *io)
{
    cr_assert_eq(io->res, 0);
    calls++;
}

/* As epoll_wait for one event and poll for one descriptor. The kernel completes requests in the
 * thread that submitted them, and may interrupt it for that. */
static int wait_epoll(int loop, int timeout_ms)
{
    struct epoll_event event;
    int n;

    do
        n = epoll_wait(loop, &event, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n;
}

static int wait_poll(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int n;

    do
        n = poll(&one, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n;
}

/* ------------------------------------------------------------- turns */

Test(poll, runs_no_more_callbacks_than_asked_for)
{
    struct keel_io ios[10];
    struct fixture f;

    fixture_open(&f, NULL);
    for (unsigned i = 0; i < 10; i++) {
        ios[i] = fixture_io(&f, KEEL_OP_READ, i, 1, 0);
        ios[i].done = note;
        cr_assert_eq(keel_io_submit(f.ctx, &ios[i]), 0);
    }
    while (calls < 10) {
        unsigned before = calls;
        int ran = keel_ctx_poll(f.ctx, 3, -1);
        cr_assert_leq(ran, 3);
        cr_assert_eq((int)(calls - before), ran);
    }
    fixture_close(&f);
}

static int inner_poll;

static void poll_inside(struct keel_io *io)
{
    inner_poll = keel_ctx_poll(io->user, 0, 0);
}

Test(poll, inside_a_callback_it_is_refused)
{
    struct fixture f;

    fixture_open(&f, NULL);
    struct keel_io io = fixture_io(&f, KEEL_OP_NOP, 0, 0, 0);
    io.done = poll_inside;
    io.user = f.ctx;
    cr_assert_eq(fixture_run(&f, &io), 0);
    cr_assert_eq(inner_poll, KEEL_EBUSY);
    fixture_close(&f);
}

Test(poll, returns_when_its_time_is_up)
{
    struct fixture f;

    fixture_open(&f, NULL);
    uint64_t begin = clock_now_ns();
    cr_assert_eq(keel_ctx_poll(f.ctx, 0, 3000000), 0);
    cr_assert_geq(clock_now_ns() - begin, 3000000);
    fixture_close(&f);
}

Test(poll, driving_for_what_cannot_come_is_refused)
{
    struct fixture f;

    fixture_open(&f, NULL);
    struct keel_io io = fixture_io(&f, KEEL_OP_NOP, 0, 0, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);
    struct keel_ioref ref = keel_io_ref(&io);
    cr_assert(keel_ioref_done(ref));
    keel_ioref_wait(ref); /* returns at once */
    fixture_close(&f);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

Test(poll, drive_says_when_nothing_is_left_that_could_help)
{
    struct fixture f;

    fixture_open(&f, NULL);
    struct keel_io io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
    io.done = note;
    cr_assert_eq(keel_io_submit(f.ctx, &io), 0);
    cr_assert_eq(keel_ctx_drive(f.ctx, never, NULL), KEEL_EBUSY);
    cr_assert_eq(calls, 0, "the callback is the owner's poll's");
    cr_assert_eq(keel_ctx_poll(f.ctx, 0, 0), 1);
    fixture_close(&f);
}

/* ------------------------------------------------------------- raw operations */

struct socket_op {
    struct keel_raw raw;
    int fd;
    char buf[16];
    int32_t res;
    unsigned calls;
    bool more;
};

/* A context whose ring takes what these tests submit by themselves. */
static void open_for_raw(struct fixture *f)
{
    static const uint8_t ops[] = {IORING_OP_RECV, IORING_OP_POLL_ADD};
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;

    options.method = KEEL_METHOD_URING;
    options.raw_ops = ops;
    options.raw_ops_count = sizeof(ops);
    fixture_open(f, &options);
}

static void prep_recv(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    struct socket_op *op = raw->user;

    sqe->opcode = IORING_OP_RECV;
    sqe->fd = op->fd;
    sqe->addr = (uintptr_t)op->buf;
    sqe->len = sizeof(op->buf);
}

static void prep_poll_multi(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    const struct socket_op *op = raw->user;

    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = op->fd;
    sqe->poll32_events = POLLIN;
    sqe->len = IORING_POLL_ADD_MULTI;
}

static void raw_done(struct keel_raw *raw, int32_t res, uint32_t flags, bool more)
{
    struct socket_op *op = raw->user;

    (void)flags;
    op->res = res;
    op->more = more;
    op->calls++;
}

/* One loop of the host's for everything: pages and a socket. */
Test(poll, page_io_and_a_socket_live_in_one_epoll_loop)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct socket_op op = {.raw = {.prep = prep_recv, .done = raw_done, .user = &op}};
    struct keel_io ios[24];
    struct fixture f;
    int pair[2];

    if (!fixture_has_uring("epoll"))
        return;
    open_for_raw(&f);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    op.fd = pair[0];
    int loop = epoll_create1(0);
    cr_assert_eq(epoll_ctl(loop, EPOLL_CTL_ADD, keel_ctx_fd(f.ctx), &event), 0);
    cr_assert_eq(keel_ctx_fd(f.ctx), keel_ctx_fd(f.ctx));

    cr_assert_eq(keel_ctx_raw(f.ctx, &op.raw), 0);
    unsigned submitted = 0;
    while (calls < 24 || op.calls == 0) {
        if (submitted < 24) { /* staged outside of poll: the descriptor must wake the loop */
            ios[submitted] = fixture_io(&f, KEEL_OP_READ, submitted, 1, 0);
            ios[submitted].done = note;
            cr_assert_eq(keel_io_submit(f.ctx, &ios[submitted]), 0);
            submitted++;
        } else if (calls == 24) {
            cr_assert_eq(write(pair[1], "ping", 4), 4);
        }
        cr_assert_eq(wait_epoll(loop, 5000), 1, "slept with work staged");
        cr_assert_geq(keel_ctx_poll(f.ctx, 0, 0), 0);
    }
    cr_assert_eq(op.res, 4);
    cr_assert(!op.more);
    cr_assert_eq(memcmp(op.buf, "ping", 4), 0);

    while (wait_epoll(loop, 0) == 1)
        cr_assert_geq(keel_ctx_poll(f.ctx, 0, 0), 0); /* and then it is quiet */
    close(loop);
    close(pair[0]);
    close(pair[1]);
    fixture_close(&f);
}

Test(poll, the_sync_method_lives_in_an_event_loop_too)
{
    struct keel_io ios[8];
    struct fixture f;

    fixture_open_method(&f, KEEL_METHOD_SYNC);
    int fd = keel_ctx_fd(f.ctx);
    cr_assert_geq(fd, 0);
    while (wait_poll(fd, 0) == 1)
        cr_assert_eq(keel_ctx_poll(f.ctx, 0, 0), 0);
    for (unsigned i = 0; i < 8; i++) {
        ios[i] = fixture_io(&f, KEEL_OP_WRITE, i, 1, 0);
        ios[i].done = note;
        cr_assert_eq(keel_io_submit(f.ctx, &ios[i]), 0);
    }
    while (calls < 8) {
        cr_assert_eq(wait_poll(fd, 5000), 1);
        cr_assert_geq(keel_ctx_poll(f.ctx, 3, 0), 0);
    }
    struct socket_op op = {.raw = {.prep = prep_recv, .done = raw_done, .user = &op}};
    cr_assert_eq(keel_ctx_raw(f.ctx, &op.raw), KEEL_ENOTSUP);
    fixture_close(&f);
}

Test(poll, a_multishot_operation_posts_again_and_ends_with_the_context)
{
    struct socket_op op = {.raw = {.prep = prep_poll_multi, .done = raw_done, .user = &op}};
    struct fixture f;
    char byte;
    int pair[2];

    if (!fixture_has_uring("multishot"))
        return;
    open_for_raw(&f);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    op.fd = pair[0];
    cr_assert_eq(keel_ctx_raw(f.ctx, &op.raw), 0);
    for (unsigned i = 1; i <= 3; i++) {
        cr_assert_eq(keel_ctx_poll(f.ctx, 0, 0), 0);
        cr_assert_eq(write(pair[1], "x", 1), 1);
        cr_assert_eq(keel_ctx_poll(f.ctx, 0, -1), 1);
        cr_assert_eq(op.calls, i);
        cr_assert(op.more);
        cr_assert_eq(read(pair[0], &byte, 1), 1);
    }

    fixture_close(&f);
    cr_assert_eq(op.calls, 4);
    cr_assert(!op.more);
    cr_assert_eq(op.res, -ECANCELED);
    close(pair[0]);
    close(pair[1]);
}

/* ------------------------------------------------------------- being woken */

struct waker {
    struct keel_ctx *ctx;
    _Atomic uint32_t go; /* futex */
    _Atomic uint32_t rounds;
};

static void *wake_often(void *arg)
{
    struct waker *waker = arg;

    for (uint32_t i = 1; i <= 200; i++) {
        uint32_t now;
        while ((now = atomic_load(&waker->go)) < i)
            futex_wait(&waker->go, now, -1);
        atomic_store(&waker->rounds, i);
        keel_ctx_wake(waker->ctx);
    }
    return NULL;
}

/* Sleeping in the ring, where a raw operation is in flight that never ends, and in ppoll. */
static void sleep_and_be_woken(struct fixture *f, bool with_raw)
{
    struct socket_op op = {.raw = {.prep = prep_recv, .done = raw_done, .user = &op}};
    struct waker waker = {.ctx = f->ctx};
    pthread_t thread;
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    op.fd = pair[0];
    if (with_raw)
        cr_assert_eq(keel_ctx_raw(f->ctx, &op.raw), 0);
    cr_assert_eq(pthread_create(&thread, NULL, wake_often, &waker), 0);
    for (uint32_t i = 1; i <= 200; i++) {
        atomic_store(&waker.go, i);
        futex_wake(&waker.go, 1);
        while (atomic_load(&waker.rounds) < i)
            cr_assert_eq(keel_ctx_poll(f->ctx, 0, with_raw ? -1 : 20000000000), 0);
    }
    pthread_join(thread, NULL);
    close(pair[1]);
    fixture_close(f);
    close(pair[0]);
    cr_assert_eq(op.calls, with_raw ? 1 : 0);
}

Test(poll, the_owner_is_woken_out_of_the_ring)
{
    struct fixture f;

    if (!fixture_has_uring("wake"))
        return;
    open_for_raw(&f);
    sleep_and_be_woken(&f, true);
}

Test(poll, the_owner_is_woken_out_of_a_timed_sleep)
{
    struct fixture f;

    fixture_open(&f, NULL);
    sleep_and_be_woken(&f, false);
}

/* ------------------------------------------------------------- pollers */

/* A layer that waits for writes on a shared context and answers to the owner. */
struct layer {
    struct keel_poller poller;
    struct keel_io io;
    _Atomic uint32_t written;
    unsigned answered;
    unsigned closed;
};

static void layer_written(struct keel_io *io)
{
    struct layer *layer = io->user;

    atomic_fetch_add(&layer->written, 1);
}

static int layer_poll(struct keel_poller *poller, unsigned max)
{
    struct layer *layer = (struct layer *)(void *)poller;
    int ran = 0;

    while (layer->answered < atomic_load(&layer->written) && (max == 0 || (unsigned)ran < max)) {
        layer->answered++;
        ran++;
    }
    return ran;
}

static bool layer_waiting(struct keel_poller *poller)
{
    struct layer *layer = (struct layer *)(void *)poller;

    return layer->answered < 1;
}

static void layer_closed(struct keel_poller *poller)
{
    ((struct layer *)(void *)poller)->closed++;
}

static const struct {
    const char *label;
    enum keel_method method;
    bool fd;
} pollers[] = {
    {"auto, own loop", KEEL_METHOD_AUTO, false},
    {"auto, event loop", KEEL_METHOD_AUTO, true},
    {"sync, own loop", KEEL_METHOD_SYNC, false},
    {"sync, event loop", KEEL_METHOD_SYNC, true},
};

TABLE_TEST(poll, drives_what_a_poller_waits_for, pollers)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct layer layer = {.answered = 0};
    struct keel_ctx *shared;
    struct fixture f;

    fixture_open_method(&f, row->method);
    options.method = row->method;
    options.kind = KEEL_CTX_SHARED;
    cr_assert_eq(keel_ctx_open(&options, &shared), 0);
    layer.poller = (struct keel_poller){
        .poll = layer_poll, .waiting = layer_waiting, .closed = layer_closed, .drive = shared};
    int fd = row->fd ? keel_ctx_fd(f.ctx) : -1;
    keel_ctx_poller_add(f.ctx, &layer.poller);

    layer.io = fixture_io(&f, KEEL_OP_WRITE, 1, 1, KEEL_IO_DSYNC | KEEL_IO_ANY_THREAD);
    layer.io.done = layer_written;
    layer.io.user = &layer;
    cr_assert_eq(keel_io_submit(shared, &layer.io), 0);
    keel_ctx_kick(shared);
    keel_ctx_wake(f.ctx);
    int ran = 0;
    while (ran == 0) {
        if (row->fd)
            cr_assert_eq(wait_poll(fd, 5000), 1, "%s", row->label);
        ran = keel_ctx_poll(f.ctx, 0, row->fd ? 0 : -1);
        cr_assert_geq(ran, 0);
    }
    cr_assert_eq(ran, 1);
    cr_assert_eq(layer.answered, 1);

    keel_ctx_poller_remove(f.ctx, &layer.poller);
    keel_ctx_poller_add(f.ctx, &layer.poller);
    fixture_close(&f);
    cr_assert_eq(layer.closed, 1);
    keel_ctx_close(shared);
}
