package device

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/tuning"
	"github.com/glm4-metal/glm4-metal/shaders"
)

func TestNameStandsForAnotherDevice(t *testing.T) {
	for _, name := range []string{"", "auto", "cpu"} {
		d, why, err := Open(name)
		require.NoError(t, err)
		if name == "cpu" || !gpu.Preferred {
			require.Equal(t, "cpu", d.Info().Backend, "%q", name)
		}
		require.NotEmpty(t, why)
		require.NoError(t, d.Close())
	}
	_, _, err := Open("cuda")
	require.EqualError(t, err, `unknown backend "cuda"; the backends are auto, metal and cpu`)
}

// tuned is a device that remembers its tiles.
type tuned struct {
	chip  string
	tiles shaders.Tuning
}

func (t *tuned) Info() backend.Info    { return backend.Info{Device: t.chip} }
func (t *tuned) Tune(s shaders.Tuning) { t.tiles = s }

func TestFasterTileIsNotTaken(t *testing.T) {
	folder := t.TempDir()
	shape := shaders.Shape{Op: "out", Format: shaders.Q4, Group: 64, Rows: 4096, Cols: 4096}
	fast := shape.Tiles()[3]
	seconds := map[shaders.Tile]float64{}
	for _, tile := range shape.Tiles() {
		seconds[tile] = 2
	}
	seconds[fast] = 1
	_, err := tuning.Save(folder, tuning.KeyOf("a chip"),
		[]tuning.Measured{{Shape: shape, Bytes: 9437184, Seconds: seconds}})
	require.NoError(t, err)
	same, other := &tuned{chip: "a chip"}, &tuned{chip: "another"}
	tune(same, folder)
	tune(other, folder)
	require.Equal(t, fast, same.tiles.For(shape))
	require.Equal(t, shape.Tiles()[0], other.tiles.For(shape))
}
