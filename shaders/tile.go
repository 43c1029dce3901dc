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

// narrow is the cut of any matrix. The others are for codes, which they load in twice the width.
var narrow = Tile{8, 8, 1}

// tiles are all that kernels are made for.
var tiles = []Tile{
	narrow, {8, 8, 2}, {8, 8, 4}, {8, 16, 1}, {8, 16, 2}, {8, 16, 4}, {4, 16, 1}, {4, 16, 2}, {4, 16, 4},
}

// made tells whether there is a kernel of an op for a tile and a format. Gate and up, and the head, have rows enough
// without a split.
func (t Tile) made(op string, f Format) bool {
	return (t.Columns == narrow.Columns || f == Q4 || f == Q8) && (t.Split == 1 || op == "qkv" || op == "out")
}

// Shape is a matrix of which a GEMV computes the product with one token.
type Shape struct {
	Op         string // "qkv", "out" (of down, too), "gate_up" or "head"
	Format     Format // of the weights
	Group      int    // columns that share a scale, 0 where there are none
	Rows, Cols int    // of the matrix; of "qkv" the rows of all matrices that are stored alike, of "gate_up" of both
}

// Tiles gives the tiles that can compute a shape, the built-in choice first.
func (s Shape) Tiles() []Tile {
	first := s.builtIn()
	all := []Tile{first}
	for _, t := range tiles {
		if t != first && s.takes(t) {
			all = append(all, t)
		}
	}
	return all
}

// takes tells whether a tile can compute the shape. The four lanes of a quad have columns of one group.
func (s Shape) takes(t Tile) bool {
	for _, known := range tiles {
		if t == known {
			quad := 4 * t.Columns
			return t.made(s.Op, s.Format) && (t.Columns == narrow.Columns || s.Group%quad == 0 && s.Cols%quad == 0)
		}
	}
	return false
}

// builtIn is the choice for a device on which nothing was measured. By the instructions counted on G13, 8x16 is the
// best for codes. Out, Down and QKV of GLM-4-9B are 512 to 576 simdgroups of eight rows, about 3 for each scheduler of
// a GPU with 40 cores, too few to hide latency: a split doubles them, unless it leaves simdgroups without columns.
func (s Shape) builtIn() Tile {
	const mostRows = 8192 // of a split: 6 for each such scheduler without it
	t := narrow
	if wide := (Tile{8, 16, 1}); s.takes(wide) {
		t = wide
	}
	split := t
	split.Split = 2
	if s.Rows <= mostRows && s.Cols >= split.Split*32*split.Columns && s.takes(split) {
		return split
	}
	return t
}

// Tuning is the fastest tile of shapes, as measured on a device.
type Tuning map[Shape]Tile

// For gives the tile for a shape: the built-in one where none was measured or the measured one cannot compute it.
func (t Tuning) For(s Shape) Tile {
	if measured, ok := t[s]; ok && s.takes(measured) {
		return measured
	}
	return s.builtIn()
}
