#include "textflag.h"
#include "simd_amd64.h"

// Products of plain weights: eight columns a turn, widened to float32, into one vector of eight sums for each row and
// token. SUM4 adds up the lanes, always in the same order, so that both kernels give the same number.

// SUM4 leaves the sums of the lanes of four vectors in the four lanes of the first, an X register.
#define SUM4(a, xa, b, c, d, x) \
	VHADDPS b, a, a            \
	VHADDPS d, c, c            \
	VHADDPS c, a, a            \
	VEXTRACTF128 $1, a, x      \
	VADDPS x, xa, xa

// func dotsF32(y *float32, w *byte, stride int, x *float32, columns int) and its likes: four rows and one token. What
// the next four rows need is fetched meanwhile.
#define DOTS(LOAD, SIZE) \
	LEAQ (R8)(DX*4), SI          \
	LEAQ (DX)(DX*2), R10         \
	VXORPS Y0, Y0, Y0            \
	VXORPS Y1, Y1, Y1            \
	VXORPS Y2, Y2, Y2            \
	VXORPS Y3, Y3, Y3            \
turn:                          \
	VMOVUPS (R11), Y8            \
	LOAD((R8), Y4)               \
	LOAD((R8)(DX*1), Y5)         \
	LOAD((R8)(DX*2), Y6)         \
	LOAD((R8)(R10*1), Y7)        \
	PREFETCHT0 (SI)              \
	VFMADD231PS Y4, Y8, Y0       \
	VFMADD231PS Y5, Y8, Y1       \
	VFMADD231PS Y6, Y8, Y2       \
	VFMADD231PS Y7, Y8, Y3       \
	ADDQ $32, R11                \
	ADDQ $(8*SIZE), R8           \
	ADDQ $(32*SIZE), SI          \
	SUBQ $8, CX                  \
	JNZ  turn                    \
	SUM4(Y0, X0, Y1, Y2, Y3, X4) \
	VMOVUPS X0, (DI)             \
	VZEROUPPER                   \
	RET

TEXT ·dotsF32(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ w+8(FP), R8
	MOVQ stride+16(FP), DX
	MOVQ x+24(FP), R11
	MOVQ columns+32(FP), CX
	DOTS(LOADF32, 4)

TEXT ·dotsF16(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ w+8(FP), R8
	MOVQ stride+16(FP), DX
	MOVQ x+24(FP), R11
	MOVQ columns+32(FP), CX
	DOTS(LOADF16, 2)

TEXT ·dotsBF16(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ w+8(FP), R8
	MOVQ stride+16(FP), DX
	MOVQ x+24(FP), R11
	MOVQ columns+32(FP), CX
	DOTS(LOADBF16, 2)

#define THREE(row, s0, s1, s2) \
	VMOVUPS     row, Y15      \
	VFMADD231PS Y12, Y15, s0  \
	VFMADD231PS Y13, Y15, s1  \
	VFMADD231PS Y14, Y15, s2

// Four rows of float32 and three tokens: twelve vectors of sums, Y(3·row+token).

// func tile(y *float32, ystride int, w, x *float32, columns int)
TEXT ·tile(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ w+16(FP), R8
	MOVQ x+24(FP), R11
	MOVQ columns+32(FP), CX
	MOVQ CX, DX
	SHLQ $2, DX
	LEAQ (DX)(DX*2), R10
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11

turn:
	VMOVUPS (R11), Y12
	VMOVUPS (R11)(DX*1), Y13
	VMOVUPS (R11)(DX*2), Y14
	THREE((R8), Y0, Y1, Y2)
	THREE((R8)(DX*1), Y3, Y4, Y5)
	THREE((R8)(DX*2), Y6, Y7, Y8)
	THREE((R8)(R10*1), Y9, Y10, Y11)
	ADDQ $32, R11
	ADDQ $32, R8
	SUBQ $8, CX
	JNZ  turn

	MOVQ ystride+8(FP), DX
	SUM4(Y0, X0, Y3, Y6, Y9, X12)
	SUM4(Y1, X1, Y4, Y7, Y10, X12)
	SUM4(Y2, X2, Y5, Y8, Y11, X12)
	VMOVUPS X0, (DI)
	VMOVUPS X1, (DI)(DX*1)
	VMOVUPS X2, (DI)(DX*2)
	VZEROUPPER
	RET

// WIDEN also fetches what a call for the next 32 keys of 128 float16s, 8 KiB on, will read.
#define WIDEN(LOAD) \
turn:                     \
	LOAD((SI), Y0)          \
	PREFETCHT0 8192(SI)     \
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
