#!/bin/sh
# keel bench mixed: every phase is there, write-back is counted, and keel report draws both pictures of it.
. "$(dirname "$0")/common.inc"
full_speed
need python3

expect 0 "$KEEL" bench mixed --seconds 1 --rounds 1 --data 64m --depth 4 --path "$DIR" --json
[ "$(json "$DIR/out" 'j["result"]["ops_per_s"] > 0 and j["result"]["idle_lat_ns"]["p50"] > 0 and j["result"]["off_lat_ns"]["p50"] > 0')" = True ] ||
	fail "no commits: $(json "$DIR/out" 'j["result"]["idle_lat_ns"]')"
[ "$(json "$DIR/out" 'j["result"]["writeback_ratio"] > 0 and j["result"]["off_writeback_ratio"] > 0')" = True ] ||
	fail "no write-back"
[ "$(json "$DIR/out" 'sorted(set(p["phase"] for p in j["result"]["series"])) == ["adaptive", "alone", "idle", "off"] and len(j["result"]["weights"]) >= 3')" = True ] ||
	fail "phases"
[ "$(json "$DIR/out" 'sorted(set(p["weight"] for p in j["result"]["series"] if p["weight"])) == [w["weight"] for w in j["result"]["weights"]]')" = True ] ||
	fail "the series does not say its weights"
cp "$DIR/out" "$DIR/mixed.json"
expect 0 "$KEEL" report "$DIR/mixed.json" -o "$DIR/mixed.html"
for word in 'over time' 'over the weight of write-back'; do
	grep -q "aria-label=\"$word\"" "$DIR/mixed.html" || fail "no picture $word"
done
