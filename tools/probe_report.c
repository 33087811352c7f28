/*
 * What probe_kernel_ask found, against the table of what there could be: as text and as JSON.
 */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "tools/probe_blocked.h"
#include "tools/probe_kernel.h"
#include "tools/surface.h"

/* Newer than the oldest headers that keel builds with. */
#define FEAT_REG_REG_RING (1u << 13)

enum answer { NO, YES, UNKNOWN };

/* The kinds that a running kernel can be asked about, with their key in JSON. */
static const struct {
    enum surface_kind kind;
    const char *label, *key;
} ASKED[] = {
    {SURFACE_SETUP, "set-up flags", "setup_flags"},
    {SURFACE_FEAT, "features", "features"},
    {SURFACE_ENTER, "enter flags", "enter_flags"},
    {SURFACE_SQE, "entry flags", "sqe_flags"},
    {SURFACE_REGISTER, "register", "register_operations"},
};
#define ASKED_COUNT (sizeof(ASKED) / sizeof(ASKED[0]))

static enum answer masked(uint64_t mask, uint64_t value)
{
    return mask & value ? YES : NO;
}

static enum answer flag_answer(const struct probe_kernel *kernel, const struct surface_flag *flag)
{
    if (kernel->ring_error)
        return UNKNOWN;
    if (flag->kind == SURFACE_SETUP)
        return masked(kernel->setup_flags, flag->value);
    if (flag->kind == SURFACE_FEAT)
        return masked(kernel->features, flag->value);
    if (!kernel->query_known)
        return UNKNOWN;
    if (flag->kind == SURFACE_ENTER)
        return masked(kernel->query.enter_flags, flag->value);
    if (flag->kind == SURFACE_SQE)
        return masked(kernel->query.sqe_flags, flag->value);
    KEEL_ASSERT(flag->kind == SURFACE_REGISTER);
    if (flag->value >= 256) /* a flag of all of them, not one of them */
        return masked(kernel->features, FEAT_REG_REG_RING);
    return flag->value < kernel->query.register_count ? YES : NO;
}

static enum answer op_answer(const struct probe_kernel *kernel, const struct surface_op *op)
{
    if (kernel->ring_error || kernel->register_error)
        return UNKNOWN;
    return kernel->ops[op->value] ? YES : NO;
}

/* ------------------------------------------------------------- text */

/* One line about the rows of a kind: how many are there, which are missing and since when they
 * exist. */
struct line {
    FILE *out;
    const char *separator;
    size_t known, there, unknown;
};

static void count(struct line *line, enum answer answer)
{
    line->known++;
    line->there += answer == YES;
    line->unknown += answer == UNKNOWN;
}

static void print_count(struct line *line, const char *label)
{
    fprintf(line->out, "  %-14s ", label);
    if (line->unknown == line->known)
        fprintf(line->out, "cannot be asked on this kernel");
    else
        fprintf(line->out, "%zu of the %zu known", line->there, line->known);
    line->separator = "; missing: ";
}

static void print_missing(struct line *line, const char *name, const char *since)
{
    fprintf(line->out, "%s%s (%s)", line->separator, surface_short(name), since);
    line->separator = ", ";
}

static void print_ops(const struct probe_kernel *kernel, FILE *out)
{
    struct line line = {.out = out};

    for (size_t i = 0; i < surface_op_count; i++)
        count(&line, op_answer(kernel, &surface_ops[i]));
    print_count(&line, "operations");
    for (size_t i = 0; i < surface_op_count; i++) {
        if (op_answer(kernel, &surface_ops[i]) == NO)
            print_missing(&line, surface_ops[i].name, surface_ops[i].kernel);
    }
    fputc('\n', out);
    for (size_t i = 0; i < surface_op_count; i++) {
        const struct surface_op *op = &surface_ops[i];
        if (op->priority == SURFACE_CORE && op_answer(kernel, op) == NO)
            fprintf(out, "  %-14s keel needs %s\n", "", surface_short(op->name));
    }
    if (!line.unknown && kernel->op_count > line.there)
        fprintf(out, "  %-14s and %zu that are newer than this keel\n", "",
                kernel->op_count - line.there);
}

static void print_flags(const struct probe_kernel *kernel, size_t asked, FILE *out)
{
    struct line line = {.out = out};

    for (size_t i = 0; i < surface_flag_count; i++) {
        if (surface_flags[i].kind == ASKED[asked].kind)
            count(&line, flag_answer(kernel, &surface_flags[i]));
    }
    print_count(&line, ASKED[asked].label);
    for (size_t i = 0; i < surface_flag_count; i++) {
        const struct surface_flag *flag = &surface_flags[i];
        if (flag->kind == ASKED[asked].kind && flag_answer(kernel, flag) == NO)
            print_missing(&line, flag->name, flag->kernel);
    }
    fputc('\n', out);
}

static void print_limits(const struct probe_kernel *kernel, FILE *out)
{
    if (kernel->memlock_bytes == UINT64_MAX)
        fprintf(out, "  %-14s no limit\n", "locked memory");
    else
        fprintf(out, "  %-14s %" PRIu64 " KiB (ulimit -l)\n", "locked memory",
                kernel->memlock_bytes >> 10);
    if (kernel->sq_entries_max)
        fprintf(out, "  %-14s %u entries, %u completions at most\n", "ring", kernel->sq_entries_max,
                kernel->cq_entries_max);
}

static void print_blocked(const struct probe_kernel *kernel, FILE *out)
{
    struct probe_blocked list[PROBE_BLOCKED_MAX];

    size_t entries = probe_blocked_list(kernel, list);
    for (size_t i = 0; i < entries; i++)
        fprintf(out, "  %-14s %s: %s; %s\n", "blocked", list[i].what, list[i].cause,
                list[i].remedy);
}

void probe_kernel_print(const struct probe_kernel *kernel, FILE *out)
{
    fprintf(out, "kernel\n  %-14s Linux %s %s\n", "release", kernel->release, kernel->machine);
    if (kernel->ring_error)
        fprintf(out, "  %-14s not to be had: %s (kernel.io_uring_disabled %d, seccomp mode %d)\n",
                "io_uring", strerror(kernel->ring_error), kernel->disabled_sysctl, kernel->seccomp);
    else
        fprintf(out, "  %-14s available\n", "io_uring");
    print_blocked(kernel, out);
    print_limits(kernel, out);
    if (kernel->ring_error)
        return;
    print_ops(kernel, out);
    for (size_t i = 0; i < ASKED_COUNT; i++)
        print_flags(kernel, i, out);
}

/* ------------------------------------------------------------- JSON */

static json_t *answer_json(enum answer answer)
{
    return answer == UNKNOWN ? json_null() : json_boolean(answer == YES);
}

static json_t *row_json(const struct probe_kernel *kernel, const char *name, uint64_t value,
                        const char *since, enum answer answer)
{
    json_t *min = strchr(since, '?') ? json_null() : json_string(since);

    return json_pack("{s:s,s:I,s:o,s:o,s:b}", "name", name, "value", (json_int_t)value,
                     "min_kernel", min, "supported", answer_json(answer), "expected",
                     (int)surface_expected(kernel->release, since));
}

static json_t *ops_json(const struct probe_kernel *kernel)
{
    json_t *array = json_array();

    for (size_t i = 0; i < surface_op_count; i++) {
        const struct surface_op *op = &surface_ops[i];
        json_array_append_new(
            array, row_json(kernel, op->name, op->value, op->kernel, op_answer(kernel, op)));
    }
    return array;
}

static json_t *flags_json(const struct probe_kernel *kernel, enum surface_kind kind)
{
    json_t *array = json_array();

    for (size_t i = 0; i < surface_flag_count; i++) {
        const struct surface_flag *flag = &surface_flags[i];
        if (flag->kind == kind)
            json_array_append_new(array, row_json(kernel, flag->name, flag->value, flag->kernel,
                                                  flag_answer(kernel, flag)));
    }
    return array;
}

static json_t *limit_json(uint64_t limit)
{
    return limit == UINT64_MAX ? json_null() : json_integer((json_int_t)limit);
}

static json_t *entries_json(uint32_t entries)
{
    return entries ? json_integer(entries) : json_null();
}

static json_t *blocked_json(const struct probe_kernel *kernel)
{
    struct probe_blocked list[PROBE_BLOCKED_MAX];
    json_t *array = json_array();

    size_t entries = probe_blocked_list(kernel, list);
    for (size_t i = 0; i < entries; i++)
        json_array_append_new(array, json_pack("{s:s,s:s,s:s}", "what", list[i].what, "cause",
                                               list[i].cause, "remedy", list[i].remedy));
    return array;
}

json_t *probe_kernel_json(const struct probe_kernel *kernel)
{
    json_t *io_uring =
        json_pack("{s:b,s:s?,s:i,s:i,s:s,s:b,s:o}", "available", kernel->ring_error == 0, "error",
                  kernel->ring_error ? strerror(kernel->ring_error) : NULL, "disabled_sysctl",
                  kernel->disabled_sysctl, "seccomp", kernel->seccomp, "lsm", kernel->lsm, "query",
                  (int)kernel->query_known, "blocked", blocked_json(kernel));
    json_t *limits = json_pack(
        "{s:o,s:o,s:o,s:o}", "memlock_bytes", limit_json(kernel->memlock_bytes), "open_files",
        limit_json(kernel->nofile), "sq_entries_max", entries_json(kernel->sq_entries_max),
        "cq_entries_max", entries_json(kernel->cq_entries_max));
    json_t *all =
        json_pack("{s:s,s:s,s:o,s:o,s:o}", "release", kernel->release, "machine", kernel->machine,
                  "io_uring", io_uring, "limits", limits, "operations", ops_json(kernel));
    for (size_t i = 0; all && i < ASKED_COUNT; i++)
        json_object_set_new(all, ASKED[i].key, flags_json(kernel, ASKED[i].kind));
    return all;
}
