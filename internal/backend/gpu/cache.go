package gpu

import (
	"fmt"
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// cache holds the keys and values of a session: for each layer a buffer with keys [cap][KVHeads][HeadDim] and behind
// them the values.
type cache struct {
	d         *Device
	attention backend.Attention
	format    backend.Format
	stored    shaders.Format // as format
	cap       int
	layers    []metal.Buffer
	rope      metal.Buffer // float32 pairs (cos, sin), [cap][RotaryDims/2]
}

// NewCache implements [backend.Device] for the formats F32 and F16.
func (d *Device) NewCache(layers int, a backend.Attention, f backend.Format) (backend.Cache, error) {
	if err := backend.CheckCache(layers, a, f); err != nil {
		return nil, fmt.Errorf("metal: %w", err)
	}
	if a.HeadDim%8 != 0 || a.HeadDim > 128 {
		return nil, fmt.Errorf("metal: heads of %d dimensions: %w, the kernels need a multiple of 8 up to 128; use the CPU",
			a.HeadDim, backend.ErrUnsupported)
	}
	stored, err := formatOf(f)
	if err != nil {
		return nil, err
	}
	for _, rows := range []int{1, math.MaxInt} {
		v := variant{shaders.AttendFor(rows)[stored], shaders.Constants{KVFormat: stored, HeadDim: uint32(a.HeadDim)}}
		if _, err := d.kernels.get(v); err != nil { // now rather than in a step: there is still another device
			return nil, fmt.Errorf("metal: attention: %w: %w", backend.ErrUnsupported, err)
		}
	}
	return &cache{d: d, attention: a, format: f, stored: stored, layers: make([]metal.Buffer, layers)}, nil
}

// row is the bytes of one token's keys, or values, in a layer.
func (c *cache) row() int { return int(c.attention.TokenBytes(1, c.format) / 2) }

// Grow copies what is there into longer buffers, on the GPU, behind everything submitted so far. It waits for that, so
// that the old buffers are free again; it does so once in [backend.CacheStep] tokens.
func (c *cache) Grow(n int) (err error) {
	if n <= c.cap {
		return nil
	}
	tokens := roundUp(n, backend.CacheStep)
	grown := make([]metal.Buffer, 0, len(c.layers)+1)
	defer func() {
		for _, b := range grown { // the old ones, or, after an error, the new ones
			c.d.free(b)
		}
	}()
	for range c.layers {
		b, err := c.d.allocate(2*tokens*c.row(), metal.StorageShared)
		if err != nil {
			return fmt.Errorf("a KV cache of %d tokens: %w", tokens, err)
		}
		grown = append(grown, b)
	}
	rope, err := c.d.allocate(max(4*c.attention.RotaryDims*tokens, 4), metal.StorageShared)
	if err != nil {
		return fmt.Errorf("a KV cache of %d tokens: %w", tokens, err)
	}
	grown = append(grown, rope)
	rotations(metal.Slice[float32](rope.Contents()), c.attention, tokens)
	if c.cap > 0 {
		if err := c.copyTo(grown, tokens); err != nil {
			return fmt.Errorf("a KV cache of %d tokens: %w", tokens, problem(err))
		}
	}
	c.cap = tokens
	for i := range c.layers {
		c.layers[i], grown[i] = grown[i], c.layers[i]
	}
	c.rope, grown[len(c.layers)] = rope, c.rope
	return nil
}

func (c *cache) copyTo(grown []metal.Buffer, tokens int) error {
	return c.d.metal.Do(func() error {
		commands, err := c.d.queue.NewCommandBuffer()
		if err != nil {
			return err
		}
		defer commands.Release()
		blit, err := commands.BlitEncoder()
		if err != nil {
			return err
		}
		half := c.cap * c.row()
		for i, old := range c.layers {
			blit.Copy(old, 0, grown[i], 0, half)
			blit.Copy(old, half, grown[i], tokens*c.row(), half)
		}
		blit.End()
		if err := c.d.gate.commit(commands); err != nil {
			return err
		}
		return commands.Wait()
	})
}

func (c *cache) Shape() (layers int, a backend.Attention) { return len(c.layers), c.attention }

func (c *cache) Cap() int { return c.cap }

func (c *cache) Bytes() int64 { return c.attention.CacheBytes(len(c.layers), c.cap, c.format) }

func (c *cache) Close() error {
	for i, b := range c.layers {
		c.d.free(b)
		c.layers[i] = metal.Buffer{}
	}
	c.d.free(c.rope)
	c.rope, c.cap = metal.Buffer{}, 0
	return nil
}

// keys and values of a layer.
func (c *cache) keys(layer int) binding   { return binding{c.layers[layer], 0} }
func (c *cache) values(layer int) binding { return binding{c.layers[layer], c.cap * c.row()} }

// rotations fills a table [tokens][RotaryDims/2] of (cos, sin). The angles are float64, so that they stay exact at any
// position.
func rotations(table []float32, a backend.Attention, tokens int) {
	half := a.RotaryDims / 2
	for i := range half {
		frequency := math.Pow(a.RopeTheta, -2*float64(i)/float64(a.RotaryDims))
		for pos := range tokens {
			sin, cos := math.Sincos(float64(pos) * frequency)
			table[2*(pos*half+i)], table[2*(pos*half+i)+1] = float32(cos), float32(sin)
		}
	}
}
