#!/bin/sh
# keel report: one page of well-formed HTML with a picture for each thing there is, from real runs; nothing fetched;
# what comes out of a file cannot become markup; what is no run is refused.
. "$(dirname "$0")/common.inc"
full_speed
need python3

expect 0 "$KEEL" bench commit --threads 2 --seconds 1 --rounds 2 --path "$DIR" --vs bare --json
cp "$DIR/out" "$DIR/commit.json"
expect 0 "$KEEL" bench ladder --path "$DIR" --seconds 1 --rounds 1 --data 4m --depth 8 --json
cp "$DIR/out" "$DIR/ladder.json"
expect 0 "$KEEL" report "$DIR/commit.json" "$DIR/ladder.json" -o "$DIR/report.html"
cat >"$DIR/look.py" <<'END'
import html.parser, sys
class Look(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.count, self.text = [], {}, []
    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        for name, value in attributes:
            assert name not in ('src', 'href', 'onload', 'onclick'), (tag, name)
        if tag not in ('meta', 'br'):
            self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
    def handle_data(self, data):
        self.text.append(data)
look = Look()
page = open(sys.argv[1], encoding='utf-8').read()
look.feed(page)
look.close()
assert not look.open, look.open
assert 'script' not in look.count and 'http' not in page and 'nan' not in page.lower().replace('nanosecond', '')
text = ' '.join(look.text)
for word in sys.argv[4:]:
    assert word in text, word
assert look.count['section'] == int(sys.argv[2]) and look.count.get('svg', 0) >= int(sys.argv[3]), look.count
END
python3 "$DIR/look.py" "$DIR/report.html" 2 4 bare +SQPOLL 'did not run' commit.json || fail "the page"

# Names and notes that would be markup are text, and figures that are none draw nothing.
python3 - "$DIR/commit.json" "$DIR/evil.json" <<'END'
import json, sys
j = json.load(open(sys.argv[1]))
j['job'] = '<script>alert(1)</script>'
j['versus'][0]['name'] = '"><img src=x>'
j['versus'][0]['note'] = '</p><svg onload=x>'
j['machine']['cpu'] = '&lt;<b>'
j['config']['path'] = '<a href=x>'
j['result']['extra'] = [{'<i>': '<u>'}]
j['result']['lat_ns'] = {'p50': 'x', 'p99': -1}
j['result']['rounds'] = ['a', None]
json.dump(j, open(sys.argv[2], 'w'))
END
expect 0 "$KEEL" report "$DIR/evil.json" -o "$DIR/evil.html"
python3 "$DIR/look.py" "$DIR/evil.html" 1 0 '<script>alert(1)</script>' '<a href=x>' || fail "a hostile file"
echo '{"job": "x", "result": {}}' >"$DIR/empty.json"
expect 0 "$KEEL" report "$DIR/empty.json" -o "$DIR/empty.html"
python3 "$DIR/look.py" "$DIR/empty.html" 1 0 || fail "an empty run"

echo '{}' >"$DIR/none.json"
expect 1 "$KEEL" report "$DIR/none.json" -o "$DIR/none.html"
echo 'x' >"$DIR/none.json"
expect 1 "$KEEL" report "$DIR/none.json" -o "$DIR/none.html"
expect 1 "$KEEL" report "$DIR/nothing.json" -o "$DIR/none.html"
[ ! -e "$DIR/none.html" ] || fail "a page of nothing"
expect 1 "$KEEL" report "$DIR/commit.json" -o "$DIR/no/such/folder.html"
