package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
)

// The shapes of GLM-4-9B-0414.
const (
	hidden  = 4096
	ffn     = 13696
	heads   = 32
	kvHeads = 2
	headDim = 128
)

const (
	maxShard  = 5_000_000_000 // the 5GB at which transformers cuts
	chunkSize = 4 << 20
)

// tensor is one to be written. fill makes random bytes into values, in place.
type tensor struct {
	name  string
	key   string // of its random bytes
	dtype string
	shape []int
	fill  func([]byte)
}

func (t tensor) size() int64 {
	size := int64(2)
	if t.dtype == "U32" {
		size = 4
	}
	for _, d := range t.shape {
		size *= int64(d)
	}
	return size
}

// tensors lists the model in the order of its layers.
func tensors(o options) []tensor {
	var ts []tensor
	// A deviation of 0.02 is what the model was initialised with. A norm's weight of about 1 keeps the residual stream in
	// bounds.
	weight, norm := table(normal(0, 0.02)), table(normal(1, 0.05))
	// Uniform values 0 to 15 deviate by √(255/12) and average 7.5.
	scale := func(v float64) float64 { return 0.02 / math.Sqrt(255.0/12) * (0.9 + 0.2*v) }
	scales, biases := table(scale), table(func(v float64) float64 { return -7.5 * bf16Value(bf16(scale(v))) })

	vector := func(name string, n int, fill func([]byte)) {
		ts = append(ts, tensor{name, name, "BF16", []int{n}, fill})
	}
	matrix := func(module string, rows, cols int) {
		name := module + ".weight"
		if o.bits == 16 {
			ts = append(ts, tensor{name, name, "BF16", []int{rows, cols}, weight})
			return
		}
		// The scales and biases share their random bytes, so that each bias fits its scale.
		key := module + ".scales"
		ts = append(ts,
			tensor{name, name, "U32", []int{rows, cols * o.bits / 32}, func([]byte) {}},
			tensor{module + ".scales", key, "BF16", []int{rows, cols / o.group}, scales},
			tensor{module + ".biases", key, "BF16", []int{rows, cols / o.group}, biases})
	}
	matrix("model.embed_tokens", o.vocab, hidden)
	for layer := range o.layers {
		at := func(name string) string { return fmt.Sprintf("model.layers.%d.%s", layer, name) }
		vector(at("input_layernorm.weight"), hidden, norm)
		for _, p := range []struct {
			name string
			rows int
		}{{"q_proj", heads * headDim}, {"k_proj", kvHeads * headDim}, {"v_proj", kvHeads * headDim}} {
			matrix(at("self_attn."+p.name), p.rows, hidden)
			vector(at("self_attn."+p.name+".bias"), p.rows, weight)
		}
		matrix(at("self_attn.o_proj"), hidden, heads*headDim)
		vector(at("post_self_attn_layernorm.weight"), hidden, norm)
		vector(at("post_attention_layernorm.weight"), hidden, norm)
		matrix(at("mlp.gate_up_proj"), 2*ffn, hidden)
		matrix(at("mlp.down_proj"), hidden, ffn)
		vector(at("post_mlp_layernorm.weight"), hidden, norm)
	}
	vector("model.norm.weight", hidden, norm)
	matrix("lm_head", o.vocab, hidden)
	return ts
}

// normal returns the quantile function of a normal distribution.
func normal(mean, deviation float64) func(v float64) float64 {
	return func(v float64) float64 { return mean + deviation*math.Sqrt2*math.Erfinv(2*v-1) }
}

// table returns a fill that turns each 16 random bits into the bf16 value of that quantile.
func table(quantile func(v float64) float64) func([]byte) {
	values := make([]uint16, 1<<16)
	for i := range values {
		values[i] = bf16(quantile((float64(i) + 0.5) / float64(len(values))))
	}
	return func(b []byte) {
		for i := 0; i+1 < len(b); i += 2 {
			binary.LittleEndian.PutUint16(b[i:], values[binary.LittleEndian.Uint16(b[i:])])
		}
	}
}

// bf16 rounds to the nearest bf16, ties to even.
func bf16(v float64) uint16 {
	b := math.Float32bits(float32(v))
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func bf16Value(b uint16) float64 { return float64(math.Float32frombits(uint32(b) << 16)) }

// writeWeights writes the shards and their index and returns the bytes of the tensors.
func writeWeights(ctx context.Context, dir string, o options) (int64, error) {
	var shards [][]tensor
	var total, size int64
	for _, t := range tensors(o) {
		if len(shards) == 0 || size+t.size() > maxShard {
			shards, size = append(shards, nil), 0
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], t)
		size += t.size()
		total += t.size()
	}
	weightMap := map[string]string{}
	for i, shard := range shards {
		name := "model.safetensors"
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		if err := writeShard(ctx, filepath.Join(dir, name), shard, o); err != nil {
			return 0, err
		}
		for _, t := range shard {
			weightMap[t.name] = name
		}
	}
	if len(shards) == 1 {
		return total, nil
	}
	return total, writeJSON(filepath.Join(dir, "model.safetensors.index.json"),
		object{"metadata": object{"total_size": total}, "weight_map": weightMap})
}

func writeShard(ctx context.Context, path string, shard []tensor, o options) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	w := bufio.NewWriterSize(f, chunkSize)
	header := object{"__metadata__": object{"format": "mlx"}}
	if o.bits == 16 {
		header["__metadata__"] = object{"format": "pt"}
	}
	end := int64(0)
	for _, t := range shard {
		header[t.name] = object{"dtype": t.dtype, "shape": t.shape, "data_offsets": []int64{end, end + t.size()}}
		end += t.size()
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	if over := (8 + len(text)) % o.align; over > 0 {
		text = append(text, bytes.Repeat([]byte(" "), o.align-over)...)
	}
	w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	w.Write(text)
	if err := writeData(ctx, w, shard, o.seed); err != nil {
		return err
	}
	return w.Flush()
}

// writeData makes the chunks of all tensors on all cores and writes them in their order.
func writeData(ctx context.Context, w io.Writer, shard []tensor, seed uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The queue's length bounds the chunks in flight.
	queue := make(chan chan []byte, runtime.GOMAXPROCS(0)+1)
	go func() {
		defer close(queue)
		for _, t := range shard {
			for begin := int64(0); begin < t.size(); begin += chunkSize {
				done := make(chan []byte, 1)
				select {
				case queue <- done:
				case <-ctx.Done():
					return
				}
				go func() { done <- chunk(t, begin, seed) }()
			}
		}
	}()
	for done := range queue {
		if _, err := w.Write(<-done); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// chunk makes the values of a tensor from byte begin on.
func chunk(t tensor, begin int64, seed uint64) []byte {
	buf := make([]byte, min(chunkSize, t.size()-begin))
	rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s %d", seed, t.key, begin))).Read(buf)
	t.fill(buf)
	return buf
}
