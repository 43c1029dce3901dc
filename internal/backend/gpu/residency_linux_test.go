//go:build linux && (amd64 || arm64)

package gpu

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

func residencySetsNow(t *testing.T) []metalsim.ResidencySet {
	sets, err := metalsim.Residency()
	require.NoError(t, err)
	return sets
}

// No set has more than a twentieth of the working set, but where 32 of them are not enough.
func TestResidencySetHasEverything(t *testing.T) {
	m := openMetal(t, false)
	require.NoError(t, metalsim.SetLimit("recommendedMaxWorkingSetSize", 20<<20))
	d, err := Open(m)
	require.NoError(t, err)
	var buffers []backend.Buffer
	add := func(n int) {
		for range n {
			b, err := d.NewBuffer(128 << 10) // 512 KiB
			require.NoError(t, err)
			buffers = append(buffers, b)
		}
	}
	add(40)
	sets := residencySetsNow(t)
	require.Greater(t, len(sets), 20)
	for _, s := range sets {
		require.LessOrEqual(t, s.Bytes, int64(1<<20))
		require.Positive(t, s.Requests)
	}
	for _, b := range buffers {
		require.NoError(t, b.Close())
	}
	buffers = nil
	add(100)
	sets = residencySetsNow(t)
	require.Len(t, sets, residencySets)
	var total int64
	for _, s := range sets {
		total += s.Bytes
		require.LessOrEqual(t, s.Bytes, int64(2<<20), "the fullest")
	}
	require.GreaterOrEqual(t, total, int64(100*512<<10))
	require.NoError(t, d.Close())
	require.Empty(t, residencySetsNow(t))
}

func TestResidencySetThatFailsFailsTheModel(t *testing.T) {
	m := openMetal(t, false)
	require.NoError(t, metalsim.SetLimit("failResidencySet", 1))
	d, err := Open(m)
	require.NoError(t, err)
	_, err = d.NewBuffer(8)
	require.NoError(t, err)
	require.Len(t, d.Notes(), 1)
	require.Contains(t, d.Notes()[0], "there is no residency set for some buffers")
	require.NoError(t, d.Close())
}

// A clock that stands still until it is told, and calls what is due.
type fakeClock struct {
	at  time.Time
	due []func()
}

func (c *fakeClock) clock() clock {
	return clock{func() time.Time { return c.at }, func(d time.Duration, f func()) *time.Timer {
		c.due = append(c.due, f)
		return time.NewTimer(time.Hour)
	}}
}

func (c *fakeClock) pass(d time.Duration) {
	c.at = c.at.Add(d)
	due := c.due
	c.due = nil
	for _, f := range due {
		f()
	}
}

// Memory that nobody asks for again is unwired after a second; memory that is asked for without end belongs to nobody
// else.
func TestResidencyIsNotAskedForAgainOrForEver(t *testing.T) {
	d, err := open(openMetal(t, false), shaders.Source) // nothing has run yet
	require.NoError(t, err)
	var c fakeClock
	d.residency.clock = c.clock()
	requests := func() (n int) {
		for _, s := range residencySetsNow(t) {
			n += s.Requests
		}
		return n
	}
	s, err := d.NewStream()
	require.NoError(t, err)
	step := func() {
		require.NoError(t, s.Submit())
		require.NoError(t, s.Wait(0))
	}
	require.Empty(t, c.due, "nothing was used")
	step()
	require.Len(t, c.due, 1)
	step()
	require.Len(t, c.due, 1, "one timer for all steps")
	before := requests()
	for range 10 {
		c.pass(residencyTick)
		require.Len(t, c.due, 1)
	}
	require.Equal(t, before+10*len(residencySetsNow(t)), requests())
	c.pass(residencyIdle)
	require.Empty(t, c.due, "idle")
	idle := requests()
	step()
	require.Len(t, c.due, 1, "used again")
	c.pass(residencyTick)
	require.Greater(t, requests(), idle)
	require.NoError(t, s.Close())
	require.NoError(t, d.Close())
	c.pass(residencyTick)
	require.Empty(t, c.due, "closed")
}

// A buffer of a whole file fits into no set.
func TestMappedFileIsOneBuffer(t *testing.T) {
	m := openMetal(t, false)
	require.NoError(t, metalsim.SetLimit("recommendedMaxWorkingSetSize", 8<<30))
	const limit = 8 << 30 / residencyShare
	file, err := unix.Mmap(-1, 0, 2<<30, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	require.NoError(t, err)
	defer unix.Munmap(file)
	d, err := Open(m)
	require.NoError(t, err)
	store := d.Map([][]byte{file}, nil)
	before := len(d.buffers)
	const rows, cols = 8192, 4096
	for data := file; len(data) > 0; data = data[2*rows*cols:] {
		_, err := store.NewMatrix(backend.MatrixData{Name: "m", Rows: rows, Cols: cols, Format: backend.F16,
			Data: data[:2*rows*cols]})
		require.NoError(t, err)
	}
	require.Greater(t, len(d.buffers)-before, 4)
	require.Less(t, len(d.buffers)-before, 12)
	for b := range d.buffers {
		require.LessOrEqual(t, b.Length(), limit)
	}
	var bytes, pages int64
	for _, s := range residencySetsNow(t) {
		require.LessOrEqual(t, s.Bytes, int64(limit))
		require.LessOrEqual(t, s.Pages*int64(metal.PageSize()), s.Bytes+int64(s.Buffers*metal.PageSize()))
		bytes, pages = bytes+s.Bytes, pages+s.Pages
	}
	require.GreaterOrEqual(t, pages*int64(metal.PageSize()), int64(len(file)), "each page is in a set")
	require.Less(t, bytes, int64(2*len(file)), "windows overlap by half, and each tensor lies in one of them")
	require.NoError(t, store.Close())
	require.NoError(t, d.Close())
}

// GLM-4-9B has 281 vectors.
func TestEachVectorTakesABuffer(t *testing.T) {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	defer d.Close()
	before := len(d.buffers)
	store := d.Map(nil, nil)
	for range 161 {
		_, err := store.NewVector(make([]float32, 4096))
		require.NoError(t, err)
	}
	for range 40 {
		for _, n := range []int{4096, 256, 256} {
			_, err := store.NewVector(make([]float32, n))
			require.NoError(t, err)
		}
	}
	require.LessOrEqual(t, len(d.buffers)-before, 4)
	require.NoError(t, store.Close())
	require.Len(t, d.buffers, before)
}

// What residency sets have given back stays wired until the process uses the GPU once more.
func TestMemoryIsGivenBackWithoutADispatch(t *testing.T) {
	m := openMetal(t, false)
	d, err := Open(m)
	require.NoError(t, err)
	defer d.Close()
	store := d.Map(nil, nil)
	_, err = store.NewVector(make([]float32, 8))
	require.NoError(t, err)
	before, err := metalsim.Counters()
	require.NoError(t, err)
	require.NoError(t, store.Close())
	after, err := metalsim.Counters()
	require.NoError(t, err)
	require.Len(t, after, len(before)+1)
}
