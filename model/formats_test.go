package model

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/cpu"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/loader"
)

// packing is how a checkpoint stores its matrices.
type packing struct {
	dtype       loader.DType
	bits, group int // 0: not quantised
	scale       loader.DType
}

// numbers gives n small ones of a type, or zeros of a type that cannot be a weight.
func numbers(t loader.DType, n int) []byte {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	var data []byte
	for range n {
		switch x := float32(random.NormFloat64() / 8); t {
		case loader.F32:
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		case loader.BF16:
			data = binary.LittleEndian.AppendUint16(data, uint16(math.Float32bits(x)>>16))
		case loader.F16:
			data = binary.LittleEndian.AppendUint16(data, float16.Fromfloat32(x).Bits())
		case loader.U32:
			data = binary.LittleEndian.AppendUint32(data, random.Uint32())
		default:
			data = append(data, make([]byte, t.Size())...)
		}
	}
	return data
}

// checkpoint is a model of one layer, all of whose matrices are 256 wide.
func (p packing) checkpoint() fstest.MapFS {
	const width, vocab = 256, 40
	config := map[string]any{
		"model_type": "glm", "num_hidden_layers": 1, "hidden_size": width, "intermediate_size": width,
		"num_attention_heads": 2,
		"num_key_value_heads": 1, "head_dim": 128, "max_position_embeddings": 128, "vocab_size": vocab, "rms_norm_eps": 1e-5,
		"hidden_act": "silu",
	}
	header, data := map[string]any{}, []byte(nil)
	add := func(name string, t loader.DType, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		added := numbers(t, n)
		header[name] = map[string]any{"dtype": t.String(), "shape": shape,
			"data_offsets": []int{len(data), len(data) + len(added)}}
		data = append(data, added...)
	}
	for name, rows := range map[string]int{
		"model.embed_tokens": vocab, "lm_head": vocab, "model.layers.0.self_attn.q_proj": width,
		"model.layers.0.self_attn.k_proj": width / 2,
		"model.layers.0.self_attn.v_proj": width / 2, "model.layers.0.self_attn.o_proj": width,
		"model.layers.0.mlp.gate_up_proj": 2 * width,
		"model.layers.0.mlp.down_proj":    width,
	} {
		if p.bits == 0 {
			add(name+".weight", p.dtype, rows, width)
			continue
		}
		add(name+".weight", p.dtype, rows, width*p.bits/32)
		add(name+".scales", p.scale, rows, width/p.group)
		add(name+".biases", p.scale, rows, width/p.group)
		config["quantization"] = map[string]any{"bits": p.bits, "group_size": p.group}
	}
	for _, name := range []string{"model.norm", "model.layers.0.input_layernorm",
		"model.layers.0.post_attention_layernorm"} {
		add(name+".weight", loader.F32, width)
	}
	text, _ := json.Marshal(header)
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	settings, _ := json.Marshal(config)
	return fstest.MapFS{"config.json": {Data: settings}, "model.safetensors": {Data: append(file, data...)}}
}

// Every way of storing a matrix that the loader lets pass must reach a kernel for it on every device.
func TestFormatFallsThroughToAnother(t *testing.T) {
	all := []packing{}
	for d := loader.F32; d <= loader.F8E5M2; d++ {
		all = append(all, packing{dtype: d})
		for bits := 1; bits <= 8; bits++ {
			for group := 16; group <= 256; group *= 2 {
				all = append(all, packing{loader.U32, bits, group, d})
			}
		}
	}
	devices := map[string]backend.Device{}
	for _, path := range []string{"", "plain"} {
		t.Setenv("GLM4_CPU", path)
		devices["cpu "+path] = cpu.Open()
	}
	g, err := gpu.Open(openMetal(t))
	require.NoError(t, err)
	devices["metal"] = g
	t.Cleanup(func() {
		for _, d := range devices {
			require.NoError(t, d.Close())
		}
	})
	passed := map[string]int{}
	for _, p := range all {
		c, err := loader.OpenFS(t.Context(), p.checkpoint(), "DIR")
		if err != nil {
			continue
		}
		m, err := c.Matrix("lm_head")
		require.NoError(t, err)
		data, err := matrixData(m)
		require.NoError(t, err, "%+v", p)
		passed[data.Format.String()]++
		var want []float32
		row := make([]float32, m.Cols)
		for r := range m.Rows {
			m.Dequantize(row, r)
			want = append(want, row...)
		}
		for name, d := range devices {
			require.LessOrEqual(t, distance(deviceRows(t, d, data), want), 1e-6, "%+v on %s", p, name)
			for _, n := range []int{1, 5, 30} {
				x, y := products(t, d, data, n)
				require.LessOrEqual(t, distance(y, multiplied(x, want, m.Cols)), 1e-3, "%+v on %s, %d tokens", p, name, n)
			}
		}
		require.NoError(t, c.Close())
	}
	require.Equal(t, map[string]int{"f32": 1, "f16": 1, "bf16": 1, "q4": 9, "q8": 9}, passed)

	for _, m := range []loader.Matrix{
		{DType: loader.U32}, {DType: loader.U8}, {}, {DType: loader.U32, Bits: 6, ScaleDType: loader.F32},
		{DType: loader.BF16, Bits: 4, ScaleDType: loader.F32},
		{DType: loader.U32, Bits: 4}, {DType: loader.U32, Bits: 8, ScaleDType: loader.U8},
	} {
		_, err := matrixData(m)
		require.Error(t, err, fmt.Sprint(m))
	}
}

// products runs Out with some tokens.
func products(t *testing.T, d backend.Device, data backend.MatrixData, n int) (in, out []float32) {
	m, err := d.NewMatrix(data)
	require.NoError(t, err)
	x, err := d.NewBuffer(n * data.Cols)
	require.NoError(t, err)
	defer x.Close()
	y, err := d.NewBuffer(n * data.Rows)
	require.NoError(t, err)
	defer y.Close()
	for i := range x.Floats() {
		x.Floats()[i] = float32(math.Sin(float64(i)))
	}
	s, err := d.NewStream()
	require.NoError(t, err)
	defer s.Close()
	s.Out(y, x, m, n)
	require.NoError(t, s.Submit())
	require.NoError(t, s.Wait(0))
	return append(in, x.Floats()...), append(out, y.Floats()...)
}

// multiplied gives x·wᵀ.
func multiplied(x, w []float32, cols int) (y []float32) {
	for ; len(x) > 0; x = x[cols:] {
		for r := 0; r < len(w); r += cols {
			var sum float64
			for i := range cols {
				sum += float64(x[i]) * float64(w[r+i])
			}
			y = append(y, float32(sum))
		}
	}
	return y
}
