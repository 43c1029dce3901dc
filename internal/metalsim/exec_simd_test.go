//go:build linux && (amd64 || arm64)

package metalsim_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// value is what lane l brings: all numbers from 1 to 32, mixed.
func value(l int) float32 { return float32(l*7%32 + 1) }

// fold combines the values of lanes from to to.
func fold(from, to int, start float64, f func(a, b float64) float64) float32 {
	for l := from; l < to; l++ {
		start = f(start, float64(value(l)))
	}
	return float32(start)
}

func sum(a, b float64) float64 { return a + b }

func bits(from, to int, f func(a, b int) int) float32 {
	r := int(value(from))
	for l := from + 1; l < to; l++ {
		r = f(r, int(value(l)))
	}
	return float32(r)
}

// simdAnswers are expressions of v (the lane's value as a float), n (as an int), h (as a half), b (as a bfloat), v4 (a
// float4 of v, 2v, 3v, 4v) and lane, with the answer of each lane.
func simdAnswers() map[string]func(l int) float32 {
	and := func(a, b int) int { return a & b }
	or := func(a, b int) int { return a | b }
	xor := func(a, b int) int { return a ^ b }
	answers := map[string]func(l int) float32{
		"simd_sum(v4).w":                          func(int) float32 { return 4 * 528 },
		"simd_sum(h)":                             func(int) float32 { return 528 },
		"simd_sum(b)":                             func(int) float32 { return 528 },
		"simd_max(h)":                             func(int) float32 { return 32 },
		"simd_min(v4).y":                          func(int) float32 { return 2 },
		"simd_max(b)":                             func(int) float32 { return 32 },
		"simd_prefix_inclusive_sum(h)":            func(l int) float32 { return fold(0, l+1, 0, sum) },
		"simd_broadcast(v4, 3).z":                 func(int) float32 { return 3 * value(3) },
		"simd_broadcast(h, 31)":                   func(int) float32 { return value(31) },
		"simd_broadcast(lane, 9)":                 func(int) float32 { return 9 },
		"simd_shuffle(n, 31 - lane)":              func(l int) float32 { return value(31 - l) },
		"simd_shuffle(lane == 4, 4)":              func(l int) float32 { return 1 },
		"simd_shuffle_xor(v4.xy, 21).y":           func(l int) float32 { return 2 * value(l^21) },
		"simd_shuffle_and_fill_up(v, -v, 3, 8)":   func(l int) float32 { return fill(l, -3, 8) },
		"simd_shuffle_and_fill_down(v, -v, 3, 8)": func(l int) float32 { return fill(l, 3, 8) },
		"simd_product(v4 / v4).x":                 func(int) float32 { return 1 },
		"simd_all(n > 0)":                         func(int) float32 { return 1 },
		"simd_all(n > 1)":                         func(int) float32 { return 0 },
		"simd_any(n > 31)":                        func(int) float32 { return 1 },
		"simd_any(n > 32)":                        func(int) float32 { return 0 },
		"quad_all(lane < 8)":                      func(l int) float32 { return float32(b2i(l < 8)) },
		"quad_any(lane == 6)":                     func(l int) float32 { return float32(b2i(l/4 == 1)) },
		"simd_is_first()":                         func(l int) float32 { return float32(b2i(l == 0)) },
		"quad_is_first()":                         func(l int) float32 { return float32(b2i(l%4 == 0)) },
		"ulong(simd_vote::vote_t(simd_ballot(n > 16)))": func(int) float32 {
			var mask float64
			for l := range 32 {
				if value(l) > 16 {
					mask += math.Exp2(float64(l))
				}
			}
			return float32(mask)
		},
		"ulong(quad_vote::vote_t(quad_ballot(n % 2 == 1)))": func(l int) float32 {
			mask := 0
			for i := range 4 {
				if int(value(l/4*4+i))%2 == 1 {
					mask |= 1 << i
				}
			}
			return float32(mask)
		},
		"ulong(simd_vote::vote_t(simd_active_threads_mask()))": func(int) float32 { return 0xffffffff },
		"ulong(quad_vote::vote_t(quad_active_threads_mask()))": func(int) float32 { return 15 },
		"simd_active_threads_mask().all()":                     func(int) float32 { return 1 },
		"simd_ballot(false).any()":                             func(int) float32 { return 0 },
	}
	for group, n := range map[string]int{"simd": 32, "quad": 4} {
		base := func(l int) int { return l / n * n }
		for expr, answer := range map[string]func(l int) float32{
			"_sum(v)": func(l int) float32 { return fold(base(l), base(l)+n, 0, sum) },
			"_sum(n)": func(l int) float32 { return fold(base(l), base(l)+n, 0, sum) },
			"_product(v / 8)": func(l int) float32 {
				return fold(base(l), base(l)+n, 1, func(a, b float64) float64 { return a * b / 8 })
			},
			"_min(v)":                  func(l int) float32 { return fold(base(l), base(l)+n, 99, math.Min) },
			"_max(n)":                  func(l int) float32 { return fold(base(l), base(l)+n, 0, math.Max) },
			"_and(n)":                  func(l int) float32 { return bits(base(l), base(l)+n, and) },
			"_or(n)":                   func(l int) float32 { return bits(base(l), base(l)+n, or) },
			"_xor(n)":                  func(l int) float32 { return bits(base(l), base(l)+n, xor) },
			"_prefix_inclusive_sum(v)": func(l int) float32 { return fold(base(l), l+1, 0, sum) },
			"_prefix_exclusive_sum(v)": func(l int) float32 { return fold(base(l), l, 0, sum) },
			"_prefix_inclusive_product(v > 30 ? v : 1)": func(l int) float32 { return fold(base(l), l+1, 1, bigOnes) },
			"_prefix_exclusive_product(v > 30 ? v : 1)": func(l int) float32 { return fold(base(l), l, 1, bigOnes) },
			"_broadcast(v, 2)":                          func(l int) float32 { return value(base(l) + 2) },
			"_broadcast_first(v)":                       func(l int) float32 { return value(base(l)) },
			"_shuffle(v, (lane * 5 + 1) % %N)":          func(l int) float32 { return value(base(l) + (l*5+1)%n) },
			"_shuffle_xor(v, 3)":                        func(l int) float32 { return value(l ^ 3) },
			"_shuffle_up(v, 1)":                         func(l int) float32 { return value(max(l-1, base(l))) },
			"_shuffle_down(v, 1)":                       func(l int) float32 { return value(min(l+1, base(l)+n-1)) },
			"_shuffle_rotate_up(v, 3)":                  func(l int) float32 { return value(base(l) + (l+n-3)%n) },
			"_shuffle_rotate_down(v, 3)":                func(l int) float32 { return value(base(l) + (l+3)%n) },
			"_shuffle_and_fill_up(v, -v, 3)":            func(l int) float32 { return fill(l, -3, n) },
			"_shuffle_and_fill_down(v, -v, 3)":          func(l int) float32 { return fill(l, 3, n) },
		} {
			answers[group+strings.ReplaceAll(expr, "%N", fmt.Sprint(n))] = answer
		}
	}
	return answers
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func bigOnes(a, b float64) float64 {
	if b > 30 {
		return a * b
	}
	return a
}

// fill is the value of the lane delta away within its vector of n lanes; beyond the vector's end that of the filling,
// which is the negative value, from the other end.
func fill(l, delta, n int) float32 {
	base, k := l/n*n, l%n+delta
	if k < 0 || k >= n {
		return -value(base + (k+n)%n)
	}
	return value(base + k)
}

func TestSIMDOperationWrong(t *testing.T) {
	answers := simdAnswers()
	var body strings.Builder
	var expressions []string
	for expr := range answers {
		fmt.Fprintf(&body, "  out[%d + lane] = float(%s);\n", 32*len(expressions), expr)
		expressions = append(expressions, expr)
	}
	source := header + `kernel void k(device const float *in [[buffer(0)]], device float *out [[buffer(1)]],
    ushort lane [[thread_index_in_simdgroup]]) {
  float v = in[lane];
  int n = v;
  half h = v;
  bfloat b = bfloat(v);
  float4 v4 = v * float4(1, 2, 3, 4);
` + body.String() + "}\n"
	s := openStandIn(t)
	for _, counted := range []bool{false, true} {
		require.NoError(t, metalsim.SetCounting(counted))
		pipeline := s.pipeline(t, source, "k")
		for order := range 3 {
			require.NoError(t, metalsim.SetOrder(metalsim.Order(order), 3))
			in, values := s.buffer(t, 32)
			for l := range values {
				values[l] = value(l)
			}
			out, got := s.buffer(t, 32*len(expressions))
			require.NoError(t, s.compute(t, func(e metal.ComputeEncoder) {
				e.SetPipeline(pipeline)
				e.SetBuffer(in, 0, 0)
				e.SetBuffer(out, 0, 1)
				e.DispatchThreads(metal.Size{Width: 32, Height: 1, Depth: 1}, metal.Size{Width: 32, Height: 1, Depth: 1})
			}))
			for i, expr := range expressions {
				for l := range 32 {
					want := answers[expr](l)
					require.InDelta(t, want, got[i*32+l], math.Abs(float64(want))*1e-5, "%s, lane %d, order %d, counted %v", expr, l,
						order, counted)
				}
			}
		}
	}
}

// The last simdgroup of a threadgroup may be partial, and lanes may have returned.
func TestSIMDOperationCountsMissingLanes(t *testing.T) {
	for name, source := range map[string]string{
		"partial": `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  y[i] = simd_sum(y[i]) + 10000 * popcount(ulong(simd_vote::vote_t(simd_active_threads_mask()))) + 1000000 * simd_min(i);
}`,
		"returned": `kernel void k(device float *y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
  if (i >= 40) return;
  y[i] = simd_sum(y[i]) + 10000 * popcount(ulong(simd_vote::vote_t(simd_active_threads_mask()))) + 1000000 * simd_min(i);
}`,
	} {
		threads := map[string]int{"partial": 40, "returned": 64}[name]
		for order := range 3 {
			s := openStandIn(t)
			require.NoError(t, metalsim.SetOrder(metalsim.Order(order), 3))
			got, err := d1(threads, threads, source, 256).run(t, s)
			require.NoError(t, err)
			for i := range 40 {
				want := float32(32*33/2 + 32*10000) // 1 + ... + 32
				if i >= 32 {
					want = 33 + 34 + 35 + 36 + 37 + 38 + 39 + 40 + 8*10000 + 32*1000000
				}
				require.Equal(t, want, got[0][i], "%s, thread %d, order %d", name, i, order)
			}
		}
	}
}

const matrixKernels = header + `
template <typename T> void products(device const T *a, device const T *b, device float *out, uint lane) {
  typedef simdgroup_matrix<T, 8, 8> M;
  M x, y, xt, z;
  simdgroup_load(x, a, 8);
  simdgroup_load(y, b, 8);
  simdgroup_load(xt, a, 8, ulong2(0, 0), true);
  simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
  simdgroup_multiply_accumulate(sum, x, y, sum);
  simdgroup_store(sum, out, 8);                       // 0: 1 + a b
  simdgroup_multiply(sum, xt, y);
  simdgroup_store(sum, out + 64, 8);                  // 1: a' b
  simdgroup_store(sum, out + 128, 8, ulong2(0), true); // 2: (a' b)'
  z = x * y;
  // 3: a b, by the lanes' own elements
  short q = lane / 4;
  short row = (q & 4) + (lane / 2) % 4, column = (q & 2) * 2 + (lane % 2) * 2;
  out[192 + row * 8 + column] = float(z.thread_elements()[0]);
  out[192 + row * 8 + column + 1] = float(z.thread_elements()[1]);
  M d(T(3));
  simdgroup_multiply(sum, d, y);
  simdgroup_store(sum, out + 256, 16, ulong2(8, 1)); // 4: 3 b, in rows of 16, from row 1, column 8
}
kernel void product_float(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]], device float *out [[buffer(2)]],
    uint lane [[thread_index_in_simdgroup]]) { products<float>(a, b, out, lane); }
kernel void product_half(device const half *a [[buffer(0)]], device const half *b [[buffer(1)]], device float *out [[buffer(2)]],
    uint lane [[thread_index_in_simdgroup]]) { products<half>(a, b, out, lane); }
kernel void product_bfloat(device const bfloat *a [[buffer(0)]], device const bfloat *b [[buffer(1)]], device float *out [[buffer(2)]],
    uint lane [[thread_index_in_simdgroup]]) { products<bfloat>(a, b, out, lane); }
`

func TestMatrixElementMisplaced(t *testing.T) {
	a := func(r, c int) float32 { return float32((r*5+c*3)%7 - 3) }
	b := func(r, c int) float32 { return float32((r*3+c)%5 - 1) }
	times := func(x, y func(r, c int) float32) func(r, c int) float32 {
		return func(r, c int) (sum float32) {
			for k := range 8 {
				sum += x(r, k) * y(k, c)
			}
			return sum
		}
	}
	transposed := func(x func(r, c int) float32) func(r, c int) float32 {
		return func(r, c int) float32 { return x(c, r) }
	}
	ab, atb := times(a, b), times(transposed(a), b)
	encode := map[string]func(memory []byte, i int, v float32){
		"float":  func(m []byte, i int, v float32) { metal.Slice[float32](m)[i] = v },
		"half":   func(m []byte, i int, v float32) { metal.Slice[uint16](m)[i] = smallHalf(v) },
		"bfloat": func(m []byte, i int, v float32) { metal.Slice[uint16](m)[i] = uint16(math.Float32bits(v) >> 16) },
	}
	s := openStandIn(t)
	for _, counted := range []bool{false, true} {
		require.NoError(t, metalsim.SetCounting(counted))
		for name, set := range encode {
			pipeline := s.pipeline(t, matrixKernels, "product_"+name)
			left, _ := s.buffer(t, 64)
			right, _ := s.buffer(t, 64)
			for i := range 64 {
				set(left.Contents(), i, a(i/8, i%8))
				set(right.Contents(), i, b(i/8, i%8))
			}
			out, got := s.buffer(t, 256+16*9)
			require.NoError(t, s.compute(t, func(e metal.ComputeEncoder) {
				e.SetPipeline(pipeline)
				e.SetBuffer(left, 0, 0)
				e.SetBuffer(right, 0, 1)
				e.SetBuffer(out, 0, 2)
				e.DispatchThreads(metal.Size{Width: 32, Height: 1, Depth: 1}, metal.Size{Width: 32, Height: 1, Depth: 1})
			}))
			for r := range 8 {
				for c := range 8 {
					at := fmt.Sprintf("%s, row %d, column %d, counted %v", name, r, c, counted)
					require.Equal(t, 1+ab(r, c), got[r*8+c], "1 + a b: "+at)
					require.Equal(t, atb(r, c), got[64+r*8+c], "transposed load: "+at)
					require.Equal(t, atb(r, c), got[128+c*8+r], "transposed store: "+at)
					require.Equal(t, ab(r, c), got[192+r*8+c], "thread elements: "+at)
					require.Equal(t, 3*b(r, c), got[256+(r+1)*16+8+c], "diagonal, origin: "+at)
				}
			}
		}
	}
}

// smallHalf encodes a small integer in binary16.
func smallHalf(v float32) uint16 {
	b := math.Float32bits(v)
	if v == 0 {
		return 0
	}
	return uint16(b>>16&0x8000 | (b>>23&0xff-112)<<10 | b>>13&0x3ff)
}

// buffer allocates n floats.
func (s *standIn) buffer(t testing.TB, n int) (metal.Buffer, []float32) {
	b, err := s.device.NewBuffer(4*n, metal.StorageShared)
	require.NoError(t, err)
	t.Cleanup(b.Release)
	return b, metal.Slice[float32](b.Contents())
}
