package model

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

const hubName = "mlx-community/GLM-4-9B-0414-4bit"

// startHub serves the demo under the name of a real checkpoint, to an environment with an empty cache.
func startHub(t *testing.T) *hubtest.Hub {
	h := hubtest.New(t, hubName, hubtest.Files(t, demo.FS()))
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
		"HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_SYMLINKS"} {
		t.Setenv(name, "")
	}
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_ENDPOINT", h.URL)
	t.Chdir(t.TempDir())
	return h
}

func TestPulledModelIsNotFound(t *testing.T) {
	h := startHub(t)
	ctx := t.Context()
	var done, total int64
	folder, err := Pull(ctx, "glm4:9b-4bit", func(d, all int64) { done, total = d, all })
	require.NoError(t, err)
	require.Equal(t, total, done)
	require.Positive(t, total)

	h.Change(func() {
		h.Fault = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			t.Errorf("%s %s: what is here was asked for", r.Method, r.URL)
			return false
		}
	})
	for _, name := range []string{"glm4:9b-4bit", hubName, hubName + "@main", hubName + "@" + hubtest.Commit, folder} {
		found, err := Find(name)
		require.NoError(t, err, name)
		require.Equal(t, folder, found)
	}
	m, err := Load(ctx, "glm4:9b-4bit", Backend("cpu"))
	require.NoError(t, err)
	require.Equal(t, "glm4:9b-4bit", m.Info().Name)
	require.NoError(t, m.Close())
	text, err := OpenText(ctx, hubName, "")
	require.NoError(t, err)
	require.Positive(t, text.VocabSize())
	c, err := OpenCheckpoint(ctx, hubName)
	require.NoError(t, err)
	require.Equal(t, folder, c.Dir)
	require.NoError(t, c.Close())

	require.NoError(t, os.CopyFS(hubName, demo.FS()))
	found, err := Find(hubName)
	require.NoError(t, err)
	require.Equal(t, hubName, found, "a folder goes before the cache")
	require.NoError(t, os.Remove(filepath.Join(folder, "tokenizer.json")))
	_, err = Find("glm4:9b-4bit")
	var missing *NotFoundError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, []string{"tokenizer.json"}, missing.Missing)
	require.ErrorContains(t, err, "it lacks tokenizer.json")
}

func TestMissingModelIsNotExplained(t *testing.T) {
	h := startHub(t)
	require.NoError(t, os.MkdirAll("org/other", 0o700))
	cache := filepath.Join(os.Getenv("HF_HOME"), "hub")
	for _, test := range []struct {
		name, repository, near string
		want                   string
	}{
		{"glm4:9b-4bit", hubName, "", "glm4:9b-4bit: there is no such folder, and it is not in " + cache},
		{hubName + "@v2", hubName, "", "it is not in " + cache},
		{"glm4:9b-4bits", "", "glm4:9b-4bit", "glm4:9b-4bits: there is no such folder or model; did you mean glm4:9b-4bit?"},
		{"GLM4", "", "glm4:9b", "did you mean glm4:9b?"},
		{"nothing", "", "", "org/name as on the hub, or one of glm4:9b, "},
	} {
		_, err := Find(test.name)
		var missing *NotFoundError
		require.ErrorAs(t, err, &missing, test.name)
		require.Equal(t, []string{test.repository, test.near}, []string{missing.Repository, missing.Near}, test.name)
		require.Equal(t, test.name, missing.Name)
		require.ErrorContains(t, err, test.want)
		require.ErrorIs(t, err, fs.ErrNotExist)
		for _, load := range []func() error{
			func() error { _, err := Load(t.Context(), test.name); return err },
			func() error { _, err := OpenText(t.Context(), test.name, ""); return err },
			func() error { _, err := OpenCheckpoint(t.Context(), test.name); return err },
		} {
			require.EqualError(t, load(), err.Error())
		}
	}
	for name, want := range map[string]string{
		"":                            "the name of the model is empty",
		"./nothing":                   "./nothing: there is no such folder",
		"/no/such/folder":             "there is no such folder",
		"https://hub.example/org/one": "there is no such folder",
		"org/other":                   "org/other: an empty folder",
		"org":                         "org: no checkpoint",
	} {
		_, err := Find(name)
		require.ErrorContains(t, err, want, name)
		var missing *NotFoundError
		require.False(t, errors.As(err, &missing), name)
	}
	require.Empty(t, h.Log(), "looking asked the hub")
}

func TestPullTakesWhatCannotRun(t *testing.T) {
	h := startHub(t)
	config := hubtest.File{Data: []byte(`{"model_type": "llama"}`)}
	h.Change(func() { h.Commits[hubtest.Commit]["config.json"] = config })
	_, err := Pull(t.Context(), hubName, nil)
	require.ErrorIs(t, err, ErrUnsupported)
	require.Zero(t, h.Gets("model.safetensors"))
	h.Change(func() { delete(h.Commits[hubtest.Commit], "model.safetensors") })
	_, err = Pull(t.Context(), hubName, nil)
	require.ErrorIs(t, err, ErrUnsupported)
	h.Log()
	for _, name := range []string{"", "glm4:9b-4bits", "./nothing"} {
		_, want := Find(name)
		_, err := Pull(t.Context(), name, nil)
		require.EqualError(t, err, want.Error())
	}
	require.NoError(t, os.CopyFS("m", demo.FS()))
	_, err = Pull(t.Context(), "m", nil)
	require.ErrorContains(t, err, "m: a folder, for which nothing is fetched")
	require.Empty(t, h.Log())
	t.Setenv("HF_ENDPOINT", "ftp://hub.example")
	_, err = Find(hubName)
	require.ErrorContains(t, err, "HF_ENDPOINT is ftp://hub.example")
}
