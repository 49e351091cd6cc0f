/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isola-step: the portable core alone, stepped by one thread, with the first serial port on
 * standard output. It is what the WebAssembly build runs under Node.js, and a way to profile the
 * engine without threads.
 *
 *   isola-step KERNEL [-i INITRD] [-u VMLINUX] [-a APPEND] [-m MIB] [-c CPUS] [-l LINES]
 *              [-s SECONDS] [-M MODEL] [-A ACCELERATOR] [-n INSTRUCTIONS]
 *   isola-step - -b FIRMWARE ...
 *
 * -b boots firmware instead of a kernel; -u gives the unpacked payload of a bzImage; -l stops after
 * so many lines; -n after so many million instructions; -s after so many seconds. Exit status: 0
 * power off or limit reached, 1 failure, 3 panic or triple fault, otherwise the debug-exit value.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "cpu/x86/cpu.h"
#include "machine/machine.h"
#include "machine/machine_internal.h"

struct console {
    struct chardev ch;
    unsigned lines, limit;
};

static void console_attach(struct chardev *ch, const struct chardev_client *client)
{
    (void)ch;
    (void)client; /* output only */
}

static size_t console_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct console *con = container_of(ch, struct console, ch);

    for (size_t i = 0; i < n; i++) {
        if (con->limit && con->lines >= con->limit)
            return n;
        putchar(bytes[i]);
        con->lines += bytes[i] == '\n';
    }
    fflush(stdout);
    return n;
}

static void console_nothing(struct chardev *ch)
{
    (void)ch;
}

static const struct chardev_ops console_ops = {.attach = console_attach,
                                               .write = console_write,
                                               .ready = console_nothing,
                                               .close = console_nothing};

static int read_file(const char *path, uint8_t **ret, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    size_t len = 0, cap = 1 << 20;
    uint8_t *data = f ? malloc(cap) : NULL;

    while (data) {
        size_t n = fread(data + len, 1, cap - len, f);
        len += n;
        if (n == 0)
            break;
        if (len == cap) {
            uint8_t *more = realloc(data, cap *= 2);
            if (!more)
                free(data);
            data = more;
        }
    }
    if (f)
        fclose(f);
    if (!data) {
        fprintf(stderr, "isola-step: cannot read %s\n", path);
        return -EIO;
    }
    *ret = data;
    *ret_len = len;
    return 0;
}

static double now_seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

struct limits {
    double seconds;
    uint64_t instructions;
};

static uint64_t instructions(const struct machine *m)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        n += m->vm->cpus[i]->insn_count;
    return n;
}

static int run(struct machine *m, struct console *con, const struct limits *limits)
{
    double start = now_seconds(), seconds;
    enum machine_end end = MACHINE_RUNNING;

    while (end == MACHINE_RUNNING && !(con->limit && con->lines >= con->limit) &&
           !(limits->instructions && instructions(m) >= limits->instructions) &&
           !(limits->seconds > 0 && now_seconds() - start > limits->seconds)) {
        uint64_t idle;
        end = machine_step(m, 100000, &idle);
        if (idle) {
            struct timespec ts = {.tv_nsec = (long)min_of(idle, (uint64_t)1000000)};
            nanosleep(&ts, NULL);
        }
    }
    seconds = now_seconds() - start;
    fprintf(stderr, "\nisola-step: %s%.2f s, %llu instructions, %.1f MIPS\n",
            end == MACHINE_RUNNING ? "" : machine_end_text(m), seconds,
            (unsigned long long)instructions(m), (double)instructions(m) / seconds / 1e6);
    switch (end) {
    case MACHINE_RUNNING:
    case MACHINE_END_POWEROFF:
    case MACHINE_END_RESET:
    case MACHINE_END_STOPPED:
        return 0;
    case MACHINE_END_DEBUG_EXIT:
        return machine_end_value(m) & 0xff;
    case MACHINE_END_PANIC:
    case MACHINE_END_TRIPLE:
        return 3;
    case MACHINE_END_ERROR:
        break;
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct console con = {.ch.ops = &console_ops};
    struct machine_config c = {.cpus = 1,
                               .memory = 256 << 20,
                               .serials[0] = &con.ch,
                               .no_reboot = true,
                               .debug_exit = true,
                               .random_seed = 1,
                               .append = "console=ttyS0"};
    struct limits limits = {0};
    struct error err = {0};
    struct machine *m;
    int status;

    if (argc < 2 || (strcmp(argv[1], "-") != 0 &&
                     read_file(argv[1], (uint8_t **)&c.guest.kernel, &c.guest.kernel_len) < 0))
        return 1;
    for (int i = 2; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        const char *value = argv[i + 1];
        int r = 0;
        switch (argv[i][1]) {
        case 'i':
            r = read_file(value, (uint8_t **)&c.guest.initrd, &c.guest.initrd_len);
            break;
        case 'b':
            r = read_file(value, (uint8_t **)&c.firmware, &c.firmware_len);
            break;
        case 'u':
            r = read_file(value, (uint8_t **)&c.guest.vmlinux, &c.guest.vmlinux_len);
            break;
        case 'a':
            c.append = value;
            break;
        case 'm':
            c.memory = (uint64_t)strtoul(value, NULL, 10) << 20;
            break;
        case 'c':
            c.cpus = (unsigned)strtoul(value, NULL, 10);
            break;
        case 'l':
            con.limit = (unsigned)strtoul(value, NULL, 10);
            break;
        case 'n':
            limits.instructions = strtoull(value, NULL, 10) * 1000000;
            break;
        case 's':
            limits.seconds = strtod(value, NULL);
            break;
        case 'A':
            c.accel = value;
            break;
        case 'M':
            c.cpu = value;
            break;
        default:
            fprintf(stderr, "isola-step: unknown option %s\n", argv[i]);
            return 1;
        }
        if (r < 0)
            return 1;
    }
    m = machine_new(&c, &err);
    if (!m) {
        fprintf(stderr, "isola-step: %s\n", error_text(&err));
        return 1;
    }
    status = run(m, &con, &limits);
    machine_free(m);
    return status;
}
