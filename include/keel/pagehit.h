/*
 * keel/pagehit.h: the hit path of keel/pagecache.h, inline. Included by that header; nothing here
 * is to be used by itself, and the names with _private_ change without notice.
 *
 * Why inline: a processor waits for the page's memory, and what hides the wait is how many accesses
 * it can begin before the first one ends. A call with its saved registers and a struct in memory
 * halves that number (figures: docs/adr/0029-hit-path-inline.md).
 *
 * What the words mean is in pagecache/latch.h, why optimistic reads are right in pagecache/peek.c.
 */
#ifndef KEEL_PAGEHIT_H
#define KEEL_PAGEHIT_H

#include <keel/pagecache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of a word. */
#define KEEL_WORD_LATCH_PRIVATE   UINT64_C(0xFFFF) /* 0: free, up to SHARED: readers */
#define KEEL_WORD_SHARED_PRIVATE  UINT64_C(0xFFF0)
#define KEEL_WORD_MARK_PRIVATE    (UINT64_C(1) << 16)
#define KEEL_WORD_FRESH_PRIVATE   (UINT64_C(1) << 17)
#define KEEL_WORD_WAITERS_PRIVATE (UINT64_C(1) << 18)
/* Any of these: the latch may be one of more than readers, or there is a mark to take off. */
#define KEEL_WORD_LOOK_PRIVATE (UINT64_C(0x8000) | KEEL_WORD_MARK_PRIVATE | KEEL_WORD_FRESH_PRIVATE)

/* What a hit needs of a space: the first member of struct keel_space. */
struct keel_space_private_ {
    uint64_t limit;     /* atomic; pages below are served from here; 0 after poison */
    uint64_t *words;    /* atomic; one per page */
    uint64_t *versions; /* atomic; one per frame */
    uintptr_t data;     /* where the user part of frame -1 would be */
    char *stripes;      /* hits are counted here, 128 bytes for each stripe */
    uint32_t shift;     /* of the size of a frame */
    uint32_t len;       /* of a page's user part */
};

/* Where this thread's stripe ends, in bytes; 0 before its first hit. initial-exec: one instruction.
 */
extern KEEL_PUBLIC __thread uint32_t keel_stripe_private_
    __attribute__((tls_model("initial-exec")));
KEEL_PUBLIC void keel_stripe_choose_private_(void);
/* The rest of keel_page_fix, keel_page_unfix and keel_page_peek. */
KEEL_PUBLIC KEEL_MUST_CHECK int keel_page_fix_private_(struct keel_ctx *ctx,
                                                       struct keel_space *space, keel_pageno pageno,
                                                       enum keel_fix_mode mode, unsigned flags,
                                                       struct keel_err_info *info,
                                                       struct keel_page *ret);
KEEL_PUBLIC void keel_page_unfix_private_(const struct keel_page *page);
KEEL_PUBLIC void keel_page_copy_private_(void *to, const void *from, size_t bytes);
KEEL_PUBLIC void keel_page_wake_private_(uint64_t *word);
KEEL_PUBLIC void keel_page_used_private_(uint64_t *word, uint64_t value);

static inline const struct keel_space_private_ *keel_hot_private_(const struct keel_space *space)
{
    return (const struct keel_space_private_ *)(const void *)space;
}

static inline void keel_count_hit_private_(const struct keel_space_private_ *hot)
{
    if (__builtin_expect(keel_stripe_private_ == 0, 0))
        keel_stripe_choose_private_();

    /* Two threads of one stripe may lose a count; none waits for another's cache line. */
    uint64_t *hits = (uint64_t *)(void *)(hot->stripes + keel_stripe_private_ - 128);
#if defined(__x86_64__)
    /* What the two below come to, in one instruction. */
    __asm__("addq $1, %0" : "+m"(*hits) : : "cc");
#else
    __atomic_store_n(hits, __atomic_load_n(hits, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
#endif
}

/* May the page be served from here? */
static inline bool keel_here_private_(const struct keel_space_private_ *hot, keel_pageno pageno)
{
    /* acquire: pairs with keel_space_grow */
    return __builtin_expect(pageno < __atomic_load_n(&hot->limit, __ATOMIC_ACQUIRE), 1);
}

static inline char *keel_data_private_(const struct keel_space_private_ *hot, uint64_t value)
{
    return (char *)(hot->data + ((uintptr_t)(value >> 32) << hot->shift));
}

/* A shared latch on a resident page, without waiting; false: not to be had so. */
static inline bool keel_page_hit_private_(struct keel_space *space, keel_pageno pageno,
                                          struct keel_page *ret)
{
    const struct keel_space_private_ *hot = keel_hot_private_(space);

    if (!keel_here_private_(hot, pageno))
        return false;
    uint64_t *word = &hot->words[pageno];
    uint64_t value, next, expected = __atomic_load_n(word, __ATOMIC_RELAXED);
    do {
        value = expected;
        next = value + 1;
        if (__builtin_expect(value >> 32 == 0, 0))
            return false;
        if (__builtin_expect((value & KEEL_WORD_LOOK_PRIVATE) != 0, 0)) {
            if ((value & KEEL_WORD_LATCH_PRIVATE) >= KEEL_WORD_SHARED_PRIVATE)
                return false;
            next &= ~(value & KEEL_WORD_FRESH_PRIVATE ? KEEL_WORD_FRESH_PRIVATE
                                                      : KEEL_WORD_MARK_PRIVATE);
        }
    } while (__builtin_expect(!__atomic_compare_exchange_n(word, &expected, next, false,
                                                           __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
                              0));

    /* Before what follows: a call is in it, and what is in registers here stays there. */
    keel_count_hit_private_(hot);
    /* Out of `value`, not of what the exchange gave back: so the processor may look at the page
     * while the exchange is under way. */
    ret->data = keel_data_private_(hot, value);
    ret->len = hot->len;
    ret->mode = KEEL_FIX_SHARED;
    ret->pageno = pageno;
    ret->space = space;
    ret->word_private = word;
    return true;
}

static inline int keel_page_fix(struct keel_ctx *ctx, struct keel_space *space, keel_pageno pageno,
                                enum keel_fix_mode mode, unsigned flags, struct keel_err_info *info,
                                struct keel_page *ret)
{
    struct keel_page got;

    if (mode == KEEL_FIX_SHARED && keel_page_hit_private_(space, pageno, ret))
        return 0;
    /* Its own, and copied: so *ret has no address that anybody knows, and stays in registers. */
    int rc = keel_page_fix_private_(ctx, space, pageno, mode, flags, info, &got);
    if (rc == 0)
        *ret = got;
    return rc;
}

static inline void keel_page_unfix(struct keel_page *page)
{
    uint64_t *word = page->word_private;

    if (page->mode != KEEL_FIX_SHARED) {
        struct keel_page fixed = *page; /* a copy, as above */
        page->word_private = NULL;
        keel_page_unfix_private_(&fixed);
        return;
    }
    uint64_t old = __atomic_fetch_sub(word, 1, __ATOMIC_RELEASE); /* of a page not fixed: traps */

    page->word_private = NULL;
    if (__builtin_expect((old & (KEEL_WORD_LATCH_PRIVATE | KEEL_WORD_WAITERS_PRIVATE)) ==
                             (1 | KEEL_WORD_WAITERS_PRIVATE),
                         0))
        keel_page_wake_private_(word);
}

static inline void keel_page_hint(const struct keel_space *space, keel_pageno pageno)
{
    const struct keel_space_private_ *hot = keel_hot_private_(space);

    if (keel_here_private_(hot, pageno))
        __builtin_prefetch(&hot->words[pageno]);
}

static inline bool keel_page_peek(struct keel_space *space, keel_pageno pageno,
                                  struct keel_peek *ret)
{
    const struct keel_space_private_ *hot = keel_hot_private_(space);

    if (!keel_here_private_(hot, pageno))
        return false;
    uint64_t *word = &hot->words[pageno];
    /* acquire: what was stored before the frame was published is seen */
    uint64_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (__builtin_expect(value >> 32 == 0, 0))
        return false;
    if (__builtin_expect((value & KEEL_WORD_LOOK_PRIVATE) != 0, 0)) {
        if ((value & KEEL_WORD_LATCH_PRIVATE) > KEEL_WORD_SHARED_PRIVATE)
            return false;
        keel_page_used_private_(word, value);
    }
    keel_count_hit_private_(hot);

    uint64_t *version = &hot->versions[(value >> 32) - 1];
    ret->version_private = __atomic_load_n(version, __ATOMIC_ACQUIRE);
    ret->data = keel_data_private_(hot, value);
    ret->len = hot->len;
    ret->frame_private = (uint32_t)(value >> 32);
    ret->word_private = word;
    ret->at_private = version;
    return true;
}

/* A word, as a search in a page reads them, is one load. ThreadSanitizer is not to see it (peek.c).
 */
static inline void keel_page_copy(void *to, const void *from, size_t bytes)
{
#if !defined(__SANITIZE_THREAD__)
    if (__builtin_constant_p(bytes) && bytes == 8 && ((uintptr_t)from & 7) == 0) {
        uint64_t word = __atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED);
        __builtin_memcpy(to, &word, 8);
        return;
    }
#endif
    keel_page_copy_private_(to, from, bytes);
}

static inline bool keel_peek_valid(const struct keel_peek *peek)
{
    /* What was read of the page comes before the next two loads. ThreadSanitizer knows no fences;
     * what this one orders it does not look at either (keel_page_copy). */
#if !defined(__SANITIZE_THREAD__)
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
    /* acquire: the version that is read next is not older than the word */
    uint64_t value = __atomic_load_n(peek->word_private, __ATOMIC_ACQUIRE);
    uint64_t version = __atomic_load_n(peek->at_private, __ATOMIC_RELAXED);

    return value >> 32 == peek->frame_private &&
           (value & KEEL_WORD_LATCH_PRIVATE) <= KEEL_WORD_SHARED_PRIVATE &&
           version == peek->version_private;
}

#ifdef __cplusplus
}
#endif
#endif
