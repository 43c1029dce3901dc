package main

import (
	"encoding/json"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStandInIsShipped(t *testing.T) {
	deps := func(tags string) string {
		out, err := exec.Command("go", "list", "-deps", "-tags", tags, ".").Output()
		require.NoError(t, err)
		return string(out)
	}
	require.NotContains(t, deps(""), "metalsim")
	require.Contains(t, deps("metalsim"), "internal/metalsim")
}

func TestVersionHidesMetal(t *testing.T) {
	stdout, _, status := run(t, "", "version", "--json")
	require.Zero(t, status)
	var b build
	require.NoError(t, json.Unmarshal([]byte(stdout), &b))
	require.True(t, (b.Metal == "") != (b.MetalProblem == ""), "either a device or the reason")
	if runtime.GOOS != "linux" {
		return
	}
	require.Contains(t, b.MetalProblem, "Metal needs a Mac")
	out, err := exec.Command("go", "run", "-tags", "metalsim", ".", "version").Output()
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(out), "\nMetal: metalsim\n"), "%s", out)
}
