/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine: board, processors, memory and devices, made from a plain description. What it talks to
 * (drives, network, consoles) is opened by the caller and handed in through the seams of io/, so
 * that the same machine runs in a supervisor process, in a test and in a browser.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "base/error.h"
#include "base/str.h"
#include "io/block.h"
#include "io/chardev.h"
#include "io/netdev.h"

struct gmem_layer;
struct loop;
struct record_sink;
struct replay;

enum { MACHINE_DRIVES = 16, MACHINE_NICS = 8, MACHINE_CPUS = 8, MACHINE_SERIALS = 4 };

/* How the guest's agent finds its way to the host: /dev/virtio-ports/NAME. */
#define MACHINE_AGENT_PORT "org.isola.agent"

/* Why a machine ended. */
enum machine_end {
    MACHINE_RUNNING,
    MACHINE_END_POWEROFF,   /* ACPI S5 */
    MACHINE_END_RESET,      /* reset asked for while no_reboot is set */
    MACHINE_END_DEBUG_EXIT, /* isa-debug-exit: code in *value */
    MACHINE_END_PANIC,      /* pvpanic: the guest's kernel panicked */
    MACHINE_END_TRIPLE,     /* triple fault while no_reboot is set */
    MACHINE_END_STOPPED,    /* machine_stop */
    MACHINE_END_ERROR,      /* Isola's own failure; see the error */
};

/* Which adapter a guest finds. */
enum machine_nic_model { MACHINE_NIC_VIRTIO, MACHINE_NIC_E1000, MACHINE_NIC_RTL8139 };

/* What a drive is plugged into, and what has a medium that can be taken out. */
enum machine_bus { MACHINE_BUS_VIRTIO, MACHINE_BUS_IDE, MACHINE_BUS_AHCI, MACHINE_BUS_SCSI };
enum machine_medium { MACHINE_CDROM, MACHINE_FLOPPY };

struct machine_nic {
    struct netdev *netdev; /* borrowed */
    enum machine_nic_model model;
    uint8_t mac[6];
    const uint8_t *rom; /* borrowed: option ROM of a power of two from 4 KiB on; NULL: none */
    size_t rom_len;
};

/* What a machine boots: file contents. */
struct machine_guest {
    const uint8_t *kernel, *initrd;
    size_t kernel_len, initrd_len;
    /* The unpacked payload of a bzImage (io/kernel_file.h): the guest then skips its decompressor.
     */
    const uint8_t *vmlinux;
    size_t vmlinux_len;
};

/* Everything borrowed until machine_free unless said otherwise. */
struct machine_config {
    const char *board;          /* NULL: "pc" */
    const char *accel;          /* NULL: "auto" */
    const char *cpu;            /* processor model; NULL: the default */
    unsigned cpus;              /* 1..MACHINE_CPUS */
    uint64_t memory;            /* bytes, a multiple of 1 MiB */
    struct machine_guest guest; /* used when load is NULL */
    /*
     * Gives the guest's files for one boot (machine_new and each reset), and takes them back once
     * they are in guest memory, so that they need not be kept while it runs. 0 or a negative errno.
     */
    int (*load)(void *opaque, struct machine_guest *ret, struct error *err);
    void (*unload)(void *opaque);
    void *load_opaque;
    /*
     * Firmware (SeaBIOS, OVMF) instead of a kernel: the ROM that ends at 4 GiB. guest and load are
     * then not used. boot_menu: it offers a choice of boot devices first.
     */
    const uint8_t *firmware;
    size_t firmware_len;
    bool boot_menu;
    /*
     * Flash below the ROM that keeps firmware's variables: written in place by the guest, with the
     * machine lock held. NULL: none. Whoever maps a file here makes them last.
     */
    uint8_t *flash;
    size_t flash_len;
    const char *append; /* kernel command line, NULL: "" */
    struct block *drives[MACHINE_DRIVES];
    enum machine_bus drive_bus[MACHINE_DRIVES];
    unsigned drive_count;
    /*
     * The guest has let go of a drive that machine_unplug_drive asked for, or by itself: the
     * machine uses it no more. With the machine lock held. May be NULL.
     */
    void (*unplugged)(void *opaque, struct block *drive);
    void (*nic_unplugged)(void *opaque, struct netdev *netdev); /* the same */
    void *unplug_opaque;
    bool cdrom; /* there is a CD drive */
    enum machine_bus cdrom_bus;
    struct block *disc; /* in it; NULL: none */
    bool floppy;        /* there is a floppy disk drive */
    struct block *diskette;
    struct machine_nic nics[MACHINE_NICS];
    unsigned nic_count;
    struct chardev *serials[MACHINE_SERIALS]; /* COM1..COM4; NULL: absent */
    struct chardev *console;                  /* virtio-console; NULL: absent */
    struct chardev *agent;                    /* its port MACHINE_AGENT_PORT; NULL: absent */
    struct chardev *debug_console;            /* port 0x402; NULL: absent */
    /* A standard VGA, PS/2 keyboard and mouse, and a virtio tablet; the VGA at 00:02.0
     * (device/vga.h). A kernel that is loaded directly finds it in a linear mode. The ROM (a power
     * of two from 4 KiB on) may be absent. */
    bool vga;
    bool vga_text; /* such a kernel finds a text mode instead */
    const uint8_t *vga_rom;
    size_t vga_rom_len;
    bool debug_exit; /* port 0xf4 */
    bool no_reboot;
    uint8_t uuid[16];
    /*
     * What no other machine has (device/vmgenid.h); the guest of a saved state is told that it is a
     * new one. All zero: it stays what it was.
     */
    uint8_t generation[16];
    int64_t rtc_offset; /* seconds added to the host's UTC */
    int64_t rtc_base;   /* seconds of UTC at power-on; 0: the host's clock and rtc_offset */
    /* Monotonic nanoseconds for the guest clock; NULL: the host's. */
    uint64_t (*time_source)(void *opaque);
    void *time_opaque;
    /* Fills @bytes with random bytes. NULL: a generator seeded by random_seed, the same each time.
     */
    void (*random)(void *opaque, void *bytes, size_t n);
    void *random_opaque;
    uint64_t random_seed;
    bool no_kaslr; /* leave the kernel where it was linked */
    /*
     * Go on from a saved state (machine/snapshot.h) instead of booting: what machine_save_state
     * wrote, and the memory of that instant (gets a reference). NULL: boot.
     */
    const uint8_t *saved;
    size_t saved_len;
    struct gmem_layer *saved_memory;
    /* Where its life is recorded (machine/record.h); NULL: nowhere. Not with saved. */
    const struct record_sink *record;
    /* Set by replay_new alone. */
    struct replay *replay;
};

struct machine;
struct display;
struct input_pointer;

/* Builds the machine in reset state and loads the guest. NULL with @err set. */
struct machine *machine_new(const struct machine_config *config, struct error *err);
/* Ends the threads and frees all. Not from a callback of the loop, which holds the machine lock.
 * NULL is fine. */
void machine_free(struct machine *m);

/*
 * Hosted running (machine_linux.c): processors on threads of their own, timers on @loop (which gets
 * the machine lock). @ended is called once on the loop's thread when the machine has ended.
 */
int machine_start(struct machine *m, struct loop *loop,
                  void (*ended)(void *opaque, enum machine_end end, int value), void *opaque,
                  struct error *err);
/*
 * Stops the processors at an instruction boundary and guest time with them; and goes on. The
 * real-time clock follows the host's meanwhile.
 */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
/* What its real-time clock would show, but for what the guest has set: ns since 1970. */
int64_t machine_wall_ns(const struct machine *m);
/*
 * Asks the guest to live in @bytes of its memory and gives the rest to the host (balloon); it may
 * take its time or keep more. -ERANGE when it has less than that,
 * -ENOTSUP when its kernel has no driver for that.
 */
int machine_set_memory(struct machine *m, uint64_t bytes, struct error *err);
/* Presses the power button (ACPI event). */
void machine_power_button(struct machine *m);
/* Ends the machine at once (MACHINE_END_STOPPED); ended is still called. */
void machine_stop(struct machine *m);
/*
 * Puts @block (NULL: nothing) into a drive, as a user does who opens it by force. *ret_old: what
 * was in there, free of requests, for the caller to close. With the machine lock held. -ENODEV:
 * there is no such drive.
 */
int machine_set_medium(struct machine *m, enum machine_medium which, struct block *block,
                       struct block **ret_old, struct error *err);
/*
 * Plugs in a virtio drive (borrowed until it is unplugged, or machine_free), and asks the guest to
 * let go of one (its answer is config.unplugged, if it ever comes). With the machine lock held. 0
 * or a negative errno.
 */
int machine_plug_drive(struct machine *m, struct block *drive, struct error *err);
int machine_unplug_drive(struct machine *m, const struct block *drive, struct error *err);
/* The same for network adapters; only virtio ones come and go. */
int machine_plug_nic(struct machine *m, const struct machine_nic *nic, struct error *err);
int machine_unplug_nic(struct machine *m, const struct netdev *netdev, struct error *err);
/* Takes the machine lock, as callbacks of the loop have it already. */
void machine_lock(struct machine *m);
void machine_unlock(struct machine *m);

/*
 * Stepped running (tests, WebAssembly): runs all processors in turn for about @budget instructions,
 * then timers that are due. Returns MACHINE_RUNNING or how it ended. *ret_idle_ns: how long the
 * caller may sleep because all processors wait (0: call again at once; UINT64_MAX: until input).
 */
enum machine_end machine_step(struct machine *m, uint64_t budget, uint64_t *ret_idle_ns);

/* The picture of its display, NULL without one; used with the machine lock held. */
struct display *machine_display(struct machine *m);
/*
 * Its keyboard and pointers, with the machine lock held. A key (io/input.h) is refused with false
 * when the guest does not take any now, or there is no keyboard. A pointer's place counts (x, y);
 * a guest without a driver for the tablet gets the way there on a screen of @width x @height.
 */
bool machine_key(struct machine *m, unsigned key, bool down);
void machine_pointer(struct machine *m, const struct input_pointer *p, unsigned width,
                     unsigned height);

/* The PC's speaker, which makes no sound here. */
struct machine_speaker {
    unsigned tone_hz; /* that the guest has it sound; 0: silent */
    uint32_t sounds;  /* that it began since the machine was made; wraps around */
};
/* With the machine lock held. */
void machine_speaker(struct machine *m, struct machine_speaker *ret);

/* The code of MACHINE_END_DEBUG_EXIT and the text of MACHINE_END_ERROR. */
int machine_end_value(const struct machine *m);
const char *machine_end_text(const struct machine *m);

/* Counters, processors and devices as one JSON object (inspect --live, stats). */
void machine_inspect(struct machine *m, struct str *out);

/*
 * Appends what a person wants to know, as text: "" all there is, "walk ADDRESS" the page tables,
 * "counters" and "counters json" what has been counted, "kaslr" by how much a Linux kernel has
 * moved (0x...). The machine must stand still. -EINVAL for what is none of these, -ENOENT without
 * a kernel.
 */
int machine_show(struct machine *m, const char *what, struct str *out, struct error *err);

struct machine_stats {
    uint64_t cpu_ns; /* CPU time of the processors' threads */
    uint64_t instructions;
    uint64_t memory_used; /* bytes of guest memory that are present */
    uint64_t memory_size;
    uint64_t block_read, block_written, net_rx, net_tx; /* bytes */
};
void machine_stats(struct machine *m, struct machine_stats *ret);

#endif
