package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Mac may lack anything. "auto" then answers all the same, on the device that can, with the same words; "metal" does
// too, or says in one line what is wrong and what else to take.
func TestMacThatLacksSomethingHasNoAnswer(t *testing.T) {
	standIn := filepath.Join(t.TempDir(), program)
	out, err := exec.Command("go", "build", "-tags", "metalsim", "-o", standIn, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	generate := func(mac, backend string) (g generation, problem string) {
		c := exec.Command(standIn, "generate", "--backend", backend, "--prompt", "你好", "--temp", "0", "--max-tokens", "5",
			"--json")
		c.Env = append(os.Environ(), "GLM4_METALSIM_MAC="+mac)
		out, err := c.Output()
		if err != nil {
			var failed *exec.ExitError
			require.ErrorAs(t, err, &failed)
			return g, string(failed.Stderr)
		}
		require.NoError(t, json.Unmarshal(out, &g), "%s", out)
		return g, ""
	}
	want, problem := generate("", "cpu")
	require.Empty(t, problem)
	require.Len(t, want.Tokens, 5)

	const best = "the GPU is the fastest here"
	for mac, problem := range map[string]string{ // "": none
		"":                             "",
		"residencySets=0":              "", // before macOS 15
		"failResidencySet=1":           "",
		"capture=0":                    "",
		"nonUniformThreadgroups=0":     "",
		"flushHalf=1":                  "", // codes are converted
		"maxThreadsPerThreadgroup=256": "", // the kernels that need not have more have fewer
		"maxBufferLength=268435456":    "", // the demo is smaller
		"family=1005 residencySets=0":  "metal: metalsim is no Apple silicon GPU (M1 or later), which the kernels need; ",
		"maxBufferLength=65536": "matrix model.embed_tokens: 532480 bytes, and the longest buffer of metalsim has 65536: " +
			"not supported; ",
		"maxThreadsPerThreadgroup=128": "metal: attention: not supported: kernel attend_f16 needs 256 threads a " +
			"threadgroup, this GPU runs 128; ",
		"maxThreadsPerThreadgroup=64":     "kernel gemm_out_q4 needs 128 threads a threadgroup, this GPU runs 64; ",
		"maxThreadgroupMemoryLength=8192": "8192",
		"matrixLayout=1":                  "metal: simdgroup matrices lie otherwise in the lanes of this GPU, metalsim: lane ",
		"emptyLibrary=1":                  "compile here: the compiler gave a library without functions; ",
		"deviceLost=1":                    "metal: run command buffer: the device was lost: load the model again, or ",
		"failAllocation=1":                "metal: buffer of 256 bytes: out of GPU memory: ",
	} {
		got, failed := generate(mac, "auto")
		require.Empty(t, failed, mac)
		require.Equal(t, want.Text, got.Text, mac)
		if problem == "" {
			require.Equal(t, "metal", got.Backend, mac)
			require.Equal(t, best, got.Why, mac)
			continue
		}
		require.Equal(t, "cpu", got.Backend, mac)
		require.Contains(t, got.Why, problem, mac)
		_, failed = generate(mac, "metal")
		require.Contains(t, failed, problem, mac)
		require.Contains(t, failed, "use the CPU (--backend cpu)", mac)
		require.Equal(t, 1, strings.Count(failed, "\n"), "one line: %s", failed)
	}
}
