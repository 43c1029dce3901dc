package backend

// A Probe measures what a device gives at its best, while nothing else computes there. A measurement takes about ten
// milliseconds, the first one of each kind longer: it finds out how much work that is. Single ones scatter, and the
// first may find a device that has slowed down its clock.
//
// It is for one goroutine at a time. After Close, also the device's, its measurements are errors.
type Probe interface {
	// Bandwidth reads the probe's memory from front to back and gives the bytes a second.
	Bandwidth() (float64, error)
	// Products multiplies as the device's products of many tokens with weights of a format do, without their memory,
	// and gives the operations a second, two for a multiply-add of a weight and an activation.
	Products(f Format) (float64, error)
	// Attention is the same for float32, with which attention multiplies.
	Attention() (float64, error)
	// Launch runs a chain of ops that wait for each other and do next to nothing, and gives the seconds an op.
	Launch() (float64, error)
	// Close frees the memory.
	Close() error
}

// burstSeconds is how long a burst takes, or up to twice that: long against clocks and launches, short enough to be
// repeated.
const burstSeconds = 7e-3

// Burst finds out how much work of one kind is enough to be measured, for the makers of probes. The zero value begins
// with the least, 1.
type Burst struct{ work int }

// Run runs some work, which is where the last Run ended, and twice as much until it takes long enough. It gives the
// work and the seconds that it took.
func (b *Burst) Run(run func(work int) (seconds float64, err error)) (work, seconds float64, err error) {
	for b.work = max(b.work, 1); ; b.work *= 2 {
		seconds, err = run(b.work)
		if err != nil || seconds >= burstSeconds {
			return float64(b.work), seconds, err
		}
	}
}
