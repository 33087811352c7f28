#!/usr/bin/env python3
"""Makes docs/operations.json and the generated blocks of docs/kernel_matrix.md from the table of
io_uring's interface (tools/surface/*.def).

Usage: tools/operations.py          write them
       tools/operations.py --check  say which are out of date, change nothing; exit 1 if one is
"""
import argparse
import json
import os
import re
import sys

import surface_table

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JSON = os.path.join(ROOT, "docs", "operations.json")
MATRIX = os.path.join(ROOT, "docs", "kernel_matrix.md")

ACCEPTS = {"F": "fixed_file", "B": "buffer_select", "P": "ioprio"}
TREATED = {"G": "plugged", "H": "hashed_per_file"}

KINDS = {
    "SETUP": "setup_flags", "ENTER": "enter_flags", "REGISTER": "register_operations",
    "REGISTER_FLAG": "register_flags", "SQE": "sqe_flags", "CQE": "cqe_flags", "FEAT": "features",
    "OP": "operation_flags", "SQ_RING": "sq_ring_flags", "CQ_RING": "cq_ring_flags",
    "RESTRICTION": "restrictions", "QUERY": "queries", "PROBE": "probe_flags",
    "COMMAND": "driver_commands", "RWF": "rw_flags", "STATX": "statx_masks",
    "MMAP_OFFSET": "mmap_offsets", "CONSTANT": "constants", "NAPI": "napi",
    "BPF_FILTER": "bpf_filters", "ZCRX": "zero_copy_receive", "MOCK_FILE": "mock_files",
}

LEGEND = {
    "min_kernel": "first mainline kernel, as the source says; null: no source names it, and "
                  "believed_kernel is a guess",
    "first_header": "first of the headers 6.1, 6.12, 7.3 that has the name; they are of stable "
                    "kernels, which take things over from newer ones",
    "iopoll": "may the operation be in an IORING_SETUP_IOPOLL ring of that kernel; null: the kernel "
              "has no such operation",
    "flags_supported": "what an entry may have beside the flags that all take (IO_DRAIN, IO_LINK, "
                       "IO_HARDLINK, ASYNC, CQE_SKIP_SUCCESS): fixed_file IOSQE_FIXED_FILE, "
                       "buffer_select IOSQE_BUFFER_SELECT, ioprio a value in ioprio; of kernel 7.3",
    "kernel_treatment": "plugged: block requests of one submit reach the device together; "
                        "hashed_per_file: workers take those of one file one after the other",
    "sqe_fields": "members of struct io_uring_sqe that are read, beside opcode, flags, user_data and "
                  "personality; holds: what stands there when the name does not say it, * marks "
                  "memory",
    "complexity": "for a library. low: numbers and a descriptor, one completion; medium: memory of "
                  "the caller, or a result that needs care; high: several completions, or state of "
                  "the ring",
    "priority": "for a storage engine. core: keel's own; useful: would serve it; host: for the "
                "host's own work through keel_ctx_raw; avoid: something better is there",
    "sources": {
        "man": "manual pages of liburing 27255f4 (2026-08-19)",
        "man-pages": "manual pages 6.20",
        "PR": "io_uring pull request (tag for-X.Y/...) of the release named",
        "liburing": "commit in liburing, whose dates follow the kernel's development",
        "measured": "seen on Linux 6.18.44",
        "inferred": "no source names it; the reason is given",
        "polled": "io_uring/opdef.c of Debian's kernels 6.1, 6.12, 7.3",
    },
}


def kernel_of(row):
    if row["kernel"].endswith("?"):
        return {"min_kernel": None, "believed_kernel": row["kernel"][:-1]}
    return {"min_kernel": row["kernel"]}


def field(text):
    name, _, holds = text.partition("=")
    return {"name": name, "holds": holds} if holds else {"name": name}


def operation(row):
    polled = {"y": True, "n": False, "-": None}
    return {
        "name": "IORING_OP_" + row["name"], "value": row["value"], **kernel_of(row),
        "sqe_fields": [field(f) for f in row["fields"].split()],
        "result": row["result"],
        "flags_supported": [ACCEPTS[a] for a in row["accepts"] if a in ACCEPTS],
        "iopoll": {h: polled[l] for h, l in zip(surface_table.HEADERS, row["polled"])},
        "kernel_treatment": [TREATED[a] for a in row["accepts"] if a in TREATED],
        "complexity": row["complexity"].lower(), "priority": row["priority"].lower(),
        "source": row["source"],
    }


def flag(row):
    return {"name": row["name"], "value": row["value"], **kernel_of(row),
            "first_header": row["header"], "meaning": row["meaning"], "source": row["source"]}


def structure(row, members):
    return {
        "name": row["name"], "size": row["size"], "headers": row["headers"].split(),
        "purpose": row["purpose"],
        "members": [{"name": m["name"], "offset": m["offset"], "size": m["size"],
                     "headers": m["headers"].split()}
                    for m in members if m["structure"] == row["name"]],
    }


def lines_of(entries, indent):
    return ",\n".join(" " * indent + json.dumps(e, ensure_ascii=False) for e in entries)


def make_json(table):
    """One entry a line, so that a change shows as one line."""
    head = {"$schema": "operations.schema.json",
            "title": "The interface of io_uring through Linux 7.3",
            "generated_by": "tools/operations.py from tools/surface/*.def",
            "through_kernel": surface_table.HEADERS[-1],
            "headers": list(surface_table.HEADERS), "legend": LEGEND}
    text = json.dumps(head, indent=2, ensure_ascii=False)[:-2] + ",\n"
    text += '  "operations": [\n' + lines_of(map(operation, table.operations), 4) + "\n  ],\n"
    groups = []
    for kind, name in KINDS.items():
        rows = [flag(f) for f in table.flags if f["kind"] == kind]
        groups.append(f'    "{name}": [\n' + lines_of(rows, 6) + "\n    ]")
    text += '  "flags": {\n' + ",\n".join(groups) + "\n  },\n"
    rows = [structure(s, table.members) for s in table.structures]
    return text + '  "structures": [\n' + lines_of(rows, 4) + "\n  ]\n}\n"


def short(name):
    return re.sub(r"^(IORING_(OP|SETUP|ENTER|FEAT)_|IORING_)", "", name)


def releases_block(table):
    """| release | operations | features | set-up | enter, entry, completion | register |"""
    columns = ((None,), ("FEAT",), ("SETUP",), ("ENTER", "SQE", "CQE"), ("REGISTER",),
               ("OP", "COMMAND", "REGISTER_FLAG", "RWF"))
    rows = [(op["kernel"], None, op["name"]) for op in table.operations]
    rows += [(f["kernel"], f["kind"], f["name"]) for f in table.flags]
    releases = sorted({surface_table.number(k) for k, _, _ in rows})
    text = ("| release | operations | features | set-up flags | enter, entry and completion flags "
            "| register operations | other flags and commands |\n|---|---|---|---|---|---|---|\n")
    for release in [r for r in releases if r >= (5, 1)]:
        cells = []
        for kinds in columns:
            names = [short(n) + ("?" if k.endswith("?") else "") for k, kind, n in rows
                     if surface_table.number(k) == release and kind in kinds]
            cells.append(", ".join(names))
        if not any(cells):
            continue
        text += f"| {release[0]}.{release[1]} | " + " | ".join(cells) + " |\n"
    return text


def measured_block(name):
    """A table as the lab wrote it: tab-separated, heads in the first line, # for remarks."""
    def build(_table):
        text, path = "", os.path.join(surface_table.FOLDER, name)
        with open(path, encoding="utf-8") as file:
            rows = [l.rstrip("\n").split("\t") for l in file if not l.startswith("#")]
        for i, row in enumerate(rows):
            text += "| " + " | ".join(row) + " |\n"
            text += "|" + "---|" * len(row) + "\n" if i == 0 else ""
        return text
    return build


BLOCKS = {"releases": releases_block, "lab probe": measured_block("lab_probe.tsv"),
          "lab operations": measured_block("lab_operations.tsv"),
          "lab set-up": measured_block("lab_setup.tsv")}


def make_matrix(table, text):
    for name, build in BLOCKS.items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end of generated: {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise SystemExit(f"docs/kernel_matrix.md: wants one block '{name}'")
        before, rest = text.split(begin)
        text = before + begin + "\n" + build(table) + "\n" + end + rest.split(end)[1]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    args = parser.parse_args()

    table, status = surface_table.Table(), 0
    with open(MATRIX, encoding="utf-8") as file:
        matrix = file.read()
    for path, text in ((JSON, make_json(table)), (MATRIX, make_matrix(table, matrix))):
        old = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                old = file.read()
        if old == text:
            continue
        if args.check:
            print(f"{os.path.relpath(path, ROOT)} is out of date: run tools/operations.py")
            status = 1
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
