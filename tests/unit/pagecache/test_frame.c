/* The frame's state machine: its edges as rules, a missing edge traps, and recLSN. */
#include <criterion/criterion.h>
#include <criterion/theories.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "pagecache/frame.h"

#define ALL_STATES                                                                   \
    DataPoints(int, PC_FRAME_FREE, PC_FRAME_READING, PC_FRAME_CLEAN, PC_FRAME_DIRTY, \
               PC_FRAME_WRITING, PC_FRAME_REDIRTIED, PC_FRAME_FAILED)

static struct keel_frame frame;

TheoryDataPoints(frame, edges_keep_the_rules) = {ALL_STATES, ALL_STATES};
Theory((int from, int to), frame, edges_keep_the_rules)
{
    cr_assume(pc_frame_may_move((enum pc_frame_state)from, (enum pc_frame_state)to));

    cr_assert_neq(from, to);
    if (to == PC_FRAME_READING)
        cr_assert_eq(from, PC_FRAME_FREE, "P2: a read begins in a free frame");
    if (to == PC_FRAME_WRITING)
        cr_assert_eq(from, PC_FRAME_DIRTY, "P2: one write in flight per frame");
    if (to == PC_FRAME_FAILED)
        cr_assert_eq(from, PC_FRAME_READING, "only a read fails");
    if (to == PC_FRAME_FREE)
        cr_assert(from != PC_FRAME_WRITING && from != PC_FRAME_REDIRTIED,
                  "what is being written is not forgotten");
    if (to == PC_FRAME_REDIRTIED)
        cr_assert_eq(from, PC_FRAME_WRITING);
    if (from == PC_FRAME_REDIRTIED)
        cr_assert_eq(to, PC_FRAME_DIRTY, "it is never taken for clean");
}

Test(frame, every_state_can_be_reached_and_left)
{
    for (int state = 0; state < PC_FRAME_STATE_COUNT; state++) {
        int in = 0;
        int out = 0;
        for (int other = 0; other < PC_FRAME_STATE_COUNT; other++) {
            in += pc_frame_may_move((enum pc_frame_state)other, (enum pc_frame_state)state);
            out += pc_frame_may_move((enum pc_frame_state)state, (enum pc_frame_state)other);
        }
        cr_assert(in > 0 && out > 0, "%s", pc_frame_state_name((enum pc_frame_state)state));
    }
}

Test(frame, moves_along_an_edge_when_it_is_in_the_state_to_leave)
{
    pc_frame_init(&frame, 3);

    cr_assert(pc_frame_move(&frame, PC_FRAME_FREE, PC_FRAME_READING));
    cr_assert_not(pc_frame_move(&frame, PC_FRAME_FREE, PC_FRAME_READING), "it is READING now");
    cr_assert_eq(pc_frame_state(&frame), PC_FRAME_READING);
}

Test(frame, traps_on_an_edge_that_is_not_in_the_table_P2, .signal = SIGILL)
{
    pc_frame_init(&frame, 3);

    pc_frame_move(&frame, PC_FRAME_FREE, PC_FRAME_WRITING);
}

Test(frame, traps_when_its_only_mover_finds_it_elsewhere, .signal = SIGILL)
{
    pc_frame_init(&frame, 3);

    pc_frame_moved(&frame, PC_FRAME_CLEAN, PC_FRAME_DIRTY);
}

Test(frame, traps_when_it_is_free_and_owes_a_change, .signal = SIGILL)
{
    pc_frame_init(&frame, 3);
    frame.rec_lsn = 10;

    pc_frame_check(&frame);
}

TheoryDataPoints(frame, rec_lsn_is_the_smaller_of_what_waits_and_what_is_being_written) = {
    DataPoints(uint64_t, 1, 50, KEEL_LSN_MAX),
    DataPoints(uint64_t, 1, 50, KEEL_LSN_MAX),
};
Theory((uint64_t rec, uint64_t write), frame,
       rec_lsn_is_the_smaller_of_what_waits_and_what_is_being_written)
{
    pc_frame_init(&frame, 3);
    frame.rec_lsn = rec;
    frame.write_lsn = write;

    cr_assert_eq(pc_frame_rec_lsn(&frame), rec < write ? rec : write);
}

Test(frame, text_says_what_it_holds)
{
    char buf[256];
    struct text text;

    pc_frame_init(&frame, 3);
    frame.pageno = 42;
    text_init(&text, buf, sizeof(buf));
    pc_frame_text(&text, &frame);

    cr_assert_str_eq(buf, "frame 3 FREE page 42 lsn 0 rec 18446744073709551615 write "
                          "18446744073709551615");
}

/* The document is checked against the tables row by row. */
#define DOC KEEL_TEST_DATA "/../docs/design/page-frame.md"

static void check_row(const char *doc, const char *row)
{
    cr_assert(strstr(doc, row), "docs/design/page-frame.md lacks this row:\n%s", row);
}

Test(frame, document_has_every_state_and_edge_and_no_other)
{
    static char doc[65536];
    char row[512];
    FILE *file = fopen(DOC, "rb");

    cr_assert_not_null(file);
    cr_assert_lt(fread(doc, 1, sizeof(doc) - 1, file), sizeof(doc) - 1);
    fclose(file);
#define STATE_ROW(name, owner, word, rec, meaning)                                                \
    snprintf(row, sizeof(row), "| %s | %s | %s | %s | %s |\n", #name, owner, word, rec, meaning); \
    check_row(doc, row);
    PC_FRAME_STATES(STATE_ROW)
#undef STATE_ROW

    int edges = 0;
#define EDGE_ROW(from, to, when)                                        \
    snprintf(row, sizeof(row), "| %s | %s | %s |\n", #from, #to, when); \
    check_row(doc, row);                                                \
    snprintf(row, sizeof(row), "    %s --> %s\n", #from, #to);          \
    check_row(doc, row);                                                \
    edges++;
    PC_FRAME_EDGES(EDGE_ROW)
#undef EDGE_ROW
    for (const char *at = doc; (at = strstr(at, " --> ")) != NULL; at++)
        edges--;
    cr_assert_eq(edges, 0, "the diagram has edges that the table lacks");
}
