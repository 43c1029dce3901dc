// Package tuning keeps which tiles of the GEMVs are the fastest on a chip, as doctor has measured them, in a file of
// the user's cache. Nothing depends on it: without one, or with one that cannot be used, the built-in tiles are taken.
package tuning

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Key is what measurements hold for.
type Key struct {
	Chip    string `json:"chip"`    // as Metal calls it
	System  string `json:"system"`  // version of macOS, "" elsewhere
	Shaders string `json:"shaders"` // hash of their text
}

// KeyOf is the key of a chip on this system with these shaders.
func KeyOf(chip string) Key { return Key{chip, metal.SystemVersion(), shaders.Hash()} }

// Measured is what a product takes with each tile.
type Measured struct {
	shaders.Shape
	Bytes   int                      // of the weights
	Seconds map[shaders.Tile]float64 // medians
}

// tilesOf gives the tiles of a shape, the built-in one first; tests have more of them.
var tilesOf = shaders.Shape.Tiles

// worth is how much faster than the built-in tile another one has to be: medians scatter by less.
const worth = 1.02

// Best is the fastest tile, or the built-in one where that is hardly slower.
func (m Measured) Best() shaders.Tile {
	tiles := tilesOf(m.Shape)
	best, least := tiles[0], m.Seconds[tiles[0]]/worth
	for _, tile := range tiles[1:] {
		if s := m.Seconds[tile]; s > 0 && s < least {
			best, least = tile, s
		}
	}
	return best
}

// Of is the tuning that measurements ask for.
func Of(all []Measured) shaders.Tuning {
	t := shaders.Tuning{}
	for _, m := range all {
		if best := m.Best(); best != tilesOf(m.Shape)[0] {
			t[m.Shape] = best
		}
	}
	return t
}

// Folder is where the files are, in the user's cache folder.
func Folder() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "glm4-metal"), err
}

// Path is the file of a key in a folder.
func (k Key) Path(folder string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", k.Chip, k.System, k.Shaders))
	return filepath.Join(folder, "tuning-"+hex.EncodeToString(sum[:6])+".json")
}

// limit is the longest file that is read, in bytes; one of all tiles has a tenth of it.
const limit = 256 << 10

// stored is what a file holds.
type stored struct {
	Key
	Shapes []storedShape `json:"shapes"`
}

type storedShape struct {
	Op     string       `json:"op"`
	Format string       `json:"format"`
	Group  int          `json:"group"`
	Rows   int          `json:"rows"`
	Cols   int          `json:"columns"`
	Tile   storedTile   `json:"tile"`  // that is taken
	Tiles  []storedTile `json:"tiles"` // all, the built-in one first
}

type storedTile struct {
	Rows    int     `json:"rows"`
	Columns int     `json:"columns"`
	Split   int     `json:"split"`
	Rate    float64 `json:"gb_s"` // of weights, in GB of 1000
}

var formats = map[string]shaders.Format{
	"f32": shaders.F32, "f16": shaders.F16, "bf16": shaders.BF16, "q4": shaders.Q4, "q8": shaders.Q8}

// FormatName is what a format is called.
func FormatName(f shaders.Format) string {
	for name, is := range formats {
		if is == f {
			return name
		}
	}
	return fmt.Sprintf("format %d", f)
}

// Save replaces the file of a key with measurements, and makes the folder where there is none. It gives the path.
func Save(folder string, k Key, all []Measured) (path string, err error) {
	path = k.Path(folder)
	file := stored{Key: k, Shapes: []storedShape{}}
	for _, m := range all {
		tile := func(t shaders.Tile) storedTile {
			s := storedTile{Rows: t.Rows, Columns: t.Columns, Split: t.Split}
			if seconds := m.Seconds[t]; seconds > 0 {
				s.Rate = float64(m.Bytes) / seconds / 1e9
			}
			return s
		}
		s := storedShape{m.Op, FormatName(m.Format), m.Group, m.Rows, m.Cols, tile(m.Best()), nil}
		for _, t := range tilesOf(m.Shape) {
			s.Tiles = append(s.Tiles, tile(t))
		}
		file.Shapes = append(file.Shapes, s)
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return path, fmt.Errorf("%s: %w", path, err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return path, textfile.Explain(folder, err)
	}
	return path, textfile.Replace(path, append(text, '\n'), 0o644)
}

// Load gives the tuning of a key, nil where there is none. The note, "" for none, tells why a file that is there is not
// used.
func Load(folder string, k Key) (t shaders.Tuning, note string) {
	path := k.Path(folder)
	t, err := load(path, k)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Sprintf("the built-in tiles are taken: %v; remove the file or run glm4-metal doctor", err)
	}
	return t, ""
}

func load(path string, k Key) (shaders.Tuning, error) {
	text, err := textfile.Read(path, limit)
	if err != nil {
		return nil, err
	}
	var file stored
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if file.Key != k {
		return nil, fmt.Errorf("%s: it is of chip %q, system %q and shaders %q, not of %q, %q and %q", path, file.Chip,
			file.System, file.Shaders, k.Chip, k.System, k.Shaders)
	}
	t := shaders.Tuning{}
	for i, s := range file.Shapes {
		format, ok := formats[s.Format]
		if !ok {
			return nil, fmt.Errorf("%s: shapes[%d].format is %q, expected f32, f16, bf16, q4 or q8", path, i, s.Format)
		}
		shape := shaders.Shape{Op: s.Op, Format: format, Group: s.Group, Rows: s.Rows, Cols: s.Cols}
		tile := shaders.Tile{Rows: s.Tile.Rows, Columns: s.Tile.Columns, Split: s.Tile.Split}
		if s.Rows <= 0 || s.Cols <= 0 || !slices.Contains(tilesOf(shape), tile) {
			return nil, fmt.Errorf("%s: shapes[%d].tile is %v, which cannot compute %s of [%d, %d]", path, i, tile, s.Op,
				s.Rows, s.Cols)
		}
		if tile != tilesOf(shape)[0] {
			t[shape] = tile
		}
	}
	return t, nil
}
