#!/bin/sh
# keel crash sim: seeds are proved, one can be run again, the JSON has what was reached. That the proof catches bugs is
# the business of sim_seeded_bugs, which plants them.
. "$(dirname "$0")/common.inc"
full_speed
need python3

expect 0 "$KEEL" crash sim --seeds 3 --json
[ "$(json "$DIR/out" 'j["ok"] and j["violations"] == 0 and j["states"] > 1000 and j["coverage"]["seeds"] == 3 and j["coverage"]["recoveries"] > 100')" = True ] ||
	fail "sim: $(cat "$DIR/out")"
expect 0 "$KEEL" crash sim --seed 2 --event 100 --mode 3
grep -Eq '^ +[1-9][0-9]*  crash states checked' "$DIR/out" || fail "one event: $(cat "$DIR/out")"
expect 0 "$KEEL" crash sim --seeds 1000000 --seconds 1 --json
[ "$(json "$DIR/out" 'j["seconds"] < 600')" = True ] || fail "--seconds"
# An event that no history has: nothing was checked, and that is no success.
expect 1 "$KEEL" crash sim --seed 2 --event 99999999
