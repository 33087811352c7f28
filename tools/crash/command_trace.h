/*
 * A guest's trace of its NVMe commands: the lines that the kernel's nvme:nvme_setup_cmd and
 * nvme:nvme_complete_rq print, with marks that programs wrote to trace_marker in between.
 *
 * It says what the log of the disk's writes cannot: which writes had FUA, and the order of
 * submissions and completions as the host saw them. Both kinds of lines have been the same since
 * 5.10. Make it with `echo counter > trace_clock`, so that the order is total.
 *
 * Lines of other kinds are passed over, so the output of a whole run will do.
 */
#ifndef KEEL_TOOLS_CRASH_COMMAND_TRACE_H
#define KEEL_TOOLS_CRASH_COMMAND_TRACE_H

#include <stdbool.h>
#include <stdint.h>

/* Marks that are meant for keel begin so. */
#define COMMAND_MARK "keel: "

enum command_kind { COMMAND_SUBMIT = 0, COMMAND_COMPLETE, COMMAND_TEXT };

enum command_op {
    COMMAND_READ = 0,
    COMMAND_WRITE,
    COMMAND_FLUSH,
    COMMAND_ZEROES,
    COMMAND_DISCARD,
    COMMAND_OTHER,
};

struct command_event {
    enum command_kind kind;
    uint32_t submit; /* COMPLETE: index of its SUBMIT; SUBMIT: of its COMPLETE, UINT32_MAX: none */
    char device[12]; /* "nvme0", the controller */
    uint32_t nsid;   /* SUBMIT */
    enum command_op op;
    bool fua;
    uint64_t slba, blocks; /* READ, WRITE, ZEROES */
    uint32_t status;       /* COMPLETE: 0 is success */
    char *text;            /* TEXT: without COMMAND_MARK */
};

struct command_trace {
    struct command_event *event;
    uint32_t count;
    uint64_t lost; /* lines that the kernel's buffer dropped */
};

/* Read path. Admin commands are left out. -errno. A completion whose submission is not there is
 * left out too. */
int command_trace_read(const char *path, struct command_trace *ret);
void command_trace_free(struct command_trace *trace);

#endif
