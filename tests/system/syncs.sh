#!/bin/sh
# A commit reaches the medium: with one writer each commit makes the disk flush its cache at least once,
# for every sync method, over io_uring and without it. A build that never syncs fails here.
#
# On a disk of its own (a loop device), so that the count is keel's alone. The measure is checked
# too: on a disk that says it has no volatile cache the same commits make no flush. Where no such
# disk can be made, system calls of the sync method are counted instead.
. "$(dirname "$0")/common.inc"
need python3

calls_only() {
	command -v strace >/dev/null 2>&1 || skip "$1; and strace is not installed"
	echo "$1; counting system calls instead"
	"$KEEL" bench commit --threads 1 --seconds 1 --path "$DIR" --method sync --sync flush --json >"$DIR/out" ||
		fail "bench"
	strace -f -qq -e trace=fdatasync,pwritev2 -o "$DIR/trace" \
		"$KEEL" bench commit --threads 1 --seconds 1 --path "$DIR" --method sync --sync flush --json >"$DIR/out" ||
		fail "bench under strace"
	syncs=$(grep -Ec 'fdatasync\(|RWF_DSYNC' "$DIR/trace")
	commits=$(json "$DIR/out" 'j["result"]["ops"]')
	echo "$commits commits, $syncs syncs"
	[ "$syncs" -ge "$commits" ] || fail "fewer syncs than commits"
	exit 0
}

[ "$(id -u)" -eq 0 ] || calls_only "not root, no loop device to be had"
for program in losetup mkfs.ext4 mount umount; do
	command -v "$program" >/dev/null 2>&1 || calls_only "$program is not installed"
done
head -c 805306368 /dev/zero >"$DIR/image"
LOOP=$(losetup --find --show "$DIR/image" 2>"$DIR/err") || calls_only "no loop device: $(cat "$DIR/err")"
QUEUE=/sys/block/$(basename "$LOOP")/queue
clean_up() {
	umount "$DIR/mount" 2>/dev/null
	echo "write back" >"$QUEUE/write_cache" 2>/dev/null # it outlives the loop device
	losetup -d "$LOOP"
	rm -rf "$DIR"
}
echo "write back" >"$QUEUE/write_cache" 2>/dev/null
mkfs.ext4 -q "$LOOP" || fail "mkfs"
mkdir "$DIR/mount"
mount "$LOOP" "$DIR/mount" 2>"$DIR/err" || calls_only "no mount: $(cat "$DIR/err")"

# flushes METHOD SYNC: per commit.
flushes() {
	"$KEEL" bench commit --threads 1 --seconds 2 --path "$DIR/mount" --log 64m --method "$1" --sync "$2" --json >"$DIR/out" 2>"$DIR/err" ||
		fail "bench --method $1 --sync $2: $(cat "$DIR/err")"
	json "$DIR/out" 'j["result"]["per_op"]["flushes"]'
}

[ "$(cat "$QUEUE/write_cache")" = "write back" ] || calls_only "the loop device has no volatile cache"
"$KEEL" probe "$DIR/mount" --json >"$DIR/out" || fail "probe"
methods=sync
[ "$(json "$DIR/out" 'j["path"]["method"]')" = uring ] && methods="uring sync"
for method in $methods; do
	for sync in dsync link flush auto; do
		count=$(flushes "$method" "$sync") || exit 1
		echo "$method $sync: $count flushes per commit"
		[ "$(python3 -c "print($count >= 0.99)")" = True ] || fail "commits without a flush"
	done
done

if echo "write through" >"$QUEUE/write_cache" 2>/dev/null; then
	count=$(flushes sync flush) || exit 1
	echo "without a volatile cache: $count flushes per commit"
	[ "$(python3 -c "print($count < 0.01)")" = True ] || fail "the measure does not measure"
fi
