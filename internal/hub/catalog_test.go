package hub

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCatalogContradictsItself(t *testing.T) {
	names, repositories := map[string]bool{}, map[string]bool{}
	for i, k := range Catalog() {
		require.Equal(t, k.Name, Names()[i])
		found, ok := Find(k.Name)
		require.True(t, ok, k.Name)
		require.Equal(t, k, found)
		require.False(t, names[k.Name], "%s twice", k.Name)
		require.False(t, repositories[k.Repository], "%s twice", k.Repository)
		names[k.Name], repositories[k.Repository] = true, true

		_, size, _ := strings.Cut(k.Name, ":")
		size, kind, _ := strings.Cut(size, "-")
		require.Contains(t, strings.ToLower(k.Repository), size, "the size")
		total := k.Config.Sizes().Total().Params
		billions := map[string]float64{"1.5b": 1.47, "9b": 9.40, "32b": 32.57}[size] // as llama.cpp prints the latter two
		require.InDelta(t, billions*1e9, total, 0.006e9, k.Name)

		q := k.Config.Quantization
		if !strings.HasSuffix(kind, "bit") {
			require.Zero(t, q, k.Name)
			require.True(t, strings.HasPrefix(k.Repository, "zai-org/"), k.Name)
			continue
		}
		require.Equal(t, kind, fmt.Sprintf("%dbit", q.Bits), k.Name)
		require.True(t, strings.HasPrefix(k.Repository, "mlx-community/"), k.Name)
		require.True(t, strings.HasSuffix(k.Repository, "-"+kind), k.Name)
	}
	require.NotEmpty(t, names)
}

func TestNameThatIsNearlyRightIsFound(t *testing.T) {
	for _, name := range []string{"", "glm4", "glm4:9b-", "GLM4:9b", "glm4:9b-4bit ", "mlx-community/GLM-4-9B-0414-4bit"} {
		_, ok := Find(name)
		require.False(t, ok, name)
	}
}

func TestCallerSpoilsTheCatalog(t *testing.T) {
	list := Catalog()
	list[0].Name = "another"
	require.NotEqual(t, "another", Catalog()[0].Name)
}
