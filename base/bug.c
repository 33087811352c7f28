/*
 * Names of the seeded bugs, and in a library built with them the switch itself.
 */
#include "base/bug.h"

#include <string.h>

#include "base/assert.h"

#ifdef KEEL_SEEDED_BUGS
enum seeded_bug keel_seeded_bug = SEEDED_BUG_NONE;
#endif

/* clang-format off */
static const struct {
    const char *name;
    const char *text;
} bugs[SEEDED_BUG_END] = {
    [SEEDED_BUG_NONE] = {"none", ""},
#define SEEDED_BUG_ROW(name, text, mistake) [SEEDED_BUG_##name] = {text, mistake},
    SEEDED_BUGS(SEEDED_BUG_ROW)
    SEEDED_BUGS_OF_SCHED(SEEDED_BUG_ROW)
    SEEDED_BUGS_OF_LOG(SEEDED_BUG_ROW)
    SEEDED_BUGS_OF_LEVELS(SEEDED_BUG_ROW)
    SEEDED_BUGS_OF_RECOVERY(SEEDED_BUG_ROW)
#undef SEEDED_BUG_ROW
};
/* clang-format on */

enum seeded_bug seeded_bug_find(const char *name)
{
    KEEL_ASSERT(name);

    for (unsigned i = 1; i < SEEDED_BUG_END; i++)
        if (bugs[i].name && strcmp(bugs[i].name, name) == 0)
            return (enum seeded_bug)i;
    return SEEDED_BUG_NONE;
}

const char *seeded_bug_name(enum seeded_bug bug)
{
    KEEL_ASSERT((unsigned)bug < SEEDED_BUG_END && bug != SEEDED_BUG_COUNT);

    return bugs[bug].name;
}

const char *seeded_bug_text(enum seeded_bug bug)
{
    KEEL_ASSERT((unsigned)bug < SEEDED_BUG_END && bug != SEEDED_BUG_COUNT);

    return bugs[bug].text;
}
