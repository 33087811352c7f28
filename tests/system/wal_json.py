#!/usr/bin/env python3
"""What keel wal dump, verify, stat and salvage print with --json: every field, of the type that scripts
rely on, and the figures of the four agree with each other.

Usage: wal_json.py VERIFY STAT DUMP [SALVAGE]     outputs of the same log; 1: something is wrong"""
import json
import sys

NUMBER, TEXT, FLAG, OBJECT, LIST = int, str, bool, dict, list
SPAN = {"blocks": NUMBER, "groups": NUMBER, "records": NUMBER, "record_bytes": NUMBER, "used_bytes": NUMBER,
        "padding_bytes": NUMBER}
VERIFY = {"log": TEXT, "status": TEXT, "exit": NUMBER, "ring_offset": NUMBER, "ring_bytes": NUMBER,
          "inflight_bytes": NUMBER}
FOUND = {"redo_lsn": NUMBER, "end_lsn": NUMBER, "promise_lsn": NUMBER, "last_group_lsn": NUMBER,
         "blocks_scanned": NUMBER, "blocks_torn": NUMBER, "blocks_void": NUMBER, "epoch": NUMBER, "clean": FLAG,
         "case": TEXT, "meaning": TEXT}
ERROR = {"name": TEXT, "text": TEXT, "op": TEXT, "object": TEXT, "offset": NUMBER, "want": NUMBER, "got": NUMBER}
STAT = {"log": TEXT, "ring_bytes": NUMBER, "used_bytes": NUMBER, "free_bytes": NUMBER, "redo_lsn": NUMBER,
        "end_lsn": NUMBER, "at_end": TEXT, "promise_lsn": NUMBER, "clean": FLAG, "epochs": NUMBER, "epoch": NUMBER,
        "below": OBJECT, "beyond": OBJECT, "records_by_type": OBJECT, "blocks_void": NUMBER,
        "blocks_unreadable": NUMBER, "damaged": FLAG}
DUMP = {"log": TEXT, "superblock": OBJECT, "blocks": LIST, "complete": FLAG}
SUPER = {"uuid": TEXT, "ring_bytes": NUMBER, "inflight_bytes": NUMBER, "redo_lsn": NUMBER, "promise_lsn": NUMBER,
         "clean": FLAG, "end_lsn": NUMBER, "epochs": LIST}
EPOCH = {"epoch": NUMBER, "first_lsn": NUMBER, "prev_end_lsn": NUMBER}
SALVAGE = {"log": TEXT, "copy": TEXT, "gave_up": FLAG, "redo_lsn": NUMBER, "end_lsn": NUMBER, "kept_groups": NUMBER,
           "kept_records": NUMBER, "at_end": TEXT, "promise_lsn": NUMBER, "highest_lsn": NUMBER,
           "lost_blocks": NUMBER, "lost_groups": NUMBER, "superblock_copies": NUMBER, "unreadable_count": NUMBER,
           "unreadable_lsn": LIST}

wrong = []


def must(good, text):
    if not good:
        wrong.append(text)


def fields(where, got, want):
    must(set(got) == set(want), f"{where}: has {sorted(set(got) ^ set(want))} or lacks it")
    for name, kind in want.items():
        must(type(got.get(name)) is kind, f"{where}.{name}: {got.get(name)!r} is no {kind.__name__}")


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def check_verify(verify):
    damaged = verify.get("status") in ("corrupt", "could not be read")
    fields("verify", verify, VERIFY | ({"error": OBJECT} if "error" in verify else FOUND))
    must(("error" in verify) == damaged, "verify: an error and a status that do not fit")
    must(verify["exit"] == {"clean": 0, "torn tail": 1, "corrupt": 3, "could not be read": 4}.get(verify["status"]),
         f"verify: status {verify['status']}, exit {verify['exit']}")
    if damaged:
        fields("verify.error", verify["error"], ERROR)
    else:
        must(verify["redo_lsn"] <= verify["last_group_lsn"] <= verify["end_lsn"], "verify: LSNs out of order")


def check_dump(dump):
    fields("dump", dump, DUMP)
    fields("dump.superblock", dump["superblock"], SUPER)
    for epoch in dump["superblock"]["epochs"]:
        fields("dump.superblock.epochs", epoch, EPOCH)
    must(len(dump["superblock"]["uuid"]) == 32, "dump: uuid")
    for block in dump["blocks"]:
        must(type(block.get("lsn")) is int, "dump: a block without LSN")
        must("records" in block or type(block.get("no_block")) is str, f"dump: a block that is neither: {block}")
        for record in block.get("records", []):
            must(all(type(record.get(name)) is int for name in ("lsn", "type", "len", "group_end_lsn")) and
                 type(record.get("last")) is bool, f"dump: a record: {record}")


def check_stat(stat):
    fields("stat", stat, STAT)
    for part in ("below", "beyond"):
        fields("stat." + part, stat[part], SPAN)
    must(stat["used_bytes"] + stat["free_bytes"] == stat["ring_bytes"], "stat: used and free are not the ring")
    must(sum(stat["records_by_type"].values()) == stat["below"]["records"], "stat: records by type do not add up")


def agree(verify, stat, dump, salvage):
    super_block = dump["superblock"]
    must(verify["ring_bytes"] == stat["ring_bytes"] == super_block["ring_bytes"], "the ring differs")
    must(verify["inflight_bytes"] == super_block["inflight_bytes"], "K differs")
    must(stat["redo_lsn"] == super_block["redo_lsn"], "the redo LSN differs")
    must(stat["epochs"] == len(super_block["epochs"]), "epochs differ")
    if "error" in verify:
        must(stat["damaged"], "stat does not call a corrupt log damaged")
    else:
        must(verify["redo_lsn"] == stat["redo_lsn"] and verify["end_lsn"] == stat["end_lsn"], "ends differ")
        must(verify["clean"] == stat["clean"], "clean or not")
        must(verify["epoch"] == stat["epoch"], "the epoch differs")
    if salvage:
        must(salvage["redo_lsn"] == stat["redo_lsn"], "salvage: another redo LSN")
        must(salvage["end_lsn"] <= stat["end_lsn"], "salvage: ends later than the log")
        must(salvage["kept_groups"] <= stat["below"]["groups"], "salvage: keeps more than there is")
        must(salvage["gave_up"] == ("error" in verify), "salvage: gave up or not")
        must(len(salvage["unreadable_lsn"]) == salvage["unreadable_count"], "salvage: unreadable blocks")


def main():
    verify, stat, dump = map(load, sys.argv[1:4])
    salvage = load(sys.argv[4]) if len(sys.argv) > 4 else None
    check_verify(verify)
    check_dump(dump)
    check_stat(stat)
    if salvage:
        fields("salvage", salvage, SALVAGE)
    if not wrong:
        agree(verify, stat, dump, salvage)
    for text in wrong[:20]:
        print(text)
    sys.exit(1 if wrong else 0)


main()
