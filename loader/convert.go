package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ConvertOptions are what [Convert] makes of a checkpoint. The zero value packs plain weights in 4 bits and groups of
// 64, as mlx_lm.convert -q does, and leaves packed ones as they are.
type ConvertOptions struct {
	// Bits are those of a weight: 4 or 8, packed by MLX's affine quantisation, or 16 for plain weights in DType. 0: 4, or
	// what a packed source has, which can have no others.
	Bits int
	// GroupSize is how many weights share a scale and a bias when packed: 32, 64 or 128. 0: 64, or what a packed source
	// has, which can have no others.
	GroupSize int
	// DType is the type of scales, norms, biases and plain weights, BF16 or F16. Invalid: the one that config.json
	// declares, or else each tensor's own. The weights are converted to it before they are packed. A packed source keeps
	// its own.
	DType DType
	// Progress is told how many bytes of the source have been converted, by one goroutine at a time; may be nil.
	Progress func(done, total int64)

	free func(dir string) (int64, error) // bytes that a disk has left; nil asks it
}

// Conversion is what [Convert] has done.
type Conversion struct {
	Source, Dir      string
	Realigned        bool // packed tensors were copied as they are
	Bits, GroupSize  int  // GroupSize is 0 where nothing is packed
	DType            DType
	Tensors          int
	Files            []string // with weights
	SourceBytes      int64    // of the tensors that were read
	Bytes            int64    // of the tensors that were written
	Unused           []string // tensors of the source that were left out
	MissingTokenizer bool     // the source has none
}

// Convert makes a checkpoint in MLX's format in the folder dst, which must not exist or be empty, out of one in src,
// as mlx_lm.convert does, but with files that a device can use in place (see [Writer]). A packed source is copied with
// the new layout. Linear layers and embeddings whose width is a multiple of the group size are packed as by
// mx.quantize on the CPU, bit for bit. Modules get transformers' names, so a chatglm checkpoint becomes a glm one, and
// a tokenizer.json is made where there is only a tokenizer.model. Tokenizer, chat template, generation_config.json and
// licence go along.
//
// It writes to a folder beside dst, named dst.glm4-metal-partial, which gets its name when everything is on the disk.
// An error, and the end of ctx, remove it. Where the process is killed it stays without config.json, and the next
// Convert to dst replaces it. Some MB of memory are used, whatever the size of the model.
//
// Errors about src are those of [Open], among them a [*FaultError] where its files shrink meanwhile. A value that is
// not finite, or that DType cannot hold, is an error.
func Convert(ctx context.Context, src, dst string, o ConvertOptions) (_ Conversion, err error) {
	if err := o.check(); err != nil {
		return Conversion{}, err
	}
	c, err := Open(ctx, src)
	if err != nil {
		return Conversion{}, err
	}
	defer c.Close()
	p, err := c.planConversion(o)
	if err != nil {
		return Conversion{}, err
	}
	out, err := openDestination(src, dst)
	if err != nil {
		return Conversion{}, err
	}
	defer func() {
		if err != nil {
			out.discard()
		}
	}()
	if err := out.checkSpace(p.bytes(), o.free); err != nil {
		return Conversion{}, err
	}
	result := p.result
	if result.Files, err = p.write(ctx, out.partial, o.Progress); err != nil {
		return Conversion{}, err
	}
	if result.MissingTokenizer, err = c.copyText(ctx, out.partial); err != nil {
		return Conversion{}, err
	}
	config, err := c.convertedConfig(p)
	if err != nil {
		return Conversion{}, err
	}
	// Last, as no folder without it is taken for a checkpoint.
	if err := out.write("config.json", config); err != nil {
		return Conversion{}, err
	}
	if err := ctx.Err(); err != nil {
		return Conversion{}, err
	}
	result.Source, result.Dir = c.Dir, dst
	return result, out.keep()
}

func (o ConvertOptions) check() error {
	switch {
	case !slices.Contains([]int{0, 4, 8, 16}, o.Bits):
		return fmt.Errorf("weights of %d bits cannot be written; 4, 8 and 16 can", o.Bits)
	case !slices.Contains([]int{0, 32, 64, 128}, o.GroupSize):
		return fmt.Errorf("groups of %d weights cannot be written; 32, 64 and 128 can", o.GroupSize)
	case o.Bits == 16 && o.GroupSize != 0:
		return errors.New("weights of 16 bits have no groups; leave the group size out, or take 4 or 8 bits")
	case o.DType != Invalid && o.DType != BF16 && o.DType != F16:
		return fmt.Errorf("weights of type %s cannot be written; BF16 and F16 can", o.DType)
	}
	return nil
}

// write writes the weights and returns the names of their files.
func (p *conversionPlan) write(ctx context.Context, dir string, progress func(done, total int64)) ([]string, error) {
	w, err := NewWriter(dir, p.infos, WriterOptions{})
	if err != nil {
		return nil, err
	}
	defer w.Close()
	var mu sync.Mutex
	done, total := int64(0), p.result.SourceBytes
	report := func(n int) {
		if progress != nil {
			mu.Lock()
			defer mu.Unlock()
			done += int64(n)
			progress(done, total)
		}
	}
	report(0)
	err = onAllCores(ctx, p.pieces, func() func(piece) error {
		convert := newConverter(p.source, w)
		return func(next piece) error {
			if err := convert.piece(next); err != nil {
				return err
			}
			report(next.bytes())
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	return w.Files(), w.Finish()
}
