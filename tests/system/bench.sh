#!/bin/sh
# keel bench commit: the JSON that scripts rely on, peers run in turn, and a missing peer is named.
. "$(dirname "$0")/common.inc"
need python3

expect 0 "$KEEL" bench commit --threads 4 --seconds 1 --path "$DIR" --vs bare --rounds 1 --json
[ "$(json "$DIR/out" 'sorted(set(["job","config","machine","path","result","versus"]) - set(j))')" = '[]' ] ||
	fail "keys"
[ "$(json "$DIR/out" 'sorted(set(["method","iopoll","fixed_buffers","fixed_files","setup_flags","sync_method","sched"]) - set(j["path"]))')" = '[]' ] ||
	fail "keys of path"
[ "$(json "$DIR/out" 'sorted(set(["ops_per_s","bytes_per_s","lat_ns","cpu_ns_per_op","per_op"]) - set(j["result"]))')" = '[]' ] ||
	fail "keys of result"
[ "$(json "$DIR/out" 'sorted(set(["enters","device_reads","device_writes","flushes","allocations","submitted_writes"]) - set(j["result"]["per_op"]))')" = '[]' ] ||
	fail "keys of per_op"
[ "$(json "$DIR/out" 'j["result"]["ops_per_s"] > 0 and j["result"]["lat_ns"]["p50"] > 0')" = True ] ||
	fail "no commits"
[ "$(json "$DIR/out" 'j["versus"][0]["name"] == "bare" and j["versus"][0]["ratio"] > 0')" = True ] ||
	fail "no ratio to bare: $(json "$DIR/out" 'j["versus"]')"
[ "$(json "$DIR/out" 'j["result"]["per_op"]["allocations"] in (None, 0)')" = True ] ||
	fail "allocations: $(json "$DIR/out" 'j["result"]["per_op"]["allocations"]')"
for level in written none; do
	expect 0 "$KEEL" bench commit --threads 2 --seconds 1 --rounds 1 --path "$DIR" --durability $level --json
	[ "$(json "$DIR/out" 'j["config"]["durability"] == "'$level'" and j["result"]["ops_per_s"] > 0')" = True ] ||
		fail "durability $level: $(json "$DIR/out" 'j["result"]')"
done
expect 2 "$KEEL" bench commit --durability sometimes --path "$DIR"
leftovers=$(ls "$DIR" | grep keel-bench)
[ -z "$leftovers" ] || fail "left behind: $leftovers"

# Nor is anything where it is killed: the end of the pipe is that of bench and of who sweeps up behind it.
mkdir "$DIR/swept"
mkfifo "$DIR/ended"
"$KEEL" bench write --seconds 60 --rounds 1 --data 16m --path "$DIR/swept" >"$DIR/out" 2>&1 9>"$DIR/ended" &
writer=$!
cat "$DIR/ended" &
ended=$!
turns=0
until [ -s "$(echo "$DIR"/swept/keel-bench-*/data)" ] || [ "$turns" -gt 200 ]; do
	turns=$((turns + 1))
	sleep 0.05
done
[ "$turns" -le 200 ] || fail "bench did not begin: $(cat "$DIR/out")"
kill -KILL "$writer"
wait "$ended"
[ -z "$(ls "$DIR/swept")" ] || fail "left behind by one that was killed: $(ls "$DIR/swept")"

# A search path on which no peer is found.
mkdir "$DIR/empty"
expect 0 env PATH="$DIR/empty" "$KEEL" bench commit --threads 1 --seconds 1 --rounds 1 --path "$DIR" --vs fio,rocksdb --json
[ "$(json "$DIR/out" '[v["ratio"] for v in j["versus"]] == [None, None] and all("not installed" in v["note"] for v in j["versus"])')" = True ] ||
	fail "missing peers are not named: $(json "$DIR/out" 'j["versus"]')"

# No-ops, reads and writes, beside peers where they are to be had.
expect 0 "$KEEL" bench nop --seconds 1 --rounds 1 --path "$DIR" --json
[ "$(json "$DIR/out" 'j["result"]["ops_per_s"] > 0 and j["result"]["per_op"]["enters"] < 0.5')" = True ] ||
	fail "no-ops: $(json "$DIR/out" 'j["result"]')"
for job in read write; do
	expect 0 "$KEEL" bench $job --seconds 1 --rounds 1 --data 16m --depth 8 --threads 2 --path "$DIR" --vs fio --json
	[ "$(json "$DIR/out" 'abs(j["result"]["bytes_per_s"] / j["result"]["ops_per_s"] - 4096) < 0.01 and j["result"]["lat_ns"]["p50"] > 0')" = True ] ||
		fail "$job: $(json "$DIR/out" 'j["result"]')"
	[ "$(json "$DIR/out" 'j["versus"][0]["ratio"] is None and "not installed" in j["versus"][0]["note"] or j["versus"][0]["ratio"] > 0')" = True ] ||
		fail "$job: $(json "$DIR/out" 'j["versus"]')"
done

# The log alone: what was acknowledged before a kill is read back; a log that was left is scanned.
expect 0 "$KEEL" bench acommit --seconds 1 --rounds 1 --log 64m --path "$DIR" --vs fio --json
[ "$(json "$DIR/out" 'j["result"]["ops_per_s"] > 0 and j["result"]["verified"] > 0 and j["result"]["padding_share"] < 0.5')" = True ] ||
	fail "acommit: $(json "$DIR/out" 'j["result"]')"
expect 0 "$KEEL" bench recover --seconds 1 --rounds 2 --data 16m --path "$DIR" --json
[ "$(json "$DIR/out" 'j["result"]["ops_per_s"] > 0 and j["result"]["replay_payload_bytes"] > 14 << 20 and j["result"]["clean_open_ns"] > 0')" = True ] ||
	fail "recover: $(json "$DIR/out" 'j["result"]')"
# Past the cache, and all of it in the cache, where no look-up ever waits.
for data in 64m 4m; do
	expect 0 "$KEEL" bench lookup --seconds 1 --rounds 1 --cache 8m --data $data --path "$DIR" --json
	[ "$(json "$DIR/out" "j['result']['ops_per_s'] > 0 and (j['result']['reads_per_lookup'] > 0.5) == ('$data' == '64m')")" = True ] ||
		fail "lookup: $(json "$DIR/out" 'j["result"]')"
done
expect 0 "$KEEL" bench append --seconds 1 --threads 2 --path "$DIR" --json
[ "$(json "$DIR/out" 'j["result"]["append_ns"] > 0 and j["result"]["per_op"]["allocations"] in (None, 0)')" = True ] ||
	fail "append: $(json "$DIR/out" 'j["result"]')"
expect 0 "$KEEL" bench sync --seconds 1 --path "$DIR" --json
[ "$(json "$DIR/out" 'sorted(set(m["name"] for m in j["result"]["methods"])) == ["dsync","fdatasync","flush","link","none","pwritev2"]')" = True ] ||
	fail "sync: $(json "$DIR/out" 'j["result"]')"
[ "$(json "$DIR/out" 'all(m["ops_per_s"] > 0 and m["lat_ns"]["p99"] > 0 for m in j["result"]["methods"])')" = True ] ||
	fail "sync: $(json "$DIR/out" 'j["result"]')"
