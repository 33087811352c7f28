#!/bin/sh
# Kill the demo itself, worker and all, at odd moments, again and again on one store: whatever it had
# reached, the next run recovers, finds everything whole, and passes.
. "$(dirname "$0")/common.inc"
need pgrep

for tenths in 1 3 6 9 14; do
	"$KEEL" demo --path "$DIR/store" --seconds 30 --writers 4 >/dev/null 2>&1 &
	demo=$!
	sleep "$((tenths / 10)).$((tenths % 10))"
	kill -9 "$demo"
	wait "$demo" 2>/dev/null
	# the worker dies with its parent; its lock on the store goes when it is gone
	turns=0
	while pgrep -f "demo-worker $DIR/store" >/dev/null && [ "$turns" -lt 100 ]; do
		sleep 0.05
		turns=$((turns + 1))
	done
done
expect 0 "$KEEL" demo --path "$DIR/store" --seconds 1
demo_passed
