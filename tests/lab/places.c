/*
 * Places and names of the lab's programs.
 */
#include "tests/lab/places.h"

#include <string.h>

#include "tools/demo_layout.h"
#include "wal/sync_choice.h"

int place_ctx_open(const char *path, struct keel_ctx **ret)
{
    struct keel_ctx_options options = KEEL_CTX_OPTIONS_DEFAULT;
    options.method = demo_options(path).method;
    return keel_ctx_open(&options, ret);
}

struct keel_options place_options(const char *path)
{
    struct keel_options options = KEEL_OPTIONS_DEFAULT;
    options.method = demo_options(path).method;
    options.overwrite = true;
    return options;
}

bool sync_method_parse(const char *name, enum keel_sync_method *ret)
{
    for (int i = KEEL_SYNC_AUTO + 1; strcmp(keel_wal_sync_name((enum keel_sync_method)i), "?") != 0;
         i++) {
        *ret = (enum keel_sync_method)i;
        if (strcmp(name, keel_wal_sync_name(*ret)) == 0)
            return true;
    }
    return false;
}
