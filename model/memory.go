package model

import (
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/loader"
)

// Memory is what a model takes, in bytes.
type Memory struct {
	Weights int64 // the checkpoint's tensors
	KV      int64 // the cache of one session with a full context
	Scratch int64 // activations of one prefill chunk
}

// Total is the sum.
func (m Memory) Total() int64 { return m.Weights + m.KV + m.Scratch }

func estimate(c *loader.Checkpoint, context, chunk int, kv backend.Format) Memory {
	g := c.Config
	row := 3*g.Hidden + 2*g.Heads*g.HeadDim + g.FFN
	return Memory{
		Weights: c.Bytes(),
		KV:      int64(context) * int64(kvBytes(g, kv)),
		Scratch: 4 * (int64(chunk)*int64(row) + int64(g.Vocab)),
	}
}

// kvBytes is the cache of one token.
func kvBytes(c loader.Config, f backend.Format) int {
	return c.Layers * 2 * c.KVHeads * c.HeadDim * f.Bits() / 8
}

// check refuses what cannot fit on the device. Weights that the system can page count only where it cannot.
func (m Memory) check(d backend.Info) error {
	need := m.KV + m.Scratch
	if !d.Paged {
		need += m.Weights
	}
	if d.Memory == 0 || need <= d.Memory {
		return nil
	}
	return fmt.Errorf("the model needs %s (weights %s, KV cache %s, scratch %s), %s has %s: take a smaller context (--max-kv-size), a checkpoint with fewer bits, or a machine with more memory",
		Gigabytes(m.Total()), Gigabytes(m.Weights), Gigabytes(m.KV), Gigabytes(m.Scratch), d.Device, Gigabytes(d.Memory))
}

// warning tells of weights that exceed the memory of a device that pages them: they run, but from the disk.
func (m Memory) warning(d backend.Info) string {
	if !d.Paged || d.Memory == 0 || m.Total() <= d.Memory {
		return ""
	}
	return fmt.Sprintf("the model needs %s, %s has %s: every token will wait for the disk; a checkpoint with fewer bits or a smaller context (--max-kv-size) would fit better",
		Gigabytes(m.Total()), d.Device, Gigabytes(d.Memory))
}

// Gigabytes writes a size for people, in GB or MB of 1000.
func Gigabytes(n int64) string {
	if n < 1e9 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}
