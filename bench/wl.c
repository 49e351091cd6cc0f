/* SPDX-License-Identifier: Apache-2.0 */
/* wl: small static workload set, timed inside with CLOCK_MONOTONIC.
 * build: gcc -O2 -static -o wl wl.c   (same binary native and in a guest)
 * use:   wl NAME [reps [scale-percent]] | wl all [reps [scale]] | wl gen BYTES
 *        wl run NAME REPS cmd args...   (times a child, its stdout to /dev/null)
 * prints: "WL name median_seconds min max cpu=mean_cpu_seconds check"   (cpu: user+system of it and
 * its children)
 */
#pragma GCC diagnostic ignored "-Wmisleading-indentation"
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}
static double cpu(void) {
    double s = 0;
    struct rusage u;
    for (int w = RUSAGE_CHILDREN; w <= RUSAGE_SELF; w++) {
        getrusage(w, &u);
        s += u.ru_utime.tv_sec + u.ru_stime.tv_sec +
             (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
    }
    return s;
}
static double cpu0;
static uint32_t rs = 12345;
static uint32_t rnd(void) {
    rs ^= rs << 13;
    rs ^= rs >> 17;
    rs ^= rs << 5;
    return rs;
}
static double scale = 1.0;
static long N(long n) {
    long r = (long)(n * scale);
    return r < 1 ? 1 : r;
}

/* ---- integer ---- */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
#define R(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
static void sha_block(uint32_t *h, const uint8_t *p) {
    uint32_t w[64], a, b, c, d, e, f, g, hh;
    int i;
    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
    for (; i < 64; i++) {
        uint32_t s0 = R(w[i - 15], 7) ^ R(w[i - 15], 18) ^ (w[i - 15] >> 3),
                 s1 = R(w[i - 2], 17) ^ R(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    a = h[0];
    b = h[1];
    c = h[2];
    d = h[3];
    e = h[4];
    f = h[5];
    g = h[6];
    hh = h[7];
    for (i = 0; i < 64; i++) {
        uint32_t t1 = hh + (R(e, 6) ^ R(e, 11) ^ R(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i],
                 t2 = (R(a, 2) ^ R(a, 13) ^ R(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        hh = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
    h[5] += f;
    h[6] += g;
    h[7] += hh;
}
static uint64_t w_sha256(void) {
    static uint8_t buf[1 << 20];
    uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    long i;
    for (i = 0; i < (long)sizeof buf; i++)
        buf[i] = i * 7;
    for (long r = 0; r < N(16); r++)
        for (i = 0; i < (long)sizeof buf; i += 64)
            sha_block(h, buf + i);
    return h[0];
}
static int cmpi(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}
static uint64_t w_qsort(void) { /* indirect calls + merge sort */
    long n = N(300000);
    int *a = malloc(n * 4);
    rs = 1;
    for (long i = 0; i < n; i++)
        a[i] = rnd();
    qsort(a, n, 4, cmpi);
    uint64_t r = a[n / 2];
    free(a);
    return r;
}
static __attribute__((noinline)) int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static uint64_t w_fib(void) {
    uint64_t s = 0;
    for (long i = 0; i < N(4); i++)
        s += fib(30);
    return s;
} /* call/ret */
static uint64_t w_vm(void) { /* switch/computed-goto interpreter: indirect jumps */
    static void *lab[] = {&&o0, &&o1, &&o2, &&o3, &&o4, &&o5, &&o6, &&o7};
    static uint8_t code[4096];
    rs = 7;
    for (int i = 0; i < 4096; i++)
        code[i] = rnd() % 7;
    code[4095] = 7;
    uint64_t a = 1, b = 2, c = 3;
    long left = N(8000);
    const uint8_t *pc = code;
#define NX goto *lab[*pc++]
    NX;
o0:
    a += b;
    NX;
o1:
    b ^= a >> 3;
    NX;
o2:
    c += a * 3;
    NX;
o3:
    a -= c;
    NX;
o4:
    b = b << 1 | c >> 63;
    NX;
o5:
    if (a & 1)
        c++;
    NX;
o6:
    c ^= b;
    NX;
o7:
    if (--left > 0) {
        pc = code;
        NX;
    }
    return a ^ b ^ c;
}
static uint64_t w_strops(void) { /* byte loops, libc string functions (SSE2/AVX2 by cpuid) */
    static char s[65536], d[65536];
    uint64_t r = 0;
    memset(s, 'a', sizeof s - 1);
    for (long i = 0; i < N(4000); i++) {
        s[i % 60000] = 'b';
        r += strlen(s);
        r += (uint64_t)(memchr(s, 'z', 65535) != 0);
        strcpy(d, s);
        r += strcmp(s, d);
        s[i % 60000] = 'a';
    }
    return r;
}
/* ---- floating point ---- */
static uint64_t w_nbody(void) {
    enum { B = 5 };
    double p[B][3], v[B][3], m[B];
    rs = 3;
    for (int i = 0; i < B; i++) {
        m[i] = 1.0 + i;
        for (int k = 0; k < 3; k++) {
            p[i][k] = rnd() / 4294967296.0 * 10;
            v[i][k] = rnd() / 4294967296.0;
        }
    }
    for (long t = 0; t < N(400000); t++) {
        for (int i = 0; i < B; i++)
            for (int j = i + 1; j < B; j++) {
                double d[3], q = 0.01;
                for (int k = 0; k < 3; k++) {
                    d[k] = p[i][k] - p[j][k];
                    q += d[k] * d[k];
                }
                double g = 0.001 / (q * sqrt(q));
                for (int k = 0; k < 3; k++) {
                    v[i][k] -= d[k] * m[j] * g;
                    v[j][k] += d[k] * m[i] * g;
                }
            }
        for (int i = 0; i < B; i++)
            for (int k = 0; k < 3; k++)
                p[i][k] += 0.001 * v[i][k];
    }
    double s = p[0][0];
    uint64_t u;
    memcpy(&u, &s, 8);
    return u;
}
static uint64_t w_mandel(void) {
    int w = 256;
    uint64_t tot = 0;
    for (long r = 0; r < N(2); r++)
        for (int y = 0; y < w; y++)
            for (int x = 0; x < w; x++) {
                double cx = -2 + 3.0 * x / w, cy = -1.5 + 3.0 * y / w, a = 0, b = 0;
                int i;
                for (i = 0; i < 200 && a * a + b * b < 4; i++) {
                    double t = a * a - b * b + cx;
                    b = 2 * a * b + cy;
                    a = t;
                }
                tot += i;
            }
    return tot;
}
static uint64_t w_matmulf(void) { /* packed float SSE */
    enum { M = 256 };
    static float a[M][M], b[M][M], c[M][M];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < M; j++) {
            a[i][j] = i + j;
            b[i][j] = i - j;
            c[i][j] = 0;
        }
    typedef float v4 __attribute__((vector_size(16), aligned(4)));
    for (long r = 0; r < N(4); r++)
        for (int i = 0; i < M; i++)
            for (int k = 0; k < M; k++) {
                float x = a[i][k];
                v4 X = {x, x, x, x};
                for (int j = 0; j < M; j += 4)
                    *(v4 *)&c[i][j] += X * *(v4 *)&b[k][j];
            }
    return (uint64_t)c[17][33];
}
static uint64_t w_x87(void) {
    long double s = 0;
    for (long i = 1; i < N(3000000); i++)
        s += 1.0L / (long double)i;
    return (uint64_t)(s * 1e6L);
}
/* ---- memory ---- */
static uint64_t w_memcpy(void) {
    size_t n = 32 << 20;
    char *a = malloc(n), *b = malloc(n);
    memset(a, 1, n);
    memset(b, 2, n);
    for (long i = 0; i < N(16); i++)
        memcpy(i & 1 ? a : b, i & 1 ? b : a, n);
    uint64_t r = a[5];
    free(a);
    free(b);
    return r;
}
static uint64_t w_triad(void) {
    size_t n = 2 << 20;
    double *a = malloc(n * 8), *b = malloc(n * 8), *c = malloc(n * 8);
    for (size_t i = 0; i < n; i++) {
        a[i] = i;
        b[i] = 1;
        c[i] = 2;
    }
    for (long r = 0; r < N(10); r++) {
        for (size_t i = 0; i < n; i++)
            a[i] = b[i] + 3.0 * c[i];
        __asm__ volatile("" ::"r"(a) : "memory");
    }
    uint64_t x = a[9];
    free(a);
    free(b);
    free(c);
    return x;
}
static uint64_t chase(size_t n, long steps) {
    uint32_t *p = malloc(n * 4);
    for (size_t i = 0; i < n; i++)
        p[i] = i;
    rs = 9;
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = rnd() % i;
        uint32_t t = p[i];
        p[i] = p[j];
        p[j] = t;
    }
    double t0 = now();
    uint32_t k = 0;
    for (long i = 0; i < steps; i++)
        k = p[k];
    double t1 = now();
    free(p);
    fprintf(stderr, "# chase %zuKB %.2f ns/step\n", n * 4 / 1024, (t1 - t0) / steps * 1e9);
    return k;
}
static uint64_t w_chase16k(void) { return chase(4096, N(40000000)); }
static uint64_t w_chase64m(void) { return chase(16 << 20, N(2000000)); }
/* ---- system ---- */
static uint64_t w_getppid(void) {
    uint64_t s = 0;
    for (long i = 0; i < N(1000000); i++)
        s += syscall(SYS_getppid);
    return s;
}
static uint64_t w_pipe(void) {
    int a[2], b[2];
    char c = 0;
    long n = N(50000);
    if (pipe(a) || pipe(b))
        return 0;
    pid_t k = fork();
    if (!k) {
        for (long i = 0; i < n; i++) {
            if (read(a[0], &c, 1) != 1)
                _exit(1);
            if (write(b[1], &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    for (long i = 0; i < n; i++) {
        if (write(a[1], &c, 1) != 1)
            break;
        if (read(b[0], &c, 1) != 1)
            break;
    }
    waitpid(k, 0, 0);
    close(a[0]);
    close(a[1]);
    close(b[0]);
    close(b[1]);
    return n;
}
static uint64_t w_fault(void) {
    uint64_t s = 0;
    for (long r = 0; r < N(20); r++) {
        size_t n = 4096;
        char *p = mmap(0, n * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(p, n * 4096, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < n; i++)
            p[i * 4096] = i;
        s += p[77 * 4096];
        munmap(p, n * 4096);
    }
    return s;
}
static uint64_t w_forkexec(void) {
    long n = N(500);
    char *av[] = {"/proc/self/exe", "true", 0};
    const char *exe = getenv("WL_TRUE");
    for (long i = 0; i < n; i++) {
        pid_t k = fork();
        if (!k) {
            if (exe) {
                char *bv[] = {(char *)exe, 0};
                execv(exe, bv);
            }
            execv("/proc/self/exe", av);
            _exit(127);
        }
        int st;
        waitpid(k, &st, 0);
        if (st)
            return -1;
    }
    return n;
}
static uint64_t w_fork(void) {
    long n = N(500);
    for (long i = 0; i < n; i++) {
        pid_t k = fork();
        if (!k)
            _exit(0);
        waitpid(k, 0, 0);
    }
    return n;
}
static uint64_t w_file(void) { /* create/write/stat/unlink small files */
    long n = N(5000);
    char nm[64];
    char b[1024] = {1};
    struct stat st;
    for (long i = 0; i < n; i++) {
        sprintf(nm, "/tmp/wl.%d.%ld", getpid(), i % 64);
        int f = open(nm, O_CREAT | O_RDWR | O_TRUNC, 0600);
        if (f < 0)
            return -1;
        if (write(f, b, sizeof b) < 0)
            return -1;
        fstat(f, &st);
        close(f);
        stat(nm, &st);
        unlink(nm);
    }
    return n;
}
static volatile sig_atomic_t sg;
static void onsig(int s) {
    (void)s;
    sg++;
}
static uint64_t w_signal(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = onsig;
    sigaction(SIGUSR1, &a, 0);
    long n = N(100000);
    for (long i = 0; i < n; i++)
        kill(getpid(), SIGUSR1);
    return sg >= 0 ? n : 0;
}
static void *thr(void *p) {
    volatile long *q = p;
    for (long i = 0; i < q[1]; i++)
        __sync_fetch_and_add(q, 1);
    return 0;
}
static uint64_t w_atomic(void) {
    static long q[2];
    q[0] = 0;
    q[1] = N(5000000);
    pthread_t a, b;
    pthread_create(&a, 0, thr, q);
    pthread_create(&b, 0, thr, q);
    pthread_join(a, 0);
    pthread_join(b, 0);
    return q[0];
}
static uint64_t w_jit(void) { /* self-modifying: write a function, call it, rewrite */
    uint8_t *p = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t s = 0;
    p[0] = 0xb8;
    p[5] = 0xc3;
    for (long i = 0; i < N(30000); i++) {
        uint32_t v = i;
        memcpy(p + 1, &v, 4);
        s += ((uint32_t(*)(void))(void *)p)();
    }
    munmap(p, 4096);
    return s;
}

static struct {
    const char *n;
    uint64_t (*f)(void);
} T[] = {{"sha256", w_sha256},     {"qsort", w_qsort},
         {"fib", w_fib},           {"vm", w_vm},
         {"strops", w_strops},     {"nbody", w_nbody},
         {"mandel", w_mandel},     {"matmulf", w_matmulf},
         {"x87", w_x87},           {"memcpy", w_memcpy},
         {"triad", w_triad},       {"chase16k", w_chase16k},
         {"chase64m", w_chase64m}, {"getppid", w_getppid},
         {"pipe", w_pipe},         {"fault", w_fault},
         {"fork", w_fork},         {"forkexec", w_forkexec},
         {"file", w_file},         {"signal", w_signal},
         {"atomic2t", w_atomic},   {"jit", w_jit}};
static int cmpd(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static void report(const char *n, double *t, int reps, uint64_t chk) {
    qsort(t, reps, sizeof *t, cmpd);
    printf("WL %-10s %.4f %.4f %.4f cpu=%.4f %llx\n", n, t[reps / 2], t[0], t[reps - 1],
           (cpu() - cpu0) / reps, (unsigned long long)chk);
    fflush(stdout);
}
static void one(int i, int reps) {
    double t[64];
    uint64_t c = 0;
    cpu0 = cpu();
    for (int r = 0; r < reps; r++) {
        double a = now();
        c = T[i].f();
        t[r] = now() - a;
    }
    report(T[i].n, t, reps, c);
}
static const char *W[] = {"the",  "machine", "engine", "of",     "translation", "block", "page",
                          "0x7f", "return",  "int",    "static", "guest",       "host",  "register",
                          "{",    "}",       ";\n",    "(void)", "memory",      "table"};
int main(int c, char **v) {
    if (c < 2)
        return 2;
    if (!strcmp(v[1], "true"))
        return 0;
    if (!strcmp(v[1], "gen")) {
        long n = c > 2 ? atol(v[2]) : 4 << 20, o = 0;
        rs = 42;
        while (o < n) {
            const char *w = W[(rnd() >> 8) % 20];
            o += printf("%s ", w);
            if (rnd() % 9 == 0)
                o += printf("%u ", rnd() % 100000);
        }
        return 0;
    }
    if (!strcmp(v[1], "run") && c > 4) {
        int reps = atoi(v[3]);
        double t[64];
        int st = 0;
        cpu0 = cpu();
        for (int r = 0; r < reps && r < 64; r++) {
            double a = now();
            pid_t k = fork();
            if (!k) {
                int f = open("/dev/null", O_RDWR);
                dup2(f, 1);
                execvp(v[4], v + 4);
                _exit(127);
            }
            waitpid(k, &st, 0);
            t[r] = now() - a;
            if (st)
                break;
        }
        if (st) {
            printf("WL %-10s FAIL %d\n", v[2], st);
            return 1;
        }
        report(v[2], t, reps, 0);
        return 0;
    }
    int reps = c > 2 ? atoi(v[2]) : 3;
    if (reps < 1)
        reps = 1;
    if (reps > 64)
        reps = 64;
    if (c > 3)
        scale = atof(v[3]) / 100.0;
    for (unsigned i = 0; i < sizeof T / sizeof *T; i++)
        if (!strcmp(v[1], "all") || !strcmp(v[1], T[i].n))
            one(i, reps);
    return 0;
}
