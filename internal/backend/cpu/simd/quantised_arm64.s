#include "textflag.h"
#include "simd_arm64.h"

// Products of quantised weights with rows of int16: codes widened to int16, four products an SMLAL, exact in int32 up
// to the end of a group. A code of 8 bits times 32767, 128 times, stays below 2^31.

// MADD adds the products of the 32 bytes va and vb, a row's codes, with V0 to V3 to the vectors of sums s and t.
#define MADD(va, vb, s, t) \
	VUXTL  va.B8, V8.H8   \
	VUXTL2 va.B16, V9.H8  \
	VUXTL  vb.B8, V10.H8  \
	VUXTL2 vb.B16, V11.H8 \
	SMLAL(0, 8, s)        \
	SMLAL2(0, 8, t)       \
	SMLAL(1, 9, s)        \
	SMLAL2(1, 9, t)       \
	SMLAL(2, 10, s)       \
	SMLAL2(2, 10, t)      \
	SMLAL(3, 11, s)       \
	SMLAL2(3, 11, t)

// MADD4 does so with the next 32 columns of a row of 4-bit codes, even ones first. V7 holds 0x0f.
#define MADD4(row, s, t) \
	VLD1.P 16(row), [V4.B16]      \
	VAND   V7.B16, V4.B16, V5.B16 \
	VUSHR  $4, V4.B16, V6.B16     \
	MADD(V5, V6, s, t)

// MADD8 does so with the next 32 columns of a row of 8-bit codes.
#define MADD8(row, s, t) \
	VLD1.P 32(row), [V4.B16, V5.B16] \
	MADD(V4, V5, s, t)

// GROUP adds the group's sums, two vectors a row, to the results in V14 and V15:
// scale·(weight scale)·sum + (weight bias)·xsum.
#define GROUP \
	VADD    V17.S4, V16.S4, V16.S4  \
	VADD    V19.S4, V18.S4, V18.S4  \
	VADD    V21.S4, V20.S4, V20.S4  \
	VADD    V23.S4, V22.S4, V22.S4  \
	VADD    V25.S4, V24.S4, V24.S4  \
	VADD    V27.S4, V26.S4, V26.S4  \
	VADD    V29.S4, V28.S4, V28.S4  \
	VADD    V31.S4, V30.S4, V30.S4  \
	VADDP   V18.S4, V16.S4, V16.S4  \
	VADDP   V22.S4, V20.S4, V20.S4  \
	VADDP   V26.S4, V24.S4, V24.S4  \
	VADDP   V30.S4, V28.S4, V28.S4  \
	VADDP   V20.S4, V16.S4, V16.S4  \
	VADDP   V28.S4, V24.S4, V24.S4  \
	SCVTF(16, 16)                   \
	SCVTF(24, 24)                   \
	VLD1R.P 4(R11), [V0.S4]         \
	VLD1R.P 4(R12), [V1.S4]         \
	VLD1.P  32(R13), [V2.S4, V3.S4] \
	VLD1.P  32(R14), [V4.S4, V5.S4] \
	FMUL(0, 2, 2)                   \
	FMUL(0, 3, 3)                   \
	FMLA(2, 16, 14)                 \
	FMLA(3, 24, 15)                 \
	FMLA(4, 1, 14)                  \
	FMLA(5, 1, 15)

// A GEMV of eight rows: for each group, 32 columns of all rows a turn, into two vectors of sums a row; then their lanes
// are added up and the group joins the results. What the next eight rows need is fetched meanwhile, line by line.

// func gemv4(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv4(SB), NOSPLIT, $0-80
	GEMVARGS
	VMOVI $15, V7.B16

group:
	ZERO16
	MOVD R20, R19

columns:
	VLD1.P 64(R10), [V0.H8, V1.H8, V2.H8, V3.H8]
	PRFM (R9), PLDL1KEEP
	PRFM 64(R9), PLDL1KEEP
	ADD  $128, R9
	MADD4(R1, 16, 17)
	MADD4(R2, 18, 19)
	MADD4(R3, 20, 21)
	MADD4(R4, 22, 23)
	MADD4(R5, 24, 25)
	MADD4(R6, 26, 27)
	MADD4(R7, 28, 29)
	MADD4(R8, 30, 31)
	SUBS $32, R19
	BNE  columns

	GROUP
	SUBS $1, R15
	BNE  group

	MOVD y+0(FP), R0
	VST1 [V14.S4, V15.S4], (R0)
	RET

// func gemv8(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv8(SB), NOSPLIT, $0-80
	GEMVARGS

group:
	ZERO16
	MOVD R20, R19

columns:
	VLD1.P 64(R10), [V0.H8, V1.H8, V2.H8, V3.H8]
	PRFM (R9), PLDL1KEEP
	PRFM 64(R9), PLDL1KEEP
	PRFM 128(R9), PLDL1KEEP
	PRFM 192(R9), PLDL1KEEP
	ADD  $256, R9
	MADD8(R1, 16, 17)
	MADD8(R2, 18, 19)
	MADD8(R3, 20, 21)
	MADD8(R4, 22, 23)
	MADD8(R5, 24, 25)
	MADD8(R6, 26, 27)
	MADD8(R7, 28, 29)
	MADD8(R8, 30, 31)
	SUBS $32, R19
	BNE  columns

	GROUP
	SUBS $1, R15
	BNE  group

	MOVD y+0(FP), R0
	VST1 [V14.S4, V15.S4], (R0)
	RET

// A panel holds the codes of 16 rows as int16, two columns of each row side by side: [columns/2][16][2]. A call fills
// the half of eight rows, four rows at a time: eight codes of each are four pairs, transposed to four lines of the
// panel.

// LINES fills eight lines with 16 bytes of each of four rows.
#define LINES(r0, r1, r2, r3, at) \
	VUXTL  r0.B8, V0.H8  \
	VUXTL  r1.B8, V1.H8  \
	VUXTL  r2.B8, V2.H8  \
	VUXTL  r3.B8, V3.H8  \
	STORELINES(at)       \
	VUXTL2 r0.B16, V0.H8 \
	VUXTL2 r1.B16, V1.H8 \
	VUXTL2 r2.B16, V2.H8 \
	VUXTL2 r3.B16, V3.H8 \
	STORELINES(at+256)

// LINES4 does so with the even and then the odd columns of 32 codes of 4 bits. V15 holds 0x0f.
#define LINES4(at) \
	VLD1.P (R9)(R2), [V4.B16]       \
	VLD1.P (R9)(R2), [V5.B16]       \
	VLD1.P (R9)(R2), [V6.B16]       \
	VLD1.P (R9)(R2), [V7.B16]       \
	VAND   V15.B16, V4.B16, V8.B16  \
	VAND   V15.B16, V5.B16, V9.B16  \
	VAND   V15.B16, V6.B16, V10.B16 \
	VAND   V15.B16, V7.B16, V11.B16 \
	VUSHR  $4, V4.B16, V4.B16       \
	VUSHR  $4, V5.B16, V5.B16       \
	VUSHR  $4, V6.B16, V6.B16       \
	VUSHR  $4, V7.B16, V7.B16       \
	LINES(V8, V9, V10, V11, at)     \
	LINES(V4, V5, V6, V7, at+512)

#define LINES8(at) \
	VLD1.P (R9)(R2), [V4.B16, V5.B16]   \
	VLD1.P (R9)(R2), [V6.B16, V7.B16]   \
	VLD1.P (R9)(R2), [V8.B16, V9.B16]   \
	VLD1.P (R9)(R2), [V10.B16, V11.B16] \
	LINES(V4, V6, V8, V10, at)          \
	LINES(V5, V7, V9, V11, at+512)

// func panel4(panel *int16, w *byte, stride, columns int)
TEXT ·panel4(SB), NOSPLIT, $0-32
	MOVD panel+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD columns+24(FP), R3
	VMOVI $15, V15.B16

columns:
	MOVD R1, R9
	LINES4(0)
	LINES4(16)
	ADD  $16, R1
	ADD  $1024, R0
	SUBS $32, R3
	BNE  columns
	RET

// func panel8(panel *int16, w *byte, stride, columns int)
TEXT ·panel8(SB), NOSPLIT, $0-32
	MOVD panel+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R2
	MOVD columns+24(FP), R3

columns:
	MOVD R1, R9
	LINES8(0)
	LINES8(16)
	ADD  $32, R1
	ADD  $1024, R0
	SUBS $32, R3
	BNE  columns
	RET

// A GEMM of 16 rows and 4 tokens: V0 to V3 hold eight columns of each token, V4 and V6 one column of 16 rows, V5 and V7
// the next; each is multiplied with one lane of a token. V16 to V31 are the sums, [token][16]. At a group's end they
// join acc[4][16] as in GROUP, in the same order of operations, so a token's numbers do not depend on how many share
// the pass.

#define COLUMN(lane, low, high) \
	SMLALLANE(0, lane, low, 16)   \
	SMLAL2LANE(0, lane, low, 17)  \
	SMLALLANE(0, lane, high, 18)  \
	SMLAL2LANE(0, lane, high, 19) \
	SMLALLANE(1, lane, low, 20)   \
	SMLAL2LANE(1, lane, low, 21)  \
	SMLALLANE(1, lane, high, 22)  \
	SMLAL2LANE(1, lane, high, 23) \
	SMLALLANE(2, lane, low, 24)   \
	SMLAL2LANE(2, lane, low, 25)  \
	SMLALLANE(2, lane, high, 26)  \
	SMLAL2LANE(2, lane, high, 27) \
	SMLALLANE(3, lane, low, 28)   \
	SMLAL2LANE(3, lane, low, 29)  \
	SMLALLANE(3, lane, high, 30)  \
	SMLAL2LANE(3, lane, high, 31)

#define PAIR(first) \
	VLD2.P 32(R1), [V4.H8, V5.H8] \
	VLD2.P 32(R1), [V6.H8, V7.H8] \
	COLUMN(first, 4, 6)           \
	COLUMN(first+1, 5, 7)

// JOIN adds one token's sums. V4 to V7 hold the weight scales of the 16 rows, V8 to V11 the biases.
#define JOIN(s0, s1, s2, s3) \
	SCVTF(s0, s0)                               \
	SCVTF(s1, s1)                               \
	SCVTF(s2, s2)                               \
	SCVTF(s3, s3)                               \
	VLD1R.P (R21)(R12), [V12.S4]                \
	VLD1R.P (R22)(R12), [V13.S4]                \
	VLD1    (R23), [V0.S4, V1.S4, V2.S4, V3.S4] \
	FMUL(4, 12, 14)                             \
	FMLA(14, s0, 0)                             \
	FMUL(5, 12, 14)                             \
	FMLA(14, s1, 1)                             \
	FMUL(6, 12, 14)                             \
	FMLA(14, s2, 2)                             \
	FMUL(7, 12, 14)                             \
	FMLA(14, s3, 3)                             \
	FMLA(8, 13, 0)                              \
	FMLA(9, 13, 1)                              \
	FMLA(10, 13, 2)                             \
	FMLA(11, 13, 3)                             \
	VST1.P  [V0.S4, V1.S4, V2.S4, V3.S4], 64(R23)

// func gemm(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
TEXT ·gemm(SB), NOSPLIT, $0-88
	MOVD acc+0(FP), R0
	MOVD panel+8(FP), R1
	MOVD x+16(FP), R2
	MOVD scale+24(FP), R6
	MOVD sum+32(FP), R7
	MOVD wscale+40(FP), R8
	MOVD wbias+48(FP), R9
	MOVD half+56(FP), R10
	MOVD columns+64(FP), R11
	ADD  R11<<1, R2, R3
	ADD  R11<<1, R3, R4
	ADD  R11<<1, R4, R5
	ADD  R8, R10, R11
	ADD  R9, R10, R10
	MOVD groups+72(FP), R13
	LSL  $2, R13, R12 // between the scales of two tokens
	MOVD size+80(FP), R20

group:
	ZERO16
	MOVD R20, R19

columns:
	VLD1.P 16(R2), [V0.H8]
	VLD1.P 16(R3), [V1.H8]
	VLD1.P 16(R4), [V2.H8]
	VLD1.P 16(R5), [V3.H8]
	PAIR(0)
	PAIR(2)
	PAIR(4)
	PAIR(6)
	SUBS $8, R19
	BNE  columns

	VLD1.P 32(R8), [V4.S4, V5.S4]
	VLD1.P 32(R11), [V6.S4, V7.S4]
	VLD1.P 32(R9), [V8.S4, V9.S4]
	VLD1.P 32(R10), [V10.S4, V11.S4]
	MOVD R6, R21
	MOVD R7, R22
	MOVD R0, R23
	JOIN(16, 17, 18, 19)
	JOIN(20, 21, 22, 23)
	JOIN(24, 25, 26, 27)
	JOIN(28, 29, 30, 31)
	ADD  $4, R6
	ADD  $4, R7
	SUBS $1, R13
	BNE  group
	RET

// RSHRN8 divides int16s by 256, rounded, and packs them to the lower eight bytes, RSHRN8HIGH to the upper eight.
#define RSHRN8(n, d)     WORD $(0x0f088c00 | (n)<<5 | (d))
#define RSHRN8HIGH(n, d) WORD $(0x4f088c00 | (n)<<5 | (d))

// Quantising x: for each group the largest |x|, then 32 columns a turn to int32, rounded to even, and packed to int16.
// V30 collects x-x, which is 0 unless something is not finite, and joins the group's sum: the product becomes NaN.
// Digits are h = (q+128)/256, rounded down, and l = q - 256·h, the low byte of q; h is at most 127 as q is at most
// 32639.

// func quantise(q *int16, scale, sum, x *float32, groups, size, form int)
TEXT ·quantise(SB), NOSPLIT, $0-56
	MOVD q+0(FP), R0
	MOVD scale+8(FP), R1
	MOVD sum+16(FP), R2
	MOVD x+24(FP), R3
	MOVD groups+32(FP), R4
	MOVD size+40(FP), R5
	MOVD form+48(FP), R6
	MOVW $0x46fffe00, R8 // 32767
	TBZ  $2, R6, limit
	MOVW $0x46fefe00, R8 // 32639, which is 256·127 + 127

limit:
	FMOVS R8, F28
	MOVW $0x0da24260, R8 // 1e-30
	FMOVS R8, F29

group:
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V30.B16, V30.B16, V30.B16
	MOVD R3, R9
	MOVD R5, R10

largest:
	VLD1.P 32(R9), [V1.S4, V2.S4]
	FSUB(1, 1, 3)
	FSUB(2, 2, 4)
	FADD(3, 30, 30)
	FADD(4, 30, 30)
	FABS(1, 1)
	FABS(2, 2)
	FMAX(1, 0, 0)
	FMAX(2, 0, 0)
	SUBS $8, R10
	BNE  largest

	FMAXV(0, 0)
	FMOVS ZR, F1
	FMOVS ZR, F2
	FCMPS F29, F0
	BLE   round // a group of nothing but zeros, or of numbers too small to invert, is zero; so is one with a NaN
	FDIVS F28, F0, F1 // the scale
	FDIVS F0, F28, F2

round:
	FMOVS F1, (R1)
	VDUP V2.S[0], V2.S4
	VEOR V31.B16, V31.B16, V31.B16
	MOVD R5, R10

columns:
	VLD1.P 64(R3), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R3), [V16.S4, V17.S4, V18.S4, V19.S4]
	FMUL(2, 4, 4)
	FMUL(2, 5, 5)
	FMUL(2, 6, 6)
	FMUL(2, 7, 7)
	FMUL(2, 16, 16)
	FMUL(2, 17, 17)
	FMUL(2, 18, 18)
	FMUL(2, 19, 19)
	FCVTNS(4, 4)
	FCVTNS(5, 5)
	FCVTNS(6, 6)
	FCVTNS(7, 7)
	FCVTNS(16, 16)
	FCVTNS(17, 17)
	FCVTNS(18, 18)
	FCVTNS(19, 19)
	VADD V4.S4, V31.S4, V31.S4
	VADD V5.S4, V31.S4, V31.S4
	VADD V6.S4, V31.S4, V31.S4
	VADD V7.S4, V31.S4, V31.S4
	VADD V16.S4, V31.S4, V31.S4
	VADD V17.S4, V31.S4, V31.S4
	VADD V18.S4, V31.S4, V31.S4
	VADD V19.S4, V31.S4, V31.S4
	SQXTN(4, 20)
	SQXTN2(5, 20)
	SQXTN(6, 21)
	SQXTN2(7, 21)
	SQXTN(16, 22)
	SQXTN2(17, 22)
	SQXTN(18, 23)
	SQXTN2(19, 23)
	TBZ  $0, R6, whole
	VUZP1 V21.H8, V20.H8, V4.H8 // even columns
	VUZP1 V23.H8, V22.H8, V5.H8
	VUZP2 V21.H8, V20.H8, V6.H8 // odd columns
	VUZP2 V23.H8, V22.H8, V7.H8
	VMOV V4.B16, V20.B16
	VMOV V5.B16, V21.B16
	VMOV V6.B16, V22.B16
	VMOV V7.B16, V23.B16

whole:
	TBZ  $2, R6, store
	VUZP1 V21.B16, V20.B16, V4.B16
	VUZP1 V23.B16, V22.B16, V5.B16
	RSHRN8(20, 20)
	RSHRN8HIGH(21, 20)
	RSHRN8(22, 22)
	RSHRN8HIGH(23, 22)
	VMOV V4.B16, V21.B16
	VMOV V5.B16, V23.B16

store:
	VST1.P [V20.H8, V21.H8, V22.H8, V23.H8], 64(R0)
	SUBS $32, R10
	BNE  columns

	VADDV V31.S4, V31
	SCVTF(31, 31)
	FMULS F1, F31, F31
	FADDP(30, 30, 30) // all lanes are 0 or NaN
	FADDP(30, 30, 30)
	FADDS F30, F31, F31
	FMOVS F31, (R2)
	ADD  $4, R1
	ADD  $4, R2
	SUBS $1, R4
	BNE  group
	RET
