package model

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/device"
	"github.com/glm4-metal/glm4-metal/loader"
)

// copied copies a checkpoint to a folder of its own, and gives the file of its weights.
func copied(t *testing.T, from string) (dir, weights string) {
	dir = t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
	return dir, filepath.Join(dir, "model.safetensors")
}

func requireFault(t *testing.T, err error, file string) {
	t.Helper()
	var f *loader.FaultError
	require.ErrorAs(t, err, &f)
	require.Equal(t, file, f.File)
	require.ErrorContains(t, err, file+": the file has shrunk from ")
}

// smallIDs are in every vocabulary.
func smallIDs(n int) []int32 {
	ids := randomIDs(n)
	for i := range ids {
		ids[i] %= 100
	}
	return ids
}

// onPaths runs a test on the GPU and on each path of the CPU that this machine has.
func onPaths(t *testing.T, test func(t *testing.T, on loadOptions)) {
	tried := 0
	for _, path := range []string{"plain", "avx2", "avx512", "neon", "neon-dot"} {
		t.Setenv("GLM4_CPU", path)
		if d, _, err := device.Open("cpu"); err == nil {
			_, err = d.NewMatrix(backend.MatrixData{Rows: 1, Cols: 1, Data: make([]byte, 4)})
			require.NoError(t, d.Close())
			if err != nil {
				continue // not here
			}
		}
		tried++
		t.Run(path, func(t *testing.T) { test(t, loadOptions{backend: "cpu"}) })
	}
	require.GreaterOrEqual(t, tried, 1)
	t.Run("metal", func(t *testing.T) { test(t, onMetal(t)) })
}

func TestTruncatedWeightsEndTheProcess(t *testing.T) {
	onPaths(t, func(t *testing.T, on loadOptions) {
		for _, from := range []string{"testdata/glm4-c", "testdata/mlx-4bit-g64"} {
			if on.open != nil && from == "testdata/mlx-4bit-g64" {
				continue // its weights are copied
			}
			for _, o := range []Options{{MaxTokens: 9, IgnoreEOS: true},
				{MaxTokens: 9, IgnoreEOS: true, Temperature: 1, TopK: 5}} {
				dir, weights := copied(t, from)
				m := openTestdata(t, dir, on)
				s := m.NewSession()
				n := 0
				var failed error
				for _, err := range s.GenerateTokens(context.Background(), smallIDs(20), o) {
					if n++; n == 3 {
						require.NoError(t, os.Truncate(weights, 0))
					}
					failed = err
				}
				requireFault(t, failed, weights)
				require.Equal(t, FinishError, s.Result().FinishReason)
				for _, later := range []*Session{s, m.NewSession()} {
					for _, err := range later.GenerateTokens(context.Background(), smallIDs(20), o) {
						requireFault(t, err, weights)
					}
					_, err := later.Logits(context.Background(), smallIDs(5), 1)
					requireFault(t, err, weights)
					require.NoError(t, later.Close())
				}
				require.NoError(t, m.Close())
			}
		}
	})
}

// What the sizes do not show, the step itself must: its pages go while it runs.
func TestTruncatedWeightsEndTheProcessWithinAStep(t *testing.T) {
	onPaths(t, func(t *testing.T, on loadOptions) {
		dir, weights := copied(t, "testdata/glm4-c")
		m := openTestdata(t, dir, on)
		s := m.NewSession()
		collect(t, s, smallIDs(20), Options{MaxTokens: 3, IgnoreEOS: true})
		require.NoError(t, s.begin())
		defer s.mu.Unlock()
		s.truncate(0)
		require.NoError(t, os.Truncate(weights, 0))
		for _, n := range []int{1, 30} {
			requireFault(t, m.explain(s.step(t.Context(), smallIDs(n), s.logits, 1, nil, nil)), weights)
			require.Zero(t, s.Len())
		}
	})
}

func TestEndOfTheWeightsReadsAsZeros(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		dir, weights := copied(t, "testdata/glm4-c")
		m := openTestdata(t, dir, on)
		info, err := os.Stat(weights)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(weights, info.Size()-1))
		for _, err := range m.NewSession().GenerateTokens(context.Background(), smallIDs(20), Options{}) {
			requireFault(t, err, weights)
		}
	})
}

func TestWeightsThatNobodyReadsAnyMore(t *testing.T) {
	dir, weights := copied(t, "testdata/mlx-4bit-g64")
	m := openTestdata(t, dir, onMetal(t))
	o := Options{MaxTokens: 5, IgnoreEOS: true}
	want := collect(t, m.NewSession(), smallIDs(20), o)
	require.NoError(t, os.Truncate(weights, 0))
	require.Equal(t, want, collect(t, m.NewSession(), smallIDs(20), o), "the GPU has copies of all")
}

func TestWeightsShrinkDuringLoad(t *testing.T) {
	onDevices(t, func(t *testing.T, on loadOptions) {
		for _, from := range []string{"testdata/glm4-c", "testdata/mlx-4bit-g64"} {
			dir, weights := copied(t, from)
			c, err := loader.Open(t.Context(), dir)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(weights, 4096))
			_, err = newModel(c, on)
			requireFault(t, err, weights)
			require.NoError(t, c.Close())
		}
	})
}
