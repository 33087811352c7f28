#!/bin/sh
# The table of io_uring's interface: the documents made from it are up to date, it agrees with the
# kernel headers that are there, it is missed when an operation is missing from it, and keel probe speaks from it.
. "$(dirname "$0")/common.inc"
need python3 "${CC:-cc}"
ROOT=$(cd "$HERE/../.." && pwd)

expect 0 python3 "$ROOT/tools/operations.py" --check
expect 0 python3 "$ROOT/tests/surface/compare.py"
cat "$DIR/out"

# A table without an operation, a flag, a member or with a wrong value is not accepted.
refused() { # what, file, sed script, words of the complaint
	rm -rf "$DIR/table"
	cp -r "$ROOT/tools/surface" "$DIR/table"
	sed "$3" "$ROOT/tools/surface/$2" >"$DIR/table/$2"
	cmp -s "$DIR/table/$2" "$ROOT/tools/surface/$2" && fail "$1: nothing was changed"
	expect 1 python3 "$ROOT/tests/surface/compare.py" --table "$DIR/table"
	grep -q "$4" "$DIR/out" || fail "$1: no word of it: $(cat "$DIR/out")"
}
refused "an operation is missing" operations.def '/^SURFACE_OP(LINKAT,/,/")$/d' \
	'IORING_OP_LINKAT = 39 is not in the table'
refused "a flag is missing" flags.def '/^SURFACE_FLAG(SETUP, IORING_SETUP_CLAMP,/,/")$/d' \
	'IORING_SETUP_CLAMP = 16 is not in the table'
refused "a value is wrong" flags.def 's/IORING_SETUP_CLAMP, 0x10,/IORING_SETUP_CLAMP, 0x20,/' \
	'IORING_SETUP_CLAMP is 16, in the table 32'
refused "a first kernel is wrong" operations.def 's/^SURFACE_OP(FTRUNCATE, 55, "6.9"/SURFACE_OP(FTRUNCATE, 55, "6.13"/' \
	'FTRUNCATE is of 6.13'

# The command and the file say the same; nothing that the kernel has and the file knows is denied.
"$KEEL" probe "$DIR" --json >"$DIR/probe" || fail "probe"
python3 "$ROOT/tests/surface/probe.py" "$DIR/probe" "$ROOT/docs/operations.json" || fail "probe and file"

# That comparison notices a kernel that lacks something, has something newer, and another first kernel in the file.
missed() { # what, sed script for the answer, words of the complaint
	sed "$2" "$DIR/probe" >"$DIR/wrong"
	cmp -s "$DIR/wrong" "$DIR/probe" && fail "$1: nothing was changed"
	expect 1 python3 "$ROOT/tests/surface/probe.py" --exact "$DIR/wrong" "$ROOT/docs/operations.json"
	grep -q "$3" "$DIR/out" || fail "$1: no word of it: $(cat "$DIR/out")"
}
missed "an operation is missing" '/"name": "IORING_OP_FSYNC"/,/}/s/"supported": true/"supported": false/' \
	'IORING_OP_FSYNC is of 5.1 and missing'
missed "an older release" 's/"release": "[0-9]*\.[0-9]*/"release": "5.6/' 'has, although newer: .*IORING_OP_TEE'
missed "another first kernel" '/"name": "IORING_OP_FSYNC"/,/}/s/"min_kernel": "5.1"/"min_kernel": "5.2"/' \
	'the command and the file differ'

# Where it is forbidden, the cause and the remedy.
build deny_uring.c "$DIR/deny_uring"
expect 0 "$DIR/deny_uring" "$KEEL" probe "$DIR"
grep -q 'blocked *io_uring_setup: a seccomp filter.*; allow io_uring_setup' "$DIR/out" ||
	fail "seccomp: $(grep blocked "$DIR/out")"
expect 0 "$DIR/deny_uring" "$KEEL" probe "$DIR" --json
[ "$(json "$DIR/out" 'len(j["kernel"]["io_uring"]["blocked"])')" = 1 ] || fail "blocked in JSON"
[ "$(json "$DIR/out" 'all(o["supported"] is None for o in j["kernel"]["operations"])')" = True ] ||
	fail "says more than it can know"

if command -v prlimit >/dev/null 2>&1 && command -v setpriv >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
	expect 0 prlimit --memlock=65536:65536 setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock \
		"$KEEL" probe "$DIR"
	grep -q 'blocked *locked memory: RLIMIT_MEMLOCK is 64 KiB.*; raise ulimit -l' "$DIR/out" ||
		fail "memlock: $(cat "$DIR/out")"
else
	echo "locked memory: not tried (wants root, prlimit and setpriv)"
fi
