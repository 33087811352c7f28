#!/bin/sh
# One store, two processes: the second is refused with the error's name and a remedy in one line, and the first
# goes on undisturbed.
. "$(dirname "$0")/common.inc"
need pgrep

"$KEEL" demo --path "$DIR/store" --seconds 8 >"$DIR/first" 2>&1 &
first=$!
turns=0
until pgrep -f "demo-worker $DIR/store" >/dev/null || [ "$turns" -gt 200 ]; do
	sleep 0.05
	turns=$((turns + 1))
done
sleep 1.5

expect 1 "$KEEL" demo --path "$DIR/store" --seconds 1
grep -q 'KEEL_EINUSE' "$DIR/err" || fail "no KEEL_EINUSE: $(cat "$DIR/err")"
[ "$(wc -l <"$DIR/err")" -eq 1 ] || fail "more than one line on stderr"
expect 4 "$KEEL" wal verify "$DIR/store"

wait "$first" || fail "the first demo failed: $(cat "$DIR/first")"
cp "$DIR/first" "$DIR/out"
demo_passed
