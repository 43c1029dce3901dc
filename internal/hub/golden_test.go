package hub

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

// golden is what huggingface_hub does; scripts/goldens/hub/make.py has written it.
type golden struct {
	Repository string
	Commits    map[string]map[string]goldenFile
	Trees      []map[string]string // a cache after each commit: links' targets and files' sha256
	Listings   map[string]string   // trees/commit.json
	Git        map[string]map[string]string
	Wanted     map[string]bool
	Settings   []struct {
		Env  map[string]string
		Want struct {
			Cache     string
			TokenFile string `json:"token_file"`
			Token     string
			Endpoint  string
			Offline   bool
			Links     bool
			Answer    float64
			Idle      float64
		}
	}
	Names map[string]string // to the folder of the repository, "" where it is refused
}

type goldenFile struct {
	Data string
	LFS  bool
}

func readGolden(t testing.TB) (g golden) {
	data, err := os.ReadFile("testdata/python.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &g))
	require.Len(t, g.Trees, 2)
	return g
}

// repository gives the files of a commit to a hub of ours.
func (g golden) repository(t testing.TB, commit string) map[string]hubtest.File {
	files := map[string]hubtest.File{}
	for path, f := range g.Commits[commit] {
		data, err := base64.StdEncoding.DecodeString(f.Data)
		require.NoError(t, err)
		files[path] = hubtest.File{Data: data, LFS: f.LFS}
	}
	return files
}
