/* SPDX-License-Identifier: Apache-2.0 */
/* Runs single instructions on the host's own processor, at ring 3, inside this process. */
#ifndef TESTS_ORACLE_HOST_H
#define TESTS_ORACLE_HOST_H

#include "orc_state.h"

/*
 * Maps the code, stub and data pages, fills the LDT, installs signal handlers and a filter that
 * turns system calls made from the tested code into ORC_SYSCALL. Once per process, which must be
 * x86-64 Linux with the FSGSBASE instructions. NULL, or the reason why it cannot be done here.
 */
const char *orc_host_init(void);

/* Limit of the descriptor by which Linux tells processor and node, the last of the GDT. */
uint32_t orc_host_cpu_node(void);

/* A writable view of the code pages (ORC_CODE_BYTES). */
uint8_t *orc_host_code(void);
/* The data pages where the tested code sees them: ORC_RW_BYTES may be written. */
uint8_t *orc_host_data(void);
/* Fills all data pages, the read-only one as well. */
void orc_host_fill(const uint8_t *bytes);

/*
 * Runs from @in (rip, selectors and all) until the stub or an exception, and saves the state to
 * @out. Modes are chosen by the CS selector: 64-bit when it is ORC_CS64.
 */
void orc_host_run(const struct orc_state *in, struct orc_state *out);

#endif
