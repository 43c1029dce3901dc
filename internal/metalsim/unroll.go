package metalsim

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/metalsim/rewrite"
)

// unrollFlags inline everything, unroll what has a pragma and a constant number of turns, and leave other loops alone.
var unrollFlags = []string{
	"-gline-tables-only", "-fno-vectorize", "-fno-slp-vectorize", "-mllvm", "-inline-threshold=1000000",
	"-mllvm", "-unroll-full-max-count=0", "-mllvm", "-unroll-max-upperbound=0", "-mllvm", "-unroll-runtime=false",
	"-mllvm", "-unroll-allow-partial=false", "-mllvm", "-unroll-allow-peeling=false",
	"-mllvm", "-disable-loop-idiom-all", "-S", "-emit-llvm",
}

var (
	unrollPragma = regexp.MustCompile(`(?m)^#pragma unroll$`)

	irVariable = regexp.MustCompile(`^  (%[\w.]+) = alloca `)
	irAddress  = regexp.MustCompile(`^  (%[\w.]+) = getelementptr .*?\bptr (%[\w.]+)((?:, i\d+ [%\w.-]+)+)`)
	irEither   = regexp.MustCompile(`^  (%[\w.]+) = (?:phi|select) (.*)`)
	irAccess   = regexp.MustCompile(`^  (?:%[\w.]+ = load|store|(?:tail )?call void @llvm.mem)\b(.*)`)
	irPassed   = regexp.MustCompile(`^  (?:store ptr (%[\w.]+),|(?:%[\w.]+ = )?(?:tail )?call .*?@"?_Z(.*))`)
	irElement  = regexp.MustCompile(`= (?:extract|insert)element .*, i\d+ %[\w.]+(?:, !dbg|$)`)
	irRegister = regexp.MustCompile(`%[\w.]+`)
	irAttached = regexp.MustCompile(`!dbg !(\d+)`)

	irMetadata = regexp.MustCompile(`^!(\d+) = (?:distinct )?!DI(?:Location|Subprogram|LexicalBlock\w*|File)\((.*)\)$`)
	irField    = regexp.MustCompile(`(\w+): (?:!?(\d+)|"([^"]*)")`)
)

// IndexedAtRunTime compiles a shader with those loops unrolled that have a pragma and a constant number of turns, and
// returns where its functions still choose an element of an array, a struct or a vector of a thread at run time, as
// lines like `program_source:12:5: w[i] = 0`. Such a variable stays in memory: a GPU keeps in registers only what all
// code addresses by constants, and Apple's compiler unrolls late.
func IndexedAtRunTime(source string) ([]string, error) {
	t, err := shaderTools()
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(t.cache, "unroll-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	c := compilation{tools: t, work: work, source: source, gpu: Options{}.gpu()}
	text, err := c.preprocess(Options{})
	if err != nil {
		return nil, err
	}
	p := places{source: source, preprocessed: rows(text)}
	// Rewriting leaves out pragmas, but not the operator.
	r, err := rewrite.Rewrite(unrollPragma.ReplaceAllString(text, `_Pragma("clang loop unroll(full)")`))
	if err != nil {
		return nil, p.rewriteErrors(err)
	}
	args := slices.Concat(execFlags, machineFlags(), unrollFlags)
	args = append(args, "-isystem", c.include+"/msl/std", "-include", c.include+"/msl/metal_stdlib.h", "-x", "c++", "-",
		"-o", "-")
	ir, messages, err := c.clang(c.execText(r), args...)
	if err != nil {
		return nil, fmt.Errorf("unrolling the shader: %w\n%s", err, messages)
	}
	var found []string
	for _, at := range chosenAtRunTime(strings.Split(ir, "\n")) {
		line, column := p.original(at[0], r.ExecPosition(at[0], at[1]))
		found = append(found, fmt.Sprintf("program_source:%d:%d: %s", line, column,
			strings.TrimSpace(sourceLine(source, line))))
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// chosenAtRunTime returns line and column of the shader's instructions that read or write a variable of a thread, or an
// element of a vector, at a place that is no constant, or hand on its address.
func chosenAtRunTime(ir []string) (found [][2]int) {
	nodes := debugNodes(ir)
	var constant, chosen map[string]bool // registers that hold an address in a variable
	in := func(set map[string]bool, row string) bool {
		return slices.ContainsFunc(irRegister.FindAllString(row, -1), func(r string) bool { return set[r] })
	}
	for _, row := range ir {
		bad := irElement.MatchString(row)
		if strings.HasPrefix(row, "define ") {
			constant, chosen = map[string]bool{}, map[string]bool{}
		} else if m := irVariable.FindStringSubmatch(row); m != nil {
			constant[m[1]] = true
		} else if m := irAddress.FindStringSubmatch(row); m != nil {
			moves := strings.Contains(m[3], "%")
			constant[m[1]] = constant[m[2]] && !moves
			chosen[m[1]] = chosen[m[2]] || constant[m[2]] && moves
		} else if m := irEither.FindStringSubmatch(row); m != nil {
			chosen[m[1]] = in(constant, m[2]) || in(chosen, m[2])
		} else if m := irPassed.FindStringSubmatch(row); m != nil {
			bad = in(constant, m[1]+m[2]) || in(chosen, row)
		} else if m := irAccess.FindStringSubmatch(row); m != nil {
			bad = in(chosen, m[1])
		}
		if m := irAttached.FindStringSubmatch(row); bad && m != nil {
			location, _ := strconv.Atoi(m[1])
			at := nodes[location]
			if nodes[nodes[at.scope].file].name == "program_source" {
				found = append(found, [2]int{at.line, at.column})
			}
		}
	}
	return found
}

// A debugNode is a location, a scope or a file of the debug information. References are numbers of nodes.
type debugNode struct {
	line, column, scope, file int
	name                      string
}

// debugNodes returns those of a module by their numbers.
func debugNodes(ir []string) map[int]debugNode {
	nodes := map[int]debugNode{}
	for _, row := range ir {
		m := irMetadata.FindStringSubmatch(row)
		if m == nil {
			continue
		}
		var n debugNode
		for _, field := range irField.FindAllStringSubmatch(m[2], -1) {
			number, _ := strconv.Atoi(field[2])
			switch field[1] {
			case "line":
				n.line = number
			case "column":
				n.column = number
			case "scope":
				n.scope = number
			case "file":
				n.file = number
			case "filename":
				n.name = field[3]
			}
		}
		id, _ := strconv.Atoi(m[1])
		nodes[id] = n
	}
	return nodes
}
