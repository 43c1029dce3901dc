#include "textflag.h"
#include "simd_amd64.h"

// A GEMV of 4-bit codes with VNNI, which multiplies bytes: the 16 bits of a number of x are two digits, q = 256·h + l with
// signed bytes h and l. A turn takes 128 columns of four rows, whole lines of memory; twice four rows make a call. Codes of
// 8 bits gain nothing over quantised_amd64.s.

// ROW leaves in sum the products of a row's 128 columns, 8 of them a lane. Z16 to Z19 are the digits of x: h of even and of
// odd columns, and l. Z15 holds bytes of 15, K1 masks the codes that the row has.
#define ROW(row, sum) \
	VMOVDQU32.Z row, K1, Z20     \
	VPSRLW      $4, Z20, Z21     \
	VPANDD      Z15, Z20, Z20    \
	VPANDD      Z15, Z21, Z21    \
	VPXORD      sum, sum, sum    \
	VPDPBUSD    Z16, Z20, sum    \
	VPDPBUSD    Z17, Z21, sum    \
	VPSLLD      $8, sum, sum     \
	VPDPBUSD    Z18, Z20, sum    \
	VPDPBUSD    Z19, Z21, sum

// FOLD leaves the sums of both halves of each 128 bits of a and b in the 128 bits of a.
#define FOLD(LOW, HIGH, a, b) \
	LOW    b, a, Z22  \
	HIGH   b, a, Z23  \
	VPADDD Z22, Z23, a

// HALVE leaves the sums of the first and of the second pair of 128 bits of Z0 in its first and second 128 bits.
#define HALVE \
	VSHUFI32X4 $0x08, Z0, Z0, Z22 \
	VSHUFI32X4 $0x0d, Z0, Z0, Z23 \
	VPADDD     Z22, Z23, Z0

// func gemv4VNNI(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv4VNNI(SB), NOSPLIT, $8-80
	GEMVARGS
	LEAQ (DX)(DX*2), R10
	MOVL $0x0f0f0f0f, DI
	VPBROADCASTD DI, Z15
	MOVQ size+72(FP), DI
	MOVQ $4, R9                // groups in 128 columns
	XORQ R14, R14              // how often their sums are halved
	CMPQ DI, $32
	JE   rows
	SHRQ $1, R9
	INCQ R14
	CMPQ DI, $64
	JE   rows
	SHRQ $1, R9
	INCQ R14

rows:
	MOVQ y+0(FP), R15
	MOVQ $2, left-8(SP)

rows4:
	MOVQ SI, R8
	LEAQ (SI)(DX*4), SI
	KXNORW K1, K1, K1
	VXORPS X8, X8, X8

columns:
	MOVQ R9, DI
	CMPQ CX, R9
	JGE  whole
	MOVQ CX, DI                // the last groups: eight codes a bit of the mask
	IMULQ size+72(FP), CX
	SHRQ $3, CX
	MOVL $1, SI
	SHLL CX, SI
	DECL SI
	KMOVW SI, K1
	MOVQ DI, CX

whole:
	VMOVDQU64 (R11), Z16
	VMOVDQU64 64(R11), Z17
	VMOVDQU64 128(R11), Z18
	VMOVDQU64 192(R11), Z19
	FETCHLINE(0)
	ROW((R8), Z0)
	FETCHLINE(64)
	ROW((R8)(DX*1), Z1)
	FETCHLINE(128)
	ROW((R8)(DX*2), Z2)
	FETCHLINE(192)
	ROW((R8)(R10*1), Z3)
	ADDQ $256, R11
	ADDQ $64, R8
	ADDQ $256, SI
	FOLD(VPUNPCKLDQ, VPUNPCKHDQ, Z0, Z1)
	FOLD(VPUNPCKLDQ, VPUNPCKHDQ, Z2, Z3)
	FOLD(VPUNPCKLQDQ, VPUNPCKHQDQ, Z0, Z2)
	TESTQ R14, R14
	JZ   groups
	HALVE
	CMPQ R14, $1
	JE   groups
	HALVE

groups:
	VCVTDQ2PS Z0, Z0
	SUBQ DI, CX

group:
	VBROADCASTSS (R12), X1
	VMULPS       (AX), X1, X1
	VFMADD231PS  X1, X0, X8
	VBROADCASTSS (R13), X2
	VFMADD231PS  (BX), X2, X8
	ADDQ $4, R12
	ADDQ $4, R13
	ADDQ $32, AX
	ADDQ $32, BX
	VSHUFI32X4 $0x39, Z0, Z0, Z0
	DECQ DI
	JNZ  group
	TESTQ CX, CX
	JNZ  columns

	VMOVUPS X8, (R15)
	ADDQ $16, R15
	MOVQ w+8(FP), SI
	LEAQ (SI)(DX*4), SI
	MOVQ x+24(FP), R11
	MOVQ scale+32(FP), R12
	MOVQ sum+40(FP), R13
	MOVQ wscale+48(FP), AX
	ADDQ $16, AX
	MOVQ wbias+56(FP), BX
	ADDQ $16, BX
	MOVQ groups+64(FP), CX
	DECQ left-8(SP)
	JNZ  rows4
	VZEROUPPER
	RET

// The GEMM of quantised_amd64.s with vectors of 64 bytes: 16 rows and 8 tokens. Two columns of a token are spread over
// 16 lanes and multiplied with two columns of 16 rows; Z0 to Z7 are a group's sums, Z16 to Z23 are acc.

#define PAIR(at) \
	VMOVDQU32     (64*at)(DI), Z8             \
	VPDPWSSD.BCST (4*at)(R8), Z8, Z0          \
	VPDPWSSD.BCST (4*at)(R8)(DX*1), Z8, Z1    \
	VPDPWSSD.BCST (4*at)(R8)(DX*2), Z8, Z2    \
	VPDPWSSD.BCST (4*at)(R8)(R10*1), Z8, Z3   \
	VPDPWSSD.BCST (4*at)(R9), Z8, Z4          \
	VPDPWSSD.BCST (4*at)(R9)(DX*1), Z8, Z5    \
	VPDPWSSD.BCST (4*at)(R9)(DX*2), Z8, Z6    \
	VPDPWSSD.BCST (4*at)(R9)(R10*1), Z8, Z7

#define PART(sum, acc, scale, xsum) \
	VCVTDQ2PS        sum, sum      \
	VMULPS.BCST      scale, Z8, Z10 \
	VFMADD231PS      Z10, sum, acc \
	VFMADD231PS.BCST xsum, Z9, acc

#define EACHACC(MOVE) \
	MOVE(0, Z16)   \
	MOVE(64, Z17)  \
	MOVE(128, Z18) \
	MOVE(192, Z19) \
	MOVE(256, Z20) \
	MOVE(320, Z21) \
	MOVE(384, Z22) \
	MOVE(448, Z23)

#define LOADACC(at, acc) VMOVUPS at(SI), acc
#define STOREACC(at, acc) VMOVUPS acc, at(SI)

// func gemmVNNI(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
TEXT ·gemmVNNI(SB), NOSPLIT, $0-88
	MOVQ acc+0(FP), SI
	MOVQ panel+8(FP), DI
	MOVQ x+16(FP), R8
	MOVQ columns+64(FP), DX
	SHLQ $1, DX
	LEAQ (DX)(DX*2), R10
	LEAQ (R8)(DX*4), R9
	MOVQ scale+24(FP), R12
	MOVQ sum+32(FP), R13
	MOVQ wscale+40(FP), AX
	MOVQ wbias+48(FP), BX
	MOVQ half+56(FP), R11
	EACHACC(LOADACC)

nextgroup:
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
	MOVQ size+80(FP), CX

pairs:
	PAIR(0)
	PAIR(1)
	PAIR(2)
	PAIR(3)
	ADDQ $256, DI
	ADDQ $16, R8
	ADDQ $16, R9
	SUBQ $8, CX
	JNZ  pairs

	// A token's scales follow each other, one a group; those of the next token are `groups` on. CX is that, R14 a multiple.
	MOVQ groups+72(FP), CX
	VMOVUPS (AX), Y8
	VINSERTF64X4 $1, (AX)(R11*1), Z8, Z8
	VMOVUPS (BX), Y9
	VINSERTF64X4 $1, (BX)(R11*1), Z9, Z9
	PART(Z0, Z16, (R12), (R13))
	PART(Z1, Z17, (R12)(CX*4), (R13)(CX*4))
	PART(Z2, Z18, (R12)(CX*8), (R13)(CX*8))
	LEAQ (CX)(CX*2), R14
	PART(Z3, Z19, (R12)(R14*4), (R13)(R14*4))
	PART(Z6, Z22, (R12)(R14*8), (R13)(R14*8))
	LEAQ (R14)(CX*4), R14
	PART(Z7, Z23, (R12)(R14*4), (R13)(R14*4))
	LEAQ (CX)(CX*4), R14
	PART(Z5, Z21, (R12)(R14*4), (R13)(R14*4))
	SUBQ CX, R14
	PART(Z4, Z20, (R12)(R14*4), (R13)(R14*4))
	ADDQ $4, R12
	ADDQ $4, R13
	ADDQ $32, AX
	ADDQ $32, BX
	MOVQ scale+24(FP), R14
	LEAQ (R14)(CX*4), R14
	CMPQ R12, R14
	JB   nextgroup

	EACHACC(STOREACC)
	VZEROUPPER
	RET
