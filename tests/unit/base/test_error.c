#include <keel/error.h>

#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>

#include "tests/support/table.h"

TestSuite(error, .timeout = 20);

static const int codes[] = {
#define CODE(name, value, parent, class_, sentence) name,
    KEEL_ERRORS(CODE)
#undef CODE
};

static const struct {
    int code;
    const char *name;
    int parent;
    enum keel_err_class cls;
} rows[] = {
    {0, "OK", 0, KEEL_CLASS_NONE},
    {4096, "OK", 0, KEEL_CLASS_NONE},
    {-EAGAIN, "EAGAIN", EAGAIN, KEEL_CLASS_RETRY},
    {-EINTR, "EINTR", EINTR, KEEL_CLASS_RETRY},
    {-EINVAL, "EINVAL", EINVAL, KEEL_CLASS_REQUEST},
    {-ENOSPC, "ENOSPC", ENOSPC, KEEL_CLASS_REQUEST},
    {-EIO, "EIO", EIO, KEEL_CLASS_CORRUPT},
    {-ENODATA, "ENODATA", ENODATA, KEEL_CLASS_CORRUPT},
    {-ENODEV, "ENODEV", ENODEV, KEEL_CLASS_FATAL},
    {-4095, "UNKNOWN", 4095, KEEL_CLASS_REQUEST},
    {-4999, "UNKNOWN", EIO, KEEL_CLASS_FATAL},
    {INT_MIN, "UNKNOWN", EIO, KEEL_CLASS_FATAL},
    {KEEL_PENDING, "KEEL_PENDING", EINPROGRESS, KEEL_CLASS_RETRY},
    {KEEL_EOPTION, "KEEL_EOPTION", EINVAL, KEEL_CLASS_REQUEST},
    {KEEL_ECHECKSUM, "KEEL_ECHECKSUM", EIO, KEEL_CLASS_CORRUPT},
    {KEEL_EPOISON, "KEEL_EPOISON", EIO, KEEL_CLASS_FATAL},
};

TABLE_TEST(error, has_name_errno_and_class, rows)
{
    cr_assert_str_eq(keel_err_name(row->code), row->name);
    cr_assert_eq(keel_err_errno(row->code), row->parent, "%s", row->name);
    cr_assert_eq(keel_err_class(row->code), row->cls, "%s", row->name);
    cr_assert_gt(strlen(keel_err_text(row->code)), 0, "%s", row->name);
}

Test(error, codes_begin_at_minus_5000_and_fall)
{
    cr_assert_eq(codes[0], -5000);
    for (size_t i = 1; i < sizeof(codes) / sizeof(codes[0]); i++)
        cr_assert_lt(codes[i], codes[i - 1], "%s", keel_err_name(codes[i]));
}

Test(error, sentences_say_what_is_wrong_and_what_to_do)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        const char *text = keel_err_text(codes[i]);
        cr_assert(strpbrk(text, ";,"), "%s: one half is missing: %s", keel_err_name(codes[i]),
                  text);
        cr_assert_neq(text[strlen(text) - 1], '.', "%s", keel_err_name(codes[i]));
    }
}

Test(error, every_errno_of_the_kernel_has_a_text_and_a_class)
{
    for (int err = 1; err <= 4095; err++) {
        cr_assert_gt(strlen(keel_err_text(-err)), 0);
        cr_assert_neq(keel_err_class(-err), KEEL_CLASS_NONE);
        cr_assert_eq(keel_err_errno(-err), err);
    }
}

Test(error, every_class_has_a_name)
{
    cr_assert_str_eq(keel_err_class_name(KEEL_CLASS_NONE), "none");
    cr_assert_str_eq(keel_err_class_name(KEEL_CLASS_RETRY), "retry");
    cr_assert_str_eq(keel_err_class_name(KEEL_CLASS_REQUEST), "request");
    cr_assert_str_eq(keel_err_class_name(KEEL_CLASS_CORRUPT), "corrupt");
    cr_assert_str_eq(keel_err_class_name(KEEL_CLASS_FATAL), "fatal");
}
