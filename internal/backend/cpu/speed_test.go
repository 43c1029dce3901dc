package cpu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// BenchmarkProduct measures the products of GLM-4-9B: the bytes of the weights that one pass reads, and the
// operations, two for each weight and token. Each matrix of a run is read from memory: there are enough of them that
// no cache holds them.
func BenchmarkProduct(b *testing.B) {
	for _, f := range []struct {
		format backend.Format
		group  int
	}{{backend.Q4, 64}, {backend.Q4, 32}, {backend.Q4, 128}, {backend.Q8, 64}, {backend.BF16, 0}, {backend.F16, 0},
		{backend.F32, 0}} {
		for _, shape := range [][2]int{{4096, 4096}, {27392, 4096}, {4096, 13696}} {
			for _, n := range []int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 512} {
				b.Run(fmt.Sprintf("%v-%d/%dx%d/n=%d", f.format, f.group, shape[0], shape[1], n), func(b *testing.B) {
					d := Open()
					defer d.Close()
					s, _ := d.NewStream()
					data := backend.MatrixData{Name: "test", Rows: shape[0], Cols: shape[1], Format: f.format, GroupSize: f.group,
						ScaleFormat: backend.BF16}
					data.Data = make([]byte, data.Rows*data.Cols*f.format.Bits()/8)
					for i := range data.Data {
						data.Data[i] = byte(i*7) & 0x3f
					}
					if f.group > 0 {
						data.Scales = make([]byte, data.Rows*data.Cols/f.group*2)
						data.Biases = make([]byte, data.Rows*data.Cols/f.group*2)
					}
					var matrices []backend.Matrix
					for size := int64(0); len(matrices) == 0 || n < 512 && size < 256<<20; size += data.Bytes() {
						copied := data
						copied.Data = append([]byte(nil), data.Data...)
						m, err := d.NewMatrix(copied)
						if err != nil {
							b.Fatal(err)
						}
						matrices = append(matrices, m)
					}
					x, _ := d.NewBuffer(n * data.Cols)
					y, _ := d.NewBuffer(n * data.Rows)
					for i := range x.Floats() {
						x.Floats()[i] = float32(i%13) - 6
					}
					b.ReportAllocs()
					best := time.Hour
					for i := 0; b.Loop(); i++ {
						start := time.Now()
						s.Out(y, x, matrices[i%len(matrices)], n)
						if i > 0 {
							best = min(best, time.Since(start))
						}
					}
					if err := s.Wait(0); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(data.Bytes())/best.Seconds()/1e9, "GB/s-best")
					b.ReportMetric(2*float64(data.Rows)*float64(data.Cols)*float64(n)/best.Seconds()/1e9, "Gop/s-best")
				})
			}
		}
	}
}

// readJob reads memory in pieces of 64 KiB and does next to nothing with it.
type readJob struct {
	k    *simd.Kernels
	data []float32
}

func (j *readJob) do(w *worker, task int) { w.eight[0] += j.k.Squares(&j.data[task<<14], 1<<14) }

// BenchmarkRead measures how fast the workers read memory, which is as fast as a product with one token can be.
func BenchmarkRead(b *testing.B) {
	for _, k := range simd.Paths() {
		b.Run(k.Name, func(b *testing.B) {
			d := openPath(k)
			defer d.Close()
			j := &readJob{k, make([]float32, 64<<20)}
			for i := range j.data {
				j.data[i] = 1
			}
			best := time.Hour
			for b.Loop() {
				start := time.Now()
				d.pool.run(len(j.data)>>14, j, new(atomic.Bool), nil)
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(4*len(j.data))/best.Seconds()/1e9, "GB/s-best")
		})
	}
}

// BenchmarkAttend measures the attention of a layer of GLM-4-9B. The layers of a run are read from memory: there are
// enough of them that no cache holds them.
func BenchmarkAttend(b *testing.B) {
	for _, at := range []backend.Span{{Pos: 15, N: 1}, {Pos: 127, N: 1}, {Pos: 1023, N: 1}, {Pos: 8191, N: 1},
		{Pos: 8184, N: 8}, {N: 512}} {
		b.Run(fmt.Sprintf("keys=%d/n=%d", at.Pos+at.N, at.N), func(b *testing.B) {
			d := Open()
			defer d.Close()
			s, _ := d.NewStream()
			a := backend.Attention{Heads: 32, KVHeads: 2, HeadDim: 128, RotaryDims: 64, RopeTheta: 10000}
			const layers = 20
			kv, _ := d.NewCache(layers, a, backend.F16)
			if err := kv.Grow(at.Pos + at.N); err != nil {
				b.Fatal(err)
			}
			q, _ := d.NewBuffer(at.N * a.Heads * a.HeadDim)
			out, _ := d.NewBuffer(at.N * a.Heads * a.HeadDim)
			for i := range q.Floats() {
				q.Floats()[i] = float32(i%13) - 6
			}
			rows := make([]float32, a.KVHeads*a.HeadDim)
			for i := range rows {
				rows[i] = float32(i%29)/8 - 1
			}
			for layer := range layers {
				for pos := range at.Pos + at.N {
					kv.(*cache).keys[layer].write(rows, backend.Span{Pos: pos, N: 1})
					kv.(*cache).values[layer].write(rows, backend.Span{Pos: pos, N: 1})
				}
			}
			b.ReportAllocs()
			best := time.Hour
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				s.Attend(out, q, kv, i%layers, at)
				if i > 0 {
					best = min(best, time.Since(start))
				}
			}
			if err := s.Wait(0); err != nil {
				b.Fatal(err)
			}
			keys := 0
			for t := range at.N {
				keys += at.Pos + t + 1
			}
			b.ReportMetric(float64(best.Nanoseconds())/1e3, "µs-best")
			b.ReportMetric(4*float64(keys)*float64(a.Heads*a.HeadDim)/best.Seconds()/1e9, "Gop/s-best")
		})
	}
}

// dotsJob multiplies what the first-level cache holds, again and again.
type dotsJob struct {
	k    *simd.Kernels
	w, x []float32
}

const dotsCalls = 1000

func (j *dotsJob) do(w *worker, _ int) {
	y := grow(&w.tile, 4*j.k.DotTokens)
	clear(y)
	for range dotsCalls {
		j.k.Dots[backend.F32](&y[0], 16, (*byte)(unsafe.Pointer(&j.w[0])), 4*plainColumns, &j.x[0], 4*plainColumns,
			plainColumns, j.k.DotTokens, 0)
	}
}

// BenchmarkDots measures the kernel of plain products where nothing waits for memory: no product of many tokens is
// faster.
func BenchmarkDots(b *testing.B) {
	for _, k := range simd.Paths() {
		b.Run(k.Name, func(b *testing.B) {
			d := openPath(k)
			defer d.Close()
			j := &dotsJob{k, make([]float32, 4*plainColumns), make([]float32, k.DotTokens*plainColumns)}
			tasks := 4 * len(d.pool.workers)
			best := time.Hour
			for b.Loop() {
				start := time.Now()
				d.pool.run(tasks, j, new(atomic.Bool), nil)
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(2*4*k.DotTokens*plainColumns*dotsCalls*tasks)/best.Seconds()/1e9, "Gop/s-best")
		})
	}
}

// layers are some of GLM-4-9B in 4 bit, behind which a step of some tokens can be measured.
type layers struct {
	d                   *Device
	s                   backend.Stream
	layers              []layer
	embed               backend.Matrix
	norm                backend.Norm
	kv                  backend.Cache
	ids                 backend.Tokens
	h, xn, q, y, z, act backend.Buffer
}

type layer struct {
	qkv             backend.QKV
	out, gate, down backend.Matrix
}

// newLayers makes layers whose caches hold so many positions, for steps of up to some tokens.
func newLayers(b *testing.B, count, positions, tokens int) *layers {
	const hidden, ffn = 4096, 13696
	a := backend.Attention{Heads: 32, KVHeads: 2, HeadDim: 128, RotaryDims: 64, RopeTheta: 10000}
	l := &layers{d: Open()}
	b.Cleanup(func() { l.d.Close() })
	l.s, _ = l.d.NewStream()
	random := rand.New(rand.NewPCG(1, 1))
	matrix := func(rows, cols int) backend.Matrix {
		m := backend.MatrixData{Name: "test", Rows: rows, Cols: cols, Format: backend.Q4, GroupSize: 64,
			ScaleFormat: backend.BF16}
		m.Data, m.Scales, m.Biases = make([]byte, rows*cols/2), make([]byte, rows*cols/32), make([]byte, rows*cols/32)
		for i := 0; i < len(m.Data); i += 8 {
			binary.LittleEndian.PutUint64(m.Data[i:], random.Uint64())
		}
		w, err := l.d.NewMatrix(m)
		if err != nil {
			b.Fatal(err)
		}
		return w
	}
	for range count {
		l.layers = append(l.layers, layer{
			backend.QKV{Q: matrix(hidden, hidden), K: matrix(256, hidden), V: matrix(256, hidden)},
			matrix(hidden, hidden), matrix(2*ffn, hidden), matrix(hidden, ffn),
		})
	}
	l.embed = matrix(16, hidden)
	ones := make([]float32, hidden)
	weight, _ := l.d.NewVector(ones)
	l.norm = backend.Norm{Weight: weight, Eps: 1e-5}
	l.kv, _ = l.d.NewCache(count, a, backend.F16)
	if err := l.kv.Grow(positions); err != nil {
		b.Fatal(err)
	}
	for pos := range positions {
		for i := range l.layers {
			l.kv.(*cache).keys[i].write(ones[:256], backend.Span{Pos: pos, N: 1})
			l.kv.(*cache).values[i].write(ones[:256], backend.Span{Pos: pos, N: 1})
		}
	}
	l.ids, _ = l.d.NewTokens(tokens)
	for _, x := range []*backend.Buffer{&l.h, &l.xn, &l.q, &l.y, &l.z} {
		*x, _ = l.d.NewBuffer(tokens * hidden)
	}
	l.act, _ = l.d.NewBuffer(tokens * ffn)
	return l
}

// step takes n tokens behind pos others.
func (l *layers) step(pos, n int) time.Duration {
	at, start := backend.Span{Pos: pos, N: n}, time.Now()
	l.s.Embed(l.h, l.xn, l.ids, n, l.embed, l.norm)
	for i := range l.layers {
		m := &l.layers[i]
		l.s.QKV(l.q, l.kv, i, l.xn, &m.qkv, at)
		l.s.Attend(l.y, l.q, l.kv, i, at)
		l.s.Out(l.z, l.y, m.out, n)
		l.s.AddNorm(l.h, l.xn, l.z, nil, l.norm, n)
		l.s.GateUp(l.act, l.xn, m.gate, n)
		l.s.Down(l.y, l.act, m.down, n)
		l.s.AddNorm(l.h, l.xn, l.y, nil, l.norm, n)
	}
	return time.Since(start)
}

// BenchmarkLayers measures steps of one token through four layers of GLM-4-9B in 4 bit, in turns behind a short context
// and a long one.
func BenchmarkLayers(b *testing.B) {
	const count, long = 4, 8192
	l := newLayers(b, count, long+1, 1)
	l.step(0, 1)
	var near, far, ratio []float64
	for b.Loop() {
		n, f := l.step(8, 1).Seconds(), l.step(long, 1).Seconds()
		near, far, ratio = append(near, n), append(far, f), append(ratio, n/f)
	}
	if err := l.s.Wait(0); err != nil {
		b.Fatal(err)
	}
	for _, x := range [][]float64{near, far, ratio} {
		slices.Sort(x)
	}
	half := len(ratio) / 2
	b.ReportMetric(1e3*near[half]/count, "ms/layer-short")
	b.ReportMetric(1e3*far[half]/count, "ms/layer-long")
	b.ReportMetric(ratio[half], "long/short-speed")
}

// BenchmarkSteps measures steps of some tokens behind 64 through the same layers, in turns.
func BenchmarkSteps(b *testing.B) {
	const count, pos = 4, 64
	tokens := []int{1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32}
	l := newLayers(b, count, pos+32, 32)
	l.step(pos, 32)
	seconds := make([][]float64, len(tokens))
	for i := range seconds {
		seconds[i] = make([]float64, 0, 1<<12)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, n := range tokens {
			seconds[i] = append(seconds[i], l.step(pos, n).Seconds())
		}
	}
	if err := l.s.Wait(0); err != nil {
		b.Fatal(err)
	}
	for i, n := range tokens {
		slices.Sort(seconds[i])
		b.ReportMetric(1e3*seconds[i][len(seconds[i])/2]/count, fmt.Sprintf("ms/layer-n=%02d", n))
	}
}
