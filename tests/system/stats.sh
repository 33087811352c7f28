#!/bin/sh
# keel stats and keel top: figures of a store that another process has open; of one that was killed; segments made to
# hurt; and the page of counters is the table's.
. "$(dirname "$0")/common.inc"
need python3 pgrep
[ -d /dev/shm ] || skip "no /dev/shm"

value() { json "$DIR/out" "$1"; }
true_of() { [ "$(value "$1")" = True ] || fail "not so: $1: $(cat "$DIR/out")"; }

"$(dirname "$KEEL")/../generators/counters_md" | diff - "$HERE/../../docs/reference/counters.md" ||
	fail "docs/reference/counters.md is not what counters_md prints"

"$KEEL" demo --path "$DIR/store" --seconds 120 >"$DIR/demo" 2>&1 &
demo=$!
turns=0
until "$KEEL" stats "$DIR/store" --json >"$DIR/out" 2>"$DIR/err" &&
	[ "$(value 'j["groups"]["store"][0]["transactions_committed"] > 0 and len(j["groups"]["context"]) > 4')" = True ]; do
	turns=$((turns + 1))
	[ "$turns" -lt 300 ] || fail "no figures of a running store: $(cat "$DIR/err")"
	sleep 0.1
done
object=$(python3 -c 'import os,sys; s=os.stat(sys.argv[1]); print("/dev/shm/keel-stats-%x-%x" % (s.st_dev, s.st_ino))' "$DIR/store/store.keel")
clean_up() { rm -rf "$DIR" "$object"; }
[ "$(stat -c %a "$object")" = 600 ] || fail "mode $(stat -c %a "$object")"
true_of 'j["alive"] and j["age_ns"] < 60e9 and j["store"].endswith("/store")'
true_of 'j["groups"]["store"][0]["state"] == 1 and j["groups"]["log"][0]["ring_bytes"] > 0'
true_of 'len({c["context"] for c in j["groups"]["context"]}) == len(j["groups"]["context"])'
true_of '[c["requests"] > 0 for c in j["groups"]["class"] if c["class"] == "WAL"] == [True] * len(j["groups"]["disk"]) != []'
true_of '[c["use"] for c in j["groups"]["context"]].count("log") == 1'
true_of 'sum(c["writes"] for c in j["groups"]["context"]) >= j["groups"]["log"][0]["writes"] > 0'

expect 0 "$KEEL" top "$DIR/store" --json --interval 500
true_of 'j["seconds"] > 0 and j["groups"]["store"][0]["transactions_committed_per_s"] > 0'
expect 0 "$KEEL" top "$DIR/store" --interval 300 --count 2
[ "$(grep -c '^store .*commits/s' "$DIR/out")" -eq 2 ] || fail "top: $(cat "$DIR/out")"
grep -q "^store *[1-9]" "$DIR/out" || fail "top shows no commits: $(cat "$DIR/out")"
grep -Eq '^WAL +[1-9]' "$DIR/out" || fail "top shows no class: $(cat "$DIR/out")"
expect 0 "$KEEL" stats "$DIR/store"
grep -q 'transactions_committed *[1-9]' "$DIR/out" || fail "stats: $(cat "$DIR/out")"

expect 0 "$KEEL" stats "$DIR/store" --prometheus
python3 - "$DIR/out" <<'END' || fail "not Prometheus' text format"
import re, sys
declared, seen, buckets = {}, set(), {}
for line in open(sys.argv[1]):
    line = line.rstrip('\n')
    if line.startswith('# HELP '):
        assert line.split(' ')[2] not in declared, line
    elif line.startswith('# TYPE '):
        _, _, name, kind = line.split(' ')
        declared[name] = kind
        assert (kind == 'counter') == name.endswith('_total'), line
        assert kind != 'histogram' or name.endswith('_seconds'), line
    else:
        m = re.fullmatch(r'([a-z_]+)\{([a-z_]+="[^"\\]*"(?:,[a-z_]+="[^"\\]*")*)\} (\d+(?:\.\d+)?)', line)
        assert m, line
        family = re.sub('_(bucket|sum|count)$', '', m[1])
        if declared.get(family) == 'histogram':
            key = (family, re.sub(',le="[^"]*"', '', m[2]))
            if m[1].endswith('_bucket'):
                assert int(m[3]) >= buckets.get(key, 0), line
                buckets[key] = int(m[3])
            elif m[1].endswith('_count'):
                assert int(m[3]) == buckets[key], line
            declared[m[1]] = 'part'
        assert m[1] in declared and (m[1], m[2]) not in seen, line
        seen.add((m[1], m[2]))
names = {name for name, _ in seen}
for name in 'keel_up', 'keel_store_open_seconds', 'keel_log_writes_total', 'keel_context_read_bytes_total', 'keel_class_exec_seconds_bucket':
    assert name in names, name
END

# Killed: the last figures are shown, and it is no success.
worker=$(pgrep -f "demo-worker $DIR/store")
kill -9 "$demo" "$worker"
wait "$demo" 2>/dev/null
turns=0
while "$KEEL" stats "$DIR/store" >"$DIR/out" 2>"$DIR/err" && [ "$turns" -lt 100 ]; do
	sleep 0.1
	turns=$((turns + 1))
done
expect 1 "$KEEL" stats "$DIR/store" --json
true_of 'not j["alive"] and j["groups"]["store"][0]["transactions_committed"] > 0'
grep -q 'left behind by process' "$DIR/err" || fail "a killed store: $(cat "$DIR/err")"
expect 1 "$KEEL" top "$DIR/store"
grep -q 'is gone' "$DIR/err" || fail "top of a killed store: $(cat "$DIR/err")"

# Segments made to hurt: never a crash, never more than a complaint, and another version is told from damage.
python3 - "$KEEL" "$DIR/store" "$object" <<'END' || fail "a hostile segment"
import os, random, struct, subprocess, sys
keel, store, name = sys.argv[1:]
good = open(name, 'rb').read()
table = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
    table.append(n)
def sealed(data):
    crc = 0xffffffff
    for byte in data[16:]:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return data[:12] + struct.pack('<I', crc ^ 0xffffffff) + data[16:]
def run(data, *options):
    # Whoever opens a store meanwhile, in another test, sweeps away what has no writer: then again.
    for _ in range(50):
        with open(name, 'wb') as f:
            f.write(data)
        r = subprocess.run([keel, 'stats', store, *options], capture_output=True, timeout=60)
        if os.path.exists(name):
            break
    assert r.returncode == 1, (r.returncode, r.stderr)
    assert all(32 <= byte < 127 or byte == 10 for byte in r.stdout + r.stderr), 'control characters'
    return r.stdout, r.stderr.decode()
def put(at, value, size=4):
    return sealed(good[:at] + value.to_bytes(size, 'little') + good[at + size:])
assert run(sealed(good))[0]
groups, columns = struct.unpack_from('<II', good, 64)
refused = [
    ('another version', good[:8] + b'\x02' + good[9:], 'version 2'),
    ('no segment', b'x' + good[1:], 'not a statistics segment'),
    ('cut short', good[:-8], 'checksum'), ('empty', b'', 'bytes'), ('huge', good + bytes(1 << 20), 'bytes'),
    ('one bit', good[:9000] + bytes([good[9000] ^ 4]) + good[9001:], 'checksum'),
    ('many groups', put(64, 1 << 31), 'tables'), ('many columns', put(68, 1 << 31), 'tables'),
    ('columns behind the end', put(352 + 32, columns), 'columns'),
    ('columns wrap', put(352 + 36, 0xffffffff), 'columns'),
    ('rows behind the end', put(352 + 40, 1000), 'rows'),
    ('room behind the end', put(352 + 44, 1 << 30), 'rows'),
    ('offset behind the end', put(352 + 48, 0xfffffff8), 'rows'),
    ('odd offset', put(352 + 48, 4097), 'rows'),
    ('a name that rings', put(352, 7, 1), 'name'),
    ('a name without end', sealed(good[:352] + b'a' * 32 + good[384:]), 'name'),
    ('a column with a quote', put(352 + 64 * groups, ord('"'), 1), 'name'),
    ('a path without end', sealed(good[:96] + b'a' * 256 + good[352:]), 'path'),
    ('a version that clears the screen', put(72, 0x1b, 1), 'text'),
]
row = struct.unpack_from('<I', good, 352 + 64 + 48)[0] # the log's, which has labels
refused += [('labels that break out', sealed(good[:row] + b'a=b"} 1\nx{c="' .ljust(96, b'\0') + good[row + 96:]), 'labels'),
            ('labels that are none', sealed(good[:row] + b'nonsense'.ljust(96, b'\0') + good[row + 96:]), 'labels'),
            ('labels without end', sealed(good[:row] + b'a=' + b'b' * 94 + good[row + 96:]), 'labels')]
for what, data, word in refused:
    out, err = run(data)
    assert not out and word in err, (what, out[:200], err)
# A newer writer with a counter that nobody knows, and one less of those that are known: passed on.
at = 352 + 64 * groups
out, err = run(sealed(good[:at] + b'a_new_counter'.ljust(32, b'\0') + good[at + 32:]), '--prometheus')
assert b'keel_store_a_new_counter' in out and b'keel_store_state' not in out
# A path that rings a bell is quoted or replaced, in every form.
evil = sealed(good[:96] + b'/tmp/\x1b[2J"\n\\'.ljust(256, b'\0') + good[352:])
run(evil, '--prometheus')
run(evil, '--json')
rng = random.Random(1)
for _ in range(150):
    data = bytearray(good)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(16, 352 + 64 * groups + 40 * columns) if rng.random() < .8 else rng.randrange(len(data))
        data[at] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
    run(sealed(bytes(data)), rng.choice(['--json', '--prometheus', '--json']))
open(name, 'wb').write(good)
END

# Somebody else's object is not believed, nor a link, nor something that is no file.
if [ "$(id -u)" -eq 0 ]; then
	chown 65534 "$object"
	chown 65533 "$DIR/store/store.keel"
	expect 1 "$KEEL" stats "$DIR/store"
	grep -q 'somebody else' "$DIR/err" || fail "somebody else's object: $(cat "$DIR/err")"
	chown 0 "$object" "$DIR/store/store.keel"
fi
mv "$object" "$DIR/kept"
ln -s "$DIR/kept" "$object"
expect 1 "$KEEL" stats "$DIR/store"
rm "$object"

# A name that is taken by what cannot be removed costs the figures, not the store.
mkdir "$object"
touch "$object/x"
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed
rm -r "$object"
# Left behind, then opened and closed again: gone.
cp "$DIR/kept" "$object"
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed
[ ! -e "$object" ] || fail "the object is still there after close"
expect 1 "$KEEL" stats "$DIR/store"
expect 1 "$KEEL" stats "$DIR/nothing"
# Left behind, and its store is gone: taken away by whoever looks around, or opens another store.
rm -r "$DIR/store"
for who in "$KEEL stats" "$KEEL demo --path $DIR/other --seconds 1"; do
	cp "$DIR/kept" "$object"
	$who >"$DIR/out" 2>"$DIR/err"
	[ ! -e "$object" ] || fail "left behind in spite of: $who"
done
expect 1 "$KEEL" top "$DIR/nothing"
