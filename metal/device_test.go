package metal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

func TestDeviceAnswersNonsense(t *testing.T) {
	g := newGPU(t)
	d := g.device
	require.NotEmpty(t, d.Name())
	require.False(t, d.SupportsFamily(1), "no family has this number")
	require.True(t, d.SupportsFamily(metal.FamilyCommon3))
	require.Greater(t, d.RecommendedMaxWorkingSetSize(), 1<<28)
	require.GreaterOrEqual(t, d.MaxBufferLength(), 1<<28, "Metal Feature Set Tables: at least 256 MB")
	require.GreaterOrEqual(t, d.MaxThreadgroupMemoryLength(), 32<<10)

	d.MaximizeConcurrentCompilation() // gives no answer; newGPU looks for misuse

	before := d.CurrentAllocatedSize()
	b, err := d.NewBuffer(1<<20, metal.StorageShared)
	require.NoError(t, err)
	require.GreaterOrEqual(t, d.CurrentAllocatedSize(), before+1<<20)
	b.Release()
}

func TestDefaultDeviceMissingFromAll(t *testing.T) {
	g := newGPU(t)
	found := false
	for _, d := range g.Devices() {
		found = found || d.Name() == g.device.Name()
		d.Release()
	}
	require.True(t, found)
}

func TestOpenTwice(t *testing.T) {
	a, b := open(t), open(t)
	require.Same(t, a, b)
	_, err := metal.OpenLibraries("/no/such/library")
	require.ErrorContains(t, err, "/no/such/library: this process has loaded ")
}

func TestDoLosesError(t *testing.T) {
	m := open(t)
	require.ErrorIs(t, m.Do(func() error { return metal.ErrTimeout }), metal.ErrTimeout)
	require.NoError(t, m.Do(func() error { return m.Do(func() error { return nil }) }))
}

// A panic must not leave the goroutine locked to its thread, or the pool open.
func TestDoPanics(t *testing.T) {
	m := open(t)
	require.PanicsWithValue(t, "inside", func() { _ = m.Do(func() error { panic("inside") }) })
	require.NoError(t, m.Do(func() error { return nil }))
}

func TestErrorMatchesWrongSentinel(t *testing.T) {
	const commands = "MTLCommandBufferErrorDomain"
	sentinels := []error{metal.ErrOutOfMemory, metal.ErrDeviceLost, metal.ErrTimeout, metal.ErrPageFault}
	for _, c := range []struct {
		domain string
		code   int
		want   error
	}{
		{commands, 2, metal.ErrTimeout},
		{commands, 3, metal.ErrPageFault},
		{commands, 4, metal.ErrDeviceLost},
		{commands, 8, metal.ErrOutOfMemory},
		{commands, 11, metal.ErrDeviceLost},
		{commands, 9, nil},
		{"MTLLibraryErrorDomain", 8, nil},
	} {
		err := &metal.Error{Op: "run", Domain: c.domain, Code: c.code, Text: "text"}
		for _, sentinel := range sentinels {
			require.Equal(t, errors.Is(sentinel, c.want), strings.Contains(err.Error(), "text") && errors.Is(err, sentinel),
				"%v %v", err, sentinel)
		}
	}
}
