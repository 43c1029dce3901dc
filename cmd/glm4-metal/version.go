package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version, and what can be computed on",
		UsageText: program + " version [--json]",
		Description: `Examples:
  glm4-metal version
  glm4-metal version --json`,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArgument(c); err != nil {
				return err
			}
			b := readBuild()
			b.Metal, b.MetalProblem = metalDevice()
			if c.Bool("json") {
				return printJSON(b)
			}
			_, err := fmt.Printf("%s %s\n%s, %s/%s\nbackends: %s\nMetal: %s\n", program, version(), b.Go, b.OS, b.Arch,
				strings.Join(b.Backends, ", "), cmp.Or(b.Metal, b.MetalProblem))
			return err
		},
	}
}

// build is what the binary knows about itself.
type build struct {
	Version  string   `json:"version"`
	Revision string   `json:"revision,omitempty"` // of the version control system
	Modified bool     `json:"modified,omitempty"` // the sources differed from it
	Go       string   `json:"go"`
	OS       string   `json:"os"`
	Arch     string   `json:"arch"`
	Backends []string `json:"backends"`

	Metal        string `json:"metal,omitempty"` // the device that Metal offers
	MetalProblem string `json:"metal_problem,omitempty"`
}

// metalDevice names the device that Metal offers, or says why there is none.
func metalDevice() (name, problem string) {
	m, err := gpu.System()
	if err != nil {
		return "", oneLine(err)
	}
	d, err := m.DefaultDevice()
	if err != nil {
		return "", oneLine(err)
	}
	defer d.Release()
	return d.Name(), ""
}

func readBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Backends: []string{"metal", "cpu"}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(info.Main.Version, b.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// version is the module's version with the revision that it was built from, where that says more.
func version() string {
	b := readBuild()
	short := b.Revision[:min(12, len(b.Revision))]
	if short == "" || strings.Contains(b.Version, short) {
		return b.Version
	}
	if b.Modified {
		short += ", modified"
	}
	return b.Version + " (" + short + ")"
}
