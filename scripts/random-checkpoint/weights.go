package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/glm4-metal/glm4-metal/loader"
)

// The shapes of GLM-4-9B-0414.
const (
	hidden  = 4096
	ffn     = 13696
	heads   = 32
	kvHeads = 2
	headDim = 128
)

const chunkSize = 4 << 20

// tensor is one to be written. fill makes random bytes into values, in place.
type tensor struct {
	name  string
	key   string // of its random bytes
	dtype loader.DType
	shape []int
	fill  func([]byte)
}

func (t tensor) info() loader.TensorInfo {
	return loader.TensorInfo{Name: t.name, DType: t.dtype, Shape: t.shape}
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
		ts = append(ts, tensor{name, name, loader.BF16, []int{n}, fill})
	}
	matrix := func(module string, rows, cols int) {
		name := module + ".weight"
		if o.bits == 16 {
			ts = append(ts, tensor{name, name, loader.BF16, []int{rows, cols}, weight})
			return
		}
		// The scales and biases share their random bytes, so that each bias fits its scale.
		key := module + ".scales"
		ts = append(ts,
			tensor{name, name, loader.U32, []int{rows, cols * o.bits / 32}, func([]byte) {}},
			tensor{module + ".scales", key, loader.BF16, []int{rows, cols / o.group}, scales},
			tensor{module + ".biases", key, loader.BF16, []int{rows, cols / o.group}, biases})
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

// writeWeights writes the tensors and returns their bytes.
func writeWeights(ctx context.Context, dir string, o options) (int64, error) {
	byName := map[string]tensor{}
	var infos []loader.TensorInfo
	for _, t := range tensors(o) {
		byName[t.name] = t
		infos = append(infos, t.info())
	}
	w, err := loader.NewWriter(dir, infos, loader.WriterOptions{Align: o.align})
	if err != nil {
		return 0, err
	}
	defer w.Close()
	err = w.Fill(ctx, chunkSize, func(info loader.TensorInfo, begin int64, p []byte) error {
		t := byName[info.Name]
		rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s %d", o.seed, t.key, begin))).Read(p)
		t.fill(p)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return w.Bytes(), w.Finish()
}
