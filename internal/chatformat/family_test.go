package chatformat

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFamilyMeansATokenThatItLacks(t *testing.T) {
	types := map[string]bool{}
	for _, f := range families {
		for _, token := range slices.Concat(f.Prefix, f.Ends, []string{f.Assistant}) {
			require.Contains(t, f.Control, token)
		}
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(f.Control))), len(f.Control))
		for _, name := range f.ModelTypes {
			require.False(t, types[name], "%s is in two families", name)
			types[name] = true
			require.Same(t, f, FamilyOf(name))
		}
	}
	require.Nil(t, FamilyOf("llama"))
	require.Same(t, families[0], FamilyOf(""))
}
