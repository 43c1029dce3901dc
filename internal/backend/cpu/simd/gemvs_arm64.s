#include "textflag.h"
#include "simd_arm64.h"

// Products of quantised weights with 2 to 8 tokens, eight rows at a time. A step takes eight bytes of each row, which
// it transposes as they are packed: then each of V8 to V11 holds two bytes of all rows. Unpacked, codes of one column
// are int16s, which an SMLAL multiplies with one lane of a token. V0 to V7 hold eight columns of the tokens, V16 to V31
// their sums, two vectors each. V15 is a mask, 0x000f or 0x00ff.

// EIGHTBYTES takes the next eight bytes of eight rows.
#define EIGHTBYTES \
	FMOVD.P 8(R1), F0             \
	FMOVD.P 8(R2), F1             \
	FMOVD.P 8(R3), F2             \
	FMOVD.P 8(R4), F3             \
	FMOVD.P 8(R5), F4             \
	FMOVD.P 8(R6), F5             \
	FMOVD.P 8(R7), F6             \
	FMOVD.P 8(R8), F7             \
	PRFM    (R9), PLDL1KEEP       \
	ADD     $64, R9               \
	VZIP1   V1.H8, V0.H8, V8.H8   \
	VZIP1   V3.H8, V2.H8, V9.H8   \
	VZIP1   V5.H8, V4.H8, V10.H8  \
	VZIP1   V7.H8, V6.H8, V11.H8  \
	VZIP1   V9.S4, V8.S4, V0.S4   \
	VZIP2   V9.S4, V8.S4, V1.S4   \
	VZIP1   V11.S4, V10.S4, V2.S4 \
	VZIP2   V11.S4, V10.S4, V3.S4 \
	VZIP1   V2.D2, V0.D2, V8.D2   \
	VZIP2   V2.D2, V0.D2, V9.D2   \
	VZIP1   V3.D2, V1.D2, V10.D2  \
	VZIP2   V3.D2, V1.D2, V11.D2

// LOADS2 to LOADS8 load eight columns of so many tokens, at bytes behind R10.
#define LOADS2(at) FMOVQ (at)(R10), F0; FMOVQ (at+256)(R10), F1
#define LOADS3(at) LOADS2(at); FMOVQ (at+512)(R10), F2
#define LOADS4(at) LOADS3(at); FMOVQ (at+768)(R10), F3
#define LOADS5(at) LOADS4(at); FMOVQ (at+1024)(R10), F4
#define LOADS6(at) LOADS5(at); FMOVQ (at+1280)(R10), F5
#define LOADS7(at) LOADS6(at); FMOVQ (at+1536)(R10), F6
#define LOADS8(at) LOADS7(at); FMOVQ (at+1792)(R10), F7

// MADDS2 to MADDS8 multiply the codes in V12 with one lane of so many tokens.
#define MADD(token, lane) \
	SMLALLANE(token, lane, 12, 16+2*token) \
	SMLAL2LANE(token, lane, 12, 17+2*token)

#define MADDS2(lane) MADD(0, lane); MADD(1, lane)
#define MADDS3(lane) MADDS2(lane); MADD(2, lane)
#define MADDS4(lane) MADDS3(lane); MADD(3, lane)
#define MADDS5(lane) MADDS4(lane); MADD(4, lane)
#define MADDS6(lane) MADDS5(lane); MADD(5, lane)
#define MADDS7(lane) MADDS6(lane); MADD(6, lane)
#define MADDS8(lane) MADDS7(lane); MADD(7, lane)

// EVEN multiplies the two even columns of two bytes of 4-bit codes, ODD the odd ones, BOTH two columns of 8-bit codes.
#define EVEN(MADDS, bytes, lane) \
	VAND  V15.B16, bytes.B16, V12.B16 \
	MADDS(lane)                       \
	VUSHR $8, bytes.H8, V12.H8        \
	VAND  V15.B16, V12.B16, V12.B16   \
	MADDS(lane+1)

#define ODD(MADDS, bytes, lane) \
	VUSHR $4, bytes.H8, V12.H8      \
	VAND  V15.B16, V12.B16, V12.B16 \
	MADDS(lane)                     \
	VUSHR $12, bytes.H8, V12.H8     \
	MADDS(lane+1)

#define BOTH(MADDS, bytes, lane) \
	VAND  V15.B16, bytes.B16, V12.B16 \
	MADDS(lane)                       \
	VUSHR $8, bytes.H8, V12.H8        \
	MADDS(lane+1)

// COLUMNS multiplies the columns of all bytes, at bytes behind R10 in x.
#define COLUMNS(PAIR, LOADS, MADDS, at) \
	LOADS(at)           \
	PAIR(MADDS, V8, 0)  \
	PAIR(MADDS, V9, 2)  \
	PAIR(MADDS, V10, 4) \
	PAIR(MADDS, V11, 6)

// TURN4 takes 32 columns, whose even ones come first in x, TURN8 eight.
#define TURN4(LOADS, MADDS, turn) \
	EIGHTBYTES                      \
	COLUMNS(EVEN, LOADS, MADDS, 0)  \
	COLUMNS(ODD, LOADS, MADDS, 32)  \
	EIGHTBYTES                      \
	COLUMNS(EVEN, LOADS, MADDS, 16) \
	COLUMNS(ODD, LOADS, MADDS, 48)  \
	ADD  $64, R10                   \
	SUBS $32, R19                   \
	BNE  turn

#define TURN8(LOADS, MADDS, turn) \
	EIGHTBYTES                     \
	COLUMNS(BOTH, LOADS, MADDS, 0) \
	ADD  $16, R10                  \
	SUBS $8, R19                   \
	BNE  turn

#define JOINS2 JOINTOKEN(16, 17, 0); JOINTOKEN(18, 19, 1)
#define JOINS3 JOINS2; JOINTOKEN(20, 21, 2)
#define JOINS4 JOINS3; JOINTOKEN(22, 23, 3)
#define JOINS5 JOINS4; JOINTOKEN(24, 25, 4)
#define JOINS6 JOINS5; JOINTOKEN(26, 27, 5)
#define JOINS7 JOINS6; JOINTOKEN(28, 29, 6)
#define JOINS8 JOINS7; JOINTOKEN(30, 31, 7)

// GROUPS are the groups of one number of tokens.
#define GROUPS(TURN, LOADS, MADDS, JOINS, group, turn, same) \
group:                      \
	ZERO16                    \
	MOVD R20, R19             \
turn:                       \
	TURN(LOADS, MADDS, turn)  \
	FLDPQ.P 32(R13), (F4, F5) \
	FLDPQ.P 32(R14), (F6, F7) \
	JOINS                     \
	NEXTGROUP(group, same)    \
	RET

#define GEMVS(TURN) \
	GEMVSARGS(clear) \
	FEWTOKENS        \
	GROUPS(TURN, LOADS2, MADDS2, JOINS2, group2, turn2, same2) \
three:             \
	GROUPS(TURN, LOADS3, MADDS3, JOINS3, group3, turn3, same3) \
four:              \
	GROUPS(TURN, LOADS4, MADDS4, JOINS4, group4, turn4, same4) \
five:              \
	GROUPS(TURN, LOADS5, MADDS5, JOINS5, group5, turn5, same5) \
more:              \
	MORETOKENS       \
	GROUPS(TURN, LOADS6, MADDS6, JOINS6, group6, turn6, same6) \
seven:             \
	GROUPS(TURN, LOADS7, MADDS7, JOINS7, group7, turn7, same7) \
eight:             \
	GROUPS(TURN, LOADS8, MADDS8, JOINS8, group8, turn8, same8)

// func gemvs4(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
// half, groups, size, count int)
TEXT ·gemvs4(SB), NOSPLIT, $0-104
	MOVD $15, R16
	VDUP R16, V15.H8
	GEMVS(TURN4)

// func gemvs8(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
// half, groups, size, count int)
TEXT ·gemvs8(SB), NOSPLIT, $0-104
	MOVD $255, R16
	VDUP R16, V15.H8
	GEMVS(TURN8)
