package hub

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

// writeGolden makes the cache that huggingface_hub had after a commit.
func writeGolden(t *testing.T, g golden, tree map[string]string, cache string) {
	contents := map[string][]byte{hubtest.File{Data: nil, LFS: true}.SHA256(): {}}
	add := func(data []byte) { contents[hubtest.File{Data: data, LFS: true}.SHA256()] = data }
	for _, files := range g.Commits {
		for _, f := range files {
			data, err := base64.StdEncoding.DecodeString(f.Data)
			require.NoError(t, err)
			add(data)
		}
	}
	for commit, listing := range g.Listings {
		add([]byte(commit))
		add([]byte(listing))
	}
	add([]byte("Signature: 8a477f597d28d172789f06886806bc55\n" +
		"# This file is a cache directory tag created by huggingface_hub.\n" +
		"# For information about cache directory tags, see:\n#\thttps://bford.info/cachedir/\n"))
	for name, content := range tree {
		path := filepath.Join(cache, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			require.NoError(t, os.Symlink(target, path))
			continue
		}
		data, ok := contents[content]
		require.True(t, ok, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
}

var pythonCommits = []string{strings.Repeat("1", 40), strings.Repeat("2", 40)}

// pythonCache is a Hub on what huggingface_hub wrote.
func pythonCache(t *testing.T) *Hub {
	g := readGolden(t)
	h := New(Settings{Cache: filepath.Join(t.TempDir(), "hub")})
	h.Describe = describeTest
	writeGolden(t, g, g.Trees[1], h.Settings.Cache)
	return h
}

func TestPythonsCacheIsNotRead(t *testing.T) {
	h := pythonCache(t)
	root := filepath.Join(h.Settings.Cache, "models--mlx-community--tiny-glm")
	folder, err := h.Find(testName)
	require.NoError(t, err)
	require.Equal(t, root+"/snapshots/"+pythonCommits[1], folder)
	folder, err = h.Find(testName + "@" + pythonCommits[0])
	require.NoError(t, err)
	require.Equal(t, root+"/snapshots/"+pythonCommits[0], folder)

	list, err := h.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	for i, c := range list {
		require.NoError(t, c.Broken)
		require.Equal(t, testName, c.Repository)
		require.Equal(t, pythonCommits[i], c.Commit)
		require.Equal(t, root+"/snapshots/"+pythonCommits[i], c.Folder)
		require.Equal(t, "glm4", c.Family)
		require.Equal(t, 4, c.Bits)
		require.WithinDuration(t, time.Now(), c.LastUsed, time.Hour)
		var size int64
		for path, f := range readGolden(t).repository(t, c.Commit) {
			if wanted(path) {
				size += int64(len(f.Data))
			}
		}
		require.Equal(t, size, c.Size)
	}
	require.Empty(t, list[0].Revisions)
	require.Equal(t, []string{"main"}, list[1].Revisions)
}

func TestBrokenCheckpointIsListedAsWhole(t *testing.T) {
	h := pythonCache(t)
	folder, err := h.Find(testName)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		spoil func() error
		says  string
	}{
		"shard": {func() error { return os.Remove(folder + "/model-00002-of-00002.safetensors") },
			"lacks model-00002-of-00002.safetensors"},
		"tokenizer": {func() error { return os.Remove(folder + "/tokenizer.json") }, "lacks tokenizer.json"},
		"template":  {func() error { return os.Remove(folder + "/chat_template.jinja") }, "lacks chat_template.jinja"},
		"index":     {func() error { return os.Remove(folder + "/" + indexName) }, "lacks model.safetensors, " + indexName},
		"index of another": {func() error {
			return rewrite(folder+"/"+indexName, `{"weight_map": {"a": "../../x.safetensors"}}`)
		}, "outside of the folder"},
		"index that is none": {func() error { return rewrite(folder+"/"+indexName, `{"weight`) }, "unexpected end"},
		"index of nothing":   {func() error { return rewrite(folder+"/"+indexName, `{}`) }, "names no file"},
		"config":             {func() error { return rewrite(folder+"/config.json", `{`) }, "config.json: unexpected end"},
		"blob": {func() error {
			blob, err := filepath.EvalSymlinks(folder + "/config.json")
			require.NoError(t, err)
			return os.Remove(blob)
		}, "which does not exist; download the file again"},
	} {
		h = pythonCache(t)
		folder, err = h.Find(testName)
		require.NoError(t, err)
		require.NoError(t, c.spoil(), name)
		list, err := h.List()
		require.NoError(t, err)
		require.Len(t, list, 2, name)
		broken := list[1]
		if broken.Commit != filepath.Base(folder) {
			broken = list[0]
		}
		require.ErrorContains(t, broken.Broken, c.says, name)
		if !strings.HasPrefix(name, "config") {
			_, err = h.Find(testName)
			var part *IncompleteError
			require.ErrorAs(t, err, &part, name)
			require.ErrorContains(t, err, testName+": not whole in ", name)
		}
	}
}

// rewrite replaces a link by a file.
func rewrite(path, text string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

func TestListHasWhatIsNone(t *testing.T) {
	h := pythonCache(t)
	cache := h.Settings.Cache
	for path, text := range map[string]string{
		"models--meta--llama/snapshots/" + testCommit + "/config.json":       `{"model_type": "llama"}`,
		"models--mlx-community--tiny-glm/snapshots/not-a-commit/config.json": `{"model_type": "glm4"}`,
		"models--nobody/snapshots/" + testCommit + "/config.json":            `{"model_type": "glm4"}`,
		"datasets--a--b/snapshots/" + testCommit + "/config.json":            `{"model_type": "glm4"}`,
		"models--a--..--b/snapshots/" + testCommit + "/config.json":          `{"model_type": "glm4"}`,
		"models--a--b/refs/main":                                      testCommit,
		"models--mlx-community--tiny-glm/refs/pr/1":                   pythonCommits[0],
		"models--mlx-community--tiny-glm/refs/main.01234567.tmp":      pythonCommits[0],
		"../mine/one/config.json":                                     `{"model_type": "glm4"}`,
		"../mine/two/config.json":                                     `{"model_type": "bert"}`,
		"../mine/three/readme":                                        ``,
		"../mine/file":                                                ``,
		"models--c--d/snapshots/" + testCommit + "/model.safetensors": ``,
		"models--c--e/snapshots/" + testCommit + "/tokenizer.json":    ``,
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(cache, path)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(cache, path), []byte(text), 0o600))
	}
	mine := filepath.Join(filepath.Dir(cache), "mine")
	list, err := h.List(mine, mine+"/none")
	require.NoError(t, err)
	var folders []string
	for _, c := range list {
		folders = append(folders, strings.TrimPrefix(c.Folder, filepath.Dir(cache)+"/"))
	}
	const snapshots = "hub/models--mlx-community--tiny-glm/snapshots/"
	require.Equal(t, []string{"mine/one", snapshots + pythonCommits[0], snapshots + pythonCommits[1]}, folders)
	require.ErrorContains(t, list[0].Broken, "lacks tokenizer.json, model.safetensors")
	require.Equal(t, []string{"pr/1"}, list[1].Revisions)
	require.Equal(t, []string{"main"}, list[2].Revisions)

	h.Settings.Cache = mine + "/none"
	list, err = h.List()
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestFindTakesTheWrongFolder(t *testing.T) {
	h := pythonCache(t)
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.MkdirAll("here/model", 0o755))
	require.NoError(t, os.WriteFile("here/model/config.json", []byte("{}"), 0o600))
	require.NoError(t, os.MkdirAll(testName, 0o755)) // an empty folder is not in the way of the cache
	for name, want := range map[string]string{
		"here/model": "here/model", "./here/model": "./here/model", dir + "/here/model/": dir + "/here/model/",
		testName: filepath.Join(h.Settings.Cache, "models--mlx-community--tiny-glm/snapshots", pythonCommits[1]),
	} {
		folder, err := h.Find(name)
		require.NoError(t, err, name)
		require.Equal(t, want, folder)
	}
	for name, fails := range map[string]string{
		"here": "holds no config.json", "./none": "no such file", "/none/model": "no such file", "a/b/c": "no such file", "": "is no model",
		"nothing": "is no model", "a/b": "a/b is not in ", "glm4:9b": "glm4:9b is not in ", "a/b@x/../y": "no revision",
		testName + "@dev": testName + "@dev is not in ", "../" + testName: "no such file",
	} {
		_, err := h.Find(name)
		require.ErrorContains(t, err, fails, name)
	}
}
