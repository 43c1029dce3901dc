package loader

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// infos announces tensors.
func infos(tensors []Tensor) (list []TensorInfo) {
	for _, t := range tensors {
		list = append(list, TensorInfo{t.Name, t.DType, t.Shape})
	}
	return list
}

// writeAll writes tensors from the last to the first, each in two parts.
func writeAll(t *testing.T, w *Writer, tensors []Tensor) {
	t.Helper()
	for i := range tensors {
		data, name := tensors[len(tensors)-1-i].Data, tensors[len(tensors)-1-i].Name
		require.NoError(t, w.WriteAt(name, data[len(data)/3:], int64(len(data)/3)))
		require.NoError(t, w.WriteAt(name, data[:len(data)/3], 0))
	}
}

func TestShardsDoNotOpen(t *testing.T) {
	tensors := glm4Tensors()
	dir := tiny(tinyGLM4, tensors).save(t)
	require.NoError(t, os.Remove(filepath.Join(dir, singleName)))
	w, err := NewWriter(dir, infos(tensors), WriterOptions{MaxShard: 40_000})
	require.NoError(t, err)
	require.Equal(t, []string{"model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
		"model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors"}, w.Files())
	writeAll(t, w, tensors)
	require.NoError(t, w.Finish())
	require.NoError(t, w.Close())

	c := reopen(t, dir)
	require.Equal(t, w.Bytes(), c.Bytes())
	for _, want := range tensors {
		got := c.stored[want.Name]
		require.Equal(t, want.Data, got.Data, want.Name)
		require.Equal(t, want.Shape, got.Shape, want.Name)
		require.Zero(t, got.Offset%alignment(int64(len(got.Data))), want.Name)
	}
	for _, r := range c.regions {
		require.LessOrEqual(t, len(r.data), 40_000+16384, r.path)
	}
	var index struct {
		Metadata  map[string]int64
		WeightMap map[string]string `json:"weight_map"`
	}
	data, err := os.ReadFile(filepath.Join(dir, indexName))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &index))
	require.Equal(t, map[string]int64{"total_size": c.Bytes()}, index.Metadata)
	require.Len(t, index.WeightMap, len(tensors))
}

// A tensor of an odd size moves behind those that it would push off their alignment.
func TestOddTensorMisalignsTheNext(t *testing.T) {
	tensors := []Tensor{random("odd", 3), random("long", 7, 128), random("middle", 48), random("page", 8192)}
	dir := t.TempDir()
	w, err := NewWriter(dir, infos(tensors), WriterOptions{})
	require.NoError(t, err)
	writeAll(t, w, tensors)
	require.NoError(t, w.Finish())
	data, err := os.ReadFile(filepath.Join(dir, singleName))
	require.NoError(t, err)
	read, err := readHeader(t.Context(), singleName, data)
	require.NoError(t, err)
	var names []string
	for _, tensor := range read {
		names = append(names, tensor.Name)
		require.Zero(t, tensor.Offset%alignment(int64(len(tensor.Data))), tensor.Name)
	}
	require.Equal(t, []string{"long", "page", "middle", "odd"}, names)
	require.EqualValues(t, 16384, read[0].Offset)
	require.Equal(t, len(data), 16384+int(w.Bytes()))
}

func TestAlignOptionIsIgnored(t *testing.T) {
	dir := t.TempDir()
	w, err := NewWriter(dir, []TensorInfo{{"a", U8, []int{5}}}, WriterOptions{Align: 24})
	require.NoError(t, err)
	require.NoError(t, w.WriteAt("a", []byte("hello"), 0))
	require.NoError(t, w.Finish())
	data, err := os.ReadFile(filepath.Join(dir, singleName))
	require.NoError(t, err)
	require.Zero(t, (len(data)-5)%24)
	require.Equal(t, "hello", string(data[len(data)-5:]))
}

func TestUnfinishedTensorIsTakenForWhole(t *testing.T) {
	dir := t.TempDir()
	w, err := NewWriter(dir, []TensorInfo{{"a", F32, []int{2, 3}}, {"none", F32, []int{0, 4}}}, WriterOptions{})
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, w.WriteAt("a", make([]byte, 20), 4))
	require.EqualError(t, w.Finish(), dir+"/"+singleName+`: tensor "a" lacks 4 of its 24 bytes`)
	require.EqualError(t, w.WriteAt("a", make([]byte, 5), 20), dir+"/"+singleName+
		`: 5 bytes at 20 are outside tensor "a" of 24 bytes`)
	require.EqualError(t, w.WriteAt("a", nil, -1), dir+"/"+singleName+`: 0 bytes at -1 are outside tensor "a" of 24 bytes`)
	require.EqualError(t, w.WriteAt("b", nil, 0), dir+`: tensor "b" was not announced`)
	require.NoError(t, w.WriteAt("a", make([]byte, 4), 0))
	require.NoError(t, w.Finish())
}

func TestAnnouncementThatNoHeaderHolds(t *testing.T) {
	dir := t.TempDir()
	for want, list := range map[string][]TensorInfo{
		`tensor "a" is announced twice`:                    {{"a", F32, nil}, {"a", F16, nil}},
		`"__metadata__" cannot be the name of a tensor`:    {{"__metadata__", F32, nil}},
		`"" cannot be the name of a tensor`:                {{"", F32, nil}},
		`"a\nb" cannot be the name of a tensor`:            {{"a\nb", F32, nil}},
		`tensor "a" cannot be F32 [2 -1]`:                  {{"a", F32, []int{2, -1}}},
		`tensor "a" cannot be F32 [2097152 2199023255552]`: {{"a", F32, []int{1 << 21, 1 << 41}}},
		`tensor "a" cannot be invalid []`:                  {{"a", Invalid, nil}},
		`a checkpoint without tensors cannot be written`:   nil,
	} {
		_, err := NewWriter(dir, list, WriterOptions{})
		require.EqualError(t, err, dir+": "+want)
	}
	require.Empty(t, entries(t, dir))
	_, err := NewWriter(dir, []TensorInfo{{"a", F32, nil}}, WriterOptions{Align: -8})
	require.ErrorContains(t, err, "are no options")

	require.NoError(t, os.WriteFile(filepath.Join(dir, singleName), []byte("mine"), 0o600))
	_, err = NewWriter(dir, []TensorInfo{{"a", F32, nil}}, WriterOptions{})
	require.ErrorIs(t, err, fs.ErrExist)
	require.True(t, strings.HasPrefix(err.Error(), dir+"/"+singleName+": "), err)
}

func TestFillGoesOnBehindAnError(t *testing.T) {
	w, err := NewWriter(t.TempDir(), []TensorInfo{{"a", U8, []int{1000}}}, WriterOptions{})
	require.NoError(t, err)
	defer w.Close()
	var calls atomic.Int64
	broken := errors.New("broken")
	require.Equal(t, broken, w.Fill(t.Context(), 1, func(TensorInfo, int64, []byte) error {
		calls.Add(1)
		return broken
	}))
	require.Less(t, calls.Load(), int64(1000))
	ctx, cancel := context.WithCancel(t.Context())
	require.Equal(t, context.Canceled, w.Fill(ctx, 1, func(TensorInfo, int64, []byte) error {
		cancel()
		return nil
	}))
}
