#include "textflag.h"
#include "simd_arm64.h"

// exp(x) = 2^n·exp(r) with n = round(x/ln 2): r is taken off in two steps to keep its bits, exp(r) is the polynomial of
// Cephes' expf (S. Moshier). Below -87 the result is 0. 2^x is the same with r = (x - n)·ln 2, where n = round(x);
// below -125.5 it is 0.
DATA expConst<>+0(SB)/4, $0x42b00000  // 88
DATA expConst<>+4(SB)/4, $0xc2ae0000  // -87
DATA expConst<>+8(SB)/4, $0x3fb8aa3b  // 1/ln 2
DATA expConst<>+12(SB)/4, $0x3f318000 // 0.693359375
DATA expConst<>+16(SB)/4, $0xb95e8083 // ln 2 - 0.693359375
DATA expConst<>+20(SB)/4, $0x39506967 // 1.9875691500e-4
DATA expConst<>+24(SB)/4, $0x3ab743ce // 1.3981999507e-3
DATA expConst<>+28(SB)/4, $0x3c088908 // 8.3334519073e-3
DATA expConst<>+32(SB)/4, $0x3d2aa9c1 // 4.1665795894e-2
DATA expConst<>+36(SB)/4, $0x3e2aaaaa // 1.6666665459e-1
DATA expConst<>+40(SB)/4, $0x3f000000 // 0.5
DATA expConst<>+44(SB)/4, $0x3f800000 // 1
GLOBL expConst<>(SB), RODATA|NOPTR, $48

DATA exp2Const<>+0(SB)/4, $0xc2fb0000 // -125.5
DATA exp2Const<>+4(SB)/4, $0x3f317218 // ln 2
GLOBL exp2Const<>(SB), RODATA|NOPTR, $8

// EXPCONST loads the constants of EXP into V20 to V31, EXP2CONST those of EXP2.
#define EXPCONST \
	MOVD    $expConst<>(SB), R9 \
	VLD1R.P 4(R9), [V20.S4]     \
	VLD1R.P 4(R9), [V21.S4]     \
	VLD1R.P 4(R9), [V22.S4]     \
	VLD1R.P 4(R9), [V23.S4]     \
	VLD1R.P 4(R9), [V24.S4]     \
	VLD1R.P 4(R9), [V25.S4]     \
	VLD1R.P 4(R9), [V26.S4]     \
	VLD1R.P 4(R9), [V27.S4]     \
	VLD1R.P 4(R9), [V28.S4]     \
	VLD1R.P 4(R9), [V29.S4]     \
	VLD1R.P 4(R9), [V30.S4]     \
	VLD1R.P 4(R9), [V31.S4]

#define EXP2CONST \
	EXPCONST                    \
	MOVD    $exp2Const<>(SB), R9 \
	VLD1R.P 4(R9), [V21.S4]     \
	VLD1R.P 4(R9), [V22.S4]

// EXP turns the vector x to exp(x), EXP2 one of at most 127 to 2^x; a NaN stays one. They use the vectors n, p, q and
// below, which marks what becomes 0.
#define EXP(x, n, p, q, below) \
	FCMGT(x, 21, below) \
	FMIN(20, x, x)      \
	FMUL(22, x, n)      \
	FRINTN(n, n)        \
	FMLS(23, n, x)      \
	FMLS(24, n, x)      \
	EXPREST(x, n, p, q, below)

#define EXP2(x, n, p, q, below) \
	FCMGT(x, 21, below) \
	FRINTN(x, n)        \
	FSUB(n, x, x)       \
	FMUL(22, x, x)      \
	EXPREST(x, n, p, q, below)

// EXPREST turns x, which is r, to 2^n·exp(r).
#define EXPREST(x, n, p, q, below) \
	FCVTNS(n, n)        \
	SHL23(n, n)         \
	COPY(26, p)         \
	FMLA(25, x, p)      \
	COPY(27, q)         \
	FMLA(p, x, q)       \
	COPY(28, p)         \
	FMLA(q, x, p)       \
	COPY(29, q)         \
	FMLA(p, x, q)       \
	COPY(30, p)         \
	FMLA(q, x, p)       \
	FMUL(x, x, q)       \
	FADD(31, x, x)      \
	FMLA(q, p, x)       \
	ADD32(n, x, x)      \
	BIC(below, x, x)

// LANES leaves the sum of the lanes of V16 and V17 in the lowest of V16.
#define LANES \
	FADD(17, 16, 16)  \
	FADDP(16, 16, 16) \
	FADDP(16, 16, 16)

// func exp2Sum(x *float32, n int, high float32) (sum float32)
TEXT ·exp2Sum(SB), NOSPLIT, $0-28
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	FMOVS high+16(FP), F18
	VDUP V18.S[0], V18.S4
	EXP2CONST
	VEOR V16.B16, V16.B16, V16.B16
	VEOR V17.B16, V17.B16, V17.B16

turn:
	VLD1 (R0), [V0.S4, V1.S4]
	FSUB(18, 0, 0)
	FSUB(18, 1, 1)
	EXP2(0, 2, 3, 4, 5)
	EXP2(1, 6, 7, 8, 9)
	VST1.P [V0.S4, V1.S4], 32(R0)
	FADD(0, 16, 16)
	FADD(1, 17, 17)
	SUBS $8, R1
	BNE  turn
	LANES
	FMOVS F16, sum+24(FP)
	RET

// func siluMul(gate, up *float32, n int)
TEXT ·siluMul(SB), NOSPLIT, $0-24
	MOVD gate+0(FP), R0
	MOVD up+8(FP), R1
	MOVD n+16(FP), R2
	EXPCONST

turn:
	VLD1 (R0), [V10.S4, V11.S4]
	VLD1.P 32(R1), [V12.S4, V13.S4]
	FNEG(10, 0)
	FNEG(11, 1)
	EXP(0, 2, 3, 4, 5)
	EXP(1, 6, 7, 8, 9)
	FADD(31, 0, 0)
	FADD(31, 1, 1)
	FDIV(0, 10, 0)
	FDIV(1, 11, 1)
	FMUL(12, 0, 0)
	FMUL(13, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS $8, R2
	BNE  turn
	RET

// func maximum(x *float32, n int) (high float32): NaN where there is one.
TEXT ·maximum(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	VLD1 (R0), [V0.S4, V1.S4]

turn:
	VLD1.P 32(R0), [V2.S4, V3.S4]
	FMAX(2, 0, 0)
	FMAX(3, 1, 1)
	SUBS $8, R1
	BNE  turn
	FMAX(1, 0, 0)
	FMAXV(0, 0)
	FMOVS F0, high+16(FP)
	RET

// func squares(x *float32, n int) (sum float32)
TEXT ·squares(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	VEOR V16.B16, V16.B16, V16.B16
	VEOR V17.B16, V17.B16, V17.B16

turn:
	VLD1.P 32(R0), [V0.S4, V1.S4]
	FMLA(0, 0, 16)
	FMLA(1, 1, 17)
	SUBS $8, R1
	BNE  turn
	LANES
	FMOVS F16, sum+16(FP)
	RET

// func scaled(out, x, weight *float32, n int, scale float32): out = weight·(x·scale)
TEXT ·scaled(SB), NOSPLIT, $0-36
	MOVD out+0(FP), R0
	MOVD x+8(FP), R1
	MOVD weight+16(FP), R2
	MOVD n+24(FP), R3
	FMOVS scale+32(FP), F4
	VDUP V4.S[0], V4.S4

turn:
	VLD1.P 32(R1), [V0.S4, V1.S4]
	VLD1.P 32(R2), [V2.S4, V3.S4]
	FMUL(4, 0, 0)
	FMUL(4, 1, 1)
	FMUL(2, 0, 0)
	FMUL(3, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS $8, R3
	BNE  turn
	RET

// func times(x *float32, n int, factor float32)
TEXT ·times(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	FMOVS factor+16(FP), F4
	VDUP V4.S[0], V4.S4

turn:
	VLD1 (R0), [V0.S4, V1.S4]
	FMUL(4, 0, 0)
	FMUL(4, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS $8, R1
	BNE  turn
	RET

// func add(x, y *float32, n int): x += y
TEXT ·add(SB), NOSPLIT, $0-24
	MOVD x+0(FP), R0
	MOVD y+8(FP), R1
	MOVD n+16(FP), R2

turn:
	VLD1 (R0), [V0.S4, V1.S4]
	VLD1.P 32(R1), [V2.S4, V3.S4]
	FADD(2, 0, 0)
	FADD(3, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS $8, R2
	BNE  turn
	RET

// Weighted rows: four queries and 16 columns a turn, the sixteen sums in V16 to V31 while all rows go by.

#define WEIGH(weight, s0, s1, s2, s3) \
	VLD1R.P 4(weight), [V4.S4] \
	FMLA(0, 4, s0)             \
	FMLA(1, 4, s1)             \
	FMLA(2, 4, s2)             \
	FMLA(3, 4, s3)

// func weigh(sums *float32, sstride int, p *float32, pstride int, v *float32, vstride, columns, rows int, ahead *byte)
TEXT ·weigh(SB), NOSPLIT, $0-72
	MOVD sums+0(FP), R0
	MOVD sstride+8(FP), R14
	MOVD p+16(FP), R1
	MOVD pstride+24(FP), R2
	MOVD v+32(FP), R3
	MOVD vstride+40(FP), R6
	MOVD columns+48(FP), R4
	MOVD rows+56(FP), R5

columns16:
	MOVD R0, R7
	VLD1.P (R7)(R14), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1.P (R7)(R14), [V20.S4, V21.S4, V22.S4, V23.S4]
	VLD1.P (R7)(R14), [V24.S4, V25.S4, V26.S4, V27.S4]
	VLD1 (R7), [V28.S4, V29.S4, V30.S4, V31.S4]
	MOVD R1, R8
	ADD  R2, R1, R9
	ADD  R2, R9, R10
	ADD  R2, R10, R11
	MOVD R3, R12
	MOVD R5, R13

row:
	VLD1.P (R12)(R6), [V0.S4, V1.S4, V2.S4, V3.S4]
	WEIGH(R8, 16, 17, 18, 19)
	WEIGH(R9, 20, 21, 22, 23)
	WEIGH(R10, 24, 25, 26, 27)
	WEIGH(R11, 28, 29, 30, 31)
	SUBS $1, R13
	BNE  row

	MOVD R0, R7
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], (R7)(R14)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], (R7)(R14)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], (R7)(R14)
	VST1 [V28.S4, V29.S4, V30.S4, V31.S4], (R7)
	ADD  $64, R0
	ADD  $64, R3
	SUBS $16, R4
	BNE  columns16
	RET

// func narrow(dst *uint16, src *float32, n int)
TEXT ·narrow(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD n+16(FP), R2
	MOVD $0x477fe000, R3 // 65504
	VDUP R3, V4.S4
	FNEG(4, 5)

turn:
	VLD1.P 32(R1), [V0.S4, V1.S4]
	FMIN(4, 0, 0)
	FMIN(4, 1, 1)
	FMAX(5, 0, 0)
	FMAX(5, 1, 1)
	FCVTN(0, 2)
	FCVTN2(1, 2)
	VST1.P [V2.H8], 16(R0)
	SUBS $8, R2
	BNE  turn
	RET

// func Pause(n int): ISB drains the pipeline, which takes about as long as PAUSE on amd64; YIELD takes no time on most
// processors.
TEXT ·Pause(SB), NOSPLIT, $0-8
	MOVD n+0(FP), R0

again:
	ISB  $15
	SUBS $1, R0
	BNE  again
	RET
