#include "textflag.h"
#include "simd_amd64.h"

// The GEMV of quantised_amd64.s with VNNI, which multiplies bytes: the 16 bits of a number of x are two digits,
// q = 256·h + l with signed bytes h and l. Each 32 columns of x are 32 bytes of h and then 32 of l. Y0 to Y7 are the sums
// of the high digits, Y16 to Y23 of the low ones.

// DIGITS adds the products of 32 codes, Y10, to the sums of a row.
#define DIGITS(high, low) \
	VPDPBUSD Y12, Y10, high \
	VPDPBUSD Y13, Y10, low

// ROW4 takes 32 columns of 4-bit codes. The bytes of Y15 are 0x0f in the lower half and 0xf0 in the upper one: the lower
// half of the sums is of the even columns, the upper one 16 times that of the odd ones, at most 2^29 in a group.
#define ROW4(row, high, low) \
	VBROADCASTI128 row, Y10      \
	VPAND          Y15, Y10, Y10 \
	DIGITS(high, low)

#define ROW8(row, high, low) \
	VMOVDQU row, Y10 \
	DIGITS(high, low)

// SUMROWS leaves the sums of the rows' lanes in the lanes of Y0, each row's in both halves of either Y0 or Y4.
#define JOIN(high, low) \
	VPSLLD $8, high, high   \
	VPADDD low, high, high

#define SUMROWS \
	JOIN(Y0, Y16) \
	JOIN(Y1, Y17) \
	JOIN(Y2, Y18) \
	JOIN(Y3, Y19) \
	JOIN(Y4, Y20) \
	JOIN(Y5, Y21) \
	JOIN(Y6, Y22) \
	JOIN(Y7, Y23) \
	SUM4(Y0, Y1, Y2, Y3) \
	SUM4(Y4, Y5, Y6, Y7)

// UPPER takes the factor of the upper halves off; the dwords of Y14 are 0 in the lower half and 4 in the upper one.
#define UPPER \
	VPSRAVD Y14, Y0, Y0 \
	VPSRAVD Y14, Y4, Y4

#define GEMV(ROW, SIZE, FETCH, SCALE) \
	EIGHTROWS                        \
	LEAQ (SI)(DX*8), SI              \
	VXORPS Y8, Y8, Y8                \
group:                             \
	ZERO8                            \
	VPXORD Y16, Y16, Y16             \
	VPXORD Y17, Y17, Y17             \
	VPXORD Y18, Y18, Y18             \
	VPXORD Y19, Y19, Y19             \
	VPXORD Y20, Y20, Y20             \
	VPXORD Y21, Y21, Y21             \
	VPXORD Y22, Y22, Y22             \
	VPXORD Y23, Y23, Y23             \
	MOVQ R14, DI                     \
columns:                           \
	VMOVDQU (R11), Y12               \
	VMOVDQU 32(R11), Y13             \
	ROW((R8), Y0, Y16)               \
	ROW((R8)(DX*1), Y1, Y17)         \
	ROW((R8)(DX*2), Y2, Y18)         \
	ROW((R8)(R10*1), Y3, Y19)        \
	FETCH                            \
	ROW((R9), Y4, Y20)               \
	ROW((R9)(DX*1), Y5, Y21)         \
	ROW((R9)(DX*2), Y6, Y22)         \
	ROW((R9)(R10*1), Y7, Y23)        \
	ADDQ $64, R11                    \
	ADDQ $SIZE, R8                   \
	ADDQ $SIZE, R9                   \
	ADDQ $(8*SIZE), SI               \
	SUBQ $32, DI                     \
	JNZ  columns                     \
	SUMROWS                          \
	SCALE                            \
	HALVES(Y0, Y4, Y0)               \
	GROUP                            \
	DECQ CX                          \
	JNZ  group                       \
	MOVQ y+0(FP), DI                 \
	VMOVUPS Y8, (DI)                 \
	VZEROUPPER                       \
	RET

#define NOTHING

#define FETCH4 \
	PREFETCHT1 AHEAD(SI)      \
	PREFETCHT1 (AHEAD+64)(SI)

#define FETCH8 \
	FETCH4                     \
	PREFETCHT1 (AHEAD+128)(SI) \
	PREFETCHT1 (AHEAD+192)(SI)

DATA shifts<>+0(SB)/8, $0
DATA shifts<>+8(SB)/8, $0
DATA shifts<>+16(SB)/8, $0x0000000400000004
DATA shifts<>+24(SB)/8, $0x0000000400000004
GLOBL shifts<>(SB), RODATA|NOPTR, $32

// func gemv4VNNI(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv4VNNI(SB), NOSPLIT, $0-80
	GEMVARGS
	MOVQ size+72(FP), R14
	VMOVDQU shifts<>(SB), Y14
	MOVL $0x0f0f0f0f, DI
	VPBROADCASTD DI, Y15
	VPSLLVD Y14, Y15, Y15
	GEMV(ROW4, 16, FETCH4, UPPER)

// func gemv8VNNI(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv8VNNI(SB), NOSPLIT, $0-80
	GEMVARGS
	MOVQ size+72(FP), R14
	GEMV(ROW8, 32, FETCH8, NOTHING)

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
