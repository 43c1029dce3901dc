//go:build unix

package backendtest

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/fault"
)

// page is that of a GPU, which no system's exceeds.
const page = 16 << 10

// Torn is memory with some data, of which only the first pages, of 16 KiB, can be read once tear was called. The signal
// is not that of a file that has shrunk, whose address qemu does not tell, but the runtime treats them alike.
func Torn(t testing.TB, data []byte, pages int) (region []byte, tear func()) {
	memory, err := unix.Mmap(-1, 0, len(data)+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(memory)) })
	start := int(-uintptr(unsafe.Pointer(&memory[0])) % page)
	copy(memory[start:], data)
	return memory[start:][:len(data)], func() {
		require.NoError(t, unix.Mprotect(memory[start+pages*page:], unix.PROT_NONE))
	}
}

func (b *bench) fault() {
	if !b.Faults {
		return
	}
	const rows, cols = 1024, 64
	data := b.Random.Matrix(rows, cols, plain)
	region, tear := Torn(b, data.Data, 4)
	whole, err := b.d.NewMatrix(data)
	require.NoError(b, err)
	data.Data = region
	store := b.d.Map([][]byte{region}, []backend.MatrixData{data})
	torn, err := store.NewMatrix(data)
	require.NoError(b, err)
	x, y, act := b.buffer(b.Floats(3*cols, 1)), b.output(3*rows), b.output(rows/2)
	h, xn := b.output(3*cols), b.output(3*cols)
	norm, first, last := backend.Norm{Weight: b.vector(b.Floats(cols, 1))}, b.tokens(0, 1, 2), b.tokens(0, 1, rows-1)
	b.s.Out(y, x, torn, 3)
	b.run()
	tear()
	for name, op := range map[string]func(){
		"Out":    func() { b.s.Out(y, x, torn, 3) },
		"GateUp": func() { b.s.GateUp(act, x, torn, 1) },
		"Head":   func() { b.s.Head(y, x, torn, 2, 1) },
		"Embed":  func() { b.s.Embed(h, xn, last, 3, torn, norm) },
	} {
		op()
		_ = b.s.Submit()
		var f *fault.Error
		require.ErrorAs(b, b.s.Wait(0), &f, name)
		b.s.Out(y, x, whole, 3)
		b.s.Embed(h, xn, first, 3, torn, norm)
		b.run() // the next step is one as any other
	}
}
