//go:build linux && (amd64 || arm64)

package counters

import (
	"fmt"
	"math"
	"slices"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// step records a whole step without computing it and adds up what is known of its dispatches.
func (c *counting) step(at backend.Span) (Step, error) {
	list, err := c.record(false, func() { c.forward(c.Layers, at) })
	for i := range list {
		if err == nil {
			err = c.count(&list[i])
		}
	}
	if err != nil {
		return Step{}, err
	}
	return c.total(list, at), nil
}

// count fills in the counters of a dispatch that was not computed.
func (c *counting) count(d *dispatch) error {
	for _, m := range c.models[[2]string{d.op, d.Kernel}] {
		counted, ok := m(d)
		if !ok {
			continue
		}
		to, from := d.counters(never), counted.counters(never)
		for i := range to {
			*to[i] = *from[i]
		}
		d.sumDistinct()
		return nil
	}
	return fmt.Errorf("%s, kernel %s: a grid of %v threadgroups is not made of what was counted", d.op, d.Kernel,
		d.groups())
}

// total adds up the dispatches of a step.
func (c *counting) total(list []dispatch, at backend.Span) Step {
	s := Step{Tokens: at.N, Context: at.Pos, Dispatches: len(list), WeightBytesMinimum: c.weightBytes(at),
		KVBytesMinimum: c.kvBytes(at)}
	var kernels []*sums
	commandBuffer := uint64(0)
	for i := range list {
		d := &list[i]
		if d.CommandBuffer != commandBuffer {
			commandBuffer = d.CommandBuffer
			s.CommandBuffers++
		}
		if !slices.Contains([]string{"embed", "head", "sample"}, d.op) {
			s.PerLayer++
		}
		s.add(d)
		kernels = addTo(kernels, d)
	}
	s.PerLayer /= c.Layers
	macs := c.macs(at)
	for _, k := range kernels {
		s.Kernels = append(s.Kernels, k.kernel(macs[k.Op]))
	}
	return s
}

// add takes the bytes of a dispatch into the totals.
func (s *Step) add(d *dispatch) {
	for i, b := range d.Buffers {
		switch r := d.roles[i]; {
		case r.weights():
			s.WeightBytes += b.DistinctBytes
			s.WeightBytesLoaded += b.LoadedBytes
			if r == codes {
				s.CodeBytes += b.DistinctBytes
				s.CodeBytesLoaded += b.LoadedBytes
			}
		case r == cached:
			s.KVBytes += b.DistinctBytes
			s.KVBytesMoved += b.LoadedBytes + b.StoredBytes
		}
	}
}

// weightBytes is what a step must read of the weights, in the checkpoint's bytes.
func (c *counting) weightBytes(at backend.Span) uint64 {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	layer := (q+2*kv)*c.Hidden + c.Hidden*q + 2*c.FFN*c.Hidden + c.Hidden*c.FFN
	matrices := c.Layers*layer + c.Vocab*c.Hidden + at.N*c.Hidden
	vectors := c.Layers*(q+2*kv+4*c.Hidden) + c.Hidden
	return uint64(matrices*c.Bits/8 + matrices/c.GroupSize*4 + vectors*2)
}

// kvBytes is what a step must read and write of the cache.
func (c *counting) kvBytes(at backend.Span) uint64 {
	return uint64(int64(at.Pos+at.N+at.N) * c.attention(c.Heads, c.KVHeads).TokenBytes(c.Layers, backend.F16))
}

// macs are the multiply-adds of a step, by op.
func (c *counting) macs(at backend.Span) map[string]uint64 {
	q, kv, n := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim, c.Layers*at.N
	seen := at.N*at.Pos + at.N*(at.N+1)/2 // keys, by all tokens
	return map[string]uint64{
		"qkv": uint64(n * (q + 2*kv) * c.Hidden), "attend": uint64(c.Layers * 2 * q * seen), "out": uint64(n * q * c.Hidden),
		"gate_up": uint64(n * 2 * c.FFN * c.Hidden), "down": uint64(n * c.FFN * c.Hidden), "head": uint64(c.Vocab * c.Hidden),
	}
}

// sums are a kernel's figures while they are added up.
type sums struct {
	Kernel
	lines, loads uint64
}

// addTo adds a dispatch to those of its kernel and op.
func addTo(list []*sums, d *dispatch) []*sums {
	at := slices.IndexFunc(list, func(k *sums) bool { return k.Name == d.Kernel && k.Op == d.op })
	if at < 0 {
		at = len(list)
		list = append(list, &sums{Kernel: Kernel{
			Name: d.Kernel, Op: d.op, Threads: d.ThreadsPerThreadgroup[0], ThreadgroupBytes: d.ThreadgroupMemory,
		}})
	}
	k, g := list[at], d.groups()
	k.Dispatches++
	k.Threadgroups += g[0] * g[1] * g[2]
	k.BytesRead += d.LoadedBytes
	k.BytesWritten += d.StoredBytes
	k.DistinctBytes += d.DistinctBytes
	for i, b := range d.Buffers {
		if d.roles[i].weights() {
			k.WeightBytes += b.DistinctBytes
		}
	}
	k.FloatOps += d.FloatOps
	k.Barriers += d.Barriers
	k.lines += d.LoadLines
	k.loads += d.LoadGroups
	return list
}

// kernel finishes the sums. The attention's second kernel only joins what the first has multiplied.
func (k *sums) kernel(macs uint64) Kernel {
	round := func(x float64) float64 { return math.Round(x*1000) / 1000 }
	if k.loads > 0 {
		k.LinesPerLoad = round(float64(k.lines) / float64(k.loads))
	}
	if macs > 0 && k.Name != "attend_combine" {
		ops := round(float64(k.FloatOps) / float64(macs))
		k.MACs, k.OpsPerMAC = macs, &ops
	}
	return k.Kernel
}
