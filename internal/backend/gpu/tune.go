package gpu

import "github.com/glm4-metal/glm4-metal/shaders"

// Tune sets which tiles the GEMVs of streams made from now on take. The tuning is not to be changed any more.
func (d *Device) Tune(t shaders.Tuning) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tuning = t
}

// product gives the variant of an op that multiplies `rows` rows, of this matrix and of those stored like it, with some
// tokens.
func (m *matrix) product(p shaders.Product, t shaders.Tuning, op string, rows, tokens int) variant {
	v := m.variant(shaders.Family{})
	v.kernel = p.Kernel(tokens, shaders.Shape{
		Op: op, Format: m.stored.format, Group: int(m.stored.group), Rows: rows, Cols: m.cols}, t)
	return v
}
