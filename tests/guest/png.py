# SPDX-License-Identifier: Apache-2.0
"""png.py FILE X Y: the colour there, RRGGBB, and the size, of a picture that isola screenshot wrote."""
import struct
import sys
import zlib

d, at, data = open(sys.argv[1], 'rb').read(), 8, b''
assert d[:8] == b'\x89PNG\r\n\x1a\n'
while at < len(d):
    n, kind = struct.unpack('>I4s', d[at:at + 8])
    assert zlib.crc32(d[at + 4:at + 8 + n]) == struct.unpack('>I', d[at + 8 + n:at + 12 + n])[0]
    data += d[at + 8:at + 8 + n] if kind == b'IDAT' else b''
    at += 12 + n
w, h, depth, color = struct.unpack('>IIBB', d[16:26])
assert (depth, color) == (8, 2)
data, line = zlib.decompress(data), bytes(3 * w)
x, y = int(sys.argv[2]), int(sys.argv[3])
assert x < w and y < h and len(data) == h * (3 * w + 1)
for row in range(y + 1):
    bytes_ = data[row * (3 * w + 1):(row + 1) * (3 * w + 1)]
    assert bytes_[0] == 2  # filter Up
    line = bytes((a + b) & 255 for a, b in zip(bytes_[1:], line))
print(line[3 * x:3 * x + 3].hex(), w, h)
