package gpu

import (
	"errors"
	"fmt"
	"sync"

	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// variant is a kernel specialised for the weights and the cache that it works on.
type variant struct {
	kernel    *shaders.Kernel
	constants shaders.Constants
}

// pipeline is a variant ready to launch.
type pipeline struct {
	metal.ComputePipeline
	table *shaders.Kernel
}

// kernels are the compiled sources and the pipelines made of them so far.
type kernels struct {
	metal  *metal.Metal
	device metal.Device

	mu        sync.Mutex
	libraries map[string]metal.Library
	pipelines map[variant]*pipeline
}

func newKernels(m *metal.Metal, d metal.Device) *kernels {
	return &kernels{metal: m, device: d, libraries: map[string]metal.Library{}, pipelines: map[variant]*pipeline{}}
}

// compile compiles the files of a table, side by side, if it has not yet.
func (k *kernels) compile(table []*shaders.Kernel, source func(file string) (string, error)) error {
	var wg sync.WaitGroup
	var errs []error
	started := map[string]bool{}
	for _, t := range table {
		if started[t.File] || k.has(t.File) {
			continue
		}
		started[t.File] = true
		wg.Go(func() {
			text, err := source(t.File)
			var library metal.Library
			if err == nil {
				library, err = k.device.NewLibrary(text, metal.CompileOptions{})
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("shaders/%s.metal does not compile here: %w; use the CPU and report it", t.File,
					err))
				return
			}
			if k.libraries == nil || !k.libraries[t.File].IsZero() { // released meanwhile, or compiled by another
				library.Release()
				return
			}
			k.libraries[t.File] = library
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (k *kernels) has(file string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.libraries[file].IsZero()
}

// get makes a pipeline when it is first asked for.
func (k *kernels) get(v variant) (*pipeline, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.pipelines[v]; ok {
		return p, nil
	}
	t := v.kernel
	if k.libraries[t.File].IsZero() {
		return nil, fmt.Errorf("kernel %s of shaders/%s.metal is missing; use the CPU and report it", t.Name, t.File)
	}
	c := k.metal.NewFunctionConstants()
	defer c.Release()
	for i, value := range []uint32{
		v.constants.GroupSize, uint32(v.constants.ScaleFormat), uint32(v.constants.WeightFormat),
		uint32(v.constants.KVFormat), v.constants.HeadDim, uint32(t.Threads / 32),
	} {
		c.SetUint(i, value)
	}
	f, err := k.libraries[t.File].NewFunction(t.Name, c)
	if err != nil {
		return nil, fmt.Errorf("kernel %s of shaders/%s.metal: %w; use the CPU and report it", t.Name, t.File, err)
	}
	defer f.Release()
	p, err := k.device.NewComputePipeline(f)
	if err != nil {
		return nil, fmt.Errorf("kernel %s of shaders/%s.metal: %w; use the CPU and report it", t.Name, t.File, err)
	}
	if limit := p.MaxTotalThreadsPerThreadgroup(); limit < t.Threads {
		p.Release()
		return nil, fmt.Errorf("kernel %s needs %d threads a threadgroup, this GPU runs %d; use the CPU and report it",
			t.Name, t.Threads, limit)
	}
	made := &pipeline{p, t}
	k.pipelines[v] = made
	return made, nil
}

func (k *kernels) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.pipelines {
		p.Release()
	}
	for _, l := range k.libraries {
		l.Release()
	}
	k.pipelines, k.libraries = nil, nil
}
