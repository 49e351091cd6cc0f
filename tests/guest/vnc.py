# SPDX-License-Identifier: Apache-2.0
"""A small VNC client for tests (RFC 6143), raw encoding only.

  vnc.py ADDRESS pixel X Y          the colour there, RRGGBB, and the size of the screen
  vnc.py ADDRESS type TEXT          types it and presses return
  vnc.py ADDRESS move X Y BUTTONS   puts the pointer there
  vnc.py ADDRESS hostile            sends what no client should; the server must go on serving others
  vnc.py ADDRESS rate SECONDS       updates a second
"""
import os
import socket
import struct
import sys
import time


class Vnc:
    def __init__(self, address, timeout=20):
        kind = socket.AF_UNIX if address.startswith('/') else socket.AF_INET
        self.s = socket.socket(kind, socket.SOCK_STREAM)
        self.s.settimeout(timeout)
        self.s.connect(address if kind == socket.AF_UNIX else ('127.0.0.1', int(address)))
        assert self.take(12) == b'RFB 003.008\n'
        self.s.sendall(b'RFB 003.008\n')
        assert 1 in self.take(self.take(1)[0])  # no authentication
        self.s.sendall(b'\1')
        assert self.take(4) == b'\0\0\0\0'
        self.s.sendall(b'\1')
        self.width, self.height = struct.unpack('>HH', self.take(4))
        self.take(16)
        self.name = self.take(struct.unpack('>I', self.take(4))[0]).decode()
        # 32 bits, little-endian, red at 16, and raw with changes of size
        self.s.sendall(struct.pack('>B3xBBBBHHHBBB3x', 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.s.sendall(struct.pack('>BxHii', 2, 2, 0, -223))
        self.pixels = bytearray(self.width * self.height * 4)

    def take(self, n):
        data = b''
        while len(data) < n:
            part = self.s.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def request(self, incremental):
        self.s.sendall(struct.pack('>BBHHHH', 3, incremental, 0, 0, self.width, self.height))

    def update(self):
        """Takes one update; the number of pixels in it."""
        while True:
            kind = self.take(1)[0]
            if kind == 0:
                break
            if kind == 3:  # cut text
                self.take(3)
                self.take(struct.unpack('>I', self.take(4))[0])
            elif kind != 2:
                raise ValueError(kind)
        count, got = struct.unpack('>xH', self.take(3))[0], 0
        for _ in range(count):
            x, y, w, h, encoding = struct.unpack('>HHHHi', self.take(12))
            if encoding == -223:
                self.width, self.height = w, h
                self.pixels = bytearray(w * h * 4)
                continue
            assert encoding == 0, encoding
            data = self.take(w * h * 4)
            for row in range(h):
                at = ((y + row) * self.width + x) * 4
                self.pixels[at:at + w * 4] = data[row * w * 4:(row + 1) * w * 4]
            got += w * h
        return got

    def key(self, keysym, down):
        self.s.sendall(struct.pack('>BBxxI', 4, down, keysym))

    def press(self, keysym):
        self.key(keysym, 1)
        self.key(keysym, 0)

    def pointer(self, x, y, buttons=0):
        self.s.sendall(struct.pack('>BBHH', 5, buttons, x, y))

    def pixel(self, x, y):
        at = (y * self.width + x) * 4
        return int.from_bytes(self.pixels[at:at + 3], 'little')


def connected(address):
    kind = socket.AF_UNIX if address.startswith('/') else socket.AF_INET
    s = socket.socket(kind, socket.SOCK_STREAM)
    s.settimeout(20)
    s.connect(address if kind == socket.AF_UNIX else ('127.0.0.1', int(address)))
    return s


def type_text(v, text):
    for c in text:
        shifted = c.isupper() or c in '~!@#$%^&*()_+{}|:"<>?'
        if shifted:
            v.key(0xffe1, 1)
        v.press(ord(c))
        if shifted:
            v.key(0xffe1, 0)
    v.press(0xff0d)


def hostile(address):
    """Each of these on a connection of its own; whether the server closes it or waits is its business."""
    def ready():
        return Vnc(address).s
    junk = [lambda: connected(address),  # says nothing
            lambda: (lambda s: s.sendall(b'GET / HTTP/1.1\r\n\r\n'))(connected(address)),
            lambda: connected(address).sendall(b'RFB 999.999\n' + os.urandom(64)),
            lambda: ready().sendall(b'\xff' * 4096),  # no such message
            lambda: ready().sendall(struct.pack('>BxxxI', 6, 0xffffffff) + b'x' * 4096),  # 4 GiB of cut text
            lambda: ready().sendall(struct.pack('>BxH', 2, 0xffff) + b'\0' * 1000),  # encodings cut off
            lambda: ready().sendall(struct.pack('>BBHHHH', 3, 0, 65535, 65535, 65535, 65535)),
            lambda: ready().sendall(struct.pack('>B3xBBBBHHHBBB3x', 0, 255, 255, 7, 9, 0, 0, 0, 99, 99, 99)),
            lambda: ready().sendall(struct.pack('>BBHH', 5, 255, 65535, 65535) * 1000),
            lambda: ready().sendall(struct.pack('>BBxxI', 4, 1, 0xffffffff) * 1000),
            lambda: ready().sendall(os.urandom(65536))]
    for n, send in enumerate(junk):
        try:
            send()
        except OSError:
            pass  # it hung up meanwhile
        except EOFError:
            pass
        v = Vnc(address)
        v.request(0)
        assert v.update() > 0, n
        v.s.close()


def main():
    address, what = sys.argv[1:3]
    if what == 'hostile':
        hostile(address)
        return
    v = Vnc(address)
    v.request(0)
    while not v.update():  # a change of size comes without pixels
        v.request(0)
    if what == 'pixel':
        print('%06x' % v.pixel(int(sys.argv[3]), int(sys.argv[4])), v.width, v.height)
    elif what == 'type':
        type_text(v, sys.argv[3])
        time.sleep(1)
    elif what == 'move':
        v.pointer(*map(int, sys.argv[3:6]))
        time.sleep(1)
    elif what == 'rate':
        start, n = time.time(), 0
        while time.time() - start < float(sys.argv[3]):
            v.request(1)
            v.update()
            n += 1
        print('%.1f updates a second of %dx%d' % (n / (time.time() - start), v.width, v.height))


if __name__ == '__main__':
    main()
