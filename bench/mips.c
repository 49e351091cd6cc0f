/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a boot sector on the bare interpreter until HLT: prints instructions and CPU seconds. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cpu/x86/segment.h"
#include "rig.h"

int main(int argc, char **argv)
{
    uint8_t sector[512];
    struct rig r;
    struct timespec a, b;
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    enum x86_exit why;

    if (!f || fread(sector, 1, sizeof(sector), f) != sizeof(sector)) {
        fprintf(stderr, "usage: %s BOOT-SECTOR\n", argv[0]);
        return 2;
    }
    fclose(f);
    rig_new(&r);
    rig_put(&r, 0x7c00, sector, sizeof(sector));
    rig_real(&r);
    r.c->seg[X86_CS].base = r.c->seg[X86_CS].sel = 0;
    x86_seg_update(r.c, X86_CS);
    r.c->rip = 0x7c00;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    why = x86_interp_run(r.c, UINT64_MAX / 2);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    printf("%" PRIu64 " %.3f\n", r.c->insn_count,
           (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9);
    rig_free(&r);
    return why == X86_EXIT_HALT ? 0 : 1;
}
