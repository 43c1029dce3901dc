package loader

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

const (
	// maxShard is the size of data at which a file ends, the 5GB of transformers' save_pretrained.
	maxShard = 5_000_000_000

	// deviceAlignment is more than any load of a device needs. Tensors of a multiple of it stay in their order.
	deviceAlignment = 256
)

// TensorInfo announces a tensor to a [Writer].
type TensorInfo struct {
	Name  string
	DType DType
	Shape []int // outermost dimension first
}

// Bytes is the size of the tensor's data.
func (t TensorInfo) Bytes() int64 {
	n := int64(t.DType.Size())
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}

// WriterOptions change how a [Writer] lays out its files. The zero value is what devices want.
type WriterOptions struct {
	// MaxShard is the size of data at which a file ends, in bytes; 0: 5 GB.
	MaxShard int64
	// Align is the multiple of bytes, at most 1 MiB, at which the data of a file begins; 0: a page of 16 KiB. Files of
	// others often begin at a multiple of 8.
	Align int
}

// Writer writes the weights of a checkpoint into a folder: model.safetensors, or, where the data is more than 5 GB,
// shards model-00001-of-0000N.safetensors of at most that and model.safetensors.index.json. A tensor is not divided.
//
// The data of a file begins on a page of 16 KiB, behind spaces at the end of the header, and in it tensors come in the
// order of how large a power of two divides their sizes, up to 256 bytes, as the format allows no gaps. So a tensor of
// GLM-4's shapes begins at a multiple of 256 bytes, and a device can use the mapped file in place. Format:
// https://github.com/huggingface/safetensors#format; the metadata is {"format": "mlx"}, as mlx-lm writes it.
//
// All tensors are announced first. Their data then comes in any order and from any number of goroutines, by
// [Writer.WriteAt], or by [Writer.Fill], which asks for it.
type Writer struct {
	dir     string
	shards  []*shard
	tensors map[string]*writtenTensor
	total   int64
}

type shard struct {
	name    string
	file    *os.File
	tensors []*writtenTensor
	bytes   int64 // of its tensors
}

type writtenTensor struct {
	TensorInfo
	shard  *shard
	offset int64 // in the file
	left   atomic.Int64
}

// NewWriter creates the files, which must not exist, in a folder that must, and writes their headers. It fails if a
// tensor has no name that a header can hold, no type, or a dimension below 0, and if two have one name.
func NewWriter(dir string, tensors []TensorInfo, o WriterOptions) (_ *Writer, err error) {
	if o.MaxShard < 0 || o.Align < 0 || o.Align > 1<<20 {
		return nil, fmt.Errorf("%s: %+v are no options for writing", dir, o)
	}
	w := &Writer{dir: dir, tensors: map[string]*writtenTensor{}}
	if err := w.plan(tensors, cmp.Or(o.MaxShard, maxShard)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	for _, s := range w.shards {
		if err := s.create(dir, cmp.Or(o.Align, regionPage)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// plan divides the tensors among shards.
func (w *Writer) plan(tensors []TensorInfo, maxShard int64) error {
	for _, info := range tensors {
		size := info.Bytes()
		switch {
		case info.Name == "" || info.Name == "__metadata__" || printable(info.Name) != info.Name:
			return fmt.Errorf("%s: %s cannot be the name of a tensor", w.dir, quote(info.Name))
		case w.tensors[info.Name] != nil:
			return fmt.Errorf("%s: tensor %s is announced twice", w.dir, quote(info.Name))
		case info.DType.Size() == 0 || size < 0 || slices.ContainsFunc(info.Shape, func(d int) bool {
			return d < 0 || d > maxDim
		}):
			return fmt.Errorf("%s: tensor %s cannot be %s %v", w.dir, quote(info.Name), info.DType, info.Shape)
		}
		if n := len(w.shards); n == 0 || w.shards[n-1].bytes > 0 && w.shards[n-1].bytes+size > maxShard {
			w.shards = append(w.shards, &shard{})
		}
		s := w.shards[len(w.shards)-1]
		t := &writtenTensor{TensorInfo: info, shard: s}
		t.left.Store(size)
		s.tensors, s.bytes = append(s.tensors, t), s.bytes+size
		w.tensors[info.Name] = t
		w.total += size
	}
	if len(w.shards) == 0 {
		return fmt.Errorf("%s: a checkpoint without tensors cannot be written", w.dir)
	}
	for i, s := range w.shards {
		s.name = singleName
		if n := len(w.shards); n > 1 {
			s.name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n)
		}
		slices.SortStableFunc(s.tensors, func(a, b *writtenTensor) int {
			return cmp.Compare(alignment(b.Bytes()), alignment(a.Bytes()))
		})
	}
	return nil
}

// alignment is the largest power of two that divides a size, up to what a device can ask for.
func alignment(size int64) int64 {
	return min(int64(1)<<min(bits.TrailingZeros64(uint64(size)), 62), deviceAlignment)
}

// create makes the file and writes its header.
func (s *shard) create(dir string, align int) error {
	header := []byte(`{"__metadata__":{"format":"mlx"}`)
	end := int64(0)
	for _, t := range s.tensors {
		t.offset = end
		end += t.Bytes()
		name, err := json.Marshal(t.Name)
		if err != nil {
			return err
		}
		shape, err := json.Marshal(append([]int{}, t.Shape...))
		if err != nil {
			return err
		}
		header = fmt.Appendf(header, `,%s:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, t.DType, shape, t.offset,
			end)
	}
	header = append(header, '}')
	if over := (8 + len(header)) % align; over > 0 {
		header = append(header, bytes.Repeat([]byte(" "), align-over)...)
	}
	if len(header) > maxHeader {
		return fmt.Errorf("%s/%s: the header has %d bytes, above the format's limit of %d", dir, s.name, len(header),
			maxHeader)
	}
	for _, t := range s.tensors {
		t.offset += int64(8 + len(header))
	}
	path := filepath.Join(dir, s.name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return textfile.Explain(path, err)
	}
	s.file = f
	if _, err = f.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)); err != nil {
		return textfile.Explain(path, err)
	}
	return nil
}

// Files are the names of the safetensors files.
func (w *Writer) Files() []string {
	var names []string
	for _, s := range w.shards {
		names = append(names, s.name)
	}
	return names
}

// Bytes is the size of all tensors.
func (w *Writer) Bytes() int64 { return w.total }

// WriteAt writes a part of a tensor's data from a byte of it on. Several goroutines may write at once; no byte may be
// written twice. p is not kept.
func (w *Writer) WriteAt(name string, p []byte, offset int64) error {
	t := w.tensors[name]
	if t == nil {
		return fmt.Errorf("%s: tensor %s was not announced", w.dir, quote(name))
	}
	if offset < 0 || offset+int64(len(p)) > t.Bytes() {
		return fmt.Errorf("%s/%s: %d bytes at %d are outside tensor %s of %d bytes", w.dir, t.shard.name, len(p), offset,
			quote(name), t.Bytes())
	}
	if _, err := t.shard.file.WriteAt(p, t.offset+offset); err != nil {
		return textfile.Explain(filepath.Join(w.dir, t.shard.name), err)
	}
	t.left.Add(-int64(len(p)))
	return nil
}

// Fill writes all tensors by pieces of at most piece bytes, which fill makes, on all cores: it fills p with the data
// of t from a byte of it on. The pieces are begun in the order of the files. Fill ends with ctx, or with the first
// error.
func (w *Writer) Fill(ctx context.Context, piece int, fill func(t TensorInfo, offset int64, p []byte) error) error {
	type part struct {
		t      *writtenTensor
		offset int64
	}
	parts := func(yield func(part) bool) {
		for _, s := range w.shards {
			for _, t := range s.tensors {
				for offset := int64(0); offset < t.Bytes(); offset += int64(piece) {
					if !yield(part{t, offset}) {
						return
					}
				}
			}
		}
	}
	return onAllCores(ctx, parts, func() func(part) error {
		buffer := make([]byte, piece)
		return func(next part) error {
			p := buffer[:min(int64(piece), next.t.Bytes()-next.offset)]
			if err := fill(next.t.TensorInfo, next.offset, p); err != nil {
				return err
			}
			return w.WriteAt(next.t.Name, p, next.offset)
		}
	})
}

// onAllCores does jobs, one worker a core, each with a function of its own. It ends with ctx, or with the first error,
// when all workers have ended.
func onAllCores[J any](ctx context.Context, jobs iter.Seq[J], worker func() func(J) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan J)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			do := worker()
			for job := range queue {
				if err := do(job); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for job := range jobs {
		select {
		case queue <- job:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

// Finish brings everything to the disk, writes the index if there are several shards, and closes the files. It fails
// if not all data was written. Only what Finish returned no error for is a whole set of weights.
func (w *Writer) Finish() error {
	weightMap := map[string]string{}
	for _, s := range w.shards {
		for _, t := range s.tensors {
			if left := t.left.Load(); left != 0 {
				return fmt.Errorf("%s/%s: tensor %s lacks %d of its %d bytes", w.dir, s.name, quote(t.Name), left, t.Bytes())
			}
			weightMap[t.Name] = s.name
		}
		if err := s.file.Sync(); err != nil {
			return textfile.Explain(filepath.Join(w.dir, s.name), err)
		}
	}
	if err := w.Close(); err != nil || len(w.shards) == 1 {
		return err
	}
	index := struct {
		Metadata  map[string]int64  `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}{map[string]int64{"total_size": w.total}, weightMap}
	data, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return textfile.Replace(filepath.Join(w.dir, indexName), append(data, '\n'), 0o666)
}

// Close closes the files. It does nothing behind Finish.
func (w *Writer) Close() error {
	var errs []error
	for _, s := range w.shards {
		if s.file != nil {
			errs = append(errs, s.file.Close())
			s.file = nil
		}
	}
	return errors.Join(errs...)
}
