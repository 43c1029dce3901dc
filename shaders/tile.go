package shaders

import "fmt"

// Tile is how the GEMVs for one token cut a matrix: a simdgroup computes Rows rows, of each of which a lane takes
// Columns columns at a time, and Split simdgroups share the columns of the same rows. Which is the fastest depends on
// the chip.
type Tile struct{ Rows, Columns, Split int }

// String writes a tile as "8x16", or with a split "8x16/2".
func (t Tile) String() string {
	if t.Split == 1 {
		return fmt.Sprintf("%dx%d", t.Rows, t.Columns)
	}
	return fmt.Sprintf("%dx%d/%d", t.Rows, t.Columns, t.Split)
}

// Shape is a matrix of which a GEMV computes the product with one token.
type Shape struct {
	Op         string // "qkv", "out" (of down, too), "gate_up" or "head"
	Format     Format // of the weights
	Group      int    // columns that share a scale, 0 where there are none
	Rows, Cols int
}

// Tiles gives the tiles that can compute a shape, the built-in choice first.
func (s Shape) Tiles() []Tile { return []Tile{{8, 8, 1}} }

// Tuning is the fastest tile of shapes, as measured on a device.
type Tuning map[Shape]Tile

// For gives the tile for a shape: the built-in one where none was measured or the measured one cannot compute it.
func (t Tuning) For(s Shape) Tile { return s.Tiles()[0] }
