package loader

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
	"github.com/stretchr/testify/require"
)

// badHeaders are damaged or hostile safetensors files and what is said of them.
var badHeaders = []struct {
	name string
	file []byte
	want string
}{
	{"empty", nil, "the file has 0 bytes; a safetensors file has at least 8: it is truncated"},
	{"shorter than its length field", []byte("abc"),
		"the file has 3 bytes; a safetensors file has at least 8: it is truncated"},
	{"header longer than the file", []byte("\xff\x00\x00\x00\x00\x00\x00\x00{}"),
		"header length is 255 bytes but only 2 follow: the file is truncated; download it again"},
	{"header length above the limit", []byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"),
		"header length is 18446744073709551615 bytes, above the format's limit of 100000000: this is no safetensors file"},
	{"no header", file("", nil), "the header does not begin with '{': this is no safetensors file"},
	{"leading space", file(" {}", nil), "the header does not begin with '{': this is no safetensors file"},
	{"an array", file("[]", nil), "the header does not begin with '{': this is no safetensors file"},
	{"cut JSON", file(`{"a":{"dtype":"F32"`, nil), `tensor "a" is not described by a valid JSON object: unexpected EOF`},
	{"unclosed JSON", file(`{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}`, []byte{1}),
		`header is not valid JSON: EOF`},
	{"text after the object", file(`{} {}`, nil), `header goes on after its JSON object, with "{}"`},
	{"metadata of numbers", file(`{"__metadata__":{"a":1}}`, nil),
		`__metadata__ is not an object of strings: "a" is no string`},
	{"metadata is a string", file(`{"__metadata__":"x"}`, nil), `__metadata__ is not an object of strings: it is "x"`},
	{"tensor is no object", file(`{"a":[1]}`, nil),
		`tensor "a" is not described by a valid JSON object: json: cannot unmarshal array into Go value of type map[string]json.RawMessage`},
	{"twice the same name",
		file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`,
			[]byte{1, 2}), `header has "a" twice`},
	{"unknown dtype", file(`{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}}`, []byte{1}),
		`tensor "a": dtype is "F7"; it must be a known type such as BF16, F16, F32 or U32`},
	{"dtype missing", file(`{"a":{"shape":[1],"data_offsets":[0,1]}}`, []byte{1}), `tensor "a": dtype is missing`},
	{"unknown field", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"stride":[2]}}`, []byte{1}),
		`tensor "a": has an unknown field "stride"; the format has dtype, shape and data_offsets`},
	{"negative dimension", file(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, []byte{1}),
		`tensor "a": shape is [-1]; it must be a list of whole numbers, none negative`},
	{"null dimension", file(`{"a":{"dtype":"U8","shape":[null],"data_offsets":[0,0]}}`, nil),
		`tensor "a": shape is [null]; it must be a list of whole numbers, none negative`},
	{"fractional dimension", file(`{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}`, []byte{1}),
		`tensor "a": shape is [1.5]; it must be a list of whole numbers, none negative`},
	{"shape overflows", file(`{"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,0]}}`, nil),
		`tensor "a": shape is [1099511627776,1099511627776]; it must be one whose size fits in memory`},
	{"dimension overflows", file(`{"a":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}}`, nil),
		`tensor "a": shape is [0,9223372036854775808]; it must be one whose size fits in memory`},
	{"offsets reversed", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}`, []byte{1}),
		`tensor "a": data_offsets is [1,0]; it must be two whole numbers, begin and end`},
	{"one offset", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1]}}`, []byte{1}),
		`tensor "a": data_offsets is [1]; it must be two whole numbers, begin and end`},
	{"shape against offsets", file(`{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}}`, make([]byte, 20)),
		`tensor "a": data_offsets [0 20] hold 20 bytes but F32 [2 3] takes 24`},
	{"overlap", file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`, make([]byte, 6)), `tensor "b" begins at byte 2 of the data, inside tensor "a", which ends at 4: they overlap`},
	{"hole", file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[6,10]}}`, make([]byte, 10)), `tensor "b" begins at byte 6 of the data but what precedes it ends at 4: the bytes between belong to no tensor`},
	{"hole at the start", file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`, make([]byte, 8)),
		`tensor "a" begins at byte 4 of the data but what precedes it ends at 0: the bytes between belong to no tensor`},
	{"offsets near 2^64",
		file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}}`, []byte{1}),
		`tensor "a" begins at byte 18446744073709551614 of the data but what precedes it ends at 0: the bytes between belong to no tensor`},
	{"truncated data",
		file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`,
			make([]byte, 7)),
		`the header describes 8 bytes of data but 7 follow it (tensor "b" ends at 8): the file is truncated; download it again`},
	{"data that no tensor describes", file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, make([]byte, 5)),
		`the header describes 4 bytes of data but 5 follow it: the rest belongs to no tensor`},
	{"control characters in a name", file(`{"a\u001b\n":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}}`, nil),
		`tensor "a\x1b\n": dtype is "F7"; it must be a known type such as BF16, F16, F32 or U32`},
	{"very long name", file(`{"`+strings.Repeat("x", 5000)+`":{"dtype":"F7"}}`, nil), `tensor "` +
		strings.Repeat("x", 80) + `…": dtype is "F7"; it must be a known type such as BF16, F16, F32 or U32`},
}

func TestBadHeaderIsNamed(t *testing.T) {
	for _, tt := range badHeaders {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readHeader(t.Context(), "m.safetensors", tt.file)
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestNullMetadataIsRefused(t *testing.T) {
	out, err := readHeader(t.Context(), "m",
		file(`{"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, []byte{7}))
	require.NoError(t, err)
	require.Equal(t, []byte{7}, out[0].Data)
}

func TestHeaderPaddedWithSpaces(t *testing.T) {
	in := []Tensor{random("b", 3, 5), random("a", 7), random("empty", 0, 4)}
	for _, align := range []int{1, 8, 4096} {
		out, err := readHeader(t.Context(), "m.safetensors", encode(in, align))
		require.NoError(t, err)
		require.Len(t, out, 3)
		for i := range in {
			require.Equal(t, in[i].Name, out[i].Name)
			require.Equal(t, in[i].Shape, out[i].Shape)
			require.Equal(t, in[i].Data, out[i].Data)
			require.Equal(t, "m.safetensors", out[i].File)
		}
		require.Zero(t, out[0].Offset%int64(align))
		require.Equal(t, out[0].Offset+30, out[1].Offset)
	}
}

// TestReadsWhatAnotherLibraryWrote holds the reader against files of github.com/nlpodyssey/safetensors.
func TestReadsWhatAnotherLibraryWrote(t *testing.T) {
	views := map[string]safetensors.TensorView{}
	want := map[string][]byte{}
	for _, dtype := range []safetensors.DType{
		safetensors.BOOL, safetensors.U8, safetensors.I8, safetensors.I16, safetensors.U16, safetensors.F16, safetensors.BF16,
		safetensors.I32, safetensors.U32, safetensors.F32, safetensors.F64, safetensors.I64, safetensors.U64,
	} {
		data := bytes.Repeat([]byte(dtype.String()), 100)[:6*dtype.Size()]
		view, err := safetensors.NewTensorView(dtype, []uint64{2, 3}, data)
		require.NoError(t, err)
		views[dtype.String()], want[dtype.String()] = view, data
	}
	buf, err := safetensors.Serialize(views, map[string]string{"format": "pt"})
	require.NoError(t, err)
	tensors, err := readHeader(t.Context(), "m", buf)
	require.NoError(t, err)
	require.Len(t, tensors, len(want))
	for _, tensor := range tensors {
		require.Equal(t, tensor.Name, tensor.DType.String())
		require.Equal(t, []int{2, 3}, tensor.Shape)
		require.Equal(t, want[tensor.Name], tensor.Data)
		require.Equal(t, tensor.Data, buf[tensor.Offset:tensor.Offset+int64(len(tensor.Data))])
	}
}

// FuzzSafetensorsHeader looks for panics, and for files that are accepted here but not by
// github.com/nlpodyssey/safetensors.
func FuzzSafetensorsHeader(f *testing.F) {
	for _, tt := range badHeaders {
		f.Add(tt.file)
	}
	f.Add(encode([]Tensor{random("b", 3, 5), random("a", 7), random("empty", 0, 4)}, 8))
	f.Fuzz(func(t *testing.T, buf []byte) {
		tensors, err := readHeader(t.Context(), "m", buf)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		total := 0
		for _, tensor := range tensors {
			total += len(tensor.Data)
			if tensor.DType == F8E4M3 || tensor.DType == F8E5M2 {
				return // the library does not know them
			}
		}
		library, err := safetensors.Deserialize(buf)
		require.NoError(t, err)
		require.Equal(t, library.Len(), len(tensors))
		for _, tensor := range tensors {
			view, ok := library.Tensor(tensor.Name)
			require.True(t, ok)
			require.True(t, bytes.Equal(view.Data(), tensor.Data))
			require.Equal(t, view.DType().String(), tensor.DType.String())
		}
		require.LessOrEqual(t, total, len(buf))
	})
}
