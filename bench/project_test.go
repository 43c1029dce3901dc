package bench

import (
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/model"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// ran makes a row of a run of the 9B that got some share of its limit.
func ran(t *testing.T, backend string, test Test, share float64) Row {
	r := Row{
		Engine: "glm4-metal", Backends: backend, ModelType: "glm4 9B 4bit", ModelNParams: 9.4e9, NBatch: 512, TypeK: "f16",
		Test: test, Bandwidth: 35e9, Products: 400e9, Attention: 240e9, LaunchNS: 5000,
	}
	least, by := limitsOf(r).Limit(known(t, "glm4:9b-4bit"), test, 512)
	r.LimitTS, r.Limit, r.OfLimit = float64(test.Prompt+test.Generate)/least.Seconds(), by, share
	r.MedianTS = share * r.LimitTS
	return r
}

// limitsOf are the limits that were measured with a row.
func limitsOf(r Row) Limits {
	return Limits{r.Bandwidth, r.Products, r.Attention, time.Duration(r.LaunchNS), splitKeys(r.Backends)}
}

// checkRecorded holds our own rows against the formula, and returns how many it could: those of models in the catalog.
func checkRecorded(rows []Row) (checked int, err error) {
	shapes := map[string]Shape{}
	for _, k := range hub.Catalog() {
		for _, bits := range []int{16, 32} {
			s, err := ShapeOfConfig(k.Config, bits)
			if err != nil {
				return 0, err
			}
			shapes[fmt.Sprintf("%s f%d", s.Name, bits)] = s
		}
	}
	for i, r := range rows {
		s, ok := shapes[r.ModelType+" "+r.TypeK]
		if r.Engine != "glm4-metal" || !ok {
			continue
		}
		checked++
		least, by := limitsOf(r).Limit(s, r.Test, r.NBatch)
		limit := float64(r.Prompt+r.Generate) / least.Seconds()
		if d := r.LimitTS/limit - 1; !(d >= -0.02 && d <= 0.02) || r.Limit != by {
			return checked, fmt.Errorf("row %d, %v of %s: recorded as limited by %s to %.2f tokens a second, the formula "+
				"has %s, %.2f", i+1, r.Test, r.ModelType, r.Limit, r.LimitTS, by, limit)
		}
		if !counts(r) || r.Prompt > 0 && r.Generate > 0 {
			continue // not what projections are made from
		}
		p := project(limitsOf(r), r.Backends, s, r.Test, rows)
		if r.MedianTS < 0.98*p.TS.Low || r.MedianTS > 1.02*p.TS.High {
			return checked, fmt.Errorf("row %d, %v of %s: recorded %.2f tokens a second, projected %.2f to %.2f", i+1,
				r.Test, r.ModelType, r.MedianTS, p.TS.Low, p.TS.High)
		}
	}
	return checked, nil
}

func TestRecordedRunsContradictTheFormula(t *testing.T) {
	checked, err := checkRecorded(recorded())
	require.NoError(t, err)
	if checked > 0 {
		return
	}
	names, err := fs.Glob(results, "results/*.csv")
	require.NoError(t, err)
	for _, name := range names {
		text, err := results.ReadFile(name)
		require.NoError(t, err)
		require.Empty(t, text, "%s has no run of glm4-metal with a model of the catalog: nothing holds the formula", name)
	}
}

func TestContradictionIsOverlooked(t *testing.T) {
	good := []Row{
		ran(t, "CPU", Test{Prompt: 512}, 0.7), ran(t, "CPU", Test{Generate: 128}, 0.9),
		ran(t, "CPU", Test{Generate: 128, Depth: 4096}, 0.8), ran(t, "CPU", Test{Prompt: 2000, Generate: 128}, 0.85),
		{Engine: "llama.cpp", ModelType: "glm4 9B Q4_0"}, {Engine: "glm4-metal", ModelType: "glm4 6M 4bit"},
	}
	checked, err := checkRecorded(good)
	require.NoError(t, err)
	require.Equal(t, 4, checked)
	for want, spoil := range map[string]func(r *Row){
		"7.22 tokens a second, the formula has memory, 7.01": func(r *Row) { r.LimitTS *= 1.03 },
		"recorded as limited by compute":                     func(r *Row) { r.Limit = "compute" },
		"recorded 4.20 tokens a second, projected":           func(r *Row) { r.MedianTS = 0.6 * r.LimitTS },
		"the formula has launch":                             func(r *Row) { r.LaunchNS = 1e6 },
	} {
		rows := append([]Row{}, good...)
		spoil(&rows[1])
		_, err := checkRecorded(rows)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "row 2, tg128 of glm4 9B 4bit")
	}
}

func TestProjectionTakesOtherRuns(t *testing.T) {
	generation, prompt := Test{Generate: 128}, Test{Prompt: 512}
	rows := []Row{
		ran(t, "CPU", generation, 0.95), ran(t, "CPU", Test{Generate: 8, Depth: 4096}, 0.80), ran(t, "CPU", generation, 0.90),
		ran(t, "CPU", prompt, 0.7), ran(t, "CPU", prompt, 0.9),
	}
	for _, spoil := range []func(r *Row){
		func(r *Row) { r.Backends = "Metal" },
		func(r *Row) { r.Engine = "llama.cpp" },
		func(r *Row) { r.Warning = "busy" },
		func(r *Row) { r.ModelNParams = 999e6 },
		func(r *Row) { r.OfLimit = 0 },
		func(r *Row) { r.Prompt = 512 },
	} {
		r := ran(t, "CPU", generation, 0.1)
		spoil(&r)
		rows = append(rows, r)
	}
	l, s := limitsOf(rows[0]), known(t, "glm4:9b-8bit")
	p := project(l, "cpu", s, generation, rows)
	require.Equal(t, s, p.Shape)
	require.Equal(t, generation, p.Test)
	require.Equal(t, "memory", p.Limit)
	require.Equal(t, 3, p.Runs)
	least, _ := l.Limit(s, generation, model.DefaultPrefillChunk)
	require.InEpsilon(t, 128/least.Seconds(), p.LimitTS, 1e-9)
	inRange(t, Range{0.80 * p.LimitTS, 0.90 * p.LimitTS, 0.95 * p.LimitTS}, p.TS)

	few := ran(t, "CPU", Test{Prompt: 8}, 0.3)
	few.FirstTS, few.LastTS = few.MedianTS*1.5, few.MedianTS*0.5
	p = project(l, "cpu", s, few.Test, append(rows, few))
	require.Equal(t, 1, p.Runs, "a short prompt is no long one")
	inRange(t, Range{0.15 * p.LimitTS, 0.3 * p.LimitTS, 0.45 * p.LimitTS}, p.TS)

	few.FirstTS = few.MedianTS * 4
	p = project(l, "cpu", s, few.Test, append(rows, few))
	inRange(t, Range{0.15 * p.LimitTS, 0.3 * p.LimitTS, p.LimitTS}, p.TS)

	p = project(l, "cpu", s, prompt, rows)
	require.Equal(t, 2, p.Runs)
	require.Equal(t, "compute", p.Limit)
	inRange(t, Range{0.7 * p.LimitTS, 0.8 * p.LimitTS, 0.9 * p.LimitTS}, p.TS)

	// One after the other, the second behind the first.
	both := project(l, "cpu", s, Test{Prompt: 512, Generate: 128}, rows)
	behind := project(l, "cpu", s, Test{Generate: 128, Depth: 512}, rows)
	require.Equal(t, 2, both.Runs)
	require.InEpsilon(t, 512/p.TS.Low+128/behind.TS.Low, 640/both.TS.Low, 1e-6)
	require.InEpsilon(t, 512/p.TS.Likely+128/behind.TS.Likely, 640/both.TS.Likely, 1e-6)
}

func inRange(t *testing.T, want, got Range) {
	t.Helper()
	require.InEpsilon(t, want.Low, got.Low, 1e-6)
	require.InEpsilon(t, want.Likely, got.Likely, 1e-6)
	require.InEpsilon(t, want.High, got.High, 1e-6)
}

func TestAssumedBoundsLookRecorded(t *testing.T) {
	l, s := Limits{400e9, 14e12, 14e12, time.Microsecond, 0}, known(t, "glm4:9b-4bit")
	rows := []Row{ran(t, "CPU", Test{Generate: 128}, 0.5), ran(t, "Metal", Test{Prompt: 512}, 0.5)}
	p := project(l, "metal", s, Test{Generate: 128}, rows)
	require.Zero(t, p.Runs)
	inRange(t, Range{0.60 * p.LimitTS, 0.85 * p.LimitTS, 0.91 * p.LimitTS}, p.TS)
	require.Equal(t, 1, project(l, "metal", s, Test{Prompt: 512}, rows).Runs)
	require.Zero(t, project(l, "metal", s, Test{Prompt: 512, Generate: 128}, rows).Runs, "a part is assumed")
	require.Greater(t, p.LimitTS, project(l, "metal", s, Test{Generate: 128, Depth: 256}, rows).LimitTS*1.003, "splits")

	p = project(l, "metal", s, Test{}, rows)
	require.Zero(t, p.TS)
	require.Zero(t, project(Limits{}, "metal", s, Test{Generate: 1}, rows).TS, "nothing is known")
}

// The README projects 70 to 73 tokens a second for an M3 Max, with 2 to 0.5 µs a launch, if ours streams as well as
// MLX can.
func TestProjectionContradictsTheREADME(t *testing.T) {
	for launch, want := range map[time.Duration]float64{2 * time.Microsecond: 70, 500 * time.Nanosecond: 73} {
		p := project(Limits{400e9, 14e12, 14e12, launch, 0}, "metal", known(t, "glm4:9b-4bit"), Test{Generate: 128}, nil)
		require.InDelta(t, want, p.TS.High, 0.5)
	}
}

func TestMemoryOfAProjectionDiffers(t *testing.T) {
	k, _ := hub.Find("glm4:9b-4bit")
	m := MemoryFor(k.Config, 16, Test{Generate: 128})
	require.EqualValues(t, 5288869888, m.Weights)
	require.EqualValues(t, 4096*40960, m.KV)
	require.Less(t, m.Scratch, int64(100e6))
	require.EqualValues(t, 8448*2*40960, MemoryFor(k.Config, 32, Test{Prompt: 64, Generate: 128, Depth: 8192}).KV)
}

func TestMetalSplitsTheKeysElsewhere(t *testing.T) {
	_, splits := shaders.Split(metalSplit, 2)
	require.Equal(t, 1, splits)
	_, splits = shaders.Split(metalSplit+1, 2)
	require.Greater(t, splits, 1)
}
