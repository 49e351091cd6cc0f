#!/bin/sh
# Pulls from and pushes to Debian's docker-registry, plain and behind TLS with passwords, with skopeo on the other side.
set -u
isola=$(realpath "${1:?the isola binary}")
for p in docker-registry skopeo htpasswd openssl python3; do
    command -v $p >/dev/null || { echo "$p is missing"; exit 77; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-registry.XXXXXX")
export HOME="$work" XDG_CONFIG_HOME="$work/config" XDG_DATA_HOME="$work/data" XDG_RUNTIME_DIR="$work/run"
export ISOLA_REGISTRIES="$work/registries.json"
unset REGISTRY_AUTH_FILE DOCKER_CONFIG http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
mkdir "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME"
servers='' passed=0 failed=0
cleanup() {
    for p in $servers; do kill "$p" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

try() { # NAME COMMAND...: it succeeds
    name=$1
    shift
    if timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED $name: $*"
        cat "$work/out" "$work/err" | tail -n 8
    fi
}
refused() { # NAME PATTERN COMMAND...: it fails with one line that matches
    name=$1 pattern=$2
    shift 2
    timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    if [ $status = 1 ] && [ "$(grep -c '^isola:' "$work/err")" = 1 ] && grep -qE "$pattern" "$work/err"; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED $name: status $status"
        tail -n 5 "$work/err"
    fi
}
same() { # NAME A B
    if [ "$2" = "$3" ] && [ -n "$2" ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED $1: $2 is not $3"
    fi
}

# --- an image for two processors, and its servers
python3 - "$work" <<'P' || exit 1
import gzip, hashlib, io, json, os, sys, tarfile
d = sys.argv[1] + "/layout"
os.makedirs(d + "/blobs/sha256")
def blob(b, **kw):
    h = hashlib.sha256(b).hexdigest()
    open(f"{d}/blobs/sha256/{h}", "wb").write(b)
    return {"digest": "sha256:" + h, "size": len(b), **kw}
def image(arch, seed):
    layers, diffs = [], []
    for i, size in enumerate([100, 5000000, 10]):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as t:
            info = tarfile.TarInfo(f"dir/{seed}-{i}")
            info.size = size
            t.addfile(info, io.BytesIO(os.urandom(size)))
        diffs.append("sha256:" + hashlib.sha256(out.getvalue()).hexdigest())
        layers.append(blob(gzip.compress(out.getvalue(), 1), mediaType="application/vnd.oci.image.layer.v1.tar+gzip"))
    c = blob(json.dumps({"architecture": arch, "os": "linux", "config": {"Cmd": ["/x"]}, "rootfs": {"type": "layers", "diff_ids": diffs}}).encode(),
             mediaType="application/vnd.oci.image.config.v1+json")
    m = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": c, "layers": layers}).encode()
    return blob(m, mediaType="application/vnd.oci.image.manifest.v1+json", platform={"os": "linux", "architecture": arch})
index = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                         "manifests": [image("s390x", 1), image("amd64", 2), image("arm64", 3)]}).encode(),
             mediaType="application/vnd.oci.image.index.v1+json")
json.dump({"schemaVersion": 2, "manifests": [{**index, "annotations": {"org.opencontainers.image.ref.name": "all"}}]}, open(d + "/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(d + "/oci-layout", "w"))
P
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=test authority" -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=registry.localhost" -keyout "$work/key.pem" -out "$work/csr.pem" 2>/dev/null
printf 'subjectAltName=DNS:registry.localhost\n' >"$work/ext"
openssl x509 -req -in "$work/csr.pem" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 2 -extfile "$work/ext" -out "$work/cert.pem" 2>/dev/null
htpasswd -Bbn alice s3cret >"$work/htpasswd" 2>/dev/null

serve() { # NAME PORT EXTRA...: a docker-registry
    name=$1 port=$2
    shift 2
    {
        printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/%s}}\n' "$work" "$name"
        printf '%s\n' "$@"
    } >"$work/$name.yml"
    timeout 600 docker-registry serve "$work/$name.yml" >"$work/$name.log" 2>&1 &
    servers="$servers $!"
    for _ in $(seq 100); do
        python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null && return
        sleep 0.1
    done
    cat "$work/$name.log"
    exit 1
}
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
p1=$(port) p2=$(port)
serve plain "$p1" "http: {addr: '127.0.0.1:$p1'}"
serve locked "$p2" "auth: {htpasswd: {realm: test, path: $work/htpasswd}}" \
    "http: {addr: '127.0.0.1:$p2', tls: {certificate: $work/cert.pem, key: $work/key.pem}}"
plain=localhost:$p1 locked=registry.localhost:$p2
echo '{}' >"$ISOLA_REGISTRIES"
copy="skopeo --insecure-policy copy -q --all --src-tls-verify=false --dest-tls-verify=false"
fresh() { rm -rf "$XDG_DATA_HOME"; }

# --- plain, both ways
try "skopeo brings an index" $copy "oci:$work/layout:all" "docker://$plain/team/app:1"
try "pull from an index" "$isola" pull "$plain/team/app:1"
id=$(cat "$work/out")
try "pull again" "$isola" pull "$plain/team/app:1"
same "the same id" "$id" "$(cat "$work/out")"
same "nothing fetched again" "$(grep -c 'already there' "$work/err")" 3
try "only the id" "$isola" pull -q "$plain/team/app:1"
same "quiet" "$(cat "$work/out" "$work/err")" "$id"
try "push" "$isola" push "$plain/team/app:1" "$plain/copies/app:x"
same "mounted, not sent" "$(grep -c 'already there' "$work/err")" 4
try "skopeo reads it" skopeo --insecure-policy inspect --tls-verify=false --format '{{.Digest}}' "docker://$plain/copies/app:x"
digest=$(cat "$work/out")
fresh
try "pull by digest" "$isola" pull "$plain/copies/app@$digest"
same "by digest, the same id" "$(cat "$work/out")" "$id"
refused "a digest that is not there" "no such thing" "$isola" pull "$plain/copies/app@sha256:$(printf '%064d' 7)"
fresh
try "another platform" "$isola" pull --platform linux/arm64 "$plain/team/app:1"
[ "$(cat "$work/out")" != "$id" ] || { echo "FAILED the platform made no difference"; failed=$((failed + 1)); }
refused "a platform that is not there" "no image for linux/riscv64, only for linux/s390x, linux/amd64" \
    "$isola" pull --platform riscv64 "$plain/team/app:1"
try "all platforms" "$isola" pull --all-platforms "$plain/team/app:1"
try "skopeo converts to Docker's types" $copy --format v2s2 "docker://$plain/copies/app:x" "docker://$plain/docker/app:1"
fresh
try "pull Docker's types" "$isola" pull "$plain/docker/app:1"
try "push Docker's types" "$isola" push "$plain/docker/app:1" "$plain/again/app:1"
same "the same manifest" "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$plain/docker/app:1")" \
    "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$plain/again/app:1")"
try "search" "$isola" search "$plain/team"
same "found" "$(cat "$work/out")" "$plain/team/app"
try "tags" "$isola" search --list-tags "$plain/team/app"
same "listed" "$(cat "$work/out")" "$plain/team/app:1"

# --- TLS with an authority of its own, and passwords
refused "an unknown authority" "certificate of $locked is not trusted.*certs.d/$locked/ca.crt" "$isola" pull "$locked/team/app:1"
mkdir -p "$XDG_CONFIG_HOME/isola/certs.d/$locked"
cp "$work/ca.crt" "$XDG_CONFIG_HOME/isola/certs.d/$locked/"
refused "no login" "wants a login.*isola login $locked" "$isola" pull "$locked/team/app:1"
refused "a wrong password" "refuses this name and password" "$isola" login -u alice -p wrong "$locked"
try "login" sh -c "echo s3cret | '$isola' login -u alice --password-stdin $locked"
same "only for the owner" "$(stat -c %a "$XDG_CONFIG_HOME/containers/auth.json")" 600
try "push behind a login" "$isola" push "$plain/docker/app:1" "$locked/team/app:1"
# Go's resolver does not know *.localhost.
try "login under another name" "$isola" login -u alice -p s3cret "localhost:$p2"
try "skopeo uses our login" skopeo --insecure-policy inspect --tls-verify=false "docker://localhost:$p2/team/app:1"
fresh
try "pull behind a login" "$isola" pull "$locked/team/app:1"
try "logout" "$isola" logout "$locked"
fresh
refused "logged out" "isola login" "$isola" pull "$locked/team/app:1"
try "logout under the other name" "$isola" logout "localhost:$p2"
try "skopeo logs in" skopeo login --tls-verify=false -u alice -p s3cret "localhost:$p2"
try "we use skopeo's login" "$isola" pull "localhost:$p2/team/app:1"

# --- registries.json
cat >"$ISOLA_REGISTRIES" <<J
{"aliases": {"app": "$plain/team/app:1"},
 "registries": {"docker.io": {"mirrors": ["localhost:1", "$plain"]}, "bad.example": {"blocked": true},
                "moved.example": {"location": "$plain/team"}}}
J
fresh
try "alias" "$isola" pull app
try "mirror" "$isola" pull team/app:1
same "the first mirror was told" "$(grep -c 'mirror localhost:1: .*trying the next' "$work/err")" 1
try "location" "$isola" pull moved.example/app:1
refused "blocked" "blocked" "$isola" pull bad.example/x
echo '{"registry": {}}' >"$ISOLA_REGISTRIES"
refused "a mistake in the file" "unknown \"registry\"" "$isola" pull app
echo '{"attempts": 2, "connect-seconds": 5}' >"$ISOLA_REGISTRIES"

# --- policies, proxies, names that cannot be
fresh
refused "never" "never" "$isola" pull --policy never "$plain/team/app:1"
try "missing" "$isola" pull --policy missing "$plain/team/app:1"
refused "no TLS" "does not speak TLS.*insecure" "$isola" pull "registry.localhost:$p1/team/app:1"
try "no TLS wanted" "$isola" pull --insecure "registry.localhost:$p1/team/app:1"
refused "a dead proxy" "127.0.0.1 port 1 " env https_proxy=http://127.0.0.1:1 http_proxy=http://127.0.0.1:1 \
    "$isola" pull --insecure "registry.localhost:$p1/team/app:2"
try "around the proxy" env https_proxy=http://127.0.0.1:1 http_proxy=http://127.0.0.1:1 no_proxy=.localhost \
    "$isola" pull --insecure "registry.localhost:$p1/team/app:1"
refused "no such name" "has no address" "$isola" pull registry.invalid/x
refused "nobody there" "no connection to localhost:1" "$isola" pull localhost:1/x
refused "a tag that is not there" "manifest unknown" "$isola" pull "$plain/team/app:none"
refused "capital letters" "lower case" "$isola" pull "$plain/Team"
# shellcheck disable=SC2086
kill $servers
servers=
sleep 0.5
try "newer without a registry" "$isola" pull --policy newer "$plain/team/app:1"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
