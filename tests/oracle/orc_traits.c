/* SPDX-License-Identifier: Apache-2.0 */
#include "orc_traits.h"

#include <string.h>

struct orc_traits orc_traits[X86_ROWS];

/*
 * Mnemonics: NAME, PREFIX*, *PART*; with @ in front, first letters of operand codes, one of which
 * must be there; with & in front, text inside the first operand's code that must be there as well.
 */
static const char *const sets[ORC_SETS] = {
    [ORC_SET_RETURN] = "*ret* pop popa popf",
    [ORC_SET_BT] = "bt*",
    [ORC_SET_DIV] = "div idiv",
    [ORC_SET_CMPXCHG] = "*cmpxchg*",
    [ORC_SET_SELECTOR] = "lar lsl verr verw arpl lldt ltr @S",
    [ORC_SET_LXS] = "lds les lss lfs lgs",
    [ORC_SET_XLAT] = "xlat",
    [ORC_SET_MXCSR] = "ldmxcsr vldmxcsr fxrstor* xrstor*",
    [ORC_SET_LDMXCSR] = "ldmxcsr vldmxcsr",
    [ORC_SET_XSTATE] = "xsave* xrstor*",
    [ORC_SET_FXSTATE] = "*fxsave* *fxrstor* xsave* xrstor*",
    [ORC_SET_LOAD_ENV] = "fldenv* frstor* fxrstor*",
    [ORC_SET_STRING] = "@XY",
    [ORC_SET_M] = "@M",
    [ORC_SET_G] = "@G",
    [ORC_SET_ENTER] = "enter",
    [ORC_SET_FRAME] = "enter leave",
    [ORC_SET_MASKMOV] = "maskmov* vmaskmovdqu",
    [ORC_SET_MOV] = "mov",
    [ORC_SET_VERW] = "verw",
    [ORC_SET_SYSRET] = "sysret sysexit",
    [ORC_SET_LOOPCC] = "loope loopne",
    [ORC_SET_MOVSXD] = "movsxd",
    [ORC_SET_SHIFT2] = "shld shrd",
    [ORC_SET_XSAVE] = "xsave xsaveopt xsavec xrstor",
    [ORC_SET_XRSTOR] = "xrstor",
    [ORC_SET_HOST_VALUES] = "cpuid rdtsc rdtscp rdrand rdseed xgetbv rdpid",
    [ORC_SET_RDSEED] = "rdseed",
    [ORC_SET_UMIP] = "sgdt sidt sldt smsw str",
    [ORC_SET_SYSCALL] = "syscall sysenter",
    [ORC_SET_INT] = "int",
    [ORC_SET_BSF] = "bsf bsr",
    [ORC_SET_FAR64] = "jmpf callf jmp_far call_far lss lfs lgs",
    [ORC_SET_TRANSCENDENTAL] = "f2xm1 fyl2x fyl2xp1 fptan fpatan fsin fcos fsincos",
    [ORC_SET_FX_IMAGE] = "fxsave xsave xsaveopt xsavec",
    [ORC_SET_ENV_IMAGE] = "fnstenv fnsave",
    [ORC_SET_PUSH_SEG] = "push &S",
    [ORC_SET_PUSHPOP_SEG] = "push pop &S",
    [ORC_SET_CMPS] = "cmps",
    [ORC_SET_RETF] = "retf",
    [ORC_SET_CALLF] = "callf",
    [ORC_SET_POPA] = "popa",
    [ORC_SET_SHA] = "sha1* sha256*",
    [ORC_SET_VEX_W] = "vpinsrd vpextrd",
    [ORC_SET_VPERMQ] = "vpermq vpermpd",
    [ORC_SET_WIDE] =
        "fxsave fxrstor xsave xsaveopt xsavec xrstor fnsave frstor fnstenv fldenv popa pusha "
        "iret retf enter callf",
};

static const char *operand(const struct x86_row *row, unsigned i)
{
    return x86_operand_names[row->operands[i]];
}

static bool has_operand(const struct x86_row *row, const char *letters, size_t n)
{
    for (unsigned i = 0; i < X86_ROW_OPERANDS; i++)
        if (*operand(row, i) && memchr(letters, *operand(row, i), n))
            return true;
    return false;
}

static bool word_matches(const struct x86_row *row, const char *word, size_t n)
{
    const char *m = row->mnemonic;
    char part[32] = "";
    if (*word == '@')
        return has_operand(row, word + 1, n - 1);
    if (*word == '*') {
        memcpy(part, word + 1, n - 2);
        return strstr(m, part) != NULL;
    }
    if (word[n - 1] == '*')
        return strncmp(m, word, n - 1) == 0;
    return strlen(m) == n && memcmp(m, word, n) == 0;
}

static bool in_set(const struct x86_row *row, const char *words)
{
    bool found = false;
    for (size_t n; *words; words += n + (words[n] == ' ')) {
        n = strcspn(words, " ");
        if (*words == '&') {
            if (!strchr(operand(row, 0), words[1]))
                return false;
        } else if (word_matches(row, words, n)) {
            found = true;
        }
    }
    return found;
}

static enum orc_operands operands_of(const struct x86_row *row)
{
    if (row->map == 0 && row->opcode >= 0xd8 && row->opcode <= 0xdf)
        return ORC_OPS_X87;
    if ((row->map & 3) == 3 && (row->opcode & 0xfc) == 0x60)
        return ORC_OPS_TEXT;
    for (unsigned i = 0; i < X86_ROW_OPERANDS; i++) {
        const char *o = operand(row, i);
        if (o[0] && o[1] && (!strcmp(o + 1, "ps") || !strcmp(o + 1, "ss")))
            return ORC_OPS_F32;
        if (o[0] && o[1] && (!strcmp(o + 1, "pd") || !strcmp(o + 1, "sd")))
            return ORC_OPS_F64;
    }
    return ORC_OPS_OTHER;
}

void orc_traits_init(void)
{
    for (unsigned r = 0; r < X86_ROWS; r++) {
        const struct x86_row *row = &x86_optable[r];
        orc_traits[r] = (struct orc_traits){.operands = (uint8_t)operands_of(row)};
        for (unsigned s = 0; s < ORC_SETS; s++)
            if (in_set(row, sets[s]))
                orc_traits[r].sets |= UINT64_C(1) << s;
    }
}
