package shaders

import (
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// allKernels are the kernels of the source.
var allKernels = slices.Concat(Table, Probes)

// sources are the files without their comments, by name.
func sources(t *testing.T) map[string]string {
	entries, err := fs.ReadDir(files, ".")
	require.NoError(t, err)
	comment := regexp.MustCompile(`//[^\n]*|(?s:/\*.*?\*/)`)
	all := map[string]string{}
	for _, e := range entries {
		b, err := files.ReadFile(e.Name())
		require.NoError(t, err)
		all[e.Name()] = comment.ReplaceAllString(string(b), " ")
	}
	return all
}

// field is one of a struct that host and shader share.
type field struct {
	name   string // lower case, without underscores: kv_heads here and KVHeads there are the same
	kind   string
	offset int
}

func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// shaderStructs lays out the structs of a source as Metal does.
func shaderStructs(t *testing.T, source string) (fields map[string][]field, sizes map[string]int) {
	width := map[string]int{"uint": 4, "int": 4, "float": 4, "ulong": 8}
	fields, sizes = map[string][]field{}, map[string]int{}
	for _, s := range regexp.MustCompile(`struct\s+(\w+)\s*\{([^}]*)\}`).FindAllStringSubmatch(source, -1) {
		offset, align := 0, 1
		for declaration := range strings.SplitSeq(s[2], ";") {
			kind, names, found := strings.Cut(strings.TrimSpace(declaration), " ")
			if !found {
				require.Empty(t, kind, "in struct %s", s[1])
				continue
			}
			w, ok := width[kind]
			require.True(t, ok, "struct %s has a field of type %q", s[1], kind)
			align = max(align, w)
			for name := range strings.SplitSeq(names, ",") {
				offset = (offset + w - 1) / w * w
				fields[s[1]] = append(fields[s[1]], field{plain(strings.TrimSpace(name)), kind, offset})
				offset += w
			}
		}
		sizes[s[1]] = (offset + align - 1) / align * align
	}
	return fields, sizes
}

func goFields(t *testing.T, s reflect.Type) (fields []field) {
	kinds := map[reflect.Kind]string{reflect.Uint32: "uint", reflect.Int32: "int", reflect.Float32: "float",
		reflect.Uint64: "ulong"}
	for i := range s.NumField() {
		f := s.Field(i)
		if f.Name == "_" {
			continue
		}
		kind, ok := kinds[f.Type.Kind()]
		require.True(t, ok, "%v.%s is of type %v", s, f.Name, f.Type)
		fields = append(fields, field{plain(f.Name), kind, int(f.Offset)})
	}
	return fields
}

func TestArgumentsLieElsewhereInTheShader(t *testing.T) {
	fields, sizes := shaderStructs(t, sources(t)["args.h"])
	used := map[string]bool{}
	for _, k := range allKernels {
		s := reflect.TypeOf(k.Args)
		used[s.Name()] = true
		require.Equal(t, goFields(t, s), fields[s.Name()], "%s: the fields in args.go and in args.h", s.Name())
		require.Equal(t, int(s.Size()), sizes[s.Name()], "%s: the size in args.go and in args.h", s.Name())
	}
	for name := range fields {
		require.Contains(t, used, name, "args.h has a struct that no kernel takes")
	}
}

// sourceKernel is a kernel as the source declares it.
type sourceKernel struct {
	file    string
	args    string // the type of buffer 0
	buffers []string
}

var (
	kernelText    = regexp.MustCompile(`(template\s*<[^>]*>\s*)?(?:\[\[[^\]]*\]\]\s*)*(?:\[\[kernel\]\]|\bkernel)\s+void\s+(\w+)\s*\(`)
	hostNameText  = regexp.MustCompile(`template\s*\[\[host_name\("(\w+)"\)\]\]\s*(?:\[\[kernel\]\]|kernel\b)([^;]*);`)
	bufferText    = regexp.MustCompile(`(\w+)\s*\[\[buffer\((\d+)\)\]\]`)
	argumentsText = regexp.MustCompile(`constant\s+(\w+)\s*&\s*args\s*\[\[buffer\(0\)\]\]`)
)

// sourceKernels finds the kernels that Metal would, by the names that it would give them.
func sourceKernels(t *testing.T) map[string]sourceKernel {
	kernels := map[string]sourceKernel{}
	add := func(name string, k sourceKernel) {
		require.NotContains(t, kernels, name, "two kernels have one name")
		kernels[name] = k
	}
	for file, source := range sources(t) {
		templates := map[string]sourceKernel{}
		for _, m := range kernelText.FindAllStringSubmatchIndex(source, -1) {
			name, parameters := source[m[4]:m[5]], source[m[1]:]
			parameters = parameters[:strings.Index(parameters, "{")]
			k := sourceKernel{file: strings.TrimSuffix(file, ".metal")}
			if a := argumentsText.FindStringSubmatch(parameters); a != nil {
				k.args = a[1]
			}
			for i, b := range bufferText.FindAllStringSubmatch(parameters, -1) {
				require.Equal(t, strconv.Itoa(i), b[2], "%s: the index of buffer %s of kernel %s", file, b[1], name)
				if i > 0 {
					k.buffers = append(k.buffers, b[1])
				}
			}
			if m[2] >= 0 {
				templates[name] = k
			} else {
				add(name, k)
			}
		}
		instantiated := map[string]bool{}
		for _, m := range hostNameText.FindAllStringSubmatch(source, -1) {
			of := ""
			for name := range templates {
				if regexp.MustCompile(`\b` + name + `\s*<`).MatchString(m[2]) {
					of = name
				}
			}
			require.NotEmpty(t, of, "%s: %s is an instance of no kernel", file, m[1])
			instantiated[of] = true
			add(m[1], templates[of])
		}
		for name := range templates {
			require.Contains(t, instantiated, name, "%s: a kernel without instances", file)
		}
	}
	return kernels
}

func TestKernelsDifferFromTheTable(t *testing.T) {
	kernels, found := sourceKernels(t), map[string]bool{}
	for _, k := range allKernels {
		want := sourceKernel{k.File, reflect.TypeOf(k.Args).Name(), k.Buffers}
		got, ok := kernels[k.Name]
		require.True(t, ok, "%s.metal lacks the kernel %s", k.File, k.Name)
		require.Equal(t, want, got, "%s in the table and in the source", k.Name)
		found[k.Name] = true
	}
	for name := range kernels {
		require.Contains(t, found, name, "a kernel that the table lacks")
	}
}

func TestFunctionConstantsInAnotherOrder(t *testing.T) {
	declaration := regexp.MustCompile(`constant\s+(\w+)\s+(\w+)\s*\[\[function_constant\((\d+)\)\]\]`)
	all := sources(t)
	var got []field
	for _, m := range declaration.FindAllStringSubmatch(all["weights.h"], -1) {
		index, err := strconv.Atoi(m[3])
		require.NoError(t, err)
		got = append(got, field{plain(strings.TrimSuffix(m[2], "_given")), m[1], 4 * index})
	}
	require.Equal(t, goFields(t, reflect.TypeFor[Constants]()), got,
		"Constants and weights.h: names, types, indices times 4")
	for file, source := range all {
		if file != "weights.h" {
			require.NotRegexp(t, declaration, source, "%s has a function constant that the host does not set", file)
		}
	}
}

func TestProductTakesAKernelForFewerTokens(t *testing.T) {
	for tokens, want := range map[int]string{
		1: "gemv_out_q4", 2: "gemv4_out_q4", 4: "gemv4_out_q4", 5: "gemv8_out_q4", 8: "gemv8_out_q4",
		9: "gemv12_out_q4", 12: "gemv12_out_q4", 13: "gemm_out_q4", 64: "gemm_out_q4", 100_000: "gemm_out_q4",
	} {
		require.Equal(t, want, Out.For(tokens)[Q4].Name, "%d tokens", tokens)
	}
}

func TestFormatsAreNumberedOtherwise(t *testing.T) {
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`constant constexpr uint (b?f\d+) = (\d+);`).FindAllStringSubmatch(sources(t)["weights.h"], -1) {
		got[m[1]] = m[2]
	}
	want := map[string]string{}
	for name, f := range map[string]Format{"f32": F32, "f16": F16, "bf16": BF16} {
		want[name] = strconv.Itoa(int(f))
	}
	require.Equal(t, want, got, "Format and weights.h")
}

func TestTableListsAKernelTwice(t *testing.T) {
	type one struct {
		name string
		tile Tile
	}
	all := map[one]bool{}
	for _, k := range allKernels {
		require.False(t, all[one{k.Name, k.Lanes}], "%s %v", k.Name, k.Lanes)
		all[one{k.Name, k.Lanes}] = true
	}
}
