/*
 * From a recording to a simulation:
 *
 *   read_input     log and trace
 *   find_begin     where in both the recording begins; regions become files
 *   write_base     what was there before
 *   walk_trace     commands in their order, each write with the data of its log entry
 *   walk_log       without a trace: the log's own order and flags
 *   check_unused   no write may be in the log that the trace does not have
 */
#include "tools/crash/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keel/iosched.h>

#include "base/assert.h"
#include "tools/crash/command_trace.h"
#include "tools/crash/write_log.h"

#define REGIONS_MAX   256u
#define BASE_CHUNK    (1u << 20)
#define COMMAND_PARTS (REGIONS_MAX + CRASH_FILES_MAX)
#define NOT_FOUND     UINT32_MAX

struct region {
    uint32_t file; /* in history->file */
    uint64_t file_offset, disk_offset, bytes;
};

/* A write of the log that waits for its command. */
struct candidate {
    uint64_t offset, len_bytes;
    uint32_t entry;
    uint32_t used; /* of the first of equal ones: how many are taken */
};

struct crash_input {
    struct write_log log;
    struct command_trace trace;
    bool traced;
    struct region region[REGIONS_MAX];
    uint32_t regions;
    char device[12], id[20]; /* of the begin */
    uint32_t nsid;
    uint64_t lba_bytes;
    uint32_t log_begin;   /* first entry that is not base */
    uint32_t trace_begin; /* first event that is looked at */
    struct candidate *candidate;
    uint32_t candidates;
    bool *taken; /* by entry */
    uint32_t taken_last;
    uint32_t marks_room;
    struct keel_sim_play *play;
    char *why;
};

/* The simulation's commands that one of the disk became. */
struct parts {
    uint32_t number[COMMAND_PARTS];
    uint32_t count;
};

static int __attribute__((format(printf, 3, 4)))
refuse(struct crash_input *input, int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(input->why, 256, format, args);
    va_end(args);
    return rc;
}

static bool is_write(const struct write_entry *entry)
{
    return entry->len_bytes > 0 && !(entry->flags & (WRITE_LOG_MARK | WRITE_LOG_DISCARD));
}

/* ---------------------------------------------------------------- files and marks */

static int add_file(struct crash_history *history, const char *path, uint64_t bytes, uint32_t *ret)
{
    for (uint32_t i = 0; i < history->files; i++) {
        if (strcmp(history->file[i].path, path) == 0 && history->file[i].bytes == bytes) {
            *ret = i;
            return 0;
        }
    }
    if (history->files == CRASH_FILES_MAX)
        return refuse(history->input, -E2BIG, "more than %u files", CRASH_FILES_MAX);

    struct crash_file *file = &history->file[history->files];
    snprintf(file->path, sizeof(file->path), "%s", path);
    file->bytes = bytes;
    int rc = keel_sim_play_file(history->input->play, path, bytes, &file->number);
    if (rc)
        return refuse(history->input, rc, "file %s cannot be made", path);
    *ret = history->files++;
    return 0;
}

static int add_region(struct crash_history *history, const char *text)
{
    struct crash_input *input = history->input;
    char name[CRASH_NAME_MAX], path[CRASH_NAME_MAX + 8];
    uint64_t bytes;
    if (input->regions == REGIONS_MAX)
        return refuse(input, -E2BIG, "more than %u regions", REGIONS_MAX);

    struct region *region = &input->region[input->regions];
    if (sscanf(text, "region %63s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, name, &bytes,
               &region->file_offset, &region->disk_offset, &region->bytes) != 5 ||
        region->bytes > bytes || region->file_offset > bytes - region->bytes)
        return refuse(input, KEEL_EFORMAT, "not a region: '%s'", text);
    snprintf(path, sizeof(path), "/%s", name);
    int rc = add_file(history, path, bytes, &region->file);
    if (!rc)
        input->regions++;
    return rc;
}

static int add_mark(struct crash_history *history, const char *text)
{
    struct crash_input *input = history->input;
    if (strcmp(text, "ready") == 0)
        history->event_first = keel_sim_events(history->sim);
    if (history->marks == input->marks_room) {
        uint32_t room = input->marks_room ? input->marks_room * 2 : 1024;
        struct crash_mark *more = realloc(history->mark, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        history->mark = more;
        input->marks_room = room;
    }
    history->mark[history->marks++] =
        (struct crash_mark){.event = keel_sim_events(history->sim), .text = text};
    return 0;
}

static bool is_begin(struct crash_input *input, const char *text)
{
    return sscanf(text, "begin %11s %" SCNu32 " %" SCNu64 " %19s", input->device, &input->nsid,
                  &input->lba_bytes, input->id) == 4;
}

#define MARK_BYTES_MAX 400u /* less than a sector, so that a zero follows */

/* The text of a MARK entry, without the prefix; NULL: not for keel. */
static const char *mark_of(const struct write_entry *entry)
{
    size_t prefix = strlen(COMMAND_MARK);
    if (!(entry->flags & WRITE_LOG_MARK) || entry->data_bytes < prefix ||
        entry->data_bytes > MARK_BYTES_MAX || memcmp(entry->data, COMMAND_MARK, prefix) != 0)
        return NULL;
    return (const char *)entry->data + prefix;
}

static int trace_regions(struct crash_history *history)
{
    struct crash_input *input = history->input;
    bool begun = false;
    for (uint32_t i = 0; i < input->trace.count; i++) {
        const char *text = input->trace.event[i].text;
        if (!text)
            continue;
        int rc = strncmp(text, "region ", 7) == 0 ? add_region(history, text) : 0;
        if (rc)
            return rc;
        if (is_begin(input, text)) {
            input->trace_begin = i + 1;
            begun = true;
        }
    }
    if (!begun)
        return refuse(input, KEEL_EFORMAT,
                      "the trace has no mark '%sbegin DEVICE NSID LBA_BYTES ID'", COMMAND_MARK);
    if (input->lba_bytes < 512 || input->lba_bytes % 512)
        return refuse(input, KEEL_EFORMAT, "LBAs of %" PRIu64 " bytes", input->lba_bytes);
    return 0;
}

static int log_regions(struct crash_history *history)
{
    const struct write_log *log = &history->input->log;
    for (uint32_t i = 0; i < log->count; i++) {
        const char *text = mark_of(&log->entry[i]);
        int rc = text && strncmp(text, "region ", 7) == 0 ? add_region(history, text) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

/* Without regions the whole disk is one file. */
static int whole_disk(struct crash_history *history, uint64_t disk_bytes)
{
    struct crash_input *input = history->input;
    if (input->regions > 0)
        return 0;
    if (disk_bytes == 0)
        disk_bytes = (input->log.disk_bytes + BASE_CHUNK - 1) / BASE_CHUNK * BASE_CHUNK;
    struct region *region = &input->region[input->regions++];
    *region = (struct region){.bytes = disk_bytes};
    return add_file(history, "/disk", disk_bytes, &region->file);
}

/* ---------------------------------------------------------------- what was there before */

static void find_cookie(struct crash_input *input)
{
    char cookie[sizeof(CRASH_COOKIE) + sizeof(input->id)];
    size_t len = (size_t)snprintf(cookie, sizeof(cookie), CRASH_COOKIE "%s\n", input->id);
    for (uint32_t i = 0; i < input->log.count; i++) {
        const struct write_entry *entry = &input->log.entry[i];
        if (is_write(entry) && entry->len_bytes >= len && memcmp(entry->data, cookie, len) == 0)
            input->log_begin = i;
    }
}

/* The part of [offset, offset + len) that lies in the region; false: none. */
static bool overlap(const struct region *region, uint64_t offset, uint64_t len, uint64_t *ret_begin,
                    uint64_t *ret_len)
{
    uint64_t begin = offset > region->disk_offset ? offset : region->disk_offset;
    uint64_t end = region->disk_offset + region->bytes;
    if (offset + len < end)
        end = offset + len;
    *ret_begin = begin;
    *ret_len = end > begin ? end - begin : 0;
    return end > begin;
}

static void base_entry(const struct crash_input *input, const struct write_entry *entry,
                       uint32_t file, uint8_t *bytes)
{
    uint64_t begin, len;
    for (uint32_t r = 0; r < input->regions; r++) {
        const struct region *region = &input->region[r];
        if (region->file != file || !overlap(region, entry->offset, entry->len_bytes, &begin, &len))
            continue;
        uint8_t *to = bytes + region->file_offset + (begin - region->disk_offset);
        if (entry->data)
            memcpy(to, entry->data + (begin - entry->offset), len);
        else
            memset(to, 0, len);
    }
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static int write_durably(struct crash_input *input, const struct crash_file *file,
                         const uint8_t *bytes)
{
    for (uint64_t at = 0; at < file->bytes; at += BASE_CHUNK) {
        uint64_t len = file->bytes - at < BASE_CHUNK ? file->bytes - at : BASE_CHUNK;
        if (all_zero(bytes + at, len))
            continue;
        struct keel_sim_command command = {.file = file->number,
                                           .op = KEEL_OP_WRITE,
                                           .dsync = true,
                                           .offset = at,
                                           .len_bytes = (uint32_t)len,
                                           .buf = bytes + at};
        uint32_t number;
        int rc = keel_sim_play_submit(input->play, &command, &number);
        if (rc)
            return refuse(input, rc, "%s: what was there before cannot be written", file->path);
        keel_sim_play_complete(input->play, number);
    }
    return 0;
}

static int write_base(struct crash_history *history)
{
    struct crash_input *input = history->input;
    int rc = 0;
    for (uint32_t f = 0; f < history->files && !rc && input->log_begin > 0; f++) {
        uint8_t *bytes = calloc(1, history->file[f].bytes);
        if (!bytes)
            return -ENOMEM;
        for (uint32_t i = 0; i < input->log_begin; i++) {
            if (!(input->log.entry[i].flags & WRITE_LOG_MARK))
                base_entry(input, &input->log.entry[i], f, bytes);
        }
        rc = write_durably(input, &history->file[f], bytes);
        free(bytes);
    }
    return rc;
}

/* ---------------------------------------------------------------- commands */

static int submit_write(struct crash_input *input, struct crash_history *history, uint64_t offset,
                        uint64_t len_bytes, const uint8_t *data, bool dsync, struct parts *parts)
{
    uint64_t begin, len;
    parts->count = 0;
    for (uint32_t r = 0; r < input->regions; r++) {
        const struct region *region = &input->region[r];
        if (!overlap(region, offset, len_bytes, &begin, &len))
            continue;
        struct keel_sim_command command = {
            .file = history->file[region->file].number,
            .op = KEEL_OP_WRITE,
            .dsync = dsync,
            .offset = region->file_offset + (begin - region->disk_offset),
            .len_bytes = (uint32_t)len,
            .buf = data + (begin - offset),
        };
        int rc = keel_sim_play_submit(input->play, &command, &parts->number[parts->count]);
        if (rc)
            return refuse(input, rc, "a write of %" PRIu64 " bytes at %" PRIu64 " does not fit",
                          len_bytes, offset);
        parts->count++;
    }
    return 0;
}

/* A flush of the disk is one of each file. */
static int submit_flush(struct crash_input *input, const struct crash_history *history,
                        struct parts *parts)
{
    parts->count = 0;
    for (uint32_t f = 0; f < history->files; f++) {
        struct keel_sim_command command = {.file = history->file[f].number, .op = KEEL_OP_SYNC};
        int rc = keel_sim_play_submit(input->play, &command, &parts->number[parts->count++]);
        if (rc)
            return refuse(input, rc, "flush");
    }
    return 0;
}

static void complete(struct crash_input *input, const struct parts *parts)
{
    for (uint32_t i = 0; i < parts->count; i++)
        keel_sim_play_complete(input->play, parts->number[i]);
}

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->len_bytes != y->len_bytes)
        return x->len_bytes < y->len_bytes ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static int index_log(struct crash_input *input)
{
    input->candidate = calloc(input->log.count + 1u, sizeof(*input->candidate));
    input->taken = calloc(input->log.count + 1u, sizeof(*input->taken));
    if (!input->candidate || !input->taken)
        return -ENOMEM;
    for (uint32_t i = input->log_begin; i < input->log.count; i++) {
        const struct write_entry *entry = &input->log.entry[i];
        if (is_write(entry))
            input->candidate[input->candidates++] = (struct candidate){
                .offset = entry->offset, .len_bytes = entry->len_bytes, .entry = i};
    }
    qsort(input->candidate, input->candidates, sizeof(*input->candidate), compare_candidates);
    return 0;
}

/* The next entry with this place and length, in the order of the log; NOT_FOUND. */
static uint32_t take_entry(struct crash_input *input, uint64_t offset, uint64_t len_bytes)
{
    uint32_t low = 0, high = input->candidates;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct candidate *at = &input->candidate[middle];
        if (at->offset < offset || (at->offset == offset && at->len_bytes < len_bytes))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == input->candidates)
        return NOT_FOUND;
    uint32_t at = low + input->candidate[low].used;
    if (at >= input->candidates || input->candidate[at].offset != offset ||
        input->candidate[at].len_bytes != len_bytes)
        return NOT_FOUND;
    input->candidate[low].used++;
    uint32_t entry = input->candidate[at].entry;
    input->taken[entry] = true;
    if (entry > input->taken_last)
        input->taken_last = entry;
    return entry;
}

/* ---------------------------------------------------------------- with a trace */

static int trace_write(struct crash_history *history, const struct command_event *event,
                       struct parts *parts)
{
    struct crash_input *input = history->input;
    uint64_t offset = event->slba * input->lba_bytes, len = event->blocks * input->lba_bytes;
    uint32_t entry = take_entry(input, offset, len);
    parts->count = 0;
    if (entry != NOT_FOUND)
        return submit_write(input, history, offset, len, input->log.entry[entry].data, event->fua,
                            parts);
    if (event->submit == UINT32_MAX)
        return 0; /* never completed, and the recorder never saw it */
    uint64_t begin, part;
    for (uint32_t r = 0; r < input->regions; r++) {
        if (overlap(&input->region[r], offset, len, &begin, &part))
            return refuse(input, KEEL_EFORMAT,
                          "the trace has a write of %" PRIu64 " bytes at %" PRIu64
                          " that the log has not",
                          len, offset);
    }
    return 0;
}

static int trace_submit(struct crash_history *history, const struct command_event *event,
                        struct parts *parts)
{
    struct crash_counts *counts = &history->counts;
    switch (event->op) {
    case COMMAND_WRITE:
        counts->writes++;
        counts->fua_writes += event->fua;
        return trace_write(history, event, parts);
    case COMMAND_ZEROES:
        counts->others++;
        return trace_write(history, event, parts);
    case COMMAND_FLUSH:
        counts->flushes++;
        return submit_flush(history->input, history, parts);
    case COMMAND_READ:
        counts->reads++;
        return 0;
    default:
        counts->others++;
        return 0;
    }
}

/* An entry of the log that no command of the trace accounts for. */
static int check_unused(struct crash_input *input)
{
    uint64_t begin, len;
    for (uint32_t i = input->log_begin; i <= input->taken_last; i++) {
        const struct write_entry *entry = &input->log.entry[i];
        bool matters = !input->taken[i] && !(entry->flags & WRITE_LOG_MARK) && entry->len_bytes;
        for (uint32_t r = 0; matters && r < input->regions; r++) {
            if (overlap(&input->region[r], entry->offset, entry->len_bytes, &begin, &len))
                return refuse(input, KEEL_EFORMAT,
                              "the log has a %s of %" PRIu64 " bytes at %" PRIu64
                              " that the trace has not",
                              entry->flags & WRITE_LOG_DISCARD ? "discard" : "write",
                              entry->len_bytes, entry->offset);
        }
    }
    return 0;
}

static int walk_event(struct crash_history *history, uint32_t i, struct parts *parts)
{
    struct crash_input *input = history->input;
    const struct command_event *event = &input->trace.event[i];
    if (event->kind == COMMAND_TEXT)
        return strncmp(event->text, "region ", 7) == 0 ? 0 : add_mark(history, event->text);
    if (strcmp(event->device, input->device) != 0)
        return 0;
    if (event->kind == COMMAND_SUBMIT)
        return event->nsid == input->nsid ? trace_submit(history, event, &parts[i]) : 0;
    if (event->status == 0) /* a failed one stays in doubt, as if it were in flight for ever */
        complete(input, &parts[event->submit]);
    return 0;
}

static int walk_trace(struct crash_history *history)
{
    struct crash_input *input = history->input;
    struct parts *parts = calloc(input->trace.count + 1u, sizeof(*parts));
    int rc = parts ? index_log(input) : -ENOMEM;
    for (uint32_t i = input->trace_begin; i < input->trace.count && !rc; i++) {
        const char *text = input->trace.event[i].text;
        if (text && strcmp(text, "end") == 0)
            break;
        rc = walk_event(history, i, parts);
    }
    free(parts);
    return rc ? rc : check_unused(input);
}

/* ---------------------------------------------------------------- without a trace */

static int log_command(struct crash_history *history, const struct write_entry *entry)
{
    struct crash_input *input = history->input;
    struct parts parts = {.count = 0};
    int rc = 0;
    if (entry->flags & WRITE_LOG_FLUSH) {
        history->counts.flushes++;
        rc = submit_flush(input, history, &parts);
        complete(input, &parts);
    }
    if (rc || entry->len_bytes == 0)
        return rc;
    if (!entry->data)
        return refuse(input, KEEL_EFORMAT, "the log has a discard at %" PRIu64, entry->offset);
    bool fua = entry->flags & WRITE_LOG_FUA;
    history->counts.writes++;
    history->counts.fua_writes += fua;
    rc = submit_write(input, history, entry->offset, entry->len_bytes, entry->data, fua, &parts);
    complete(input, &parts);
    return rc;
}

static int walk_log(struct crash_history *history)
{
    struct crash_input *input = history->input;
    const struct write_log *log = &input->log;
    int rc = 0;
    for (uint32_t i = input->log_begin; i < log->count && !rc; i++) {
        const struct write_entry *entry = &log->entry[i];
        const char *text = mark_of(entry);
        if (!(entry->flags & WRITE_LOG_MARK)) {
            rc = log_command(history, entry);
        } else if (text && strcmp(text, "end") == 0) {
            break;
        } else if (text && is_begin(input, text)) {
            history->event_first = keel_sim_events(history->sim);
        } else if (text && strncmp(text, "region ", 7) != 0) {
            rc = add_mark(history, text);
        }
    }
    return rc;
}

/* ---------------------------------------------------------------- open, close */

static int read_input(struct crash_input *input, const char *log_path, const char *trace_path)
{
    int rc = write_log_open(log_path, &input->log);
    if (rc)
        return refuse(input, rc, "%s: %s", log_path,
                      rc == KEEL_EFORMAT ? "not a log of dm-log-writes or blklogwrites"
                                         : keel_err_text(rc));
    if (!trace_path)
        return 0;
    rc = command_trace_read(trace_path, &input->trace);
    if (rc)
        return refuse(input, rc, "%s: %s", trace_path, keel_err_text(rc));
    if (input->trace.lost > 0)
        return refuse(input, KEEL_EFORMAT,
                      "the kernel dropped %" PRIu64
                      " lines of the trace; make buffer_size_kb larger",
                      input->trace.lost);
    input->traced = true;
    return 0;
}

static int build(struct crash_history *history)
{
    struct crash_input *input = history->input;
    struct keel_sim_options options = KEEL_SIM_OPTIONS_DEFAULT;
    options.history = true;
    options.bytes_max = UINT64_MAX / 2;
    options.atomic_write_bytes = history->disk.untorn_bytes;
    int rc = keel_sim_create(&options, &history->sim);
    if (!rc)
        rc = keel_sim_play_open(history->sim, &input->play);
    if (rc)
        return refuse(input, rc, "simulation");

    rc = input->traced ? trace_regions(history) : log_regions(history);
    if (!rc)
        rc = whole_disk(history, history->disk.bytes);
    if (rc)
        return rc;
    find_cookie(input);
    rc = write_base(history);
    history->event_first = keel_sim_events(history->sim);
    if (!rc)
        rc = input->traced ? walk_trace(history) : walk_log(history);
    history->event_last = keel_sim_events(history->sim);
    if (!rc && history->event_last == history->event_first)
        rc = refuse(input, KEEL_EFORMAT, "nothing was recorded");
    return rc;
}

int crash_history_open(const char *log_path, const char *trace_path, const struct crash_disk *disk,
                       struct crash_history *ret, char why[256])
{
    *ret = (struct crash_history){.disk = *disk};
    why[0] = '\0';
    ret->input = calloc(1, sizeof(*ret->input));
    if (!ret->input)
        return -ENOMEM;
    ret->input->why = why;
    int rc = read_input(ret->input, log_path, trace_path);
    return rc ? rc : build(ret);
}

void crash_history_close(struct crash_history *history)
{
    struct crash_input *input = history->input;
    if (!input)
        return;
    keel_sim_play_close(input->play);
    keel_sim_destroy(history->sim);
    write_log_close(&input->log);
    command_trace_free(&input->trace);
    free(input->candidate);
    free(input->taken);
    free(input);
    free(history->mark);
    *history = (struct crash_history){0};
}
