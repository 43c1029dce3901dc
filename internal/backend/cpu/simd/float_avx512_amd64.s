#include "textflag.h"
#include "simd_amd64.h"

// Products of plain weights: 16 columns of four rows a turn, widened to float32 in Z24 to Z27, and those of each token
// in Z28; Z(4·token+row) are the vectors of sums. The last eight columns, if left over, are a turn of half vectors.
// The lanes are added up in the same order for any number of tokens.

#define ROWS(LOAD, a, b, c, d) \
	LOAD((R8), a)       \
	LOAD((R8)(DX*1), b) \
	LOAD((R8)(DX*2), c) \
	LOAD((R8)(R9*1), d)

#define TOKEN(from, x, a, b, c, d) \
	VMOVUPS     from, x     \
	VFMADD231PS Z24, Z28, a \
	VFMADD231PS Z25, Z28, b \
	VFMADD231PS Z26, Z28, c \
	VFMADD231PS Z27, Z28, d

#define TOKENS1(x) TOKEN((R11), x, Z0, Z1, Z2, Z3)
#define TOKENS2(x) TOKENS1(x); TOKEN((R11)(BX*1), x, Z4, Z5, Z6, Z7)
#define TOKENS3(x) TOKENS2(x); TOKEN((R11)(BX*2), x, Z8, Z9, Z10, Z11)
#define TOKENS4(x) TOKENS3(x); TOKEN((R11)(R12*1), x, Z12, Z13, Z14, Z15)
#define TOKENS5(x) TOKENS4(x); TOKEN((R11)(BX*4), x, Z16, Z17, Z18, Z19)
#define TOKENS6(x) TOKENS5(x); TOKEN((R11)(R13*1), x, Z20, Z21, Z22, Z23)

// FETCH2 and FETCH4, by the size of a number, bring what is ahead, at R14, to the second-level cache. Each line is
// asked for four times: asked for once or twice, a sixth of the bandwidth of memory is lost.
#define FETCH(at) \
	PREFETCHT1 at(R14)       \
	PREFETCHT1 at(R14)(DX*1) \
	PREFETCHT1 at(R14)(DX*2) \
	PREFETCHT1 at(R14)(R9*1)

#define FETCH2 FETCH(0); FETCH(64)
#define FETCH4 FETCH(0); FETCH(64); FETCH(128); FETCH(192)

// TURNS are the turns for one number of tokens.
#define TURNS(TOKENS, LOAD, SIZE, FETCHES, turn, tail, sum) \
	SUBQ $16, CX                   \
	JLT  tail                      \
turn:                            \
	ROWS(LOAD, Z24, Z25, Z26, Z27) \
	FETCHES                        \
	TOKENS(Z28)                    \
	ADDQ $64, R11                  \
	ADDQ $(16*SIZE), R8            \
	ADDQ $(16*SIZE), R14           \
	SUBQ $16, CX                   \
	JGE  turn                      \
tail:                            \
	CMPQ CX, $-8                   \
	JNE  sum                       \
	ROWS(LOAD, Y24, Y25, Y26, Y27) \
	TOKENS(Y28)                    \
	JMP  sum

// SUM adds to y the sums of the lanes of four vectors; SI is the distance of y's rows.
#define SUM(y, a, xa, ya, b, c, d) \
	VUNPCKHPS     b, a, Z24   \
	VUNPCKLPS     b, a, a     \
	VUNPCKHPS     d, c, Z25   \
	VUNPCKLPS     d, c, c     \
	VADDPS        Z24, a, a   \
	VADDPS        Z25, c, c   \
	VUNPCKHPD     c, a, Z24   \
	VUNPCKLPD     c, a, a     \
	VADDPS        Z24, a, a   \
	VEXTRACTF64X4 $1, a, Y24  \
	VADDPS        Y24, ya, ya \
	VEXTRACTF64X2 $1, ya, X24 \
	VADDPS        X24, xa, xa \
	VADDPS        y, xa, xa   \
	VMOVUPS       xa, y

#define ZERO(a, b, c, d) \
	VPXORQ a, a, a \
	VPXORQ b, b, b \
	VPXORQ c, c, c \
	VPXORQ d, d, d

#define DOTS(LOAD, SIZE, FETCHES) \
	MOVQ y+0(FP), DI                                        \
	MOVQ ystride+8(FP), SI                                  \
	MOVQ w+16(FP), R8                                       \
	MOVQ stride+24(FP), DX                                  \
	MOVQ x+32(FP), R11                                      \
	MOVQ xstride+40(FP), BX                                 \
	MOVQ columns+48(FP), CX                                 \
	MOVQ count+56(FP), AX                                   \
	MOVQ ahead+64(FP), R14                                  \
	LEAQ (DX)(DX*2), R9                                     \
	ADDQ R8, R14                                            \
	LEAQ (BX)(BX*2), R12                                    \
	LEAQ (BX)(BX*4), R13                                    \
	ZERO(Z0, Z1, Z2, Z3)                                    \
	ZERO(Z4, Z5, Z6, Z7)                                    \
	ZERO(Z8, Z9, Z10, Z11)                                  \
	ZERO(Z12, Z13, Z14, Z15)                                \
	ZERO(Z16, Z17, Z18, Z19)                                \
	ZERO(Z20, Z21, Z22, Z23)                                \
	CMPQ AX, $5                                             \
	JEQ  five                                               \
	JGT  six                                                \
	CMPQ AX, $3                                             \
	JEQ  three                                              \
	JGT  four                                               \
	CMPQ AX, $1                                             \
	JEQ  one                                                \
	TURNS(TOKENS2, LOAD, SIZE, FETCHES, turn2, tail2, sum2) \
one:                                                      \
	TURNS(TOKENS1, LOAD, SIZE, FETCHES, turn1, tail1, sum1) \
three:                                                    \
	TURNS(TOKENS3, LOAD, SIZE, FETCHES, turn3, tail3, sum3) \
four:                                                     \
	TURNS(TOKENS4, LOAD, SIZE, FETCHES, turn4, tail4, sum4) \
five:                                                     \
	TURNS(TOKENS5, LOAD, SIZE, FETCHES, turn5, tail5, sum5) \
six:                                                      \
	TURNS(TOKENS6, LOAD, SIZE, FETCHES, turn6, tail6, sum6) \
sum6:                                                     \
	LEAQ (SI)(SI*4), AX                                     \
	SUM((DI)(AX*1), Z20, X20, Y20, Z21, Z22, Z23)           \
sum5:                                                     \
	SUM((DI)(SI*4), Z16, X16, Y16, Z17, Z18, Z19)           \
sum4:                                                     \
	LEAQ (SI)(SI*2), AX                                     \
	SUM((DI)(AX*1), Z12, X12, Y12, Z13, Z14, Z15)           \
sum3:                                                     \
	SUM((DI)(SI*2), Z8, X8, Y8, Z9, Z10, Z11)               \
sum2:                                                     \
	SUM((DI)(SI*1), Z4, X4, Y4, Z5, Z6, Z7)                 \
sum1:                                                     \
	SUM((DI), Z0, X0, Y0, Z1, Z2, Z3)                       \
	VZEROUPPER                                              \
	RET

// func dotsF32AVX512(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsF32AVX512(SB), NOSPLIT, $0-72
	DOTS(LOADF32, 4, FETCH4)

// func dotsF16AVX512(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsF16AVX512(SB), NOSPLIT, $0-72
	DOTS(LOADF16, 2, FETCH2)

// func dotsBF16AVX512(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsBF16AVX512(SB), NOSPLIT, $0-72
	DOTS(LOADBF16, 2, FETCH2)
