package gpu

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// The device itself tells what it finds in the fields of arguments that the host filled.
func TestArgumentsArriveElsewhere(t *testing.T) {
	structs := map[string]reflect.Type{}
	for _, k := range slices.Concat(shaders.Table, shaders.Probes) {
		s := reflect.TypeOf(k.Args)
		structs[s.Name()] = s
	}
	source, err := shaders.Source("rows")
	require.NoError(t, err)
	word := regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`)
	for name, s := range structs {
		source += fmt.Sprintf("[[kernel]] void read_%[1]s(constant %[1]s &args [[buffer(0)]], device ulong *found "+
			"[[buffer(1)]]) {\n  found[0] = sizeof(%[1]s);\n", name)
		for i := range s.NumField() {
			if f := s.Field(i); f.Name != "_" {
				field := "args." + strings.ToLower(word.ReplaceAllString(f.Name, "${1}${3}_${2}${4}"))
				if f.Type.Kind() == reflect.Float32 {
					field = "as_type<uint>(" + field + ")"
				}
				source += fmt.Sprintf("  found[%d] = %s;\n", i+1, field)
			}
		}
		source += "}\n"
	}

	p := newTrial(t, source)
	for name, s := range structs {
		args := make([]byte, s.Size())
		for i := range args {
			args[i] = byte(i + 1)
		}
		found := metal.Slice[uint64](p.run("read_"+name, args, 1, 8*(1+s.NumField())))
		require.Equal(t, uint64(s.Size()), found[0], "%s: its size in args.go and on the device", name)
		for i := range s.NumField() {
			f := s.Field(i)
			if f.Name == "_" {
				continue
			}
			var want uint64
			for b := range f.Type.Size() {
				want |= uint64(args[f.Offset+b]) << (8 * b)
			}
			require.Equal(t, want, found[i+1], "%s.%s", name, f.Name)
		}
	}
}

// trial runs kernels of a test's own.
type trial struct {
	testing.TB
	metal   *metal.Metal
	device  metal.Device
	library metal.Library
	queue   metal.Queue
}

func newTrial(t testing.TB, source string) *trial {
	p := &trial{TB: t, metal: openMetal(t, false)}
	var err error
	p.device, err = p.metal.DefaultDevice()
	require.NoError(t, err)
	t.Cleanup(p.device.Release)
	p.library, err = p.device.NewLibrary(source, metal.CompileOptions{})
	require.NoError(t, err)
	t.Cleanup(p.library.Release)
	p.queue, err = p.device.NewQueue()
	require.NoError(t, err)
	t.Cleanup(p.queue.Release)
	return p
}

// run gives what a kernel writes to [[buffer(1)]], of some bytes. It gets args in [[buffer(0)]] and runs in
// threadgroups of one thread.
func (p *trial) run(name string, args []byte, threads, bytes int) []byte {
	p.Helper()
	function, err := p.library.NewFunction(name, metal.FunctionConstants{})
	require.NoError(p, err)
	defer function.Release()
	pipeline, err := p.device.NewComputePipeline(function)
	require.NoError(p, err)
	defer pipeline.Release()
	buffer, err := p.device.NewBuffer(bytes, metal.StorageShared)
	require.NoError(p, err)
	defer buffer.Release()
	require.NoError(p, p.metal.Do(func() error {
		commands, err := p.queue.NewCommandBuffer()
		require.NoError(p, err)
		defer commands.Release()
		encoder, err := commands.ComputeEncoder(metal.Serial)
		require.NoError(p, err)
		encoder.SetPipeline(pipeline)
		encoder.SetBytes(args, 0)
		encoder.SetBuffer(buffer, 0, 1)
		encoder.DispatchThreadgroups(metal.Size{Width: threads, Height: 1, Depth: 1},
			metal.Size{Width: 1, Height: 1, Depth: 1})
		encoder.End()
		commands.Commit()
		return commands.Wait()
	}))
	return append([]byte(nil), buffer.Contents()...)
}
