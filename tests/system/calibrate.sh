#!/bin/sh
# keel calibrate: a profile with every cell in it, which can be read back; usage that would destroy. A bench takes it, and
# a store takes the one in its folder; one that is none is refused by both.
. "$(dirname "$0")/common.inc"
need python3

expect 2 "$KEEL" calibrate "$DIR"
: >"$DIR/file"
expect 2 "$KEEL" calibrate "$DIR/file" -o "$DIR/p.json"
grep -q overwrite "$DIR/err" || fail "does not name --overwrite: $(cat "$DIR/err")"
expect 1 "$KEEL" calibrate "$DIR/file" --overwrite -o "$DIR/p.json"

dd if=/dev/zero of="$DIR/file" bs=1M count=16 status=none
expect 0 "$KEEL" calibrate "$DIR/file" --overwrite --quick -o "$DIR/p.json"
[ "$(json "$DIR/p.json" 'len(j["points"]) == 32 and all(p["ops_per_s"] > 0 and p["lone_lat_ns"]["p50"] > 0 for p in j["points"])')" = True ] ||
	fail "points"
[ "$(json "$DIR/p.json" 'len(j["mixes"]) == 3 and len(j["syncs"]) == 8 and all(s["ops_per_s"] > 0 for s in j["syncs"])')" = True ] ||
	fail "mixes and syncs"
[ "$(json "$DIR/p.json" 'len(j["costs"]["points"]) == 8 and j["costs"]["sync_ns"] >= 1 and j["sustained"] is False and j["seconds"] < 300')" = True ] ||
	fail "costs"
grep -q "<polyline" "$DIR/p.json.svg" || fail "no picture"

expect 0 "$KEEL" bench read --path "$DIR/file" --profile "$DIR/p.json" --seconds 1 --depth 4 --json
[ "$(json "$DIR/out" 'j["config"]["profile"]')" = "$DIR/p.json" ] || fail "the bench does not name its profile"
expect 1 "$KEEL" bench read --path "$DIR/file" --profile "$DIR/p.json.svg" --seconds 1
expect 1 "$KEEL" bench read --path "$DIR/file" --profile "$DIR/none.json" --seconds 1
