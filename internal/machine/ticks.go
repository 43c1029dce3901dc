package machine

import (
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// ticks is the time of all logical cores since the system started, in hundredths of a second, as Linux and macOS count
// it; modulo 2^32, as macOS does.
type ticks struct {
	busy, idle uint32
	stolen     uint32 // by other virtual machines of the same host
}

// procTicks reads /proc/stat, where the time of guests is in that of their hosts.
// Source: https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat.
func procTicks(root fs.FS) (t ticks, ok bool) {
	data, _ := fs.ReadFile(root, "proc/stat")
	line, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[0] != "cpu" {
		return t, false
	}
	var n [8]uint32 // user, nice, system, idle, waiting for a disk, two kinds of interrupts, stolen
	for i, field := range fields[1:min(len(fields), 9)] {
		v, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return t, false
		}
		n[i] = uint32(v)
	}
	return ticks{busy: n[0] + n[1] + n[2] + n[5] + n[6], idle: n[3] + n[4], stolen: n[7]}, true
}

// others gives the share of the time since earlier ticks that went to other processes or was stolen, and the latter
// alone; own is what this process had.
func (t ticks) others(earlier ticks, own time.Duration) (others, stolen float64) {
	since := func(a, b uint32) float64 { return max(0, float64(int32(a-b))) } // some go back a little
	busy, idle := since(t.busy, earlier.busy), since(t.idle, earlier.idle)
	stolen = since(t.stolen, earlier.stolen)
	all := busy + idle + stolen
	if all == 0 {
		return 0, 0
	}
	const perSecond = 100
	return max(0, busy-own.Seconds()*perSecond+stolen) / all, stolen / all
}
