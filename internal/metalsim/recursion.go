package metalsim

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/metalsim/rewrite"
)

var (
	irDefine   = regexp.MustCompile(`^define .*@("[^"]+"|[\w.$]+)\(`)
	irCall     = regexp.MustCompile(`\b(?:call|invoke) .*?@("[^"]+"|[\w.$]+)\(.*!dbg !(\d+)`)
	irLocation = regexp.MustCompile(`^!(\d+) = (?:distinct )?!DILocation\(line: (\d+), column: (\d+)`)
)

// recursion finds calls that close a cycle, which Metal refuses, in the unoptimised code of the shader.
func (c *compilation) recursion(r *rewrite.Result, p places) ([]diagnostic, error) {
	args := append(slices.Clone(execFlags), machineFlags()...)
	args = append(args, "-isystem", c.include+"/msl/std", "-include", c.include+"/msl/metal_stdlib.h", "-O0",
		"-gline-tables-only", "-Xclang", "-disable-llvm-passes", "-S", "-emit-llvm", "-x", "c++", "-", "-o", "-")
	ir, messages, err := c.clang(c.execText(r), args...)
	if err != nil {
		return nil, fmt.Errorf("looking for recursion in the shader: %w\n%s", err, messages)
	}
	type call struct {
		to       string
		location string
	}
	calls := map[string][]call{}
	locations := map[string][2]int{}
	function := ""
	var order []string
	for _, row := range strings.Split(ir, "\n") {
		switch {
		case strings.HasPrefix(row, "define "):
			if m := irDefine.FindStringSubmatch(row); m != nil {
				function = m[1]
				order = append(order, function)
				calls[function] = nil
			}
		case strings.HasPrefix(row, "!"):
			if m := irLocation.FindStringSubmatch(row); m != nil {
				line, _ := strconv.Atoi(m[2])
				column, _ := strconv.Atoi(m[3])
				locations[m[1]] = [2]int{line, column}
			}
		default:
			if m := irCall.FindStringSubmatch(row); m != nil {
				calls[function] = append(calls[function], call{m[1], m[2]})
			}
		}
	}
	const open, done = 1, 2
	state := map[string]int{}
	var found []diagnostic
	var visit func(name string)
	visit = func(name string) {
		state[name] = open
		for _, to := range calls[name] {
			switch state[to.to] {
			case open:
				at := locations[to.location]
				line, column := p.original(at[0], r.ExecPosition(at[0], at[1]))
				found = append(found,
					diagnostic{line: line, column: column, text: "recursive function calls are not supported in Metal"})
			case 0:
				visit(to.to)
			}
		}
		state[name] = done
	}
	for _, name := range order {
		if state[name] == 0 {
			visit(name)
		}
	}
	return found, nil
}
