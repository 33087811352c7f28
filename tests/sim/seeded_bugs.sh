#!/bin/sh
# Each seeded bug of base/bug.h must be caught, and the same seeds must be clean without one.
# usage: seeded_bugs.sh SIM_CRASH [SEEDS]
# Prints one line per bug; exit status 0 only when all is as it should be.
set -u
program=$1
seeds=${2:-200}
clean_seeds=${3:-24}
failed=0
bugs=$("$program" --help 2>&1 | sed -n 's/^    \([a-z-]*\)  .*/\1/p')

if [ -z "$bugs" ]; then
    echo "no bugs listed by $program" >&2
    exit 1
fi
if "$program" --seeds "$clean_seeds" >/dev/null; then
    echo "clean without a bug, $clean_seeds seeds"
else
    echo "NOT CLEAN without a bug"
    failed=1
fi
for bug in $bugs; do
    # A sync of the page file that fails, and then a kill, on a device without torn pages, is rare.
    first=1
    [ "$bug" != recovery-without-rewrite ] || first=127
    output=$("$program" --first "$first" --seeds "$seeds" --bug "$bug" 2>/dev/null)
    if [ $? -eq 1 ]; then
        echo "caught $bug: $(printf '%s\n' "$output" | sed -n 's/^VIOLATION //p' | head -n 1)"
    else
        echo "MISSED $bug in $seeds seeds"
        failed=1
    fi
done
exit $failed
