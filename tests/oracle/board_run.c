/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board_run ROM LOG: the smallest board that system_programs.py needs. A 64 KiB ROM below 1 MiB and
 * below 4 GiB, 4 MiB of RAM that a reset keeps, a debug console at port 0xe9, an exit port at 0xf4;
 * a triple fault resets the processor.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bus/space.h"
#include "cpu/x86/cpu.h"
#include "cpu/x86/model.h"

enum { ROM_BYTES = 65536, RAM_BYTES = 4 << 20 };

struct board {
    FILE *log;
    uint8_t cr8;
    bool finished;
};

static void no_lock(void *opaque)
{
}

static int no_interrupt(void *opaque, unsigned cpu)
{
    return -1;
}

static int no_read(void *opaque, unsigned cpu, uint32_t msr, uint64_t *ret)
{
    return -EINVAL;
}

static int no_write(void *opaque, unsigned cpu, uint32_t msr, uint64_t value)
{
    return -EINVAL;
}

static uint8_t get_cr8(void *opaque, unsigned cpu)
{
    const struct board *b = opaque;
    return b->cr8;
}

static void set_cr8(void *opaque, unsigned cpu, uint8_t value)
{
    struct board *b = opaque;
    b->cr8 = value;
}

static void ferr(void *opaque, int level)
{
}

static uint64_t tsc(void *opaque)
{
    return 0;
}

static void random_bytes(void *opaque, void *bytes, size_t n)
{
    memset(bytes, 0, n);
}

static uint32_t port_read(void *dev, uint16_t offset, unsigned size)
{
    return UINT32_MAX;
}

static void log_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct board *b = dev;
    putc((int)(value & 0xff), b->log);
    if (value == 'P') /* so that the log tells which program hangs */
        fflush(b->log);
}

static void exit_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct board *b = dev;
    b->finished = true;
}

int main(int argc, char **argv)
{
    static struct board b;
    static const struct x86_host host = {.opaque = &b,
                                         .lock = no_lock,
                                         .unlock = no_lock,
                                         .intr_ack = no_interrupt,
                                         .apic_rdmsr = no_read,
                                         .apic_wrmsr = no_write,
                                         .get_cr8 = get_cr8,
                                         .set_cr8 = set_cr8,
                                         .pv_rdmsr = no_read,
                                         .pv_wrmsr = no_write,
                                         .ferr = ferr,
                                         .tsc = tsc,
                                         .random = random_bytes};
    static const struct port_ops log_ops = {port_read, log_write},
                                 exit_ops = {port_read, exit_write};
    static uint8_t rom[ROM_BYTES];
    struct error err = {0};
    FILE *f = argc == 3 ? fopen(argv[1], "rb") : NULL;
    b.log = f ? fopen(argv[2], "wb") : NULL;
    if (!b.log || fread(rom, 1, ROM_BYTES, f) != ROM_BYTES) {
        fprintf(stderr, "usage: board_run ROM LOG\n");
        return 2;
    }
    fclose(f);
    struct gmem *ram = gmem_new(RAM_BYTES, &err);
    struct space *space = ram ? space_new(ram, &err) : NULL;
    struct ports *ports = space ? ports_new(&err) : NULL;
    struct x86_vm *vm = NULL;
    if (ports && space_map_ram(space, "low", 0, 0xa0000, 0, 0, &err) &&
        space_map_ram(space, "high", 0x100000, RAM_BYTES - 0x100000, 0x100, 0, &err) &&
        space_map_rom(space, "rom", 0xf0000, ROM_BYTES, rom, 0, &err) &&
        space_map_rom(space, "boot", 0xffff0000, ROM_BYTES, rom, 0, &err) &&
        ports_map(ports, "log", 0xe9, 1, &log_ops, &b, &err) &&
        ports_map(ports, "exit", 0xf4, 4, &exit_ops, &b, &err))
        vm = x86_vm_new(space, ports, &host, x86_model_find(NULL), 1, 1000000, &err);
    if (!vm) {
        fprintf(stderr, "board_run: %s\n", error_text(&err));
        return 2;
    }
    /* Bounded: a program that hangs ends the run, and what was logged shows where. */
    for (unsigned slices = 0; !b.finished && slices < 500; slices++) {
        enum x86_exit why = x86_interp_run(vm->cpus[0], 10000);
        if (why == X86_EXIT_SHUTDOWN) {
            x86_reset(vm->cpus[0]);
            b.cr8 = 0;
            slices = 0;
        } else if (why == X86_EXIT_HALT) {
            break;
        }
    }
    fclose(b.log);
    x86_vm_free(vm);
    ports_free(ports);
    space_free(space);
    gmem_free(ram);
    return b.finished ? 0 : 1;
}
