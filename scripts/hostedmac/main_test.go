package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var must = []test{{"metal", "TestA"}, {"internal/backend/gpu", "TestB"}}

// events are those of a run in which everything listed has passed.
const events = `{"Action":"start","Package":"github.com/glm4-metal/glm4-metal/metal"}
{"Action":"run","Package":"github.com/glm4-metal/glm4-metal/metal","Test":"TestA"}
{"Action":"output","Package":"github.com/glm4-metal/glm4-metal/metal","Test":"TestA","Output":"text of A\n"}
{"Action":"pass","Package":"github.com/glm4-metal/glm4-metal/metal","Test":"TestA"}
{"Action":"pass","Package":"github.com/glm4-metal/glm4-metal/metal"}
{"Action":"pass","Package":"github.com/glm4-metal/glm4-metal/internal/backend/gpu","Test":"TestB"}
{"Action":"output","Package":"github.com/glm4-metal/glm4-metal/internal/backend/gpu","Test":"TestC","Output":"open.go:1: needs a full GPU: x\n"}
{"Action":"skip","Package":"github.com/glm4-metal/glm4-metal/internal/backend/gpu","Test":"TestC"}
{"Action":"pass","Package":"github.com/glm4-metal/glm4-metal/internal/backend/gpu"}
`

func TestSkippedTestIsNotNamed(t *testing.T) {
	report, err := judge(strings.NewReader(events), must)
	require.NoError(t, err)
	require.Equal(t, "2 tests passed, 2 must; 1 need a full GPU and were skipped:\n  internal/backend/gpu TestC\n", report)
}

func TestNothingThatRanPasses(t *testing.T) {
	pass := `{"Action":"pass","Package":"github.com/glm4-metal/glm4-metal/metal","Test":"TestA"}` + "\n"
	ended := func(action string) string {
		return strings.Replace(events, pass, strings.Replace(pass, "pass", action, 1), 1)
	}
	for want, run := range map[string]string{
		"metal TestA did not run\ninternal/backend/gpu TestB did not run": "",
		"metal TestA did not run": strings.Replace(events, pass, "", 1),
		"metal TestA was skipped, and must run\nmetal TestA was skipped for no want of a full GPU:\ntext of A\n": ended("skip"),
		"metal TestA failed:\ntext of A\n": ended("fail"),
		"metal failed:\nx.go:1: undefined\n": events +
			`{"ImportPath":"github.com/glm4-metal/glm4-metal/metal [m.test]","Action":"build-output","Output":"x.go:1: undefined\n"}` +
			"\n" + `{"ImportPath":"github.com/glm4-metal/glm4-metal/metal [m.test]","Action":"build-fail"}` + "\n",
		"internal/backend/gpu TestC was skipped for no want of a full GPU:\nopen.go:1: no device: x\n": strings.Replace(
			events, reason, "no device: ", 1),
		`"ok metal" is no event of go test -json: invalid character 'o' looking for beginning of value`: "ok metal\n",
	} {
		_, err := judge(strings.NewReader(run), must)
		require.EqualError(t, err, want)
	}
}

func TestListNamesNoTest(t *testing.T) {
	for text, want := range map[string]string{
		"":               "no test is listed",
		"metal TestA x":  `"metal TestA x": expected a package and a test`,
		"TestA # metal ": `"TestA": expected a package and a test`,
	} {
		_, err := readList(text)
		require.EqualError(t, err, want)
	}
	list, err := os.ReadFile("../../.github/hosted-mac.txt")
	require.NoError(t, err)
	listed, err := readList(string(list))
	require.NoError(t, err)
	for _, l := range listed {
		require.True(t, declared(t, filepath.Join("../..", l.pkg), l.name), "%s is a test of a Mac", l)
	}
}

// declared tells whether a folder's tests on a Mac have a function.
func declared(t *testing.T, dir, name string) bool {
	mac := build.Default
	mac.GOOS, mac.GOARCH = "darwin", "arm64"
	p, err := mac.ImportDir(dir, 0)
	require.NoError(t, err)
	for _, file := range append(p.TestGoFiles, p.XTestGoFiles...) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, file), nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
				return true
			}
		}
	}
	return false
}
