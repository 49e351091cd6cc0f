; SPDX-License-Identifier: Apache-2.0
; A game in a boot sector, by BIOS services alone: text, then g: a block in mode 13h that w, a, s and d move; p: a line in the
; planar mode 12h; v: a linear mode of 1024x768; t: text again.
        org 0x7c00
        bits 16
start:  xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00
        cld
text:   mov ax, 3
        int 0x10
        mov si, title
next:   lodsb
        test al, al
        jz key
        mov ah, 0x0e
        mov bx, 7
        int 0x10
        jmp next
key:    xor ah, ah
        int 0x16
        cmp al, 't'
        je text
        cmp al, 'g'
        je game
        cmp al, 'p'
        je planar
        cmp al, 'v'
        je vesa
        cmp byte [playing], 0
        je key
        mov bx, 8
        cmp al, 'd'
        je move
        mov bx, -8
        cmp al, 'a'
        je move
        mov bx, 8 * 320
        cmp al, 's'
        je move
        mov bx, -8 * 320
        cmp al, 'w'
        jne key
move:   xor al, al
        call block
        add [place], bx
        mov al, 4
        call block
        jmp key
game:   mov ax, 0x13
        int 0x10
        mov byte [playing], 1
        mov word [place], 96 * 320 + 160
        xor bx, bx
        jmp move
block:  mov di, 0xa000
        mov es, di
        mov di, [place]
        mov dx, 8
rows:   mov cx, 8
        rep stosb
        add di, 320 - 8
        dec dx
        jnz rows
        ret
planar: mov ax, 0x12
        int 0x10
        mov byte [playing], 0
        xor bx, bx
        xor cx, cx
        mov dx, 100
dots:   mov ax, 0x0c0a          ; light green
        int 0x10
        inc cx
        cmp cx, 640
        jb dots
        jmp key
vesa:   mov ax, 0x4f02
        mov bx, 0x4118
        int 0x10
        mov byte [playing], 0
        jmp key
title:  db 'A game in a boot sector: g p v t', 13, 10, 0
playing: db 0
place:  dw 0
        times 510 - ($ - $$) db 0
        dw 0xaa55
