/*
 * The bytes of a page: what is written today equals the golden page byte for byte, the golden page
 * is read, and docs/format/page.md shows it.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "pagecache/page.h"

#define PAGE      4096u
#define DOC_BYTES 65536u
#define HEX_BYTES 48u /* of the golden page in the document */
#define GOLDEN    KEEL_TEST_DATA "/format/page.bin"
#define DOC       KEEL_TEST_DATA "/../docs/format/page.md"
#define USER_TEXT "a page of keel"

static size_t read_file(const char *path, char *buf, size_t cap)
{
    FILE *file = fopen(path, "rb");

    cr_assert_not_null(file, "%s", path);
    size_t len = fread(buf, 1, cap, file);
    fclose(file);
    return len;
}

/* Page 42 of space 1, last changed by a group that ended at 1,048,636. */
static void make(char *page)
{
    pc_page_init(page, PAGE, 1, 42);
    memcpy(page + KEEL_PAGE_HEADER_BYTES, USER_TEXT, sizeof(USER_TEXT));
    pc_page_set_lsn(page, 1048636);
    pc_page_seal(page, PAGE);
}

Test(format_page, is_written_as_the_golden_page)
{
    static char golden[PAGE + 1];
    static char page[PAGE];

    cr_assert_eq(read_file(GOLDEN, golden, sizeof(golden)), PAGE);
    make(page);
    for (uint32_t i = 0; i < PAGE; i++)
        cr_assert_eq(page[i], golden[i], "byte %u", i);
}

Test(format_page, golden_page_is_read)
{
    static char golden[PAGE];
    struct pc_page_fault fault;

    cr_assert_eq(read_file(GOLDEN, golden, sizeof(golden)), PAGE);
    cr_assert_eq(pc_page_check(golden, PAGE, 1, 42, &fault), 0);
    cr_assert_eq(pc_page_lsn(golden), 1048636);
    cr_assert_str_eq(golden + KEEL_PAGE_HEADER_BYTES, USER_TEXT);
    cr_assert_eq(pc_page_check(golden, PAGE, 1, 43, &fault), KEEL_ECHECKSUM);
}

Test(format_page, document_shows_the_golden_page_and_every_field)
{
    static char doc[DOC_BYTES];
    static char page[PAGE];
    char buf[1024];
    struct text text;

    doc[read_file(DOC, doc, sizeof(doc) - 1)] = 0;
    make(page);
    text_init(&text, buf, sizeof(buf));
    text_hex(&text, page, HEX_BYTES);
    cr_assert(strstr(doc, buf), "the document lacks:\n%s", buf);

#define FIELD_ROW(name, at, size, meaning)                                 \
    text_init(&text, buf, sizeof(buf));                                    \
    text_printf(&text, "| %d | %d | %s | %s |", at, size, #name, meaning); \
    cr_assert(strstr(doc, buf), "the document lacks:\n%s", buf);
    PC_PAGE_FIELDS(FIELD_ROW)
#undef FIELD_ROW
}
