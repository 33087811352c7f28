#!/bin/sh
# keel crash replay on recordings of an engine of eight lines: clean where each acknowledged write was covered, a
# violation where it was not, a refusal where log and trace do not fit.
. "$(dirname "$0")/common.inc"
need python3 cmp
full_speed

# The blocks 1 to 40 as the engine writes them.
python3 -c 'import struct, sys
sys.stdout.buffer.write(b"".join(struct.pack("<I", n) * 1024 for n in range(1, 41)))' >"$DIR/blocks"
# As few processes as can be: it runs for every crash state.
cat >"$DIR/check" <<EOF
#!/bin/sh
# The last acknowledged block, and every one before it, must be there.
blocks=0
while read -r word number; do
	[ "\$word" != done ] || blocks=\$number
done <"\$KEEL_CRASH_MARKS"
exec cmp -s -i 4096:0 -n \$((blocks * 4096)) "\$1" "$DIR/blocks"
EOF
chmod +x "$DIR/check"

# replay STATUS KIND [TRACED]
replay() {
	status=$1 kind=$2 trace=${3-$DIR/trace}
	# shellcheck disable=SC2086 # no trace: no word
	python3 "$HERE/recording.py" "$kind" "$DIR/log" $trace || fail "recording of $kind"
	# shellcheck disable=SC2086
	expect "$status" "$KEEL" crash replay "$DIR/log" ${trace:+--trace $trace} --check "$DIR/check" \
		--states 60 --json
}

# said KIND KEY VALUE: in the JSON of the last replay.
said() {
	python3 -c 'import json, sys
report = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    report = report[key]
sys.exit(report != int(sys.argv[3]))' "$DIR/out" "$2" "$3" || fail "$1: $2 is not $3: $(cat "$DIR/out")"
}

replay 0 fua
said fua violations 0
said fua commands.fua_writes 40
replay 0 fua-in-log ''
said fua-in-log violations 0
said fua-in-log commands.fua_writes 40
replay 0 flush
said flush commands.flushes 40
replay 0 flush '' # the log alone says the same
replay 1 nothing
replay 1 early
python3 -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["violations"] < 1)' "$DIR/out" ||
	fail "early: no violation"
# The log alone hides that the flush came too early; the trace does not.
replay 0 early ''
replay 1 fua '' # a log without the trace that knows of FUA

for kind in gap hole dropped; do
	replay 1 "$kind"
	[ ! -s "$DIR/out" ] || fail "$kind was judged: $(cat "$DIR/out")"
done
grep -q buffer_size_kb "$DIR/err" || fail "dropped lines: $(cat "$DIR/err")"

# One state again, by its place: the same verdict.
replay 1 nothing
place=$(python3 -c 'import json, sys
first = json.load(open(sys.argv[1]))["first"]
print("--event", first["event"], "--mode", first["mode"], "--draw", first["draw"])' "$DIR/out")
# shellcheck disable=SC2086 # words
expect 1 "$KEEL" crash replay "$DIR/log" --trace "$DIR/trace" --check "$DIR/check" $place
grep -q '^1 crash states .* 1 violations$' "$DIR/out" || fail "one state: $(cat "$DIR/out")"

expect 1 "$KEEL" crash replay "$DIR/log" --trace "$DIR/trace"
grep -q 'give --check' "$DIR/err" || fail "no check and no store: $(cat "$DIR/err")"
expect 1 "$KEEL" crash replay "$DIR/check"
grep -q KEEL_EFORMAT "$DIR/err" || fail "not a log: $(cat "$DIR/err")"
expect 2 "$KEEL" crash replay
expect 2 "$KEEL" crash replay "$DIR/log" --mode torn-up
