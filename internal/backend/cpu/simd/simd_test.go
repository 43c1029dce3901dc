package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
)

// eachPath runs a test on every path of this machine.
func eachPath(t *testing.T, test func(t *testing.T, k *Kernels)) {
	for _, k := range Paths() {
		t.Run(k.Name, func(t *testing.T) { test(t, k) })
	}
}

const exact = 2e-6 // what float32 sums over GLM-4's widths lose

// The quantised kernels, called as a product calls them, on memory that ends or begins at a guard page.
func TestQuantisedKernelsLeaveTheirMemory(t *testing.T) {
	random := backendtest.NewRandom()
	eachPath(t, func(t *testing.T, k *Kernels) {
		for _, f := range []backend.Format{backend.Q4, backend.Q8} {
			for _, group := range []int{32, 64, 128} {
				for i, groups := range []int{1, 1, 3, 3, 6, 7} {
					front, cols := i%2 == 1, groups*group
					m := random.Matrix(PanelRows, cols, backendtest.Quantised(f, group, backend.F32))
					kq, stride := &k.Q4, cols*f.Bits()/8
					if f == backend.Q8 {
						kq = &k.Q8
					}
					w := backendtest.At(t, m.Data, front)
					half := groups * 8
					words := func(n int) []int16 { return backendtest.At(t, make([]int16, n), front) }
					floats := func(n int) []float32 { return backendtest.At(t, random.Floats(n, 1), front) }
					x, wscale, wbias := floats(k.GEMMTokens*cols), floats(2*half), floats(2*half)
					width := (cols + GEMVColumns - 1) / GEMVColumns * GEMVColumns
					vectors, tokens := words(k.GEMMTokens*width), words(k.GEMMTokens*cols)
					scale, sum := floats(k.GEMMTokens*groups), floats(k.GEMMTokens*groups)
					for i := range vectors {
						vectors[i] = -1 // what pads a token counts for nothing
					}
					for token := range k.GEMMTokens {
						k.Quantise(&vectors[token*width], &scale[0], &sum[0], &x[token*cols], groups, group, kq.GEMVForm)
					}
					k.Quantise(&tokens[0], &scale[0], &sum[0], &x[0], k.GEMMTokens*groups, group, kq.GEMMForm)
					panel, acc := words(PanelRows*cols), backendtest.At(t, make([]float32, k.GEMMTokens*PanelRows), front)
					y := backendtest.At(t, make([]float32, 8), front)
					for eight := range 2 {
						kq.Panel(&panel[eight*16], &w[eight*8*stride], stride, cols)
					}
					k.GEMM(&acc[0], &panel[0], &tokens[0], &scale[0], &sum[0], &wscale[0], &wbias[0], 4*half, cols, groups, group)
					for token := range k.GEMMTokens {
						for eight := range 2 {
							kq.GEMV(&y[0], &w[eight*8*stride], stride, &vectors[token*width], &scale[token*groups], &sum[token*groups],
								&wscale[eight*half], &wbias[eight*half], groups, group)
							require.Equal(t, y, acc[token*PanelRows+eight*8:][:8], "%v, %d groups of %d, token %d", f, groups, group, token)
						}
					}
					gemvsLeaveGEMV(t, k, kq, w, stride, x, cols, groups, group, wscale, wbias, front)
				}
			}
		}
	})
}

func TestFewTokensReadWeightsMoreThanOnce(t *testing.T) {
	eachPath(t, func(t *testing.T, k *Kernels) {
		for _, kq := range []*QuantisedKernels{&k.Q4, &k.Q8} {
			require.Less(t, kq.GEMVMost, 2, "tokens that each read the weights")
			require.GreaterOrEqual(t, kq.GEMVsMost, 8, "tokens that read them together")
			require.Equal(t, 8, kq.GEMVsTokens, "those of a pass")
		}
		require.Greater(t, k.DotsMost, k.DotTokens, "tokens that read plain weights together")
	})
}

// gemvsLeaveGEMV holds GEMVs against GEMV, for every number of tokens.
func gemvsLeaveGEMV(t *testing.T, k *Kernels, kq *QuantisedKernels, w []byte, stride int, x []float32,
	cols, groups, group int, wscale, wbias []float32, front bool) {
	width, step, half := (cols+GEMVColumns-1)/GEMVColumns*GEMVColumns, k.GEMVsRows, groups*8
	for count := 2; count <= kq.GEMVsTokens; count++ {
		floats := slices.Repeat(x, 1+count*cols/len(x))[:count*cols]
		for i := range floats {
			floats[i] *= float32(1 + i%7)
		}
		shared := backendtest.At(t, make([]int16, count*width), front)
		scale := backendtest.At(t, make([]float32, count*groups), front)
		sum := backendtest.At(t, make([]float32, count*groups), front)
		var s [8]float32
		for token := range count {
			for from := 0; from < cols; from += GEMVColumns {
				n := min(GEMVColumns, cols-from)
				k.Quantise(&shared[count*from+token*GEMVColumns], &s[0], &s[4], &floats[token*cols+from], n/group, group,
					kq.GEMVsForm)
				for g := range n / group {
					at := (from/group+g)*count + token
					scale[at], sum[at] = s[g], s[4+g]
				}
			}
		}
		y, want := backendtest.At(t, make([]float32, count*step), front), make([]float32, 8)
		row, rowScale, rowSum := make([]int16, width), make([]float32, groups), make([]float32, groups)
		for eight := 0; eight < PanelRows/8; eight += step / 8 {
			kq.GEMVs(&y[0], &w[eight*8*stride], &w[8*stride], stride, &shared[0], &scale[0], &sum[0],
				&wscale[eight*half], &wbias[eight*half], 4*half, groups, group, count)
			for token := range count {
				k.Quantise(&row[0], &rowScale[0], &rowSum[0], &floats[token*cols], groups, group, kq.GEMVForm)
				for e := eight; e < eight+step/8; e++ {
					kq.GEMV(&want[0], &w[e*8*stride], stride, &row[0], &rowScale[0], &rowSum[0], &wscale[e*half], &wbias[e*half],
						groups, group)
					require.Equal(t, want, y[token*step+(e-eight)*8:][:8], "%d groups of %d, token %d of %d, rows from %d on",
						groups, group, token, count, 8*e)
				}
			}
		}
	}
}

// The kernel itself, for each number of tokens and with gaps between the rows, which a product has only sometimes.
func TestDotsLeaveTheirMemoryOrDependOnTheirCount(t *testing.T) {
	random := backendtest.NewRandom()
	eachPath(t, func(t *testing.T, k *Kernels) {
		for _, f := range []backend.Format{backend.F32, backend.F16, backend.BF16} {
			for i, columns := range []int{8, 16, 24, 40, 504, 512} {
				front := i%2 == 1
				const gap = 8
				width, size := columns+gap, f.Bits()/8
				data := backendtest.Encode(random.Floats(4*width-gap, 1), f)
				values, w := backendtest.Decode(data, f), backendtest.At(t, data, front)
				alone := make([]float32, 4*k.DotTokens)
				all, before := random.Floats(k.DotTokens*width-gap, 1), random.Floats(5*k.DotTokens-1, 1)
				for count := 1; count <= k.DotTokens; count++ {
					x := backendtest.At(t, all[:count*width-gap], front)
					y := backendtest.At(t, before[:5*count-1], front)
					k.Dots[f](&y[0], 4*5, &w[0], width*size, &x[0], 4*width, columns, count, (count&1)*4*width*size)
					for at, got := range y {
						token, row := at/5, at%5
						if row == 4 {
							require.Equal(t, before[at], got, "%v, %d columns: the gap behind token %d of %d", f, columns, token, count)
							continue
						}
						want, norm := float64(before[at]), 0.0
						for c := range columns {
							product := values[row*width+c] * float64(x[token*width+c])
							want += product
							norm += math.Abs(product)
						}
						require.InDelta(t, want, got, exact*norm, "%v, %d columns, token %d of %d", f, columns, token, count)
						if token == count-1 {
							alone[4*token+row] = got // of the fewest tokens that include it
						}
						require.Equal(t, alone[4*token+row], got, "%v, %d columns, token %d of %d", f, columns, token, count)
					}
				}
			}
		}
	})
}

func TestVectorsLeavePlainGoOrTheirMemory(t *testing.T) {
	eachPath(t, func(t *testing.T, k *Kernels) {
		r := rand.New(rand.NewPCG(3, 4))
		random := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				v[i] = float32(r.NormFloat64() * 4)
			}
			return v
		}
		for i, n := range []int{8, 16, 24, 128, 4096} {
			front := i%2 == 1
			x, y, w := random(n), random(n), random(n)
			at := func(v []float32) []float32 { return backendtest.At(t, v, front) }

			sum := 0.0
			high := x[0]
			for _, v := range x {
				sum += float64(v) * float64(v)
				high = max(high, v)
			}
			require.InEpsilon(t, sum, k.Squares(&at(x)[0], n), 1e-6)
			require.Equal(t, high, k.Maximum(&at(x)[0], n))

			out := at(make([]float32, n))
			k.Scaled(&out[0], &at(x)[0], &at(w)[0], n, 0.3)
			added, scaled, silued := at(x), at(x), at(x)
			k.Add(&added[0], &at(y)[0], n)
			k.Times(&scaled[0], n, 0.7)
			k.SiluMul(&silued[0], &at(y)[0], n)
			for i := range x {
				require.Equal(t, w[i]*float32(x[i]*0.3), out[i])
				require.Equal(t, x[i]+y[i], added[i])
				require.Equal(t, x[i]*0.7, scaled[i])
				require.InEpsilon(t, float64(x[i]*y[i])/(1+math.Exp(-float64(x[i]))), silued[i], 1e-6)
			}

			exps := at(x)
			sum = 0
			got := k.Exp2Sum(&exps[0], n, high)
			for i, v := range exps {
				want := math.Exp2(float64(x[i] - high))
				sum += want
				require.InEpsilon(t, want, v, 2e-7)
			}
			require.InEpsilon(t, sum, got, 1e-6)
		}

		// Every float16 and bfloat16.
		all := make([]byte, 0, 2<<16)
		for i := range 1 << 16 {
			all = append(all, byte(i), byte(i>>8))
		}
		for _, f := range []backend.Format{backend.F16, backend.BF16} {
			got := backendtest.At(t, make([]float32, 1<<16), false)
			k.Widen[f](&got[0], &backendtest.At(t, all, false)[0], 1<<16)
			for i, want := range backendtest.Decode(all, f) {
				same := got[i] == float32(want) || got[i] != got[i] && want != want
				require.True(t, same, "%04x became %v, expected %v", i, got[i], want)
			}
		}
	})
}

func TestExponentialIsInaccurate(t *testing.T) {
	for _, k := range Paths() {
		worst := 0.0
		for x := float32(-125.5); x < 127; x += 0.00113 * 8 {
			var v [8]float32
			for i := range v {
				v[i] = x + float32(i)*0.00113
			}
			in := v
			k.Exp2Sum(&v[0], 8, 0)
			for i := range v {
				if want := math.Exp2(float64(in[i])); in[i] <= 127 {
					worst = max(worst, math.Abs(float64(v[i])/want-1))
				}
			}
		}
		require.Less(t, worst, 1.5e-7, k.Name)
		worst = 0
		for x := float32(-87); x < 87; x += 0.00113 * 8 {
			var v, ones [8]float32
			for i := range v {
				v[i], ones[i] = x+float32(i)*0.00113, 1
			}
			in := v
			k.SiluMul(&v[0], &ones[0], 8)
			for i := range v {
				want := float64(in[i]) / (1 + math.Exp(-float64(in[i])))
				worst = max(worst, math.Abs(float64(v[i])/want-1))
			}
		}
		require.Less(t, worst, 3e-7, k.Name)
		inf := float32(math.Inf(1))
		nan := float32(math.NaN())
		v := []float32{-inf, -1e30, -126, 0, nan, 1, 2, 3}
		k.Exp2Sum(&v[0], 8, 0)
		require.Equal(t, []float32{0, 0, 0, 1}, v[:4], k.Name)
		require.True(t, v[4] != v[4], k.Name)
		gate, up := []float32{-inf, -1e30, -200, 200, 1e30, inf, nan, 0}, []float32{1, 1, 1, 1, 1, 1, 1, 1}
		k.SiluMul(&gate[0], &up[0], 8)
		require.InDelta(t, 0, gate[2], 1e-30, k.Name)
		require.Equal(t, []float32{200, 1e30, inf}, gate[3:6], k.Name)
		require.True(t, gate[6] != gate[6], k.Name)
	}
}

func TestWeighedRowsAreWrongOrLeaveTheirMemory(t *testing.T) {
	random := backendtest.NewRandom()
	for _, k := range Paths() {
		for i, columns := range []int{16, 32, 48, 64, 80, 96, 128} {
			for _, rows := range []int{1, 2, 3, 4, 5, 7, 12, 32, 33} {
				front := i%2 == 1
				sstride, pstride, vstride := columns+i, rows+2*i, columns+3*i
				before := random.Floats(3*sstride+columns, 1)
				sums, p := backendtest.At(t, before, front), backendtest.At(t, random.Floats(3*pstride+rows, 1), front)
				v := backendtest.At(t, random.Floats((rows-1)*vstride+columns, 1), front)
				k.Weigh(&sums[0], 4*sstride, &p[0], 4*pstride, &v[0], 4*vstride, columns, rows, (*byte)(unsafe.Pointer(&v[0])))
				want := backendtest.Doubles(before)
				for q := range 4 {
					for r := range rows {
						for c := range columns {
							want[q*sstride+c] += float64(p[q*pstride+r]) * float64(v[r*vstride+c])
						}
					}
				}
				backendtest.Close(t, want, sums, exact, "%s: %d columns, %d rows", k.Name, columns, rows)
			}
		}
	}
}

// 16 queries that read float16 must get what four that read the same numbers widened get, bit by bit; fresh sums may
// hold anything.
func TestWeighedHalvesDifferFromWidenedOnes(t *testing.T) {
	random := backendtest.NewRandom()
	for _, k := range Paths() {
		if k.WeighHalves == nil {
			continue
		}
		for i, columns := range []int{16, 32, 48, 128} {
			for _, rows := range []int{1, 2, 3, 4, 31, 32, 128} {
				front := i%2 == 1
				sstride, pstride, vstride := columns+i, rows+2*i, columns+3*i
				before := random.Floats(15*sstride+columns, 1)
				got, p := backendtest.At(t, before, front), backendtest.At(t, random.Floats(15*pstride+rows, 1), front)
				data := backendtest.Encode(random.Floats((rows-1)*vstride+columns, 1), backend.F16)
				v := backendtest.At(t, data, front)
				want, wide := slices.Clone(before), make([]float32, len(data)/2)
				for i, v := range backendtest.Decode(data, backend.F16) {
					wide[i] = float32(v)
				}
				fresh := i > 1
				if fresh {
					for q := range 16 {
						for c := range columns {
							got[q*sstride+c], want[q*sstride+c] = float32(math.NaN()), 0
						}
					}
				}
				halves := (*uint16)(unsafe.Pointer(&v[0]))
				k.WeighHalves(&got[0], 4*sstride, &p[0], 4*pstride, halves, 2*vstride, columns, rows, fresh, &v[0])
				for q := 0; q < 16; q += 4 {
					k.Weigh(&want[q*sstride], 4*sstride, &p[q*pstride], 4*pstride, &wide[0], 4*vstride, columns, rows, &v[0])
				}
				require.Equal(t, want, got, "%s: %d columns, %d rows", k.Name, columns, rows)
			}
		}
	}
}

func TestVectorsOverlookALane(t *testing.T) {
	for _, k := range Paths() {
		for _, n := range []int{8, 16, 24, 40} {
			for i := range n {
				x := backendtest.At(t, make([]float32, n), i%2 == 0)
				for j := range x {
					x[j] = -5 - float32(j)
				}
				x[i] = -1
				require.EqualValues(t, -1, k.Maximum(&x[0], n), "%s: number %d of %d", k.Name, i, n)
				x[i] = float32(math.NaN())
				high := k.Maximum(&x[0], n)
				require.True(t, high != high, "%s: NaN %d of %d", k.Name, i, n)
			}
		}
	}
}

func half(bits uint32) float32 { return float16.Frombits(uint16(bits)).Float32() }

func TestVectorsRoundToAnotherHalf(t *testing.T) {
	var x []float32
	for bits := range uint32(0x7C00) { // every float16, the middle to the next, and what is next to that
		v := half(bits)
		middle := (v + half(min(bits+1, 0x7BFF))) / 2
		for _, v := range []float32{v, middle, math.Nextafter32(middle, 0), math.Nextafter32(middle, 1e9)} {
			x = append(x, v, -v)
		}
	}
	inf := float32(math.Inf(1))
	x = append(x, 65504, 65505, 65519.99, 65520, 65536, 1e9, math.MaxFloat32, inf)
	x = append(x, -65520, -1e9, -inf, 1e-8, -1e-8, 1e-40, -1e-45, 0)
	nans := []float32{float32(math.NaN()), math.Float32frombits(0xffc00001), math.Float32frombits(0x7f800001)}
	nans = append(nans, 1, 2, 3, 4, 5)
	for _, k := range Paths() {
		for i, v := range [][]float32{x, x[:8], x[len(x)-8:], x[len(x)-24:]} {
			front := i%2 == 1
			src := backendtest.At(t, v, front)
			got := backendtest.At(t, make([]uint16, len(v)), front)
			k.Narrow(&got[0], &src[0], len(v))
			for i, v := range v {
				want := float16.Fromfloat32(max(-65504, min(65504, v))).Bits()
				require.True(t, want == got[i], "%s: %v became %04x, expected %04x", k.Name, v, got[i], want)
			}
		}
		var got [8]uint16
		k.Narrow(&got[0], &nans[0], 8)
		for i, h := range got {
			v := half(uint32(h))
			require.Equal(t, i < 3, v != v, "%s: number %d", k.Name, i)
		}
	}
}

func TestForcedPathIsIgnored(t *testing.T) {
	t.Setenv(Variable, "plain")
	k, err := Choose()
	require.NoError(t, err)
	require.Nil(t, k)
	for i, want := range Paths() {
		t.Setenv(Variable, want.Name)
		k, err = Choose()
		require.NoError(t, err)
		require.Same(t, want, k)
		if i == 0 {
			t.Setenv(Variable, "")
			k, err = Choose()
			require.NoError(t, err)
			require.Same(t, want, k)
		}
	}
	t.Setenv(Variable, "mmx")
	_, err = Choose()
	require.ErrorContains(t, err,
		"cpu: the environment asks for GLM4_CPU=mmx, which this machine does not have; it has plain")
}
