package cpu

import (
	"fmt"
	"os"
	"strings"
)

// pathVariable names the environment variable that forces a path: "plain", or a SIMD path such as "avx2". Unset or
// empty, the best that the processor has is taken. A device opened with a name that this machine does not have
// refuses every matrix with an error that lists the names.
const pathVariable = "GLM4_CPU"

// The forms of a quantised row on amd64 and arm64, added up. Digits are signed bytes, q = 256·h + l.
const (
	formSplit    = 1 // each 32 columns are 16 even ones and then 16 odd ones, as 4-bit codes are unpacked
	formDigits   = 2 // besides, each 128 columns are 64 bytes h of even ones, 64 h of odd ones, 64 l of even and 64 l of odd ones
	formDigits16 = 4 // each 16 columns are 16 bytes h and then 16 bytes l
)

// kernels are the functions of a SIMD path. A path has all of them; plain Go has none. They trust their arguments:
// nothing is read or written beyond what the comments say, and no alignment is needed. Strides are in bytes.
//
// Quantised products. A row x of activations becomes groups of int16 with one scale, x ≈ scale·q, |q| ≤ 32767, and
// the sum of each group. How q is stored is a path's own matter, but for its size. With the weight scale·code + bias, a
// group's part of the product is
//
//	(scale of x)·(scale of w)·Σ q·code + (bias of w)·(sum of the group)
//
// where Σ is exact in int32; what is lost is the rounding of x, 2⁻¹⁶ of its group's largest number.
// GEMV and GEMM add the groups in the same order, so the result does not depend on how many tokens share a pass.
type kernels struct {
	name string

	// quantise writes q[groups·size], scale[groups] and sum[groups] of x[groups·size]; sum is NaN where x is not
	// finite.
	quantise func(q *int16, scale, sum, x *float32, groups, size, form int)
	q4, q8   quantisedKernels
	// gemm adds to acc[T][16] the products of 16 rows and T = gemmTokens tokens over groups·size columns; of both, one
	// after the other, x is [T][columns], scale and sum are [T][groups], and wscale and wbias are [groups][8] for the
	// first eight rows, and the same at half bytes from there for the others. T divides panelTokens.
	gemmTokens int
	gemm       func(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
	// columns writes dst[columns][8], the transpose of eight rows, columns ≥ 8. By format.
	columns [3]func(dst *float32, src *byte, stride, columns int)

	// Products of plain weights in float32; columns is a multiple of 8. By format.

	// dots adds to y[count][4] the products of four rows with count tokens, 1 to tokens; the rows of y are ystride
	// apart, those of w stride, those of x xstride. Where ahead is not 0, what lies so far behind the rows is fetched.
	dots   [3]func(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
	tokens int // at least fewTokens
	// widen writes n float32s, a multiple of 8.
	widen [3]func(dst *float32, src *byte, n int)

	// Attention.

	// weigh does sums[4][columns] += p[4][rows]·v[rows][columns]; columns is a multiple of 16. It gives the scores of
	// queries p with transposed keys v as well as values v weighted by p. It may fetch rows·columns/2 bytes from ahead
	// on to the cache, which need not be memory.
	weigh func(sums *float32, sstride int, p *float32, pstride int, v *float32, vstride, columns, rows int, ahead *byte)
	// weighHalves is weigh with sums[16][columns], p[16][rows] and v in float16, and the same results; sums that are fresh
	// count as 0, whatever they hold. It is nil where the path has none. It may fetch 2·rows·columns bytes, and as many 8 KiB
	// behind ahead.
	weighHalves func(sums *float32, sstride int, p *float32, pstride int, v *uint16, vstride, columns, rows int, fresh bool, ahead *byte)
	// exp2Sum turns x into 2^(x - high) and adds it up; n is a multiple of 8.
	exp2Sum func(x *float32, n int, high float32) (sum float32)
	// narrow rounds n float32s, a multiple of 8, to float16, with what lies beyond its range as the largest.
	narrow func(dst *uint16, src *float32, n int)

	// Elementwise; n is a multiple of 8.

	siluMul func(gate, up *float32, n int) // gate = silu(gate)·up
	maximum func(x *float32, n int) (high float32)
	squares func(x *float32, n int) (sum float32)
	scaled  func(out, x, weight *float32, n int, scale float32) // out = weight·(x·scale)
	times   func(x *float32, n int, factor float32)             // x *= factor
	add     func(x, y *float32, n int)                          // x += y
}

// quantisedKernels are the kernels that read packed codes of one width.
type quantisedKernels struct {
	gemvForm, gemmForm int // what quantise is to write for them
	// gemv writes y[8], the products of eight rows with one token; wscale and wbias are [groups][8]. It may read x up to the
	// next multiple of gemvColumns.
	gemv func(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
	// panel unpacks eight rows to their half of [columns/2][16][2], or to what else gemm reads in that memory; the second
	// half begins 16 numbers behind the first. columns is a multiple of 32.
	panel func(panel *int16, w *byte, stride, columns int)
}

// choosePath gives the kernels that the environment asks for, nil for plain Go.
func choosePath() (*kernels, error) {
	have := paths()
	want := os.Getenv(pathVariable)
	if want == "" && len(have) > 0 {
		return have[0], nil
	}
	if want == "" || want == "plain" {
		return nil, nil
	}
	names := []string{"plain"}
	for _, k := range have {
		if k.name == want {
			return k, nil
		}
		names = append(names, k.name)
	}
	return nil, fmt.Errorf("cpu: the environment asks for %s=%s, which this machine does not have; it has %s", pathVariable, want, strings.Join(names, ", "))
}
