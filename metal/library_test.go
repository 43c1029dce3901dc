package metal_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/metal"
)

func TestCompileErrorLosesText(t *testing.T) {
	g := newGPU(t)
	_, err := g.device.NewLibrary("#include <metal_stdlib>\n\nkernel void k(device float *x [[buffer(0)]]) {\n  x[0] = "+
		"nonsense;\n}\n", metal.CompileOptions{})
	var e *metal.Error
	require.True(t, errors.As(err, &e), "%v", err)
	require.Equal(t, "MTLLibraryErrorDomain", e.Domain)
	require.Contains(t, err.Error(), "metal: compile shader source: ")
	require.Contains(t, err.Error(), "program_source:4:10: error: ")
	require.Contains(t, err.Error(), "nonsense")
}

func TestShaderSourceNotText(t *testing.T) {
	g := newGPU(t)
	_, err := g.device.NewLibrary("kernel\x00", metal.CompileOptions{})
	require.EqualError(t, err, "metal: shader source: text has a NUL byte at offset 6")
	_, err = g.device.NewLibrary("\xff", metal.CompileOptions{})
	require.ErrorContains(t, err, "not valid UTF-8")
	_, err = g.device.NewLibrary("// nothing", metal.CompileOptions{Macros: map[string]string{"A": "\xff"}})
	require.ErrorContains(t, err, `macro "A": its value: text is not valid UTF-8`)
}

func TestFunctionNotInLibrary(t *testing.T) {
	g := newGPU(t)
	library, err := g.device.NewLibrary("kernel void a() {}\nkernel void b() {}", metal.CompileOptions{})
	require.NoError(t, err)
	defer library.Release()
	require.Equal(t, []string{"a", "b"}, library.FunctionNames())
	_, err = library.NewFunction("c", metal.FunctionConstants{})
	require.EqualError(t, err, `metal: the library has no function "c"; it has a, b`)
	constants := g.NewFunctionConstants()
	defer constants.Release()
	_, err = library.NewFunction("c", constants)
	require.ErrorContains(t, err, `no function "c"`)
}

func TestCompileOptionsIgnored(t *testing.T) {
	g := newGPU(t)
	library, err := g.device.NewLibrary(`
		#if VALUE != 3
		#error "VALUE is not 3"
		#endif
		kernel void k(device float *x [[buffer(0)]]) { x[0] = NAME; }`,
		metal.CompileOptions{PreciseMath: true, Language: metal.Language2_4,
			Macros: map[string]string{"VALUE": "3", "NAME": "1.5f"}})
	require.NoError(t, err)
	defer library.Release()
	require.Equal(t, []string{"k"}, library.FunctionNames())
}

func TestFunctionConstantOfWrongType(t *testing.T) {
	g := newGPU(t)
	constants := g.NewFunctionConstants()
	defer constants.Release()
	constants.SetInt(0, -7)
	constants.SetUint(1, 1<<31)
	constants.SetBool(2, true)
	constants.SetFloat(3, 0.375)
	pipeline := g.pipeline(t, kernels, "constants", constants)
	out, values := buffer[float32](t, g, 4, metal.StorageShared)
	require.NoError(t, g.compute(metal.Serial, func(e metal.ComputeEncoder) {
		e.SetPipeline(pipeline)
		e.SetBuffer(out, 0, 0)
		e.DispatchThreads(line(1), line(1))
	}))
	require.Equal(t, []float32{-7, 1 << 31, 1, 0.375}, values)
}

func TestPipelineAnswersNonsense(t *testing.T) {
	g := newGPU(t)
	pipeline := g.pipeline(t, kernels, "reverse", metal.FunctionConstants{})
	require.Equal(t, 32, pipeline.ThreadExecutionWidth())
	require.GreaterOrEqual(t, pipeline.MaxTotalThreadsPerThreadgroup(), 32)
	require.Equal(t, 64, pipeline.StaticThreadgroupMemoryLength())
}
