package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/tuning"
	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/metal"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// Timing is what a GPU takes for the parts of a decoded token of GLM-4-9B, by its own clock.
type Timing struct {
	Copy       float64  `json:"copy"`          // bytes a second that are read and written elsewhere
	Serial     float64  `json:"serial_us"`     // of a dispatch that waits for the one before it
	Concurrent float64  `json:"concurrent_us"` // the same with barriers between concurrent dispatches
	GEMVs      []GEMV   `json:"gemvs"`
	Expected   []Expect `json:"expected"`
}

// GEMV is a product with one token, computed with a tile.
type GEMV struct {
	Op      string  `json:"op"` // "out" and "down" are one kernel
	Format  string  `json:"format"`
	Rows    int     `json:"rows"`
	Columns int     `json:"columns"`
	Tile    string  `json:"tile"`
	BuiltIn bool    `json:"built_in"`
	Timed   int     `json:"timed_rows"` // fewer than all where they would take long or not fit
	US      float64 `json:"us"`         // a median, of all rows
	Rate    float64 `json:"gb_s"`       // of weights
}

// Expect is how fast a checkpoint generates by its GEMVs, with the fastest tiles, and the other dispatches of a token.
type Expect struct {
	Bits  int     `json:"bits"`
	TS    float64 `json:"ts"`    // tokens a second, at the start of a context
	GEMVs float64 `json:"gemvs"` // share of the time
}

// timer is a gpu.Timer.
type timer interface {
	Copy() (float64, error)
	Chain(metal.DispatchType) (float64, error)
	GEMV(context.Context, gpu.GEMV) ([]gpu.GEMVTime, error)
	Close() error
}

// openTimer opens the timer of a device that has one.
func openTimer(d backend.Device) (timer, error) {
	g, ok := d.(*gpu.Device)
	if !ok {
		return nil, nil
	}
	return g.NewTimer(min(most, max(g.Info().Memory/share, least)))
}

// The memory that a timer reads: more than the caches of any chip, but no more than a part of what there is.
const (
	most, least = 512 << 20, 64 << 20
	share       = 16
)

// part is a product of a step, as often as there are layers or once.
type part struct {
	name  string
	times int
	gpu.GEMV
}

// stored is how the checkpoints that are timed store their weights.
type stored struct {
	bits   int
	format shaders.Format
	group  int
}

var storages = []stored{{4, shaders.Q4, 64}, {8, shaders.Q8, 64}, {16, shaders.BF16, 0}}

// partsOf are the products of a token.
func partsOf(c loader.Config, s stored) []part {
	shape := func(op string, rows, cols int) gpu.GEMV {
		return gpu.GEMV{Shape: shaders.Shape{Op: op, Format: s.format, Group: s.group, Rows: rows, Cols: cols}}
	}
	kv := c.KVHeads * c.HeadDim
	qkv := shape("qkv", c.Heads*c.HeadDim+2*kv, c.Hidden)
	qkv.KVRows = kv
	return []part{
		{"qkv", c.Layers, qkv},
		{"out", c.Layers, shape("out", c.Hidden, c.Heads*c.HeadDim)},
		{"gate_up", c.Layers, shape("gate_up", 2*c.FFN, c.Hidden)},
		{"down", c.Layers, shape("out", c.Hidden, c.FFN)},
		{"head", 1, shape("head", c.Vocab, c.Hidden)},
	}
}

// others are the dispatches of a token beside products: in a layer attention and two norms, the embedding, and the
// choice of an id.
func others(layers int) int { return 3*layers + 2 }

// time measures what a token is made of. Failures are checks.
func (x *examination) time(ctx context.Context, name string, d backend.Device) {
	t, err := x.openTimer(d)
	if t == nil && err == nil {
		return
	}
	if err == nil {
		err = x.timeWith(ctx, name, t)
		if e := t.Close(); err == nil {
			err = e
		}
	}
	if err != nil && ctx.Err() == nil {
		x.Timing = nil
		x.add(Failed, name+" timing", "cannot be measured: %v", err)
	}
}

func (x *examination) timeWith(ctx context.Context, name string, t timer) (err error) {
	x.say(name + " copies and chains")
	r := &Timing{GEMVs: []GEMV{}, Expected: []Expect{}}
	if r.Copy, err = t.Copy(); err != nil {
		return err
	}
	for kind, to := range map[metal.DispatchType]*float64{metal.Serial: &r.Serial, metal.Concurrent: &r.Concurrent} {
		if *to, err = t.Chain(kind); err != nil {
			return err
		}
		*to *= 1e6
	}
	x.add(OK, name+" copies", "%.1f GB/s, which are read and written", r.Copy/1e9)
	x.add(OK, name+" chain", "a dispatch that waits for another: %.1f µs, concurrent with barriers %.1f µs", r.Serial,
		r.Concurrent)
	var expected []string
	for _, s := range storages {
		x.say(fmt.Sprintf("%s products of %d bit with a token", name, s.bits))
		e, err := x.timeGEMVs(ctx, name, t, s, r)
		if err != nil {
			return err
		}
		r.Expected = append(r.Expected, e)
		expected = append(expected, fmt.Sprintf("%.3g t/s at %d bit (%s)", e.TS, e.Bits, e.limit()))
	}
	x.Timing = r
	x.add(OK, name+" decoding", "GLM-4-9B by its GEMVs and %d dispatches beside: %s", others(x.config.Layers),
		strings.Join(expected, ", "))
	return nil
}

// limit is what takes most of the time.
func (e Expect) limit() string {
	if e.GEMVs >= 0.5 {
		return fmt.Sprintf("products %.0f %%", 100*e.GEMVs)
	}
	return fmt.Sprintf("launches %.0f %%", 100-100*e.GEMVs)
}

// timeGEMVs times the products of one kind of weights with every tile.
func (x *examination) timeGEMVs(ctx context.Context, name string, t timer, s stored, r *Timing) (Expect, error) {
	var products float64 // seconds of a token
	var rates, faster []string
	cut := false
	for _, p := range partsOf(x.config, s) {
		times, err := t.GEMV(ctx, p.GEMV)
		if err != nil {
			return Expect{}, err
		}
		m := tuning.Measured{Shape: p.Shape, Bytes: p.Bytes(), Seconds: map[shaders.Tile]float64{}}
		for i, one := range times {
			m.Seconds[one.Tile] = one.Seconds
			cut = cut || one.Timed < p.Rows
			r.GEMVs = append(r.GEMVs, GEMV{p.Op, tuning.FormatName(p.Format), p.Rows, p.Cols, one.Tile.String(), i == 0,
				one.Timed, 1e6 * one.Seconds, one.Rate() / 1e9})
		}
		x.measured = append(x.measured, m)
		best, builtIn := m.Best(), times[0]
		products += float64(p.times) * m.Seconds[best]
		rates = append(rates, fmt.Sprintf("%s %.3g", p.name, float64(m.Bytes)/m.Seconds[best]/1e9))
		if best != builtIn.Tile {
			faster = append(faster, fmt.Sprintf("%s by %.0f %% with %v", p.name, 100*(builtIn.Seconds/m.Seconds[best]-1), best))
		}
	}
	text := strings.Join(rates, ", ") + " GB/s"
	if len(faster) > 0 {
		text += "; faster than built in: " + strings.Join(faster, ", ")
	}
	if cut {
		text += " (of fewer rows)"
	}
	x.add(OK, name+" gemv "+tuning.FormatName(s.format), "%s", text)
	all := products + float64(others(x.config.Layers))*r.Serial/1e6
	return Expect{s.bits, 1 / all, products / all}, nil
}

// noteTuning tells why a file of tiles that is there is not used.
func (x *examination) noteTuning() {
	if folder, err := x.folder(); err == nil {
		if _, note := tuning.Load(folder, tuning.KeyOf(x.chip)); note != "" {
			x.add(Note, "tuning", "%s", note)
		}
	}
}

// tune keeps the fastest tiles for the models that are loaded from now on, if nothing failed.
func (x *examination) tune() {
	if len(x.measured) == 0 {
		return
	}
	folder, err := x.folder()
	if err != nil {
		x.add(Note, "tuning", "the fastest tiles are not kept: %v", err)
		return
	}
	if failed := x.Failures(); len(failed) > 0 {
		x.add(Note, "tuning", "the fastest tiles are not kept, as a check failed")
		return
	}
	best := tuning.Of(x.measured)
	path, err := tuning.Save(folder, tuning.KeyOf(x.chip), x.measured)
	if err != nil {
		x.add(Note, "tuning", "the fastest tiles are not kept: %v", err)
		return
	}
	x.Tuning = path
	x.add(OK, "tuning", "%d of %d shapes differ from what is built in; models take %s", len(best), len(x.measured), path)
}
