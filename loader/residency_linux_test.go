package loader

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestOpenTouchesNoWeights asks the kernel which pages a full-size checkpoint has in memory after Open.
func TestOpenTouchesNoWeights(t *testing.T) {
	c := openSparse(t, writeSparse(t))
	defer c.Close()
	region := c.Mapped()[0]
	page := os.Getpagesize()
	resident := make([]byte, (len(region)+page-1)/page)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&region[0])), uintptr(len(region)),
		uintptr(unsafe.Pointer(&resident[0])))
	require.Zero(t, errno)
	n := 0
	for _, r := range resident {
		n += int(r & 1)
	}
	require.Less(t, n*page, 4<<20, "only the header and what the kernel read ahead")
}

// areas gives the process's mappings of a region, as /proc/self/smaps tells: their permissions, which end in s where
// they are shared, and the kilobytes of them that are in memory.
func areas(t *testing.T, region []byte) (permissions []string, resident int) {
	f, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer f.Close()
	first := uint64(uintptr(unsafe.Pointer(&region[0])))
	within := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var begin, end uint64
		var allowed string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &begin, &end, &allowed); n == 3 {
			if within = begin < first+uint64(len(region)) && first < end; within {
				permissions = append(permissions, allowed)
			}
		}
		if kB := 0; within && strings.HasPrefix(lines.Text(), "Rss:") {
			_, err := fmt.Sscanf(lines.Text(), "Rss: %d kB", &kB)
			require.NoError(t, err)
			resident += kB
		}
	}
	return permissions, resident
}

// largeTensors are glm4Tensors with one of two megabytes that the model has no use for.
func largeTensors() []Tensor {
	return append(glm4Tensors(), random("visual.large", 1024, 1024))
}

// What a device has copied leaves the memory, and can be read again.
func TestCopiedTensorStaysInMemory(t *testing.T) {
	folder := tiny(tinyGLM4, largeTensors())
	c, err := Open(t.Context(), folder.save(t))
	require.NoError(t, err)
	defer c.Close()
	region := c.Mapped()[0]
	want := bytes.Clone(region) // which touches all of it
	_, before := areas(t, region)
	require.Greater(t, before, 1000)
	large := tensorNamed(t, c, "visual.large").Data
	c.Evict(large)
	_, after := areas(t, region)
	require.Less(t, after, before-1000)
	require.Positive(t, after, "the others, on pages that they share with it too")
	require.Equal(t, want, region)
	for _, small := range [][]byte{large[1:100], large[:1], nil} {
		c.Evict(small) // no whole page
	}
	_, again := areas(t, region)
	require.Equal(t, before, again)
}

// Memory that holds a file which was read is the only copy.
func TestMemoryThatIsNoMappingIsEvicted(t *testing.T) {
	c := tiny(tinyGLM4, largeTensors()).open(t)
	want := bytes.Clone(c.Mapped()[0])
	for _, tensor := range c.Tensors() {
		c.Evict(tensor.Data)
	}
	c.Evict(want)
	require.Equal(t, want, c.Mapped()[0])
}

func tensorNamed(t *testing.T, c *Checkpoint, name string) Tensor {
	for _, tensor := range c.Tensors() {
		if tensor.Name == name {
			return tensor
		}
	}
	require.Fail(t, "no tensor "+name)
	return Tensor{}
}

// A Mac maps files privately where only its CPU reads them, shared for a GPU. Nobody who reads sees the difference.
func TestMacStreamsSharedMappings(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		require.Equal(t, unix.MAP_SHARED, mapFlags(goos, false), goos)
	}
	require.Equal(t, unix.MAP_SHARED, mapFlags("linux", true))
	require.Equal(t, unix.MAP_PRIVATE, mapFlags("darwin", true))

	c, err := Open(t.Context(), tiny(tinyGLM4, glm4Tensors()).save(t))
	require.NoError(t, err)
	defer c.Close()
	region := c.Mapped()[0]
	want := bytes.Clone(region)
	permissions := func() []string {
		p, _ := areas(t, region)
		return p
	}
	require.Equal(t, []string{"r--s"}, permissions())
	require.NoError(t, c.OnlyCPU())
	require.Equal(t, []string{"r--s"}, permissions(), "this is no Mac")
	require.NoError(t, c.regions[0].remap(unix.MAP_PRIVATE))
	require.Equal(t, []string{"r--p"}, permissions())
	require.Equal(t, want, region)

	read := tiny(tinyGLM4, glm4Tensors()).open(t)
	require.NoError(t, read.regions[0].remap(unix.MAP_PRIVATE))
	require.Equal(t, want, read.Mapped()[0], "there is no file to map")
}
