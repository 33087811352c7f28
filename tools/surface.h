/*
 * The interface of io_uring as data, for the program: the rows of tools/surface/operations.def and
 * flags.def. The same files are docs/operations.json, so that `keel probe` cannot say other than
 * it.
 *
 * What it is not: what the running kernel has (probe_kernel.h).
 */
#ifndef KEEL_TOOLS_SURFACE_H
#define KEEL_TOOLS_SURFACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
/* kind of a row in flags.def, and what it is about */
#define SURFACE_KINDS(X) \
X(SETUP,         "flags of io_uring_setup") \
X(ENTER,         "flags of io_uring_enter") \
X(FEAT,          "features that io_uring_setup reports") \
X(SQE,           "flags of an entry") \
X(CQE,           "flags of a completion") \
X(SQ_RING,       "flags of the submission queue") \
X(CQ_RING,       "flags of the completion queue") \
X(REGISTER,      "operations of io_uring_register") \
X(OP,            "flags of single operations") \
X(REGISTER_FLAG, "flags of single register operations") \
X(RESTRICTION,   "kinds of restriction") \
X(COMMAND,       "driver commands of URING_CMD") \
X(RWF,           "rw_flags of reads and writes") \
X(STATX,         "masks of statx that direct I/O needs") \
X(QUERY,         "queries of REGISTER_QUERY") \
X(PROBE,         "flags of REGISTER_PROBE") \
X(CONSTANT,      "shifts, masks and results") \
X(MMAP_OFFSET,   "where a ring's parts are mapped") \
X(NAPI,          "network busy polling") \
X(BPF_FILTER,    "filters of operations") \
X(MOCK_FILE,     "the kernel's own test device") \
X(ZCRX,          "zero-copy receive")
/* clang-format on */

enum surface_kind {
#define SURFACE_KIND(name, text) SURFACE_##name,
    SURFACE_KINDS(SURFACE_KIND)
#undef SURFACE_KIND
};

enum surface_priority { SURFACE_CORE, SURFACE_USEFUL, SURFACE_HOST, SURFACE_AVOID };

struct surface_op {
    const char *name; /* IORING_OP_..., as in the kernel's header */
    uint32_t value;
    const char *kernel; /* the first that has it; with a ? at the end it is only believed */
    enum surface_priority priority;
};

struct surface_flag {
    const char *name; /* as in the kernel's header */
    enum surface_kind kind;
    uint64_t value;
    const char *kernel;
};

extern const struct surface_op surface_ops[];
extern const size_t surface_op_count;
extern const struct surface_flag surface_flags[];
extern const size_t surface_flag_count;

/* The name without what all of its kind begin with: "NOP", "SQPOLL". Lent: part of name. */
const char *surface_short(const char *name);

/* Should a kernel of this release ("6.12.5-amd64") have what is of `kernel`? False for a belief. */
bool surface_expected(const char *release, const char *kernel);

#endif
