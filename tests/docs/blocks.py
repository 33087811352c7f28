#!/usr/bin/env python3
"""Every fenced block of the documents is compiled, run, parsed or compared. Prints what is wrong.

By the language of the fence, and by a comment on the line before it:
  c                                   stands word for word in a file of examples/, which the build compiles
  c, <!-- compiled -->                compiles by itself against the public headers
  c, <!-- compiled in a function -->  compiles as the body of one
  sh                                  is run in an empty folder, the command keel in its path
  sh, <!-- not run: REASON -->        is parsed by bash -n, and commands of ./dev in it exist
  json                                parses
  mermaid                             its states are those of a table of the page
  text                                a drawing or output; nothing can check it
  none                                a hex dump, compared by the test named in HEX; or one of DRAWINGS

Beside fences: usage lines of the command (indented by four) name only options that its help has, and files that
are named in `...` exist (but for names with NAME in them). Links are tools/tidy.py's.

Usage: blocks.py KEEL [FILE...]       default: all documents of the project
"""
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED_FOLDERS = {".git", "build", ".cache"}
CC = os.environ.get("CC", "cc")

# Hex dumps, and the test that compares them: it reads the page, or its golden bytes begin as the dump does (or
# the dump as they).
HEX = {
    "docs/format/page.md": "tests/format/test_page.c",
    "docs/format/wal.md": "tests/format/test_wal.c",
    "docs/format/quad.md": "tests/unit/iosched/test_quad.c",
    "docs/format/records.md": "tests/unit/engine/test_records.c",
    "docs/format/superblock.md": "tests/unit/engine/test_superblock.c",
}
# Blocks without a language that are no hex dumps: page and how many.
DRAWINGS = {
    "docs/ARCHITECTURE.md": 1,
    "docs/design/sim.md": 1,
    "docs/format/wal.md": 1,
    "docs/testing.md": 1,
    "engine/README.md": 2,
}
HEX_LINE = re.compile(r"^[0-9a-f]{8}:?\s+((?:[0-9a-f]{2,4}\s+)*[0-9a-f]{2,4})(\s{2}.*)?$")
NAMED_FILE = re.compile(r"`((?:base|iosched|wal|pagecache|engine|include|tests|bench|docs|tools|examples|cmake)"
                        r"/[\w./-]+\.(?:c|h|sh|py|md|json|tsv|def|txt))(?::\w+)?`")


class Block:
    def __init__(self, path, line, language, marker, text):
        self.path, self.line, self.language = path, line, language
        self.marker, self.text = marker, text


class Checker:
    def __init__(self, keel):
        self.keel = os.path.abspath(keel)
        self.found = 0
        self.counts = {}
        self.drawings = {}
        self.examples = "".join(read(os.path.join("examples", n))
                                for n in sorted(os.listdir(os.path.join(ROOT, "examples"))))

    def complain(self, path, line, text):
        self.found += 1
        print(f"{path}:{line}: {text}")

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    # ---------------------------------------------------------------- one for each language

    def check_c(self, block):
        if not block.marker.startswith("compiled"):
            self.count("C in examples/")
            if block.text not in self.examples:
                self.complain(block.path, block.line, "this code is in no file of examples/, so nothing compiles it")
            return
        self.count("C compiled")
        source = block.text
        if "in a function" in block.marker:
            source = f"#include <keel/keel.h>\nvoid block(void);\nvoid block(void)\n{{\n{source}}}\n"
        result = subprocess.run(
            [CC, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Iinclude", "-fsyntax-only", "-x", "c", "-"],
            input=source, cwd=ROOT, text=True, capture_output=True, check=False)
        if result.returncode != 0:
            self.complain(block.path, block.line, f"does not compile:\n{result.stderr}")

    def check_sh(self, block):
        parsed = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
        if parsed.returncode != 0:
            self.complain(block.path, block.line, f"bash cannot parse it: {parsed.stderr.strip()}")
            return
        if block.marker.startswith("not run:"):
            self.count("shell parsed")
            usage = read("dev")
            for command in re.findall(r"^\./dev (\w+)", block.text, re.M):
                if not re.search(rf"^  {command}\b", usage, re.M):
                    self.complain(block.path, block.line, f"./dev has no {command}")
            return
        self.count("shell run")
        env = dict(os.environ, PATH=os.path.dirname(self.keel) + os.pathsep + os.environ["PATH"])
        with tempfile.TemporaryDirectory(dir=".") as folder:
            try:
                run = subprocess.run(["bash", "-e"], input=block.text, text=True, capture_output=True, cwd=folder,
                                     env=env, timeout=120, check=False)
            except subprocess.TimeoutExpired:
                self.complain(block.path, block.line, "takes longer than two minutes")
                return
        if run.returncode != 0:
            self.complain(block.path, block.line, f"exit {run.returncode}: {run.stderr.strip()[-500:]}")

    def check_json(self, block):
        self.count("JSON parsed")
        try:
            json.loads(block.text)
        except ValueError as error:
            self.complain(block.path, block.line, f"no JSON: {error}")

    def check_mermaid(self, block):
        self.count("states compared")
        cells = set(re.findall(r"^\|\s*`?(\w+)`?\s*\|", read(block.path), re.M))
        states = set()
        for arrow in re.finditer(r"(\w+|\[\*\])\s*-->\s*(\w+|\[\*\])", block.text):
            states |= set(arrow.groups()) - {"[*]"}
        if not states:
            self.complain(block.path, block.line, "a diagram without an arrow")
        for state in sorted(states - cells):
            self.complain(block.path, block.line, f"state {state} is in no table of the page")

    def check_plain(self, block):
        rows = [HEX_LINE.match(line) for line in block.text.splitlines()]
        if not rows or not all(rows):
            self.count("drawings")
            self.drawings.setdefault(block.path, []).append(block.line)
            return
        self.count("hex compared elsewhere")
        test = HEX.get(block.path)
        if not test or not os.path.exists(os.path.join(ROOT, test)):
            self.complain(block.path, block.line, "no test compares this hex dump: see HEX in tests/docs/blocks.py")
            return
        source = read(test)
        if "/../" + block.path in source:
            return
        dump = [int(text, 16) for row in rows for text in re.findall("..", row.group(1).replace(" ", ""))]
        for array in re.finditer(r"\bgolden\[\w*\]\s*=\s*\{(.*?)\}", source, re.S):
            golden = [int(text, 0) for text in re.findall(r"0x[0-9a-f]+|\b\d+\b", array.group(1))]
            length = min(len(golden), len(dump))
            if length >= 16 and golden[:length] == dump[:length]:
                return
        self.complain(block.path, block.line, f"not the golden bytes of {test}")

    # ---------------------------------------------------------------- pages

    def check_block(self, block):
        checks = {"c": self.check_c, "sh": self.check_sh, "json": self.check_json, "mermaid": self.check_mermaid,
                  "": self.check_plain, "text": lambda b: self.count("text")}
        if block.language in checks:
            checks[block.language](block)
        else:
            self.complain(block.path, block.line, f"nothing checks blocks of {block.language}")

    def check_usage(self, path, text):
        """Indented usage lines of the command, with those that continue them."""
        for match in re.finditer(r"^    keel ((?:[a-z]+ ?)+)([^\n]*(?:\n {5,}[^\n]+)*)", text, re.M):
            self.count("usage lines")
            command = match.group(1).split()
            shown = subprocess.run([self.keel, *command, "--help"], text=True, capture_output=True, check=False)
            for option in re.findall(r"--[a-z-]+", match.group(2)):
                if option not in shown.stdout:
                    self.complain(path, line_of(text, match.start()), f"keel {' '.join(command)} has no {option}")

    def check_page(self, path):
        text = read(path)
        for block in blocks_of(path, text):
            self.check_block(block)
        self.check_usage(path, text)
        for match in NAMED_FILE.finditer(text):
            if "NAME" in match.group(1):
                continue
            self.count("files named")
            if not os.path.exists(os.path.join(ROOT, match.group(1))):
                self.complain(path, line_of(text, match.start()), f"there is no {match.group(1)}")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def blocks_of(path, text):
    lines = text.splitlines(keepends=True)
    index = 0
    while index < len(lines):
        fence = re.match(r"^(```|~~~)\s*(\w*)", lines[index])
        if not fence:
            index += 1
            continue
        end = index + 1
        while end < len(lines) and not lines[end].startswith(fence.group(1)):
            end += 1
        before = lines[index - 1] if index > 0 else ""
        marker = re.match(r"^<!-- (.*) -->$", before)
        yield Block(path, index + 1, fence.group(2), marker.group(1) if marker else "",
                    "".join(lines[index + 1:end]))
        index = end + 1


def all_pages():
    for folder, names, files in os.walk(ROOT):
        names[:] = sorted(n for n in names if n not in SKIPPED_FOLDERS)
        for name in sorted(files):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def main():
    checker = Checker(sys.argv[1])
    pages = sys.argv[2:]
    for path in pages or all_pages():
        checker.check_page(path)
    for path, lines in checker.drawings.items():
        if len(lines) > DRAWINGS.get(path, 0):
            checker.complain(path, lines[-1], "a block without a language: say c, sh, json, mermaid or text")
    print(", ".join(f"{n} {what}" for what, n in sorted(checker.counts.items())) + f"; {checker.found} wrong")
    return 1 if checker.found else 0


if __name__ == "__main__":
    sys.exit(main())
