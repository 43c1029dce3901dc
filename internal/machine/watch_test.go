package machine

import (
	"context"
	"maps"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// scene is a machine that changes while it is watched: the files are what they were unless later has them, or all of
// them where gone.
type scene struct {
	before, later fstest.MapFS
	gone          bool
	took, own     time.Duration
	macOS         bool
	printed       [2]map[string]string // by the programs of macOS
}

func (s scene) watch() Activity {
	var now time.Time
	var own time.Duration
	root, printed := fstest.MapFS{}, s.printed[0]
	maps.Copy(root, s.before)
	w := host{macOS: s.macOS, root: root, now: func() time.Time { return now }, ticks: procTicks,
		own: func() time.Duration { return own },
		run: func(_ context.Context, program string, arguments ...string) string { return printed[arguments[1]] },
	}.watch()
	now, own, printed = now.Add(s.took), s.own, s.printed[1]
	if s.gone {
		clear(root)
	}
	maps.Copy(root, s.later)
	return w.End()
}

func TestOthersAreMiscounted(t *testing.T) {
	for name, tt := range map[string]struct {
		before, later string
		own           time.Duration
		others        float64
	}{
		//                  user nice system idle iowait irq softirq steal guest guest_nice
		"idle":              {"cpu  1000 10 200 5000 30 0 7 0 0 0", "cpu  1000 10 200 5200 30 0 7 0 0 0", 0, 0},
		"this process":      {"cpu  1000 10 200 5000 30 0 7 0 0 0", "cpu  1190 10 210 5000 30 0 7 0 0 0", 2 * time.Second, 0},
		"two others":        {"cpu  1000 10 200 5000 30 0 7 0 0 0", "cpu  1190 15 204 5000 30 0 8 0 0 0", 0, 1},
		"half of a core":    {"cpu  1000 10 200 5000 30 0 7 0 0 0", "cpu  1150 10 200 5050 30 0 7 0 0 0", time.Second, 0.25},
		"disks are awaited": {"cpu  1000 10 200 5000 30 0 7 0 0 0", "cpu  1050 10 200 5000 180 0 7 0 0 0", 0, 0.25},
		"stolen":            {"cpu  1000 10 200 5000 30 0 7 10 0 0", "cpu  1100 10 200 5050 30 0 7 60 0 0", time.Second, 0.25},
		"guests of its own": {"cpu  1000 10 200 5000 30 0 7 0 500 50", "cpu  1100 10 200 5100 30 0 7 0 600 50", 0, 0.5},
		"rounded down":      {"cpu  1000 10 200 5000 30 0 7 0 0 0", "cpu  1099 10 200 5100 30 0 7 0 0 0", time.Second, 0},
		"the idle time goes back": {"cpu  1000 10 200 5000 30 0 7 0 0 0", "cpu  1100 10 200 4990 25 0 7 0 0 0",
			500 * time.Millisecond, 0.5},
		"over 32 bits":     {"cpu  4294967000 10 200 5000 30 0 7 0", "cpu  4294967100 10 200 5100 30 0 7 0", 0, 0.5},
		"an old kernel":    {"cpu  1000 10 200 5000", "cpu  1100 10 200 5100", 0, 0.5},
		"at once":          {"cpu  1000 10 200 5000 30", "cpu  1000 10 200 5000 30", 0, 0},
		"garbage":          {"cpu  1000 10 200 5000 30", "cpu  1000 ten 200 5000 30", 0, 0},
		"garbage at first": {"cpu  -1 10 200 5000 30", "cpu  1100 10 200 5100 30", 0, 0},
		"another file":     {"cpu0 1000 10 200 5000 30", "cpu0 1100 10 200 5100 30", 0, 0},
		"cut short":        {"cpu  1000 10", "cpu  1100 20", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			stat := func(line string) fstest.MapFS {
				return tree("proc/stat " + line + "\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 1")
			}
			got := scene{before: stat(tt.before), later: stat(tt.later), took: time.Second, own: tt.own}.watch()
			require.InDelta(t, tt.others, got.Others, 1e-9)
		})
	}
	got := scene{before: tree("proc/stat cpu  1000 10 200 5000 30"), gone: true, took: time.Second}.watch()
	require.Zero(t, got.Others, "a file that vanishes")
	got = scene{before: tree("proc/stat cpu  1000 10 200 5000"), later: tree("proc/stat cpu  1002 10 200 5000"),
		took: shortest - 1}.watch()
	require.Zero(t, got.Others, "two ticks of a moment")
}

func TestThrottlingIsOverlooked(t *testing.T) {
	const (
		cpu    = "sys/devices/system/cpu/cpu"
		core   = "/thermal_throttle/core_throttle_count "
		key    = "com.apple.system.thermalpressurelevel"
		second = time.Second
	)
	slow := tree(cpu+"0/cpufreq/scaling_cur_freq 1200000", cpu+"0/cpufreq/base_frequency 2400000",
		cpu+"1/cpufreq/scaling_cur_freq 1300000", cpu+"1/cpufreq/base_frequency 2400000")
	level := func(level, therm string) map[string]string {
		return map[string]string{key: level, "therm": therm}
	}
	for name, tt := range map[string]struct {
		scene
		want string
	}{
		"nothing to read":    {scene{}, ""},
		"as often as before": {scene{before: tree(cpu+"0"+core+"7", cpu+"1"+core+"7"), took: second}, ""},
		"a core once": {scene{before: tree(cpu+"0"+core+"7", cpu+"1"+core+"7"), later: tree(cpu + "1" + core + "10")},
			"3 throttling events"},
		"counters vanish":      {scene{before: tree(cpu + "0" + core + "7"), gone: true}, ""},
		"a core that comes":    {scene{later: tree(cpu + "0" + core + "7")}, ""},
		"counters start again": {scene{before: tree(cpu + "0" + core + "7"), later: tree(cpu + "0" + core + "1")}, ""},
		"busy and slow":        {scene{before: slow, took: second, own: second}, "at 1.3 of 2.4 GHz"},
		"idle and slow":        {scene{before: slow, took: second, own: second / 3}, ""},
		"one core is fast": {scene{before: slow, later: tree(cpu + "1/cpufreq/scaling_cur_freq 2300000"), took: second,
			own: second}, ""},
		"slow by CPPC": {scene{before: tree(cpu+"0/cpufreq/scaling_cur_freq 2000000", cpu+"0/acpi_cppc/nominal_freq 2450"),
			took: second, own: second}, "at 2.0 of 2.5 GHz"},
		"made for what": {scene{before: tree(cpu + "0/cpufreq/scaling_cur_freq 1200000"), took: second, own: second}, ""},
		"another virtual machine": {scene{before: tree("proc/stat cpu  100 0 0 500 0 0 0 0"),
			later: tree("proc/stat cpu  150 0 0 530 0 0 0 20"), took: second},
			"the virtual machine's host kept 20 % of the processor time"},
		"hardly another virtual machine": {scene{before: tree("proc/stat cpu  100 0 0 500 0 0 0 0"),
			later: tree("proc/stat cpu  150 0 0 549 0 0 0 1"), took: second}, ""},
		"a Mac":                 {scene{macOS: true, printed: [2]map[string]string{level(level0, appleHeat), level(level0, appleHeat)}}, ""},
		"a Mac of unknown heat": {scene{macOS: true}, ""},
		"a Mac that gets hot": {scene{macOS: true, printed: [2]map[string]string{level(level0, ""), level(level2, "")}},
			"thermal pressure heavy"},
		"a Mac that was hot": {scene{macOS: true, printed: [2]map[string]string{level(level2, ""), level(level0, "")}},
			"thermal pressure heavy"},
		"a Mac with Intel": {scene{macOS: true, printed: [2]map[string]string{level(level0, ""), level(level0, intelHeat)}},
			"processor limited to 35 %"},
		"two things": {scene{before: tree(cpu+"0"+core+"1", cpu+"0/cpufreq/scaling_cur_freq 1200000",
			cpu+"0/cpufreq/base_frequency 2400000"), later: tree(cpu + "0" + core + "3"), took: second, own: second},
			"2 throttling events, at 1.2 of 2.4 GHz"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, tt.watch().Throttled) })
	}
}

func TestEnergyIsMiscounted(t *testing.T) {
	const rapl, bat, bat1 = "sys/class/powercap/intel-rapl:", "sys/class/power_supply/BAT0/", "sys/class/power_supply/BAT1/"
	one := tree(rapl+"0/name package-0", rapl+"0/energy_uj 262143000000", rapl+"0/max_energy_range_uj 262143328850")
	battery := tree(bat+"type Battery", bat+"status Discharging", bat+"power_now 12000000")
	for name, tt := range map[string]struct {
		before, later fstest.MapFS
		gone          bool
		joules        float64
	}{
		"unknown": {joules: 0},
		"two packages": {tree(rapl+"0/name package-0", rapl+"0/energy_uj 1000000", rapl+"1/name package-1",
			rapl+"1/energy_uj 0"), tree(rapl+"0/energy_uj 151000000", rapl+"1/energy_uj 50000000"), false, 200},
		"parts, and what is measured twice": {tree(rapl+"0/name package-0", rapl+"0/energy_uj 0", rapl+"0:0/name core",
			rapl+"0:0/energy_uj 0", rapl+"1/name psys", rapl+"1/energy_uj 0", "sys/class/powercap/intel-rapl-mmio:0/name package-0",
			"sys/class/powercap/intel-rapl-mmio:0/energy_uj 0"), tree(rapl+"0/energy_uj 30000000", rapl+"0:0/energy_uj 20000000",
			rapl+"1/energy_uj 90000000", "sys/class/powercap/intel-rapl-mmio:0/energy_uj 30000000"), false, 30},
		"a counter wraps":       {one, tree(rapl + "0/energy_uj 1671150"), false, 2},
		"a counter wraps where": {tree(rapl+"0/name package-0", rapl+"0/energy_uj 9000000"), tree(rapl + "0/energy_uj 1"), false, 0},
		"for root only":         {tree(rapl+"0/name package-0", rapl+"0/energy_uj/x 1"), nil, false, 0},
		"garbage":               {tree(rapl+"0/name package-0", rapl+"0/energy_uj 1e6"), tree(rapl + "0/energy_uj 9000000"), false, 0},
		"counters vanish":       {one, nil, true, 0},
		"one of two vanishes": {tree(rapl+"0/name package-0", rapl+"0/energy_uj 1000000", rapl+"1/name package-1",
			rapl+"1/energy_uj 0"), tree(rapl+"0/energy_uj 9000000", rapl+"1/energy_uj gone"), false, 0},
		"a battery": {battery, tree(bat + "power_now 18000000"), false, 150},
		"a battery, as current": {tree(bat+"type Battery", bat+"status Discharging", bat+"current_now -1500000",
			bat+"voltage_now 12000000"), nil, false, 180},
		"two batteries": {tree(bat+"type Battery", bat+"status Discharging", bat+"power_now 12000000", bat1+"type Battery",
			bat1+"status Discharging", bat1+"power_now 3000000"), nil, false, 150},
		"one of two batteries is silent": {tree(bat+"type Battery", bat+"status Discharging", bat+"power_now 12000000",
			bat1+"type Battery", bat1+"status Discharging"), nil, false, 0},
		"a battery that is plugged in": {battery, tree(bat + "status Charging"), false, 0},
		"a battery beside a counter": {tree(rapl+"0/name package-0", rapl+"0/energy_uj 262143000000",
			bat+"type Battery", bat+"status Discharging", bat+"power_now 12000000"), tree(rapl + "0/energy_uj 262144000000"), false, 1},
		"the battery of a mouse": {tree(bat+"type Battery", bat+"status Discharging", bat+"power_now 12000", bat+"scope Device"),
			nil, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := scene{before: tt.before, later: tt.later, gone: tt.gone, took: 10 * time.Second}.watch()
			require.InDelta(t, tt.joules, got.Joules, 1e-6)
		})
	}
}

func TestSecondEndCountsFromTheFirst(t *testing.T) {
	root := tree("proc/stat cpu  0 0 0 0")
	var now time.Time
	w := host{root: root, now: func() time.Time { return now }, own: func() time.Duration { return 0 },
		ticks: procTicks}.watch()
	now = now.Add(time.Second)
	root["proc/stat"].Data = []byte("cpu  100 0 0 0")
	require.Equal(t, 1.0, w.End().Others)
	root["proc/stat"].Data = []byte("cpu  100 0 0 300")
	require.Equal(t, 0.25, w.End().Others)
}

func TestThisMachineCannotBeWatched(t *testing.T) {
	h := thisHost()
	_, ok := h.ticks(h.root)
	require.True(t, ok)
	before := h.own()
	for sum := 0; h.own() == before; sum++ { // until a part of a second is counted
	}
	a := StartWatch().End()
	require.GreaterOrEqual(t, a.Others, 0.0)
	require.LessOrEqual(t, a.Others, 1.0)
}
