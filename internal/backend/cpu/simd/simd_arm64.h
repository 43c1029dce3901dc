// Vector instructions that Go's assembler does not know, on the registers V<m>, V<n> and V<d>, in the order of Go's
// operands: the result is the last. Float32 and int32 instructions work on four lanes. See the Arm Architecture
// Reference Manual, A64 SIMD and floating-point instructions.

#define FADD(m, n, d)   WORD $(0x4e20d400 | (m)<<16 | (n)<<5 | (d))
#define FADDP(m, n, d)  WORD $(0x6e20d400 | (m)<<16 | (n)<<5 | (d)) // sums of neighbours, of n and then of m
#define FSUB(m, n, d)   WORD $(0x4ea0d400 | (m)<<16 | (n)<<5 | (d)) // d = n - m
#define FMUL(m, n, d)   WORD $(0x6e20dc00 | (m)<<16 | (n)<<5 | (d))
#define FDIV(m, n, d)   WORD $(0x6e20fc00 | (m)<<16 | (n)<<5 | (d)) // d = n / m
#define FMLA(m, n, d)   WORD $(0x4e20cc00 | (m)<<16 | (n)<<5 | (d)) // d += n·m, rounded once
#define FMLS(m, n, d)   WORD $(0x4ea0cc00 | (m)<<16 | (n)<<5 | (d)) // d -= n·m, rounded once
#define FMAX(m, n, d)   WORD $(0x4e20f400 | (m)<<16 | (n)<<5 | (d)) // NaN where one is
#define FMIN(m, n, d)   WORD $(0x4ea0f400 | (m)<<16 | (n)<<5 | (d)) // NaN where one is
#define FCMGT(m, n, d)  WORD $(0x6ea0e400 | (m)<<16 | (n)<<5 | (d)) // all bits where n > m
#define FMAXV(n, d)     WORD $(0x6e30f800 | (n)<<5 | (d))           // the largest lane, NaN where one is
#define FABS(n, d)      WORD $(0x4ea0f800 | (n)<<5 | (d))
#define FNEG(n, d)      WORD $(0x6ea0f800 | (n)<<5 | (d))
#define FRINTN(n, d)    WORD $(0x4e218800 | (n)<<5 | (d))           // to the nearest whole number, ties to even
#define FCVTNS(n, d)    WORD $(0x4e21a800 | (n)<<5 | (d))           // the same, as int32
#define SCVTF(n, d)     WORD $(0x4e21d800 | (n)<<5 | (d))           // int32 to float32
#define FCVTL(n, d)     WORD $(0x0e217800 | (n)<<5 | (d))           // the lower four of eight float16s to float32
#define FCVTL2(n, d)    WORD $(0x4e217800 | (n)<<5 | (d))           // the upper four
#define FCVTN(n, d)     WORD $(0x0e216800 | (n)<<5 | (d))           // float32 to the lower four float16s
#define FCVTN2(n, d)    WORD $(0x4e216800 | (n)<<5 | (d))           // to the upper four
#define SHLL(n, d)      WORD $(0x2e613800 | (n)<<5 | (d))           // the lower four of eight 16-bit numbers, << 16
#define SHLL2(n, d)     WORD $(0x6e613800 | (n)<<5 | (d))           // the upper four
#define SQXTN(n, d)     WORD $(0x0e614800 | (n)<<5 | (d))           // int32 to the lower four int16s, saturated
#define SQXTN2(n, d)    WORD $(0x4e614800 | (n)<<5 | (d))           // to the upper four
#define BIC(m, n, d)    WORD $(0x4e601c00 | (m)<<16 | (n)<<5 | (d)) // d = n &^ m
#define COPY(n, d)      WORD $(0x4ea01c00 | (n)<<16 | (n)<<5 | (d))
#define ADD32(m, n, d)  WORD $(0x4ea08400 | (m)<<16 | (n)<<5 | (d))
#define MLA(m, n, d)    WORD $(0x4ea09400 | (m)<<16 | (n)<<5 | (d)) // d += n·m of int32
#define ZERO(d)         WORD $(0x6f00e400 | (d))                     // needs no execution unit, other than VEOR
#define SHL23(n, d)     WORD $(0x4f375400 | (n)<<5 | (d))           // << 23

// FMUL and FMLA with the first lane of m.
#define FMULFIRST(m, n, d) WORD $(0x4f809000 | (m)<<16 | (n)<<5 | (d))
#define FMLAFIRST(m, n, d) WORD $(0x4f801000 | (m)<<16 | (n)<<5 | (d))

// SMLAL adds the products of the lower four int16s of n and m to four int32s, SMLAL2 those of the upper four; with
// LANE, m is one lane i of V0 to V15.
#define SMLAL(m, n, d)  WORD $(0x0e608000 | (m)<<16 | (n)<<5 | (d))
#define SMLAL2(m, n, d) WORD $(0x4e608000 | (m)<<16 | (n)<<5 | (d))
#define LANE(i) (((i)&4)<<9 | ((i)&2)<<20 | ((i)&1)<<20)
#define SMLALLANE(m, i, n, d)  WORD $(0x0f402000 | LANE(i) | (m)<<16 | (n)<<5 | (d))
#define SMLAL2LANE(m, i, n, d) WORD $(0x4f402000 | LANE(i) | (m)<<16 | (n)<<5 | (d))

// SDOT, of the dot-product extension, adds to lane i of d the products of the bytes 4i to 4i+3 of n and m; with
// LANE, of m it takes bytes 4j to 4j+3 for all i.
#define SDOT(m, n, d)        WORD $(0x4e809400 | (m)<<16 | (n)<<5 | (d))
#define SDOTLANE(m, j, n, d) WORD $(0x4f80e000 | ((j)&2)<<10 | ((j)&1)<<21 | (m)<<16 | (n)<<5 | (d))

// LOADF32, LOADF16 and LOADBF16 take the next eight numbers from a pointer and widen them to two vectors of float32.
#define LOADF32(from, va, vb, a, b) \
	VLD1.P 32(from), [va.S4, vb.S4]

#define LOADF16(from, va, vb, a, b) \
	VLD1.P 16(from), [va.H8] \
	FCVTL2(a, b)             \
	FCVTL(a, a)

#define LOADBF16(from, va, vb, a, b) \
	VLD1.P 16(from), [va.H8] \
	SHLL2(a, b)              \
	SHLL(a, a)

// TRANSPOSED turns four rows of four 32-bit numbers, a to d, into four columns, which may take their place. It uses
// e to h. TRANSPOSE does so with V0 to V3 to V20 to V23; it uses V16 to V19.
#define TRANSPOSED(a, b, c, d, e, f, g, h, column0, column1, column2, column3) \
	VTRN1 b.S4, a.S4, e.S4       \
	VTRN2 b.S4, a.S4, f.S4       \
	VTRN1 d.S4, c.S4, g.S4       \
	VTRN2 d.S4, c.S4, h.S4       \
	VTRN1 g.D2, e.D2, column0.D2 \
	VTRN1 h.D2, f.D2, column1.D2 \
	VTRN2 g.D2, e.D2, column2.D2 \
	VTRN2 h.D2, f.D2, column3.D2

#define TRANSPOSE TRANSPOSED(V0, V1, V2, V3, V16, V17, V18, V19, V20, V21, V22, V23)

// SUM4 leaves the sums of the lanes of four pairs of vectors in the four lanes of the first.
#define SUM4(a, b, c, d, e, f, g, h) \
	FADD(b, a, a)  \
	FADD(d, c, c)  \
	FADD(f, e, e)  \
	FADD(h, g, g)  \
	FADDP(c, a, a) \
	FADDP(g, e, e) \
	FADDP(e, a, a)

// ZERO16 clears the sums, V16 to V31.
#define ZERO16 \
	ZERO(16); ZERO(17); ZERO(18); ZERO(19) \
	ZERO(20); ZERO(21); ZERO(22); ZERO(23) \
	ZERO(24); ZERO(25); ZERO(26); ZERO(27) \
	ZERO(28); ZERO(29); ZERO(30); ZERO(31)

// EIGHTROWS sets R1 to R8 to eight rows of a matrix at R1, R9 apart, and R9 to what lies behind them.
#define EIGHTROWS \
	ADD R9, R1, R2 \
	ADD R9, R2, R3 \
	ADD R9, R3, R4 \
	ADD R9, R4, R5 \
	ADD R9, R5, R6 \
	ADD R9, R6, R7 \
	ADD R9, R7, R8 \
	ADD R9, R8, R9

// GEMVARGS loads what both GEMVs need: in R1 to R8 the rows, in R9 the next eight, in R20 the size of a group.
#define GEMVARGS \
	MOVD stride+16(FP), R9         \
	MOVD w+8(FP), R1               \
	EIGHTROWS                      \
	MOVD x+24(FP), R10             \
	MOVD scale+32(FP), R11         \
	MOVD sum+40(FP), R12           \
	MOVD wscale+48(FP), R13        \
	MOVD wbias+56(FP), R14         \
	MOVD groups+64(FP), R15        \
	MOVD size+72(FP), R20          \
	VEOR V14.B16, V14.B16, V14.B16 \
	VEOR V15.B16, V15.B16, V15.B16

// GEMVSARGS loads what all GEMVs of a few tokens need: what GEMVARGS does, and y in R0, the count in R17, the bytes
// between two groups of scale and sum in R22, those between a token's block of x and its next one in R25, and in R23
// the columns of a block, which NEXTGROUP counts down. It clears y.
#define GEMVSARGS(clear) \
	MOVD   stride+24(FP), R9        \
	MOVD   w+8(FP), R1              \
	EIGHTROWS                       \
	MOVD   x+32(FP), R10            \
	MOVD   scale+40(FP), R11        \
	MOVD   sum+48(FP), R12          \
	MOVD   wscale+56(FP), R13       \
	MOVD   wbias+64(FP), R14        \
	MOVD   groups+80(FP), R15       \
	MOVD   size+88(FP), R20         \
	MOVD   count+96(FP), R25       \
	LSL    $2, R25, R22             \
	SUB    $1, R25                  \
	LSL    $8, R25                  \
	MOVD   $128, R23                \
	ZERO(0)                         \
	ZERO(1)                         \
	MOVD   y+0(FP), R0              \
	MOVD   count+96(FP), R17       \
clear:                            \
	VST1.P [V0.S4, V1.S4], 32(R0)   \
	SUBS   $1, R17                  \
	BNE    clear                    \
	MOVD   y+0(FP), R0              \
	MOVD   count+96(FP), R17

// FEWTOKENS and MORETOKENS branch to the count's label; behind them are 2 and 6 tokens.
#define FEWTOKENS \
	CMP $5, R17 \
	BEQ five    \
	BGT more    \
	CMP $3, R17 \
	BEQ three   \
	BGT four

#define MORETOKENS \
	CMP $7, R17 \
	BEQ seven   \
	BGT eight

// NEXTGROUP goes on to the next group; a block of x, which has 128 columns, ends with one.
#define NEXTGROUP(group, same) \
	ADD  R22, R11  \
	ADD  R22, R12  \
	SUBS R20, R23  \
	BNE  same      \
	MOVD $128, R23 \
	ADD  R25, R10  \
same:            \
	SUBS $1, R15   \
	BNE  group

// JOINTOKEN adds a token's sums of a group, a for four rows and b for the others, to y, in the same order of operations
// as GEMV. V4 and V5 hold the weight scales, V6 and V7 the weight biases.
#define JOINTOKEN(a, b, token) \
	FMOVS (4*token)(R11), F0         \
	FMOVS (4*token)(R12), F1         \
	FLDPQ (32*token)(R0), (F2, F3)   \
	SCVTF(a, a)                      \
	SCVTF(b, b)                      \
	FMULFIRST(0, 4, 9)               \
	FMULFIRST(0, 5, 10)              \
	FMLA(9, a, 2)                    \
	FMLA(10, b, 3)                   \
	FMLAFIRST(1, 6, 2)               \
	FMLAFIRST(1, 7, 3)               \
	FSTPQ (F2, F3), (32*token)(R0)

// STORELINES stores TRANSPOSE's columns to four lines of a panel, which are 64 bytes apart.
#define STORELINES(at) \
	TRANSPOSE               \
	FMOVQ F20, (at+0)(R0)   \
	FMOVQ F21, (at+64)(R0)  \
	FMOVQ F22, (at+128)(R0) \
	FMOVQ F23, (at+192)(R0)
