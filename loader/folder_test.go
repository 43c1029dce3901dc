package loader

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// zipped returns a zip archive with one file of that name.
func zipped(t *testing.T, name string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_, err := w.Create(name)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestFolderIsNotToldByWhatItHolds(t *testing.T) {
	good := tiny(tinyGLM4, glm4Tensors())
	config, weights := good["config.json"], good[singleName]
	adapter := files{"adapter_config.json": []byte("\xef\xbb\xbf" +
		`{"peft_type":"LORA","base_model_name_or_path":"zai-org/GLM-4-9B-0414"}`), "adapter_model.safetensors": weights}
	const adapterOf = "DIR: a LoRA adapter of zai-org/GLM-4-9B-0414 and no model; adapters cannot be applied here: " +
		"merge it into its model with mlx_lm.fuse or peft's merge_and_unload, and give the result's folder"
	for _, tt := range []struct {
		name   string
		folder files
		want   string
	}{
		{"adapter of peft", adapter, adapterOf},
		{"adapter with a config", adapter.with(files{"config.json": config}), adapterOf},
		{"adapter of MLX",
			files{"0000100_adapters.safetensors": weights,
				"adapter_config.json": []byte(`{"model":"m","fine_tune_type":"lora"}`)},
			strings.Replace(adapterOf, "zai-org/GLM-4-9B-0414", "m", 1)},
		{"GGUF under another name", files{"glm4": []byte("GGUF\x03\x00\x00\x00")},
			"DIR: no checkpoint that can be read: it holds glm4, a GGUF file, which cannot be read; take the safetensors " +
				"checkpoint of the same model"},
		{"GGUF beside a config", files{"config.json": config, "m.gguf": {1}},
			"DIR: no checkpoint that can be read: it holds m.gguf, a GGUF file, which cannot be read; take the safetensors " +
				"checkpoint of the same model"},
		{"NumPy", files{"config.json": config, "weights.npz": zipped(t, "a.npy")},
			"DIR: no checkpoint that can be read: it holds weights.npz, a file of NumPy arrays, which cannot be read; take " +
				"the safetensors checkpoint of the same model"},
		{"PyTorch", files{"consolidated.00": zipped(t, "archive/data.pkl")},
			"DIR: no checkpoint that can be read: it holds consolidated.00, a PyTorch file, which cannot be read; take a " +
				"safetensors checkpoint, or save this one again with transformers' save_pretrained(safe_serialization=True)"},
		{"ONNX", files{"model.onnx": {8, 7}},
			"DIR: no checkpoint that can be read: it holds model.onnx, an ONNX model, which cannot be read; take the " +
				"safetensors checkpoint of the same model"},
		{"archive", files{"README": {1}, "model": append(make([]byte, 257), "ustar\x0000"...)},
			"DIR: no checkpoint that can be read: it holds model, an archive; unpack it and give the folder that holds " +
				"config.json"},
		{"download that has not ended", files{"config.json": config, "model.safetensors.crdownload": weights},
			"DIR: model.safetensors.crdownload is a download that has not ended; finish it, or download the checkpoint again"},
		{"download of the hub's tool", files{".cache/huggingface/download/abc.incomplete": weights},
			"DIR: .cache/huggingface/download/abc.incomplete is a download that has not ended; finish it, or download the " +
				"checkpoint again"},
		{"browser's empty file beside the rest", good.with(files{singleName: {}, singleName + ".part": weights}),
			"DIR/model.safetensors: the file is empty; download it again; model.safetensors.part beside it shows that its " +
				"download has not ended"},
		{"truncated beside the rest", good.with(files{singleName: weights[:1000], singleName + ".incomplete": weights}),
			"DIR/model.safetensors: header length is 2936 bytes but only 992 follow: the file is truncated; download it " +
				"again; model.safetensors.incomplete beside it shows that its download has not ended"},
		{"aria2 has given it its size", good.with(files{singleName + ".aria2": {1}}),
			"DIR/model.safetensors: the file is incomplete; model.safetensors.aria2 beside it shows that its download has not " +
				"ended; finish it with aria2c -c"},
		{"folder of models", files{"a/config.json": config, "b/c/config.json": config, "x": {1}},
			"DIR: no checkpoint but a folder of them; give one: DIR/a, DIR/b/c"},
		{"hub cache", files{"models--o--n/snapshots/0123/config.json": config},
			"DIR: no checkpoint but a folder of them; give one: DIR/models--o--n/snapshots/0123"},
		{"model in the hub cache", files{"refs/main": []byte("bbb"), "snapshots/aaa/config.json": config,
			"snapshots/bbb/config.json": config}, "DIR: no checkpoint but its hub cache; give the folder DIR/snapshots/bbb"},
		{"control characters in a name", files{"\x1b]0;x\a.gguf": {1}},
			`DIR: no checkpoint that can be read: it holds "\x1b]0;x\a.gguf", a GGUF file, which cannot be read; take the safetensors checkpoint of the same model`},
		{"HTML for a config", good.with(files{"config.json": []byte("\n<!DOCTYPE html><html>")}),
			"DIR/config.json: an HTML page, such as of a login or an error, saved in place of the file; download it again"},
		{"HTML for weights", good.with(files{singleName: []byte("<html><body>sign in</body></html>")}),
			"DIR/model.safetensors: an HTML page, such as of a login or an error, saved in place of the file; download it again"},
		{"GGUF for weights", good.with(files{singleName: []byte("GGUF\x03\x00\x00\x00")}),
			"DIR/model.safetensors: a GGUF file, which cannot be read; take the safetensors checkpoint of the same model"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.folder.refused(t, tt.want)
			dir := tt.folder.save(t)
			_, err := Open(t.Context(), dir)
			require.EqualError(t, err, strings.ReplaceAll(tt.want, "DIR", dir))
		})
	}
	dir := t.TempDir()
	_, err := Open(t.Context(), dir)
	require.EqualError(t, err, dir+": an empty folder; "+wholeCheckpoint)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestFileInPlaceOfTheFolder(t *testing.T) {
	good := sharded()
	dir := good.with(files{
		"m": []byte("GGUF\x03\x00\x00\x00"), "x.gguf": {1}, "w.bin": zipped(t, "archive/data.pkl"),
		"m.zip":         zipped(t, "m/config.json"),
		"p.safetensors": []byte("version https://git-lfs.github.com/spec/v1\n"), "e.safetensors": {},
		"notes": []byte("hello"), "tokenizer.json": {'{'},
		"l.safetensors": []byte("<!doctype HTML>"),
	}).save(t)
	alone := files{shard2: good[shard2]}.save(t)
	adapter := files{"adapters.safetensors": good[shard2]}.save(t)
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for file, want := range map[string]string{
		dir + "/m":      "a GGUF file, which cannot be read; take the safetensors checkpoint of the same model",
		dir + "/x.gguf": "a GGUF file, which cannot be read; take the safetensors checkpoint of the same model",
		dir + "/w.bin": "a PyTorch file, which cannot be read; take a safetensors checkpoint, or save " +
			"this one again with transformers' save_pretrained(safe_serialization=True)",
		dir + "/m.zip": "an archive; unpack it and give the folder that holds config.json",
		dir + "/p.safetensors": "a Git LFS pointer instead of the file; run git lfs pull in the folder, or " +
			"download the file from the hub",
		dir + "/e.safetensors": "the file is empty; download it again",
		dir + "/l.safetensors": "an HTML page, such as of a login or an error, saved in place of the file; " +
			"download it again",
		dir + "/notes":          "a file; " + wholeCheckpoint,
		dir + "/fifo":           "neither a folder nor a file; " + wholeCheckpoint,
		dir + "/tokenizer.json": "one file of a checkpoint; give its folder, " + dir,
		dir + "/" + shard2:      "one shard of a checkpoint, file 2 of 2; give its folder, " + dir,
		alone + "/" + shard2:    "one shard of a checkpoint, file 2 of 2; " + wholeCheckpoint,
		adapter + "/adapters.safetensors": "a LoRA adapter and no model; adapters cannot be applied here: merge it into " +
			"its model with mlx_lm.fuse or peft's merge_and_unload, and give the result's folder",
	} {
		require.EqualError(t, CheckFolder(file), file+": "+want)
	}
}

func TestBrokenLinkPassesForAbsentFile(t *testing.T) {
	good := sharded().with(files{"generation_config.json": []byte("{}")})
	for name := range good {
		dir := good.with(files{name: nil}).save(t)
		require.NoError(t, os.Symlink("../../blobs/0123", filepath.Join(dir, name)))
		_, err := Open(t.Context(), dir)
		require.EqualError(t, err, dir+"/"+name+": a link to ../../blobs/0123, which does not exist; download the file again")
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	dir := t.TempDir()
	for _, name := range []string{"tokenizer.json", "model"} {
		require.NoError(t, os.Symlink("gone", filepath.Join(dir, name)))
	}
	require.EqualError(t, CheckFolder(dir), dir+
		"/tokenizer.json: a link to gone, which does not exist; download the file again")
	require.EqualError(t, CheckFolder(dir+"/model"), dir+
		"/model: a link to gone, which does not exist; download the file again")
	whole := tiny(tinyGLM4, glm4Tensors()).with(files{singleName: nil}).save(t)
	require.NoError(t, os.Symlink("gone", filepath.Join(whole, singleName)))
	_, err := Open(t.Context(), whole)
	require.EqualError(t, err, whole+"/model.safetensors: a link to gone, which does not exist; download the file again")
}

func TestUnfinishedHubDownloadIsNotTold(t *testing.T) {
	cache := t.TempDir()
	dir := cache + "/snapshots/0123"
	require.NoError(t, os.MkdirAll(cache+"/blobs", 0o755))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(cache+"/blobs/ab.incomplete", nil, 0o600))
	good := sharded()
	require.NoError(t, os.WriteFile(dir+"/config.json", good["config.json"], 0o600))
	_, err := Open(t.Context(), dir)
	require.EqualError(t, err, dir+
		": ../../blobs/ab.incomplete is a download that has not ended; finish it, or download the checkpoint again")
	for _, name := range []string{indexName, shard1} {
		require.NoError(t, os.WriteFile(dir+"/"+name, good[name], 0o600))
	}
	_, err = Open(t.Context(), dir)
	require.EqualError(t, err, dir+"/"+shard2+
		": the file is missing, but model.safetensors.index.json names it as one of 2; download it; "+
		"../../blobs/ab.incomplete is a download that has not ended")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestFolderThatMayNotBeSearched(t *testing.T) {
	dir := tiny(tinyGLM4, glm4Tensors()).save(t)
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o644))
	dropRoot(t)
	_, err := Open(t.Context(), dir)
	require.EqualError(t, err, dir+"/config.json: permission denied; the folder "+dir+
		" may not be searched (chmod u+x, or go+x for other users)")
	require.ErrorIs(t, err, fs.ErrPermission)
}

func TestLimitOfAddressSpaceIsNotNamed(t *testing.T) {
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_AS, &old))
	limit := unix.Rlimit{Cur: 1 << 50, Max: old.Max} // which nothing here exceeds
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_AS, &limit))
	defer unix.Setrlimit(unix.RLIMIT_AS, &old)
	err := explainNoShard("DIR", fstest.MapFS{}, "m", 1, fmt.Errorf("DIR/m: %w", unix.ENOMEM))
	require.EqualError(t, err,
		"DIR/m: cannot allocate memory; the address space of the process is limited to 1125899.91 GB (ulimit -v), and all "+
			"weights are mapped into it: raise the limit")
	require.ErrorIs(t, err, unix.ENOMEM)
}

// A text editor's mark, or UTF-16, changes nothing in any of the files.
func TestMarkOfAnEncodingIsReadAsText(t *testing.T) {
	good := sharded().with(files{"generation_config.json": []byte(`{"eos_token_id":[7]}`)})
	for _, name := range []string{"config.json", "generation_config.json", indexName} {
		wide := []byte{0xff, 0xfe}
		for _, b := range good[name] {
			wide = append(wide, b, 0)
		}
		for _, text := range [][]byte{append([]byte("\xef\xbb\xbf"), good[name]...), wide} {
			require.Contains(t, good.with(files{name: text}).open(t).Config.EOS, int32(7))
		}
	}
}

// stop is a context that is cancelled when it has been looked at n times.
type stop struct {
	context.Context
	n int
}

func (s *stop) Err() error {
	if s.n--; s.n < 0 {
		return context.Canceled
	}
	return nil
}

// Between two looks at the context there must not be more than a piece of JSON.
func TestHugeTextIsParsedToItsEnd(t *testing.T) {
	const pieces = 100
	long := strings.Repeat("x", pieces*jsonPiece)
	for name, parse := range map[string]func(context.Context) error{
		"header": func(ctx context.Context) error {
			_, err := readHeader(ctx, "m", file(`{"__metadata__":{"a":"`+long+`"}}`, nil))
			return err
		},
		"index": func(ctx context.Context) error {
			_, err := parseIndex(ctx,
				[]byte(`{"weight_map":{"a":"b.safetensors"`+strings.Repeat(`,"`+long[:jsonPiece]+`":"b.safetensors"`, pieces)+`}}`))
			return err
		},
	} {
		s := &stop{Context: t.Context(), n: 1 << 30}
		require.NoError(t, parse(s), name)
		require.GreaterOrEqual(t, 1<<30-s.n, pieces, name)
		require.ErrorIs(t, parse(&stop{Context: t.Context(), n: 3}), context.Canceled, name)
	}
	done, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	_, err := Open(done, sharded().save(t))
	require.Equal(t, context.DeadlineExceeded, err)
}

func TestHostileHeaderTakesMemory(t *testing.T) {
	entry := func(shape string) string { return `{"dtype":"U8","shape":[` + shape + `],"data_offsets":[0,0]}` }
	var many strings.Builder
	many.WriteString(`{"__metadata__":{}`)
	for i := range maxTensors + 1 {
		many.WriteString(`,"` + strings.Repeat("a", 1+i%3) + string(rune('0'+i%10)) + time.Duration(i).String() + `":` +
			entry("0"))
	}
	for text, want := range map[string]string{
		many.String() + "}": "header describes more than 131072 tensors",
		`{"a":` + entry("0"+strings.Repeat(",1", maxEntry)) +
			`}`: `tensor "a" is not described by a valid JSON object: a name or value is too long`,
		`{"` + strings.Repeat("a", maxEntry) + `":` + entry("0") +
			`}`: `header is not valid JSON: a name or value is too long`,
		`{"a":` + entry("0,1,1,1,1,1,1,1,1") +
			`}`: `tensor "a": shape is [0,1,1,1,1,1,1,1,1]; it must be of at most 8 dimensions`,
	} {
		_, err := readHeader(t.Context(), "m", file(text, nil))
		require.EqualError(t, err, want)
	}
	_, err := parseIndex(t.Context(), []byte(`{"metadata":[0`+strings.Repeat(",1", maxEntry)+"]}"))
	require.EqualError(t, err, "not a valid index: a name or value is too long")
	_, err = parseIndex(t.Context(), []byte(`{"a":0`+strings.Repeat(`,"a":0`, 1000)+"}"))
	require.EqualError(t, err, "not a valid index: more than 1000 fields beside weight_map")
	_, err = readHeader(t.Context(), "m", file(`{"__metadata__":{"a":"`+strings.Repeat("x", maxMetadata)+`"}}`, nil))
	require.EqualError(t, err, "__metadata__ is not an object of strings: a name or value is too long")
}
