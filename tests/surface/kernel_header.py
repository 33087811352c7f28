"""What a kernel's user-space headers say of io_uring: names with values, structures with offsets.

Names and members are found in the text; values, offsets and sizes are the C compiler's. A structure
whose text is misread does not compile, so a mistake here shows.
"""
import os
import re
import subprocess
import tempfile

# Headers whose every name counts, and headers of which a pattern counts. The rest of those is not
# io_uring's.
WHOLE = ("io_uring.h", "io_uring/query.h", "io_uring/zcrx.h", "io_uring/bpf_filter.h",
         "io_uring/mock_file.h")
PARTS = (("nvme_ioctl.h", r"NVME_URING_CMD_\w+", r"nvme_uring_cmd"),
         ("blkdev.h", r"BLOCK_URING_CMD_\w+", None),
         ("fs.h", r"RWF_(?!SUPPORTED)\w+", None),
         ("stat.h", r"STATX_(?:DIOALIGN|WRITE_ATOMIC|DIO_READ_ALIGN)", None))

# Not part of the interface: include guards, ends of enums (they move), positions of bits whose
# flags are in the table.
NOT_NAMES = re.compile(r"LINUX_\w+|\w+_LAST|\w+_END|\w*QUERY_MAX|\w+_BIT")

TOKEN = re.compile(r"\w+|[{}();,\[\]*]|[^\s\w]")


class Missing(Exception):
    """There is no such header, or it does not compile."""


def _text(path):
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", file.read(), flags=re.S)
    return text.replace("\\\n", " ")


def _names(text, pattern):
    found = []
    for match in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+\S", text, re.M):
        found.append(match.group(1))
    for match in re.finditer(r"\benum\b[^{;()]*\{([^}]*)\}", text):
        found += [m.group(1) for m in re.finditer(r"(?:^|,)\s*(\w+)", match.group(1))]
    return [n for n in found if re.fullmatch(pattern, n) and not NOT_NAMES.fullmatch(n)]


def _flexible(text):
    """__DECLARE_FLEX_ARRAY(type, name) as what it comes to: a member that is an array."""
    return re.sub(r"__DECLARE_FLEX_ARRAY\(\s*([^,]+),\s*(\w+)\s*\)", r"\1 \2[]", text)


def _body(tokens, i):
    """The tokens of the braces that open at i, and the place behind them."""
    depth, start = 0, i
    while True:
        depth += {"{": 1, "}": -1}.get(tokens[i], 0)
        i += 1
        if depth == 0:
            return tokens[start + 1:i - 1], i


def _members(tokens):
    """[(name, is it a flexible array)]; members of unnamed structs and unions count as its own."""
    found, i = [], 0
    while i < len(tokens):
        inner, last, flexible = None, None, False
        while i < len(tokens) and tokens[i] != ";":
            if tokens[i] == "{":
                inner, i = _body(tokens, i)
                last = None
            elif tokens[i] == "__attribute__":
                _, i = _body([{"(": "{", ")": "}"}.get(t, t) for t in tokens], i + 1)
            elif tokens[i] == "[":
                flexible = tokens[i + 1] == "]"
                i = tokens.index("]", i) + 1
            else:
                last = tokens[i] if re.match(r"[A-Za-z_]", tokens[i]) else last
                i += 1
        i += 1
        if inner is not None and last is None:
            found += _members(inner)
        elif inner is not None:
            found += [(last, False)] + [(f"{last}.{n}", f) for n, f in _members(inner)]
        elif last:
            found.append((last, flexible))
    return found


def _structures(text, pattern):
    found = {}
    tokens = TOKEN.findall(re.sub(r"^[ \t]*#[^\n]*", "", _flexible(text), flags=re.M))
    for i in range(len(tokens) - 2):
        name = tokens[i + 1]
        if tokens[i] == "struct" and tokens[i + 2] == "{" and re.fullmatch(pattern, name):
            found[name] = _members(_body(tokens, i + 2)[0])
    return found


def _compile(folder, headers, lines):
    source = "#define _GNU_SOURCE\n#include <stddef.h>\n#include <stdio.h>\n"
    source += "".join(f"#include <linux/{h}>\n" for h in headers)
    source += "int main(void)\n{\n" + "".join(lines) + "return 0;\n}\n"
    with tempfile.TemporaryDirectory() as temp:
        path = os.path.join(temp, "values.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        command = [os.environ.get("CC", "cc"), "-w", "-std=gnu11", path, "-o", path[:-2]]
        if folder:
            command[1:1] = ["-isystem", folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise Missing(result.stderr.strip())
        output = subprocess.run([path[:-2]], capture_output=True, text=True, check=True).stdout
    return [line.split() for line in output.splitlines()]


def read(folder=None):
    """({name: value modulo 2^64}, {structure: (size, {member: (offset, size)})}) of the headers in
    a folder, or of the distribution's own."""
    base = os.path.join(folder or "/usr/include", "linux")
    names, structures, headers = [], {}, []
    for header, names_wanted, structures_wanted in (
            [(h, r"\w+", r"\w+") for h in WHOLE] + list(PARTS)):
        path = os.path.join(base, header)
        if not os.path.exists(path):
            continue
        text = _text(path)
        headers.append(header)
        names += _names(text, names_wanted)
        if structures_wanted:
            structures.update(_structures(text, structures_wanted))
    if "io_uring.h" not in headers:
        raise Missing(f"{base}/io_uring.h: no such file")

    lines = [f'printf("{n} %llu\\n", (unsigned long long)(long long)({n}));\n' for n in names]
    for name, members in structures.items():
        lines.append(f'printf("{name} . %zu\\n", sizeof(struct {name}));\n')
        for member, flexible in members:
            where = f"struct {name}, {member}"
            size = "(size_t)0" if flexible else f"sizeof(((struct {name} *)0)->{member})"
            lines.append(f'printf("{name} {member} %zu %zu\\n", offsetof({where}), {size});\n')
    return _collect(_compile(folder, headers, lines), structures)


def _collect(rows, structures):
    values, layout = {}, {name: [0, {}] for name in structures}
    for row in rows:
        if row[0] in layout and row[1] == ".":
            layout[row[0]][0] = int(row[2])
        elif row[0] in layout:
            layout[row[0]][1][row[1]] = (int(row[2]), int(row[3]))
        else:
            values[row[0]] = int(row[1]) % 2**64
    return values, {name: (size, members) for name, (size, members) in layout.items()}
