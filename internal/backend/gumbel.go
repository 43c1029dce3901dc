package backend

import "math"

// Gumbel is the noise that turns an argmax into a draw (the Gumbel-max trick): -ln(-ln u) for a u in (0, 1) that
// depends only on seed, step and id, so every device and every sampler that shares a seed draws the same id.
// u comes from 24 bits of SplitMix64's finaliser (Steele, Lea, Flood 2014).
func Gumbel(seed, step uint64, id int32) float32 {
	u := (float64(GumbelBits(GumbelKey(seed, step), id)) + 0.5) / (1 << 24)
	return float32(-math.Log(-math.Log(u)))
}

// GumbelKey is what the noise of all ids of a step has in common.
func GumbelKey(seed, step uint64) uint64 { return mix(seed + mix(step+0x9E3779B97F4A7C15)) }

// GumbelBits are the 24 bits that the noise of an id is made of; the noise grows with them.
func GumbelBits(key uint64, id int32) uint64 {
	return mix(key+uint64(uint32(id))*0x9E3779B97F4A7C15) >> 40
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
