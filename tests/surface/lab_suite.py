#!/usr/bin/env python3
"""Makes tools/surface/lab_suite.tsv, which docs/kernel_matrix.md shows: how many rows of the lab's suite passed on each
kernel, by what they show.

Usage: lab_suite.py DATE KERNEL=build/lab/KERNEL/summary... >tools/surface/lab_suite.tsv
"""
import sys

TOPICS = (
    ("what keel probe and the kernel answer", "probe surface restricted"),
    ("reads are polled: interrupts of the disk under 1 percent of them", "polled hybrid"),
    ("contract of the methods", "contract"),
    ("the store's tests", "store"),
    ("keel demo", "demo"),
    ("processes killed at work", "demo-killed"),
    ("disks and namespaces that are refused, and names that are swapped", "refused namespaces"),
    ("commands that a commit sends", "commands"),
    ("power cuts", "cut"),
    ("errors, a silent disk, a disk that is gone", "fault"),
    ("a disk that becomes slow", "throttled"),
    ("a cable that is cut", "remote"),
    ("beside fio", "speed"),
)


def topic_of(row):
    """The longest name of a topic that the row begins with."""
    names = [(name, title) for title, words in TOPICS for name in words.split() if (row + "-").startswith(name + "-")]
    return max(names, key=lambda pair: len(pair[0]))[1]


def read(path):
    """{topic: [passed, run]}; the same row may have been run again, and then the last time counts."""
    rows = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row, result, *_ = line.split()
            if row != "kernel":
                rows[row] = result == "passed"
    counts = {title: [0, 0] for title, _ in TOPICS}
    for row, passed in rows.items():
        count = counts[topic_of(row)]
        count[0] += passed
        count[1] += 1
    return counts


def main():
    date = sys.argv[1]
    kernels = {name: read(path) for name, path in (argument.split("=", 1) for argument in sys.argv[2:])}
    print(f"# Rows of tests/lab/suite.tab in the lab's guests, {date}; made by tests/surface/lab_suite.py.")
    print("\t".join(["rows passed, of rows for this kernel"] + list(kernels)))
    for title, _ in TOPICS:
        counts = [kernel[title] for kernel in kernels.values()]
        print("\t".join([title] + [f"{passed} of {run}" if run else "none" for passed, run in counts]))


if __name__ == "__main__":
    main()
