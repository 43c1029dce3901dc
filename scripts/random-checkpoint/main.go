// Random-checkpoint writes GLM-4-9B-0414 in its true shapes and files but with random weights, so that size, loading
// and speed can be tried on any machine without a download. What it says is noise.
//
//	go run ./scripts/random-checkpoint --out DIR [--bits 4|16] [--layers N] [--group 64] [--vocab N] [--align 8]
//		[--seed N]
//
// With --bits 16 the weights are bf16 as on the hub (18.8 GB), with --bits 4 they are packed as mlx_lm.convert -q does
// (5.3 GB). --layers cuts the model short. DIR receives config.json, generation_config.json,
// model-0000X-of-0000Y.safetensors of up to 5 GB with their index (or one model.safetensors), tokenizer.json,
// tokenizer_config.json and chat_template.jinja. The tokenizer has GLM-4's split, its special tokens at their ids and
// as many ordinary tokens, but those are made up. --align 16384 pads the headers so that every tensor begins at a
// multiple of 256 bytes and a GPU can use the mapped file in place, as convert does; published files are aligned to 8.
//
// The same seed makes the same files. They are written under a temporary name beside DIR, which gets its name when all
// is whole.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	out                 string
	bits, layers, group int
	vocab, align        int
	seed                uint64
}

func main() {
	var o options
	flag.StringVar(&o.out, "out", "", "folder to write; must not exist or be empty")
	flag.IntVar(&o.bits, "bits", 4, "4 (MLX affine) or 16 (bf16)")
	flag.IntVar(&o.layers, "layers", 40, "number of decoder layers")
	flag.IntVar(&o.group, "group", 64, "weights that share a scale in 4 bit: 32, 64 or 128")
	flag.IntVar(&o.vocab, "vocab", 151552, "rows of the embedding and the head")
	flag.IntVar(&o.align, "align", 8, "multiple of bytes at which the data of a file begins")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the random weights")
	flag.Parse()
	if err := o.check(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "random-checkpoint:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	start := time.Now()
	size, err := create(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "random-checkpoint:", err)
		os.Exit(1)
	}
	took := time.Since(start)
	fmt.Fprintf(os.Stderr, "%s: %.2f GB in %.1f s (%.2f GB/s)\n", o.out, float64(size)/1e9, took.Seconds(),
		float64(size)/1e9/took.Seconds())
}

// check refuses options that make no model.
func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.out == "":
		return errors.New("--out DIR is missing")
	case o.bits != 4 && o.bits != 16:
		return fmt.Errorf("--bits is %d; it must be 4 or 16", o.bits)
	case o.layers < 1 || o.layers > 1024:
		return fmt.Errorf("--layers is %d; it must be from 1 to 1024", o.layers)
	case o.group != 32 && o.group != 64 && o.group != 128:
		return fmt.Errorf("--group is %d; it must be 32, 64 or 128", o.group)
	case o.vocab < minVocab || o.vocab > 1<<24:
		return fmt.Errorf("--vocab is %d; it must be from %d (all bytes and special tokens) to %d", o.vocab, minVocab, 1<<24)
	case o.align < 1 || o.align > 1<<20:
		return fmt.Errorf("--align is %d; it must be from 1 to %d", o.align, 1<<20)
	}
	return nil
}

// create writes the checkpoint and returns the bytes of its weights.
func create(ctx context.Context, o options) (size int64, err error) {
	out := filepath.Clean(o.out)
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return 0, fmt.Errorf("%s is not empty; give a folder that does not exist or is empty", out)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), filepath.Base(out)+".partial-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir) // finds nothing once the folder has its name
	if err := writeText(dir, o); err != nil {
		return 0, err
	}
	if size, err = writeWeights(ctx, dir, o); err != nil {
		return 0, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	return size, os.Rename(dir, out)
}
