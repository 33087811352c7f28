#!/usr/bin/env python3
"""Every figure of the documents says where it is from. Prints those that do not.

A figure is a number with a unit of time or rate, percent, or "N.N times"; and a table whose head names such a unit.
It is covered by a paragraph in its section, or in one that its section lies in, that begins with one of

  Measured DATE on MACHINE, `COMMAND`: ...   the machine is in the table of docs/performance.md; what nobody can repeat
                                             says instead of the command: a program that was not kept
  Reported by SOURCE, YEAR: ...              somebody else's figures: a link, an issue, a commit, a README, a paper
  Chosen: ...                                a number that somebody set, or aims at, and nobody measured

Code, fenced or in backquotes, holds no figures.

Usage: figures.py [FILE...]       default: all pages of docs/, and the READMEs beside the code
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED_FOLDERS = {".git", "build", ".cache"}
MACHINES = "docs/performance.md"

UNIT = (r"(?:ns|us|ms|(?:nano|micro|milli)seconds|percent|%|(?:[kM]\s)?IOPS|(?:[kM]\s)?[A-Za-z]*/s"
        r"|(?:[a-z-]+\s)?(?:[a-z]+)\sper\ssecond)")
FIGURE = re.compile(rf"(?<![\w.])\d[\d.,]*(?:\s?(?:to|and|-)\s?\d[\d.,]*)?(?:\s(?:[kM]|million))?\s?{UNIT}(?![\w/])"
                    r"|(?<![\w.])\d+\.\d+\stimes\b")
HEAD_UNIT = re.compile(r"\b(?:ns|us|ms|IOPS|microseconds|nanoseconds|milliseconds|percent)\b|[a-z]/s\b")
MARKER = re.compile(r"(?:[->*]\s+)?(Measured|Reported|Chosen)\b")
COMMAND = re.compile(r"`(?:keel|\./dev|fio|perf|strace|ctest|sh|(?:tests|bench|tools|build)/[\w./-]+)[^`]*`"
                     r"|a\s+program\s+that\s+was\s+not\s+kept")
SOURCE = re.compile(r"\]\(|https?:|\w#\d+|\b(?:issues?|pull\srequests?|commits?|README|papers?|study|manual|talk|blog)\b")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def machines():
    rows = re.search(r"^## Machines$(.*?)(?=^## |\Z)", read(MACHINES), re.M | re.S)
    return re.findall(r"^\| `([\w.-]+)` \|", rows.group(1), re.M) if rows else []


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def without_code(text):
    text = re.sub(r"^(```|~~~).*?^\1", blank, text, flags=re.M | re.S)
    text = re.sub(r"<!--.*?-->", blank, text, flags=re.S)
    return re.sub(r"\]\([^)]*\)", lambda m: "](" + " " * (len(m.group()) - 3) + ")", text)


class Page:
    def __init__(self, path, known):
        self.path, self.known, self.found = path, known, []
        self.text = without_code(read(path))
        self.heads = [(0, 0)] + [(m.start(), len(m.group(1)))
                                 for m in re.finditer(r"^(#+) ", self.text, re.M)]
        self.covered = []  # stretches of text that a paragraph speaks for
        self.paragraphs = [(m.start(), m.group()) for m in re.finditer(
            r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+", re.sub(r"^#+ [^\n]*", blank, self.text, flags=re.M))]
        self.counts = {"Measured": 0, "Reported": 0, "Chosen": 0, "not to be repeated": 0}

    def complain(self, position, text):
        self.found.append((self.text.count("\n", 0, position) + 1, text))

    def section(self, position):
        """The section of a position: up to the next heading of the same or a higher level."""
        start, level = [h for h in self.heads if h[0] <= position][-1]
        end = next((p for p, l in self.heads if p > start and l <= level), len(self.text))
        return start, end

    def markers(self):
        for start, paragraph in self.paragraphs:
            marker = MARKER.match(paragraph)
            if not marker:
                continue
            kind = marker.group(1)
            self.counts[kind] += 1
            if kind == "Measured":
                self.check_measured(start, paragraph)
            elif kind == "Reported" and not (re.search(r"\b20\d\d\b", paragraph) and SOURCE.search(paragraph)):
                self.complain(start, "Reported: by whom, where and in which year?")
            self.covered.append(self.section(start))

    def check_measured(self, start, paragraph):
        if not re.search(r"\b20\d\d-\d\d-\d\d\b", paragraph):
            self.complain(start, "Measured: on which day (YYYY-MM-DD)?")
        if not any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", paragraph) for name in self.known):
            self.complain(start, f"Measured: on which machine of {MACHINES} ({', '.join(self.known)})?")
        command = COMMAND.search(paragraph)
        if not command:
            self.complain(start, "Measured: with which command, in backquotes?")
        elif not command.group().startswith("`"):
            self.counts["not to be repeated"] += 1

    def figures(self):
        prose = re.sub(r"`[^`\n]*`", blank, self.text)
        seen = [(m.start(), " ".join(m.group().split())) for m in FIGURE.finditer(prose)]
        for table in re.finditer(r"^(\|[^\n]*\|)\n\|[-:| ]+\|\n((?:\|[^\n]*\n?)+)", prose, re.M):
            if HEAD_UNIT.search(table.group(1)) and re.search(r"\d", table.group(2)):
                seen.append((table.start(), "a table of " + HEAD_UNIT.search(table.group(1)).group()))
        for position, figure in seen:
            if not any(start <= position < end for start, end in self.covered):
                self.complain(position, f"{figure}: where is this from? Begin a paragraph of its section with "
                              "Measured, Reported or Chosen (tests/docs/figures.py)")
        return len(seen)


def pages():
    for folder, names, files in os.walk(ROOT):
        names[:] = sorted(n for n in names if n not in SKIPPED_FOLDERS)
        for name in sorted(files):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def main():
    known = machines()
    if not known:
        print(f"{MACHINES}: no table under '## Machines'")
        return 1
    figures, wrong, counts = 0, 0, {}
    for path in sys.argv[1:] or pages():
        page = Page(path, known)
        page.markers()
        figures += page.figures()
        for line, text in sorted(page.found):
            print(f"{path}:{line}: {text}")
        wrong += len(page.found)
        for kind, number in page.counts.items():
            counts[kind] = counts.get(kind, 0) + number
    print(f"{figures} figures; paragraphs: " + ", ".join(f"{n} {k}" for k, n in counts.items()) + f"; {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
