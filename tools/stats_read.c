/*
 * Copying a segment and checking it.
 */
#include "tools/stats_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/mem.h"
#include "engine/stats_object.h"

#define TRIES    100 /* a publication takes some microseconds, ten times a second */
#define PAUSE_NS 200000

__attribute__((format(printf, 2, 3))) static bool bad(struct stats_error *error, const char *format,
                                                      ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return false;
}

/* ---------------------------------------------------------------- checking */

static bool name_ok(const char *name, size_t size)
{
    size_t len = strnlen(name, size);

    return len > 0 && len < size && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

/* Printable ASCII; with labels also nothing that would end a quoted value. */
static bool text_ok(const char *text, size_t size, bool label)
{
    size_t len = strnlen(text, size);

    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~' || (label && strchr("\"\\{}", text[i])))
            return false;
    }
    return len < size;
}

/* A path may have any bytes; what is not printable ASCII is shown as a question mark. */
static bool make_printable(char *text, size_t size)
{
    size_t len = strnlen(text, size);

    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    }
    return len < size;
}

static bool labels_ok(const char *labels)
{
    if (!text_ok(labels, STATS_LABEL_BYTES, true))
        return false;
    while (*labels) {
        size_t key = strspn(labels, "abcdefghijklmnopqrstuvwxyz_");
        if (key == 0 || labels[key] != '=')
            return false;
        labels += strcspn(labels, ",");
        labels += *labels == ',';
    }
    return true;
}

static bool parse_group(struct stats_view *view, unsigned index, struct stats_error *error)
{
    const uint8_t *entry = view->bytes + STATS_HEADER_BYTES + (size_t)index * STATS_GROUP_BYTES;
    struct stats_group *group = &view->groups[index];
    uint32_t rows_max = load_le32(entry + STATS_GROUP_AT_ROWS_MAX);

    *group = (struct stats_group){.name = (const char *)entry + STATS_GROUP_AT_NAME,
                                  .first = load_le32(entry + STATS_GROUP_AT_FIRST),
                                  .columns = load_le32(entry + STATS_GROUP_AT_COLUMNS),
                                  .rows = load_le32(entry + STATS_GROUP_AT_ROWS),
                                  .offset = load_le32(entry + STATS_GROUP_AT_OFFSET)};
    if (!name_ok(group->name, STATS_NAME_BYTES))
        return bad(error, "group %u has no proper name", index);
    if (group->first > view->column_count || group->columns > view->column_count - group->first)
        return bad(error, "group %s: columns outside of their table", group->name);
    uint64_t row = STATS_LABEL_BYTES + 8u * (uint64_t)group->columns;
    if (group->rows > rows_max || group->offset % 8 != 0 || group->offset > view->len ||
        row * rows_max > view->len - group->offset)
        return bad(error, "group %s: rows outside of the segment", group->name);
    for (uint32_t i = 0; i < group->rows; i++) {
        if (!labels_ok(stats_labels(view, group, i)))
            return bad(error, "group %s: labels of row %" PRIu32 " are not labels", group->name, i);
    }
    return true;
}

static bool parse_column(struct stats_view *view, unsigned index, struct stats_error *error)
{
    const uint8_t *entry = view->bytes + STATS_HEADER_BYTES +
                           (size_t)view->group_count * STATS_GROUP_BYTES +
                           (size_t)index * STATS_COLUMN_BYTES;
    uint32_t kind = load_le32(entry + STATS_COLUMN_AT_KIND);

    view->columns[index].name = (const char *)entry + STATS_COLUMN_AT_NAME;
    view->columns[index].kind =
        kind <= KEEL_STAT_BUCKET ? (enum keel_stat_kind)kind : KEEL_STAT_GAUGE;
    return name_ok(view->columns[index].name, STATS_NAME_BYTES) ||
           bad(error, "column %u has no proper name", index);
}

bool stats_parse(struct stats_view *view, struct stats_error *error)
{
    const uint8_t *bytes = view->bytes;

    if (view->len < STATS_HEADER_BYTES || load_le64(bytes + STATS_AT_MAGIC) != STATS_MAGIC)
        return bad(error, "this is not a statistics segment");
    uint32_t version = load_le32(bytes + STATS_AT_VERSION);
    if (version != STATS_VERSION)
        return bad(error,
                   "its format is version %" PRIu32 ", this keel reads %u; use the keel "
                   "that wrote it",
                   version, STATS_VERSION);
    if (load_le32(bytes + STATS_AT_BYTES) != view->len ||
        load_le32(bytes + STATS_AT_CRC) !=
            crc32c(0, bytes + STATS_AT_BYTES, view->len - STATS_AT_BYTES))
        return bad(error, "its checksum does not fit");

    view->pid = load_le32(bytes + STATS_AT_PID);
    view->sequence = load_le64(bytes + STATS_AT_SEQUENCE);
    view->monotonic_ns = load_le64(bytes + STATS_AT_MONOTONIC);
    view->realtime_ns = load_le64(bytes + STATS_AT_REALTIME);
    view->keel = (const char *)bytes + STATS_AT_KEEL;
    view->path = (const char *)bytes + STATS_AT_PATH;
    view->group_count = load_le32(bytes + STATS_AT_GROUPS);
    view->column_count = load_le32(bytes + STATS_AT_COLUMNS);
    if (!text_ok(view->keel, STATS_KEEL_BYTES, true))
        return bad(error, "its version is not text");
    if (!make_printable((char *)view->bytes + STATS_AT_PATH, STATS_PATH_BYTES))
        return bad(error, "its path has no end");
    if (view->group_count > STATS_GROUPS_MAX || view->column_count > STATS_COLUMNS_MAX ||
        STATS_HEADER_BYTES + (uint64_t)view->group_count * STATS_GROUP_BYTES +
                (uint64_t)view->column_count * STATS_COLUMN_BYTES >
            view->len)
        return bad(error, "its tables are larger than it is");
    for (unsigned i = 0; i < view->column_count; i++) {
        if (!parse_column(view, i, error))
            return false;
    }
    for (unsigned i = 0; i < view->group_count; i++) {
        if (!parse_group(view, i, error))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- copying */

static bool copy(int fd, struct stats_view *view, struct stats_error *error)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return bad(error, "it is not a plain object");
    if (st.st_size < STATS_HEADER_BYTES || st.st_size > STATS_BYTES_MAX)
        return bad(error, "it has %lld bytes, which no segment has", (long long)st.st_size);
    if (!view->bytes || view->len != st.st_size) {
        mem_free(view->bytes);
        view->len = (uint32_t)st.st_size;
        view->bytes = mem_alloc(view->len);
        if (!view->bytes)
            return bad(error, "out of memory");
    }
    ssize_t got = pread(fd, view->bytes, view->len, 0);
    return got == (ssize_t)view->len || bad(error, "it changed its size");
}

static bool read_open(int fd, struct stats_view *view, struct stats_error *error)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    struct timespec pause = {.tv_nsec = PAUSE_NS};

    for (int i = 0; i < TRIES; i++) {
        if (copy(fd, view, error) && stats_parse(view, error)) {
            view->alive = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

/* owner: who it must belong to. */
static bool read_object(const char *name, const uid_t *owner, struct stats_view *view,
                        struct stats_error *error)
{
    struct stat st;

    *view = (struct stats_view){0};
    snprintf(view->name, sizeof(view->name), "%s", name);
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return bad(error,
                   errno == ENOENT ? "nobody who publishes statistics has it open" : "%s: %s", name,
                   strerror(errno));
    bool ok = fstat(fd, &st) == 0 && (!owner || st.st_uid == *owner);
    if (!ok)
        bad(error, "%s belongs to somebody else than the store", name);
    ok = ok && read_open(fd, view, error);
    close(fd);
    if (!ok)
        stats_free(view);
    return ok;
}

bool stats_read_object(const char *name, struct stats_view *view, struct stats_error *error)
{
    return read_object(name, NULL, view, error);
}

/* Who has the right to the store's files made its segment; for a device, who runs this. */
static bool owner_of(const char *path, uid_t *ret)
{
    char super[STATS_PATH_BYTES + 16];
    struct stat st;

    if (stat(path, &st) != 0)
        return false;
    *ret = geteuid();
    if (!S_ISDIR(st.st_mode))
        return true;
    snprintf(super, sizeof(super), "%s/store.keel", path);
    if (stat(super, &st) != 0)
        return false;
    *ret = st.st_uid;
    return true;
}

bool stats_read(const char *path, struct stats_view *view, struct stats_error *error)
{
    char name[STATS_NAME_MAX];
    uid_t owner;

    *view = (struct stats_view){0};
    int rc = stats_object_name(path, name);
    if (rc || !owner_of(path, &owner))
        return bad(error, "there is no store: %s", strerror(rc ? -rc : ENOENT));
    /* A store may be opened by root, whoever it belongs to. */
    static const uid_t root = 0;
    return read_object(name, &owner, view, error) || read_object(name, &root, view, error);
}

void stats_free(struct stats_view *view)
{
    mem_free(view->bytes);
    view->bytes = NULL;
}

unsigned stats_find(void (*each)(void *arg, const struct stats_view *view), void *arg)
{
    static struct stats_view view;
    struct stats_error error;
    struct dirent *entry;
    unsigned count = 0;
    uid_t self = geteuid();

    stats_object_sweep();
    DIR *folder = opendir(STATS_FOLDER);

    while (folder && (entry = readdir(folder))) {
        char name[STATS_NAME_MAX];
        if (strncmp(entry->d_name, STATS_PREFIX, strlen(STATS_PREFIX)) != 0 ||
            snprintf(name, sizeof(name), STATS_FOLDER "/%s", entry->d_name) >= (int)sizeof(name))
            continue;
        if (!read_object(name, &self, &view, &error))
            continue;
        if (view.alive) {
            each(arg, &view);
            count++;
        }
        stats_free(&view);
    }
    if (folder)
        closedir(folder);
    return count;
}

/* ---------------------------------------------------------------- asking */

const struct stats_group *stats_group_of(const struct stats_view *view, const char *group)
{
    for (uint32_t i = 0; i < view->group_count; i++) {
        if (strcmp(view->groups[i].name, group) == 0)
            return &view->groups[i];
    }
    return NULL;
}

static const uint8_t *row_of(const struct stats_view *view, const struct stats_group *group,
                             uint32_t row)
{
    return view->bytes + group->offset +
           (size_t)row * (STATS_LABEL_BYTES + 8u * (size_t)group->columns);
}

const char *stats_labels(const struct stats_view *view, const struct stats_group *group,
                         uint32_t row)
{
    return (const char *)row_of(view, group, row);
}

uint64_t stats_at(const struct stats_view *view, const struct stats_group *group, uint32_t row,
                  uint32_t column)
{
    return load_le64(row_of(view, group, row) + STATS_LABEL_BYTES + 8u * (size_t)column);
}

uint32_t stats_rows(const struct stats_view *view, const char *name)
{
    const struct stats_group *group = stats_group_of(view, name);

    return group ? group->rows : 0;
}

uint64_t stats_value(const struct stats_view *view, const char *name, uint32_t row,
                     const char *column)
{
    const struct stats_group *group = stats_group_of(view, name);

    for (uint32_t i = 0; group && row < group->rows && i < group->columns; i++) {
        if (strcmp(view->columns[group->first + i].name, column) == 0)
            return stats_at(view, group, row, i);
    }
    return 0;
}

const char *stats_label(const struct stats_view *view, const char *name, uint32_t row,
                        const char *key, char *buf, size_t size)
{
    const struct stats_group *group = stats_group_of(view, name);
    const char *at = group && row < group->rows ? stats_labels(view, group, row) : "";
    size_t len = strlen(key);

    buf[0] = '\0';
    for (; *at; at += *at == ',') {
        size_t part = strcspn(at, ",");
        if (strncmp(at, key, len) == 0 && at[len] == '=')
            snprintf(buf, size, "%.*s", (int)(part - len - 1), at + len + 1);
        at += part;
    }
    return buf;
}

uint32_t stats_histogram(const struct stats_view *view, const struct stats_group *group,
                         uint32_t column)
{
    const struct stats_column *columns = view->columns + group->first;
    size_t len = strlen(columns[column].name);
    uint32_t count = 0;

    if (len < 9 || strcmp(columns[column].name + len - 9, "_bucket_0") != 0)
        return 0;
    while (column + count < group->columns && columns[column + count].kind == KEEL_STAT_BUCKET &&
           strncmp(columns[column + count].name, columns[column].name, len - 1) == 0)
        count++;
    /* Its sum is there, and a bucket's end fits into a number. */
    return column + count < group->columns && count < 50 ? count : 0;
}

uint64_t stats_percentile(const struct stats_view *view, const struct stats_view *before,
                          const char *group, uint32_t row, uint32_t row_before, const char *name,
                          unsigned permille)
{
    uint64_t counts[KEEL_STAT_BUCKETS], total = 0, seen = 0;

    for (unsigned i = 0; i < KEEL_STAT_BUCKETS; i++) {
        char column[STATS_NAME_BYTES];
        snprintf(column, sizeof(column), "%.16s_bucket_%u", name, i);
        uint64_t now = stats_value(view, group, row, column);
        uint64_t old = before ? stats_value(before, group, row_before, column) : 0;
        counts[i] = now > old ? now - old : 0;
        total += counts[i];
    }
    for (unsigned i = 0; i < KEEL_STAT_BUCKETS && total; i++) {
        uint64_t start = i ? UINT64_C(512) << i : 0, end = UINT64_C(1024) << i;
        double wanted = (double)total * permille / 1000 - (double)seen;
        if (counts[i] && wanted <= (double)counts[i])
            return start + (uint64_t)((double)(end - start) * wanted / (double)counts[i]);
        seen += counts[i];
    }
    return 0;
}

uint64_t stats_age_ns(const struct stats_view *view)
{
    uint64_t now = clock_now_ns();

    return now > view->monotonic_ns ? now - view->monotonic_ns : 0;
}
