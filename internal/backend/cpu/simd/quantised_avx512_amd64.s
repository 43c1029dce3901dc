#include "textflag.h"
#include "simd_amd64.h"

// A GEMV of 4-bit codes with VNNI, which multiplies bytes: the 16 bits of a number of x are two digits, q = 256·h + l
// with signed bytes h and l. A turn takes 128 columns of eight rows, whole lines of memory, and asks for what they need
// eight turns later. Codes of 8 bits gain nothing over quantised_amd64.s.

// CODES loads the codes of eight rows to Z24 to Z31.
#define CODES(LOAD) \
	LOAD((R8), Z24)         \
	LOAD((R8)(DX*1), Z25)   \
	LOAD((R8)(DX*2), Z26)   \
	LOAD((R8)(R10*1), Z27)  \
	LOAD((R9), Z28)         \
	LOAD((R9)(DX*1), Z29)   \
	LOAD((R9)(DX*2), Z30)   \
	LOAD((R9)(R10*1), Z31)

#define WHOLE(from, to) VMOVDQU32 from, to
#define MASKED(from, to) VMOVDQU32.Z from, K1, to

// ROW leaves in sum the products of a row's 128 columns, 8 of them a lane. Z16 to Z19 are the digits of x: h of even
// and of odd columns, and l. Z15 holds bytes of 15.
#define ROW(codes, sum) \
	VPSRLW   $4, codes, Z20     \
	VPANDD   Z15, codes, codes  \
	VPANDD   Z15, Z20, Z20      \
	VPXORD   sum, sum, sum      \
	VPDPBUSD Z16, codes, sum    \
	VPDPBUSD Z17, Z20, sum      \
	VPSLLD   $8, sum, sum       \
	VPDPBUSD Z18, codes, sum    \
	VPDPBUSD Z19, Z20, sum

// FOLD leaves the sums of both halves of each 128 bits of a and b in the 128 bits of a.
#define FOLD(LOW, HIGH, a, b) \
	LOW    b, a, Z22  \
	HIGH   b, a, Z23  \
	VPADDD Z22, Z23, a

// FOLD4 leaves the sums of the 128 bits of four rows in those of a.
#define FOLD4(a, b, c, d) \
	FOLD(VPUNPCKLDQ, VPUNPCKHDQ, a, b)    \
	FOLD(VPUNPCKLDQ, VPUNPCKHDQ, c, d)    \
	FOLD(VPUNPCKLQDQ, VPUNPCKHQDQ, a, c)

// func gemv4VNNI(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv4VNNI(SB), NOSPLIT, $0-80
	GEMVARGS
	EIGHTROWS
	LEAQ (SI)(DX*8), SI
	MOVL $0x0f0f0f0f, DI
	VPBROADCASTD DI, Z15
	VXORPS X8, X8, X8
	MOVQ size+72(FP), R14
	MOVQ $4, R15               // groups in 128 columns
	CMPQ R14, $32
	JE   columns
	SHRQ $1, R15
	CMPQ R14, $64
	JE   columns
	SHRQ $1, R15

	PCALIGN $64
columns:
	MOVQ R15, DI
	CMPQ CX, R15
	JLT  last
	CODES(WHOLE)

products:
	SUBQ DI, CX
	VMOVDQU64 (R11), Z16
	VMOVDQU64 64(R11), Z17
	VMOVDQU64 128(R11), Z18
	VMOVDQU64 192(R11), Z19
	FETCHLINE(0)
	PREFETCHT0 512(R8)
	ROW(Z24, Z0)
	FETCHLINE(64)
	PREFETCHT0 512(R8)(DX*1)
	ROW(Z25, Z1)
	FETCHLINE(128)
	PREFETCHT0 512(R8)(DX*2)
	ROW(Z26, Z2)
	FETCHLINE(192)
	PREFETCHT0 512(R8)(R10*1)
	ROW(Z27, Z3)
	FETCHLINE(256)
	PREFETCHT0 512(R9)
	ROW(Z28, Z4)
	FETCHLINE(320)
	PREFETCHT0 512(R9)(DX*1)
	ROW(Z29, Z5)
	FETCHLINE(384)
	PREFETCHT0 512(R9)(DX*2)
	ROW(Z30, Z6)
	FETCHLINE(448)
	PREFETCHT0 512(R9)(R10*1)
	ROW(Z31, Z7)
	ADDQ $256, R11
	ADDQ $64, R8
	ADDQ $64, R9
	ADDQ $512, SI
	FOLD4(Z0, Z1, Z2, Z3)
	FOLD4(Z4, Z5, Z6, Z7)

	// The 128 bits of Z0 and Z4 are 32 columns. Two groups of eight rows come to Z3.
	CMPQ R14, $32
	JE   narrow
	VSHUFI32X4 $0x88, Z4, Z0, Z1
	VSHUFI32X4 $0xdd, Z4, Z0, Z2
	VPADDD     Z1, Z2, Z3
	VSHUFI32X4 $0xd8, Z3, Z3, Z3
	CMPQ R14, $64
	JE   groups
	VEXTRACTI64X4 $1, Z3, Y0
	VPADDD Y0, Y3, Y3

groups:
	VMOVDQA Y3, Y0
	GROUP
	DECQ DI
	JZ   next
	VEXTRACTI64X4 $1, Z3, Y0
	GROUP
	DECQ DI
	JZ   next
	VMOVDQA64 Z4, Z3
	JMP  groups

next:
	TESTQ CX, CX
	JNZ  columns
	MOVQ y+0(FP), DI
	VMOVUPS Y8, (DI)
	VZEROUPPER
	RET

narrow:
	VSHUFI32X4 $0x44, Z4, Z0, Z3
	VSHUFI32X4 $0xee, Z4, Z0, Z4
	VSHUFI32X4 $0xd8, Z3, Z3, Z3
	VSHUFI32X4 $0xd8, Z4, Z4, Z4
	JMP  groups

last:
	MOVQ CX, DI                // the last groups: eight codes a bit of the mask
	IMULQ R14, CX
	SHRQ $3, CX
	MOVL $1, R15
	SHLL CX, R15
	DECL R15
	KMOVW R15, K1
	MOVQ DI, CX
	CODES(MASKED)
	JMP  products

// FETCHSCALES is FETCHLINE for the columns, which are read less at a time.
#define FETCHSCALES(at) \
	PREFETCHT1 (6144+at)(SI) \
	PREFETCHT1 (2048+at)(SI) \
	PREFETCHT1 at(SI)

// columnOrder are the words that COLUMNS16 picks: two times 32 of two rows each, by the columns 0, 4, 1, 5, 2, 6, 3, 7
// of four rows and from 8 on the same; and two times 32 that double each of 16.
#define PICK(at, column) DATA columnOrder<>+at(SB)/8, $(0x0030002000100000+(column)*0x0001000100010001)
#define TWICE(at, word) DATA columnOrder<>+at(SB)/8, $(0x0001000100000000+(word)*0x0001000100010001)
PICK(0, 0); PICK(8, 4); PICK(16, 1); PICK(24, 5)
PICK(32, 2); PICK(40, 6); PICK(48, 3); PICK(56, 7)
PICK(64, 8); PICK(72, 12); PICK(80, 9); PICK(88, 13)
PICK(96, 10); PICK(104, 14); PICK(112, 11); PICK(120, 15)
TWICE(128, 0); TWICE(136, 2); TWICE(144, 4); TWICE(152, 6)
TWICE(160, 8); TWICE(168, 10); TWICE(176, 12); TWICE(184, 14)
TWICE(192, 16); TWICE(200, 18); TWICE(208, 20); TWICE(216, 22)
TWICE(224, 24); TWICE(232, 26); TWICE(240, 28); TWICE(248, 30)
GLOBL columnOrder<>(SB), RODATA|NOPTR, $256

// The columns of quantised_amd64.s with 16 of them a turn, for two bytes a number: they are put in order as words, four
// columns of eight rows in each vector, and then widened. Z16 and Z17 are the words of two pairs of rows that come
// first, and last.
#define COLUMNS16(WIDEN, LESS) \
	CMPQ CX, $16                         \
	JLT  less                            \
	VMOVDQU64 columnOrder<>+0(SB), Z16    \
	VMOVDQU64 columnOrder<>+64(SB), Z17   \
	VMOVDQU64 columnOrder<>+128(SB), Z18  \
	VMOVDQU64 columnOrder<>+192(SB), Z19  \
	MOVL  $0xaaaaaaaa, AX                \
	KMOVD AX, K1                         \
	EIGHTROWS                            \
	LEAQ (SI)(DX*8), SI                  \
	SUBQ $16, CX                         \
turn:                                  \
	VMOVDQU (R8), Y0                     \
	VMOVDQU (R8)(DX*2), Y1               \
	VMOVDQU (R9), Y2                     \
	VMOVDQU (R9)(DX*2), Y3               \
	VINSERTI64X4 $1, (R8)(DX*1), Z0, Z0  \
	VINSERTI64X4 $1, (R8)(R10*1), Z1, Z1 \
	VINSERTI64X4 $1, (R9)(DX*1), Z2, Z2  \
	VINSERTI64X4 $1, (R9)(R10*1), Z3, Z3 \
	FETCHSCALES(0)                       \
	FETCHSCALES(64)                      \
	FETCHSCALES(128)                     \
	FETCHSCALES(192)                     \
	ADDQ $256, SI                        \
	VMOVDQA64 Z16, Z4                    \
	VMOVDQA64 Z16, Z5                    \
	VPERMI2W Z1, Z0, Z4                  \
	VPERMI2W Z3, Z2, Z5                  \
	VPERMT2W Z1, Z17, Z0                 \
	VPERMT2W Z3, Z17, Z2                 \
	VPUNPCKLQDQ Z5, Z4, Z6               \
	VPUNPCKHQDQ Z5, Z4, Z7               \
	VPUNPCKLQDQ Z2, Z0, Z4               \
	VPUNPCKHQDQ Z2, Z0, Z5               \
	WIDEN(Z6, Y6, 0)                     \
	WIDEN(Z7, Y7, 128)                   \
	WIDEN(Z4, Y4, 256)                   \
	WIDEN(Z5, Y5, 384)                   \
	TESTQ CX, CX                         \
	JZ   done                            \
	MOVQ $16, AX                         \
	CMPQ CX, AX                          \
	CMOVQLT CX, AX                       \
	SUBQ AX, CX                          \
	LEAQ (R8)(AX*2), R8                  \
	LEAQ (R9)(AX*2), R9                  \
	SHLQ $5, AX                          \
	ADDQ AX, DI                          \
	JMP  turn                            \
done:                                  \
	VZEROUPPER                           \
	RET                                  \
less:                                  \
	JMP LESS

// FROMBF16 and FROMF16 write 32 numbers, at bytes behind DI.
#define FROMBF16(z, y, at) \
	VPERMW.Z z, Z18, K1, Z8  \
	VPERMW.Z z, Z19, K1, Z9  \
	VMOVUPS  Z8, at(DI)      \
	VMOVUPS  Z9, (at+64)(DI)

#define FROMF16(z, y, at) \
	VCVTPH2PS     y, Z8           \
	VEXTRACTI64X4 $1, z, Y9       \
	VCVTPH2PS     Y9, Z9          \
	VMOVUPS       Z8, at(DI)      \
	VMOVUPS       Z9, (at+64)(DI)

// func columnsF16AVX512(dst *float32, src *byte, stride, columns int)
TEXT ·columnsF16AVX512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ columns+24(FP), CX
	COLUMNS16(FROMF16, ·columnsF16(SB))

// func columnsBF16AVX512(dst *float32, src *byte, stride, columns int)
TEXT ·columnsBF16AVX512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ columns+24(FP), CX
	COLUMNS16(FROMBF16, ·columnsBF16(SB))

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

	PCALIGN $64
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

	// A token's scales follow each other, one a group; those of the next token are `groups` on. CX is that, R14 a
	// multiple.
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
