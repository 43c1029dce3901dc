package doctor

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"

	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
)

// describeProcessor tells what the CPU's kernels are chosen by: the instructions that the processor has.
func (x *examination) describeProcessor() {
	var paths []string
	for _, k := range simd.Paths() {
		paths = append(paths, k.Name)
	}
	x.Features = append(x.Features, features()...)
	chosen, how := "plain Go", ""
	k, err := simd.Choose()
	if k != nil {
		chosen = k.Name
	}
	if asked := os.Getenv(simd.Variable); asked != "" {
		how = ", as " + simd.Variable + "=" + asked + " asks"
	}
	if err != nil {
		x.add(Failed, "cpu kernels", "%v", err)
		return
	}
	x.add(OK, "cpu kernels", "%s%s; the processor can take %s and has %s", chosen, how,
		strings.Join(append(paths, "plain Go"), ", "), orUnknown(strings.Join(x.Features, " ")))
}

// features are the instructions beyond the basic ones that the kernels, of today or of tomorrow, can use.
func features() (names []string) {
	type feature struct {
		name string
		has  bool
	}
	x, a := &cpu.X86, &cpu.ARM64
	list := map[string][]feature{
		"amd64": {{"fma", x.HasFMA}, {"f16c", x.HasF16C}, {"avx2", x.HasAVX2}, {"avx512f", x.HasAVX512F},
			{"avx512bw", x.HasAVX512BW}, {"avx512dq", x.HasAVX512DQ}, {"avx512vl", x.HasAVX512VL},
			{"avx512vnni", x.HasAVX512VNNI}, {"avx512bf16", x.HasAVX512BF16}, {"avxvnni", x.HasAVXVNNI},
			{"amxbf16", x.HasAMXBF16}},
		"arm64": {{"asimd", a.HasASIMD}, {"asimdhp", a.HasASIMDHP}, {"asimddp", a.HasASIMDDP}, {"i8mm", a.HasI8MM},
			{"sve", a.HasSVE}, {"sve2", a.HasSVE2}},
	}
	for _, f := range list[runtime.GOARCH] {
		if f.has {
			names = append(names, f.name)
		}
	}
	return names
}
