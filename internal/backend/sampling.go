package backend

import (
	"errors"
	"fmt"
	"math"
)

// Sampling says how [Stream.Sample] picks an id: the largest of logit/Temperature + Gumbel(Seed, Step, id) among the
// first Valid ids, which draws from softmax(logits/Temperature); at Temperature 0 the largest logit, and of equals
// the lowest id.
type Sampling struct {
	Temperature float32 // as function Temperature gives it
	Seed, Step  uint64
	Valid       int // rows of the head from here on are padding
}

// Temperature is what every sampler makes of a temperature: 0, greedy, of one so small that a logit divided by it could
// leave the range of float32, and the largest float32 of a larger one.
func Temperature(t float64) float32 {
	const least = 1e-20 // logits of up to 3e18 stay finite, and no two that differ are ever close enough for the noise
	if t < least {
		return 0
	}
	return float32(min(t, math.MaxFloat32))
}

// ErrEqualLogits is the error of a head that tells no id from another.
var ErrEqualLogits = errors.New(
	"the logits of all ids are equal; the checkpoint is broken, such as one whose weights are zeros")

// InfiniteLogit is the error of an id whose logit is NaN or +Inf.
func InfiniteLogit(id int) error {
	return fmt.Errorf("the logit of id %d is not a finite number; the checkpoint is broken or its weights overflow", id)
}

// Infinite tells whether a logit is NaN or +Inf. -Inf is a probability of 0.
func Infinite(logit float32) bool { return !(logit <= math.MaxFloat32) }

// Equal tells whether logits, two or more, are all equal.
func Equal(logits []float32) bool {
	for _, l := range logits {
		if l != logits[0] {
			return false
		}
	}
	return len(logits) > 1
}
