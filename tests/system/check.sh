#!/bin/sh
# keel check: sound stores pass, each kind of damage is named with its place, torn pages that recovery remakes are no
# damage, and nothing is changed.
. "$(dirname "$0")/common.inc"
. "$HERE/killed_log.inc"

value() { json "$DIR/out" "$1"; }
true_of() { [ "$(value "$1")" = True ] || fail "not so: $1: $(cat "$DIR/out")"; }
sums() { cksum "$1"/*; }

# killed_log has made $DIR/store and killed it: not closed, with much to redo.
sums "$DIR/store" >"$DIR/before"
expect 0 "$KEEL" check "$DIR/store" --json
true_of 'j["status"] == "sound" and not j["log"]["clean"] and j["log"]["groups"] > 0 and j["damaged"] == 0'
true_of 'j["pages"]["checked"] == j["pages"]["total"] and j["pages"]["to_be_redone"] > 0'
[ "$(sums "$DIR/store")" = "$(cat "$DIR/before")" ] || fail "check changed the store"

# spoil FILE OFFSET BYTES
spoil() { python3 -c 'import sys; f=open(sys.argv[1],"r+b"); f.seek(int(sys.argv[2])); f.write(b"\xa5"*int(sys.argv[3]))' "$@"; }

# A page whose first record behind the redo LSN is an image: torn, and made anew by recovery.
"$KEEL" wal dump "$DIR/store" >"$DIR/dump"
image=$(python3 - "$DIR/dump" "$redo" <<'END'
import re, sys
seen = set()
for line in open(sys.argv[1]):
    m = re.search(r'record lsn (\d+) type (\d).* page (\d+)', line)
    if m and int(m[1]) >= int(sys.argv[2]):
        if m[3] not in seen and m[2] == '1':
            print(m[3])
            break
        seen.add(m[3])
END
)
[ -n "$image" ] || fail "no image in the log"
cp -r "$DIR/store" "$DIR/torn"
spoil "$DIR/torn/pages.keel" $((image * 4096 + 512)) 512
expect 0 "$KEEL" check "$DIR/torn" --json
true_of 'j["pages"]["torn_and_remade"] == 1 and j["damaged"] == 0'
expect 0 "$KEEL" demo --path "$DIR/torn" --seconds 1
demo_passed

# A log that is damaged below a promise.
cp -r "$DIR/store" "$DIR/log"
damage "$DIR/log/wal.keel" $((end - 524288))
expect 3 "$KEEL" check "$DIR/log"
grep -q '^wal.keel: lsn [1-9]' "$DIR/out" || fail "the log's damage is not named: $(cat "$DIR/out")"
grep -q KEEL_ECORRUPT "$DIR/out" || fail "no verdict on the log"

# From here on a store that was closed: two pages in use, and one that is not.
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed
used=$(python3 - "$DIR/store/pages.keel" <<'END'
import sys
f = open(sys.argv[1], 'rb').read()
bits = f[32:4096]
used = [n for n in range(1, len(f) // 4096) if bits[n // 8] >> n % 8 & 1]
free = [n for n in range(1, len(f) // 4096) if not bits[n // 8] >> n % 8 & 1]
print(used[0], used[5], free[0])
END
)
one=${used%% *} free=${used##* } two=$(echo "$used" | cut -d' ' -f2)

# store NAME: a copy to spoil
store() {
	rm -rf "$DIR/$1"
	cp -r "$DIR/store" "$DIR/$1"
}
store flip
spoil "$DIR/flip/pages.keel" $((one * 4096 + 2000)) 1
spoil "$DIR/flip/pages.keel" $((two * 4096 + 40)) 1
expect 3 "$KEEL" check "$DIR/flip"
grep -Eq "^pages.keel: space 1 page $one, offset $((one * 4096)), lsn [1-9][0-9]*: checksum" "$DIR/out" ||
	fail "page $one is not named: $(cat "$DIR/out")"
[ "$(grep -c '^pages.keel:' "$DIR/out")" -eq 2 ] || fail "not two pages: $(cat "$DIR/out")"
expect 3 "$KEEL" check "$DIR/flip" --json
true_of "j['status'] == 'damaged' and [d['page'] for d in j['damage']] == [$one, $two] and j['damage'][0]['in_use']"

store misdirected
dd if="$DIR/store/pages.keel" of="$DIR/misdirected/pages.keel" bs=4096 skip="$one" seek="$two" count=1 conv=notrunc 2>/dev/null
expect 3 "$KEEL" check "$DIR/misdirected" --json
true_of "j['damage'] == [dict(j['damage'][0], page=$two, what='page number', want=$two, got=$one)]"

store lost
dd if=/dev/zero of="$DIR/lost/pages.keel" bs=4096 seek="$one" count=1 conv=notrunc 2>/dev/null
expect 3 "$KEEL" check "$DIR/lost"
grep -q "page $one, .*allocated, but never written" "$DIR/out" || fail "a lost page: $(cat "$DIR/out")"

store unused
spoil "$DIR/unused/pages.keel" $((free * 4096 + 100)) 9
expect 0 "$KEEL" check "$DIR/unused" --json
true_of 'j["pages"]["damaged_unused"] == 1 and j["damaged"] == 0 and not j["damage"][0]["in_use"]'

store map
spoil "$DIR/map/pages.keel" 64 1
expect 3 "$KEEL" check "$DIR/map"
grep -q 'space 1 page 0, .*checksum' "$DIR/out" || fail "the map: $(cat "$DIR/out")"

# Whole pages that the log never reached: a log write that got lost, or the log of an earlier day.
store future
python3 - "$DIR/future/pages.keel" "$one" <<'END'
import sys
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
with open(sys.argv[1], 'r+b') as f:
    f.seek(int(sys.argv[2]) * 4096)
    page = bytearray(f.read(4096))
    page[8:16] = (1 << 50).to_bytes(8, 'little')
    page[0:4] = crc32c(bytes(page[4:])).to_bytes(4, 'little')
    f.seek(int(sys.argv[2]) * 4096)
    f.write(page)
END
expect 3 "$KEEL" check "$DIR/future" --json
true_of "j['damage'][0]['page'] == $one and 'LSN above' in j['damage'][0]['what']"

store short
truncate -s $((4096 * 100)) "$DIR/short/pages.keel"
expect 3 "$KEEL" check "$DIR/short"
grep -q 'missing at the end' "$DIR/out" || fail "a short file: $(cat "$DIR/out")"

# Superblock copies: one bad is mended at the next open, three are damage.
store super
spoil "$DIR/super/store.keel" 4100 8
expect 0 "$KEEL" check "$DIR/super" --json
true_of 'j["superblock"]["copies_good"] == 3'
spoil "$DIR/super/store.keel" 100 8
spoil "$DIR/super/store.keel" 8300 8
expect 3 "$KEEL" check "$DIR/super"
grep -q KEEL_ESUPER "$DIR/err" || fail "superblock: $(cat "$DIR/err")"

# What cannot be looked at.
expect 1 "$KEEL" check "$DIR/nothing"
grep -q KEEL_ENOTFOUND "$DIR/err" || fail "no store: $(cat "$DIR/err")"
"$KEEL" demo --path "$DIR/busy" --seconds 30 >"$DIR/demo" 2>&1 &
demo=$!
turns=0
while ! pgrep -f "demo-worker $DIR/busy" >/dev/null && [ "$turns" -lt 200 ]; do
	sleep 0.05
	turns=$((turns + 1))
done
expect 1 "$KEEL" check "$DIR/busy"
grep -q KEEL_EINUSE "$DIR/err" || fail "a store in use: $(cat "$DIR/err")"
kill -9 "$demo"
wait "$demo" 2>/dev/null

# A page that the disk cannot read: named, and no other.
sanitized && exit 0 # a sanitizer does not let a library be preloaded
build deny_uring.c "$DIR/deny_uring"
build failing_disk.c "$DIR/failing.so" -shared -fPIC -ldl
expect 3 "$DIR/deny_uring" env LD_PRELOAD="$DIR/failing.so" FAIL_FILE=/store/pages.keel FAIL_AT=$((two * 4096)) "$KEEL" check "$DIR/store" --json
true_of "[d['page'] for d in j['damage']] == [$two] and 'cannot read' in j['damage'][0]['what']"
