#include "textflag.h"
#include "simd_arm64.h"

// Products of plain weights: eight columns a turn, widened to float32, into two vectors of four sums for each row and
// token. SUM4 adds up the lanes, always in the same order, so that both kernels give the same number.

// func dotsF32(y *float32, w *byte, stride int, x *float32, columns int) and its likes: four rows and one token. What
// the next four rows need is fetched meanwhile.
#define DOTS(LOAD, SIZE) \
	ADD  R2, R1, R3                      \
	ADD  R2, R3, R4                      \
	ADD  R2, R4, R5                      \
	ADD  R2, R5, R6                      \
	VEOR V16.B16, V16.B16, V16.B16       \
	VEOR V17.B16, V17.B16, V17.B16       \
	VEOR V18.B16, V18.B16, V18.B16       \
	VEOR V19.B16, V19.B16, V19.B16       \
	VEOR V20.B16, V20.B16, V20.B16       \
	VEOR V21.B16, V21.B16, V21.B16       \
	VEOR V22.B16, V22.B16, V22.B16       \
	VEOR V23.B16, V23.B16, V23.B16       \
turn:                                 \
	VLD1.P 32(R10), [V0.S4, V1.S4]       \
	LOAD(R1, V2, V3, 2, 3)               \
	LOAD(R3, V4, V5, 4, 5)               \
	LOAD(R4, V6, V7, 6, 7)               \
	LOAD(R5, V8, V9, 8, 9)               \
	PRFM (R6), PLDL1KEEP                 \
	ADD  $(32*SIZE), R6                  \
	FMLA(0, 2, 16)                       \
	FMLA(1, 3, 17)                       \
	FMLA(0, 4, 18)                       \
	FMLA(1, 5, 19)                       \
	FMLA(0, 6, 20)                       \
	FMLA(1, 7, 21)                       \
	FMLA(0, 8, 22)                       \
	FMLA(1, 9, 23)                       \
	SUBS $8, R11                         \
	BNE  turn                            \
	SUM4(16, 17, 18, 19, 20, 21, 22, 23) \
	VST1 [V16.S4], (R0)                  \
	RET

TEXT ·dotsF32(SB), NOSPLIT, $0-40
	MOVD y+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD x+24(FP), R10
	MOVD columns+32(FP), R11
	DOTS(LOADF32, 4)

TEXT ·dotsF16(SB), NOSPLIT, $0-40
	MOVD y+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD x+24(FP), R10
	MOVD columns+32(FP), R11
	DOTS(LOADF16, 2)

TEXT ·dotsBF16(SB), NOSPLIT, $0-40
	MOVD y+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD x+24(FP), R10
	MOVD columns+32(FP), R11
	DOTS(LOADBF16, 2)

// Four rows of float32 and three tokens, V0 to V5: 24 vectors of sums, V(8+8·token+2·row) and the one behind it.

#define ROW(row, s0, t0, s1, t1, s2, t2) \
	VLD1.P 32(row), [V6.S4, V7.S4] \
	FMLA(0, 6, s0)                 \
	FMLA(1, 7, t0)                 \
	FMLA(2, 6, s1)                 \
	FMLA(3, 7, t1)                 \
	FMLA(4, 6, s2)                 \
	FMLA(5, 7, t2)

// func tile(y *float32, ystride int, w, x *float32, columns int)
TEXT ·tile(SB), NOSPLIT, $0-40
	MOVD y+0(FP), R0
	MOVD ystride+8(FP), R1
	MOVD w+16(FP), R2
	MOVD x+24(FP), R6
	MOVD columns+32(FP), R9
	ADD  R9<<2, R2, R3
	ADD  R9<<2, R3, R4
	ADD  R9<<2, R4, R5
	ADD  R9<<2, R6, R7
	ADD  R9<<2, R7, R8
	VEOR V8.B16, V8.B16, V8.B16
	VEOR V9.B16, V9.B16, V9.B16
	VEOR V10.B16, V10.B16, V10.B16
	VEOR V11.B16, V11.B16, V11.B16
	VEOR V12.B16, V12.B16, V12.B16
	VEOR V13.B16, V13.B16, V13.B16
	VEOR V14.B16, V14.B16, V14.B16
	VEOR V15.B16, V15.B16, V15.B16
	VEOR V16.B16, V16.B16, V16.B16
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	VEOR V20.B16, V20.B16, V20.B16
	VEOR V21.B16, V21.B16, V21.B16
	VEOR V22.B16, V22.B16, V22.B16
	VEOR V23.B16, V23.B16, V23.B16
	VEOR V24.B16, V24.B16, V24.B16
	VEOR V25.B16, V25.B16, V25.B16
	VEOR V26.B16, V26.B16, V26.B16
	VEOR V27.B16, V27.B16, V27.B16
	VEOR V28.B16, V28.B16, V28.B16
	VEOR V29.B16, V29.B16, V29.B16
	VEOR V30.B16, V30.B16, V30.B16
	VEOR V31.B16, V31.B16, V31.B16

turn:
	VLD1.P 32(R6), [V0.S4, V1.S4]
	VLD1.P 32(R7), [V2.S4, V3.S4]
	VLD1.P 32(R8), [V4.S4, V5.S4]
	ROW(R2, 8, 9, 16, 17, 24, 25)
	ROW(R3, 10, 11, 18, 19, 26, 27)
	ROW(R4, 12, 13, 20, 21, 28, 29)
	ROW(R5, 14, 15, 22, 23, 30, 31)
	SUBS $8, R9
	BNE  turn

	SUM4(8, 9, 10, 11, 12, 13, 14, 15)
	SUM4(16, 17, 18, 19, 20, 21, 22, 23)
	SUM4(24, 25, 26, 27, 28, 29, 30, 31)
	VST1.P [V8.S4], (R0)(R1)
	VST1.P [V16.S4], (R0)(R1)
	VST1 [V24.S4], (R0)
	RET

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
