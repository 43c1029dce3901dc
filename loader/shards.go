package loader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
)

const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// maxSmall bounds the files that are read whole: configs, indices, templates.
const maxSmall = 64 << 20

// readSmall reads a file whole. The error wraps fs.ErrNotExist if there is none.
func readSmall(dir string, fsys fs.FS, name string) ([]byte, error) {
	path := dir + "/" + name
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, readError(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, readError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err != nil {
		return nil, readError(path, err)
	}
	if len(data) > maxSmall {
		return nil, fmt.Errorf("%s: more than %d bytes long; it must be a small text file", path, maxSmall)
	}
	if isLFSPointer(data) {
		return nil, lfsError(path)
	}
	return data, nil
}

// checkFolder says what a path is that cannot be a checkpoint.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w; give the folder of a checkpoint", dir, fs.ErrNotExist)
	}
	if err != nil {
		return readError(dir, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: a file; a checkpoint is the folder that holds config.json and %s", dir, singleName)
	}
	return nil
}

// explainNoConfig says what a folder without config.json holds instead.
func explainNoConfig(dir string, fsys fs.FS, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case first(fsys, "snapshots/*/config.json") != "":
		return fmt.Errorf("%s: no checkpoint but its hub cache; give the folder %s/%s", dir, dir, strings.TrimSuffix(first(fsys, "snapshots/*/config.json"), "/config.json"))
	case first(fsys, "*.gguf") != "":
		return fmt.Errorf("%s: holds a GGUF file, %s, which cannot be read; take the safetensors checkpoint of the same model", dir, first(fsys, "*.gguf"))
	case first(fsys, "*.safetensors") != "":
		return fmt.Errorf("%s: has weights (%s) but no config.json; download it from where they came", dir, first(fsys, "*.safetensors"))
	}
	return fmt.Errorf("%s: no checkpoint: it holds no config.json (a checkpoint has config.json, %s, tokenizer.json)", dir, singleName)
}

// first returns the first name that matches, "" if none.
func first(fsys fs.FS, pattern string) string {
	names, _ := fs.Glob(fsys, pattern)
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// weightFiles returns the names of the safetensors files, sorted, and the index if there is one.
func weightFiles(dir string, fsys fs.FS) (files []string, index map[string]string, err error) {
	if _, err := fs.Stat(fsys, singleName); err == nil {
		return []string{singleName}, nil, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, readError(dir+"/"+singleName, err)
	}
	data, err := readSmall(dir, fsys, indexName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, explainNoWeights(dir, fsys)
	}
	if err != nil {
		return nil, nil, err
	}
	if index, err = parseIndex(data); err != nil {
		return nil, nil, fmt.Errorf("%s/%s: %w", dir, indexName, err)
	}
	shards := map[string]bool{}
	for _, shard := range index {
		shards[shard] = true
	}
	return slices.Sorted(maps.Keys(shards)), index, nil
}

// explainNoWeights says what a folder without safetensors holds instead.
func explainNoWeights(dir string, fsys fs.FS) error {
	for _, pattern := range []string{"*.safetensors", "pytorch_model*.bin", "*.pt", "*.pth", "*.gguf", "*.npz"} {
		name := first(fsys, pattern)
		if name == "" {
			continue
		}
		if pattern == "*.safetensors" {
			return fmt.Errorf("%s: has %s but neither %s nor %s, which says what the other shards are; download it", dir, name, singleName, indexName)
		}
		return fmt.Errorf("%s: its weights are in %s, which cannot be read; take a safetensors checkpoint, or save this one again with transformers' save_pretrained(safe_serialization=True)", dir, name)
	}
	return fmt.Errorf("%s: no weights: it holds neither %s nor %s; download them", dir, singleName, indexName)
}

// parseIndex reads model.safetensors.index.json: which shard holds which tensor.
func parseIndex(data []byte) (map[string]string, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("not a valid index: %w", err)
	}
	if len(index.WeightMap) == 0 {
		return nil, errors.New("weight_map is missing or empty; it must name the file of every tensor")
	}
	for _, tensor := range slices.Sorted(maps.Keys(index.WeightMap)) {
		shard := index.WeightMap[tensor]
		if !fs.ValidPath(shard) || strings.Contains(shard, `\`) || !strings.HasSuffix(shard, ".safetensors") || strings.ContainsFunc(shard, unicode.IsControl) {
			return nil, fmt.Errorf("weight_map puts tensor %s in %s; it must be a .safetensors file inside the folder", quote(tensor), quote(shard))
		}
	}
	return index.WeightMap, nil
}

// checkIndex checks that each tensor is in the shard that the index names.
func checkIndex(dir string, index map[string]string, stored map[string]Tensor) error {
	for _, name := range slices.Sorted(maps.Keys(index)) {
		shard := index[name]
		t, ok := stored[name]
		if !ok {
			return fmt.Errorf("%s/%s: tensor %s is missing, but %s says that it is in this file; download both again", dir, shard, quote(name), indexName)
		}
		if t.File != shard {
			return fmt.Errorf("%s/%s: tensor %s should be in %s but is in %s; download them again", dir, indexName, quote(name), shard, t.File)
		}
	}
	return nil
}

// isLFSPointer recognises the small text file that git puts in the place of a large one it did not download.
// Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
func isLFSPointer(data []byte) bool {
	return bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/"))
}

func lfsError(path string) error {
	return fmt.Errorf("%s: a Git LFS pointer instead of the file; run git lfs pull in the folder, or download the file from the hub", path)
}
