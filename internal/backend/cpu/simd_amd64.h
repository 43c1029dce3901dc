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
