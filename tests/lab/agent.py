#!/usr/bin/env python3
"""The host's side of `ask`: what a guest cannot do to its own disk. Stands between the guest's status line and QEMU's
monitor, and ends when the guest does.

Usage: agent.py ASK-SOCKET MONITOR-SOCKET STATUS-FILE

Lines "ask WORD..." of the guest are done and answered with "done" or "failed REASON"; all others go to the file.
  fail OP      read, write, flush: from now on the disk answers these with an error
  fail OP N    the next N of them (the kernel tries one of its own six times, one that is passed through once)
  hang         the disk takes writes and does not answer
  mend         the disk is whole again; what hung is answered
  unplug       the disk is gone       plug   it is there again
  link on|off  the network cable
  throttle N   the disk "slow" takes N requests per second, 0: as many as come
"""
import json
import os
import socket
import sys


class Monitor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.run("qmp_capabilities")
        self.hung = False

    def run(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def wait_for(self, event):
        while json.loads(self.file.readline()).get("event") != event:
            pass

    def put_under_disk(self, node):
        self.run("blockdev-reopen", options=[{"driver": "raw", "node-name": "disk", "file": node}])

    def io(self, command):
        # By the device's own connection: one that is made for the command waits for all requests when it goes.
        said = self.run("human-monitor-command", **{"command-line": f'qemu-io -d nvme "{command}"'})
        if said:
            raise RuntimeError(said.strip())

    def add_faults(self, rules):
        node = {"driver": "blkdebug", "node-name": "disk-faults", "image": "image"}
        if rules:
            node["inject-error"] = rules
        self.run("blockdev-add", **node)
        self.put_under_disk("disk-faults")

    def do(self, words):
        action, rest = words[0], words[1:]
        if action == "fail":
            rule = {"event": "none", "iotype": rest[0], "errno": 5, "once": len(rest) > 1}
            self.add_faults([rule] * (int(rest[1]) if len(rest) > 1 else 1))
        elif action == "hang":
            self.add_faults([])
            self.io("break pwritev hang")
            self.hung = True
        elif action == "mend":
            if self.hung:
                self.io("remove_break hang")
                self.hung = False
            self.put_under_disk("image")
            self.run("blockdev-del", **{"node-name": "disk-faults"})
        elif action == "unplug":
            self.run("device_del", id="nvme")
            self.wait_for("DEVICE_DELETED")
        elif action == "plug":
            self.run("device_add", driver="nvme", id="nvme", drive="disk", serial="keel0")
        elif action == "link":
            self.run("set_link", name="net", up=rest[0] == "on")
        elif action == "throttle":
            bounds = {key: 0 for key in ("bps", "bps_rd", "bps_wr", "iops_rd", "iops_wr")}
            self.run("block_set_io_throttle", id="slow", iops=int(rest[0]), **bounds)
        else:
            raise RuntimeError(f"there is no {action}")


def serve(connection, monitor_path, status_path):
    monitor = None
    with open(status_path, "w", encoding="utf-8") as status:
        for line in connection.makefile("r", errors="replace"):
            words = line.split()
            if not words or words[0] != "ask":
                status.write(line)
                status.flush()
                continue
            try:
                monitor = monitor or Monitor(monitor_path)
                monitor.do(words[1:])
                answer = "done"
            except (OSError, RuntimeError, ValueError, IndexError) as error:
                answer = f"failed {error}"
            connection.sendall(answer.encode() + b"\n")


def main():
    ask, monitor_path, status_path = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(ask)
    listener.listen(1)
    listener.settimeout(60)
    try:
        connection, _ = listener.accept()
    except OSError:
        return
    connection.settimeout(None)
    try:
        serve(connection, monitor_path, status_path)
    except ConnectionError:
        pass
    finally:
        os.unlink(ask)


if __name__ == "__main__":
    main()
