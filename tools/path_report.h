/*
 * The path that requests take, in a form that can lie in shared memory: method, polling,
 * registration, sync method, and for each why it is not better. Printed by demo, probe and bench.
 */
#ifndef KEEL_TOOLS_PATH_REPORT_H
#define KEEL_TOOLS_PATH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <keel/sched.h>
#include <keel/wal.h>

#include "tools/disk.h"

struct path_report {
    char method[16];
    bool iopoll, hybrid, sqpoll, fixed_buffers, fixed_files, restricted;
    uint32_t setup_flags;
    char sched[16]; /* mode of the scheduler; fill says the default */
    uint64_t registered_bytes;
    char why[384];     /* of the data context */
    char log_why[384]; /* of the log's own context, "" when it says the same */
    bool sync_known;   /* a log was open */
    char sync_method[16];
    char sync_why[96];
    uint64_t sync_ns_p25[7]; /* per enum keel_sync_method, 0: not measured */
};

/* ctx: of the data. wal: NULL when no log is open. */
void path_report_fill(struct path_report *report, struct keel_ctx *ctx, struct keel_wal *wal);

/* One line each. disk: for the reason why nothing polls; may be NULL. */
void path_report_print(const struct path_report *report, const struct disk *disk, FILE *out);

/* The object "path" of bench. */
json_t *path_report_json(const struct path_report *report);

/* False when there is no such name. */
bool path_sync_parse(const char *name, enum keel_sync_method *ret);
bool path_method_parse(const char *name, enum keel_method *ret);

#endif
