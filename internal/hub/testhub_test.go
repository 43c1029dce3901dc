package hub

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

const (
	testName   = "mlx-community/tiny-glm"
	testCommit = hubtest.Commit
)

// testHub is a hub that has one commit.
type testHub struct{ *hubtest.Hub }

func newHub(t testing.TB, files map[string]hubtest.File) *testHub {
	return &testHub{hubtest.New(t, testName, files)}
}

// tinyFiles is a checkpoint of two shards.
func tinyFiles() map[string]hubtest.File {
	shard := func(n int, b byte) hubtest.File {
		return hubtest.File{Data: bytes.Repeat([]byte{b, b + 1, b + 2}, n), LFS: true}
	}
	return map[string]hubtest.File{
		"README.md":   {Data: []byte("# Tiny")},
		"config.json": {Data: []byte(`{"model_type": "glm4", "quantization": {"bits": 4}}`)},
		"model.safetensors.index.json": {Data: []byte(`{"weight_map": {"a": "model-00001-of-00002.safetensors",
			"b": "model-00002-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}}`)},
		"model-00001-of-00002.safetensors": shard(50000, 1),
		"model-00002-of-00002.safetensors": shard(40000, 7),
		"tokenizer.json":                   shard(1000, 20),
		"tokenizer_config.json":            {Data: []byte("{}")},
		"sub/chat.jinja":                   {Data: []byte("[gMASK]<sop>")},
	}
}

// testClient is a Hub that asks h, with time that passes at once.
type testClient struct {
	*Hub
	mutex   sync.Mutex
	slept   []time.Duration
	notices []string
}

func (h *testHub) client(t testing.TB) *testClient {
	c := &testClient{Hub: New(Settings{
		Cache: filepath.Join(t.TempDir(), "hub"), Endpoint: h.URL, Token: "hf_secret",
		AnswerTimeout: time.Minute, IdleTimeout: time.Minute,
	})}
	c.Describe = describeTest
	c.Notice = func(line string) {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.notices = append(c.notices, line)
	}
	c.clock.sleep = func(ctx context.Context, d time.Duration) error {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.slept = append(c.slept, d)
		return ctx.Err()
	}
	return c
}

func (c *testClient) pull(t testing.TB) string {
	folder, err := c.Pull(t.Context(), testName, nil)
	require.NoError(t, err)
	return folder
}

// cacheTree lists a cache: links' targets, and sha256 of files.
func cacheTree(t testing.TB, cache string) map[string]string {
	tree := map[string]string{}
	require.NoError(t, filepath.WalkDir(cache, func(path string, e os.DirEntry, err error) error {
		name, _ := filepath.Rel(cache, path)
		switch {
		case err != nil || e.IsDir():
			return err
		case e.Type()&os.ModeSymlink != 0:
			to, err := os.Readlink(path)
			tree[name] = "-> " + to
			return err
		}
		data, err := os.ReadFile(path)
		tree[name] = hubtest.File{Data: data, LFS: true}.SHA256()
		return err
	}))
	return tree
}

// requireWhole checks a snapshot against the hub, and that nothing half is left.
func (h *testHub) requireWhole(t testing.TB, c *testClient, folder string) {
	for path, f := range h.Commits[h.Main] {
		data, err := os.ReadFile(filepath.Join(folder, path))
		if !wanted(path) {
			require.Error(t, err, path)
			continue
		}
		require.NoError(t, err, path)
		require.True(t, bytes.Equal(f.Data, data), path)
	}
	for name := range cacheTree(t, c.Settings.Cache) {
		require.NotContains(t, name, ".incomplete")
		require.NotContains(t, name, ".tmp")
	}
}
