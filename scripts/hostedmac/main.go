// Hostedmac judges the tests of a Mac whose GPU may be unable to run the kernels, such as CI's:
//
//	go test -json PACKAGE ... | go run ./scripts/hostedmac LIST
//
// LIST has a line for each test that must have run and passed, the package's folder and the test, and comments behind
// #. Others may be skipped, but only for want of a full GPU; they are named. So tests that found no device and did
// nothing do not pass for tests that passed. The status is 1 where something is wrong.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// module is what the paths of packages begin with.
const module = "github.com/glm4-metal/glm4-metal/"

// reason is how the tests say that they were skipped for want of a full GPU.
const reason = "needs a full GPU: "

func main() {
	report, err := run(os.Args[1:])
	fmt.Print(report)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) (string, error) {
	if len(args) != 1 {
		return "", errors.New("usage: go test -json PACKAGE ... | go run ./scripts/hostedmac LIST")
	}
	list, err := os.ReadFile(args[0])
	if err != nil {
		return "", err
	}
	must, err := readList(string(list))
	if err != nil {
		return "", fmt.Errorf("%s: %w", args[0], err)
	}
	return judge(os.Stdin, must)
}

// test is one of a package; without a name it is all of the package.
type test struct{ pkg, name string }

func (t test) String() string { return strings.TrimSpace(t.pkg + " " + t.name) }

func readList(text string) (must []test, err error) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		switch fields := strings.Fields(line); len(fields) {
		case 0:
		case 2:
			must = append(must, test{fields[0], fields[1]})
		default:
			return nil, fmt.Errorf("%q: expected a package and a test", strings.TrimSpace(line))
		}
	}
	if len(must) == 0 {
		return nil, errors.New("no test is listed")
	}
	return must, nil
}

// event is a line of go test -json (go doc test2json).
type event struct{ Action, Package, ImportPath, Test, Output string }

// results are how tests ended: "pass", "skip" or "fail", and what they wrote.
type results struct {
	ended  map[test]string
	output map[test]string
}

func read(events io.Reader) (results, error) {
	r := results{map[test]string{}, map[test]string{}}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return r, fmt.Errorf("%q is no event of go test -json: %w", lines.Text(), err)
		}
		if e.Package == "" { // of a build
			e.Package, _, _ = strings.Cut(e.ImportPath, " ")
		}
		t := test{strings.TrimPrefix(e.Package, module), e.Test}
		switch e.Action {
		case "output", "build-output":
			r.output[t] += e.Output
		case "pass", "skip", "fail":
			r.ended[t] = e.Action
		case "build-fail":
			r.ended[t] = "fail"
		}
	}
	return r, lines.Err()
}

// judge gives the report, and an error where something is wrong.
func judge(events io.Reader, must []test) (report string, err error) {
	r, err := read(events)
	if err != nil {
		return "", err
	}
	var wrong []error
	for _, t := range must {
		switch r.ended[t] {
		case "pass", "fail": // a failure is told below
		case "skip":
			wrong = append(wrong, fmt.Errorf("%s was skipped, and must run", t))
		default:
			wrong = append(wrong, fmt.Errorf("%s did not run", t))
		}
	}
	passed := 0
	var skipped []string
	for _, t := range slices.SortedFunc(maps.Keys(r.ended), compare) {
		switch ended := r.ended[t]; {
		case ended == "fail":
			wrong = append(wrong, fmt.Errorf("%s failed:\n%s", t, r.output[t]))
		case t.name == "": // a package
		case ended == "pass":
			passed++
		case strings.Contains(r.output[t], reason):
			skipped = append(skipped, t.String())
		default:
			wrong = append(wrong, fmt.Errorf("%s was skipped for no want of a full GPU:\n%s", t, r.output[t]))
		}
	}
	report = fmt.Sprintf("%d tests passed, %d must; %d need a full GPU and were skipped", passed, len(must), len(skipped))
	if len(skipped) > 0 {
		report += ":\n  " + strings.Join(skipped, "\n  ")
	}
	return report + "\n", errors.Join(wrong...)
}

func compare(a, b test) int { return strings.Compare(a.String(), b.String()) }
