/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTAINER_SECCOMP_INTERNAL_H
#define CONTAINER_SECCOMP_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "container/seccomp.h"

enum seccomp_column { SECCOMP_X86_64, SECCOMP_X86, SECCOMP_X32, SECCOMP_AARCH64, SECCOMP_COLUMNS };

struct seccomp_name {
    const char *name;
    int number[SECCOMP_COLUMNS]; /* -1: the architecture has none */
};

/* All system calls that are known, sorted by name. */
extern const struct seccomp_name seccomp_names[];
extern const size_t seccomp_name_count;

/* The row of @name, NULL. */
const struct seccomp_name *seccomp_find(const char *name);

/*
 * i386 also has sockets and System V IPC behind one call each, with the operation as first
 * argument: the call's number in *@ret_call and the operation, 0 when @name is none of those.
 */
int seccomp_multiplexed(const char *name, uint32_t *ret_call);

/* seccomp_compile for the architectures in the bits of @columns, whatever this host is. */
int seccomp_compile_for(const struct oci_seccomp *profile, unsigned columns,
                        struct seccomp_filter *ret, struct error *err);

/* A program built from its end, so that the targets of jumps, which only go forward, are known. A
 * label is the number of instructions from its target to the end. */
struct seccomp_program {
    struct sock_filter *code; /* BPF_MAXINSNS, the last ones used */
    unsigned count;           /* may pass BPF_MAXINSNS: too long */
    struct {
        uint32_t value;
        unsigned label;
    } returns[32]; /* the latest return of each value */
    unsigned return_count;
};

unsigned seccomp_emit(struct seccomp_program *p, uint16_t op, uint32_t k);
unsigned seccomp_emit_return(struct seccomp_program *p, uint32_t value);
/* A return of @value near enough for a jump. */
unsigned seccomp_return(struct seccomp_program *p, uint32_t value);
/* Jumps to @yes when A @op @k, else to @no, however far they are. */
unsigned seccomp_jump(struct seccomp_program *p, uint16_t op, uint32_t k, unsigned yes,
                      unsigned no);

#endif
