#!/bin/sh
# The peers that are other programs: what they print is understood.
. "$(dirname "$0")/common.inc"
full_speed
need python3 fio db_bench

expect 0 "$KEEL" bench commit --threads 2 --seconds 1 --rounds 2 --path "$DIR" --vs fio,rocksdb --json
for peer in 0 1; do
	[ "$(json "$DIR/out" "j['versus'][$peer]['ratio'] > 0 and j['versus'][$peer]['ops_per_s'] > 10")" = True ] ||
		fail "$(json "$DIR/out" "j['versus'][$peer]")"
	[ "$(json "$DIR/out" "j['versus'][$peer]['lat_ns']['p50'] > 1000 and j['versus'][$peer]['lat_ns']['p99'] >= j['versus'][$peer]['lat_ns']['p50']")" = True ] ||
		fail "latencies: $(json "$DIR/out" "j['versus'][$peer]")"
	[ "$(json "$DIR/out" "len(j['versus'][$peer]['rounds'])")" = 2 ] || fail "rounds"
done

expect 0 "$KEEL" bench fix --cache 16m --seconds 1 --rounds 1 --vs rocksdb --json
[ "$(json "$DIR/out" "j['versus'][0]['ratio'] > 0 or 'not installed' in j['versus'][0]['note']")" = True ] ||
	fail "$(json "$DIR/out" "j['versus'][0]")"
expect 0 "$KEEL" bench fix --cache 16m --dist zipf:0.9 --seconds 1 --rounds 1 --vs rocksdb --json
[ "$(json "$DIR/out" "j['versus'][0]['ratio'] is None and 'zipf' in j['versus'][0]['note']")" = True ] ||
	fail "$(json "$DIR/out" "j['versus'][0]")"

# Libraries are peers where they were installed when the command was built. One that was not is named with
# the package that is missing, and the others still run.
expect 0 "$KEEL" bench commit --threads 2 --seconds 1 --rounds 1 --path "$DIR" --vs wiredtiger,sqlite,lmdb,bare --json
for peer in 0 1 2; do
	[ "$(json "$DIR/out" "(lambda v: v['ops_per_s'] > 10 and v['ratio'] > 0 and 0 < v['lat_ns']['p50'] <= v['lat_ns']['p99'] <= v['lat_ns']['max'] if v['ratio'] else 'was not built: apt-get install lib' in v['note'])(j['versus'][$peer])")" = True ] ||
		fail "$(json "$DIR/out" "j['versus'][$peer]")"
done
[ "$(json "$DIR/out" "j['versus'][3]['ratio'] > 0")" = True ] || fail "bare: $(json "$DIR/out" "j['versus'][3]")"

# One that cannot work says why, and leaves no figure.
beside=$(dirname "$KEEL")
for peer in wiredtiger sqlite lmdb; do
	[ -x "$beside/keel-peer-$peer" ] || continue
	expect 2 "$beside/keel-peer-$peer" "$DIR" 0 1 128
	expect 1 "$beside/keel-peer-$peer" "$DIR/no/such/folder" 1 1 128
done

# The command alone, without its peers beside it.
mkdir "$DIR/alone"
cp "$KEEL" "$DIR/alone/keel"
expect 0 "$DIR/alone/keel" bench commit --threads 1 --seconds 1 --rounds 1 --path "$DIR" --vs sqlite,lmdb --json
[ "$(json "$DIR/out" "[(v['ratio'], 'was not built: apt-get install lib' in v['note']) for v in j['versus']] == [(None, True)] * 2")" = True ] ||
	fail "$(json "$DIR/out" "j['versus']")"
