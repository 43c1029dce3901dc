package gpu

import (
	"fmt"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Made is a kernel as the GPU's compiler made it.
type Made struct {
	*shaders.Kernel
	Language     metal.LanguageVersion // of its file, 0: the system's choice
	Took         time.Duration         // to make the pipeline, which the system may have had
	Limit, Width int                   // threads that a threadgroup may have, threads of a simdgroup
	Memory       int                   // bytes of threadgroup memory
	Err          error                 // why it cannot be used
}

// simdgroup is how many threads of one the kernels are written for.
const simdgroup = 32

// Make makes a pipeline of each kernel that a step may take, with constants as GLM-4-9B has them, and drops it again:
// groups of 64 with scales in bf16, plain weights in bf16, keys and values in f16, heads of 128.
func (d *Device) Make() (all []Made) {
	for _, k := range shaders.Table {
		all = append(all, d.kernels.inspect(k))
	}
	return all
}

func (k *kernels) inspect(t *shaders.Kernel) Made {
	c := shaders.Constants{GroupSize: 64, ScaleFormat: shaders.BF16, KVFormat: shaders.F16, HeadDim: 128}
	switch t.Name[strings.LastIndexByte(t.Name, '_')+1:] {
	case "q4":
		c.WeightFormat = shaders.Q4
	case "q8":
		c.WeightFormat = shaders.Q8
	case "w16":
		c.WeightFormat = shaders.BF16
	case "f32":
		c.KVFormat = shaders.F32
	}
	k.mu.Lock()
	library, language := k.libraries[t.File], k.languages[t.File]
	k.mu.Unlock()
	m := Made{Kernel: t, Language: language}
	start := time.Now()
	f, err := k.function(library, variant{t, c})
	if err != nil {
		m.Err = err
		return m
	}
	defer f.Release()
	p, err := k.device.NewComputePipeline(f)
	if err != nil {
		m.Err = err
		return m
	}
	defer p.Release()
	m.Took = time.Since(start)
	m.Limit, m.Width = p.MaxTotalThreadsPerThreadgroup(), p.ThreadExecutionWidth()
	m.Memory = p.StaticThreadgroupMemoryLength()
	switch {
	case t.ThreadsWithin(m.Limit) == 0:
		m.Err = fmt.Errorf("needs %d threads a threadgroup, this GPU runs %d", t.Threads, m.Limit)
	case m.Width != simdgroup:
		m.Err = fmt.Errorf("needs simdgroups of %d threads, this GPU has %d", simdgroup, m.Width)
	}
	return m
}

// HalfCodes tells whether codes are read as subnormal halves, which this GPU keeps then.
func (d *Device) HalfCodes() bool { return d.kernels.halfCodes == 1 }
