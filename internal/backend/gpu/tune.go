package gpu

import "github.com/glm4-metal/glm4-metal/shaders"

// Tune sets which tiles the GEMVs of streams made from now on take.
func (d *Device) Tune(t shaders.Tuning) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tuning = t
}
