#!/bin/sh
# keel crash witness: what the witness was told is there after everything was killed; an older store is caught; a
# witness that goes away or hosts that talk nonsense are told.
. "$(dirname "$0")/common.inc"
need python3 pgrep

[ "$("$KEEL" probe "$DIR" --json 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["path"]["method"])' 2>/dev/null)" = sync ] &&
	skip "no io_uring here"

# serve: a witness at a free port, its number in $port.
serve() {
	"$KEEL" crash witness serve --listen 127.0.0.1:0 >"$DIR/serve" 2>&1 &
	witness=$!
	turns=0
	until port=$(sed -n 's/^listening on port //p' "$DIR/serve") && [ -n "$port" ]; do
		turns=$((turns + 1))
		[ "$turns" -lt 100 ] || fail "no witness: $(cat "$DIR/serve")"
		sleep 0.1
	done
}
serve
expect 0 "$KEEL" crash witness load --path "$DIR/store" --to "127.0.0.1:$port" --writers 3 --seconds 1
cp -r "$DIR/store" "$DIR/older"

# Everything on the host dies in the middle; the witness lives.
"$KEEL" crash witness load --path "$DIR/store" --to "127.0.0.1:$port" --writers 3 --seconds 60 >"$DIR/load" 2>&1 &
load=$!
turns=0
until pgrep -f "demo-worker $DIR/store" >/dev/null; do
	turns=$((turns + 1))
	[ "$turns" -lt 200 ] || fail "no worker: $(cat "$DIR/load")"
	sleep 0.05
done
sleep 1.5
kill -9 "$load" $(pgrep -f "demo-worker $DIR/store")
wait "$load" 2>/dev/null
expect 0 "$KEEL" crash witness check --path "$DIR/store" --to "127.0.0.1:$port" --json
[ "$(json "$DIR/out" 'j["ok"] and j["verified"] > 0 and j["lost"] == 0 and j["invented"] == 0')" = True ] || fail "check: $(cat "$DIR/out")"
expect 0 "$KEEL" crash witness check --path "$DIR/store" --to "127.0.0.1:$port"
demo_passed

# The store as it was before: what was acknowledged since is lost, and a load on it is refused.
expect 1 "$KEEL" crash witness check --path "$DIR/older" --to "127.0.0.1:$port"
tail -n 1 "$DIR/out" | grep -Eqx 'verified [1-9][0-9]* transactions: [1-9][0-9]* lost, 0 invented' || fail "an older store: $(cat "$DIR/out")"
expect 1 "$KEEL" crash witness load --path "$DIR/older" --to "127.0.0.1:$port" --writers 3 --seconds 1
grep -q 'the witness knows' "$DIR/err" || fail "a load on an older store: $(cat "$DIR/err")"

# Nonsense is cut off, half a frame is waited for, and the witness goes on.
python3 - "$port" <<'END' || fail "nonsense"
import socket, struct, sys
def talk(data):
    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=20)
    s.sendall(data)
    return s
def frame(kind, writer=0, number=0):
    return struct.pack('<IHHIIQQ', 0x74776b6b, 1, kind, writer, 0, number, 0)
for data in (b'x' * 64, frame(2, 0, 5), frame(1, 0, 0), frame(1, 0, 7) + frame(9), frame(1, 0, 7) + frame(2, 1 << 31, 1),
             frame(1, 0, 7) + frame(1, 0, 8)):
    try:
        assert talk(data).recv(100) == b'', data
    except ConnectionResetError:
        pass
half = talk(frame(1, 0, 7) + frame(2, 3, 5)[:10])
half.sendall(frame(2, 3, 5)[10:] + frame(3))
got = b''
while len(got) < 32 or got[-26:-24] != b'\x06\x00':
    more = half.recv(4096)
    assert more, got
    got += more
assert frame(5, 3, 5) in got, got
idle = [talk(b'') for _ in range(15)]
END
expect 0 "$KEEL" crash witness check --path "$DIR/store" --to "127.0.0.1:$port"

# The witness goes away in the middle.
"$KEEL" crash witness load --path "$DIR/store" --to "127.0.0.1:$port" --writers 2 --seconds 60 >"$DIR/load" 2>&1 &
load=$!
turns=0
until pgrep -f "demo-worker $DIR/store" >/dev/null || [ "$turns" -gt 200 ]; do
	turns=$((turns + 1))
	sleep 0.05
done
sleep 0.5
kill -TERM "$witness"
wait "$witness" || fail "the witness: $(cat "$DIR/serve")"
grep -Eq '^store [0-9a-f]{16}: [1-9][0-9]* transactions' "$DIR/serve" || fail "what it knows: $(cat "$DIR/serve")"
wait "$load"
status=$?
[ "$status" -eq 1 ] || fail "a load without its witness: exit $status"
grep -q 'the witness is gone' "$DIR/load" || fail "says: $(cat "$DIR/load")"
expect 1 "$KEEL" crash witness check --path "$DIR/store" --to "127.0.0.1:$port"
grep -q 'serve running there' "$DIR/err" || fail "no witness: $(cat "$DIR/err")"

# A witness that knows nothing proves nothing.
serve
expect 1 "$KEEL" crash witness check --path "$DIR/store" --to "127.0.0.1:$port"
kill -TERM "$witness"
wait "$witness"
