package machine

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Watch observes the machine while something is measured.
type Watch struct {
	host  host
	start reading
}

// shortest is how long a Watch must last to tell what others took, which is counted in hundredths of a second.
const shortest = 300 * time.Millisecond

// Activity is what a Watch saw.
type Activity struct {
	Others    float64 // share of the machine that other processes and virtual machines took, 0 to 1; 0 when unknown
	Throttled string  // what the system tells of it, "" when nothing
	Joules    float64 // that the machine used, 0 when unknown
}

// StartWatch begins to observe.
func StartWatch() *Watch { return thisHost().watch() }

func (h host) watch() *Watch { return &Watch{h, h.read()} }

// reading is what the system has counted until a moment, and how it is then.
type reading struct {
	at     time.Time
	own    time.Duration
	ticks  *ticks           // nil where unknown
	events map[string]int64 // of throttling
	held   time.Duration    // by quotas of cgroups
	energy map[string]meter
	watts  float64 // from batteries
	heat   macHeat
}

func (h host) read() reading {
	s := reading{at: h.now(), own: h.own(), held: Held(h.root), heat: macHeat{-1, 100}}
	if t, ok := h.ticks(h.root); ok {
		s.ticks = &t
	}
	if h.macOS {
		printed := h.ask(context.Background(), askPressure, askSpeed)
		s.heat = macThermal(printed[0], printed[1])
		return s // Without root, only private interfaces tell of energy.
	}
	s.events, s.energy, s.watts = throttleEvents(h.root), meters(h.root), batteryWatts(h.root)
	return s
}

// End tells what happened since StartWatch. It may be called again, for what has happened until then.
func (w *Watch) End() Activity {
	start, end := w.start, w.host.read()
	took, own := end.at.Sub(start.at), end.own-start.own
	a := Activity{Joules: joules(start, end, took)}
	var throttled []string
	tell := func(format string, value any) { throttled = append(throttled, fmt.Sprintf(format, value)) }
	if start.ticks != nil && end.ticks != nil && took >= shortest {
		var stolen float64
		a.Others, stolen = end.ticks.others(*start.ticks, own)
		if stolen >= 0.05 {
			tell("the virtual machine's host kept %.0f %% of the processor time", 100*stolen)
		}
	}
	var events int64
	for file, n := range start.events {
		events = max(events, end.events[file]-n)
	}
	if events > 0 {
		tell("%d throttling events", events)
	}
	// Idle cores are slow without being throttled.
	if slow := belowBase(w.host.root); slow != "" && own > took/2 {
		tell("at %s", slow)
	}
	if held := end.held - start.held; held > took/100 {
		tell("stopped for %v by the quota of its cgroup", held.Round(time.Millisecond))
	}
	// The level at the start tells more of the speed than that at the end.
	if level := max(start.heat.pressure, end.heat.pressure); level > 0 {
		tell("thermal pressure %s", pressures[level])
	}
	if speed := min(start.heat.speed, end.heat.speed); speed < 100 {
		tell("processor limited to %d %%", speed)
	}
	a.Throttled = joined(throttled...)
	return a
}

// ownTime is the processor time that this process has had in all its threads.
func ownTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
