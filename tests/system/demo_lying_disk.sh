#!/bin/sh
# The demo can fail: on a disk that drops log writes after a while, or page writes, acknowledged
# transactions are lost, and it says so.
. "$(dirname "$0")/common.inc"
ldd "$KEEL" | grep -q 'lib[at]san' && skip "a sanitizer does not let a library be preloaded"
build deny_uring.c "$DIR/deny_uring"
build lying_disk.c "$DIR/lying.so" -shared -fPIC -ldl

# lies FILE AFTER SECONDS
lies() {
	expect 1 "$DIR/deny_uring" env LD_PRELOAD="$DIR/lying.so" LIE_FILE="$1" LIE_AFTER="$2" \
		"$KEEL" demo --path "$DIR/store$2" --seconds "$3"
	tail -n 1 "$DIR/out" |
		grep -Eqx 'verified [1-9][0-9]* transactions: [1-9][0-9]* lost, [0-9]+ invented' ||
		fail "$1: last line: $(tail -n 1 "$DIR/out")"
	grep -h '^wrong' "$DIR/out"
	tail -n 1 "$DIR/out"
}

lies /wal.keel 200 2
lies /pages.keel 20 6
