/*
 * Restricted rings on the running kernel: what is not on the list is refused by the kernel itself,
 * what keel needs is on it, and a kernel without restrictions is reported.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "iosched/uring_ring.h"
#include "tests/unit/iosched/fixture.h"

TestSuite(restricted, .timeout = 30);

/* ------------------------------------------------------------- one ring */

static uint32_t refused_flags;

static int poorer_setup(unsigned entries, struct io_uring *io, struct io_uring_params *params)
{
    if (params->flags & refused_flags)
        return -EINVAL;
    return uring_queue_init(entries, io, params);
}

static char why[256];

/* A ring with tables that takes NOP and, of the host's, `more`. */
static int open_ring(struct uring_ring *ring, uint8_t more)
{
    static const uint8_t ops[] = {IORING_OP_NOP};
    struct uring_shape shape = {.entries = 32, .completions = 64, .restricted = true};
    struct uring_rules rules = {.ops = ops,
                                .op_count = 1,
                                .more_ops = &more,
                                .more_op_count = 1,
                                .sqe_flags = IOSQE_FIXED_FILE};
    struct text text;

    text_init(&text, why, sizeof(why));
    int rc = uring_ring_open(ring, &shape, poorer_setup, &text);
    if (rc)
        return rc;
    uring_ring_tables(ring, &text);
    return uring_ring_enable(ring, &rules, &text);
}

/* The result of one entry with nothing in it but these. */
static int32_t result_of(struct uring_ring *ring, uint8_t op, uint8_t flags)
{
    struct io_uring_sqe *sqe = uring_ring_sqe(ring);
    sqe->opcode = op;
    sqe->fd = -1;
    sqe->flags = flags;
    uring_ring_announce(ring);
    uring_ring_enter(ring, true, 1, false);
    cr_assert_eq(uring_ring_completed(ring), 1);
    int32_t res = uring_ring_cqe(ring, 0)->res;
    uring_ring_seen(ring, 1);
    return res;
}

Test(restricted, an_operation_that_is_not_on_the_list_is_refused_by_the_kernel)
{
    struct uring_ring ring;

    if (!fixture_has_uring("restricted"))
        return;
    cr_assert_eq(open_ring(&ring, IORING_OP_CLOSE), 0);
    cr_assert(ring.restricted, "%s", why);
    cr_assert_eq(ring.setup_flags & IORING_SETUP_R_DISABLED, 0, "it is enabled");

    struct io_uring_probe *known = io_uring_get_probe();
    for (unsigned op = 0; op <= IORING_OP_SENDMSG_ZC; op++) {
        int32_t res = result_of(&ring, (uint8_t)op, 0);
        if (op == IORING_OP_NOP)
            cr_assert_eq(res, 0);
        else if (op == IORING_OP_CLOSE)
            cr_assert_eq(res, -EBADF, "on the list, and then what the kernel says of -1");
        else
            cr_assert_eq(res, io_uring_opcode_supported(known, (int)op) ? -EACCES : -EINVAL,
                         "operation %u: %d", op, res);
    }
    io_uring_free_probe(known);
    cr_assert_eq(result_of(&ring, IORING_OP_NOP, IOSQE_ASYNC), -EACCES, "a flag");
    uring_ring_close(&ring);
}

Test(restricted, nothing_but_updates_of_the_tables_can_be_registered)
{
    struct uring_ring ring;
    struct iovec none = {0};
    int hole = -1;

    if (!fixture_has_uring("registrations"))
        return;
    cr_assert_eq(open_ring(&ring, IORING_OP_CLOSE), 0);
    int fd = eventfd(0, EFD_CLOEXEC);
    cr_assert_eq(io_uring_register_eventfd(&ring.io, fd), -EACCES);
    cr_assert_eq(io_uring_unregister_files(&ring.io), -EACCES);
    cr_assert_eq(io_uring_unregister_buffers(&ring.io), -EACCES);
    cr_assert_eq(io_uring_register_personality(&ring.io), -EACCES);
    cr_assert_eq(uring_register(ring.io.ring_fd, IORING_REGISTER_RESTRICTIONS, NULL, 0), -EACCES,
                 "nor loosened");
    if (ring.has_files)
        cr_assert_eq(io_uring_register_files_update(&ring.io, 0, &hole, 1), 1);
    if (ring.has_buffers)
        cr_assert_eq(io_uring_register_buffers_update_tag(&ring.io, 0, &none, NULL, 1), 1);
    close(fd);
    uring_ring_close(&ring);
}

Test(restricted, a_kernel_that_cannot_restrict_is_reported_and_used)
{
    struct uring_ring ring;

    if (!fixture_has_uring("poorer"))
        return;
    refused_flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL;
    cr_assert_eq(open_ring(&ring, IORING_OP_CLOSE), 0);
    cr_assert(!ring.restricted);
    cr_assert_not_null(strstr(why, "no IORING_SETUP_R_DISABLED (kernel before 5.10)"), "%s", why);
    cr_assert_eq(result_of(&ring, IORING_OP_NOP, IOSQE_ASYNC), 0);
    uring_ring_close(&ring);

    refused_flags = 0;
    cr_assert_eq(open_ring(&ring, 255), 0, "an operation that no kernel has");
    cr_assert(!ring.restricted);
    cr_assert_not_null(strstr(why, "rings not restricted: Invalid argument"), "%s", why);
    cr_assert_eq(result_of(&ring, IORING_OP_NOP, IOSQE_ASYNC), 0);
    uring_ring_close(&ring);
}

/* ------------------------------------------------------------- contexts */

struct host_op {
    struct keel_raw raw;
    uint8_t op;
    int fd;
    char buf[8];
    int32_t res;
    bool over;
};

static void prepare(struct keel_raw *raw, struct io_uring_sqe *sqe)
{
    struct host_op *op = raw->user;

    sqe->opcode = op->op;
    sqe->fd = op->fd;
    if (op->op == IORING_OP_RECV) {
        sqe->addr = (uintptr_t)op->buf;
        sqe->len = sizeof(op->buf);
    }
}

static void finish(struct keel_raw *raw, int32_t res, uint32_t cqe_flags, bool more)
{
    struct host_op *op = raw->user;

    (void)cqe_flags;
    op->res = res;
    op->over = !more;
}

static int32_t run_raw(struct keel_ctx *ctx, uint8_t opcode, int fd)
{
    struct host_op op = {
        .raw = {.prep = prepare, .done = finish, .user = &op}, .op = opcode, .fd = fd};

    int rc = keel_ctx_raw(ctx, &op.raw);
    if (rc)
        return rc;
    while (!op.over)
        cr_assert_geq(keel_ctx_poll(ctx, 0, -1), 0);
    return op.res;
}

static const uint8_t recv_only[] = {IORING_OP_RECV};

static const struct {
    const char *label;
    enum keel_want restricted;
    const uint8_t *raw_ops;
    uint32_t raw_ops_count;
    bool is_restricted;
    int32_t recv, openat; /* results; openat where it is restricted */
} contexts[] = {
    {"default", KEEL_PREFERRED, NULL, 0, true, KEEL_ENOTSUP, KEEL_ENOTSUP},
    {"required", KEEL_REQUIRED, NULL, 0, true, KEEL_ENOTSUP, KEEL_ENOTSUP},
    {"with a list", KEEL_REQUIRED, recv_only, 1, true, 4, -EACCES},
    {"off", KEEL_OFF, NULL, 0, false, 4, 0},
};

/* OPENAT with nothing filled in stands for whatever the host did not ask for. */
TABLE_TEST(restricted, the_host_gets_the_operations_it_asked_for, contexts)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct fixture f;
    int pair[2];

    if (!fixture_has_uring(row->label))
        return;
    options.method = KEEL_METHOD_URING;
    options.restricted = row->restricted;
    options.raw_ops = row->raw_ops;
    options.raw_ops_count = row->raw_ops_count;
    fixture_open(&f, &options);
    cr_assert_eq(keel_ctx_path(f.ctx)->restricted, row->is_restricted, "%s", row->label);

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_assert_eq(write(pair[1], "ping", 4), 4);
    cr_assert_eq(run_raw(f.ctx, IORING_OP_RECV, pair[0]), row->recv, "%s", row->label);
    int32_t res = run_raw(f.ctx, IORING_OP_OPENAT, -1);
    cr_assert(row->is_restricted ? res == row->openat : res != -EACCES, "%s: %d", row->label, res);

    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 0, 4, KEEL_IO_LINK_SYNC);
    cr_assert_eq(fixture_run(&f, &io), 0, "keel's own go on");
    close(pair[0]);
    close(pair[1]);
    fixture_close(&f);
}

/* From now on io_uring_register fails in this process. */
static void deny_registrations(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

Test(restricted, a_policy_that_forbids_every_registration_leaves_a_plain_ring)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;
    struct fixture f;

    if (!fixture_has_uring("no registrations"))
        return;
    deny_registrations();
    fixture_open_method(&f, KEEL_METHOD_URING);
    const struct keel_ctx_path *path = keel_ctx_path(f.ctx);
    cr_assert(!path->restricted && !path->fixed_files);
    cr_assert_not_null(strstr(path->why, "rings not restricted: Operation not permitted"), "%s",
                       path->why);
    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 0, 4, KEEL_IO_LINK_SYNC);
    cr_assert_eq(fixture_run(&f, &io), 0);
    fixture_close(&f);

    options.method = KEEL_METHOD_URING;
    options.restricted = KEEL_REQUIRED;
    cr_assert_eq(keel_ctx_open(&options, &ctx), KEEL_EMETHOD);
}

Test(restricted, options_that_make_no_sense_are_refused)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    options.raw_ops_count = 1;
    cr_assert_eq(keel_ctx_open(&options, &ctx), KEEL_EOPTION, "no list");
    options.raw_ops = recv_only;
    options.raw_ops_count = KEEL_RAW_OPS_MAX + 1;
    cr_assert_eq(keel_ctx_open(&options, &ctx), KEEL_EOPTION, "too many");
}

Test(restricted, a_method_without_rings_fulfils_it)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    options.method = KEEL_METHOD_SYNC;
    options.restricted = KEEL_REQUIRED;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    cr_assert(!keel_ctx_path(ctx)->restricted, "there is no ring");
    keel_ctx_close(ctx);
}
