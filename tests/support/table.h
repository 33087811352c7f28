/*
 * Table tests: one Criterion test per row of a static table.
 *
 *   static const struct { const char *label; int in, want; } rows[] = {...};
 *   TABLE_TEST(align, rounds_up, rows)
 *   {
 *       cr_assert_eq(round_up(row->in), row->want, "%s", row->label);
 *   }
 *
 * The parameter is the row's index, not the row: each row runs in a process of its own that may sit
 * at another address, where pointers inside a copied row would dangle. Up to about a hundred rows;
 * beyond that, a loop inside one test is kinder to the clock.
 */
#ifndef KEEL_TESTS_TABLE_H
#define KEEL_TESTS_TABLE_H

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stddef.h>

#define TABLE_ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

#define TABLE_TEST(suite, name, rows)                                   \
    static void suite##_##name##_row(const __typeof__((rows)[0]) *row); \
    ParameterizedTestParameters(suite, name)                            \
    {                                                                   \
        static size_t index[TABLE_ROWS(rows)];                          \
        for (size_t i = 0; i < TABLE_ROWS(rows); i++)                   \
            index[i] = i;                                               \
        return cr_make_param_array(size_t, index, TABLE_ROWS(rows));    \
    }                                                                   \
    ParameterizedTest(size_t *index, suite, name)                       \
    {                                                                   \
        suite##_##name##_row(&(rows)[*index]);                          \
    }                                                                   \
    static void suite##_##name##_row(const __typeof__((rows)[0]) *row)

#endif
