#include "textflag.h"
#include "simd_arm64.h"

// Products of quantised weights with the dot-product extension: an SDOT adds 16 products of bytes to four int32s. An
// activation is two bytes, q = 256·h + l, and a group's product 256·Σ h·code + Σ l·code, which is exact: up to 128
// times 32639·255 stays below 2^31. SDOT's bytes have a sign, so codes of 8 bits are taken less 128, and 128·(weight
// scale) joins the weight bias.

// DOT adds the products of a row's 32 codes, va and vb, with V0 to V3 to the row's vectors of sums: with h to high,
// with l to low.
#define DOT(va, vb, high, low) \
	SDOT(0, va, high) \
	SDOT(1, va, low)  \
	SDOT(2, vb, high) \
	SDOT(3, vb, low)

// DOT4 does so with the next 32 columns of a row of 4-bit codes, even ones first. V7 holds 0x0f.
#define DOT4(row, high, low) \
	VLD1.P 16(row), [V4.B16]      \
	VAND   V7.B16, V4.B16, V5.B16 \
	VUSHR  $4, V4.B16, V6.B16     \
	DOT(5, 6, high, low)

// DOT8 does so with the next 32 columns of a row of 8-bit codes. V7 holds 0x80.
#define DOT8(row, high, low) \
	VLD1.P 32(row), [V4.B16, V5.B16] \
	VEOR   V7.B16, V4.B16, V4.B16    \
	VEOR   V7.B16, V5.B16, V5.B16    \
	DOT(4, 5, high, low)

// ROWS does it with eight rows.
#define ROWS(dot) \
	dot(R1, 16, 24) \
	dot(R2, 17, 25) \
	dot(R3, 18, 26) \
	dot(R4, 19, 27) \
	dot(R5, 20, 28) \
	dot(R6, 21, 29) \
	dot(R7, 22, 30) \
	dot(R8, 23, 31)

// SUM8 leaves the sums of the lanes of eight vectors in the lanes of a and e.
#define SUM8(a, b, c, d, e, f, g, h) \
	VADDP b.S4, a.S4, a.S4 \
	VADDP d.S4, c.S4, c.S4 \
	VADDP f.S4, e.S4, e.S4 \
	VADDP h.S4, g.S4, g.S4 \
	VADDP c.S4, a.S4, a.S4 \
	VADDP g.S4, e.S4, e.S4

// SUMS leaves the eight products of a group in V16 and V20 and loads what they are scaled with.
#define SUMS \
	SUM8(V16, V17, V18, V19, V20, V21, V22, V23) \
	SUM8(V24, V25, V26, V27, V28, V29, V30, V31) \
	VSHL    $8, V16.S4, V16.S4                   \
	VSHL    $8, V20.S4, V20.S4                   \
	VADD    V24.S4, V16.S4, V16.S4               \
	VADD    V28.S4, V20.S4, V20.S4               \
	SCVTF(16, 16)                                \
	SCVTF(20, 20)                                \
	VLD1R.P 4(R11), [V0.S4]                      \
	VLD1R.P 4(R12), [V1.S4]                      \
	VLD1.P  32(R13), [V2.S4, V3.S4]              \
	VLD1.P  32(R14), [V4.S4, V5.S4]

// JOIN adds them to the results in V14 and V15: scale·(weight scale)·product + (weight bias)·xsum.
#define JOIN \
	FMUL(0, 2, 2)   \
	FMUL(0, 3, 3)   \
	FMLA(2, 16, 14) \
	FMLA(3, 20, 15) \
	FMLA(4, 1, 14)  \
	FMLA(5, 1, 15)

// func gemv4Dot(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv4Dot(SB), NOSPLIT, $0-80
	GEMVARGS
	VMOVI $15, V7.B16

group:
	ZERO16
	MOVD R20, R19

columns:
	VLD1.P 64(R10), [V0.B16, V1.B16, V2.B16, V3.B16]
	PRFM (R9), PLDL1KEEP
	PRFM 64(R9), PLDL1KEEP
	ADD  $128, R9
	ROWS(DOT4)
	SUBS $32, R19
	BNE  columns

	SUMS
	JOIN
	SUBS $1, R15
	BNE  group

	MOVD y+0(FP), R0
	VST1 [V14.S4, V15.S4], (R0)
	RET

// func gemv8Dot(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv8Dot(SB), NOSPLIT, $0-80
	GEMVARGS
	VMOVI $0x80, V7.B16
	MOVW  $0x43000000, R0 // 128
	VDUP  R0, V13.S4

group:
	ZERO16
	MOVD R20, R19

columns:
	VLD1.P 64(R10), [V0.B16, V1.B16, V2.B16, V3.B16]
	PRFM (R9), PLDL1KEEP
	PRFM 64(R9), PLDL1KEEP
	PRFM 128(R9), PLDL1KEEP
	PRFM 192(R9), PLDL1KEEP
	ADD  $256, R9
	ROWS(DOT8)
	SUBS $32, R19
	BNE  columns

	SUMS
	FMLA(13, 2, 4)
	FMLA(13, 3, 5)
	JOIN
	SUBS $1, R15
	BNE  group

	MOVD y+0(FP), R0
	VST1 [V14.S4, V15.S4], (R0)
	RET

// A panel holds the codes of 16 rows as bytes with a sign, four columns of each row side by side: [columns/4][16][4].
// Behind them, in the memory that bytes leave unused, is what was taken from each code, as float32. A call fills the
// half of eight rows, four rows at a time: 16 codes of each are four times four columns, transposed to four lines.

// FOUR4 fills eight lines with the even and then the odd columns of 32 codes of 4 bits. V15 holds 0x0f.
#define FOUR4(at) \
	VLD1.P (R9)(R2), [V4.B16]      \
	VLD1.P (R9)(R2), [V5.B16]      \
	VLD1.P (R9)(R2), [V6.B16]      \
	VLD1.P (R9)(R2), [V7.B16]      \
	VAND   V15.B16, V4.B16, V0.B16 \
	VAND   V15.B16, V5.B16, V1.B16 \
	VAND   V15.B16, V6.B16, V2.B16 \
	VAND   V15.B16, V7.B16, V3.B16 \
	STORELINES(at)                 \
	VUSHR  $4, V4.B16, V0.B16      \
	VUSHR  $4, V5.B16, V1.B16      \
	VUSHR  $4, V6.B16, V2.B16      \
	VUSHR  $4, V7.B16, V3.B16      \
	STORELINES(at+256)

// FOUR8 fills eight lines with 32 codes of 8 bits. V15 holds 0x80.
#define FOUR8(at) \
	VLD1.P (R9)(R2), [V4.B16, V5.B16]   \
	VLD1.P (R9)(R2), [V6.B16, V7.B16]   \
	VLD1.P (R9)(R2), [V8.B16, V9.B16]   \
	VLD1.P (R9)(R2), [V10.B16, V11.B16] \
	VEOR   V15.B16, V4.B16, V0.B16      \
	VEOR   V15.B16, V6.B16, V1.B16      \
	VEOR   V15.B16, V8.B16, V2.B16      \
	VEOR   V15.B16, V10.B16, V3.B16     \
	STORELINES(at)                      \
	VEOR   V15.B16, V5.B16, V0.B16      \
	VEOR   V15.B16, V7.B16, V1.B16      \
	VEOR   V15.B16, V9.B16, V2.B16      \
	VEOR   V15.B16, V11.B16, V3.B16     \
	STORELINES(at+256)

// func panel4Dot(panel *int16, w *byte, stride, columns int)
TEXT ·panel4Dot(SB), NOSPLIT, $0-32
	MOVD panel+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD columns+24(FP), R3
	VMOVI $15, V15.B16

columns:
	MOVD R1, R9
	FOUR4(0)
	FOUR4(16)
	ADD  $16, R1
	ADD  $512, R0
	SUBS $32, R3
	BNE  columns
	MOVW ZR, (R0)
	RET

// func panel8Dot(panel *int16, w *byte, stride, columns int)
TEXT ·panel8Dot(SB), NOSPLIT, $0-32
	MOVD panel+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD columns+24(FP), R3
	VMOVI $0x80, V15.B16

columns:
	MOVD R1, R9
	FOUR8(0)
	FOUR8(16)
	ADD  $32, R1
	ADD  $512, R0
	SUBS $32, R3
	BNE  columns
	MOVW $0x43000000, R4 // 128
	MOVW R4, (R0)
	RET

// A GEMM of 16 rows and 4 tokens, first of eight rows and then of the others, because h and l of eight rows and four
// tokens take all of V16 to V31 for their sums, [token][h, l][8]. V0 to V7 hold 16 columns of the tokens, [token][h,
// l], V8 to V15 the same columns of the rows, four lines of the panel. At a group's end the sums join acc[4][16] as in
// JOIN, in the same order of operations, so a token's numbers do not depend on how many share the pass.

// FOURCOLUMNS multiplies one line of the panel with lane j of the tokens.
#define FOURCOLUMNS(j, va, vb) \
	SDOTLANE(0, j, va, 16) \
	SDOTLANE(0, j, vb, 17) \
	SDOTLANE(1, j, va, 18) \
	SDOTLANE(1, j, vb, 19) \
	SDOTLANE(2, j, va, 20) \
	SDOTLANE(2, j, vb, 21) \
	SDOTLANE(3, j, va, 22) \
	SDOTLANE(3, j, vb, 23) \
	SDOTLANE(4, j, va, 24) \
	SDOTLANE(4, j, vb, 25) \
	SDOTLANE(5, j, va, 26) \
	SDOTLANE(5, j, vb, 27) \
	SDOTLANE(6, j, va, 28) \
	SDOTLANE(6, j, vb, 29) \
	SDOTLANE(7, j, va, 30) \
	SDOTLANE(7, j, vb, 31)

// TOKEN adds one token's sums, ha, hb, la and lb, to its results, which take the place of ha and hb. V0 and V1 hold the
// weight scales, V2 and V3 the weight biases, V4 256; scale and sum are the token's, in the first lane.
#define TOKEN(scale, sum, ha, hb, la, lb, fa, fb, at) \
	MLA(4, ha, la)              \
	MLA(4, hb, lb)              \
	FLDPQ (at)(R0), (fa, fb)    \
	SCVTF(la, la)               \
	SCVTF(lb, lb)               \
	FMULFIRST(scale, 0, 13)     \
	FMULFIRST(scale, 1, 14)     \
	FMLA(13, la, ha)            \
	FMLA(14, lb, hb)            \
	FMLAFIRST(sum, 2, ha)       \
	FMLAFIRST(sum, 3, hb)       \
	FSTPQ (fa, fb), (at)(R0)

// func gemmDot(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
TEXT ·gemmDot(SB), NOSPLIT, $0-88
	MOVD  acc+0(FP), R0
	MOVD  panel+8(FP), R1
	MOVD  wscale+40(FP), R8
	MOVD  wbias+48(FP), R9
	MOVD  columns+64(FP), R11
	LSL   $4, R11, R14
	MOVWU (R1)(R14), R14 // what was taken from each code
	MOVD  groups+72(FP), R12
	LSL   $2, R12        // between the scales of two tokens
	LSL   $1, R12, R25
	ADD   R12, R25, R26
	MOVD  size+80(FP), R20
	MOVD  $2, R15

half:
	MOVD x+16(FP), R2
	ADD  R11<<1, R2, R3
	ADD  R11<<1, R3, R4
	ADD  R11<<1, R4, R5
	MOVD scale+24(FP), R6
	MOVD sum+32(FP), R7
	MOVD groups+72(FP), R13
	MOVD R1, R21
	MOVD R8, R22
	MOVD R9, R23

group:
	ZERO16
	MOVD R20, R19

columns:
	FLDPQ.P 32(R2), (F0, F1)
	FLDPQ.P 32(R3), (F2, F3)
	FLDPQ.P 32(R4), (F4, F5)
	FLDPQ.P 32(R5), (F6, F7)
	FLDPQ (R21), (F8, F9)
	FLDPQ 64(R21), (F10, F11)
	FLDPQ 128(R21), (F12, F13)
	FLDPQ 192(R21), (F14, F15)
	ADD  $256, R21
	FOURCOLUMNS(0, 8, 9)
	FOURCOLUMNS(1, 10, 11)
	FOURCOLUMNS(2, 12, 13)
	FOURCOLUMNS(3, 14, 15)
	SUBS $16, R19
	BNE  columns

	FLDPQ.P 32(R22), (F0, F1)
	FLDPQ.P 32(R23), (F2, F3)
	CBZ  R14, join
	VDUP R14, V4.S4
	FMLA(4, 0, 2)
	FMLA(4, 1, 3)

join:
	MOVW $256, R24
	VDUP R24, V4.S4
	FMOVS (R6), F5
	FMOVS (R6)(R12), F6
	FMOVS (R6)(R25), F7
	FMOVS (R6)(R26), F8
	FMOVS (R7), F9
	FMOVS (R7)(R12), F10
	FMOVS (R7)(R25), F11
	FMOVS (R7)(R26), F12
	ADD  $4, R6
	ADD  $4, R7
	TOKEN(5, 9, 16, 17, 18, 19, F16, F17, 0)
	TOKEN(6, 10, 20, 21, 22, 23, F20, F21, 64)
	TOKEN(7, 11, 24, 25, 26, 27, F24, F25, 128)
	TOKEN(8, 12, 28, 29, 30, 31, F28, F29, 192)
	SUBS $1, R13
	BNE  group

	ADD  $32, R0
	ADD  $32, R1
	MOVD half+56(FP), R10
	ADD  R10, R8
	ADD  R10, R9
	SUBS $1, R15
	BNE  half
	RET
