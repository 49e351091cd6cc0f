/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host processor as an oracle.
 *
 * The tested code runs inside this process: orc_host_enter loads all registers and jumps to it, it
 * comes back through the stub page, or through a signal when it raised an exception. The handler
 * reads the interrupted state from its ucontext and leaves without sigreturn (nothing is blocked:
 * SA_NODEFER). While tested code runs, FS base belongs to the test, so the handler touches no
 * thread-local data before it has put the base back; this file is built without stack protector.
 */
#include "orc_host.h"

#include <errno.h>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <unistd.h>

extern struct orc_state orc_host_out;
extern uint64_t orc_host_fs;
extern uint64_t orc_host_avx;
void orc_host_enter(const struct orc_state *in);
void orc_host_leave(void);
void orc_host_resume(void) __attribute__((noreturn));

static uint8_t *code_view, *data_view;
static volatile sig_atomic_t running;
static volatile uint64_t run_count, count_at_alarm;
static _Alignas(64) uint8_t signal_stack[64 * 1024];

const struct orc_ldt orc_ldt[ORC_LDT_N] = {
    [ORC_LDT_CODE16] = {ORC_CODE16, 0xffff, 10, 0, 0, 0},
    [ORC_LDT_DATA16] = {ORC_DATA16, 0xffff, 2, 0, 0, 0},
    [ORC_LDT_CODE32] = {0x1000, 0xfffff, 10, 1, 1, 0},
    [ORC_LDT_DATA32] = {0x12340, 0xfffff, 2, 1, 1, 0},
    [ORC_LDT_DOWN32] = {0, (ORC_DATA + ORC_PAGE) >> 12, 6, 1, 1, 0},
    [ORC_LDT_RO] = {0, 0xfffff, 0, 1, 1, 0},
    [ORC_LDT_ABSENT] = {0, 0xfffff, 2, 1, 1, 1},
    [ORC_LDT_XONLY] = {0, 0xfffff, 8, 1, 1, 0},
    [ORC_LDT_CONFORM] = {0, 0xfffff, 14, 1, 1, 1},
    [ORC_LDT_DOWN16] = {ORC_DATA16, 0x8fff, 6, 0, 0, 0},
    [ORC_LDT_SMALL] = {ORC_DATA, 0x17ff, 2, 1, 0, 0},
};

/* Copies the interrupted state out and goes back into orc_host_run. */
static void on_signal(int sig, siginfo_t *info __attribute__((unused)), void *context)
{
    struct orc_state *out = &orc_host_out;
    const ucontext_t *uc = context;
    const greg_t *g = uc->uc_mcontext.gregs;
    static const uint8_t order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                      REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                      REG_R12, REG_R13, REG_R14, REG_R15};
    uint64_t fs_base, gs_base;
    __asm__ volatile("rdfsbase %0\n\trdgsbase %1\n\twrfsbase %2"
                     : "=&r"(fs_base), "=&r"(gs_base)
                     : "r"(orc_host_fs));
    if (!running) {
        if (sig == SIGALRM) {
            __asm__ volatile("wrfsbase %0" : : "r"(fs_base));
            return;
        }
        /* A bug of the harness itself: die with the signal's default action. */
        fprintf(stderr, "signal %d at %llx for %llx, after %llu cases\n", sig,
                (unsigned long long)g[REG_RIP], (unsigned long long)g[REG_CR2],
                (unsigned long long)run_count);
        signal(sig, SIG_DFL);
        return;
    }
    if (sig == SIGALRM && (run_count != count_at_alarm || (uint64_t)g[REG_RIP] >> 32)) {
        /* Hung only when the case of the previous alarm is still inside the tested code. */
        count_at_alarm = run_count;
        __asm__ volatile("wrfsbase %0" : : "r"(fs_base));
        return;
    }
    out->fs_base = fs_base;
    out->gs_base = gs_base;
    __asm__ volatile("mov %%es, %0" : "=m"(out->sel[ORC_ES]));
    __asm__ volatile("mov %%ds, %0" : "=m"(out->sel[ORC_DS_]));
    for (int i = 0; i < 16; i++)
        out->gpr[i] = (uint64_t)g[order[i]];
    out->rip = (uint64_t)g[REG_RIP];
    out->rflags = (uint64_t)g[REG_EFL];
    uint64_t sel = (uint64_t)g[REG_CSGSFS];
    out->sel[ORC_CS] = (uint16_t)sel;
    /* The kernel gives 0 for these two, but leaves the registers as they were. */
    __asm__ volatile("mov %%fs, %0" : "=m"(out->sel[ORC_FS]));
    __asm__ volatile("mov %%gs, %0" : "=m"(out->sel[ORC_GS]));
    out->sel[ORC_SS] = (uint16_t)(sel >> 48);
    out->vector = sig == SIGALRM ? ORC_HANG : sig == SIGSYS ? ORC_SYSCALL : (int)g[REG_TRAPNO];
    out->err = sig == SIGALRM || sig == SIGSYS ? 0 : (uint32_t)g[REG_ERR];
    out->cr2 = out->vector == 14 ? (uint64_t)g[REG_CR2] : 0;
    memcpy(out->fx, uc->uc_mcontext.fpregs, sizeof(out->fx));
    /* The frame is an XSAVE area of the standard format (arch/x86/kernel/fpu/signal.c). */
    const uint8_t *area = (const uint8_t *)uc->uc_mcontext.fpregs;
    if (area[512] & 4)
        memcpy(out->ymmh, area + 576, sizeof(out->ymmh));
    else
        memset(out->ymmh, 0, sizeof(out->ymmh));
    orc_host_resume();
}

static const char *map_pages(void)
{
    int code = memfd_create("oracle code", MFD_CLOEXEC);
    int data = memfd_create("oracle data", MFD_CLOEXEC);
    if (code < 0 || data < 0 || ftruncate(code, ORC_CODE_BYTES) || ftruncate(data, ORC_DATA_BYTES))
        return "no memfd";
    int fixed = MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE;
    code_view =
        mmap(NULL, ORC_CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, code, 0);
    data_view =
        mmap(NULL, ORC_DATA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, data, 0);
    void *low_code =
        mmap((void *)(uintptr_t)ORC_CODE, ORC_CODE_BYTES, PROT_READ | PROT_EXEC, fixed, code, 0);
    void *low_data =
        mmap((void *)(uintptr_t)ORC_DATA, ORC_DATA_BYTES, PROT_READ | PROT_WRITE, fixed, data, 0);
    uint8_t *stub = mmap((void *)(uintptr_t)ORC_STUB, ORC_PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
    close(code);
    close(data);
    if (code_view == MAP_FAILED || data_view == MAP_FAILED || low_code == MAP_FAILED ||
        low_data == MAP_FAILED || stub == MAP_FAILED)
        return "the low addresses of the tested code are taken";
    memset(code_view, 0xcc, ORC_CODE_BYTES);
    memset(data_view, 0, ORC_DATA_BYTES);
    /* 64-bit: jmp [rip + 2]; 32- and 16-bit: jmp ORC_CS64:stub. */
    uint64_t leave = (uint64_t)(uintptr_t)&orc_host_leave;
    uint32_t stub64 = ORC_STUB + ORC_STUB_64;
    uint16_t cs64 = ORC_CS64;
    memcpy(stub + ORC_STUB_64, (uint8_t[]){0xff, 0x25, 2, 0, 0, 0}, 6);
    memcpy(stub + ORC_STUB_64 + 8, &leave, 8); /* aligned, because AC may be set */
    stub[ORC_STUB_32] = 0xea;
    memcpy(stub + ORC_STUB_32 + 1, &stub64, 4);
    memcpy(stub + ORC_STUB_32 + 5, &cs64, 2);
    stub[ORC_STUB_16] = 0x66;
    memcpy(stub + ORC_STUB_16 + 1, stub + ORC_STUB_32, 7);
    mprotect(stub, ORC_PAGE, PROT_READ | PROT_EXEC);
    mprotect((uint8_t *)low_data + ORC_RW_BYTES, ORC_DATA_BYTES - ORC_RW_BYTES, PROT_READ);
    mlock(low_code, ORC_CODE_BYTES);
    mlock(low_data, ORC_DATA_BYTES);
    return NULL;
}

static const char *fill_ldt(void)
{
    for (unsigned i = 0; i < ORC_LDT_N; i++) {
        const struct orc_ldt *d = &orc_ldt[i];
        struct user_desc u = {
            .entry_number = i,
            .base_addr = d->base,
            .limit = d->limit,
            .seg_32bit = d->big,
            .contents = d->type >> 2 & 3,
            .read_exec_only = !(d->type & 2),
            .limit_in_pages = d->pages,
            .seg_not_present = d->absent,
        };
        if (syscall(SYS_modify_ldt, 0x11, &u, sizeof(u)))
            return "the kernel has no modify_ldt";
    }
    return NULL;
}

/* Kills no legal call of the harness: only calls made from the low 4 GiB become SIGSYS. */
static const char *filter_calls(void)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
        return "no seccomp filter";
    return NULL;
}

/* The descriptor that tells the processor's number through LSL must not change. */
static void stay_on_one_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    sched_setaffinity(0, sizeof(set), &set);
}

uint32_t orc_host_cpu_node(void)
{
    uint32_t limit = 0;
    __asm__ volatile("lsl %1, %0" : "+r"(limit) : "r"(0x7b));
    return limit;
}

const char *orc_host_init(void)
{
    stay_on_one_cpu();
    if (!(getauxval(AT_HWCAP2) & 2))
        return "the host has no FSGSBASE instructions";
    const char *why = map_pages();
    if (!why)
        why = fill_ldt();
    if (!why)
        why = filter_calls();
    if (why)
        return why;
    __asm__ volatile("rdfsbase %0" : "=r"(orc_host_fs));
    __builtin_cpu_init();
    orc_host_avx = __builtin_cpu_supports("avx") != 0;
    stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
    sigaltstack(&ss, NULL);
    struct sigaction sa = {.sa_sigaction = on_signal,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS, SIGSYS, SIGALRM};
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &sa, NULL);
    /* Wakes a tested instruction that never ends; a case takes microseconds. */
    struct itimerval every = {{2, 0}, {2, 0}};
    setitimer(ITIMER_REAL, &every, NULL);
    return NULL;
}

uint8_t *orc_host_code(void)
{
    return code_view;
}

uint8_t *orc_host_data(void)
{
    return (uint8_t *)(uintptr_t)ORC_DATA;
}

void orc_host_fill(const uint8_t *bytes)
{
    memcpy(data_view, bytes, ORC_DATA_BYTES);
}

void orc_host_run(const struct orc_state *in, struct orc_state *out)
{
    running = 1;
    run_count++;
    orc_host_enter(in);
    running = 0;
    if (orc_host_out.vector == ORC_RAN) {
        orc_host_out.rip = in->rip;
        orc_host_out.sel[ORC_CS] = in->sel[ORC_CS];
        orc_host_out.err = 0;
        orc_host_out.cr2 = 0;
    }
    memcpy(out, &orc_host_out, sizeof(*out));
}
