/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two address spaces of a board: guest-physical memory and I/O ports.
 *
 * The memory space maps ranges of guest-physical addresses to RAM pages (gmem), to read-only
 * memory, or to a device's registers (MMIO). Whatever is unmapped reads as all ones and ignores
 * writes. Ranges never overlap inside one layer; a range with higher priority hides those below it.
 *
 * All calls are made with the machine lock held, except space_resolve, space_read/write of RAM and
 * ROM, which a processor may use without it as long as the map does not change (it changes only
 * while the processors are stopped).
 */
#ifndef BUS_SPACE_H
#define BUS_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "bus/gmem.h"

/*
 * Registers of a device. @size is 1, 2, 4 or 8 bytes and @offset counts from the start of the
 * range; the space splits or widens nothing: a device answers each size as its specification says
 * (all ones / ignored where it does not). Accesses never cross the end of a range.
 */
struct mmio_ops {
    uint64_t (*read)(void *dev, uint64_t offset, unsigned size);
    void (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
};

/* SPACE_ROM_PAGES: pages of gmem that are read and executed as RAM is, but not written. */
enum space_kind { SPACE_NONE, SPACE_RAM, SPACE_ROM, SPACE_MMIO, SPACE_ROM_PAGES };

struct space;
struct space_range; /* a mapped range, for moving (PCI BARs) and removal */

struct space *space_new(struct gmem *ram, struct error *err); /* borrows @ram */
void space_free(struct space *s);
struct gmem *space_ram(const struct space *s);

/* Whom to tell of accesses to registers; NULL: nobody. */
struct trace;
void space_set_trace(struct space *s, struct trace *trace);
/* Called whenever the map changed, so that cached translations are dropped. */
void space_on_change(struct space *s, void (*fn)(void *opaque), void *opaque);

/*
 * Map @len bytes at @gpa (both multiples of 4 KiB for RAM and ROM). @priority: 0 for normal ranges.
 * The name is borrowed. Return the range, NULL with @err set (overlap, no memory).
 */
struct space_range *space_map_ram(struct space *s, const char *name, uint64_t gpa, uint64_t len,
                                  uint64_t first_gfn, int priority, struct error *err);
struct space_range *space_map_rom(struct space *s, const char *name, uint64_t gpa, uint64_t len,
                                  const uint8_t *bytes, int priority, struct error *err);
struct space_range *space_map_mmio(struct space *s, const char *name, uint64_t gpa, uint64_t len,
                                   const struct mmio_ops *ops, void *dev, int priority,
                                   struct error *err);
/*
 * Pages of gmem that are read and executed at the speed of RAM while writes go to ops->write of
 * @dev (flash chips; @ops NULL: they are ignored, as in write-protected shadow RAM). Who changes
 * the content does so by gmem_write.
 */
struct space_range *space_map_rom_pages(struct space *s, const char *name, uint64_t gpa,
                                        uint64_t len, uint64_t first_gfn,
                                        const struct mmio_ops *ops, void *dev, int priority,
                                        struct error *err);
void space_unmap(struct space *s, struct space_range *r); /* NULL is fine */

/* What stands at @gpa. */
struct space_hit {
    enum space_kind kind;
    uint64_t gfn;               /* SPACE_RAM, SPACE_ROM_PAGES: page of gmem that holds gpa */
    const uint8_t *rom;         /* SPACE_ROM: host address of the byte at gpa */
    const struct mmio_ops *ops; /* SPACE_MMIO; SPACE_ROM_PAGES: for writes, or NULL */
    void *dev;
    uint64_t offset; /* of gpa in its range */
    uint64_t left;   /* bytes from gpa to the end of what is alike */
};
/* Calls @each for what is seen of each range, in order of addresses. */
void space_each(const struct space *s,
                void (*each)(void *opaque, const char *name, enum space_kind kind, uint64_t gpa,
                             uint64_t len),
                void *opaque);
void space_resolve(const struct space *s, uint64_t gpa, struct space_hit *ret);

/*
 * One access of 1, 2, 4 or 8 bytes as a processor makes it: RAM, ROM or MMIO, crossing allowed.
 * Takes no lock: for MMIO the caller holds the machine lock (x86 code goes through x86_host).
 */
uint64_t space_load(struct space *s, uint64_t gpa, unsigned size);
void space_store(struct space *s, uint64_t gpa, unsigned size, uint64_t value);

/*
 * Bulk access as a bus-mastering device makes it: RAM and ROM only. -EFAULT when any byte is
 * elsewhere (nothing is written then). These are the accessors through which devices touch guest
 * memory.
 */
int space_read(const struct space *s, uint64_t gpa, void *to, size_t len);
int space_write(struct space *s, uint64_t gpa, const void *from, size_t len);

/*
 * The guest has no use for what whole pages of RAM in [gpa, gpa + len) hold (gmem_discard). -EFAULT
 * when any byte is not RAM (nothing is done then).
 */
int space_discard(struct space *s, uint64_t gpa, uint64_t len);

/*
 * Host spans of guest RAM for I/O without a copy: fills at most @max spans that together cover
 * [gpa, gpa + len). @write makes the pages writable and dirty and reports code writes now; the
 * spans stay valid while the machine lock is held or a space_pin is in force. Returns the number of
 * spans, -EFAULT (not all RAM) or -E2BIG.
 */
struct space_span {
    uint8_t *data;
    size_t len;
};
int space_spans(struct space *s, uint64_t gpa, size_t len, bool write, struct space_span *spans,
                int max);

/* I/O ports. An access that no device claims reads as all ones. */
struct port_ops {
    uint32_t (*read)(void *dev, uint16_t offset, unsigned size); /* size 1, 2 or 4 */
    void (*write)(void *dev, uint16_t offset, unsigned size, uint32_t value);
    bool bytes; /* an 8-bit device: wider accesses reach it as bytes, lowest port first */
};
struct ports;
struct port_range;

struct ports *ports_new(struct error *err);
void ports_free(struct ports *p);
/*
 * Gives ports [base, base + count) to a device. Later ranges win over earlier ones (a PCI BAR moved
 * over legacy ports behaves like that). An access that starts inside a range and is wider than what
 * is left of it is split into bytes. Returns the range, NULL with @err set.
 */
struct port_range *ports_map(struct ports *p, const char *name, uint16_t base, unsigned count,
                             const struct port_ops *ops, void *dev, struct error *err);
/* Whom to tell of accesses; NULL: nobody. */
void ports_set_trace(struct ports *p, struct trace *trace);
void ports_unmap(struct ports *p, struct port_range *r); /* NULL is fine */
uint32_t ports_read(struct ports *p, uint16_t port, unsigned size);
void ports_write(struct ports *p, uint16_t port, unsigned size, uint32_t value);

#endif
