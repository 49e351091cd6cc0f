# SPDX-License-Identifier: Apache-2.0
"""A command on a terminal of its own, for tests: what it draws is kept, steps look at it and type.

  terminal.py COLUMNSxROWS STEP... -- COMMAND...

  see TEXT        waits until a row of the screen contains TEXT (150 s at most)
  colors TEXT N   the attributes of the character at which TEXT stands are the list N, as 1;33
  type TEXT       with escapes as in Python
  bell            waits for the bell
  resize CxR      changes the size
  end STATUS      waits for the end of the command, which must leave the terminal as it was
"""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

LIMIT = 150


class Terminal:
    def __init__(self, size, command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            time.sleep(0.2)  # the size comes first
            os.execvp(command[0], command)
        self.bells, self.attributes, self.x, self.y, self.other, self.rest = 0, '0', 0, 0, False, ''
        self.resize(size)
        self.modes = termios.tcgetattr(self.fd)

    def resize(self, size):
        self.columns, self.rows = map(int, size.split('x'))
        self.clear()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', self.rows, self.columns, 0, 0))

    def clear(self):
        self.cells = [[(' ', '')] * self.columns for _ in range(self.rows)]

    def draw(self, text):
        text = self.rest + text
        self.rest = ''
        pattern = re.compile(r'\x1b\[([?0-9;]*)([A-Za-z])|(\x1b[^A-Za-z]*)$|(.)', re.S)
        for m in pattern.finditer(text):
            parameters, final, cut, char = m.groups()
            if cut:
                self.rest = cut
            elif final == 'H':
                self.y, self.x = [int(p) - 1 for p in parameters.split(';')]
            elif final == 'm':
                self.attributes = parameters
            elif final == 'J':
                self.clear()
            elif final in ('h', 'l') and parameters == '?1049':
                self.other = final == 'h'
            elif char == '\a':
                self.bells += 1
            elif char == '\n':
                self.y = min(self.y + 1, self.rows - 1)
            elif char == '\r':
                self.x = 0
            elif char and char >= ' ':
                if self.x < self.columns and self.y < self.rows:
                    self.cells[self.y][self.x] = (char, self.attributes)
                self.x += 1

    def lines(self):
        return [''.join(c for c, _ in row) for row in self.cells]

    def wait(self, what, test):
        end = time.monotonic() + LIMIT
        while not test():
            if time.monotonic() > end:
                self.fail('not seen: ' + what)
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b''
                if not data:
                    return False
                self.draw(data.decode(errors='replace'))
        return True

    def fail(self, why):
        print('FAILED:', why, 'on', '\n'.join(line.rstrip() for line in self.lines()))
        os.kill(self.pid, 9)
        sys.exit(1)

    def see(self, text):
        if not self.wait(text, lambda: any(text in line for line in self.lines())):
            self.fail('ended before: ' + text)

    def colors(self, text, want):
        for line, row in zip(self.lines(), self.cells):
            if text in line:
                got = row[line.index(text)][1]
                if got != want:
                    self.fail('attributes of %s are %s' % (text, got))
                return
        self.fail('no ' + text)

    def end(self, want):
        self.wait('the end', lambda: False)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if status != want or self.other:
            self.fail('status %d, other screen %s' % (status, self.other))


def main():
    at = sys.argv.index('--')
    steps, command = sys.argv[2:at], sys.argv[at + 1:]
    t = Terminal(sys.argv[1], command)
    while steps:
        what = steps.pop(0)
        if what == 'see':
            t.see(steps.pop(0))
        elif what == 'colors':
            t.colors(steps.pop(0), steps.pop(0))
        elif what == 'type':
            os.write(t.fd, steps.pop(0).encode().decode('unicode_escape').encode())
        elif what == 'bell':
            if not t.wait('the bell', lambda: t.bells):
                t.fail('ended before the bell')
        elif what == 'resize':
            t.resize(steps.pop(0))
        elif what == 'end':
            t.end(int(steps.pop(0)))
        else:
            sys.exit('no step ' + what)


main()
