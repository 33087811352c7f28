/*
 * Looks through the objects in shared memory.
 */
#include "tools/stats_choose.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli.h"

struct choice {
    char name[STATS_NAME_MAX];
    char list[1024];
};

static void note(void *arg, const struct stats_view *view)
{
    struct choice *choice = arg;
    size_t used = strlen(choice->list);

    snprintf(choice->name, sizeof(choice->name), "%s", view->name);
    snprintf(choice->list + used, sizeof(choice->list) - used, "%s%s (process %" PRIu32 ")",
             used ? ", " : "", view->path, view->pid);
}

int stats_choose(const char *command, const char *store, char ret_name[STATS_NAME_MAX])
{
    struct choice choice = {0};

    if (store)
        return 0;
    unsigned count = stats_find(note, &choice);
    if (count == 0)
        return cli_fail(command, "no store of this user is open");
    if (count > 1)
        return cli_usage(command, "several stores are open, name one of %s", choice.list);
    snprintf(ret_name, STATS_NAME_MAX, "%s", choice.name);
    return 0;
}
