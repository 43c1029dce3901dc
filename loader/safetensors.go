package loader

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// maxHeader is the limit that the safetensors format sets on the JSON header.
const maxHeader = 100_000_000

// Limits far above any GLM-4 (613 tensors, 1,657 quantised) and its descriptions of some 100 bytes each. They bound the
// memory that a hostile header takes.
const (
	maxTensors  = 1 << 17  // in a file or an index
	maxEntry    = 1 << 17  // bytes of JSON about one tensor
	maxMetadata = 16 << 20 // bytes of JSON about the file
	maxRank     = 8        // dimensions of a tensor
)

// maxDim keeps a product of two dimensions within an int64.
const maxDim = 1 << 40

// Tensor is one tensor as it stands in a file. Data belongs to the Checkpoint and is read-only: writing to it
// faults, and reading it may: see [Checkpoint.Guard].
type Tensor struct {
	Name   string // as in the file, which for the chatglm family is not the canonical name
	File   string // name of the file inside the checkpoint's folder
	DType  DType  // of its elements
	Shape  []int  // outermost dimension first; belongs to the Checkpoint
	Data   []byte // little endian, row-major
	Offset int64  // of Data's first byte in the file
}

// readHeader parses the header of a safetensors file held in buf: 8 bytes of little-endian length, a JSON object of
// that length (which may be padded with spaces), then the data without gaps. The tensors come back in the order of
// their data. Format: https://github.com/huggingface/safetensors#format.
func readHeader(ctx context.Context, file string, buf []byte) ([]Tensor, error) {
	if len(buf) < 8 {
		return nil, fmt.Errorf("the file has %d bytes; a safetensors file has at least 8: it is truncated", len(buf))
	}
	n := binary.LittleEndian.Uint64(buf)
	if n > maxHeader {
		return nil, fmt.Errorf("header length is %d bytes, above the format's limit of %d: this is no safetensors file", n,
			maxHeader)
	}
	if n > uint64(len(buf)-8) {
		return nil, fmt.Errorf("header length is %d bytes but only %d follow: the file is truncated; download it again", n,
			len(buf)-8)
	}
	header, data := buf[8:8+n], buf[8+n:]
	entries, err := parseHeader(ctx, header)
	if err != nil {
		return nil, err
	}
	if err := checkLayout(entries, uint64(len(data))); err != nil {
		return nil, err
	}
	tensors := make([]Tensor, len(entries))
	for i, e := range entries {
		tensors[i] = Tensor{
			Name: e.name, File: file, DType: e.dtype, Shape: e.shape,
			Data:   data[e.begin:e.end:e.end],
			Offset: int64(8 + n + e.begin),
		}
	}
	return tensors, nil
}

// entry is what the header says about one tensor. The offsets count from the end of the header.
type entry struct {
	name       string
	dtype      DType
	shape      []int
	begin, end uint64
}

// parseHeader reads the JSON header, token by token because a map would hide a name that stands there twice. It ends
// with ctx.
func parseHeader(ctx context.Context, header []byte) ([]entry, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, errors.New("the header does not begin with '{': this is no safetensors file")
	}
	r := &jsonReader{ctx: ctx, data: header, end: maxEntry}
	dec := json.NewDecoder(r)
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("header is not valid JSON: %w", err)
	}
	var entries []entry
	seen := map[string]bool{}
	for dec.More() {
		r.end = int(dec.InputOffset()) + maxEntry
		token, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("header is not valid JSON: %w", err)
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("header is not valid JSON: %v stands where a name should", token)
		}
		if seen[name] {
			return nil, fmt.Errorf("header has %s twice", quote(name))
		}
		seen[name] = true
		if name == "__metadata__" {
			r.end = int(dec.InputOffset()) + maxMetadata
			if err := skipMetadata(dec); err != nil {
				return nil, fmt.Errorf("__metadata__ is not an object of strings: %w", err)
			}
			continue
		}
		var fields map[string]json.RawMessage
		if err := dec.Decode(&fields); err != nil {
			return nil, fmt.Errorf("tensor %s is not described by a valid JSON object: %w", quote(name), err)
		}
		e, err := parseEntry(name, fields)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", quote(name), err)
		}
		if entries = append(entries, e); len(entries) > maxTensors {
			return nil, fmt.Errorf("header describes more than %d tensors", maxTensors)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("header is not valid JSON: %w", err)
	}
	if rest := bytes.Trim(header[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, fmt.Errorf("header goes on after its JSON object, with %s", quote(string(rest)))
	}
	return entries, nil
}

// skipMetadata checks that a value is null or an object of strings, which nothing here needs.
func skipMetadata(dec *json.Decoder) error {
	switch token, err := dec.Token(); {
	case err != nil:
		return err
	case token == nil:
		return nil
	case token != json.Delim('{'):
		return fmt.Errorf("it is %s", quote(fmt.Sprint(token)))
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		value, err := dec.Token()
		if err != nil {
			return err
		}
		if _, ok := value.(string); !ok {
			return fmt.Errorf("%s is no string", quote(name.(string)))
		}
	}
	return expect(dec, '}')
}

func parseEntry(name string, fields map[string]json.RawMessage) (entry, error) {
	e := entry{name: name}
	fail := func(field, want string) (entry, error) {
		if fields[field] == nil {
			return entry{}, fmt.Errorf("%s is missing", field)
		}
		return entry{}, fmt.Errorf("%s is %s; it must be %s", field, printable(clip(string(fields[field]))), want)
	}
	for field := range fields {
		if field != "dtype" && field != "shape" && field != "data_offsets" {
			return entry{}, fmt.Errorf("has an unknown field %s; the format has dtype, shape and data_offsets", quote(field))
		}
	}
	var dtype string
	if json.Unmarshal(fields["dtype"], &dtype) != nil {
		return fail("dtype", "a string")
	}
	if e.dtype = parseDType(dtype); e.dtype == Invalid {
		return fail("dtype", "a known type such as BF16, F16, F32 or U32")
	}
	dims, ok := naturals(fields["shape"])
	if !ok {
		return fail("shape", "a list of whole numbers, none negative")
	}
	if len(dims) > maxRank {
		return fail("shape", fmt.Sprintf("of at most %d dimensions", maxRank))
	}
	e.shape = make([]int, len(dims))
	size := uint64(e.dtype.Size())
	for i, d := range dims {
		hi, lo := bits.Mul64(size, d)
		if d > maxDim || hi != 0 {
			return fail("shape", "one whose size fits in memory")
		}
		e.shape[i], size = int(d), lo
	}
	offsets, ok := naturals(fields["data_offsets"])
	if !ok || len(offsets) != 2 || offsets[0] > offsets[1] {
		return fail("data_offsets", "two whole numbers, begin and end")
	}
	e.begin, e.end = offsets[0], offsets[1]
	if e.end-e.begin != size {
		return entry{}, fmt.Errorf("data_offsets %v hold %d bytes but %s %v takes %d", offsets, e.end-e.begin, e.dtype,
			e.shape, size)
	}
	return e, nil
}

// naturals reads a list of whole numbers. encoding/json would take a null in it for 0.
func naturals(raw json.RawMessage) ([]uint64, bool) {
	var list []uint64
	if json.Unmarshal(raw, &list) != nil || bytes.Contains(raw, []byte("null")) {
		return nil, false
	}
	return list, true
}

// checkLayout sorts the entries by place and checks that they cover the data from its first byte to its last, once.
func checkLayout(entries []entry, size uint64) error {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	var last entry
	for _, e := range entries {
		switch {
		case e.begin < last.end:
			return fmt.Errorf("tensor %s begins at byte %d of the data, inside tensor %s, which ends at %d: they overlap",
				quote(e.name), e.begin, quote(last.name), last.end)
		case e.begin > last.end:
			return fmt.Errorf("tensor %s begins at byte %d of the data but what precedes it ends at %d: the bytes between "+
				"belong to no tensor", quote(e.name), e.begin, last.end)
		}
		last = e
	}
	if last.end > size {
		return fmt.Errorf("the header describes %d bytes of data but %d follow it (tensor %s ends at %d): the file is "+
			"truncated; download it again", last.end, size, quote(last.name), last.end)
	}
	if last.end < size {
		return fmt.Errorf("the header describes %d bytes of data but %d follow it: the rest belongs to no tensor", last.end,
			size)
	}
	return nil
}
