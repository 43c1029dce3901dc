package loader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// maxIndex and maxConfig bound files that are read whole. The index of a checkpoint of 2,000 tensors has 200 kB.
const (
	maxIndex  = 64 << 20
	maxConfig = 4 << 20
)

// weightFiles returns the names of the safetensors files, sorted, and the index if there is one.
func weightFiles(ctx context.Context, dir string, fsys fs.FS) (files []string, index map[string]string, err error) {
	if _, err := fs.Stat(fsys, singleName); err == nil {
		return []string{singleName}, nil, nil
	} else if err = textfile.Explain(dir+"/"+singleName, err); !textfile.Absent(err) {
		return nil, nil, err
	}
	data, err := textfile.ReadFS(fsys, dir, indexName, maxIndex)
	if textfile.Absent(err) {
		return nil, nil, explainNoWeights(dir, fsys)
	}
	if err != nil {
		return nil, nil, err
	}
	if index, err = parseIndex(ctx, data); err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, fmt.Errorf("%s/%s: %w", dir, indexName, err)
	}
	shards := map[string]bool{}
	for _, shard := range index {
		shards[shard] = true
	}
	return slices.Sorted(maps.Keys(shards)), index, nil
}

// parseIndex reads model.safetensors.index.json: which shard holds which tensor. It goes token by token, so that it
// ends with ctx.
func parseIndex(ctx context.Context, data []byte) (map[string]string, error) {
	index, err := parseWeightMap(ctx, data)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("not a valid index: %w", err)
	case len(index) == 0:
		return nil, errors.New("weight_map is missing or empty; it must name the file of every tensor")
	}
	for _, tensor := range slices.Sorted(maps.Keys(index)) {
		shard := index[tensor]
		if !fs.ValidPath(shard) || strings.Contains(shard, `\`) || !strings.HasSuffix(shard, ".safetensors") ||
			printable(shard) != shard {
			return nil, fmt.Errorf("weight_map puts tensor %s in %s; it must be a .safetensors file inside the folder",
				quote(tensor), quote(shard))
		}
	}
	return index, nil
}

func parseWeightMap(ctx context.Context, data []byte) (map[string]string, error) {
	r := &jsonReader{ctx: ctx, data: data, end: maxEntry}
	dec := json.NewDecoder(r)
	if err := expect(dec, '{'); err != nil {
		return nil, err
	}
	const maxOthers = 1000
	others := 0
	index := map[string]string{}
	for dec.More() {
		r.end = int(dec.InputOffset()) + maxEntry
		field, err := dec.Token()
		if err != nil {
			return nil, err
		}
		if field != "weight_map" {
			var other json.RawMessage
			if err := dec.Decode(&other); err != nil {
				return nil, err
			}
			if others++; others > maxOthers {
				return nil, fmt.Errorf("more than %d fields beside weight_map", maxOthers)
			}
			continue
		}
		if err := expect(dec, '{'); err != nil {
			return nil, fmt.Errorf("weight_map: %w", err)
		}
		for dec.More() {
			r.end = int(dec.InputOffset()) + maxEntry
			tensor, err := dec.Token()
			if err != nil {
				return nil, err
			}
			shard, err := dec.Token()
			if err != nil {
				return nil, err
			}
			file, ok := shard.(string)
			if !ok {
				return nil, fmt.Errorf("weight_map has %v for tensor %s; it must be the name of a file", shard,
					quote(tensor.(string)))
			}
			if index[tensor.(string)] = file; len(index) > maxTensors {
				return nil, fmt.Errorf("weight_map has more than %d tensors", maxTensors)
			}
		}
		if err := expect(dec, '}'); err != nil {
			return nil, err
		}
	}
	return index, expect(dec, '}')
}

// checkIndex checks that each tensor is in the shard that the index names.
func checkIndex(dir string, index map[string]string, stored map[string]Tensor) error {
	for _, name := range slices.Sorted(maps.Keys(index)) {
		shard := index[name]
		t, ok := stored[name]
		if !ok {
			return fmt.Errorf("%s/%s: tensor %s is missing, but %s says that it is in this file; download both again", dir,
				shard, quote(name), indexName)
		}
		if t.File != shard {
			return fmt.Errorf("%s/%s: tensor %s should be in %s but is in %s; download them again", dir, indexName, quote(name),
				shard, t.File)
		}
	}
	return nil
}
