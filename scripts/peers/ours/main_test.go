package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

// A prompt that is found in a cache and tokens that are not generated take no time.
func TestRunDoesLessThanItCounts(t *testing.T) {
	m, err := model.Load(context.Background(), "")
	require.NoError(t, err)
	defer m.Close()
	ids := []int32{5, 6, 7, 8, 9, 10, 11, 12}
	for range 2 {
		r, err := run(context.Background(), m, ids, 40)
		require.NoError(t, err)
		require.Equal(t, len(ids), r.PromptTokens)
		require.Zero(t, r.CachedTokens)
		require.Equal(t, 40, r.CompletionTokens)
	}
}

func TestPhaseNotTimed(t *testing.T) {
	for _, behind := range []bool{false, true} {
		f, err := measure(context.Background(), "", 8, 2, behind)
		require.NoError(t, err)
		require.Positive(t, f.PromptSeconds)
		require.Positive(t, f.GenerateSeconds)
		require.Positive(t, f.LoadSeconds)
		require.Positive(t, f.Bandwidth)
		require.Positive(t, f.Deliverable)
		require.Equal(t, behind, f.BehindSpeed > 0)
	}
}

func TestNoTokens(t *testing.T) {
	_, err := measure(context.Background(), "", 0, 1, false)
	require.ErrorContains(t, err, "--prompt is 0")
	_, err = measure(context.Background(), "", 1, 0, false)
	require.ErrorContains(t, err, "--generate is 0")
}
