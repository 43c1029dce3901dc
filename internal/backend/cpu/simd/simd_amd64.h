// TRANSPOSE turns eight rows of eight 32-bit numbers, Y0 to Y7, into eight columns, in place. It uses Y8 to Y15.
#define TRANSPOSE \
	VPUNPCKLDQ  Y1, Y0, Y8      \
	VPUNPCKHDQ  Y1, Y0, Y9      \
	VPUNPCKLDQ  Y3, Y2, Y10     \
	VPUNPCKHDQ  Y3, Y2, Y11     \
	VPUNPCKLDQ  Y5, Y4, Y12     \
	VPUNPCKHDQ  Y5, Y4, Y13     \
	VPUNPCKLDQ  Y7, Y6, Y14     \
	VPUNPCKHDQ  Y7, Y6, Y15     \
	VPUNPCKLQDQ Y10, Y8, Y0     \
	VPUNPCKHQDQ Y10, Y8, Y1     \
	VPUNPCKLQDQ Y11, Y9, Y2     \
	VPUNPCKHQDQ Y11, Y9, Y3     \
	VPUNPCKLQDQ Y14, Y12, Y4    \
	VPUNPCKHQDQ Y14, Y12, Y5    \
	VPUNPCKLQDQ Y15, Y13, Y6    \
	VPUNPCKHQDQ Y15, Y13, Y7    \
	VPERM2I128  $0x20, Y4, Y0, Y8  \
	VPERM2I128  $0x20, Y5, Y1, Y9  \
	VPERM2I128  $0x20, Y6, Y2, Y10 \
	VPERM2I128  $0x20, Y7, Y3, Y11 \
	VPERM2I128  $0x31, Y4, Y0, Y4  \
	VPERM2I128  $0x31, Y5, Y1, Y5  \
	VPERM2I128  $0x31, Y6, Y2, Y6  \
	VPERM2I128  $0x31, Y7, Y3, Y7  \
	VMOVDQA     Y8, Y0          \
	VMOVDQA     Y9, Y1          \
	VMOVDQA     Y10, Y2         \
	VMOVDQA     Y11, Y3

// LOADF32, LOADF16 and LOADBF16 widen eight numbers to float32; n numbers lie at n·SIZE bytes.
#define LOADF32(from, to) \
	VMOVUPS from, to

#define LOADF16(from, to) \
	VCVTPH2PS from, to

#define LOADBF16(from, to) \
	VPMOVZXWD from, to \
	VPSLLD    $16, to, to

// EIGHTROWS sets R8 and R9 to the rows 0 and 4 of a matrix at SI whose rows are DX bytes apart, R10 to 3·DX; then
// row r is (R8), (R8)(DX*1), (R8)(DX*2), (R8)(R10*1), (R9), (R9)(DX*1), (R9)(DX*2), (R9)(R10*1).
#define EIGHTROWS \
	MOVQ SI, R8           \
	LEAQ (SI)(DX*4), R9   \
	LEAQ (DX)(DX*2), R10

// ZERO8 clears Y0 to Y7.
#define ZERO8 \
	VPXOR Y0, Y0, Y0 \
	VPXOR Y1, Y1, Y1 \
	VPXOR Y2, Y2, Y2 \
	VPXOR Y3, Y3, Y3 \
	VPXOR Y4, Y4, Y4 \
	VPXOR Y5, Y5, Y5 \
	VPXOR Y6, Y6, Y6 \
	VPXOR Y7, Y7, Y7

// PAIRSUM adds up pairs of 32-bit lanes of a and b: every other lane of out is a's; SWAP is VPSHUFD's constant for the
// width of a lane, ODD marks the second of each pair. It uses Y9 and Y10, and moves less than VPHADDD does.
#define PAIRSUM(ODD, SWAP, a, b, out) \
	VPBLENDD ODD, b, a, Y9     \
	VPBLENDD ODD, a, b, Y10    \
	VPSHUFD  SWAP, Y10, Y10    \
	VPADDD   Y9, Y10, out

// HALVES adds up the halves of a in the lower half of out, those of b in the upper one. It uses Y9 and Y10.
#define HALVES(a, b, out) \
	VPBLENDD   $0xf0, b, a, Y9  \
	VPERM2I128 $0x21, b, a, Y10 \
	VPADDD     Y9, Y10, out

// SUM4 leaves the sums of the lanes of each half of four vectors in the half's lanes of a.
#define SUM4(a, b, c, d) \
	PAIRSUM($0xaa, $0xb1, a, b, a) \
	PAIRSUM($0xaa, $0xb1, c, d, c) \
	PAIRSUM($0xcc, $0x4e, a, c, a)

// SUM8 leaves the sums of the eight lanes of Y0 to Y7 in the eight lanes of Y0.
#define SUM8 \
	SUM4(Y0, Y1, Y2, Y3) \
	SUM4(Y4, Y5, Y6, Y7) \
	HALVES(Y0, Y4, Y0)

// GEMVARGS loads the arguments that all GEMVs of quantised weights keep in registers.
#define GEMVARGS \
	MOVQ w+8(FP), SI       \
	MOVQ stride+16(FP), DX \
	MOVQ x+24(FP), R11     \
	MOVQ scale+32(FP), R12 \
	MOVQ sum+40(FP), R13   \
	MOVQ wscale+48(FP), AX \
	MOVQ wbias+56(FP), BX  \
	MOVQ groups+64(FP), CX

// GROUP adds the group's eight sums in Y0 to the results in Y8: scale·(weight scale)·sum + (weight bias)·xsum.
#define GROUP \
	VCVTDQ2PS    Y0, Y0         \
	VBROADCASTSS (R12), Y1      \
	VMULPS       (AX), Y1, Y1   \
	VFMADD231PS  Y1, Y0, Y8     \
	VBROADCASTSS (R13), Y2      \
	VFMADD231PS  (BX), Y2, Y8   \
	ADDQ         $4, R12        \
	ADDQ         $4, R13        \
	ADDQ         $32, AX        \
	ADDQ         $32, BX

// FETCHLINE brings a line of weights, at bytes behind SI, where the rows of a GEMV end, to the second-level cache; more
// lines can be on their way to it than to the first. What the processor has no room for it drops, so each line is asked
// for three times.
#define FETCHLINE(at) \
	PREFETCHT1 (24576+at)(SI) \
	PREFETCHT1 (12288+at)(SI) \
	PREFETCHT1 (4096+at)(SI)

// FEWTOKENS and MORETOKENS go to the label of a count in DI; behind them are 2 and 6 tokens.
#define FEWTOKENS \
	CMPQ DI, $5 \
	JEQ  five   \
	JGT  more   \
	CMPQ DI, $3 \
	JEQ  three  \
	JGT  four

#define MORETOKENS \
	CMPQ DI, $7 \
	JEQ  seven  \
	JGT  eight
