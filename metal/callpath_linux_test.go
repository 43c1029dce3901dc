package metal

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// The call path of an architecture is judged in a process of its own, which has loaded the library of testdata/echo.c
// in place of a Metal.
const echoVariable = "METAL_TEST_ECHO"

// The same with a stand-in that has every object and computes nothing.
const objectsVariable = "METAL_TEST_OBJECTS"

func TestMain(m *testing.M) {
	if library := os.Getenv(echoVariable); library != "" {
		if wrong := callPath(library); len(wrong) > 0 {
			for _, line := range wrong {
				fmt.Println(line)
			}
			os.Exit(1)
		}
		fmt.Println("call path of", runtime.GOARCH, "holds")
		os.Exit(0)
	}
	if library := os.Getenv(objectsVariable); library != "" {
		if err := commandBuffer(library); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("command buffer of", runtime.GOARCH, "completed")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// commandBuffer takes every object through a command buffer: a dispatch, which computes nothing, and a fill, which
// does.
func commandBuffer(path string) error {
	m, err := OpenLibraries(path)
	if err != nil {
		return err
	}
	device, err := m.DefaultDevice()
	if err != nil {
		return err
	}
	defer device.Release()
	library, err := device.NewLibrary("kernel void nothing(device float *x [[buffer(0)]]) {}", CompileOptions{})
	if err != nil {
		return err
	}
	defer library.Release()
	function, err := library.NewFunction("nothing", FunctionConstants{})
	if err != nil {
		return err
	}
	defer function.Release()
	pipeline, err := device.NewComputePipeline(function)
	if err != nil {
		return err
	}
	defer pipeline.Release()
	buffer, err := device.NewBuffer(4096, StorageShared)
	if err != nil {
		return err
	}
	defer buffer.Release()
	queue, err := device.NewQueue()
	if err != nil {
		return err
	}
	defer queue.Release()
	return m.Do(func() error {
		commands, err := queue.NewCommandBuffer()
		if err != nil {
			return err
		}
		defer commands.Release()
		encoder, err := commands.ComputeEncoder(Serial)
		if err != nil {
			return err
		}
		encoder.SetPipeline(pipeline)
		encoder.SetBuffer(buffer, 0, 0)
		encoder.DispatchThreadgroups(Size{2, 3, 4}, Size{32, 1, 1})
		encoder.DispatchThreads(Size{100, 1, 1}, Size{32, 1, 1})
		encoder.End()
		blit, err := commands.BlitEncoder()
		if err != nil {
			return err
		}
		blit.Fill(buffer, 16, 4000, 0xAB)
		blit.End()
		commands.Commit()
		if err := commands.Wait(); err != nil {
			return err
		}
		for i, b := range buffer.Contents() {
			if want := map[bool]byte{true: 0xAB}[i >= 16 && i < 4016]; b != want {
				return fmt.Errorf("byte %d of the filled buffer is %#x, want %#x", i, b, want)
			}
		}
		return nil
	})
}

// callPath sends messages of every shape and returns what reached the other side wrongly.
func callPath(library string) (wrong []string) {
	sel_ten := newSelector("ten:of:them:with:the:last:on:stack:")
	m, err := OpenLibraries(library)
	if err != nil {
		return []string{err.Error()}
	}
	device, err := m.DefaultDevice()
	if err != nil {
		return []string{err.Error()}
	}
	check := func(what, want string) {
		if got := goString(device.id); got != want {
			wrong = append(wrong, fmt.Sprintf("%s: got %q, want %q", what, got, want))
		}
	}
	encoder, blit, buffer := ComputeEncoder(device), BlitEncoder(device), Buffer(device)

	encoder.DispatchThreads(Size{1 << 40, 2, 3}, Size{4, 5, 6})
	check("two sizes by value", "1099511627776,2,3 by 4,5,6")
	encoder.DispatchThreadgroups(Size{7, 8, 9}, Size{10, 11, 12})
	check("two other sizes by value", "7,8,9 by 10,11,12")
	encoder.SetBuffer(buffer, 1<<33, 30)
	check("object and integers", "1 8589934592 30")
	encoder.SetBuffers([]Buffer{buffer, buffer}, []int{21, 1 << 33}, 29)
	check("arrays and range by value", "1 21 1 8589934592 at 29+2")
	encoder.SetBytes([]byte("four"), 2)
	check("pointer to Go memory", "four 4 2")
	encoder.BarrierOn(buffer, buffer, buffer)
	check("array of objects", "1 3")
	blit.Copy(buffer, 11, buffer, 12, 13)
	check("seven arguments", "1 11 1 12 13")
	blit.Fill(buffer, 14, 15, 255)
	check("range by value", "1 14+15 255")
	if r := send(device.id, sel_ten, 1, 2, 3, 4, 5, 6, 7, 8); r != ^uintptr(0) {
		wrong = append(wrong, fmt.Sprintf("ten arguments: returned %#x", r))
	}
	check("ten arguments", "1 1 2 3 4 5 6 7 8")

	if seconds := CommandBuffer(device).GPUStartTime(); seconds != 1234.0625 {
		wrong = append(wrong, fmt.Sprintf("double returned: got %v", seconds))
	}
	if device.HasUnifiedMemory() {
		wrong = append(wrong, "BOOL NO returned with a full register: got true")
	}
	if !device.SupportsFamily(FamilyApple7) {
		wrong = append(wrong, "BOOL YES returned with a full register: got false")
	}
	return wrong
}

// buildEcho compiles the echo library for an architecture with a C compiler.
func buildEcho(t *testing.T, compiler string) string {
	library := filepath.Join(t.TempDir(), "echo.so")
	run(t, nil, compiler, "-shared", "-fPIC", "-O1", "-w", "-o", library,
		"testdata/echo.c", "-x", "c", "../internal/metalsim/sim/objc_msgsend.cpp")
	return library
}

// run runs a program that must be installed, and must succeed.
func run(t *testing.T, env []string, name string, args ...string) string {
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), env...)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, output)
	return string(output)
}

func TestCallPathLosesArgument(t *testing.T) {
	output := run(t, []string{echoVariable + "=" + buildEcho(t, "cc")}, os.Args[0])
	require.Contains(t, output, "call path of "+runtime.GOARCH+" holds")
}
