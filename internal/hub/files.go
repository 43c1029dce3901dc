package hub

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// patterns are the files that are fetched of a checkpoint: those that mlx_lm fetches, so that it finds its snapshot
// whole, and the licence. As there, * stands for slashes too.
var patterns = []string{
	"*.json", "model*.safetensors", "*.py", "tokenizer.model", "*.tiktoken", "tiktoken.model", "*.txt", "*.jsonl",
	"*.jinja", "LICENSE*",
}

// wanted tells whether a file is one of a checkpoint's.
func wanted(path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		before, after, star := strings.Cut(p, "*")
		if !star {
			return path == p
		}
		return len(path) >= len(before)+len(after) && strings.HasPrefix(path, before) && strings.HasSuffix(path, after)
	})
}

const (
	configName = "config.json"
	indexName  = "model.safetensors.index.json"
	singleName = "model.safetensors"

	maxConfig = 4 << 20
	maxIndex  = 64 << 20
)

var tokenizerNames = []string{"tokenizer.json", "tokenizer.model"}

// missingOf lists what a checkpoint lacks of a configuration, a tokenizer and every shard that its index names. have
// tells whether a file is there; index is that file's text, nil if there is none.
func missingOf(have func(name string) bool, index []byte) (missing []string, err error) {
	if !have(configName) {
		missing = append(missing, configName)
	}
	if !slices.ContainsFunc(tokenizerNames, have) {
		missing = append(missing, tokenizerNames[0])
	}
	if have(singleName) {
		return missing, nil
	}
	if index == nil {
		return append(missing, singleName), nil
	}
	var fields struct {
		Shards map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(index, &fields); err != nil {
		return missing, fmt.Errorf("%s: %w", indexName, err)
	}
	shards := map[string]bool{}
	for _, name := range fields.Shards {
		shards[name] = true
	}
	if len(shards) == 0 {
		return missing, fmt.Errorf("%s: weight_map names no file", indexName)
	}
	for _, name := range slices.Sorted(maps.Keys(shards)) {
		if !filepath.IsLocal(name) {
			return missing, fmt.Errorf("%s: weight_map names the file %q, outside of the folder", indexName, clip(name))
		}
		if !have(name) {
			missing = append(missing, name)
		}
	}
	return missing, nil
}
