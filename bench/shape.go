package bench

import (
	"fmt"
	"math"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/loader"
)

// Shape is what a checkpoint asks of a device.
type Shape struct {
	Name        string // "glm4 9B 4bit": the family, the parameters, and how most of the weights are stored
	Params      int64
	Bytes       int64 // of all weights
	LayerBytes  int64 // weights that every step reads, whatever its tokens: all layers and the last norm
	HeadBytes   int64 // weights of the head, which a step reads that ends with a choice
	RowBytes    int64 // of one row of the embedding, which each token reads
	LayerParams int64 // of the matrices of all layers: a token takes twice as many operations
	HeadParams  int64
	KVBytes     int64 // keys and values of one token in all layers
	Layers      int
	Heads       int
	HeadDim     int
	Bits        int // of most weights; 16 and 32 are not quantised
}

// TokenBytes is what one decoded token reads of the weights.
func (s Shape) TokenBytes() int64 { return s.LayerBytes + s.HeadBytes + s.RowBytes }

// ShapeOf reads a checkpoint's shape; kvBits is the width of a number in the KV cache, 16 or 32.
func ShapeOf(c *loader.Checkpoint, kvBits int) (Shape, error) {
	return newShape(c.Config, c.Sizes(), kvBits)
}

// ShapeOfConfig gives the shape that a checkpoint of a config has, without its files: see [loader.Config.Sizes].
func ShapeOfConfig(c loader.Config, kvBits int) (Shape, error) { return newShape(c, c.Sizes(), kvBits) }

func newShape(c loader.Config, sizes loader.Sizes, kvBits int) (Shape, error) {
	kv := backend.F16
	switch kvBits {
	case 16:
	case 32:
		kv = backend.F32
	default:
		return Shape{}, fmt.Errorf("a KV cache of %d bits; expected 16 or 32", kvBits)
	}
	head, total := sizes.Head, sizes.Total()
	if c.TieEmbeddings {
		head = sizes.Embedding
	}
	stored := strings.ToLower(sizes.DType.String())
	if sizes.Bits < 16 {
		stored = fmt.Sprintf("%dbit", sizes.Bits)
	}
	return Shape{
		Name:        fmt.Sprintf("%s %s %s", c.ModelType, billions(total.Params), stored),
		Params:      total.Params,
		Bytes:       total.Bytes,
		LayerBytes:  sizes.Attention.Bytes + sizes.Biases.Bytes + sizes.MLP.Bytes + sizes.Norms.Bytes,
		HeadBytes:   head.Bytes,
		RowBytes:    sizes.Embedding.Bytes / int64(c.Vocab),
		LayerParams: sizes.Attention.Params + sizes.MLP.Params,
		HeadParams:  head.Params,
		KVBytes:     backend.Attention{KVHeads: c.KVHeads, HeadDim: c.HeadDim}.TokenBytes(c.Layers, kv),
		Layers:      c.Layers, Heads: c.Heads, HeadDim: c.HeadDim, Bits: sizes.Bits,
	}, nil
}

// billions writes a number of parameters as models are called, which is cut off rather than rounded: 9B has 9.4e9 and
// 32B 32.6e9. Below two of a unit there is a digit more.
func billions(params int64) string {
	n, unit := float64(params)/1e9, "B"
	if n < 0.95 {
		n, unit = n*1e3, "M"
	}
	if n < 2 {
		return fmt.Sprintf("%.1f%s", n, unit)
	}
	return fmt.Sprintf("%.0f%s", math.Floor(n), unit)
}
