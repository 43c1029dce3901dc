#include "textflag.h"
#include "simd_arm64.h"

// Products of quantised weights with 2 to 8 tokens and the dot-product extension, on the digits and codes that GEMV
// takes. A step takes 32 columns of four rows, which it transposes as they are packed: then a lane of 32 bits holds
// four bytes of one row, which an SDOT multiplies with one lane of a token, four of its columns. The first 16 columns
// of a step, which are even ones where codes have 4 bits, are in V8, V10, V12 and V14, the others in V9, V11, V13 and
// V15; V0 to V7 hold h and l of 16 columns of four tokens. V16 to V31 are the sums of h and of l, which take all there
// are with eight rows and up to four tokens, or with four rows and up to eight. So more than four tokens pass by twice,
// which costs less than to unpack the codes twice.

// CODES4 takes the next 32 columns of four rows of 4-bit codes.
#define CODES4(row0, row1, row2, row3) \
	VLD1.P 16(row0), [V8.B16]        \
	VLD1.P 16(row1), [V10.B16]       \
	VLD1.P 16(row2), [V12.B16]       \
	VLD1.P 16(row3), [V14.B16]       \
	PRFM   (R9), PLDL1KEEP           \
	ADD    $64, R9                   \
	TRANSPOSED(V8, V10, V12, V14, V0, V1, V2, V3, V8, V10, V12, V14) \
	VMOVI  $15, V0.B16               \
	VUSHR  $4, V8.B16, V9.B16        \
	VUSHR  $4, V10.B16, V11.B16      \
	VUSHR  $4, V12.B16, V13.B16      \
	VUSHR  $4, V14.B16, V15.B16      \
	VAND   V0.B16, V8.B16, V8.B16    \
	VAND   V0.B16, V10.B16, V10.B16  \
	VAND   V0.B16, V12.B16, V12.B16  \
	VAND   V0.B16, V14.B16, V14.B16

// CODES8 does so with 8-bit codes, less 128.
#define CODES8(row0, row1, row2, row3) \
	VLD1.P 32(row0), [V8.B16, V9.B16]   \
	VLD1.P 32(row1), [V10.B16, V11.B16] \
	VLD1.P 32(row2), [V12.B16, V13.B16] \
	VLD1.P 32(row3), [V14.B16, V15.B16] \
	PRFM   (R9), PLDL1KEEP              \
	PRFM   64(R9), PLDL1KEEP            \
	ADD    $128, R9                     \
	TRANSPOSED(V8, V10, V12, V14, V0, V1, V2, V3, V8, V10, V12, V14) \
	TRANSPOSED(V9, V11, V13, V15, V4, V5, V6, V7, V9, V11, V13, V15) \
	VMOVI  $0x80, V0.B16                \
	VEOR   V0.B16, V8.B16, V8.B16       \
	VEOR   V0.B16, V9.B16, V9.B16       \
	VEOR   V0.B16, V10.B16, V10.B16     \
	VEOR   V0.B16, V11.B16, V11.B16     \
	VEOR   V0.B16, V12.B16, V12.B16     \
	VEOR   V0.B16, V13.B16, V13.B16     \
	VEOR   V0.B16, V14.B16, V14.B16     \
	VEOR   V0.B16, V15.B16, V15.B16

// BIAS4 and BIAS8 add to the weight biases of four rows what was taken from each code.
#define BIAS4(wscale, wbias)

#define BIAS8(wscale, wbias) \
	VDUP R26, V9.S4 \
	FMLA(9, wscale, wbias)

// LOADS1 to LOADS4 load 16 columns of so many tokens.
#define LOADS1(x, at) FLDPQ (at)(x), (F0, F1)
#define LOADS2(x, at) LOADS1(x, at); FLDPQ (at+256)(x), (F2, F3)
#define LOADS3(x, at) LOADS2(x, at); FLDPQ (at+512)(x), (F4, F5)
#define LOADS4(x, at) LOADS3(x, at); FLDPQ (at+768)(x), (F6, F7)

// DOTS1 to DOTS4 multiply codes with lane j of so many tokens; the sums of a token are at high and behind it, those of
// two tokens step apart.
#define DOT(x, j, codes, high) SDOTLANE(x, j, codes, high); SDOTLANE(x+1, j, codes, high+1)
#define DOTS1(j, codes, high, step) DOT(0, j, codes, high)
#define DOTS2(j, codes, high, step) DOTS1(j, codes, high, step); DOT(2, j, codes, high+step)
#define DOTS3(j, codes, high, step) DOTS2(j, codes, high, step); DOT(4, j, codes, high+2*step)
#define DOTS4(j, codes, high, step) DOTS3(j, codes, high, step); DOT(6, j, codes, high+3*step)

// SIXTEEN multiplies 16 columns, whose codes begin with the register first, with tokens at bytes behind x.
#define SIXTEEN(LOADS, DOTS, x, at, first, high, step) \
	LOADS(x, at)                 \
	DOTS(0, first, high, step)   \
	DOTS(1, first+2, high, step) \
	DOTS(2, first+4, high, step) \
	DOTS(3, first+6, high, step)

// JOINEIGHT adds the sums of eight rows and a token to y, JOINFOUR those of four. V8 holds 256; V4 the weight scales of
// four rows, V6 the weight biases.
#define JOINEIGHT(token) \
	MLA(8, 16+4*token, 17+4*token) \
	MLA(8, 18+4*token, 19+4*token) \
	JOINTOKEN(17+4*token, 19+4*token, token)

#define JOINFOUR(token) \
	MLA(8, 16+2*token, 17+2*token)  \
	FMOVS (4*token)(R11), F0        \
	FMOVS (4*token)(R12), F1        \
	FMOVQ (32*token)(R0), F2        \
	SCVTF(17+2*token, 17+2*token)   \
	FMULFIRST(0, 4, 9)              \
	FMLA(9, 17+2*token, 2)          \
	FMLAFIRST(1, 6, 2)              \
	FMOVQ F2, (32*token)(R0)

#define JOINS2 JOINEIGHT(0); JOINEIGHT(1)
#define JOINS3 JOINS2; JOINEIGHT(2)
#define JOINS4 JOINS3; JOINEIGHT(3)
#define JOINS5 JOINFOUR(0); JOINFOUR(1); JOINFOUR(2); JOINFOUR(3); JOINFOUR(4)
#define JOINS6 JOINS5; JOINFOUR(5)
#define JOINS7 JOINS6; JOINFOUR(6)
#define JOINS8 JOINS7; JOINFOUR(7)

// EIGHTS are the groups of eight rows and one number of tokens.
#define EIGHTS(CODES, BIAS, LOADS, DOTS, JOINS, group, turn, same) \
group:                                      \
	ZERO16                                    \
	MOVD R20, R19                             \
turn:                                       \
	CODES(R1, R2, R3, R4)                     \
	SIXTEEN(LOADS, DOTS, R10, 0, 8, 16, 4)    \
	SIXTEEN(LOADS, DOTS, R10, 32, 9, 16, 4)   \
	CODES(R5, R6, R7, R8)                     \
	SIXTEEN(LOADS, DOTS, R10, 0, 8, 18, 4)    \
	SIXTEEN(LOADS, DOTS, R10, 32, 9, 18, 4)   \
	ADD  $64, R10                             \
	SUBS $32, R19                             \
	BNE  turn                                 \
	FLDPQ.P 32(R13), (F4, F5)                 \
	FLDPQ.P 32(R14), (F6, F7)                 \
	BIAS(4, 6)                                \
	BIAS(5, 7)                                \
	VDUP R24, V8.S4                           \
	JOINS                                     \
	NEXTGROUP(group, same)                    \
	RET

// FOURS are those of four rows, and then of the other four. LOADS and DOTS are of the tokens behind the first four.
#define FOURS(CODES, BIAS, LOADS, DOTS, JOINS, half, group, turn, same) \
	MOVD stride+24(FP), R5                    \
	MOVD R13, R6                              \
	MOVD R14, R7                              \
	MOVD $2, R16                              \
half:                                       \
	ADD  R5, R1, R2                           \
	ADD  R5, R2, R3                           \
	ADD  R5, R3, R4                           \
	ADD  R5, R4, R8                           \
group:                                      \
	ZERO16                                    \
	MOVD R20, R19                             \
turn:                                       \
	CODES(R1, R2, R3, R4)                     \
	ADD  $1024, R10, R21                      \
	SIXTEEN(LOADS4, DOTS4, R10, 0, 8, 16, 2)  \
	SIXTEEN(LOADS, DOTS, R21, 0, 8, 24, 2)    \
	SIXTEEN(LOADS4, DOTS4, R10, 32, 9, 16, 2) \
	SIXTEEN(LOADS, DOTS, R21, 32, 9, 24, 2)   \
	ADD  $64, R10                             \
	SUBS $32, R19                             \
	BNE  turn                                 \
	FMOVQ.P 32(R13), F4                       \
	FMOVQ.P 32(R14), F6                       \
	BIAS(4, 6)                                \
	VDUP R24, V8.S4                           \
	JOINS                                     \
	NEXTGROUP(group, same)                    \
	MOVD R8, R1                               \
	MOVD x+32(FP), R10                        \
	MOVD scale+40(FP), R11                    \
	MOVD sum+48(FP), R12                      \
	ADD  $16, R6, R13                         \
	ADD  $16, R7, R14                         \
	MOVD groups+80(FP), R15                   \
	MOVD $128, R23                            \
	ADD  $16, R0                              \
	SUBS $1, R16                              \
	BNE  half                                 \
	RET

#define GEMVS(CODES, BIAS) \
	GEMVSARGS(clear)         \
	MOVD $256, R24           \
	MOVW $0x43000000, R26    \
	FEWTOKENS                \
	EIGHTS(CODES, BIAS, LOADS2, DOTS2, JOINS2, group2, turn2, same2) \
three:                     \
	EIGHTS(CODES, BIAS, LOADS3, DOTS3, JOINS3, group3, turn3, same3) \
four:                      \
	EIGHTS(CODES, BIAS, LOADS4, DOTS4, JOINS4, group4, turn4, same4) \
five:                      \
	FOURS(CODES, BIAS, LOADS1, DOTS1, JOINS5, half5, group5, turn5, same5) \
more:                      \
	MORETOKENS               \
	FOURS(CODES, BIAS, LOADS2, DOTS2, JOINS6, half6, group6, turn6, same6) \
seven:                     \
	FOURS(CODES, BIAS, LOADS3, DOTS3, JOINS7, half7, group7, turn7, same7) \
eight:                     \
	FOURS(CODES, BIAS, LOADS4, DOTS4, JOINS8, half8, group8, turn8, same8)

// func gemvs4Dot(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
// half, groups, size, count int)
TEXT ·gemvs4Dot(SB), NOSPLIT, $0-104
	GEMVS(CODES4, BIAS4)

// func gemvs8Dot(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
// half, groups, size, count int)
TEXT ·gemvs8Dot(SB), NOSPLIT, $0-104
	GEMVS(CODES8, BIAS8)
