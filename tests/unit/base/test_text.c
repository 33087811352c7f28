#include "base/text.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(text, .timeout = 20);

Test(text, begins_empty)
{
    char buf[8] = "garbage";
    struct text text;

    text_init(&text, buf, sizeof(buf));

    cr_assert_str_eq(buf, "");
    cr_assert_eq(text.len, 0);
    cr_assert_not(text.truncated);
}

Test(text, appends_what_it_is_given)
{
    char buf[32];
    struct text text;
    text_init(&text, buf, sizeof(buf));

    text_printf(&text, "%d and ", 1);
    text_printf(&text, "%s", "two");

    cr_assert_str_eq(buf, "1 and two");
    cr_assert_eq(text.len, 9);
}

Test(text, cuts_and_says_so_when_the_buffer_is_full)
{
    char buf[8];
    struct text text;
    text_init(&text, buf, sizeof(buf));

    text_printf(&text, "0123456789");
    text_printf(&text, "more");

    cr_assert_str_eq(buf, "0123456");
    cr_assert_eq(text.len, 7);
    cr_assert(text.truncated);
}

Test(text, fills_a_buffer_to_the_last_byte_without_cutting)
{
    char buf[8];
    struct text text;
    text_init(&text, buf, sizeof(buf));

    text_printf(&text, "0123456");

    cr_assert_str_eq(buf, "0123456");
    cr_assert_not(text.truncated);
}

Test(text, lives_with_room_for_the_terminator_alone)
{
    char buf[1];
    struct text text;
    text_init(&text, buf, sizeof(buf));

    text_printf(&text, "x");

    cr_assert_str_eq(buf, "");
    cr_assert(text.truncated);
}

Test(text, dumps_bytes_in_lines_of_sixteen)
{
    char buf[512];
    struct text text;
    text_init(&text, buf, sizeof(buf));

    text_hex(&text, "ABCDEFGHIJKLMNOPq\n", 18);

    cr_assert_str_eq(
        buf, "00000000  41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50  |ABCDEFGHIJKLMNOP|\n"
             "00000010  71 0a                                             |q.|\n");
}

Test(text, dumps_nothing_for_no_bytes)
{
    char buf[16];
    struct text text;
    text_init(&text, buf, sizeof(buf));

    text_hex(&text, NULL, 0);

    cr_assert_str_eq(buf, "");
}
