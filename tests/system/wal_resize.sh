#!/bin/sh
# keel wal copy and resize: the same log elsewhere or with another size, and a store that goes on with it.
. "$(dirname "$0")/common.inc"
. "$HERE/killed_log.inc"

value() { json "$DIR/out" "$1"; }

# A killed log, copied as it is, larger, and not where it does not fit.
sum=$(cksum <"$DIR/killed")
expect 0 "$KEEL" wal stat "$DIR/killed" --json
groups=$(value 'j["below"]["groups"]')
size=$(stat -c %s "$DIR/killed")
expect 0 "$KEEL" wal copy "$DIR/killed" -o "$DIR/copy" --json
[ "$(value "j['end_lsn']")" = "$end" ] || fail "ends elsewhere: $(cat "$DIR/out")"
expect 1 "$KEEL" wal copy "$DIR/killed" -o "$DIR/copy"
expect 0 "$KEEL" wal verify "$DIR/copy"
expect 0 "$KEEL" wal copy "$DIR/killed" -o "$DIR/large" --size $((size + 1048576))
expect 0 "$KEEL" wal stat "$DIR/large" --json
[ "$(value 'j["below"]["groups"]')" = "$groups" ] || fail "not the same groups: $(cat "$DIR/out")"
expect 1 "$KEEL" wal copy "$DIR/killed" -o "$DIR/small" --size $((1024 * 1024))
grep -q 'at least [0-9]' "$DIR/err" || fail "does not say how much is needed: $(cat "$DIR/err")"
[ ! -e "$DIR/small" ] || fail "a copy that does not fit was left"
[ "$(cksum <"$DIR/killed")" = "$sum" ] || fail "copy changed the log"

# A store that was closed in order, with a smaller log and then a larger one.
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed
expect 0 "$KEEL" wal resize "$DIR/store" --size 16MiB
[ "$(stat -c %s "$DIR/store/wal.keel")" = 16777216 ] || fail "not the size that was asked for"
[ ! -e "$DIR/store/wal.keel.resize" ] || fail "the copy was left"
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed
expect 0 "$KEEL" wal resize "$DIR/store" --size 48MiB --json
[ "$(value "j['bytes_before']")" = 16777216 ] || fail "resize --json: $(cat "$DIR/out")"
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed
expect 1 "$KEEL" wal resize "$DIR/store" --size 5000
expect 1 "$KEEL" wal resize "$DIR/nothing" --size 16MiB
