// Package loader turns a folder that holds a GLM-4 checkpoint into named, checked tensors.
//
// It reads what the hub publishes: config.json of the glm4, glm and chatglm families, weights in safetensors files
// (one, or several with an index) that are bf16, f16, f32 or packed by MLX's affine quantisation. Files are mapped, not
// read, so that opening a checkpoint costs its headers and a weight's page is only touched by whoever uses it. Whatever
// the family, modules go by the names that transformers gives them in its glm and glm4 models.
//
//	c, err := loader.Open(ctx, "GLM-4-9B-0414-4bit")
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	norm, err := c.Vector("model.norm.weight")                // a copy
//	q, err := c.Matrix("model.layers.0.self_attn.q_proj")    // in the mapped file
//	row := make([]float32, q.Cols)
//	err = c.Guard(func() error { q.Dequantize(row, 0); return nil })
//
// [Convert] makes a quantised checkpoint of another one, and [Writer] writes the files of one.
//
// The package knows bytes and shapes but no device. Errors are one line that names the file, the field or tensor, what
// was found and what was expected; they wrap [fs.ErrNotExist] and [fs.ErrPermission] where that is the cause,
// [errors.ErrUnsupported] for a model of another family, and are a [*FaultError] where mapped bytes cannot be read any
// more.
package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Checkpoint is an opened checkpoint. Its methods may be called from several goroutines, except Close.
type Checkpoint struct {
	Dir    string // the folder, or the name given to OpenFS
	Config Config // what config.json says

	fsys     fs.FS
	regions  []region          // one a file
	stored   map[string]Tensor // by the name in the files
	matrices map[string]Matrix // by canonical module name
	vectors  map[string]Tensor // by canonical tensor name
	unused   []Tensor
	notes    []string
}

// Open opens the checkpoint in a folder. It reads config.json and the headers of the safetensors files, maps those
// files read-only and checks everything that can be checked without touching more than a few pages of the weights: each
// tensor that the config implies is there, with the right shape and type, and nothing else that would change the
// arithmetic. Where embeddings are tied beside a head, both are compared. A file that cannot be mapped is read. One
// that is replaced or grows while it is mapped does no harm; of one that shrinks, or whose disk fails, see
// [Checkpoint.Guard].
//
// It ends early with ctx, whose error it then returns. Of other errors see the package.
func Open(ctx context.Context, dir string) (*Checkpoint, error) {
	if err := CheckFolder(dir); err != nil {
		return nil, err
	}
	return open(ctx, filepath.Clean(dir), os.DirFS(dir), func(name string) (region, error) {
		return mapFile(filepath.Join(dir, filepath.FromSlash(name)), mapMemory)
	})
}

// OpenFS opens a checkpoint whose files are not on disk, such as an embedded one. They are read into memory that, like
// a mapping, begins on a page and lives until Close. name stands for the folder in errors.
func OpenFS(ctx context.Context, fsys fs.FS, name string) (*Checkpoint, error) {
	return open(ctx, name, fsys, func(file string) (region, error) {
		return readAligned(name+"/"+file, fsys, file)
	})
}

func open(ctx context.Context, dir string, fsys fs.FS, load func(name string) (region, error)) (_ *Checkpoint,
	err error) {
	c := &Checkpoint{Dir: dir, fsys: fsys, stored: map[string]Tensor{}}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if c.Config, err = readConfig(dir, fsys); err != nil {
		if textfile.Absent(err) {
			err = explainNoConfig(dir, fsys)
		}
		return nil, err
	}
	files, index, err := weightFiles(ctx, dir, fsys)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		// aria2 gives a file its full size at once and removes its notes when all of it has come.
		if _, err := fs.Stat(fsys, file+".aria2"); err == nil {
			return nil, fmt.Errorf("%s/%s: the file is incomplete%s; finish it with aria2c -c", dir, file,
				unfinishedBeside(fsys, file))
		}
		r, err := load(file)
		if err != nil {
			return nil, explainNoShard(dir, fsys, file, len(files), err)
		}
		c.regions = append(c.regions, r)
		err = c.Guard(func() error { return c.addFile(ctx, file, r) })
		if err = cmp.Or(c.Check(), err); err != nil {
			return nil, err
		}
	}
	for _, step := range []func() error{
		func() error { return checkIndex(dir, index, c.stored) },
		c.checkPacking,
		func() error { return c.Guard(func() error { return c.decideTie(ctx) }) },
		c.resolve,
		c.checkUnused,
		ctx.Err,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// addFile reads the header of a file and looks whether its content has come.
func (c *Checkpoint) addFile(ctx context.Context, file string, r region) error {
	path := c.Dir + "/" + file
	switch kind := kindOf(file, r.data[:min(startBytes, len(r.data))]); kind {
	case otherFile:
	case lfsPointer:
		return textfile.LFSError(path)
	default:
		return fmt.Errorf("%s: %s", path, kind)
	}
	tensors, err := readHeader(ctx, file, r.data)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%s: %w%s", path, err, unfinishedBeside(c.fsys, file))
	}
	for _, t := range tensors {
		if other, ok := c.stored[t.Name]; ok {
			return fmt.Errorf("%s: tensor %s is both in %s and in %s", c.Dir, quote(t.Name), other.File, file)
		}
		c.stored[t.Name] = t
	}
	return c.checkFilled(tensors, r.holes())
}

// Close unmaps the files. Every Tensor and Matrix of the checkpoint is invalid afterwards: reading its bytes faults.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, r := range c.regions {
		errs = append(errs, unmap(r.data))
		if r.file != nil {
			errs = append(errs, r.file.Close())
		}
	}
	c.regions, c.stored, c.matrices, c.vectors, c.unused = nil, nil, nil, nil, nil
	return errors.Join(errs...)
}

// FS returns the checkpoint's folder, for its tokenizer and templates.
func (c *Checkpoint) FS() fs.FS { return c.fsys }

// Has reports whether the model has a tensor, by its canonical name such as "model.layers.0.self_attn.q_proj.bias". A
// tied lm_head has none.
func (c *Checkpoint) Has(name string) bool {
	if _, ok := c.vectors[name]; ok {
		return true
	}
	if module, ok := strings.CutSuffix(name, ".weight"); ok {
		m, ok := c.matrices[module]
		return ok && m.Name == module
	}
	return false
}

// Tensors returns all tensors as they stand in the files, sorted by name.
func (c *Checkpoint) Tensors() []Tensor {
	tensors := make([]Tensor, 0, len(c.stored))
	for _, t := range c.stored {
		tensors = append(tensors, t)
	}
	sortByName(tensors)
	return tensors
}

// Notes returns what a person should know about how the checkpoint was read, a line each, such as that config.json ties
// embeddings that are not the same.
func (c *Checkpoint) Notes() []string { return slices.Clone(c.notes) }

// Unused returns the tensors that the model has no use for, sorted by name: extras that are known to change nothing,
// such as ChatGLM's rotary_pos_emb.inv_freq, a vision tower or a head for multi-token prediction. Others are refused by
// Open.
func (c *Checkpoint) Unused() []Tensor { return slices.Clone(c.unused) }

func sortByName(tensors []Tensor) {
	slices.SortFunc(tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
}

// Bytes returns the size of all tensors.
func (c *Checkpoint) Bytes() int64 {
	var n int64
	for _, t := range c.stored {
		n += int64(len(t.Data))
	}
	return n
}

// Mapped returns the memory of the files, one region each, headers included. Each begins on a page, every tensor's Data
// lies in one, and they are read-only and valid until Close. Reading them may fault: see [Checkpoint.Guard].
func (c *Checkpoint) Mapped() [][]byte {
	var regions [][]byte
	for _, r := range c.regions {
		regions = append(regions, r.data)
	}
	return regions
}

// Aligned reports whether every tensor begins at a multiple of n bytes, n at most a page, so that a device can use it
// in place.
func (c *Checkpoint) Aligned(n int) bool {
	for _, t := range c.stored {
		if t.Offset%int64(n) != 0 {
			return false
		}
	}
	return true
}
