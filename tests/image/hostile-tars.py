#!/usr/bin/env python3
"""Writes hostile layers to the directory ARGV[1]; the file errors there says what each must be answered with ("ok": harmless)."""
import gzip, io, os, struct, sys, tarfile
out, escape = sys.argv[1], sys.argv[2]
os.makedirs(out, exist_ok=True)
errors = open(os.path.join(out, "errors"), "w")

def entry(name, type=tarfile.REGTYPE, data=b"", link="", mode=0o644, pax=None, **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = type, link, mode, len(data)
    info.pax_headers = pax or {}
    for k, v in more.items():
        setattr(info, k, v)
    return info, data

def write(name, error, *entries, tail=b"", cut=0, format=tarfile.PAX_FORMAT):
    buf = io.BytesIO()
    with tarfile.open(fileobj=buf, mode="w", format=format) as t:
        for info, data in entries:
            t.addfile(info, io.BytesIO(data))
    b = buf.getvalue()
    with open(os.path.join(out, name), "wb") as f:
        f.write(b[:-cut] if cut else b + tail)
    errors.write("%s %s\n" % (name, error))

D, S, L, C = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
up = "../" * 30 + escape.lstrip("/")
write("dotdot.tar", "leads out of its directory", entry("../../escaped", data=b"x"))
write("dotdot-inside.tar", "leads out of its directory", entry("a/../../../escaped", data=b"x"))
write("absolute.tar", "ok", entry(escape, data=b"x"))
write("symlink-parent.tar", "symbolic link", entry("l", S, link=os.path.dirname(escape)), entry("l/escaped", data=b"x"))
write("symlink-up.tar", "symbolic link", entry("l", S, link="../../../../../../tmp"), entry("l/isola-escaped", data=b"x"))
write("symlink-inside.tar", "ok", entry("usr/lib", D, mode=0o755), entry("lib", S, link="usr/lib"), entry("lib/f", data=b"x"))
write("symlink-file.tar", "ok", entry("l", S, link=escape), entry("l", data=b"x"))
write("symlink-loop.tar", "symbolic link", entry("l", S, link="l"), entry("l/f", data=b"x"))
write("hardlink-out.tar", "leads out of its directory", entry("h", L, link=up))
write("hardlink-abs.tar", "its target", entry("h", L, link="/etc/shadow"))
write("hardlink-symlink.tar", "symbolic link", entry("l", S, link="/etc"), entry("h", L, link="l/shadow"))
write("hardlink-dir.tar", "link", entry("d", D, mode=0o755), entry("h", L, link="d"))
write("hardlink-self.tar", "link", entry("h", L, link="h"))
write("whiteout-device.tar", "0:0", entry("z", C, devmajor=0, devminor=0))
write("device-names.tar", "ok", entry("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0))
write("root-file.tar", "not a directory", entry("./", data=b"x"))
write("file-as-dir.tar", "not a directory", entry("f", data=b"x"), entry("f/g", data=b"x"))
write("replace-dir.tar", "ok", entry("d/e/f", data=b"x"), entry("d", data=b"now a file"))
write("replace-root-link.tar", "ok", entry("etc", S, link="/"), entry("etc", D, mode=0o755), entry("etc/f", data=b"x"))
write("overlay-xattr.tar", "ok", entry("d", D, mode=0o755, pax={"SCHILY.xattr.user.overlay.redirect": "/etc", "SCHILY.xattr.trusted.overlay.opaque": "y"}),
      entry("f", data=b"x", pax={"SCHILY.xattr.user.overlay.metacopy": "x", "SCHILY.xattr.security.selinux": "bad"}))
write("whiteout-dots.tar", "whiteout", entry("d/.wh..."[:-1], data=b""))
write("whiteout-empty.tar", "whiteout", entry("d/.wh.", data=b""))
write("long-part.tar", "255", entry("a" * 300, data=b"x"))
write("long-name.tar", "4095", entry("a/" * 2100 + "f", data=b"x"))
write("deep.tar", "ok", entry("a/" * 2000 + "f", data=b"x"))
write("huge-uid.tar", "owner", entry("f", data=b"x", pax={"uid": "4294967295"}))
write("huger-uid.tar", "owner", entry("f", data=b"x", pax={"uid": "99999999999"}))
write("bad-time.tar", "mtime", entry("f", pax={"mtime": "yesterday"}))
write("huge-time.tar", "ok", entry("f", pax={"mtime": "9223372036854775806.999999999"}))
write("old-time.tar", "ok", entry("f", pax={"mtime": "-9223372036854775806.5"}))
write("cut.tar", "cut off", entry("f", data=b"x" * 4000), cut=9000)
write("checksum.tar", "checksum", entry("f", data=b"x"), cut=1024 + 8192)
with open(os.path.join(out, "checksum.tar"), "r+b") as f:
    f.seek(10)
    f.write(b"zz")
write("pax-length.tar", "PAX", entry("f", pax={"comment": "x" * 50}))
with open(os.path.join(out, "pax-length.tar"), "r+b") as f:
    f.seek(512)
    f.write(b"999 ")
write("pax-huge.tar", "extended header", entry("f", pax={"comment": "x" * (3 << 20)}))
write("fifo.tar", "ok", entry("p", tarfile.FIFOTYPE))
write("unknown-type.tar", "type", entry("v", b"V"))
write("many-xattrs.tar", "attributes", entry("f", pax={"SCHILY.xattr.user.a%d" % i: "x" for i in range(1500)}))

def raw_sparse(name, error, pax):
    write(name, error, entry("f", data=b"x" * 512, pax=pax))
raw_sparse("sparse-order.tar", "map", {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.realsize": "9999", "GNU.sparse.map": "600,256,0,256"})
raw_sparse("sparse-beyond.tar", "map", {"GNU.sparse.realsize": "100", "GNU.sparse.map": "0,512"})
raw_sparse("sparse-short.tar", "bytes of data", {"GNU.sparse.realsize": "100000", "GNU.sparse.map": "0,99999"})
raw_sparse("sparse-wrap.tar", "map", {"GNU.sparse.realsize": "100", "GNU.sparse.map": "18446744073709551615,2"})
raw_sparse("sparse-huge.tar", "file of", {"GNU.sparse.realsize": "9223372036854775807", "GNU.sparse.map": "0,512"})
raw_sparse("sparse-1.0.tar", "map", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100"})
with open(os.path.join(out, "bomb.tar.gz"), "wb") as f:
    # A header that promises 8 TiB in front of many compressed zeros.
    info = tarfile.TarInfo("bomb")
    info.size = 8 << 40
    with gzip.GzipFile(fileobj=f, mode="wb", compresslevel=9) as g:
        g.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            g.write(bytes(1 << 20))
errors.write("bomb.tar.gz cut off\n")
with open(os.path.join(out, "gzip-crc.tar.gz"), "wb") as f:
    b = bytearray(gzip.compress(open(os.path.join(out, "fifo.tar"), "rb").read()))
    b[-5] ^= 1
    f.write(b)
errors.write("gzip-crc.tar.gz gzip\n")
with open(os.path.join(out, "gzip-cut.tar.gz"), "wb") as f:
    f.write(gzip.compress(os.urandom(100000))[:-1000])
errors.write("gzip-cut.tar.gz \\(checksum\\|cut off\\)\n")
with open(os.path.join(out, "noise.tar"), "wb") as f:
    f.write(b"\1" + os.urandom(5000))
errors.write("noise.tar \\(checksum\\|damaged\\)\n")
errors.close()
