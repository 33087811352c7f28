#!/bin/sh
# The sync method is measured when a store is first started on a device, and known at later starts: the
# demo's second life, after it killed itself, does not measure again.
. "$(dirname "$0")/common.inc"

"$KEEL" bench commit --path "$DIR" --threads 1 --seconds 1 >"$DIR/fresh" 2>&1 || fail "bench: $(cat "$DIR/fresh")"
grep -q 'sync method.*measured: dsync' "$DIR/fresh" || fail "was not measured: $(cat "$DIR/fresh")"
"$KEEL" demo --path "$DIR/store" --seconds 1 >"$DIR/again" 2>&1 || fail "demo: $(cat "$DIR/again")"
grep -q 'sync method.*measured at an earlier start on this device' "$DIR/again" ||
	fail "was measured again: $(cat "$DIR/again")"
