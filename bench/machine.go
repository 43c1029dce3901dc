package bench

import "context"

// ReadMachine tells what this machine is.
func ReadMachine(ctx context.Context) Machine { panic("not written") }

// Watch observes the machine while something is measured.
type Watch struct{}

// Activity is what a Watch saw.
type Activity struct {
	Others    float64 // share of the machine that other processes took, 0 to 1
	Throttled string  // what the system tells of it, "" when nothing
	Joules    float64 // that the machine used, 0 when unknown
}

// StartWatch begins to observe.
func StartWatch() *Watch { panic("not written") }

// End tells what happened since StartWatch. It may be called again, for what has happened until then.
func (w *Watch) End() Activity { panic("not written") }
