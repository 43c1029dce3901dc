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
#define ZERO(d)         WORD $(0x6f00e400 | (d))                     // needs no execution unit, other than VEOR
#define SHL23(n, d)     WORD $(0x4f375400 | (n)<<5 | (d))           // << 23

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

// TRANSPOSE turns four rows of four 32-bit numbers, V0 to V3, into four columns, V20 to V23. It uses V16 to V19.
#define TRANSPOSE \
	VTRN1 V1.S4, V0.S4, V16.S4   \
	VTRN2 V1.S4, V0.S4, V17.S4   \
	VTRN1 V3.S4, V2.S4, V18.S4   \
	VTRN2 V3.S4, V2.S4, V19.S4   \
	VTRN1 V18.D2, V16.D2, V20.D2 \
	VTRN1 V19.D2, V17.D2, V21.D2 \
	VTRN2 V18.D2, V16.D2, V22.D2 \
	VTRN2 V19.D2, V17.D2, V23.D2

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

// GEMVARGS loads what both GEMVs need: in R1 to R8 the rows, in R9 the next eight, in R20 the size of a group.
#define GEMVARGS \
	MOVD stride+16(FP), R9         \
	MOVD w+8(FP), R1               \
	ADD  R9, R1, R2                \
	ADD  R9, R2, R3                \
	ADD  R9, R3, R4                \
	ADD  R9, R4, R5                \
	ADD  R9, R5, R6                \
	ADD  R9, R6, R7                \
	ADD  R9, R7, R8                \
	ADD  R9, R8, R9                \
	MOVD x+24(FP), R10             \
	MOVD scale+32(FP), R11         \
	MOVD sum+40(FP), R12           \
	MOVD wscale+48(FP), R13        \
	MOVD wbias+56(FP), R14         \
	MOVD groups+64(FP), R15        \
	MOVD size+72(FP), R20          \
	VEOR V14.B16, V14.B16, V14.B16 \
	VEOR V15.B16, V15.B16, V15.B16

// STORELINES stores TRANSPOSE's columns to four lines of a panel, which are 64 bytes apart.
#define STORELINES(at) \
	TRANSPOSE               \
	FMOVQ F20, (at+0)(R0)   \
	FMOVQ F21, (at+64)(R0)  \
	FMOVQ F22, (at+128)(R0) \
	FMOVQ F23, (at+192)(R0)
