package jinja

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// within fails a test whose work goes on and on. It is far above what the budget allows, as machines are slow at times.
func within(t *testing.T, what string, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("still at work: %.100s", what)
	}
}

const (
	// Loops without end, for all that it matters.
	forEver = "{% for i in range(100000) %}{% for j in range(100000) %}"
	ends    = "{% endfor %}{% endfor %}"
	// A dict whose keys are long.
	manyKeys = "k ~ 1: 1, k ~ 2: 2, k ~ 3: 3, k ~ 4: 4, k ~ 5: 5, k ~ 6: 6, k ~ 7: 7, k ~ 8: 8, k ~ 9: 9, k ~ 10: 10"
	// A long text without breaking the budget.
	long = "{% set x = 'a' * 30000000 %}"
	// Lists that hold the one before twice.
	doubled = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = " +
		"[ns.y, ns.y] %}{% endfor %}"
	// A list in a list in a list.
	nested = "{% set ns = namespace(x=[], y=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% set ns.y = " +
		"[ns.y] %}{% endfor %}"
)

// manyNames sets 20,000 variables.
func manyNames() string {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "{%% set v%d = 1 %%}", i)
	}
	return b.String()
}

func TestHostileTemplateIsNotStopped(t *testing.T) {
	for _, source := range []string{
		forEver + ends, forEver + "{{ i ~ j }}" + ends, forEver + "{% if i == j and i < 1.5 %}{% endif %}" + ends, forEver +
			"{% set y = {'a': i} %}" + ends,
		forEver + "{% set y = [i, j] %}" + ends,
		forEver + "{% set y = namespace(a=i) %}" + ends, forEver + "{{ strftime_now('%A %B') }}" + ends, forEver +
			"{{ [i]|tojson(sort_keys=true) }}" + ends,
		forEver + "{% if 'a' is string %}{% endif %}" + ends, forEver + "{% set y %}{% endset %}" + ends,
		forEver + "{% generation %}{% endgeneration %}" + ends, "{% macro f() %}{% endmacro %}" + forEver +
			"{% set y = f() %}" + ends,
		"{% for i in range(100000) if range(100000)|select('eq', 'x')|first %}{% endfor %}",
		"{% for i in range(100000) %}{% for j in range(100000) if loop.length %}{% endfor %}{% endfor %}",

		doubled + "{{ ns.x == ns.y }}", doubled + "{{ ns.x|tojson }}", doubled + "{{ ns.x in [ns.y] }}", doubled +
			"{{ ns.x != ns.y }}",
		doubled + "{{ [ns.x]|select('eq', ns.y)|list|length }}", doubled + "{{ ns.x|tojson(indent=4) }}", doubled +
			"{{ {'a': ns.x} == {'a': ns.y} }}",
		doubled + "{{ ns.x|join }}",
		nested + "{{ ns.x == ns.y }}", nested + "{{ ns.x|tojson }}", nested + "{{ ns.x in [ns.y] }}",

		"{{ 'a' * 1000000000 }}", "{{ 'a' * 1000000000 * 1000000000 }}", "{{ ('a' * 30000000) * 30 }}",
		"{{ ('<' ~ bos_token) * 10000000 }}",
		"{{ 1000000000 * 'a' }}", "{{ ('a' * 30000000).split('a')|length }}", "{{ (' a' * 15000000).split()|length }}",
		"{{ ('a' * 30000000)|list|length }}",
		"{{ ('a' * 30000000)|map('upper')|list|length }}", long + "{{ x[::2] ~ x[::2] ~ x[::2] }}",
		long + "{{ x.replace('a', 'bb') }}", long + "{{ x.replace('a', x) }}", long + "{{ x|replace('aa', 'bbb') }}",
		"{% set x = 'a' * 100000 %}{{ x.replace('a', x) }}", long + "{{ x ~ x ~ x }}", long + "{{ x + x + x }}", long +
			"{{ [x, x, x]|join }}",
		long + "{{ x.join('aaa') }}", long + "{{ x|upper|lower|title }}", long + "{{ x|tojson ~ x|tojson }}",
		"{{ ('\\n' * 20000000)|tojson }}",
		"{{ ('é' * 20000000)|tojson(ensure_ascii=true) }}",
		"{{ [[1]]|tojson(indent=1000000000) }}", "{{ [[[[[[1]]]]]]|tojson(indent=20000000) }}",
		"{% set x = range(100000)|list %}{{ x|tojson(indent=1000) }}",
		"{{ range(100000)|join(range(100000)|join(range(100)|join('aaaa'))) }}", "{{ range(100000)|join('a' * 1000) }}",
		"{% for i in range(1000) %}{% set y = range(100000)|list %}{% endfor %}",
		"{% set x = range(100000)|list %}{% for i in range(1000) %}{% set y = x[::-1] %}{% set z = x + x %}{% endfor %}",
		"{% set x = range(100000)|list %}{% for i in range(100000) %}{% if 'x' in x %}{% endif %}{% endfor %}",
		"{% set x = range(100000)|list %}{% for i in range(100000) %}{% if x == x + [] %}{% endif %}{% endfor %}",
		"{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
		"{% set ns = namespace(s='') %}{% for i in range(100000) %}{% set ns.s = ns.s ~ 'abcdefgh' %}{% endfor %}",
		"{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"{% set ns = namespace(s='xx') %}{% for i in range(100) %}{% set ns.s = ns.s.replace('x', ns.s) %}{% endfor %}",
		"{% set ns = namespace(s='xx') %}{% for i in range(100) %}{% set ns.s = ns.s.join([ns.s, ns.s, ns.s]) %}{% endfor %}",

		long + "{% for c in x %}{% endfor %}", long + "{% for c in x %}{{ c|upper }}{% endfor %}",
		long + "{% for i in range(100000) %}{% if x.find('b') == 1 %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if 'b' in x %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if x|length == 1 %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if x[-20000000] == 'b' %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if x[20000000:] == 'b' %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if x.strip('a') %}{% endif %}{% endfor %}",
		"{% set x = ' ' * 30000000 %}{% for i in range(100000) %}{% if x|trim %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if x < x[:] %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if x == x[:] %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if x.startswith(x[1:]) %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if {}[x] %}{% endif %}{% endfor %}",
		long + "{% for i in range(100000) %}{% if {}.get(x) %}{% endif %}{% endfor %}",
		long + "{% set y = 'a' * 10000 ~ 'b' %}{% for i in range(100000) %}{% if x.find(y) == 1 %}{% endif %}{% endfor %}",
		long + "{% set y = 'a' * 10000 ~ 'b' %}{% for i in range(100000) %}{% if x.split(y)|length == 2 %}{% endif %}{% " +
			"endfor %}",
		long + "{% for i in range(100000) %}{% set y = namespace({x: 1}) %}{% endfor %}",
		"{% set x = ' ' * 15000000 %}{% for i in range(100000) %}{% if x|int %}{% endif %}{% endfor %}",

		// What is cheap once: names looked up through many frames, long names and keys.
		strings.Repeat("{% for a in [1] %}", 60) + forEver + "{{ [" + strings.Repeat("x, ", 1000) + "]|length }}" +
			ends + strings.Repeat("{% endfor %}", 60),
		"{% macro f(" + strings.Repeat("x", 30_000) + ") %}{% endmacro %}" + forEver + "{{ f() }}" + ends,
		"{% set x = {'a' * 30000000: 1} %}{% set y = {'a' * 30000000: 1} %}" + forEver + "{% if x == y %}{% endif %}" + ends,
		"{% set k = 'a' * 3000000 %}{% set x = {" + manyKeys + "} %}" + forEver + "{% set y = namespace(x) %}" + ends,
		"{% set k = 'a' * 3000000 %}{% set x = {" + manyKeys + "} %}" + forEver +
			"{% set y = x|tojson(sort_keys=true)|length %}" + ends,

		"{% for i in range(100000) %}{% for j in range(100000) %}{% if i + j == 0 %}" + manyNames() + "{% endif %}" + ends,

		"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(1) }}",
		"{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(50) }}",
		"{% macro f(x) %}{{ x }}{{ x }}{% endmacro %}{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = " +
			"f(ns.x) %}{% endfor %}",
		"{{ 1 " + strings.Repeat("+ 1 ", 2001) + "}}", "{{ x" + strings.Repeat("|trim", 2030) + " }}",
	} {
		template, err := Parse(source)
		require.NoError(t, err, "%.100s", source)
		within(t, source, func() {
			_, err := template.Render(t.Context(), map[string]Value{"bos_token": Data(">")}, time.Now)
			require.Error(t, err, "%.100s", source)
			require.Regexp(t, "the template (asks for too much (work|memory)|nests too deeply)$|printing a list", err.Error(),
				"%.100s", source)
		})
	}
}

// Where text is long and what is done with it takes a step each, a template comes to its end.
func TestOrdinaryWorkIsRefused(t *testing.T) {
	message := Data(strings.Repeat("Ordinary text: 普通文本 </think> \"x\"\n", 100_000)) // 4 MB
	for _, source := range []string{
		"{{ m }}", "{{ m ~ m ~ m }}", "{{ m|trim ~ m.split('</think>')[-1].strip() }}",
		"{% if '<think>' in m %}{% endif %}{{ m|length }}", "{{ m|tojson }}",
		"{{ m.replace('</think>', '') }}",
		"{{ m[:1000] ~ m[-1000:] }}",
		"{% if m.startswith('x') or m.endswith('y') or m == m ~ 'x' %}{% endif %}{{ m.lstrip('\\n').rstrip('\\n') }}",
		"{% for i in range(2000) %}{{ '<|user|>' ~ i ~ m[:500]|trim }}{% endfor %}",
		"{% set ns = namespace(s='') %}{% for i in range(300) %}{% set ns.s = ns.s ~ '0123456789' * 100 %}{% endfor %}{{ " +
			"ns.s }}",
	} {
		_, err := render(t, source, map[string]Value{"m": message})
		require.NoError(t, err, source)
	}
}

func TestHostileSourceIsNotStopped(t *testing.T) {
	for _, source := range []string{
		strings.Repeat("x", MaxSource+1), strings.Repeat("{% if x %}", 1000), strings.Repeat("{% for x in y %}", 60000),
		"{{ " + strings.Repeat("(", 1000),
		"{{ " + strings.Repeat("[", 500_000), "{{ " + strings.Repeat("not ", 1000) + "x }}", "{{ " +
			strings.Repeat("- ", 1000) + "1 }}",
		"{{ " + strings.Repeat("x if ", 5000) + "x }}",
		"{{ " + strings.Repeat("x if x else ", 1000) + "x }}", "{{ x" + strings.Repeat(".x", 64*1024) + " }}", "{{ x" +
			strings.Repeat("[0]", 3000) + " }}",
		"{{ " + strings.Repeat("'a' ", 5000) + " }}", "{{ '" + strings.Repeat("\\", 100_001) + "' }}", "{{ 1" +
			strings.Repeat("0", 60_000) + " }}",
		"{% set " + strings.Repeat("x, ", 3000) + " %}", strings.Repeat("{", 1000_000), strings.Repeat("{#", 500_000),
		strings.Repeat("{{", 500_000),
		strings.Repeat("{%", 500_000), "\xff", "{{ x", "{% raw %}{% endraw %}",
		"{{ x is " + strings.Repeat("not ", 1000) + "y }}",
	} {
		within(t, source, func() {
			_, err := Parse(source)
			require.Error(t, err, "%.60s", source)
		})
	}
	for _, source := range []string{
		strings.Repeat("{{ x }}", MaxSource/7), strings.Repeat(" \n", MaxSource/3) + "{%- set x = 1 %}",
		strings.Repeat("{% set x = [1, 2, {'a': x}] %}\n", 30_000), strings.Repeat("{ ", MaxSource/2),
		strings.Repeat("{# #}", MaxSource/5),
	} {
		within(t, source, func() {
			_, err := Parse(source)
			require.NoError(t, err, "%.60s", source)
		})
	}
}

func TestRenderingIgnoresTheContext(t *testing.T) {
	template, err := Parse(forEver + ends)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = template.Render(ctx, nil, time.Now)
	require.Equal(t, context.Canceled, err)

	// A clock that cancels when it is asked: in the middle of the work, and behind the name of a filter.
	for _, source := range []string{forEver + "{{ strftime_now('') }}" + ends,
		"{{ ['x']|map('replace', 'x', strftime_now('') ~ 'y')|list|length }}" + forEver + "{{ [1]|map('string')|first }}" +
			ends} {
		template, err := Parse(source)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		_, err = template.Render(ctx, nil, func() time.Time {
			asked++
			cancel()
			return fixedClock()
		})
		require.Equal(t, context.Canceled, err)
		require.Less(t, asked, 10_000)
	}
}

// The search is linear where one that starts again at each place is not.
func TestFindDiffersFromIndex(t *testing.T) {
	e := &evaluator{budget: budget{ctx: t.Context(), work: maxWork, bytes: maxBytes}}
	for _, s := range []string{"", "a", "abab", strings.Repeat("ab", 50_000) + "c", strings.Repeat("a", 70_000) + "b" +
		strings.Repeat("a", 70_000), strings.Repeat("é", 40_000)} {
		for _, part := range []string{"", "a", "b", "ba", "c", "abc", strings.Repeat("a", 31), strings.Repeat("a", 32),
			strings.Repeat("a", 33), strings.Repeat("a", 40) + "b", strings.Repeat("ab", 40) + "c", strings.Repeat("ab", 40),
			"b" + strings.Repeat("a", 60_000), strings.Repeat("é", 20), "\xa9\xc3"} {
			got, err := e.find(s, part)
			require.NoError(t, err)
			require.Equal(t, strings.Index(s, part), got, "%.20q in %.20q", part, s)
		}
	}
}
