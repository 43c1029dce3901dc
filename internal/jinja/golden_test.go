package jinja

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The goldens are made by scripts/goldens/jinja/make.py, except for those of whole conversations, which are
// chatformat's.
type goldenCase struct {
	Template, Prompt, Error string
}

func readGolden(t testing.TB, name string) []goldenCase {
	file, err := os.Open(filepath.Join("testdata", name+".json.gz"))
	require.NoError(t, err)
	defer file.Close()
	z, err := gzip.NewReader(file)
	require.NoError(t, err)
	var g struct {
		Versions map[string]string
		Cases    []goldenCase
	}
	require.NoError(t, json.NewDecoder(z).Decode(&g))
	require.NotEmpty(t, g.Versions["transformers"])
	return g.Cases
}

func fixedClock() time.Time { return time.Date(2025, 4, 14, 9, 5, 7, 0, time.UTC) }

func parsed(t testing.TB, text string) Value {
	v, err := ParseJSON([]byte(text))
	require.NoError(t, err)
	return v
}

// goldenVariables are those that the goldens are made with.
func goldenVariables(t testing.TB) map[string]Value {
	return map[string]Value{
		"messages": parsed(t, `[{"role": "system", "content": " Be brief.\n"},
			{"role": "user", "content": "héllo <b>&'\"</b> 你好", "n": 3, "x": 1.5, "flag": true, "list": ["a", "b"]},
			{"role": "assistant", "content": "a,b,,c"}]`),
		"documents": nil, "tools": nil, "add_generation_prompt": true, "bos_token": Literal("<s>"),
		"eos_token": Literal("</s>"),
	}
}

// Each little template comes out as in transformers, or is refused. The counts keep refusal from becoming the easy way
// out.
func TestExpressionDiffersFromJinja2(t *testing.T) { compareTemplates(t, "expressions", 372) }

// Compositions of operators, tests, filters and white space control that nobody chose.
func TestRandomTemplateDiffersFromJinja2(t *testing.T) { compareTemplates(t, "random", 1960) }

// What the two leave out: little things of each kind, in the order of the source.
func TestFurtherTemplateDiffersFromJinja2(t *testing.T) { compareTemplates(t, "further", 470) }

// Statements within each other that set and print the same few names: which frame a name belongs to.
func TestRandomProgramDiffersFromJinja2(t *testing.T) { compareTemplates(t, "programs", 500) }

func compareTemplates(t *testing.T, name string, atLeast int) {
	rendered, failed, refused := 0, 0, 0
	for _, c := range readGolden(t, name) {
		var out Text
		template, err := Parse(c.Template)
		if err == nil {
			out, err = template.Render(t.Context(), goldenVariables(t), fixedClock)
		}
		switch {
		case err != nil && c.Error != "":
			failed++
		case err != nil:
			if os.Getenv("SHOW") != "" {
				t.Logf("refused %q: %v (jinja2: %q)", c.Template, err, c.Prompt)
			}
			refused++
		case c.Error != "":
			t.Errorf("%q: jinja2 fails with %s, rendered %q", c.Template, c.Error, out)
		case c.Prompt != out.String():
			t.Errorf("%q: jinja2 renders %q, rendered %q", c.Template, c.Prompt, out)
		default:
			rendered++
		}
	}
	t.Logf("%s: %d rendered as in jinja2, %d fail in both, %d refused that jinja2 renders", name, rendered, failed,
		refused)
	require.GreaterOrEqual(t, rendered, atLeast)
}
