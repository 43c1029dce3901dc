package bench

// Range is a value with its error bounds.
type Range struct {
	Low, Likely, High float64
}

// Projection is what a checkpoint is to do on a device, tokens a second.
type Projection struct {
	Shape Shape
	Test  Test
	TS    Range
	Limit string // "memory", "compute" or "launch"
}

// Project derives it from what the device gives. Its bounds are those of the share of the limit that recorded runs of
// the backend reached.
func Project(l Limits, backend string, s Shape, t Test) Projection { panic("not written") }
