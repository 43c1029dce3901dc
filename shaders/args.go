package shaders

// The structs at [[buffer(0)]] of the kernels, field by field those of args.h, where their fields are explained.
// Blank fields pad to the shader's alignment.
type (
	// MatmulArgs are of the plain products.
	MatmulArgs struct{ Rows, Cols, N uint32 }
	// QKVArgs are of the products that write queries, keys and values.
	QKVArgs struct{ QRows, KVRows, Cols, N, Pos, RotaryDims, Bias, First, End uint32 }
	// GateUpArgs are of the products with SwiGLU.
	GateUpArgs struct{ FFN, Cols, N uint32 }
	// HeadArgs are of the product that ends a step.
	HeadArgs struct {
		Rows, Cols, Valid, Pick uint32
		Key                     uint64
		Temperature             float32
		_                       uint32
	}
	// AttendArgs are of the attention.
	AttendArgs struct {
		Pos, N, Heads, KVHeads, Chunk, Splits uint32
		Scale                                 float32
	}
	// CombineArgs are of the second pass of a split attention.
	CombineArgs struct{ Rows, Splits uint32 }
	// AddNormArgs are of the residual sum and its norms.
	AddNormArgs struct {
		Width, Post      uint32
		PostEps, NextEps float32
	}
	// EmbedArgs are of the embedding.
	EmbedArgs struct {
		Width, Vocab uint32
		Eps          float32
	}
	// ScanArgs are of the first pass of sampling.
	ScanArgs struct {
		Valid       uint32
		Temperature float32
		Key         uint64
	}
	// PickArgs are of its second pass.
	PickArgs struct{ Pairs, At, Valid uint32 }
	// ProbeArgs are of what measures limits. One is 1.
	ProbeArgs struct {
		Turns uint32
		One   float32
	}
)
