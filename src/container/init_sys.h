/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls and the few functions of strings and memory that init needs, without a C library:
 * what enters a container stays small, starts in a quarter of a millisecond and holds nothing that
 * could be loaded from the container's files. Calls return the kernel's value, a negative errno on
 * failure.
 */
#ifndef CONTAINER_INIT_SYS_H
#define CONTAINER_INIT_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "init knows the system calls of x86-64 and arm64"
#endif

#define sys_pick(_1, _2, _3, _4, _5, _6, _7, name, ...) name
#define sys_1(n)                                        sys6(n, 0, 0, 0, 0, 0, 0)
#define sys_2(n, a)                                     sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define sys_3(n, a, b)                                  sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define sys_4(n, a, b, c)                               sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys_5(n, a, b, c, d)                            sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define sys_6(n, a, b, c, d, e)                         sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define sys_7(n, a, b, c, d, e, f)                                                                 \
    sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* sys(openat, fd, path, flags) makes the system call. */
#define sys(name, ...)                                                                             \
    sys_pick(SYS_##name, ##__VA_ARGS__, sys_7, sys_6, sys_5, sys_4, sys_3, sys_2,                  \
             sys_1)(SYS_##name, ##__VA_ARGS__)

/* The compiler calls these on its own. */
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

bool text_equal(const char *a, const char *b);
/* Whether @s starts with @prefix. */
bool text_starts(const char *s, const char *prefix);

/* A line that is put together in a buffer; what does not fit is cut off. */
struct line {
    char *data;
    size_t size, len;
};
void line_add(struct line *l, const char *text);
void line_add_number(struct line *l, long value);

/* The text of an errno (positive), as strerror gives it. */
const char *errno_text(int code);

#endif
