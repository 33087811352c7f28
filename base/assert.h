/*
 * Assertions. Programming errors trap, operating errors are returned; nothing is both.
 *
 *   KEEL_ASSERT(c)    all builds: cheap facts whose failure would write wrong bytes
 *   KEEL_DCHECK(c)    debug builds: anything, also checkers that walk a whole structure
 *   KEEL_INV(ID, c)   all builds: a numbered invariant of docs/invariants.md
 *   KEEL_MAYBE(c)     no effect: says that both happen, where a reader would wonder
 *   KEEL_UNREACHABLE() all builds: this line is never reached
 *
 * A failure prints the condition, where it stands, the objects that were pushed as current and the
 * last trace events of this thread to stderr, using neither heap nor locks, and then traps (SIGILL
 * on x86-64). Conditions have no side effects.
 */
#ifndef KEEL_BASE_ASSERT_H
#define KEEL_BASE_ASSERT_H

struct text;

#define ASSERT_OBJECT_MAX 4  /* objects shown by a failure; deeper ones are counted, not kept */
#define ASSERT_TRACE_MAX  32 /* trace events shown by a failure */

/* Print what is known and trap. id: invariant, or NULL. */
__attribute__((noreturn, cold)) void assert_fail(const char *id, const char *expr, const char *file,
                                                 int line, const char *func);

/*
 * Name the object that this thread works on, to be printed if an assertion fails before the pop.
 * print and obj: borrowed until the matching assert_object_pop(). print must take no lock.
 */
void assert_object_push(void (*print)(struct text *, const void *), const void *obj);
void assert_object_pop(void);

#define KEEL_ASSERT_(id, c, expr) \
    (__builtin_expect(!(c), 0) ? assert_fail((id), (expr), __FILE__, __LINE__, __func__) : (void)0)

#define KEEL_ASSERT(c)     KEEL_ASSERT_((const char *)0, c, #c)
#define KEEL_INV(ID, c)    KEEL_ASSERT_(#ID, c, #c)
#define KEEL_MAYBE(c)      ((void)sizeof((c) ? 1 : 0))
#define KEEL_UNREACHABLE() assert_fail((const char *)0, "unreachable", __FILE__, __LINE__, __func__)

#ifdef NDEBUG
#define KEEL_DCHECK(c) KEEL_MAYBE(c)
#else
#define KEEL_DCHECK(c) KEEL_ASSERT(c)
#endif

/* Drop a result on purpose; why is for the reader. */
static inline void keel_ignore(int rc, const char *why)
{
    (void)rc;
    (void)why;
}

#endif
