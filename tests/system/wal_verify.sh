#!/bin/sh
# keel wal verify: 0 clean, 1 torn tail, 3 corrupt, 4 could not be read; changes nothing.
. "$(dirname "$0")/common.inc"
. "$HERE/killed_log.inc"

sum=$(cksum <"$DIR/killed")
"$KEEL" wal verify "$DIR/killed" >"$DIR/out" 2>"$DIR/err"
status=$?
[ "$status" -le 1 ] || fail "a killed log: exit $status: $(cat "$DIR/out" "$DIR/err")"
[ "$(log clean)" = False ] || fail "a killed log is called clean"

# The last block torn: nobody was ever promised it.
cp "$DIR/killed" "$DIR/torn"
damage "$DIR/torn" $((end - 1))
expect 1 "$KEEL" wal verify "$DIR/torn"

# A block far below a promise. (At the front lies the gap between two epochs, which is nobody's.)
cp "$DIR/killed" "$DIR/corrupt"
damage "$DIR/corrupt" $((end - 524288))
expect 3 "$KEEL" wal verify "$DIR/corrupt"
grep -q . "$DIR/err" "$DIR/out" || fail "says nothing"
expect 3 "$KEEL" wal verify "$DIR/corrupt" --json
python3 -m json.tool "$DIR/out" >/dev/null || fail "verify --json"

# Dumping them works as far as it goes.
for name in killed torn corrupt; do
	"$KEEL" wal dump "$DIR/$name" >"$DIR/dump" 2>"$DIR/err" || fail "dump of $name: $(cat "$DIR/err")"
	grep -q 'block .*lsn .*epoch .*promise' "$DIR/dump" || fail "dump of $name shows no blocks"
	grep -q 'record .*type .*len' "$DIR/dump" || fail "dump of $name shows no records"
done
"$KEEL" wal dump "$DIR/torn" --json >"$DIR/out" || fail "dump --json"
python3 -m json.tool "$DIR/out" >/dev/null || fail "dump --json is no JSON"

# Recovered and closed in order.
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed
expect 0 "$KEEL" wal verify "$DIR/store"
"$KEEL" wal verify "$DIR/store" --json >"$DIR/report"
[ "$(log clean)" = True ] || fail "a closed log is not called clean"

# What is no log.
expect 4 "$KEEL" wal verify "$DIR/nothing"
expect 4 "$KEEL" wal verify "$DIR"
head -c 1048576 /dev/zero >"$DIR/zeroes"
expect 4 "$KEEL" wal verify "$DIR/zeroes"

[ "$(cksum <"$DIR/killed")" = "$sum" ] || fail "verify or dump changed the log"
