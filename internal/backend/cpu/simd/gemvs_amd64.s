#include "textflag.h"
#include "simd_amd64.h"

// Products of quantised weights with 2 to 8 tokens, eight rows at a time. A turn takes 16 bytes of each row, which it
// transposes while they are packed: then a lane of 32 bits holds four bytes of one row, and unpacked two codes as
// int16s, so that two columns of a token are spread over eight lanes and multiplied with those of all rows. Y0 to Y7 are
// the sums of the tokens, exact in int32 up to the end of a group, where they join y as in GROUP, in the same order of
// operations.

// swapped puts the second and third byte of each lane in each other's place: then the codes that lie 16 bits apart are
// those of neighbours in x, whose even columns come first where codes have 4 bits.
DATA swapped<>+0(SB)/8, $0x0705060403010200
DATA swapped<>+8(SB)/8, $0x0f0d0e0c0b090a08
DATA swapped<>+16(SB)/8, $0x0705060403010200
DATA swapped<>+24(SB)/8, $0x0f0d0e0c0b090a08
GLOBL swapped<>(SB), RODATA|NOPTR, $32

// FOURBYTES leaves in Y10 to Y13 each four of the next 16 bytes of eight rows.
#define FOURBYTES \
	VMOVDQU      (R8), X8                   \
	VMOVDQU      (R8)(DX*1), X9             \
	VMOVDQU      (R8)(DX*2), X10            \
	VMOVDQU      (R8)(R10*1), X11           \
	VINSERTI128  $1, (R9), Y8, Y8           \
	VINSERTI128  $1, (R9)(DX*1), Y9, Y9     \
	VINSERTI128  $1, (R9)(DX*2), Y10, Y10   \
	VINSERTI128  $1, (R9)(R10*1), Y11, Y11  \
	VPUNPCKLDQ   Y9, Y8, Y12                \
	VPUNPCKHDQ   Y9, Y8, Y13                \
	VPUNPCKLDQ   Y11, Y10, Y8               \
	VPUNPCKHDQ   Y11, Y10, Y9               \
	VPUNPCKLQDQ  Y8, Y12, Y10               \
	VPUNPCKHQDQ  Y8, Y12, Y11               \
	VPUNPCKLQDQ  Y9, Y13, Y12               \
	VPUNPCKHQDQ  Y9, Y13, Y13               \
	VMOVDQU      swapped<>(SB), Y8          \
	VPSHUFB      Y8, Y10, Y10               \
	VPSHUFB      Y8, Y11, Y11               \
	VPSHUFB      Y8, Y12, Y12               \
	VPSHUFB      Y8, Y13, Y13

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

// CODES4 multiplies four bytes of each row, eight columns, and CODES8 four columns. Y15 holds 0x000f and 0x00ff.
#define CODES4(TOKENS, bytes, at) \
	VPAND  Y15, bytes, Y8  \
	TOKENS(at)             \
	VPSRLW $4, bytes, Y8   \
	VPAND  Y15, Y8, Y8     \
	TOKENS(at+32)          \
	VPSRLW $8, bytes, Y8   \
	VPAND  Y15, Y8, Y8     \
	TOKENS(at+4)           \
	VPSRLW $12, bytes, Y8  \
	TOKENS(at+36)

#define CODES8(TOKENS, bytes, at) \
	VPAND  Y15, bytes, Y8 \
	TOKENS(at)            \
	VPSRLW $8, bytes, Y8  \
	TOKENS(at+4)

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

// GROUPS are the groups of one number of tokens; a turn takes COLUMNS columns, which are SIZE bytes of x. R14 counts the
// bytes of a token's block of x down.
#define GROUPS(CODES, COLUMNS, SIZE, NEXT, TOKENS, JOINS, group, turn, block) \
group:                     \
	ZERO8                    \
	MOVQ size+88(FP), DI     \
turn:                      \
	FOURBYTES                \
	FETCHLINE(0)             \
	FETCHLINE(64)            \
	CODES(TOKENS, Y10, 0)    \
	CODES(TOKENS, Y11, NEXT) \
	CODES(TOKENS, Y12, 2*NEXT) \
	CODES(TOKENS, Y13, 3*NEXT) \
	ADDQ $16, R8             \
	ADDQ $16, R9             \
	ADDQ $128, SI            \
	ADDQ $SIZE, R11          \
	SUBQ $SIZE, R14          \
	JNZ  block               \
	MOVQ $256, R14           \
	ADDQ beyond-8(SP), R11   \
block:                     \
	SUBQ $COLUMNS, DI        \
	JNZ  turn                \
	JOINS                    \
	MOVQ tokens+96(FP), DI   \
	LEAQ (R12)(DI*4), R12    \
	LEAQ (R13)(DI*4), R13    \
	ADDQ $32, AX             \
	ADDQ $32, BX             \
	DECQ CX                  \
	JNZ  group               \
	VZEROUPPER               \
	RET

#define GEMVS(CODES, COLUMNS, SIZE, NEXT) \
	MOVQ y+0(FP), R15              \
	MOVQ w+8(FP), SI               \
	MOVQ stride+24(FP), DX         \
	MOVQ x+32(FP), R11             \
	MOVQ scale+40(FP), R12         \
	MOVQ sum+48(FP), R13           \
	MOVQ wscale+56(FP), AX         \
	MOVQ wbias+64(FP), BX          \
	MOVQ groups+80(FP), CX         \
	EIGHTROWS                      \
	LEAQ (SI)(DX*8), SI            \
	MOVQ tokens+96(FP), DI         \
	DECQ DI                        \
	SHLQ $8, DI                    \
	MOVQ DI, beyond-8(SP)          \
	VPXOR Y0, Y0, Y0               \
	MOVQ count+104(FP), R14        \
	MOVQ R15, DI                   \
clear:                           \
	VMOVDQU Y0, (DI)               \
	ADDQ $32, DI                   \
	DECQ R14                       \
	JNZ  clear                     \
	MOVQ count+104(FP), DI         \
	MOVQ $256, R14                 \
	CMPQ DI, $5                    \
	JEQ  five                      \
	JGT  more                      \
	CMPQ DI, $3                    \
	JEQ  three                     \
	JGT  four                      \
	GROUPS(CODES, COLUMNS, SIZE, NEXT, TOKENS2, JOINS2, group2, turn2, block2) \
three:                           \
	GROUPS(CODES, COLUMNS, SIZE, NEXT, TOKENS3, JOINS3, group3, turn3, block3) \
four:                            \
	GROUPS(CODES, COLUMNS, SIZE, NEXT, TOKENS4, JOINS4, group4, turn4, block4) \
five:                            \
	GROUPS(CODES, COLUMNS, SIZE, NEXT, TOKENS5, JOINS5, group5, turn5, block5) \
more:                            \
	CMPQ DI, $7                    \
	JEQ  seven                     \
	JGT  eight                     \
	GROUPS(CODES, COLUMNS, SIZE, NEXT, TOKENS6, JOINS6, group6, turn6, block6) \
seven:                           \
	GROUPS(CODES, COLUMNS, SIZE, NEXT, TOKENS7, JOINS7, group7, turn7, block7) \
eight:                           \
	GROUPS(CODES, COLUMNS, SIZE, NEXT, TOKENS8, JOINS8, group8, turn8, block8)

// func gemvs4(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, half, groups, size,
// tokens, count int)
TEXT ·gemvs4(SB), NOSPLIT, $8-112
	VPCMPEQW Y15, Y15, Y15
	VPSRLW $12, Y15, Y15
	GEMVS(CODES4, 32, 64, 8)

// func gemvs8(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, half, groups, size,
// tokens, count int)
TEXT ·gemvs8(SB), NOSPLIT, $8-112
	VPCMPEQW Y15, Y15, Y15
	VPSRLW $8, Y15, Y15
	GEMVS(CODES8, 16, 32, 8)
