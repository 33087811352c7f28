#!/bin/sh
# keel crash kill: keel's demo survives; a load of the user's that acknowledges what it has done survives, one that
# acknowledges too early is caught, and one that fails by itself is no success.
. "$(dirname "$0")/common.inc"
need python3

expect 0 "$KEEL" crash kill --path "$DIR/store" --loops 3 --max 800 --writers 4 --json
[ "$(json "$DIR/out" 'j["ok"] and j["loops"] == j["killed"] + j["ended_early"] == 3 and j["verified"] > 0 and j["first"] is None')" = True ] ||
	fail "the demo: $(cat "$DIR/out")"

# The user's own: number i is there once n holds it; it is acknowledged by a line in acked.
good='i=$(cat n 2>/dev/null || echo 0); while :; do i=$((i + 1)); echo $i >t; mv t n; echo $i >>acked; done'
early='i=$(cat n 2>/dev/null || echo 0); while :; do i=$((i + 1)); echo $i >>acked; sleep 0.02; echo $i >t; mv t n; done'
judge='[ ! -s acked ] || [ "$(cat n)" -ge "$(tail -n 1 acked)" ]'
mkdir "$DIR/own"
cd "$DIR/own" || fail "cannot enter the folder"
expect 0 "$KEEL" crash kill --load "$good" --verify "$judge" --loops 8 --max 200
grep -Eqx '8 loops: 8 killed, 0 ended before, 0 violations' "$DIR/out" || fail "a good load: $(cat "$DIR/out")"
rm -f n acked
expect 1 "$KEEL" crash kill --load "$early" --verify "$judge" --loops 40 --max 200 --json
[ "$(json "$DIR/out" 'j["violations"] == 1 and not j["ok"] and j["loops"] <= 40 and "killed after" in j["first"]')" = True ] ||
	fail "a load that acknowledges too early was not caught: $(cat "$DIR/out")"

# A grandchild is killed too.
expect 0 "$KEEL" crash kill --load 'sh -c "sleep 77.25 & wait"' --verify '! pgrep -x -f "sleep 77[.]25"' --loops 2 --min 200 --max 300
expect 1 "$KEEL" crash kill --load 'exit 3' --verify true --loops 2
grep -q 'ended by itself' "$DIR/err" || fail "a load that fails: $(cat "$DIR/err")"
expect 1 "$KEEL" crash kill --load true --verify true --loops 2
grep -q 'nothing was killed' "$DIR/err" || fail "a load that ends: $(cat "$DIR/err")"
