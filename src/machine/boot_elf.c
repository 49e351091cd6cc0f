/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files as kernels use them (System V ABI, chapter 4 and 5; AMD64 supplement). */
#include <errno.h>

#include "base/mem.h"
#include "machine/boot.h"

enum { PT_LOAD = 1, PT_NOTE = 4, EM_386 = 3, EM_X86_64 = 62, ET_EXEC = 2, ET_DYN = 3 };
enum { ELF_PH_MAX = 128 };

bool boot_is_elf(const uint8_t *kernel, size_t len)
{
    return len >= 52 && memcmp(kernel, "\177ELF", 4) == 0;
}

int boot_elf_open(struct boot_elf *elf, const uint8_t *data, size_t len, struct error *err)
{
    unsigned machine, type;

    if (!boot_is_elf(data, len) || data[5] != 1 || (data[4] != 1 && data[4] != 2))
        return error_set(err, -ENOEXEC, "not a little-endian ELF file");
    *elf = (struct boot_elf){.data = data, .len = len, .is64 = data[4] == 2};
    type = load_le16(data + 16);
    machine = load_le16(data + 18);
    if (machine != (elf->is64 ? EM_X86_64 : EM_386) || (type != ET_EXEC && type != ET_DYN))
        return error_set(err, -ENOEXEC,
                         "the ELF file is not an x86 executable (machine %u, type %u)", machine,
                         type);
    if (elf->is64) {
        if (len < 64)
            return error_set(err, -ENOEXEC, "the ELF header is cut off");
        elf->entry = load_le64(data + 24);
        elf->ph_offset = load_le64(data + 32);
        elf->ph_size = load_le16(data + 54);
        elf->count = load_le16(data + 56);
    } else {
        elf->entry = load_le32(data + 24);
        elf->ph_offset = load_le32(data + 28);
        elf->ph_size = load_le16(data + 42);
        elf->count = load_le16(data + 44);
    }
    if (!elf->count || elf->count > ELF_PH_MAX || elf->ph_size < (elf->is64 ? 56u : 32u) ||
        elf->ph_offset > len || (uint64_t)elf->count * elf->ph_size > len - elf->ph_offset)
        return error_set(err, -ENOEXEC, "the ELF program headers are missing or outside the file");
    return 0;
}

static const uint8_t *program_header(const struct boot_elf *elf, unsigned n)
{
    return elf->data + elf->ph_offset + (size_t)n * elf->ph_size;
}

static void read_segment(const struct boot_elf *elf, unsigned n, struct boot_segment *ret)
{
    const uint8_t *ph = program_header(elf, n);

    if (elf->is64)
        *ret = (struct boot_segment){.file_offset = load_le64(ph + 8),
                                     .vaddr = load_le64(ph + 16),
                                     .paddr = load_le64(ph + 24),
                                     .file_size = load_le64(ph + 32),
                                     .mem_size = load_le64(ph + 40)};
    else
        *ret = (struct boot_segment){.file_offset = load_le32(ph + 4),
                                     .vaddr = load_le32(ph + 8),
                                     .paddr = load_le32(ph + 12),
                                     .file_size = load_le32(ph + 16),
                                     .mem_size = load_le32(ph + 20)};
}

static bool in_file(const struct boot_elf *elf, const struct boot_segment *s)
{
    return s->file_offset <= elf->len && s->file_size <= elf->len - s->file_offset;
}

int boot_elf_segment(const struct boot_elf *elf, unsigned n, struct boot_segment *ret,
                     struct error *err)
{
    struct boot_segment s;

    if (load_le32(program_header(elf, n)) != PT_LOAD)
        return 0;
    read_segment(elf, n, &s);
    if (!s.mem_size)
        return 0;
    if (!in_file(elf, &s) || s.file_size > s.mem_size || s.paddr + s.mem_size < s.paddr)
        return error_set(err, -ENOEXEC, "ELF segment %u lies outside the file or wraps around", n);
    *ret = s;
    return 1;
}

int boot_elf_load(const struct boot_elf *elf, const struct boot_params *p, uint64_t delta,
                  uint64_t *ret_end, struct error *err)
{
    uint64_t end = 0;

    for (unsigned n = 0; n < elf->count; n++) {
        struct boot_segment s;
        int r = boot_elf_segment(elf, n, &s, err);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        if (s.paddr + delta + s.mem_size > p->low_memory)
            return boot_too_small(p, "the kernel", s.paddr + delta + s.mem_size, err);
        r = boot_copy(p, s.paddr + delta, elf->data + s.file_offset, s.file_size, "an ELF segment",
                      err);
        if (r < 0)
            return r;
        /* Guest memory is fresh, so what lies beyond the file part (.bss) is zero already. */
        end = max_of(end, s.paddr + delta + s.mem_size);
    }
    if (!end)
        return error_set(err, -ENOEXEC, "the ELF file has nothing to load");
    *ret_end = end;
    return 0;
}

int boot_elf_note(const struct boot_elf *elf, const char *name, uint32_t type, uint64_t *ret_value)
{
    size_t name_len = strlen(name) + 1;

    for (unsigned n = 0; n < elf->count; n++) {
        struct boot_segment s;
        uint64_t at, end;
        if (load_le32(program_header(elf, n)) != PT_NOTE)
            continue;
        read_segment(elf, n, &s);
        if (!in_file(elf, &s))
            continue;
        end = s.file_offset + s.file_size;
        for (at = s.file_offset; end - at >= 12;) {
            uint32_t namesz = load_le32(elf->data + at), descsz = load_le32(elf->data + at + 4);
            uint64_t desc = at + 12 + (((uint64_t)namesz + 3) & ~3ull);
            uint64_t next = desc + (((uint64_t)descsz + 3) & ~3ull);
            if (next > end)
                break;
            if (load_le32(elf->data + at + 8) == type && namesz == name_len && descsz >= 4 &&
                memcmp(elf->data + at + 12, name, name_len) == 0) {
                *ret_value =
                    descsz >= 8 ? load_le64(elf->data + desc) : load_le32(elf->data + desc);
                return 1;
            }
            at = next;
        }
    }
    return 0;
}
