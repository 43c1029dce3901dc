package machine

import (
	"context"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// tree is a file system with these texts, each line a name and what the file has.
func tree(lines ...string) fstest.MapFS {
	root := fstest.MapFS{}
	for _, line := range lines {
		name, data, _ := strings.Cut(line, " ")
		root[name] = &fstest.MapFile{Data: []byte(data + "\n")}
	}
	return root
}

func TestPowerOfLinuxIsMisread(t *testing.T) {
	const (
		policy  = "sys/devices/system/cpu/cpufreq/policy"
		supply  = "sys/class/power_supply/"
		profile = "sys/firmware/acpi/platform_profile "
	)
	for name, tt := range map[string]struct {
		root fs.FS
		want string
	}{
		"a server without sensors": {tree("sys/devices/system/cpu/online 0-1"), ""},
		"nothing to read":          {fstest.MapFS{}, ""},
		"a server": {tree(policy+"0/scaling_governor performance", policy+"1/scaling_governor performance",
			policy+"0/scaling_max_freq 3500000", policy+"0/cpuinfo_max_freq 3500000",
			"sys/devices/system/cpu/intel_pstate/no_turbo 0", "sys/devices/system/cpu/cpufreq/boost 1"), "performance"},
		"a laptop on battery": {tree(policy+"0/scaling_governor powersave", profile+"low-power", supply+"AC/type Mains",
			supply+"AC/online 0", supply+"BAT0/type Battery", supply+"BAT0/status Discharging"),
			"powersave, platform profile low-power, battery"},
		"a laptop that charges": {tree(profile+"performance", supply+"ADP1/type Mains", supply+"ADP1/online 1",
			supply+"BAT0/type Battery", supply+"BAT0/status Charging"), "platform profile performance, mains"},
		"a charger too weak": {tree(supply+"BAT0/type Battery", supply+"BAT0/status Discharging",
			supply+"ucsi/type USB", supply+"ucsi/online 1"), "mains"},
		"no charger is listed": {tree(supply+"BAT0/type Battery", supply+"BAT0/status Not charging"), "mains"},
		"one battery of two is used": {tree(supply+"BAT0/type Battery", supply+"BAT0/status Discharging",
			supply+"BAT1/type Battery", supply+"BAT1/status Full"), "battery"},
		"the battery of a mouse": {tree(supply+"hid/type Battery", supply+"hid/status Discharging",
			supply+"hid/scope Device"), ""},
		"two kinds of cores, and a cap": {tree(policy+"0/scaling_governor schedutil", policy+"4/scaling_governor performance",
			policy+"0/scaling_max_freq 2000000", policy+"0/cpuinfo_max_freq 2000000", policy+"4/scaling_max_freq 1200000",
			policy+"4/cpuinfo_max_freq 3504000"), "schedutil/performance, at most 1.2 of 3.5 GHz"},
		"turbo is off on Intel": {tree("sys/devices/system/cpu/intel_pstate/no_turbo 1"), "no turbo"},
		"turbo is off":          {tree("sys/devices/system/cpu/cpufreq/boost 0"), "no turbo"},
		"garbage": {tree(policy+"0/scaling_governor per\x00form", policy+"0/scaling_max_freq fast",
			policy+"0/cpuinfo_max_freq 3500000", profile+strings.Repeat("x", 65), supply+"AC/online yes",
			supply+"BAT0/type Battery", supply+"BAT0/status two\nlines"), ""},
		"folders in the place of files": {tree(policy+"0/scaling_governor/x 1", supply+"AC/online/x 1"), ""},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, sysfsPower(tt.root)) })
	}
}

func TestThrottlingOfLinuxIsMisread(t *testing.T) {
	const cpu = "sys/devices/system/cpu/cpu"
	for name, tt := range map[string]struct {
		root fs.FS
		want string
	}{
		"not counted": {tree(cpu + "0/topology/core_id 0"), ""},
		"never":       {tree(cpu+"0/thermal_throttle/core_throttle_count 0", cpu+"1/thermal_throttle/core_throttle_count 0"), "nominal"},
		"times and not events": {tree(cpu+"0/thermal_throttle/package_throttle_count 3",
			cpu+"0/thermal_throttle/package_throttle_total_time_ms 900"), "3 throttling events"},
		"a package for each of its cores": {tree(cpu+"0/thermal_throttle/package_throttle_count 3",
			cpu+"1/thermal_throttle/package_throttle_count 3", cpu+"1/thermal_throttle/core_throttle_count 1"),
			"3 throttling events"},
		"garbage": {tree(cpu + "0/thermal_throttle/core_throttle_count hot"), ""},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, sysfsThermal(tt.root)) })
	}
}

// What the programs of macOS print, on Macs of several years.
const (
	airSettings = "System-wide power settings:\nCurrently in use:\n standby              1\n" +
		" Sleep On Power Button 1\n hibernatefile        /var/vm/sleepimage\n powernap             1\n" +
		" networkoversleep     0\n disksleep            10\n" +
		" sleep                0 (sleep prevented by sharingd, powerd, bluetoothd)\n hibernatemode        3\n" +
		" ttyskeepawake        1\n displaysleep         30\n tcpkeepalive         1\n lowpowermode         0\n" +
		" womp                 0\n"
	proSettings = "System-wide power settings:\n SleepDisabled\t\t1\nCurrently in use:\n standby              0\n" +
		" sleep                0 (sleep prevented by sharingd, powerd, caffeinate)\n powermode            2\n" +
		" womp                 1\n"
	intelSettings = "System-wide power settings:\nCurrently in use:\n lidwake              1\n gpuswitch            2\n" +
		" sleep                1 (sleep prevented by sharingd)\n"
	onMains   = "Now drawing from 'AC Power'\n -InternalBattery-0 (id=22806627)\t100%; charged; 0:00 remaining present: true\n"
	onBattery = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=21758051)\t87%; discharging; 0:52 remaining present: true\n"
	appleHeat = "Note: No thermal warning level has been recorded\nNote: No performance warning level has been recorded\n" +
		"Note: No CPU power status has been recorded\n"
	intelHeat = "Note: No thermal warning level has been recorded\nNote: No performance warning level has been recorded\n" +
		"2020-11-24 13:10:40 +0100 CPU Power notify\n\tCPU_Scheduler_Limit \t= 100\n\tCPU_Available_CPUs \t= 8\n" +
		"\tCPU_Speed_Limit \t= 35\n"
	level0      = "com.apple.system.thermalpressurelevel 0\n"
	level2      = "com.apple.system.thermalpressurelevel 2\n"
	gpuRegistry = "+-o AGXAcceleratorG15X  <class AGXAcceleratorG15X>\n    {\n      \"PerformanceStatistics\" = " +
		"{\"Renderer Utilization %\"=58,\"In use system memory\"=1234}\n      \"model\" = \"Apple M3 Max\"\n" +
		"      \"gpu-core-count\" = 40\n    }\n"
)

// mac is a Mac whose programs print this.
func mac(printed map[string]string) host {
	return host{macOS: true, root: fstest.MapFS{},
		run: func(_ context.Context, program string, arguments ...string) string {
			return printed[strings.Join(append([]string{program}, arguments...), " ")]
		}}
}

func TestMacIsMisread(t *testing.T) {
	const settings, batteries, heat = "/usr/bin/pmset -g", "/usr/bin/pmset -g batt", "/usr/bin/pmset -g therm"
	const level = "/usr/bin/notifyutil -g com.apple.system.thermalpressurelevel"
	const version, registry = "/usr/bin/sw_vers -productVersion", "/usr/sbin/ioreg -r -c AGXAccelerator -d 1"
	for name, tt := range map[string]struct {
		gpu     string
		printed map[string]string
		want    Description
	}{
		"M3 Max": {"Apple M3 Max", map[string]string{version: "26.1\n", settings: proSettings, batteries: onMains,
			heat: appleHeat, level: level0, registry: gpuRegistry},
			Description{System: "macOS 26.1 ", GPUInfo: "Apple M3 Max, 40 cores", Power: "high power mode, mains",
				Thermal: "nominal"}},
		"M2 Air on battery, hot": {"Apple M2", map[string]string{version: "14.2.1\n",
			settings:  strings.Replace(airSettings, "lowpowermode         0", "lowpowermode         1", 1),
			batteries: onBattery, heat: appleHeat, level: level2},
			Description{System: "macOS 14.2.1 ", GPUInfo: "Apple M2", Power: "low power mode, battery", Thermal: "heavy"}},
		"a Mac mini": {"Apple M1", map[string]string{version: "15.0\n", settings: airSettings,
			batteries: "Now drawing from 'AC Power'\n", level: level0},
			Description{System: "macOS 15.0 ", GPUInfo: "Apple M1", Power: "normal power mode, mains", Thermal: "nominal"}},
		"Intel without a battery": {"", map[string]string{version: "12.7\n", settings: intelSettings, batteries: onMains,
			heat: intelHeat, registry: gpuRegistry},
			Description{System: "macOS 12.7 ", Power: "mains", Thermal: "processor limited to 35 %"}},
		"a UPS": {"", map[string]string{batteries: "Now drawing from 'UPS Power'\n"}, Description{System: "macOS ", Power: "UPS"}},
		"garbage": {"Apple M1", map[string]string{version: "\n", settings: "powermode\n lowpowermode x\n powermode 0 1\n",
			batteries: "Now drawing\n", heat: "CPU_Speed_Limit = fast\n", registry: "\"gpu-core-count\" = many\n",
			level: "com.apple.system.thermalpressurelevel 99999999999999999999\n"}, Description{System: "macOS ", GPUInfo: "Apple M1"}},
		"a level that is new": {"", map[string]string{level: "com.apple.system.thermalpressurelevel 5\n"},
			Description{System: "macOS "}},
		"no programs": {"", nil, Description{System: "macOS "}},
	} {
		t.Run(name, func(t *testing.T) {
			is := mac(tt.printed).describe(context.Background(), tt.gpu)
			tt.want.System += runtime.GOARCH
			tt.want.CPUInfo, tt.want.Cores, tt.want.Memory = is.CPUInfo, is.Cores, is.Memory
			require.Equal(t, tt.want, is)
		})
	}
}

func TestProgramThatHangsHoldsUpTheHeader(t *testing.T) {
	h := mac(nil)
	h.run = func(ctx context.Context, program string, _ ...string) string {
		end, ok := ctx.Deadline()
		require.True(t, ok, program)
		require.LessOrEqual(t, time.Until(end), patience)
		return ""
	}
	h.describe(context.Background(), "")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.Empty(t, output(ctx, "/bin/sleep", "1000"))
}

func TestProgramThatFailsIsBelieved(t *testing.T) {
	require.Equal(t, "a b\n", output(context.Background(), "/bin/echo", "a", "b"))
	require.Empty(t, output(context.Background(), "/bin/sh", "-c", "echo 0; exit 1"))
	require.Empty(t, output(context.Background(), "/nowhere/pmset", "-g"))
}

func TestHeaderOfThisMachineIsEmpty(t *testing.T) {
	m := Describe(context.Background(), "")
	require.Regexp(t, `^(Linux|macOS) \d.* `+runtime.GOARCH+`$`, m.System)
	require.NotEmpty(t, m.CPUInfo)
	require.Positive(t, m.Cores)
	require.Greater(t, m.Memory, int64(1<<20))
}
