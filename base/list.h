/*
 * Intrusive doubly linked circular list.
 *
 * A struct list is both the head and the link inside an element. A link that is on no list points
 * to itself, so that list_linked() can be asked and removing twice is caught in debug builds.
 */
#ifndef KEEL_BASE_LIST_H
#define KEEL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct list {
    struct list *next;
    struct list *prev;
};

/* The struct of the given type whose member is at ptr. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Is this link on a list? */
static inline bool list_linked(const struct list *link)
{
    return link->next != link;
}

static inline void list_insert_between(struct list *link, struct list *prev, struct list *next)
{
    KEEL_DCHECK(prev->next == next && next->prev == prev);

    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

static inline void list_push_tail(struct list *head, struct list *link)
{
    list_insert_between(link, head->prev, head);
}

static inline void list_push_head(struct list *head, struct list *link)
{
    list_insert_between(link, head, head->next);
}

/* Take the link off the list that it is on. */
static inline void list_remove(struct list *link)
{
    KEEL_DCHECK(list_linked(link));
    KEEL_DCHECK(link->prev->next == link && link->next->prev == link);

    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* First link, or NULL. */
static inline struct list *list_head(const struct list *head)
{
    return list_empty(head) ? NULL : head->next;
}

/* Last link, or NULL. */
static inline struct list *list_tail(const struct list *head)
{
    return list_empty(head) ? NULL : head->prev;
}

/* Take the first link off, or NULL. */
static inline struct list *list_pop_head(struct list *head)
{
    struct list *link = list_head(head);

    if (link)
        list_remove(link);
    return link;
}

/* Move all of from, in order, behind the end of head; from is empty afterwards. */
static inline void list_splice_tail(struct list *head, struct list *from)
{
    if (list_empty(from))
        return;

    from->next->prev = head->prev;
    head->prev->next = from->next;
    from->prev->next = head;
    head->prev = from->prev;
    list_init(from);
}

/* For each link from first to last; the body must not remove it. */
#define list_for_each(link, head) \
    for (struct list *link = (head)->next; link != (head); link = link->next)

/* As list_for_each, but the body may remove the link. */
#define list_for_each_safe(link, head)                                                \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)

#endif
