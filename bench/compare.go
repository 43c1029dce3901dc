package bench

// Comparison is a row held against an earlier one.
type Comparison struct {
	Row, Old Row
	Ratio    float64 // of the medians, above 1 where Row is faster
	Slower   bool    // by more than was allowed
}

// Compare holds each row against the last of the old ones that measured the same: engine, backend, model type, threads
// and test. within is the loss that is allowed, such as 0.05. Rows without an old one are left out.
func Compare(rows, old []Row, within float64) []Comparison { panic("not written") }
