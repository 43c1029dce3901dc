#include "textflag.h"
#include "simd_arm64.h"

// What GEMM and Dots multiply with, as fast as the processor can: products of ones, which join 16 sums that do not wait
// for each other, all in registers. At the end the sums are added up lane by lane.

#define EACHSUM(DO) \
	DO(16); DO(17); DO(18); DO(19) \
	DO(20); DO(21); DO(22); DO(23) \
	DO(24); DO(25); DO(26); DO(27) \
	DO(28); DO(29); DO(30); DO(31)

#define BYLANE(sum)    SMLALLANE(0, 0, 0, sum)
#define DIGITS(sum)    SDOTLANE(0, 0, 0, sum)
#define PRODUCT(sum)   FMLA(0, 0, sum)
#define JOIN(sum)      ADD32(sum, 1, 1)
#define JOINFLOAT(sum) FADD(sum, 1, 1)

#define LOOP(ONES, DO, ADD) \
	MOVD sums+0(FP), R0  \
	MOVD turns+8(FP), R1 \
	MOVD ONES, R2        \
	VDUP R2, V0.D2       \
	ZERO16               \
turn:                  \
	EACHSUM(DO)          \
	SUBS $1, R1          \
	BNE  turn            \
	ZERO(1)              \
	EACHSUM(ADD)         \
	VST1 [V1.S4], (R0)   \
	RET

// func gemmPeak(sums *[16]int32, turns int)
TEXT ·gemmPeak(SB), NOSPLIT, $0-16
	LOOP($0x0001000100010001, BYLANE, JOIN)

// func gemmPeakDot(sums *[16]int32, turns int)
TEXT ·gemmPeakDot(SB), NOSPLIT, $0-16
	LOOP($0x0101010101010101, DIGITS, JOIN)

// func dotsPeak(sums *[16]float32, turns int)
TEXT ·dotsPeak(SB), NOSPLIT, $0-16
	LOOP($0x3f8000003f800000, PRODUCT, JOINFLOAT)
