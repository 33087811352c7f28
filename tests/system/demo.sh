#!/bin/sh
# keel demo: passes on a new store, and again on the store it left, with other writers.
. "$(dirname "$0")/common.inc"
need pgrep

expect 0 "$KEEL" demo --path "$DIR/store" --seconds 2
demo_passed
grep -q '^store .*made in' "$DIR/out" || fail "does not say that the store is new"
grep -q '^latency .*p50 .*p90 .*p99 .*p99.9 .*max' "$DIR/out" || fail "no percentiles"
grep -q '^  method ' "$DIR/out" || fail "does not tell the method"
grep -q '^  polling ' "$DIR/out" || fail "does not tell about polling"
grep -q '^  sync method ' "$DIR/out" || fail "does not tell the sync method"
[ ! -s "$DIR/err" ] || fail "stderr is no terminal, and something was written to it"
pgrep -f "demo-worker $DIR/store" >/dev/null && fail "the worker outlived the demo"

expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1 --writers 3
demo_passed
grep -q '^store .*found' "$DIR/out" || fail "does not say that the store was there"

need python3
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1 --writers 20 --json
[ "$(json "$DIR/out" 'j["verified"] > 0 and j["lost"] == 0 and j["invented"] == 0')" = True ] ||
	fail "JSON verdict"
