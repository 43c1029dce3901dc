//go:build linux && (amd64 || arm64)

package metalsim

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLanguagesShareWhatDiffers(t *testing.T) {
	built := func(source, language string) os.FileInfo {
		path, err := Compile(source, Options{LanguageVersion: language})
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info
	}
	const plain = "kernel void one(device int *x [[buffer(0)]]) { x[0] = 1; }"
	require.True(t, os.SameFile(built(plain, "2.4"), built(plain, "3.2")), "compiled twice")
	require.False(t, os.SameFile(built(plain, "2.4"), built(plain, "4.0")), "C++14 and C++17")
	const asks = "kernel void one(device int *x [[buffer(0)]]) { x[0] = __METAL_VERSION__; }"
	require.False(t, os.SameFile(built(asks, "2.4"), built(asks, "3.2")))
}
