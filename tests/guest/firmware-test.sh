#!/bin/sh
# Systems that firmware boots from a disk: a boot sector of our own, Debian by GRUB, through SeaBIOS and OVMF.
. "$(dirname "$0")/lib.sh"
command -v nasm >/dev/null || skip "nasm is missing"

# boot SECONDS OPTIONS...: runs a machine; its output is in $work/out, its exit code in $code.
boot() {
    limit=$1
    shift
    { timeout -k 5 "$limit" "$isola" run --vm --rm "$@" </dev/null 2>"$work/err"; echo $? >"$work/code"; } |
        tr -d '\r' >"$work/out"
    code=$(cat "$work/code")
}

# A program of one sector: says hello by the BIOS, reads its second sector by the BIOS and says that, too, then ends the machine.
cat >"$work/sector.asm" <<'EOF'
bits 16
org 0x7c00
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    mov [drive], dl
    mov si, hello
    call say
    mov ah, 0x42            ; extended read
    mov dl, [drive]
    mov si, packet
    int 0x13
    mov bl, 2
    jc end
    mov si, 0x7e00
    call say
    int 0x12                ; KiB of memory
    mov bl, 3
    cmp ax, 600
    jb end
    mov ah, 2               ; time of day
    int 0x1a
    mov bl, 4
    jc end
    sti
    mov eax, [0x46c]        ; the timer's interrupt counts ticks there
tick: hlt
    cmp eax, [0x46c]
    je tick
    mov bl, 33
end:
    mov cx, 0xffff          ; what was printed leaves the serial line
drain: in al, 0x80
    loop drain
    mov al, bl
    out 0xf4, al
    hlt
say:
    lodsb
    test al, al
    jz .done
    mov ah, 0x0e
    mov bx, 7
    int 0x10
    jmp say
.done:
    ret
hello: db 13, 10, "one sector", 13, 10, 0
drive: db 0
packet: db 16, 0
    dw 1, 0x7e00, 0
    dq 1
times 510-($-$$) db 0
dw 0xaa55
db "and the second", 13, 10, 0
times 1048576-($-$$) db 0
EOF
nasm -f bin -o "$work/sector.img" "$work/sector.asm" || die "nasm"

# sector NAME OPTIONS...
sector() {
    name=$1
    shift
    boot 60 --memory 64m --debug-exit "$@"
    { [ "$code" = 67 ] && grep -q 'SeaBIOS' "$work/out" && grep -q 'one sector' "$work/out" && grep -q 'and the second' "$work/out"; } ||
        { show; die "$name: exit code $code"; }
    ok "$name"
}
sector "boot sector on virtio" --disk "$work/sector.img"
sector "boot sector with four processors" --cpus 4 --disk "$work/sector.img"

# By its path alone: raw, qcow2, and what is no system for a machine.
sector "a disk by its path" "$work/sector.img"
timeout 60 "$isola" disk convert "$work/sector.img" "$work/sector.qcow2" >"$work/out" 2>"$work/err" || { show; die "convert"; }
sector "a qcow2 image by its path" "$work/sector.qcow2"
boot 60 "$work/none.img"
{ [ "$code" = 125 ] && grep -q "none.img: .*No such file" "$work/err"; } || { show; die "a path without a file: exit code $code"; }
boot 60 "$work/sector.img" sh
{ [ "$code" = 125 ] && grep -q "no image of a container" "$work/err"; } || { show; die "a disk with a command: exit code $code"; }
ok "paths that cannot be booted"

boot 60 --memory 64m --firmware "$work/none.bin" --disk "$work/sector.img"
{ [ "$code" = 125 ] && grep -q "none.bin" "$work/err"; } || { show; die "firmware that is not there: exit code $code"; }
boot 60 --memory 64m --firmware "$work/sector.asm" --disk "$work/sector.img"
{ [ "$code" = 125 ] && grep -q "is no firmware" "$work/err"; } || { show; die "firmware that is none: exit code $code"; }
ok "firmware that is none"

# A disk with GRUB, Debian's kernel and an initrd whose shell runs one command.
guest_kernel cloud

# grub NAME bios|uefi CHECK OPTIONS...
grub() {
    name=$1 kind=$2 check=$3
    shift 3
    "$top/tests/guest/boot-disk" "$kind" "$guests/cloud/vmlinuz" "$guests/cloud/initrd.img" \
        "quiet panic=-1 cryptomgr.notests isola.run=$(printf '%s' "$check" | base64 -w0)" "$work/$kind.img" >"$work/out" 2>"$work/err" ||
        { show; die "$name: no disk"; }
    boot 400 --memory 256m "$@"
    { grep -q "GRUB by $kind" "$work/out" && grep -q '^isola-status: 0$' "$work/out" && [ "$code" = 0 ]; } ||
        { show; die "$name: exit code $code"; }
    ok "$name"
}
grub "GRUB and Debian's kernel through SeaBIOS" bios \
    'grep -q BOOT_IMAGE=/boot/vmlinuz /proc/cmdline && [ ! -e /sys/firmware/efi ] && [ -e /sys/firmware/acpi/tables/APIC ]' \
    --firmware bios --disk "$work/bios.img"
grub "GRUB and Debian's kernel through OVMF" uefi '[ -e /sys/firmware/efi ] && [ -e /sys/firmware/acpi/tables/APIC ]' --firmware uefi --disk "$work/uefi.img"
grub "a UEFI disk by its path" uefi '[ -e /sys/firmware/efi ]' "$work/uefi.img"
grub "a BIOS disk by its path" bios '[ ! -e /sys/firmware/efi ]' "$work/bios.img"
