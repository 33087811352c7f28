#!/bin/sh
# A thread that computes is nudged when somebody waits for what it submitted to its own ring, or for what it submitted
# to theirs (docs/adr/0060). What comes of a nudge is time alone, since at the next tick of the clock the kernel does
# the same by itself; so the calls are counted.
. "$(dirname "$0")/common.inc"
full_speed
need strace
"$KEEL" probe "$DIR" >"$DIR/out" 2>&1 || fail "probe: $(cat "$DIR/out")"
grep -q 'no IORING_SETUP_COOP_TASKRUN' "$DIR/out" && skip "this kernel has no cooperative rings"

strace -f -qq --seccomp-bpf -e trace=membarrier -o "$DIR/trace" \
	"$(dirname "$KEEL")/../tests/race_reap" >"$DIR/out" 2>&1 || fail "race_reap: $(cat "$DIR/out")"
grep -q 'REGISTER_PRIVATE_EXPEDITED.*= 0$' "$DIR/trace" || skip "membarrier(2) is refused here"
nudges=$(grep -c 'CMD_PRIVATE_EXPEDITED.*= 0$' "$DIR/trace")
echo "$nudges nudges"
[ "$nudges" -gt 0 ] || fail "nobody is nudged"
