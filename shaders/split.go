package shaders

// Sizes of the attention.
const (
	keyTurn = 64  // keys that a threadgroup takes at a time
	onePass = 256 // up to here a context is not split
	fill    = 64  // threadgroups that keep a large GPU busy
	fewRows = 128 // up to here attend, with eight simdgroups for 16 rows, beats prefill_attend, with four for 32
)

// AttendFor returns the attention's kernels for some rows of queries a KV head, by the format of the keys.
func AttendFor(rows int) Family {
	if rows > fewRows {
		return PrefillAttend
	}
	return Attend
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
