/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware of board pc: where its bytes appear, and the shadow RAM around them.
 *
 *   4 GiB - size .. 4 GiB   the firmware's ROM; a flash chip with its variables right below it
 *   0xE0000-0xFFFFF         the last 128 KiB of the ROM, where PAM does not show RAM
 *   0xC0000-0xDFFFF         RAM where PAM shows it, an empty bus otherwise
 *
 * ROM and flash are pages of guest memory behind RAM, so that code in them runs as any other.
 */
#ifndef MACHINE_PC_ROM_H
#define MACHINE_PC_ROM_H

#include "machine/pc.h"

/* Bytes of guest memory beyond RAM that the firmware of @config takes; 0 without firmware. */
uint64_t pc_rom_memory(const struct machine_config *config);
/* Checks firmware and variables, maps them. After RAM was mapped. */
int pc_rom_create(struct pc *pc, struct error *err);
void pc_rom_destroy(struct pc *pc);
/* Puts their bytes into guest memory, which a reset has cleared. */
int pc_rom_load(struct pc *pc, struct error *err);
/* The PAM registers of the 440FX (290549-001, 3.2.18) say what 0xC0000-0xFFFFF shows. */
void pc_pam_changed(void *pc, const uint8_t pam[7], uint8_t smram);

#endif
