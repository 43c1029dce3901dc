package loader

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"unsafe"
)

// pieceBytes is how much of a source's tensor is converted at once.
const pieceBytes = 4 << 20

// conversionPlan is what becomes of a checkpoint's tensors.
type conversionPlan struct {
	source *Checkpoint
	steps  []convertStep
	infos  []TensorInfo // of what is written
	result Conversion

	dtypeAsked bool // by the options, not the config
}

// convertStep makes one tensor, or the three of a packed one, out of a source's.
type convertStep struct {
	module, part string // canonical name, and ".weight" or another ending
	file         string // of the source, for errors
	data         []byte // of the source
	from, to     DType
	rows, cols   int
	pack         quantizer // bits is 0 for one that is not packed here
}

// piece is some rows of a step.
type piece struct {
	*convertStep
	first, n int
}

func (p piece) bytes() int { return p.n * p.rowBytes() }

func (s *convertStep) rowBytes() int { return s.cols * s.from.Size() }

// planConversion decides what becomes of each tensor of the model.
func (c *Checkpoint) planConversion(o ConvertOptions) (*conversionPlan, error) {
	p := &conversionPlan{source: c, result: Conversion{Bits: o.Bits, GroupSize: o.GroupSize, DType: o.DType},
		dtypeAsked: o.DType != Invalid}
	if err := p.checkPacked(); err != nil {
		return nil, err
	}
	if p.result.Bits == 0 {
		p.result.Bits = 4
	}
	if p.result.Bits < 16 && p.result.GroupSize == 0 {
		p.result.GroupSize = 64
	}
	if p.result.DType == Invalid && !p.result.Realigned {
		p.result.DType = map[string]DType{"bfloat16": BF16, "float16": F16, "float32": F32}[c.Config.DType]
	}
	for m := range c.Config.modules() {
		p.addModule(m)
	}
	// mlx-lm's glm4 wants a head even where it is the same as the embedding.
	head := c.Config.place(module{name: lmHead}).stored
	if _, ok := c.stored[head+".weight"]; ok && c.Config.TieEmbeddings {
		p.addModule(module{name: lmHead, rows: c.Config.Vocab, cols: c.Config.Hidden})
	}
	for _, t := range c.unused {
		if !c.Config.TieEmbeddings || t.Name != head+".weight" && t.Name != head+".scales" && t.Name != head+".biases" {
			p.result.Unused = append(p.result.Unused, t.Name)
		}
	}
	p.result.Tensors = len(p.infos)
	if p.result.DType == Invalid {
		p.result.DType = p.infos[len(p.infos)-1].DType
	}
	return p, nil
}

// checkPacked looks whether the source is packed already, and refuses what cannot be made of it then.
func (p *conversionPlan) checkPacked() error {
	if !slices.ContainsFunc(slices.Collect(maps.Values(p.source.matrices)), Matrix.Quantized) {
		return nil
	}
	q, r := p.source.Config.Quantization, &p.result
	const wayOut = "convert the original bf16 or f16 checkpoint, or leave the %s out to copy this one so that it maps " +
		"in place"
	switch {
	case r.Bits != 0 && r.Bits != q.Bits:
		return fmt.Errorf("%s: the weights are packed in %d bits and cannot become %d; "+wayOut, p.source.Dir, q.Bits, r.Bits,
			"bits")
	case r.GroupSize != 0 && r.GroupSize != q.GroupSize:
		return fmt.Errorf("%s: the weights are packed in groups of %d and cannot get groups of %d; "+wayOut, p.source.Dir,
			q.GroupSize, r.GroupSize, "group size")
	case r.DType != Invalid:
		return fmt.Errorf("%s: the weights are packed with scales of their own type, which stays; "+wayOut, p.source.Dir,
			"type")
	case p.source.Config.ModelType != p.source.Config.writtenType() && len(q.Modules) > 0:
		return fmt.Errorf("%s: quantization in config.json has settings for modules by names of the %s family, which cannot "+
			"be kept; convert the original checkpoint", p.source.Dir, p.source.Config.ModelType)
	}
	r.Realigned, r.Bits, r.GroupSize = true, q.Bits, q.GroupSize
	return nil
}

// addModule plans the tensors of a module.
func (p *conversionPlan) addModule(m module) {
	c := p.source
	if m.cols == 0 {
		p.addVector(m.name, ".weight")
		return
	}
	w := c.matrices[m.name]
	plain := func(part string, data []byte, dtype DType, cols int) convertStep {
		to := dtype
		if p.result.DType != Invalid && dtype != U32 && !w.Quantized() {
			to = p.result.DType
		}
		return convertStep{module: m.name, part: part, file: w.File, data: data, from: dtype, to: to, rows: m.rows,
			cols: cols}
	}
	step := plain(".weight", w.Data, w.DType, w.Cols)
	switch {
	case w.Quantized():
		step.cols = w.Cols * w.Bits / 32
		groups := w.Cols / w.GroupSize
		p.add(step, plain(".scales", w.Scales, w.ScaleDType, groups), plain(".biases", w.Biases, w.ScaleDType, groups))
	case !p.result.Realigned && p.result.Bits < 16 && w.Cols%p.result.GroupSize == 0:
		step.pack = quantizer{step.to, p.result.Bits, p.result.GroupSize}
		p.add(step)
	default:
		p.add(step)
	}
	if m.bias {
		p.addVector(m.name, ".bias")
	}
}

// addVector plans a norm or a bias, if the model has it.
func (p *conversionPlan) addVector(module, part string) {
	t, ok := p.source.vectors[module+part]
	if !ok {
		return
	}
	to := t.DType
	if p.result.DType != Invalid {
		to = p.result.DType
	}
	p.add(convertStep{module: module, part: part, file: t.File, data: t.Data, from: t.DType, to: to, rows: 1,
		cols: t.Shape[0]})
}

func (p *conversionPlan) add(steps ...convertStep) {
	for _, s := range steps {
		p.steps = append(p.steps, s)
		p.result.SourceBytes += int64(len(s.data))
		info := TensorInfo{Name: s.module + s.part, DType: s.to, Shape: []int{s.rows, s.cols}}
		added := []TensorInfo{info}
		switch {
		case s.pack.bits > 0:
			added[0].DType, added[0].Shape = U32, []int{s.rows, s.cols * s.pack.bits / 32}
			for _, part := range []string{".scales", ".biases"} {
				added = append(added, TensorInfo{s.module + part, s.to, []int{s.rows, s.cols / s.pack.group}})
			}
		case s.part == ".bias" || p.source.matrices[s.module].Rows == 0: // a vector
			added[0].Shape = []int{s.cols}
		}
		for _, a := range added {
			p.result.Bytes += a.Bytes()
		}
		p.infos = append(p.infos, added...)
	}
}

// bytes is about what the result needs on a disk.
func (p *conversionPlan) bytes() int64 {
	const text = 64 << 20 // headers, tokenizer
	return p.result.Bytes + text
}

// pieces yields the steps in pieces.
func (p *conversionPlan) pieces(yield func(piece) bool) {
	for i := range p.steps {
		s := &p.steps[i]
		n := max(1, pieceBytes/s.rowBytes())
		for first := 0; first < s.rows; first += n {
			if !yield(piece{s, first, min(n, s.rows-first)}) {
				return
			}
		}
	}
}

// converter converts pieces. It is used by one goroutine.
type converter struct {
	source                *Checkpoint
	w                     *Writer
	in, cast              []byte
	words, scales, biases []byte
}

func newConverter(source *Checkpoint, w *Writer) *converter { return &converter{source: source, w: w} }

// piece reads, converts and writes some rows.
func (c *converter) piece(p piece) error {
	c.in = slices.Grow(c.in[:0], p.bytes())[:p.bytes()]
	start := p.first * p.rowBytes()
	if err := c.source.readFile(c.in, p.data[start:start+len(c.in)]); err != nil {
		return err
	}
	values, n := c.in, p.n*p.cols
	// name tells about a value that cannot be.
	name := func(err error, index int) error {
		return fmt.Errorf("%s/%s: tensor %s of module %s %w (row %d, column %d)", c.source.Dir, p.file, p.part[1:], p.module,
			err, p.first+index/p.cols, index%p.cols)
	}
	if p.from != p.to {
		c.cast = slices.Grow(c.cast[:0], n*p.to.Size())[:n*p.to.Size()]
		if i, err := castValues(c.cast, values, p.from, p.to); err != nil {
			return name(err, i)
		}
		values = c.cast
	}
	if p.pack.bits == 0 {
		return c.w.WriteAt(p.module+p.part, values, int64(p.first*p.cols*p.to.Size()))
	}
	words, params := n*p.pack.bits/8, n/p.pack.group*p.to.Size()
	c.words = slices.Grow(c.words[:0], words)[:words]
	c.scales, c.biases = slices.Grow(c.scales[:0], params)[:params], slices.Grow(c.biases[:0], params)[:params]
	if i, err := p.pack.quantize(c.words, c.scales, c.biases, values); err != nil {
		return name(err, i)
	}
	row, rowParams := p.cols*p.pack.bits/8, p.cols/p.pack.group*p.to.Size()
	return errors.Join(
		c.w.WriteAt(p.module+".weight", c.words, int64(p.first*row)),
		c.w.WriteAt(p.module+".scales", c.scales, int64(p.first*rowParams)),
		c.w.WriteAt(p.module+".biases", c.biases, int64(p.first*rowParams)))
}

// castValues writes values as another type, rounded to nearest, halves to even. One that is not finite then is an
// error, whose place comes with it.
func castValues(dst, values []byte, from, to DType) (int, error) {
	for i := range len(values) / from.Size() {
		v := from.at(values, i)
		to.put(dst, i, v)
		if cast := to.at(dst, i); cast-cast != 0 {
			if math.IsInf(float64(cast), 0) && v-v == 0 {
				return i, fmt.Errorf("has %g, which is beyond what %s can hold; take another type", v, to)
			}
			return i, notFinite(v)
		}
	}
	return 0, nil
}

func notFinite(v float32) error {
	return fmt.Errorf("has %v; every value must be finite: the file is damaged", v)
}

// readFile reads bytes of a tensor from its file instead of the mapping, so that no page of it stays in the memory of
// the process.
func (c *Checkpoint) readFile(dst, data []byte) error {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	for _, r := range c.regions {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(r.data)))
		if at < start || at-start > uintptr(len(r.data)) {
			continue
		}
		if r.file == nil {
			copy(dst, data)
			return nil
		}
		if n, err := r.file.ReadAt(dst, int64(at-start)); n < len(dst) {
			if err == io.EOF {
				err = nil
			}
			return r.fault(err)
		}
		return nil
	}
	panic("loader: a tensor lies outside its checkpoint's files")
}
