/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs inside the guest of avx-test.sh, statically linked: code compiled for x86-64-v3 against the
 * same compiled for x86-64, glibc's string functions against plain loops, and vector registers that
 * two processes hold while they take turns. Prints one line for each, with a checksum of what the
 * vector code made.
 */
#define _GNU_SOURCE
#include <immintrin.h>
#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 4096 };
static uint32_t numbers[N];
static double reals[N];

static void fill(void)
{
    uint64_t s = 1;
    for (unsigned i = 0; i < N; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        numbers[i] = (uint32_t)(s >> 32);
        reals[i] = (double)(int32_t)(s >> 32) / 65536;
    }
}

/* What the compiler makes vector code of: widening, shifts by variables, compares, gathers. */
#define MIX                                                                                        \
    uint64_t sum = 0;                                                                              \
    for (unsigned i = 0; i < N; i++) {                                                             \
        uint32_t v = numbers[i], w = numbers[v % N];                                               \
        sum += (uint64_t)(v >> (w & 31)) * (v > w ? 3 : 5) + (v << (v & 7)) + (w & -w);            \
    }                                                                                              \
    return sum;
__attribute__((target("arch=haswell"), noinline, optimize("O3"))) static uint64_t mix_vector(void)
{
    MIX
}
__attribute__((noinline, optimize("O1"))) static uint64_t mix_plain(void)
{
    MIX
}

/* fma() of a static program is glibc's, by processor; the instruction and the software agree. */
__attribute__((target("fma"), noinline)) static double dot_fused(void)
{
    double sum = 0;
    for (unsigned i = 0; i < N; i++)
        sum = __builtin_fma(reals[i], reals[N - 1 - i], sum);
    return sum;
}
static uint64_t bits(double d)
{
    uint64_t v;
    memcpy(&v, &d, 8);
    return v;
}

static int strings(void)
{
    char a[700], b[700];
    for (unsigned at = 0; at < 70; at++)
        for (unsigned len = 0; len < 400; len += len < 70 ? 1 : 13) {
            memset(a, 'x', sizeof(a));
            a[at + len] = 0;
            if (strlen(a + at) != len || strchr(a + at, 0) != a + at + len ||
                memchr(a + at, 0, sizeof(a) - at) != a + at + len)
                return 0;
            memcpy(b, a, sizeof(b));
            if (strcmp(a + at, b + at) || memcmp(a, b, sizeof(a)))
                return 0;
            b[at + len] = 'y';
            if (strcmp(a + at, b + at) >= 0 || memcmp(a, b, sizeof(a)) >= 0)
                return 0;
            memmove(b + 1, b, sizeof(b) - 1);
            if (b[at + len + 1] != 'y' || b[0] != (at + len ? 'x' : 'y'))
                return 0;
        }
    return 1;
}

/* Eight registers full of @seed must survive the other process's turns. */
__attribute__((target("avx2"), noinline)) static int hold(uint32_t seed)
{
    for (unsigned n = 0; n < 300; n++) {
        __m256i v = _mm256_set1_epi32((int)(seed + n)), w;
        __asm__ volatile("vmovdqa %1, %%ymm8\n\tvpaddd %1, %1, %%ymm15\n\tsyscall\n\t"
                         "vpaddd %%ymm8, %%ymm15, %0"
                         : "=x"(w)
                         : "x"(v), "a"(24) /* sched_yield */
                         : "rcx", "r11", "memory", "xmm8", "xmm15");
        uint32_t got[8];
        memcpy(got, &w, sizeof(got));
        for (unsigned k = 0; k < 8; k++)
            if (got[k] != 3 * (seed + n))
                return 0;
    }
    return 1;
}

int main(void)
{
    fill();
    uint64_t vector = mix_vector();
    printf("integers %s %016llx\n", vector == mix_plain() ? "agree" : "DIFFER",
           (unsigned long long)vector);
    printf("fused %016llx\n", (unsigned long long)bits(dot_fused()));
    printf("strings %s\n", strings() ? "agree" : "DIFFER");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(hold(0x10000) ? 0 : 1);
    int mine = hold(0x7777), status = 1;
    waitpid(child, &status, 0);
    printf("registers %s\n", mine && status == 0 ? "kept" : "LOST");
    return 0;
}
