package gpu

import (
	"errors"
	"fmt"
	"sync"

	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// kernel is one of the table for some kind of weights.
type kernel uint8

const (
	gemvQKV kernel = iota
	gemvOut
	gemvGateUp
	gemvHead
	gemv4QKV
	gemv4Out
	gemv4GateUp
	gemv8QKV
	gemv8Out
	gemv8GateUp
	gemv12QKV
	gemv12Out
	gemv12GateUp
	gemmQKV
	gemmOut
	gemmGateUp
	embed
	attendF16 // from here on without weights
	attendF32
	prefillAttendF16
	prefillAttendF32
	attendCombine
	addNorm
	sampleScan
	samplePick
	kernelCount
)

var kernelNames = [kernelCount]string{
	"gemv_qkv", "gemv_out", "gemv_gate_up", "gemv_head",
	"gemv4_qkv", "gemv4_out", "gemv4_gate_up", "gemv8_qkv", "gemv8_out", "gemv8_gate_up", "gemv12_qkv", "gemv12_out", "gemv12_gate_up",
	"gemm_qkv", "gemm_out", "gemm_gate_up", "embed",
	"attend_f16", "attend_f32", "prefill_attend_f16", "prefill_attend_f32", "attend_combine", "add_norm", "sample_scan", "sample_pick",
}

// table is shaders.Table by kernel and kind of weights.
var table = func() (t [kernelCount][kinds]*shaders.Kernel) {
	byName := map[string]*shaders.Kernel{}
	for i := range shaders.Table {
		byName[shaders.Table[i].Name] = &shaders.Table[i]
	}
	for k, name := range kernelNames {
		for w := range kinds {
			if kernel(k) < attendF16 {
				t[k][w] = byName[name+"_"+shaders.Weights[w]]
			} else {
				t[k][w] = byName[name]
			}
		}
	}
	return t
}()

// variant is a kernel specialised for the weights and the cache that it works on.
type variant struct {
	kernel    kernel
	kind      kind
	constants shaders.Constants
}

// pipeline is a variant ready to launch.
type pipeline struct {
	metal.ComputePipeline
	table *shaders.Kernel
}

// kernels are the compiled sources and the pipelines made of them so far.
type kernels struct {
	metal     *metal.Metal
	device    metal.Device
	libraries map[string]metal.Library

	mu        sync.Mutex
	pipelines map[variant]*pipeline
}

// compile compiles all files, side by side.
func (k *kernels) compile(m *metal.Metal, d metal.Device, source func(file string) (string, error)) error {
	k.metal, k.device = m, d
	k.libraries, k.pipelines = map[string]metal.Library{}, map[variant]*pipeline{}
	var wg sync.WaitGroup
	var errs []error
	started := map[string]bool{}
	for _, t := range shaders.Table {
		if started[t.File] {
			continue
		}
		started[t.File] = true
		wg.Go(func() {
			text, err := source(t.File)
			var library metal.Library
			if err == nil {
				library, err = d.NewLibrary(text, metal.CompileOptions{})
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("shaders/%s.metal does not compile here: %w; use --backend cpu and report it", t.File, err))
				return
			}
			k.libraries[t.File] = library
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// get makes a pipeline when it is first asked for.
func (k *kernels) get(v variant) (*pipeline, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.pipelines[v]; ok {
		return p, nil
	}
	t := table[v.kernel][v.kind]
	if k.libraries[t.File].IsZero() {
		return nil, fmt.Errorf("kernel %s of shaders/%s.metal is missing; use --backend cpu and report it", t.Name, t.File)
	}
	c := k.metal.NewFunctionConstants()
	defer c.Release()
	for i, value := range []uint32{
		v.constants.GroupSize, v.constants.ScaleFormat, v.constants.WeightFormat, v.constants.KVFormat, v.constants.HeadDim, uint32(t.Threads / 32),
	} {
		c.SetUint(i, value)
	}
	f, err := k.libraries[t.File].NewFunction(t.Name, c)
	if err != nil {
		return nil, fmt.Errorf("kernel %s of shaders/%s.metal: %w; use --backend cpu and report it", t.Name, t.File, err)
	}
	defer f.Release()
	p, err := k.device.NewComputePipeline(f)
	if err != nil {
		return nil, fmt.Errorf("kernel %s of shaders/%s.metal: %w; use --backend cpu and report it", t.Name, t.File, err)
	}
	if limit := p.MaxTotalThreadsPerThreadgroup(); limit < t.Threads {
		p.Release()
		return nil, fmt.Errorf("kernel %s needs %d threads a threadgroup, this GPU runs %d; use --backend cpu and report it", t.Name, t.Threads, limit)
	}
	made := &pipeline{p, t}
	k.pipelines[v] = made
	return made, nil
}

func (k *kernels) release() {
	for _, p := range k.pipelines {
		p.Release()
	}
	for _, l := range k.libraries {
		l.Release()
	}
	k.pipelines, k.libraries = nil, nil
}
