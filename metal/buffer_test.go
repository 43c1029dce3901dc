package metal_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/metal"
)

func TestBufferLosesContents(t *testing.T) {
	g := newGPU(t)
	for _, options := range []metal.ResourceOptions{
		metal.StorageShared,
		metal.StorageShared | metal.HazardTrackingUntracked,
		metal.StorageShared | metal.CPUCacheWriteCombined,
	} {
		b, err := g.device.NewBuffer(1000, options)
		require.NoError(t, err)
		require.Equal(t, 1000, b.Length())
		require.Len(t, b.Contents(), 1000)
		for _, v := range b.Contents() {
			require.Zero(t, v)
		}
		b.Contents()[999] = 7
		require.EqualValues(t, 7, b.Contents()[999])
		b.SetLabel("weights of 层 3")
		require.Equal(t, "weights of 层 3", b.Label())
		b.SetLabel("bad \xff bytes\x00")
		require.Equal(t, "bad \uFFFD bytes", b.Label())
		b.Release()
	}
}

func TestPrivateBufferShowsContents(t *testing.T) {
	g := newGPU(t)
	b, err := g.device.NewBuffer(64, metal.StoragePrivate)
	require.NoError(t, err)
	defer b.Release()
	require.Nil(t, b.Contents())
	v, err := b.View(16, 16)
	require.NoError(t, err)
	require.Nil(t, v.Contents())
}

func TestBufferLengthZero(t *testing.T) {
	g := newGPU(t)
	for _, n := range []int{0, -1} {
		_, err := g.device.NewBuffer(n, metal.StorageShared)
		require.ErrorContains(t, err, "want at least 1")
	}
}

func TestViewPastEnd(t *testing.T) {
	g := newGPU(t)
	b, data := buffer[byte](t, g, 100, metal.StorageShared)
	for i := range data {
		data[i] = byte(i)
	}
	v, err := b.View(90, 10)
	require.NoError(t, err)
	require.Equal(t, []byte{90, 91, 92, 93, 94, 95, 96, 97, 98, 99}, v.Contents())
	require.Equal(t, 10, cap(v.Contents()))
	for _, c := range [][2]int{{91, 10}, {-1, 10}, {0, -1}, {101, 0}, {1 << 62, 1 << 62}} {
		_, err := b.View(c[0], c[1])
		require.ErrorContains(t, err, "the buffer has 100", "%v", c)
	}
}

// pages maps n pages of the size that Metal wants, starting on one.
func pages(t testing.TB, n int) []byte {
	page := metal.PageSize()
	mapped, err := unix.Mmap(-1, 0, (n+1)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(mapped)) })
	skip := -int(uintptr(unsafe.Pointer(&mapped[0]))) & (page - 1)
	return mapped[skip : skip+n*page : skip+n*page]
}

func TestNoCopyBufferCopies(t *testing.T) {
	g := newGPU(t)
	memory := pages(t, 2)
	b, err := g.device.NewBufferNoCopy(memory, metal.StorageShared|metal.HazardTrackingUntracked)
	require.NoError(t, err)
	defer b.Release()
	require.Equal(t, len(memory), b.Length())
	memory[5] = 42
	require.EqualValues(t, 42, b.Contents()[5])
	require.Same(t, &memory[0], &b.Contents()[0])
}

func TestNoCopyOffThePage(t *testing.T) {
	g := newGPU(t)
	memory := pages(t, 2)
	page := metal.PageSize()
	for _, bad := range [][]byte{nil, memory[:page-1], memory[:page+4]} {
		_, err := g.device.NewBufferNoCopy(bad, metal.StorageShared)
		require.ErrorContains(t, err, "want a multiple of the page size")
	}
	_, err := g.device.NewBufferNoCopy(memory[16:page+16], metal.StorageShared)
	require.ErrorContains(t, err, "memory to wrap starts at")
}

func TestSliceReadsPastBytes(t *testing.T) {
	bytes := make([]byte, 10)
	require.Len(t, metal.Slice[uint32](bytes), 2)
	require.Nil(t, metal.Slice[uint32](bytes[:3]))
	require.Nil(t, metal.Slice[uint64](nil))
	v := uint32(0x01020304)
	require.Len(t, metal.Bytes(&v), 4)
}
