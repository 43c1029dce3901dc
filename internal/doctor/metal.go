package doctor

import (
	"fmt"

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/metal"
)

// Metal is what Metal says of its default device.
type Metal struct {
	Device        string `json:"device"`
	Family        string `json:"family"`         // the newest that is known: "Apple9", "" for none
	AppleSilicon  bool   `json:"apple_silicon"`  // M1 or later with unified memory, which the kernels are for
	Language      string `json:"language"`       // the newest version that kernels are compiled in, "" when unknown
	WorkingSet    int    `json:"working_set"`    // bytes that are recommended
	LongestBuffer int    `json:"longest_buffer"` // bytes
	Residency     bool   `json:"residency_sets"`
}

// apple0 is what the numbers of Apple's families count from.
const apple0 = metal.FamilyApple7 - 7

func readMetal() (*Metal, error) {
	m, err := gpu.System()
	if err != nil {
		return nil, err
	}
	d, err := m.DefaultDevice()
	if err != nil {
		return nil, err
	}
	defer d.Release()
	is := &Metal{
		Device: d.Name(), AppleSilicon: d.HasUnifiedMemory() && d.SupportsFamily(metal.FamilyApple7),
		WorkingSet: d.RecommendedMaxWorkingSetSize(), LongestBuffer: d.MaxBufferLength(),
		Residency: d.SupportsResidencySets(),
	}
	for f := metal.FamilyApple10; f > apple0 && is.Family == ""; f-- {
		if d.SupportsFamily(f) {
			is.Family = fmt.Sprintf("Apple%d", f-apple0)
		}
	}
	is.Language = languageName(metal.SystemLanguage())
	return is, nil
}

func (x *examination) describeMetal(asked string) {
	is, err := x.readMetal()
	if err != nil {
		x.add(x.withoutMetal(asked), "gpu", "none: %v", err)
		return
	}
	x.Metal = is
	state, silicon := OK, ""
	if !is.AppleSilicon {
		state, silicon = x.withoutMetal(asked), ", which is no Apple silicon (M1 or later)"
	}
	family, language := is.Family, is.Language
	if family == "" {
		family = "no Apple family"
	}
	if language == "" {
		language = "unknown"
	}
	x.add(state, "gpu", "%s, %s%s; language %s", is.Device, family, silicon, language)
	x.add(OK, "gpu memory", "working set %s, longest buffer %s, residency sets: %s", gigabytes(int64(is.WorkingSet)),
		gigabytes(int64(is.LongestBuffer)), map[bool]string{true: "yes", false: "no"}[is.Residency])
}
