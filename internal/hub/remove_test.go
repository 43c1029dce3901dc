package hub

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const tinyFolder = "models--mlx-community--tiny-glm"

func TestRemovingOneRevisionTakesTheOthersFiles(t *testing.T) {
	g := readGolden(t)
	h := pythonCache(t)
	before := cacheTree(t, h.Settings.Cache)
	plan, err := h.Removal(testName + "@main")
	require.NoError(t, err)
	require.Equal(t, []string{pythonCommits[1]}, plan.Commits)
	require.Equal(t, before, cacheTree(t, h.Settings.Cache), "removed by planning")
	// Two files are of the second commit alone: a shard and a configuration.
	second := g.repository(t, pythonCommits[1])
	require.EqualValues(t, len(second["model-00002-of-00002.safetensors"].Data)+len(second["tokenizer_config.json"].Data), plan.Freed)
	require.NoError(t, plan.Do())

	// As if the second commit had never been.
	want := g.Trees[0]
	delete(want, tinyFolder+"/refs/main") // led to it
	for name, content := range before {
		if strings.HasPrefix(name, ".locks/") {
			want[name] = content
		}
	}
	require.Equal(t, want, cacheTree(t, h.Settings.Cache))
	_, err = h.Find(testName + "@" + pythonCommits[0])
	require.NoError(t, err)
	_, err = h.Find(testName)
	require.Error(t, err)
	_, err = h.Removal(testName + "@" + pythonCommits[1])
	var missing *NotHereError
	require.ErrorAs(t, err, &missing)
}

func TestRemovingLeavesSomething(t *testing.T) {
	for _, name := range []string{testName, testName + "@" + pythonCommits[0]} {
		h := pythonCache(t)
		root := filepath.Join(h.Settings.Cache, tinyFolder)
		if strings.Contains(name, "@") { // the last revision takes all along
			plan, err := h.Removal(testName + "@main")
			require.NoError(t, err)
			require.NoError(t, plan.Do())
		}
		for path, text := range map[string]string{
			root + "/blobs/" + strings.Repeat("a", 64) + ".01234567.incomplete": "partial",
			root + "/.no_exist/" + pythonCommits[0] + "/adapter_config.json":    "",
			root + "/refs/pr/7": pythonCommits[0],
			filepath.Join(h.Settings.Cache, "models--a--b/refs/main"): testCommit,
		} {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
		plan, err := h.Removal(name)
		require.NoError(t, err)
		require.Greater(t, plan.Freed, int64(7+3000))
		require.NoError(t, plan.Do())
		require.NoDirExists(t, root)
		for path := range cacheTree(t, h.Settings.Cache) {
			require.True(t, strings.HasPrefix(path, ".locks/") || path == "CACHEDIR.TAG" || path == "models--a--b/refs/main", path)
		}
	}
}

func TestRemovingFollowsALink(t *testing.T) {
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	require.NoError(t, os.WriteFile(precious, []byte("x"), 0o600))
	for name, plant := range map[string]func(root string) error{
		"file":     func(root string) error { return os.Symlink(precious, root+"/snapshots/"+pythonCommits[1]+"/x.json") },
		"folder":   func(root string) error { return os.Symlink(outside, root+"/snapshots/"+pythonCommits[1]+"/x") },
		"snapshot": func(root string) error { return os.Symlink(outside, root+"/snapshots/"+strings.Repeat("3", 40)) },
		"blob":     func(root string) error { return os.Symlink(precious, root+"/blobs/"+strings.Repeat("3", 40)) },
	} {
		h := pythonCache(t)
		require.NoError(t, plant(filepath.Join(h.Settings.Cache, tinyFolder)), name)
		plan, err := h.Removal(testName)
		require.NoError(t, err, name)
		require.NoError(t, plan.Do(), name)
		require.FileExists(t, precious, name)
		require.NoDirExists(t, filepath.Join(h.Settings.Cache, tinyFolder), name)
	}
	for _, folder := range []string{"", "blobs", "snapshots", "refs", "trees"} {
		h := pythonCache(t)
		at := filepath.Join(h.Settings.Cache, tinyFolder, folder)
		moved := filepath.Join(t.TempDir(), "moved")
		require.NoError(t, os.Rename(at, moved))
		require.NoError(t, os.Symlink(moved, at))
		_, err := h.Removal(testName)
		require.ErrorContains(t, err, "out of the cache; nothing was removed", folder)
	}
}

// A snapshot of another repository that links to a blob of this one keeps it.
func TestRemovingTakesWhatAnotherRepositoryNeeds(t *testing.T) {
	h := pythonCache(t)
	shared := readGolden(t).repository(t, pythonCommits[0])[testShard]
	other := filepath.Join(h.Settings.Cache, "models--a--b/snapshots", testCommit)
	require.NoError(t, os.MkdirAll(other, 0o755))
	require.NoError(t, os.Symlink("../../../"+tinyFolder+"/blobs/"+shared.ETag(), other+"/model.safetensors"))
	plan, err := h.Removal(testName)
	require.NoError(t, err)
	require.NoError(t, plan.Do())
	data, err := os.ReadFile(other + "/model.safetensors")
	require.NoError(t, err)
	require.Equal(t, shared.Data, data)
	require.Len(t, slices.Collect(maps.Keys(plan.left(t))), 1)
}

// left lists the blobs that are there still.
func (p *Removal) left(t *testing.T) map[string]string {
	return cacheTree(t, filepath.Join(p.dir, "blobs"))
}

func TestRemovingWhatIsFetchedMeanwhile(t *testing.T) {
	h := pythonCache(t)
	before := cacheTree(t, h.Settings.Cache)
	shard := readGolden(t).repository(t, pythonCommits[0])[testShard]
	l, err := takeLock(context.Background(), filepath.Join(h.Settings.Cache, ".locks", tinyFolder, shard.ETag()+".lock"), true, nil)
	require.NoError(t, err)
	plan, err := h.Removal(testName)
	require.NoError(t, err)
	require.ErrorContains(t, plan.Do(), "nothing was removed")
	require.Equal(t, before, cacheTree(t, h.Settings.Cache))
	l.release()
	require.NoError(t, plan.Do())
}

func TestRemovingANameThatIsNoneHere(t *testing.T) {
	h := pythonCache(t)
	for _, name := range []string{"a/b", "glm4:9b", testName + "@dev"} {
		_, err := h.Removal(name)
		var missing *NotHereError
		require.ErrorAs(t, err, &missing, name)
	}
	for _, name := range []string{"..", "../..", "", "/", "a/..", testName + "@../../x"} {
		_, err := h.Removal(name)
		require.Error(t, err, name)
	}
	mine := filepath.Join(t.TempDir(), "mine")
	require.NoError(t, os.MkdirAll(mine, 0o755))
	require.NoError(t, os.WriteFile(mine+"/config.json", []byte("{}"), 0o600))
	_, err := h.Removal(mine)
	require.ErrorContains(t, err, "none of the cache's")
}

// The same repository under its old name is what a name of the new one means when only that is here.
func TestRemovingUnderTheOtherName(t *testing.T) {
	h := pythonCache(t)
	root := filepath.Join(h.Settings.Cache, tinyFolder)
	require.NoError(t, os.Rename(root, filepath.Join(h.Settings.Cache, "models--THUDM--tiny")))
	plan, err := h.Removal("zai-org/tiny")
	require.NoError(t, err)
	require.Equal(t, "THUDM/tiny", plan.Repository)
	require.NoError(t, os.MkdirAll(filepath.Join(h.Settings.Cache, "models--zai-org--tiny/snapshots", testCommit), 0o755))
	plan, err = h.Removal("zai-org/tiny")
	require.NoError(t, err)
	require.Equal(t, "zai-org/tiny", plan.Repository)
}
