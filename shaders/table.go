package shaders

import "strings"

// Kernel is a function of the source and what a caller must know to launch it.
type Kernel struct {
	// Name is the function's; the weights that it takes are its last part: q4, q8, w16, w32.
	Name string
	// File is the source that it stands in.
	File string
	// Args is the zero value of the struct at [[buffer(0)]].
	Args any
	// Buffers are the names of the buffers from [[buffer(1)]] on.
	Buffers []string
	// Threads is the width of a threadgroup, which is one-dimensional.
	Threads int
	// Tile is what one threadgroup computes: see the kernel's group in Table for what its dimensions count.
	Tile [3]int
}

// Groups returns the threadgroups that cover the work, which counts what Tile counts.
func (k *Kernel) Groups(work [3]int) [3]int {
	var groups [3]int
	for i, n := range work {
		groups[i] = (n + k.Tile[i] - 1) / k.Tile[i]
	}
	return groups
}

// Weights are the kinds of weights that products and the embedding come in, as they end a kernel's name.
var Weights = []string{"q4", "q8", "w16", "w32"}

// Table names every kernel.
var Table = table()

func table() []Kernel {
	var t []Kernel
	one := func(file, name string, args any, buffers string, threads int, tile [3]int) {
		t = append(t, Kernel{name, file, args, strings.Fields(buffers), threads, tile})
	}
	each := func(file, name string, args any, buffers string, threads int, tile [3]int) {
		for _, w := range Weights {
			one(file, name+"_"+w, args, buffers, threads, tile)
		}
	}
	const (
		qkv    = "x q keys values rope wq wq_scales wq_biases wk wk_scales wk_biases wv wv_scales wv_biases q_bias k_bias v_bias"
		out    = "x y w scales biases"
		gateUp = "x act w scales biases"
		head   = "x logits pairs w scales biases"
	)
	// One token: rows of the matrix (of gate and up: of the result).
	each("gemv", "gemv_qkv", QKVArgs{}, qkv, 64, [3]int{16, 1, 1})
	each("gemv", "gemv_out", MatmulArgs{}, out, 64, [3]int{16, 1, 1})
	each("gemv", "gemv_gate_up", GateUpArgs{}, gateUp, 64, [3]int{8, 1, 1})
	each("gemv", "gemv_head", HeadArgs{}, head, 256, [3]int{64, 1, 1})
	// Up to 4, 8 or 12 tokens: rows of the matrix, tokens.
	for _, n := range []struct {
		prefix string
		tokens int
	}{{"gemv4", 4}, {"gemv8", 8}, {"gemv12", 12}} {
		each("gemvs", n.prefix+"_qkv", QKVArgs{}, qkv, 64, [3]int{16, n.tokens, 1})
		each("gemvs", n.prefix+"_out", MatmulArgs{}, out, 64, [3]int{16, n.tokens, 1})
		each("gemvs", n.prefix+"_gate_up", GateUpArgs{}, gateUp, 64, [3]int{8, n.tokens, 1})
	}
	// Many tokens: rows of the matrix, tokens.
	each("gemm", "gemm_qkv", QKVArgs{}, qkv, 128, [3]int{64, 64, 1})
	each("gemm", "gemm_out", MatmulArgs{}, out, 128, [3]int{64, 64, 1})
	each("gemm", "gemm_gate_up", GateUpArgs{}, gateUp, 128, [3]int{32, 64, 1})
	// Rows of queries, which are the heads of a KV head for one token after the other; KV heads; splits.
	for _, kv := range []string{"f16", "f32"} {
		one("attention", "attend_"+kv, AttendArgs{}, "q keys values out partials stats", 256, [3]int{16, 1, 1})
		one("attention", "prefill_attend_"+kv, AttendArgs{}, "q keys values out partials stats", 128, [3]int{32, 1, 1})
	}
	one("attention", "attend_combine", CombineArgs{}, "partials stats out", 128, [3]int{1, 1, 1}) // rows of the result
	// Tokens.
	each("rows", "embed", EmbedArgs{}, "ids h xn w scales biases norm", 256, [3]int{1, 1, 1})
	one("rows", "add_norm", AddNormArgs{}, "h xn y post next", 1024, [3]int{1, 1, 1})
	one("rows", "sample_scan", ScanArgs{}, "logits pairs", 256, [3]int{4096, 1, 1})   // logits
	one("rows", "sample_pick", PickArgs{}, "pairs logits ids", 1024, [3]int{1, 1, 1}) // one
	return t
}
