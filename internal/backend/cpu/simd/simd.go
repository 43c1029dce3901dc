// Package simd is the assembly of the CPU backend: one table of kernels for each SIMD path of a processor. A path is
// AVX2 with FMA and F16C, AVX-512 with VNNI, NEON, or NEON with dot products; [Choose] takes one.
//
// There is no table of plain Go: plain Go multiplies what is stored, in float32, where a path rounds activations to
// 16 bits and sums in another order. It is package cpu's reference and its way on other processors.
//
// [Kernels] says what each kernel computes. Kernels trust their arguments: they read and write what their comments
// say and nothing beyond. No operand need be aligned, and outputs do not overlap inputs but where a kernel works in
// place. A stride is the distance of two rows in bytes. To fetch is to bring to a cache what is read soon: the memory
// need not exist.
//
// Files are named after what they hold and for which processor: float (products of plain weights), quantised
// (products of quantised weights), gemvs (those of a few tokens), vector (all else), peak (loops to measure with), and
// in their names avx512 for AVX-512 and dot for NEON's dot products; the others are AVX2's and NEON's.
package simd

import (
	"fmt"
	"os"
	"strings"
)

// Shapes that are part of what the kernels do.
const (
	PanelRows   = 16  // rows that GEMM takes at a time
	GEMVColumns = 128 // GEMV may read x up to a multiple of so many columns, and GEMVs takes it in blocks of so many
)

// Kernels are the functions of one path. It has all of them, but for WeighHalves.
//
// Products of quantised weights are of int16s. Quantise turns a row x of activations to groups of int16s with one
// scale each, x ≈ scale·q with |q| ≤ 32767, and the sum of each group. With the weight scale·code + bias, a group's
// part of the product is
//
//	(scale of x)·(scale of w)·Σ q·code + (bias of w)·(sum of the group)
//
// where Σ is exact in int32; what is lost is the rounding of x, 2⁻¹⁶ of its group's largest number. GEMV, GEMVs and
// GEMM add the groups in the same order, so the result does not depend on how many tokens share a pass. A group has 32,
// 64 or 128 columns.
type Kernels struct {
	Name string // as the environment names it

	// Quantise writes q[groups·size], scale[groups] and sum[groups] of x[groups·size]. A sum is NaN where its group is
	// not finite. The form, from QuantisedKernels, says in which order and parts q is stored.
	Quantise func(q *int16, scale, sum, x *float32, groups, size, form int)
	Q4, Q8   QuantisedKernels
	// GEMM adds to acc[GEMMTokens][PanelRows] the products of a panel's rows with as many tokens, over groups·size
	// columns, which is columns. x is [GEMMTokens][columns] of Quantise, scale and sum are its [GEMMTokens][groups].
	// wscale and wbias are [groups][8] for the first eight rows, and the same again half bytes further for the others.
	GEMM       func(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
	GEMMTokens int // 4 or 8
	GEMVsRows  int // rows that GEMVs takes at a time: 8 or 16
	// Columns writes dst[columns][8] in float32, the transpose of eight rows of the format, backend.F32, F16 or BF16,
	// that is the index. There are at least 8 columns.
	Columns [3]func(dst *float32, src *byte, stride, columns int)

	// Dots adds to y[count][4] the products of four rows with count tokens, from 1 to DotTokens, for weights of the
	// format that is the index. columns is a multiple of 8. The rows of y are ystride apart, those of w stride, those
	// of x xstride. Where ahead is not 0, what lies so many bytes behind the rows is fetched.
	Dots      [3]func(y *float32, ystride int, w *byte, stride int, x *float32, xstride, columns, count, ahead int)
	DotTokens int // at least 3
	DotsMost  int // tokens up to which it is faster to read weights along the rows than in blocks
	// GEMMPeak and DotsPeak do what GEMM and Dots multiply with, in registers only: the most that the processor can of
	// it, so much of the time as they take is the products' own. A turn of GEMMPeak is GEMMAdds multiply-adds of a code
	// and an activation, one of DotsPeak is DotsAdds of float32s, at least one turn. All factors are 1; the sums, in as
	// many lanes as a vector has, add up to what was multiplied.
	GEMMPeak           func(sums *[16]int32, turns int)
	DotsPeak           func(sums *[16]float32, turns int)
	GEMMAdds, DotsAdds int
	// Widen writes the float32s of n numbers, a multiple of 8, in the format that is the index: F16 or BF16.
	Widen [3]func(dst *float32, src *byte, n int)

	// Weigh does sums[4][columns] += p[4][rows]·v[rows][columns]; columns is a multiple of 16. It gives the scores of
	// queries p with transposed keys v as well as values v weighted by p. It may fetch rows·columns/2 bytes from ahead on.
	Weigh func(sums *float32, sstride int, p *float32, pstride int, v *float32, vstride, columns, rows int, ahead *byte)
	// WeighHalves is Weigh for 16 queries and v in float16, and gives the same results; sums that are fresh count as 0,
	// whatever they hold. It is nil where the path has none. It may fetch 2·rows·columns bytes from ahead on, and as
	// many 8 KiB behind.
	WeighHalves func(sums *float32, sstride int, p *float32, pstride int, v *uint16, vstride, columns, rows int,
		fresh bool, ahead *byte)
	// Exp2Sum turns x[n] into 2^(x - high) and adds it up; n is a multiple of 8. No x may exceed high by more than 127.
	Exp2Sum func(x *float32, n int, high float32) (sum float32)
	// Narrow rounds n float32s, a multiple of 8, to float16; what lies beyond its range becomes the largest.
	Narrow func(dst *uint16, src *float32, n int)

	// One number at a time; n is a multiple of 8.

	SiluMul func(gate, up *float32, n int)              // gate = silu(gate)·up
	Maximum func(x *float32, n int) (high float32)      // NaN where there is one
	Squares func(x *float32, n int) (sum float32)       // Σ x²
	Scaled  func(out, x, w *float32, n int, by float32) // out = w·(x·by); out may be x
	Times   func(x *float32, n int, by float32)         // x *= by
	Add     func(x, y *float32, n int)                  // x += y
}

// QuantisedKernels are the kernels that read packed codes of one width.
type QuantisedKernels struct {
	GEMVForm, GEMVsForm, GEMMForm int // what Quantise is to write for each
	// The way that is the fastest for a number of tokens with GLM-4-9B's shapes: GEMV up to GEMVMost, then GEMVs up to
	// GEMVsMost, then GEMM.
	GEMVMost, GEMVsMost int
	// GEMV writes y[8], the products of eight rows with one token; wscale and wbias are [groups][8]. It may read x up to
	// the next multiple of GEMVColumns; what it finds there counts for nothing. It fetches the next eight rows.
	GEMV func(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
	// GEMVs writes y[count][GEMVsRows], the products of rows with count tokens, from 2 to GEMVsTokens. The rows are eight
	// at w and, where GEMVsRows is 16, eight at second; wscale and wbias are [groups][8], and the same again half bytes
	// further for the second eight. x is [columns/GEMVColumns][count][GEMVColumns], the last block as large as the others;
	// scale and sum are [groups][count]. It reads each code once, and fetches what lies behind the rows at w or, where
	// there are 16, at second.
	GEMVs func(y *float32, w, second *byte, stride int, x *int16, scale, sum, wscale, wbias *float32,
		half, groups, size, count int)
	GEMVsTokens int
	// Panel unpacks eight rows to their half of panel[columns/2][PanelRows][2], or to what else GEMM reads in that
	// memory; the half of the second eight rows begins 16 numbers behind the first. columns is a multiple of 32.
	Panel func(panel *int16, w *byte, stride, columns int)
}

// The forms of a quantised row, added up. Digits are signed bytes, q = 256·h + l.
const (
	formSplit    = 1 // each 32 columns are 16 even ones and then 16 odd ones, as 4-bit codes are unpacked
	formDigits   = 2 // each 128 columns are 64 bytes h of the first 16 of each 32, 64 h of the others, then l alike
	formDigits16 = 4 // each 16 columns are 16 bytes h and then 16 bytes l
	formFourths  = 8 // of each four numbers the second and the third are in each other's place
)

// Variable names the environment variable that forces a path: "plain", or the name of a table.
const Variable = "GLM4_CPU"

// Choose gives the table that the environment asks for, nil for plain Go; where it asks for nothing, the best that the
// processor has.
func Choose() (*Kernels, error) {
	have := Paths()
	want := os.Getenv(Variable)
	if want == "" && len(have) > 0 {
		return have[0], nil
	}
	if want == "" || want == "plain" {
		return nil, nil
	}
	names := []string{"plain"}
	for _, k := range have {
		if k.Name == want {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return nil, fmt.Errorf("cpu: the environment asks for %s=%s, which this machine does not have; it has %s",
		Variable, want, strings.Join(names, ", "))
}
