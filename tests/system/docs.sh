#!/bin/sh
# The documents: every fenced block is compiled, run, parsed or compared (tests/docs/blocks.py says which how), every
# figure says where it is from (tests/docs/figures.py), links lead somewhere, the examples run; and a document that is
# wrong is refused.
. "$(dirname "$0")/common.inc"
full_speed
need python3 bash "${CC:-cc}"
ROOT=$(cd "$HERE/../.." && pwd)
cd "$DIR" || fail "cannot enter $DIR"

python3 "$ROOT/tests/docs/blocks.py" "$KEEL" || fail "blocks"
python3 "$ROOT/tools/tidy.py" documents || fail "titles and links"
python3 "$ROOT/tests/docs/figures.py" || fail "figures"

# refused NAME WORDS: the page on standard input is refused with these words.
refused() {
	cat >"$DIR/$1.md"
	expect 1 python3 "$ROOT/tests/docs/blocks.py" "$KEEL" "$DIR/$1.md"
	grep -q "$2" "$DIR/out" || fail "$1: no word of it: $(cat "$DIR/out")"
}
F='```'
refused no-example 'is in no file of examples/' <<EOF
${F}c
int nowhere(void);
${F}
EOF
refused no-c 'does not compile' <<EOF
<!-- compiled in a function -->
${F}c
struct keel_io io = {.no_such_field = 1};
${F}
EOF
refused no-shell 'bash cannot parse it' <<EOF
<!-- not run: it would take long -->
${F}sh
if true; then
${F}
EOF
refused no-command 'exit' <<EOF
${F}sh
keel sail
${F}
EOF
refused no-dev './dev has no sail' <<EOF
<!-- not run: it would build -->
${F}sh
./dev sail
${F}
EOF
refused no-json 'no JSON' <<EOF
${F}json
{"a": }
${F}
EOF
refused no-language 'a block without a language' <<EOF
${F}
what is this?
${F}
EOF
refused no-test 'no test compares this hex dump' <<EOF
${F}
00000000: 0100 0000 3930 0000 0000 0000 4000 0500  ....90......@...
${F}
EOF
refused no-option 'keel demo has no --sail' <<EOF
    keel demo [--path DIR] [--sail]
EOF
refused no-file 'there is no wal/sail.c' <<EOF
See \`wal/sail.c\`.
EOF

# baseless NAME WORDS: the page on standard input has a figure of which these words are missing.
baseless() {
	cat >"$DIR/$1.md"
	expect 1 python3 "$ROOT/tests/docs/figures.py" "$DIR/$1.md"
	grep -q "$2" "$DIR/out" || fail "$1: no word of it: $(cat "$DIR/out")"
}
baseless no-source '12 ns: where is this from' <<EOF
# A page
A hit takes 12 ns.
EOF
baseless other-section '3 percent: where is this from' <<EOF
# A page
## One
Measured 2026-11-25 on lab, \`keel probe\`: 5 us.
## Two
It costs 3 percent.
EOF
baseless in-a-table 'a table of k/s: where is this from' <<EOF
# A page
| writers | commits, k/s |
|---|---|
| 1 | 9 |
EOF
baseless no-day 'on which day' <<EOF
# A page
Measured on lab, \`keel probe\`: 5 us.
EOF
baseless no-machine 'on which machine' <<EOF
# A page
Measured 2026-11-25 on a fast machine, \`keel probe\`: 5 us.
EOF
baseless no-command 'with which command' <<EOF
# A page
Measured 2026-11-25 on lab: 5 us.
EOF
baseless no-author 'by whom' <<EOF
# A page
Reported by somebody: 5 us.
EOF

# runs NAME OUTPUT: the example ends well and prints this.
EXAMPLES=$(dirname "$KEEL")/../examples
runs() {
	[ -x "$EXAMPLES/example_$1" ] || fail "example $1 was not built"
	expect 0 "$EXAMPLES/example_$1" "$DIR/example_$1"
	grep -Eqx "$2" "$DIR/out" || fail "example $1: $(cat "$DIR/out")"
}
runs first 'page [0-9]+ says hello'
runs event_loop '64 of 64 are durable'
runs requests '32 blocks read; the first begins with k; method (uring, restricted|sync, not restricted)'
for example in "$ROOT"/examples/*.c; do
	name=$(basename "$example" .c)
	grep -q "^runs $name " "$HERE/docs.sh" || fail "example $name is not run"
done
