#include "textflag.h"
#include "simd_amd64.h"

// The GEMVs of gemvs_amd64.s with VNNI: 16 rows at a time, and digits of x as in quantised_avx512_amd64.s. A lane of 32
// bits holds four bytes of one row: one VPDPBUSD multiplies them with four columns of a token. Z0 to Z7 are the sums of
// the high digits, Z8 to Z15 those of the low ones.

// SIXTEEN loads 16 bytes of four rows, one of each four.
#define SIXTEEN(a, b, c, d, x, z) \
	VMOVDQU32    a, x        \
	VINSERTI32X4 $1, b, z, z \
	VINSERTI32X4 $2, c, z, z \
	VINSERTI32X4 $3, d, z, z

// FOURBYTES leaves in Z16 to Z19 each four of 16 bytes of 16 rows, at bytes behind those of R8, R9, R14 and R15, which
// are the rows 0, 4, 8 and 12.
#define FOURBYTES(at) \
	SIXTEEN(at(R8), at(R9), at(R14), at(R15), X16, Z16)                                 \
	SIXTEEN(at(R8)(DX*1), at(R9)(DX*1), at(R14)(DX*1), at(R15)(DX*1), X17, Z17)         \
	SIXTEEN(at(R8)(DX*2), at(R9)(DX*2), at(R14)(DX*2), at(R15)(DX*2), X18, Z18)         \
	SIXTEEN(at(R8)(R10*1), at(R9)(R10*1), at(R14)(R10*1), at(R15)(R10*1), X19, Z19)     \
	VPUNPCKLDQ   Z17, Z16, Z20 \
	VPUNPCKHDQ   Z17, Z16, Z21 \
	VPUNPCKLDQ   Z19, Z18, Z22 \
	VPUNPCKHDQ   Z19, Z18, Z23 \
	VPUNPCKLQDQ  Z22, Z20, Z16 \
	VPUNPCKHQDQ  Z22, Z20, Z17 \
	VPUNPCKLQDQ  Z23, Z21, Z18 \
	VPUNPCKHQDQ  Z23, Z21, Z19

// TOKEN adds the products of the codes in Z20 with four columns of a token: h lies at bytes behind its part of the
// block at R11, l 128 further.
#define TOKEN(token, at, high, low) \
	VPDPBUSD.BCST (256*token+at)(R11), Z20, high     \
	VPDPBUSD.BCST (256*token+128+at)(R11), Z20, low

#define TOKENS2(at) TOKEN(0, at, Z0, Z8); TOKEN(1, at, Z1, Z9)
#define TOKENS3(at) TOKENS2(at); TOKEN(2, at, Z2, Z10)
#define TOKENS4(at) TOKENS3(at); TOKEN(3, at, Z3, Z11)
#define TOKENS5(at) TOKENS4(at); TOKEN(4, at, Z4, Z12)
#define TOKENS6(at) TOKENS5(at); TOKEN(5, at, Z5, Z13)
#define TOKENS7(at) TOKENS6(at); TOKEN(6, at, Z6, Z14)
#define TOKENS8(at) TOKENS7(at); TOKEN(7, at, Z7, Z15)

// CODES4 multiplies eight columns, even ones first, and CODES8 four. Z31 holds bytes of 15.
#define CODES4(TOKENS, bytes, at) \
	VPANDD Z31, bytes, Z20 \
	TOKENS(at)             \
	VPSRLW $4, bytes, Z20  \
	VPANDD Z31, Z20, Z20   \
	TOKENS(at+64)

#define CODES8(TOKENS, bytes, at) \
	VMOVDQA32 bytes, Z20 \
	TOKENS(at)

// COLUMNS4 and COLUMNS8 multiply 32 columns.
#define COLUMNS4(TOKENS) \
	FOURBYTES(0)            \
	FETCHLINE(0)            \
	FETCHLINE(64)           \
	CODES4(TOKENS, Z16, 0)  \
	CODES4(TOKENS, Z17, 4)  \
	FETCHLINE(128)          \
	FETCHLINE(192)          \
	CODES4(TOKENS, Z18, 8)  \
	CODES4(TOKENS, Z19, 12) \
	ADDQ $256, SI

#define COLUMNS8(TOKENS) \
	FOURBYTES(0)            \
	FETCHLINE(0)            \
	FETCHLINE(64)           \
	CODES8(TOKENS, Z16, 0)  \
	CODES8(TOKENS, Z17, 4)  \
	FETCHLINE(128)          \
	FETCHLINE(192)          \
	CODES8(TOKENS, Z18, 8)  \
	CODES8(TOKENS, Z19, 12) \
	FOURBYTES(16)           \
	FETCHLINE(256)          \
	FETCHLINE(320)          \
	CODES8(TOKENS, Z16, 64) \
	CODES8(TOKENS, Z17, 68) \
	FETCHLINE(384)          \
	FETCHLINE(448)          \
	CODES8(TOKENS, Z18, 72) \
	CODES8(TOKENS, Z19, 76) \
	ADDQ $512, SI

// JOIN adds a token's sums of a group to y, which is at DI, as PART of quantised_avx512_amd64.s does. Z24 and Z25 are the
// weight scales and biases.
#define JOIN(token, high, low) \
	VPSLLD           $8, high, high              \
	VPADDD           low, high, high             \
	VCVTDQ2PS        high, high                  \
	VMULPS.BCST      (4*token)(R12), Z24, Z20    \
	VMOVUPS          (64*token)(DI), Z21         \
	VFMADD231PS      Z20, high, Z21              \
	VFMADD231PS.BCST (4*token)(R13), Z25, Z21    \
	VMOVUPS          Z21, (64*token)(DI)

#define JOINS2 JOIN(0, Z0, Z8); JOIN(1, Z1, Z9)
#define JOINS3 JOINS2; JOIN(2, Z2, Z10)
#define JOINS4 JOINS3; JOIN(3, Z3, Z11)
#define JOINS5 JOINS4; JOIN(4, Z4, Z12)
#define JOINS6 JOINS5; JOIN(5, Z5, Z13)
#define JOINS7 JOINS6; JOIN(6, Z6, Z14)
#define JOINS8 JOINS7; JOIN(7, Z7, Z15)

#define ZERO(high, low) \
	VPXORD high, high, high \
	VPXORD low, low, low

// GROUPS are the groups of one number of tokens. A turn is 32 columns, SIZE bytes of each row; left-16(SP) counts those
// of a token's block of x down.
#define GROUPS(COLUMNS, SIZE, TOKENS, JOINS, group, turn, inside) \
group:                    \
	ZERO(Z0, Z8)            \
	ZERO(Z1, Z9)            \
	ZERO(Z2, Z10)           \
	ZERO(Z3, Z11)           \
	ZERO(Z4, Z12)           \
	ZERO(Z5, Z13)           \
	ZERO(Z6, Z14)           \
	ZERO(Z7, Z15)           \
	MOVQ size+88(FP), DI    \
	PCALIGN $64             \
turn:                     \
	COLUMNS(TOKENS)         \
	ADDQ $SIZE, R8          \
	ADDQ $SIZE, R9          \
	ADDQ $SIZE, R14         \
	ADDQ $SIZE, R15         \
	ADDQ $16, R11           \
	DECQ left-16(SP)        \
	JNZ  inside             \
	MOVQ $4, left-16(SP)    \
	ADDQ others-8(SP), R11  \
inside:                   \
	SUBQ $32, DI            \
	JNZ  turn               \
	MOVQ y+0(FP), DI        \
	VMOVUPS (AX), Y24       \
	VMOVUPS (BX), Y25       \
	ADDQ half+72(FP), AX    \
	ADDQ half+72(FP), BX    \
	VINSERTF64X4 $1, (AX), Z24, Z24 \
	VINSERTF64X4 $1, (BX), Z25, Z25 \
	SUBQ half+72(FP), AX    \
	SUBQ half+72(FP), BX    \
	JOINS                   \
	MOVQ count+96(FP), DI  \
	LEAQ (R12)(DI*4), R12   \
	LEAQ (R13)(DI*4), R13   \
	ADDQ $32, AX            \
	ADDQ $32, BX            \
	DECQ CX                 \
	JNZ  group              \
	VZEROUPPER              \
	RET

// GEMVS keeps in others-8(SP) the bytes from the end of a token's part of one block to the next.
#define GEMVS(COLUMNS, SIZE) \
	MOVQ y+0(FP), DI           \
	MOVQ stride+24(FP), DX     \
	MOVQ second+16(FP), SI     \
	LEAQ (SI)(DX*4), R15       \
	MOVQ SI, R14               \
	MOVQ w+8(FP), SI           \
	EIGHTROWS                  \
	LEAQ (R14)(DX*8), SI       \
	MOVQ x+32(FP), R11         \
	MOVQ scale+40(FP), R12     \
	MOVQ sum+48(FP), R13       \
	MOVQ wscale+56(FP), AX     \
	MOVQ wbias+64(FP), BX      \
	MOVL $0x0f0f0f0f, CX       \
	VPBROADCASTD CX, Z31       \
	MOVQ count+96(FP), CX      \
	VPXORD Z0, Z0, Z0          \
clear:                       \
	VMOVUPS Z0, (DI)           \
	ADDQ $64, DI               \
	DECQ CX                    \
	JNZ  clear                 \
	MOVQ groups+80(FP), CX     \
	MOVQ count+96(FP), DI      \
	SHLQ $8, DI                \
	SUBQ $64, DI               \
	MOVQ DI, others-8(SP)      \
	MOVQ $4, left-16(SP)       \
	MOVQ count+96(FP), DI      \
	FEWTOKENS                  \
	GROUPS(COLUMNS, SIZE, TOKENS2, JOINS2, group2, turn2, inside2) \
three:                       \
	GROUPS(COLUMNS, SIZE, TOKENS3, JOINS3, group3, turn3, inside3) \
four:                        \
	GROUPS(COLUMNS, SIZE, TOKENS4, JOINS4, group4, turn4, inside4) \
five:                        \
	GROUPS(COLUMNS, SIZE, TOKENS5, JOINS5, group5, turn5, inside5) \
more:                        \
	MORETOKENS                 \
	GROUPS(COLUMNS, SIZE, TOKENS6, JOINS6, group6, turn6, inside6) \
seven:                       \
	GROUPS(COLUMNS, SIZE, TOKENS7, JOINS7, group7, turn7, inside7) \
eight:                       \
	GROUPS(COLUMNS, SIZE, TOKENS8, JOINS8, group8, turn8, inside8)

// func gemvs4VNNI(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, half, groups,
// size, count int)
TEXT ·gemvs4VNNI(SB), NOSPLIT, $16-104
	GEMVS(COLUMNS4, 16)

// func gemvs8VNNI(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, half, groups,
// size, count int)
TEXT ·gemvs8VNNI(SB), NOSPLIT, $16-104
	GEMVS(COLUMNS8, 32)
