/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small writer of ACPI Machine Language (ACPI 6.4, chapter 20), as much as a DSDT of plain
 * objects needs. Blocks (scope, device, package, ...) are opened with aml_open_* and closed with
 * aml_close, which fills in the package length. Output goes to a struct str; check str.failed once
 * at the end.
 */
#ifndef MACHINE_AML_H
#define MACHINE_AML_H

#include <stdint.h>

#include "base/str.h"

enum { AML_DEPTH = 8 };

struct aml {
    struct str *out;
    size_t open[AML_DEPTH]; /* offsets where the open blocks' package lengths go */
    unsigned depth;
};

/* Control flow: If (And (ArgN, @bits)), a method with @args arguments. */
void aml_open_if_bits(struct aml *a, unsigned arg, uint64_t bits);
void aml_open_method(struct aml *a, const char *name, unsigned args);
/* Names are four characters or paths such as "\\_SB" and "\\_S5_" (each segment written out in
 * full). */
void aml_open_scope(struct aml *a, const char *path);
void aml_open_device(struct aml *a, const char *name);
void aml_open_package(struct aml *a, unsigned elements);
void aml_close(struct aml *a);

void aml_name(struct aml *a, const char *name); /* Name (name, ...): an object must follow */
void aml_integer(struct aml *a, uint64_t value);
void aml_string(struct aml *a, const char *text);
/* A name by itself: an object's value, or a call whose arguments follow. */
void aml_call(struct aml *a, const char *name);
/* Store (@value, @name); Notify (@name, ArgN). */
void aml_store_integer(struct aml *a, uint64_t value, const char *name);
void aml_notify(struct aml *a, const char *name, unsigned arg);
/* Notify (@name, @value). */
void aml_notify_value(struct aml *a, const char *name, uint8_t value);
/* I/O ports as an operation region, and its fields of 32 bits each. */
void aml_io_region(struct aml *a, const char *name, uint16_t base, uint8_t len);
void aml_field32(struct aml *a, const char *region, const char *const *names, unsigned count);
/* EisaId ("PNP0A03"). */
void aml_eisa_id(struct aml *a, const char *id);

/* A buffer with resource descriptors (6.4 of ACPI): collect them in a str, then write it. */
void aml_res_io(struct str *r, uint16_t base, uint8_t len);
void aml_res_irq(struct str *r, unsigned irq); /* edge, active high, exclusive */
void aml_res_memory32(struct str *r, uint32_t base, uint32_t len);
/* Windows of a bridge: producer, positive decode. @type 0 memory, 1 I/O, 2 bus numbers. */
void aml_res_word_window(struct str *r, unsigned type, uint16_t min, uint16_t max);
void aml_res_dword_window(struct str *r, uint32_t min, uint32_t max);
void aml_res_qword_window(struct str *r, uint64_t min, uint64_t max);
void aml_resources(struct aml *a, struct str *r); /* ends, writes and releases @r */

#endif
