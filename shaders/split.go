package shaders

// Sizes of the attention.
const (
	keyTurn = 64  // keys that a threadgroup takes at a time
	onePass = 256 // up to here a context is not split
	fill    = 64  // threadgroups that keep a large GPU busy
	fewRows = 128 // up to here attend, which loads each key once for 16 rows, beats the many rows of prefill_attend
)

// AttendFor returns the attention's kernel for some rows of queries a KV head, which reads float32 keys or float16 ones.
func AttendFor(rows int, float32Keys bool) *Kernel {
	switch {
	case rows > fewRows && float32Keys:
		return PrefillAttendF32
	case rows > fewRows:
		return PrefillAttendF16
	case float32Keys:
		return AttendF32
	}
	return AttendF16
}

// Split cuts the keys of an attention into chunks so that there are about enough threadgroups to keep a GPU busy, where
// one split has `groups` of them.
func Split(keys, groups int) (chunk, splits int) {
	if keys <= onePass || groups >= fill {
		return roundUp(keys, keyTurn), 1
	}
	chunk = roundUp((keys*groups+fill-1)/fill, keyTurn)
	return chunk, (keys + chunk - 1) / chunk
}
