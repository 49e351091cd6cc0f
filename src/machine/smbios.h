/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS 2.8 tables (DSP0134): what dmidecode and systemd see of the machine. */
#ifndef MACHINE_SMBIOS_H
#define MACHINE_SMBIOS_H

#include "base/error.h"
#include "base/str.h"
#include "bus/space.h"

struct smbios_config {
    uint64_t memory;
    unsigned cpus;
    const uint8_t *uuid; /* 16 bytes, in the order they are printed */
};

/* Writes entry point and structures at PC_SMBIOS. */
int smbios_write(struct space *space, const struct smbios_config *config, struct error *err);

/*
 * The same as firmware gets them: the files "etc/smbios/smbios-anchor" and
 * "etc/smbios/smbios-tables", which it places itself. Both are owned: str_done.
 */
int smbios_make_files(const struct smbios_config *config, struct str *ret_anchor,
                      struct str *ret_tables, struct error *err);

#endif
