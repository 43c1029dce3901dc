#include "textflag.h"

// What GEMM and Dots multiply with, as fast as the processor can: products of ones, which join sums that do not wait
// for each other, all in registers. At the end the sums are added up lane by lane.

#define ZERO(sum) VPXOR sum, sum, sum

#define EACHSUM(DO) \
	DO(Y0)  \
	DO(Y1)  \
	DO(Y2)  \
	DO(Y3)  \
	DO(Y4)  \
	DO(Y5)  \
	DO(Y6)  \
	DO(Y7)  \
	DO(Y8)  \
	DO(Y9)  \
	DO(Y10) \
	DO(Y11)

#define PAIRS(sum) \
	VPMADDWD Y15, Y15, Y14 \
	VPADDD   Y14, sum, sum
#define PRODUCT(sum) VFMADD231PS Y15, Y15, sum
#define JOIN(sum) VPADDD sum, Y14, Y14
#define JOINFLOAT(sum) VADDPS sum, Y14, Y14

#define LOOP(ONES, DO, ADD) \
	MOVQ sums+0(FP), DI   \
	MOVQ turns+8(FP), CX  \
	MOVL ONES, AX         \
	VMOVD AX, X15         \
	VPBROADCASTD X15, Y15 \
	EACHSUM(ZERO)         \
turn:                  \
	EACHSUM(DO)           \
	DECQ CX               \
	JNZ  turn             \
	ZERO(Y14)             \
	EACHSUM(ADD)          \
	VMOVUPS Y14, (DI)     \
	VZEROUPPER            \
	RET

// func gemmPeak(sums *[16]int32, turns int)
TEXT ·gemmPeak(SB), NOSPLIT, $0-16
	LOOP($0x00010001, PAIRS, JOIN)

// func dotsPeak(sums *[16]float32, turns int)
TEXT ·dotsPeak(SB), NOSPLIT, $0-16
	LOOP($0x3f800000, PRODUCT, JOINFLOAT)
