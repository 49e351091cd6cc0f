/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of system calls by name. */
#include <string.h>

#include "base/mem.h"
#include "container/seccomp_internal.h"

const struct seccomp_name seccomp_names[] = {
#include "seccomp-names.inc"
};
const size_t seccomp_name_count = array_size(seccomp_names);

const struct seccomp_name *seccomp_find(const char *name)
{
    size_t low = 0, high = seccomp_name_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(name, seccomp_names[mid].name);
        if (!order)
            return &seccomp_names[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

/* net(2) of linux/net.h and ipc(2) of linux/ipc.h; sorted by name. */
enum { SOCKETCALL = 102, IPC = 117 };
static const struct {
    const char *name;
    int call, operation;
} multiplexed[] = {
    {"accept", SOCKETCALL, 5},
    {"accept4", SOCKETCALL, 18},
    {"bind", SOCKETCALL, 2},
    {"connect", SOCKETCALL, 3},
    {"getpeername", SOCKETCALL, 7},
    {"getsockname", SOCKETCALL, 6},
    {"getsockopt", SOCKETCALL, 15},
    {"listen", SOCKETCALL, 4},
    {"msgctl", IPC, 14},
    {"msgget", IPC, 13},
    {"msgrcv", IPC, 12},
    {"msgsnd", IPC, 11},
    {"recv", SOCKETCALL, 10},
    {"recvfrom", SOCKETCALL, 12},
    {"recvmmsg", SOCKETCALL, 19},
    {"recvmsg", SOCKETCALL, 17},
    {"semctl", IPC, 3},
    {"semget", IPC, 2},
    {"semop", IPC, 1},
    {"semtimedop", IPC, 4},
    {"send", SOCKETCALL, 9},
    {"sendmmsg", SOCKETCALL, 20},
    {"sendmsg", SOCKETCALL, 16},
    {"sendto", SOCKETCALL, 11},
    {"setsockopt", SOCKETCALL, 14},
    {"shmat", IPC, 21},
    {"shmctl", IPC, 24},
    {"shmdt", IPC, 22},
    {"shmget", IPC, 23},
    {"shutdown", SOCKETCALL, 13},
    {"socket", SOCKETCALL, 1},
    {"socketpair", SOCKETCALL, 8},
};

int seccomp_multiplexed(const char *name, uint32_t *ret_call)
{
    size_t low = 0, high = array_size(multiplexed);
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(name, multiplexed[mid].name);
        if (!order) {
            *ret_call = (uint32_t)multiplexed[mid].call;
            return multiplexed[mid].operation;
        }
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return 0;
}
