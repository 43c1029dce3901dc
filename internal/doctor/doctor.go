// Package doctor finds out whether this machine can run a model, and how fast: it describes the machine, makes every
// kernel of a GPU, computes the ops of a step with random weights on each device and holds the results against the CPU
// in plain Go, measures what a device gives, and projects checkpoints from that. The [Report] is for those who were not
// there. The fastest tiles of a GPU in which nothing failed are kept by package tuning.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/device"
	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/internal/tuning"
	"github.com/glm4-metal/glm4-metal/loader"
)

// State is how a check ended.
type State string

// The states. A note is nothing that has to be repaired.
const (
	OK     State = "ok"
	Failed State = "failed"
	Note   State = "note"
)

// Check is one thing that was looked at.
type Check struct {
	State      State   `json:"state"`
	Name       string  `json:"name"`                 // "system", or behind a backend "metal q4"
	Text       string  `json:"text"`                 // with the figures; an error's may have lines
	Difference float64 `json:"difference,omitempty"` // the largest, relative to the largest result
	Bound      float64 `json:"bound,omitempty"`      // of the difference
	MS         float64 `json:"ms,omitempty"`         // milliseconds that it took
}

// Report is what was found.
type Report struct {
	Machine     bench.Machine        `json:"machine"`
	Features    []string             `json:"cpu_features"` // that kernels can use; of the CPU, where it was examined
	Metal       *Metal               `json:"metal"`        // null where there is none or it was not asked for
	Checks      []Check              `json:"checks"`
	Kernels     []Kernel             `json:"kernels"` // of the GPU
	Timing      *Timing              `json:"timing"`  // of the GPU, null where it was not timed
	Tuning      string               `json:"tuning"`  // the file that was written, "" for none
	Backend     string               `json:"backend"` // that the asked one stands for, "" when it does not open
	Why         string               `json:"why"`
	Limits      map[int]bench.Limits `json:"limits"` // of that backend, by the bits of weights
	Projections []Projection         `json:"projections"`
}

// Failures gives the checks that failed.
func (r *Report) Failures() (failed []Check) {
	for _, c := range r.Checks {
		if c.State == Failed {
			failed = append(failed, c)
		}
	}
	return failed
}

// Failed tells whether a check of a backend failed.
func (r *Report) Failed(backend string) bool {
	for _, c := range r.Failures() {
		if of, _, _ := strings.Cut(c.Name, " "); of == backend {
			return true
		}
	}
	return false
}

func (r *Report) add(state State, name, text string, args ...any) {
	r.Checks = append(r.Checks, Check{State: state, Name: name, Text: fmt.Sprintf(text, args...)})
}

// Examine examines the devices that a backend stands for: "metal", "cpu", or with "auto" both. doing, if it is not nil,
// is told what is looked at. The error is that of ctx; everything else is in the report.
func Examine(ctx context.Context, backend string, doing func(what string)) (*Report, error) {
	x := examination{open: device.Open, openTimer: openTimer, readMetal: readMetal, preferred: gpu.Preferred,
		folder: tuning.Folder, sizes: glm9B, doing: doing}
	x.openProbe = func(ctx context.Context, backend string) (prober, error) { return bench.OpenProbe(ctx, backend) }
	return x.examine(ctx, backend)
}

// examination is what a report is made with; tests have other devices.
type examination struct {
	open      func(backend string) (d backend.Device, why string, err error)
	openProbe func(ctx context.Context, backend string) (prober, error)
	openTimer func(d backend.Device) (timer, error) // nil for a device that has none
	readMetal func() (*Metal, error)
	folder    func() (string, error) // of tunings
	preferred bool                   // Metal belongs to this system
	sizes     sizes                  // of what is computed
	doing     func(what string)

	config   loader.Config // of GLM-4-9B
	chip     string        // that tiles are for
	measured []tuning.Measured
	Report
}

func (x *examination) examine(ctx context.Context, asked string) (*Report, error) {
	x.Limits, x.Projections, x.Kernels, x.Features = map[int]bench.Limits{}, []Projection{}, []Kernel{}, []string{}
	nine, ok := hub.Find(projectedModels[0])
	if !ok {
		return nil, fmt.Errorf("doctor: %s is not in the catalog", projectedModels[0])
	}
	x.config = nine.Config
	x.say("the machine")
	x.describe(bench.ReadMachine(ctx))
	if asked != "cpu" {
		x.describeMetal(asked)
	}
	if asked != "metal" || x.Metal != nil {
		x.Backend = x.examineDevice(ctx, asked, asked)
	}
	switch {
	case asked == "auto" && x.Backend == "metal":
		x.examineDevice(ctx, "cpu", asked)
	case asked == "auto" && x.Metal != nil:
		x.examineDevice(ctx, "metal", asked)
	}
	if x.Backend != "" && ctx.Err() == nil {
		x.measure(ctx, asked)
	}
	if ctx.Err() == nil {
		x.tune()
	}
	return &x.Report, ctx.Err()
}

func (x *examination) say(what string) {
	if x.doing != nil {
		x.doing(what)
	}
}

func (x *examination) describe(m bench.Machine) {
	x.Machine = m
	x.add(OK, "system", "%s", m.System)
	x.add(OK, "chip", "%s, %d cores, %s", m.CPUInfo, m.Cores, gigabytes(m.Memory))
	state := OK
	if strings.HasPrefix(m.Power, "low power") || m.Thermal != "" && m.Thermal != "nominal" {
		state = Note
	}
	x.add(state, "power", "%s; thermal state %s", orUnknown(m.Power), orUnknown(m.Thermal))
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// examineDevice opens what a name stands for and computes there. It gives the backend, "" where it does not open.
func (x *examination) examineDevice(ctx context.Context, name, asked string) string {
	if ctx.Err() != nil {
		return ""
	}
	x.say("opening " + name)
	start := time.Now()
	d, why, err := x.open(name)
	if err != nil {
		x.add(x.withoutMetal(asked), name, "does not open: %v", err)
		return ""
	}
	defer d.Close()
	i := d.Info()
	if name == asked {
		x.Why = why
	}
	c := Check{State: OK, Name: i.Backend, MS: milliseconds(time.Since(start))}
	c.Text = fmt.Sprintf("%s; %s for models; opened in %.0f ms", i.Device, gigabytes(i.Memory), c.MS)
	x.Checks = append(x.Checks, c)
	if n, ok := d.(interface{ Notes() []string }); ok {
		for _, note := range n.Notes() {
			x.add(Note, i.Backend, "%s", note)
		}
	}
	switch m, ok := d.(maker); {
	case ok:
		x.chip = i.Device
		x.noteTuning()
		x.makeKernels(i.Backend, m)
	case i.Backend == "cpu":
		x.describeProcessor()
	}
	for _, t := range trials {
		if ctx.Err() != nil {
			break
		}
		x.say(i.Backend + " " + t.name)
		x.Checks = append(x.Checks, t.check(d, x.sizes))
	}
	if ctx.Err() == nil && !x.Failed(i.Backend) {
		x.time(ctx, i.Backend, d)
	}
	return i.Backend
}

// withoutMetal is the state of a check that found no Metal to use: a failure where it was asked for, or where the GPU
// is one that the kernels are for.
func (x *examination) withoutMetal(asked string) State {
	if asked == "metal" || x.preferred && (x.Metal == nil || x.Metal.AppleSilicon) {
		return Failed
	}
	return Note
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// gigabytes writes a size in GB of 1000.
func gigabytes(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }
