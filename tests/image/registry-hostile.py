#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Registries that lie, break off, stall, loop and flood: each repository of this server misbehaves in one way.

registry-hostile.py ISOLA: pulls from each; a pull ends as expected, soon, with one line that says why, and a failed one
leaves no image behind. Prints "N passed, N failed".
"""
import atexit, base64, gzip, hashlib, io, json, os, re, shutil, signal, subprocess, sys, tarfile, tempfile, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(size, seed):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        info = tarfile.TarInfo(f"file{seed}")
        info.size = size
        block = hashlib.sha512(str(seed).encode()).digest()
        data = bytearray()
        while len(data) < size:  # does not compress
            block = hashlib.sha512(block).digest()
            data += block
        t.addfile(info, io.BytesIO(bytes(data[:size])))
    return out.getvalue()


RAW = [layer(1000, 1), layer(3 << 20, 2)]
BLOB = [gzip.compress(r, 1, mtime=0) for r in RAW]
BLOBS = {}


def add(data):
    BLOBS[digest(data)] = data
    return {"digest": digest(data), "size": len(data)}


def config(diff_ids):
    return json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})


def manifest(change=None, diff_ids=None, layers=None):
    c = config(diff_ids if diff_ids is not None else [digest(r) for r in RAW]).encode()
    m = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, **add(c)},
         "layers": layers if layers is not None else [{"mediaType": LAYER, **add(b)} for b in BLOB]}
    if change:
        change(m)
    return json.dumps(m).encode()


GOOD = manifest()
BIG = digest(BLOB[1])


def entry(m, **more):
    return {"mediaType": MANIFEST, "digest": digest(m), "size": len(m), "platform": {"os": "linux", "architecture": "amd64"}, **more}


def changed(**kw):
    return manifest(lambda m: m.update(kw))


def bad_layer(**kw):
    def change(m):
        m["layers"][1].update(kw)
    return manifest(change)


MANIFESTS = {  # what is sent for the tag; GOOD when the repository is not here
    "path-digest": bad_layer(digest="sha256:../../../../../../etc/passwd"),
    "newline-digest": bad_layer(digest="sha256:\n" + "a" * 63),
    "negative-size": bad_layer(size=-1),
    "huge-size": bad_layer(size=1 << 70),
    "size-too-small": bad_layer(size=len(BLOB[1]) - 1),
    "size-too-large": bad_layer(size=len(BLOB[1]) + 1),
    "strange-layer": bad_layer(mediaType="application/x-executable"),
    "many-layers": manifest(layers=[{"mediaType": LAYER, **add(BLOB[0])}] * 10000),
    "few-diffs": manifest(diff_ids=[digest(RAW[0])]),
    "wrong-diff": manifest(diff_ids=[digest(RAW[0]), digest(b"x")]),
    "artifact": changed(config={"mediaType": "application/vnd.x", **add(b"{}")}),
    "schema1": b'{"schemaVersion":1,"name":"x","fsLayers":[]}',
    "two-things": changed(manifests=[]),
    "deep": b'{"layers":' + b"[" * 100000,
    "duplicate-keys": GOOD[:-1] + b',"layers":[]}',
    "captive-portal": b"<html><body>Please log in to the hotel</body></html>",
    "empty-answer": b"",
    "index-of-itself": json.dumps({"schemaVersion": 2, "manifests": [entry(b"")]}).encode(),
    "no-platform": json.dumps({"schemaVersion": 2, "manifests": [
        entry(GOOD, platform={"os": "plan9", "architecture": "vax"})]}).encode(),
    "index-lies": json.dumps({"schemaVersion": 2, "manifests": [entry(GOOD, size=len(GOOD) + 1)]}).encode(),
    "index": json.dumps({"schemaVersion": 2, "manifests": [entry(b"other", platform={"os": "linux", "architecture": "s390x"}),
                                                           entry(GOOD)]}).encode(),
    "terminal": b'{"schemaVersion":2,"mediaType":"x\\u001b[2Jy"}',
}
CONTENT_TYPE = {"wrong-type": "application/vnd.oci.image.index.v1+json", "captive-portal": "text/html", "index": "application/json",
                "no-platform": "application/json", "index-lies": "application/json", "index-of-itself": "application/json",
                "schema1": "application/vnd.docker.distribution.manifest.v1+prettyjws"}
seen = []  # (port, path, Authorization)
served = {}  # repository -> bytes of BIG that went out
tries = {}


def tries_of(key):
    tries[key] = tries.get(key, 0) + 1
    return tries[key]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        names = {k.replace("_", "-"): v for k, v in headers.items()}
        if "Content-Length" not in names and "Transfer-Encoding" not in names:
            names["Content-Length"] = str(len(body))
        for k, v in names.items():
            self.send_header(k, v)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def flood(self, piece, seconds=20):
        end = time.time() + seconds
        while time.time() < end:
            self.wfile.write(piece)

    def do_GET(self):
        seen.append((self.server.server_port, self.path, self.headers.get("Authorization")))
        try:
            self.route()
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.close_connection = self.close_connection or self.command == "HEAD"

    do_HEAD = do_GET

    def route(self):
        if self.path.startswith("/token"):
            return self.token()
        m = re.match(r"/v2/(?:([^/]+)/(manifests|blobs)/(.+))?$", self.path)
        if self.path.startswith("/moved/"):  # where redirected blobs are
            return self.answer(200, BLOBS.get(self.path[len("/moved/"):], b"?"))
        if not m or not m.group(1):
            return self.answer(200 if m else 404)
        repo, kind, what = m.groups()
        if repo.startswith("auth-") and not self.headers.get("Authorization"):
            realm = {"auth-file": "file:///etc/passwd", "auth-user": "http://a:b@127.0.0.1/",
                     "auth-loop": f"http://localhost:{self.server.server_port}/v2/auth-loop/manifests/x"}
            return self.answer(401, WWW_Authenticate='Bearer realm="%s",service="s\\"x"' % realm.get(
                repo, f"http://localhost:{self.server.server_port}/token/{repo}"))
        if repo == "auth-never" and self.headers.get("Authorization"):
            return self.answer(401, WWW_Authenticate=f'Bearer realm="http://localhost:{self.server.server_port}/token/x"')
        return self.manifest(repo, what) if kind == "manifests" else self.blob(repo, what)

    def token(self):
        repo = self.path.split("/")[2].split("?")[0]
        if repo == "auth-crlf":
            return self.answer(200, b'{"token":"a\\r\\nX-Evil: 1"}')
        if repo == "auth-giant":
            return self.answer(200, b'{"token":"' + b"a" * (1 << 20) + b'"}')
        if repo == "auth-refused":
            return self.answer(401, b'{"details":"incorrect username\\u001b[31m"}')
        if repo == "auth-expired":
            return self.answer(200, json.dumps({"token": "t%d" % tries_of("token"), "expires_in": 1}).encode())
        self.answer(200, b'{"token":"secret","expires_in":300}')

    def manifest(self, repo, what):
        if repo == "redirect-loop":
            return self.answer(307, Location=self.path)
        if repo == "redirect-file":
            return self.answer(302, Location="file:///etc/passwd")
        if repo == "redirect-user":
            return self.answer(302, Location="http://u:p@localhost:%d/" % self.server.server_port)
        if repo == "redirect-nowhere":
            return self.answer(302)
        if repo == "endless-headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            return self.flood(b"X-Filler: " + b"a" * 1000 + b"\r\n")
        if repo == "endless-100":
            return self.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        if repo == "endless-manifest":
            self.answer(200, b"", Transfer_Encoding="chunked", Content_Type=MANIFEST)
            return self.flood(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        if repo == "not-http":
            self.wfile.write(b"220 smtp ready\r\n")
            self.close_connection = True
            return None
        if repo == "silent":
            return time.sleep(20)
        if repo == "gone":
            return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown\\u001b[2J"}]}')
        if repo == "denied":
            return self.answer(403, b'{"errors":[{"code":"DENIED","message":"not for you"}]}')
        if repo == "limited":
            return self.answer(429, Retry_After="100000")
        if repo == "broken-server":
            return self.answer(500)
        if repo == "busy" and tries_of(repo) < 3:
            return self.answer(503, Retry_After="0") if tries[repo] == 1 else self.answer(429)
        m = MANIFESTS.get(repo, GOOD) if not what.startswith("sha256:") else GOOD
        claimed = digest(b"x") if repo == "wrong-claim" else digest(m)
        return self.answer(200, m, Content_Type=CONTENT_TYPE.get(repo, MANIFEST), Docker_Content_Digest=claimed)

    def blob(self, repo, what):
        data = BLOBS.get(what)
        if data is None:
            return self.answer(404)
        if what != BIG:
            return self.answer(200, data)
        n, start = tries_of(repo + "/blob"), 0
        m = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if repo == "redirect-blob" or repo == "auth-redirect":
            return self.answer(307, Location=f"http://127.0.0.1:{OTHER.server_port}/moved/{what}")
        if repo == "redirect-loop-blob":
            return self.answer(307, Location=self.path)
        if repo == "wrong-bytes":
            return self.answer(200, b"x" * len(data))
        if repo == "longer-blob":
            return self.answer(200, data + b"more")
        if repo == "endless-blob":
            self.answer(200, b"", Transfer_Encoding="chunked")
            return self.flood(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        if repo == "truncated":
            return self.answer(200, data[:1000])
        if m and repo != "no-range":
            start = int(m.group(1))
        if repo == "wrong-range" and start:
            start = 0
            return self.answer(206, data, Content_Range=f"bytes 0-{len(data) - 1}/{len(data)}")
        if repo == "stalls" and n == 1 or repo == "stalls-always":
            self.answer(206 if start else 200, data[start:start + 500000], Content_Length=str(len(data) - start),
                        **({"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}))
            self.wfile.flush()
            served[repo] = served.get(repo, 0) + 500000
            return time.sleep(6)
        if repo in ("drops", "no-range", "wrong-range", "dies") and n <= 2 or repo == "drops-always":
            take = 1000000 if repo != "drops-always" else 0
            self.answer(206 if start else 200, data[start:start + take], Content_Length=str(len(data) - start),
                        **({"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}))
            served[repo] = served.get(repo, 0) + take
            self.close_connection = True
            return None
        if repo.startswith("slow"):
            self.answer(206 if start else 200, b"", Content_Length=str(len(data) - start),
                        **({"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}))
            for at in range(start, len(data), 65536):
                self.wfile.write(data[at:at + 65536])
                served[repo] = served.get(repo, 0) + len(data[at:at + 65536])
                time.sleep(0.03)
            return None
        served[repo] = served.get(repo, 0) + len(data) - start
        if start:
            return self.answer(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        return self.answer(200, data)


# repository, what stderr must match ("" and status 0 when None)
CASES = [
    ("good", None), ("index", None), ("busy", None), ("drops", None), ("no-range", None), ("stalls", None), ("stalls-always", None), ("redirect-blob", None),
    ("auth-good", None), ("auth-redirect", None), ("auth-expired", None),
    ("path-digest", "digest"), ("newline-digest", "digest"), ("negative-size", "size"), ("huge-size", "not JSON|size"),
    ("size-too-small", r"\d+ bytes where its manifest says"), ("size-too-large", r"\d+ bytes where its manifest says"),
    ("strange-layer", "not supported"), ("many-layers", "10000 layers"), ("few-diffs", "names 1 layers, its manifest 2"),
    ("wrong-diff", "diff"), ("artifact", "not an image but an artifact"), ("schema1", "schema version 1"),
    ("two-things", "as an image has"), ("deep", "not JSON"), ("duplicate-keys", "duplicate"), ("captive-portal", "not JSON"),
    ("empty-answer", "not JSON"), ("index-of-itself", "404|digest|manifest"), ("no-platform", "only for plan9/vax"),
    ("index-lies", "its index says"), ("terminal", "mediaType"), ("wrong-type", "its sender calls it"),
    ("wrong-claim", "and calls it"), ("wrong-bytes", "digest|gzip|compress|layer"),
    ("longer-blob", r"\d+ bytes where its manifest says"), ("endless-blob", "more than the \\d+ bytes|unpack layer"),
    ("truncated", "bytes where its manifest says"), ("wrong-range", "another part"),
    ("drops-always", "closed the connection too early"),
    ("redirect-loop", "redirects more than 10"), ("redirect-loop-blob", "redirects more than 10"), ("redirect-file", "from http to file"),
    ("redirect-user", "not an HTTP address"), ("redirect-nowhere", "without saying where"),
    ("endless-headers", "headers"), ("endless-100", "headers"), ("endless-manifest", "more than 4194304 bytes"),
    ("not-http", "does not speak HTTP|HTTP"), ("silent", "next to nothing for 1 seconds"),
    ("gone", "has no such thing .manifest unknown"), ("denied", "not for you"), ("limited", "in 100000 seconds"),
    ("broken-server", "status 500"),
    ("auth-file", "token server that .* from http to file"), ("auth-user", "token server"), ("auth-crlf", "no token"),
    ("auth-giant", "more than 262144 bytes"), ("auth-refused", "incorrect username"), ("auth-loop", "login|no token"),
    ("auth-never", "login"),
]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        pass  # clients break off on purpose


def main():
    global OTHER
    isola = os.path.realpath(sys.argv[1])
    servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
    OTHER = servers[1]
    for s in servers:
        threading.Thread(target=s.serve_forever, daemon=True).start()
    work = tempfile.mkdtemp(prefix="isola-hostile.")
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with open(work + "/registries.json", "w") as f:
        json.dump({"attempts": 3, "stall-seconds": 1, "parallel": 2}, f)
    with open(work + "/auth.json", "w") as f:
        json.dump({"auths": {f"localhost:{servers[0].server_port}": {"auth": base64.b64encode(b"me:pw").decode()}}}, f)
    env = {"PATH": os.environ["PATH"], "HOME": work, "XDG_CONFIG_HOME": work, "ISOLA_REGISTRIES": work + "/registries.json",
           "REGISTRY_AUTH_FILE": work + "/auth.json"}
    passed = failed = 0

    def check(name, ok, text):
        nonlocal passed, failed
        passed, failed = passed + bool(ok), failed + (not ok)
        if not ok:
            print(f"FAILED {name}: {text}", flush=True)

    def pull(repo, data, **kw):
        e = {**env, "XDG_DATA_HOME": data}
        return subprocess.run([isola, "pull", f"localhost:{servers[0].server_port}/{repo}"], env=e, text=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, **kw)

    only = sys.argv[2:]
    for repo, wanted in CASES:
        if only and repo not in only:
            continue
        data = f"{work}/data"
        begin = time.time()
        try:
            p = pull(repo, data)
        except subprocess.TimeoutExpired:
            check(repo, False, "does not end")
            continue
        took = time.time() - begin
        errors = [l for l in p.stderr.splitlines() if l.startswith("isola:")]
        images = json.load(open(data + "/isola/images/index.json")) if os.path.exists(data + "/isola/images/index.json") else {}
        has = repo in json.dumps(images)
        if wanted is None:
            check(repo, p.returncode == 0 and p.stdout.startswith("sha256:") and has, (p.returncode, p.stderr))
        else:
            ok = p.returncode == 1 and not p.stdout and not has and len(errors) == 1 and re.search(wanted, errors[0])
            check(repo, ok, (p.returncode, p.stdout, p.stderr))
        check(repo, "\x1b" not in p.stderr and took < 15, ("control characters or too long", took))
        shutil.rmtree(data, ignore_errors=True)
    if not only:
        check("resumed", served["drops"] == len(BLOB[1]), f"{served['drops']} bytes were served instead of {len(BLOB[1])}")
        check("resumed after a stall", served["stalls"] == len(BLOB[1]), served["stalls"])
        leaks = [s for s in seen if s[0] == OTHER.server_port and s[2]]
        moved = [s for s in seen if s[0] == OTHER.server_port]
        check("credentials stay", moved and not leaks, leaks)
        tokens = [s for s in seen if s[1].startswith("/token/auth-good")]
        check("login for tokens", tokens and all(t[2] == "Basic " + base64.b64encode(b"me:pw").decode() for t in tokens), tokens)
        check("one token for all", len(tokens) == 1, tokens)
    def start(repo, data):
        return subprocess.Popen([isola, "pull", "-q", f"localhost:{servers[0].server_port}/{repo}"], env={**env, "XDG_DATA_HOME": data},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    if not only:  # killed in the middle, the next pull goes on
        data, size = f"{work}/data", len(BLOB[1])
        p = start("slow", data)
        end = time.time() + 20
        while served.get("slow", 0) < size // 2 and time.time() < end:
            time.sleep(0.01)
        p.kill()
        p.communicate()
        q = pull("slow", data)
        check("killed", q.returncode == 0 and served["slow"] < size * 5 // 4, (q.stderr, served["slow"], size))
        shutil.rmtree(data, ignore_errors=True)
        # two at once share the work
        both = [start("slow2", data) for _ in range(2)]
        out = [b.communicate(timeout=60) for b in both]
        check("two at once", all(b.returncode == 0 for b in both) and out[0][0] == out[1][0] and served["slow2"] == size,
              (out, served["slow2"], size))
        shutil.rmtree(data, ignore_errors=True)
        # a full disk, then one with room
        if os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"]).returncode == 0:
            os.mkdir(data)
            script = f"""mount -t tmpfs -o size=2m tmpfs {data} || exit 9
{isola} pull localhost:{servers[0].server_port}/good; echo status $?
{isola} pull localhost:{servers[0].server_port}/good; echo status $?
mount -o remount,size=64m {data}; {isola} pull localhost:{servers[0].server_port}/good; echo status $?"""
            q = subprocess.run(["unshare", "-m", "sh", "-c", script], env={**env, "XDG_DATA_HOME": data}, capture_output=True, text=True,
                               timeout=100)
            check("full disk", re.findall(r"status (\d+)", q.stdout) == ["1", "1", "0"]
                  and len(re.findall("No space left", q.stderr)) == 2, q.stdout + q.stderr)
        else:
            print("skipped: full disk needs root and mount namespaces")
    shutil.rmtree(work, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
