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
[ "$(json "$DIR/out" 'j["device"]["writes"]["source"] in ("kernel", "identify") and "granularity" in j["device"]["writes"]')" = True ] ||
	fail "how the disk wants to be written"
# What keel would refuse to open is shown as far as it can be asked, and is no success.
expect 1 "$KEEL" probe /dev/null --json
[ "$(json "$DIR/out" 'j["device"]["refused"]["error"] == "KEEL_ENOTSUP" and j["path"] is None and len(j["kernel"]["operations"]) >= 40')" = True ] ||
	fail "refused: $(cat "$DIR/out")"
expect 1 "$KEEL" probe /dev/null
grep -q io_uring "$DIR/out" && grep -q KEEL_ENOTSUP "$DIR/err" || fail "refused, in words"
