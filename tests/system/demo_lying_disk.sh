#!/bin/sh
# The demo can fail: on a disk that drops log writes after a while, or page writes, acknowledged
# transactions are lost, and it says so.
. "$(dirname "$0")/common.inc"
sanitized && skip "a sanitizer does not let a library be preloaded"
build deny_uring.c "$DIR/deny_uring"
build lying_disk.c "$DIR/lying.so" -shared -fPIC -ldl

# demo FILE AFTER SECONDS: on a disk that lies.
demo() {
	status=0
	"$DIR/deny_uring" env LD_PRELOAD="$DIR/lying.so" LIE_FILE="$1" LIE_AFTER="$2" \
		"$KEEL" demo --path "$DIR/store" --seconds "$3" >"$DIR/out" 2>"$DIR/err" || status=$?
}

# caught FILE: the demo has said that transactions are lost.
caught() {
	[ "$status" -eq 1 ] || fail "$1: exit $status instead of 1: $(cat "$DIR/err" "$DIR/out")"
	tail -n 1 "$DIR/out" |
		grep -Eqx 'verified [1-9][0-9]* transactions: [1-9][0-9]* lost, [0-9]+ invented' ||
		fail "$1: last line: $(tail -n 1 "$DIR/out")"
	grep -h '^wrong' "$DIR/out"
	tail -n 1 "$DIR/out"
}

demo /wal.keel 200 2
caught /wal.keel

# Lost page writes matter once a checkpoint has let go of the log that could replace them: how long that takes is the
# disk's affair. The store is made on a true disk; from then on no page is written.
for seconds in 6 12 24 48; do
	rm -rf "$DIR/store"
	expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
	demo /pages.keel 0 "$seconds"
	[ "$status" -eq 0 ] || break
done
caught /pages.keel
