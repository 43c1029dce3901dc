#include "textflag.h"
#include "simd_amd64.h"

// Products of quantised weights with 2 to 8 tokens, eight rows at a time. A turn takes 16 bytes of each row, which it
// transposes while they are packed: then a lane of 32 bits holds four bytes of one row, and unpacked two codes as
// int16s, so that two columns of a token are spread over eight lanes and multiplied with those of all rows. Y0 to Y7 are
// the sums of the tokens, exact in int32 up to the end of a group, where they join y as in GROUP, in the same order of
// operations.

// FOURBYTES leaves in Y10 to Y13 each four of 16 bytes of eight rows, at bytes behind R8 and R9.
#define FOURBYTES(at) \
	VMOVDQU      at(R8), X8                   \
	VMOVDQU      at(R8)(DX*1), X9             \
	VMOVDQU      at(R8)(DX*2), X10            \
	VMOVDQU      at(R8)(R10*1), X11           \
	VINSERTI128  $1, at(R9), Y8, Y8           \
	VINSERTI128  $1, at(R9)(DX*1), Y9, Y9     \
	VINSERTI128  $1, at(R9)(DX*2), Y10, Y10   \
	VINSERTI128  $1, at(R9)(R10*1), Y11, Y11  \
	VPUNPCKLDQ   Y9, Y8, Y12                \
	VPUNPCKHDQ   Y9, Y8, Y13                \
	VPUNPCKLDQ   Y11, Y10, Y8               \
	VPUNPCKHDQ   Y11, Y10, Y9               \
	VPUNPCKLQDQ  Y8, Y12, Y10               \
	VPUNPCKHQDQ  Y8, Y12, Y11               \
	VPUNPCKLQDQ  Y9, Y13, Y12               \
	VPUNPCKHQDQ  Y9, Y13, Y13

// TOKEN adds to sum the products of the codes in Y8 with two columns of a token, at bytes behind R11.
#define TOKEN(at, sum) \
	VPBROADCASTD (at)(R11), Y9 \
	VPMADDWD     Y8, Y9, Y9    \
	VPADDD       Y9, sum, sum

#define TOKENS2(at) TOKEN(at, Y0); TOKEN(at+256, Y1)
#define TOKENS3(at) TOKENS2(at); TOKEN(at+512, Y2)
#define TOKENS4(at) TOKENS3(at); TOKEN(at+768, Y3)
#define TOKENS5(at) TOKENS4(at); TOKEN(at+1024, Y4)
#define TOKENS6(at) TOKENS5(at); TOKEN(at+1280, Y5)
#define TOKENS7(at) TOKENS6(at); TOKEN(at+1536, Y6)
#define TOKENS8(at) TOKENS7(at); TOKEN(at+1792, Y7)

// CODES4 multiplies four bytes of each row, eight columns. What lies 16 bits apart is every fourth column, which are
// neighbours in x. Y15 holds 0x000f.
#define CODES4(TOKENS, bytes, at) \
	VPAND  Y15, bytes, Y8 \
	TOKENS(at)            \
	VPSRLW $4, bytes, Y8  \
	VPAND  Y15, Y8, Y8    \
	TOKENS(at+32)         \
	VPSRLW $8, bytes, Y8  \
	VPAND  Y15, Y8, Y8    \
	TOKENS(at+4)          \
	VPSRLW $12, bytes, Y8 \
	TOKENS(at+36)

// CODES8 multiplies four columns. Y15 holds 0x00ff.
#define CODES8(TOKENS, bytes, at) \
	VPAND  Y15, bytes, Y8 \
	TOKENS(at)            \
	VPSRLW $8, bytes, Y8  \
	TOKENS(at+32)

// NEXTLINES brings what is two lines behind each row to the first-level cache, from the second, where FETCHLINE put it:
// a turn is longer than what a processor looks ahead.
#define NEXTLINES \
	PREFETCHT0 128(R8)        \
	PREFETCHT0 128(R8)(DX*1)  \
	PREFETCHT0 128(R8)(DX*2)  \
	PREFETCHT0 128(R8)(R10*1) \
	PREFETCHT0 128(R9)        \
	PREFETCHT0 128(R9)(DX*1)  \
	PREFETCHT0 128(R9)(DX*2)  \
	PREFETCHT0 128(R9)(R10*1)

// COLUMNS4 and COLUMNS8 multiply 32 columns.
#define COLUMNS4(TOKENS) \
	FOURBYTES(0)            \
	FETCHLINE(0)            \
	FETCHLINE(64)           \
	NEXTLINES               \
	CODES4(TOKENS, Y10, 0)  \
	CODES4(TOKENS, Y11, 8)  \
	CODES4(TOKENS, Y12, 16) \
	CODES4(TOKENS, Y13, 24) \
	ADDQ $16, R8            \
	ADDQ $16, R9            \
	ADDQ $128, SI

#define COLUMNS8(TOKENS) \
	FOURBYTES(0)            \
	FETCHLINE(0)            \
	FETCHLINE(64)           \
	NEXTLINES               \
	CODES8(TOKENS, Y10, 0)  \
	CODES8(TOKENS, Y11, 4)  \
	CODES8(TOKENS, Y12, 8)  \
	CODES8(TOKENS, Y13, 12) \
	FOURBYTES(16)           \
	FETCHLINE(128)          \
	FETCHLINE(192)          \
	CODES8(TOKENS, Y10, 16) \
	CODES8(TOKENS, Y11, 20) \
	CODES8(TOKENS, Y12, 24) \
	CODES8(TOKENS, Y13, 28) \
	ADDQ $32, R8            \
	ADDQ $32, R9            \
	ADDQ $256, SI

// JOIN adds a token's sums of a group to y, which is at R15.
#define JOIN(token, sum) \
	VCVTDQ2PS    sum, sum          \
	VBROADCASTSS (4*token)(R12), Y9  \
	VBROADCASTSS (4*token)(R13), Y10 \
	VMULPS       (AX), Y9, Y9      \
	VMOVUPS      (32*token)(R15), Y11 \
	VFMADD231PS  Y9, sum, Y11      \
	VFMADD231PS  (BX), Y10, Y11    \
	VMOVUPS      Y11, (32*token)(R15)

#define JOINS2 JOIN(0, Y0); JOIN(1, Y1)
#define JOINS3 JOINS2; JOIN(2, Y2)
#define JOINS4 JOINS3; JOIN(3, Y3)
#define JOINS5 JOINS4; JOIN(4, Y4)
#define JOINS6 JOINS5; JOIN(5, Y5)
#define JOINS7 JOINS6; JOIN(6, Y6)
#define JOINS8 JOINS7; JOIN(7, Y7)

// GROUPS are the groups of one number of tokens. R14 counts the 32 columns that are left of a token's block of x.
#define GROUPS(COLUMNS, TOKENS, JOINS, group, turn, inside) \
group:                   \
	ZERO8                  \
	MOVQ size+88(FP), DI   \
	PCALIGN $64            \
turn:                    \
	COLUMNS(TOKENS)        \
	ADDQ $64, R11          \
	DECQ R14               \
	JNZ  inside            \
	MOVQ $4, R14           \
	ADDQ others-8(SP), R11 \
inside:                  \
	SUBQ $32, DI           \
	JNZ  turn              \
	JOINS                  \
	MOVQ count+96(FP), DI  \
	LEAQ (R12)(DI*4), R12  \
	LEAQ (R13)(DI*4), R13  \
	ADDQ $32, AX           \
	ADDQ $32, BX           \
	DECQ CX                \
	JNZ  group             \
	VZEROUPPER             \
	RET

// GEMVS keeps in others-8(SP) how many bytes of a block are other tokens'.
#define GEMVS(COLUMNS) \
	MOVQ y+0(FP), R15      \
	MOVQ w+8(FP), SI       \
	MOVQ stride+24(FP), DX \
	MOVQ x+32(FP), R11     \
	MOVQ scale+40(FP), R12 \
	MOVQ sum+48(FP), R13   \
	MOVQ wscale+56(FP), AX \
	MOVQ wbias+64(FP), BX  \
	MOVQ groups+80(FP), CX \
	EIGHTROWS              \
	LEAQ (SI)(DX*8), SI    \
	MOVQ count+96(FP), DI  \
	DECQ DI                \
	SHLQ $8, DI            \
	MOVQ DI, others-8(SP)  \
	VPXOR Y0, Y0, Y0       \
	MOVQ count+96(FP), R14 \
	MOVQ R15, DI           \
clear:                   \
	VMOVDQU Y0, (DI)       \
	ADDQ $32, DI           \
	DECQ R14               \
	JNZ  clear             \
	MOVQ count+96(FP), DI  \
	MOVQ $4, R14           \
	FEWTOKENS              \
	GROUPS(COLUMNS, TOKENS2, JOINS2, group2, turn2, inside2) \
three:                   \
	GROUPS(COLUMNS, TOKENS3, JOINS3, group3, turn3, inside3) \
four:                    \
	GROUPS(COLUMNS, TOKENS4, JOINS4, group4, turn4, inside4) \
five:                    \
	GROUPS(COLUMNS, TOKENS5, JOINS5, group5, turn5, inside5) \
more:                    \
	MORETOKENS             \
	GROUPS(COLUMNS, TOKENS6, JOINS6, group6, turn6, inside6) \
seven:                   \
	GROUPS(COLUMNS, TOKENS7, JOINS7, group7, turn7, inside7) \
eight:                   \
	GROUPS(COLUMNS, TOKENS8, JOINS8, group8, turn8, inside8)

// func gemvs4(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, half, groups, size,
// count int)
TEXT ·gemvs4(SB), NOSPLIT, $8-104
	VPCMPEQW Y15, Y15, Y15
	VPSRLW $12, Y15, Y15
	GEMVS(COLUMNS4)

// func gemvs8(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, half, groups, size,
// count int)
TEXT ·gemvs8(SB), NOSPLIT, $8-104
	VPCMPEQW Y15, Y15, Y15
	VPSRLW $8, Y15, Y15
	GEMVS(COLUMNS8)
