package gpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Only powers of two move between codes that are read as halves and codes that are converted, in any tile.
func TestHalfCodesRoundOtherwise(t *testing.T) {
	random := backendtest.NewRandom()
	system := openMetal(t, false)
	open := func() *Device {
		d, err := Open(system)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		require.EqualValues(t, 1, d.kernels.halfCodes, "the probe")
		return d
	}
	devices := [2]*Device{open(), open()}
	require.Empty(t, devices[1].Notes())
	devices[1].kernels.halfCodes = 0
	require.Equal(t, []string{"subnormal halves are not kept, so codes are converted, which is slower"}, devices[1].Notes())
	for _, s := range backendtest.Storages {
		if !s.Format.Quantised() {
			continue
		}
		data := random.Matrix(40, s.Columns(520), s)
		alike := func(n int, tile any) {
			x := random.Floats(n*data.Cols, 1)
			var got [2][]float32
			for i, d := range devices {
				m, err := d.NewMatrix(data)
				require.NoError(t, err)
				in, err := d.NewBuffer(len(x))
				require.NoError(t, err)
				copy(in.Floats(), x)
				out, err := d.NewBuffer(n * data.Rows)
				require.NoError(t, err)
				stream, err := d.NewStream()
				require.NoError(t, err)
				stream.Out(out, in, m, n)
				require.NoError(t, stream.Submit())
				require.NoError(t, stream.Wait(0))
				got[i] = out.Floats()
				require.NoError(t, stream.Close())
			}
			require.Equal(t, got[0], got[1], "%v, %d tokens, %v", s, n, tile)
		}
		format, err := formatOf(s.Format)
		require.NoError(t, err)
		shape := shaders.Shape{Op: "out", Format: format, Group: s.Group, Rows: data.Rows, Cols: data.Cols}
		for _, tile := range shape.Tiles() {
			for _, d := range devices {
				d.Tune(shaders.Tuning{shape: tile})
			}
			alike(1, tile)
		}
		for _, n := range []int{3, 7, 12, 13} { // gemvs with 4, 8 and 12 tokens, gemm
			alike(n, "")
		}
	}
}
