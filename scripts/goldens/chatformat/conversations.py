"""The conversations that make.py renders."""


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
