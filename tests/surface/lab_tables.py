#!/usr/bin/env python3
"""Makes tools/surface/lab_operations.tsv and lab_setup.tsv, which docs/kernel_matrix.md shows, from the output of
lab_surface in the lab's guests; or compares one guest's output with them.

Usage: lab_tables.py DATE KERNEL=OUTPUT...     write both tables
       lab_tables.py --check KERNEL OUTPUT     exit 1 when they differ in a row of this kernel
"""
import os
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "surface")
TABLES = {"operations": ("lab_operations.tsv", "operation on an IOPOLL ring"),
          "set-up": ("lab_setup.tsv", "set-up flags, then a READ_FIXED")}


def output(path):
    """{table: {row: result}}"""
    found = {name: {} for name in TABLES}
    with open(path, encoding="utf-8") as file:
        for line in file:
            table, row, result = line.rstrip("\n").split("\t")
            found[table][row] = result
    return found


def table(name):
    """{row: {kernel: result}}"""
    with open(os.path.join(FOLDER, TABLES[name][0]), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return {row[0]: dict(zip(rows[0][1:], row[1:])) for row in rows[1:]}


def check(kernel, path):
    wrong, have = 0, output(path)
    for name in TABLES:
        want = {row: results.get(kernel) for row, results in table(name).items()}
        for row in sorted(set(want) | set(have[name])):
            if want.get(row) != have[name].get(row):
                print(f"{kernel}, {name}, {row}: {have[name].get(row)}, in the table {want.get(row)}")
                wrong += 1
        print(f"{kernel}: {len(have[name])} rows of {name} compared")
    return 1 if wrong else 0


def write(date, kernels):
    outputs = {kernel: output(path) for kernel, path in kernels.items()}
    for name, (file_name, title) in TABLES.items():
        with open(os.path.join(FOLDER, file_name), "w", encoding="utf-8") as file:
            file.write(f"# What lab_surface printed in the lab's guests, {date}; made by tests/surface/lab_tables.py.\n")
            file.write("\t".join([title] + list(outputs)) + "\n")
            for row in next(iter(outputs.values()))[name]:
                file.write("\t".join([row] + [o[name][row] for o in outputs.values()]) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2], sys.argv[3]))
    write(sys.argv[1], dict(argument.split("=", 1) for argument in sys.argv[2:]))
