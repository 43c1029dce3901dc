package machine

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// What macOS tells is read from what its programs print, which needs neither root nor C.

// describeMac adds what only macOS's programs know. The version is from sw_vers because the system tells a program that
// was built for an older one a compatible version, such as 16.0 for 26.0.
func (h host) describeMac(ctx context.Context, m *Description) {
	printed := h.ask(ctx, []string{"/usr/bin/sw_vers", "-productVersion"},
		[]string{"/usr/bin/pmset", "-g"}, []string{"/usr/bin/pmset", "-g", "batt"}, askPressure, askSpeed,
		[]string{"/usr/sbin/ioreg", "-r", "-c", "AGXAccelerator", "-d", "1"})
	m.System = strings.Join(strings.Fields("macOS "+printed[0]+" "+runtime.GOARCH), " ")
	m.Power = joined(macPowerMode(printed[1]), macPowerSource(printed[2]))
	m.Thermal = macThermal(printed[3], printed[4]).String()
	if cores := number(ioregCores, printed[5]); m.GPUInfo != "" && cores != "" {
		m.GPUInfo += ", " + cores + " cores"
	}
}

var (
	askPressure = []string{"/usr/bin/notifyutil", "-g", "com.apple.system.thermalpressurelevel"}
	askSpeed    = []string{"/usr/bin/pmset", "-g", "therm"}

	// A Mac with a mode of high power has powermode, 0 to 2; others have lowpowermode, 0 or 1, or neither.
	powerMode    = regexp.MustCompile(`(?m)^\s*powermode\s+(\d+)\s*$`)
	lowPowerMode = regexp.MustCompile(`(?m)^\s*lowpowermode\s+(\d+)\s*$`)
	powerSource  = regexp.MustCompile(`(?m)^Now drawing from '(\w+) Power'`)
	pressure     = regexp.MustCompile(`^com\.apple\.system\.thermalpressurelevel (\d+)\s*$`)
	speedLimit   = regexp.MustCompile(`(?m)\bCPU_Speed_Limit\s*=\s*(\d+)\s*$`)
	ioregCores   = regexp.MustCompile(`(?m)"gpu-core-count" = (\d+)\s*$`)
)

// number gives what a pattern finds, "" where it finds nothing.
func number(pattern *regexp.Regexp, text string) string {
	if found := pattern.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// macPowerMode reads the settings in use that pmset -g prints.
func macPowerMode(settings string) string {
	switch cmp.Or(number(powerMode, settings), number(lowPowerMode, settings)) {
	case "0":
		return "normal power mode"
	case "1":
		return "low power mode"
	case "2":
		return "high power mode"
	}
	return ""
}

// macPowerSource reads what pmset -g batt prints, also on a Mac without a battery.
func macPowerSource(batteries string) string {
	switch source := number(powerSource, batteries); source {
	case "AC":
		return "mains"
	case "Battery":
		return "battery"
	default:
		return source // UPS
	}
}

// pressures are the levels of thermal pressure on macOS, as powermetrics calls them.
// Source: OSThermalNotification.h of its SDK.
var pressures = []string{"nominal", "moderate", "heavy", "trapping", "sleeping"}

// macHeat is how far a Mac is slowed down.
type macHeat struct {
	pressure int // the level; -1 where unknown
	speed    int // of the processor, percent; 100 where nothing limits it
}

// macThermal reads the level that notifyutil prints, and the limit of pmset -g therm, which only Macs with an Intel
// processor have. NSProcessInfo's thermalState is coarser than the level. notifyutil prints 0 also for a name that
// nobody has set; the system sets this one since macOS 10.10.
func macThermal(level, therm string) macHeat {
	heat := macHeat{-1, 100}
	if n, err := strconv.Atoi(number(pressure, level)); err == nil && n < len(pressures) {
		heat.pressure = n
	}
	if n, err := strconv.Atoi(number(speedLimit, therm)); err == nil && n < 100 {
		heat.speed = n
	}
	return heat
}

func (t macHeat) String() string {
	var parts []string
	if t.pressure >= 0 {
		parts = append(parts, pressures[t.pressure])
	}
	if t.speed < 100 {
		parts = append(parts, fmt.Sprintf("processor limited to %d %%", t.speed))
	}
	return strings.Join(parts, ", ")
}
