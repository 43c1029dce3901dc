package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/bench"
)

// Bounds of what may be asked for: the longest context that a checkpoint may have, and more tests than anybody waits
// for.
const (
	maxTestTokens = 1 << 24
	maxTests      = 1000
)

// testFlags say what is measured, or projected.
func testFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "n-prompt", Aliases: []string{"p"}, Value: cli.NewStringSlice("512"),
			Usage: "tokens of the prompts, a `LIST`"},
		&cli.StringSliceFlag{Name: "n-gen", Aliases: []string{"n"}, Value: cli.NewStringSlice("128"),
			Usage: "tokens to generate, a `LIST`"},
		&cli.StringSliceFlag{Name: "n-depth", Aliases: []string{"d"},
			Usage: "tokens in the KV cache before either, a `LIST`; default 0"},
		&cli.StringSliceFlag{Name: "pg", Usage: "also a prompt and a generation in one test, `P,G`; may be repeated"},
	}
}

// readTests reads testFlags. There is at least one test.
func readTests(c *cli.Context) ([]bench.Test, error) {
	var lists [3][]int
	for i, name := range []string{"n-prompt", "n-gen", "n-depth"} {
		for _, text := range c.StringSlice(name) {
			lengths, err := parseLengths(text)
			if err != nil {
				return nil, usagef("%s is %q; %w", asTyped(c, name), text, err)
			}
			lists[i] = append(lists[i], lengths...)
		}
	}
	var both [][2]int
	for _, text := range c.StringSlice("pg") {
		pair, err := parsePair(text)
		if err != nil {
			return nil, usagef("%s is %q; %w", asTyped(c, "pg"), text, err)
		}
		both = append(both, pair)
	}
	if n := max(1, len(lists[2])) * (len(lists[0]) + len(lists[1]) + len(both)); n > maxTests {
		return nil, usagef("the lists make %d tests; ask for at most %d", n, maxTests)
	}
	tests := bench.Tests(lists[0], lists[1], lists[2], both)
	if len(tests) == 0 {
		return nil, usagef("no test is left; give -p, -n or --pg a length above 0")
	}
	return tests, nil
}

var lengthRange = regexp.MustCompile(`^(\d+)(?:-(\d+)(?:([+*])(\d+))?)?$`)

// parseLengths reads a list of lengths and ranges, as llama-bench's -p.
// Source: parse_int_range in tools/llama-bench/llama-bench.cpp of llama.cpp.
func parseLengths(text string) ([]int, error) {
	var lengths []int
	for item := range strings.SplitSeq(text, ",") {
		m := lengthRange.FindStringSubmatch(strings.TrimSpace(item))
		if m == nil {
			return nil, want("a length such as 512, a list such as 128,512 or a range such as 128-512+128 or 128-1024*2")
		}
		var numbers [3]int // first, last, step
		for i, digits := range []string{m[1], cmp.Or(m[2], m[1]), cmp.Or(m[4], "1")} {
			var err error
			if numbers[i], err = parseLength(digits); err != nil {
				return nil, err
			}
		}
		first, last, step := numbers[0], numbers[1], numbers[2]
		switch {
		case last < first:
			return nil, want(fmt.Sprintf("in order, and %s ends before it begins", item))
		case m[3] == "+" && step == 0, m[3] == "*" && (step < 2 || first == 0):
			return nil, want(fmt.Sprintf("finite, and %s never leaves %d", item, first))
		}
		for n := first; n <= last; {
			if lengths = append(lengths, n); len(lengths) > maxTests {
				return nil, want(fmt.Sprintf("a list of at most %d lengths", maxTests))
			}
			if m[3] == "*" {
				n *= step
			} else {
				n += step
			}
		}
	}
	return lengths, nil
}

// parseLength reads a number of tokens, which is known to be digits.
func parseLength(digits string) (int, error) {
	n, err := strconv.Atoi(digits)
	if err != nil || n > maxTestTokens {
		return 0, want(fmt.Sprintf("at most %d tokens, the longest context that a checkpoint may have", maxTestTokens))
	}
	return n, nil
}

var lengthPair = regexp.MustCompile(`^(\d+), *(\d+)$`)

// parsePair reads the two lengths of one test, as llama-bench's -pg.
func parsePair(text string) (pair [2]int, err error) {
	m := lengthPair.FindStringSubmatch(text)
	if m == nil {
		return pair, want("P,G: two lengths such as 512,128")
	}
	for i, digits := range m[1:] {
		if pair[i], err = parseLength(digits); err != nil {
			return pair, err
		}
	}
	if pair[0] == 0 || pair[1] == 0 {
		return pair, want("two lengths above 0; a prompt or a generation alone is -p or -n")
	}
	return pair, nil
}
