#!/bin/bash
# Private networks of containers that root starts (src/network/private_net.h), with a host, a router and a world of the test's own:
# network namespaces, so that the machine's devices and firewall are not touched.
# Usage: network-test.sh ISOLA; isola-image lies beside it. Ends with "N passed, N failed, N skipped".
set -u
isola=$(realpath "$1") || exit 99
[ "$(id -u)" = 0 ] || { echo "network: root is needed"; exit 77; }
for tool in busybox ip nft curl unshare nsenter python3; do
    command -v $tool >/dev/null || { echo "network: $tool is missing"; exit 77; }
done
[ -n "${ISOLA_TEST_NETNS:-}" ] || { export ISOLA_TEST_NETNS=1; exec timeout -k 10 280 unshare -n "$0" "$isola"; }
work=$(mktemp -d) || exit 99
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -p "$work/data" "$work/run"
passed=0 failed=0 skipped=0 helpers=
cleanup() {
    timeout 60 "$isola" ps -aq 2>/dev/null | while read -r id; do timeout 30 "$isola" rm -f "$id" >/dev/null 2>&1; done
    # shellcheck disable=SC2086
    kill $helpers 2>/dev/null
    for h in /sys/fs/cgroup /sys/fs/cgroup/*; do rmdir "$h/isola" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT
i() { timeout -k 5 30 "$isola" "$@"; }
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAIL: %s\n' "$*"; }
skip() { skipped=$((skipped + 1)); printf 'SKIP: %s\n' "$*"; }
is() { # WHAT GOT WANTED (a glob pattern)
    # shellcheck disable=SC2053
    [[ $2 == $3 ]] && ok || bad "$1: got \"$2\", not \"$3\""
}
soon() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; return 1; }
get() { curl -s -m 5 "http://$1/index.html"; }
refused() { ! curl -s -m 1 "http://$1/index.html" >/dev/null; }
address_of() { i inspect -f '{{.NetworkSettings.IPAddress}}' "$1"; }
outside() { nsenter -t "$world" -n "$@"; }
state() { nft list ruleset; cat /proc/sys/net/ipv4/ip_forward; ip -o link | grep -c isola-; }

root=$work/root
mkdir -p "$root"/{bin,etc,tmp,srv} "$work/world" "$work/host"
cp "$(command -v busybox)" "$root/bin/busybox"
busybox --list | while read -r a; do [ "$a" = busybox ] || ln -s busybox "$root/bin/$a"; done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo inside >"$root/srv/index.html"; echo world >"$work/world/index.html"; echo host >"$work/host/index.html"
tar -C "$root" -cf "$work/bb.tar" . && i import "$work/bb.tar" bb >/dev/null || { bad import; exit 1; }

# The world: 198.51.100.2 beyond the host's uplink 198.51.100.1.
ip link set lo up
unshare -n sleep 300 & world=$!; helpers=$world
soon sh -c "[ \"\$(readlink /proc/$world/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
ip link add up0 type veth peer name up1 netns $world && ip addr add 198.51.100.1/24 dev up0 && ip link set up0 up
outside sh -c 'ip link set lo up; ip addr add 198.51.100.2/24 dev up1; ip link set up1 up'
ip route add default via 198.51.100.2
# Not by a function, whose shell would be what is ended.
nsenter -t "$world" -n busybox httpd -f -p 198.51.100.2:80 -h "$work/world" & helpers="$helpers $!"
busybox httpd -f -p 127.0.0.1:8070 -h "$work/host" & helpers="$helpers $!"
busybox httpd -f -p 0.0.0.0:8071 -h "$work/host" & helpers="$helpers $!"
soon get 198.51.100.2 && soon get 127.0.0.1:8070 && soon get 127.0.0.1:8071 || { bad "the test's own servers"; exit 1; }
nothing=$(state)

# ---- out ----
is "address" "$(i run --rm bb ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4)" '10.213.*.*/32'
is "to the world" "$(i run --rm bb wget -q -O - http://198.51.100.2/index.html)" world
is "nothing is left" "$(state)" "$nothing"
is "--ip" "$(i run --rm --ip 10.213.7.7 bb ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4)" 10.213.7.7/32
is "--ip elsewhere" "$(i run --rm --ip 10.9.9.9 bb true 2>&1; echo $?)" '*10.9.9.9*10.213.0.2*125'
is "its own name" "$(i run --rm --ip 10.213.7.7 -h box bb grep box /etc/hosts)" '10.213.7.7*box'
is "--dns" "$(i run --rm --dns 9.9.9.9 bb grep nameserver /etc/resolv.conf)" 'nameserver 9.9.9.9'
is "--add-host" "$(i run --rm --add-host h:host-gateway bb wget -q -O - http://h:8071/index.html)" host
is "not the host's loopback" "$(i run --rm --cap-add NET_ADMIN bb sh -c 'ip route add 127.0.0.9 via 10.213.0.1 dev eth0 2>/dev/null
    for a in 10.213.0.1 127.0.0.1; do timeout 3 wget -q -O - http://$a:8070/index.html; done' 2>/dev/null)" ''
is "ping" "$(i run --rm bb ping -c 1 -W 5 198.51.100.2 | grep -c '1 packets received')" 1
foreign() { i run --rm --cap-add NET_ADMIN --ip 10.213.7.7 bb sh -c 'ip addr add 10.213.7.8/32 dev eth0
    timeout 3 ping -c 1 -W 2 -I 10.213.7.8 198.51.100.2 >/dev/null && echo let through; true'; }
is "no other's address" "$(foreign)" ''
echo 2 >/proc/sys/net/ipv4/conf/all/rp_filter
is "no other's address, where rp_filter is loose" "$(foreign)" ''
echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter

echo 'nameserver 127.0.0.53' >"$work/resolv"
if [ -e /run/systemd/resolve/resolv.conf ]; then
    skip "a resolver on the host's loopback: systemd-resolved is here"
else
    unshare -m sh -c "mount --make-rprivate /; mount --bind $work/resolv /etc/resolv.conf; exec timeout 30 '$isola' run --name deaf bb true" 2>/dev/null
    is "a resolver on the host's loopback" "$(i logs deaf 2>&1)" '*name servers*loopback*--dns*'
    i rm deaf >/dev/null
fi

# ---- in ----
i run -d --name web -p 8080:80 -p 198.51.100.1:8081:80 -p 0.0.0.0:8082:80 -p 9000:9000/udp bb httpd -f -p 80 -h /srv >/dev/null || bad "run -p"
web=$(address_of web)
soon get 127.0.0.1:8080
is "127.0.0.1" "$(get 127.0.0.1:8080)" inside
is "an address" "$(get 198.51.100.1:8081)" inside
is "all addresses, from 127.0.0.1" "$(get 127.0.0.1:8082)" inside
is "all addresses, from the world" "$(outside curl -s -m 5 http://198.51.100.1:8082/index.html)" inside
is "an address, from the world" "$(outside curl -s -m 5 http://198.51.100.1:8081/index.html)" inside
outside curl -s -m 1 http://198.51.100.1:8080/index.html >/dev/null && bad "127.0.0.1 is seen by the world" || ok
outside ip route add 10.213.0.0/16 via 198.51.100.1
outside curl -s -m 1 "http://$web/index.html" >/dev/null && bad "what is not published is seen by the world" || ok
nsenter -t "$(i top --format '{{.PID}}' web | head -1)" -n timeout 100 python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9000)); print("bound", flush=True); m, a = s.recvfrom(99); s.sendto(b"echo " + m, a)' >"$work/udp" & helpers="$helpers $!"
soon grep -q bound "$work/udp"
is "udp" "$(timeout 10 python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.connect(("127.0.0.1", 9000)); s.send(b"this"); print(s.recv(99).decode())' 2>&1)" 'echo this'
is "port" "$(i port web 80 | sort | tr '\n' ' ')" '0.0.0.0:8082 127.0.0.1:8080 198.51.100.1:8081 '
is "inspect" "$(i inspect -f '{{.NetworkSettings.Driver}} {{.NetworkSettings.Gateway}} {{.NetworkSettings.MacAddress}}' web)" 'kernel 10.213.0.1 02:15:0a:d5:*'
is "taken" "$(i run --rm -p 8080:80 bb true 2>&1; echo $?)" '*127.0.0.1:8080*in use*125'
python3 -c 'import socket; socket.socket().bind(("127.0.0.1", 8080))' 2>/dev/null && bad "the port could be taken on the host" || ok
nft flush ruleset
is "after nft flush ruleset" "$(get 127.0.0.1:8080)" inside

# ---- one another ----
is "to another" "$(i run --rm bb wget -q -O - "http://$web/index.html")" inside
is "to another by its port" "$(i run --rm bb wget -q -O - http://198.51.100.1:8081/index.html)" inside
is "to itself by its port" "$(i exec web wget -q -O - http://198.51.100.1:8081/index.html)" inside
is "shared" "$(i run --rm --network container:web bb wget -q -O - http://127.0.0.1/index.html)" inside
is "out again, after the flush" "$(i run --rm bb wget -q -O - http://198.51.100.2/index.html)" world
i restart -t 0 web >/dev/null
is "the same address after a restart" "$(address_of web)" "$web"
soon get 127.0.0.1:8080 && ok || bad "published after a restart"
is "userns" "$(unshare -m sh -c "mount --make-rprivate /; echo root:1000000:65536 >$work/ids; for f in subuid subgid; do mount --bind $work/ids /etc/\$f; done
    exec timeout 30 '$isola' run --rm --userns private bb wget -q -O - http://198.51.100.2/index.html" 2>&1)" world
i rm -f web >/dev/null
i run -d --name again --restart always -p 8083:80 bb httpd -f -p 80 -h /srv >/dev/null
soon get 127.0.0.1:8083; again=$(address_of again); i exec again kill -9 1 >/dev/null 2>&1; i exec again killall -9 httpd >/dev/null 2>&1
i kill -s TERM again >/dev/null 2>&1
soon get 127.0.0.1:8083 && is "by its restart policy" "$(address_of again)" "$again" || bad "published after a restart by policy"
i rm -f again >/dev/null
refused 127.0.0.1:8080 && ok || bad "the port outlived its container"
echo 0 >/proc/sys/net/ipv4/ip_forward # the flush took the note that Isola had switched it on
is "nothing is left" "$(nft list ruleset)" ''

# ---- many at once ----
for n in 1 2 3 4 5 6 7 8; do i run -d --name m$n bb sleep 200 >/dev/null & many="${many:-} $!"; done
# shellcheck disable=SC2086
wait $many
is "addresses of eight started at once" "$(for n in 1 2 3 4 5 6 7 8; do address_of m$n; done | sort -u | grep -c '^10\.213\.')" 8
is "two started at once with one address" "$(for n in 1 2; do timeout 30 "$isola" run -d --name w$n --ip 10.213.7.7 bb sleep 200 >/dev/null 2>&1 && echo up & done | wc -l; )" 1
for n in m1 m2 m3 m4 m5 m6 m7 m8 w1 w2; do i rm -f $n >/dev/null 2>&1 & gone="${gone:-} $!"; done
# shellcheck disable=SC2086
wait $gone
soon sh -c '! nft list tables | grep -q isola' && ok || bad "left by many: $(nft list ruleset)"
is "forwarding is as before" "$(cat /proc/sys/net/ipv4/ip_forward)" 0

# ---- a supervisor that is killed ----
for _ in 1 2 3; do
    i run -d --name doomed -p 8080:80 bb httpd -f -p 80 -h /srv >/dev/null
    pid=$(i inspect -f '{{.State.Pid}}' doomed)
    [ "$pid" -gt 1 ] && kill -9 "$pid"
    soon sh -c "[ \"\$('$isola' inspect -f '{{.State.Status}}' doomed)\" = dead ]"
    is "collected" "$(nft list ruleset; cat /proc/sys/net/ipv4/ip_forward)" 0
    i start doomed >/dev/null && soon get 127.0.0.1:8080 && ok || bad "start after a crash"
    i rm -f doomed >/dev/null
done

# ---- the host's firewall ----
nft add table inet fw && nft 'add chain inet fw through { type filter hook forward priority 5; policy drop; }'
is "drop means drop" "$(i run --rm bb sh -c 'timeout 2 wget -q -O - http://198.51.100.2/index.html; true' 2>/dev/null)" ''
i run --name dropped bb true; is "the log tells" "$(i logs dropped 2>&1)" '*chain inet fw through drops*'
is "doctor tells" "$(i doctor 2>&1 | grep '^nat')" '*inet fw through*isola-*'
nft 'add rule inet fw through iifname "isola-*" accept; add rule inet fw through oifname "isola-*" accept'
is "doctor's advice" "$(i run --rm bb wget -q -O - http://198.51.100.2/index.html)" world
i start -a dropped >/dev/null 2>&1; is "the log tells no more" "$(i logs dropped 2>&1 | grep -c drops)" 1
is "nor does doctor" "$(i doctor 2>&1 | grep -c '^nat.*drops')" 0
i rm dropped >/dev/null
nft delete table inet fw
echo 1 >/proc/sys/net/ipv4/ip_forward
i run -d --name router bb sleep 100 >/dev/null
is "a host that forwards goes on" "$(nft list table ip isola | grep -c router)" 0
i rm -f router >/dev/null
is "and is not stopped" "$(cat /proc/sys/net/ipv4/ip_forward)" 1
echo 0 >/proc/sys/net/ipv4/ip_forward

# ---- where the kernel's cannot be ----
is "an IPv6 port" "$(i run --rm -p '[::1]:8086:80' bb true 2>&1; echo $?)" '*IPv4*125'
if [ -r /dev/net/tun ]; then
    is "a host that lets us not" "$(unshare -m sh -c "mount --make-rprivate /; mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
        exec timeout 30 '$isola' run --rm bb ip -o -4 addr show eth0" 2>&1)" '*10.0.2.15/24*'
else
    skip "libslirp: no /dev/net/tun"
fi
is "nothing is left" "$(nft list ruleset; cat /proc/sys/net/ipv4/ip_forward)" 0
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
