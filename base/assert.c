/*
 * The failing side of assertions.
 *
 * Everything is printed into one buffer on the stack and leaves by write(2), so that it also works
 * with a broken heap, under a lock and in a signal handler. An assertion that fails while a failure
 * is being printed traps at once.
 */
#include "base/assert.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "base/trace.h"

struct assert_object {
    void (*print)(struct text *, const void *);
    const void *obj;
};

static _Thread_local struct assert_object objects[ASSERT_OBJECT_MAX];
static _Thread_local unsigned object_depth; /* may exceed ASSERT_OBJECT_MAX */
static _Thread_local int failing;

void assert_object_push(void (*print)(struct text *, const void *), const void *obj)
{
    if (object_depth < ASSERT_OBJECT_MAX)
        objects[object_depth] = (struct assert_object){.print = print, .obj = obj};
    object_depth++;
}

void assert_object_pop(void)
{
    KEEL_ASSERT(object_depth > 0);
    object_depth--;
}

static void write_out(const struct text *text)
{
    const char *at = text->buf;
    size_t left = text->len;

    while (left > 0) {
        ssize_t n = write(STDERR_FILENO, at, left);
        if (n <= 0)
            return;
        at += n;
        left -= (size_t)n;
    }
}

static void print_objects(struct text *text)
{
    unsigned kept = object_depth < ASSERT_OBJECT_MAX ? object_depth : ASSERT_OBJECT_MAX;

    for (unsigned i = kept; i > 0; i--) {
        text_printf(text, "object %u: ", i - 1);
        objects[i - 1].print(text, objects[i - 1].obj);
        text_printf(text, "\n");
    }
}

void assert_fail(const char *id, const char *expr, const char *file, int line, const char *func)
{
    char buf[8192];
    struct text text;

    if (failing)
        __builtin_trap();
    failing = 1;

    text_init(&text, buf, sizeof(buf));
    text_printf(&text, "keel: %s%s failed: %s\n  at %s:%d in %s\n", id ? "invariant " : "assertion",
                id ? id : "", expr, file, line, func);
    write_out(&text);

    text_init(&text, buf, sizeof(buf));
    print_objects(&text);
    write_out(&text);

    text_init(&text, buf, sizeof(buf));
    trace_print_last(&text, ASSERT_TRACE_MAX);
    write_out(&text);

    __builtin_trap();
}
