#include "textflag.h"

// exp(x) = 2^n·exp(r) with n = round(x/ln 2): r is taken off in two steps to keep its bits, exp(r) is the polynomial
// of Cephes' expf (S. Moshier). Below -87 the result is 0.
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

// EXPCONST loads what EXP keeps in registers.
#define EXPCONST \
	VBROADCASTSS expConst<>+0(SB), Y15  \
	VBROADCASTSS expConst<>+4(SB), Y14  \
	VBROADCASTSS expConst<>+8(SB), Y13  \
	VBROADCASTSS expConst<>+12(SB), Y12 \
	VBROADCASTSS expConst<>+16(SB), Y11 \
	VBROADCASTSS expConst<>+40(SB), Y10 \
	VBROADCASTSS expConst<>+44(SB), Y9

// EXP turns Y0 to exp(Y0); a NaN stays one. It uses Y1 to Y4. Y4 marks what is not below -87.
#define EXP \
	VCMPPS       $5, Y14, Y0, Y4           \
	VMINPS       Y0, Y15, Y0               \
	VMULPS       Y13, Y0, Y1               \
	VROUNDPS     $0, Y1, Y1                \
	VFNMADD231PS Y12, Y1, Y0               \
	VFNMADD231PS Y11, Y1, Y0               \
	VCVTPS2DQ    Y1, Y1                    \
	VPSLLD       $23, Y1, Y1               \
	VBROADCASTSS expConst<>+20(SB), Y2     \
	VBROADCASTSS expConst<>+24(SB), Y3     \
	VFMADD213PS  Y3, Y0, Y2                \
	VBROADCASTSS expConst<>+28(SB), Y3     \
	VFMADD213PS  Y3, Y0, Y2                \
	VBROADCASTSS expConst<>+32(SB), Y3     \
	VFMADD213PS  Y3, Y0, Y2                \
	VBROADCASTSS expConst<>+36(SB), Y3     \
	VFMADD213PS  Y3, Y0, Y2                \
	VFMADD213PS  Y10, Y0, Y2               \
	VMULPS       Y0, Y0, Y3                \
	VADDPS       Y9, Y0, Y0                \
	VFMADD231PS  Y3, Y2, Y0                \
	VPADDD       Y1, Y0, Y0                \
	VANDPS       Y4, Y0, Y0

// LANES leaves the sum of the lanes of Y0 in the lowest.
#define LANES \
	VEXTRACTF128 $1, Y0, X1 \
	VADDPS  X1, X0, X0      \
	VHADDPS X0, X0, X0      \
	VHADDPS X0, X0, X0

// func expSum(x *float32, n int, high float32) (sum float32)
TEXT ·expSum(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS high+16(FP), Y8
	EXPCONST
	VXORPS Y7, Y7, Y7

turn:
	VMOVUPS (DI), Y0
	VSUBPS Y8, Y0, Y0
	EXP
	VMOVUPS Y0, (DI)
	VADDPS Y0, Y7, Y7
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  turn
	VMOVAPS Y7, Y0
	LANES
	VMOVSS X0, sum+24(FP)
	VZEROUPPER
	RET

// func siluMul(gate, up *float32, n int)
TEXT ·siluMul(SB), NOSPLIT, $0-24
	MOVQ gate+0(FP), DI
	MOVQ up+8(FP), SI
	MOVQ n+16(FP), CX
	EXPCONST

turn:
	VMOVUPS (DI), Y5
	VXORPS Y0, Y0, Y0
	VSUBPS Y5, Y0, Y0
	EXP
	VADDPS Y9, Y0, Y0
	VDIVPS Y0, Y5, Y0
	VMULPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  turn
	VZEROUPPER
	RET

// func maximum(x *float32, n int) (high float32): NaN where there is one.
TEXT ·maximum(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VMOVUPS (SI), Y0
	VXORPS Y3, Y3, Y3

turn:
	VMOVUPS (SI), Y1
	VCMPPS $3, Y1, Y1, Y2 // unordered: NaN
	VORPS Y2, Y3, Y3
	VMAXPS Y1, Y0, Y0
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  turn
	VEXTRACTF128 $1, Y0, X1
	VMAXPS X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VMAXPS X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VMAXPS X1, X0, X0
	VMOVMSKPS Y3, AX
	TESTL AX, AX
	JZ   done
	VPCMPEQD X0, X0, X0

done:
	VMOVSS X0, high+16(FP)
	VZEROUPPER
	RET

// func squares(x *float32, n int) (sum float32)
TEXT ·squares(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VXORPS Y0, Y0, Y0

turn:
	VMOVUPS (SI), Y1
	VFMADD231PS Y1, Y1, Y0
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  turn
	LANES
	VMOVSS X0, sum+16(FP)
	VZEROUPPER
	RET

// func scaled(out, x, weight *float32, n int, scale float32): out = weight·(x·scale)
TEXT ·scaled(SB), NOSPLIT, $0-36
	MOVQ out+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ weight+16(FP), DX
	MOVQ n+24(FP), CX
	VBROADCASTSS scale+32(FP), Y8

turn:
	VMULPS (SI), Y8, Y0
	VMULPS (DX), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, DX
	SUBQ $8, CX
	JNZ  turn
	VZEROUPPER
	RET

// func times(x *float32, n int, factor float32)
TEXT ·times(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS factor+16(FP), Y8

turn:
	VMULPS (DI), Y8, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  turn
	VZEROUPPER
	RET

// func add(x, y *float32, n int): x += y
TEXT ·add(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), DI
	MOVQ y+8(FP), SI
	MOVQ n+16(FP), CX

turn:
	VMOVUPS (DI), Y0
	VADDPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  turn
	VZEROUPPER
	RET

// Scores: two queries and four keys a turn, eight vectors of sums along the dimensions, Y(4·query+key).

#define KEYS4(query, s0, s1, s2, s3) \
	VMOVUPS     query, Y12    \
	VFMADD231PS Y8, Y12, s0   \
	VFMADD231PS Y9, Y12, s1   \
	VFMADD231PS Y10, Y12, s2  \
	VFMADD231PS Y11, Y12, s3

// func scores(s *float32, sstride int, q, k *float32, dim, keys int)
TEXT ·scores(SB), NOSPLIT, $0-48
	MOVQ s+0(FP), DI
	MOVQ sstride+8(FP), AX
	MOVQ k+24(FP), R8
	MOVQ dim+32(FP), DX
	SHLQ $2, DX
	LEAQ (DX)(DX*2), R10
	MOVQ keys+40(FP), CX

nextkeys:
	MOVQ q+16(FP), SI
	MOVQ R8, R9
	MOVQ dim+32(FP), BX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7

turn:
	VMOVUPS (R9), Y8
	VMOVUPS (R9)(DX*1), Y9
	VMOVUPS (R9)(DX*2), Y10
	VMOVUPS (R9)(R10*1), Y11
	KEYS4((SI), Y0, Y1, Y2, Y3)
	KEYS4((SI)(DX*1), Y4, Y5, Y6, Y7)
	ADDQ $32, SI
	ADDQ $32, R9
	SUBQ $8, BX
	JNZ  turn

	VHADDPS Y1, Y0, Y0
	VHADDPS Y3, Y2, Y2
	VHADDPS Y5, Y4, Y4
	VHADDPS Y7, Y6, Y6
	VHADDPS Y2, Y0, Y0
	VHADDPS Y6, Y4, Y4
	VPERM2F128 $0x20, Y4, Y0, Y1
	VPERM2F128 $0x31, Y4, Y0, Y2
	VADDPS Y1, Y2, Y0
	VMOVUPS X0, (DI)
	VEXTRACTF128 $1, Y0, (DI)(AX*1)
	ADDQ $16, DI
	LEAQ (R8)(DX*4), R8
	SUBQ $4, CX
	JNZ  nextkeys
	VZEROUPPER
	RET

// Weighted values: four queries and 16 dimensions a turn, the eight sums in Y0 to Y7 while all keys go by.

#define WEIGH(weight, s0, s1) \
	VBROADCASTSS weight, Y10  \
	VFMADD231PS  Y8, Y10, s0  \
	VFMADD231PS  Y9, Y10, s1

// func weigh(sums, p *float32, pstride int, v *float32, dim, keys int)
TEXT ·weigh(SB), NOSPLIT, $0-48
	MOVQ sums+0(FP), DI
	MOVQ pstride+16(FP), R8
	LEAQ (R8)(R8*2), R9
	MOVQ v+24(FP), R11
	MOVQ dim+32(FP), BX
	MOVQ BX, DX
	SHLQ $2, DX
	LEAQ (DX)(DX*2), R10

nextdims:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS (DI)(DX*1), Y2
	VMOVUPS 32(DI)(DX*1), Y3
	VMOVUPS (DI)(DX*2), Y4
	VMOVUPS 32(DI)(DX*2), Y5
	VMOVUPS (DI)(R10*1), Y6
	VMOVUPS 32(DI)(R10*1), Y7
	MOVQ p+8(FP), SI
	MOVQ R11, AX
	MOVQ keys+40(FP), CX

turn:
	VMOVUPS (AX), Y8
	VMOVUPS 32(AX), Y9
	WEIGH((SI), Y0, Y1)
	WEIGH((SI)(R8*1), Y2, Y3)
	WEIGH((SI)(R8*2), Y4, Y5)
	WEIGH((SI)(R9*1), Y6, Y7)
	ADDQ DX, AX
	ADDQ $4, SI
	DECQ CX
	JNZ  turn

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, (DI)(DX*1)
	VMOVUPS Y3, 32(DI)(DX*1)
	VMOVUPS Y4, (DI)(DX*2)
	VMOVUPS Y5, 32(DI)(DX*2)
	VMOVUPS Y6, (DI)(R10*1)
	VMOVUPS Y7, 32(DI)(R10*1)
	ADDQ $64, DI
	ADDQ $64, R11
	SUBQ $16, BX
	JNZ  nextdims
	VZEROUPPER
	RET

// func pause(n int)
TEXT ·pause(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX

again:
	PAUSE
	DECQ CX
	JNZ  again
	RET
