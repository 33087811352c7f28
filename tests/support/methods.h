/*
 * What tests over each method are told from outside.
 *
 * KEEL_TEST_METHODS=uring,nvme: run these methods alone, and fail where one cannot be had. Without
 * it all are run, and one that cannot be had is named and skipped.
 * KEEL_TEST_IOPOLL=required or off: whether to ask for the polled data ring. Without it a ring
 * polls where the disk can.
 */
#ifndef KEEL_TESTS_METHODS_H
#define KEEL_TESTS_METHODS_H

#include <stdlib.h>
#include <string.h>

#include <keel/iosched.h>

enum test_choice { TEST_IF_THERE, TEST_REQUIRED, TEST_LEFT_OUT };

/* label: the method's name, and perhaps more behind a comma. */
static inline enum test_choice test_choice(const char *label)
{
    const char *list = getenv("KEEL_TEST_METHODS");
    size_t length = strcspn(label, ",");

    if (!list)
        return TEST_IF_THERE;
    while (*list) {
        size_t word = strcspn(list, ",");
        if (word == length && strncmp(list, label, length) == 0)
            return TEST_REQUIRED;
        list += word + (list[word] == ',');
    }
    return TEST_LEFT_OUT;
}

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
