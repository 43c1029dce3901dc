package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/loader"
)

// small is the model cut down to one layer and few tokens.
func small(t *testing.T, bits int) options {
	o := options{out: filepath.Join(t.TempDir(), "model"), bits: bits, layers: 1, group: 64, vocab: 512, align: 16384,
		seed: 7}
	require.NoError(t, o.check(nil))
	return o
}

func TestLoaderOpensIt(t *testing.T) {
	for _, bits := range []int{4, 16} {
		o := small(t, bits)
		size, err := create(context.Background(), o)
		require.NoError(t, err)
		c, err := loader.Open(t.Context(), o.out)
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, size, c.Bytes())
		require.True(t, c.Aligned(256))
		require.Empty(t, c.Unused())
		require.Equal(t, []int32{498, 505, 507}, c.Config.EOS)
		template, err := loader.ChatTemplate(c.FS(), c.Dir)
		require.NoError(t, err)
		require.Equal(t, string(chatTemplate), template)
		norm, err := c.Vector("model.layers.0.post_mlp_layernorm.weight")
		require.NoError(t, err)
		require.InDelta(t, 1, norm[17], 0.3)

		m, err := c.Matrix("model.layers.0.mlp.down_proj")
		require.NoError(t, err)
		sum, squares, n := 0.0, 0.0, 0.0
		row := make([]float32, m.Cols)
		for r := range 16 {
			m.Dequantize(row, r)
			for _, v := range row {
				sum, squares, n = sum+float64(v), squares+float64(v)*float64(v), n+1
			}
		}
		require.InDelta(t, 0, sum/n, 0.0005, "%d bits", bits)
		require.InDelta(t, 0.02, math.Sqrt(squares/n), 0.0005, "%d bits", bits)

		entries, err := os.ReadDir(filepath.Dir(o.out))
		require.NoError(t, err)
		require.Len(t, entries, 1, "no temporary folder is left")
		_, err = create(context.Background(), o)
		require.EqualError(t, err, o.out+" is not empty; give a folder that does not exist or is empty")
	}
}

func TestInterruptLeavesNothing(t *testing.T) {
	o := small(t, 16)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := create(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	entries, err := os.ReadDir(filepath.Dir(o.out))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestShapesAddUpToThePublishedModel(t *testing.T) {
	parameters := func(o options) (n int64) {
		for _, t := range tensors(o) {
			n += t.info().Bytes() / 2
		}
		return n
	}
	require.EqualValues(t, 9_400_279_040, parameters(options{bits: 16, layers: 40, group: 64, vocab: 151552}))
}

func TestSpecialTokensHaveTheirIDs(t *testing.T) {
	o := options{vocab: 151552, seed: 1}
	require.Equal(t, []int{151329, 151336, 151338}, o.endTokens())
	model := tokenizer(o)["model"].(object)
	require.Len(t, model["vocab"], 151329)
	require.Len(t, model["merges"], 151329-256)
}
