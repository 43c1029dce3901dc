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
	languages map[string]metal.LanguageVersion // that the libraries are compiled in, 0: the system's choice
	halfCodes uint32                           // 1 where shaders.HalfCodes has told so
	pipelines map[variant]*pipeline
}

func newKernels(m *metal.Metal, d metal.Device) *kernels {
	return &kernels{metal: m, device: d, libraries: map[string]metal.Library{},
		languages: map[string]metal.LanguageVersion{}, pipelines: map[variant]*pipeline{}}
}

// compile compiles the files of a table, side by side, if it has not yet.
func (k *kernels) compile(table []*shaders.Kernel, source func(file string) (string, error)) error {
	var wg sync.WaitGroup
	var errs []error
	for _, file := range shaders.Files(table) {
		if k.has(file) {
			continue
		}
		wg.Go(func() {
			text, err := source(file)
			var library metal.Library
			var language metal.LanguageVersion
			if err == nil {
				library, language, err = newLibrary(k.device, text)
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("shaders/%s.metal does not compile here: %w; use the CPU and report it", file,
					err))
				return
			}
			if k.libraries == nil || !k.libraries[file].IsZero() { // released meanwhile, or compiled by another
				library.Release()
				return
			}
			k.libraries[file], k.languages[file] = library, language
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// newLibrary compiles a file with safe math, in the newest language or, where that refuses it, in the oldest that it is
// written for. It gives the one that it took.
func newLibrary(d metal.Device, text string) (metal.Library, metal.LanguageVersion, error) {
	newest := metal.SystemLanguage()
	library, err := d.NewLibrary(text, metal.CompileOptions{PreciseMath: true, Language: newest})
	if err != nil && newest > metal.Language2_4 {
		if old, e := d.NewLibrary(text, metal.CompileOptions{PreciseMath: true, Language: metal.Language2_4}); e == nil {
			return old, metal.Language2_4, nil
		}
	}
	if err == nil && len(library.FunctionNames()) == 0 {
		library.Release()
		return metal.Library{}, newest, errors.New("the compiler gave a library without functions")
	}
	return library, newest, err
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
	f, err := k.function(k.libraries[t.File], v)
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

// function takes a kernel out of its library, with its constants set.
func (k *kernels) function(library metal.Library, v variant) (metal.Function, error) {
	v.constants.Simdgroups, v.constants.HalfCodes = uint32(v.kernel.Threads/32), k.halfCodes
	c := k.metal.NewFunctionConstants()
	defer c.Release()
	for i, value := range []uint32{
		v.constants.GroupSize, uint32(v.constants.ScaleFormat), uint32(v.constants.WeightFormat),
		uint32(v.constants.KVFormat), v.constants.HeadDim, v.constants.Simdgroups, v.constants.HalfCodes,
	} {
		c.SetUint(i, value)
	}
	return library.NewFunction(v.kernel.Name, c)
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
