package loader

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const shard1, shard2 = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"

// sharded returns tinyGLM4 in two shards.
func sharded() files {
	ts := glm4Tensors()
	half := len(ts) / 2
	weightMap := object{}
	for i, t := range ts {
		weightMap[t.Name] = shard1
		if i >= half {
			weightMap[t.Name] = shard2
		}
	}
	return files{
		"config.json": tinyGLM4.bytes(),
		shard1:        encode(ts[:half], 8),
		shard2:        encode(ts[half:], 8),
		indexName:     object{"metadata": object{"total_size": 1}, "weight_map": weightMap}.bytes(),
	}
}

func TestShardsAreJoined(t *testing.T) {
	c := sharded().open(t)
	require.Len(t, c.Mapped(), 2)
	require.Len(t, c.Tensors(), len(glm4Tensors()))
	m, err := c.Matrix("model.layers.1.mlp.down_proj")
	require.NoError(t, err)
	require.Equal(t, shard2, m.File)
	require.Equal(t, random("model.layers.1.mlp.down_proj.weight", 64, 96).Data, m.Data)
}

func TestBadShards(t *testing.T) {
	good := sharded()
	index := func(edit func(string) string) files {
		return good.with(files{indexName: []byte(edit(string(good[indexName])))})
	}
	in := func(tensor, shard string) string { return `"` + tensor + `":"` + shard + `"` }
	swap := func(from, to string) files {
		return index(func(s string) string {
			require.Contains(t, s, from)
			return strings.Replace(s, from, to, 1)
		})
	}
	for _, tt := range []struct {
		name   string
		folder files
		want   string
	}{
		{"missing shard", good.with(files{shard2: nil}),
			"DIR/" + shard2 + ": the file is missing, but model.safetensors.index.json names it as one of 2; download it"},
		{"empty shard", good.with(files{shard2: {}}),
			"DIR/" + shard2 + ": the file is empty; download it again"},
		{"truncated shard", good.with(files{shard1: good[shard1][:len(good[shard1])-10]}),
			"DIR/" + shard1 +
				`: the header describes 37760 bytes of data but 37750 follow it (tensor "model.layers.0.self_attn.o_proj.weight" ends at 37760): the file is truncated; download it again`},
		{"index names a tensor that the shard lacks", swap(in("lm_head.weight", shard1),
			in("lm_head.weight", shard1)+","+in("lm_head.bias", shard1)),
			"DIR/" + shard1 +
				`: tensor "lm_head.bias" is missing, but model.safetensors.index.json says that it is in this file; download both again`},
		{"index names the wrong shard", swap(in("lm_head.weight", shard1), in("lm_head.weight", shard2)),
			"DIR/model.safetensors.index.json: tensor \"lm_head.weight\" should be in " + shard2 + " but is in " + shard1 +
				"; download them again"},
		{"tensor in two shards", good.with(files{shard2: encode([]Tensor{random("lm_head.weight", 48, 64)}, 8)}),
			`DIR: tensor "lm_head.weight" is both in ` + shard1 + " and in " + shard2},
		{"shard outside the folder", swap(in("lm_head.weight", shard1), in("lm_head.weight", "../x.safetensors")),
			`DIR/model.safetensors.index.json: weight_map puts tensor "lm_head.weight" in "../x.safetensors"; it must be a .safetensors file inside the folder`},
		{"shard by absolute path", swap(in("lm_head.weight", shard1), in("lm_head.weight", "/etc/x.safetensors")),
			`DIR/model.safetensors.index.json: weight_map puts tensor "lm_head.weight" in "/etc/x.safetensors"; it must be a .safetensors file inside the folder`},
		{"shard of another format", swap(in("lm_head.weight", shard1), in("lm_head.weight", "x.bin")),
			`DIR/model.safetensors.index.json: weight_map puts tensor "lm_head.weight" in "x.bin"; it must be a .safetensors file inside the folder`},
		{"no weight_map", good.with(files{indexName: []byte(`{"metadata":{}}`)}),
			"DIR/model.safetensors.index.json: weight_map is missing or empty; it must name the file of every tensor"},
		{"weight_map of numbers", good.with(files{indexName: []byte(`{"weight_map":{"a":1}}`)}),
			`DIR/model.safetensors.index.json: not a valid index: weight_map has 1 for tensor "a"; it must be the name of a file`},
		{"cut index", index(func(s string) string { return s[:40] }),
			"DIR/model.safetensors.index.json: not a valid index: unexpected EOF"},
		{"index missing", good.with(files{indexName: nil}),
			"DIR: has " + shard1 +
				" but neither model.safetensors nor model.safetensors.index.json, which says what the other shards are; download it"},
		{"pointer in place of a shard",
			good.with(files{shard2: []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4932\n")}),
			"DIR/" + shard2 +
				": a Git LFS pointer instead of the file; run git lfs pull in the folder, or download the file from the hub"},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.folder.refused(t, tt.want) })
	}
}

func TestFolderThatIsNoCheckpoint(t *testing.T) {
	good := tiny(tinyGLM4, glm4Tensors())
	for _, tt := range []struct {
		name   string
		folder files
		want   string
	}{
		{"something else", files{"README.md": {1}},
			"DIR: no checkpoint: it holds no config.json (a checkpoint has config.json, model.safetensors, tokenizer.json)"},
		{"config.json missing", good.with(files{"config.json": nil}),
			"DIR: has weights (model.safetensors) but no config.json; download it from where they came"},
		{"GGUF", files{"glm-4-9b-Q4_K_M.gguf": {1}},
			"DIR: no checkpoint that can be read: it holds glm-4-9b-Q4_K_M.gguf, a GGUF file, which cannot be read; take the " +
				"safetensors checkpoint of the same model"},
		{"hub cache", files{"snapshots/0123abcd/config.json": {1}},
			"DIR: no checkpoint but its hub cache; give the folder DIR/snapshots/0123abcd"},
		{"no weights", good.with(files{singleName: nil}),
			"DIR: no weights: it holds neither model.safetensors nor model.safetensors.index.json; download them"},
		{"PyTorch weights", good.with(files{singleName: nil, "pytorch_model-00001-of-00010.bin": {1}}),
			"DIR: no checkpoint that can be read: it holds pytorch_model-00001-of-00010.bin, a PyTorch file, which cannot be " +
				"read; take a safetensors checkpoint, or save this one again with transformers' " +
				"save_pretrained(safe_serialization=True)"},
		{"pointer in place of config.json",
			good.with(files{"config.json": []byte("version https://git-lfs.github.com/spec/v1\n")}),
			"DIR/config.json: a Git LFS pointer instead of the file; run git lfs pull in the folder, or download the file " +
				"from the hub"},
		{"pointer in place of the weights",
			good.with(files{singleName: []byte("version https://git-lfs.github.com/spec/v1\n")}),
			"DIR/model.safetensors: a Git LFS pointer instead of the file; run git lfs pull in the folder, or download the " +
				"file from the hub"},
		{"empty weights", good.with(files{singleName: {}}), "DIR/model.safetensors: the file is empty; download it again"},
		{"header longer than the weights", good.with(files{singleName: good[singleName][:100]}),
			"DIR/model.safetensors: header length is 2936 bytes but only 92 follow: the file is truncated; download it again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.folder.refused(t, tt.want)
			dir := tt.folder.save(t)
			_, err := Open(t.Context(), dir)
			require.EqualError(t, err, strings.ReplaceAll(tt.want, "DIR", dir))
		})
	}
}

func TestPathThatIsNoFolder(t *testing.T) {
	dir := tiny(tinyGLM4, glm4Tensors()).save(t)
	_, err := Open(t.Context(), dir+"/nothing")
	require.EqualError(t, err, dir+
		"/nothing: there is no such folder; give the path of a checkpoint (config.json, *.safetensors, tokenizer.json)")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Open(t.Context(), dir+"/"+singleName)
	require.EqualError(t, err, dir+"/model.safetensors: the weights of a checkpoint; give its folder, "+dir)
	require.NoError(t, os.Remove(filepath.Join(dir, singleName)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, singleName), 0o755))
	_, err = Open(t.Context(), dir)
	require.EqualError(t, err, dir+"/model.safetensors: not a regular file")
}

func TestFileWithoutReadPermission(t *testing.T) {
	good := tiny(tinyGLM4, glm4Tensors())
	for _, name := range []string{"config.json", singleName} {
		t.Run(name, func(t *testing.T) {
			dir := good.save(t)
			require.NoError(t, os.Chmod(filepath.Join(dir, name), 0))
			require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
			dropRoot(t)
			_, err := Open(t.Context(), dir)
			require.EqualError(t, err, dir+"/"+name+": permission denied; make it readable (chmod u+r, or go+r for other users)")
			require.True(t, errors.Is(err, fs.ErrPermission))
		})
	}
}

// FuzzIndex looks for panics and for accepted indices that name a file outside the folder.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(sharded()[indexName]))
	for _, seed := range []string{``, `{}`, `{"weight_map":{"a":"../b.safetensors"}}`,
		`{"weight_map":{"a":"/b.safetensors"}}`, `{"weight_map":{"a":1}}`, `{"weight_map":{"a":"b\\c.safetensors","":""}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		index, err := parseIndex(t.Context(), data)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.NotEmpty(t, index)
		for _, shard := range index {
			require.True(t, filepath.IsLocal(shard))
		}
	})
}
