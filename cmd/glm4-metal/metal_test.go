package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
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

func TestStandInAnswersOtherwise(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	standIn := filepath.Join(t.TempDir(), program)
	out, err := exec.Command("go", "build", "-tags", "metalsim", "-o", standIn, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	want, _, status := run(t, "", "generate", "--prompt", "你好", "--temp", "0")
	require.Zero(t, status)
	require.NotEmpty(t, want)
	got, err := exec.Command(standIn, "generate", "--backend", "metal", "--prompt", "你好", "--temp", "0").Output()
	require.NoError(t, err)
	require.Equal(t, want, string(got))

	for backend, reason := range map[string]string{"metal": "asked for", "cpu": "asked for",
		"auto": "no Metal on this system"} {
		out, err := exec.Command(standIn, "generate", "--backend", backend, "--prompt", "Hello", "--max-tokens", "1",
			"--json").Output()
		require.NoError(t, err)
		var g generation
		require.NoError(t, json.Unmarshal(out, &g))
		require.Equal(t, reason, g.Why)
	}
	stdout, stderr, status := run(t, "", "generate", "--backend", "metal", "--prompt", "Hello")
	require.Equal(t, 1, status)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "Metal needs a Mac and this is linux/")
	require.Contains(t, stderr, "or use the CPU (--backend cpu)")
	require.Equal(t, 1, strings.Count(stderr, "\n"), "one line")
}
