package bench

import "runtime/debug"

// module is the path of this one.
const module = "github.com/glm4-metal/glm4-metal"

// commit is the first 12 digits of the revision that a program was built from, with "+" behind them where its sources
// differed. A program of another module knows the version of this one instead.
func commit(info *debug.BuildInfo) string {
	if info.Main.Path != module {
		for _, d := range info.Deps {
			if d.Path == module {
				return d.Version
			}
		}
		return ""
	}
	var revision, plus string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			plus = "+"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + plus
}
