#!/usr/bin/env python3
"""Writes a docker archive with the tar files as layers: make-image.py [--lie-layer] [--layers N] OUT LAYER..."""
import hashlib, io, json, sys, tarfile
args = sys.argv[1:]
lie = "--lie-layer" in args
if lie:
    args.remove("--lie-layer")
count = 1
if "--layers" in args:
    i = args.index("--layers")
    count = int(args[i + 1])
    del args[i:i + 2]
out, layers = args[0], args[1:] * count
data = [open(l, "rb").read() for l in layers]
ids = ["sha256:" + hashlib.sha256(d + (b"x" if lie else b"")).hexdigest() for d in data]
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
name = hashlib.sha256(config).hexdigest() + ".json"
with tarfile.open(out, "w") as t:
    def add(path, content):
        info = tarfile.TarInfo(path)
        info.size = len(content)
        t.addfile(info, io.BytesIO(content))
    add(name, config)
    for i, d in enumerate(data[:len(args[1:])]):
        add("%d/layer.tar" % i, d)
    paths = ["%d/layer.tar" % (i % len(args[1:])) for i in range(len(data))]
    add("manifest.json", json.dumps([{"Config": name, "RepoTags": None, "Layers": paths}]).encode())
