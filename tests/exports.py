#!/usr/bin/env python3
"""The libraries export what the public headers declare, and nothing else.

Usage: exports.py INCLUDE_FOLDER NM LIBRARY...
"""
import glob
import os
import re
import subprocess
import sys


def declared(folder):
    names = set()
    for path in glob.glob(os.path.join(folder, "keel", "*.h")):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.S)
        text = re.sub(r"^[ \t]*#.*(?:\\\n.*)*$", "", text, flags=re.M)
        names |= set(re.findall(r"\bKEEL_PUBLIC\b[^;(]*?\b(\w+)\s*(?:\(|;|__attribute__)",
                                text.replace("KEEL_MUST_CHECK", "")))
    return names


def exported(nm, library):
    command = [nm, "--defined-only", "--extern-only"]
    command += [library] if library.endswith(".a") else ["-D", library]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[2] for line in output.splitlines() if len(line.split()) == 3}


def main():
    folder, nm, *libraries = sys.argv[1:]
    want, bad = declared(folder), 0
    for library in libraries:
        have = exported(nm, library)
        for name in sorted(want - have):
            print(f"{os.path.basename(library)}: {name} is declared and not there")
        for name in sorted(have - want):
            print(f"{os.path.basename(library)}: {name} is there and declared in no public header")
        bad += len(want ^ have)
    print(f"{len(want)} public names, {bad} wrong")
    return 1 if bad or not want else 0


if __name__ == "__main__":
    sys.exit(main())
