#!/bin/sh
# keel wal stat and salvage: a copy that recovery accepts, what was given up, and the original as it was.
. "$(dirname "$0")/common.inc"
. "$HERE/killed_log.inc"

# value EXPRESSION: of the object j that the last command printed.
value() { json "$DIR/out" "$1"; }

# true EXPRESSION
true_of() { [ "$(value "$1")" = True ] || fail "not so: $1: $(cat "$DIR/out")"; }

offset_of() { echo $(($(log ring_offset) + $1 / 4096 * 4096 % $(log ring_bytes))); }

# Nothing wrong: the copy has everything.
expect 0 "$KEEL" wal stat "$DIR/killed" --json
true_of 'j["below"]["groups"] > 0 and j["below"]["records"] >= j["below"]["groups"] and not j["damaged"]'
true_of "j['end_lsn'] == $end and j['redo_lsn'] == $redo"
groups=$(value 'j["below"]["groups"]')
expect 0 "$KEEL" wal stat "$DIR/killed"
grep -q 'groups' "$DIR/out" || fail "stat says nothing"
sum=$(cksum <"$DIR/killed")
expect 0 "$KEEL" wal salvage "$DIR/killed" -o "$DIR/copy" --json
true_of "j['kept_groups'] == $groups and not j['gave_up'] and j['end_lsn'] == $end"
[ "$(cksum <"$DIR/killed")" = "$sum" ] || fail "salvage changed the log"
expect 0 "$KEEL" wal verify "$DIR/copy"
expect 0 "$KEEL" wal stat "$DIR/copy" --json
true_of "j['below']['groups'] == $groups and j['end_lsn'] > $end"

# The copy takes the place of the log.
cp -r "$DIR/store" "$DIR/other"
cp "$DIR/copy" "$DIR/other/wal.keel"
expect 0 "$KEEL" demo --path "$DIR/other" --seconds 1
demo_passed

# A place that is taken, none, and something that is no log.
expect 1 "$KEEL" wal salvage "$DIR/killed" -o "$DIR/copy"
expect 2 "$KEEL" wal salvage "$DIR/killed"
expect 2 "$KEEL" wal stat "$DIR/killed" -o "$DIR/x"
head -c 1048576 /dev/zero >"$DIR/zeroes"
expect 4 "$KEEL" wal salvage "$DIR/zeroes" -o "$DIR/x"
expect 4 "$KEEL" wal salvage "$DIR/nothing" -o "$DIR/x"
expect 1 "$KEEL" wal stat "$DIR/zeroes"
[ ! -e "$DIR/x" ] || fail "a copy of nothing"

# Damage below a promise: the copy ends before it, and what lies behind is counted.
cp "$DIR/killed" "$DIR/corrupt"
bad=$(((end - 524288) / 4096 * 4096))
damage "$DIR/corrupt" "$bad"
sum=$(cksum <"$DIR/corrupt")
expect 3 "$KEEL" wal verify "$DIR/corrupt"
expect 0 "$KEEL" wal stat "$DIR/corrupt" --json
true_of 'j["damaged"]'
expect 3 "$KEEL" wal salvage "$DIR/corrupt" -o "$DIR/copy2"
grep -q "given up: .*$bad" "$DIR/out" || fail "the place is not named: $(cat "$DIR/out")"
expect 0 "$KEEL" wal verify "$DIR/copy2"
expect 3 "$KEEL" wal salvage "$DIR/corrupt" -o "$DIR/copy3" --json
true_of "j['gave_up'] and j['end_lsn'] == $bad and 0 < j['kept_groups'] < $groups and j['lost_groups'] > 0"
[ "$(cksum <"$DIR/corrupt")" = "$sum" ] || fail "salvage changed the log"

# One superblock copy of four: recovery refuses, salvage goes by it.
cp "$DIR/killed" "$DIR/headless"
size=$(stat -c %s "$DIR/headless")
dd if=/dev/zero of="$DIR/headless" bs=4096 count=2 conv=notrunc 2>/dev/null
dd if=/dev/zero of="$DIR/headless" bs=4096 seek=$((size / 4096 - 1)) count=1 conv=notrunc 2>/dev/null
expect 3 "$KEEL" wal verify "$DIR/headless"
expect 0 "$KEEL" wal salvage "$DIR/headless" -o "$DIR/copy4" --json
true_of "j['superblock_copies'] == 1 and j['kept_groups'] == $groups"
expect 0 "$KEEL" wal verify "$DIR/copy4"

# One block that the disk cannot read: named to 4 KiB, and the others are read.
sanitized && exit 0 # a sanitizer does not let a library be preloaded
build deny_uring.c "$DIR/deny_uring"
build failing_disk.c "$DIR/failing.so" -shared -fPIC -ldl
failing() {
	"$DIR/deny_uring" env LD_PRELOAD="$DIR/failing.so" FAIL_FILE=/killed FAIL_AT="$(offset_of "$bad")" "$KEEL" "$@"
}
expect 4 failing wal verify "$DIR/killed" --json
true_of "j['error']['name'] == 'KEEL_EREAD' and j['error']['offset'] == $bad"
expect 0 failing wal dump "$DIR/killed"
grep -q "no block in 1 places from lsn $bad: cannot be read" "$DIR/out" || fail "dump does not name the block"
expect 3 failing wal salvage "$DIR/killed" -o "$DIR/copy5" --json
true_of "j['unreadable_lsn'] == [$bad] and j['end_lsn'] == $bad and j['lost_groups'] > 0"
expect 0 "$KEEL" wal verify "$DIR/copy5"
