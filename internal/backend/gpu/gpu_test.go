package gpu

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/backendtest"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

func TestShapesThatNoKernelTakesAreTaken(t *testing.T) {
	p := newPair(t, false)
	d, s := p.devices[1], p.streams[1]
	twelve, x := p.vector(p.floats(12, 1))[1], p.empty(12)[1]
	s.AddNorm(x, x, x, nil, backend.Norm{Weight: twelve}, 1)
	require.EqualError(t, s.Wait(0),
		"metal: a norm of 12 numbers: not supported, the kernels need a multiple of 8; use the CPU")
	for want, a := range map[string]backend.Attention{
		"metal: heads of 12 dimensions: not supported, the kernels need a multiple of 8 up to 128; use the CPU": {Heads: 1,
			KVHeads: 1, HeadDim: 12},
		"metal: heads of 256 dimensions: not supported, the kernels need a multiple of 8 up to 128; use the CPU": {Heads: 1,
			KVHeads: 1, HeadDim: 256},
	} {
		_, err := d.NewCache(1, a, backend.F16)
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, backend.ErrUnsupported)
	}
	_, err := d.NewMatrix(p.Matrix(8, 12, backendtest.Plain(backend.F32)))
	require.EqualError(t, err,
		"metal: matrix test has 12 columns: not supported, the kernels need a multiple of 8; use the CPU")
	require.ErrorIs(t, err, backend.ErrUnsupported)
}

func TestObjectOfAnotherDeviceIsUsed(t *testing.T) {
	p := newPair(t, false)
	d, err := Open(p.devices[1].(*Device).metal)
	require.NoError(t, err)
	defer d.Close()
	f32 := backendtest.Plain(backend.F32)
	m, x := p.matrix(8, 8, f32), p.empty(8)
	theirs, err := d.NewMatrix(p.Matrix(8, 8, f32))
	require.NoError(t, err)
	buffer, err := d.NewBuffer(8)
	require.NoError(t, err)
	s := p.streams[1]
	for _, op := range []func(){
		func() { s.Out(x[1], x[1], theirs, 1) },
		func() { s.Out(x[1], buffer, m[1], 1) },
		func() { s.Out(x[0], x[1], m[1], 1) },
	} {
		op()
		require.ErrorIs(t, s.Wait(0), backend.ErrForeign)
	}
}

func TestShaderThatDoesNotCompileIsNotNamed(t *testing.T) {
	m := openCompiler(t)
	device, err := m.DefaultDevice()
	require.NoError(t, err)
	defer device.Release()
	k := newKernels(m, device)
	err = k.compile(shaders.Table, func(file string) (string, error) {
		switch file {
		case "rows":
			return "kernel void embed_q4() { undeclared = 1; }", nil
		case "gemm":
			return "// nothing", nil
		}
		return "kernel void other() {}", nil
	})
	require.ErrorContains(t, err, "shaders/rows.metal does not compile here: ")
	require.ErrorContains(t, err, "shaders/gemm.metal does not compile here: the compiler gave a library without functions")
	require.ErrorContains(t, err, "undeclared")
	require.ErrorContains(t, err, "; use the CPU and report it")
	_, err = k.get(variant{kernel: shaders.AddNorm})
	require.EqualError(t, err, "kernel add_norm of shaders/rows.metal is missing; use the CPU and report it")
	_, err = k.get(variant{kernel: shaders.Out.For(1)[shaders.Q4]})
	require.ErrorContains(t, err,
		`kernel gemv_out_q4 of shaders/gemv.metal: metal: the library has no function "gemv_out_q4"`)
	require.ErrorContains(t, err, "; use the CPU and report it")
	k.release()
}

// Every function of every file in each language that a Mac may compile it as, and with the fast math that nobody asks
// for. This needs a compiler and no GPU that could run the functions.
func TestShaderIsOfOneLanguageOnly(t *testing.T) {
	m := openCompiler(t)
	device, err := m.DefaultDevice()
	require.NoError(t, err)
	defer device.Release()
	k := newKernels(m, device)
	all := slices.Concat(shaders.Table, shaders.Probes)
	var languages []metal.LanguageVersion
	for _, language := range []metal.LanguageVersion{metal.Language2_4, metal.Language3_0, metal.Language3_1,
		metal.Language3_2, metal.Language4_0} {
		nothing, err := device.NewLibrary("kernel void nothing() {}", metal.CompileOptions{Language: language})
		if err == nil { // or the system is older
			languages = append(languages, language)
			nothing.Release()
		}
	}
	require.GreaterOrEqual(t, len(languages), 4, "languages of macOS 15")
	functions := 0
	for _, file := range shaders.Files(all) {
		text, err := shaders.Source(file)
		require.NoError(t, err)
		for _, language := range languages {
			for _, precise := range []bool{true, false} {
				library, err := device.NewLibrary(text, metal.CompileOptions{PreciseMath: precise, Language: language})
				require.NoError(t, err, "%s, %#x, %t", file, language, precise)
				for _, kernel := range all {
					if kernel.File != file {
						continue
					}
					f, err := k.function(library, variant{kernel, shaders.Constants{GroupSize: 64, HeadDim: 128}})
					require.NoError(t, err, "%s, %#x, %t", kernel.Name, language, precise)
					f.Release()
					functions++
				}
				library.Release()
			}
		}
	}
	require.Equal(t, 2*len(languages)*len(all), functions)
}

// A kernel that may run with more threads than it is launched with gets fewer registers. The GEMVs' threadgroups have as
// many simdgroups as a constant says.
func TestCompilerIsNotToldTheThreads(t *testing.T) {
	d, err := Open(openMetal(t, false))
	require.NoError(t, err)
	defer d.Close()
	for _, k := range shaders.Table {
		if strings.HasPrefix(k.Name, "gemv") {
			continue
		}
		p, err := d.kernels.get(variant{k, shaders.Constants{GroupSize: 64, HeadDim: 128}})
		require.NoError(t, err)
		require.Equal(t, k.Threads, p.MaxTotalThreadsPerThreadgroup(), k.Name)
	}
}

// step is what a token needs of the device: a head and a pick that depend on an id.
type step struct {
	*pair
	w, table [2]backend.Matrix
	norm     [2]backend.Vector
	h, xn, y [2]backend.Buffer
}

func newStep(t testing.TB) *step {
	p := newPair(t, false)
	x := make([]float32, 4*64)
	return &step{p, p.matrix(40, 64, backendtest.Quantised(backend.Q4, 64, backend.F16)),
		p.matrix(40, 64, backendtest.Plain(backend.F32)), p.vector(p.floats(64, 1)), p.buffer(x), p.buffer(x), p.buffer(x)}
}

func (s *step) record(i int, from, to backend.Tokens, n int) {
	s.streams[i].Embed(s.h[i], s.xn[i], from, 1, s.table[i], backend.Norm{Weight: s.norm[i], Eps: 1e-5})
	s.streams[i].Head(s.y[i], s.xn[i], s.w[i], 0, 1)
	s.streams[i].Sample(to, 0, s.y[i], backend.Sampling{Valid: 40, Temperature: 1, Seed: 7, Step: uint64(n)})
}

// The ids of a chain of steps, each submitted before the one before is waited for.
func TestStepAheadReadsAnotherID(t *testing.T) {
	s := newStep(t)
	var ids [2][]int32
	for i, stream := range s.streams {
		even, odd := s.tokens([]int32{3}), s.tokens([]int32{0})
		picked := [2]backend.Tokens{even[i], odd[i]}
		for n := range 30 {
			s.record(i, picked[n%2], picked[(n+1)%2], n)
			require.NoError(t, stream.Submit())
			require.NoError(t, stream.Wait(1))
			if n > 0 {
				ids[i] = append(ids[i], picked[n%2].IDs()[0])
			}
		}
		require.NoError(t, stream.Wait(0))
	}
	require.Equal(t, ids[0], ids[1])
	require.Greater(t, len(distinct(ids[0])), 5)
}

func distinct(ids []int32) map[int32]bool {
	m := map[int32]bool{}
	for _, id := range ids {
		m[id] = true
	}
	return m
}

func TestDecodedTokenIsCut(t *testing.T) {
	s := newStep(t)
	stream := s.gpu
	wide := s.matrix(64, 64, backendtest.Quantised(backend.Q4, 64, backend.F16))[1]
	for range 1000 {
		stream.Out(s.y[1], s.xn[1], wide, 1)
	}
	require.NoError(t, stream.Submit())
	require.Len(t, stream.running, 1)
	require.NoError(t, stream.Wait(0))

	// GLM-4-9B's layer with 512 tokens takes about 0.14 s of an M1: more than one command buffer, none too long.
	var seconds, most float64
	for _, shape := range [][2]int{{4608, 4096}, {4096, 4096}, {27392, 4096}, {4096, 13696}} {
		for p := range stream.parts(512, productSeconds(shape[0], shape[1])) {
			seconds, most = seconds+p.seconds, max(most, p.seconds)
		}
	}
	require.InDelta(t, 0.139, seconds, 0.001)
	require.LessOrEqual(t, most, longest)
	// Attention to 131,072 keys is cut by tokens.
	a := backend.Attention{Heads: 32, KVHeads: 2, HeadDim: 128}
	tokens, parts := 0, 0
	for p := range stream.parts(512, attendSeconds(a, 131072)) {
		require.Equal(t, tokens, p.first)
		require.LessOrEqual(t, p.seconds, longest)
		tokens += p.n
		parts++
	}
	require.Equal(t, 512, tokens)
	require.Greater(t, parts, 5)
}

// An op cut by tokens gives what the whole gives, in several command buffers.
func TestCutOpLosesTokens(t *testing.T) {
	p := newPair(t, false)
	const n = 150
	a := backend.Attention{Heads: 4, KVHeads: 2, HeadDim: 16, RotaryDims: 8, RopeTheta: 1e4}
	w := p.matrix(96, 64, backendtest.Quantised(backend.Q8, 32, backend.BF16))
	q, k := p.matrix(64, 64, backendtest.Quantised(backend.Q4, 64, backend.F16)), p.matrix(32, 64,
		backendtest.Quantised(backend.Q4, 64, backend.F16))
	x, y, act, queries, out := p.buffer(p.floats(n*64, 1)), p.empty(n*96), p.empty(n*48), p.empty(n*64), p.empty(n*64)
	kv := p.cache(1, a, backend.F32, 300)
	p.gpu.longest = 1e-9
	p.run(func(s backend.Stream, i int) {
		s.QKV(queries[i], kv[i], 0, x[i], &backend.QKV{Q: q[i], K: k[i], V: k[i]}, backend.Span{Pos: 0, N: n})
		s.Attend(out[i], queries[i], kv[i], 0, backend.Span{Pos: 0, N: n})
		s.Out(y[i], x[i], w[i], n)
		s.GateUp(act[i], x[i], w[i], n)
		if i == 1 {
			require.NoError(t, s.Submit())
			require.Len(t, p.gpu.running, 12, "four ops of 150 tokens, 64 at a time")
		}
	})
	p.close(queries, "queries")
	p.close(out, "attention")
	p.close(y, "product")
	p.close(act, "SwiGLU")
}

func TestFormatTakesAnothersKernel(t *testing.T) {
	ends := map[backend.Format]string{backend.F32: "_w32", backend.F16: "_w16", backend.BF16: "_w16", backend.Q4: "_q4",
		backend.Q8: "_q8"}
	for f := range backend.Format(math.MaxUint8) {
		stored, err := formatOf(f)
		if f.Bits() == 0 {
			require.ErrorIs(t, err, backend.ErrUnsupported, f)
			continue
		}
		require.NoError(t, err, f)
		for _, family := range []shaders.Family{shaders.Embed, shaders.Head.For(1), shaders.QKV.For(1), shaders.Out.For(9),
			shaders.GateUp.For(99)} {
			require.Regexp(t, ends[f]+"$", family[stored].Name, f)
		}
	}
	m := backend.MatrixData{Format: backend.Q8, GroupSize: 32, ScaleFormat: backend.F16}
	got, err := storedAs(&m)
	require.NoError(t, err)
	require.Equal(t, stored{format: shaders.Q8, group: 32, scale: shaders.F16}, got)
	m.Format = backend.BF16 // whose group and scales nobody reads
	got, err = storedAs(&m)
	require.NoError(t, err)
	require.Equal(t, stored{format: shaders.BF16}, got)
}
