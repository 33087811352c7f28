/*
 * `keel probe`: what the kernel and the disk offer, and what keel would choose here and why.
 *
 * In a folder a log of the smallest size is made, opened (which measures the sync methods) and
 * removed again. A file or block device is only looked at.
 */
#include <keel/keel.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/disk.h"
#include "tools/path_report.h"
#include "tools/probe_kernel.h"
#include "tools/probe_nvme.h"

struct probe {
    const char *command, *path;
    bool folder, character;
    struct probe_kernel kernel;
    struct disk disk;
    struct keel_device_info device;
    struct path_report report;
    struct probe_nvme nvme;
    int refused; /* 0, or why keel would not open the device; device and report are void then */
    struct keel_err_info refusal;
};

/* The log is gone again when this returns, whatever happened. */
static int try_log(struct probe *probe, struct keel_ctx *ctx, struct keel_device *device,
                   struct keel_err_info *info)
{
    uint8_t uuid[16];
    struct keel_wal *wal;
    int rc = keel_wal_create(ctx, device, NULL, uuid);
    if (rc)
        return rc;
    rc = keel_wal_open(ctx, device, NULL, info, &wal);
    if (rc)
        return rc;
    rc = keel_wal_start(ctx, wal);
    if (!rc)
        path_report_fill(&probe->report, ctx, wal);
    int closed = keel_wal_close(ctx, wal);
    return rc ? rc : closed;
}

static int ask_folder(struct probe *probe, struct keel_ctx *ctx, struct keel_err_info *info)
{
    char file[512];
    int len = snprintf(file, sizeof(file), "%s/.keel-probe-%ld", probe->path, (long)getpid());
    if (len >= (int)sizeof(file))
        return -ENAMETOOLONG;
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    options.create_bytes = KEEL_WAL_BYTES_MIN;
    struct keel_device *device;
    int rc = keel_device_open(ctx, file, &options, info, &device);
    if (rc)
        return rc;
    probe->device = *keel_device_info(device);
    rc = try_log(probe, ctx, device, info);
    keel_device_close(device);
    int removed = keel_path_unlink(ctx, file);
    return rc ? rc : removed;
}

static int ask_device(struct probe *probe, struct keel_ctx *ctx, struct keel_err_info *info)
{
    struct keel_device_options options = KEEL_DEVICE_OPTIONS_DEFAULT;
    options.read_only = true;
    struct keel_device *device;
    int rc = keel_device_open(ctx, probe->path, &options, info, &device);
    if (rc)
        return rc;
    probe->device = *keel_device_info(device);
    path_report_fill(&probe->report, ctx, NULL);
    keel_device_close(device);
    return 0;
}

static const char *yes(bool value)
{
    return value ? "yes" : "no";
}

static void print_attr(const struct disk *disk, const char *label, const char *name)
{
    char buf[128];
    disk_queue_attr(disk, name, buf, sizeof(buf));
    if (buf[0])
        printf("  %-14s %s\n", label, buf);
}

/* Bytes, or that nobody says; kernel: where that is from when the disk was not asked. */
static void print_bytes(const char *label, uint64_t bytes, const char *kernel)
{
    if (bytes)
        printf("  %-14s %" PRIu64 " bytes%s%s\n", label, bytes, *kernel ? ", " : "", kernel);
}

/* How it wants to be written. */
static void print_writes(const struct keel_device_info *device)
{
    bool asked = device->identify == 0;

    print_bytes("write unit", device->write_granularity, asked ? "NPWG" : "minimum_io_size");
    print_bytes("aligned at", device->write_align, "NPWA");
    print_bytes("best write", device->write_optimal, asked ? "NOWS" : "optimal_io_size");
    print_bytes("atomic unit", device->atomic_write, "beside other writes (AWUN)");
    print_bytes("", device->atomic_write_power,
                asked ? "across a loss of power (AWUPF)" : "atomic_write_unit_max_bytes");
    print_bytes("MDTS", device->mdts, "");
    if (!asked && device->identify != KEEL_ENOTSUP)
        printf("  %-14s Identify: %s; these are the kernel's words\n", "not asked",
               strerror(keel_err_errno(device->identify)));
}

static void print_device(const struct probe *probe)
{
    const struct keel_device_info *device = &probe->device;
    const struct disk *disk = &probe->disk;
    printf("device below %s\n", probe->path);
    if (disk->found)
        printf("  %-14s %s %s(%u:%u)\n", "disk", disk->name, disk->model[0] ? disk->model : "",
               disk->major, disk->minor);
    else
        printf("  %-14s none that the kernel shows (memory, overlay or network)\n", "disk");
    printf("  %-14s logical %u, physical %u\n", "block bytes", device->logical_block,
           device->physical_block);
    printf("  %-14s memory %u, offset %u\n", "direct I/O", device->memory_align,
           device->offset_align);
    printf("  %-14s %u bytes\n", "max transfer", device->max_transfer);
    print_writes(device);
    printf("  %-14s %s\n", "volatile cache", yes(device->volatile_cache));
    printf("  %-14s %s\n", "FUA", yes(device->fua));
    printf("  %-14s %s\n", "polling", yes(device->io_poll));
    printf("  %-14s %s\n", "rotational", yes(device->rotational));
    if (disk->found) {
        print_attr(disk, "scheduler", "scheduler");
        print_attr(disk, "requests", "nr_requests");
    }
    if (device->atomic_write_max > 0)
        printf("  %-14s %u to %u bytes untorn: pages of these sizes need no image in the log\n",
               "atomic write", device->atomic_write_min, device->atomic_write_max);
    else
        printf("  %-14s none: the log has an image of each page for when one is torn\n",
               "atomic write");
}

static json_t *bytes_json(uint64_t bytes)
{
    return bytes ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *writes_json(const struct keel_device_info *device)
{
    bool asked = device->identify == 0;
    json_t *why = asked ? json_null()
                  : device->identify == KEEL_ENOTSUP
                      ? json_string("not an NVMe device")
                      : json_string(strerror(keel_err_errno(device->identify)));

    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "source", asked ? "identify" : "kernel",
                     "not_asked", why, "granularity", bytes_json(device->write_granularity),
                     "align", bytes_json(device->write_align), "optimal",
                     bytes_json(device->write_optimal), "atomic", bytes_json(device->atomic_write),
                     "atomic_power", bytes_json(device->atomic_write_power), "mdts",
                     bytes_json(device->mdts));
}

static json_t *device_json(const struct probe *probe)
{
    const struct keel_device_info *device = &probe->device;

    if (probe->refused)
        return json_pack("{s:s,s:o,s:{s:s,s:s,s:s}}", "path", probe->path, "disk",
                         disk_json(&probe->disk), "refused", "error", keel_err_name(probe->refused),
                         "text", keel_err_text(probe->refused), "op",
                         probe->refusal.op ? probe->refusal.op : "");
    return json_pack(
        "{s:s,s:o,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:b,s:b,s:b,s:o}", "path", probe->path,
        "disk", disk_json(&probe->disk), "is_block", (int)device->is_block, "logical_block",
        (json_int_t)device->logical_block, "physical_block", (json_int_t)device->physical_block,
        "memory_align", (json_int_t)device->memory_align, "offset_align",
        (json_int_t)device->offset_align, "max_transfer", (json_int_t)device->max_transfer,
        "atomic_write_min", (json_int_t)device->atomic_write_min, "atomic_write_max",
        (json_int_t)device->atomic_write_max, "volatile_cache", (int)device->volatile_cache, "fua",
        (int)device->fua, "io_poll", (int)device->io_poll, "rotational", (int)device->rotational,
        "direct", (int)device->direct, "writes", writes_json(device));
}

/* The disk to ask for Identify: what was named, or the one below it. */
static const char *node_of(const struct probe *probe, char node[80])
{
    if (probe->character)
        return probe->path;
    snprintf(node, 80, "/dev/%s", probe->disk.name);
    return probe->disk.found && strncmp(probe->disk.name, "nvme", 4) == 0 ? node : NULL;
}

/* What keel would refuse is asked and shown all the same: the answers may say why. */
static int ask(struct probe *probe)
{
    struct keel_ctx *ctx;
    char node[80];
    probe_kernel_ask(&probe->kernel);
    int rc = cli_ctx_open(probe->character ? KEEL_METHOD_NVME : KEEL_METHOD_AUTO, &ctx);
    if (rc)
        return cli_error(probe->command, "opening a context", rc, NULL);
    probe->refused = probe->folder ? ask_folder(probe, ctx, &probe->refusal)
                                   : ask_device(probe, ctx, &probe->refusal);
    keel_ctx_close(ctx);
    if (probe->character && !probe->refused)
        disk_find_number(probe->device.dev_major, probe->device.dev_minor, &probe->disk);
    probe_nvme_ask(node_of(probe, node), &probe->nvme);
    return 0;
}

static int print_json(const struct probe *probe)
{
    return cli_json(probe->command,
                    json_pack("{s:s,s:o,s:o,s:o,s:o}", "version", keel_version(), "kernel",
                              probe_kernel_json(&probe->kernel), "device", device_json(probe),
                              "nvme", probe_nvme_json(&probe->nvme), "path",
                              probe->refused ? json_null() : path_report_json(&probe->report)));
}

static void print(const struct probe *probe)
{
    probe_kernel_print(&probe->kernel, stdout);
    if (!probe->refused)
        print_device(probe);
    probe_nvme_print(&probe->nvme, stdout);
    if (probe->refused)
        return;
    printf("keel %s would take\n", keel_version());
    path_report_print(&probe->report, &probe->disk, stdout);
    if (!probe->report.sync_known)
        printf("  sync method    measured when a log is opened; name a folder to measure it now\n");
}

int probe_main(int argc, const char **argv)
{
    int json = 0;
    const char *args[1];
    const struct poptOption options[] = {
        {"json", 0, POPT_ARG_NONE, &json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    struct probe probe = {.command = argv[0], .path = "."};
    int count = cli_parse(argc, argv, options, "[PATH]", args, 1);
    if (count < 0)
        return CLI_USAGE;
    if (count)
        probe.path = args[0];

    struct stat st;
    if (stat(probe.path, &st))
        return cli_usage(probe.command, "%s: %s, name a folder, a file or a block device",
                         probe.path, strerror(errno));
    probe.folder = S_ISDIR(st.st_mode);
    probe.character = S_ISCHR(st.st_mode);
    if (disk_find(probe.path, &probe.disk))
        probe.disk.found = false;
    int status = ask(&probe);
    if (status)
        return status;

    if (!json)
        print(&probe);
    else if (print_json(&probe))
        return CLI_FAILED;
    return probe.refused ? cli_error(probe.command, probe.path, probe.refused, &probe.refusal)
                         : CLI_OK;
}
