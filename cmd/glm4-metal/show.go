package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/model"
)

func showCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "describe a checkpoint",
		UsageText: program + " show [options] [MODEL]",
		Description: `Reads the headers of a checkpoint, not its weights.

Examples:
  glm4-metal show
  glm4-metal show glm4:9b-4bit
  glm4-metal show ./GLM-4-9B-0414-4bit --tensors
  glm4-metal show ./GLM-4-9B-0414-4bit --json | jq .parameters`,
		Flags: []cli.Flag{
			modelFlag(),
			&cli.BoolFlag{Name: "tensors", Usage: "list every tensor"},
			jsonFlag(),
		},
		Action: show,
	}
}

// description is what show prints.
type description struct {
	Model          string         `json:"model"`
	ModelType      string         `json:"model_type"`
	Layers         int            `json:"layers"`
	Hidden         int            `json:"hidden_size"`
	FFN            int            `json:"intermediate_size"`
	Heads          int            `json:"attention_heads"`
	KVHeads        int            `json:"kv_heads"`
	HeadDim        int            `json:"head_dim"`
	RotaryDims     int            `json:"rotary_dims"`
	RopeTheta      float64        `json:"rope_theta"`
	Vocab          int            `json:"vocab_size"`
	Tokens         int            `json:"tokens"` // that the tokenizer has, 0 when it cannot be read
	Context        int            `json:"context"`
	TiedEmbeddings bool           `json:"tied_embeddings"`
	EOS            []endToken     `json:"eos"`
	ChatFormat     string         `json:"chat_format"` // "" when there is none
	ChatProblem    string         `json:"chat_problem,omitempty"`
	Quantization   quantization   `json:"quantization"`
	Parameters     parameters     `json:"parameters"`
	DTypes         map[string]int `json:"dtypes"` // how many tensors have each type
	Tensors        int            `json:"tensors"`
	Unused         int            `json:"unused_tensors"`
	Notes          []string       `json:"notes,omitempty"` // how the files were read where they contradict themselves
	Files          []fileSize     `json:"files"`
	Bytes          int64          `json:"bytes"`        // of all tensors
	InPlace        bool           `json:"in_place"`     // a GPU can use the mapped files as they are
	Copied         int64          `json:"copied_bytes"` // that a GPU copies at loading
	KVBytes        int            `json:"kv_bytes_per_token"`
	FullBytes      int64          `json:"full_context_bytes"` // weights, and the KV cache of a full context
	List           []tensorJSON   `json:"tensor_list,omitempty"`

	asked string // what Model was called by
}

type endToken struct {
	ID    int32  `json:"id"`
	Token string `json:"token"`
}

type quantization struct {
	Bits      int `json:"bits"` // 0: not quantised
	GroupSize int `json:"group_size"`
	Overrides int `json:"overrides"` // modules with settings of their own
}

// parameters counts weights as the model has them, however they are packed.
type parameters struct {
	Embedding int64 `json:"embedding"`
	Attention int64 `json:"attention"`
	MLP       int64 `json:"mlp"`
	Norms     int64 `json:"norms"`
	Head      int64 `json:"head"` // 0 when tied to the embedding
	Total     int64 `json:"total"`
}

type fileSize struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"` // of its tensors
}

type tensorJSON struct {
	Name   string `json:"name"`
	DType  string `json:"dtype"`
	Shape  []int  `json:"shape"`
	Bytes  int    `json:"bytes"`
	File   string `json:"file"`
	Offset int64  `json:"offset"`
}

func show(c *cli.Context) error {
	name, err := modelName(c)
	if err != nil {
		return err
	}
	checkpoint, err := model.OpenCheckpoint(c.Context, name)
	if err != nil {
		return err
	}
	defer checkpoint.Close()
	d := describe(c.Context, name, checkpoint)
	if c.Bool("tensors") {
		for _, t := range checkpoint.Tensors() {
			d.List = append(d.List, tensorJSON{t.Name, t.DType.String(), t.Shape, len(t.Data), t.File, t.Offset})
		}
	}
	if c.Bool("json") {
		return printJSON(d)
	}
	return d.print()
}

func describe(ctx context.Context, name string, checkpoint *loader.Checkpoint) description {
	c := checkpoint.Config
	a := backend.Attention{KVHeads: c.KVHeads, HeadDim: c.HeadDim}
	d := description{
		asked: name, EOS: []endToken{}, Model: checkpoint.Dir, ModelType: c.ModelType,
		Layers: c.Layers, Hidden: c.Hidden, FFN: c.FFN, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
		RotaryDims: c.RotaryDims,
		RopeTheta:  c.RopeTheta, Vocab: c.Vocab, Context: c.MaxPositions, TiedEmbeddings: c.TieEmbeddings,
		Quantization: quantization{c.Quantization.Bits, c.Quantization.GroupSize, len(c.Quantization.Modules)},
		Parameters:   countParameters(checkpoint.Sizes()),
		DTypes:       map[string]int{},
		Unused:       len(checkpoint.Unused()),
		Notes:        checkpoint.Notes(),
		Bytes:        checkpoint.Bytes(),
		KVBytes:      int(a.TokenBytes(c.Layers, backend.F16)),
	}
	// A format that no device takes is an error of Load, not of this.
	d.Copied, _, _ = model.CopiedForGPU(checkpoint)
	d.InPlace = d.Copied == 0
	d.FullBytes = d.Bytes + a.CacheBytes(c.Layers, d.Context, backend.F16)
	files := map[string]int64{}
	for _, t := range checkpoint.Tensors() {
		d.Tensors++
		d.DTypes[t.DType.String()]++
		files[t.File] += int64(len(t.Data))
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		d.Files = append(d.Files, fileSize{file, files[file]})
	}
	d.describeText(ctx, name, c)
	return d
}

// describeText reads the tokenizer and the chat template. What is wrong with them is part of the description.
func (d *description) describeText(ctx context.Context, name string, c loader.Config) {
	text, err := model.OpenText(ctx, name, "")
	for _, id := range c.EOS {
		end := endToken{ID: id}
		if err == nil {
			end.Token, _ = text.Token(id)
		}
		d.EOS = append(d.EOS, end)
	}
	if err != nil {
		d.ChatProblem = oneLine(err)
		return
	}
	d.Tokens = text.VocabSize()
	if d.ChatFormat, err = text.ChatFormat(); err != nil {
		d.ChatProblem = oneLine(err)
	}
}

func countParameters(s loader.Sizes) parameters {
	return parameters{
		Embedding: s.Embedding.Params, Attention: s.Attention.Params + s.Biases.Params, MLP: s.MLP.Params,
		Norms: s.Norms.Params, Head: s.Head.Params, Total: s.Total().Params,
	}
}

func (d description) print() error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%s\t%s\n", name, visibleLine(fmt.Sprintf(format, args...)))
	}
	row("model", "%s", d.Model)
	row("family", "%s", d.ModelType)
	row("shape", "%d layers, hidden %d, feed-forward %d, %d query and %d KV heads of %d, %d of them rotary (theta %g)",
		d.Layers, d.Hidden, d.FFN, d.Heads, d.KVHeads, d.HeadDim, d.RotaryDims, d.RopeTheta)
	row("vocabulary", "%d rows%s", d.Vocab, map[bool]string{true: fmt.Sprintf(", %d tokens", d.Tokens)}[d.Tokens > 0])
	row("context", "%d tokens", d.Context)
	var ends []string
	for _, end := range d.EOS {
		ends = append(ends, strings.TrimSpace(fmt.Sprint(end.ID, " ", end.Token)))
	}
	row("end tokens", "%s", cmp.Or(strings.Join(ends, ", "), "none in the config"))
	if d.ChatProblem != "" {
		row("chat format", "none: %s", d.ChatProblem)
	} else {
		row("chat format", "%s", d.ChatFormat)
	}
	p := d.Parameters
	row("parameters", "%s: embedding %s, attention %s, MLP %s, norms %s, head %s", count(p.Total), count(p.Embedding),
		count(p.Attention), count(p.MLP), count(p.Norms),
		map[bool]string{true: "tied to the embedding", false: count(p.Head)}[d.TiedEmbeddings])
	switch q := d.Quantization; {
	case q.Bits == 0:
		row("quantisation", "none")
	case q.Overrides > 0:
		row("quantisation", "%d bit in groups of %d, %d modules otherwise", q.Bits, q.GroupSize, q.Overrides)
	default:
		row("quantisation", "%d bit in groups of %d", q.Bits, q.GroupSize)
	}
	var types []string
	for _, dtype := range slices.Sorted(maps.Keys(d.DTypes)) {
		types = append(types, fmt.Sprintf("%d %s", d.DTypes[dtype], dtype))
	}
	row("tensors", "%d (%s), %d of them unused", d.Tensors, strings.Join(types, ", "), d.Unused)
	for i, f := range d.Files {
		row(map[bool]string{true: "files"}[i == 0], "%s %s", f.Name, gigabytes(f.Bytes))
	}
	for i, note := range d.Notes {
		row(map[bool]string{true: "notes"}[i == 0], "%s", note)
	}
	if d.InPlace {
		row("on a GPU", "used in place: every matrix begins where a GPU's loads need it")
	} else {
		wayOut := ""
		if isFolder(d.Model) { // not the demo
			to := d.asked
			if !isFolder(to) { // a name of the hub
				to = filepath.Base(to)
			}
			wayOut = "; " + alignCommand(d.asked, to+"-aligned", d.Quantization.Bits > 0) + " makes it map in place"
		}
		row("on a GPU", "%s copied once at loading: they do not begin where a GPU's loads need it%s", gigabytes(d.Copied),
			wayOut)
	}
	row("memory", "weights %s, KV cache %d bytes a token in 16 bit, %s together at full context", gigabytes(d.Bytes),
		d.KVBytes, gigabytes(d.FullBytes))
	if d.List != nil {
		fmt.Fprintln(out)
		for _, t := range d.List {
			fmt.Fprintf(out, "%s\t%s\t%v\t%d\t%s\n", visibleLine(t.Name), t.DType, t.Shape, t.Bytes, visibleLine(t.File))
		}
	}
	return out.Flush()
}

// count writes a number of parameters for people.
func count(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f B", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2f M", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}
