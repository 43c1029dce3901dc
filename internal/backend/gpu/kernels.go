package gpu

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// variant is a kernel specialised for the weights and the cache that it works on.
type variant struct {
	kernel    *shaders.Kernel
	constants shaders.Constants
}

// pipeline is a variant, to be launched once it is made.
type pipeline struct {
	metal.ComputePipeline
	variant variant
	threads int // that a threadgroup may have, once it is made

	mu   sync.Mutex // held while it is made
	made bool
}

// kernels are the compiled sources and the pipelines made of them so far.
type kernels struct {
	metal  *metal.Metal
	device metal.Device

	mu        sync.Mutex
	libraries map[string]metal.Library
	languages map[string]metal.LanguageVersion // that the libraries are compiled in, 0: the system's choice
	halfCodes uint32                           // 1 where shaders.HalfCodes has told so
	pipelines map[variant]*pipeline            // made and to be made

	build func(variant) (p metal.ComputePipeline, threads int, err error)
}

func newKernels(m *metal.Metal, d metal.Device) *kernels {
	k := &kernels{metal: m, device: d, libraries: map[string]metal.Library{},
		languages: map[string]metal.LanguageVersion{}, pipelines: map[variant]*pipeline{}}
	k.build = k.compileVariant
	return k
}

// compile compiles the files of a table, side by side, if it has not yet.
func (k *kernels) compile(table []*shaders.Kernel, source func(file string) (string, error)) error {
	var wg sync.WaitGroup
	failed := map[string][]string{} // files, by what was wrong with them
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
				failed[err.Error()] = append(failed[err.Error()], file)
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
	var errs []error
	for what, files := range failed {
		slices.Sort(files)
		does := ".metal does not"
		if others := len(files) - 1; others > 0 {
			does = fmt.Sprintf(".metal and %d more do not", others)
		}
		errs = append(errs, fmt.Errorf("shaders/%s%s compile here: %s; use the CPU and report it", files[0], does, what))
	}
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

// of is the pipeline of a variant, made or not.
func (k *kernels) of(v variant) *pipeline {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.pipelines[v]
	if p == nil {
		p = &pipeline{variant: v}
		if k.pipelines != nil { // not released
			k.pipelines[v] = p
		}
	}
	return p
}

// get makes a pipeline when it is first asked for. Who asks for the same one meanwhile waits, who asks for another does
// not.
func (k *kernels) get(v variant) (*pipeline, error) {
	p := k.of(v)
	return p, k.ready(p)
}

// ready makes a pipeline, if it is not made yet.
func (k *kernels) ready(p *pipeline) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.made {
		p.ComputePipeline, p.threads, err = k.build(p.variant)
		p.made = err == nil
	}
	return err
}

func (k *kernels) compileVariant(v variant) (p metal.ComputePipeline, threads int, err error) {
	t := v.kernel
	k.mu.Lock()
	library := k.libraries[t.File]
	k.mu.Unlock()
	if library.IsZero() {
		return p, 0, fmt.Errorf("kernel %s of shaders/%s.metal is missing; use the CPU and report it", t.Name, t.File)
	}
	f, err := k.function(library, v)
	if err != nil {
		return p, 0, fmt.Errorf("kernel %s of shaders/%s.metal: %w; use the CPU and report it", t.Name, t.File, err)
	}
	defer f.Release()
	if p, err = k.device.NewComputePipeline(f); err != nil {
		return p, 0, fmt.Errorf("kernel %s of shaders/%s.metal: %w; use the CPU and report it", t.Name, t.File, err)
	}
	limit := p.MaxTotalThreadsPerThreadgroup()
	if threads = t.ThreadsWithin(limit); threads == 0 {
		p.Release()
		return p, 0, fmt.Errorf("kernel %s needs %d threads a threadgroup, this GPU runs %d; use the CPU and report it",
			t.Name, t.Threads, limit)
	}
	return p, threads, nil
}

// function takes a kernel out of its library, with its constants set.
func (k *kernels) function(library metal.Library, v variant) (metal.Function, error) {
	v.constants.Simdgroups, v.constants.HalfCodes = uint32(v.kernel.Threads/32), k.halfCodes
	v.constants.Columns, v.constants.Split = uint32(v.kernel.Lanes.Columns), uint32(v.kernel.Lanes.Split)
	c := k.metal.NewFunctionConstants()
	defer c.Release()
	for i, value := range []uint32{
		v.constants.GroupSize, uint32(v.constants.ScaleFormat), uint32(v.constants.WeightFormat),
		uint32(v.constants.KVFormat), v.constants.HeadDim, v.constants.Simdgroups, v.constants.HalfCodes,
		v.constants.Columns, v.constants.Split,
	} {
		c.SetUint(i, value)
	}
	return library.NewFunction(v.kernel.Name, c)
}

// release waits for the pipelines that are being made.
func (k *kernels) release() {
	k.mu.Lock()
	pipelines, libraries := k.pipelines, k.libraries
	k.pipelines, k.libraries = nil, nil
	k.mu.Unlock()
	for _, p := range pipelines {
		p.mu.Lock()
		if p.made {
			p.Release()
		}
		p.made = false
		p.mu.Unlock()
	}
	for _, l := range libraries {
		l.Release()
	}
}
