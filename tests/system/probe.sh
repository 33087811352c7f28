#!/bin/sh
# keel probe: readable, parseable, and leaves nothing behind.
. "$(dirname "$0")/common.inc"

mkdir "$DIR/here"
expect 0 "$KEEL" probe "$DIR/here"
for word in kernel io_uring 'volatile cache' method polling 'sync method'; do
	grep -q "$word" "$DIR/out" || fail "says nothing of: $word"
done
[ -z "$(ls -A "$DIR/here")" ] || fail "left something behind"

need python3
expect 0 "$KEEL" probe "$DIR/here" --json
[ "$(json "$DIR/out" 'j["path"]["method"] in ("uring", "sync")')" = True ] || fail "path.method"
[ "$(json "$DIR/out" 'j["path"]["sync_method"] is not None')" = True ] || fail "path.sync_method"
[ "$(json "$DIR/out" 'len(j["kernel"]["operations"]) >= 40')" = True ] || fail "operations"
[ "$(json "$DIR/out" 'all("min_kernel" in o for o in j["kernel"]["operations"])')" = True ] ||
	fail "min_kernel"
[ "$(json "$DIR/out" '"logical_block" in j["device"]')" = True ] || fail "device"

dd if=/dev/zero of="$DIR/file" bs=64k count=1 2>/dev/null
expect 0 "$KEEL" probe "$DIR/file" --json
[ "$(json "$DIR/out" 'j["device"]["is_block"]')" = False ] || fail "a file is no block device"
