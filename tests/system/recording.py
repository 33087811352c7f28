#!/usr/bin/env python3
"""A recording for keel crash replay: the log of a disk's writes and, beside it, a trace of its commands.

The engine that is recorded writes blocks 1, 2, 3... of 4 KiB, each filled with its number, and acknowledges number
n with the mark "done n" when it believes that block n is durable.

Usage: recording.py KIND LOG [TRACE]
  fua           each write has FUA: in the trace alone, the log has dropped it
  fua-in-log    the same, in the log's own flags; no trace
  flush         a flush is submitted when the write is complete
  early         the flush is submitted before the write completes; the log shows the order of "flush"
  nothing       plain writes, acknowledged when complete
  gap           as fua, but the trace lacks a write
  hole          as fua, but the log lacks a write
  dropped       as fua, and the kernel dropped lines of the trace
"""
import struct
import sys

BLOCKS = 40
FLUSH, FUA, MARK = 1, 2, 8


class Recording:
    def __init__(self):
        self.entries, self.lines, self.ids = [], [], 0

    def entry(self, sector, sectors, flags, data):
        head = struct.pack("<QQQQ", sector, sectors, flags, len(data) if flags & MARK else 0)
        if flags & MARK:
            head += data
            data = b""
        self.entries.append(head.ljust(512, b"\0") + data)

    def mark(self, text):
        self.lines.append(f"tracing_mark_write: keel: {text}")

    def submit(self, command):
        self.ids += 1
        # As 5.10 prints it: above the tag a number of uses, which its completion does not have.
        self.lines.append(f"nvme_setup_cmd: nvme0: disk=nvme0n1, qid=1, cmdid={self.ids | 0x3000}, nsid=1, flags=0x0, "
                          f"meta=0x0, cmd=({command})")
        return self.ids

    def complete(self, number):
        self.lines.append(f"nvme_complete_rq: nvme0: disk=nvme0n1, qid=1, cmdid={number}, res=0x0, retries=0, "
                          "flags=0x0, status=0x0")

    def write(self, block, fua):
        return self.submit(f"nvme_cmd_write slba={block * 8}, len=7, ctrl={0x4000 if fua else 0:#x}, dsmgmt=0, "
                           "reftag=0")

    def save(self, log, trace, written):
        with open(log, "wb") as file:
            file.write(struct.pack("<QQQI", 0x6a736677736872, 1, 0, 512).ljust(512, b"\0"))
            file.write(b"".join(self.entries))
        if trace:
            with open(trace, "w", encoding="utf-8") as file:
                print(f"# entries-in-buffer/entries-written: {len(self.lines)}/{written or len(self.lines)}   #P:1",
                      file=file)
                for number, line in enumerate(self.lines):
                    print(f"  engine-1  [000] ..... {number}: {line}", file=file)


def step(recording, kind, block):
    data = struct.pack("<I", block) * 1024
    fua = kind in ("fua", "gap", "hole", "dropped")
    write = flush = None
    if not (kind == "gap" and block == 20):
        write = recording.write(block, fua)
    if kind == "early":
        flush = recording.submit("nvme_cmd_flush cdw10=00")
    if write:
        recording.complete(write)
    if kind == "flush":
        flush = recording.submit("nvme_cmd_flush cdw10=00")
    if flush:
        recording.complete(flush)
    if not (kind == "hole" and block == 20):
        recording.entry(block * 8, 8, FUA if kind == "fua-in-log" else 0, data)
    if flush:
        recording.entry(0, 0, FLUSH, b"")
    recording.entry(0, 0, MARK, b"keel: done %d" % block)
    recording.mark(f"done {block}")


def main():
    kind, log = sys.argv[1:3]
    recording = Recording()
    recording.mark("begin nvme0 1 512 x")
    for block in range(1, BLOCKS + 1):
        step(recording, kind, block)
    recording.mark("end")
    recording.save(log, sys.argv[3] if len(sys.argv) > 3 else None, 1000000 if kind == "dropped" else 0)


if __name__ == "__main__":
    main()
