#!/usr/bin/python3 -u
# SPDX-License-Identifier: Apache-2.0
"""Asks guests on their consoles, by the control protocol (docs/control-protocol.md).

ask.py ISOLA ask SECONDS NAME COMMAND          prints what the shell on the console of NAME says to COMMAND
ask.py ISOLA fork SECONDS PARENT COUNT NAMES   forks, asks every fork for its number while it counts in memory of its own,
                                               prints how long forking and each answer took; exit status 1: one is wrong

The guest's shell is `exec </dev/ttyS0; stty -echo; while read -r l; do eval "$l"; echo "<done>"; done`.
"""
import json, os, re, socket, struct, subprocess, sys, time


class Console:
    """The console of the instance with this id; an answer is waited for until @until (monotonic seconds)."""

    def __init__(self, ident, until):
        path = os.path.join(os.environ["XDG_RUNTIME_DIR"], "isola", ident[:16] + ".sock")
        self.until = until
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.bytes = b""
        self.line()
        self.sock.sendall(json.dumps({"do": "attach", "input": True}).encode() + b"\n")
        answer = json.loads(self.line())
        if not answer.get("ok"):
            sys.exit("attach: %s" % answer.get("error"))

    def more(self):
        left = self.until - time.monotonic()
        if left <= 0:
            sys.exit("no answer in time: %r" % self.bytes[-200:])
        self.sock.settimeout(left)
        got = self.sock.recv(65536)
        if not got:
            sys.exit("the console ended")
        self.bytes += got

    def line(self):
        while b"\n" not in self.bytes:
            self.more()
        line, self.bytes = self.bytes.split(b"\n", 1)
        return line

    def frame(self):
        while len(self.bytes) < 4 or len(self.bytes) < 4 + struct.unpack("<H", self.bytes[2:4])[0]:
            self.more()
        kind, n = self.bytes[0], struct.unpack("<H", self.bytes[2:4])[0]
        content, self.bytes = self.bytes[4 : 4 + n], self.bytes[4 + n :]
        return kind, content

    def ask(self, command):
        data = command.encode() + b"\n"
        self.sock.sendall(struct.pack("<BBH", 1, 0, len(data)) + data)
        said = b""
        while b"<done>" not in said:
            kind, content = self.frame()
            if kind == 0x83:
                sys.exit("it ended")
            if kind == 0x81:
                said += content
        return said.split(b"<done>")[0].decode(errors="replace").replace("\r", "").strip()


def run(isola, until, *words):
    done = subprocess.run([isola, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          timeout=max(1, until - time.monotonic()))
    if done.returncode:
        sys.exit(1)
    return done.stdout.decode().split()


def fork(isola, until, parent, count, names):
    start = time.monotonic()
    ids = run(isola, until, "fork", "-n", str(count), "--name", names, parent)
    forked = time.monotonic() - start
    consoles = [Console(ids[0], until)]
    consoles[0].ask(":")
    answered = time.monotonic() - start
    bad = 0
    # Each keeps a number of its own in a variable and a file; then all are asked for them again.
    consoles += [Console(i, until) for i in ids[1:]]
    for n, c in enumerate(consoles):
        c.ask("mine=%d; echo %d >/run/mine" % (n, n))
    for n, c in enumerate(consoles):
        said = c.ask("echo $mine $(cat /run/mine) $before")
        if not re.fullmatch(r"%d %d \S+" % (n, n), said):
            print("fork %d says %r" % (n, said))
            bad = 1
    print("%d forks in %.0f ms, the first has answered after %.0f ms, all right after %.1f s"
          % (len(ids), forked * 1000, answered * 1000, time.monotonic() - start))
    return bad or len(ids) != count


if __name__ == "__main__":
    program, verb, limit = sys.argv[1], sys.argv[2], time.monotonic() + float(sys.argv[3])
    if verb == "fork":
        sys.exit(fork(program, limit, sys.argv[4], int(sys.argv[5]), sys.argv[6]))
    print(Console(run(program, limit, "inspect", "-f", "{{.Id}}", sys.argv[4])[0], limit).ask(sys.argv[5]))
