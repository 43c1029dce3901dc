package metalsim_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
)

// The lines that end with "chosen" choose at run time.
const choices = `#include <metal_stdlib>
using namespace metal;
kernel void loops(device float *x [[buffer(0)]], constant uint &n [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  float a[4] = {}, b[4] = {}, c[4] = {}, d[4] = {};
#pragma unroll
  for (uint j = 0; j < 4; j++) {
    a[j] = x[j] + x[i];
  }
  for (uint j = 0; j < 4; j++) {
    b[j] = x[j] + x[i]; // chosen
  }
#pragma unroll
  for (uint j = 0; j < n; j++) {
    c[j] = x[j] + x[i]; // chosen
  }
  thread float *p = d;
  for (uint j = 0; j < n; j++) {
    *p++ = x[j]; // chosen
  }
#pragma unroll
  for (uint j = 0; j < 4; j++) {
    x[i] += a[j] + b[j] + c[j] + d[j];
  }
}
kernel void indices(device float *x [[buffer(0)]], constant uint &n [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  float a[4] = {x[0], x[1], x[2], x[3]};
  float4 v = float4(a[0], a[1], a[2], a[3]);
  threadgroup float shared[32];
  shared[i] = x[i];
  x[i] += shared[n] + simd_sum(x[n]) + dot(v, float4(a[3], a[2], a[1], a[0]));
  x[i] += a[i & 3]; // chosen
  x[i] += v[n & 3]; // chosen
}`

func TestIndexAtRunTimeIsMissed(t *testing.T) {
	found, err := metalsim.IndexedAtRunTime(choices)
	require.NoError(t, err)
	for i, at := range found {
		found[i] = regexp.MustCompile(`program_source:\d+:\d+: `).ReplaceAllString(at, "")
	}
	var want []string
	for _, line := range strings.Split(choices, "\n") {
		if strings.HasSuffix(line, "chosen") {
			want = append(want, strings.TrimSpace(line))
		}
	}
	require.ElementsMatch(t, want, found)
}
