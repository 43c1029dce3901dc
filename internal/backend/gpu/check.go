package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// laneElements is which elements of an 8x8 matrix, counted row by row, a lane holds where Apple's GPUs are known: as
// place_of in attention.metal and Place in gemm.metal have it.
func laneElements(lane int) (first, second int) {
	at := (lane/16*4+lane/2%4)*8 + lane/8%2*4 + lane%2*2
	return at, at + 1
}

// checkLanes finds out where the elements of simdgroup matrices lie, which no document tells.
func (d *Device) checkLanes() error {
	s, err := d.newStream()
	if err != nil {
		return err
	}
	defer s.Close()
	held, err := d.NewBuffer(64)
	if err != nil {
		return err
	}
	defer held.Close()
	add(s, variant{kernel: shaders.MatrixLanes}, shaders.ProbeArgs{One: 1}, [3]int{1, 1, 1}, 0, floats(held, 0, 64))
	if err := errors.Join(s.Submit(), s.Wait(0)); err != nil {
		return err
	}
	for lane := range 32 {
		first, second := laneElements(lane)
		if got := held.Floats()[2*lane:]; got[0] != float32(first) || got[1] != float32(second) {
			return fmt.Errorf("metal: simdgroup matrices lie otherwise in the lanes of this GPU, %s: lane %d holds elements "+
				"%v and %v, expected %d and %d, all lanes %v: %w; use the CPU and report it", d.info.Device, lane, got[0],
				got[1], first, second, held.Floats(), backend.ErrUnsupported)
		}
	}
	return nil
}

// checkProducts multiplies with one token and with many, by vectors and by simdgroup matrices, numbers whose products
// are exact in any order. A GPU whose lanes hold other elements of a matrix, or whose compiler is wrong, must not be
// used.
func (d *Device) checkProducts() (err error) {
	const rows, cols, group = 72, 64, 64
	code := func(row, col int) int { return (7*row + 3*col) % 16 }
	data := make([]byte, rows*cols/2)
	for i := range data {
		row, col := 2*i/cols, 2*i%cols
		data[i] = byte(code(row, col) | code(row, col+1)<<4)
	}
	halves := func(bits uint16) (b []byte) {
		for range rows * cols / group {
			b = binary.LittleEndian.AppendUint16(b, bits)
		}
		return b
	}
	store := d.Map(nil, nil)
	defer func() { err = errors.Join(err, store.Close()) }()
	m, err := store.NewMatrix(backend.MatrixData{Name: "of a check", Rows: rows, Cols: cols, Format: backend.Q4,
		Data: data, GroupSize: group, Scales: halves(0x3800), Biases: halves(0xC200), ScaleFormat: backend.F16}) // 0.5, -3
	if err != nil {
		return err
	}
	s, err := d.NewStream()
	if err != nil {
		return err
	}
	defer s.Close()
	for _, n := range []int{1, 20} {
		if err := d.checkProduct(s, m, n, code); err != nil {
			return err
		}
	}
	return nil
}

// checkProduct multiplies the matrix of 0.5·code - 3 with n tokens.
func (d *Device) checkProduct(s backend.Stream, m backend.Matrix, n int, code func(row, col int) int) error {
	rows, cols := m.Shape()
	x, err := d.NewBuffer(n * cols)
	if err != nil {
		return err
	}
	defer x.Close()
	y, err := d.NewBuffer(n * rows)
	if err != nil {
		return err
	}
	defer y.Close()
	value := func(token, col int) float32 { return float32((5*token+col)%9-4) / 8 }
	for i := range x.Floats() {
		x.Floats()[i] = value(i/cols, i%cols)
	}
	s.Out(y, x, m, n)
	if err := errors.Join(s.Submit(), s.Wait(0)); err != nil {
		return err
	}
	for i, got := range y.Floats() {
		var want float32
		for col := range cols {
			want += value(i/rows, col) * (0.5*float32(code(i%rows, col)) - 3)
		}
		if got != want {
			return fmt.Errorf("metal: %s computes wrong products: %v for %v, with %d tokens: %w; use the CPU and report it",
				d.info.Device, got, want, n, backend.ErrUnsupported)
		}
	}
	return nil
}
