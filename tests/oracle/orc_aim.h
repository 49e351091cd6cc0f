/* SPDX-License-Identifier: Apache-2.0 */
/* Aims memory operands: the registers, displacements and memory bytes of a case. */
#ifndef TESTS_ORACLE_AIM_H
#define TESTS_ORACLE_AIM_H

#include "orc_gen.h"

/* Base of the segment that @sel names on both sides; ignores what 64-bit mode ignores. */
uint64_t orc_seg_base(uint16_t sel);
/* A selector: good ones, and each way of being bad. */
uint16_t orc_selector(struct orc_rng *r);
/* A linear address in or around the data pages for an operand of about @size bytes. */
uint32_t orc_target(struct orc_rng *r, unsigned size);
/* An address inside the code pages, not at the tested instruction. */
uint32_t orc_code_target(struct orc_rng *r, const struct orc_case *c);
/* Makes the ModRM operand (or moffs) of the case point at linear @target, if its form allows. */
void orc_aim_modrm(struct orc_rng *r, struct orc_case *c, uint32_t target);
/* Makes register @reg point at @target through @seg (ORC_ES..) with the case's address size. */
void orc_aim_reg(struct orc_case *c, unsigned reg, unsigned seg, uint32_t target);
/* Adds a patch; cut to the writable data pages, ignored when none of it is inside. */
void orc_patch(struct orc_case *c, uint32_t linear, const void *bytes, unsigned len);
/* Whether the stack that @sel names has 16-bit pointers. */
bool orc_stack16(uint16_t sel);
/* Code descriptor base of the case. */
uint64_t orc_cs_base(const struct orc_case *c);

#endif
