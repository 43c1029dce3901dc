package bench

import (
	"time"

	"github.com/glm4-metal/glm4-metal/loader"
)

// Limits is what a device gives at its best.
type Limits struct {
	Bandwidth float64       `json:"bandwidth"`     // bytes a second from memory
	Products  float64       `json:"product_ops"`   // operations a second of a prompt's products, two for a multiply-add
	Attention float64       `json:"attention_ops"` // the same of attention, in float32
	Launch    time.Duration `json:"launch_ns"`     // of one op in a chain of ops that wait for each other
}

// Shape is what a checkpoint asks of a device.
type Shape struct {
	Name        string // "glm4 9B 4bit"
	Params      int64
	Bytes       int64 // of all weights
	LayerBytes  int64 // weights that every step reads, whatever its tokens: all layers together
	HeadBytes   int64 // weights of the head, which a step reads that ends with a choice
	LayerParams int64 // of the matrices of all layers: a token takes twice as many operations
	HeadParams  int64
	KVBytes     int64 // keys and values of one token in all layers
	Layers      int
	Heads       int
	HeadDim     int
	Bits        int // of most weights; 16 and 32 are not quantised
}

// ShapeOf reads a checkpoint's shape; kvBits is the width of a number in the KV cache.
func ShapeOf(c *loader.Checkpoint, kvBits int) (Shape, error) { panic("not written") }

// Limit is the least time that a test can take on a device, and what takes most of it: "memory", "compute" or "launch".
// chunk is the most tokens of a prompt in one step.
func (l Limits) Limit(s Shape, t Test, chunk int) (least time.Duration, by string) {
	panic("not written")
}
