// Plot draws results of bench, of one machine or of several, as a picture in SVG: tokens a second over the depth of the
// cache, or as bars where there is one depth.
//
//	go run ./bench/plot [-o FILE.svg] [--kind prompt|generation] FILE...
//
// Run so, in the repository's folder, names are relative to it. From elsewhere the program is built once, with go build
// -C REPOSITORY -o FOLDER/plot ./bench/plot. The picture in the README is made by
//
//	go run ./bench/plot -o bench/results/throughput.svg bench/results/*.csv
//
// The same files make the same bytes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

const help = `usage: plot [-o FILE.svg] [--kind prompt|generation] FILE...

Draws results of bench (csv, json or jsonl, also llama-bench's) as SVG: tokens a second over the depth, which is the
number of tokens in the cache before the test; bars where there is one depth. Points are medians, with the standard
deviation, and open where the result has a warning; dashes are what the device allows. Of results that measured the
same, the last is drawn. Tests of a prompt and a generation together are left out.

  -o FILE.svg  write there instead of to standard output
  --kind KIND  prompt or generation alone, instead of both beside each other

Examples:
  go run ./bench/plot -o bench/results/throughput.svg bench/results/*.csv
  go run ./bench/plot --kind generation run.jsonl > generation.svg
`

// errUsage is wrapped by mistakes in the command line.
var errUsage = errors.New("plot --help tells more")

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, bench.ReadFile)) }

// run gives the exit status: 0, 1 when it failed, 2 when the command line is wrong.
func run(args []string, stdout, stderr io.Writer, read func(string) ([]bench.Row, error)) int {
	out, wanted, files, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, help)
		return 0
	}
	var rows []bench.Row
	if err == nil {
		rows, err = readAll(files, wanted, read)
	}
	if err == nil && out == "" {
		_, err = stdout.Write(draw(rows))
	} else if err == nil {
		err = textfile.Replace(out, draw(rows), 0o644)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "plot:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// parse takes flags before, between and behind the files. wanted is "" for all kinds.
func parse(args []string) (out string, wanted kind, files []string, err error) {
	flags := flag.NewFlagSet("plot", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&out, "o", "", "")
	flags.StringVar((*string)(&wanted), "kind", "", "")
	for len(args) > 0 {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return "", "", nil, err
		} else if err != nil {
			return "", "", nil, fmt.Errorf("%w; %w", err, errUsage)
		}
		if args = flags.Args(); len(args) > 0 {
			files, args = append(files, args[0]), args[1:]
		}
	}
	switch {
	case wanted != "" && wanted != prompt && wanted != generation:
		err = fmt.Errorf("--kind is %q; it must be prompt or generation; %w", wanted, errUsage)
	case out != "" && filepath.Ext(out) != ".svg": // with its name forgotten, the first results would be overwritten
		err = fmt.Errorf("-o is %s; it must end in .svg; %w", out, errUsage)
	case len(files) == 0:
		err = fmt.Errorf("a file of results is missing; %w", errUsage)
	}
	return out, wanted, files, err
}

// readAll reads the rows that the picture has.
func readAll(files []string, wanted kind, read func(string) ([]bench.Row, error)) ([]bench.Row, error) {
	var rows []bench.Row
	for _, file := range files {
		all, err := read(file)
		if err != nil {
			return nil, err
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%s: no results; measure some with glm4-metal bench", file)
		}
		for _, r := range all {
			if k := kindOf(r); k != "" && (wanted == "" || wanted == k) {
				rows = append(rows, r)
			}
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: nothing to draw; results of a prompt alone or a generation alone are needed",
			strings.Join(files, ", "))
	}
	return rows, nil
}
