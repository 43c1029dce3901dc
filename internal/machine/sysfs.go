package machine

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// What Linux tells is read from /sys. Sources: https://docs.kernel.org/admin-guide/pm/cpufreq.html,
// https://docs.kernel.org/admin-guide/abi-testing.html and https://docs.kernel.org/power/power_supply_class.html.

const cpus = "sys/devices/system/cpu/"

// sysfsPower gives the governors, what limits the frequency, and where the power comes from.
func sysfsPower(root fs.FS) string {
	var governors []string
	limit, profile, turbo := "", text(root, "sys/firmware/acpi/platform_profile"), ""
	for _, policy := range glob(root, cpus+"cpufreq/policy*") {
		if g := text(root, policy+"/scaling_governor"); g != "" && !slices.Contains(governors, g) {
			governors = append(governors, g)
		}
		most, made := integer(root, policy+"/scaling_max_freq"), integer(root, policy+"/cpuinfo_max_freq")
		if most > 0 && most < made && limit == "" {
			limit = "at most " + frequencies(most, made)
		}
	}
	if profile != "" {
		profile = "platform profile " + profile
	}
	if text(root, cpus+"intel_pstate/no_turbo") == "1" || text(root, cpus+"cpufreq/boost") == "0" {
		turbo = "no turbo"
	}
	return joined(strings.Join(governors, "/"), profile, turbo, limit, sysfsSource(root))
}

// sysfsSource is "mains", "battery" or "", as the power supplies tell.
func sysfsSource(root fs.FS) (source string) {
	for _, supply := range supplies(root) {
		switch status := text(root, supply+"/status"); {
		case text(root, supply+"/type") != "Battery" && integer(root, supply+"/online") > 0:
			return "mains"
		case status == "Discharging":
			source = "battery"
		case source == "" && (status == "Charging" || status == "Full" || status == "Not charging"):
			source = "mains"
		}
	}
	return source
}

// supplies are the folders of the power supplies, without the batteries of devices such as mice.
func supplies(root fs.FS) []string {
	return slices.DeleteFunc(glob(root, "sys/class/power_supply/*"), func(supply string) bool {
		return text(root, supply+"/scope") == "Device"
	})
}

// sysfsThermal tells how often a core was throttled since the system started, where the processor counts that.
func sysfsThermal(root fs.FS) string {
	events, most := throttleEvents(root), int64(0)
	for _, n := range events {
		most = max(most, n)
	}
	switch {
	case len(events) == 0:
		return ""
	case most == 0:
		return "nominal"
	}
	return fmt.Sprintf("%d throttling events", most)
}

// throttleEvents gives the counters of cores and packages by their files. All cores of a package have its counter.
func throttleEvents(root fs.FS) map[string]int64 {
	events := map[string]int64{}
	for _, file := range glob(root, cpus+"cpu*/thermal_throttle/*_throttle_count") {
		if n, ok := counter(root, file); ok {
			events[file] = n
		}
	}
	return events
}

// belowBase tells of the fastest core, where every one is more than 5 % below the frequency that it is made for.
func belowBase(root fs.FS) string {
	var fastest, base int64
	for _, core := range glob(root, cpus+"cpu*/cpufreq") {
		is, made := integer(root, core+"/scaling_cur_freq"), integer(root, core+"/base_frequency")
		if made == 0 {
			made = integer(root, path.Dir(core)+"/acpi_cppc/nominal_freq") * 1000 // in MHz
		}
		if made > 0 && is*100 >= made*95 {
			return ""
		}
		if made > 0 && is > fastest {
			fastest, base = is, made
		}
	}
	if fastest == 0 {
		return ""
	}
	return frequencies(fastest, base)
}

// frequencies puts two that are in kHz beside each other.
func frequencies(is, made int64) string {
	return fmt.Sprintf("%.1f of %.1f GHz", float64(is)/1e6, float64(made)/1e6)
}

func glob(root fs.FS, pattern string) []string {
	names, _ := fs.Glob(root, pattern) // the patterns are right
	return names
}

// text is what a file of one word or line has, "" if it is not there or has something else.
func text(root fs.FS, name string) string {
	data, err := fs.ReadFile(root, name)
	s := strings.TrimSpace(string(data))
	if err != nil || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return s
}

// counter is the number that a file has, if it has one.
func counter(root fs.FS, name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(text(root, name), 10, 64)
	return n, err == nil
}

// integer is the number that a file has, 0 without one.
func integer(root fs.FS, name string) int64 {
	n, _ := counter(root, name)
	return n
}
