package loader

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mlxConversions is what scripts/goldens/convert makes: conversions of the weights in model/testdata/glm4-a.
type mlxConversions struct {
	SourceConfig object `json:"source_config"`
	Conversions  map[string]struct {
		Config  object
		Tensors map[string]struct {
			DType  string
			Shape  []int
			SHA256 string
		}
	}
}

func readConversions(t *testing.T) (g mlxConversions) {
	t.Helper()
	data, err := os.ReadFile("testdata/convert.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &g))
	require.Len(t, g.Conversions, 4)
	return g
}

// convert converts a folder to a new one.
func convert(t *testing.T, src string, o ConvertOptions) (string, Conversion) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "dst")
	result, err := Convert(t.Context(), src, dst, o)
	require.NoError(t, err)
	require.Equal(t, []string{"dst"}, entries(t, filepath.Dir(dst)), "nothing is left beside it")
	return dst, result
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func reopen(t *testing.T, dir string) *Checkpoint {
	t.Helper()
	c, err := Open(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func jsonFile(t *testing.T, path string) (o object) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &o))
	return o
}

func TestConversionDiffersFromMLX(t *testing.T) {
	g := readConversions(t)
	weights, err := os.ReadFile("../model/testdata/glm4-a/" + singleName)
	require.NoError(t, err)
	src := files{
		"config.json": g.SourceConfig.bytes(), singleName: weights,
		"generation_config.json": []byte(`{"eos_token_id":[157,158]}`),
	}.save(t)
	for name, want := range g.Conversions {
		t.Run(name, func(t *testing.T) {
			parts := strings.Split(name, "-") // bits, group, type; no group where there are 16 bits
			bits, err := strconv.Atoi(parts[0])
			require.NoError(t, err)
			o := ConvertOptions{Bits: bits, DType: map[string]DType{"bfloat16": BF16, "float16": F16}[parts[len(parts)-1]]}
			if bits < 16 {
				o.GroupSize, err = strconv.Atoi(parts[1])
				require.NoError(t, err)
			}
			dst, result := convert(t, src, o)
			c := reopen(t, dst)
			require.Len(t, c.Tensors(), len(want.Tensors))
			require.Equal(t, len(want.Tensors), result.Tensors)
			require.Equal(t, c.Bytes(), result.Bytes)
			for _, tensor := range c.Tensors() {
				golden, ok := want.Tensors[tensor.Name]
				require.True(t, ok, tensor.Name)
				require.Equal(t, golden.DType, tensor.DType.String(), tensor.Name)
				require.Equal(t, golden.Shape, tensor.Shape, tensor.Name)
				sum := sha256.Sum256(tensor.Data)
				require.Equal(t, golden.SHA256, hex.EncodeToString(sum[:]), tensor.Name)
			}
			// mlx_lm.convert leaves the source's type there, whatever the tensors have.
			require.Equal(t, want.Config.with(object{"torch_dtype": parts[len(parts)-1]}), jsonFile(t, dst+"/config.json"))
		})
	}
}

func TestConvertedChatGLMIsAnotherModel(t *testing.T) {
	for _, bits := range []int{4, 16} {
		dst, result := convert(t, "../model/testdata/chatglm-f", ConvertOptions{Bits: bits, DType: BF16})
		require.Equal(t, []string{"transformer.rotary_pos_emb.inv_freq"}, result.Unused)
		same, _ := convert(t, "../model/testdata/glm-d", ConvertOptions{Bits: bits, DType: BF16})
		got, want := reopen(t, dst), reopen(t, same)
		require.Equal(t, len(want.Tensors()), len(got.Tensors()))
		for i, tensor := range want.Tensors() {
			require.Equal(t, tensor.Name, got.Tensors()[i].Name)
			require.Equal(t, tensor.Shape, got.Tensors()[i].Shape, tensor.Name)
			require.Equal(t, tensor.Data, got.Tensors()[i].Data, tensor.Name)
		}
		require.Empty(t, got.Unused())
		require.Equal(t, want.Config, got.Config)
		config, glm := jsonFile(t, dst+"/config.json"), jsonFile(t, same+"/config.json")
		delete(glm, "transformers_version")
		for name, value := range glm {
			require.Equal(t, value, config[name], name)
		}
	}
}

func TestConvertedFileDoesNotMap(t *testing.T) {
	src := tiny(tinyGLM4, glm4Tensors()).save(t)
	dst, _ := convert(t, src, ConvertOptions{GroupSize: 32})
	c := reopen(t, dst)
	for _, tensor := range c.Tensors() {
		require.Zero(t, tensor.Offset%min(16, alignment(int64(len(tensor.Data)))), "%s at %d", tensor.Name, tensor.Offset)
	}
	data, err := os.ReadFile(filepath.Join(dst, singleName))
	require.NoError(t, err)
	require.Zero(t, (len(data)-int(c.Bytes()))%16384)
	require.Contains(t, string(data[:60]), `{"__metadata__":{"format":"mlx"},`)
}

func TestRealignedTensorsChange(t *testing.T) {
	src := files{"config.json": nil}
	for _, name := range entries(t, "../model/testdata/mlx-4bit-g128-mixed") {
		data, err := os.ReadFile(filepath.Join("../model/testdata/mlx-4bit-g128-mixed", name))
		require.NoError(t, err)
		if strings.HasPrefix(name, "model") || name == "config.json" {
			src[name] = data
		}
	}
	dir := src.save(t)
	for _, o := range []ConvertOptions{{}, {Bits: 4}, {Bits: 4, GroupSize: 128}} {
		dst, result := convert(t, dir, o)
		require.True(t, result.Realigned)
		require.Equal(t, 4, result.Bits)
		require.Equal(t, 128, result.GroupSize)
		got, want := reopen(t, dst), reopen(t, dir)
		require.True(t, got.Aligned(16))
		require.Equal(t, want.Config, got.Config)
		for i, tensor := range want.Tensors() {
			require.Equal(t, tensor.Name, got.Tensors()[i].Name)
			require.Equal(t, tensor.Data, got.Tensors()[i].Data, tensor.Name)
		}
	}
	const rest = "convert the original bf16 or f16 checkpoint, or leave the %s out to copy this one so that it maps in place"
	for want, o := range map[string]ConvertOptions{
		"%s: the weights are packed in 4 bits and cannot become 8; " + fmt.Sprintf(rest, "bits"):  {Bits: 8},
		"%s: the weights are packed in 4 bits and cannot become 16; " + fmt.Sprintf(rest, "bits"): {Bits: 16},
		"%s: the weights are packed in groups of 128 and cannot get groups of 64; " +
			fmt.Sprintf(rest, "group size"): {GroupSize: 64},
		"%s: the weights are packed with scales of their own type, which stays; " + fmt.Sprintf(rest, "type"): {DType: F16},
	} {
		dst := filepath.Join(t.TempDir(), "dst")
		_, err := Convert(t.Context(), dir, dst, o)
		require.EqualError(t, err, fmt.Sprintf(want, dir))
		require.Empty(t, entries(t, filepath.Dir(dst)))
	}
}

func TestTiedHeadIsLost(t *testing.T) {
	// Neither mlx-lm's glm4 nor ours may miss a head that the source has, equal to the embedding or not.
	tied := tinyGLM4.with(object{"tie_word_embeddings": true})
	own := glm4Tensors()
	same := replace(own, "lm_head.weight", Tensor{Name: "lm_head.weight", DType: BF16, Shape: []int{48, 64},
		Data: random("model.embed_tokens.weight", 48, 64).Data})
	for _, c := range []struct {
		tensors    []Tensor
		tied, head bool
	}{{own, false, true}, {same, true, true}, {replace(own, "lm_head.weight"), true, false}} {
		dst, result := convert(t, tiny(tied, c.tensors).save(t), ConvertOptions{})
		got := reopen(t, dst)
		_, head := got.stored["lm_head.weight"]
		require.Equal(t, c.head, head)
		require.Empty(t, result.Unused)
		require.Equal(t, c.tied, got.Config.TieEmbeddings)
		require.Equal(t, c.tied, jsonFile(t, dst+"/config.json")["tie_word_embeddings"])
		require.Empty(t, got.Notes())
	}
}

func TestValueThatCannotBeKept(t *testing.T) {
	for want, c := range map[string]struct {
		tensor string
		value  float32
		o      ConvertOptions
	}{
		"has NaN; every value must be finite: the file is damaged": {"mlp.down_proj.weight", float32(math.NaN()), ConvertOptions{GroupSize: 32}},
		"has +Inf; every value must be finite: the file is damaged": {"self_attn.o_proj.weight", float32(math.Inf(1)),
			ConvertOptions{Bits: 16, DType: F16}},
		"has 98304, which is beyond what F16 can hold; take another type": {"self_attn.q_proj.bias", 98304,
			ConvertOptions{DType: F16}},
	} {
		tensors := glm4Tensors()
		name := "model.layers.1." + c.tensor
		index := 3 // in its row
		for _, tensor := range tensors {
			if tensor.Name == name {
				tensor.DType.put(tensor.Data, index, c.value)
			}
		}
		dir := tiny(tinyGLM4, tensors).save(t)
		dst := filepath.Join(t.TempDir(), "dst")
		_, err := Convert(t.Context(), dir, dst, c.o)
		part := c.tensor[strings.LastIndex(c.tensor, ".")+1:]
		require.EqualError(t, err, fmt.Sprintf("%s/%s: tensor %s of module %s %s (row 0, column 3)", dir, singleName, part,
			strings.TrimSuffix(name, "."+part), want))
		require.Empty(t, entries(t, filepath.Dir(dst)))
	}
}

func TestProgressDoesNotReachTheEnd(t *testing.T) {
	var done []int64
	var total int64
	_, result := convert(t, tiny(tinyGLM4, glm4Tensors()).save(t), ConvertOptions{Progress: func(d, all int64) {
		done, total = append(done, d), all
	}})
	require.True(t, slices.IsSorted(done))
	require.Zero(t, done[0])
	require.Equal(t, total, done[len(done)-1])
	require.Equal(t, total, result.SourceBytes)
}

func TestConvertIgnoresItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dst := filepath.Join(t.TempDir(), "dst")
	_, err := Convert(ctx, tiny(tinyGLM4, glm4Tensors()).save(t), dst, ConvertOptions{Progress: func(done, _ int64) {
		if done > 0 {
			cancel()
		}
	}})
	require.Equal(t, context.Canceled, err)
	require.Empty(t, entries(t, filepath.Dir(dst)))
}

func TestConvertOptionsThatMeanNothing(t *testing.T) {
	for want, o := range map[string]ConvertOptions{
		"weights of 6 bits cannot be written; 4, 8 and 16 can":                             {Bits: 6},
		"groups of 16 weights cannot be written; 32, 64 and 128 can":                       {GroupSize: 16},
		"weights of 16 bits have no groups; leave the group size out, or take 4 or 8 bits": {Bits: 16, GroupSize: 64},
		"weights of type F32 cannot be written; BF16 and F16 can":                          {DType: F32},
	} {
		_, err := Convert(t.Context(), t.TempDir(), "dst", o)
		require.EqualError(t, err, want)
	}
}
