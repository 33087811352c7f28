#!/bin/sh
# keel check and keel wal on a store that lies on one device, here a file: as on a folder, through parts of it.
. "$(dirname "$0")/common.inc"
need python3 pgrep

disk=$DIR/disk
value() { json "$DIR/out" "$1"; }
true_of() { [ "$(value "$1")" = True ] || fail "not so: $1: $(cat "$DIR/out")"; }
# at OFFSET HEX COUNT: so many bytes of this value into a copy of the disk, $DIR/spoilt.
at() {
	cp "$disk" "$DIR/spoilt"
	python3 -c 'import sys; f=open(sys.argv[1],"r+b"); f.seek(int(sys.argv[2])); f.write(bytes.fromhex(sys.argv[3])*int(sys.argv[4]))' "$DIR/spoilt" "$@"
}

truncate -s 256M "$disk"
expect 1 "$KEEL" check "$disk"
grep -q KEEL_EFORMAT "$DIR/err" || fail "an empty device: $(cat "$DIR/err")"
expect 1 "$KEEL" wal dump "$disk"
expect 4 "$KEEL" wal verify "$disk"

expect 0 "$KEEL" demo --path "$disk" --overwrite --seconds 1
demo_passed
expect 0 "$KEEL" wal verify "$disk" --json
true_of 'j["clean"] and j["exit"] == 0'

# Killed, and looked at: nothing is changed, and what there is to redo is seen.
"$KEEL" demo --path "$disk" --seconds 60 >/dev/null 2>&1 &
demo=$!
sleep 2
worker=$(pgrep -f "demo-worker $disk")
kill -9 "$demo" $worker
wait "$demo" 2>/dev/null
sleep 0.5 # the kernel takes its rings down
sum=$(cksum <"$disk")
expect 0 "$KEEL" check "$disk" --json
true_of 'j["status"] == "sound" and not j["log"]["clean"] and j["log"]["groups"] > 0 and j["damaged"] == 0'
true_of 'j["pages"]["checked"] == j["pages"]["total"] > 0'
"$KEEL" wal verify "$disk" --json >"$DIR/out"
[ $? -le 1 ] || fail "verify: $(cat "$DIR/out")"
true_of 'not j["clean"] and j["end_lsn"] > j["redo_lsn"]'
log_bytes=$(value 'j["ring_bytes"] + 16384')
end=$(value 'j["end_lsn"]')
expect 0 "$KEEL" wal dump "$disk"
grep -q 'record .*type .* page ' "$DIR/out" || fail "dump does not know the engine's records"
expect 0 "$KEEL" wal stat "$disk" --json
true_of "j[\"end_lsn\"] == $end"
expect 0 "$KEEL" wal salvage "$disk" -o "$DIR/copy"
"$KEEL" wal verify "$DIR/copy" --json >"$DIR/out"
true_of "$end <= j[\"end_lsn\"]"
[ "$(cksum <"$disk")" = "$sum" ] || fail "looking changed the device"

# The superblock: a store without one is damaged, and its log can be saved all the same.
at 0 00 12288
expect 3 "$KEEL" check "$DIR/spoilt"
grep -q KEEL_ESUPER "$DIR/err" || fail "no superblock: $(cat "$DIR/err")"
expect 3 "$KEEL" wal verify "$DIR/spoilt"
rm -f "$DIR/copy"
expect 0 "$KEEL" wal salvage "$DIR/spoilt" -o "$DIR/copy"
"$KEEL" wal verify "$DIR/copy" --json >"$DIR/out"
true_of "$end <= j[\"end_lsn\"]"
# A creation that was cut: what the superblock says was there before, and is rubbish.
cp "$disk" "$DIR/spoilt"
python3 - "$DIR/spoilt" <<'END'
import struct, sys
block = bytearray(4096)
block[:8] = struct.pack('<Q', 0x6d69616c436c656b)
crc = 0xffffffff
for byte in block:
    crc ^= byte
    for _ in range(8):
        crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
block[8:12] = struct.pack('<I', crc ^ 0xffffffff)
with open(sys.argv[1], 'r+b') as f:
    f.seek(4 * 4096)
    f.write(block)
END
expect 1 "$KEEL" check "$DIR/spoilt"
grep -q KEEL_EFORMAT "$DIR/err" || fail "a claim: $(cat "$DIR/err")"
expect 4 "$KEEL" wal verify "$DIR/spoilt"
# Cut off: the superblock promises more than there is.
head -c 33554432 "$disk" >"$DIR/spoilt"
expect 1 "$KEEL" check "$DIR/spoilt"
grep -q KEEL_EFORMAT "$DIR/err" || fail "cut off: $(cat "$DIR/err")"

expect 0 "$KEEL" demo --path "$disk" --seconds 1
demo_passed
expect 0 "$KEEL" check "$disk"
# A page in use that nothing will redo: the map itself, behind the log.
at $(((1048576 + log_bytes + 1048575) / 1048576 * 1048576 + 100)) a5 64
expect 3 "$KEEL" check "$DIR/spoilt"
grep -q '^pages.keel: .*page 0' "$DIR/out" || fail "a damaged page: $(cat "$DIR/out")"
