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

/* net(2) of linux/net.h and ipc(2) of linux/ipc.h. */
enum { SOCKETCALL = 102, IPC = 117 };
static const struct {
    const char *name;
    int call, operation;
} multiplexed[] = {
    {"socket", SOCKETCALL, 1},
    {"bind", SOCKETCALL, 2},
    {"connect", SOCKETCALL, 3},
    {"listen", SOCKETCALL, 4},
    {"accept", SOCKETCALL, 5},
    {"getsockname", SOCKETCALL, 6},
    {"getpeername", SOCKETCALL, 7},
    {"socketpair", SOCKETCALL, 8},
    {"send", SOCKETCALL, 9},
    {"recv", SOCKETCALL, 10},
    {"sendto", SOCKETCALL, 11},
    {"recvfrom", SOCKETCALL, 12},
    {"shutdown", SOCKETCALL, 13},
    {"setsockopt", SOCKETCALL, 14},
    {"getsockopt", SOCKETCALL, 15},
    {"sendmsg", SOCKETCALL, 16},
    {"recvmsg", SOCKETCALL, 17},
    {"accept4", SOCKETCALL, 18},
    {"recvmmsg", SOCKETCALL, 19},
    {"sendmmsg", SOCKETCALL, 20},
    {"semop", IPC, 1},
    {"semget", IPC, 2},
    {"semctl", IPC, 3},
    {"semtimedop", IPC, 4},
    {"msgsnd", IPC, 11},
    {"msgrcv", IPC, 12},
    {"msgget", IPC, 13},
    {"msgctl", IPC, 14},
    {"shmat", IPC, 21},
    {"shmdt", IPC, 22},
    {"shmget", IPC, 23},
    {"shmctl", IPC, 24},
};

int seccomp_multiplexed(const char *name, uint32_t *ret_call)
{
    static const char initials[] = "abcglmrs";
    if (!strchr(initials, name[0]))
        return 0;
    for (size_t i = 0; i < array_size(multiplexed); i++)
        if (!strcmp(name, multiplexed[i].name)) {
            *ret_call = (uint32_t)multiplexed[i].call;
            return multiplexed[i].operation;
        }
    return 0;
}
