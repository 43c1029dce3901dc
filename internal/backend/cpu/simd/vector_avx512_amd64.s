#include "textflag.h"

// The vector kernels on 16 lanes. n is a multiple of 8, so the last turn of an elementwise kernel may be one of 8
// lanes, under the mask K1; lanes that are masked off are neither read nor written.

// EXPCONST and EXP2CONST load the constants of vector_amd64.s into Z20 to Z31 and Z21 to Z31.
#define EXPCONST \
	VBROADCASTSS ·expConst+0(SB), Z20  \
	VBROADCASTSS ·expConst+4(SB), Z21  \
	VBROADCASTSS ·expConst+8(SB), Z22  \
	VBROADCASTSS ·expConst+12(SB), Z23 \
	VBROADCASTSS ·expConst+16(SB), Z24 \
	EXPRESTCONST

#define EXP2CONST \
	VBROADCASTSS ·expConst+48(SB), Z21 \
	VBROADCASTSS ·expConst+52(SB), Z22 \
	EXPRESTCONST

#define EXPRESTCONST \
	VBROADCASTSS ·expConst+20(SB), Z25 \
	VBROADCASTSS ·expConst+24(SB), Z26 \
	VBROADCASTSS ·expConst+28(SB), Z27 \
	VBROADCASTSS ·expConst+32(SB), Z28 \
	VBROADCASTSS ·expConst+36(SB), Z29 \
	VBROADCASTSS ·expConst+40(SB), Z30 \
	VBROADCASTSS ·expConst+44(SB), Z31

// EXP turns Z0 to exp(Z0), EXP2 what is at most 127 to 2^Z0; a NaN stays one. They use Z1 to Z3 and K2, which marks
// what does not become 0.
#define EXP \
	VCMPPS       $5, Z21, Z0, K2  \
	VMINPS       Z0, Z20, Z0      \
	VMULPS       Z22, Z0, Z1      \
	VRNDSCALEPS  $8, Z1, Z1       \
	VFNMADD231PS Z23, Z1, Z0      \
	VFNMADD231PS Z24, Z1, Z0      \
	EXPREST

#define EXP2 \
	VCMPPS      $5, Z21, Z0, K2  \
	VRNDSCALEPS $8, Z0, Z1       \
	VSUBPS      Z1, Z0, Z0       \
	VMULPS      Z22, Z0, Z0      \
	EXPREST

// EXPREST turns r in Z0 and n in Z1 to 2^n·exp(r).
#define EXPREST \
	VMOVAPS      Z25, Z2          \
	VFMADD213PS  Z26, Z0, Z2      \
	VFMADD213PS  Z27, Z0, Z2      \
	VFMADD213PS  Z28, Z0, Z2      \
	VFMADD213PS  Z29, Z0, Z2      \
	VFMADD213PS  Z30, Z0, Z2      \
	VMULPS       Z0, Z0, Z3       \
	VADDPS       Z31, Z0, Z0      \
	VFMADD231PS  Z3, Z2, Z0       \
	VSCALEFPS.Z  Z1, Z0, K2, Z0

// LANES leaves the sum of the lanes of Z0 in the lowest. It uses Z1.
#define LANES \
	VEXTRACTF64X4 $1, Z0, Y1 \
	VADDPS  Y1, Y0, Y0       \
	VEXTRACTF128 $1, Y0, X1  \
	VADDPS  X1, X0, X0       \
	VHADDPS X0, X0, X0       \
	VHADDPS X0, X0, X0

// LOOP sets K1 to all lanes and goes to last when less than 16 numbers are left in CX; NEXT goes to turn, or sets K1
// to 8 lanes for the last turn, or falls through when nothing is left.
#define LOOP \
	MOVL  $0xffff, R8 \
	KMOVW R8, K1      \
	MOVL  $0xff, R8   \
	CMPQ  CX, $16     \
	JGE   turn        \
	KMOVW R8, K1      \
turn:

#define NEXT \
	SUBQ  $16, CX \
	CMPQ  CX, $16 \
	JGE   turn    \
	KMOVW R8, K1  \
	TESTQ CX, CX  \
	JG    turn

// func exp2SumAVX512(x *float32, n int, high float32) (sum float32)
TEXT ·exp2SumAVX512(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS high+16(FP), Z8
	EXP2CONST
	VPXORQ Z7, Z7, Z7
	LOOP
	VMOVUPS.Z (DI), K1, Z0
	VSUBPS Z8, Z0, Z0
	EXP2
	VMOVUPS Z0, K1, (DI)
	VADDPS Z0, Z7, K1, Z7
	ADDQ $64, DI
	NEXT
	VMOVAPS Z7, Z0
	LANES
	VMOVSS X0, sum+24(FP)
	VZEROUPPER
	RET

// func siluMulAVX512(gate, up *float32, n int)
TEXT ·siluMulAVX512(SB), NOSPLIT, $0-24
	MOVQ gate+0(FP), DI
	MOVQ up+8(FP), SI
	MOVQ n+16(FP), CX
	EXPCONST
	VPXORQ Z6, Z6, Z6
	LOOP
	VMOVUPS.Z (DI), K1, Z5
	VMOVUPS.Z (SI), K1, Z4
	VSUBPS Z5, Z6, Z0
	EXP
	VADDPS Z31, Z0, Z0
	VDIVPS Z0, Z5, Z0
	VMULPS Z4, Z0, Z0
	VMOVUPS Z0, K1, (DI)
	ADDQ $64, DI
	ADDQ $64, SI
	NEXT
	VZEROUPPER
	RET

// func maximumAVX512(x *float32, n int) (high float32): NaN where there is one. Lanes that are masked off keep what
// they had: the first eight numbers twice, or more.
TEXT ·maximumAVX512(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTF64X4 (SI), Z0
	KXORW K3, K3, K3
	LOOP
	VMOVUPS.Z (SI), K1, Z1
	VCMPPS $3, Z1, Z1, K2 // unordered: NaN
	KORW K2, K3, K3
	VMAXPS Z1, Z0, K1, Z0
	ADDQ $64, SI
	NEXT
	VEXTRACTF64X4 $1, Z0, Y1
	VMAXPS Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VMAXPS X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VMAXPS X1, X0, X0
	KORTESTW K3, K3
	JEQ  done
	VPCMPEQD X0, X0, X0

done:
	VMOVSS X0, high+16(FP)
	VZEROUPPER
	RET

// func squaresAVX512(x *float32, n int) (sum float32)
TEXT ·squaresAVX512(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VPXORQ Z0, Z0, Z0
	LOOP
	VMOVUPS.Z (SI), K1, Z1
	VFMADD231PS Z1, Z1, Z0
	ADDQ $64, SI
	NEXT
	LANES
	VMOVSS X0, sum+16(FP)
	VZEROUPPER
	RET

// func scaledAVX512(out, x, weight *float32, n int, scale float32): out = weight·(x·scale)
TEXT ·scaledAVX512(SB), NOSPLIT, $0-36
	MOVQ out+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ weight+16(FP), DX
	MOVQ n+24(FP), CX
	VBROADCASTSS scale+32(FP), Z8
	LOOP
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS.Z (DX), K1, Z1
	VMULPS Z0, Z8, Z0
	VMULPS Z1, Z0, Z0
	VMOVUPS Z0, K1, (DI)
	ADDQ $64, DI
	ADDQ $64, SI
	ADDQ $64, DX
	NEXT
	VZEROUPPER
	RET

// func timesAVX512(x *float32, n int, factor float32)
TEXT ·timesAVX512(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS factor+16(FP), Z8
	LOOP
	VMOVUPS.Z (DI), K1, Z0
	VMULPS Z0, Z8, Z0
	VMOVUPS Z0, K1, (DI)
	ADDQ $64, DI
	NEXT
	VZEROUPPER
	RET

// func addAVX512(x, y *float32, n int): x += y
TEXT ·addAVX512(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), DI
	MOVQ y+8(FP), SI
	MOVQ n+16(FP), CX
	LOOP
	VMOVUPS.Z (DI), K1, Z0
	VMOVUPS.Z (SI), K1, Z1
	VADDPS Z1, Z0, Z0
	VMOVUPS Z0, K1, (DI)
	ADDQ $64, DI
	ADDQ $64, SI
	NEXT
	VZEROUPPER
	RET

#define WIDEN(LOAD) \
	LOOP                        \
	LOAD                        \
	VMOVUPS Z0, K1, (DI)        \
	ADDQ $32, SI                \
	ADDQ $64, DI                \
	NEXT                        \
	VZEROUPPER                  \
	RET

#define LOADF16 \
	VMOVDQU16.Z (SI), K1, Y0 \
	VCVTPH2PS   Y0, Z0

#define LOADBF16 \
	VPMOVZXWD.Z (SI), K1, Z0 \
	VPSLLD      $16, Z0, Z0

// func widenF16AVX512(dst *float32, src *byte, n int)
TEXT ·widenF16AVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	WIDEN(LOADF16)

// func widenBF16AVX512(dst *float32, src *byte, n int)
TEXT ·widenBF16AVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	WIDEN(LOADBF16)

// Weighted rows: four queries and 32 columns a turn, the eight sums in Z0 to Z7 while all rows go by.

#define WEIGHT(from, weight, s0, s1) \
	VBROADCASTSS from, weight      \
	VFMADD231PS  Z8, weight, s0    \
	VFMADD231PS  Z9, weight, s1

#define ROW(n) \
	VMOVUPS (AX), Z8                  \
	VMOVUPS 64(AX), Z9                \
	ADDQ DX, AX                       \
	WEIGHT(n(SI), Z10, Z0, Z1)        \
	WEIGHT(n(SI)(R8*1), Z11, Z2, Z3)  \
	WEIGHT(n(SI)(R8*2), Z12, Z4, Z5)  \
	WEIGHT(n(SI)(R9*1), Z13, Z6, Z7)

// func weighAVX512(sums *float32, sstride int, p *float32, pstride int, v *float32, vstride, columns, rows int, ahead
// *byte)
TEXT ·weighAVX512(SB), NOSPLIT, $0-72
	MOVQ sums+0(FP), DI
	MOVQ sstride+8(FP), R12
	LEAQ (R12)(R12*2), R10
	MOVQ pstride+24(FP), R8
	LEAQ (R8)(R8*2), R9
	MOVQ v+32(FP), R11
	MOVQ vstride+40(FP), DX
	MOVQ columns+48(FP), BX
	MOVQ ahead+64(FP), R13
	SUBQ $32, BX
	JLT  columns16

columns32:
	VMOVUPS (DI), Z0
	VMOVUPS 64(DI), Z1
	VMOVUPS (DI)(R12*1), Z2
	VMOVUPS 64(DI)(R12*1), Z3
	VMOVUPS (DI)(R12*2), Z4
	VMOVUPS 64(DI)(R12*2), Z5
	VMOVUPS (DI)(R10*1), Z6
	VMOVUPS 64(DI)(R10*1), Z7
	MOVQ p+16(FP), SI
	MOVQ R11, AX
	MOVQ rows+56(FP), CX
	SUBQ $4, CX
	JLT  fewer

rows4:
	PREFETCHT0 (R13)
	ADDQ $64, R13
	ROW(0)
	ROW(4)
	ROW(8)
	ROW(12)
	ADDQ $16, SI
	SUBQ $4, CX
	JGE  rows4

fewer:
	ADDQ $4, CX
	JZ   sums32

row:
	ROW(0)
	ADDQ $4, SI
	DECQ CX
	JNZ  row

sums32:
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, (DI)(R12*1)
	VMOVUPS Z3, 64(DI)(R12*1)
	VMOVUPS Z4, (DI)(R12*2)
	VMOVUPS Z5, 64(DI)(R12*2)
	VMOVUPS Z6, (DI)(R10*1)
	VMOVUPS Z7, 64(DI)(R10*1)
	ADDQ $128, DI
	ADDQ $128, R11
	SUBQ $32, BX
	JGE  columns32

columns16:
	ADDQ $32, BX
	JZ   done
	VMOVUPS (DI), Z0
	VMOVUPS (DI)(R12*1), Z2
	VMOVUPS (DI)(R12*2), Z4
	VMOVUPS (DI)(R10*1), Z6
	MOVQ p+16(FP), SI
	MOVQ rows+56(FP), CX

row16:
	VMOVUPS (R11), Z8
	VFMADD231PS.BCST (SI), Z8, Z0
	VFMADD231PS.BCST (SI)(R8*1), Z8, Z2
	VFMADD231PS.BCST (SI)(R8*2), Z8, Z4
	VFMADD231PS.BCST (SI)(R9*1), Z8, Z6
	ADDQ DX, R11
	ADDQ $4, SI
	DECQ CX
	JNZ  row16

	VMOVUPS Z0, (DI)
	VMOVUPS Z2, (DI)(R12*1)
	VMOVUPS Z4, (DI)(R12*2)
	VMOVUPS Z6, (DI)(R10*1)

done:
	VZEROUPPER
	RET

// Weighted rows of float16: 16 queries and 16 columns a turn, two rows at a time. A number that is widened serves 16
// queries at once, so there is nothing to keep of it.

// EACHSUM moves Z0 to Z15 and the sums of 16 queries, AX being those of the first.
#define EACHSUM(MOVE) \
	MOVE(Z0)  \
	MOVE(Z1)  \
	MOVE(Z2)  \
	MOVE(Z3)  \
	MOVE(Z4)  \
	MOVE(Z5)  \
	MOVE(Z6)  \
	MOVE(Z7)  \
	MOVE(Z8)  \
	MOVE(Z9)  \
	MOVE(Z10) \
	MOVE(Z11) \
	MOVE(Z12) \
	MOVE(Z13) \
	MOVE(Z14) \
	MOVE(Z15)

#define LOADSUM(z) \
	VMOVUPS.Z (AX), K1, z \
	ADDQ    R12, AX

#define STORESUM(z) \
	VMOVUPS z, (AX) \
	ADDQ    R12, AX

#define HALFROW(at, z) \
	VCVTPH2PS (AX), z                      \
	ADDQ      DX, AX                       \
	VFMADD231PS.BCST at(SI), z, Z0         \
	VFMADD231PS.BCST at(SI)(R8*1), z, Z1   \
	VFMADD231PS.BCST at(SI)(R8*2), z, Z2   \
	VFMADD231PS.BCST at(SI)(R9*1), z, Z3   \
	VFMADD231PS.BCST at(SI)(R8*4), z, Z4   \
	VFMADD231PS.BCST at(SI)(R10*1), z, Z5  \
	VFMADD231PS.BCST at(SI)(R9*2), z, Z6   \
	VFMADD231PS.BCST at(SI)(R13*1), z, Z7  \
	VFMADD231PS.BCST at(BX), z, Z8         \
	VFMADD231PS.BCST at(BX)(R8*1), z, Z9   \
	VFMADD231PS.BCST at(BX)(R8*2), z, Z10  \
	VFMADD231PS.BCST at(BX)(R9*1), z, Z11  \
	VFMADD231PS.BCST at(BX)(R8*4), z, Z12  \
	VFMADD231PS.BCST at(BX)(R10*1), z, Z13 \
	VFMADD231PS.BCST at(BX)(R9*2), z, Z14  \
	VFMADD231PS.BCST at(BX)(R13*1), z, Z15

// func weighHalvesAVX512(sums *float32, sstride int, p *float32, pstride int, v *uint16, vstride, columns, rows int,
// fresh bool, ahead *byte)
TEXT ·weighHalvesAVX512(SB), NOSPLIT, $0-80
	MOVQ sums+0(FP), DI
	MOVQ sstride+8(FP), R12
	MOVQ pstride+24(FP), R8
	LEAQ (R8)(R8*2), R9
	LEAQ (R8)(R8*4), R10
	LEAQ (R9)(R8*4), R13
	MOVQ v+32(FP), R11
	MOVQ vstride+40(FP), DX
	MOVBLZX fresh+64(FP), AX
	DECL AX
	KMOVW AX, K1
	MOVQ ahead+72(FP), R14

columns:
	MOVQ DI, AX
	EACHSUM(LOADSUM)
	MOVQ p+16(FP), SI
	LEAQ (SI)(R8*8), BX
	MOVQ R11, AX
	MOVQ rows+56(FP), CX
	SUBQ $2, CX
	JLT  one

two:
	PREFETCHT0 (R14)
	PREFETCHT1 8192(R14)
	ADDQ $64, R14
	HALFROW(0, Z16)
	HALFROW(4, Z17)
	ADDQ $8, SI
	ADDQ $8, BX
	SUBQ $2, CX
	JGE  two

one:
	ADDQ $2, CX
	JZ   done
	HALFROW(0, Z16)

done:
	MOVQ DI, AX
	EACHSUM(STORESUM)
	ADDQ $64, DI
	ADDQ $32, R11
	SUBQ $16, columns+48(FP)
	JNZ  columns
	VZEROUPPER
	RET

// func narrowAVX512(dst *uint16, src *float32, n int): MINPS and MAXPS give their last operand where one is NaN.
TEXT ·narrowAVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS ·largestHalf+0(SB), Z1
	VBROADCASTSS ·largestHalf+4(SB), Z2
	LOOP
	VMOVUPS.Z (SI), K1, Z0
	VMINPS Z0, Z1, Z0
	VMAXPS Z0, Z2, Z0
	VCVTPS2PH $0, Z0, Y0
	VMOVDQU16 Y0, K1, (DI)
	ADDQ $64, SI
	ADDQ $32, DI
	NEXT
	VZEROUPPER
	RET
