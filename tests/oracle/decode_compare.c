/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode_compare: the decoder beside an independent one, Debian's libZydis.
 *
 *   decode_compare [--cases N] [--seed S] [--bytes HEX --bits 16|32|64]
 *
 * Three of four cases are encodings of opcode rows with random prefixes (a part of them damaged),
 * the others random bytes. Validity, length and mnemonic must agree; what is expected to differ is
 * named and counted. Exits 1 on any other difference.
 */
#include <Zydis/Zydis.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/x86/decode.h"
#include "orc_gen.h"

enum { CLASSES = 4096 };
struct diff_class {
    char key[120];
    char example[64];
    uint64_t count;
};

enum known {
    K_NONE,
    K_EXTENSION,
    K_OPERAND,
    K_ZYDIS_PREFETCH,
    K_RESERVED_NOP,
    K_ZYDIS_REAL,
    K_RSM,
    K_PAUSE,
    K_COUNT
};
static const char *const known_why[K_COUNT] = {
    [K_EXTENSION] = "extension: Zydis knows an instruction set that the rows do not have",
    [K_OPERAND] = "operand: registers that do not exist are #UD at execution here",
    [K_ZYDIS_PREFETCH] = "prefetch: hints of 0F 0D and 0F 18 are named differently",
    [K_RESERVED_NOP] = "reserved NOP: 0F 19..1F",
    [K_ZYDIS_REAL] = "real mode: SYSENTER, SYSEXIT, SYSRET raise #GP or #UD at execution",
    [K_PAUSE] = "pause: F3 90 with REX.B is XCHG R8, as the host's processor has it",
    [K_RSM] = "rsm: #UD outside system management mode, which does not exist here",
};

struct compare {
    ZydisDecoder decoder[4]; /* 16, 32, 64, real */
    struct diff_class *classes;
    unsigned class_count;
    uint64_t cases, agree, both_invalid, differ, known[K_COUNT];
};

/* One test input and what both sides say. */
struct verdict {
    const uint8_t *bytes;
    unsigned bits;
    bool real;
    enum x86_decode_result ours;
    struct x86_insn insn;
    const struct x86_row *row;
    ZyanStatus status;
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const char *name; /* Zydis' mnemonic */
};

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Pairs of names for the same thing: ours, Zydis'. */
static const char *const synonyms[][2] = {
    {"cbw", "cwde"},
    {"cbw", "cdqe"},
    {"cwd", "cdq"},
    {"cwd", "cqo"},
    {"jcxz", "jecxz"},
    {"jcxz", "jrcxz"},
    {"callf", "call"},
    {"jmpf", "jmp"},
    {"retf", "ret"},
    {"salc", "salc"},
    {"pusha", "pushad"},
    {"popa", "popad"},
    {"pushf", "pushfd"},
    {"pushf", "pushfq"},
    {"popf", "popfd"},
    {"popf", "popfq"},
    {"iret", "iretd"},
    {"iret", "iretq"},
    {"xlat", "xlat"},
    {"cmpxchg8b", "cmpxchg16b"},
    {"int1", "int1"},
    {"wait", "fwait"},
    {"fwait", "fwait"},
    {"sysret", "sysretq"},
    {"sysexit", "sysexitq"},
    {"movd", "movq"},
    {"vmovd", "vmovq"},
    {"vpextrd", "vpextrq"},
    {"vpinsrd", "vpinsrq"},
    {"pextrd", "pextrq"},
    {"pinsrd", "pinsrq"},
    {"insw", "insd"},
    {"outsw", "outsd"},
    {"xchg", "nop"},
    {"fneni", "feni8087_nop"},
    {"fndisi", "fdisi8087_nop"},
    {"fnsetpm", "fsetpm287_nop"},
};

static bool same_name(const char *ours, const char *theirs)
{
    if (!strcmp(ours, theirs))
        return true;
    for (unsigned i = 0; i < array_size(synonyms); i++)
        if (!strcmp(ours, synonyms[i][0]) && !strcmp(theirs, synonyms[i][1]))
            return true;
    size_t n = strlen(ours);
    /* Aliases of the x87 have the number of the opcode in their name: fcomp5. */
    if (ours[0] == 'f' && n == strlen(theirs) + 1 && !strncmp(ours, theirs, n - 1) &&
        ours[n - 1] >= '2' && ours[n - 1] <= '9')
        return true;
    if (!strncmp(ours, theirs, n)) {
        const char *tail = theirs + n;
        return !strcmp(tail, "b") || !strcmp(tail, "w") || !strcmp(tail, "d") ||
               !strcmp(tail, "q") || !strcmp(tail, "64");
    }
    return false;
}

static bool we_have(ZydisISAExt ext)
{
    switch ((int)ext) {
    case ZYDIS_ISA_EXT_BASE:
    case ZYDIS_ISA_EXT_LONGMODE:
    case ZYDIS_ISA_EXT_X87:
    case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_SSE:
    case ZYDIS_ISA_EXT_SSE2:
    case ZYDIS_ISA_EXT_SSE3:
    case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_SSE4:
    case ZYDIS_ISA_EXT_AES:
    case ZYDIS_ISA_EXT_PCLMULQDQ:
    case ZYDIS_ISA_EXT_XSAVE:
    case ZYDIS_ISA_EXT_XSAVEOPT:
    case ZYDIS_ISA_EXT_RDRAND:
    case ZYDIS_ISA_EXT_RDSEED:
    case ZYDIS_ISA_EXT_RDTSCP:
    case ZYDIS_ISA_EXT_RDWRFSGS:
    case ZYDIS_ISA_EXT_SMAP:
    case ZYDIS_ISA_EXT_INVPCID:
    case ZYDIS_ISA_EXT_MOVBE:
    case ZYDIS_ISA_EXT_ADOX_ADCX:
    case ZYDIS_ISA_EXT_PAUSE:
    case ZYDIS_ISA_EXT_AVX:
    case ZYDIS_ISA_EXT_AVX2:
    case ZYDIS_ISA_EXT_AVX2GATHER:
    case ZYDIS_ISA_EXT_AVXAES:
    case ZYDIS_ISA_EXT_FMA:
    case ZYDIS_ISA_EXT_F16C:
    case ZYDIS_ISA_EXT_BMI1:
    case ZYDIS_ISA_EXT_BMI2:
    case ZYDIS_ISA_EXT_LZCNT:
    case ZYDIS_ISA_EXT_SHA:
    case ZYDIS_ISA_EXT_RDPID:
    case ZYDIS_ISA_EXT_XSAVEC:
        return true;
    default:
        return false;
    }
}

static enum known known_reason(const struct verdict *v)
{
    const struct x86_row *row = v->row;
    const char *ours = row ? row->mnemonic : "";
    bool z_ok = ZYAN_SUCCESS(v->status);
    if (!row && z_ok && !we_have(v->z.meta.isa_ext))
        return K_EXTENSION;
    if (row && z_ok && row->map == 1 && (row->opcode == 0x0d || row->opcode == 0x18))
        return K_ZYDIS_PREFETCH;
    if (row && row->map == 1 && row->opcode >= 0x19 && row->opcode <= 0x1f)
        return K_RESERVED_NOP;
    if (row && z_ok && !strcmp(v->name, "pause") && v->insn.rex & 1)
        return K_PAUSE;
    if (row && v->real && !z_ok &&
        (starts(ours, "sysenter") || starts(ours, "sysexit") || starts(ours, "sysret")))
        return K_ZYDIS_REAL;
    if (!row && z_ok && !strcmp(v->name, "rsm"))
        return K_RSM;
    if (row && !z_ok && v->status == ZYDIS_STATUS_BAD_REGISTER)
        return K_OPERAND;
    return K_NONE;
}

static void note(struct compare *cmp, const struct verdict *v, const char *what)
{
    char key[120], z[40];
    if (ZYAN_SUCCESS(v->status))
        snprintf(z, sizeof(z), "%s", v->name);
    else
        snprintf(z, sizeof(z), "error %u", ZYAN_STATUS_CODE(v->status));
    snprintf(key, sizeof(key), "%s: %s here, %s in Zydis (%u bits%s)", what,
             v->ours == X86_DECODE_OK     ? v->row->mnemonic
             : v->ours == X86_DECODE_MORE ? "more"
             : v->ours == X86_DECODE_LONG ? "too long"
                                          : "invalid",
             z, v->bits, v->real ? " real" : "");
    cmp->differ++;
    for (unsigned i = 0; i < cmp->class_count; i++)
        if (!strcmp(cmp->classes[i].key, key)) {
            cmp->classes[i].count++;
            return;
        }
    if (cmp->class_count == CLASSES)
        return;
    struct diff_class *d = &cmp->classes[cmp->class_count++];
    memcpy(d->key, key, sizeof(key));
    d->count = 1;
    for (unsigned i = 0; i < 16; i++)
        snprintf(d->example + 3 * i, 4, "%02x ", v->bytes[i]);
}

static void compare_one(struct compare *cmp, const uint8_t bytes[16], unsigned bits, bool real)
{
    struct verdict v = {.bytes = bytes, .bits = bits, .real = real};
    struct x86_decode_env env = {.mode = real         ? X86_MODE_REAL
                                         : bits == 64 ? X86_MODE_64
                                                      : X86_MODE_PROT,
                                 .big = bits == 32};
    v.ours = x86_decode(&env, bytes, 15, &v.insn);
    if (v.ours == X86_DECODE_OK)
        v.row = x86_insn_row(&v.insn);
    const ZydisDecoder *d = &cmp->decoder[real ? 3 : bits == 16 ? 0 : bits == 32 ? 1 : 2];
    v.status = ZydisDecoderDecodeFull(d, bytes, 15, &v.z, v.operands);
    v.name = ZYAN_SUCCESS(v.status) ? ZydisMnemonicGetString(v.z.mnemonic) : "";
    cmp->cases++;
    bool z_ok = ZYAN_SUCCESS(v.status), ours_ok = v.ours == X86_DECODE_OK;
    bool z_long =
        v.status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || v.status == ZYDIS_STATUS_NO_MORE_DATA;
    bool ours_long = v.ours == X86_DECODE_LONG || v.ours == X86_DECODE_MORE;
    if (!z_ok && !ours_ok) {
        /* An undefined opcode is found before its length. */
        (void)z_long;
        (void)ours_long;
        cmp->both_invalid++;
        return;
    }
    const char *what = NULL;
    if (z_ok != ours_ok)
        what = "validity";
    else if (v.z.length != v.insn.len)
        what = "length";
    else if (!same_name(v.row->mnemonic, v.name))
        what = "name";
    if (!what) {
        cmp->agree++;
        return;
    }
    enum known k = strcmp(what, "length") ? known_reason(&v) : K_NONE;
    if (k)
        cmp->known[k]++;
    else
        note(cmp, &v, what);
}

/* Case @number of @seed: always the same bytes. */
static void make_bytes(uint64_t seed, uint64_t number, uint8_t bytes[16], unsigned *bits,
                       bool *real)
{
    struct orc_rng rng = {seed ^ number * 0xd1342543de82ef95u}, *r = &rng;
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x26, 0x36,
                                       0x3e, 0x64, 0x65, 0x48, 0x41, 0x4f, 0x40, 0x44};
    unsigned kind = orc_below(r, 8), mode = orc_below(r, 8);
    *bits = mode < 4 ? 64 : mode < 6 ? 32 : 16;
    *real = mode == 7;
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (uint8_t)orc_next(r);
    if (kind == 0)
        return;
    if (kind == 1) { /* prefixes, escapes, random */
        unsigned n = orc_below(r, 6);
        for (unsigned i = 0; i < n; i++)
            bytes[i] = prefixes[orc_below(r, sizeof(prefixes))];
        if (orc_one_in(r, 2))
            bytes[n++] = 0x0f;
        return;
    }
    struct orc_code code;
    orc_encode(r, &x86_optable[number % X86_ROWS], *bits, NULL, &code);
    unsigned at = 0;
    if (kind == 2) /* more prefixes in front, up to the limit of 15 bytes and beyond */
        for (unsigned n = orc_below(r, 14); at < n;)
            bytes[at++] = prefixes[orc_below(r, sizeof(prefixes))];
    for (unsigned i = 0; at < 16 && i < code.len; at++, i++)
        bytes[at] = code.bytes[i];
    if (kind == 3)
        bytes[orc_below(r, code.len < 16 ? code.len : 16)] ^= (uint8_t)(1 << orc_below(r, 8));
}

static int one(struct compare *cmp, const char *hex, unsigned bits)
{
    uint8_t bytes[16] = {0};
    for (unsigned i = 0; i < 16 && *hex; i++) {
        while (*hex == ' ')
            hex++;
        char two[3] = {hex[0], hex[0] ? hex[1] : 0, 0};
        bytes[i] = (uint8_t)strtoul(two, NULL, 16);
        hex += hex[0] && hex[1] ? 2 : hex[0] ? 1 : 0;
    }
    struct x86_insn insn = {0};
    struct x86_decode_env env = {.mode = bits == 64 ? X86_MODE_64 : X86_MODE_PROT,
                                 .big = bits == 32};
    enum x86_decode_result r = x86_decode(&env, bytes, 15, &insn);
    printf("here: result %d", r);
    if (r == X86_DECODE_OK)
        printf(" %s [%s] length %u", x86_insn_row(&insn)->mnemonic, x86_insn_row(&insn)->encoding,
               insn.len);
    ZydisDisassembledInstruction z;
    ZyanStatus s = ZydisDisassembleIntel(bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                                         : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                                      : ZYDIS_MACHINE_MODE_LEGACY_16,
                                         0, bytes, 15, &z);
    printf("\nZydis: %s, length %u, status %u\n", ZYAN_SUCCESS(s) ? z.text : "error", z.info.length,
           ZYAN_STATUS_CODE(s));
    (void)cmp;
    return 0;
}

int main(int argc, char **argv)
{
    static struct compare cmp;
    uint64_t cases = 3000000, seed = 1;
    unsigned bits = 64;
    const char *hex = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--cases"))
            cases = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--bits"))
            bits = (unsigned)atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--bytes"))
            hex = argv[i + 1];
    }
    if (hex)
        return one(&cmp, hex, bits);
    cmp.classes = calloc(CLASSES, sizeof(*cmp.classes));
    if (!cmp.classes)
        return 2;
    ZydisDecoderInit(&cmp.decoder[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&cmp.decoder[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&cmp.decoder[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderInit(&cmp.decoder[3], ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16);
    for (uint64_t i = 0; i < cases; i++) {
        uint8_t bytes[16];
        bool real;
        make_bytes(seed, i, bytes, &bits, &real);
        compare_one(&cmp, bytes, bits, real);
    }
    printf("%" PRIu64 " cases, seed %" PRIu64 ": %" PRIu64 " agree, %" PRIu64
           " invalid for both, %" PRIu64 " differ in %u ways\n",
           cmp.cases, seed, cmp.agree, cmp.both_invalid, cmp.differ, cmp.class_count);
    for (unsigned i = 1; i < K_COUNT; i++)
        printf("  known %10" PRIu64 "  %s\n", cmp.known[i], known_why[i]);
    for (unsigned i = 0; i < cmp.class_count; i++)
        printf("DIFF %8" PRIu64 "  %s, e.g. %s\n", cmp.classes[i].count, cmp.classes[i].key,
               cmp.classes[i].example);
    free(cmp.classes);
    return cmp.differ != 0;
}
