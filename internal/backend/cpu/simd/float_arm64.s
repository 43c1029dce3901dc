#include "textflag.h"
#include "simd_arm64.h"

// Products of plain weights: eight columns of four rows a turn, widened to float32 in V6 and V7, and those of the
// tokens in V0 to V5; V(8+8·token+2·row) and the one behind it are the vectors of sums. The lanes are added up in the
// same order for any number of tokens.

#define COLUMNS1 \
	VLD1.P 32(R6), [V0.S4, V1.S4]

#define COLUMNS2 \
	COLUMNS1                      \
	VLD1.P 32(R7), [V2.S4, V3.S4]

#define COLUMNS3 \
	COLUMNS2                      \
	VLD1.P 32(R8), [V4.S4, V5.S4]

#define ROW1(s0, t0, s1, t1, s2, t2) \
	FMLA(0, 6, s0) \
	FMLA(1, 7, t0)

#define ROW2(s0, t0, s1, t1, s2, t2) \
	ROW1(s0, t0, s1, t1, s2, t2) \
	FMLA(2, 6, s1)               \
	FMLA(3, 7, t1)

#define ROW3(s0, t0, s1, t1, s2, t2) \
	ROW2(s0, t0, s1, t1, s2, t2) \
	FMLA(4, 6, s2)               \
	FMLA(5, 7, t2)

// FETCH brings what is R10 bytes ahead of the rows to the second-level cache.
#define NOFETCH
#define FETCH \
	ADD  R10, R2, R11     \
	ADD  R10, R3, R12     \
	ADD  R10, R4, R13     \
	ADD  R10, R5, R14     \
	PRFM (R11), PLDL2KEEP \
	PRFM (R12), PLDL2KEEP \
	PRFM (R13), PLDL2KEEP \
	PRFM (R14), PLDL2KEEP

// TURNS are the turns for one number of tokens.
#define TURNS(COLUMNS, ROW, LOAD, FETCHES, turn) \
turn:                         \
	COLUMNS                     \
	FETCHES                     \
	LOAD(R2, V6, V7, 6, 7)      \
	ROW(8, 9, 16, 17, 24, 25)   \
	LOAD(R3, V6, V7, 6, 7)      \
	ROW(10, 11, 18, 19, 26, 27) \
	LOAD(R4, V6, V7, 6, 7)      \
	ROW(12, 13, 20, 21, 28, 29) \
	LOAD(R5, V6, V7, 6, 7)      \
	ROW(14, 15, 22, 23, 30, 31) \
	SUBS $8, R9                 \
	BNE  turn

// SUM adds to y what SUM4 leaves in the first of its vectors.
#define SUM(va, a, b, c, d, e, f, g, h) \
	SUM4(a, b, c, d, e, f, g, h) \
	VLD1   (R0), [V0.S4]         \
	FADD(0, a, a)                \
	VST1.P [va.S4], (R0)(R1)

#define DOTS(LOAD) \
	MOVD y+0(FP), R0                            \
	MOVD ystride+8(FP), R1                      \
	MOVD w+16(FP), R2                           \
	MOVD stride+24(FP), R3                      \
	MOVD x+32(FP), R6                           \
	MOVD xstride+40(FP), R7                     \
	MOVD columns+48(FP), R9                     \
	MOVD count+56(FP), R15                      \
	MOVD ahead+64(FP), R10                      \
	ADD  R3<<1, R2, R4                          \
	ADD  R3, R4, R5                             \
	ADD  R2, R3, R3                             \
	ADD  R7<<1, R6, R8                          \
	ADD  R6, R7, R7                             \
	ZERO(8); ZERO(9); ZERO(10); ZERO(11)        \
	ZERO(12); ZERO(13); ZERO(14); ZERO(15)      \
	ZERO16                                      \
	CMP  $2, R15                                \
	BEQ  two                                    \
	BGT  three                                  \
	TURNS(COLUMNS1, ROW1, LOAD, FETCH, turn1)   \
	JMP  sum                                    \
two:                                          \
	TURNS(COLUMNS2, ROW2, LOAD, FETCH, turn2)   \
	JMP  sum                                    \
three:                                        \
	CBNZ R10, ahead                             \
	TURNS(COLUMNS3, ROW3, LOAD, NOFETCH, turn3) \
	JMP  sum                                    \
ahead:                                        \
	TURNS(COLUMNS3, ROW3, LOAD, FETCH, turn4)   \
sum:                                          \
	SUM(V8, 8, 9, 10, 11, 12, 13, 14, 15)       \
	SUBS $1, R15                                \
	BEQ  done                                   \
	SUM(V16, 16, 17, 18, 19, 20, 21, 22, 23)    \
	SUBS $1, R15                                \
	BEQ  done                                   \
	SUM(V24, 24, 25, 26, 27, 28, 29, 30, 31)    \
done:                                         \
	RET

// func dotsF32(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsF32(SB), NOSPLIT, $0-72
	DOTS(LOADF32)

// func dotsF16(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsF16(SB), NOSPLIT, $0-72
	DOTS(LOADF16)

// func dotsBF16(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
TEXT ·dotsBF16(SB), NOSPLIT, $0-72
	DOTS(LOADBF16)

#define WIDEN(LOAD) \
turn:                          \
	LOAD(R1, V0, V1, 0, 1)        \
	VST1.P [V0.S4, V1.S4], 32(R0) \
	SUBS $8, R2                   \
	BNE  turn                     \
	RET

// func widenF16(dst *float32, src *byte, n int)
TEXT ·widenF16(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
	WIDEN(LOADF16)

// func widenBF16(dst *float32, src *byte, n int)
TEXT ·widenBF16(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
	WIDEN(LOADBF16)

// func columnsF32(dst *float32, src *byte, stride, columns int) and its likes for F16 and BF16: four columns of eight
// rows a turn. The last turn begins at columns-4, so that nothing behind the rows is read. PART loads four columns of
// the next row.
#define PARTF32(v, n) \
	VLD1.P (R9)(R2), [v.S4]

#define PARTF16(v, n) \
	VLD1.P (R9)(R2), [v.H4] \
	FCVTL(n, n)

#define PARTBF16(v, n) \
	VLD1.P (R9)(R2), [v.H4] \
	SHLL(n, n)

#define COLUMNS(PART, SHIFT) \
	SUB  $4, R3         \
turn:                \
	MOVD R1, R9         \
	PART(V0, 0)         \
	PART(V1, 1)         \
	PART(V2, 2)         \
	PART(V3, 3)         \
	TRANSPOSE           \
	FMOVQ F20, (R0)     \
	FMOVQ F21, 32(R0)   \
	FMOVQ F22, 64(R0)   \
	FMOVQ F23, 96(R0)   \
	PART(V0, 0)         \
	PART(V1, 1)         \
	PART(V2, 2)         \
	PART(V3, 3)         \
	TRANSPOSE           \
	FMOVQ F20, 16(R0)   \
	FMOVQ F21, 48(R0)   \
	FMOVQ F22, 80(R0)   \
	FMOVQ F23, 112(R0)  \
	CBZ  R3, done       \
	MOVD $4, R4         \
	CMP  R4, R3         \
	CSEL LT, R3, R4, R4 \
	SUB  R4, R3         \
	ADD  R4<<SHIFT, R1  \
	ADD  R4<<5, R0      \
	JMP  turn           \
done:                \
	RET

TEXT ·columnsF32(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD columns+24(FP), R3
	COLUMNS(PARTF32, 2)

TEXT ·columnsF16(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD columns+24(FP), R3
	COLUMNS(PARTF16, 1)

TEXT ·columnsBF16(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD columns+24(FP), R3
	COLUMNS(PARTBF16, 1)
