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
    printf("  %-14s %s\n", "volatile cache", yes(device->volatile_cache));
    printf("  %-14s %s\n", "FUA", yes(device->fua));
    printf("  %-14s %s\n", "polling", yes(device->io_poll));
    printf("  %-14s %s\n", "rotational", yes(device->rotational));
    if (disk->found) {
        print_attr(disk, "scheduler", "scheduler");
        print_attr(disk, "requests", "nr_requests");
        print_attr(disk, "atomic write", "atomic_write_unit_max_bytes");
    }
}

static json_t *device_json(const struct probe *probe)
{
    const struct keel_device_info *device = &probe->device;
    return json_pack(
        "{s:s,s:o,s:b,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:b,s:b,s:b}", "path", probe->path, "disk",
        disk_json(&probe->disk), "is_block", (int)device->is_block, "logical_block",
        (json_int_t)device->logical_block, "physical_block", (json_int_t)device->physical_block,
        "memory_align", (json_int_t)device->memory_align, "offset_align",
        (json_int_t)device->offset_align, "max_transfer", (json_int_t)device->max_transfer,
        "volatile_cache", (int)device->volatile_cache, "fua", (int)device->fua, "io_poll",
        (int)device->io_poll, "rotational", (int)device->rotational, "direct", (int)device->direct);
}

static int ask(struct probe *probe)
{
    struct keel_err_info info = {0};
    struct keel_ctx *ctx;
    char node[80];
    probe_kernel_ask(&probe->kernel);
    int rc = cli_ctx_open(probe->character ? KEEL_METHOD_NVME : KEEL_METHOD_AUTO, &ctx);
    if (rc)
        return cli_error(probe->command, "opening a context", rc, NULL);
    rc = probe->folder ? ask_folder(probe, ctx, &info) : ask_device(probe, ctx, &info);
    keel_ctx_close(ctx);
    if (rc)
        return cli_error(probe->command, probe->path, rc, &info);
    if (probe->character)
        disk_find_number(probe->device.dev_major, probe->device.dev_minor, &probe->disk);
    snprintf(node, sizeof(node), "/dev/%s", probe->disk.name);
    probe_nvme_ask(probe->disk.found ? node : NULL, &probe->nvme);
    return 0;
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

    if (json)
        return cli_json(probe.command,
                        json_pack("{s:s,s:o,s:o,s:o,s:o}", "version", keel_version(), "kernel",
                                  probe_kernel_json(&probe.kernel), "device", device_json(&probe),
                                  "nvme", probe_nvme_json(&probe.nvme), "path",
                                  path_report_json(&probe.report)));
    probe_kernel_print(&probe.kernel, stdout);
    print_device(&probe);
    probe_nvme_print(&probe.nvme, stdout);
    printf("keel %s would take\n", keel_version());
    path_report_print(&probe.report, &probe.disk, stdout);
    if (!probe.report.sync_known)
        printf("  sync method    measured when a log is opened; name a folder to measure it now\n");
    return CLI_OK;
}
