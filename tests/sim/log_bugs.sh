#!/bin/sh
# Seeded bugs of the log: each is caught by the simulation of the log alone or by the rules of recovery,
# and neither says anything without one.
# usage: log_bugs.sh SIM_LOG SIM_RULES [SEEDS]
set -u
log=$1
rules=$2
seeds=${3:-400}
failed=0

# caught BUG PROGRAM ARGUMENTS...: fails unless the program ends with 1, or by a trap.
caught() {
    bug=$1
    shift
    "$@" --bug "$bug" >/dev/null 2>&1
    status=$?
    if [ "$status" -eq 1 ] || [ "$status" -eq 132 ]; then
        echo "caught $bug"
    else
        echo "MISSED $bug: $* exits $status"
        failed=1
    fi
}

if ! "$log" --seeds "$seeds" || ! "$rules"; then
    echo "NOT CLEAN without a bug"
    failed=1
fi
for bug in ack-before-sync flush-before-reap rewrite-block no-epoch-step fsync-error-ignored recovery-without-flush \
    holder-ignored written-covered written-early; do
    caught "$bug" "$log" --seeds "$seeds"
done
# A full log that needs its very last block for the checkpoint is rare.
caught no-reserve "$log" --seeds 4000
for bug in promise inflight super clean read epoch; do
    caught "rule-$bug" "$rules"
done
exit $failed
