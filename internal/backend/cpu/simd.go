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

// kernels are the functions of a SIMD path. A path has all of them; plain Go has none. They trust their arguments:
// nothing is read or written beyond what the comments say, and no alignment is needed. Strides are in bytes.
//
// Quantised products. A row x of activations becomes groups of int16 with one scale, x ≈ scale·q, |q| ≤ 32767, and
// the sum of each group. With the weight scale·code + bias, a group's part of the product is
//
//	(scale of x)·(scale of w)·Σ q·code + (bias of w)·(sum of the group)
//
// where Σ is exact in int32; what is lost is the rounding of x, 2⁻¹⁶ of its group's largest number.
// GEMV and GEMM add the groups in the same order, so the result does not depend on how many tokens share a pass.
type kernels struct {
	name string

	// quantise writes q[groups·size], scale[groups] and sum[groups] of x[groups·size]; sum is NaN where x is not
	// finite. With split, each 32 columns are stored as 16 even ones and then 16 odd ones.
	quantise func(q *int16, scale, sum, x *float32, groups, size, split int)
	q4, q8   quantisedKernels
	// gemm adds to acc[4][16] the products of 16 rows and 4 tokens over groups·size columns; of both, one after the
	// other, x is [4][columns], scale and sum are [4][groups], and wscale and wbias are [groups][8] for the first
	// eight rows, and the same at half bytes from there for the others.
	gemm func(acc *float32, panel, x *int16, scale, sum, wscale, wbias *float32, half, columns, groups, size int)
	// columns writes dst[columns][8], the transpose of eight rows, columns ≥ 8. By format.
	columns [3]func(dst *float32, src *byte, stride, columns int)

	// Products of plain weights in float32; columns is a multiple of 8. By format.

	// dots writes y[4], the products of four rows with x.
	dots [3]func(y *float32, w *byte, stride int, x *float32, columns int)
	// widen writes n float32s, a multiple of 8.
	widen [3]func(dst *float32, src *byte, n int)
	// tile writes y[3][4] = x[3][columns]·w[4][columns]ᵀ; the rows of y are ystride apart.
	tile func(y *float32, ystride int, w, x *float32, columns int)

	// Attention.

	// scores writes s[2][keys] = q[2][dim]·k[keys][dim]ᵀ; dim is a multiple of 8, keys of 4.
	scores func(s *float32, sstride int, q, k *float32, dim, keys int)
	// expSum turns x into exp(x - high) and adds it up; n is a multiple of 8.
	expSum func(x *float32, n int, high float32) (sum float32)
	// weigh does sums[4][dim] += p[4][keys]·v[keys][dim]; dim is a multiple of 16.
	weigh func(sums, p *float32, pstride int, v *float32, dim, keys int)

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
	split int // what quantise needs
	// gemv writes y[8], the products of eight rows with one token; wscale and wbias are [groups][8].
	gemv func(y *float32, w *byte, stride int, x *int16, scale, sum, wscale, wbias *float32, groups, size int)
	// panel unpacks eight rows to their half of [columns/2][16][2]; columns is a multiple of 32.
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
