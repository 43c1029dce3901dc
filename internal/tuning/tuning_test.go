package tuning

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/shaders"
)

var (
	builtIn = shaders.Tile{Rows: 8, Columns: 8, Split: 1}
	wide    = shaders.Tile{Rows: 8, Columns: 16, Split: 1}
	split   = shaders.Tile{Rows: 4, Columns: 16, Split: 2}

	out = shaders.Shape{Op: "out", Format: shaders.Q4, Group: 64, Rows: 4096, Cols: 4096}
	key = Key{"Apple M9", "27.1", "abc"}
)

// withTiles lets a shape have three tiles.
func withTiles(t *testing.T) {
	before := tilesOf
	tilesOf = func(shaders.Shape) []shaders.Tile { return []shaders.Tile{builtIn, wide, split} }
	t.Cleanup(func() { tilesOf = before })
}

func measured(one, two, three float64) Measured {
	return Measured{out, 9 << 20, map[shaders.Tile]float64{builtIn: one, wide: two, split: three}}
}

func TestNoiseReplacesTheBuiltInTile(t *testing.T) {
	withTiles(t)
	require.Equal(t, builtIn, measured(1, 0.985, 0.99).Best())
	require.Equal(t, wide, measured(1, 0.97, 0.975).Best())
	require.Equal(t, split, measured(1, 0.975, 0.97).Best())
	require.Equal(t, builtIn, measured(1, 2, 3).Best())
	require.Equal(t, builtIn, measured(1, 0, 0).Best(), "which were not measured")
	require.Empty(t, Of([]Measured{measured(1, 0.985, 1)}))
	require.Equal(t, shaders.Tuning{out: split}, Of([]Measured{measured(1, 1, 0.5)}))
}

func TestSavedTuningIsNotLoaded(t *testing.T) {
	withTiles(t)
	folder := filepath.Join(t.TempDir(), "not", "there", "yet")
	for _, c := range []struct {
		seconds float64
		want    shaders.Tuning
	}{{0.5, shaders.Tuning{out: wide}}, {1, shaders.Tuning{}}} { // the second file takes the first one's place
		path, err := Save(folder, key, []Measured{measured(1, c.seconds, 1)})
		require.NoError(t, err)
		require.Equal(t, key.Path(folder), path)
		got, note := Load(folder, key)
		require.Empty(t, note)
		require.Equal(t, c.want, got)
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	text, err := os.ReadFile(key.Path(folder))
	require.NoError(t, err)
	require.Contains(t, string(text), `"gb_s": 0.009437184`, "the figures")
}

func TestAnotherKeyHasTheSameFile(t *testing.T) {
	paths := map[string]bool{}
	for _, k := range []Key{key, {"Apple M8", "27.1", "abc"}, {"Apple M9", "27.2", "abc"}, {"Apple M9", "27.1", "abd"},
		{"Apple M9 2", "7.1", "abc"}, {}} {
		paths[k.Path("")] = true
	}
	require.Len(t, paths, 6)
	require.NotEmpty(t, KeyOf("a chip").Shaders)
}

func TestFileThatCannotBeUsedIsUsed(t *testing.T) {
	withTiles(t)
	good, err := json.Marshal(stored{key, []storedShape{
		{"out", "q4", 64, 4096, 4096, storedTile{8, 16, 1, 0}, nil}}})
	require.NoError(t, err)
	replace := func(from, to string) string {
		require.Contains(t, string(good), from)
		return strings.Replace(string(good), from, to, 1)
	}
	for name, c := range map[string]struct{ text, note string }{
		"empty":          {"", "unexpected end of JSON input"},
		"torn":           {string(good[:len(good)/2]), "unexpected end of JSON input"},
		"two":            {string(good) + string(good), "after top-level value"},
		"another kind":   {"[]", "cannot unmarshal array"},
		"another type":   {replace("4096", `"many"`), "cannot unmarshal string"},
		"another chip":   {replace("Apple M9", "Apple M1"), `it is of chip "Apple M1"`},
		"other shaders":  {replace("abc", "abd"), `shaders "abd", not of "Apple M9", "27.1" and "abc"`},
		"unknown format": {replace("q4", "q5"), `shapes[0].format is "q5"`},
		"unknown tile":   {replace(`"columns":16`, `"columns":-16`), "shapes[0].tile is 8x-16, which cannot compute out"},
		"no rows":        {replace("4096", "0"), "which cannot compute out of [0, 4096]"},
		"long":           {string(good) + strings.Repeat(" ", limit), "more than 262144 bytes long"},
		"deep":           {strings.Repeat("[", 200_000), "exceeded max depth"},
		"no text":        {"\xff\xfe\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			require.NoError(t, os.WriteFile(key.Path(folder), []byte(c.text), 0o644))
			got, note := Load(folder, key)
			require.Nil(t, got)
			require.Contains(t, note, "the built-in tiles are taken: "+key.Path(folder))
			require.Contains(t, note, c.note)
			require.Contains(t, note, "remove the file or run glm4-metal doctor")
		})
	}
}

func TestWhatIsNoFileHangs(t *testing.T) {
	folder := t.TempDir()
	got, note := Load(folder, key)
	require.Nil(t, got)
	require.Empty(t, note, "no file is as good as any")
	require.NoError(t, unix.Mkfifo(key.Path(folder), 0o644))
	got, note = Load(folder, key)
	require.Nil(t, got)
	require.Contains(t, note, "a named pipe")
	_, err := Save(folder, key, nil)
	require.ErrorContains(t, err, "a named pipe")
}
