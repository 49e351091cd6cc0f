; SPDX-License-Identifier: Apache-2.0
; A 64 KiB ROM in place of a BIOS that does nothing but start the boot sector -DSECTOR=file.
bits 16
org 0
sector: incbin SECTOR
entry:
    cld
    mov ax, cs
    mov ds, ax
    xor ax, ax
    mov es, ax
    mov si, sector
    mov di, 0x7c00
    mov cx, 256
    rep movsw
    jmp 0:0x7c00
    times 0xfff0 - ($ - $$) db 0
    jmp 0xf000:entry
    times 0x10000 - ($ - $$) db 0
