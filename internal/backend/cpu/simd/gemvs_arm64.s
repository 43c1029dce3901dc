#include "textflag.h"

// func gemvs4(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, half, groups, size,
// tokens, count int)
TEXT ·gemvs4(SB), NOSPLIT, $0-112
	RET

// func gemvs8(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, half, groups, size,
// tokens, count int)
TEXT ·gemvs8(SB), NOSPLIT, $0-112
	RET
