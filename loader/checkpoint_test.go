package loader

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestEveryTensorIsFoundByItsCanonicalName(t *testing.T) {
	for _, from := range []string{"disk", "memory"} {
		t.Run(from, func(t *testing.T) {
			folder := tiny(tinyGLM4, glm4Tensors())
			var c *Checkpoint
			var err error
			if from == "disk" {
				c, err = Open(t.Context(), folder.save(t))
			} else {
				c, err = OpenFS(t.Context(), folder.fs(), "demo")
			}
			require.NoError(t, err)
			defer c.Close()
			bytes := int64(0)
			for _, want := range glm4Tensors() {
				bytes += int64(len(want.Data))
				require.True(t, c.Has(want.Name), want.Name)
				if len(want.Shape) == 2 {
					m, err := c.Matrix(strings.TrimSuffix(want.Name, ".weight"))
					require.NoError(t, err)
					require.Equal(t, want.Shape, []int{m.Rows, m.Cols})
					require.Equal(t, want.Data, m.Data)
					require.Equal(t, want.Name, m.Name+".weight")
					require.Equal(t, BF16, m.DType)
					require.Equal(t, singleName, m.File)
					require.False(t, m.Quantized())
					continue
				}
				v, err := c.Vector(want.Name)
				require.NoError(t, err)
				require.Len(t, v, want.Shape[0])
				for i := range v {
					require.Equal(t, BF16.at(want.Data, i), v[i])
				}
			}
			require.Equal(t, bytes, c.Bytes())
			require.True(t, slices.IsSortedFunc(c.Tensors(), func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) }))
			require.Len(t, c.Tensors(), len(glm4Tensors()))
			require.Empty(t, c.Unused())
			require.False(t, c.Has("model.layers.2.input_layernorm.weight"))
			_, err = c.Matrix("model.layers.2.mlp.down_proj")
			require.EqualError(t, err, c.Dir+`: the model has no matrix "model.layers.2.mlp.down_proj"`)
			_, err = c.Vector("model.norm")
			require.EqualError(t, err, c.Dir+`: the model has no vector "model.norm"`)
		})
	}
}

func TestChatGLMSharesItsFusedProjection(t *testing.T) {
	c := tiny(tinyChatGLM, chatglmTensors()).open(t)
	stored := map[string]Tensor{}
	for _, s := range c.Tensors() {
		stored[s.Name] = s
	}
	for layer := range 2 {
		fused := stored[fmt.Sprintf("transformer.encoder.layers.%d.self_attention.query_key_value.weight", layer)]
		bias := stored[fmt.Sprintf("transformer.encoder.layers.%d.self_attention.query_key_value.bias", layer)]
		row := 0
		for _, part := range []struct {
			name string
			rows int
		}{{"q_proj", 64}, {"k_proj", 32}, {"v_proj", 32}} {
			name := fmt.Sprintf("model.layers.%d.self_attn.%s", layer, part.name)
			m, err := c.Matrix(name)
			require.NoError(t, err)
			require.Equal(t, []int{part.rows, 64}, []int{m.Rows, m.Cols})
			require.Len(t, m.Data, 2*part.rows*64)
			require.Same(t, &fused.Data[2*64*row], unsafe.SliceData(m.Data), "a view, no copy")
			v, err := c.Vector(name + ".bias")
			require.NoError(t, err)
			require.Len(t, v, part.rows)
			for i := range v {
				require.Equal(t, BF16.at(bias.Data, row+i), v[i])
			}
			row += part.rows
		}
	}
	for canonical, original := range map[string]string{
		"model.embed_tokens":              "transformer.embedding.word_embeddings",
		"lm_head":                         "transformer.output_layer",
		"model.layers.1.self_attn.o_proj": "transformer.encoder.layers.1.self_attention.dense",
		"model.layers.1.mlp.gate_up_proj": "transformer.encoder.layers.1.mlp.dense_h_to_4h",
		"model.layers.1.mlp.down_proj":    "transformer.encoder.layers.1.mlp.dense_4h_to_h",
	} {
		m, err := c.Matrix(canonical)
		require.NoError(t, err)
		require.Same(t, unsafe.SliceData(stored[original+".weight"].Data), unsafe.SliceData(m.Data))
	}
	for canonical, original := range map[string]string{
		"model.norm.weight":                              "transformer.encoder.final_layernorm.weight",
		"model.layers.0.input_layernorm.weight":          "transformer.encoder.layers.0.input_layernorm.weight",
		"model.layers.0.post_attention_layernorm.weight": "transformer.encoder.layers.0.post_attention_layernorm.weight",
	} {
		v, err := c.Vector(canonical)
		require.NoError(t, err)
		require.Equal(t, BF16.at(stored[original].Data, 63), v[63])
	}
	require.Len(t, c.Unused(), 1)
	require.Equal(t, "transformer.rotary_pos_emb.inv_freq", c.Unused()[0].Name)
}

// quantise replaces a tensor by packed ones.
func quantise(ts []Tensor, module string, rows, cols, bits, group int) []Tensor {
	return replace(ts, module+".weight", quantised(module, rows, cols, bits, group)...)
}

func TestQuantisedModules(t *testing.T) {
	ts := quantise(glm4Tensors(), "model.embed_tokens", 48, 64, 4, 32)
	ts = quantise(ts, "model.layers.0.self_attn.q_proj", 64, 64, 8, 64)
	ts = quantise(ts, "model.layers.1.mlp.down_proj", 64, 96, 4, 32)
	config := tinyGLM4.with(object{"quantization": object{
		"bits": 4, "group_size": 32, "model.layers.0.self_attn.q_proj": object{"bits": 8, "group_size": 64}, "lm_head": false,
	}})
	c := tiny(config, ts).open(t)
	for name, want := range map[string]struct{ rows, cols, bits, group int }{
		"model.embed_tokens":              {48, 64, 4, 32},
		"model.layers.0.self_attn.q_proj": {64, 64, 8, 64},
		"model.layers.1.mlp.down_proj":    {64, 96, 4, 32},
	} {
		m, err := c.Matrix(name)
		require.NoError(t, err)
		require.Equal(t, want, struct{ rows, cols, bits, group int }{m.Rows, m.Cols, m.Bits, m.GroupSize})
		require.Equal(t, []DType{U32, BF16}, []DType{m.DType, m.ScaleDType})
		parts := quantised(name, want.rows, want.cols, want.bits, want.group)
		require.Equal(t, parts[0].Data, m.Data)
		require.Equal(t, parts[1].Data, m.Scales)
		require.Equal(t, parts[2].Data, m.Biases)
	}
	m, err := c.Matrix("lm_head")
	require.NoError(t, err)
	require.False(t, m.Quantized())
	require.True(t, c.Has("model.layers.0.self_attn.q_proj.bias"))
	require.Empty(t, c.Unused())
}

func TestQuantisedChatGLMIsSlicedInAllThreeTensors(t *testing.T) {
	const fused = "transformer.encoder.layers.1.self_attention.query_key_value"
	config := tinyChatGLM.with(object{"quantization": object{"bits": 4, "group_size": 64,
		fused: object{"bits": 8, "group_size": 32}}})
	c := tiny(config, quantise(chatglmTensors(), fused, 128, 64, 8, 32)).open(t)
	parts := quantised(fused, 128, 64, 8, 32)
	whole := Matrix{Rows: 128, Cols: 64, DType: U32, Data: parts[0].Data, Bits: 8, GroupSize: 32, Scales: parts[1].Data,
		Biases: parts[2].Data, ScaleDType: BF16}
	v, err := c.Matrix("model.layers.1.self_attn.v_proj")
	require.NoError(t, err)
	want, got := make([]float32, 64), make([]float32, 64)
	for row := range v.Rows {
		whole.Dequantize(want, 96+row)
		v.Dequantize(got, row)
		require.Equal(t, want, got)
	}
}

func TestTiedHeadIsTheEmbedding(t *testing.T) {
	config := tinyGLM4.with(object{"tie_word_embeddings": true})
	c := tiny(config, replace(glm4Tensors(), "lm_head.weight")).open(t)
	head, err := c.Matrix("lm_head")
	require.NoError(t, err)
	embed, err := c.Matrix("model.embed_tokens")
	require.NoError(t, err)
	require.Equal(t, embed, head)
	require.False(t, c.Has("lm_head.weight"))
	require.True(t, c.Has("model.embed_tokens.weight"))
}

// withoutBias removes the biases of the projections that match.
func withoutBias(ts []Tensor, part string) []Tensor {
	return slices.DeleteFunc(slices.Clone(ts), func(t Tensor) bool {
		return strings.HasSuffix(t.Name, ".bias") && strings.Contains(t.Name, part)
	})
}

func TestBiasIsDecidedByItsTensors(t *testing.T) {
	silent := tinyGLM4.with(object{"attention_bias": nil})
	require.True(t, tiny(silent, glm4Tensors()).open(t).Config.AttentionBias)
	none := tiny(silent, withoutBias(glm4Tensors(), "")).open(t)
	require.False(t, none.Config.AttentionBias)
	require.False(t, none.Has("model.layers.0.self_attn.q_proj.bias"))
	require.False(t, tiny(tinyGLM4.with(object{"attention_bias": false}),
		withoutBias(glm4Tensors(), "")).open(t).Config.AttentionBias)
}

func TestNonFiniteValueInVector(t *testing.T) {
	for text, bits := range map[string]uint16{"NaN": 0x7fc1, "+Inf": 0x7f80, "-Inf": 0xff80} {
		for _, name := range []string{"model.norm.weight", "model.layers.1.self_attn.k_proj.bias"} {
			ts := glm4Tensors()
			for _, tensor := range ts {
				if tensor.Name == name {
					binary.LittleEndian.PutUint16(tensor.Data[2*31:], bits)
				}
			}
			_, err := tiny(tinyGLM4, ts).open(t).Vector(name)
			require.EqualError(t, err, "DIR/model.safetensors: tensor "+name+" has "+text+
				" at index 31; every value must be finite: the file is damaged")
		}
	}
}

func TestTensorThatIsNotWhatTheConfigImplies(t *testing.T) {
	retyped := func(t Tensor, d DType) Tensor { t.DType = d; return t }
	good := glm4Tensors()
	packed := quantise(good, "lm_head", 48, 64, 4, 32)
	q := tinyGLM4.with(object{"quantization": object{"bits": 4, "group_size": 32}})
	const qp = "transformer.encoder.layers.0.self_attention.query_key_value"
	for _, tt := range []struct {
		name    string
		config  object
		tensors []Tensor
		want    string
	}{
		{"matrix missing", tinyGLM4, replace(good, "model.layers.1.mlp.down_proj.weight"),
			"DIR: tensor model.layers.1.mlp.down_proj.weight is missing from the weights, but config.json implies it"},
		{"norm missing", tinyGLM4, replace(good, "model.layers.1.post_mlp_layernorm.weight"),
			"DIR: tensor model.layers.1.post_mlp_layernorm.weight is missing from the weights, but config.json implies it"},
		{"head missing", tinyGLM4, replace(good, "lm_head.weight"),
			"DIR: tensor lm_head.weight is missing from the weights, but config.json implies it"},
		{"more layers declared than stored", tinyGLM4.with(object{"num_hidden_layers": 1000}), good,
			"DIR: tensor model.layers.2.input_layernorm.weight is missing from the weights, but config.json implies it"},
		{"transposed", tinyGLM4, replace(good, "model.layers.0.self_attn.k_proj.weight",
			random("model.layers.0.self_attn.k_proj.weight", 64, 32)),
			"DIR/model.safetensors: tensor model.layers.0.self_attn.k_proj.weight is BF16 [64 32]; config.json implies [32 " +
				"64] of BF16, F16 or F32"},
		{"one dimension too many", tinyGLM4, replace(good, "model.norm.weight", random("model.norm.weight", 1, 64)),
			"DIR/model.safetensors: tensor model.norm.weight is BF16 [1 64]; config.json implies [64] of BF16, F16 or F32"},
		{"scalar norm", tinyGLM4, replace(good, "model.norm.weight", random("model.norm.weight", []int{}...)),
			"DIR/model.safetensors: tensor model.norm.weight is BF16 []; config.json implies [64] of BF16, F16 or F32"},
		{"vocabulary of another size", tinyGLM4.with(object{"vocab_size": 49}), good,
			"DIR/model.safetensors: tensor model.embed_tokens.weight is BF16 [48 64]; config.json implies [49 64] of BF16, " +
				"F16 or F32"},
		{"integer weights", tinyGLM4, replace(good, "lm_head.weight", retyped(random("lm_head.weight", 48, 64), I16)),
			"DIR/model.safetensors: tensor lm_head.weight is I16 [48 64]; config.json implies [48 64] of BF16, F16 or F32"},
		{"bias of another length", tinyGLM4, replace(good, "model.layers.0.self_attn.q_proj.bias",
			random("model.layers.0.self_attn.q_proj.bias", 32)),
			"DIR/model.safetensors: tensor model.layers.0.self_attn.q_proj.bias is BF16 [32]; config.json implies [64] of " +
				"BF16, F16 or F32"},
		{"bias declared but absent", tinyGLM4, withoutBias(good, ""),
			"DIR: tensor model.layers.0.self_attn.q_proj.bias is missing from the weights, but attention_bias is true in " +
				"config.json"},
		{"bias there but denied", tinyGLM4.with(object{"attention_bias": false}), good,
			"DIR/model.safetensors: tensor model.layers.0.self_attn.q_proj.bias is there, but attention_bias is false in " +
				"config.json"},
		{"bias in some layers", tinyGLM4.with(object{"attention_bias": nil}), withoutBias(good, "layers.1.self_attn.v_proj"),
			"DIR: tensor model.layers.1.self_attn.v_proj.bias is missing from the weights, but " +
				"model.layers.0.self_attn.q_proj.bias is there; all of q_proj, k_proj and v_proj must have a bias, or none"},
		{"packed without a quantization block", tinyGLM4, packed,
			"DIR/model.safetensors: tensor lm_head.scales belongs to a quantised module, but config.json has no quantization " +
				"block; it must give group_size and bits"},
		{"packed although excluded", tinyGLM4.with(object{"quantization": object{"bits": 4, "group_size": 32,
			"lm_head": false}}), packed,
			"DIR/model.safetensors: tensor lm_head.scales belongs to a quantised module, but quantization in config.json says " +
				"false for it"},
		{"scales missing", q, replace(packed, "lm_head.scales"),
			"DIR: tensor lm_head.scales is missing from the weights, but config.json implies it"},
		{"biases missing", q, replace(packed, "lm_head.biases"),
			"DIR: tensor lm_head.biases is missing from the weights, but config.json implies it"},
		{"override without scales", tinyGLM4.with(object{"quantization": object{"bits": 4, "group_size": 32,
			"lm_head": object{"bits": 8, "group_size": 32}}}), good,
			"DIR: tensor lm_head.scales is missing from the weights, but config.json implies it"},
		{"packed with other bits", tinyGLM4.with(object{"quantization": object{"bits": 8, "group_size": 32}}), packed,
			"DIR/model.safetensors: tensor lm_head.weight is U32 [48 8]; config.json implies [48 16] of U32 for 8 bits in " +
				"groups of 32"},
		{"packed in other groups", tinyGLM4.with(object{"quantization": object{"bits": 4, "group_size": 64}}), packed,
			"DIR/model.safetensors: tensor lm_head.scales is BF16 [48 2]; config.json implies [48 1] of BF16, F16 or F32 for " +
				"4 bits in groups of 64"},
		{"packed as another type", q, replace(packed, "lm_head.weight", retyped(quantised("lm_head", 48, 64, 4, 32)[0], I32)),
			"DIR/model.safetensors: tensor lm_head.weight is I32 [48 8]; config.json implies [48 8] of U32 for 4 bits in " +
				"groups of 32"},
		{"scales and biases of two types", q, replace(packed, "lm_head.biases",
			retyped(random("lm_head.biases", 48, 2), F16)),
			"DIR/model.safetensors: tensor lm_head.biases is F16 [48 2]; config.json implies [48 2] of BF16 like the scales " +
				"for 4 bits in groups of 32"},
		{"rows that groups do not divide", tinyGLM4.with(object{"quantization": object{"bits": 4, "group_size": 64}}),
			quantise(good, "model.layers.0.mlp.down_proj", 64, 96, 4, 32),
			"DIR/config.json: quantization has groups of 64 but the rows of model.layers.0.mlp.down_proj have 96 values, " +
				"which is no multiple"},
		{"fused projection of another height", tinyChatGLM, replace(chatglmTensors(), qp+".weight",
			random(qp+".weight", 192, 64)),
			"DIR/model.safetensors: tensor " + qp +
				".weight is BF16 [192 64]; config.json implies [128 64] of BF16, F16 or F32"},
		{"fused bias of another height", tinyChatGLM, replace(chatglmTensors(), qp+".bias", random(qp+".bias", 64)),
			"DIR/model.safetensors: tensor " + qp + ".bias is BF16 [64]; config.json implies [128] of BF16, F16 or F32"},
	} {
		t.Run(tt.name, func(t *testing.T) { tiny(tt.config, tt.tensors).refused(t, tt.want) })
	}
}

func TestFilesBeginOnAPageAndAreReleased(t *testing.T) {
	folder := files{"config.json": tinyGLM4.bytes(), singleName: encode(glm4Tensors(), 4096)}
	for _, c := range []*Checkpoint{folder.open(t), func() *Checkpoint {
		c, err := Open(t.Context(), folder.save(t))
		require.NoError(t, err)
		return c
	}()} {
		require.Len(t, c.Mapped(), 1)
		region := c.Mapped()[0]
		require.Len(t, region, len(folder[singleName]))
		require.Zero(t, uintptr(unsafe.Pointer(&region[0]))%hugePage)
		for _, tensor := range c.Tensors() {
			require.Same(t, &region[tensor.Offset], &tensor.Data[0])
		}
		require.True(t, c.Aligned(64))
		require.False(t, c.Aligned(4096))
		require.NoError(t, c.Close())
		require.NoError(t, c.Close())
		require.Empty(t, c.Mapped())
		_, err := c.Matrix("lm_head")
		require.EqualError(t, err, c.Dir+`: the model has no matrix "lm_head"`)
	}
	odd := append([]Tensor{{Name: "visual.odd", DType: U8, Shape: []int{1}, Data: []byte{1}}}, glm4Tensors()...)
	require.False(t, tiny(tinyGLM4, odd).open(t).Aligned(2))
}

func TestMatrixIsNotListed(t *testing.T) {
	c := tiny(tinyGLM4, glm4Tensors()).open(t)
	var names []string
	for _, m := range c.Matrices() {
		found, err := c.Matrix(m.Name)
		require.NoError(t, err)
		require.Equal(t, found, m)
		names = append(names, m.Name)
	}
	require.IsIncreasing(t, names)
	require.Len(t, names, 2+2*6, "embedding, head, and q, k, v, o, gate_up, down of two layers")
	tied := tiny(tinyGLM4.with(object{"tie_word_embeddings": true}), replace(glm4Tensors(), "lm_head.weight")).open(t)
	require.Len(t, tied.Matrices(), 1+2*6)
}

func TestChatTemplateOfTheCheckpoint(t *testing.T) {
	folder := tiny(tinyGLM4, glm4Tensors())
	config := func(v any) []byte { return object{"chat_template": v}.bytes() }
	list := func(names ...string) []object {
		var l []object
		for _, n := range names {
			l = append(l, object{"name": n, "template": "the " + n + " one"})
		}
		return l
	}
	for _, tt := range []struct {
		name      string
		extra     files
		want, err string
	}{
		{"none at all", nil, "", ""},
		{"tokenizer config without one", files{"tokenizer_config.json": []byte(`{"chat_template":null}`)}, "", ""},
		{"a string", files{"tokenizer_config.json": config("[gMASK]<sop>")}, "[gMASK]<sop>", ""},
		{"a list", files{"tokenizer_config.json": config(list("tool_use", "default"))}, "the default one", ""},
		{"its own file wins", files{"tokenizer_config.json": config("old"), "chat_template.jinja": []byte("new")}, "new", ""},
		{"a list without default", files{"tokenizer_config.json": config(list("rag", "tool_use"))}, "",
			"DIR/tokenizer_config.json: chat_template has no template called default, only rag, tool_use"},
		{"a number", files{"tokenizer_config.json": config(1)}, "",
			"DIR/tokenizer_config.json: chat_template is 1; it must be a string or a list of {name, template}"},
		{"damaged", files{"tokenizer_config.json": []byte("{")}, "",
			"DIR/tokenizer_config.json: not valid JSON at byte 1: unexpected end of JSON input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := folder.with(tt.extra).open(t)
			got, err := ChatTemplate(c.FS(), c.Dir)
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

// writeSparse writes GLM-4-9B-0414 in its true shapes, 4 bit, as one file that takes its full 5.3 GB in size but 2 MB
// on disk.
func writeSparse(t *testing.T) string {
	config := Config{
		ModelType: "glm4", Layers: 40, Hidden: 4096, FFN: 13696, Heads: 32, KVHeads: 2, HeadDim: 128, Vocab: 151552,
		SandwichNorms: true,
	}
	header, end := object{}, 0
	add := func(name string, dtype DType, shape ...int) {
		size := dtype.Size()
		for _, d := range shape {
			size *= d
		}
		header[name] = object{"dtype": dtype.String(), "shape": shape, "data_offsets": []int{end, end + size}}
		end += size
	}
	for m := range config.modules() {
		if m.cols == 0 {
			add(m.name+".weight", BF16, m.rows)
			continue
		}
		add(m.name+".weight", U32, m.rows, m.cols/8)
		add(m.name+".scales", BF16, m.rows, m.cols/64)
		add(m.name+".biases", BF16, m.rows, m.cols/64)
		if m.bias {
			add(m.name+".bias", BF16, m.rows)
		}
	}
	dir := files{
		"config.json": tinyGLM4.with(object{
			"num_hidden_layers": 40, "hidden_size": 4096, "intermediate_size": 13696, "num_attention_heads": 32, "head_dim": 128,
			"vocab_size":   151552,
			"quantization": object{"bits": 4, "group_size": 64},
		}).bytes(),
		singleName: file(string(header.bytes()), nil),
	}.save(t)
	path := filepath.Join(dir, singleName)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, info.Size()+int64(end)))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt(random("", 1<<20).Data, info.Size()+int64(end)-2<<20)
	require.NoError(t, err)
	return dir
}

// openSparse opens a folder as Open does, but for its holes.
func openSparse(t *testing.T, dir string) *Checkpoint {
	c, err := open(t.Context(), dir, os.DirFS(dir), func(name string) (region, error) {
		r, err := mapFile(filepath.Join(dir, name), mapMemory)
		require.NotEmpty(t, r.holes())
		require.NoError(t, r.file.Close())
		r.file = nil
		return r, err
	})
	require.NoError(t, err)
	return c
}

func TestFullSizeCheckpointOpensAtOnce(t *testing.T) {
	dir := writeSparse(t)
	best := time.Hour
	for range 3 {
		start := time.Now()
		c := openSparse(t, dir)
		best = min(best, time.Since(start))
		require.Greater(t, c.Bytes(), int64(5_200_000_000))
		require.NoError(t, c.Close())
	}
	require.Less(t, best, 2*time.Second)
}
