"""The little templates that make.py renders."""

import random


def expressions():
    """Little templates, each of which must come out the same or be refused."""
    m = "{% set m = messages[1] %}{% set c = m.content %}{% set s = messages[2].content %}"
    values = [
        "none", "None", "true", "false", "True", "1", "-1", "1.5", "1.0", "1e3", "'a'", '"b"', "''", "[]", "[1, 'a', none]", "(1, 2)", "(1,)", "{}", "{'a': 1}",
        "missing", "missing.x", "missing['x']", "m.missing", "m.missing.x", "m.role", "m['role']", "m.n", "m.x", "m.flag", "m.list", "m.list[0]", "m.list[-1]",
        "m.list[5]",
        "m.list[-2]", "m.list[-3]", "[7][-1]", "['x', 'y'][1]", "'abc'[0]", "'abc'[-1]", "'a'[-1]", "'你好'[0]", "c[0]", "c[1]", "c[-1]", "c[1:3]", "c[:5]",
        "c[-3:]", "c[::-1]", "c[::2]",
        "m.list[1:]", "m.list[:-1]", "messages[1:]|length", "messages[::-1]|length", "messages|length", "messages[-1].role", "messages[-1]['content']",
        "messages[0].content.strip()", "messages[0]['content']|trim", "c.upper()", "c|upper", "'abc'.upper()", "'ABC'|lower", "'Straße'.upper()",
        "s.split(',')", "s.split(',')[0]",
        "s.split(',')[-1]", "s.split(',')|length", "'x'.split(',')[-1]", "''.split(',')|length", "' a  b '.split()|length", "' a  b '.split()[0]",
        "s.split(',', 1)[1]", "s.split(',', 1)[-1]", "s.split('')", "'a\\nb'.split('\\n')[1]",
        "s.replace(',', ';')", "s.replace(',', ';', 1)", "s|replace(',', '-')", "s.startswith('a')", "s.endswith('c')", "s.startswith('b')", "s.find('b')",
        "'--a--'.strip('-')", "'--a--'.lstrip('-')", "'--a--'.rstrip('-')", "'abc'.strip('ac')",
        "', '.join(m.list)", "m.list|join(', ')", "m.list|join", "[1, 2]|join('-')", "m.list|first", "m.list|last", "[]|first", "[]|last", "'abc'|first",
        "'abc'|last", "c|length", "'你好'|length", "m.list|length", "missing|length",
        "missing|default('d')", "none|default('d')", "''|default('d')", "''|default('d', true)", "missing|d('e')", "''|default('d', boolean=true)",
        "m.n|string", "'x'|string ~ 1", "m.list|tojson", "m|tojson", "m|tojson(indent=2)", "c|tojson", "c|tojson(ensure_ascii=true)",
        "c|tojson(ensure_ascii=False)", "none|tojson", "true|tojson", "1.0|tojson", "{'b': 1, 'a': [none, true]}|tojson", "missing|tojson",
        "1 + 2", "1 - 2", "2 * 3", "7 / 2", "6 / 2", "7 // 2", "-7 // 2", "7 % 3", "-7 % 3", "7 % -3", "2 ** 3", "1 + 1.5", "1.5 * 2", "'a' + 'b'", "'a' + 1",
        "1 + 'a'", "'a' * 3", "'a' ~ 1", "'a' ~ none", "'a' ~ missing", "'a' ~ true", "'a' ~ 1.0", "1 ~ 2", "'a' + missing", "missing + 'a'", "'a' + none",
        "[1] + [2]", "'%s' % 'x'",
        "1 + 2 * 3", "(1 + 2) * 3", "1 ~ 2 + 3", "1 + 2 ~ 3", "10 - 2 - 3", "2 * 3 % 4", "-1 + 2", "- m.n", "1 / 0", "1 % 0",
        "1 == 1", "1 == 1.0", "1 == true", "'1' == 1", "none == none", "none == missing", "missing == missing", "missing == ''", "missing == false",
        "'a' == 'a'", "'a' != 'b'", "m.list == ['a', 'b']", "[1] == [1.0]", "{'a': 1} == {'a': 1}",
        "1 < 2", "2 <= 2", "'a' < 'b'", "'Z' < 'a'", "'é' < 'z'", "1 < 2 < 3", "3 > 2 > 1", "1 < 'a'", "none < 1", "missing < 1", "1 == 1 == 1",
        "true and false", "'' or 'x'", "'a' and 'b'", "'' and 'b'", "none or missing", "not ''", "not 'a'", "not none", "not missing", "not 0", "not []",
        "not not 1", "not 1 == 2", "not 1 and 0", "1 or 0 and 0", "(1 or 0) and 0",
        "'a' in 'abc'", "'d' in 'abc'", "'a' in m.list", "'a' not in m.list", "'role' in m", "'nope' in m", "1 in m.list", "1 in 'abc'", "'a' in missing",
        "'a' in none", "not 'a' in m.list", "'a' in ['a'] and true", "'a' in m.list and 'c' in m.list", "'a' in ['a', 'b'][:1]", "'a' ~ 'b' in 'abc'",
        "'' in 'a'", "1 in [1.0]", "'a' in m.list|list", "'x' in s.split(',')", "1 in missing|default([1])", "'x' in m.role|replace('user', 'x')",
        "not 1 in missing|default([1])", "true and 1 in missing|default([1])",
        "m is defined", "missing is defined", "missing is not defined", "m.missing is defined", "m.missing is undefined", "none is none", "missing is none",
        "c is string", "m is string", "m is mapping", "m.list is mapping", "m.list is iterable", "c is iterable", "m.n is iterable", "m.list is sequence",
        "c is sequence", "m is sequence", "m.n is number", "m.x is number", "m.flag is number", "m.n is integer", "m.flag is integer", "m.x is float",
        "m.flag is boolean", "m.flag is true", "m.flag is false", "m.n is true", "c is not string", "m.n is odd", "m.n is even", "m.n is eq 3",
        "m.n is equalto(3)", "m.n is divisibleby 3", "1 + 1 is number", "'a' + 'b' is string", "1 == 1 is true", "not m is defined",
        "m is defined and m.n == 3", "missing is defined and missing.x", "m is defined or missing.x", "m.missing is none or 1", "m is defined == true",
        "'x' if m is defined else 'y'", "'x' if missing else 'y'", "'x' if missing", "'x' if 1 == 2 else 'y' if 1 == 1 else 'z'", "('x' if 1 else 'y') ~ '!'",
        "'a' ~ ('x' if missing else 'y')",
        "m.get('role')", "m.get('nope')", "m.get('nope', 'd')", "m.get('nope', '')", "m.items()|length", "m.items()|list|length", "m.keys()|list", "m.items",
        "m.keys", "c.foo", "c.strip", "m.n.foo", "none.foo", "m.list.foo", "m.list.append('c')", "m.update({'a': 1})", "m['items']", "m.list['a']", "c['a']",
        "m[0]", "m.list[none]",
        "c|trim", "messages[0].content|trim|length", "missing|trim", "none|trim", "m.n|trim", "'  x '|trim ~ '!'", "'--x--'|trim('-')", "c|upper|lower",
        "m.list|reverse|list", "m.list|map('upper')|list", "messages|selectattr('role', 'equalto', 'user')|list|length",
        "messages|map(attribute='role')|join(',')", "m.list|sort", "c|safe", "c|e", "c|escape", "c|capitalize", "c|title", "c|wordcount", "c|int",
        "'3'|int + 1", "m.x|int", "m.x|round", "-1|abs", "(1 - 3)|abs", "m|items|list|length", "m|length", "m|list", "m|dictsort|length", "c|indent",
        "c|unknown", "c is unknown", "c.unknown()", "unknown()", "c()", "range(3)|list", "range(1, 7, 2)|list", "range(3)|length", "range(3)", "dict(a=1).a",
        "namespace(a=1).a", "namespace(a=1).b", "raise_exception('no')", "strftime_now('%Y-%m-%d')", "strftime_now('%d %b %Y')",
        "strftime_now('%A %B %H:%M:%S %y %j %p %I %a %%')", "strftime_now('%-d')", "lipsum", "cycler('a', 'b').next()", "joiner()", "self", "loop", "bos_token",
        "eos_token ~ '|'", "pad_token", "documents", "tools", "tools is none", "tools is defined", "add_generation_prompt", "documents is none",
        "'a' 'b'", "'\\n'|length", "'\\\\'|length", "'\\''", "\"\\\"\"", "'\\t|'", "'\\u4f60'", "'\\x41'", "'\\d'", "'}}'", "'%}'", "'{{ x }}'", "'{% if %}'",
        "'{#'", "'#}'", "'{'", '"it\'s"', "'你好'", "'\U0001f600'", "1_000", "010", "0x10", "1.", ".5", "'a'.upper().lower()", "('a' ~ 'b').upper()",
        "(m.list)[0]", "{'a': {'b': [1, 2]}}.a.b[1]", "{'a': 1}['a']", "{'a': 1, 'a': 2}.a", "[1, 2,]|length", "[[1, 2], [3]][1][0]",
        "m['con' ~ 'tent']|length", "messages[1 - 1].role", "messages[m.n - 2].role",
    ]
    for v in values:
        yield m + "[{{ " + v + " }}]"
    yield from [
        # White space control
        "a {{ 'b' }} c\n", "a\n{{ 'b' }}\nc\n\n", "a \n  {% if true %}\n  b\n  {% endif %}\nc", "a {% if true %} b {% endif %} c",
        "a  {%- if true -%}  b  {%- endif -%}  c", "a\n\n{%- if true %}\n\nb{% endif %}",
        "x{# note #}y", "  {# note #}\n y", "x {#- note -#} y", "a\n  {%+ if true %}\n b{% endif %}", "a {% if true +%}\nb{% endif %}", "{{- 'a' -}}  b",
        " {{- 'a' }} ", "\t{% set x = 1 %}\t{{ x }}", "text {% set x = 1 %}\n{{ x }}",
        "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n", "{% raw %}{{ x }}{% endraw %}", "{% if true %}\n\n\nb\n{% endif %}\n\n", "{{ '{{' }}{{ '}}' }}",
        "a{{'}'}}b{{ {'a': {'b': 1}}.a.b }}c", "{% if '%}' == '%}' %}yes{% endif %}", "  {%- set x = '-' -%}  {{ x }}  ",
        "line\n   {{ 'kept' }}\n", "Hello {% if true %}x{% endif %}", "{ {{ 1 }} } {% if true %}{ % }{% endif %}", "\n\na", "a\n", "a\n\n", "\n", "", "   ",
        "{# a #}{# b\n #}\nc", "{% if true -%}\n  x\n{%- endif %}\n  y", "你好{% if true %}\n世界{% endif %}\n",
        # Statements and scopes
        "{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}", "{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}",
        "{% if messages[0].role == 'system' %}S{% else %}N{% endif %}", "{% if true %}{% set x = 1 %}{% endif %}{{ x }}",
        "{% if false %}{% set x = 1 %}{% endif %}[{{ x }}]",
        "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }};{% endfor %}",
        "{% for m in messages %}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}",
        "{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.role }}{% endfor %}", "{% for m in messages[1:] %}{{ m.role }}{% endfor %}",
        "{% for m in [] %}x{% else %}empty{% endfor %}", "{% for m in [1] %}x{% else %}empty{% endfor %}", "{% for m in missing %}x{% endfor %}|",
        "{% for m in none %}x{% endfor %}|", "{% for m in 3 %}x{% endfor %}|",
        "{% for c in 'añ你' %}{{ c }}.{% endfor %}", "{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}",
        "{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in {'b': 1}|items %}{{ k }}={{ v }};{% endfor %}",
        "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }};{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}",
        "{% for i in range(3) %}{{ i }}{% endfor %}", "{% for m in messages %}{{ loop.previtem.role }}<{{ m.role }}>{{ loop.nextitem.role }};{% endfor %}",
        "{% for m in messages %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}",
        "{% set x = 0 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
        "{% set ns = namespace(x=0) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(found=false, s='') %}{% for m in messages %}{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{% set ns.s = ns.s ~ m.role %}{% endif %}{% endfor %}{{ ns.found }}{{ ns.s }}",
        "{% set ns = namespace() %}{% set ns.y = [1] %}{{ ns.y }}", "{% set ns = namespace({'a': 1}) %}{{ ns.a }}", "{% set x = {} %}{% set x.a = 1 %}{{ x }}",
        "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x %}block {{ 1 }}{% endset %}[{{ x }}]", "{% set x = 1 if false else 2 %}{{ x }}",
        "{% set x = 1 if false %}[{{ x }}]", "{% set messages = messages[1:] %}{{ messages|length }}",
        "{% if true %}{% set messages = messages[1:] %}{% endif %}{{ messages[0].role }}",
        "{% for i in [1, 2] %}{% for j in [3, 4] %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}",
        "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
        "{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in [1] %}{% set y = i %}{% endfor %}[{{ y }}]",
        "{% for i in [1] %}{% endfor %}[{{ i }}][{{ loop }}]", "{% for i in [1, 2] %}{% if loop.first %}{% set z = 'f' %}{% endif %}{{ z }}{% endfor %}",
        "{% for i in [1, 2] %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in [[1, [2]]] recursive %}x{% endfor %}",
        "{% set i = 9 %}{% for i in [1] %}{{ i }}{% endfor %}{{ i }}", "{% for i in [1, 2] if i > loop.index %}{{ i }}{% endfor %}",
        "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(1) }}", "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% block a %}b{% endblock %}",
        "{% filter upper %}a{% endfilter %}", "{% with x = 1 %}{{ x }}{% endwith %}", "{% call f() %}{% endcall %}", "{% do x %}",
        "{% autoescape true %}{{ '<' }}{% endautoescape %}", "{% generation %}x{% endgeneration %}", "{% trans %}x{% endtrans %}", "{% if %}x{% endif %}",
        "{% if true %}x", "{% endif %}", "{{ }}", "{{ 1", "{% set = 1 %}", "{{ 1 + }}", "{{ (1 }}", "{{ 'a }}", "{{ a b }}", "{% for in x %}{% endfor %}",
        "{% unknown %}", "{# never closed", "{{ m. }}", "}} %} #}", "{ { } }",
    ]


ATOMS = ["1", "2", "0", "'a'", "'b'", "''", "'ab'", "none", "true", "false", "missing", "m.n", "m.x", "m.flag", "m.list", "m.missing", "m.role", "[1, 'a']", "[]", "1.5"]
OPERATORS = ["+", "-", "*", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "number", "integer", "boolean", "true", "false", "odd", "even", "eq 1", "ne 'a'", "equalto('a')"]
FILTERS = ["trim", "length", "string", "first", "last", "default('d')", "default('d', true)", "upper", "join('-')", "list", "tojson", "replace('a', 'xy')"]


def random_expression(r, depth):
    """A composition of operators, tests, filters and parentheses: what binds tighter must be the same."""
    if depth == 0 or r.random() < 0.15:
        return r.choice(ATOMS)
    a = random_expression(r, depth - 1)
    kind = r.random()
    if kind < 0.5:
        return f"{a} {r.choice(OPERATORS)} {random_expression(r, depth - 1)}"
    if kind < 0.62:
        return f"{a} is {r.choice(['', 'not '])}{r.choice(TESTS)}"
    if kind < 0.75:
        return f"{a}|{r.choice(FILTERS)}"
    if kind < 0.82:
        return f"not {a}"
    if kind < 0.86:
        return f"-{a}"
    if kind < 0.9:
        return f"{r.choice(['m.list', 'm.role', 'messages'])}[{a}]"
    return f"({a})"


def random_layout(r):
    """A composition of text, tags and white space control."""
    out, open_blocks = [], []
    for _ in range(r.randint(3, 14)):
        kind = r.random()
        left, right = r.choice(["", "", "", "-", "+"]), r.choice(["", "", "", "-", "+"])
        if kind < 0.5:
            out.append("".join(r.choice(["a", "b", " ", " ", "\n", "\n", "\t", "\r\n", "\u3000", "{", "}", "%"]) for _ in range(r.randint(1, 6))))
        elif kind < 0.65:
            out.append("{{" + left.replace("+", "") + " 'v' " + right.replace("+", "") + "}}")
        elif kind < 0.75:
            out.append("{#" + left + " note " + right + "#}")
        elif kind < 0.9 or not open_blocks:
            tag, end = r.choice([("if true", "endif"), ("for i in [1, 2]", "endfor"), ("if false", "endif")])
            open_blocks.append(end)
            out.append("{%" + left + " " + tag + " " + right + "%}")
        else:
            out.append("{%" + left + " " + open_blocks.pop() + " " + right + "%}")
    return "".join(out) + "".join("{% " + end + " %}" for end in reversed(open_blocks))


def random_templates():
    r = random.Random(4)
    for _ in range(3000):
        yield "{% set m = messages[1] %}[{{ " + random_expression(r, r.randint(1, 4)) + " }}]"
    for _ in range(1000):
        yield random_layout(r)


def further():
    """What expressions() leaves out."""
    m = "{% set m = messages[1] %}{% set s = messages[2].content %}{% set d = {'b': 1, 'a': 'x', 'c': [1, 2]} %}"
    for e in [
        # Numbers.
        "7 / 2", "6 / 3", "-7 / 2", "1 / 3", "1.5 / 2", "7 // -2", "-7 % -3", "0 * -1", "2147483647 + 1", "1 - 1.0", "0.1 + 0.2", "3 * 0.1", "1.0 * 3", "- 5",
        "+ 5", "--5", "-m.n * 2", "-m.n|string",
        "100000 * 100000", "10.0", "1.50", "123456789.125", "0.00001 + 0.0", "1 + true", "true + true", "1 == true", "0 == false", "1.0 == 1", "2 > 1.5",
        "1 <= 1.0", "9007199254740993 == 9007199254740992.0",
        # Comparisons.
        "1 < 2 < 3", "1 < 3 < 2", "3 > 2 > 1 == true", "1 == 1.0 == true", "'a' in 'abc' in ['abc']", "1 in [1, 2] == true", "not 1 < 2 < 3", "'a' < 'b' < 'c'",
        "1 != 2 != 1", "m.n not in [1, 2]", "not m.n in [1, 2]",
        "[1] == (1,)", "(1, 2) == (1, 2)", "(1,) == [1]", "[] == ()", "[[1], [2]] == [[1], [2]]", "{'a': [1]} == {'a': [1]}",
        "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "{'a': 1} == {'a': 2}", "none == false", "'' == none", "[none] == [none]",
        "1 in (1, 2)", "3 in range(5)", "5 in range(5)", "'a' in d.keys()", "'x' in d.values()", "'a' in d", "1 in d.values()", "('b', 1) in d.items()",
        "['b', 1] in d.items()", "'' in ''", "'ab' in 'a'", "[1] in [[1]]", "[1] < [2]", "(1, 2) < (1, 3)",
        # Strings.
        "'ab' * 3", "3 * 'ab'", "'ab' * 0", "'ab' * -1", "'-' * 3 ~ '>'", "'a' 'b' \"c\"", "'a'.join(['1', '2'])", "''.join([])", "'-'.join('abc')",
        "'-'.join({'x': 1, 'y': 2})", "', '.join(m.list)", "'a'.join([1])",
        "'a b  c '.split()", "' a b  c '.split()|join('|')", "' a b  c '.split(none, 1)|join('|')", "'a b  c '.split(maxsplit=2)|join('|')",
        "'a,b,c'.split(',', maxsplit=1)|join('|')", "'a,b,c'.split(sep=',')|join('|')", "'a,b,c'.split(',', 0)|join('|')", "'aXXbXXXc'.split('XX')|join('|')",
        "'a\\u3000b\\x1fc'.split()|join('|')", "''.split()|length",
        "'aaa'.replace('aa', 'b')", "'aaa'.replace('a', 'bb', 2)", "'aaa'.replace('a', '', -1)", "'aaa'.replace('a', 'b', 0)", "'abc'.replace('', '-')",
        "'你好你'.replace('你', 'x')", "'aaa'|replace('a', 'b', 1)", "123|replace('2', 'x')", "none|replace('None', 'x')",
        "'aaa'|replace(old='a', new='b', count=2)", "'a'.replace(1, 2)",
        "'abcabc'.find('c')", "'abcabc'.find('cb')", "'你好世界'.find('世')", "'abc'.find('')", "'abc'.startswith('')", "'abc'.endswith('bc')",
        "'abc'.startswith('abcd')", "'abc'.startswith(('a', 'x'))", "'abc'.startswith(prefix='a')",
        "'xxaxx'.strip('x')", "'xyaxy'.strip('yx')", "'  a '.lstrip() ~ '|'", "'  a '.rstrip() ~ '|'", "' a '.strip(none)", "'\\u00a0a\\u2003'.strip()",
        "'\\u200ba'.strip()|length", "'a'.strip(chars='a')", "' x '|trim(none)", "'xax'|trim(chars='x')",
        "'aBc'.upper()", "'aBc'.lower()", "'hELLO wORLD'.capitalize()", "'hELLO wORLD'|capitalize", "'hello-world (foo) [bar] {x} <y>'|title",
        "'it\\'s o\\'clock'|title", "'a1b 2c'|title", "''|title", "''|capitalize", "'你好 abc'|title", "5|title", "missing|upper", "true|lower",
        "none|capitalize",
        "'abc'[1]", "'abc'[3]", "'abc'[-4]", "'abc'[1:]", "'abc'[:-1]", "'abc'[::2]", "'abc'[::-1]", "'abc'[5:]", "'abc'[2:1]", "'abc'[-100:100]",
        "'abc'[::100]", "'abc'[::-100]", "'abcdef'[4:1:-1]", "'abcdef'[4:1:-2]", "'abcdef'[:2:-1]", "'abcdef'[-2::-2]", "'你好世界'[1:3]", "'你好世界'[::-1]",
        "'a😀b'[1]", "'abc'[none:2]", "'abc'[::0]", "'abc'[true]", "'abc'['a']", "''[0]",
        # Lists, tuples, dicts.
        "[1, 2, 3][1:]|join", "[1, 2, 3][::-1]|join", "(1, 2, 3)[1:]|join", "[1, 2] + [3]|list", "([1, 2] + [3])|join", "((1,) + (2,))|join", "[1] + (2,)",
        "[1] * 2", "[[1, 2]][0][1]", "m.list.0", "m.list.1", "m.list.7", "messages.1.role", "messages.0.content.0", "range(5)[1]", "range(5)[-1]",
        "range(5)|last", "range(0)|last", "range(5)|first", "range(5, 0, -2)|join(',')", "range(3)|length", "range(3) == range(3)", "range(200000)",
        "range(-1)|list|length", "range(2, 2)|length",
        "d.items()|list|length", "d.keys()|join(',')", "d.values()|length", "d.keys()|first", "d.items()|last|first", "d|first", "d|join('+')", "d|length",
        "d|list|join", "d['a']", "d['zz']", "d.get('a')", "d.get('zz', 5)", "d.get('zz', default=5)", "d.get()", "d.a.upper()", "d.c[1]", "{'x': {'y': 1}}.x.y",
        "{'x': 1}['x']", "{}.x", "{'a': 1, 'a': 2}['a']", "{1: 2}[1]", "d.zz.y", "d.keys()[0]", "d.items()[0]", "d.values()|list|last|join",
        # Filters.
        "[1, 2]|first", "[]|first is defined", "''|first", "missing|first", "missing|last", "missing|list|length", "missing|join('x')", "'abc'|join('-')",
        "[1, none, true, 1.5]|join(',')", "[missing]|join('x')", "[[1]]|join", "m.list|join(none)", "m.list|map('upper', x=1)|list|length",
        "messages|map('upper', attribute='role')|join", "['a']|join(1)", "[1, 2]|join(1.5)", "['a', 'b']|join(d='+')", "'3'|int", "' 42 '|int", "'-7'|int",
        "'+7'|int", "'x'|int", "''|int", "'x'|int(5)", "'x'|int(default=9)", "3.9|int", "-3.9|int", "true|int", "none|int", "[]|int", "missing|int",
        "'1.5'|int", "'1e3'|int", "'0x1f'|int",
        "[3, 1]|reverse|list|join", "'abc'|reverse", "(1, 2)|reverse|first", "[1, 2]|reverse|length", "messages|map(attribute='role')|list|join(',')",
        "messages|map(attribute='nope', default='-')|join(',')", "messages|map(attribute='nope')|join(',')", "m.list|map('upper')|join",
        "m.list|map('replace', 'a', 'z')|join", "m.list|map('default', 'q')|join", "[[1, 2], [3]]|map('length')|join(',')",
        "[[1, 2], [3]]|map('first')|join(',')", "messages|map(attribute='content')|map('length')|join(',')",
        "messages|selectattr('role', 'equalto', 'user')|list|length", "messages|selectattr('role', 'eq', 'user')|map(attribute='content')|first",
        "messages|rejectattr('role', 'equalto', 'user')|map(attribute='role')|join(',')", "messages|selectattr('n')|list|length",
        "messages|rejectattr('n')|list|length", "messages|selectattr('n', 'defined')|list|length",
        "messages|selectattr('role', 'in', ['user', 'system'])|list|length", "[1, 2, 3, 4]|select('odd')|join", "[1, 2, 3, 4]|reject('odd')|join",
        "[0, 1, '', 'a']|select|join('.')", "[0, 1, '', 'a']|reject|join('.')", "[1, 2, 3]|select('gt', 1)|join", "[1, 5]|select('divisibleby', 5)|join",
        "messages|selectattr('role')|length", "[1]|select('odd')|first", "[2]|select('odd')|first is defined",
        "messages|map(attribute='role.x')|join", "messages|selectattr('role', '==', 'user')|list|length", "[1, 2]|map('nope')|list", "[1]|map|list",
        "d|items|list|length", "d|items|first|first", "missing|items|list|length", "[]|items|list",
        "none|default('x')", "none|default('x', true)", "missing|default", "missing|default('x')|upper", "missing.x|default('x')", "d.zz|default('x')",
        "0|default(5, boolean=true)", "''|d('x', true)", "missing|default(missing2)|default('y')", "missing|default(default_value='k')",
        "[]|default('e', true)",
        # JSON.
        "d|tojson", "d|tojson(indent=2)", "d|tojson(indent=0)", "d|tojson(indent=none)", "d|tojson(indent=1)", "d|tojson(true)", "d|tojson(false, 2)",
        "d|tojson(separators=(',', ':'))", "d|tojson(separators=(', ', ': '), indent=2)", "d|tojson(sort_keys=true)",
        "{'b': {'z': 1, 'y': 2}, 'a': 1}|tojson(sort_keys=true, indent=2)", "[]|tojson(indent=2)", "{}|tojson(indent=2)", "[[], {}]|tojson(indent=2)",
        "(1, 'a')|tojson", "range(3)|tojson", "d.keys()|tojson", "messages|tojson", "'\\x7f\\u00e9\\x1f'|tojson", "'\\x7f\\u00e9😀'|tojson(ensure_ascii=true)",
        "[1.0, 1.5, none, true]|tojson", "[missing]|tojson", "d|tojson|tojson", "'</script>'|tojson", "{'é': 'ü'}|tojson(ensure_ascii=true)",
        "d|tojson(indent='  ')", "d|tojson(indent=-1)",
        # Tests.
        "1 is odd", "2 is even", "-1 is odd", "4 is divisibleby 2", "4 is divisibleby(3)", "1 is in [1, 2]", "3 is not in [1, 2]", "'a' is in 'abc'",
        "1 is eq 1", "1 is ne 1", "1 is lt 2", "2 is gt 1", "2 is ge(2)", "1 is le 0", "1 is lessthan 2", "1 is greaterthan 2", "d is mapping", "d is iterable",
        "d is sequence", "d.items() is sequence", "range(2) is sequence", "range(2) is iterable", "(1,) is sequence", "1 is iterable", "missing is iterable",
        "none is iterable", "'' is string", "m.x is float", "m.n is integer", "true is integer", "true is number", "1 is boolean", "d is not mapping",
        "missing is not defined", "missing is defined and true", "m.zz is none", "m.zz is undefined", "missing is string", "missing is mapping",
        "namespace() is mapping", "namespace() is defined", "range is defined", "strftime_now is defined", "nope is defined", "loop is defined",
        "1 is defined is true", "(1 is defined) is true", "not 1 is odd", "1 is odd and 2 is even", "1 is odd or missing.x", "'x' if 1 is odd else 'y'",
        "1 + 1 is even", "(1 + 1) is even", "- 1 is odd", "2 is even == true", "'a' ~ 1 is odd", "m.list|length is even", "'ab'|length == 2",
        "m.n in [3] and 'y'", "1.5 is odd", "'a' is odd", "true is odd",
        # Choices, logic, precedence.
        "1 if true", "1 if false", "(1 if false) is defined", "(1 if false).x", "1 if false else 2 if false else 3", "1 if true else missing.x",
        "missing.x if false else 1", "'a' if missing else 'b' ~ 'c'", "('a' if missing else 'b') ~ 'c'", "1 or missing.x", "0 and missing.x", "0 or '' or none",
        "1 and 2 and 3", "not (1 and 0)", "not 1 or 1", "1 + 2 ~ 3 * 2", "1 ~ 2 * 3 ~ 4", "2 * 3 ~ 4", "'a' + 'b' ~ 'c'", "'a' ~ 'b' + 'c'", "-1|string ~ 'x'",
        "-'1'|int", "1 - 1|string|int", "2 * '3'|int", "'a' ~ 'b'|upper", "('a' ~ 'b')|upper", "not ''|length", "1,2", "(1)", "()", "(1,)[0]", "[1,][0]",
        "{'a': 1,}.a", "m['ro' ~ 'le']", "m['role'|trim]", "messages[-1]['role'].upper()[0]", "messages|length - 1", "messages[messages|length - 1].role",
        "m.role == 'user' and m.n > 2 and not m.missing", "2 ** 3", "7 % 2 ** 2",
        # What is refused by both, or left out.
        "1 +", "m.", "m..x", "m.role.", "[1", "{'a'}", "f(", "'a", "1 2", "a b", "(1 2)", "m[1:2:3:4]", "m[]", "|upper", "'a'|", "'a'|upper|", "'a' is",
        "'a' is not", "x if", "not", "-", "1 not 2", "a.1b", "1a", "'\\q'", "'\\N{BULLET}'", "'\\101'", "@", "m?.x", "a ? b : c", "x = 1", "a := 1",
        "lambda x: x", "1 <> 2", "1 && 2", "!true", "m->x", "`a`", "$x", "range()", "range('a')", "raise_exception()", "raise_exception(1)", "strftime_now()",
        "strftime_now('%Q')", "strftime_now('100%')", "strftime_now('')", "namespace(1)", "namespace(a=1, b=2).b", "namespace(_a=1)", "m._x", "m['_x']",
        "m.__class__", "''.__class__.__mro__", "m.copy()", "m.list.pop()", "messages.append(1)", "m.pop('role')", "''.format()", "'{}'.format(1)", "'%d' % 1",
        "m.items", "m.get", "loop", "loop.index", "self", "caller()", "varargs", "cycler(1)", "joiner()", "dict(a=1)|length",
    ]:
        yield m + "[{{ " + e + " }}]"
    yield from [
        # Loops: what the variable loop knows, and when a condition is asked.
        "{% for i in [3, 4, 5] %}{{ loop.index }}{{ loop.last }}{{ loop.nextitem }}{{ loop.previtem }};{% endfor %}",
        "{% for i in range(5) if i is odd %}{{ i }}{{ loop.length }}{{ loop.revindex }}{{ loop.last }};{% endfor %}",
        "{% for i in range(5) if i is odd %}{{ i }}{{ loop.nextitem }};{% endfor %}",
        "{% set ns = namespace(n=0) %}{% for i in range(6) if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ i }}{% endfor %}",
        "{% set ns = namespace(n=0) %}{% for i in range(6) if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ i }}{{ loop.last }}{% endfor %}",
        "{% set ns = namespace(n=0) %}{% for i in range(6) if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ i }}{{ loop.length }}{% endfor %}",
        "{% for i in [1, 2] %}{% for j in [1, 2] if j == loop.index %}{{ i }}{{ j }};{% endfor %}{% endfor %}",
        "{% for i in [1, 2] %}{{ loop.index }}{% for j in [1, 2] if j == loop.index %}{{ i }}{{ j }}{{ loop.index }};{% endfor %}{% endfor %}",
        "{% for i in [1] %}{% break %}{% else %}e{% endfor %}", "{% for i in [1] %}{% continue %}{% else %}e{% endfor %}",
        "{% for i in [1, 2] %}{% if i == 2 %}{% break %}{% endif %}{% else %}e{% endfor %}",
        "{% for i in [1, 2] %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% else %}e{% endfor %}", "{% for i in [] %}{% else %}{{ loop }}e{% endfor %}",
        "{% for i in [1] %}{% for j in [] %}{% else %}{{ loop.index }}{% endfor %}{% endfor %}",
        "{% for i in [1, 2] %}{% for j in [] %}{% else %}{% break %}{% endfor %}{{ i }}{% endfor %}",
        "{% for i in [1, 2, 3] if i > 5 %}x{% else %}none{% endfor %}", "{% for i in range(3) %}{{ loop.cycle('a', 'b') }}{% endfor %}",
        "{% for i in range(3) %}{{ loop.cycle() }}{% endfor %}",
        "{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}",
        "{% for i in [1] %}{{ loop.depth }}{{ loop.depth0 }}{% for j in [1] %}{{ loop.depth }}{% endfor %}{% endfor %}",
        "{% for i in [1] %}{{ loop.nope }}{% endfor %}", "{% for i in [1] %}{{ loop['index'] }}{% endfor %}",
        "{% set ns = namespace() %}{% for i in [1, 2, 3] %}{% set ns.l = loop %}{% if i == 2 %}{% break %}{% endif %}{% endfor %}{{ ns.l.index }}",
        "{% for a, b in ['xy', 'zw'] %}{{ a }}{{ b }};{% endfor %}", "{% for a, b in ['xyz'] %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}",
        "{% for a, b in [{'p': 1, 'q': 2}] %}{{ a }}{{ b }}{% endfor %}", "{% for (a, b) in [[1, 2]] %}{{ a }}{% endfor %}",
        "{% for a, in [[1]] %}{{ a }}{% endfor %}", "{% for a, b in {'k': 'v'}.items() %}{{ a }}{{ b }}{{ loop.last }}{% endfor %}",
        "{% for a, b in {'k': 'v'} %}{% endfor %}",
        "{% for i in 1, 2 %}{{ i }}{% endfor %}", "{% for i in (1, 2) %}{{ i }}{% endfor %}", "{% for i in [1] + [2] %}{{ i }}{% endfor %}",
        "{% for i in [1] if true else [2] %}{{ i }}{% endfor %}", "{% for i in 'ab'|list %}{{ i }}{% endfor %}",
        "{% for i in range(3)|reverse %}{{ i }}{% endfor %}", "{% for i in [1, 2]|reverse %}{{ i }}{{ loop.last }}{{ loop.length }}{% endfor %}",
        "{% set g = messages|map(attribute='role') %}{% for x in g %}{{ x }}{% break %}{% endfor %}{% for x in g %}{{ x }}{% endfor %}",
        "{% set g = messages|selectattr('n') %}{{ g|list|length }}{{ g|list|length }}",
        "{% set g = [1, 2]|select %}{% for x in g %}{{ x }}{% if loop.last %}!{% endif %}{% endfor %}{{ g|first }}",
        "{% set g = [1, 2]|map('string') %}{{ g is iterable }}{{ g is sequence }}{{ g is defined }}{{ 'y' if g }}",
        # Frames.
        "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 1 %}{{ x }};{% endfor %}{{ x }}",
        "{% for i in [1, 2] %}{{ y }}{% set y = i %}{{ y }};{% endfor %}{{ y }}",
        "{% for i in [1] %}{{ add_generation_prompt }}{% endfor %}{% set add_generation_prompt = 5 %}{{ add_generation_prompt }}",
        "{% for i in [1] %}{{ bos_token }}{% endfor %}{% if false %}{% set bos_token = 5 %}{% endif %}{{ bos_token }}",
        "{% for i in [1] %}{% for j in [1] %}[{{ bos_token }}]{% endfor %}{% set bos_token = 5 %}{{ bos_token }}{% endfor %}{{ eos_token }}",
        "{% for i in [1] %}{% for j in [1] %}[{{ bos_token }}]{% endfor %}{% set bos_token = 5 %}{{ bos_token }}{% endfor %}{{ bos_token }}",
        "{% macro f() %}[{{ bos_token }}]{% endmacro %}{{ f() }}{% set bos_token = 5 %}{{ f() }}",
        "{{ bos_token }}{% macro f() %}[{{ bos_token }}]{% endmacro %}{{ f() }}{% set bos_token = 5 %}{{ f() }}",
        "{% for i in [1] if bos_token %}x{% endfor %}{% set bos_token = 5 %}", "{% set bos_token = bos_token ~ 'x' %}{{ bos_token }}",
        "{% if true %}{% set bos_token = 'q' %}{% endif %}{% for i in [1] %}{{ bos_token }}{% endfor %}",
        "{% set x %}{{ bos_token }}{% endset %}{{ x }}{% set bos_token = 5 %}", "{% set x %}{% set y = 1 %}{{ y }}{% endset %}[{{ x }}{{ y }}]",
        "{% set y = 0 %}{% set x %}{% set y = 1 %}{{ y }}{% endset %}[{{ x }}{{ y }}]",
        "{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns['a'] }}{{ ns.b is defined }}",
        "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}", "{% set ns = namespace(a=1) %}{% set ns.b, c = 1, 2 %}{{ ns.b }}{{ c }}",
        "{% set ns.x = 1 %}", "{% set a, b = [1, 2] %}{{ a }}{{ b }}", "{% set a, b = 'xy' %}{{ a }}{{ b }}", "{% set a, b = 1 %}",
        "{% set a = 1, 2 %}{{ a|length }}", "{% set a = (1, 2) %}{{ a[1] }}", "{% set a = b = 1 %}",
        "{% set ns = namespace() %}{% set ns.items = 5 %}{{ ns.items }}",
        # Macros.
        "{% macro f(a, b='y') %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(a=3, b=4) }}{{ f(b=5, a=6) }}",
        "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}", "{% macro f(a) %}[{{ a }}]{% endmacro %}{{ f() }}",
        "{% macro f(a) %}{{ a.x }}{% endmacro %}{{ f() }}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}",
        "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
        "{% macro f() %}{% set x = 2 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ f() }}{{ x }}",
        "{% set x = 1 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}", "{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}",
        "{% macro f() %}{{ x }}{% endmacro %}{% for x in [1, 2] %}{{ f() }}{% endfor %}",
        "{% macro f() %} a {% endmacro %}[{{ f()|trim }}][{{ f()|upper }}][{{ f() ~ 1 }}][{{ f() == ' a ' }}]",
        "{% macro f() %}{{ caller() }}{% endmacro %}{% call f() %}x{% endcall %}", "{{ f() }}{% macro f() %}x{% endmacro %}",
        "{% if true %}{% macro f() %}x{% endmacro %}{% endif %}{{ f() }}", "{% for i in [1] %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}",
        "{% macro f(a, a) %}{% endmacro %}", "{% macro f(x=1, y) %}{% endmacro %}",
        "{% macro f() %}{{ loop.index }}{% endmacro %}{% for i in [1] %}{{ f() }}{% endfor %}", "{% macro f(x) %}{{ x|tojson }}{% endmacro %}{{ f({'a': 1}) }}",
        "{% macro f(xs) %}{% for x in xs %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}{% endmacro %}{{ f([1, 2]) }}{{ f('ab') }}",
        "{% macro f() %}x{% endmacro %}{{ f }}", "{% macro f() %}x{% endmacro %}{{ f is defined }}{{ f.name }}",
        "{% macro f() %}x{% endmacro %}{% set g = f %}{{ g() }}", "{% macro f(a) -%}\n  {{ a }}\n{%- endmacro %}[{{ f(1) }}]",
        "{% macro f() %}x{% endmacro f %}{{ f() }}", "{% macro f %}x{% endmacro %}", "{% macro f(a, b) %}{{ varargs }}{% endmacro %}{{ f(1) }}",
        "{% macro f(messages) %}{{ messages }}{% endmacro %}{{ f(1) }}", "{% macro f() %}{{ messages|length }}{% endmacro %}{{ f() }}",
        # Other statements.
        "{% generation %}a{{ bos_token }}{% endgeneration %}", "{% for i in [1, 2] %}{% generation %}{{ i }}{{ loop.index }}{% endgeneration %}{% endfor %}",
        "{% generation %}{% set x = 1 %}{{ x }}{% endgeneration %}[{{ x }}]", "{% for i in [1, 2] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
        "{%- generation -%} a {%- endgeneration -%} b", "{% generation %}x", "{% if true %}a{% generation %}b{% endif %}{% endgeneration %}",
        "{% if 1 if 0 else 2 %}x{% endif %}", "{% if 0, %}x{% endif %}", "{% if not true %}{% elif true %}e{% elif true %}f{% endif %}",
        "{% if true %}{% else %}{% else %}{% endif %}", "{% if true %}{% endfor %}", "{% else %}", "{% elif %}", "{% if true: %}x{% endif %}",
        "{% if(true) %}x{% endif %}", "{%if true%}x{%endif%}", "{% for x in[1]%}{{x}}{%endfor%}", "{{'a'if true}}", "{{1if true else 2}}", "{{ 1or 2 }}",
        "{{ not(1) }}", "{{-1}}", "{{ -1 }}", "{{- 1 -}}", "{{+1}}", "{{ 1 -}} x", "{{ 1 +}} x", "{%- if true +%}\nx{% endif %}", "{%+ set x = 1 %}",
        "{% set x = '%}' %}{{ x }}", "{% set x = \"{{ 'a' }}\" %}{{ x }}", "{{ {'a': {'b': 1}} ['a'] ['b'] }}", "{{ [[[1]]][0][0][0] }}",
        "{{ '{#' }}{# x #}{{ '#}' }}", "{# {{ x }} {% if %} #}a", "{#- a -#}\n b", "a {#+ x +#}\n b", "{% set x = 1 -%}\n\n {{ x }}",
        "\n{% set x = 1 %}\n{{ x }}\n\n", " {% if true %} \n a {% endif %} \n b", "{% if true %}{% endif %}\n\na", "a\n  {%- set x = 1 %}\n  b",
        "a\r\n{% set x = 1 %}\r\nb\rc", "{{ 'a\nb' }}", "{{ 'a\\\nb' }}", "{%\nset x = 1\n%}{{\nx\n}}", "{% set\tx = 1 %}{{ x }}", "{{ x\u00a0}}",
        "{% with a = 1 %}{{ a }}{% endwith %}", "{% raw %}{{ a }}{% endraw %}", "{% filter upper %}a{% endfilter %}", "{% block b %}x{% endblock %}",
        "{% do 1 %}", "{% import 'a' as b %}", "{% print(1) %}", "{% set é = 1 %}", "{{ é }}", "{% set true = 1 %}", "{% set loop = 1 %}",
        "{% for loop in [1] %}{% endfor %}", "{% set range = 1 %}{{ range }}", "{% set namespace = 1 %}", "{% set none = 1 %}{{ none }}",
        "{% for true in [1] %}{% endfor %}", "{% set x.y.z = 1 %}", "{% set x[0] = 1 %}", "{% set 'a' = 1 %}",
        "{% set x %}a{% endset %}{% set x %}{{ x }}b{% endset %}{{ x }}", "{% set x | upper %}a{% endset %}{{ x }}",
    ]


NAMES = ["x", "y", "bos_token", "missing"]


def random_program(r, depth, in_loop, macros):
    """Statements that set and print the same few names in frames within each other."""
    out = []
    for _ in range(r.randint(1, 4)):
        kind, name, other = r.random(), r.choice(NAMES), r.choice(NAMES)
        if kind < 0.25:
            out.append("{{ " + name + " }}")
        elif kind < 0.45:
            out.append("{% set " + name + " = " + r.choice(["1", "'v'", other + " ~ 'w'", "[1, 2]|length", other]) + " %}")
        elif kind < 0.5:
            out.append("{% set ns.v = ns.v ~ " + r.choice(["1", name]) + " %}{{ ns.v }}")
        elif kind < 0.55 and macros:
            out.append("{{ " + r.choice(macros) + "(" + r.choice(["", name, "1, 2"]) + ") }}")
        elif depth == 0:
            out.append(r.choice([".", ";", "{{ " + name + " is defined }}"]))
        elif kind < 0.7:
            body = random_program(r, depth - 1, in_loop, macros)
            out.append("{% if " + r.choice(["true", "false", name, name + " is defined"]) + " %}" + body + r.choice(["", "{% else %}" + random_program(r, depth - 1, in_loop, macros)]) + "{% endif %}")
        elif kind < 0.88:
            items = r.choice(["[1, 2]", "'ab'", "[]", "range(3)", "[" + name + "]"])
            condition = r.choice(["", "", "", " if " + r.choice([name, other + " is defined", "ns.v|length < 4"])])
            body = random_program(r, depth - 1, True, macros) + r.choice(["", "", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.length }}", "{% if loop.first %}{% continue %}{% endif %}", "{% break %}"])
            out.append("{% for " + r.choice([name, "i"]) + " in " + items + condition + " %}" + body + r.choice(["", "{% else %}" + random_program(r, depth - 1, in_loop, macros)]) + "{% endfor %}")
        elif kind < 0.94:
            out.append("{% set " + name + " %}" + random_program(r, depth - 1, False, macros) + "{% endset %}")
        else:
            out.append("{% generation %}" + random_program(r, depth - 1, False, macros) + "{% endgeneration %}")
    return "".join(out)


def programs():
    r = random.Random(12)
    for _ in range(600):
        macros = []
        out = ["{% set ns = namespace(v='') %}"]
        for _ in range(r.randint(1, 3)):
            if r.random() < 0.4 and len(macros) < 2:
                macro = "fg"[len(macros)]
                out.append("{% macro " + macro + "(" + r.choice(["", "a", "x, y='d'", "bos_token=x"]) + ") %}" + random_program(r, 2, False, macros) + "{% endmacro %}")
                macros.append(macro)
            out.append(random_program(r, 3, False, macros))
        yield "".join(out)
