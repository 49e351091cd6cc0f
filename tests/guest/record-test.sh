#!/bin/sh
# A Debian kernel with two processors, a drive and a network is recorded, and replayed equal to the bit from the recording alone.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
# Time, random numbers, the drive and the network, on both processors at once.
guest='ip link set lo up; udhcpc -i eth0 -n -q -t 5 >/dev/null 2>&1; ping -c 2 -W 5 10.0.2.2
(dd if=/dev/urandom of=/dev/vda bs=4096 count=64 conv=fsync 2>/dev/null; sha256sum /dev/vda) & head -c 300000 /dev/urandom | sha256sum; wait
cat /proc/sys/kernel/random/uuid /proc/uptime; date; grep -c ^processor /proc/cpuinfo; grep -E "timer|virtio" /proc/interrupts; echo ready; read -r line </dev/ttyS0; echo "typed $line"'
head -c 8388608 /dev/urandom >"$work/disk.img"
rm -f "$work/in" && mkfifo "$work/in"
: >"$work/recorded"
(for _ in $(seq 900); do grep -q ^ready "$work/recorded" && break; sleep 0.2; done; echo 'by a user'; sleep 300) >"$work/in" &
children="$children $!"
timeout -k 5 200 "$isola" run -i --rm --vm --record life --cpus "${ISOLA_RECORD_CPUS:-2}" --memory 128m --net nat \
    --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" --disk "$work/disk.img,format=raw" \
    --append "console=ttyS0 quiet panic=-1 isola.run=$(printf '%s' "$guest" | base64 -w0)" <"$work/in" >"$work/recorded" 2>"$work/err"
check "a recorded machine ends well" grep -q 'isola-status: 0' "$work/recorded"
check "it heard what was typed" grep -q 'typed by a user' "$work/recorded"
check "record ls" sh -c "[ \"\$(timeout 20 '$isola' record ls -q)\" = life ]"
rm "$work/disk.img"
timeout -k 5 200 "$isola" replay life >"$work/replayed" 2>"$work/err"
check "the replay is equal" grep -q '^equal: .* s; then the machine ended: poweroff$' "$work/err"
check "what it wrote is the same" cmp "$work/recorded" "$work/replayed"
check "an instant of it" sh -c "timeout 60 '$isola' replay --at 3.5 --json life >'$work/json' 2>'$work/err' && grep -q '\"equal\": true' '$work/json' && grep -q '\"seconds\": 3[.]5' '$work/json'"

# A recorder that is killed leaves what had been written.
timeout 60 "$isola" run -d --name victim --vm --record cut --memory 96m --kernel "$guests/cloud/vmlinuz" --append "console=ttyS0 panic=-1" >/dev/null 2>"$work/err"
sleep 3
kill -9 "$(timeout 20 "$isola" inspect -f '{{.State.Pid}}' victim)" 2>/dev/null
timeout 60 "$isola" rm -f victim >/dev/null 2>&1
timeout 100 "$isola" replay -q cut >/dev/null 2>"$work/err"
check "the replay of one whose recorder was killed" grep -q '^equal: .*the recorder was killed there$' "$work/err"

# Damage is found.
file=$XDG_DATA_HOME/isola/recordings/life
size=$(stat -c %s "$file")
cp "$file" "$work/bad"
printf x | dd of="$work/bad" bs=1 seek=$((size / 4)) conv=notrunc 2>/dev/null
check "a damaged recording" sh -c "! timeout 200 '$isola' replay -q '$work/bad' >/dev/null 2>'$work/err' && grep -qE 'the recording is damaged|differs from' '$work/err'"
head -c $((size / 4)) "$file" >"$work/bad"
check "one that is cut off" sh -c "timeout 200 '$isola' replay -q '$work/bad' >/dev/null 2>'$work/err' && grep -q 'the recorder was killed there' '$work/err'"
printf nothing >"$work/bad"
check "no recording" sh -c "! timeout 60 '$isola' replay '$work/bad' >/dev/null 2>'$work/err' && grep -q 'no recording of a machine' '$work/err'"
check "a name that is taken" sh -c "! timeout 60 '$isola' run --rm --vm --record life --kernel '$guests/cloud/vmlinuz' >/dev/null 2>'$work/err' && grep -q 'there is a recording life already' '$work/err'"
check "record rm" sh -c "timeout 60 '$isola' record rm life cut >/dev/null && [ -z \"\$(timeout 20 '$isola' record ls -q)\" ]"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
