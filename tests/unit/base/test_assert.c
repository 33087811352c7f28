/*
 * Assertions trap, say where and what, and show the objects and events that led there. The output
 * is read from a child whose stderr is a pipe.
 */
#include "base/assert.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "base/trace.h"

TestSuite(assert, .timeout = 20);

static char output[32768];

static void print_number(struct text *text, const void *obj)
{
    text_printf(text, "number %d", *(const int *)obj);
}

static void print_and_fail(struct text *text, const void *obj)
{
    (void)text;
    KEEL_ASSERT(obj == NULL);
}

/* Run body in a child; afterwards `output` holds its stderr. Returns the signal that ended it. */
static int run_dying(void (*body)(void))
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);

    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        signal(SIGILL, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        body();
        _exit(0);
    }

    close(fds[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(fds[0], output + len, sizeof(output) - 1 - len)) > 0)
        len += (size_t)n;
    output[len] = '\0';
    close(fds[0]);

    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(assert, passes_in_silence_when_the_condition_holds)
{
    KEEL_ASSERT(1 + 1 == 2);
    KEEL_INV(W3, 1 + 1 == 2);
    KEEL_DCHECK(1 + 1 == 2);
    KEEL_MAYBE(1 + 1 == 3);
    keel_ignore(-1, "a test");
}

Test(assert, traps_when_the_condition_does_not_hold, .signal = SIGILL)
{
    KEEL_ASSERT(1 + 1 == 3);
}

Test(assert, traps_when_an_invariant_is_broken, .signal = SIGILL)
{
    KEEL_INV(W3, 1 + 1 == 3);
}

Test(assert, traps_where_nothing_should_arrive, .signal = SIGILL)
{
    KEEL_UNREACHABLE();
}

#ifndef NDEBUG
Test(assert, traps_on_a_debug_check_in_debug_builds, .signal = SIGILL)
{
    KEEL_DCHECK(1 + 1 == 3);
}
#endif

static void break_invariant(void)
{
    KEEL_INV(W3, output[0] == 'x');
}

Test(assert, prints_invariant_condition_file_and_function)
{
    int sig = run_dying(break_invariant);

    cr_assert_eq(sig, SIGILL);
    cr_assert(strstr(output, "invariant W3 failed: output[0] == 'x'"), "%s", output);
    cr_assert(strstr(output, "test_assert.c:"), "%s", output);
    cr_assert(strstr(output, "in break_invariant"), "%s", output);
}

static void fail_with_objects(void)
{
    int outer = 17;
    int inner = 42;

    TRACE(TEST, 0xabc, "knock", 4096, 512, -5);
    assert_object_push(print_number, &outer);
    assert_object_push(print_number, &inner);
    KEEL_ASSERT(outer == inner);
}

Test(assert, prints_objects_innermost_first_and_then_the_trace)
{
    int sig = run_dying(fail_with_objects);

    cr_assert_eq(sig, SIGILL);
    char *inner = strstr(output, "number 42");
    char *outer = strstr(output, "number 17");
    char *event = strstr(output, "knock");
    cr_assert(inner && outer && event, "%s", output);
    cr_assert(inner < outer && outer < event, "%s", output);
}

static void fail_with_many_objects(void)
{
    int numbers[] = {1, 2, 3, 4, 5, 6};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        assert_object_push(print_number, &numbers[i]);
    KEEL_ASSERT(numbers[0] == 0);
}

Test(assert, keeps_the_outermost_objects_when_too_many_were_pushed)
{
    int sig = run_dying(fail_with_many_objects);

    cr_assert_eq(sig, SIGILL);
    cr_assert(strstr(output, "number 1") && strstr(output, "number 4"), "%s", output);
    cr_assert(!strstr(output, "number 5"), "%s", output);
}

static void fail_after_pop(void)
{
    int number = 17;

    assert_object_push(print_number, &number);
    assert_object_pop();
    KEEL_ASSERT(number == 0);
}

Test(assert, forgets_an_object_that_was_popped)
{
    int sig = run_dying(fail_after_pop);

    cr_assert_eq(sig, SIGILL);
    cr_assert(!strstr(output, "number 17"), "%s", output);
}

static void fail_twice(void)
{
    assert_object_push(print_and_fail, output);
    KEEL_ASSERT(output[0] == 'x');
}

Test(assert, traps_at_once_when_a_printer_fails_too)
{
    int sig = run_dying(fail_twice);

    cr_assert_eq(sig, SIGILL);
    cr_assert(strstr(output, "output[0] == 'x'"), "%s", output);
    cr_assert(!strstr(output, "obj == NULL"), "%s", output);
}

Test(assert, traps_on_a_pop_without_a_push, .signal = SIGILL)
{
    assert_object_pop();
}
