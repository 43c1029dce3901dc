#include "textflag.h"
#include "simd_amd64.h"

// Products of plain weights: eight columns a turn, widened to float32, into one vector of eight sums for each row and
// token, Y(4·token+row). The lanes are added up in the same order for any number of tokens.

#define COLUMNS1 \
	VMOVUPS (R11), Y12

#define COLUMNS2 \
	COLUMNS1                 \
	VMOVUPS (R11)(BX*1), Y13

#define COLUMNS3 \
	COLUMNS2                 \
	VMOVUPS (R11)(BX*2), Y14

#define ROW1(a, b, c) \
	VFMADD231PS Y12, Y15, a

#define ROW2(a, b, c) \
	ROW1(a, b, c)           \
	VFMADD231PS Y13, Y15, b

#define ROW3(a, b, c) \
	ROW2(a, b, c)           \
	VFMADD231PS Y14, Y15, c

// FETCH2 and FETCH4, by the size of a number, bring what is ahead, at R10, to the second-level cache. Each line is
// asked for four times: asked for once or twice, a sixth of the bandwidth of memory is lost.
#define FETCH(at) \
	PREFETCHT1 at(R10)       \
	PREFETCHT1 at(R10)(DX*1) \
	PREFETCHT1 at(R10)(DX*2) \
	PREFETCHT1 at(R10)(R9*1)

#define NOFETCH
#define FETCH2 FETCH(0)
#define FETCH4 FETCH(0); FETCH(64)

// TURNS are the turns for one number of tokens.
#define TURNS(COLUMNS, ROW, LOAD, SIZE, FETCHES, turn) \
turn:                   \
	COLUMNS               \
	FETCHES               \
	LOAD((R8), Y15)       \
	ROW(Y0, Y4, Y8)       \
	LOAD((R8)(DX*1), Y15) \
	ROW(Y1, Y5, Y9)       \
	LOAD((R8)(DX*2), Y15) \
	ROW(Y2, Y6, Y10)      \
	LOAD((R8)(R9*1), Y15) \
	ROW(Y3, Y7, Y11)      \
	ADDQ $32, R11         \
	ADDQ $(8*SIZE), R8    \
	ADDQ $(8*SIZE), R10   \
	SUBQ $8, CX           \
	JNZ  turn

#define ZERO(a, b, c, d) \
	VXORPS a, a, a \
	VXORPS b, b, b \
	VXORPS c, c, c \
	VXORPS d, d, d

// SUM adds to y the sums of the lanes of four vectors, the first of which is the X register as well.
#define SUM(y, x, a, b, c, d) \
	VHADDPS b, a, a         \
	VHADDPS d, c, c         \
	VHADDPS c, a, a         \
	VEXTRACTF128 $1, a, X15 \
	VADDPS  X15, x, x       \
	VADDPS  y, x, x         \
	VMOVUPS x, y

#define DOTS(LOAD, SIZE, FETCHES) \
	MOVQ y+0(FP), DI                                  \
	MOVQ ystride+8(FP), SI                            \
	MOVQ w+16(FP), R8                                 \
	MOVQ stride+24(FP), DX                            \
	MOVQ x+32(FP), R11                                \
	MOVQ xstride+40(FP), BX                           \
	MOVQ columns+48(FP), CX                           \
	MOVQ count+56(FP), AX                             \
	MOVQ ahead+64(FP), R10                            \
	LEAQ (DX)(DX*2), R9                               \
	ADDQ R8, R10                                      \
	ZERO(Y0, Y1, Y2, Y3)                              \
	ZERO(Y4, Y5, Y6, Y7)                              \
	ZERO(Y8, Y9, Y10, Y11)                            \
	CMPQ AX, $2                                       \
	JEQ  two                                          \
	JGT  three                                        \
	TURNS(COLUMNS1, ROW1, LOAD, SIZE, FETCHES, turn1) \
	JMP  sum1                                         \
two:                                                \
	TURNS(COLUMNS2, ROW2, LOAD, SIZE, FETCHES, turn2) \
	JMP  sum2                                         \
three:                                              \
	CMPQ R10, R8                                      \
	JNE  ahead                                        \
	TURNS(COLUMNS3, ROW3, LOAD, SIZE, NOFETCH, turn3) \
	JMP  sum3                                         \
ahead:                                              \
	TURNS(COLUMNS3, ROW3, LOAD, SIZE, FETCHES, turn4) \
sum3:                                               \
	SUM((DI)(SI*2), X8, Y8, Y9, Y10, Y11)             \
sum2:                                               \
	SUM((DI)(SI*1), X4, Y4, Y5, Y6, Y7)               \
sum1:                                               \
	SUM((DI), X0, Y0, Y1, Y2, Y3)                     \
	VZEROUPPER                                        \
	RET

// func dotsF32(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsF32(SB), NOSPLIT, $0-72
	DOTS(LOADF32, 4, FETCH4)

// func dotsF16(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsF16(SB), NOSPLIT, $0-72
	DOTS(LOADF16, 2, FETCH2)

// func dotsBF16(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsBF16(SB), NOSPLIT, $0-72
	DOTS(LOADBF16, 2, FETCH2)

#define WIDEN(LOAD) \
turn:                     \
	LOAD((SI), Y0)          \
	VMOVUPS Y0, (DI)        \
	ADDQ $16, SI            \
	ADDQ $32, DI            \
	SUBQ $8, CX             \
	JNZ  turn               \
	VZEROUPPER              \
	RET

// func widenF16(dst *float32, src *byte, n int)
TEXT ·widenF16(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	WIDEN(LOADF16)

// func widenBF16(dst *float32, src *byte, n int)
TEXT ·widenBF16(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	WIDEN(LOADBF16)
