#include "textflag.h"

// The loops of peak_amd64.s with vectors of 64 bytes.

#define EACHSUM(DO) \
	DO(Z0)  \
	DO(Z1)  \
	DO(Z2)  \
	DO(Z3)  \
	DO(Z4)  \
	DO(Z5)  \
	DO(Z6)  \
	DO(Z7)  \
	DO(Z8)  \
	DO(Z9)  \
	DO(Z10) \
	DO(Z11) \
	DO(Z12) \
	DO(Z13) \
	DO(Z14) \
	DO(Z15)

#define ZERO(sum) VPXORD sum, sum, sum
#define PAIRS(sum) VPDPWSSD Z16, Z16, sum
#define PRODUCT(sum) VFMADD231PS Z16, Z16, sum
#define JOIN(sum) VPADDD sum, Z17, Z17
#define JOINFLOAT(sum) VADDPS sum, Z17, Z17

#define LOOP(ONES, DO, ADD) \
	MOVQ sums+0(FP), DI     \
	MOVQ turns+8(FP), CX    \
	MOVL ONES, AX           \
	VPBROADCASTD AX, Z16    \
	EACHSUM(ZERO)           \
turn:                     \
	EACHSUM(DO)             \
	DECQ CX                 \
	JNZ  turn               \
	ZERO(Z17)               \
	EACHSUM(ADD)            \
	VMOVUPS Z17, (DI)       \
	VZEROUPPER              \
	RET

// func gemmPeakVNNI(sums *[16]int32, turns int)
TEXT ·gemmPeakVNNI(SB), NOSPLIT, $0-16
	LOOP($0x00010001, PAIRS, JOIN)

// func dotsPeakAVX512(sums *[16]float32, turns int)
TEXT ·dotsPeakAVX512(SB), NOSPLIT, $0-16
	LOOP($0x3f800000, PRODUCT, JOINFLOAT)
