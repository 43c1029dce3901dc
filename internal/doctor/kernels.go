package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Kernel is a kernel as the GPU's compiler made it, with constants as GLM-4-9B has them.
type Kernel struct {
	Name     string  `json:"name"`
	File     string  `json:"file"`
	Tile     string  `json:"tile,omitempty"` // of a GEMV for one token
	Language string  `json:"language"`       // version that its file is compiled in, "" for the system's choice
	MS       float64 `json:"ms"`             // to make it
	Threads  int     `json:"threads"`        // of a threadgroup
	Limit    int     `json:"limit"`          // of these
	Width    int     `json:"width"`          // threads of a simdgroup
	Memory   int     `json:"memory"`         // bytes of threadgroup memory
	Error    string  `json:"error,omitempty"`
}

// maker is a device that makes kernels.
type maker interface {
	Make() []gpu.Made
	HalfCodes() bool
}

// makeKernels makes every kernel.
func (x *examination) makeKernels(backend string, d maker) {
	x.say(backend + " kernels")
	var failed []string
	start := time.Now()
	for _, m := range d.Make() {
		k := Kernel{Name: m.Name, File: m.File, Language: languageName(m.Language), MS: milliseconds(m.Took),
			Threads: m.Threads, Limit: m.Limit, Width: m.Width, Memory: m.Memory}
		if m.Lanes != (shaders.Tile{}) {
			k.Tile = m.Lanes.String()
		}
		if m.Err != nil {
			k.Error = m.Err.Error()
			failed = append(failed, fmt.Sprintf("%s: %v", strings.TrimSpace(m.Name+" "+k.Tile), m.Err))
		}
		x.Kernels = append(x.Kernels, k)
	}
	c := Check{State: OK, Name: backend + " kernels", Text: foldKernels(x.Kernels), MS: milliseconds(time.Since(start))}
	if len(failed) > 0 {
		c.State = Failed
		c.Text = fmt.Sprintf("%d of %d cannot be used, use the CPU and report it: %s", len(failed), len(x.Kernels),
			strings.Join(failed, "; "))
	}
	x.Checks = append(x.Checks, c)
	if d.HalfCodes() {
		x.add(OK, backend+" probes", "subnormal halves are kept; simdgroup matrices lie in the lanes as expected")
	} else { // which a note of the device tells
		x.add(OK, backend+" probes", "simdgroup matrices lie in the lanes as expected")
	}
}

// foldKernels says of kernels in a line what there is to know where all are fine.
func foldKernels(all []Kernel) string {
	if len(all) == 0 {
		return "none"
	}
	slow, tight, limits := all[0], "", "as declared"
	var least, most int // limits above what is declared, which registers decide
	var total float64
	files, languages := map[string]string{}, map[string]bool{}
	for _, k := range all {
		if k.MS > slow.MS {
			slow = k
		}
		if k.Limit > k.Threads {
			most = max(most, k.Limit)
			if least == 0 || k.Limit < least {
				least, tight = k.Limit, k.Name
			}
		}
		total += k.MS
		files[k.File] = orUnknown(k.Language)
		languages[files[k.File]] = true
	}
	if most > 0 {
		limits = fmt.Sprintf("%d (%s) to %d", least, tight, most)
	}
	language := strings.Join(slices.Sorted(maps.Keys(languages)), "")
	if len(languages) > 1 {
		var each []string
		for _, file := range slices.Sorted(maps.Keys(files)) {
			each = append(each, files[file]+" of "+file)
		}
		language = strings.Join(each, ", ")
	}
	return fmt.Sprintf("%d of %d files, made in %.0f ms, the slowest in %.0f ms (%s); threads limit %s, "+
		"width %d; language %s", len(all), len(files), total, slow.MS, slow.Name, limits, all[0].Width, language)
}

// languageName is a version of the language as it is written, "" for none.
func languageName(v metal.LanguageVersion) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d", v>>16, v&0xffff)
}

var _ maker = (*gpu.Device)(nil)
