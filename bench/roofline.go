package bench

import "time"

// Limits is what a device gives at its best. What is 0 is unknown, and limits nothing.
type Limits struct {
	Bandwidth float64       `json:"bandwidth"`     // bytes a second from memory
	Products  float64       `json:"product_ops"`   // operations a second of a prompt's products, two for a multiply-add
	Attention float64       `json:"attention_ops"` // the same of attention, in float32
	Launch    time.Duration `json:"launch_ns"`     // of one op in a chain of ops that wait for each other
	// SplitKeys is how many keys a token may attend to in one launch a layer; it takes two beyond. 0: any number.
	SplitKeys int `json:"split_keys,omitempty"`
}

// Limit is the least time that a test can take on a device, and what takes most of it: "memory", "compute" or "launch".
// chunk is the most tokens of a prompt in one step.
//
// A prompt is computed in steps of chunk tokens, of which the last one ends with the head for one token; a generated
// token is a step with the head. A step of n tokens behind p others takes, in seconds,
//
//	products    max((LayerBytes + n·RowBytes + HeadBytes) / Bandwidth, 2·(n·LayerParams + HeadParams) / Products)
//	attention   max((p + n)·KVBytes / Bandwidth, 4·Heads·HeadDim·Layers·(n·p + n·(n+1)/2) / Attention)
//	launches    (1 + 7·Layers + 2) · Launch, one more a layer where one token attends to more than SplitKeys keys
//
// and the three follow one another. The terms of the head, and 2 of the launches, are those of a step that ends with
// it. Left out are norms and activations, which stay in caches, the writing of keys and values, and the host's work
// between steps; and products with one token are taken to reach the peak of those with many.
func (l Limits) Limit(s Shape, t Test, chunk int) (least time.Duration, by string) {
	var sum limitTimes
	for done := 0; done < t.Prompt; {
		n := t.Prompt - done
		if chunk > 0 {
			n = min(n, chunk)
		}
		sum.step(l, s, t.Depth+done, n, done+n == t.Prompt)
		done += n
	}
	for i := range t.Generate {
		sum.step(l, s, t.Depth+t.Prompt+i, 1, true)
	}
	by = "memory"
	most := sum.memory
	if sum.compute > most {
		by, most = "compute", sum.compute
	}
	if sum.launch > most {
		by = "launch"
	}
	return time.Duration((sum.memory + sum.compute + sum.launch) * 1e9), by
}

// limitTimes are seconds, by what takes them.
type limitTimes struct{ memory, compute, launch float64 }

// step adds a step of n tokens behind some others.
func (sum *limitTimes) step(l Limits, s Shape, behind, n int, head bool) {
	bytes, ops := s.LayerBytes+int64(n)*s.RowBytes, 2*int64(n)*s.LayerParams
	launches := 1 + 7*s.Layers
	if head {
		bytes += s.HeadBytes
		ops += 2 * s.HeadParams
		launches += 2
	}
	if l.SplitKeys > 0 && n == 1 && behind+n > l.SplitKeys {
		launches += s.Layers
	}
	sum.part(float64(bytes), l.Bandwidth, float64(ops), l.Products)
	pairs := float64(n)*float64(behind) + float64(n)*float64(n+1)/2
	sum.part(float64(behind+n)*float64(s.KVBytes), l.Bandwidth,
		4*float64(s.Heads*s.HeadDim*s.Layers)*pairs, l.Attention)
	sum.launch += float64(launches) * l.Launch.Seconds()
}

// part adds what reads and computes at the same time, and takes as long as the slower of both.
func (sum *limitTimes) part(bytes, bandwidth, ops, peak float64) {
	if memory, compute := seconds(bytes, bandwidth), seconds(ops, peak); memory >= compute {
		sum.memory += memory
	} else {
		sum.compute += compute
	}
}

// seconds is how long an amount takes, none where the rate is unknown.
func seconds(amount, rate float64) float64 {
	if rate <= 0 {
		return 0
	}
	return amount / rate
}
