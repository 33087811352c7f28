#!/bin/sh
# Where io_uring is forbidden, the demo passes on the sync method and says why in one line.
. "$(dirname "$0")/common.inc"
build deny_uring.c "$DIR/deny_uring"

expect 0 "$DIR/deny_uring" "$KEEL" demo --path "$DIR/store" --seconds 2
demo_passed
grep -Eq '^  method +sync: .+' "$DIR/out" || fail "does not say: sync, because ..."
grep '^  method' "$DIR/out"

expect 0 "$DIR/deny_uring" "$KEEL" probe "$DIR"
grep -q 'io_uring .*not to be had' "$DIR/out" || fail "probe does not say that io_uring is denied"

# A store made here is the same store.
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed

# Required, it is refused, in one line with the error's name.
expect 1 "$DIR/deny_uring" "$KEEL" bench commit --path "$DIR" --seconds 1 --method uring
grep -q 'KEEL_EMETHOD' "$DIR/err" || fail "--method uring: $(cat "$DIR/err")"
[ "$(wc -l <"$DIR/err")" -eq 1 ] || fail "more than one line on stderr"
