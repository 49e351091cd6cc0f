#!/bin/bash
# The image store end to end: layers as they land on overlayfs, hostile archives, broken and parallel work, exchange with skopeo,
# umoci and podman, users without root. Usage: store-test.sh ISOLA. As root; mounts stay in a namespace of the test's own.
set -u
[ "${ISOLA_TEST_NS:-}" = 1 ] || ISOLA_TEST_NS=1 exec unshare -m --propagation private "$0" "$@"
isola=$(realpath "${1:?the isola binary}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-image.XXXXXX")
chmod 755 "$work"
export XDG_DATA_HOME=$work/data
store=$XDG_DATA_HOME/isola/images
passed=0 failed=0 skipped=0
cleanup() {
    cd /
    mountpoint -q "$work/merged" && umount "$work/merged"
    mountpoint -q "$work/small" && umount "$work/small"
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1

# Other users run it below: from a copy where they cannot reach the build.
if ! setpriv --reuid 54321 --regid 54321 --clear-groups test -x "$isola" 2>/dev/null; then
    mkdir programs && cp "$isola" "$(dirname "$isola")/isola-image" programs && isola=$work/programs/isola
fi

pass() { passed=$((passed + 1)); echo "ok: $1"; }
fail() { failed=$((failed + 1)); echo "FAILED: $1"; }
skip() { skipped=$((skipped + 1)); echo "skipped: $1: $2"; }
check() { # NAME COMMAND...
    name=$1
    shift
    if "$@" >"$work/out" 2>&1; then pass "$name"; else fail "$name"; sed 's/^/    /' "$work/out" | tail -20; fi
}
# Whether nothing is in these directories.
none() { ! find "$@" -mindepth 1 | grep .; }
# The layer directories of an image, for overlayfs.
layers() { "$isola" image inspect "$1" | python3 -c 'import json,sys; print(":".join(json.load(sys.stdin)[0]["layers"]))'; }
# Everything about a tree that an archive can say, one line each.
listing() {
    (cd "$1" && find . -mindepth 1 -printf '%p %M %U:%G %s %T@ %l %n\n' | LC_ALL=C sort | sed -E 's/^(\S+ d\S+ \S+) [0-9]+ (.*) [0-9]+$/\1 \2/'
        find . -mindepth 1 \( -type f -o -type d \) -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m '^(user\.[^o]|security\.capability|system\.posix)' -e hex --absolute-names 2>/dev/null
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}
make_tree() {
    mkdir -p tree/bin tree/etc/deep tree/dev tree/old/inside tree/empty "tree/$(printf 'long%0180d' 7)/$(printf 'name%0120d' 8)"
    cp "$(command -v busybox)" tree/bin/busybox
    ln tree/bin/busybox tree/bin/sh
    ln -s busybox tree/bin/ls
    ln -s /etc/target "tree/etc/$(printf 'link%0150d' 1)"
    ln -s "/$(printf 'target%0150d' 1)" tree/etc/far
    mkfifo tree/dev/pipe
    mknod tree/dev/null c 1 3
    mknod tree/dev/loop7 b 7 7
    chmod 4755 tree/bin/busybox
    echo text >tree/etc/file
    setfattr -n user.note -v "$(printf 'with\nnewline')" tree/etc/file
    setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 tree/bin/busybox
    chown 3000000000:4000000000 tree/etc/file
    truncate -s 20M tree/etc/sparse
    printf x | dd of=tree/etc/sparse bs=1 seek=9000000 conv=notrunc status=none
    echo gone >tree/old/inside/a
    echo gone >tree/old/b
    echo s >tree/etc/deep/s
    chown 5:6 tree/etc/deep
    chmod 2775 tree/etc/deep
    touch -d '1955-11-05 06:15:00.25' tree/etc/deep/s tree/etc
    touch -d '2300-01-01' tree/empty
}
make_tree

# --- Unpacking is exact, in every dialect of tar.
for format in "pax --xattrs --xattrs-include=*" "pax -S --xattrs --xattrs-include=*" gnu "gnu -S"; do
    # shellcheck disable=SC2086
    tar --format=$format --numeric-owner -C tree -cf tree.tar . 2>/dev/null
    "$isola" import tree.tar t:1 >/dev/null || { fail "import $format"; continue; }
    listing tree >want
    listing "$(layers t:1)" >have
    case $format in
    gnu*) # knows neither attributes nor fractions of seconds
        sed -i -E '/^$|^(#|user|security)/d; s/([0-9]{9,})\.[0-9]+/\1/; s/-([0-9]+)\.[0-9]+/-\1/' want have ;;
    esac
    check "unpack tar --format=$format" diff want have
    case $format in *-S*) check "holes stay holes ($format)" test "$(du -k "$(layers t:1)/etc/sparse" | cut -f1)" -lt 100 ;; esac
    "$isola" rmi t:1 >/dev/null
done
tar --format=pax --xattrs --xattrs-include='*' -C tree -cf tree.tar .
zstd -q tree.tar -o tree.tar.zst
gzip -kf tree.tar
cat tree.tar.gz tree.tar.gz >/dev/null
check "a zstd archive" "$isola" import tree.tar.zst t:zst
check "a gzip archive from a pipe" sh -c "cat tree.tar.gz | '$isola' import - t:1"
check "the same layer for all" test "$(layers t:zst)" = "$(layers t:1)"
check "names are completed" test "$("$isola" __complete -- run -it t:z | cut -f1)" = t:zst
check "but not in the container's command" test -z "$("$isola" __complete -- run t:1 t:)"
check "nothing is left behind" none "$store/tmp" "$store/trash"

# --- Layers on overlayfs: changes made there become a layer, and that layer does the same on another overlay.
mkdir upper scratch merged
mount -t overlay overlay -o "userxattr,lowerdir=$(layers t:1),upperdir=upper,workdir=scratch" merged || exit 1
rm merged/etc/file
rm -r merged/old && mkdir merged/old && echo new >merged/old/new
echo more >>merged/etc/deep/s
ln merged/etc/deep/s merged/etc/deep/s2
mkdir -p merged/a/b && echo x >merged/a/b/c
mv merged/bin/ls merged/bin/dir
setfattr -n user.k -v v merged/a/b/c
mknod merged/dev/zero c 1 5
rm merged/dev/loop7
touch -d '2001-02-03 04:05:06.7' merged/a/b
listing merged >want
umount merged
image=$("$isola" image inspect -f '{{.ID}}' t:1)
check "commit" "$(dirname "$isola")/isola-image" _commit --upper="$work/upper" --image="$image" --change="ENV A=b" -- t:2
check "the image has one layer more" test "$(layers t:2 | tr : '\n' | wc -l)" = 2
mount -t overlay overlay -o "userxattr,ro,lowerdir=$(layers t:2)" merged
listing merged >have
umount merged
check "what overlayfs shows of the committed layer" diff want have
check "changes of the configuration" test "$("$isola" image inspect -f '{{index .Config.Env 0}}' t:2)" = A=b
export SOURCE_DATE_EPOCH=1000000000
one=$("$(dirname "$isola")/isola-image" _commit --upper="$work/upper" --image="$image")
two=$("$(dirname "$isola")/isola-image" _commit --upper="$work/upper" --image="$image")
unset SOURCE_DATE_EPOCH
check "the same branch and SOURCE_DATE_EPOCH give the same image" test -n "$one" -a "$one" = "$two"

# --- Whiteouts in every order, and directories without entries.
mkdir -p wh/d/e && echo 1 >wh/d/keep && touch wh/d/.wh.gone wh/d/.wh..wh..opq wh/.wh.t wh/.wh.twice && mkdir wh/twice && echo 2 >wh/twice/f
tar -C wh -cf wh.tar d/.wh.gone d/.wh..wh..opq d/keep .wh.t .wh.twice twice/f
"$isola" import wh.tar wh:1 >/dev/null
L=$(layers wh:1)
check "a whiteout is a device 0:0" test "$(stat -c %F:%t:%T "$L/t")" = "character special file:0:0"
check "an opaque directory" test "$(getfattr --only-values -n user.overlay.opaque "$L/d")" = y
check "a whiteout and a directory of one name: opaque" test "$(getfattr --only-values -n user.overlay.opaque "$L/twice")" = y
check "no names of whiteouts" test -z "$(find "$L" -name '.wh.*')"

# --- A directory without an entry has the attributes it has below.
mkdir -p p1/dir && chmod 2751 p1/dir && chown 7:8 p1/dir && touch -d 2010-01-01 p1/dir && tar -C p1 -cf p1.tar dir
mkdir -p p2/dir && echo f >p2/dir/f && tar -C p2 -cf p2.tar dir/f
python3 "$here/make-image.py" two.tar p1.tar p2.tar
check "load a docker archive" "$isola" load -i two.tar --tag two:1
check "inherited attributes" test "$(stat -c '%a %u:%g %Y' "$(layers two:1 | cut -d: -f1)/dir")" = "2751 7:8 $(date -d 2010-01-01 +%s)"

# --- Hostile archives: a clear error, and nothing outside or left behind.
python3 "$here/hostile-tars.py" hostile "$work/escaped" || exit 1
for f in hostile/*.tar*; do
    want=$(sed -n "s/^$(basename "$f") //p" hostile/errors)
    if timeout 60 "$isola" import "$f" bad:1 >out 2>&1; then
        [ "$want" = ok ] && pass "hostile $(basename "$f"): harmless" || { fail "hostile $(basename "$f"): accepted"; }
        L=$(layers bad:1)
        [ -z "$(getfattr -R -h -d -m '^(user|trusted).overlay' "$L" 2>/dev/null)" ] || fail "$(basename "$f"): overlay attributes"
        "$isola" rmi bad:1 >/dev/null
    elif [ "$want" = ok ]; then
        fail "hostile $(basename "$f"): $(cat out)"
    elif grep -q -- "$want" out && [ "$(wc -l <out)" = 1 ]; then
        pass "hostile $(basename "$f"): $(cut -c1-150 out)"
    else
        fail "hostile $(basename "$f"): not \"$want\": $(cat out)"
    fi
done
check "nothing escaped" test ! -e "$work/escaped" -a ! -e /tmp/isola-escaped
check "nothing is left of them" none "$store/tmp" "$store/trash"
check "lying digests: a layer" sh -c "python3 '$here/make-image.py' --lie-layer lie.tar p1.tar; ! '$isola' load -i lie.tar 2>lie.err && grep -q 'has digest' lie.err"
check "no such archive" sh -c "! '$isola' load -i p1.tar 2>err && grep -q 'isola import' err"
python3 "$here/make-image.py" --layers 3000 many.tar p1.tar
check "thousands of layers are refused" sh -c "! '$isola' load -i many.tar 2>err && grep -qE 'layers|entries' err && [ \$(wc -l <err) = 1 ]"

# --- Two at once, kill -9, full disk.
"$isola" image prune -af >/dev/null
for i in 1 2 3; do "$isola" import tree.tar par:$i >/dev/null & done
wait
check "three at once" test "$("$isola" images -q par | sort | uniq -c | awk '{n += $1} END {print n}')" -ge 1 -a -z "$(ls "$store/tmp")"
"$isola" image prune -af >/dev/null
head -c 200M /dev/zero | tr '\0' x >big
tar -cf big.tar big tree
for delay in 0.02 0.05 0.1 0.2 0.4; do
    "$isola" import big.tar killed:1 >/dev/null 2>&1 &
    pid=$!
    sleep $delay
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    sleep 0.1
    if "$isola" image inspect killed:1 >/dev/null 2>&1; then
        [ "$(sha256sum <"$(layers killed:1)/big")" = "$(sha256sum <big)" ] || fail "kill -9 after $delay: a damaged layer"
        "$isola" rmi killed:1 >/dev/null
    else
        # The layer may be there, whole, when the kill came before the image got its name.
        for layer in "$store"/layers/*; do
            [ ! -e "$layer" ] || { [ -s "$layer/layer.json" ] && cmp -s "$layer/diff/big" big; } || fail "kill -9 after $delay: half a layer"
        done
        "$isola" image prune -f >/dev/null
    fi
done
check "kill -9 leaves images whole or absent" true
"$isola" image prune -f >/dev/null
check "prune removes what a killed import left" none "$store/tmp" "$store/trash" "$store/partial" "$store/blobs/sha256"
mkdir small
mount -t tmpfs -o size=64m tmpfs small
check "full disk: a clear error" sh -c "! XDG_DATA_HOME=$work/small '$isola' import big.tar full:1 2>err && grep -q 'No space left' err && [ \$(wc -l <err) = 1 ]"
check "full disk: nothing half there" none small/isola/images/layers small/isola/images/tmp small/isola/images/blobs/sha256
umount small

# --- Exchange, both ways.
"$isola" import -c 'CMD ["/bin/sh"]' tree.tar ex:1 >/dev/null
id=$("$isola" image inspect -f '{{.ID}}' ex:1)
"$isola" save -o ex.tar ex:1
"$isola" save --format oci-dir -o exdir ex:1
if command -v skopeo >/dev/null; then
    check "skopeo reads the archive as an OCI archive" skopeo copy -q oci-archive:ex.tar oci:sk:latest
    check "skopeo reads it as a docker archive" skopeo copy -q docker-archive:ex.tar docker-archive:sk.tar:name/from:skopeo
    check "skopeo reads the directory" skopeo copy -q oci:exdir oci-archive:sk-oci.tar:from/skopeo:2
    for source in sk.tar sk-oci.tar sk; do
        rm -rf "$work/other"
        check "load $source from skopeo" env XDG_DATA_HOME="$work/other" "$isola" load -i $source --tag loaded:1
        check "it is the same image" test "$(XDG_DATA_HOME=$work/other "$isola" image inspect -f '{{.ID}}' loaded:1)" = "$id"
        listing "$(XDG_DATA_HOME=$work/other layers loaded:1)" >have
        listing tree >want
        check "with the same files" diff want have
    done
    check "names are kept" sh -c "XDG_DATA_HOME=$work/other '$isola' load -i sk.tar | grep -qx 'Loaded image: name/from:skopeo'"
else
    skip "exchange with skopeo" "package skopeo is missing"
fi
if command -v umoci >/dev/null; then
    cp -r exdir um
    tag=$(python3 -c 'import json; print(json.load(open("um/index.json"))["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"])')
    check "umoci unpacks what is saved" umoci unpack --image "um:$tag" bundle
    listing bundle/rootfs >have
    listing tree >want
    sed -i '/^\.\/empty /d' want have # umoci's times end in 2262
    check "umoci sees the same files" diff want have
    echo umoci >bundle/rootfs/etc/by-umoci
    rm bundle/rootfs/etc/far
    check "umoci packs a layer more" umoci repack --image um:more bundle
    python3 -c 'import json; i=json.load(open("um/index.json")); i["manifests"]=[m for m in i["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"]=="more"]; json.dump(i,open("um/index.json","w"))'
    check "load from umoci" "$isola" load -i um --tag um:more
    mount -t overlay overlay -o "userxattr,ro,lowerdir=$(layers um:more)" merged
    check "its changes" sh -c '[ "$(cat merged/etc/by-umoci)" = umoci ] && ! [ -L merged/etc/far ] && [ -e merged/etc/sparse ]'
    umount merged
else
    skip "exchange with umoci" "package umoci is missing"
fi
if command -v podman >/dev/null; then
    pod() { timeout 120 podman --root "$work/podman" --runroot "$work/podrun" --storage-driver vfs "$@"; }
    check "podman loads what is saved" pod load -q -i ex.tar
    check "as the same image" test "sha256:$(pod images -q --no-trunc docker.io/library/ex:1 | sed 's/sha256://')" = "$id"
    for format in docker-archive oci-archive; do
        pod save -q --format $format -o from-podman.tar docker.io/library/ex:1
        check "load podman's $format" sh -c "XDG_DATA_HOME=$work/pod-$format '$isola' load -i from-podman.tar | grep -qx 'Loaded image: ex:1'"
        check "the same image again" test "$(XDG_DATA_HOME=$work/pod-$format "$isola" image inspect -f '{{.ID}}' ex:1)" = "$id"
        rm -f from-podman.tar
    done
else
    skip "exchange with podman" "package podman is missing"
fi
check "save to a pipe and load from one" sh -c "'$isola' save ex:1 | gzip -1 | XDG_DATA_HOME=$work/piped '$isola' load | grep -qx 'Loaded image: ex:1'"

# --- A container's changes become an image.
mkdir -p bb/bin bb/etc && cp "$(command -v busybox)" bb/bin && for a in sh cat rm; do ln -sf busybox bb/bin/$a; done
tar -C bb -cf bb.tar .
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 run
"$isola" import -c 'CMD ["sh"]' bb.tar bb:1 >/dev/null
if timeout 60 "$isola" run --name made --network none -e 'A=b "c' bb:1 sh -c 'echo new >/etc/new; rm /bin/cat' 2>err; then
    check "commit of a container" timeout 60 "$isola" commit -m hello made bb:2
    check "the image has the changes and the settings" test "$(timeout 60 "$isola" run --rm --network none bb:2 sh -c 'read -r l </etc/new; echo "$l $A"; ls /bin/cat' 2>/dev/null)" = 'new b "c'
    check "an image in use is not removed" sh -c "! '$isola' rmi bb:1 2>err && grep -q 'instance made' err"
    "$isola" rm made >/dev/null
    check "and can be when it is not" "$isola" rmi bb:1 bb:2
else
    skip "commit of a container" "containers do not run here: $(tail -1 err)"
fi
unset XDG_RUNTIME_DIR

# --- Users without root.
mkdir -m 755 user
user=$(awk -F: '$2 >= 100000 {print $1; exit}' /etc/subuid 2>/dev/null)
tar -C p1 --owner=0 --group=0 -cf plain.tar dir
as() { setpriv --reuid "$1" --regid "$1" --clear-groups env -u XDG_DATA_HOME HOME="$work/user" XDG_DATA_HOME="$work/user/data" "${@:2}"; }
chown 54321:54321 user
if as 54321 unshare -U true 2>/dev/null && as 54321 "$isola" version >/dev/null 2>&1; then
    check "one uid: import" as 54321 "$isola" import tree.tar one:1
    check "one uid: files are its own" test "$(stat -c %u "$(as 54321 "$isola" image inspect -f '{{index .Layers 0}}' one:1)/etc/file")" = 54321
    mkdir -p user/upper/new && echo x >user/upper/new/f && chown -R 54321:54321 user/upper
    check "one uid: commit" as 54321 "$(dirname "$isola")/isola-image" _commit --upper="$work/user/upper" --image="$(as 54321 "$isola" image inspect -f '{{.ID}}' one:1)" -- one:2
    check "one uid: its layer" test "$(cat "$(as 54321 "$isola" image inspect -f '{{index .Layers 0}}' one:2)/new/f")" = x
    as 54321 "$isola" rmi one:2 >/dev/null
    check "one uid: rmi" as 54321 "$isola" rmi one:1
    check "one uid: rmi leaves nothing" none "$work/user/data/isola/images/layers" "$work/user/data/isola/images/trash"
else
    skip "a user with one uid" "no user namespaces, or the binary cannot be read by others"
fi

# Where user namespaces are refused, root unpacks behind fewer walls and others are told what to allow.
refuse() {
    [ -p go ] || mkfifo go
    unshare -U sh -c 'read -r _ <"$0" && setpriv --reuid 0 --regid 0 --clear-groups sh -c "echo 0 >/proc/sys/user/max_user_namespaces" && exec setpriv --reuid 0 --regid 0 --clear-groups "$@"' "$work/go" "$@" &
    pid=$!
    for _ in $(seq 100); do [ "$(readlink "/proc/$pid/ns/user")" = "$(readlink /proc/self/ns/user)" ] || break; sleep 0.05; done
    { echo "0 0 65536" >"/proc/$pid/uid_map" && echo "0 0 65536" >"/proc/$pid/gid_map"; } || { kill $pid; return 1; }
    echo >go
    wait $pid
}
if refuse true 2>/dev/null; then
    check "no user namespaces: root" refuse env XDG_DATA_HOME="$work/refused" "$isola" import bb.tar no:1
    mkdir -m 777 others
    refuse setpriv --reuid 54321 --regid 54321 --clear-groups env XDG_DATA_HOME="$work/others/data" "$isola" import bb.tar no:1 >out 2>err
    check "no user namespaces: others" grep -q 'user.max_user_namespaces' err
else
    skip "user namespaces that are refused" "ids cannot be mapped here"
fi

# A user with ranges of ids: files of this namespace's own say so.
if command -v newuidmap >/dev/null && touch etc-subuid etc-passwd; then
    echo "isola-test:200000:65536" >etc-subuid
    { cat /etc/passwd; echo "isola-test:x:54322:54322::$work/ranges:/bin/sh"; } >etc-passwd
    for f in subuid subgid; do [ -e /etc/$f ] && mount --bind etc-subuid /etc/$f; done
    mount --bind etc-passwd /etc/passwd
    mkdir ranges && chown 54322:54322 ranges
    as2() { setpriv --reuid 54322 --regid 54322 --clear-groups env HOME="$work/ranges" XDG_DATA_HOME="$work/ranges/data" "$@"; }
    chown 1000:2000 tree/etc/file
    tar --format=pax --xattrs --xattrs-include='*' -C tree -cf ranges.tar .
    if as2 unshare -U true 2>/dev/null && as2 "$isola" version >/dev/null 2>&1; then
        check "ranges: import" as2 "$isola" import ranges.tar r:1
        L=$(as2 "$isola" image inspect -f '{{index .Layers 0}}' r:1)
        check "ranges: ids are mapped" test "$(stat -c %u:%g "$L/etc/file")" = 200999:201999
        check "ranges: root's files are the user's" test "$(stat -c %u "$L/bin/busybox")" = 54322
        check "ranges: devices are left out, and counted" sh -c "! [ -e '$L/dev/null' ] && grep -q '\"devices_left_out\":2' '$L/../layer.json'"
        mkdir ranges/upper && chown 54322:54322 ranges/upper && mkdir ranges/upper/new && echo x >ranges/upper/new/f && chown 200041:200041 ranges/upper/new/f
        check "ranges: commit" as2 "$(dirname "$isola")/isola-image" _commit --upper="$work/ranges/upper" --image="$(as2 "$isola" image inspect -f '{{.ID}}' r:1)" -- r:2
        as2 "$isola" save -o ranges/r2.tar r:2
        "$isola" load -i ranges/r2.tar >/dev/null
        check "ranges: ids in the image are those inside" test "$(stat -c %u:%g "$(layers r:2 | cut -d: -f1)/new/f")" = 42:42
        as2 "$isola" rmi r:1 r:2 >out 2>&1
        check "ranges: rmi leaves nothing" none "$work/ranges/data/isola/images/layers" "$work/ranges/data/isola/images/trash"
        chown 70000:5 tree/etc/file
        tar -C tree --format=pax -cf ranges.tar etc
        check "ranges: an id beyond them" sh -c "$(declare -f as2 | sed 's/^as2 ()/as2()/'); work=$work; ! as2 '$isola' import ranges.tar r:1 2>err && grep -q '/etc/subuid' err"
    else
        skip "a user with ranges of ids" "no user namespaces, or the binary cannot be read by others"
    fi
    umount /etc/passwd /etc/subuid /etc/subgid 2>/dev/null
else
    skip "a user with ranges of ids" "package uidmap is missing"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
