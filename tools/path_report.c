/*
 * Copies what the contexts and the log say of themselves, and prints it.
 */
#include "tools/path_report.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "tools/cli.h"
#include "tools/surface.h"

/* One for each sync method. */
#define SYNC_COUNT (sizeof(((struct path_report *)0)->sync_ns_p25) / sizeof(uint64_t))

bool path_sync_parse(const char *name, enum keel_sync_method *ret)
{
    for (size_t i = 0; i < SYNC_COUNT; i++) {
        if (strcmp(name, keel_wal_sync_name((enum keel_sync_method)i)) == 0) {
            *ret = (enum keel_sync_method)i;
            return true;
        }
    }
    return false;
}

bool path_method_parse(const char *name, enum keel_method *ret)
{
    if (strcmp(name, "auto") == 0)
        *ret = KEEL_METHOD_AUTO;
    else if (strcmp(name, "uring") == 0)
        *ret = KEEL_METHOD_URING;
    else if (strcmp(name, "nvme") == 0)
        *ret = KEEL_METHOD_NVME;
    else if (strcmp(name, "sync") == 0)
        *ret = KEEL_METHOD_SYNC;
    else
        return false;
    return true;
}

void path_report_fill(struct path_report *report, struct keel_ctx *ctx, struct keel_wal *wal)
{
    *report = (struct path_report){0};
    const struct keel_ctx_path *path = keel_ctx_path(ctx);
    snprintf(report->method, sizeof(report->method), "%s", path->method);
    report->iopoll = path->iopoll;
    report->hybrid = path->hybrid;
    report->sqpoll = path->sqpoll;
    report->fixed_buffers = path->fixed_buffers;
    report->fixed_files = path->fixed_files;
    report->restricted = path->restricted;
    report->setup_flags = path->setup_flags;
    report->registered_bytes = path->registered_bytes;
    snprintf(report->sched, sizeof(report->sched), "%s", keel_sched_mode_name(KEEL_SCHED_ADAPTIVE));
    snprintf(report->why, sizeof(report->why), "%s", path->why);
    if (!wal)
        return;

    const struct keel_ctx_path *log = keel_ctx_path(keel_wal_ctx(wal));
    report->fixed_buffers |= log->fixed_buffers;
    report->fixed_files |= log->fixed_files;
    report->restricted = report->restricted && log->restricted;
    report->registered_bytes += log->registered_bytes;
    if (strcmp(log->why, path->why) != 0)
        snprintf(report->log_why, sizeof(report->log_why), "%s", log->why);
    struct keel_wal_stats stats;
    keel_wal_stats(wal, &stats);
    report->sync_known = true;
    snprintf(report->sync_method, sizeof(report->sync_method), "%s",
             keel_wal_sync_name(stats.sync));
    snprintf(report->sync_why, sizeof(report->sync_why), "%s", stats.sync_why);
    for (size_t i = 0; i < SYNC_COUNT; i++)
        report->sync_ns_p25[i] = stats.sync_ns_p25[i];
}

static void print_polling(const struct path_report *report, const struct disk *disk, FILE *out)
{
    if (report->iopoll)
        fprintf(out, "  polling        on%s\n", report->hybrid ? ", after a sleep" : "");
    else if (strcmp(report->method, "uring") != 0)
        fprintf(out, "  polling        off: needs io_uring\n");
    else if (disk && disk->found && disk->io_poll == DISK_NO)
        fprintf(out,
                "  polling        off: %s has no poll queues (for NVMe: nvme.poll_queues=2 on "
                "the kernel's command line)\n",
                disk->name);
    else
        fprintf(out, "  polling        off\n");
}

static void print_sync(const struct path_report *report, FILE *out)
{
    char ns[16];
    bool first = true;
    fprintf(out, "  sync method    %s", report->sync_method);
    if (report->sync_why[0])
        fprintf(out, ": %s", report->sync_why);
    /* The reason names the figures it rests on; without one they are given here. */
    for (size_t i = 0; i < SYNC_COUNT && !report->sync_why[0]; i++) {
        if (!report->sync_ns_p25[i])
            continue;
        fprintf(out, "%s%s %s", first ? " (p50: " : ", ",
                keel_wal_sync_name((enum keel_sync_method)i), cli_ns(report->sync_ns_p25[i], ns));
        first = false;
    }
    fprintf(out, "%s\n", first ? "" : ")");
}

void path_report_print(const struct path_report *report, const struct disk *disk, FILE *out)
{
    bool uring = strcmp(report->method, "uring") == 0 || strcmp(report->method, "nvme") == 0;
    fprintf(out, "  method         %s%s%s\n", report->method, uring || !report->why[0] ? "" : ": ",
            uring ? "" : report->why);
    print_polling(report, disk, out);
    if (report->sqpoll)
        fprintf(out, "  SQPOLL         on: a thread of the kernel submits\n");
    if (report->fixed_buffers)
        fprintf(out, "  fixed buffers  on, %" PRIu64 " MiB registered\n",
                report->registered_bytes >> 20);
    else
        fprintf(out, "  fixed buffers  off%s\n", uring ? "" : ": needs io_uring");
    fprintf(out, "  fixed files    %s\n",
            report->fixed_files ? "on"
            : uring             ? "off"
                                : "off: needs io_uring");
    fprintf(out, "  restricted     %s\n",
            report->restricted ? "on: the kernel refuses what keel does not use"
            : uring            ? "off"
                               : "there is no ring");
    if (report->sync_known)
        print_sync(report, out);
    if (uring && report->why[0])
        fprintf(out, "  not better     %s\n", report->why);
    if (report->log_why[0])
        fprintf(out, "  log's ring     %s\n", report->log_why);
}

json_t *path_report_json(const struct path_report *report)
{
    json_t *flags = json_array();
    for (size_t i = 0; i < surface_flag_count; i++) {
        const struct surface_flag *flag = &surface_flags[i];
        if (flag->kind == SURFACE_SETUP && (report->setup_flags & flag->value))
            json_array_append_new(flags, json_string(surface_short(flag->name)));
    }
    json_t *p50 = json_object();
    for (size_t i = 0; i < SYNC_COUNT; i++) {
        if (report->sync_ns_p25[i])
            json_object_set_new(p50, keel_wal_sync_name((enum keel_sync_method)i),
                                json_integer((json_int_t)report->sync_ns_p25[i]));
    }
    return json_pack("{s:s,s:b,s:b,s:b,s:b,s:b,s:b,s:o,s:I,s:s?,s:s,s:s,s:o,s:s,s:s}", "method",
                     report->method, "iopoll", (int)report->iopoll, "hybrid", (int)report->hybrid,
                     "sqpoll", (int)report->sqpoll, "fixed_buffers", (int)report->fixed_buffers,
                     "fixed_files", (int)report->fixed_files, "restricted", (int)report->restricted,
                     "setup_flags", flags, "registered_bytes", (json_int_t)report->registered_bytes,
                     "sync_method", report->sync_known ? report->sync_method : NULL, "sync_why",
                     report->sync_why, "sched", report->sched, "sync_ns_p25", p50, "why",
                     report->why, "log_why", report->log_why);
}
