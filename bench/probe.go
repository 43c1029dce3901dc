package bench

import "context"

// Probe measures a device's limits, beside the models that run there. It is for one goroutine at a time, while no model
// computes.
type Probe struct{}

// OpenProbe opens the device that a backend stands for ("auto", "metal" or "cpu", as in model.Backend) and takes memory
// to measure with. The caller closes it.
func OpenProbe(ctx context.Context, backend string) (*Probe, error) { panic("not written") }

// Measure measures once, in about a quarter of a second. bits is the width of the weights whose products are meant: 4,
// 8, 16 or 32.
func (p *Probe) Measure(ctx context.Context, bits int) (Limits, error) { panic("not written") }

// Backend and Device name what is measured, as model.Info does.
func (p *Probe) Backend() string { panic("not written") }

// Device is what the system calls it.
func (p *Probe) Device() string { panic("not written") }

// Memory is how many bytes a model may take there, 0 when unknown.
func (p *Probe) Memory() int64 { panic("not written") }

// Close frees the memory and the device.
func (p *Probe) Close() error { panic("not written") }
