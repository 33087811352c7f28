#include "base/list.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

TestSuite(list, .timeout = 20);

struct item {
    char name;
    struct list link;
};

static struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'}, d = {.name = 'd'};

/* The names on the list, forward; checks that the way back gives the same. */
static const char *names(struct list *head)
{
    static char forward[16];
    size_t n = 0;

    list_for_each (link, head) {
        forward[n++] = container_of(link, struct item, link)->name;
    }
    forward[n] = '\0';

    for (struct list *link = head->prev; link != head; link = link->prev)
        cr_assert_eq(container_of(link, struct item, link)->name, forward[--n]);
    cr_assert_eq(n, 0);
    return forward;
}

Test(list, begins_empty)
{
    struct list head;
    list_init(&head);

    cr_assert(list_empty(&head));
    cr_assert_null(list_head(&head));
    cr_assert_null(list_tail(&head));
    cr_assert_null(list_pop_head(&head));
}

Test(list, keeps_the_order_of_pushes_at_the_tail)
{
    struct list head;
    list_init(&head);

    list_push_tail(&head, &a.link);
    list_push_tail(&head, &b.link);
    list_push_tail(&head, &c.link);

    cr_assert_str_eq(names(&head), "abc");
    cr_assert_eq(list_head(&head), &a.link);
    cr_assert_eq(list_tail(&head), &c.link);
}

Test(list, turns_the_order_of_pushes_at_the_head)
{
    struct list head;
    list_init(&head);

    list_push_head(&head, &a.link);
    list_push_head(&head, &b.link);

    cr_assert_str_eq(names(&head), "ba");
}

Test(list, pops_from_the_head)
{
    struct list head;
    list_init(&head);
    list_push_tail(&head, &a.link);
    list_push_tail(&head, &b.link);

    cr_assert_eq(list_pop_head(&head), &a.link);
    cr_assert_eq(list_pop_head(&head), &b.link);
    cr_assert_null(list_pop_head(&head));
}

Test(list, removes_from_the_middle_and_unlinks)
{
    struct list head;
    list_init(&head);
    list_push_tail(&head, &a.link);
    list_push_tail(&head, &b.link);
    list_push_tail(&head, &c.link);

    list_remove(&b.link);

    cr_assert_str_eq(names(&head), "ac");
    cr_assert_not(list_linked(&b.link));
    cr_assert(list_linked(&a.link));
}

Test(list, splices_in_order_and_empties_the_source)
{
    struct list head, from;
    list_init(&head);
    list_init(&from);
    list_push_tail(&head, &a.link);
    list_push_tail(&from, &b.link);
    list_push_tail(&from, &c.link);
    list_push_tail(&from, &d.link);

    list_splice_tail(&head, &from);

    cr_assert_str_eq(names(&head), "abcd");
    cr_assert(list_empty(&from));
}

Test(list, splices_into_and_from_empty_lists)
{
    struct list head, from;
    list_init(&head);
    list_init(&from);

    list_splice_tail(&head, &from);
    cr_assert(list_empty(&head));

    list_push_tail(&from, &a.link);
    list_splice_tail(&head, &from);
    cr_assert_str_eq(names(&head), "a");
    cr_assert(list_empty(&from));
}

Test(list, may_lose_links_during_a_safe_walk)
{
    struct list head;
    list_init(&head);
    list_push_tail(&head, &a.link);
    list_push_tail(&head, &b.link);
    list_push_tail(&head, &c.link);

    list_for_each_safe (link, &head) {
        if (link != &b.link)
            list_remove(link);
    }

    cr_assert_str_eq(names(&head), "b");
}

#ifndef NDEBUG
Test(list, traps_when_a_link_is_removed_twice, .signal = SIGILL)
{
    struct list head;
    list_init(&head);
    list_push_tail(&head, &a.link);

    list_remove(&a.link);
    list_remove(&a.link);
}
#endif
