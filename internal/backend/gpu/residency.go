package gpu

import (
	"sync"
	"time"

	"github.com/glm4-metal/glm4-metal/metal"
)

// The system decides for each residency set whether its memory stays wired: one set of everything drops or wires all of
// it at once (ml-explore/mlx#4211). A queue takes 32 sets, so each has at most a twentieth of the memory that may be
// used, and all of that fits.
const (
	residencySets  = 32 // of a queue
	residencyShare = 20 // of the working set
)

// Memory that was idle for a second is unwired, for all that was asked (llama.cpp#17766), and the next step waits for
// it. While steps come, and some minutes longer, residency is asked for again and again.
const (
	residencyTick = 500 * time.Millisecond
	residencyIdle = 3 * time.Minute
)

// residency keeps the buffers of a device resident, where the system has sets for that. Where it has none, or makes
// none, buffers become resident when they are used.
type residency struct {
	device    metal.Device
	queue     metal.Queue
	supported bool
	limit     int // bytes of a set
	clock     clock

	mu    sync.Mutex
	sets  []*residencySet
	of    map[metal.Buffer]*residencySet
	note  error // why there is no further set
	used  time.Time
	tick  *time.Timer // nil while nothing asks again
	ended bool
}

type residencySet struct {
	metal.ResidencySet
	bytes int
}

// clock is the time, and a timer.
type clock struct {
	now   func() time.Time
	after func(d time.Duration, f func()) *time.Timer
}

var systemClock = clock{time.Now, time.AfterFunc}

func newResidency(d metal.Device, q metal.Queue, workingSet int) *residency {
	return &residency{device: d, queue: q, supported: d.SupportsResidencySets(),
		limit: max(workingSet/residencyShare, 1), clock: systemClock,
		of: map[metal.Buffer]*residencySet{}}
}

// add makes a buffer resident: in the first set that has room, in a new one, or, where there can be no more, in the
// smallest.
func (r *residency) add(b metal.Buffer, bytes int) {
	if !r.supported {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.room(bytes)
	if set == nil {
		return
	}
	set.Add(b)
	set.Commit()
	set.Request()
	set.bytes += bytes
	r.of[b] = set
}

func (r *residency) room(bytes int) *residencySet {
	var smallest *residencySet
	for _, s := range r.sets {
		if s.bytes+bytes <= r.limit {
			return s
		}
		if smallest == nil || s.bytes < smallest.bytes {
			smallest = s
		}
	}
	if len(r.sets) == residencySets || r.note != nil {
		return smallest
	}
	made, err := r.device.NewResidencySet("glm4-metal", 16)
	if err != nil {
		r.note = err
		return smallest
	}
	r.queue.AddResidencySet(made)
	r.sets = append(r.sets, &residencySet{ResidencySet: made})
	return r.sets[len(r.sets)-1]
}

// failed tells why there is no further set.
func (r *residency) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.note
}

// remove lets go of a buffer.
func (r *residency) remove(b metal.Buffer, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if set := r.of[b]; set != nil {
		set.Remove(b)
		set.Commit()
		set.bytes -= bytes
		delete(r.of, b)
	}
}

// use tells that a step comes.
func (r *residency) use() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used = r.clock.now()
	if r.tick == nil && len(r.sets) > 0 && !r.ended {
		r.tick = r.clock.after(residencyTick, r.again)
	}
}

// again asks for residency once more, until nothing has been used for long.
func (r *residency) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.clock.now().Sub(r.used) > residencyIdle {
		r.tick = nil
		return
	}
	for _, s := range r.sets {
		s.Request()
	}
	r.tick = r.clock.after(residencyTick, r.again)
}

// end gives everything back. The queue is empty.
func (r *residency) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.tick != nil {
		r.tick.Stop()
	}
	for _, s := range r.sets {
		s.End()
		r.queue.RemoveResidencySet(s.ResidencySet)
		s.Release()
	}
	r.sets, r.of = nil, nil
}
