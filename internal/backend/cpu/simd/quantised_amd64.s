#include "go_asm.h"
#include "textflag.h"
#include "simd_amd64.h"

// Products of quantised weights with rows of int16: 16 codes and 16 numbers a VPMADDWD, exact in int32 up to the end
// of a group. A code of 8 bits times 32767, 128 times, stays below 2^31.

// CODES4 unpacks 32 columns of a row to the even columns, even, and the odd ones, odd. Y15 holds 0x000f.
#define CODES4(row, even, odd) \
	VPMOVZXBW row, even      \
	VPSRLW    $4, even, odd  \
	VPAND     Y15, even, even

// MADD4 adds the products of 32 columns of a row of 4-bit codes to sum.
#define MADD4(row, sum) \
	CODES4(row, Y10, Y11)     \
	VPMADDWD  Y12, Y10, Y10   \
	VPMADDWD  Y13, Y11, Y11   \
	VPADDD    Y10, Y11, Y10   \
	VPADDD    Y10, sum, sum

// MADD8 does the same for 8-bit codes, whose columns stay in order.
#define MADD8(row0, row1, sum) \
	VPMOVZXBW row0, Y10       \
	VPMOVZXBW row1, Y11       \
	VPMADDWD  Y12, Y10, Y10   \
	VPMADDWD  Y13, Y11, Y11   \
	VPADDD    Y10, Y11, Y10   \
	VPADDD    Y10, sum, sum

// A GEMV of eight rows: for each group, 32 columns of all rows a turn, into eight vectors of sums; then their lanes
// are added up and the group joins the results. What comes behind the next eight rows is fetched meanwhile.

// func gemv4(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv4(SB), NOSPLIT, $0-80
	GEMVARGS
	EIGHTROWS
	LEAQ (SI)(DX*8), SI
	VPCMPEQW Y15, Y15, Y15
	VPSRLW $12, Y15, Y15
	VXORPS Y8, Y8, Y8

group4:
	ZERO8
	MOVQ size+72(FP), DI

	PCALIGN $64
columns4:
	VMOVDQU (R11), Y12
	VMOVDQU 32(R11), Y13
	MADD4((R8), Y0)
	MADD4((R8)(DX*1), Y1)
	MADD4((R8)(DX*2), Y2)
	MADD4((R8)(R10*1), Y3)
	FETCHLINE(0)
	FETCHLINE(64)
	MADD4((R9), Y4)
	MADD4((R9)(DX*1), Y5)
	MADD4((R9)(DX*2), Y6)
	MADD4((R9)(R10*1), Y7)
	ADDQ $64, R11
	ADDQ $16, R8
	ADDQ $16, R9
	ADDQ $128, SI
	SUBQ $32, DI
	JNZ  columns4

	SUM8
	GROUP
	DECQ CX
	JNZ  group4

	MOVQ y+0(FP), DI
	VMOVUPS Y8, (DI)
	VZEROUPPER
	RET

// func gemv8(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
TEXT ·gemv8(SB), NOSPLIT, $0-80
	GEMVARGS
	EIGHTROWS
	LEAQ (SI)(DX*8), SI
	VXORPS Y8, Y8, Y8

group8:
	ZERO8
	MOVQ size+72(FP), DI

	PCALIGN $64
columns8:
	VMOVDQU (R11), Y12
	VMOVDQU 32(R11), Y13
	MADD8((R8), 16(R8), Y0)
	MADD8((R8)(DX*1), 16(R8)(DX*1), Y1)
	MADD8((R8)(DX*2), 16(R8)(DX*2), Y2)
	MADD8((R8)(R10*1), 16(R8)(R10*1), Y3)
	FETCHLINE(0)
	FETCHLINE(64)
	FETCHLINE(128)
	FETCHLINE(192)
	MADD8((R9), 16(R9), Y4)
	MADD8((R9)(DX*1), 16(R9)(DX*1), Y5)
	MADD8((R9)(DX*2), 16(R9)(DX*2), Y6)
	MADD8((R9)(R10*1), 16(R9)(R10*1), Y7)
	ADDQ $64, R11
	ADDQ $32, R8
	ADDQ $32, R9
	ADDQ $256, SI
	SUBQ $32, DI
	JNZ  columns8

	SUM8
	GROUP
	DECQ CX
	JNZ  group8

	MOVQ y+0(FP), DI
	VMOVUPS Y8, (DI)
	VZEROUPPER
	RET

// A panel holds the codes of 16 rows as int16, two columns of each row side by side: [columns/2][16][2]. A call fills
// the half of eight rows: 16 codes of each row are eight pairs, transposed to eight lines of the panel. What the next
// panel of these rows needs, BX bytes on, is fetched meanwhile.

#define STOREPANEL(at) \
	TRANSPOSE               \
	VMOVDQU Y0, (at+0)(DI)   \
	VMOVDQU Y1, (at+64)(DI)  \
	VMOVDQU Y2, (at+128)(DI) \
	VMOVDQU Y3, (at+192)(DI) \
	VMOVDQU Y4, (at+256)(DI) \
	VMOVDQU Y5, (at+320)(DI) \
	VMOVDQU Y6, (at+384)(DI) \
	VMOVDQU Y7, (at+448)(DI)

#define FETCHROWS \
	LEAQ (R8)(BX*1), R11        \
	LEAQ (R9)(BX*1), R12        \
	PREFETCHT1 (R11)            \
	PREFETCHT1 (R11)(DX*1)      \
	PREFETCHT1 (R11)(DX*2)      \
	PREFETCHT1 (R11)(R10*1)     \
	PREFETCHT1 (R12)            \
	PREFETCHT1 (R12)(DX*1)      \
	PREFETCHT1 (R12)(DX*2)      \
	PREFETCHT1 (R12)(R10*1)

#define LOADROWS(at) \
	VPMOVZXBW at(R8), Y0          \
	VPMOVZXBW at(R8)(DX*1), Y1    \
	VPMOVZXBW at(R8)(DX*2), Y2    \
	VPMOVZXBW at(R8)(R10*1), Y3   \
	VPMOVZXBW at(R9), Y4          \
	VPMOVZXBW at(R9)(DX*1), Y5    \
	VPMOVZXBW at(R9)(DX*2), Y6    \
	VPMOVZXBW at(R9)(R10*1), Y7

// func panel4(panel *int16, w *byte, stride, columns int)
TEXT ·panel4(SB), NOSPLIT, $0-32
	MOVQ panel+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ columns+24(FP), CX
	EIGHTROWS
	MOVQ CX, BX
	SHRQ $1, BX

columns:
	FETCHROWS
	LOADROWS(0)
	VPCMPEQW Y15, Y15, Y15
	VPSRLW $12, Y15, Y15
	VPAND Y15, Y0, Y0
	VPAND Y15, Y1, Y1
	VPAND Y15, Y2, Y2
	VPAND Y15, Y3, Y3
	VPAND Y15, Y4, Y4
	VPAND Y15, Y5, Y5
	VPAND Y15, Y6, Y6
	VPAND Y15, Y7, Y7
	STOREPANEL(0)
	LOADROWS(0)
	VPSRLW $4, Y0, Y0
	VPSRLW $4, Y1, Y1
	VPSRLW $4, Y2, Y2
	VPSRLW $4, Y3, Y3
	VPSRLW $4, Y4, Y4
	VPSRLW $4, Y5, Y5
	VPSRLW $4, Y6, Y6
	VPSRLW $4, Y7, Y7
	STOREPANEL(512)
	ADDQ $16, R8
	ADDQ $16, R9
	ADDQ $1024, DI
	SUBQ $32, CX
	JNZ  columns
	VZEROUPPER
	RET

// func panel8(panel *int16, w *byte, stride, columns int)
TEXT ·panel8(SB), NOSPLIT, $0-32
	MOVQ panel+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ columns+24(FP), CX
	EIGHTROWS
	MOVQ CX, BX

columns:
	FETCHROWS
	LOADROWS(0)
	STOREPANEL(0)
	LOADROWS(16)
	STOREPANEL(512)
	ADDQ $32, R8
	ADDQ $32, R9
	ADDQ $1024, DI
	SUBQ $32, CX
	JNZ  columns
	VZEROUPPER
	RET

// A GEMM of 16 rows and 4 tokens: two columns of a token are spread over eight lanes and multiplied with two columns
// of eight rows; Y0 to Y7 are the sums, [token][half]. At a group's end they join acc[4][16] as in GROUP, in the same
// order of operations, so a token's numbers do not depend on how many share the pass.

#define PAIR(at) \
	VMOVDQU      (64*at)(DI), Y8  \
	VMOVDQU      (64*at+32)(DI), Y9 \
	VPBROADCASTD (4*at)(R8), Y10  \
	VPBROADCASTD (4*at)(R9), Y12  \
	VPMADDWD     Y8, Y10, Y11     \
	VPMADDWD     Y9, Y10, Y10     \
	VPMADDWD     Y8, Y12, Y13     \
	VPMADDWD     Y9, Y12, Y12     \
	VPADDD       Y11, Y0, Y0      \
	VPADDD       Y10, Y1, Y1      \
	VPADDD       Y13, Y2, Y2      \
	VPADDD       Y12, Y3, Y3      \
	VPBROADCASTD (4*at)(R10), Y10 \
	VPBROADCASTD (4*at)(R11), Y12 \
	VPMADDWD     Y8, Y10, Y11     \
	VPMADDWD     Y9, Y10, Y10     \
	VPMADDWD     Y8, Y12, Y13     \
	VPMADDWD     Y9, Y12, Y12     \
	VPADDD       Y11, Y4, Y4      \
	VPADDD       Y10, Y5, Y5      \
	VPADDD       Y13, Y6, Y6      \
	VPADDD       Y12, Y7, Y7

#define JOIN(sum0, sum1, scale, xsum, at) \
	VCVTDQ2PS    sum0, sum0        \
	VCVTDQ2PS    sum1, sum1        \
	VBROADCASTSS scale, Y12        \
	VBROADCASTSS xsum, Y13         \
	VMULPS       Y8, Y12, Y14      \
	VMULPS       Y9, Y12, Y15      \
	VMOVUPS      at(SI), Y12       \
	VFMADD231PS  Y14, sum0, Y12    \
	VFMADD231PS  Y10, Y13, Y12     \
	VMOVUPS      Y12, at(SI)       \
	VMOVUPS      (at+32)(SI), Y12  \
	VFMADD231PS  Y15, sum1, Y12    \
	VFMADD231PS  Y11, Y13, Y12     \
	VMOVUPS      Y12, (at+32)(SI)

// func gemm(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
TEXT ·gemm(SB), NOSPLIT, $0-88
	MOVQ acc+0(FP), SI
	MOVQ panel+8(FP), DI
	MOVQ x+16(FP), R8
	MOVQ columns+64(FP), DX
	LEAQ (R8)(DX*2), R9
	LEAQ (R9)(DX*2), R10
	LEAQ (R10)(DX*2), R11
	MOVQ scale+24(FP), R12
	MOVQ sum+32(FP), R13
	MOVQ wscale+40(FP), AX
	MOVQ wbias+48(FP), BX

nextgroup:
	ZERO8
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
	ADDQ $16, R10
	ADDQ $16, R11
	SUBQ $8, CX
	JNZ  pairs

	// The scales of a token follow each other, one a group; those of the next token are `groups` on.
	MOVQ half+56(FP), DX
	VMOVUPS (AX), Y8
	VMOVUPS (AX)(DX*1), Y9
	VMOVUPS (BX), Y10
	VMOVUPS (BX)(DX*1), Y11
	MOVQ groups+72(FP), CX
	JOIN(Y0, Y1, (R12), (R13), 0)
	LEAQ (R12)(CX*4), R12
	LEAQ (R13)(CX*4), R13
	JOIN(Y2, Y3, (R12), (R13), 64)
	LEAQ (R12)(CX*4), R12
	LEAQ (R13)(CX*4), R13
	JOIN(Y4, Y5, (R12), (R13), 128)
	LEAQ (R12)(CX*4), R12
	LEAQ (R13)(CX*4), R13
	JOIN(Y6, Y7, (R12), (R13), 192)
	LEAQ (CX)(CX*2), CX
	SHLQ $2, CX
	SUBQ CX, R12
	SUBQ CX, R13
	ADDQ $4, R12
	ADDQ $4, R13
	ADDQ $32, AX
	ADDQ $32, BX
	MOVQ scale+24(FP), CX
	MOVQ groups+72(FP), DX
	LEAQ (CX)(DX*4), CX
	CMPQ R12, CX
	JB   nextgroup
	VZEROUPPER
	RET

// func columnsF32(dst *float32, src *byte, stride, columns int) and its likes for F16 and BF16: eight columns of eight
// rows a turn. The last turn begins at columns-8, so that nothing behind the rows is read. What the next eight rows
// need is fetched meanwhile.
#define COLUMNS(LOAD, SIZE) \
	EIGHTROWS                   \
	LEAQ (SI)(DX*8), SI         \
	SUBQ $8, CX                 \
turn:                         \
	LOAD((R8), Y0)              \
	LOAD((R8)(DX*1), Y1)        \
	LOAD((R8)(DX*2), Y2)        \
	LOAD((R8)(R10*1), Y3)       \
	LOAD((R9), Y4)              \
	LOAD((R9)(DX*1), Y5)        \
	LOAD((R9)(DX*2), Y6)        \
	LOAD((R9)(R10*1), Y7)       \
	PREFETCHT1 (SI)             \
	PREFETCHT1 64(SI)           \
	PREFETCHT1 (32*SIZE)(SI)    \
	PREFETCHT1 (32*SIZE+64)(SI) \
	ADDQ $(64*SIZE), SI         \
	TRANSPOSE                   \
	VMOVUPS Y0, (DI)            \
	VMOVUPS Y1, 32(DI)          \
	VMOVUPS Y2, 64(DI)          \
	VMOVUPS Y3, 96(DI)          \
	VMOVUPS Y4, 128(DI)         \
	VMOVUPS Y5, 160(DI)         \
	VMOVUPS Y6, 192(DI)         \
	VMOVUPS Y7, 224(DI)         \
	TESTQ CX, CX                \
	JZ   done                   \
	MOVQ $8, AX                 \
	CMPQ CX, AX                 \
	CMOVQLT CX, AX              \
	SUBQ AX, CX                 \
	IMUL3Q $SIZE, AX, BX        \
	ADDQ BX, R8                 \
	ADDQ BX, R9                 \
	SHLQ $5, AX                 \
	ADDQ AX, DI                 \
	JMP  turn                   \
done:                         \
	VZEROUPPER                  \
	RET

TEXT ·columnsF32(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ columns+24(FP), CX
	COLUMNS(LOADF32, 4)

TEXT ·columnsF16(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ columns+24(FP), CX
	COLUMNS(LOADF16, 2)

TEXT ·columnsBF16(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ columns+24(FP), CX
	COLUMNS(LOADBF16, 2)

// Quantising x: for each group the largest |x|, then 32 columns a turn to int32, rounded to even, and packed to int16.
// Y14 collects x-x, which is 0 unless something is not finite, and joins the group's sum: the product becomes NaN.

// func quantise(q *int16, scale, sum, x *float32, groups, size, form int)
TEXT ·quantise(SB), NOSPLIT, $0-56
	MOVL $0x46fffe00, R12      // 32767
	JMP  quantiseTo<>(SB)

// func quantiseVNNI(q *int16, scale, sum, x *float32, groups, size, form int)
TEXT ·quantiseVNNI(SB), NOSPLIT, $0-56
	MOVL $0x46fefe00, R12      // 32639, the largest that two signed digits hold
	JMP  quantiseTo<>(SB)

// R12 is the largest |q|, as a float32.
TEXT quantiseTo<>(SB), NOSPLIT, $0-56
	MOVQ q+0(FP), DI
	MOVQ scale+8(FP), R8
	MOVQ sum+16(FP), R9
	MOVQ x+24(FP), SI
	MOVQ groups+32(FP), CX
	MOVQ size+40(FP), DX
	MOVQ form+48(FP), R10
	MOVQ $4, R13               // of each 128 columns, those parts of 32 that come
	VPCMPEQD Y15, Y15, Y15
	VPSRLD $1, Y15, Y15        // 0x7fffffff

nextgroup:
	VXORPS Y0, Y0, Y0
	VXORPS Y14, Y14, Y14
	MOVQ SI, R11
	MOVQ DX, AX

largest:
	VMOVUPS (R11), Y1
	VSUBPS Y1, Y1, Y2
	VADDPS Y2, Y14, Y14
	VANDPS Y15, Y1, Y1
	VMAXPS Y1, Y0, Y0
	ADDQ $32, R11
	SUBQ $8, AX
	JNZ  largest

	VEXTRACTF128 $1, Y0, X1
	VMAXPS X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VMAXPS X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VMAXPS X1, X0, X0          // the largest |x|
	VXORPS X2, X2, X2          // a group of nothing but zeros, or of numbers too small to invert, is zero
	MOVL $0x0da24260, AX       // 1e-30
	VMOVD AX, X1
	VUCOMISS X1, X0
	JBE  invert
	VMOVD R12, X1
	VDIVSS X0, X1, X2
	VDIVSS X1, X0, X0
	JMP  round

invert:
	VXORPS X0, X0, X0

round:
	VMOVSS X0, (R8)
	VBROADCASTSS X2, Y2
	VPXOR Y12, Y12, Y12
	MOVQ DX, AX

columns:
	VMULPS (SI), Y2, Y4
	VMULPS 32(SI), Y2, Y5
	VMULPS 64(SI), Y2, Y6
	VMULPS 96(SI), Y2, Y7
	VCVTPS2DQ Y4, Y4
	VCVTPS2DQ Y5, Y5
	VCVTPS2DQ Y6, Y6
	VCVTPS2DQ Y7, Y7
	VPADDD Y4, Y12, Y12
	VPADDD Y5, Y12, Y12
	VPADDD Y6, Y12, Y12
	VPADDD Y7, Y12, Y12
	VPACKSSDW Y5, Y4, Y4
	VPACKSSDW Y7, Y6, Y6
	VPERMQ $0xd8, Y4, Y4
	VPERMQ $0xd8, Y6, Y6
	TESTQ $const_formSplit, R10
	JZ   digits
	VPSLLD $16, Y4, Y5         // even columns
	VPSLLD $16, Y6, Y7
	VPSRAD $16, Y5, Y5
	VPSRAD $16, Y7, Y7
	VPSRAD $16, Y4, Y8         // odd columns
	VPSRAD $16, Y6, Y9
	VPACKSSDW Y7, Y5, Y4
	VPACKSSDW Y9, Y8, Y6
	VPERMQ $0xd8, Y4, Y4
	VPERMQ $0xd8, Y6, Y6

digits:
	TESTQ $const_formDigits, R10
	JZ   store
	VPSLLW $8, Y4, Y5          // the low bytes, sign and all
	VPSLLW $8, Y6, Y7
	VPSRAW $8, Y5, Y5
	VPSRAW $8, Y7, Y7
	VPSUBW Y5, Y4, Y4          // and what remains for the high ones
	VPSUBW Y7, Y6, Y6
	VPSRAW $8, Y4, Y4
	VPSRAW $8, Y6, Y6
	VPACKSSWB Y6, Y4, Y4
	VPACKSSWB Y7, Y5, Y6
	VPERMQ $0xd8, Y4, Y4
	VPERMQ $0xd8, Y6, Y6

	VMOVDQU X4, (DI)
	VEXTRACTI128 $1, Y4, 64(DI)
	VMOVDQU X6, 128(DI)
	VEXTRACTI128 $1, Y6, 192(DI)
	ADDQ $16, DI
	DECQ R13
	JNZ  next
	MOVQ $4, R13
	ADDQ $192, DI
	JMP  next

store:
	TESTQ $const_formFourths, R10
	JZ   plain
	VPSHUFLW $0xd8, Y4, Y4
	VPSHUFLW $0xd8, Y6, Y6
	VPSHUFHW $0xd8, Y4, Y4
	VPSHUFHW $0xd8, Y6, Y6

plain:
	VMOVDQU Y4, (DI)
	VMOVDQU Y6, 32(DI)
	ADDQ $64, DI

next:
	ADDQ $128, SI
	SUBQ $32, AX
	JNZ  columns

	VEXTRACTI128 $1, Y12, X1
	VPADDD X1, X12, X1
	VPSHUFD $0x4e, X1, X3
	VPADDD X3, X1, X1
	VPSHUFD $0xb1, X1, X3
	VPADDD X3, X1, X1
	VCVTDQ2PS X1, X1
	VMULSS X0, X1, X1
	VEXTRACTF128 $1, Y14, X3   // all lanes of Y14 are 0 or NaN
	VADDPS X3, X14, X3
	VHADDPS X3, X3, X3
	VHADDPS X3, X3, X3
	VADDSS X3, X1, X1
	VMOVSS X1, (R9)
	ADDQ $4, R8
	ADDQ $4, R9
	DECQ CX
	JNZ  nextgroup
	VZEROUPPER
	RET
