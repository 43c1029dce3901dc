//go:build linux && (amd64 || arm64)

package metalsim

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

const constantShaders = `#include <metal_stdlib>
using namespace metal;

constant uint tile [[function_constant(0)]];
constant bool has_bias [[function_constant(1)]];
constant float scale [[function_constant(2)]];
constant uint twice = 2 * tile; // through a constant
#define BIG (twice > 8)         // and a macro

struct Options { uint tile; };

inline uint size() { return BIG ? twice : tile; }

kernel void plain(device uint *x [[buffer(0)]], constant Options &o [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  x[i] = o.tile;
}

kernel void tiled(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = size(); }

kernel void optional(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = is_function_constant_defined(scale) ? scale : 1;
}

template <typename T> kernel void typed(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = T(has_bias ? tile : 0);
}
template [[host_name("typed_float")]] kernel void typed<float>(device float *, uint);
`

// function makes a function of a kernel with constants by index, or with the call without constants if they are nil,
// and returns its NSError's text or that of its pipeline.
func (x *fixture) function(kernel string, constants map[int]any) (failure string) {
	var e id
	library := x.own(send(x.device, "newLibraryWithSource:options:error:", constantShaders, 0, unsafe.Pointer(&e)))
	require.NotZero(x, library, goText(send(e, "localizedDescription")))
	var function id
	if constants == nil {
		function = send(library, "newFunctionWithName:", kernel)
	} else {
		values := x.own(send(class("MTLFunctionConstantValues"), "new"))
		for index, value := range constants {
			const mtlFloat, mtlInt, mtlUInt, mtlBool = 3, 29, 33, 53
			switch v := value.(type) {
			case float32:
				send(values, "setConstantValue:type:atIndex:", unsafe.Pointer(&v), mtlFloat, index)
			case int32:
				send(values, "setConstantValue:type:atIndex:", unsafe.Pointer(&v), mtlInt, index)
			case uint32:
				send(values, "setConstantValue:type:atIndex:", unsafe.Pointer(&v), mtlUInt, index)
			case bool:
				send(values, "setConstantValue:type:atIndex:", unsafe.Pointer(&v), mtlBool, index)
			}
		}
		function = send(library, "newFunctionWithName:constantValues:error:", kernel, values, unsafe.Pointer(&e))
	}
	if function == 0 {
		return goText(send(e, "localizedDescription"))
	}
	x.own(function)
	pipeline := send(x.device, "newComputePipelineStateWithFunction:error:", function, unsafe.Pointer(&e))
	if pipeline == 0 {
		return goText(send(e, "localizedDescription"))
	}
	x.own(pipeline)
	return ""
}

func TestWrongFunctionConstantsGoUnnoticed(t *testing.T) {
	none := map[int]any{}
	for name, c := range map[string]struct {
		kernel       string
		wrong, right map[int]any
		want         string
	}{
		"missing": {
			kernel: "tiled", wrong: none, right: map[int]any{0: uint32(8)},
			want: "function tiled needs a value for tile [[function_constant(0)]]",
		},
		"missing in a template": {
			kernel: "typed_float", wrong: map[int]any{0: uint32(8)}, right: map[int]any{0: uint32(8), 1: true},
			want: "function typed_float needs a value for has_bias [[function_constant(1)]]",
		},
		"of another type": {
			kernel: "tiled", wrong: map[int]any{0: int32(8)}, right: map[int]any{0: uint32(8)},
			want: "function constant tile [[function_constant(0)]] is of type uint, but its value was set as int",
		},
		"of another type where none is needed": {
			kernel: "optional", wrong: map[int]any{2: uint32(8)}, right: map[int]any{2: float32(8)},
			want: "function constant scale [[function_constant(2)]] is of type float, but its value was set as uint",
		},
		"pipeline without constants": {
			kernel: "tiled", wrong: nil, right: map[int]any{0: uint32(8)},
			want: "function tiled cannot make a pipeline: it needs a value for tile [[function_constant(0)]]; get it by " +
				"newFunctionWithName:constantValues:error:",
		},
		"none needed":     {kernel: "plain"},
		"optional":        {kernel: "optional"},
		"optional, empty": {kernel: "optional", wrong: none},
		"unknown function": {
			kernel: "tield", wrong: none,
			want: "function tield was not found in the library",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var failure string
			errors := withFixture(t, false, func(x *fixture) { failure = x.function(c.kernel, c.wrong) })
			require.Empty(t, errors)
			require.Equal(t, c.want, failure)
			if c.right != nil {
				withFixture(t, false, func(x *fixture) { failure = x.function(c.kernel, c.right) })
				require.Empty(t, failure, "the right twin")
			}
		})
	}
}

func TestTypeThatIsNoConstantGoesUnnoticed(t *testing.T) {
	judge(t, []verdict{{
		name: "texture",
		want: "-[MTLFunctionConstantValues setConstantValue:type:atIndex:]: MTLDataType 58 cannot be the type of a " +
			"function constant",
		use: func(x *fixture, wrong bool) string {
			values := x.own(send(class("MTLFunctionConstantValues"), "new"))
			send(values, "setConstantValue:type:atIndex:", bytesOf(1), pick(wrong, 58, 33), 0)
			return ""
		},
	}})
}

func TestThreadgroupMemoryOfAKernelOverTheLimitGoesUnnoticed(t *testing.T) {
	var failure string
	errors := withFixture(t, false, func(x *fixture) {
		require.NoError(t, SetLimit("maxThreadgroupMemoryLength", 4095))
		function := x.own(send(x.library(), "newFunctionWithName:", "local"))
		var e id
		require.Zero(t, send(x.device, "newComputePipelineStateWithFunction:error:", function, unsafe.Pointer(&e)))
		failure = goText(send(e, "localizedDescription"))
	})
	require.Empty(t, errors)
	require.Equal(t, "function local uses 4096 bytes of threadgroup memory, over the limit of 4095", failure)
}

// The encodings are those of clang for Apple's declarations on a 64-bit Mac, but for BOOL, which is B on arm64.
func TestSignatureDiffersFromApples(t *testing.T) {
	for method, want := range map[[2]string]string{
		{"MTLComputeCommandEncoder", "setBuffer:offset:atIndex:"}:              "v@:@QQ",
		{"MTLComputeCommandEncoder", "setBytes:length:atIndex:"}:               "v@:r^vQQ",
		{"MTLComputeCommandEncoder", "dispatchThreads:threadsPerThreadgroup:"}: "v@:{?=QQQ}{?=QQQ}",
		{"MTLComputeCommandEncoder", "memoryBarrierWithResources:count:"}:      "v@:r^@Q",
		{"MTLBlitCommandEncoder", "fillBuffer:range:value:"}:                   "v@:@{_NSRange=QQ}C",
		{"MTLDevice", "newLibraryWithSource:options:error:"}:                   "@@:@@^@",
		{"MTLDevice", "newBufferWithBytesNoCopy:length:options:deallocator:"}:  "@@:^vQQ^v",
		{"MTLCommandBuffer", "GPUStartTime"}:                                   "d@:",
		{"NSString", "UTF8String"}:                                             "r*@:",
		{"+NSString", "stringWithUTF8String:"}:                                 "@@:r*",
		{"NSObject", "respondsToSelector:"}:                                    "B@::",
		{"MTLFunctionConstantValues", "setConstantValue:type:atIndex:"}:        "v@:r^vQQ",
		{"MTLComputeCommandEncoder", "setTexture:atIndex:"}:                    "",
	} {
		got, err := Signature(method[0], method[1])
		require.NoError(t, err)
		require.Equal(t, want, got, method)
	}
}

func TestResidencySetOnASystemWithout(t *testing.T) {
	for _, available := range []uint64{0, 1} {
		var responds id
		errors := withFixture(t, false, func(x *fixture) {
			require.NoError(t, SetLimit("residencySets", available))
			responds = send(x.device, "respondsToSelector:", selector("newResidencySetWithDescriptor:error:"))
		})
		require.Empty(t, errors)
		require.Equal(t, id(available), responds&0xff)
	}
}
