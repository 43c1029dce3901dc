package counters

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Shape is the model's.
type Shape struct {
	Hidden     int `json:"hidden_size"`
	Layers     int `json:"layers"`
	Heads      int `json:"attention_heads"`
	KVHeads    int `json:"kv_heads"`
	HeadDim    int `json:"head_dim"`
	RotaryDims int `json:"rotary_dims"`
	FFN        int `json:"intermediate_size"`
	Vocab      int `json:"vocab_size"`
	Bits       int `json:"bits"`       // of a weight's code
	GroupSize  int `json:"group_size"` // weights that share a scale and a bias of 16 bits each
	KVBits     int `json:"kv_bits"`    // of a number in the KV cache
}

// GLM49B is GLM-4-9B-0414 in MLX's usual 4-bit quantisation.
var GLM49B = Shape{
	Hidden: 4096, Layers: 40, Heads: 32, KVHeads: 2, HeadDim: 128, RotaryDims: 64, FFN: 13696, Vocab: 151552,
	Bits: 4, GroupSize: 64, KVBits: 16,
}

// Report is what [Run] counts. The figures at the top are those of one decoded token.
type Report struct {
	Shape Shape `json:"shape"`
	Step
	Prefill Step `json:"prefill"` // of a prompt, from an empty cache to the first sampled id
}

// Step is one step: all layers, the head, and the greedy choice of an id on the device. Bytes are of device memory.
type Step struct {
	Tokens         int `json:"tokens"`  // that the step computes
	Context        int `json:"context"` // tokens in the cache before it
	Dispatches     int `json:"dispatches"`
	CommandBuffers int `json:"command_buffers"`
	PerLayer       int `json:"dispatches_per_layer"` // each waits for the one before

	// WeightBytes are the bytes of codes, scales, biases and norm weights that the step's dispatches touch, each byte once
	// a dispatch: what memory must deliver. The minimum is what the checkpoint stores of them: it has norm weights and
	// biases of projections in 16 bits, the device in 32. Of the embedding only the tokens' rows count. Loaded is the sum
	// of what the kernels' loads ask for, of which caches serve what exceeds WeightBytes: several lanes load the same
	// scale, and in a prompt every 64 tokens load all weights again.
	WeightBytes        uint64 `json:"weight_bytes"`
	WeightBytesMinimum uint64 `json:"weight_bytes_minimum"`
	WeightBytesLoaded  uint64 `json:"weight_bytes_loaded"`
	// Of these the codes alone.
	CodeBytes       uint64 `json:"code_bytes"`
	CodeBytesLoaded uint64 `json:"code_bytes_loaded"`

	// KVBytes are the keys and values that the attention reads and the projections write, each byte once a dispatch; moved
	// is the sum of those loads and stores. The minimum is to read the tokens that are seen and write the new ones, once
	// each.
	KVBytes        uint64 `json:"kv_bytes"`
	KVBytesMinimum uint64 `json:"kv_bytes_minimum"`
	KVBytesMoved   uint64 `json:"kv_bytes_moved"`

	Kernels []Kernel `json:"kernels"` // in the order in which they first run
}

// Kernel sums up the dispatches of a kernel for one op of package backend, in all layers.
type Kernel struct {
	Name             string `json:"kernel"`
	Op               string `json:"op"`
	Dispatches       int    `json:"dispatches"`
	Threadgroups     uint64 `json:"threadgroups"`
	Threads          uint64 `json:"threads_per_threadgroup"`
	ThreadgroupBytes uint64 `json:"threadgroup_bytes"` // threadgroup memory of one threadgroup
	BytesRead        uint64 `json:"bytes_read"`        // sum of all loads of device memory, arguments included
	BytesWritten     uint64 `json:"bytes_written"`     // sum of all stores
	DistinctBytes    uint64 `json:"distinct_bytes"`    // loaded or stored, each byte once a dispatch
	WeightBytes      uint64 `json:"weight_bytes"`      // of these, weights
	// lines of 128 bytes that a load of a simdgroup touches, on average
	LinesPerLoad float64  `json:"lines_per_load"`
	FloatOps     uint64   `json:"float_ops"`      // each lane of a vector counted, a fused multiply-add as two
	MACs         uint64   `json:"macs,omitempty"` // multiply-adds that the op is made of: products and attention
	OpsPerMAC    *float64 `json:"ops_per_mac,omitempty"`
	Barriers     uint64   `json:"barriers"` // threadgroup barriers, each counted once a threadgroup
}

// Print writes the report as text.
func (r *Report) Print(w io.Writer) error {
	s := r.Shape
	fmt.Fprintf(w, "hidden %d, %d layers, %d heads, %d KV heads, FFN %d, vocabulary %d; %d-bit weights in groups of %d\n",
		s.Hidden, s.Layers, s.Heads, s.KVHeads, s.FFN, s.Vocab, s.Bits, s.GroupSize)
	fmt.Fprintf(w, "\nOne token behind %d\n", r.Context)
	r.Step.print(w)
	fmt.Fprintf(w, "\nA prompt of %d tokens\n", r.Prefill.Tokens)
	return r.Prefill.print(w)
}

func (s *Step) print(w io.Writer) error {
	ratio := func(a, b uint64) float64 { return float64(a) / float64(b) }
	fmt.Fprintf(w, "%d dispatches, %d a layer; command buffers: %d\n", s.Dispatches, s.PerLayer, s.CommandBuffers)
	fmt.Fprintf(w, "weights  %d bytes, %.4f of the minimum %d; codes are loaded %.3f times\n",
		s.WeightBytes, ratio(s.WeightBytes, s.WeightBytesMinimum), s.WeightBytesMinimum,
		ratio(s.CodeBytesLoaded, s.CodeBytes))
	fmt.Fprintf(w, "KV cache %d bytes, %.4f of the minimum %d; loads and stores are %.3f of it\n",
		s.KVBytes, ratio(s.KVBytes, s.KVBytesMinimum), s.KVBytesMinimum, ratio(s.KVBytesMoved, s.KVBytesMinimum))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "dispatches\tMB distinct\tMB read\tMB written\tlines/load\tops/MAC\tthreadgroup\t  kernel\n")
	for _, k := range s.Kernels {
		ops := "-"
		if k.OpsPerMAC != nil {
			ops = fmt.Sprintf("%.2f", *k.OpsPerMAC)
		}
		fmt.Fprintf(t, "%d\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%d\t  %s (%s)\n", k.Dispatches, float64(k.DistinctBytes)/1e6,
			float64(k.BytesRead)/1e6,
			float64(k.BytesWritten)/1e6, k.LinesPerLoad, ops, k.ThreadgroupBytes, k.Name, k.Op)
	}
	return t.Flush()
}
