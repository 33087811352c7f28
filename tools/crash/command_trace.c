/*
 * Parsing lines of a trace such as
 *
 *   fio-102 [001] ..... 10: nvme_setup_cmd: nvme0: disk=nvme0c0n1, qid=3, cmdid=384, nsid=1,
 *     flags=0x0, meta=0x0, cmd=(nvme_cmd_write slba=0, len=7, ctrl=0x4000, dsmgmt=0, reftag=0)
 *   fio-102 [001] ..... 11: nvme_complete_rq: nvme0: disk=nvme0c0n1, qid=3, cmdid=384, res=0x0,
 *     retries=0, flags=0x0, status=0x0
 *   sh-96 [000] ..... 12: tracing_mark_write: keel: ack 0 17
 *
 * A command is known by controller, queue and identifier from its submission to its completion.
 */
#include "tools/crash/command_trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define CTRL_FUA  0x4000u
#define OPEN_MAX  4096u /* in flight at once, over all queues */
#define NO_SUBMIT UINT32_MAX

/* A command without its completion. */
struct open_command {
    uint32_t queue, id, submit;
    char device[12];
};

struct parser {
    struct command_trace *trace;
    uint32_t room;
    struct open_command open[OPEN_MAX];
    uint32_t opens;
};

static const struct {
    const char *name;
    enum command_op op;
} OPS[] = {
    {"nvme_cmd_read ", COMMAND_READ},   {"nvme_cmd_write ", COMMAND_WRITE},
    {"nvme_cmd_flush ", COMMAND_FLUSH}, {"nvme_cmd_write_zeroes ", COMMAND_ZEROES},
    {"nvme_cmd_dsm ", COMMAND_DISCARD},
};

static struct command_event *add(struct parser *parser)
{
    struct command_trace *trace = parser->trace;
    if (trace->count == parser->room) {
        uint32_t room = parser->room ? parser->room * 2 : 4096;
        struct command_event *more = realloc(trace->event, room * sizeof(*more));
        if (!more)
            return NULL;
        trace->event = more;
        parser->room = room;
    }
    struct command_event *event = &trace->event[trace->count++];
    memset(event, 0, sizeof(*event));
    event->submit = NO_SUBMIT;
    return event;
}

/* The number behind "name=" in the line; 0 when it is not there. */
static uint64_t field(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at ? strtoull(at + strlen(name), NULL, 0) : 0;
}

static void copy_device(char ret[12], const char *from)
{
    size_t len = strcspn(from, ":");
    if (len > 11)
        len = 11;
    memcpy(ret, from, len);
    ret[len] = '\0';
}

static void parse_op(struct command_event *event, const char *line)
{
    const char *cmd = strstr(line, "cmd=(");
    event->op = COMMAND_OTHER;
    for (size_t i = 0; cmd && i < sizeof(OPS) / sizeof(OPS[0]); i++) {
        if (strncmp(cmd + 5, OPS[i].name, strlen(OPS[i].name)) == 0)
            event->op = OPS[i].op;
    }
    if (event->op == COMMAND_READ || event->op == COMMAND_WRITE || event->op == COMMAND_ZEROES) {
        event->slba = field(cmd, "slba=");
        event->blocks = field(cmd, " len=") + 1; /* counted from zero there */
        event->fua = event->op != COMMAND_READ && (field(cmd, "ctrl=") & CTRL_FUA);
    }
}

/* The tag of a command. Above it is a number that tells uses of a tag apart (5.14, and stable
 * releases before): some kernels print it when the command goes and not when it is complete. */
static uint32_t tag_of(const char *line)
{
    return (uint32_t)field(line, " cmdid=") & 0xfff;
}

/* line: from the controller's name on. */
static int parse_submit(struct parser *parser, const char *line)
{
    uint32_t queue = (uint32_t)field(line, " qid=");
    if (queue == 0)
        return 0; /* the admin queue */
    if (parser->opens == OPEN_MAX)
        return -E2BIG;
    struct command_event *event = add(parser);
    if (!event)
        return -ENOMEM;
    event->kind = COMMAND_SUBMIT;
    event->nsid = (uint32_t)field(line, " nsid=");
    copy_device(event->device, line);
    parse_op(event, line);

    struct open_command *open = &parser->open[parser->opens++];
    *open = (struct open_command){
        .queue = queue, .id = tag_of(line), .submit = parser->trace->count - 1};
    memcpy(open->device, event->device, sizeof(open->device));
    return 0;
}

static int parse_complete(struct parser *parser, const char *line)
{
    uint32_t queue = (uint32_t)field(line, " qid=");
    uint32_t id = tag_of(line);
    char device[12];
    copy_device(device, line);
    for (uint32_t i = 0; i < parser->opens; i++) {
        struct open_command *open = &parser->open[i];
        if (open->queue != queue || open->id != id || strcmp(open->device, device) != 0)
            continue;
        struct command_event *event = add(parser);
        if (!event)
            return -ENOMEM;
        struct command_event *submit = &parser->trace->event[open->submit];
        event->kind = COMMAND_COMPLETE;
        event->submit = open->submit;
        event->status = (uint32_t)field(line, " status=");
        memcpy(event->device, device, sizeof(device));
        event->op = submit->op;
        event->fua = submit->fua;
        submit->submit = parser->trace->count - 1;
        *open = parser->open[--parser->opens];
        return 0;
    }
    return 0;
}

static int parse_mark(struct parser *parser, const char *text)
{
    if (strncmp(text, COMMAND_MARK, strlen(COMMAND_MARK)) != 0)
        return 0;
    struct command_event *event = add(parser);
    if (!event)
        return -ENOMEM;
    event->kind = COMMAND_TEXT;
    event->text =
        strndup(text + strlen(COMMAND_MARK), strcspn(text, "\r\n") - strlen(COMMAND_MARK));
    return event->text ? 0 : -ENOMEM;
}

static int parse_line(struct parser *parser, const char *line)
{
    static const struct {
        const char *name;
        int (*parse)(struct parser *parser, const char *rest);
    } kinds[] = {{": nvme_setup_cmd: ", parse_submit},
                 {": nvme_complete_rq: ", parse_complete},
                 {": tracing_mark_write: ", parse_mark}};
    const char *written = strstr(line, "entries-in-buffer/entries-written: ");
    if (written) {
        uint64_t kept = strtoull(strchr(written, ':') + 1, NULL, 10);
        uint64_t all = strtoull(strchr(strchr(written, ':'), '/') + 1, NULL, 10);
        parser->trace->lost += all - kept;
        return 0;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *at = strstr(line, kinds[i].name);
        if (at)
            return kinds[i].parse(parser, at + strlen(kinds[i].name));
    }
    return 0;
}

int command_trace_read(const char *path, struct command_trace *ret)
{
    *ret = (struct command_trace){0};
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;

    struct parser *parser = calloc(1, sizeof(*parser));
    char *line = NULL;
    size_t room = 0;
    int rc = parser ? 0 : -ENOMEM;
    if (parser)
        parser->trace = ret;
    while (!rc && getline(&line, &room, file) >= 0)
        rc = parse_line(parser, line);
    if (!rc && ferror(file))
        rc = -EIO;
    free(line);
    free(parser);
    fclose(file);
    if (rc)
        command_trace_free(ret);
    return rc;
}

void command_trace_free(struct command_trace *trace)
{
    for (uint32_t i = 0; i < trace->count; i++)
        free(trace->event[i].text);
    free(trace->event);
    *trace = (struct command_trace){0};
}
