//go:build linux && (amd64 || arm64)

package counters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/decoder"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// promptTokens are those of the prefill that Run counts.
const promptTokens = 512

// Run counts the step that decodes a token behind some that are cached, and the prefill of a prompt of 512 tokens. It
// takes about a minute and 1.5 GB of memory. There is one stand-in in a process, and nothing else may use it meanwhile.
func Run(ctx context.Context, cached int) (*Report, error) {
	return run(ctx, GLM49B, backend.Span{Pos: cached, N: 1}, backend.Span{N: promptTokens})
}

func run(ctx context.Context, shape Shape, token, prompt backend.Span) (report *Report, err error) {
	c, err := open(ctx, shape, max(token.Pos+1, prompt.N))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	report = &Report{Shape: shape}
	if err := c.countDecode(token); err != nil {
		return nil, err
	}
	if report.Step, err = c.step(token); err != nil {
		return nil, err
	}
	if err := c.countPrefill(prompt.N); err != nil {
		return nil, err
	}
	report.Prefill, err = c.step(prompt)
	return report, err
}

// counting is a model on the stand-in.
type counting struct {
	Shape
	ctx    context.Context
	device *gpu.Device
	stream backend.Stream
	kv     backend.Cache
	err    error // the first one of matrix, vector and buffer
	taken  int   // dispatches of the record that were looked at

	codes, scales []byte // random, for all matrices

	weights decoder.Weights // all layers share one's
	*decoder.Scratch
	logits backend.Buffer
	picked backend.Tokens

	models map[[2]string][]model // by op and kernel
}

// open makes a model with one layer's weights, which all layers share, and room for some tokens.
func open(ctx context.Context, shape Shape, tokens int) (c *counting, err error) {
	path, err := metalsim.Library()
	if err != nil {
		return nil, err
	}
	m, err := metal.OpenLibraries(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(metalsim.Reset(), metalsim.SetCounting(true)); err != nil {
		return nil, err
	}
	c = &counting{Shape: shape, ctx: ctx, models: map[[2]string][]model{}}
	if c.device, err = gpu.Open(m); err != nil {
		return nil, errors.Join(err, metalsim.Reset())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	opening, err := metalsim.Counters() // the device has tried something out
	if err != nil {
		return nil, err
	}
	c.taken = len(opening)
	if c.stream, err = c.device.NewStream(); err != nil {
		return nil, err
	}
	c.randomise()
	width, postAttn, postMLP := c.Heads*c.HeadDim, c.norm(), c.norm()
	layer := decoder.Layer{
		Input: c.norm(), PostAttn: &postAttn, MLP: c.norm(), PostMLP: &postMLP, QKV: c.projections(c.Heads, c.KVHeads),
		Out: c.matrix(c.Hidden, width), GateUp: c.matrix(2*c.FFN, c.Hidden), Down: c.matrix(c.Hidden, c.FFN),
	}
	head := c.matrix(c.Vocab, c.Hidden) // for the embedding, what is counted is the same
	layers := slices.Repeat([]decoder.Layer{layer}, c.Layers)
	c.weights = decoder.Weights{Embed: head, Layers: layers, Norm: c.norm(), Head: head}
	c.logits = c.buffer(c.Vocab)
	c.codes, c.scales = nil, nil
	if c.err != nil {
		return nil, c.err
	}
	if c.kv, err = c.cache(c.Layers, c.Heads, c.KVHeads, tokens); err != nil {
		return nil, err
	}
	if c.Scratch, err = c.weights.NewScratch(c.device, tokens); err != nil {
		return nil, err
	}
	for i := range c.Tokens.IDs() { // rows of the embedding, all different
		c.Tokens.IDs()[i] = int32(i * 7 % c.Vocab)
	}
	c.picked, err = c.device.NewTokens(1)
	return c, cmp.Or(c.err, err)
}

// close frees everything and tells of what the stand-in found fault with.
func (c *counting) close() error {
	var errs []error
	if c.stream != nil {
		errs = append(errs, c.stream.Close())
	}
	errs = append(errs, c.device.Close(), metalsim.TakeError())
	return errors.Join(append(errs, metalsim.Reset())...)
}

// randomise makes the bytes of the largest matrix: any codes, scales of about 0.001 and biases of about -0.001·8 as
// bf16.
func (c *counting) randomise() {
	n := max(c.Vocab, 2*c.FFN) * c.Hidden
	n = max(n, c.Hidden*c.FFN, c.Heads*c.HeadDim*c.Hidden)
	c.codes, c.scales = make([]byte, n*c.Bits/8), make([]byte, n/c.GroupSize*2)
	random := rand.NewChaCha8([32]byte{})
	random.Read(c.codes)
	random.Read(c.scales)
	for i := 1; i < len(c.scales); i += 2 {
		c.scales[i] = byte(math.Float32bits(0.001) >> 24)
	}
}

func (c *counting) matrix(rows, cols int) backend.Matrix {
	n := rows * cols
	m, err := c.device.NewMatrix(backend.MatrixData{
		Name: fmt.Sprintf("[%d, %d]", rows, cols), Rows: rows, Cols: cols, Format: backend.Q4, Data: c.codes[:n*c.Bits/8],
		GroupSize: c.GroupSize, Scales: c.scales[:n/c.GroupSize*2], Biases: c.scales[:n/c.GroupSize*2],
		ScaleFormat: backend.BF16,
	})
	c.err = cmp.Or(c.err, err)
	return m
}

func (c *counting) norm() backend.Norm { return backend.Norm{Weight: c.vector(c.Hidden), Eps: 1e-5} }

func (c *counting) vector(n int) backend.Vector {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	out, err := c.device.NewVector(v)
	c.err = cmp.Or(c.err, err)
	return out
}

func (c *counting) buffer(n int) backend.Buffer {
	b, err := c.device.NewBuffer(n)
	c.err = cmp.Or(c.err, err)
	return b
}

// projections makes those of some heads.
func (c *counting) projections(heads, kvHeads int) backend.QKV {
	q, kv := heads*c.HeadDim, kvHeads*c.HeadDim
	return backend.QKV{
		Q: c.matrix(q, c.Hidden), K: c.matrix(kv, c.Hidden), V: c.matrix(kv, c.Hidden),
		QBias: c.vector(q), KBias: c.vector(kv), VBias: c.vector(kv),
	}
}

func (s Shape) attention(heads, kvHeads int) backend.Attention {
	return backend.Attention{
		Heads: heads, KVHeads: kvHeads, HeadDim: s.HeadDim, RotaryDims: s.RotaryDims, RopeTheta: 10000,
	}
}

func (c *counting) cache(layers, heads, kvHeads, tokens int) (backend.Cache, error) {
	kv, err := c.device.NewCache(layers, c.attention(heads, kvHeads), backend.F16)
	if err != nil {
		return nil, err
	}
	return kv, kv.Grow(tokens)
}

// forward records a step with some of the layers, as package model does.
func (c *counting) forward(layers int, at backend.Span) {
	w := c.weights
	w.Layers = w.Layers[:layers]
	w.Forward(c.stream, c.Scratch, c.kv, c.Tokens, at, c.logits, 1)
	c.stream.Sample(c.picked, 0, c.logits, backend.Sampling{Valid: c.Vocab})
}

// record runs ops, computing them or not, and gives their dispatches.
func (c *counting) record(compute bool, ops func()) ([]dispatch, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	var run uint64
	if compute {
		run = 1
	}
	if err := metalsim.SetLimit("compute", run); err != nil {
		return nil, err
	}
	ops()
	if err := errors.Join(c.stream.Submit(), c.stream.Wait(0)); err != nil {
		return nil, err
	}
	list, err := metalsim.Counters()
	if err != nil {
		return nil, err
	}
	list, c.taken = list[c.taken:], len(list)
	return label(list)
}

// learn adds the models of what was counted.
func (c *counting) learn(m model, d dispatch) {
	key := [2]string{d.op, d.Kernel}
	c.models[key] = append(c.models[key], m)
}

// countDecode counts a step with one layer whole.
func (c *counting) countDecode(at backend.Span) error {
	list, err := c.record(true, func() { c.forward(1, at) })
	for _, d := range list {
		c.learn(equal(d), d)
	}
	return err
}

// Tokens of a product's tile and of a piece of the attention.
const (
	tileTokens  = 64
	pieceTokens = 32
)

// countPrefill counts what a prompt needs beyond what was counted for a token: norms whole, a tile of every product,
// and the attention of three shorter prompts.
func (c *counting) countPrefill(tokens int) error {
	s, l, n := c.stream, &c.weights.Layers[0], tileTokens
	for _, size := range []int{tokens, c.Hidden, c.HeadDim, 2 * c.FFN} {
		if size%64 != 0 {
			return fmt.Errorf("%d tokens or rows are no whole tiles of 64", size)
		}
	}
	c.randomise()
	one, two := c.projections(1, 1), c.projections(2, 1)
	out, gateUp, down := c.matrix(64, c.Heads*c.HeadDim), c.matrix(64, c.Hidden), c.matrix(64, c.FFN)
	c.codes, c.scales = nil, nil
	if c.err != nil {
		return c.err
	}
	cacheOne, err := c.cache(1, 1, 1, n)
	if err != nil {
		return err
	}
	cacheTwo, err := c.cache(1, 2, 1, n)
	if err != nil {
		return err
	}
	list, err := c.record(true, func() {
		s.Embed(c.H, c.XN, c.Tokens, tokens, c.weights.Embed, l.Input)
		s.QKV(c.Q, cacheOne, 0, c.XN, &one, backend.Span{N: n})
		s.QKV(c.Q, cacheTwo, 0, c.XN, &two, backend.Span{N: n})
		for i := range 3 {
			s.Attend(c.A, c.Q, c.kv, 0, backend.Span{N: (i + 1) * pieceTokens})
		}
		s.Out(c.Y, c.A, out, n)
		s.AddNorm(c.H, c.XN, c.Y, l.PostAttn, l.MLP, tokens)
		s.GateUp(c.Act, c.XN, gateUp, n)
		s.Down(c.Y, c.Act, down, n)
	})
	if err != nil {
		return err
	}
	const want = 10
	if len(list) != want {
		return fmt.Errorf("a prompt's ops are %d dispatches, expected %d", len(list), want)
	}
	embed, attend, addNorm := list[0], [3]dispatch(list[3:6]), list[7]
	c.learn(equal(embed), embed)
	c.learn(heads(list[1], list[2], int64(c.Heads), int64(c.KVHeads)), list[1])
	c.learn(prompts(attend), attend[0])
	c.learn(equal(addNorm), addNorm)
	for _, tile := range []dispatch{list[6], list[8], list[9]} {
		c.learn(tiles(tile), tile)
	}
	return nil
}
