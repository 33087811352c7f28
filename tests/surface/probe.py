#!/usr/bin/env python3
"""Do `keel probe --json` and docs/operations.json agree?

Both must name the same things with the same values and first kernels. What the kernel answers must
fit its release: nothing missing that a kernel of that release has, and nothing there that is newer,
unless the release is a stable one that took it over, which is said.

Usage: probe.py [--exact] PROBE.json operations.json
       --exact   what is there although newer is wrong, too
"""
import json
import sys

GROUPS = ("setup_flags", "features", "enter_flags", "sqe_flags", "register_operations")


def number(kernel):
    return tuple(int(part) for part in kernel.split(".")[:2])


def main():
    paths = [a for a in sys.argv[1:] if a != "--exact"]
    with open(paths[0], encoding="utf-8") as file:
        kernel = json.load(file)["kernel"]
    with open(paths[1], encoding="utf-8") as file:
        known = json.load(file)
    digits = "".join(c if c.isdigit() or c == "." else " " for c in kernel["release"]).split()[0]
    release, wrong, newer = number(digits), 0, []

    for group in ("operations",) + GROUPS:
        want = known["operations"] if group == "operations" else known["flags"][group]
        have = kernel[group]
        facts = [[(r["name"], r["value"], r["min_kernel"]) for r in rows] for rows in (have, want)]
        if facts[0] != facts[1]:
            print(f"{group}: the command and the file differ: {set(facts[0]) ^ set(facts[1])}")
            wrong += 1
        for row in have:
            if row["supported"] is None or row["min_kernel"] is None:
                continue
            expected = number(row["min_kernel"]) <= release
            if row["supported"] and not expected:
                newer.append(row["name"])
            elif expected and not row["supported"]:
                print(f"{row['name']} is of {row['min_kernel']} and missing on {digits}")
                wrong += 1
            if row["expected"] != expected:
                print(f"{row['name']}: expected is {row['expected']}")
                wrong += 1
    if newer:
        print(f"{digits} has, although newer: {', '.join(newer)}")
        wrong += len(newer) if "--exact" in sys.argv else 0
    asked = sum(r["supported"] is not None for g in ("operations",) + GROUPS for r in kernel[g])
    print(f"{digits}: {len(kernel['operations'])} operations, {asked} answers in all compared, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
