/*
 * The store's states: which edges there are, and that nothing else moves it.
 */
#include "engine/store.h"

#include <criterion/criterion.h>
#include <criterion/theories.h>
#include <signal.h>

TheoryDataPoints(store, no_state_comes_after_closed_and_none_before_opening) = {
    DataPoints(int, KEEL_OPENING, KEEL_RUNNING, KEEL_READ_ONLY, KEEL_CLOSED),
    DataPoints(int, KEEL_OPENING, KEEL_RUNNING, KEEL_READ_ONLY, KEEL_CLOSED),
};

Theory((int from, int to), store, no_state_comes_after_closed_and_none_before_opening)
{
    bool allowed = store_edge_allowed((enum keel_state)from, (enum keel_state)to);

    if (from == KEEL_CLOSED || to == KEEL_OPENING || from == to)
        cr_assert_not(allowed, "%d to %d", from, to);
    if (from == KEEL_READ_ONLY && to != KEEL_CLOSED)
        cr_assert_not(allowed, "READ_ONLY is sticky");
}

Test(store, moves_along_an_edge_once)
{
    struct keel_store store = {0};

    cr_assert(store_move(&store, KEEL_OPENING, KEEL_RUNNING));
    cr_assert_not(store_move(&store, KEEL_OPENING, KEEL_READ_ONLY), "it is elsewhere by now");
    cr_assert_eq(store.state, KEEL_RUNNING);
}

Test(store, a_missing_edge_traps, .signal = SIGILL)
{
    struct keel_store store = {.state = KEEL_READ_ONLY};

    store_move(&store, KEEL_READ_ONLY, KEEL_RUNNING);
}

Test(store, every_state_has_a_name)
{
    cr_assert_str_eq(store_state_name(KEEL_READ_ONLY), "READ_ONLY");
    cr_assert_str_eq(store_state_name((enum keel_state)9), "?");
}

Test(store, errors_of_the_system_become_keels_own)
{
    cr_assert_eq(store_map_errno(-EACCES), KEEL_EACCESS);
    cr_assert_eq(store_map_errno(-ENOSPC), KEEL_ENOSPACE);
    cr_assert_eq(store_map_errno(-EFBIG), KEEL_ENOSPACE);
    cr_assert_eq(store_map_errno(-ENOENT), KEEL_ENOTFOUND);
    cr_assert_eq(store_map_errno(-EIO), -EIO);
    cr_assert_eq(store_map_errno(KEEL_EINUSE), KEEL_EINUSE);
    cr_assert_eq(store_map_errno(0), 0);
}

Test(store, the_nearest_account_of_an_error_is_kept)
{
    struct keel_err_info info = {0};

    cr_assert_eq(store_error(NULL, KEEL_EREAD, "open", "x"), KEEL_EREAD);
    store_error(&info, KEEL_EREAD, "read", "block 5");
    store_error(&info, KEEL_EREAD, "open", "store");
    cr_assert_str_eq(info.object, "block 5");
    store_error(&info, KEEL_EINUSE, "open", "store");
    cr_assert_str_eq(info.object, "store");
    cr_assert_eq(info.code, KEEL_EINUSE);
}
