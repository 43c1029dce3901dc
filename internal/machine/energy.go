package machine

import (
	"io/fs"
	"strings"
	"time"
)

// meter counts the energy of a processor package in microjoules, from 0 again after its range.
// Source: https://docs.kernel.org/power/powercap/powercap.html.
type meter struct{ energy, limit int64 }

// meters gives those of the packages, by their folders, as far as they may be read, which most systems leave to root.
// Parts of packages, and what measures them a second time (psys, intel-rapl-mmio), are left out.
func meters(root fs.FS) map[string]meter {
	found := map[string]meter{}
	for _, folder := range glob(root, "sys/class/powercap/intel-rapl:*") {
		energy, ok := counter(root, folder+"/energy_uj")
		if ok && strings.HasPrefix(text(root, folder+"/name"), "package-") {
			found[folder] = meter{energy, integer(root, folder+"/max_energy_range_uj")}
		}
	}
	return found
}

// batteryWatts is the power that the machine takes from its batteries, 0 unless they tell it.
func batteryWatts(root fs.FS) (watts float64) {
	for _, supply := range supplies(root) {
		if text(root, supply+"/type") != "Battery" || text(root, supply+"/status") != "Discharging" {
			continue
		}
		power := float64(integer(root, supply+"/power_now")) / 1e6
		if power == 0 {
			power = float64(integer(root, supply+"/current_now")) / 1e6 * float64(integer(root, supply+"/voltage_now")) / 1e6
		}
		if power == 0 {
			return 0
		}
		watts += max(power, -power) // some drivers count what flows out as negative
	}
	return watts
}

// joules is the energy between two readings, 0 when unknown: of the packages, or else of the whole machine from its
// batteries, at the mean of their power at both.
func joules(start, end reading, took time.Duration) (sum float64) {
	for folder, before := range start.energy {
		after, ok := end.energy[folder]
		used := after.energy - before.energy
		if used < 0 {
			used += before.limit
		}
		if !ok || used < 0 {
			return 0
		}
		sum += float64(used) / 1e6
	}
	if len(start.energy) == 0 && start.watts > 0 && end.watts > 0 {
		return (start.watts + end.watts) / 2 * took.Seconds()
	}
	return sum
}
