/*
 * The table itself; see surface.h.
 */
#include "tools/surface.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

enum {
    CORE = SURFACE_CORE,
    USEFUL = SURFACE_USEFUL,
    HOST = SURFACE_HOST,
    AVOID = SURFACE_AVOID,
};

#define SURFACE_OP(name, value, kernel, polled, accepts, complexity, priority, fields, result, \
                   source)                                                                     \
    {"IORING_OP_" #name, value, kernel, (enum surface_priority)(priority)},
const struct surface_op surface_ops[] = {
#include "tools/surface/operations.def"
};
#undef SURFACE_OP

#define SURFACE_FLAG(kind, name, value, kernel, header, meaning, source) \
    {#name, SURFACE_##kind, (uint64_t)(value), kernel},
const struct surface_flag surface_flags[] = {
#include "tools/surface/flags.def"
};
#undef SURFACE_FLAG

const size_t surface_op_count = sizeof(surface_ops) / sizeof(surface_ops[0]);
const size_t surface_flag_count = sizeof(surface_flags) / sizeof(surface_flags[0]);

const char *surface_short(const char *name)
{
    static const char *const fronts[] = {"IORING_OP_",   "IORING_SETUP_", "IORING_ENTER_",
                                         "IORING_FEAT_", "IORING_",       "IOSQE_"};

    for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++) {
        size_t len = strlen(fronts[i]);
        if (strncmp(name, fronts[i], len) == 0)
            return name + len;
    }
    return name;
}

bool surface_expected(const char *release, const char *kernel)
{
    unsigned have[2] = {0, 0}, want[2] = {0, 0};

    if (strchr(kernel, '?') || sscanf(release, "%u.%u", &have[0], &have[1]) != 2)
        return false;
    int parts = sscanf(kernel, "%u.%u", &want[0], &want[1]);
    KEEL_ASSERT(parts == 2);
    return have[0] > want[0] || (have[0] == want[0] && have[1] >= want[1]);
}
