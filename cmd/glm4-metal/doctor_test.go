package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/doctor"
)

// requireReport looks at the form of a report.
func requireReport(t *testing.T, report string) {
	t.Helper()
	require.LessOrEqual(t, strings.Count(report, "\n"), 90, report)
	for line := range strings.Lines(report) {
		require.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), reportWidth, line)
		require.Regexp(t, `^(ok    |note  |failed| {24}) ?\S`, line)
	}
}

func TestDoctorOfThisMachine(t *testing.T) {
	stdout, stderr, status := run(t, "", "doctor", "--backend", "cpu")
	require.Zero(t, status, stdout)
	require.Empty(t, stderr)
	requireReport(t, stdout)
	for _, name := range []string{"build ", "system", "chip", "power", "cpu ", "cpu q4", "cpu q8", "cpu bf16", "cpu f16",
		"cpu f32", "cpu kernels", "cpu attention", "cpu norms", "cpu sampling", "cpu limits"} {
		require.Regexp(t, `(?m)^(ok|note) +`+name, stdout)
	}
	require.Regexp(t, `(?m)^(ok|note) +glm4:9b-4bit +5.3 GB: tg128 .* t/s \((memory|compute)`, stdout)
	require.Regexp(t, `(?m)^ok +verdict +--backend cpu takes cpu: asked for$`, stdout)
}

func TestDoctorWantsMetalEverywhere(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	stdout, stderr, status := run(t, "", "doctor", "--json")
	require.Zero(t, status, stdout)
	require.Empty(t, stderr)
	require.Equal(t, 1, strings.Count(stdout, "\n"))
	var d map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	require.Nil(t, d["metal"])
	require.Equal(t, "cpu", d["backend"])
	require.EqualValues(t, 0, d["failed"])
	for _, key := range []string{"build", "machine", "checks", "limits", "projections", "why"} {
		require.NotEmpty(t, d[key], key)
	}
	for _, check := range d["checks"].([]any) {
		c := check.(map[string]any)
		require.Contains(t, []string{"ok", "note"}, c["state"], c)
		require.NotEmpty(t, c["name"])
		require.NotEmpty(t, c["text"])
	}
	require.Len(t, d["projections"], 6)

	stdout, stderr, status = run(t, "", "doctor", "--backend", "metal")
	require.Equal(t, statusFailed, status)
	requireReport(t, stdout)
	require.Contains(t, stdout, "Metal needs a Mac")
	requireOneLine(t, stderr, "1 of 5 checks failed: gpu")
}

func TestDoctorOfTheStandIn(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	standIn := filepath.Join(t.TempDir(), program)
	out, err := exec.Command("go", "build", "-tags", "metalsim", "-o", standIn, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	cache := cacheOfStandIn(t)
	doctor := exec.Command(standIn, "doctor", "--backend", "metal")
	doctor.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
	out, err = doctor.Output()
	require.NoError(t, err, "%s", out)
	requireReport(t, string(out))
	for _, format := range []string{"q4", "q8", "bf16", "f16", "f32", "attention", "norms"} {
		require.Regexp(t, `(?m)^ok +metal `+format+` +off by`, string(out))
	}
	require.Regexp(t, `(?m)^ok +metal kernels +\d+ of 8 files, made in`, string(out))
	require.Regexp(t, `(?m)^ok +metal gemv q4 +qkv .*, out .*, gate_up`, string(out))
	require.Regexp(t, `(?m)^ok +metal decoding +GLM-4-9B by its GEMVs`, string(out))
	tunings, err := filepath.Glob(filepath.Join(cache, program, "tuning-*.json"))
	require.NoError(t, err)
	require.Len(t, tunings, 1)
	require.Regexp(t, `(?m)^ok +tuning +\d+ of 15 shapes`, string(out))
}

// cacheOfStandIn is a cache folder of its own that has what the stand-in keeps in the user's, which takes long to make.
func cacheOfStandIn(t *testing.T) string {
	user, err := os.UserCacheDir()
	require.NoError(t, err)
	cache := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(cache, program), 0o755))
	kept := filepath.Join(user, program, "metalsim")
	require.NoError(t, os.MkdirAll(kept, 0o755))
	require.NoError(t, os.Symlink(kept, filepath.Join(cache, program, "metalsim")))
	return cache
}

// examined is a run of the verb with a fake examination.
func examined(t *testing.T, r doctor.Report, args ...string) (stdout string, err error) {
	before := examine
	defer func() { examine = before }()
	examine = func(context.Context, string, func(string)) (*doctor.Report, error) { return &r, nil }
	stdout = captured(t, &os.Stdout, func() {
		err = newApp().RunContext(t.Context(), append([]string{program, "doctor"}, args...))
	})
	return stdout, err
}

func TestDoctorTakesWhatItDoesNotKnow(t *testing.T) {
	_, stderr, status := run(t, "", "doctor", "--backend", "cuda")
	require.Equal(t, statusUsage, status)
	requireOneLine(t, stderr, `--backend is "cuda"; it must be auto, metal or cpu`)
	_, stderr, status = run(t, "", "doctor", "glm4:9b")
	require.Equal(t, statusUsage, status)
	requireOneLine(t, stderr, `unexpected argument "glm4:9b"`)
}

func TestFailureIsNotNamed(t *testing.T) {
	home := filepath.Join(t.TempDir(), "somebody")
	t.Setenv("HOME", home)
	long := home + "/cache: error: " + strings.Repeat("no member named\nin\x1b[2J ", 50) + strings.Repeat("é", 300)
	r := doctor.Report{Backend: "metal", Why: "the GPU is the fastest here", Checks: []doctor.Check{
		{State: doctor.OK, Name: "cpu q4", Text: "fine"},
		{State: doctor.Failed, Name: "metal q4", Text: long},
		{State: doctor.Failed, Name: "metal q8", Text: long},
		{State: doctor.Failed, Name: "metal f16", Text: strings.Repeat("é", 300)},
	}}
	stdout, err := examined(t, r)
	require.EqualError(t, err, "3 of 5 checks failed: metal q4, metal q8, metal f16")
	requireReport(t, stdout)
	require.NotContains(t, stdout, "\x1b")
	require.NotContains(t, stdout, "somebody")
	require.Contains(t, stdout, "metal q4         ~/cache: error: no member")
	require.Regexp(t, `(?m)^failed metal q8 +as above$`, stdout)
	require.Regexp(t, `(?m)^failed verdict +--backend auto takes metal \(the GPU is the fastest\s+here\), which fails$`,
		stdout)
	require.Regexp(t, `(?m)^note +advice +Metal fails: use --backend cpu, and send this report`, stdout)
	require.NotContains(t, stdout, "GLM4_CPU")

	stdout, err = examined(t, r, "--json")
	require.Error(t, err)
	var d diagnosis
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	require.Equal(t, 3, d.Failed)
	require.Len(t, d.Advice, 1)
	require.NotContains(t, stdout, "somebody")
	require.Contains(t, d.Checks[2].Text, strings.Repeat("é", 300), "all of it")

	r.Checks = []doctor.Check{{State: doctor.Failed, Name: "cpu q4", Text: "off"}}
	stdout, err = examined(t, r)
	require.Error(t, err)
	require.Contains(t, stdout, "GLM4_CPU=plain")
	require.NotContains(t, stdout, "use --backend cpu")
}
