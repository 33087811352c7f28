#!/bin/sh
# Bad usage: exit 2 and one line on stderr that says what is wrong and what to do. Bad stores: exit 1 and one line
# with the error's name.
. "$(dirname "$0")/common.inc"

bad() {
	expect 2 "$@"
	[ "$(wc -l <"$DIR/err")" -eq 1 ] || fail "not one line on stderr: $*: $(cat "$DIR/err")"
	[ ! -s "$DIR/out" ] || fail "output on stdout: $*"
}

bad "$KEEL"
bad "$KEEL" sail
bad "$KEEL" demo --seconds
bad "$KEEL" demo --seconds five
bad "$KEEL" demo --seconds 0
bad "$KEEL" demo --writers 100000
bad "$KEEL" demo --nonsense
bad "$KEEL" demo something
bad "$KEEL" demo --path ''
bad "$KEEL" demo-worker
bad "$KEEL" probe "$DIR/nothing"
bad "$KEEL" probe one two
bad "$KEEL" wal
bad "$KEEL" wal burn "$DIR"
bad "$KEEL" wal dump
bad "$KEEL" wal verify one two
bad "$KEEL" wal stat
bad "$KEEL" wal salvage log
bad "$KEEL" wal verify log -o copy
bad "$KEEL" wal copy log
bad "$KEEL" wal resize log
bad "$KEEL" wal resize log --size large
bad "$KEEL" wal resize log --size 0
bad "$KEEL" wal dump log --size 1MiB
bad "$KEEL" check
bad "$KEEL" check one two
bad "$KEEL" check --mend "$DIR"
bad "$KEEL" stats one two
bad "$KEEL" stats --json --prometheus
bad "$KEEL" top --interval 1
bad "$KEEL" top --count 0
bad "$KEEL" crash
bad "$KEEL" crash hope
bad "$KEEL" crash sim --mode 4
bad "$KEEL" crash sim --jobs 0
bad "$KEEL" crash kill --load true
bad "$KEEL" crash kill --min 10 --max 5
bad "$KEEL" crash witness
bad "$KEEL" crash witness spy
bad "$KEEL" crash witness load --to nowhere
bad "$KEEL" crash witness serve --listen 5
bad "$KEEL" report
bad "$KEEL" report "$DIR/x.json"
bad "$KEEL" bench
bad "$KEEL" bench everything
bad "$KEEL" bench commit --threads 0
bad "$KEEL" bench commit --record many
bad "$KEEL" bench commit --sync hope
bad "$KEEL" bench commit --method magic
bad "$KEEL" bench commit --vs fio,nobody
bad "$KEEL" bench ladder --threads 2
bad "$KEEL" bench ycsb --workload e
bad "$KEEL" bench ycsb --record 5
bad "$KEEL" bench ycsb --record 5000
bad "$KEEL" bench map --vs fio
bad "$KEEL" bench commit --path "$DIR/nothing"
bad "$KEEL" crash
bad "$KEEL" crash bang
bad "$KEEL" crash replay
bad "$KEEL" crash replay log --states 0

for command in "" demo probe wal check top stats report bench "bench commit" crash "crash sim" "crash kill" "crash replay" "crash witness" "crash witness load"; do
	# word splitting is meant
	# shellcheck disable=SC2086
	expect 0 "$KEEL" $command --help
	grep -q '^Usage: keel' "$DIR/out" || fail "keel $command --help"
done
expect 0 "$KEEL" --version
grep -Eqx 'keel [0-9]+\.[0-9]+\.[0-9]+' "$DIR/out" || fail "--version"

mkdir "$DIR/full"
touch "$DIR/full/letter.txt"
expect 1 "$KEEL" demo --path "$DIR/full"
grep -q 'KEEL_ENOTEMPTY: .*;' "$DIR/err" || fail "folder with other things: $(cat "$DIR/err")"
[ "$(wc -l <"$DIR/err")" -eq 1 ] || fail "more than one line on stderr"
[ "$(ls "$DIR/full")" = letter.txt ] || fail "the folder was changed"

# A file of somebody else's is no device for a store, and stays as it is.
dd if=/dev/urandom of="$DIR/other" bs=1M count=128 2>/dev/null
before=$(cksum <"$DIR/other")
expect 1 "$KEEL" demo --path "$DIR/other"
[ "$(cksum <"$DIR/other")" = "$before" ] || fail "demo changed a file that is not its own"
grep -q 'other' "$DIR/err" || fail "the file is not named: $(cat "$DIR/err")"
