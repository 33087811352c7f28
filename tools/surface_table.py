"""Reads tools/surface/*.def, the one table of io_uring's interface, as C reads it."""
import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "surface")
HEADERS = ("6.1", "6.12", "7.3")
PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",()\s]+)|([,)])')

COLUMNS = {
    "SURFACE_OP": ("name", "value", "kernel", "polled", "accepts", "complexity", "priority",
                   "fields", "result", "source"),
    "SURFACE_FLAG": ("kind", "name", "value", "kernel", "header", "meaning", "source"),
    "SURFACE_STRUCT": ("name", "size", "headers", "purpose"),
    "SURFACE_MEMBER": ("structure", "name", "offset", "size", "headers"),
}


def _arguments(text, position):
    """The arguments of the macro call whose bracket was just opened."""
    found = []
    while True:
        match = PIECE.search(text, position)
        position = match.end()
        if match.group(3) == ")":
            return found
        if match.group(3) is None:
            found.append(match.group(1) if match.group(1) is not None else match.group(2))


def rows(name, macro, folder=FOLDER):
    """The rows of one macro in a file, as dictionaries; numbers are numbers."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        text = file.read()
    for match in re.finditer(rf"^{macro}\(", text, re.M):
        values = _arguments(text, match.end())
        if len(values) != len(COLUMNS[macro]):
            raise ValueError(f"{name}: {macro}({', '.join(values)}): wants {COLUMNS[macro]}")
        row = dict(zip(COLUMNS[macro], values))
        for column in ("value", "offset", "size"):
            if column in row:
                row[column] = int(row[column], 0)
        yield row


def number(kernel):
    """A kernel for comparing: "5.6" as (5, 6); of a belief ("5.8?") what is believed."""
    return tuple(int(part) for part in kernel.rstrip("?").split("."))


class Table:
    """The whole table."""

    def __init__(self, folder=FOLDER):
        self.operations = list(rows("operations.def", "SURFACE_OP", folder))
        self.flags = list(rows("flags.def", "SURFACE_FLAG", folder))
        self.structures = list(rows("structures.def", "SURFACE_STRUCT", folder))
        self.members = list(rows("structures.def", "SURFACE_MEMBER", folder))

    def names(self):
        """{name in the headers: (value modulo 2^64, first header that has it)}"""
        found = {}
        for op in self.operations:
            header = next(h for h, letter in zip(HEADERS, op["polled"]) if letter != "-")
            found["IORING_OP_" + op["name"]] = (op["value"], header)
        for flag in self.flags:
            found[flag["name"]] = (flag["value"] % 2**64, flag["header"])
        return found

    def layout(self, header):
        """{structure: (size, {member: (offset, size)})} as one header has them."""
        found = {s["name"]: (s["size"], {}) for s in self.structures
                 if header in s["headers"].split()}
        for member in self.members:
            if header in member["headers"].split():
                found[member["structure"]][1][member["name"]] = (member["offset"], member["size"])
        return found
