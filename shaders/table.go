package shaders

import (
	"fmt"
	"slices"
	"strings"
)

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
	// Tile is what one threadgroup computes: see the kernel's declaration for what its dimensions count.
	Tile [3]int
	// Lanes is how simdgroups and lanes of a GEMV for one token share that; zero elsewhere. Kernels that differ in its
	// columns or its split are one function, and have one name.
	Lanes Tile
	// PerThread is how many numbers of a row a thread takes at once, where a threadgroup computes whole rows: a row that
	// is shorter than all threads take needs less of them. It is 0 elsewhere.
	PerThread int
	// Least is how few threads of a threadgroup do where a GPU does not run Threads of them; 0: no fewer.
	Least int
}

// Groups returns the threadgroups that cover the work, which counts what Tile counts.
func (k *Kernel) Groups(work [3]int) [3]int {
	var groups [3]int
	for i, n := range work {
		groups[i] = (n + k.Tile[i] - 1) / k.Tile[i]
	}
	return groups
}

// ThreadsFor returns the threads of a threadgroup for rows of some width, in whole simdgroups.
func (k *Kernel) ThreadsFor(width int) int {
	if k.PerThread == 0 {
		return k.Threads
	}
	return min(k.Threads, roundUp(width/k.PerThread, 32))
}

// ThreadsWithin returns the threads of a threadgroup on a GPU that runs at most limit of them, 0 when they are too few.
func (k *Kernel) ThreadsWithin(limit int) int {
	if limit >= k.Threads {
		return k.Threads
	}
	if k.Least == 0 || limit < k.Least {
		return 0
	}
	return limit / 32 * 32
}

// Family is a kernel for each format of its weights, or of its keys; nil for a format that it does not take.
type Family [formats]*Kernel

// weightNames are the ends of kernels' names; f16 and bf16 differ by a function constant only.
var weightNames = [formats]string{F32: "w32", F16: "w16", BF16: "w16", Q4: "q4", Q8: "q8"}

// Product are the kernels of a product of a matrix with some tokens, by the most tokens that each takes.
type Product []Step

// Step are the kernels of a product for up to some tokens.
type Step struct {
	Tokens int
	Family Family   // for every shape
	tiled  []Family // for one token: a family for each of tiles, with a kernel for the formats that it is made for
}

func (p Product) step(tokens int) *Step {
	for i := range p {
		if tokens <= p[i].Tokens {
			return &p[i]
		}
	}
	return &p[len(p)-1]
}

// For returns the kernels for some tokens that take every shape: the last of a product takes any number.
func (p Product) For(tokens int) Family { return p.step(tokens).Family }

// Kernel returns the kernel for some tokens and the shape of a matrix; for one token it has the tile of a tuning.
func (p Product) Kernel(tokens int, s Shape, t Tuning) *Kernel {
	step := p.step(tokens)
	if step.tiled != nil {
		tile := t.For(s)
		for _, f := range step.tiled {
			if k := f[s.Format]; k != nil && k.Lanes == tile {
				return k
			}
		}
	}
	return step.Family[s.Format]
}

// The buffers of the products.
const (
	qkvBuffers = "x q keys values rope wq wq_scales wq_biases wk wk_scales wk_biases wv wv_scales wv_biases q_bias " +
		"k_bias v_bias"
	outBuffers    = "x y w scales biases"
	gateUpBuffers = "x act w scales biases"
	headBuffers   = "x logits pairs w scales biases"
)

// GEMMTokens are the tokens that a threadgroup of the GEMMs computes.
const GEMMTokens = 64

// The kernels. A tile of the products counts rows of the matrix (of gate and up: of the result) and tokens.
var (
	QKV    = product("qkv", QKVArgs{}, qkvBuffers, 1)
	Out    = product("out", MatmulArgs{}, outBuffers, 1)
	GateUp = product("gate_up", GateUpArgs{}, gateUpBuffers, 2)
	// Head is for one token; it samples as well. Many tokens are Out's.
	Head = Product{gemv("head", Kernel{Args: HeadArgs{}, Buffers: list(headBuffers), Threads: 256}, 1)}

	// HalfCodes tells whether a code, ProbeArgs.Turns, may be read as a half; where it comes back, it may.
	HalfCodes = &Kernel{Name: "half_codes_kept", File: "gemv", Args: ProbeArgs{}, Buffers: list("kept"), Threads: 32,
		Tile: [3]int{1, 1, 1}}

	// MatrixLanes writes, for lane after lane, which two elements of a simdgroup matrix it holds, 64 numbers.
	MatrixLanes = &Kernel{Name: "matrix_lanes", File: "lanes", Args: ProbeArgs{}, Buffers: list("held"), Threads: 32,
		Tile: [3]int{1, 1, 1}}

	// Rows of queries, which are the heads of a KV head for one token after the other; KV heads; splits.
	Attend        = attend("attend", "attention", 256, 16)
	PrefillAttend = attend("prefill_attend", "prefill", 128, 32)
	// Rows of the result.
	AttendCombine = &Kernel{Name: "attend_combine", File: "attention", Args: CombineArgs{},
		Buffers: list("partials stats out"), Threads: 128, Tile: [3]int{1, 1, 1}}

	// Tokens.
	Embed = family(Kernel{Name: "embed", File: "rows", Args: EmbedArgs{}, Buffers: list("ids h xn w scales biases norm"),
		Threads: 256, Tile: [3]int{1, 1, 1}, PerThread: 8, Least: 32})
	AddNorm = &Kernel{Name: "add_norm", File: "rows", Args: AddNormArgs{}, Buffers: list("h xn y post next"),
		Threads: 1024, Tile: [3]int{1, 1, 1}, PerThread: 4, Least: 32}

	// Logits.
	SampleScan = &Kernel{Name: "sample_scan", File: "sampling", Args: ScanArgs{}, Buffers: list("logits pairs"),
		Threads: 256, Tile: [3]int{4096, 1, 1}}
	// One id.
	SamplePick = &Kernel{Name: "sample_pick", File: "sampling", Args: PickArgs{}, Buffers: list("pairs logits ids"),
		Threads: 1024, Tile: [3]int{1, 1, 1}, Least: 32}
)

// What a turn of a threadgroup is, of the kernels that measure.
const (
	ProbeBytes = 4 * 16 * 256 // that ProbeRead reads and ProbeCopy copies
	ProbeOps   = 1 << 16      // of ProbeMatrices and ProbeFloats, two for a multiply-add
)

// The kernels that measure limits. They count threadgroups.
var (
	ProbeRead     = probe("probe_read", "memory sums", 256)
	ProbeCopy     = probe("probe_copy", "from to", 256)
	ProbeMatrices = probe("probe_matrices", "sums", 128) // what the GEMMs multiply with
	ProbeFloats   = probe("probe_floats", "sums", 256)   // numbers, as the attention
	ProbeLaunch   = probe("probe_launch", "sums", 32)
)

// Probes are those kernels, which are not in the Table.
var Probes = []*Kernel{ProbeRead, ProbeCopy, ProbeMatrices, ProbeFloats, ProbeLaunch}

func probe(name, buffers string, threads int) *Kernel {
	return &Kernel{Name: name, File: "probe", Args: ProbeArgs{}, Buffers: list(buffers), Threads: threads,
		Tile: [3]int{1, 1, 1}}
}

// Table is every kernel of a step.
var Table = slices.Concat(QKV.kernels(), Out.kernels(), GateUp.kernels(), Head.kernels(),
	Attend.kernels(), PrefillAttend.kernels(), Embed.kernels(),
	[]*Kernel{HalfCodes, MatrixLanes, AttendCombine, AddNorm, SampleScan, SamplePick})

// product is made of GEMVs for 1, up to 4, 8 and 12 tokens, where the weights decide the time, and a GEMM. A number of
// its result takes some rows of the matrix.
func product(op string, args any, buffers string, rowsEach int) Product {
	one := Kernel{Args: args, Buffers: list(buffers), Threads: 64}
	kernel := func(prefix, file string, threads, rows, tokens int) Family {
		k := one
		k.Name, k.File, k.Threads, k.Tile = prefix+"_"+op, file, threads, [3]int{rows / rowsEach, tokens, 1}
		return family(k)
	}
	return Product{
		gemv(op, one, rowsEach),
		{Tokens: 4, Family: kernel("gemv4", "gemvs", 64, 16, 4)},
		{Tokens: 8, Family: kernel("gemv8", "gemvs", 64, 16, 8)},
		{Tokens: 12, Family: kernel("gemv12", "gemvs", 64, 16, 12)},
		{Tokens: GEMMTokens, Family: kernel("gemm", "gemm", 128, 64, GEMMTokens)},
	}
}

// gemv makes the kernels for one token. A threadgroup is as wide as k, or what a split takes.
func gemv(op string, k Kernel, rowsEach int) Step {
	step := Step{Tokens: 1}
	for _, t := range tiles {
		one := k
		one.Name, one.File, one.Lanes = "gemv_"+op, "gemv", t
		if t.Rows != narrow.Rows {
			one.Name += fmt.Sprintf("_rows%d", t.Rows)
		}
		simdgroups := k.Threads / 32
		if t.Split > 1 {
			simdgroups = t.Split
		}
		one.Threads, one.Tile = 32*simdgroups, [3]int{simdgroups / t.Split * t.Rows / rowsEach, 1, 1}
		f := family(one)
		for format := range f {
			if !t.made(op, Format(format)) {
				f[format] = nil
			}
		}
		step.tiled = append(step.tiled, f)
	}
	step.Family = step.tiled[0]
	return step
}

func (p Product) kernels() (all []*Kernel) {
	for _, step := range p {
		if step.tiled == nil {
			all = append(all, step.Family.kernels()...)
		}
		for _, f := range step.tiled {
			all = append(all, f.kernels()...)
		}
	}
	return all
}

func (f Family) kernels() (all []*Kernel) {
	for _, k := range f {
		if k != nil && !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

// family makes the kernels for all formats of weights.
func family(k Kernel) (f Family) {
	for format, name := range weightNames {
		one := k
		one.Name += "_" + name
		f[format] = &one
	}
	f[BF16] = f[F16]
	return f
}

// attend makes the kernels for keys and values in f32 and f16.
func attend(name, file string, threads, rows int) (f Family) {
	k := Kernel{
		Name: name + "_f32", File: file, Args: AttendArgs{}, Buffers: list("q keys values out partials stats"),
		Threads: threads, Tile: [3]int{rows, 1, 1},
	}
	f[F32] = &k
	half := k
	half.Name = name + "_f16"
	f[F16] = &half
	return f
}

func list(names string) []string { return strings.Fields(names) }

func roundUp(n, to int) int { return (n + to - 1) / to * to }
