#!/usr/bin/env python3
"""The table of io_uring's interface (tools/surface) against itself, its schema and kernel headers.

Compared with the headers of the distribution and with those of 6.1, 6.12 and 7.3 where they are
unpacked (headers.sh). A name or structure that a header has and the table has not, or has otherwise,
is an error. What was not compared is said.

Usage: compare.py [--table FOLDER] [--need] [--sources FOLDER]
         --table    another copy of tools/surface
         --need     headers that are not there are an error
         --sources  the project's folder of ring code: operations of priority core are those it uses
"""
import argparse
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.path.insert(0, HERE)

import kernel_header  # noqa: E402
import surface_table  # noqa: E402

found = []


def complain(text):
    found.append(text)
    print(text)


def check_table(table):
    """What the table says must fit together without any header."""
    values = [op["value"] for op in table.operations]
    if values != list(range(len(values))):
        complain("operations.def: the values are not 0, 1, 2, ...")
    kernels = [surface_table.number(op["kernel"]) for op in table.operations]
    if kernels != sorted(kernels):
        complain("operations.def: a later operation is of an older kernel")

    fields = {m["name"] for m in table.members if m["structure"] == "io_uring_sqe"}
    for op in table.operations:
        for text in op["fields"].split():
            if text.partition("=")[0] not in fields:
                complain(f"operations.def: {op['name']}: struct io_uring_sqe has no {text}")

    names = [f["name"] for f in table.flags]
    for name in {n for n in names if names.count(n) > 1}:
        complain(f"flags.def: {name} is there twice")
    for row in table.flags + [dict(op, header=table.names()["IORING_OP_" + op["name"]][1])
                              for op in table.operations]:
        check_first_header(row)


def check_first_header(row):
    """A sourced first kernel and the first header that has the name must agree. A header may be
    older when a stable kernel took the name over; then the source says so."""
    if row["kernel"].endswith("?"):
        return
    kernel = surface_table.number(row["kernel"])
    want = next((h for h in surface_table.HEADERS if surface_table.number(h) >= kernel), None)
    if row["header"] == want or f"the header of stable {row['header']} has it" in row["source"]:
        return
    complain(f"{row['name']} is of {row['kernel']}, so its first header should be {want}, "
             f"not {row['header']}")


def check_used(table, folder):
    """Core is what keel itself uses, no more and no less."""
    used = set()
    for name in sorted(os.listdir(folder)):
        if name.endswith((".c", ".h")):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                used |= set(re.findall(r"\bIORING_OP_(\w+)", file.read()))
    core = {op["name"] for op in table.operations if op["priority"] == "CORE"}
    for name in sorted(used ^ core):
        what = "core and not used" if name in core else "used and not core"
        complain(f"operations.def: {name} is {what}")


def check_schema():
    """True when it could be checked."""
    try:
        import jsonschema
    except ImportError:
        return False
    documents = []
    for name in ("operations.schema.json", "operations.json"):
        with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as file:
            documents.append(json.load(file))
    jsonschema.Draft202012Validator.check_schema(documents[0])
    for error in jsonschema.Draft202012Validator(documents[0]).iter_errors(documents[1]):
        complain(f"operations.json: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}")
    return True


def compare_names(label, have, table, version):
    names = table.names()
    for name in sorted(set(have) - set(names)):
        complain(f"{label}: {name} = {have[name]} is not in the table")
    for name, (value, header) in names.items():
        there = surface_table.number(header) <= version
        if name not in have and there:
            complain(f"{label}: {name} should be there (first header {header})")
        elif name in have and have[name] != value and name != "IORING_URING_CMD_MASK":
            complain(f"{label}: {name} is {have[name]}, in the table {value}")
        elif name in have and not there and label in surface_table.HEADERS:
            complain(f"{label}: {name} is there (first header in the table: {header})")


def compare_layout(label, have, want):
    for name in sorted(set(have) ^ set(want)):
        where = "not in the table" if name in have else "in the table alone"
        complain(f"{label}: struct {name} is {where}")
    for name in set(have) & set(want):
        if have[name][0] != want[name][0]:
            complain(f"{label}: struct {name} has {have[name][0]} bytes, in the table "
                     f"{want[name][0]}")
        for member in sorted(set(have[name][1]) | set(want[name][1])):
            pair = have[name][1].get(member), want[name][1].get(member)
            if pair[0] != pair[1]:
                complain(f"{label}: struct {name}: {member} is {pair[0]}, in the table {pair[1]}")


def version_of(folder):
    path = os.path.join(folder or "/usr/include", "linux", "version.h")
    with open(path, encoding="utf-8") as file:
        code = int(re.search(r"LINUX_VERSION_CODE\s+(\d+)", file.read()).group(1))
    return code >> 16, code >> 8 & 255


def compare_header(label, folder, table):
    """True when it was compared."""
    try:
        names, layout = kernel_header.read(folder)
        version = version_of(folder)
    except (kernel_header.Missing, OSError) as error:
        print(f"{label}: not compared: {error}")
        return False
    before = len(found)
    compare_names(label, names, table, version)
    # A header between two of ours has what neither says; its structures are left alone.
    ours = ".".join(map(str, version))
    if ours in surface_table.HEADERS:
        compare_layout(label, layout, table.layout(ours))
    print(f"{label} ({version[0]}.{version[1]}): {len(names)} names, {len(layout)} structures, "
          f"{len(found) - before} wrong")
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default=surface_table.FOLDER)
    parser.add_argument("--need", action="store_true")
    parser.add_argument("--sources", default=os.path.join(ROOT, "iosched"))
    args = parser.parse_args()

    table = surface_table.Table(args.table)
    check_table(table)
    check_used(table, args.sources)
    skipped = [] if check_schema() else ["the schema (python3-jsonschema is not installed)"]
    if not compare_header("distribution", None, table):
        skipped.append("the distribution's headers")
    output = subprocess.run(["sh", os.path.join(HERE, "headers.sh"), "--offline"],
                            capture_output=True, text=True, check=False).stdout
    folders = dict(line.split(" ", 1) for line in output.splitlines())
    for version in surface_table.HEADERS:
        if version not in folders or not compare_header(version, folders[version], table):
            skipped.append(f"headers of {version} (tests/surface/headers.sh fetches them)")
    for what in skipped:
        print(f"not compared: {what}")
    print(f"{len(table.operations)} operations, {len(table.flags)} flags, "
          f"{len(table.structures)} structures; {len(found)} wrong")
    return 1 if found or (skipped and args.need) else 0


if __name__ == "__main__":
    sys.exit(main())
