#!/bin/sh
# The peers that are other programs: what they print is understood.
. "$(dirname "$0")/common.inc"
need python3 fio db_bench

expect 0 "$KEEL" bench commit --threads 2 --seconds 1 --rounds 2 --path "$DIR" --vs fio,rocksdb --json
for peer in 0 1; do
	[ "$(json "$DIR/out" "j['versus'][$peer]['ratio'] > 0 and j['versus'][$peer]['ops_per_s'] > 10")" = True ] ||
		fail "$(json "$DIR/out" "j['versus'][$peer]")"
	[ "$(json "$DIR/out" "j['versus'][$peer]['lat_ns']['p50'] > 1000 and j['versus'][$peer]['lat_ns']['p99'] >= j['versus'][$peer]['lat_ns']['p50']")" = True ] ||
		fail "latencies: $(json "$DIR/out" "j['versus'][$peer]")"
	[ "$(json "$DIR/out" "len(j['versus'][$peer]['rounds'])")" = 2 ] || fail "rounds"
done
