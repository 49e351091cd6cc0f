/* SPDX-License-Identifier: Apache-2.0 */
/* Which instructions are translated, and how: by handler for the integer ones, by operands for
 * those on XMM registers. All others are executed by their handlers. */
#include <string.h>

#include "cpu/jit/jit_internal.h"
#include "cpu/x86/model.h"

enum { R = JIT_READ, W = JIT_WRITE, RW = JIT_READ | JIT_WRITE };

static const struct entry {
    uint16_t handler;
    uint8_t kind, rm, reg;
} integers[] = {
    {X86_H_add_EG, JIT_SAME, RW, R},      {X86_H_add_GE, JIT_SAME, R, RW},
    {X86_H_add_EI, JIT_SAME, RW, 0},      {X86_H_or_EG, JIT_SAME, RW, R},
    {X86_H_or_GE, JIT_SAME, R, RW},       {X86_H_or_EI, JIT_SAME, RW, 0},
    {X86_H_adc_EG, JIT_SAME, RW, R},      {X86_H_adc_GE, JIT_SAME, R, RW},
    {X86_H_adc_EI, JIT_SAME, RW, 0},      {X86_H_sbb_EG, JIT_SAME, RW, R},
    {X86_H_sbb_GE, JIT_SAME, R, RW},      {X86_H_sbb_EI, JIT_SAME, RW, 0},
    {X86_H_and_EG, JIT_SAME, RW, R},      {X86_H_and_GE, JIT_SAME, R, RW},
    {X86_H_and_EI, JIT_SAME, RW, 0},      {X86_H_sub_EG, JIT_SAME, RW, R},
    {X86_H_sub_GE, JIT_SAME, R, RW},      {X86_H_sub_EI, JIT_SAME, RW, 0},
    {X86_H_xor_EG, JIT_SAME, RW, R},      {X86_H_xor_GE, JIT_SAME, R, RW},
    {X86_H_xor_EI, JIT_SAME, RW, 0},      {X86_H_cmp_EG, JIT_SAME, R, R},
    {X86_H_cmp_GE, JIT_SAME, R, R},       {X86_H_cmp_EI, JIT_SAME, R, 0},
    {X86_H_test_EG, JIT_SAME, R, R},      {X86_H_test_EI, JIT_SAME, R, 0},
    {X86_H_not_E, JIT_SAME, RW, 0},       {X86_H_neg_E, JIT_SAME, RW, 0},
    {X86_H_inc_E, JIT_SAME, RW, 0},       {X86_H_dec_E, JIT_SAME, RW, 0},
    {X86_H_mul, JIT_SAME, R, 0},          {X86_H_imul1, JIT_SAME, R, 0},
    {X86_H_imul_GE, JIT_SAME, R, RW},     {X86_H_imul_GEI, JIT_SAME, R, W},
    {X86_H_div, JIT_DIV, R, 0},           {X86_H_idiv, JIT_IDIV, R, 0},
    {X86_H_rol_EI, JIT_SAME, RW, 0},      {X86_H_rol_E1, JIT_SAME, RW, 0},
    {X86_H_rol_EC, JIT_SAME, RW, 0},      {X86_H_ror_EI, JIT_SAME, RW, 0},
    {X86_H_ror_E1, JIT_SAME, RW, 0},      {X86_H_ror_EC, JIT_SAME, RW, 0},
    {X86_H_rcl_EI, JIT_SAME, RW, 0},      {X86_H_rcl_E1, JIT_SAME, RW, 0},
    {X86_H_rcl_EC, JIT_SAME, RW, 0},      {X86_H_rcr_EI, JIT_SAME, RW, 0},
    {X86_H_rcr_E1, JIT_SAME, RW, 0},      {X86_H_rcr_EC, JIT_SAME, RW, 0},
    {X86_H_shl_EI, JIT_SAME, RW, 0},      {X86_H_shl_E1, JIT_SAME, RW, 0},
    {X86_H_shl_EC, JIT_SAME, RW, 0},      {X86_H_shr_EI, JIT_SAME, RW, 0},
    {X86_H_shr_E1, JIT_SAME, RW, 0},      {X86_H_shr_EC, JIT_SAME, RW, 0},
    {X86_H_sar_EI, JIT_SAME, RW, 0},      {X86_H_sar_E1, JIT_SAME, RW, 0},
    {X86_H_sar_EC, JIT_SAME, RW, 0},      {X86_H_shld_I, JIT_SAME, RW, R},
    {X86_H_shld_C, JIT_SAME, RW, R},      {X86_H_shrd_I, JIT_SAME, RW, R},
    {X86_H_shrd_C, JIT_SAME, RW, R},      {X86_H_bt_EG, JIT_SAME, R, R},
    {X86_H_bt_EI, JIT_SAME, R, 0},        {X86_H_bts_EG, JIT_SAME, RW, R},
    {X86_H_bts_EI, JIT_SAME, RW, 0},      {X86_H_btr_EG, JIT_SAME, RW, R},
    {X86_H_btr_EI, JIT_SAME, RW, 0},      {X86_H_btc_EG, JIT_SAME, RW, R},
    {X86_H_btc_EI, JIT_SAME, RW, 0},      {X86_H_bsf, JIT_SAME, R, RW},
    {X86_H_bsr, JIT_SAME, R, RW},         {X86_H_tzcnt, JIT_SAME, R, W},
    {X86_H_lzcnt, JIT_SAME, R, W},        {X86_H_popcnt, JIT_SAME, R, W},
    {X86_H_crc32_b, JIT_SAME, R, RW},     {X86_H_crc32_v, JIT_SAME, R, RW},
    {X86_H_adcx, JIT_SAME, R, RW},        {X86_H_adox, JIT_SAME, R, RW},
    {X86_H_movbe_GM, JIT_SAME, R, W},     {X86_H_movbe_MG, JIT_SAME, W, R},
    {X86_H_mov_EG, JIT_SAME, W, R},       {X86_H_mov_GE, JIT_SAME, R, W},
    {X86_H_mov_EI, JIT_SAME, W, 0},       {X86_H_movzx_b, JIT_SAME, R, W},
    {X86_H_movzx_w, JIT_SAME, R, W},      {X86_H_movsx_b, JIT_SAME, R, W},
    {X86_H_movsx_w, JIT_SAME, R, W},      {X86_H_movsxd, JIT_SAME, R, W},
    {X86_H_movnti, JIT_SAME, W, R},       {X86_H_xchg_EG, JIT_SAME, RW, RW},
    {X86_H_cmpxchg, JIT_SAME, RW, R},     {X86_H_xadd, JIT_SAME, RW, RW},
    {X86_H_cmov, JIT_SAME, R, RW},        {X86_H_setcc, JIT_SAME, W, 0},
    {X86_H_cbw, JIT_SAME, 0, 0},          {X86_H_cwd, JIT_SAME, 0, 0},
    {X86_H_cmc, JIT_SAME, 0, 0},          {X86_H_clc, JIT_SAME, 0, 0},
    {X86_H_stc, JIT_SAME, 0, 0},          {X86_H_nop, JIT_NOTHING, 0, 0},
    {X86_H_lea, JIT_LEA, 0, W},           {X86_H_bswap, JIT_BSWAP, 0, 0},
    {X86_H_xchg_ZA, JIT_XCHG_A, 0, 0},    {X86_H_push_E, JIT_PUSH, 0, 0},
    {X86_H_push_I, JIT_PUSH_IMM, 0, 0},   {X86_H_pop_E, JIT_POP, 0, 0},
    {X86_H_leave, JIT_LEAVE_FRAME, 0, 0}, {X86_H_jcc, JIT_JCC, 0, 0},
    {X86_H_jmp_J, JIT_JMP, 0, 0},         {X86_H_call_J, JIT_CALL, 0, 0},
    {X86_H_jmp_E, JIT_JMP_TO, R, 0},      {X86_H_call_E, JIT_CALL_TO, R, 0},
    {X86_H_ret, JIT_RET, 0, 0},           {X86_H_ret_I, JIT_RET, 0, 0},
};

/* Bytes of an operand by its code without the letter of its kind; 0: not one that is translated. */
static uint8_t size_of(const char *code)
{
    static const struct {
        char code[4];
        uint8_t size;
    } sizes[] = {{"b", 1},   {"w", 2},          {"d", 4},         {"q", 8},  {"dq", 16},
                 {"ps", 16}, {"pd", 16},        {"ss", 4},        {"sd", 8}, {"dMb", 1},
                 {"dMw", 2}, {"v", JIT_SIZE_V}, {"y", JIT_SIZE_Y}};

    for (unsigned i = 0; i < array_size(sizes); i++)
        if (strcmp(code, sizes[i].code) == 0)
            return sizes[i].size;
    return 0;
}

/* Classes and sizes of the ModRM operands. False: there is one that is not translated. */
static bool read_operands(const struct x86_row *row, struct jit_row *ret)
{
    for (unsigned n = 0; n < X86_ROW_OPERANDS && row->operands[n]; n++) {
        const char *name = x86_operand_names[row->operands[n]];
        uint8_t size = size_of(name + 1), access = n ? R : W;
        switch (name[0]) {
        case 'G':
        case 'V':
            ret->reg = name[0] == 'G' ? JIT_GPR : JIT_VECTOR;
            ret->reg_size = size;
            ret->reg_access = access;
            break;
        case 'E':
        case 'R':
        case 'M':
        case 'W':
        case 'U':
            ret->rm = name[0] == 'W' || name[0] == 'U' ? JIT_VECTOR : JIT_GPR;
            ret->rm_size = size;
            ret->rm_dword = name[0] == 'R';
            ret->rm_access = access;
            break;
        case 'I':
            size = 1;
            break;
        default:
            return false;
        }
        if (!size)
            return false;
    }
    return true;
}

static const struct entry *find_integer(unsigned handler)
{
    for (unsigned i = 0; i < array_size(integers); i++)
        if (integers[i].handler == handler)
            return &integers[i];
    return NULL;
}

static void integer_row(const struct x86_row *row, const struct entry *e, struct jit_row *ret)
{
    read_operands(row, ret);
    ret->kind = row->plus_r && e->handler == X86_H_mov_EI ? JIT_MOV_IMM : e->kind;
    ret->rm_access = e->rm;
    ret->reg_access = e->reg;
}

/* SSE to SSE4.2, AES and PCLMULQDQ, as far as they know XMM and general registers alone. */
static bool vector_row(const struct x86_row *row, struct jit_row *ret)
{
    if (row->handler == X86_H_sse_maskmovdqu || !row->has_modrm || !read_operands(row, ret) ||
        (ret->rm != JIT_VECTOR && ret->reg != JIT_VECTOR))
        return false;
    ret->kind = JIT_SAME;
    ret->vectors = true;
    ret->aligned = ret->rm_size == 16 && row->handler != X86_H_sse_load_u &&
                   row->handler != X86_H_sse_store_u && row->handler != X86_H_sse_pcmpestri &&
                   row->handler != X86_H_sse_pcmpestrm && row->handler != X86_H_sse_pcmpistri &&
                   row->handler != X86_H_sse_pcmpistrm;
    return true;
}

static bool vector_feature(unsigned feature)
{
    static const uint16_t known[] = {
        X86_FEATURE(X86_W_1_EDX, 25), X86_FEATURE(X86_W_1_EDX, 26), X86_FEATURE(X86_W_1_ECX, 0),
        X86_FEATURE(X86_W_1_ECX, 1),  X86_FEATURE(X86_W_1_ECX, 9),  X86_FEATURE(X86_W_1_ECX, 19),
        X86_FEATURE(X86_W_1_ECX, 20), X86_FEATURE(X86_W_1_ECX, 25),
    };

    for (unsigned i = 0; i < array_size(known); i++)
        if (known[i] == feature)
            return true;
    return false;
}

/* Instructions on bits leave the flags that they do not define as they were, here and there. */
static bool leaves_others(unsigned handler)
{
    switch (handler) {
    case X86_H_bt_EG:
    case X86_H_bt_EI:
    case X86_H_bts_EG:
    case X86_H_bts_EI:
    case X86_H_btr_EG:
    case X86_H_btr_EI:
    case X86_H_btc_EG:
    case X86_H_btc_EI:
    case X86_H_bsf:
    case X86_H_bsr:
    case X86_H_tzcnt:
    case X86_H_lzcnt:
        return true;
    default:
        return false;
    }
}

void jit_rows_init(struct jit *j)
{
    for (unsigned n = 0; n < X86_ROWS; n++) {
        const struct x86_row *row = &x86_optable[n];
        const struct entry *e = find_integer(row->handler);
        struct jit_row r = {0};
        bool here = row->feature == X86_FEAT_ALWAYS ||
                    (j->host_features[row->feature / 32] >> row->feature % 32 & 1);
        if (x86_row_is_vex(row))
            here = false;
        if (here && e)
            integer_row(row, e, &r);
        else if (!here || !vector_feature(row->feature) || !vector_row(row, &r))
            r = (struct jit_row){0};
        r.reads = row->fr & X86_ARITH;
        r.writes = (row->fw | (leaves_others(row->handler) ? 0 : row->fu)) & X86_ARITH;
        r.af_unknown = row->fu & X86_AF & r.writes;
        j->rows[n] = r;
    }
}
