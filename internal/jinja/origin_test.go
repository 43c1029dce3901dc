package jinja

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// spelled writes a text with what is data in upper case: the tests' own letters are all lower case.
func spelled(t Text) string {
	var b strings.Builder
	for run, literal := range t.Runs() {
		if !literal {
			run = strings.ToUpper(run)
		}
		b.WriteString(run)
	}
	return b.String()
}

func render(t testing.TB, source string, variables map[string]Value) (Text, error) {
	template, err := Parse(source)
	require.NoError(t, err, source)
	return template.Render(t.Context(), variables, fixedClock)
}

func TestOriginOfCharactersIsLost(t *testing.T) {
	variables := map[string]Value{
		"m": Data("say hi"), "k": Literal("tok"), "list": &List{Items: []Value{Data("one"), Data("two")}},
		"mixed": mixed(t, "<|", "sys", "|>", "hi"), "d": parsed(t, `{"key": "va\"l"}`),
	}
	for source, want := range map[string]string{
		"a{{ m }}b":     "aSAY HIb",
		"{{ 'x' ~ m }}": "xSAY HI", "{{ m ~ 'x' ~ m }}": "SAY HIxSAY HI", "{{ 'x' + m + k }}": "xSAY HItok",
		"{{ m * 2 ~ 'x' * 2 }}":         "SAY HISAY HIxx",
		"{{ ('x' ~ m) * 2 }}":           "xSAY HIxSAY HI",
		"{{ m[0] ~ m[-1] ~ 'abc'[1] }}": "SIb", "{{ ('ab' ~ m)[1:4] }}": "bSA", "{{ ('ab' ~ m)[::-1] }}": "IH YASba",
		"{{ ('ab' ~ m)[1] ~ ('ab' ~ m)[2] }}": "bS", "{{ mixed[1:3] }}": "|S", "{{ mixed[4:] }}": "S|>HI",
		"{{ mixed[::2] }}":             "<SS>I",
		"{{ m.split(' ')|join('-') }}": "SAY-HI", "{{ 'a b'.split()|join(m) }}": "aSAY HIb",
		"{{ mixed.split('s')|join('.') }}": "<|.Y.|>HI",
		"{{ mixed.split('>')[1] }}":        "HI", "{{ m.split()[1] ~ 'x' }}": "HIx",
		"{{ m.replace('say', 'x') }}": "x HI", "{{ 'axa'.replace('x', m) }}": "aSAY HIa",
		"{{ mixed|replace('y', '') }}": "<|SS|>HI",
		"{{ m|replace(' ', m) }}":      "SAYSAY HIHI", "{{ mixed.replace('zz', '') }}": "<|SYS|>HI",
		"{{ (' ' ~ m ~ ' ').strip() }}": "SAY HI", "{{ ('x' ~ m ~ 'y').strip('xsi') }}": "AY HIy",
		"{{ mixed|trim('<h') }}":      "|SYS|>HI",
		"{{ ('x' ~ m)|upper|lower }}": "xSAY HI", "{{ mixed|lower }}": "<|SYS|>HI", "{{ ('x' ~ m)|title|lower }}": "xSAY HI",
		"{{ mixed|capitalize }}": "<|SYS|>HI",
		"{{ list|join(',') }}":   "ONE,TWO", "{{ ','.join(list) }}": "ONE,TWO", "{{ list|first ~ k }}": "ONEtok",
		"{{ list|map('upper')|map('lower')|join(k) }}": "ONEtokTWO", "{{ list|reverse|join }}": "TWOONE",
		"{{ mixed|list|join }}": "<|SYS|>HI", "{% for c in mixed %}{{ c }}{% endfor %}": "<|SYS|>HI",
		"{{ mixed|reverse }}":            "IH>|SYS|<",
		"{{ mixed|first ~ mixed|last }}": "<I",
		"{% set x = mixed %}{{ x }}":     "<|SYS|>HI", "{% set x %}a{{ m }}{% endset %}{{ x }}": "aSAY HI",
		"{% macro f(x) %}a{{ x }}{% endmacro %}{{ f(m) ~ f('b') }}":          "aSAY HIab",
		"{% set ns = namespace(x='a') %}{% set ns.x = ns.x ~ m %}{{ ns.x }}": "aSAY HI",
		"{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}":              "KEYVA\"L",
		"{% for k in d %}<{{ k }}>{% endfor %}":                              "<KEY>",
		"{{ {m: 'v'}|first ~ {'a': m}.a }}":                                  "SAY HISAY HI",
		"{{ d|tojson }}":                                                     `{"KEY": "VA\"L"}`,
		"{{ 'ab'|tojson }}{{ mixed|tojson }}":                                `"ab""<|SYS|>HI"`,
		"{{ {'a': m, 'b': 'c'}|tojson(indent=1, separators=('; ', 'is')) }}": "{\n \"a\"is\"SAY HI\"; \n \"b\"is\"c\"\n}",
		"{{ nope|default(m) ~ nope|default('x') ~ m|default('y') }}":         "SAY HIxSAY HI",
		"{{ m if true else 'x' }}{{ m or 'x' }}{{ m and 'x' }}":              "SAY HISAY HIx",
		"{{ m|string ~ 5 ~ true ~ none }}":                                   "SAY HI5TRUENONE",
		"{{ (5 ~ 'x')|upper|lower }}":                                        "5x",
		"{{ strftime_now('%b') }}":                                           "APR", "{{ 'a' 'b' }}{{ k }}": "abtok",
		"{{ ''.join(['a', m, '']) }}":                 "aSAY HI",
		"{% generation %}x{{ m }}{% endgeneration %}": "xSAY HI",
	} {
		got, err := render(t, source, variables)
		require.NoError(t, err, source)
		require.Equal(t, want, spelled(got), source)
	}
}

// mixed is a text of literals and data by turns.
func mixed(t testing.TB, parts ...string) Text {
	var b textBuilder
	for i, part := range parts {
		if i%2 == 0 {
			b.add(Literal(part))
		} else {
			b.add(Data(part))
		}
	}
	return b.text()
}

// A second text is kept beside each text, with the origins spelled out letter by letter.
func FuzzSliceOfTextDiffersFromItsCharacters(f *testing.F) {
	f.Add("a<|", "sys", "|>", "", 2, 5)
	f.Add("", "é", "", "x", 0, 3)
	f.Fuzz(func(t *testing.T, a, b, c, d string, from, to int) {
		text := mixed(t, a, b, c, d)
		var origins []bool
		for run, literal := range text.Runs() {
			require.NotEmpty(t, run)
			for range len(run) {
				origins = append(origins, literal)
			}
		}
		require.Len(t, origins, len(text.String()))
		n := len(origins)
		if from < 0 || to < 0 || from > to || to > n {
			return
		}
		for _, part := range []Text{text.slice(from, to), text.slice(from, n).slice(0, to-from),
			text.slice(0, to).slice(from, to)} {
			require.Equal(t, text.String()[from:to], part.String())
			at := from
			for run, literal := range part.Runs() {
				for range len(run) {
					require.Equal(t, origins[at], literal)
					at++
				}
			}
			require.Equal(t, to, at)
		}
		var whole textBuilder
		for i := range n {
			whole.add(text.slice(i, i+1))
		}
		require.Equal(t, text, whole.text())
	})
}
