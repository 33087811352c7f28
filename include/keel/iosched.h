/*
 * keel/iosched.h: devices, contexts and requests.
 *
 * A *device* is a file or block device, opened once and exclusively, with its geometry. A *context*
 * (`keel_ctx`) owns the rings through which requests reach devices; a host has one per thread. A
 * *request* (`keel_io`) is one transfer or sync, in memory of the caller; keel allocates nothing
 * for it.
 *
 * Happy path:
 *   - keel_ctx_open, keel_device_open, buffers out of a keel_arena
 *   - fill a keel_io, keel_io_submit; keel_ctx_poll runs its callback (or keel_io_wait)
 *   - keel_device_close, keel_ctx_close (drains)
 *
 * Who drives (invariant I6): whoever waits for a request drives the ring it is in flight on, in
 * whatever thread. So a thread that submits and then never calls keel again stops nobody.
 *
 * All functions return 0 (or a count) or a negative code of keel/error.h. Sizes are in bytes.
 */
#ifndef KEEL_IOSCHED_H
#define KEEL_IOSCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <keel/error.h>
#include <keel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct keel_arena;
struct keel_ctx;
struct keel_device;
struct keel_io;
struct keel_sim;
struct io_uring_sqe;

/* Direct transfers are in multiples of this everywhere in keel, whatever the device would allow. */
#define KEEL_BLOCK_BYTES 4096u
/* Largest single request that keel hands to the kernel as one; longer ones are refused
 * (KEEL_ERANGE). 1 MiB and more would be handed to a kernel worker thread instead of the device
 * queue. */
#define KEEL_IO_BYTES_MAX (512u * 1024u)

/* How requests reach a device. */
enum keel_method {
    KEEL_METHOD_AUTO =
        0,             /* uring, or sync where io_uring is not to be had (reported, never silent) */
    KEEL_METHOD_URING, /* io_uring; required: KEEL_EMETHOD when it cannot be had */
    KEEL_METHOD_SYNC,  /* preadv2/pwritev2/fdatasync in the thread that drives */
    KEEL_METHOD_NVME,  /* NVMe commands through io_uring, on /dev/ngXnY alone; required. Up to Linux
                        * 6.5 interrupts only: iopoll = REQUIRED is refused there */
    KEEL_METHOD_SIM,   /* deterministic devices of a keel_sim (keel/sim.h) */
};

/* How much a feature is wanted. PREFERRED: use it where it can be had and report why not. */
enum keel_want {
    KEEL_PREFERRED = 0,
    KEEL_REQUIRED, /* refuse to open without it */
    KEEL_OFF,      /* do not use it */
};

/* Request classes, most urgent first. */
enum keel_class {
    KEEL_CLASS_WAL = 0,
    KEEL_CLASS_READ,
    KEEL_CLASS_PREFETCH,
    KEEL_CLASS_WRITEBACK,
    KEEL_CLASS_SCRUB,
    KEEL_CLASS_HOST,
    KEEL_CLASS_COUNT,
};

/* ---------------------------------------------------------------- contexts */

/* Who runs a context's callbacks. */
enum keel_ctx_kind {
    /* Bound to the thread that opened it: keel_ctx_poll is called there and nowhere else; it is
     * drained when that thread exits. */
    KEEL_CTX_THREAD = 0,
    /* Bound to no thread: callbacks run in whoever drives it (they must be KEEL_IO_ANY_THREAD). */
    KEEL_CTX_SHARED,
};

struct keel_ctx_options {
    uint32_t size;           /* sizeof(struct keel_ctx_options) */
    enum keel_method method; /* KEEL_METHOD_AUTO */
    enum keel_ctx_kind kind; /* KEEL_CTX_THREAD */
    enum keel_want fixed;    /* registered buffers and files; KEEL_PREFERRED */
    enum keel_want iopoll;   /* polled data ring; KEEL_PREFERRED */
    bool hybrid;             /* the polled ring sleeps for half of what a request takes before it
                              * polls (Linux 6.13): less processor time, a little later. Where the
                              * kernel has it not: refused with iopoll = REQUIRED, else said */
    enum keel_want sqpoll;   /* a thread of the kernel takes what is submitted to the data ring, and
                              * polls for it on a polled one: no system call per turn, and a
                              * processor less while there is work and 10 ms beyond; KEEL_OFF (0 is
                              * KEEL_PREFERRED: use KEEL_CTX_OPTIONS_DEFAULT). Not with keel_ctx_fd */
    uint32_t depth;          /* most requests in flight, 8 to 4096; 0 = 256 */
    uint32_t queue_max;      /* most requests queued behind them; 0 = 16384 */
    struct keel_sim *sim;    /* KEEL_METHOD_SIM only: borrowed until keel_ctx_close */
    /* The kernel refuses (-EACCES) on this context's rings every operation, flag and registration
     * that keel does not use; KEEL_PREFERRED. OFF: keel_ctx_raw may submit anything. Fulfilled by a
     * method without rings. */
    enum keel_want restricted;
    /* IORING_OP_* that keel_ctx_raw may submit all the same; borrowed for the call. None, and not
     * OFF: no keel_ctx_raw. */
    const uint8_t *raw_ops;
    uint32_t raw_ops_count; /* at most KEEL_RAW_OPS_MAX */
};
#define KEEL_RAW_OPS_MAX 32u
#define KEEL_CTX_OPTIONS_DEFAULT                                    \
    {                                                               \
        .size = sizeof(struct keel_ctx_options), .sqpoll = KEEL_OFF \
    }

/*
 * Open a context. options: borrowed for the call; NULL = defaults. *ret: the caller owns it.
 * Returns KEEL_EOPTION, KEEL_EMETHOD (a named method or REQUIRED feature cannot be had), -ENOMEM.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_ctx_open(const struct keel_ctx_options *options,
                                              struct keel_ctx **ret);

/* Drain (wait for every request in flight; queued ones are submitted and waited for too), then
 * free. Callbacks of the drained requests run before it returns. Owner thread. NULL: nothing. */
KEEL_PUBLIC void keel_ctx_close(struct keel_ctx *ctx);

/*
 * The event loop's turn: dispatch what is queued, at most one enter, reap, run up to callbacks_max
 * host callbacks (0 = no limit), run pollers. With timeout_ns != 0 and nothing done, waits for
 * something to do (-1: as long as it takes; returns 0 at once if nothing is in flight or queued and
 * no poller waits). Returns the number of callbacks run, or a negative code. Owner thread only; a
 * call from inside a callback is KEEL_EBUSY. 0 before the time is up means that something else was
 * done, or that keel_ctx_wake was called; signals do not end it.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_ctx_poll(struct keel_ctx *ctx, unsigned callbacks_max,
                                              int64_t timeout_ns);

/*
 * A file descriptor for epoll, libuv and the like: readable when keel_ctx_poll has something to
 * do. Owned by the context. Opened at the first call; from then on work that is submitted outside
 * keel_ctx_poll makes it readable too, so an event loop cannot sleep with work staged. The kernel
 * completes requests in the thread that submitted them, which can end its epoll_wait early with
 * EINTR: call it again. KEEL_ENOTSUP: iopoll or sqpoll is REQUIRED (it ends both: a polled ring
 * makes nothing readable, and a loop sleeps on one ring), the method is sim, or the context is
 * shared; KEEL_EBUSY: polled requests are in flight.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_ctx_fd(struct keel_ctx *ctx);

/* What a context runs on, and why not on something better. Lent until keel_ctx_close. */
struct keel_ctx_path {
    const char *method; /* "uring", "nvme", "sync", "sim" */
    bool iopoll;        /* data ring is polled */
    bool hybrid;        /* and sleeps before it polls */
    bool sqpoll;        /* there is a data ring, and a thread of the kernel submits for it */
    bool fixed_buffers; /* at least one arena chunk is registered */
    bool fixed_files;
    bool restricted;      /* every ring takes only what keel uses, and raw_ops */
    uint32_t setup_flags; /* IORING_SETUP_* in force, 0 outside uring */
    uint32_t depth;
    uint64_t registered_bytes;
    uint64_t refused_bytes; /* of arenas in use here that could not be registered */
    char why[384];          /* what was refused, why, and the remedy; "" when nothing was */
};
KEEL_PUBLIC const struct keel_ctx_path *keel_ctx_path(struct keel_ctx *ctx);

/* Counters of one context since it was opened; enters are io_uring_enter calls (uring) or read,
 * write and sync calls (sync). */
struct keel_ctx_stats {
    uint64_t number; /* of the context in its process, from 1; not used again */
    uint64_t enters, submitted, completed, reads, writes, syncs, bytes_read, bytes_written;
};
KEEL_PUBLIC void keel_ctx_stats(struct keel_ctx *ctx, struct keel_ctx_stats *ret);
/* Call each for every context of the process, oldest first. Any thread; each must not open or close
 * one, nor block. */
KEEL_PUBLIC void keel_ctx_each(void (*each)(void *arg, struct keel_ctx *ctx), void *arg);

/* ---------------------------------------------------------------- driving */

/*
 * Drive a context until done(arg) is true: dispatch, enter, reap, run KEEL_IO_ANY_THREAD callbacks;
 * or, when another thread is driving it already, sleep until that one has finished something.
 * Blocks. Any thread may drive any context. done is called often, in this thread, with no lock
 * held; it may submit work but must not block. Not from inside a callback (traps). Progress: the
 * driver reaps until its own condition holds and on leaving wakes exactly one sleeper, which takes
 * over. When nothing is in flight or queued on ctx and done() stays false, returns KEEL_EBUSY:
 * nothing that ctx could do will make it true. Else 0.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_ctx_drive(struct keel_ctx *ctx, bool (*done)(void *arg),
                                               void *arg);

/* Dispatch what is queued and reap what is there, without waiting. Any thread. Returns how many
 * requests completed. When another thread is driving, only dispatches. */
KEEL_PUBLIC int keel_ctx_kick(struct keel_ctx *ctx);

/* Does this thread run a callback of keel's, where it may submit but not drive? */
KEEL_PUBLIC bool keel_in_callback(void);

/*
 * A poller is how a layer above gives a context more to do in each keel_ctx_poll (the log's
 * asynchronous commits). poll: run up to `max` callbacks (0 = no limit), return how many; owner
 * thread. waiting: true while it expects something that `drive` (another context) will bring;
 * keel_ctx_poll then also drives that one and keel_ctx_fd also becomes readable when it has
 * completions.
 */
struct keel_poller {
    int (*poll)(struct keel_poller *poller, unsigned max);
    bool (*waiting)(struct keel_poller *poller);
    /* The context closes: called in its owner's thread after the poller was taken off, to run or
     * fail what still waits. May be NULL if the poller is always removed before. */
    void (*closed)(struct keel_poller *poller);
    struct keel_ctx *drive; /* constant while added */
    struct keel_poller *next_private;
};
/* poller: borrowed until removed. Owner thread of ctx. */
KEEL_PUBLIC void keel_ctx_poller_add(struct keel_ctx *ctx, struct keel_poller *poller);
KEEL_PUBLIC void keel_ctx_poller_remove(struct keel_ctx *ctx, struct keel_poller *poller);
/* Wake the owner out of keel_ctx_poll (or make its fd readable); on a SHARED context, let everyone
 * who sleeps in keel_ctx_drive look at its condition again. Any thread, also from a signal handler.
 */
KEEL_PUBLIC void keel_ctx_wake(struct keel_ctx *ctx);

/* ---------------------------------------------------------------- devices */

struct keel_device_options {
    uint32_t size;
    enum keel_want direct; /* O_DIRECT. PREFERRED is taken as REQUIRED, since nothing is downgraded
                            * in silence; OFF: through the kernel's page cache, on purpose */
    bool read_only;        /* shared lock instead of an exclusive one */
    bool shared;           /* an NVMe namespace that other controllers may reach is opened too: who
                            * says so sees to it that nobody else writes there */
    uint64_t create_bytes; /* > 0: create the file (KEEL_EINUSE/-EEXIST if there), preallocate and
                            * write zeroes, sync file and folder; multiple of KEEL_BLOCK_BYTES */
};
#define KEEL_DEVICE_OPTIONS_DEFAULT                \
    {                                              \
        .size = sizeof(struct keel_device_options) \
    }

struct keel_device_info {
    uint64_t size_bytes;
    uint32_t memory_align, offset_align; /* statx DIOALIGN, or logical block size */
    uint32_t logical_block, physical_block;
    uint32_t max_transfer;
    /* What KEEL_IO_ATOMIC takes: lengths that the kernel writes whole or not at all, also through a
     * power cut; 0: none. What a file system makes so by writing elsewhere first does not count. */
    uint32_t atomic_write_min, atomic_write_max;
    bool is_block, volatile_cache, fua, io_poll, rotational, direct; /* volatile_cache: the kernel's
                                                                      * word, or VWC of Identify */
    uint32_t dev_major, dev_minor; /* of the disk below, for /sys/dev/block */

    /* How the disk below wants to be written, in bytes; 0: it does not say, or nobody could ask. A
     * block device on NVMe and a namespace are asked (Identify); else it is what the kernel says.
     */
    int32_t identify;            /* 0: asked; KEEL_ENOTSUP: no such device; else why not (-errno) */
    uint32_t write_granularity;  /* NPWG: writes of multiples of it cost no read and rewrite inside;
                                  * kernel: minimum_io_size */
    uint32_t write_align;        /* NPWA: and should begin at multiples of it; kernel: unknown */
    uint32_t write_optimal;      /* NOWS: best size of a write; kernel: optimal_io_size */
    uint32_t atomic_write;       /* (N)AWUN: a write up to it never mixes with another; unknown */
    uint32_t atomic_write_power; /* (N)AWUPF: and is whole or not there after a loss of power;
                                  * kernel: atomic_write_unit_max_bytes (6.11) */
    uint64_t mdts;               /* MDTS: longest transfer of one command; 0 with identify 0: no
                                  * limit; kernel: max_transfer has it in it */
    char path[256];
};

/*
 * Open (or with create_bytes create) a device exclusively: OFD lock on files, O_EXCL on block
 * devices, waited for up to two seconds (a killed process holds its files until the kernel has
 * taken its rings down). Created files have mode 0600. On failure nothing is left behind. *ret: the
 * caller owns it. info (may be NULL): says more about a failure. Blocks. Errors: KEEL_EACCESS,
 * KEEL_ENOTFOUND, KEEL_EINUSE (also: mounted), KEEL_EDIRECT, KEEL_ENOSPACE, KEEL_EALIGN, -errno;
 * for writing also KEEL_EPARTITIONED, and KEEL_EGEOMETRY for a zoned disk. A context of the nvme
 * method opens /dev/ngXnY and nothing else (KEEL_ENOTSUP), and holds its block device;
 * KEEL_ESHARED, KEEL_EGEOMETRY (metadata in each block), KEEL_EACCESS (Identify or commands are not
 * allowed).
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_device_open(struct keel_ctx *ctx, const char *path,
                                                 const struct keel_device_options *options,
                                                 struct keel_err_info *info,
                                                 struct keel_device **ret);
KEEL_PUBLIC void keel_device_close(struct keel_device *device);
KEEL_PUBLIC const struct keel_device_info *keel_device_info(const struct keel_device *device);
/* Grow a file, or a part within its room, to size_bytes: zeroes are written and synced before it
 * returns 0; on failure the device has its old size again. Blocks; may run beside other I/O.
 * KEEL_ENOSPACE (also: more than a part's room), KEEL_ENOTSUP (a whole block device), -errno. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_device_grow(struct keel_ctx *ctx, struct keel_device *device,
                                                 uint64_t size_bytes);

/* Where a part lies in its device; multiples of KEEL_BLOCK_BYTES. */
struct keel_device_range {
    uint64_t offset_bytes, room_bytes; /* it never reaches beyond these */
    uint64_t size_bytes;               /* of which so much is in use now */
};
/*
 * A part of an open device, used like a device of its own: block 0 is where it begins, transfers
 * stay inside its size, a sync is the whole device's. It shares descriptor, lock and place in the
 * rings' tables. Parts may overlap; who makes them says what that means. *ret: the caller owns it,
 * and closes it before the whole. Does not block. KEEL_EALIGN, KEEL_ERANGE (not inside the device,
 * or size above room), -ENOMEM.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_device_part(struct keel_device *whole,
                                                 const struct keel_device_range *range,
                                                 struct keel_device **ret);

/* What a name stands for. */
enum keel_path_kind {
    KEEL_PATH_NONE = 0,
    KEEL_PATH_FOLDER,
    KEEL_PATH_DEVICE, /* a file, a block device or an NVMe namespace: for keel_device_open */
    KEEL_PATH_OTHER,
};

/* Names. They block, and work on the simulated folder under KEEL_METHOD_SIM. rename replaces
 * an existing target; both are durable only after keel_path_sync(folder). */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_path_exists(struct keel_ctx *ctx,
                                                 const char *path); /* enum keel_path_kind, <0 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_path_mkdir(struct keel_ctx *ctx,
                                                const char *path); /* 0 if there */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_path_rename(struct keel_ctx *ctx, const char *from,
                                                 const char *to);
/* A file, or a folder with nothing in it (else -ENOTEMPTY). */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_path_unlink(struct keel_ctx *ctx, const char *path);
KEEL_PUBLIC KEEL_MUST_CHECK int keel_path_sync(struct keel_ctx *ctx, const char *folder);
/* Calls each(arg, name) for each entry except . and .. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_path_list(struct keel_ctx *ctx, const char *folder,
                                               void (*each)(void *arg, const char *name),
                                               void *arg);

/* ---------------------------------------------------------------- buffers */

/*
 * An arena is one mapping from which all buffers of a store come, 4 KiB aligned, huge pages where
 * they are to be had. Each ring registers an arena chunk when it first transfers from it (first
 * chunks first, so what is allocated first is registered first when RLIMIT_MEMLOCK is short); a
 * chunk that could not be registered is used with plain opcodes, and keel_ctx_path says so.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_arena_create(size_t bytes, struct keel_arena **ret);
/* Only after every context that used it is closed or drained, and no request refers to it. */
KEEL_PUBLIC void keel_arena_destroy(struct keel_arena *arena);
/* Cut bytes (rounded up to KEEL_BLOCK_BYTES, zeroed) from the arena; never given back. NULL when it
 * is spent. One thread at a time. */
KEEL_PUBLIC void *keel_arena_alloc(struct keel_arena *arena, size_t bytes);
/* Bytes that were cut from it so far, and of one of its chunks, which lie from its beginning on. */
KEEL_PUBLIC size_t keel_arena_used(const struct keel_arena *arena);
KEEL_PUBLIC size_t keel_arena_chunk_bytes(const struct keel_arena *arena);
/*
 * Give the memory of whole chunks back to the system: each ring forgets them first, since a
 * registered buffer that lost its memory would go on writing the old pages. The addresses stay the
 * arena's and may be used again. offset, bytes: multiples of keel_arena_chunk_bytes, but that the
 * end may be keel_arena_used. The first KEEL_IO_BYTES_MAX bytes stay, unless offset is 0: they are
 * registered with the chunk before too. No request refers to the rest. Any thread. 0 or -errno.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_arena_release(struct keel_arena *arena, size_t offset,
                                                   size_t bytes);

/* ---------------------------------------------------------------- requests */

enum keel_op {
    KEEL_OP_READ = 1,
    KEEL_OP_WRITE,
    KEEL_OP_SYNC, /* fdatasync: covers every write that had completed before it was submitted */
    KEEL_OP_NOP,  /* nothing, with or without a device: measures the way there and back */
    /*
     * Ranges: no buf, len_bytes up to KEEL_RANGE_BYTES_MAX. -EOPNOTSUPP where device or file system
     * has none; not durable before a SYNC. A range that failed is in part what it was.
     */
    KEEL_OP_WRITE_ZEROES, /* reads as zeroes afterwards; block devices do it without a transfer
                           * where they can, files may have to allocate again at the next write */
    KEEL_OP_DEALLOCATE,   /* what it holds is no longer needed. A file reads as zeroes afterwards, a
                           * device as it likes, until it is written */
};
#define KEEL_RANGE_BYTES_MAX (1024u * 1024u * 1024u)

enum {
    /* WRITE: durable when complete (RWF_DSYNC: FUA where the device has it, else write and flush).
     */
    KEEL_IO_DSYNC = 1u << 0,
    /* WRITE: followed by a linked fdatasync; complete when both are. Only from a call that stays
     * inside keel until it is complete: a thread that exits cancels what it linked. */
    KEEL_IO_LINK_SYNC = 1u << 1,
    /* The callback is part of a layer that knows how: it runs in whichever thread reaps, must not
     * block and must not drive; it may submit. Without it the callback runs in the owner's
     * keel_ctx_poll. */
    KEEL_IO_ANY_THREAD = 1u << 2,
    /* The submitter drives until it is complete, and whoever drives may carry it out with a
     * blocking system call of its own instead of through a ring: for a lone durable write, which
     * some devices finish sooner that way. Where there is no such call (sim, nvme) it means
     * nothing. */
    KEEL_IO_INLINE = 1u << 3,
    /* WRITE: after a power cut all of it is there or nothing (RWF_ATOMIC); says nothing of when it
     * is durable. The length is a power of two within what the device writes so
     * (keel_device_info), and the offset a multiple of it: else KEEL_ENOTSUP. Goes alone, and not
     * from a registered buffer, since the kernel allows neither. */
    KEEL_IO_ATOMIC = 1u << 4,
};

/* Life of a request; docs/design/io-request.md has the table. */
enum keel_io_state {
    KEEL_IO_IDLE = 0,  /* the caller's */
    KEEL_IO_QUEUED,    /* the scheduler's; can be cancelled */
    KEEL_IO_SUBMITTED, /* the device's: nobody touches buffer or fields */
    KEEL_IO_DONE,      /* result known; the owner's keel_ctx_poll will run the callback */
};

/*
 * One request. Zero it once, fill the first block, submit; it may be used again when its callback
 * runs (or keel_io_wait has returned). The whole length is transferred or res is negative:
 * short transfers are continued inside.
 */
struct keel_io {
    /* filled in by the caller; untouched by it from submit to completion */
    struct keel_device *device;
    struct keel_arena *arena; /* the arena buf lies in, or NULL */
    void *buf;                /* borrowed until complete; KEEL_BLOCK_BYTES aligned */
    uint64_t offset_bytes;    /* multiple of KEEL_BLOCK_BYTES */
    uint32_t len_bytes;       /* multiple of KEEL_BLOCK_BYTES, 1 to KEEL_IO_BYTES_MAX; 0 for SYNC;
                               * ranges have a limit of their own */
    uint8_t op;               /* enum keel_op */
    uint8_t cls;              /* enum keel_class */
    uint16_t flags;           /* KEEL_IO_* */
    void (*done)(struct keel_io *io); /* may be NULL with keel_io_wait */
    void *user;

    /* valid in the callback and after keel_io_wait */
    int32_t res;     /* 0: all of it; negative: errno as the kernel gave it, -ECANCELED, KEEL_E* */
    uint16_t status; /* NVMe status (type and code, and bit 14: do not retry) behind a res of the
                      * nvme method; else 0 */

    /* keel's own */
    struct {
        struct keel_io *next, *prev;
        struct keel_ctx *ctx;
        uint32_t state; /* atomic: generation << 8 | enum keel_io_state */
        uint32_t slot;
        uint64_t stamp_ns; /* queued, then submitted */
        /* zero at the beginning of each use, */
        struct keel_io *chain; /* next that rides on the same command */
        uint32_t done_bytes;
        uint32_t step_bytes; /* of this submission, with what rides on it */
        uint32_t cost_ns;    /* charged for this submission; 0: the scheduler was off */
        uint8_t phase, retries;
        uint8_t alone;     /* not to be merged */
        uint8_t iov_count; /* pieces of memory of a chain that does not touch; else 0 */
        /* to here */
        uint8_t parts_left; /* bit per part that did not come yet */
        uint8_t lane, cls;  /* the queue it is on */
        int32_t part_res[2];
        uint32_t sum; /* debug builds: of what a write carries */
    } private_;
};

/*
 * Queue a request on a context; never blocks, never fails but with KEEL_EFULL (queue_max reached:
 * poll, then try again), KEEL_EALIGN, KEEL_ERANGE, KEEL_ECLOSED (the context is closing). Owner
 * thread, or anyone on a KEEL_CTX_SHARED context. It goes to the device at the next poll, kick,
 * drive or wait, one enter for all.
 */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_io_submit(struct keel_ctx *ctx, struct keel_io *io);
/* Drive until io is complete and return its res; its callback, if any and not ANY_THREAD, has been
 * run by this call. For requests that the caller itself submitted on a context it owns (or a shared
 * one). */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_io_wait(struct keel_ctx *ctx, struct keel_io *io);

/* A request at one use of it: stays valid as a question after the request was used again. */
struct keel_ioref {
    struct keel_io *io; /* memory must stay mapped */
    uint32_t gen;
};
KEEL_PUBLIC struct keel_ioref keel_io_ref(const struct keel_io *io);
KEEL_PUBLIC bool keel_ioref_done(struct keel_ioref ref);
/* Drive the context that ref is in flight on, whoever's it is, until ref is done (I6). ANY_THREAD
 * requests only (others: their state moves, their callback stays with the owner). */
KEEL_PUBLIC void keel_ioref_wait(struct keel_ioref ref);
/* The same without waiting, for those who come back later: keel_ctx_kick of the context that ref is
 * in flight on, unless that is ctx (which its owner polls anyway). */
KEEL_PUBLIC void keel_ioref_kick(struct keel_ctx *ctx, struct keel_ioref ref);

/* Somebody waits for it now: lift it to class cls if it is still queued in a less urgent one. Any
 * thread; KEEL_IO_ANY_THREAD requests only. Never blocks. */
KEEL_PUBLIC void keel_ioref_promote(struct keel_ioref ref, enum keel_class cls);

/* Take a request that is still queued back: 0 and it completes with -ECANCELED through its
 * callback; KEEL_EBUSY: it is at the device already and will complete by itself. Same threads as
 * submit. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_io_cancel(struct keel_ctx *ctx, struct keel_io *io);

/*
 * Any SQE of the host's own on keel's loop (uring only; KEEL_ENOTSUP elsewhere, and on a context
 * that was opened without raw_ops and without restricted = KEEL_OFF). prep fills the SQE except
 * user_data, in this call; done runs in the owner's keel_ctx_poll for each CQE, with `more` true
 * while the operation is a multishot one that will post again. raw: borrowed until done with
 * more == false. An operation that is not in raw_ops ends with -EACCES where keel_ctx_path says
 * restricted. Not with links, drain or CQE_SKIP_SUCCESS (traps).
 */
struct keel_raw {
    void (*prep)(struct keel_raw *raw, struct io_uring_sqe *sqe);
    void (*done)(struct keel_raw *raw, int32_t res, uint32_t cqe_flags, bool more);
    void *user;
    uint64_t private_[4];
};
KEEL_PUBLIC KEEL_MUST_CHECK int keel_ctx_raw(struct keel_ctx *ctx, struct keel_raw *raw);

/* ---------------------------------------------------------------- four-copy cell */

/*
 * A small record kept in four copies in four blocks of a device (superblocks). A step writes and
 * syncs the copies one after another and counts when three are durable; open takes the newest valid
 * copy (at least two must be valid), and writes it over those that are not it before anything else
 * is done. What it found good it does not write again: after a sync that failed it may be in the
 * device's cache alone, so who acts on it without a step of its own takes one first. Copy layout:
 * {u64 magic, u32 crc32c (over the whole block with this field zero), u32 version, u64 generation,
 * u32 copy index, u32 payload length, payload}, docs/format/quad.md.
 */
#define KEEL_QUAD_PAYLOAD_MAX 3968u
struct keel_quad {
    struct keel_device *device;
    uint64_t offsets[4]; /* of the copies, in bytes */
    uint64_t magic;
    uint32_t version; /* newest one this build can read */
    /* under the caller's lock */
    uint64_t generation;
    struct keel_arena *arena; /* may be NULL */
    void *block;              /* one KEEL_BLOCK_BYTES buffer, the caller's */
    uint64_t steps_written;
    uint32_t copies_good; /* that the last open found to be the newest and whole: a bit for each */
};
/* First step on a fresh device: generation 1. Blocks. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_quad_create(struct keel_ctx *ctx, struct keel_quad *quad,
                                                 const void *payload, uint32_t len);
/* Read, choose, repair the others. ret: payload, *len: its length (in: room). Errors: KEEL_EFORMAT
 * (no copy has the magic), KEEL_EVERSION, KEEL_ESUPER (fewer than two valid), KEEL_EREAD. Blocks.
 * repair false: read only. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_quad_open(struct keel_ctx *ctx, struct keel_quad *quad,
                                               bool repair, void *ret, uint32_t *len);
/* One step; 0 when at least three copies are durable. Any error means unknown: poison. Blocks. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_quad_step(struct keel_ctx *ctx, struct keel_quad *quad,
                                               const void *payload, uint32_t len);

#ifdef __cplusplus
}
#endif
#endif
