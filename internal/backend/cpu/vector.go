package cpu

import (
	"math"

	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// Vectors of any length. Kernels take what is a multiple of eight; without kernels all is plain Go.

// rms writes out = x·weight / sqrt(mean(x²) + eps); out may be x. Without kernels it is plain Go.
func rms(k *simd.Kernels, out, x, weight []float32, eps float32) {
	width := len(x)
	fits := k != nil && width%8 == 0
	var sum float32
	if fits {
		sum = k.Squares(&x[0], width)
	} else {
		sum = dot(x, x)
	}
	scale := float32(1 / math.Sqrt(float64(sum/float32(width)+eps)))
	if fits {
		k.Scaled(&out[0], &x[0], &weight[0], width, scale)
		return
	}
	for i := range out {
		out[i] = weight[i] * (x[i] * scale)
	}
}

// addTo does x += y.
func addTo(k *simd.Kernels, x, y []float32) {
	if k != nil && len(x)%8 == 0 {
		k.Add(&x[0], &y[0], len(x))
		return
	}
	for i := range x {
		x[i] += y[i]
	}
}

// siluMul does gate = silu(gate)·up.
func siluMul(k *simd.Kernels, gate, up []float32) {
	i := 0
	if k != nil && len(gate) >= 8 {
		i = len(gate) &^ 7
		k.SiluMul(&gate[0], &up[0], i)
	}
	for ; i < len(gate); i++ {
		gate[i] = gate[i] / (1 + float32(math.Exp(-float64(gate[i])))) * up[i]
	}
}

// toHalves rounds the first len(dst) numbers of x as toHalf does.
func toHalves(k *simd.Kernels, dst []uint16, x []float32) {
	i := 0
	if k != nil && len(dst) >= 8 {
		i = len(dst) &^ 7
		k.Narrow(&dst[0], &x[0], i)
	}
	for ; i < len(dst); i++ {
		dst[i] = toHalf(x[i])
	}
}

// sumColumns is how many products are summed before their sum joins the others: a long sum loses less in two steps.
const sumColumns = 1024

// dot4 multiplies one vector with four that share its loads, each product summed as dot does.
func dot4(a, x0, x1, x2, x3 []float32) (y0, y1, y2, y3 float32) {
	for len(a) > sumColumns {
		z0, z1, z2, z3 := dot4Short(a[:sumColumns], x0, x1, x2, x3)
		y0, y1, y2, y3 = y0+z0, y1+z1, y2+z2, y3+z3
		a, x0, x1, x2, x3 = a[sumColumns:], x0[sumColumns:], x1[sumColumns:], x2[sumColumns:], x3[sumColumns:]
	}
	z0, z1, z2, z3 := dot4Short(a, x0, x1, x2, x3)
	return y0 + z0, y1 + z1, y2 + z2, y3 + z3
}

func dot(a, b []float32) (y float32) {
	for len(a) > sumColumns {
		y += dotShort(a[:sumColumns], b)
		a, b = a[sumColumns:], b[sumColumns:]
	}
	return y + dotShort(a, b)
}

// dot4Short sums in two lanes.
func dot4Short(a, x0, x1, x2, x3 []float32) (y0, y1, y2, y3 float32) {
	n := len(a)
	x0, x1, x2, x3 = x0[:n], x1[:n], x2[:n], x3[:n]
	var z0, z1, z2, z3 float32
	i := 0
	for ; i+2 <= n; i += 2 {
		v, w := a[i], a[i+1]
		y0 += v * x0[i]
		y1 += v * x1[i]
		y2 += v * x2[i]
		y3 += v * x3[i]
		z0 += w * x0[i+1]
		z1 += w * x1[i+1]
		z2 += w * x2[i+1]
		z3 += w * x3[i+1]
	}
	if i < n {
		y0 += a[i] * x0[i]
		y1 += a[i] * x1[i]
		y2 += a[i] * x2[i]
		y3 += a[i] * x3[i]
	}
	return y0 + z0, y1 + z1, y2 + z2, y3 + z3
}

func dotShort(a, b []float32) float32 {
	b = b[:len(a)]
	var y, z float32
	i := 0
	for ; i+2 <= len(a); i += 2 {
		y += a[i] * b[i]
		z += a[i+1] * b[i+1]
	}
	if i < len(a) {
		y += a[i] * b[i]
	}
	return y + z
}
