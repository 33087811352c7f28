#!/usr/bin/env python3
"""House rules that a compiler does not know. Prints file:line: what is wrong and what to do instead.

Rules:
  layers      a folder includes only what the layer table in CMakeLists.txt allows, and another
              layer only through its public header
  headers     every header compiles alone
  words       no unfinished marks, no paths of one machine
  calls       calls that have a safer or counted replacement
  third-party liburing and libnvme are seen by few files
  invariants  every ID of docs/invariants.md is asserted in the code and named in a test, and back
  length      no file above 1000 lines
  documents   one title each, relative links that lead somewhere, headings too, code of the README in examples/;
              decisions have all their parts

Usage: tools/tidy.py [--cc COMPILER] [RULE...]
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED_FOLDERS = {".git", "build", ".cache", "__pycache__"}
FILE_LINES_MAX = 1000
TEXT_SUFFIXES = (".c", ".h", ".cc", ".md", ".py", ".sh", ".cmake", ".txt", ".json", ".in", ".yml",
                 ".supp")
HOST_FOLDERS = ("tools", "bench", "tests", "examples")  # above the library, free to use the heap

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)
COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INVARIANT = r"[IWPE]\d{1,2}"

CALLS = [
    # pattern, folders that may, files that may, replacement
    (r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok)", (), (), "use snprintf or text_printf"),
    (r"\b(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|strdup|strndup|free)",
     HOST_FOLDERS, ("base/mem.c",), "use base/mem.h"),
    (r"\babort", (), (), "use KEEL_ASSERT, which traps and says why"),
    (r"\bassert", (), (), "use KEEL_ASSERT, KEEL_DCHECK or KEEL_INV"),
]
SLEEP_CALLS = r"\b(sleep|usleep|nanosleep|clock_nanosleep)"


class Tree:
    """The files of the project, and what was found wrong with them."""

    def __init__(self):
        self.files = []
        self.found = []
        for folder, names, files in os.walk(ROOT):
            names[:] = sorted(n for n in names if n not in SKIPPED_FOLDERS)
            for name in sorted(files):
                self.files.append(os.path.relpath(os.path.join(folder, name), ROOT))
        self.cache = {}

    def text(self, path):
        if path not in self.cache:
            with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
                self.cache[path] = file.read()
        return self.cache[path]

    def select(self, *suffixes):
        return [f for f in self.files if f.endswith(suffixes)]

    def sources(self):
        return self.select(".c", ".h")

    def complain(self, path, line, text):
        self.found.append((path, line, text))


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def top_folder(path):
    return path.split("/", 1)[0] if "/" in path else ""


def code_of(text):
    """The text with comments and strings blanked, so that positions stay."""
    return COMMENT_OR_STRING.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def layer_table(tree):
    """{layer: layers it may use}, {public header: layer}, from the top CMakeLists.txt."""
    text = re.sub(r"#[^\n]*", "", tree.text("CMakeLists.txt"))
    sees, headers = {}, {}
    for match in re.finditer(r"\bkeel_layer\(\s*(\w+)\s+RANK\s+\d+([^)]*)\)", text):
        name, rest = match.groups()
        sees[name] = {name} | set(rest.replace("DEPENDS", " ").split())
        headers[name] = name
    for match in re.finditer(r"\bkeel_layer_headers\(\s*(\w+)([^)]*)\)", text):
        for header in match.group(2).split():
            headers[header] = match.group(1)
    return sees, headers


def rule_layers(tree):
    sees, headers = layer_table(tree)
    for path in tree.sources():
        layer = top_folder(path)
        if layer == "include":
            layer = headers.get(os.path.basename(path)[:-2])
        if layer not in sees:
            continue
        for match in INCLUDE.finditer(tree.text(path)):
            target = re.sub(r"^(\.\./)+", "", match.group(1))
            line = line_of(tree.text(path), match.start())
            public = re.match(r"(?:include/)?keel/(\w+)\.h$", target)
            owner = headers.get(public.group(1)) if public else top_folder(target)
            if owner in HOST_FOLDERS or (owner in sees and owner not in sees[layer]):
                tree.complain(path, line, f"layer {layer} may not include {target} of {owner}")
            elif not public and owner in sees and owner not in (layer, "base"):
                tree.complain(path, line, f"{target} is private to {owner}: "
                              f"include <keel/{owner}.h> instead")


def rule_headers(tree, compiler):
    headers = [h for h in tree.select(".h") if top_folder(h) != "include"]

    def compile_alone(path):
        # The macro keeps a header of macros alone from being an empty translation unit.
        source = f'#include "{path}"\nextern int header_check;\n'
        command = [compiler, "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I.",
                   "-Iinclude", "-fsyntax-only", "-x", "c", "-"]
        result = subprocess.run(command, input=source, cwd=ROOT, text=True,
                                capture_output=True, check=False)
        return path, result.returncode, result.stderr

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, status, output in pool.map(compile_alone, headers):
            if status != 0:
                reason = next((l for l in output.splitlines() if "error" in l), "does not compile")
                tree.complain(path, 1, f"does not compile alone: {reason}")


def rule_words(tree):
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    paths = re.compile(r"(?<![\w.])/(wo" r"rk|ro" r"ot|ho" r"me)/\w")
    scripts = [f for f in tree.files if f.endswith(TEXT_SUFFIXES) or f in ("dev", ".ci/run")]
    for path in scripts:
        text = tree.text(path)
        for match in marks.finditer(text):
            tree.complain(path, line_of(text, match.start()),
                          f"{match.group()}: finish it or write an issue")
        for match in paths.finditer(text):
            tree.complain(path, line_of(text, match.start()), "a path of one machine")


def rule_calls(tree):
    for path in tree.sources():
        code = code_of(tree.text(path))
        folder = top_folder(path)
        rules = [(p, use) for p, folders, files, use in CALLS
                 if folder not in folders and path not in files]
        if folder == "tests":
            rules.append((SLEEP_CALLS, "wait for the event itself, or use a test clock"))
        for pattern, use in rules:
            # Not a member (x.free, x->free): those are somebody's own.
            for match in re.finditer(r"(?<![.>])" + pattern + r"\s*\(", code):
                name = match.group().rstrip("( \t")
                tree.complain(path, line_of(code, match.start()), f"{name}: {use}")


def rule_third_party(tree):
    nvme = []
    for path in tree.sources():
        folder, name = top_folder(path), os.path.basename(path)
        for match in INCLUDE.finditer(tree.text(path)):
            line = line_of(tree.text(path), match.start())
            if match.group(1) == "libnvme.h":
                nvme.append((path, line))
            if match.group(1) == "liburing.h" and folder not in ("bench", "tests"):
                if folder != "iosched" or not re.search("uring|nvme", name):
                    tree.complain(path, line, "liburing.h belongs to the uring and nvme methods")
    for path, line in nvme[1:]:
        tree.complain(path, line, f"libnvme.h is included by {nvme[0][0]} already: one file alone")


def rule_invariants(tree):
    page = "docs/invariants.md"
    if page not in tree.files:
        print(f"tidy: there is no {page}; invariants are not checked", file=sys.stderr)
        return
    listed = {}
    for match in re.finditer(rf"^(?:\||[-*]|#+)\s*\**`?({INVARIANT})\b", tree.text(page), re.M):
        listed.setdefault(match.group(1), line_of(tree.text(page), match.start()))

    asserted, tested = {}, set()
    for path in tree.sources():
        text = tree.text(path)
        if top_folder(path) == "tests":
            tested |= set(re.findall(rf"(?<![A-Za-z0-9])({INVARIANT})(?![A-Za-z0-9])", text))
            continue
        for match in re.finditer(rf"\bKEEL_INV\(\s*({INVARIANT})\s*,", code_of(text)):
            asserted.setdefault(match.group(1), (path, line_of(text, match.start())))

    for name, line in listed.items():
        if name not in asserted:
            tree.complain(page, line, f"{name} is asserted nowhere: KEEL_INV({name}, ...)")
        if name not in tested:
            tree.complain(page, line, f"{name} is named by no test")
    for name, (path, line) in asserted.items():
        if name not in listed:
            tree.complain(path, line, f"{name} is not in {page}")


def rule_length(tree):
    for path in tree.select(".c", ".h", ".py", ".sh", ".md"):
        lines = tree.text(path).count("\n")
        if lines > FILE_LINES_MAX:
            tree.complain(path, lines, f"more than {FILE_LINES_MAX} lines: cut it by purpose")


def anchors_of(text):
    """What a link may name behind #: headings as the usual viewers of Markdown turn them into names."""
    found = set()
    for heading in re.findall(r"^#+ +(.*?) *$", text, re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = sum(1 for other in found if other == name or re.fullmatch(re.escape(name) + r"-\d+", other))
        found.add(f"{name}-{number}" if number else name)
    return found


DECISION = ("Question", "Options, with figures", "Decision", "Price", "What would change it")


def check_decision(tree, path, text):
    """A decision says what was asked, what else there was, what it costs and what would change it."""
    for part in DECISION:
        if not re.search(rf"^## {part}\n+[^#\s]", text, re.M):
            tree.complain(path, 1, f"has no part '## {part}', or an empty one")
    number = re.match(r"# (\d+)\. ", text)
    if not number or int(number.group(1)) != int(os.path.basename(path)[:4]):
        tree.complain(path, 1, "the title begins with another number than the file's name")
    if f"]({path[len('docs/'):]})" not in tree.text("docs/README.md"):
        tree.complain("docs/README.md", 1, f"{path} is not in the list of decisions")


def rule_documents(tree):
    for path in tree.select(".md"):
        text = re.sub(r"^(```|~~~).*?^\1", lambda m: re.sub(r"[^\n]", " ", m.group()),
                      tree.text(path), flags=re.M | re.S)
        if path.startswith("docs/adr/"):
            check_decision(tree, path, text)
        titles = [m.start() for m in re.finditer(r"^# ", text, re.M)]
        if len(titles) != 1:
            tree.complain(path, 1, f"has {len(titles)} titles (# ...): wants one")
        for match in re.finditer(r"\]\(([^)\s]+)\)", text):
            target, _, anchor = match.group(1).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
            if not os.path.exists(os.path.join(ROOT, file)):
                tree.complain(path, line_of(text, match.start()), f"link to {target}: no such file")
            elif anchor and file.endswith(".md") and anchor not in anchors_of(tree.text(file)):
                tree.complain(path, line_of(text, match.start()), f"link to {file}: no heading {anchor}")

    examples = "".join(tree.text(f) for f in tree.files if top_folder(f) == "examples")
    for match in re.finditer(r"^```c\n(.*?)^```", tree.text("README.md"), re.M | re.S):
        if match.group(1) not in examples:
            tree.complain("README.md", line_of(tree.text("README.md"), match.start()),
                          "this code is in no file of examples/, so nothing compiles it")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"), help="compiler for headers")
    parser.add_argument("rules", nargs="*", metavar="RULE", help="rules to check; default: all")
    args = parser.parse_args()

    rules = {
        "layers": rule_layers,
        "headers": lambda tree: rule_headers(tree, args.cc),
        "words": rule_words,
        "calls": rule_calls,
        "third-party": rule_third_party,
        "invariants": rule_invariants,
        "length": rule_length,
        "documents": rule_documents,
    }
    for name in args.rules:
        if name not in rules:
            parser.error(f"no rule {name}; there are {', '.join(rules)}")

    tree = Tree()
    for name, rule in rules.items():
        if not args.rules or name in args.rules:
            rule(tree)
    for path, line, text in sorted(tree.found):
        print(f"{path}:{line}: {text}")
    if tree.found:
        print(f"tidy: {len(tree.found)} found", file=sys.stderr)
    return 1 if tree.found else 0


if __name__ == "__main__":
    sys.exit(main())
