/*
 * Reading the costs out of a profile that `keel calibrate` wrote.
 *
 * Of the JSON only the object "costs" is read, which holds nothing but unsigned numbers under known
 * names: "sync_ns", and "points" with "bytes", "read_ns" and "write_ns" each. Whatever else stands
 * there is KEEL_EFORMAT, so that a profile that was cut off or edited wrongly is not half believed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "keel/sched.h"

#define PROFILE_BYTES_MAX (1u << 20)

struct scan {
    const char *at;
    int rc;
};

static void skip_space(struct scan *scan)
{
    scan->at += strspn(scan->at, " \t\r\n");
}

/* Take this character if it comes next. */
static bool take(struct scan *scan, char c)
{
    skip_space(scan);
    if (*scan->at != c)
        return false;
    scan->at++;
    return true;
}

static void must(struct scan *scan, char c)
{
    if (!take(scan, c))
        scan->rc = KEEL_EFORMAT;
}

/* A name in quotes; false and an error when none comes. */
static bool take_name(struct scan *scan, char *ret, size_t room)
{
    must(scan, '"');
    size_t len = scan->rc ? 0 : strcspn(scan->at, "\"");
    if (scan->rc || len >= room || scan->at[len] == '\0') {
        scan->rc = KEEL_EFORMAT;
        return false;
    }
    memcpy(ret, scan->at, len);
    ret[len] = '\0';
    scan->at += len + 1;
    must(scan, ':');
    return scan->rc == 0;
}

static uint32_t take_number(struct scan *scan)
{
    char *end;

    skip_space(scan);
    errno = 0;
    unsigned long long value = strtoull(scan->at, &end, 10);
    if (end == scan->at || *scan->at == '-' || errno || value > UINT32_MAX) {
        scan->rc = KEEL_EFORMAT;
        return 0;
    }
    scan->at = end;
    return (uint32_t)value;
}

static void take_point(struct scan *scan, struct keel_sched_costs *costs)
{
    char name[16];

    if (costs->point_count == KEEL_SCHED_POINTS_MAX) {
        scan->rc = KEEL_EFORMAT;
        return;
    }
    uint32_t at = costs->point_count++;
    must(scan, '{');
    do {
        if (!take_name(scan, name, sizeof(name)))
            return;
        uint32_t value = take_number(scan);
        if (strcmp(name, "bytes") == 0)
            costs->points[at].bytes = value;
        else if (strcmp(name, "read_ns") == 0)
            costs->points[at].read_ns = value;
        else if (strcmp(name, "write_ns") == 0)
            costs->points[at].write_ns = value;
        else
            scan->rc = KEEL_EFORMAT;
    } while (scan->rc == 0 && take(scan, ','));
    must(scan, '}');
}

static void take_costs(struct scan *scan, struct keel_sched_costs *costs)
{
    char name[16];

    must(scan, '{');
    do {
        if (!take_name(scan, name, sizeof(name)))
            return;
        if (strcmp(name, "sync_ns") == 0) {
            costs->sync_ns = take_number(scan);
        } else if (strcmp(name, "points") == 0) {
            must(scan, '[');
            do {
                take_point(scan, costs);
            } while (scan->rc == 0 && take(scan, ','));
            must(scan, ']');
        } else {
            scan->rc = KEEL_EFORMAT;
        }
    } while (scan->rc == 0 && take(scan, ','));
    must(scan, '}');
}

static int read_file(const char *path, char *text)
{
    FILE *file = fopen(path, "re");

    if (!file)
        return errno == ENOENT ? KEEL_ENOTFOUND : -errno;
    size_t len = fread(text, 1, PROFILE_BYTES_MAX, file);
    int rc = ferror(file) ? -EIO : len == PROFILE_BYTES_MAX ? KEEL_EFORMAT : 0;
    fclose(file);
    text[len == PROFILE_BYTES_MAX ? len - 1 : len] = '\0';
    return rc;
}

int keel_sched_costs_load(const char *path, struct keel_sched_costs *ret)
{
    static const char key[] = "\"costs\":";
    struct keel_sched_costs costs = {.size = sizeof(costs)};
    char *text = mem_alloc(PROFILE_BYTES_MAX);

    if (!text)
        return -ENOMEM;
    struct scan scan = {.rc = read_file(path, text)};
    if (scan.rc == 0) {
        const char *found = strstr(text, key);
        scan.at = found ? found + sizeof(key) - 1 : "";
        take_costs(&scan, &costs);
    }
    mem_free(text);
    if (scan.rc)
        return scan.rc;
    if (costs.point_count == 0)
        return KEEL_EFORMAT;
    *ret = costs;
    return 0;
}
