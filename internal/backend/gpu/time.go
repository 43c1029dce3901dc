package gpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// A Timer measures what a decoded token is made of, by the GPU's clock: products with one token, copies, and chains of
// dispatches. It is for one goroutine at a time, while nothing else computes on the device.
type Timer struct{ probe *probe }

// NewTimer makes a timer whose matrices lie in some bytes of memory, which it takes for itself. It should be more than
// the system's cache holds. The caller closes it, before the device.
func (d *Device) NewTimer(bytes int64) (*Timer, error) {
	p, err := d.newProbe(bytes)
	if err != nil {
		return nil, err
	}
	fillWeights(metal.Slice[uint16](p.memory.Contents()))
	return &Timer{p}, nil
}

// fillWeights writes what may be read as any kind of weights and as scales: as bf16 they are between 1/128 and 2, of
// both signs.
func fillWeights(v []uint16) {
	state := uint32(1)
	for i := range v {
		state = state*1664525 + 1013904223 // Numerical Recipes' ranqd1
		v[i] = 0x3C00 | uint16(state>>16)&0x83FF
	}
}

// Close frees the memory.
func (t *Timer) Close() error { return t.probe.Close() }

// Copy copies half of the memory to another place and gives the bytes a second; each is read and written.
func (t *Timer) Copy() (float64, error) {
	p := t.probe
	half := max(p.tiles/2, 1)
	to, err := p.d.allocate(half*tileBytes, metal.StorageShared)
	if err != nil {
		return 0, fmt.Errorf("memory to copy to, %d bytes: %w", half*tileBytes, err)
	}
	defer p.d.free(to)
	tiles := func(groups int) (float64, error) {
		return p.seconds(shaders.ProbeCopy, readTurns, groups, half, binding{p.memory, 0}, binding{to, 0})
	}
	if _, err := tiles(half); err != nil { // the memory is new
		return 0, err
	}
	return p.rate(&p.copy, tileBytes, tiles)
}

// Chain gives the seconds of a dispatch in a chain of dispatches that wait for each other: serial ones, or concurrent
// ones with a barrier between neighbours.
func (t *Timer) Chain(kind metal.DispatchType) (float64, error) {
	p := t.probe
	if kind == metal.Serial {
		return p.Launch()
	}
	return p.link(&p.barriers, p.chainBarriers)
}

// chainBarriers runs a chain with barriers.
func (p *probe) chainBarriers(n int) (float64, error) {
	k, err := p.d.kernels.get(variant{kernel: shaders.ProbeLaunch})
	if err != nil {
		return 0, err
	}
	seconds, err := p.d.run(metal.Concurrent, func(encoder metal.ComputeEncoder) {
		args := shaders.ProbeArgs{One: 1}
		encoder.SetPipeline(k.ComputePipeline)
		encoder.SetBytes(metal.Bytes(&args), 0)
		encoder.SetBuffer(p.sums, 0, 1)
		for i := range n {
			if i > 0 {
				encoder.Barrier()
			}
			encoder.DispatchThreadgroups(metal.Size{Width: 1, Height: 1, Depth: 1},
				metal.Size{Width: k.threads, Height: 1, Depth: 1})
		}
	})
	if err != nil {
		return 0, problem(err)
	}
	return p.d.told(seconds)
}

// GEMV is a product with one token. Of "qkv", Rows are those of all three matrices and KVRows those of the keys, which
// are as many as those of the values.
type GEMV struct {
	shaders.Shape
	KVRows int
}

// Bytes is what the weights take, with their scales and biases in 16 bit.
func (g GEMV) Bytes() int { return g.rowBytes() * g.Rows }

func (g GEMV) rowBytes() int {
	bits := map[shaders.Format]int{shaders.F32: 32, shaders.F16: 16, shaders.BF16: 16, shaders.Q4: 4, shaders.Q8: 8}
	bytes := g.Cols * bits[g.Format] / 8
	if g.Group > 0 {
		bytes += g.Cols / g.Group * 4
	}
	return bytes
}

// cut is the product with about so many rows, where it has more.
func (g GEMV) cut(rows int) GEMV {
	step := max(g.KVRows, rowStep)
	if rows = max(rows/step*step, 2*g.KVRows+step); rows < g.Rows {
		g.Rows = rows
	}
	return g
}

// slack is what the alignment of a product's matrices may take.
const slack = 9 * arenaAlignment

// rowStep is a multiple of what any threadgroup of a GEMV computes.
const rowStep = 128

// GEMVTime is how long a product takes with a tile.
type GEMVTime struct {
	GEMV
	Tile    shaders.Tile
	Timed   int     // rows that were computed, fewer than all where they would take long or not fit
	Seconds float64 // of all rows, a median
}

// Rate is the bytes of weights a second.
func (t GEMVTime) Rate() float64 { return float64(t.Bytes()) / t.Seconds }

// How a product is timed: samples, each about so long; the most that one product may take, which the slowest GPU of a
// Mac stays below; rows to find that out with; and after how long the samples that there are suffice, for a tile.
const (
	gemvSamples   = 5
	sampleSeconds = 3e-3
	mostSeconds   = 20e-3
	fewRows       = 256
	gemvSeconds   = 60e-3
)

// GEMV times a product with each tile that can compute it. Weights come from memory, as they do in a step: of as many
// matrices as there is memory for, one after the other is taken. The tiles take turns, so that a GPU that changes its
// clock changes it for all. Tiles that do not agree on the product are an error. It looks at ctx between the samples.
func (t *Timer) GEMV(ctx context.Context, g GEMV) ([]GEMVTime, error) {
	run, err := t.prepare(g, g.cut(min(fewRows, t.fitting(g))))
	if err != nil {
		return nil, err
	}
	var seconds float64
	for range 2 { // the first one wakes the GPU
		if seconds, err = run.sample(0, 1); err != nil {
			return nil, errors.Join(err, run.close())
		}
	}
	if rows := int(min(mostSeconds/seconds*float64(run.Rows), float64(t.fitting(g)))); rows > run.Rows {
		if err := run.close(); err != nil {
			return nil, err
		}
		if run, err = t.prepare(g, g.cut(rows)); err != nil {
			return nil, err
		}
	}
	var times []GEMVTime
	if err = run.agree(run.product); err == nil {
		times, err = run.times(ctx, g)
	}
	return times, errors.Join(err, run.close())
}

// fitting is how many rows the memory has room for.
func (t *Timer) fitting(g GEMV) int { return min(g.Rows, (t.probe.tiles*tileBytes-slack)/g.rowBytes()) }

// gemvRun is a product that is timed.
type gemvRun struct {
	GEMV
	tiles    []shaders.Tile
	streams  []*stream // of the tiles
	matrices []backend.QKV
	next     int // of them
	x, y     backend.Buffer
	kv       backend.Cache
	at       int // the memory up to here is used
}

// prepare makes the part of a product that is timed, and what it needs.
func (t *Timer) prepare(whole, part GEMV) (r *gemvRun, err error) {
	d := t.probe.d
	r = &gemvRun{GEMV: part, tiles: whole.Tiles()}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
			r = nil
		}
	}()
	size := t.probe.tiles * tileBytes
	if part.Bytes()+slack > size {
		return r, fmt.Errorf("metal: %d bytes of memory do not hold %d bytes of weights to time", size, part.Bytes())
	}
	for r.at+part.Bytes()+slack <= size {
		q := backend.QKV{Q: t.matrix(r, part.Rows-2*part.KVRows)}
		if part.KVRows > 0 {
			q.K, q.V = t.matrix(r, part.KVRows), t.matrix(r, part.KVRows)
		}
		r.matrices = append(r.matrices, q)
	}
	if r.x, err = d.NewBuffer(part.Cols); err != nil {
		return r, err
	}
	for i := range r.x.Floats() {
		r.x.Floats()[i] = float32(i%7-3) / 4
	}
	if r.y, err = d.NewBuffer(part.Rows); err != nil {
		return r, err
	}
	if part.KVRows > 0 {
		dim := min(128, part.KVRows)
		a := backend.Attention{Heads: (part.Rows - 2*part.KVRows) / dim, KVHeads: part.KVRows / dim, HeadDim: dim,
			RotaryDims: dim / 2, RopeTheta: 10000}
		if r.kv, err = d.NewCache(1, a, backend.F16); err != nil {
			return r, err
		}
		if err = r.kv.Grow(1); err != nil {
			return r, err
		}
	}
	for _, tile := range r.tiles {
		s, err := d.newTuned(shaders.Tuning{part.Shape: tile})
		if err != nil {
			return r, err
		}
		r.streams = append(r.streams, s)
	}
	return r, nil
}

// newTuned makes a stream with other tiles than the device's.
func (d *Device) newTuned(t shaders.Tuning) (*stream, error) {
	d.mu.Lock()
	before := d.tuning
	d.mu.Unlock()
	d.Tune(t)
	defer d.Tune(before)
	return d.newStream()
}

// matrix makes a matrix of what lies in the memory.
func (t *Timer) matrix(r *gemvRun, rows int) *matrix {
	take := func(bytes int) binding {
		b := binding{t.probe.memory, r.at}
		r.at = roundUp(r.at+bytes, arenaAlignment)
		return b
	}
	d := t.probe.d
	m := &matrix{d: d, rows: rows, cols: r.Cols, stored: stored{format: r.Format}, bytes: rows * r.rowBytes(),
		scales: binding{d.none, 0}, biases: binding{d.none, 0}}
	scales := 0
	if r.Group > 0 {
		m.stored.scale, m.stored.group = shaders.BF16, uint32(r.Group)
		scales = 2 * rows * r.Cols / r.Group
	}
	m.data = take(m.bytes - 2*scales)
	if r.Group > 0 {
		m.scales, m.biases = take(scales), take(scales)
	}
	return m
}

// sample computes n products with the i-th tile and gives the seconds of one.
func (r *gemvRun) sample(i, n int) (float64, error) {
	s := r.streams[i]
	for range n {
		m := &r.matrices[r.next%len(r.matrices)]
		r.next++
		switch r.Op {
		case "qkv":
			s.QKV(r.y, r.kv, 0, r.x, m, backend.Span{N: 1})
		case "out":
			s.Out(r.y, r.x, m.Q, 1)
		case "gate_up":
			s.GateUp(r.y, r.x, m.Q, 1)
		case "head":
			s.Head(r.y, r.x, m.Q, 0, 1)
		default:
			s.Fail(fmt.Errorf("metal: no op %q to time", r.Op))
		}
	}
	seconds, err := s.timed()
	return seconds / float64(n), err
}

// product computes the first product with the i-th tile.
func (r *gemvRun) product(i int) ([]float32, error) {
	clear(r.y.Floats())
	r.next = 0
	_, err := r.sample(i, 1)
	return slices.Clone(r.y.Floats()), err
}

// agree holds the products of the tiles against that of the first one: what is the fastest may have computed less.
func (r *gemvRun) agree(product func(tile int) ([]float32, error)) error {
	var want []float32
	for i, tile := range r.tiles {
		got, err := product(i)
		if err != nil {
			return err
		}
		if i == 0 {
			want = got
		}
		var high, off float64
		for j, w := range want {
			high = max(high, math.Abs(float64(w)))
			off = max(off, math.Abs(float64(got[j])-float64(w))) // NaN where one is
		}
		if !(off <= tileBound*high) {
			return fmt.Errorf("metal: %s of [%d, %d] in tiles of %v is off by %.1e of the largest from that in tiles of %v; "+
				"use the CPU and report it", r.Op, r.Rows, r.Cols, tile, off/high, r.tiles[0])
		}
	}
	return nil
}

// tileBound is what two orders of a sum of some thousand float32s may differ by.
const tileBound = 1e-4

// times takes the samples.
func (r *gemvRun) times(ctx context.Context, whole GEMV) (times []GEMVTime, err error) {
	n, one := 1, 0.0
	for ; ; n *= 2 {
		if one, err = r.sample(0, n); err != nil {
			return nil, err
		}
		if one*float64(n) >= sampleSeconds {
			break
		}
	}
	taken := make([][]float64, len(r.tiles))
	var spent float64
	for round := 0; round < gemvSamples && (round == 0 || spent < gemvSeconds*float64(len(r.tiles))); round++ {
		for i := range r.tiles {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if one, err = r.sample(i, n); err != nil {
				return nil, err
			}
			taken[i] = append(taken[i], one)
			spent += one * float64(n)
		}
	}
	for i, tile := range r.tiles {
		slices.Sort(taken[i])
		middle := taken[i][len(taken[i])/2] * float64(whole.Rows) / float64(r.Rows)
		times = append(times, GEMVTime{whole, tile, r.Rows, middle})
	}
	return times, nil
}

func (r *gemvRun) close() (err error) {
	for _, s := range r.streams {
		err = errors.Join(err, s.Close())
	}
	for _, b := range []backend.Buffer{r.x, r.y} {
		if b != nil {
			err = errors.Join(err, b.Close())
		}
	}
	if r.kv != nil {
		err = errors.Join(err, r.kv.Close())
	}
	return err
}
