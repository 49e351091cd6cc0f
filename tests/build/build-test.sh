#!/bin/sh
# Builds images from Containerfiles: stages, caches, mounts, mistakes, hostile contexts. As root.
set -u
isola=$(realpath "${1:?the isola binary}")
busybox=$(command -v busybox) || { echo "busybox is missing"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "this test wants root"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-build.XXXXXX") || exit 1
export HOME="$work" XDG_CONFIG_HOME="$work/config" XDG_DATA_HOME="$work/data" XDG_RUNTIME_DIR="$work/run"
mkdir "$XDG_RUNTIME_DIR"
passed=0 failed=0
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# Another user runs it below: from a copy where it cannot reach the build.
if command -v setpriv >/dev/null && ! setpriv --reuid 54321 --regid 54321 --clear-groups test -x "$isola" 2>/dev/null; then
    chmod 755 "$work" && mkdir "$work/programs" &&
        cp "$isola" "$(dirname "$isola")/isola-image" "$(dirname "$isola")/isola-build" "$work/programs" && isola=$work/programs/isola
fi

good() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "FAILED $*"
    tail -n 12 "$work/err"
}
build() { timeout 60 "$isola" build "$@" "$work/context" >"$work/out" 2>"$work/err" </dev/null; }
try() { # NAME OPTIONS...: the build succeeds; $id
    name=$1
    shift
    if build "$@"; then good; else bad "$name"; fi
    id=$(cat "$work/out")
}
refused() { # NAME PATTERN OPTIONS...
    name=$1 pattern=$2
    shift 2
    build "$@"
    status=$?
    if [ $status = 1 ] && grep '^isola:' "$work/err" | grep -qE "$pattern"; then good; else
        bad "$name: status $status, wanted $pattern"
    fi
}
says() { if grep -qE "$2" "$work/err"; then good; else bad "$1: $2"; fi; }
same() { if [ -n "$2" ] && [ "$2" = "$3" ]; then good; else bad "$1: \"$2\" is not \"$3\""; fi; }
in_image() { timeout 60 "$isola" run --rm --network none "$@" 2>"$work/err" </dev/null; }
containerfile() { cat >"$work/context/Containerfile"; }

# --- a base
mkdir -p "$work/root/bin" "$work/root/etc" "$work/root/tmp" "$work/context/src/deep"
cp "$busybox" "$work/root/bin/busybox"
for a in sh ls cat echo mkdir touch rm id env sleep wc grep ln chmod stat seq false true; do
    ln -s busybox "$work/root/bin/$a"
done
printf 'root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n' >"$work/root/etc/passwd"
printf 'root:x:0:\napp:x:1001:\nextra:x:5:app\n' >"$work/root/etc/group"
chmod 1777 "$work/root/tmp"
ln -s /etc "$work/root/inside"
ln -s ../../../../../../../../../../etc "$work/root/climb"
export SOURCE_DATE_EPOCH=1700000000
tar --sort=name --mtime=@1600000000 --owner=0 --group=0 --numeric-owner -C "$work/root" -cf "$work/base.tar" .
"$isola" import "$work/base.tar" base:1 >/dev/null || exit 1
cd "$work/context" || exit 1
echo hello >a.txt
echo 1 >src/one
echo 2 >src/deep/two
echo x >skip.md
echo y >src/drop.md
printf '*.md\nsrc/*.md\n!src/keep.md\n' >.dockerignore
echo k >src/keep.md

# --- stages, variables, here-documents, users
containerfile <<'END_OF_CONTAINERFILE'
ARG TAG=0
FROM base:$TAG AS first
ARG VERSION=none
ENV GREETING="hello world" P=/opt
WORKDIR $P/app
COPY a.txt ./
COPY --chmod=600 src/ src/
RUN echo "$GREETING $VERSION" >out.txt && cat src/deep/two
RUN <<EOF
set -e
echo $HOME >home
EOF
COPY <<V <<'W' /etc/conf/
v=$VERSION
V
w=$VERSION
W
FROM base:1 AS unused
RUN exit 9
FROM base:1
LABEL a=b c="d e"
COPY --from=first --chown=app:extra /opt/app/out.txt /data/
COPY --from=first /opt /opt
COPY --from=0 /etc/conf /conf
RUN rm /etc/group && mkdir -p /x/y
WORKDIR /data
USER app
RUN id >/tmp/id; ! touch /etc/no
EXPOSE 80 53/udp
ENTRYPOINT ["cat"]
CMD ["out.txt"]
END_OF_CONTAINERFILE
try "build" -t app:1 --build-arg TAG=1 --build-arg VERSION=7 --label l=m --iidfile "$work/iid"
first=$id
grep -q 'exit 9' "$work/err" && bad "an unused stage was built"
same "--iidfile" "$(cat "$work/iid")" "$id"
same "runs" "$(in_image app:1)" "hello world 7"
same "here-documents" "$(in_image app:1 /conf/V /conf/W)" "v=7
w=\$VERSION"
same "a script's home" "$(in_image app:1 /opt/app/home)" "/root"
same "the user" "$(in_image app:1 /tmp/id)" "uid=1000(app) gid=1001"
same "--chown" "$(in_image --entrypoint stat app:1 -c %u:%g out.txt)" "1000:5"
same "--chmod" "$(in_image -u 0 --entrypoint stat app:1 -c %a /opt/app/src/one /opt/app/src/deep)" "600
700"
same "removed" "$(in_image --entrypoint ls app:1 /x)" "y"
in_image --entrypoint ls app:1 /etc/group >/dev/null && bad "/etc/group is still there"
same ".dockerignore" "$(in_image -u 0 --entrypoint ls app:1 /opt/app/src)" "deep
keep.md
one"

# --- the cache
build --build-arg TAG=1 --build-arg VERSION=7 --label l=m
same "all from the cache, the same image" "$(cat "$work/out")" "$first"
same "every step" "$(grep -E '^\[[0-9/]+\] (RUN|COPY|WORKDIR)' "$work/err" | grep -vc '(cached)$')" 0
touch a.txt
build --build-arg TAG=1 --build-arg VERSION=7 --label l=m
same "times do not count" "$(cat "$work/out")" "$first"
echo changed >a.txt
build --build-arg TAG=1 --build-arg VERSION=7
says "contents do" 'RUN echo "\$GREETING \$VERSION" >out.txt && cat src/deep/two$'
says "but not for steps before" 'WORKDIR \$P/app \(cached\)'
build --build-arg TAG=1 --build-arg VERSION=8
says "arguments count where they are seen" 'RUN echo .*two$'
says "and nowhere else" 'COPY a.txt ./ \(cached\)'
echo hello >a.txt
touch -d @1600000000 a.txt src/one src/deep/two src/keep.md src src/deep
try "fixed times" --no-cache --build-arg TAG=1 --build-arg VERSION=7
fixed=$id
sleep 1
try "later" --no-cache --build-arg TAG=1 --build-arg VERSION=7
same "--no-cache gives the same (SOURCE_DATE_EPOCH)" "$id" "$fixed"
XDG_DATA_HOME="$work/other" "$isola" import "$work/base.tar" base:1 >/dev/null
(
    export XDG_DATA_HOME="$work/other"
    build --build-arg TAG=1 --build-arg VERSION=7
)
same "elsewhere, too" "$(cat "$work/out")" "$fixed"
try "--target" --target first --build-arg TAG=1
grep -q LABEL "$work/err" && bad "more than the target was built"
build --build-arg TAG=1 --build-arg TYPO=1
says "arguments nobody asked for" 'warning: no ARG asked for --build-arg TYPO'

# --- stages at once: each waits for the other
containerfile <<'END_OF_CONTAINERFILE'
FROM base:1 AS left
RUN --mount=type=cache,id=meet,target=/c touch /c/l; for i in $(seq 200); do [ -e /c/r ] && echo left >/l && exit; sleep 0.1; done; exit 1
FROM base:1 AS right
RUN --mount=type=cache,id=meet,target=/c touch /c/r; for i in $(seq 200); do [ -e /c/l ] && echo right >/r && exit; sleep 0.1; done; exit 1
FROM base:1
COPY --from=left /l /
COPY --from=right /r /
END_OF_CONTAINERFILE
try "stages at once" -t both
same "of both" "$(in_image both cat /l /r)" "left
right"
try "again without the cache" --no-cache -t both
same "the same" "$(in_image both cat /l /r)" "left
right"
printf 'FROM base:1 AS a\nRUN exit 4\nFROM base:1 AS b\nRUN sleep 60\nFROM base:1 AS c\nCOPY --from=a /x /\nCOPY --from=b /x /\n' | containerfile
refused "one of two fails" 'line 2: RUN: "exit 4" ended with status 4'

# --- mounts
echo top-secret >"$work/secret"
containerfile <<'END_OF_CONTAINERFILE'
FROM base:1
RUN --mount=type=cache,target=/cache echo x >>/cache/f; wc -l </cache/f >/count
RUN --mount=type=secret,id=s,required cat /run/secrets/s >/dev/null; wc -c </run/secrets/s >/length
RUN --mount=type=tmpfs,target=/scratch touch /scratch/a
RUN --mount=type=bind,source=src,target=/src cat /src/one >/one; ! touch /src/x
RUN --mount=type=bind,from=base:1,source=bin,target=/b ls /b/busybox
RUN --network=none ls /proc/sys/net/ipv4/conf >/net
RUN ls /sys/class/net >/private; cat /etc/resolv.conf >/dev/null
RUN --network=host ls /sys/class/net >/host
RUN <<S
#!/bin/sh -e
echo script >/script
S
END_OF_CONTAINERFILE
try "mounts" -t mounts --secret "id=s,src=$work/secret"
refusal=$(grep -m1 "RUN has the host's network" "$work/err")
if [ -n "$refusal" ]; then
    echo "skipped: no private network for RUN: $refusal"
else
    same "a private network" "$(in_image mounts sh -c 'echo $(cat /private)')" "eth0 lo"
fi
same "--network=host" "$(in_image mounts cat /host)" "$(ls /sys/class/net)"
same "what stays" "$(in_image mounts sh -c 'cat /count /length /one /net /script; ls /scratch /src /run/secrets /cache')" "1
11
1
all
default
lo
script
/cache:

/run/secrets:

/scratch:

/src:"
"$isola" save -o "$work/mounts.tar" mounts >/dev/null 2>&1
mkdir "$work/save"
tar -C "$work/save" -xf "$work/mounts.tar"
for blob in "$work"/save/blobs/sha256/*; do gzip -dcf "$blob" 2>/dev/null | tar -t 2>/dev/null; done >"$work/names"
grep -qE 'resolv.conf|run/secrets/s$|isola-script' "$work/names" && bad "the layers hold what was mounted"
same "names were read" "$(grep -c '^script$\|^./script$' "$work/names")" 1
build --no-cache --secret "id=s,src=$work/secret" -t mounts
same "a cache keeps" "$(in_image mounts cat /count)" 2
if grep -rqs top-secret "$XDG_DATA_HOME" "$work/save"; then bad "the secret is in the store"; else good; fi
refused "a secret that is missing" "line 3: RUN: the secret s" --no-cache

# --- ONBUILD, SHELL, scratch
containerfile <<'END_OF_CONTAINERFILE'
FROM base:1
SHELL ["/bin/sh", "-e", "-c"]
RUN false; true
END_OF_CONTAINERFILE
refused "SHELL" "ended with status 1"
printf 'FROM base:1\nONBUILD COPY a.txt /triggered\n' | containerfile
try "keep a trigger" -t trigger
printf 'FROM trigger\nRUN cat /triggered\n' | containerfile
try "trigger"
says "was pulled" '^hello$'
printf 'FROM scratch\nCOPY a.txt /\n' | containerfile
try "scratch" -t scratch
printf 'FROM base:1\nRUN echo stdin\n' >"$work/stdin"
if timeout 60 "$isola" build -q -f - "$work/context" <"$work/stdin" >"$work/out" 2>"$work/err"; then good; else bad "-f -"; fi
same "quiet" "$(wc -c <"$work/err")" 0

# --- ADD: archives, addresses
mkdir -p "$work/tree/sub" "$work/www"
echo packed >"$work/tree/sub/file"
ln -s ../../../../../../etc/passwd "$work/tree/link"
tar -C "$work/tree" -czf tree.tar.gz .
tar -C "$work/tree" --transform 's,^./sub/file,../../../../escaped,' -cf escape.tar ./sub/file 2>/dev/null
gzip -c a.txt >plain.gz
echo served >"$work/www/served.txt"
python3 -u -m http.server --bind 127.0.0.1 --directory "$work/www" 0 >"$work/server" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$work"' EXIT
n=0
until grep -q port "$work/server" || [ $n = 50 ]; do
    sleep 0.1
    n=$((n + 1))
done
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/server")
url=http://127.0.0.1:$port/served.txt
sum=sha256:$(sha256sum "$work/www/served.txt" | cut -d' ' -f1)
printf 'FROM base:1\nADD tree.tar.gz plain.gz a.txt /add/\nADD %s /got/\nADD --checksum=%s %s /name\nADD --unpack=false tree.tar.gz /kept\n' \
    "$url" "$sum" "$url" | containerfile
try "ADD" -t add
same "unpacked, fetched" "$(in_image add sh -c 'cat /add/sub/file /got/served.txt /name; ls /add; cat /add/link | head -c 4; stat -c %a /name')" "packed
served
served
a.txt
link
plain.gz
sub
root600"
printf 'FROM base:1\nADD --checksum=sha256:%064d %s /x\n' 7 "$url" | containerfile
refused "a wrong checksum" "has digest $sum, --checksum wants"
printf 'FROM base:1\nADD http://127.0.0.1:%s/none /x\n' "$port" | containerfile
refused "an address that is not there" "status 404"
printf 'FROM base:1\nADD escape.tar /a/\n' | containerfile
refused "an archive that climbs" "escape.tar"
gzip -dc tree.tar.gz | xz >tree.tar.xz
gzip -dc tree.tar.gz | bzip2 >tree.tar.bz2
(gzip -dc tree.tar.gz | head -c 5000 | xz; gzip -dc tree.tar.gz | tail -c +5001 | xz) >two.tar.xz
cp a.txt fake.tar.xz
printf 'FROM base:1\nADD tree.tar.xz /xz/\nADD tree.tar.bz2 /bz2/\nADD two.tar.xz /two/\nADD fake.tar.xz /fake/\n' | containerfile
try "xz and bzip2" -t others
same "unpacked by xz and bzip2" "$(in_image others sh -c 'cat /xz/sub/file /bz2/sub/file /two/sub/file; ls /fake')" "packed
packed
packed
fake.tar.xz"
head -c 300000 /dev/urandom >noise
tar -c noise | xz | head -c 200000 >cut.tar.xz
(tar -c noise | bzip2 -1 | head -c 250000; head -c 20000 /dev/zero) >bad.tar.bz2
rm noise
printf 'FROM base:1\nADD cut.tar.xz /a/\n' | containerfile
refused "xz that is cut off" "cut off"
printf 'FROM base:1\nADD bad.tar.bz2 /a/\n' | containerfile
refused "bzip2 that is damaged" "cut off|damaged"

# --- mistakes
mistakes=0
while IFS='|' read -r text pattern; do
    printf '%b' "$text" | containerfile
    refused "$text" "$pattern"
    mistakes=$((mistakes + 1))
done <<'END_OF_TABLE'
FROM base:1\nRUNN x|line 2: unknown instruction
FROM base:1\nCOPY none /|line 2: COPY: there is no "none"
FROM base:1\nCOPY skip.md /|dockerignore
FROM base:1\nCOPY ../x /|leads out
FROM base:1\nUSER nobody\nRUN id|no user "nobody"
FROM base:1\nRUN exit 3|line 2: RUN: "exit 3" ended with status 3
FROM base:1\nCOPY --from=nowhere.invalid/x a /|from=nowhere
FROM base:1\nRUN ["/none"]|/none
FROM base:1\nENV x|NAME=value
FROM $NONE|names no image
FROM base:1\nCOPY a.txt /etc/passwd/x|etc/passwd
FROM base:1\nCOPY src /etc/passwd|etc/passwd
FROM base:1\nRUN --mount=type=ssh true|not supported
FROM base:1 AS|IMAGE
FROM base:1\nCOPY --chown=nobody a.txt /|no user
FROM nowhere.invalid/x|could not be brought here
END_OF_TABLE
same "all mistakes were made" $mistakes 16
refused "a stage that is not there" 'no stage "x"' --target x
rm Containerfile
refused "no Containerfile" "no Containerfile and no Dockerfile"

# --- hostile contexts and bases
ln -s /etc/passwd link
ln -s / everything
mkfifo src/pipe
printf 'FROM base:1\nCOPY link /x\n' | containerfile
refused "a link out of the context" 'there is no "link"'
printf 'FROM base:1\nCOPY everything/etc/passwd /x\n' | containerfile
refused "a directory link out of the context" 'there is no'
printf 'FROM base:1\nCOPY src /climb/\nCOPY a.txt /inside/b\nWORKDIR ../../../climb/v/../w\nRUN ls /etc >/list\n' | containerfile
touch "$work/before"
try "links of the base stay in it" -t climb
same "inside" "$(in_image climb cat /list | grep -vE 'resolv.conf|hosts')" "b
deep
group
keep.md
one
passwd
w"
for f in b deep keep.md one w; do [ -e /etc/$f ] && bad "/etc/$f was written on the host"; done

# --- without root: ids of /etc/subuid, or one id alone
as_user() { # RANGES: a user of its own, in a mount namespace of its own
    unshare -m --propagation private sh -c '
        mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/subuid" /etc/subuid && mount --bind "$1/subuid" /etc/subgid || exit 99
        cd "$1/ctx" && exec setpriv --reuid 54321 --regid 54321 --clear-groups env -i PATH="$PATH" HOME="$1" XDG_RUNTIME_DIR="$1" \
            sh -c "\"$2\" import base.tar base:1 >/dev/null && \"$2\" build -q -t app . >/dev/null && \"$2\" run --rm --network none app"' sh "$work/user" "$isola"
}
if command -v setpriv >/dev/null && command -v newuidmap >/dev/null && setpriv --reuid 54321 --clear-groups test -x "$isola"; then
    mkdir -p "$work/user/ctx"
    cp "$work/base.tar" a.txt "$work/user/ctx"
    { cat /etc/passwd && echo "isolatest:x:54321:54321::$work/user:/bin/sh"; } >"$work/user/passwd"
    printf 'FROM base:1\nCOPY a.txt /\nRUN --mount=type=cache,target=/c cat a.txt >b && id -u >>b\nCMD ["cat", "/b"]\n' >"$work/user/ctx/Containerfile"
    for ranges in isolatest:200000:65536 ''; do
        rm -rf "$work/user/.local"
        echo "$ranges" >"$work/user/subuid"
        chmod 755 "$work"
        chown -R 54321:54321 "$work/user"
        same "without root, ranges \"$ranges\"" "$(as_user 2>"$work/err")" "hello
0"
    done
else
    echo "skipped: building without root needs setpriv, newuidmap and a binary that everybody may execute"
fi

# --- what is left: after all this, and after a build that was killed
nap=$(($$ + 100000))
printf 'FROM base:1\nRUN sleep %s\n' $nap | containerfile
"$isola" build "$work/context" >"$work/out" 2>"$work/err" </dev/null &
pid=$!
n=0
until pgrep -f "^sleep $nap\$" >/dev/null || [ $n = 100 ]; do
    sleep 0.1
    n=$((n + 1))
done
kill -9 $pid
wait $pid 2>/dev/null
n=0
while pgrep -f "^sleep $nap\$" >/dev/null && [ $n != 50 ]; do
    sleep 0.1
    n=$((n + 1))
done
if pgrep -f "^sleep $nap\$" >/dev/null; then bad "the program outlives its build"; else good; fi
printf 'FROM base:1\nRUN echo fine\n' | containerfile
try "after a kill"
same "nothing under way" "$(ls "$XDG_DATA_HOME/isola/build/work" | wc -l)" 0
same "no mounts" "$(grep -c "$work" /proc/self/mounts)" 0
echo "$passed passed, $failed failed"
[ $failed = 0 ]
