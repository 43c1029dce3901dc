package main

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/loader"
	"github.com/glm4-metal/glm4-metal/model"
)

func convertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "quantise a checkpoint, or lay it out to be used in place",
		UsageText: program + " convert [options] SRC DST",
		Description: `Reads the model SRC, a folder or a name of the hub that was pulled, and writes the folder DST, which
must not exist or be empty.
Weights in bf16, f16 or f32, under the names of glm4, glm or chatglm, are packed as mlx_lm.convert packs them;
mlx-lm can use the result, too. Packed weights stay as they are. A GPU uses the new files in place, without a copy.
Tokenizer, chat template, generation config and licence go along. Nothing is called DST before it is whole.

Examples:
  glm4-metal convert glm4:9b ./GLM-4-9B-0414-4bit
  glm4-metal convert ./GLM-4-9B-0414 ./GLM-4-9B-0414-8bit --bits 8 --group-size 32
  glm4-metal convert ./glm-4-9b-chat ./glm-4-9b-chat-bf16 --bits 16
  glm4-metal convert ./GLM-4-9B-0414-4bit ./GLM-4-9B-0414-4bit-aligned`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "bits", Usage: "bits of a weight, `4|8|16`, 16 for plain ones; default 4, or what SRC has"},
			&cli.IntFlag{Name: "group-size", Usage: "weights that share a scale, `32|64|128`; default 64, or what SRC has"},
			&cli.StringFlag{Name: "dtype", Usage: "type of scales, norms and plain weights, `bf16|f16`; default: as SRC says"},
			jsonFlag(),
		},
		Action: runConvert,
	}
}

// conversion is what convert prints as JSON.
type conversion struct {
	Source      string   `json:"source"`
	Model       string   `json:"model"` // the folder that was written
	Realigned   bool     `json:"realigned"`
	Bits        int      `json:"bits"`
	GroupSize   int      `json:"group_size"` // 0: not quantised
	DType       string   `json:"dtype"`
	Tensors     int      `json:"tensors"`
	Files       []string `json:"files"`
	SourceBytes int64    `json:"source_bytes"`
	Bytes       int64    `json:"bytes"`
	Unused      []string `json:"unused_tensors"` // of the source
	Seconds     float64  `json:"seconds"`
}

func runConvert(c *cli.Context) error {
	switch {
	case c.NArg() > 2:
		return usagef("unexpected argument %q: convert takes two, a model and the folder to write",
			c.Args().Get(2))
	case c.NArg() < 2 || c.Args().Get(0) == "" || c.Args().Get(1) == "":
		return usagef("convert needs two arguments, a model and the folder to write; see %s --help",
			c.Command.HelpName)
	}
	o, err := convertOptions(c)
	if err != nil {
		return err
	}
	source, err := model.Find(expandHome(c.Args().Get(0)))
	if err != nil {
		return err
	}
	var p pace
	bar := startProgress("converting", p.amount)
	o.Progress = bar.set
	start := time.Now()
	result, err := loader.Convert(c.Context, source, expandHome(c.Args().Get(1)), o)
	bar.stop()
	if err != nil {
		return err
	}
	took := time.Since(start)
	if result.MissingTokenizer {
		say("%s: %s has no tokenizer, so the result can be given token ids only", program, result.Source)
	}
	if c.Bool("json") {
		return printJSON(conversion{
			Source: result.Source, Model: result.Dir, Realigned: result.Realigned, Bits: result.Bits,
			GroupSize: result.GroupSize, DType: result.DType.String(), Tensors: result.Tensors, Files: result.Files,
			SourceBytes: result.SourceBytes, Bytes: result.Bytes, Unused: append([]string{}, result.Unused...),
			Seconds: took.Seconds(),
		})
	}
	return printText(visible(describeConversion(result, took)) + "\n")
}

// convertOptions reads the flags.
func convertOptions(c *cli.Context) (o loader.ConvertOptions, err error) {
	for _, f := range []struct {
		name    string
		value   *int
		allowed []int
	}{{"bits", &o.Bits, []int{4, 8, 16}}, {"group-size", &o.GroupSize, []int{32, 64, 128}}} {
		if *f.value = c.Int(f.name); c.IsSet(f.name) && !slices.Contains(f.allowed, *f.value) {
			return o, usagef("%s is %d; it must be one of %v", asTyped(c, f.name), *f.value, f.allowed)
		}
	}
	if o.Bits == 16 && o.GroupSize != 0 {
		return o, usagef("%s and %s 16 do not go together; leave one out", asTyped(c, "group-size"), asTyped(c, "bits"))
	}
	types := map[string]loader.DType{"bf16": loader.BF16, "f16": loader.F16}
	if c.IsSet("dtype") {
		if o.DType = types[c.String("dtype")]; o.DType == loader.Invalid {
			return o, usagef("%s is %q; it must be bf16 or f16", asTyped(c, "dtype"), c.String("dtype"))
		}
	}
	return o, nil
}

// describeConversion is what convert prints for people.
func describeConversion(r loader.Conversion, took time.Duration) string {
	how := "plain " + r.DType.String()
	if r.GroupSize > 0 {
		how = fmt.Sprintf("%d bit in groups of %d, scales in %s", r.Bits, r.GroupSize, r.DType)
	}
	if r.Realigned {
		how += ", as they were"
	}
	text := fmt.Sprintf("%s: %d tensors, %s; %s from %s, in %.1f s (%.0f MB/s)", r.Dir, r.Tensors, how, gigabytes(r.Bytes),
		gigabytes(r.SourceBytes), took.Seconds(), float64(r.SourceBytes)/1e6/max(took.Seconds(), 1e-3))
	if n := len(r.Unused); n > 0 {
		text += fmt.Sprintf("\nleft out, as the model does not use them: %s", r.Unused[0])
		if n > 1 {
			text += fmt.Sprintf(" and %d more", n-1)
		}
	}
	return text
}

// alignCommand is the command that makes a checkpoint's files usable in place.
func alignCommand(from, to string, quantised bool) string {
	plain := map[bool]string{false: "--bits 16 "}[quantised]
	return fmt.Sprintf("%s convert %s%s %s", program, plain, shellWord(from), shellWord(to))
}

// plainWord is a word that a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[\w./,:@%+=-]+$`)

// shellWord writes a word as a shell takes it.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return quoteShell(word)
}
