#!/usr/bin/env python3
"""Makes tools/surface/lab_probe.tsv, which docs/kernel_matrix.md shows, from answers of
`keel probe DISK --json` in the lab's guests.

Usage: lab_probe.py DATE KERNEL=PROBE.json... >tools/surface/lab_probe.tsv
"""
import json
import sys


def newest(rows):
    """The last one that is there, in the order of the table."""
    there = [r["name"] for r in rows if r["supported"]]
    return there[-1] if there else "none"


def newest_register(kernel):
    if not kernel["io_uring"]["query"]:
        return "cannot be asked"
    return newest([r for r in kernel["register_operations"] if r["value"] < 256])


def mask(rows):
    if all(r["supported"] is None for r in rows):
        return "cannot be asked"
    return hex(sum(r["value"] for r in rows if r["supported"]))


def backported(kernel):
    rows = [r for key in ("operations", "setup_flags", "features") for r in kernel[key]]
    names = [r["name"].replace("IORING_", "") for r in rows if r["supported"] and not r["expected"]]
    return ", ".join(names) or "none"


def missing(kernel):
    rows = [r for key in ("operations", "setup_flags", "features") for r in kernel[key]]
    names = [r["name"] for r in rows if r["expected"] and r["supported"] is False]
    return ", ".join(names) or "none"


LINES = (
    ("release", lambda k: k["release"]),
    ("operations", lambda k: str(sum(bool(r["supported"]) for r in k["operations"]))),
    ("the last of them", lambda k: newest(k["operations"])),
    ("features", lambda k: mask(k["features"])),
    ("set-up flags", lambda k: mask(k["setup_flags"])),
    ("enter flags (REGISTER_QUERY)", lambda k: mask(k["enter_flags"])),
    ("last register operation (REGISTER_QUERY)", newest_register),
    ("largest ring: entries, completions", lambda k: f"{k['limits']['sq_entries_max']}, "
                                                     f"{k['limits']['cq_entries_max']}"),
    ("there although newer", backported),
    ("not there although it should be", missing),
)


def main():
    date, kernels = sys.argv[1], {}
    for argument in sys.argv[2:]:
        name, path = argument.split("=", 1)
        with open(path, encoding="utf-8") as file:
            kernels[name] = json.load(file)["kernel"]
    print(f"# Answers of keel probe in the lab's guests, {date}; made by tests/surface/lab_probe.py.")
    print("\t".join(["asked by keel probe"] + list(kernels)))
    for label, value in LINES:
        print("\t".join([label] + [value(k) for k in kernels.values()]))


if __name__ == "__main__":
    main()
