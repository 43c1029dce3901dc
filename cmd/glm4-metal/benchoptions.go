package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/bench"
)

// measuringFlags say how models are measured, and where the rows go.
func measuringFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "repetitions", Aliases: []string{"r"}, Value: 5, Usage: "measure each test `N` times"},
		&cli.BoolFlag{Name: "no-warmup", Usage: "measure the first run of each kind, too"},
		&cli.StringFlag{Name: "delay", Value: "0", Usage: "rest for `SECONDS` before each repetition"},
		&cli.StringFlag{Name: "seed", Value: "0", Usage: "make the random prompts from `N`"},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "compute with `N` threads of the CPU; 0: one a core"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: bench.Formats[0],
			Usage: "print rows as `" + strings.Join(bench.Formats, "|") + "`"},
		&cli.BoolFlag{Name: "json", Usage: "print JSON, as -o json"},
		&cli.StringFlag{Name: "record", Usage: "append the rows to a CSV `FILE`, or in a folder to the one of this machine"},
		&cli.StringFlag{Name: "against", Usage: "compare with the rows of a `FILE`, and fail where one is slower"},
		&cli.StringFlag{Name: "within", Value: "5%", Usage: "slower by less than this `SHARE` is no failure: 5% or 0.05"},
	}
}

// measurement is what the flags ask for.
type measurement struct {
	models  []string
	options bench.Options
	format  string
	record  string      // file of results, "" for none
	against string      // file of old rows, "" for none
	old     []bench.Row // that it has
	within  float64
}

func readMeasurement(c *cli.Context) (m measurement, err error) {
	if m.models, err = benchNames(c); err != nil {
		return m, err
	}
	if m.options, err = benchOptions(c); err != nil {
		return m, err
	}
	m.format = c.String("output")
	switch {
	case !slices.Contains(bench.Formats, m.format):
		return m, usagef("%s is %q; it must be one of %s", asTyped(c, "output"), m.format, strings.Join(bench.Formats, ", "))
	case c.Bool("json") && c.IsSet("output") && m.format != "json":
		return m, usagef("%s and %s %s are two formats; leave one out", asTyped(c, "json"), asTyped(c, "output"), m.format)
	case c.Bool("json"):
		m.format = "json"
	}
	switch {
	case c.IsSet("against"):
		if m.against = c.String("against"); m.against == "" {
			return m, usagef("%s is empty; give it the name of a file", asTyped(c, "against"))
		}
	case c.IsSet("within"):
		return m, usagef("%s is for --against FILE; add that, or leave it out", asTyped(c, "within"))
	}
	if m.within, err = parseShare(c.String("within")); err != nil {
		return m, usagef("%s is %q; %w", asTyped(c, "within"), c.String("within"), err)
	}
	if c.IsSet("record") && c.String("record") == "" {
		return m, usagef("%s is empty; give it a file or a folder", asTyped(c, "record"))
	}
	return m, m.readFiles(c)
}

// readFiles reads the files that are named, so that a broken one ends the run before it has taken its time.
func (m *measurement) readFiles(c *cli.Context) (err error) {
	if m.against != "" {
		if m.old, err = bench.ReadFile(m.against); err != nil {
			return fmt.Errorf("%s: %w", asTyped(c, "against"), err)
		}
	}
	if m.record = c.String("record"); m.record == "" {
		return nil
	}
	if isFolder(m.record) {
		m.record = filepath.Join(m.record, bench.ResultsName(bench.ReadMachine(c.Context)))
	} else if !strings.HasSuffix(m.record, ".csv") || !isFolder(filepath.Dir(m.record)) {
		return fmt.Errorf("%s: %s is neither a folder nor, in one that exists, a file that ends with .csv",
			asTyped(c, "record"), m.record)
	}
	if _, err := os.Stat(m.record); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err = bench.ReadFile(m.record); err != nil {
		return fmt.Errorf("%s: %w", asTyped(c, "record"), err)
	}
	return nil
}

// benchNames are the models of the command line; "" stands for the demo.
func benchNames(c *cli.Context) (names []string, err error) {
	if c.NArg() == 0 {
		name, err := modelFlagged(c)
		return []string{name}, err
	}
	for _, argument := range c.Args().Slice() {
		name, err := modelArgument(c, argument)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func benchOptions(c *cli.Context) (o bench.Options, err error) {
	if o.Tests, err = readTests(c); err != nil {
		return o, err
	}
	if o.Load, err = loading(c); err != nil {
		return o, err
	}
	o.Backend, o.NoWarmup, o.Repetitions = c.String("backend"), c.Bool("no-warmup"), c.Int("repetitions")
	if o.Repetitions < 1 || o.Repetitions > maxRepetitions {
		return o, usagef("%s is %d; it must lie between 1 and %d", asTyped(c, "repetitions"), o.Repetitions, maxRepetitions)
	}
	seconds, err := strconv.ParseFloat(c.String("delay"), 64)
	if err != nil || !(seconds >= 0 && seconds <= maxDelay.Seconds()) {
		return o, usagef("%s is %q; it must be a number of seconds between 0 and %g", asTyped(c, "delay"), c.String("delay"),
			maxDelay.Seconds())
	}
	o.Delay = time.Duration(seconds * float64(time.Second))
	if o.Seed, err = strconv.ParseUint(c.String("seed"), 10, 64); err != nil {
		return o, usagef("%s is %q; it must be a whole number between 0 and %d", asTyped(c, "seed"), c.String("seed"),
			uint64(math.MaxUint64))
	}
	return o, nil
}

// Bounds of what may be asked for.
const (
	maxRepetitions = 10000
	maxDelay       = time.Hour
)

// parseShare reads a share below 1, such as 5% or 0.05.
func parseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		x /= 100
	}
	if err != nil || !(x >= 0 && x < 1) {
		return 0, want("a share below 1, such as 5% or 0.05")
	}
	return x, nil
}
