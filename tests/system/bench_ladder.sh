#!/bin/sh
# keel bench ladder, map and ycsb: every rung has figures or a reason, cells are all there, records are what was written.
. "$(dirname "$0")/common.inc"
full_speed
need python3
value() { json "$DIR/out" "$1"; }
true_of() { [ "$(value "$1")" = True ] || fail "not so: $1: $(head -c 4000 "$DIR/out")"; }

expect 0 "$KEEL" bench ladder --path "$DIR" --seconds 1 --rounds 1 --data 8m --depth 16 --batch 4 --json
true_of '[r["name"] for r in j["result"]["rungs"]] == ["pread", "libaio", "io_uring", "+batch", "+fixed", "+IOPOLL", "+passthrough", "+SQPOLL"]'
true_of 'all((r["ops_per_s"] or 0) > 0 and r["lat_ns"]["p50"] > 0 if not "why_not" in r else r["ops_per_s"] is None and len(r["why_not"]) > 9 for r in j["result"]["rungs"])'
true_of '"why_not" not in j["result"]["rungs"][0] and j["result"]["rungs"][0]["calls_per_op"] == 1'
true_of 'j["result"]["ops_per_s"] > 0'
# Where there are rings: a batch of four takes fewer calls than a request at a time. A file cannot be passed through.
true_of '(lambda r: "why_not" in r[2] or r[3]["calls_per_op"] < 0.6 * r[2]["calls_per_op"])(j["result"]["rungs"])'
true_of '"why_not" in j["result"]["rungs"][6] and "/dev/nvme" in j["result"]["rungs"][6]["why_not"]'
true_of 'j["result"]["costs"]["calls"]["getppid_ns"] > 0'
true_of '(lambda c: c["calls"].get("nop_ns") is None or c["calls"]["nop_batch32_ns"] < c["calls"]["nop_ns"])(j["result"]["costs"])'
expect 0 "$KEEL" bench ladder --path "$DIR" --seconds 1 --rounds 1 --data 4m --depth 8
grep -q '^+passthrough  did not run: ' "$DIR/out" || fail "text: $(cat "$DIR/out")"

# A file that is there is read and not changed.
head -c 1048576 /dev/urandom >"$DIR/file"
sum=$(cksum <"$DIR/file")
expect 0 "$KEEL" bench ladder --path "$DIR/file" --seconds 1 --rounds 1 --depth 8 --json
true_of 'j["result"]["costs"]["links"] == {"why_not": "--path is no folder to write to"}'
[ "$(cksum <"$DIR/file")" = "$sum" ] || fail "ladder changed the file"

expect 0 "$KEEL" bench map --path "$DIR" --seconds 1 --data 16m --depth 16 --json
true_of 'len(j["result"]["map"]) == 24 and j["result"]["reads_per_s_max"] > 0 and j["result"]["write_bytes_per_s_max"] > 0'
true_of '{(c["write_percent"], c["read_percent"]) for c in j["result"]["map"]} == {(w, r) for w in (0, 25, 50, 75, 100) for r in (0, 25, 50, 75, 100)} - {(0, 0)}'
true_of 'all((c["read_lat_ns"] is None) == (c["read_percent"] == 0) for c in j["result"]["map"])'
true_of 'all((c["write_bytes_per_s"] > 0) == (c["write_percent"] > 0) for c in j["result"]["map"])'

for workload in a b c f; do
	expect 0 "$KEEL" bench ycsb --workload $workload --path "$DIR" --seconds 1 --rounds 1 --threads 3 --data 4m --cache 2m --json
	true_of 'j["result"]["ops_per_s"] > 0 and j["config"]["dist"] == "zipf:0.99" and j["result"]["read_lat_ns"]["p50"] > 0'
	true_of "(j['result']['update_lat_ns'] is None) == ('$workload' == 'c')"
done
expect 0 "$KEEL" bench ycsb --workload f --path "$DIR" --seconds 1 --rounds 1 --data 2m --vs rocksdb --json
true_of '"read-modify-write" in j["versus"][0]["note"] and j["versus"][0]["ratio"] is None'
expect 0 "$KEEL" bench ycsb --workload a --path "$DIR" --seconds 1 --rounds 1 --data 2m --vs rocksdb --json
true_of '"uniform" in j["versus"][0]["note"] and j["versus"][0]["ratio"] is None'
expect 0 "$KEEL" bench ycsb --workload a --dist uniform --path "$DIR" --seconds 1 --rounds 1 --data 2m --vs rocksdb --json
true_of 'j["config"]["dist"] == "uniform"'
true_of 'j["versus"][0]["ratio"] is None and "not installed" in j["versus"][0]["note"] or j["versus"][0]["ratio"] > 0'
leftovers=$(ls "$DIR" | grep keel-bench)
[ -z "$leftovers" ] || fail "left behind: $leftovers"
