/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_rom.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"

enum { ROM_MIN = 4096, ROM_MAX = 1 << 18 };
/* The header of an option ROM, and the PCI data structure that it points to. */
enum { ROM_CHECKSUM = 6, ROM_PCIR = 0x18, PCIR_VENDOR = 4, PCIR_DEVICE = 6, PCIR_SIZE = 0x18 };

int vm_rom_read(const char *path, uint8_t **ret, size_t *ret_len, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t len = ROM_MIN, at = 0;
    struct stat st;
    uint8_t *rom;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "read the option ROM %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > ROM_MAX)
        return error_set(err, -EINVAL, "the option ROM %s is no file of up to %d bytes", path,
                         ROM_MAX);
    while (len < (size_t)st.st_size)
        len *= 2;
    rom = mem_alloc(len, 1);
    if (!rom)
        return error_set(err, -ENOMEM, "out of memory");
    while (at < (size_t)st.st_size) {
        ssize_t n = read(fd, rom + at, (size_t)st.st_size - at);
        if (n <= 0) {
            free(rom);
            return error_set(err, -EIO, "read the option ROM %s", path);
        }
        at += (size_t)n;
    }
    *ret = rom;
    *ret_len = len;
    return 0;
}

int vm_rom_set_ids(uint8_t *rom, size_t len, uint16_t vendor, uint16_t device, struct error *err)
{
    uint8_t before = 0, after = 0, *pcir;
    size_t at;

    if (len < ROM_MIN || rom[0] != 0x55 || rom[1] != 0xaa)
        return error_set(err, -EINVAL, "an option ROM does not begin with 55 AA");
    at = load_le16(rom + ROM_PCIR);
    if (at < ROM_PCIR + 2 || at > len - PCIR_SIZE || memcmp(rom + at, "PCIR", 4) != 0)
        return error_set(err, -EINVAL, "an option ROM is not for PCI");
    pcir = rom + at;
    for (unsigned i = PCIR_VENDOR; i < PCIR_DEVICE + 2; i++)
        before = (uint8_t)(before + pcir[i]);
    store_le16(pcir + PCIR_VENDOR, vendor);
    store_le16(pcir + PCIR_DEVICE, device);
    for (unsigned i = PCIR_VENDOR; i < PCIR_DEVICE + 2; i++)
        after = (uint8_t)(after + pcir[i]);
    rom[ROM_CHECKSUM] = (uint8_t)(rom[ROM_CHECKSUM] + before - after); /* all bytes add up to 0 */
    return 0;
}
