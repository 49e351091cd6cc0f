/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures commands that start and end containers.
 *
 *   life [-n RUNS] [-p PARALLEL] [-i IDLE_MS] [-w PIDFILE] COMMAND... [--then COMMAND...]...
 *
 * A run executes the commands one after the other; "%" in an argument becomes the run's number.
 * With -w, the process that PIDFILE names is waited for after the second command. Prints the median
 * and least milliseconds of a run, CPU milliseconds per run (of all descendants, orphans included),
 * the largest resident set of a process in KiB, and the seconds of all runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
enum { STEPS_MAX = 8, ARGS_MAX = 64 };

static char *steps[STEPS_MAX][ARGS_MAX];
static unsigned step_count;
static const char *pid_file;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void expand(char *out, size_t size, const char *text, const char *id)
{
    size_t n = 0;
    for (; *text && n + 1 < size; text++) {
        if (*text == '%')
            n += (size_t)snprintf(out + n, size - n, "%s", id);
        else
            out[n++] = *text;
    }
    out[n < size ? n : size - 1] = 0;
}

/* The orphans that became ours end as well. */
static void reap(pid_t want, const char *what)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(want, &status, 0);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid != want) {
            fprintf(stderr, "life: cannot wait for %s\n", what);
            exit(1);
        }
        if (status) {
            fprintf(stderr, "life: %s ended with status %d\n", what, status);
            exit(1);
        }
        return;
    }
}

static void run_once(const char *id)
{
    for (unsigned s = 0; s < step_count; s++) {
        static char text[ARGS_MAX][512];
        char *args[ARGS_MAX] = {0};
        for (unsigned a = 0; steps[s][a]; a++) {
            expand(text[a], sizeof(text[a]), steps[s][a], id);
            args[a] = text[a];
        }
        pid_t pid;
        posix_spawn_file_actions_t quiet;
        posix_spawn_file_actions_init(&quiet);
        posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
        int r = posix_spawnp(&pid, args[0], &quiet, NULL, args, environ);
        posix_spawn_file_actions_destroy(&quiet);
        if (r) {
            fprintf(stderr, "life: %s: %s\n", args[0], strerror(r));
            exit(1);
        }
        reap(pid, args[0]);
        if (s == 1 && pid_file) {
            char name[512];
            expand(name, sizeof(name), pid_file, id);
            FILE *f = fopen(name, "r");
            int first = 0;
            if (!f || fscanf(f, "%d", &first) != 1) {
                fprintf(stderr, "life: no pid in %s\n", name);
                exit(1);
            }
            fclose(f);
            reap((pid_t)first, "the first process");
        }
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    unsigned runs = 100, parallel = 1, idle_ms = 0;
    int opt;
    while ((opt = getopt(argc, argv, "+n:p:i:w:")) != -1) {
        if (opt == 'n')
            runs = (unsigned)atoi(optarg);
        else if (opt == 'p')
            parallel = (unsigned)atoi(optarg);
        else if (opt == 'i')
            idle_ms = (unsigned)atoi(optarg);
        else if (opt == 'w')
            pid_file = optarg;
        else
            return 2;
    }
    unsigned n = 0;
    for (int i = optind; i < argc; i++) {
        if (!strcmp(argv[i], "--then")) {
            step_count++;
            n = 0;
        } else if (step_count < STEPS_MAX && n < ARGS_MAX - 1) {
            steps[step_count][n++] = argv[i];
        }
    }
    step_count++;
    if (!steps[0][0] || !runs || !parallel)
        return 2;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    double *times = mmap(NULL, runs * sizeof(*times), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double begin = now_ms();
    for (unsigned w = 0; w < parallel; w++) {
        pid_t worker = parallel > 1 ? fork() : 0;
        if (worker)
            continue;
        if (parallel > 1)
            prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        for (unsigned i = w; i < runs; i += parallel) {
            char id[32];
            snprintf(id, sizeof(id), "bench-%d-%u", (int)getpid(), i);
            if (idle_ms)
                usleep(idle_ms * 1000);
            double start = now_ms();
            run_once(id);
            times[i] = now_ms() - start;
        }
        if (parallel > 1)
            exit(0);
    }
    for (unsigned w = 0; parallel > 1 && w < parallel; w++) {
        int status;
        wait(&status);
        if (status)
            return 1;
    }
    double total = now_ms() - begin;
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
    qsort(times, runs, sizeof(*times), by_size);
    printf("%.2f %.2f %.2f %ld %.2f\n", times[runs / 2], times[0], cpu / runs, u.ru_maxrss,
           total / 1e3);
    return 0;
}
