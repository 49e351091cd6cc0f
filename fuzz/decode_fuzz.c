/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder on any bytes in all modes: it stays inside what it was given, its answers are
 * consistent, and what decodes from a full window decodes alike from exactly its own bytes.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/x86/decode.h"
#include "cpu/x86/optable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct x86_decode_env *env, const uint8_t *bytes, size_t n)
{
    struct x86_insn i, again;
    uint8_t *exact;

    if (x86_decode(env, bytes, n, &i) != X86_DECODE_OK)
        return;
    assert(i.len >= 1 && i.len <= X86_INSN_MAX && i.len <= n);
    assert(i.row < X86_ROWS && i.exec == x86_execs[i.row]);
    assert(i.reg < 16 && i.rm < 16 && i.seg < X86_SEGS && i.osize <= X86_SIZE_64 && i.scale < 4);
    assert(i.base == X86_NO_REG || i.base < 16);
    assert(i.index == X86_NO_REG || i.index < 16);
    assert(i.reg8 < 128 && i.rm8 < 128);
    exact = malloc(i.len);
    if (!exact)
        return;
    memcpy(exact, bytes, i.len);
    assert(x86_decode(env, exact, i.len, &again) == X86_DECODE_OK && again.len == i.len &&
           again.row == i.row && again.imm == i.imm && again.disp == i.disp);
    if (i.len > 1) {
        exact = realloc(exact, i.len - 1u);
        assert(!exact || x86_decode(env, exact, i.len - 1u, &again) == X86_DECODE_MORE);
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t modes[] = {X86_MODE_REAL, X86_MODE_V86, X86_MODE_PROT, X86_MODE_COMPAT,
                                    X86_MODE_64};

    for (size_t at = 0; at < size && at < 64; at++)
        for (unsigned m = 0; m < sizeof(modes); m++)
            for (unsigned big = 0; big < 2; big++)
                check(&(struct x86_decode_env){.mode = modes[m], .big = big}, data + at, size - at);
    return 0;
}
