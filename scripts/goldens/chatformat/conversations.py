"""The conversations and little templates that make.py renders."""

import random


def function(name, description="", parameters=None, **extra):
    return {"name": name, "description": description, "parameters": parameters or {"type": "object", "properties": {}}, **extra}


def wrapped(fn):
    return {"type": "function", "function": fn}


WEATHER = function("get_weather", "查询天气 <b>&'\"now\"</b>", {
    "type": "object",
    "properties": {"location": {"type": "string", "description": "城市, e.g. \"Paris\""}, "unit": {"enum": ["c", "f"], "type": "string"}},
    "required": ["location"],
})
ODD_KEYS = {"zeta": 1, "parameters": {"required": [], "properties": {"b": {"type": "integer"}, "a": {"type": ["string", "null"]}}, "type": "object"},
            "description": "keys in an odd order", "name": "odd", "alpha": {}}
NUMBERS = function("numbers", "n", {"values": [
    0, -1, 1.0, -0.0, 0.1, 1e-05, 1e-4, 1e15, 1e16, 1e17, 1.5e300, 123456789012345678, 123456789012345678901234567890, -98765432109876543210,
    3.141592653589793, 2.5e-10, 100.0, 1e22, 123456.789, 5e-324, 1.7976931348623157e308, 0.30000000000000004, 9007199254740993, 1e100],
    "true": True, "false": False, "null": None, "empty": [], "nothing": {}, "nested": [[], [[]], {"a": []}, [{}]]})
ESCAPES = function("escapes", "tab\there, newline\nhere, return\r, quote \" backslash \\ slash / bell \x07 backspace \b feed \f nul \x00 del \x7f"
                   " nbsp \u00a0 ls \u2028 bom \ufeff astral \U0001f600 family \U0001f468\u200d\U0001f469 cjk 漢字 <script>&amp;'</script>")
UNICODE_KEYS = function("键", "名字是中文", {"type": "object", "properties": {"城市": {"type": "string"}, "a\"b": {"const": "é"}, "": {}}})


def deep(n):
    return {"name": "leaf"} if n == 0 else {"type": "object", "properties": {f"level{n}": deep(n - 1), "list": [n, [n]]}}


DEEP = function("deep", "deep", deep(12))
TOOL_SETS = {
    "weather": [WEATHER], "odd keys": [ODD_KEYS], "numbers": [NUMBERS], "escapes": [ESCAPES], "unicode keys": [UNICODE_KEYS], "deep": [DEEP],
    "all": [WEATHER, ODD_KEYS, NUMBERS, ESCAPES, UNICODE_KEYS, DEEP], "minimal": [{"name": "minimal"}],
}
BUILTINS = {
    "python": [{"type": "python"}], "simple_browser": [{"type": "simple_browser"}], "cogview": [{"type": "cogview"}],
    "all three": [{"type": "simple_browser"}, {"type": "python"}, {"type": "cogview"}],
    "mixed": [wrapped(WEATHER), {"type": "python"}, wrapped(ODD_KEYS), {"type": "cogview", "note": "ignored"}],
}


def user(content):
    return {"role": "user", "content": content}


def system(content):
    return {"role": "system", "content": content}


def assistant(content, **extra):
    return {"role": "assistant", "content": content, **extra}


def observation(content):
    return {"role": "observation", "content": content}


def call(name, arguments):
    return assistant(arguments, metadata=name)


PARIS = call("get_weather", '{"location": "Paris"}')
PLAIN = {
    "one user": [user("Hello")],
    "chinese": [user("你好，请介绍一下你自己。")],
    "emoji": [user("👩‍👩‍👧‍👦 🇨🇳 ✌🏽 e\u0301 \u200b|\u200d|")],
    "markup": [user("<b>\"quotes\" & 'single'</b> {{ jinja }} {% raw %} {# note #} \\n \\u0041 ${x} %s")],
    "code": [user("```go\nfunc main() {\n\tfmt.Println(\"hi\")\n}\n```\n")],
    "long": [user("lorem ipsum " * 200)],
    "many lines": [user("\n\n\nfirst\n\n  second\n\n\n")],
    "empty user": [user("")],
    "blank user": [user("   ")],
    "blank lines": [user(" \n\t\n ")],
    "odd spaces": [user("\u3000\u00a0\x1c\x1f\x85\u2028hi\u2029\u202f\u205f\u180e\u200b\ufeff\x0b\x0c ")],
    "carriage returns": [user("a\r\nb\rc\r\n")],
    "control characters": [user("nul \x00 bell \x07 escape \x1b[31m del \x7f")],
    "leading newline": [user("\nhello")],
    "trailing newline": [user("hello\n")],
    "system first": [system("You are brief."), user("Hi")],
    "system in the middle": [user("Hi"), system("Now speak French."), assistant("Bonjour"), user("Ça va ?")],
    "system last": [user("Hi"), system("Answer in Latin.")],
    "several systems": [system("One."), system("Two."), user("Hi"), system("Three."), assistant("Yes"), user("More")],
    "only system": [system("Alone.")],
    "empty system": [system(""), user("Hi")],
    "system with blanks": [system("  padded \n"), user("Hi")],
    "system with think": [system("Use <think>x</think> tags."), user("Hi")],
    "two turns": [user("Hi"), assistant("Hello!"), user("How are you?")],
    "six turns": [user("1"), assistant("2"), user("3"), assistant("4"), user("5"), assistant("6")],
    "assistant first": [assistant("Welcome."), user("Thanks")],
    "assistant last": [user("Hi"), assistant("Hello")],
    "only assistant": [assistant("Hm.")],
    "two users in a row": [user("a"), user("b")],
    "two assistants in a row": [user("a"), assistant("b"), assistant("c"), user("d")],
    "empty assistant": [user("Hi"), assistant(""), user("?")],
    "blank assistant": [user("Hi"), assistant(" \n "), user("?")],
    "thought in history": [user("1+1?"), assistant("<think>\nIt is 2.\n</think>\n\nTwo."), user("Sure?")],
    "two thoughts": [user("?"), assistant("<think>a</think>b<think>c</think>\n d \n"), user("!")],
    "thought without opening": [user("?"), assistant("thinking...</think>Answer"), user("!")],
    "thought without end": [user("?"), assistant("<think>never ends"), user("!")],
    "only a thought": [user("?"), assistant("<think>x</think>"), user("!")],
    "user types think": [user("What is </think> for? <think>"), assistant("A tag.")],
    "user ends with think": [user("x</think>")],
    "almost think": [user("</think </thin> < /think>")],
    "call": [user("Weather?"), PARIS],
    "call and observation": [user("Weather in Paris?"), PARIS, observation('{"temp": 21.5}')],
    "call, observation, answer": [user("Weather?"), PARIS, observation("sunny"), assistant("It is sunny."), user("Thanks")],
    "several calls": [user("Paris and Rome?"), PARIS, call("get_weather", '{"location": "Rome"}'), observation("21"), observation("27")],
    "call with text before": [user("Weather?"), assistant("Let me look."), PARIS, observation("rain")],
    "call with empty arguments": [user("Now"), call("now", "{}"), observation("12:00")],
    "call with no content": [user("Now"), call("now", ""), observation("12:00")],
    "call with chinese": [user("天气"), call("查询", '{"城市": "北京"}'), observation("晴，25℃")],
    "call with spread arguments": [user("x"), call("f", '{\n  "a": [1, 2],\n  "b": "</think>"\n}'), observation("ok")],
    "empty metadata": [user("x"), assistant("y", metadata=""), user("z")],
    "null metadata": [user("x"), assistant("y", metadata=None), user("z")],
    "metadata with blanks": [user("x"), assistant("{}", metadata=" f "), user("z")],
    "metadata on user": [{"role": "user", "content": "x", "metadata": "m"}, assistant("y")],
    "metadata on observation": [user("x"), {"role": "observation", "content": "o", "metadata": "m"}],
    "observation first": [observation("out of nowhere")],
    "observation markup": [user("x"), observation("<html>&nbsp;\n\n  </html>\n")],
    "empty observation": [user("x"), observation(""), assistant("y")],
    "reasoning": [user("x"), assistant("y", reasoning_content="because"), user("z")],
}


def conversations(family):
    """Yields every conversation for a template: a GLM-4 family's name, or "foreign"."""

    def one(name, messages, generate, tools=None):
        c = {"name": f"{name}{', prompt' if generate else ''}", "messages": messages, "add_generation_prompt": generate}
        if tools is not None:
            c["tools"] = tools
        return c

    for name, messages in PLAIN.items():
        if family == "foreign" and name == "empty metadata":
            continue  # a chatformat.Message does not tell it from none; the GLM-4 templates do not either
        for generate in (True, False):
            yield one(name, messages, generate)

    if family == "glm-4-9b-chat":
        for name, tools in {**TOOL_SETS, "none": []}.items():
            with_type = [wrapped(t) for t in tools]
            yield one(f"system with {name}", [{**system("Be brief."), "tools": with_type}, user("Hi")], True)
            yield one(f"empty system with {name}", [{**system(""), "tools": with_type}, user("Hi")], True)
            yield one(f"bare {name}", [{**system(""), "tools": tools}, user("Hi")], True)
            yield one(f"user with {name}", [user("Hi"), assistant("Yo"), {**user("Go"), "tools": with_type}], False)
        for name, tools in BUILTINS.items():
            yield one(f"builtin {name}", [{**system(""), "tools": tools}, user("画一只猫"), PARIS, observation("ok")], True)
            yield one(f"builtin {name}, system", [{**system("S"), "tools": tools}, user("Hi")], False)
        yield one("template tools are ignored", [user("Hi")], True, [wrapped(WEATHER)])
        yield one("extra key", [{**system(""), "tools": [{"type": "function", "function": WEATHER, "strict": True}]}, user("Hi")], True)
        return
    for name, tools in TOOL_SETS.items():
        with_type = [wrapped(t) for t in tools]
        yield one(f"tools {name}", [user("Hi")], True, with_type)
        yield one(f"bare tools {name}", [user("Hi")], True, tools)
        yield one(f"tools {name}, system", [system("Be brief."), user("Hi"), PARIS, observation("21")], True, with_type)
        yield one(f"tools {name}, no prompt", [user("Hi"), assistant("Hello")], False, with_type)
    yield one("no tools", [user("Hi")], True, [])
    yield one("mixed wrapping", [user("Hi")], True, [wrapped(WEATHER), ODD_KEYS, {"type": "python"}])
    yield one("extra key", [user("Hi")], True, [{"strict": True, "function": WEATHER, "type": "function"}])
    yield one("type without function", [user("Hi")], True, [{"type": "function", **WEATHER}])


def expressions():
    """Little templates, each of which must come out the same or be refused."""
    m = "{% set m = messages[1] %}{% set c = m.content %}{% set s = messages[2].content %}"
    values = [
        "none", "None", "true", "false", "True", "1", "-1", "1.5", "1.0", "1e3", "'a'", '"b"', "''", "[]", "[1, 'a', none]", "(1, 2)", "(1,)", "{}", "{'a': 1}",
        "missing", "missing.x", "missing['x']", "m.missing", "m.missing.x", "m.role", "m['role']", "m.n", "m.x", "m.flag", "m.list", "m.list[0]", "m.list[-1]", "m.list[5]",
        "m.list[-2]", "m.list[-3]", "[7][-1]", "['x', 'y'][1]", "'abc'[0]", "'abc'[-1]", "'a'[-1]", "'你好'[0]", "c[0]", "c[1]", "c[-1]", "c[1:3]", "c[:5]", "c[-3:]", "c[::-1]", "c[::2]",
        "m.list[1:]", "m.list[:-1]", "messages[1:]|length", "messages[::-1]|length", "messages|length", "messages[-1].role", "messages[-1]['content']",
        "messages[0].content.strip()", "messages[0]['content']|trim", "c.upper()", "c|upper", "'abc'.upper()", "'ABC'|lower", "'Straße'.upper()", "s.split(',')", "s.split(',')[0]",
        "s.split(',')[-1]", "s.split(',')|length", "'x'.split(',')[-1]", "''.split(',')|length", "' a  b '.split()|length", "' a  b '.split()[0]", "s.split(',', 1)[1]", "s.split(',', 1)[-1]", "s.split('')", "'a\\nb'.split('\\n')[1]",
        "s.replace(',', ';')", "s.replace(',', ';', 1)", "s|replace(',', '-')", "s.startswith('a')", "s.endswith('c')", "s.startswith('b')", "s.find('b')", "'--a--'.strip('-')", "'--a--'.lstrip('-')", "'--a--'.rstrip('-')", "'abc'.strip('ac')",
        "', '.join(m.list)", "m.list|join(', ')", "m.list|join", "[1, 2]|join('-')", "m.list|first", "m.list|last", "[]|first", "[]|last", "'abc'|first", "'abc'|last", "c|length", "'你好'|length", "m.list|length", "missing|length",
        "missing|default('d')", "none|default('d')", "''|default('d')", "''|default('d', true)", "missing|d('e')", "''|default('d', boolean=true)", "m.n|string", "'x'|string ~ 1", "m.list|tojson", "m|tojson", "m|tojson(indent=2)", "c|tojson", "c|tojson(ensure_ascii=true)", "c|tojson(ensure_ascii=False)", "none|tojson", "true|tojson", "1.0|tojson", "{'b': 1, 'a': [none, true]}|tojson", "missing|tojson",
        "1 + 2", "1 - 2", "2 * 3", "7 / 2", "6 / 2", "7 // 2", "-7 // 2", "7 % 3", "-7 % 3", "7 % -3", "2 ** 3", "1 + 1.5", "1.5 * 2", "'a' + 'b'", "'a' + 1", "1 + 'a'", "'a' * 3", "'a' ~ 1", "'a' ~ none", "'a' ~ missing", "'a' ~ true", "'a' ~ 1.0", "1 ~ 2", "'a' + missing", "missing + 'a'", "'a' + none", "[1] + [2]", "'%s' % 'x'",
        "1 + 2 * 3", "(1 + 2) * 3", "1 ~ 2 + 3", "1 + 2 ~ 3", "10 - 2 - 3", "2 * 3 % 4", "-1 + 2", "- m.n", "1 / 0", "1 % 0",
        "1 == 1", "1 == 1.0", "1 == true", "'1' == 1", "none == none", "none == missing", "missing == missing", "missing == ''", "missing == false", "'a' == 'a'", "'a' != 'b'", "m.list == ['a', 'b']", "[1] == [1.0]", "{'a': 1} == {'a': 1}",
        "1 < 2", "2 <= 2", "'a' < 'b'", "'Z' < 'a'", "'é' < 'z'", "1 < 2 < 3", "3 > 2 > 1", "1 < 'a'", "none < 1", "missing < 1", "1 == 1 == 1", "true and false", "'' or 'x'", "'a' and 'b'", "'' and 'b'", "none or missing", "not ''", "not 'a'", "not none", "not missing", "not 0", "not []", "not not 1", "not 1 == 2", "not 1 and 0", "1 or 0 and 0", "(1 or 0) and 0",
        "'a' in 'abc'", "'d' in 'abc'", "'a' in m.list", "'a' not in m.list", "'role' in m", "'nope' in m", "1 in m.list", "1 in 'abc'", "'a' in missing", "'a' in none", "not 'a' in m.list", "'a' in ['a'] and true", "'a' in m.list and 'c' in m.list", "'a' in ['a', 'b'][:1]", "'a' ~ 'b' in 'abc'", "'' in 'a'", "1 in [1.0]", "'a' in m.list|list", "'x' in s.split(',')", "1 in missing|default([1])", "'x' in m.role|replace('user', 'x')", "not 1 in missing|default([1])", "true and 1 in missing|default([1])",
        "m is defined", "missing is defined", "missing is not defined", "m.missing is defined", "m.missing is undefined", "none is none", "missing is none", "c is string", "m is string", "m is mapping", "m.list is mapping", "m.list is iterable", "c is iterable", "m.n is iterable", "m.list is sequence", "c is sequence", "m is sequence", "m.n is number", "m.x is number", "m.flag is number", "m.n is integer", "m.flag is integer", "m.x is float", "m.flag is boolean", "m.flag is true", "m.flag is false", "m.n is true", "c is not string", "m.n is odd", "m.n is even", "m.n is eq 3", "m.n is equalto(3)", "m.n is divisibleby 3", "1 + 1 is number", "'a' + 'b' is string", "1 == 1 is true", "not m is defined", "m is defined and m.n == 3", "missing is defined and missing.x", "m is defined or missing.x", "m.missing is none or 1", "m is defined == true", "'x' if m is defined else 'y'", "'x' if missing else 'y'", "'x' if missing", "'x' if 1 == 2 else 'y' if 1 == 1 else 'z'", "('x' if 1 else 'y') ~ '!'", "'a' ~ ('x' if missing else 'y')",
        "m.get('role')", "m.get('nope')", "m.get('nope', 'd')", "m.get('nope', '')", "m.items()|length", "m.items()|list|length", "m.keys()|list", "m.items", "m.keys", "c.foo", "c.strip", "m.n.foo", "none.foo", "m.list.foo", "m.list.append('c')", "m.update({'a': 1})", "m['items']", "m.list['a']", "c['a']", "m[0]", "m.list[none]",
        "c|trim", "messages[0].content|trim|length", "missing|trim", "none|trim", "m.n|trim", "'  x '|trim ~ '!'", "'--x--'|trim('-')", "c|upper|lower", "m.list|reverse|list", "m.list|map('upper')|list", "messages|selectattr('role', 'equalto', 'user')|list|length", "messages|map(attribute='role')|join(',')", "m.list|sort", "c|safe", "c|e", "c|escape", "c|capitalize", "c|title", "c|wordcount", "c|int", "'3'|int + 1", "m.x|int", "m.x|round", "-1|abs", "(1 - 3)|abs", "m|items|list|length", "m|length", "m|list", "m|dictsort|length", "c|indent", "c|unknown", "c is unknown", "c.unknown()", "unknown()", "c()", "range(3)|list", "range(1, 7, 2)|list", "range(3)|length", "range(3)", "dict(a=1).a", "namespace(a=1).a", "namespace(a=1).b", "raise_exception('no')", "strftime_now('%Y-%m-%d')", "strftime_now('%d %b %Y')", "strftime_now('%A %B %H:%M:%S %y %j %p %I %a %%')", "strftime_now('%-d')", "lipsum", "cycler('a', 'b').next()", "joiner()", "self", "loop", "bos_token", "eos_token ~ '|'", "pad_token", "documents", "tools", "tools is none", "tools is defined", "add_generation_prompt", "documents is none",
        "'a' 'b'", "'\\n'|length", "'\\\\'|length", "'\\''", "\"\\\"\"", "'\\t|'", "'\\u4f60'", "'\\x41'", "'\\d'", "'}}'", "'%}'", "'{{ x }}'", "'{% if %}'", "'{#'", "'#}'", "'{'", '"it\'s"', "'你好'", "'\U0001f600'", "1_000", "010", "0x10", "1.", ".5", "'a'.upper().lower()", "('a' ~ 'b').upper()", "(m.list)[0]", "{'a': {'b': [1, 2]}}.a.b[1]", "{'a': 1}['a']", "{'a': 1, 'a': 2}.a", "[1, 2,]|length", "[[1, 2], [3]][1][0]", "m['con' ~ 'tent']|length", "messages[1 - 1].role", "messages[m.n - 2].role",
    ]
    for v in values:
        yield m + "[{{ " + v + " }}]"
    yield from [
        # White space control
        "a {{ 'b' }} c\n", "a\n{{ 'b' }}\nc\n\n", "a \n  {% if true %}\n  b\n  {% endif %}\nc", "a {% if true %} b {% endif %} c", "a  {%- if true -%}  b  {%- endif -%}  c", "a\n\n{%- if true %}\n\nb{% endif %}",
        "x{# note #}y", "  {# note #}\n y", "x {#- note -#} y", "a\n  {%+ if true %}\n b{% endif %}", "a {% if true +%}\nb{% endif %}", "{{- 'a' -}}  b", " {{- 'a' }} ", "\t{% set x = 1 %}\t{{ x }}", "text {% set x = 1 %}\n{{ x }}",
        "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n", "{% raw %}{{ x }}{% endraw %}", "{% if true %}\n\n\nb\n{% endif %}\n\n", "{{ '{{' }}{{ '}}' }}", "a{{'}'}}b{{ {'a': {'b': 1}}.a.b }}c", "{% if '%}' == '%}' %}yes{% endif %}", "  {%- set x = '-' -%}  {{ x }}  ",
        "line\n   {{ 'kept' }}\n", "Hello {% if true %}x{% endif %}", "{ {{ 1 }} } {% if true %}{ % }{% endif %}", "\n\na", "a\n", "a\n\n", "\n", "", "   ", "{# a #}{# b\n #}\nc", "{% if true -%}\n  x\n{%- endif %}\n  y", "你好{% if true %}\n世界{% endif %}\n",
        # Statements and scopes
        "{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}", "{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}", "{% if messages[0].role == 'system' %}S{% else %}N{% endif %}", "{% if true %}{% set x = 1 %}{% endif %}{{ x }}", "{% if false %}{% set x = 1 %}{% endif %}[{{ x }}]",
        "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }};{% endfor %}", "{% for m in messages %}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.role }}{% endfor %}", "{% for m in messages[1:] %}{{ m.role }}{% endfor %}", "{% for m in [] %}x{% else %}empty{% endfor %}", "{% for m in [1] %}x{% else %}empty{% endfor %}", "{% for m in missing %}x{% endfor %}|", "{% for m in none %}x{% endfor %}|", "{% for m in 3 %}x{% endfor %}|",
        "{% for c in 'añ你' %}{{ c }}.{% endfor %}", "{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}", "{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in {'b': 1}|items %}{{ k }}={{ v }};{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }};{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}", "{% for m in messages %}{{ loop.previtem.role }}<{{ m.role }}>{{ loop.nextitem.role }};{% endfor %}", "{% for m in messages %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}",
        "{% set x = 0 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "{% set ns = namespace(x=0) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "{% set ns = namespace(found=false, s='') %}{% for m in messages %}{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{% set ns.s = ns.s ~ m.role %}{% endif %}{% endfor %}{{ ns.found }}{{ ns.s }}", "{% set ns = namespace() %}{% set ns.y = [1] %}{{ ns.y }}", "{% set ns = namespace({'a': 1}) %}{{ ns.a }}", "{% set x = {} %}{% set x.a = 1 %}{{ x }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x %}block {{ 1 }}{% endset %}[{{ x }}]", "{% set x = 1 if false else 2 %}{{ x }}", "{% set x = 1 if false %}[{{ x }}]", "{% set messages = messages[1:] %}{{ messages|length }}", "{% if true %}{% set messages = messages[1:] %}{% endif %}{{ messages[0].role }}",
        "{% for i in [1, 2] %}{% for j in [3, 4] %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}", "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in [1] %}{% set y = i %}{% endfor %}[{{ y }}]", "{% for i in [1] %}{% endfor %}[{{ i }}][{{ loop }}]", "{% for i in [1, 2] %}{% if loop.first %}{% set z = 'f' %}{% endif %}{{ z }}{% endfor %}", "{% for i in [1, 2] %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in [[1, [2]]] recursive %}x{% endfor %}", "{% set i = 9 %}{% for i in [1] %}{{ i }}{% endfor %}{{ i }}", "{% for i in [1, 2] if i > loop.index %}{{ i }}{% endfor %}",
        "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(1) }}", "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% block a %}b{% endblock %}", "{% filter upper %}a{% endfilter %}", "{% with x = 1 %}{{ x }}{% endwith %}", "{% call f() %}{% endcall %}", "{% do x %}", "{% autoescape true %}{{ '<' }}{% endautoescape %}", "{% generation %}x{% endgeneration %}", "{% trans %}x{% endtrans %}", "{% if %}x{% endif %}", "{% if true %}x", "{% endif %}", "{{ }}", "{{ 1", "{% set = 1 %}", "{{ 1 + }}", "{{ (1 }}", "{{ 'a }}", "{{ a b }}", "{% for in x %}{% endfor %}", "{% unknown %}", "{# never closed", "{{ m. }}", "}} %} #}", "{ { } }",
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
