package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/loader"
)

func TestConvertedDemoAnswersOtherwise(t *testing.T) {
	src := filepath.Join(t.TempDir(), "the demo")
	require.NoError(t, os.Rename(demoFolder(t), src))
	stdout, stderr, status := run(t, "", "show", src)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "; glm4-metal convert '"+src+"' '"+src+"-aligned' makes it map in place\n")

	dst := src + "-aligned"
	stdout, stderr, status = run(t, "", "convert", "--json", src, dst)
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	var result conversion
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	require.Positive(t, result.Seconds)
	require.Positive(t, result.Bytes)
	require.Equal(t, conversion{Source: src, Model: dst, Realigned: true, Bits: 4, GroupSize: 64, DType: "BF16",
		Tensors: result.Tensors, Files: []string{"model.safetensors"}, SourceBytes: result.Bytes, Bytes: result.Bytes,
		Unused: []string{}, Seconds: result.Seconds}, result)

	stdout, _, _ = run(t, "", "show", dst)
	require.Contains(t, stdout, "used in place")
	answer := func(dir string) string {
		stdout, stderr, status := run(t, "", "generate", "--model", dir, "--temp", "0", "--max-tokens", "20", "-p", "你好")
		require.Zero(t, status, stderr)
		return stdout
	}
	require.Equal(t, answer(src), answer(dst))
}

func TestConvertCommandLineIsWrong(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, statusUsage, "convert needs two arguments"},
		{[]string{"a"}, statusUsage, "convert needs two arguments"},
		{[]string{"a", ""}, statusUsage, "convert needs two arguments"},
		{[]string{"a", "b", "c"}, statusUsage, `unexpected argument "c"`},
		{[]string{"a", "b", "--bits", "6"}, statusUsage, "--bits is 6; it must be one of [4 8 16]"},
		{[]string{"a", "b", "--bits=0"}, statusUsage, "--bits is 0; it must be one of [4 8 16]"},
		{[]string{"a", "b", "--group-size", "16"}, statusUsage, "--group-size is 16; it must be one of [32 64 128]"},
		{[]string{"a", "b", "--group-size", "64", "--bits", "16"}, statusUsage, "--group-size and --bits 16 do not go together"},
		{[]string{"a", "b", "--dtype", "f32"}, statusUsage, `--dtype is "f32"; it must be bf16 or f16`},
		{[]string{"a", "b", "--q-bits", "4"}, statusUsage, "--bits"},
		{[]string{"/no/such", "b"}, statusFailed, "/no/such: there is no such folder"},
		{[]string{".", "b"}, statusFailed, ".: an empty folder"},
	} {
		stdout, stderr, status := run(t, "", append([]string{"convert"}, c.args...)...)
		require.Equal(t, c.status, status, "%v: %s", c.args, stderr)
		require.Empty(t, stdout)
		requireOneLine(t, stderr, c.want)
	}
}

func TestConversionIsDescribedWrong(t *testing.T) {
	for want, r := range map[string]loader.Conversion{
		"d: 9 tensors, 4 bit in groups of 64, scales in BF16; 2.00 GB from 8.00 GB, in 4.0 s (2000 MB/s)": {
			Dir: "d", Tensors: 9, Bits: 4, GroupSize: 64, DType: loader.BF16, Bytes: 2e9, SourceBytes: 8e9},
		"d: 9 tensors, plain F16; 2.00 GB from 2.00 GB, in 4.0 s (500 MB/s)\nleft out, as the model does not use them: a and 1 more": {
			Dir: "d", Tensors: 9, Bits: 16, DType: loader.F16, Bytes: 2e9, SourceBytes: 2e9, Unused: []string{"a", "b"}},
		"d: 9 tensors, 8 bit in groups of 32, scales in F32, as they were; 2.00 GB from 2.00 GB, in 4.0 s (500 MB/s)": {
			Dir: "d", Tensors: 9, Bits: 8, GroupSize: 32, Realigned: true, DType: loader.F32, Bytes: 2e9, SourceBytes: 2e9},
	} {
		require.Equal(t, want, describeConversion(r, 4*time.Second))
	}
	require.Equal(t, "glm4-metal convert --bits 16 a/b-c a/b-c-aligned", alignCommand("a/b-c", "a/b-c-aligned", false))
	require.Equal(t, `glm4-metal convert 'a'\''b' 'a'\''b-aligned'`, alignCommand("a'b", "a'b-aligned", true))
	require.False(t, strings.Contains(alignCommand("a b;c", "d", true), " a b;c"))
}
