/*
 * The uring method on the running kernel: what it costs in system calls, what it does when the
 * kernel has less than it would like, and when the kernel refuses it altogether.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "iosched/uring_ring.h"
#include "tests/unit/iosched/fixture.h"

TestSuite(uring, .timeout = 30);

/* ------------------------------------------------------------- the ladder */

static uint32_t refused_flags;
static uint32_t refused_above; /* entries that are too many for the memory there is */
static int refused_with;

/* A kernel that lacks some flags, or memory, or everything. */
static int poorer_setup(unsigned entries, struct io_uring *io, struct io_uring_params *params)
{
    if (refused_with)
        return refused_with;
    if (params->flags & refused_flags)
        return -EINVAL;
    if (refused_above && entries > refused_above)
        return -ENOMEM;
    return uring_queue_init(entries, io, params);
}

static int open_poorer(struct uring_ring *ring, char *why, size_t size)
{
    struct text text;

    text_init(&text, why, size);
    return uring_ring_open(ring, &(struct uring_shape){.entries = 128, .completions = 256},
                           poorer_setup, &text);
}

Test(uring, drops_the_newest_flag_first_and_says_so)
{
    struct uring_ring ring;
    char why[256];

    if (!fixture_has_uring("ladder"))
        return;
    refused_flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_NO_SQARRAY;
    cr_assert_eq(open_poorer(&ring, why, sizeof(why)), 0);
    cr_assert_eq(ring.setup_flags, IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP);
    cr_assert_str_eq(why, "no IORING_SETUP_NO_SQARRAY (kernel before 6.6); no "
                          "IORING_SETUP_SUBMIT_ALL (kernel before 5.18)");
    uring_ring_close(&ring);

    refused_flags = UINT32_MAX;
    cr_assert_eq(open_poorer(&ring, why, sizeof(why)), 0, "a kernel without any of them will do");
    cr_assert_eq(ring.setup_flags, 0);
    cr_assert_not_null(strstr(why, "SUBMIT_ALL"));
    cr_assert_not_null(strstr(why, "CLAMP"));
    cr_assert_not_null(strstr(why, "CQSIZE"));
    uring_ring_close(&ring);
}

Test(uring, says_nothing_when_nothing_was_refused)
{
    struct uring_ring ring;
    char why[256];

    if (!fixture_has_uring("ladder"))
        return;
    cr_assert_eq(open_poorer(&ring, why, sizeof(why)), 0);
    if (ring.setup_flags & IORING_SETUP_NO_SQARRAY)
        cr_assert_str_eq(why, "");
    uring_ring_close(&ring);
}

Test(uring, takes_a_smaller_ring_when_memory_is_short)
{
    struct uring_ring ring;
    char why[256];

    if (!fixture_has_uring("ladder"))
        return;
    refused_above = 32;
    cr_assert_eq(open_poorer(&ring, why, sizeof(why)), 0);
    cr_assert(uring_ring_fits(&ring, 31));
    cr_assert_not(uring_ring_fits(&ring, 32));
    uring_ring_close(&ring);
    refused_above = 8;
    cr_assert_eq(open_poorer(&ring, why, sizeof(why)), -ENOMEM);
}

Test(uring, is_refused_with_the_kernels_own_error)
{
    struct uring_ring ring;
    char why[256];

    refused_with = -EPERM;
    cr_assert_eq(open_poorer(&ring, why, sizeof(why)), -EPERM);
    cr_assert_str_eq(why, "");
}

/* A submit that ends between a write and its sync cuts the chain, and is noticed. */
Test(uring, a_chain_that_was_cut_is_noticed)
{
    struct uring_ring ring;
    char why[256];

    if (!fixture_has_uring("cut"))
        return;
    cr_assert_eq(open_poorer(&ring, why, sizeof(why)), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct io_uring_sqe *sqe = uring_ring_sqe(&ring);
        sqe->opcode = IORING_OP_NOP;
        sqe->flags = i == 0 ? IOSQE_IO_LINK : 0;
        sqe->user_data = 0x100 + i;
    }
    uring_ring_announce(&ring);
    cr_assert_eq(ring.to_submit, 2);
    ring.to_submit = 1; /* as a kernel short of memory would */
    cr_assert_eq(uring_ring_enter(&ring, true, 0, false), 1);
    cr_assert(uring_ring_left(&ring));
    cr_assert_eq(uring_ring_cut(&ring), 0x100);

    uring_ring_announce(&ring);
    cr_assert_eq(uring_ring_enter(&ring, true, 1, false), 1);
    cr_assert(!uring_ring_left(&ring));
    cr_assert_eq(uring_ring_cut(&ring), 0);
    uring_ring_close(&ring);
}

/* ------------------------------------------------------------- registered by its owner */

static void one_noop(struct uring_ring *ring, bool own)
{
    uring_ring_sqe(ring)->opcode = IORING_OP_NOP;
    uring_ring_announce(ring);
    cr_assert_eq(uring_ring_enter(ring, own, 1, false), 1);
    cr_assert_eq(uring_ring_completed(ring), 1);
    uring_ring_seen(ring, 1);
}

Test(uring, its_thread_enters_without_the_descriptor_and_others_by_it)
{
    struct uring_ring ring;
    struct text text;
    char why[256];

    if (!fixture_has_uring("registered ring"))
        return;
    cr_assert_eq(open_poorer(&ring, why, sizeof(why)), 0);
    text_init(&text, why, sizeof(why));
    uring_ring_register(&ring, &text);
    if (ring.registered < 0) {
        cr_assert_str_eq(why, "ring not registered: Invalid argument (kernel before 5.18)");
        one_noop(&ring, true);
        uring_ring_close(&ring);
        return;
    }
    one_noop(&ring, false);
    int fd = ring.io.ring_fd;
    ring.io.ring_fd = -1;
    one_noop(&ring, true);
    ring.io.ring_fd = fd;
    uring_ring_close(&ring);
}

static void ctx_noop(struct keel_ctx *ctx)
{
    struct keel_io io = {.op = KEEL_OP_NOP};

    cr_assert_eq(keel_io_submit(ctx, &io), 0);
    cr_assert_eq(keel_io_wait(ctx, &io), 0);
}

Test(uring, a_thread_has_room_for_sixteen_rings_and_gets_it_back)
{
    enum { ROOM = 16 };
    struct keel_ctx *ctx[ROOM + 1];

    if (!fixture_has_uring("room for rings"))
        return;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i <= ROOM; i++) {
            cr_assert_eq(keel_ctx_open(NULL, &ctx[i]), 0);
            const char *why = keel_ctx_path(ctx[i])->why;
            if (!strstr(why, "kernel before 5.18"))
                cr_assert_eq(strstr(why, "a thread has room for 16") != NULL, i == ROOM, "%u: %s",
                             i, why);
            ctx_noop(ctx[i]);
        }
        for (unsigned i = 0; i <= ROOM; i++)
            keel_ctx_close(ctx[i]);
    }
}

static void *open_and_leave(void *arg)
{
    struct keel_ctx **ret = arg;

    cr_assert_eq(keel_ctx_open(NULL, ret), 0);
    ctx_noop(*ret);
    return NULL;
}

/* Closed by another thread, whose own ring is registered at the same place. */
Test(uring, what_a_thread_left_behind_takes_no_ring_of_who_closes_it)
{
    struct keel_ctx *own, *left;
    pthread_t thread;

    if (!fixture_has_uring("left behind"))
        return;
    cr_assert_eq(keel_ctx_open(NULL, &own), 0);
    cr_assert_eq(pthread_create(&thread, NULL, open_and_leave, &left), 0);
    pthread_join(thread, NULL);
    keel_ctx_close(left);
    ctx_noop(own);
    keel_ctx_close(own);
}

/* ------------------------------------------------------------- refused by a policy */

/* From now on io_uring_setup fails in this process as a container's seccomp profile lets it fail.
 */
static void deny_uring(int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

Test(uring, a_policy_that_denies_it_leads_to_sync_and_is_reported)
{
    struct fixture f;

    deny_uring(EPERM);
    fixture_open(&f, NULL);
    const struct keel_ctx_path *path = keel_ctx_path(f.ctx);
    cr_assert_str_eq(path->method, "sync");
    cr_assert_not_null(strstr(path->why, "no io_uring: Operation not permitted"), "%s", path->why);
    cr_assert_not_null(strstr(path->why, "io_uring_disabled"), "%s", path->why);

    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 3, 2, KEEL_IO_LINK_SYNC);
    memset(f.memory + 3 * BLOCK, 0x5a, 2 * BLOCK);
    cr_assert_eq(fixture_run(&f, &io), 0);
    memset(f.memory + 3 * BLOCK, 0, 2 * BLOCK);
    io = fixture_io(&f, KEEL_OP_READ, 3, 2, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);
    cr_assert_eq(f.memory[5 * BLOCK - 1], 0x5a);
    fixture_close(&f);
}

Test(uring, a_named_method_is_required)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_ctx *ctx;

    deny_uring(ENOSYS);
    options.method = KEEL_METHOD_URING;
    cr_assert_eq(keel_ctx_open(&options, &ctx), KEEL_EMETHOD);
    options.method = KEEL_METHOD_AUTO;
    options.fixed = KEEL_REQUIRED;
    cr_assert_eq(keel_ctx_open(&options, &ctx), KEEL_EMETHOD);
}

/* ------------------------------------------------------------- what it costs */

static const struct {
    const char *label;
    unsigned flags;
} lone_writes[] = {
    {"plain", 0},
    {"durable", KEEL_IO_DSYNC},
    {"linked", KEEL_IO_LINK_SYNC},
};

TABLE_TEST(uring, a_lone_blocking_write_is_one_enter, lone_writes)
{
    struct keel_ctx_stats before;
    struct keel_ctx_stats after;
    struct fixture f;

    if (!fixture_has_uring(row->label))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    keel_ctx_stats(f.ctx, &before);
    for (unsigned i = 0; i < 20; i++) {
        struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, i, 1, row->flags);
        cr_assert_eq(fixture_run(&f, &io), 0);
    }
    keel_ctx_stats(f.ctx, &after);

    /* A signal or a busy processor may let the kernel come back early: rare, and not free. */
    cr_assert_geq(after.enters - before.enters, 20);
    cr_assert_leq(after.enters - before.enters, 24, "%s", row->label);
    fixture_close(&f);
}

Test(uring, many_requests_are_one_enter)
{
    struct keel_ctx_stats before;
    struct keel_ctx_stats after;
    struct keel_io ios[32];
    struct fixture f;

    if (!fixture_has_uring("batch"))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    keel_ctx_stats(f.ctx, &before);
    for (unsigned i = 0; i < 32; i++) {
        ios[i] = fixture_io(&f, KEEL_OP_NOP, 0, 0, 0);
        cr_assert_eq(keel_io_submit(f.ctx, &ios[i]), 0);
    }
    cr_assert_eq(keel_io_wait(f.ctx, &ios[31]), 0);
    keel_ctx_stats(f.ctx, &after);
    cr_assert_eq(after.enters - before.enters, 1);
    fixture_close(&f);
}

/* ------------------------------------------------------------- files and buffers */

Test(uring, registers_files_and_buffers_and_forgets_them)
{
    struct fixture f;

    if (!fixture_has_uring("registered"))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    const struct keel_ctx_path *path = keel_ctx_path(f.ctx);
    cr_assert(!path->fixed_buffers, "not before they are used");
    struct keel_io io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);
    if (path->why[0] == '\0') {
        cr_assert(path->fixed_files);
        cr_assert(path->fixed_buffers);
        cr_assert_eq(path->registered_bytes, FILE_BLOCKS * BLOCK);
    }

    keel_arena_destroy(f.arena);
    cr_assert_eq(path->registered_bytes, 0);
    cr_assert_eq(keel_arena_create(FILE_BLOCKS * BLOCK, &f.arena), 0);
    f.memory = keel_arena_alloc(f.arena, FILE_BLOCKS * BLOCK);
    memset(f.memory, 0xff, BLOCK);
    io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
    cr_assert_eq(fixture_run(&f, &io), 0, "the number of the old arena now means the new one");
    cr_assert_eq(f.memory[0], 0);
    fixture_close(&f);
}

/* A registered buffer whose memory is taken away goes on writing the old pages. */
Test(uring, chunk_that_was_released_transfers_what_is_there_now)
{
    struct fixture f;

    if (!fixture_has_uring("released"))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    keel_arena_destroy(f.arena);
    cr_assert_eq(keel_arena_create(4u << 20, &f.arena), 0);
    f.memory = keel_arena_alloc(f.arena, 4u << 20);
    size_t chunk = keel_arena_chunk_bytes(f.arena), kept = KEEL_IO_BYTES_MAX;
    uint8_t *old = f.memory;

    f.memory += chunk + kept; /* in the second chunk, behind what stays */
    memset(f.memory, 'a', BLOCK);
    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 0, 1, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);
    uint64_t registered = keel_ctx_path(f.ctx)->registered_bytes;
    cr_assert_eq(keel_arena_release(f.arena, chunk, chunk), 0);
    if (registered > 0)
        cr_assert_eq(keel_ctx_path(f.ctx)->registered_bytes, 0);
    cr_assert_eq(f.memory[0], 0, "the memory was given back");
    memset(f.memory, 'b', BLOCK);
    io = fixture_io(&f, KEEL_OP_WRITE, 0, 1, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);

    memset(f.memory, 0, BLOCK);
    io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
    io.buf = old;
    cr_assert_eq(fixture_run(&f, &io), 0);
    cr_assert_eq(old[0], 'b');
    cr_assert_eq(old[BLOCK - 1], 'b');
    fixture_close(&f);
}

Test(uring, uses_plain_opcodes_when_told_to)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct fixture f;

    if (!fixture_has_uring("plain"))
        return;
    options.method = KEEL_METHOD_URING;
    options.fixed = KEEL_OFF;
    fixture_open(&f, &options);
    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 0, 1, KEEL_IO_DSYNC);
    cr_assert_eq(fixture_run(&f, &io), 0);
    cr_assert(!keel_ctx_path(f.ctx)->fixed_files);
    cr_assert(!keel_ctx_path(f.ctx)->fixed_buffers);
    fixture_close(&f);
}

/* Without the capability that lets root lock as much memory as it likes. */
static void limit_locked_memory(rlim_t bytes)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};

    cr_assert_eq(syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1u << CAP_IPC_LOCK);
    cr_assert_eq(syscall(SYS_capset, &header, data), 0);
    cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

Test(uring, memory_that_cannot_be_registered_is_used_all_the_same_and_reported)
{
    struct fixture f;

    if (!fixture_has_uring("memlock"))
        return;
    limit_locked_memory(192 * 1024); /* enough for a ring */
    fixture_open_method(&f, KEEL_METHOD_URING);
    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, 0, 1, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);

    const struct keel_ctx_path *path = keel_ctx_path(f.ctx);
    cr_assert(!path->fixed_buffers);
    cr_assert_eq(path->refused_bytes, FILE_BLOCKS * BLOCK);
    cr_assert_not_null(strstr(path->why, "ulimit -l"), "%s", path->why);
    fixture_close(&f);
}

Test(uring, polling_that_is_required_is_refused_where_the_disk_cannot)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device_options device = KEEL_DEVICE_OPTIONS_DEFAULT;
    struct keel_device *opened = NULL;
    struct fixture f;
    struct keel_ctx *ctx;

    if (!fixture_has_uring("iopoll"))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    bool polls = keel_device_info(f.device)->io_poll;
    keel_device_close(f.device);
    f.device = NULL;
    if (polls)
        fprintf(stderr, "iopoll: skipped: this disk can poll\n");

    options.method = KEEL_METHOD_URING;
    options.iopoll = KEEL_REQUIRED;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    int rc = keel_device_open(ctx, f.path, &device, NULL, &opened);
    if (!polls) {
        cr_assert_eq(rc, KEEL_EMETHOD);
        cr_assert_not_null(strstr(keel_ctx_path(ctx)->why, "poll"));
    }
    keel_device_close(opened);
    keel_ctx_close(ctx);
    fixture_close(&f);
}

/*
 * The polled ring, on a device that says it polls and does not: what the kernel refuses to poll
 * goes to the sync ring, what it takes is found by turning again and again.
 */
Test(uring, a_device_that_polls_only_in_name_is_served_by_the_sync_ring)
{
    struct keel_io ios[16];
    struct fixture f;

    if (!fixture_has_uring("polled"))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    f.device->info.io_poll = true;
    for (unsigned round = 0; round < 4; round++) {
        memset(f.memory, (int)round + 1, 16 * BLOCK);
        for (unsigned i = 0; i < 16; i++) {
            ios[i] = fixture_io(&f, KEEL_OP_WRITE, i, 1, i % 4 == 0 ? KEEL_IO_LINK_SYNC : 0);
            cr_assert_eq(keel_io_submit(f.ctx, &ios[i]), 0);
        }
        for (unsigned i = 0; i < 16; i++)
            cr_assert_eq(keel_io_wait(f.ctx, &ios[i]), 0);
        memset(f.memory, 0, 16 * BLOCK);
        struct keel_io io = fixture_io(&f, KEEL_OP_READ, 0, 16, 0);
        cr_assert_eq(fixture_run(&f, &io), 0);
        cr_assert_eq(f.memory[16 * BLOCK - 1], round + 1);
    }
    cr_assert(keel_ctx_path(f.ctx)->iopoll);
    cr_assert_geq(keel_ctx_fd(f.ctx), 0, "an event loop ends polling");
    cr_assert(!keel_ctx_path(f.ctx)->iopoll);
    fixture_close(&f);
}

/* ------------------------------------------------------------- a thread that submits */

static bool has_sqpoll(const char *label)
{
    bool has = fixture_has_uring(label) && uring_kernel_has(IORING_SETUP_SQPOLL);

    if (!has)
        fprintf(stderr, "%s: skipped: no ring with SQPOLL here\n", label);
    return has;
}

static void submit_nop(struct uring_ring *ring, uint64_t data, uint32_t wakes)
{
    struct io_uring_sqe *sqe = uring_ring_sqe(ring);

    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = data;
    cr_assert_eq(uring_ring_announce(ring), wakes);
    cr_assert_eq(ring->to_submit, 0, "nobody enters to submit");
}

/* Progress: the thread takes what was published, or was woken for it. */
static void expect_nop(struct uring_ring *ring, uint64_t data)
{
    while (uring_ring_completed(ring) == 0)
        sched_yield();
    cr_assert_eq(uring_ring_cqe(ring, 0)->user_data, data);
    cr_assert_eq(uring_ring_cqe(ring, 0)->res, 0);
    uring_ring_seen(ring, 1);
}

Test(uring, a_thread_that_fell_asleep_is_woken)
{
    const struct uring_shape shape = {.entries = 16, .completions = 32, .sqpoll = true};
    struct uring_ring ring;
    struct text text;
    char why[256];

    if (!has_sqpoll("sqpoll"))
        return;
    text_init(&text, why, sizeof(why));
    cr_assert_eq(uring_ring_open(&ring, &shape, uring_queue_init, &text), 0);
    cr_assert(ring.setup_flags & IORING_SETUP_SQPOLL);
    for (unsigned i = 0; i < 3; i++) {
        /* It sleeps when it had nothing to do for as long as it was told. */
        while (!(__atomic_load_n(ring.io.sq.kflags, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP))
            sched_yield();
        submit_nop(&ring, i, 1);
        expect_nop(&ring, i);
    }
    uring_ring_close(&ring);
}

/* As a process that may have no more threads, until allow_threads(). False: this user may. */
static bool forbid_threads(const struct fixture *f)
{
    struct rlimit limit = {.rlim_cur = 1, .rlim_max = 1};
    uid_t nobody = 65534;

    return chown(f->dir.path, nobody, nobody) == 0 && chown(f->path, nobody, nobody) == 0 &&
           setrlimit(RLIMIT_NPROC, &limit) == 0 && setresuid(nobody, nobody, 0) == 0;
}

/* The leak check at the end of a process needs one. */
static void allow_threads(void)
{
    uid_t real, effective, saved;

    cr_assert_eq(getresuid(&real, &effective, &saved), 0);
    cr_assert_eq(setresuid(saved, saved, saved), 0);
}

Test(uring, where_no_thread_is_to_be_had_it_goes_without_or_is_refused)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_device *device = NULL;
    struct keel_ctx *ctx;
    struct fixture f;

    if (!has_sqpoll("no threads"))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    keel_device_close(f.device);
    f.device = NULL;
    if (!forbid_threads(&f) || uring_kernel_has(IORING_SETUP_SQPOLL)) {
        fprintf(stderr, "no threads: skipped: they cannot be forbidden here\n");
        allow_threads();
        fixture_close(&f);
        return;
    }
    options.method = KEEL_METHOD_URING;
    options.sqpoll = KEEL_REQUIRED;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    cr_assert_eq(keel_device_open(ctx, f.path, NULL, NULL, &device), KEEL_EMETHOD);
    cr_assert_not_null(strstr(keel_ctx_path(ctx)->why, "SQPOLL"), "%s", keel_ctx_path(ctx)->why);
    keel_ctx_close(ctx);

    options.sqpoll = KEEL_PREFERRED;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    cr_assert_eq(keel_device_open(ctx, f.path, NULL, NULL, &device), 0);
    cr_assert(!keel_ctx_path(ctx)->sqpoll);
    cr_assert_not_null(strstr(keel_ctx_path(ctx)->why, "SQPOLL"), "%s", keel_ctx_path(ctx)->why);
    device->info.io_poll = true; /* in name only, which is enough to open a ring */
    struct keel_io io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
    io.device = device;
    cr_assert_eq(keel_io_submit(ctx, &io), 0);
    cr_assert_eq(keel_io_wait(ctx, &io), 0);
    keel_device_close(device);
    keel_ctx_close(ctx);
    allow_threads();
    fixture_close(&f);
}

static const struct {
    const char *label;
    bool polls; /* the device says that it does */
    enum keel_want iopoll;
} thread_rings[] = {
    {"by interrupts", false, KEEL_PREFERRED},
    {"polled in name", true, KEEL_PREFERRED},
    {"polling forbidden", true, KEEL_OFF},
};

/* What goes to the ring that a thread submits for, and what to the other, in one context. */
TABLE_TEST(uring, a_thread_submits_for_the_data_ring_alone, thread_rings)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct keel_io ios[16];
    struct fixture f;
    struct keel_ctx *ctx;

    if (!has_sqpoll(row->label))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    f.device->info.io_poll = row->polls;
    options.method = KEEL_METHOD_URING;
    options.sqpoll = KEEL_REQUIRED;
    options.iopoll = row->iopoll;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    for (unsigned i = 0; i < 16; i++) {
        bool sync = i % 5 == 4;
        unsigned flags = !sync && i % 4 == 0 ? KEEL_IO_LINK_SYNC : 0;
        ios[i] = fixture_io(&f, sync ? KEEL_OP_SYNC : KEEL_OP_WRITE, i, sync ? 0 : 1, flags);
        cr_assert_eq(keel_io_submit(ctx, &ios[i]), 0);
    }
    for (unsigned i = 0; i < 16; i++)
        cr_assert_eq(keel_io_wait(ctx, &ios[i]), 0);
    const struct keel_ctx_path *path = keel_ctx_path(ctx);
    cr_assert(path->sqpoll);
    cr_assert_eq(path->iopoll, row->polls && row->iopoll != KEEL_OFF);
    cr_assert_eq(path->restricted, keel_ctx_path(f.ctx)->restricted);
    cr_assert_eq(keel_ctx_fd(ctx), KEEL_ENOTSUP, "a loop sleeps on one ring");
    keel_ctx_close(ctx);
    fixture_close(&f);
}

Test(uring, an_event_loop_ends_submission_by_a_thread_that_was_preferred)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    struct fixture f;
    struct keel_ctx *ctx;

    if (!has_sqpoll("loop"))
        return;
    fixture_open_method(&f, KEEL_METHOD_URING);
    options.method = KEEL_METHOD_URING;
    options.sqpoll = KEEL_PREFERRED;
    cr_assert_eq(keel_ctx_open(&options, &ctx), 0);
    struct keel_io io = fixture_io(&f, KEEL_OP_READ, 0, 1, 0);
    cr_assert_eq(keel_io_submit(ctx, &io), 0);
    cr_assert_eq(keel_io_wait(ctx, &io), 0);
    cr_assert(keel_ctx_path(ctx)->sqpoll);
    cr_assert_geq(keel_ctx_fd(ctx), 0);
    cr_assert(!keel_ctx_path(ctx)->sqpoll);
    uint64_t before = 0;
    struct keel_ctx_stats stats;
    keel_ctx_stats(ctx, &stats);
    before = stats.enters;
    cr_assert_eq(keel_io_submit(ctx, &io), 0);
    cr_assert_eq(keel_io_wait(ctx, &io), 0);
    keel_ctx_stats(ctx, &stats);
    cr_assert_eq(stats.enters, before + 1, "the sync ring submits and waits in one");
    keel_ctx_close(ctx);
    fixture_close(&f);
}

/* ------------------------------------------------------------- failing and short writes */

/* Writes beyond `bytes` of any file are cut short or fail with EFBIG. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static const struct {
    const char *label;
    enum keel_method method;
    unsigned flags;
    unsigned first; /* block at which it begins; the limit lies at block 8 */
} big_writes[] = {
    {"uring, across", KEEL_METHOD_URING, 0, 4},
    {"uring, beyond", KEEL_METHOD_URING, 0, 8},
    {"uring, durable across", KEEL_METHOD_URING, KEEL_IO_DSYNC, 4},
    {"uring, linked across", KEEL_METHOD_URING, KEEL_IO_LINK_SYNC, 4},
    {"uring, linked beyond", KEEL_METHOD_URING, KEEL_IO_LINK_SYNC, 8},
    {"sync, across", KEEL_METHOD_SYNC, 0, 4},
    {"sync, linked across", KEEL_METHOD_SYNC, KEEL_IO_LINK_SYNC, 4},
    {"sync, linked beyond", KEEL_METHOD_SYNC, KEEL_IO_LINK_SYNC, 8},
};

TABLE_TEST(uring, a_write_that_cannot_go_on_reports_the_writes_error, big_writes)
{
    struct fixture f;

    if (row->method == KEEL_METHOD_URING && !fixture_has_uring(row->label))
        return;
    fixture_open_method(&f, row->method);
    limit_file_size(8 * BLOCK);
    memset(f.memory, 0x77, FILE_BLOCKS * BLOCK);
    struct keel_io io = fixture_io(&f, KEEL_OP_WRITE, row->first, 8, row->flags);
    cr_assert_eq(fixture_run(&f, &io), -EFBIG, "%s: %d", row->label, io.res);

    limit_file_size(RLIM_INFINITY);
    memset(f.memory, 0, FILE_BLOCKS * BLOCK);
    io = fixture_io(&f, KEEL_OP_READ, 0, 16, 0);
    cr_assert_eq(fixture_run(&f, &io), 0);
    cr_assert_eq(f.memory[7 * BLOCK], row->first < 8 ? 0x77 : 0, "%s", row->label);
    cr_assert_eq(f.memory[8 * BLOCK], 0, "%s", row->label);

    io = fixture_io(&f, KEEL_OP_WRITE, row->first, 8, row->flags);
    cr_assert_eq(fixture_run(&f, &io), 0, "and nothing is broken");
    fixture_close(&f);
}

static const struct {
    const char *label;
    enum keel_method method;
} methods[] = {{"uring", KEEL_METHOD_URING}, {"sync", KEEL_METHOD_SYNC}};

TABLE_TEST(uring, a_file_that_was_cut_short_under_us_is_a_range_error, methods)
{
    struct fixture f;

    if (row->method == KEEL_METHOD_URING && !fixture_has_uring(row->label))
        return;
    fixture_open_method(&f, row->method);
    cr_assert_eq(truncate(f.path, 10 * BLOCK + 100), 0);
    struct keel_io io = fixture_io(&f, KEEL_OP_READ, 8, 4, 0);
    cr_assert_eq(fixture_run(&f, &io), KEEL_ERANGE, "%d", io.res);
    fixture_close(&f);
}
