/*
 * Whether tests ask for the polled data ring. KEEL_TEST_IOPOLL=required or off says so; without it
 * a ring polls where the disk can.
 */
#ifndef KEEL_TESTS_IOPOLL_H
#define KEEL_TESTS_IOPOLL_H

#include <stdlib.h>
#include <string.h>

#include <keel/iosched.h>

static inline enum keel_want test_iopoll(enum keel_method method)
{
    const char *text = getenv("KEEL_TEST_IOPOLL");

    if (!text || (method != KEEL_METHOD_URING && method != KEEL_METHOD_NVME))
        return KEEL_PREFERRED;
    if (strcmp(text, "required") == 0)
        return KEEL_REQUIRED;
    return strcmp(text, "off") == 0 ? KEEL_OFF : KEEL_PREFERRED;
}

#endif
