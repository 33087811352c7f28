#!/bin/sh
# The JSON of keel wal dump, verify, stat and salvage, of a log that was killed, one with a torn tail, one that
# is damaged below a promise and one that was closed: the fields, their types, and that the four agree.
. "$(dirname "$0")/common.inc"
. "$HERE/killed_log.inc"

# four NAME STATUS: of the log of that name, whose verify and salvage end so.
four() {
	"$KEEL" wal verify "$DIR/$1" --json >"$DIR/verify.json"
	got=$?
	[ "$got" -eq "$2" ] || fail "verify of $1: exit $got instead of $2"
	"$KEEL" wal stat "$DIR/$1" --json >"$DIR/stat.json" || fail "stat of $1"
	"$KEEL" wal dump "$DIR/$1" --json >"$DIR/dump.json" || fail "dump of $1"
	"$KEEL" wal salvage "$DIR/$1" -o "$DIR/$1.copy" --json >"$DIR/salvage.json"
	got=$?
	[ "$2" -eq 3 ] && want=3 || want=0
	[ "$got" -eq "$want" ] || fail "salvage of $1: exit $got instead of $want"
	python3 "$HERE/wal_json.py" "$DIR/verify.json" "$DIR/stat.json" "$DIR/dump.json" "$DIR/salvage.json" >"$DIR/wrong" ||
		fail "$1: $(cat "$DIR/wrong")"
}

four killed "$(log exit)"
cp "$DIR/killed" "$DIR/torn"
damage "$DIR/torn" $((end - 1))
four torn 1
cp "$DIR/killed" "$DIR/corrupt"
damage "$DIR/corrupt" $((end - 524288))
four corrupt 3
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
cp "$DIR/store/wal.keel" "$DIR/closed"
four closed 0

# The check itself: a field that is missing, and a figure that does not agree, are seen.
sed 's/"inflight_bytes"/"inflight"/' "$DIR/verify.json" >"$DIR/bent.json"
expect 1 python3 "$HERE/wal_json.py" "$DIR/bent.json" "$DIR/stat.json" "$DIR/dump.json"
python3 - "$DIR/stat.json" >"$DIR/bent.json" <<'END'
import json, sys
j = json.load(open(sys.argv[1]))
j['redo_lsn'] += 4096
print(json.dumps(j))
END
expect 1 python3 "$HERE/wal_json.py" "$DIR/verify.json" "$DIR/bent.json" "$DIR/dump.json"
