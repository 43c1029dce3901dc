#include "textflag.h"

// exp(x) = 2^n·exp(r) with n = round(x/ln 2): r is taken off in two steps to keep its bits, exp(r) is the polynomial of
// Cephes' expf (S. Moshier). Below -87 the result is 0. 2^x is the same with r = (x - n)·ln 2, where n = round(x);
// below -125.5 it is 0.
DATA ·expConst+0(SB)/4, $0x42b00000  // 88
DATA ·expConst+4(SB)/4, $0xc2ae0000  // -87
DATA ·expConst+8(SB)/4, $0x3fb8aa3b  // 1/ln 2
DATA ·expConst+12(SB)/4, $0x3f318000 // 0.693359375
DATA ·expConst+16(SB)/4, $0xb95e8083 // ln 2 - 0.693359375
DATA ·expConst+20(SB)/4, $0x39506967 // 1.9875691500e-4
DATA ·expConst+24(SB)/4, $0x3ab743ce // 1.3981999507e-3
DATA ·expConst+28(SB)/4, $0x3c088908 // 8.3334519073e-3
DATA ·expConst+32(SB)/4, $0x3d2aa9c1 // 4.1665795894e-2
DATA ·expConst+36(SB)/4, $0x3e2aaaaa // 1.6666665459e-1
DATA ·expConst+40(SB)/4, $0x3f000000 // 0.5
DATA ·expConst+44(SB)/4, $0x3f800000 // 1
DATA ·expConst+48(SB)/4, $0xc2fb0000 // -125.5
DATA ·expConst+52(SB)/4, $0x3f317218 // ln 2
GLOBL ·expConst(SB), RODATA|NOPTR, $56

// EXPCONST and EXP2CONST load what EXP and EXP2 keep in registers.
#define EXPCONST \
	VBROADCASTSS ·expConst+0(SB), Y15  \
	VBROADCASTSS ·expConst+4(SB), Y14  \
	VBROADCASTSS ·expConst+8(SB), Y13  \
	VBROADCASTSS ·expConst+12(SB), Y12 \
	VBROADCASTSS ·expConst+16(SB), Y11 \
	VBROADCASTSS ·expConst+40(SB), Y10 \
	VBROADCASTSS ·expConst+44(SB), Y9

#define EXP2CONST \
	VBROADCASTSS ·expConst+48(SB), Y14 \
	VBROADCASTSS ·expConst+52(SB), Y13 \
	VBROADCASTSS ·expConst+40(SB), Y10 \
	VBROADCASTSS ·expConst+44(SB), Y9

// EXP turns Y0 to exp(Y0), EXP2 what is at most 127 to 2^Y0; a NaN stays one. They use Y1 to Y4. Y4 marks what does not
// become 0.
#define EXP \
	VCMPPS       $5, Y14, Y0, Y4 \
	VMINPS       Y0, Y15, Y0     \
	VMULPS       Y13, Y0, Y1     \
	VROUNDPS     $0, Y1, Y1      \
	VFNMADD231PS Y12, Y1, Y0     \
	VFNMADD231PS Y11, Y1, Y0     \
	EXPREST

#define EXP2 \
	VCMPPS   $5, Y14, Y0, Y4 \
	VROUNDPS $0, Y0, Y1      \
	VSUBPS   Y1, Y0, Y0      \
	VMULPS   Y13, Y0, Y0     \
	EXPREST

// EXPREST turns r in Y0 and n in Y1 to 2^n·exp(r).
#define EXPREST \
	VCVTPS2DQ    Y1, Y1                    \
	VPSLLD       $23, Y1, Y1               \
	VBROADCASTSS ·expConst+20(SB), Y2     \
	VBROADCASTSS ·expConst+24(SB), Y3     \
	VFMADD213PS  Y3, Y0, Y2                \
	VBROADCASTSS ·expConst+28(SB), Y3     \
	VFMADD213PS  Y3, Y0, Y2                \
	VBROADCASTSS ·expConst+32(SB), Y3     \
	VFMADD213PS  Y3, Y0, Y2                \
	VBROADCASTSS ·expConst+36(SB), Y3     \
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

// func exp2Sum(x *float32, n int, high float32) (sum float32)
TEXT ·exp2Sum(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS high+16(FP), Y8
	EXP2CONST
	VXORPS Y7, Y7, Y7

turn:
	VMOVUPS (DI), Y0
	VSUBPS Y8, Y0, Y0
	EXP2
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

// Weighted rows: four queries and 16 columns a turn, the eight sums in Y0 to Y7 while all rows go by.

#define WEIGHT(from, weight, s0, s1) \
	VBROADCASTSS from, weight      \
	VFMADD231PS  Y8, weight, s0    \
	VFMADD231PS  Y9, weight, s1

#define ROW(n) \
	VMOVUPS (AX), Y8                  \
	VMOVUPS 32(AX), Y9                \
	ADDQ DX, AX                       \
	WEIGHT(n(SI), Y10, Y0, Y1)        \
	WEIGHT(n(SI)(R8*1), Y11, Y2, Y3)  \
	WEIGHT(n(SI)(R8*2), Y12, Y4, Y5)  \
	WEIGHT(n(SI)(R9*1), Y13, Y6, Y7)

// func weigh(sums *float32, sstride int, p *float32, pstride int, v *float32, vstride, columns, rows int, ahead *byte)
TEXT ·weigh(SB), NOSPLIT, $0-72
	MOVQ sums+0(FP), DI
	MOVQ sstride+8(FP), R12
	LEAQ (R12)(R12*2), R10
	MOVQ pstride+24(FP), R8
	LEAQ (R8)(R8*2), R9
	MOVQ v+32(FP), R11
	MOVQ vstride+40(FP), DX
	MOVQ columns+48(FP), BX
	MOVQ ahead+64(FP), R13

columns16:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS (DI)(R12*1), Y2
	VMOVUPS 32(DI)(R12*1), Y3
	VMOVUPS (DI)(R12*2), Y4
	VMOVUPS 32(DI)(R12*2), Y5
	VMOVUPS (DI)(R10*1), Y6
	VMOVUPS 32(DI)(R10*1), Y7
	MOVQ p+16(FP), SI
	MOVQ R11, AX
	MOVQ rows+56(FP), CX
	SUBQ $4, CX
	JLT  fewer

rows4:
	PREFETCHT0 (R13)
	ADDQ $32, R13
	ROW(0)
	ROW(4)
	ROW(8)
	ROW(12)
	ADDQ $16, SI
	SUBQ $4, CX
	JGE  rows4

fewer:
	ADDQ $4, CX
	JZ   sums16

row:
	ROW(0)
	ADDQ $4, SI
	DECQ CX
	JNZ  row

sums16:
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, (DI)(R12*1)
	VMOVUPS Y3, 32(DI)(R12*1)
	VMOVUPS Y4, (DI)(R12*2)
	VMOVUPS Y5, 32(DI)(R12*2)
	VMOVUPS Y6, (DI)(R10*1)
	VMOVUPS Y7, 32(DI)(R10*1)
	ADDQ $64, DI
	ADDQ $64, R11
	SUBQ $16, BX
	JNZ  columns16
	VZEROUPPER
	RET

DATA ·largestHalf+0(SB)/4, $0x477fe000 // 65504
DATA ·largestHalf+4(SB)/4, $0xc77fe000
GLOBL ·largestHalf(SB), RODATA|NOPTR, $8

// func narrow(dst *uint16, src *float32, n int): MINPS and MAXPS give their last operand where one is NaN.
TEXT ·narrow(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS ·largestHalf+0(SB), Y1
	VBROADCASTSS ·largestHalf+4(SB), Y2

turn:
	VMINPS (SI), Y1, Y0
	VMAXPS Y0, Y2, Y0
	VCVTPS2PH $0, Y0, (DI)
	ADDQ $32, SI
	ADDQ $16, DI
	SUBQ $8, CX
	JNZ  turn
	VZEROUPPER
	RET

// func Pause(n int)
TEXT ·Pause(SB), NOSPLIT, $0-8
	MOVQ n+0(FP), CX

again:
	PAUSE
	DECQ CX
	JNZ  again
	RET
