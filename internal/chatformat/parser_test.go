package chatformat

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/jinja"
)

// boundary stands for the control token <|assistant|> in these tests' replies.
const boundary = "\x00"

// read feeds pieces to a parser and adds the deltas up.
func read(p *Parser, pieces ...string) Message {
	m, _ := readMalformed(p, pieces...)
	return m
}

// readMalformed also gives the beginnings of what looked like a call.
func readMalformed(p *Parser, pieces ...string) (m Message, malformed []string) {
	m.Role = Assistant
	add := func(deltas []Delta) {
		for _, d := range deltas {
			m.Add(d)
			if d.Malformed {
				malformed = append(malformed, d.Text)
			}
		}
	}
	for _, piece := range pieces {
		for i, turn := range strings.Split(piece, boundary) {
			if i > 0 {
				add(p.Boundary())
			}
			add(p.Write(turn))
		}
	}
	add(p.Close())
	return m, malformed
}

func toolsNamed(names ...string) []Tool {
	var tools []Tool
	for _, name := range names {
		tools = append(tools, Tool{Name: name, JSON: []byte(`{"name": "` + name + `"}`)})
	}
	return tools
}

func format(t testing.TB, name string) Format {
	f, err := ByName(name)
	require.NoError(t, err)
	return f
}

func calls(nameArguments ...string) []ToolCall {
	var list []ToolCall
	for i := 0; i < len(nameArguments); i += 2 {
		list = append(list, ToolCall{nameArguments[i], nameArguments[i+1]})
	}
	return list
}

var replies = []struct {
	name, format, reply string
	force               string
	content, reasoning  string
	calls               []ToolCall
}{
	{name: "newline of the answer's start", reply: "\nHello", content: "Hello"},
	{name: "only one newline goes", reply: "\n\nHello\n", content: "\nHello\n"},
	{name: "no newline", reply: "Hello", content: "Hello"},
	{name: "blank before the newline stays", reply: " \nHello", content: " \nHello"},
	{name: "empty", reply: "", content: ""},
	{name: "only the newline", reply: "\n", content: ""},
	{name: "think is text in 0414", reply: "\n<think>\nx</think>y", content: "<think>\nx</think>y"},
	{name: "think is text in 9b-chat", format: glm4ChatName, reply: "\n<think>x", content: "<think>x"},

	{name: "call", reply: "get\n{\"a\": 1}", calls: calls("get", `{"a": 1}`)},
	{name: "call behind the newline", reply: "\nget\n{\"a\": 1}\n", calls: calls("get", `{"a": 1}`)},
	{name: "call, blank behind the name", reply: "get \n{\"a\": 1}", calls: calls("get", `{"a": 1}`)},
	{name: "call, blanks around", reply: "\n  get\t\r\n  {\"a\":\n 1}  \n \n", calls: calls("get", "{\"a\":\n 1}")},
	{name: "arguments as the model wrote them", reply: "get\n{ \"b\":[1.0,{}],\n\"a\" : \"\\u4f60}\\\"{\" }",
		calls: calls("get", "{ \"b\":[1.0,{}],\n\"a\" : \"\\u4f60}\\\"{\" }")},
	{name: "longer name with the same beginning", reply: "get_weather\n{}", calls: calls("get_weather", "{}")},
	{name: "chinese name", reply: "查询\n{\"城市\": \"北京\"}", calls: calls("查询", `{"城市": "北京"}`)},
	{name: "undeclared name", reply: "\nother\n{\"a\": 1}", content: "other\n{\"a\": 1}"},
	{name: "name in another case", reply: "Get\n{}", content: "Get\n{}"},
	{name: "name with more behind", reply: "get it\n{}", content: "get it\n{}"},
	{name: "name and JSON on one line", reply: "get {\"a\": 1}", calls: calls("get", `{"a": 1}`)},
	{name: "name and JSON without a blank", reply: "\nget_weather{\"a\": 1}\n", calls: calls("get_weather", `{"a": 1}`)},
	{name: "name and JSON on one line behind prose", reply: "\nI use get {}", content: "I use get {}"},
	{name: "name and JSON on one line with prose behind", reply: "get {} is a call", content: "get {} is a call"},
	{name: "name alone", reply: "\nget", content: "get"},
	{name: "name and newline", reply: "get\n", content: "get\n"},
	{name: "beginning of a name", reply: "ge", content: "ge"},
	{name: "array", reply: "get\n[1]", content: "get\n[1]"},
	{name: "string", reply: "get\n\"x\"", content: "get\n\"x\""},
	{name: "truncated JSON", reply: "get\n{\"a\": [1, ", content: "get\n{\"a\": [1, "},
	{name: "bad JSON", reply: "get\n{'a': 1}", content: "get\n{'a': 1}"},
	{name: "trailing comma", reply: "get\n{\"a\": 1,}", content: "get\n{\"a\": 1,}"},
	{name: "bad number", reply: "get\n{\"a\": 01}", content: "get\n{\"a\": 01}"},
	{name: "bad literal", reply: "get\n{\"a\": nul}", content: "get\n{\"a\": nul}"},
	{name: "bad escape", reply: "get\n{\"a\": \"\\x\"}", content: "get\n{\"a\": \"\\x\"}"},
	{name: "newline in a string", reply: "get\n{\"a\": \"x\ny\"}", content: "get\n{\"a\": \"x\ny\"}"},
	{name: "wrong bracket", reply: "get\n{\"a\": [1}", content: "get\n{\"a\": [1}"},
	{name: "prose behind", reply: "get\n{\"a\": 1}\nis what I would call",
		content: "get\n{\"a\": 1}\nis what I would call"},
	{name: "prose behind on the line", reply: "get\n{} ok", content: "get\n{} ok"},
	{name: "two objects", reply: "get\n{}{}", content: "get\n{}{}"},
	{name: "call after a false start", reply: "get\n{\nget\n{\"a\": 1}", content: "get\n{",
		calls: calls("get", `{"a": 1}`)},
	{name: "call after a name", reply: "get\nget\n{\"a\": 1}", content: "get", calls: calls("get", `{"a": 1}`)},

	{name: "call in the middle", reply: "\nLet me see.\nget\n{\"a\": 1}", content: "Let me see.",
		calls: calls("get", `{"a": 1}`)},
	{name: "call behind an empty line", reply: "\nLet me see.\n\nget\n{\"a\": 1}\n", content: "Let me see.\n",
		calls: calls("get", `{"a": 1}`)},
	{name: "name in the middle of a line", reply: "\nI use get\n{\"a\": 1}", content: "I use get\n{\"a\": 1}"},
	{name: "indented name in the middle", reply: "\nSee:\n  get\n{\"a\": 1}", content: "See:\n  get\n{\"a\": 1}"},
	{name: "undeclared name in the middle", reply: "\nSee:\nother\n{\"a\": 1}", content: "See:\nother\n{\"a\": 1}"},
	{name: "call in the middle with prose behind", reply: "a\nget\n{}\nb", content: "a\nget\n{}\nb"},
	{name: "call behind a call that was prose", reply: "a\nget\n{}\nb\nget\n{\"c\": 1}", content: "a\nget\n{}\nb",
		calls: calls("get", `{"c": 1}`)},
	{name: "two calls in a turn", reply: "get\n{\"a\": 1}\n查询\n{}\n", calls: calls("get", `{"a": 1}`, "查询", "{}")},
	{name: "second call truncated", reply: "get\n{\"a\": 1}\n查询\n{", content: "get\n{\"a\": 1}\n查询\n{"},

	{name: "call in a code block", reply: "\nLet me look.\n\n```json\nget_weather\n{\"city\": \"Paris\"}\n```\n",
		content: "Let me look.\n", calls: calls("get_weather", `{"city": "Paris"}`)},
	{name: "call in a code block without info", reply: "\n```\nget\n{\n  \"a\": 1\n}\n```", calls: calls("get", "{\n  \"a\": 1\n}")},
	{name: "call whose name is the info", reply: "See:\n```get\n{\"a\": 1}\n```", content: "See:",
		calls: calls("get", `{"a": 1}`)},
	{name: "arguments in a code block", reply: "See:\nget \n```json\n{\"a\": 1}\n``` \n", content: "See:",
		calls: calls("get", `{"a": 1}`)},
	{name: "end of a code block behind the call", reply: "```\nget {}```", calls: calls("get", "{}")},
	{name: "code block without end", reply: "```json\nget\n{}\n", calls: calls("get", "{}")},
	{name: "code block ends half", reply: "```json\nget\n{}\n``", content: "```json\nget\n{}\n``"},
	{name: "two calls in a code block", reply: "```\nget\n{}\n\n查询\n{}\n```", calls: calls("get", "{}", "查询", "{}")},
	{name: "two code blocks", reply: "A\n```\nget\n{}\n```\n\n```json\n查询\n{}\n```\n", content: "A",
		calls: calls("get", "{}", "查询", "{}")},
	{name: "code block that opens twice", reply: "```\nget\n{}\n```json\n", content: "```\nget\n{}\n```json\n"},
	{name: "code block with prose behind", reply: "So:\n```json\nget\n{}\n```\nis a call.",
		content: "So:\n```json\nget\n{}\n```\nis a call."},
	{name: "code block with other text", reply: "So:\n```json\n{\"a\": 1}\n```", content: "So:\n```json\n{\"a\": 1}\n```"},
	{name: "call at the end of a code block of text", reply: "```sh\n# so:\nget\n{}\n```",
		content: "```sh\n# so:\nget\n{}\n```"},
	{name: "call behind a code block", reply: "```sh\nls\n```\nget\n{}", content: "```sh\nls\n```",
		calls: calls("get", "{}")},
	{name: "code block behind a code block", reply: "  ````sh\n```\nget\n````\n```\nget\n{}\n```",
		content: "  ````sh\n```\nget\n````", calls: calls("get", "{}")},
	{name: "code in a line", reply: "```get``` is it\nget\n{}", content: "```get``` is it", calls: calls("get", "{}")},
	{name: "call behind a broken one in a code block", reply: "```\nget\n{x\n```\nget\n{}", content: "```\nget\n{x\n```",
		calls: calls("get", "{}")},
	{name: "code block within one", reply: "```\nget\n```json\n{}\n```\n```", content: "```\nget\n```json\n{}\n```\n```"},
	{name: "code block in the next turn", reply: "```sh\nls" + boundary + "get\n{}", content: "```sh\nls",
		calls: calls("get", "{}")},

	{name: "call between tags", reply: "Hm.\n<tool_call>\nget\n{\"a\": 1}\n</tool_call>\n", content: "Hm.",
		calls: calls("get", `{"a": 1}`)},
	{name: "call between tags on a line", reply: "<tool_call>get{}</tool_call>\n<tool_call>查询{}</tool_call>",
		calls: calls("get", "{}", "查询", "{}")},
	{name: "OpenAI's form between tags", reply: "<tool_call>\n{\"name\": \"get\", \"arguments\": {}}\n</tool_call>",
		calls: calls("get", "{}")},
	{name: "tag without end", reply: "<tool_call>get\n{}\n", calls: calls("get", "{}")},
	{name: "arguments of a later family", reply: "<tool_call>get\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>",
		content: "<tool_call>get\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"},
	{name: "nothing between tags", reply: "<tool_call></tool_call>", content: "<tool_call></tool_call>"},
	{name: "end tag without a tag", reply: "get\n{}\n</tool_call>", content: "get\n{}\n</tool_call>"},

	{name: "OpenAI's form", reply: "\n{\"name\": \"get\", \"arguments\": {\"a\": [1.0, \"}\"]}}",
		calls: calls("get", `{"a": [1.0, "}"]}`)},
	{name: "OpenAI's form in a code block", reply: "I call:\n```json\n{\n  \"name\": \"get\",\n  \"parameters\": {\"a\": 1}\n}\n```",
		content: "I call:", calls: calls("get", `{"a": 1}`)},
	{name: "OpenAI's form with its wrapper", reply: "{\"type\": \"function\", \"id\": \"1\", \"function\": {\"name\": \"get\", \"arguments\": \"{\\\"a\\\": \\\"x\\\"}\"}}",
		calls: calls("get", `{"a": "x"}`)},
	{name: "OpenAI's form of several", reply: "{\"name\": \"get\", \"arguments\": {}}\n{\"arguments\": {\"name\": 1}, \"name\": \"查询\"}",
		calls: calls("get", "{}", "查询", `{"name": 1}`)},
	{name: "OpenAI's form of another tool", reply: "{\"name\": \"set\", \"arguments\": {}}",
		content: "{\"name\": \"set\", \"arguments\": {}}"},
	{name: "OpenAI's form without arguments", reply: "{\"name\": \"get\"}", content: "{\"name\": \"get\"}"},
	{name: "OpenAI's form with other arguments", reply: "{\"name\": \"get\", \"arguments\": [1]}",
		content: "{\"name\": \"get\", \"arguments\": [1]}"},
	{name: "OpenAI's form with broken arguments", reply: "{\"name\": \"get\", \"arguments\": \"{\"}",
		content: "{\"name\": \"get\", \"arguments\": \"{\"}"},
	{name: "OpenAI's form with more", reply: "{\"name\": \"get\", \"arguments\": {}, \"age\": 3}",
		content: "{\"name\": \"get\", \"arguments\": {}, \"age\": 3}"},
	{name: "OpenAI's form with prose behind", reply: "{\"name\": \"get\", \"arguments\": {}}\nOK?",
		content: "{\"name\": \"get\", \"arguments\": {}}\nOK?"},
	{name: "JSON answer", reply: "{\"city\": \"Paris\"}", content: "{\"city\": \"Paris\"}"},
	{name: "arguments that look like a call", reply: "get\n{\"name\": \"get\", \"arguments\": {}}",
		calls: calls("get", `{"name": "get", "arguments": {}}`)},

	{name: "calls joined by the token", reply: "get\n{\"a\": 1}" + boundary + "get\n{\"a\": 2}" + boundary + "查询\n{}",
		calls: calls("get", `{"a": 1}`, "get", `{"a": 2}`, "查询", "{}")},
	{name: "text, then a call's turn", reply: "\nLet me see." + boundary + "get\n{}", content: "Let me see.",
		calls: calls("get", "{}")},
	{name: "call, then a text's turn", reply: "get\n{}" + boundary + "\nDone.", content: "Done.",
		calls: calls("get", "{}")},
	{name: "two turns of text", reply: "\nOne." + boundary + "\nTwo.", content: "One.\nTwo."},
	{name: "two turns of text without newline", reply: "One." + boundary + "Two.", content: "One.\nTwo."},
	{name: "broken call, then a call", reply: "get\n{" + boundary + "get\n{}", content: "get\n{",
		calls: calls("get", "{}")},
	{name: "empty turns", reply: boundary + boundary + "\nHi" + boundary, content: "Hi"},

	{name: "thought", format: glmZ1Name, reply: "\nHm.\n</think>\n\nAnswer\n", reasoning: "Hm.", content: "Answer\n"},
	{name: "thought without newlines", format: glmZ1Name, reply: "Hm.</think>Answer", reasoning: "Hm.", content: "Answer"},
	{name: "thought with its tag", format: glmZ1Name, reply: "<think>\nHm.\n</think>\nAnswer", reasoning: "Hm.",
		content: "Answer"},
	{name: "thought with a newline and its tag", format: glmZ1Name, reply: "\n<think>Hm.</think>Answer", reasoning: "Hm.",
		content: "Answer"},
	{name: "thought with newlines inside", format: glmZ1Name, reply: "\n\na\n\nb\n\n</think>\nc", reasoning: "\na\n\nb\n",
		content: "c"},
	{name: "endless thought", format: glmZ1Name, reply: "\nHm, get\n{}\n</thin", reasoning: "Hm, get\n{}\n</thin"},
	{name: "empty thought", format: glmZ1Name, reply: "\n</think>\nA", content: "A"},
	{name: "almost a tag", format: glmZ1Name, reply: "<thinking> </thi </think >\n</think>A",
		reasoning: "<thinking> </thi </think >", content: "A"},
	{name: "second thought is text", format: glmZ1Name, reply: "a</think>b<think>c</think>d", reasoning: "a",
		content: "b<think>c</think>d"},
	{name: "call behind a thought", format: glmZ1Name, reply: "\nHm.\n</think>\nget\n{\"a\": 1}", reasoning: "Hm.",
		calls: calls("get", `{"a": 1}`)},
	{name: "call inside a thought", format: glmZ1Name, reply: "\nget\n{}\n</think>\nNo.", reasoning: "get\n{}",
		content: "No."},
	{name: "thought, call's turns", format: glmZ1Name, reply: "a</think>" + boundary + "get\n{}" + boundary + "\n查询\n{}",
		reasoning: "a", calls: calls("get", "{}", "查询", "{}")},
	{name: "thought ended by a turn", format: glmZ1Name, reply: "a" + boundary + "get\n{}", reasoning: "a",
		calls: calls("get", "{}")},
	{name: "thought in a later turn", format: glmZ1Name, reply: "a</think>b" + boundary + "\n<think>c</think>\nd",
		reasoning: "ac", content: "b\nd"},

	{name: "forced call", force: "get", reply: "{\"a\": 1}", calls: calls("get", `{"a": 1}`)},
	{name: "forced call behind a newline", force: "get", reply: "\n{\"a\": 1}\n", calls: calls("get", `{"a": 1}`)},
	{name: "forced call that repeats its name", force: "get", reply: "get\n{\"a\": 1}", calls: calls("get", `{"a": 1}`)},
	{name: "forced call that is prose", force: "get", reply: "I'd rather not.\nNo.", content: "I'd rather not.\nNo."},
	{name: "forced call in Z1", format: glmZ1Name, force: "get", reply: "{\"a\": 1}", calls: calls("get", `{"a": 1}`)},
	{name: "forced call and another", force: "get", reply: "{}" + boundary + "查询\n{}",
		calls: calls("get", "{}", "查询", "{}")},
}

func TestReplyIsMisread(t *testing.T) {
	tools := toolsNamed("get", "get_weather", "查询")
	for _, r := range replies {
		name := r.format
		if name == "" {
			name = glm4Name
		}
		f := format(t, name)
		want := Message{Role: Assistant, Content: r.content, Reasoning: r.reasoning, ToolCalls: r.calls}
		require.Equal(t, want, read(f.NewParser(tools, r.force), r.reply), r.name)
		for i := range r.reply {
			for j := i; j < len(r.reply); j++ {
				got := read(f.NewParser(tools, r.force), r.reply[:i], r.reply[i:j], r.reply[j:])
				require.Equal(t, want, got, "%s: cut at %d and %d", r.name, i, j)
			}
		}
		require.Equal(t, want, read(f.NewParser(tools, r.force), strings.Split(r.reply, "")...), "%s: byte by byte", r.name)
	}
}

func TestTextIsHeldBackWithoutNeed(t *testing.T) {
	p := format(t, glm4Name).NewParser(toolsNamed("get"), "")
	require.Empty(t, p.Write("\nge"))
	require.Equal(t, []Delta{{Text: "gent"}}, p.Write("nt"))
	require.Equal(t, []Delta{{Text: " x"}}, p.Write(" x"))
	require.Empty(t, p.Write("\nget\n{\"a\""))
	require.Equal(t, []Delta{{Text: "\nget", Malformed: true}, {Text: "\n{\"a\"x"}}, p.Write("x"))
	require.Empty(t, p.Write("\nget\n{}"))
	require.Equal(t, []Delta{{Call: &ToolCall{"get", "{}"}}}, p.Close())
	require.Empty(t, p.Close())
	require.Empty(t, p.Write("more"))
	require.Empty(t, p.Boundary())

	p = format(t, glm4Name).NewParser(toolsNamed("get"), "")
	require.Empty(t, p.Write("\n```js"))
	require.Empty(t, p.Write("on\n{\n \"name\": \"g"))
	require.Equal(t, []Delta{{Text: "```json\n{\n \"name\": \"gx\""}}, p.Write("x\""), "no declared name")
	require.Equal(t, []Delta{{Text: ",\nget\n```\n<b>"}}, p.Write(",\nget\n```\n<b>"))
	require.Empty(t, p.Write("\n{\"nam"))
	require.Equal(t, []Delta{{Text: "\n{\"nams\""}}, p.Write("s\""), "no call has this key")

	p = format(t, glm4Name).NewParser(nil, "")
	require.Equal(t, []Delta{{Text: "get\n{}\n"}}, p.Write("\nget\n{}\n"), "without tools nothing is held back")

	p = format(t, glmZ1Name).NewParser(toolsNamed("get"), "")
	require.Equal(t, []Delta{{Reasoning: "a"}}, p.Write("\na\n</th"))
	require.Equal(t, []Delta{{Reasoning: "\n</thx"}}, p.Write("x"))
	require.Equal(t, []Delta{{Text: "b"}}, p.Write("</think>\n\nb"))
}

func TestMalformedCallPassesForText(t *testing.T) {
	for reply, want := range map[string][]string{
		"get\n{'a': 1}":                      {"get"},
		"get\n{\"a\": [1, ":                  {"get\n{\"a\": [1, "}, // cut short
		"get\n":                              {"get\n"},
		"get\n\"Paris\"":                     {"get"},
		"\nSee:\nget\n{\n\"a\": x}\nOK":      {"\nget\n{"},
		"get\n{} ok":                         {"get"},
		"get\n{}\nand prose":                 {"get\n{}"},
		"get\n{}\n你好":                        {"get\n{}"}, // whole characters
		"get\n{\"a\": 1}\n查询\n{":             {"get\n{\"a\": 1}\n查询\n{"},
		"get\n{" + boundary + "get\n{}":      {"get\n{"},
		"get\n{\nget\n{\"a\": 1}":            {"get\n{"},
		"get\n{]\nget\n[":                    {"get", "\nget"},
		"get\n{}":                            nil,
		"get":                                nil,
		"I use get\n{'a': 1}":                nil,
		"other\n{'a': 1}":                    nil,
		"get {'a': 1}":                       {"get {"},
		"get {} ok":                          {"get {} "},
		"a\n```\nget\n{'a': 1}\n```":         {"\n```\nget"},
		"a\n```\nget\n{}\n```\n\nb":          {"\n```\nget\n{}\n```\n"},
		"get\n```json\n[]\n```":              {"get\n```json"},
		`{"name": "get", "arguments": {}} a`: {`{"name": "get", "arguments": {}} `},
		`{"name": "get", "arguments": {`:     {`{"name": "get", "arguments": {`},
		`{"name": "set", "arguments": {}}`:   nil,
		"```json\n{\"a\": 1}\n```":           nil,
		"<tool_call>\nHi":                    nil,
		"\nSee:\nget_weather\n{\"a\": 1}\n":  nil,
	} {
		_, got := readMalformed(format(t, glm4Name).NewParser(toolsNamed("get", "get_weather", "查询"), ""), reply)
		require.Equal(t, want, got, "%q", reply)
	}
}

func TestDeltaHoldsMoreThanOneThing(t *testing.T) {
	p := format(t, glmZ1Name).NewParser(toolsNamed("get"), "")
	deltas := append(p.Write("a</think>b\nget\n{}"), p.Close()...)
	require.Equal(t, []Delta{{Reasoning: "a"}, {Text: "b"}, {Call: &ToolCall{"get", "{}"}}}, deltas)
}

func TestParseReplyIgnoresTools(t *testing.T) {
	m := ParseReply(format(t, glmZ1Name), "\nx\n</think>\nget\n{}", toolsNamed("get"))
	require.Equal(t, Message{Role: Assistant, Reasoning: "x", ToolCalls: calls("get", "{}")}, m)
}

// Hostile replies must not take quadratic time.
func TestLongReplyTakesForever(t *testing.T) {
	const n = 1 << 20
	start := time.Now()
	for _, reply := range []string{
		strings.Repeat(" ", n), strings.Repeat("\n", n), strings.Repeat("get\n", n/4), strings.Repeat("get\n{}\n", n/7),
		"get\n" + strings.Repeat(" ", n),
		"get\n" + strings.Repeat("{\"a\":", n/5), "get\n{\"a\":\"" + strings.Repeat("x", n), strings.Repeat("get\n{\n", n/6),
		"get\n{\"a\": 1" + strings.Repeat("1", n) + "x",
		"get\n{}" + strings.Repeat("\n ", n/2), strings.Repeat("</think", n/7), strings.Repeat("get\n{\"a\": \"\n", n/12),
		strings.Repeat("\n</thin", n/7), strings.Repeat("```\n", n/4), strings.Repeat("```json\nget\n{}\n```\n", n/20) + "x",
		"{\"name\": \"get\"" + strings.Repeat(",\n\"id\": 1", n/10) + "x", strings.Repeat("{", n), strings.Repeat("get {} ", n/7),
		"get\n```" + strings.Repeat(" ", n), strings.Repeat("<tool_call>", n/11), strings.Repeat("get\n```json\n{", n/14),
	} {
		for _, name := range Names() {
			p := format(t, name).NewParser(toolsNamed("get"), "")
			for i := 0; i < len(reply); i += 3 {
				p.Write(reply[i:min(i+3, len(reply))])
			}
			p.Close()
		}
	}
	require.Less(t, time.Since(start), time.Minute)
}

// Run the fuzz targets with -fuzzminimizetime 1x: by default go spends most of a short run on making inputs smaller,
// and tries few.
func FuzzParserChunking(f *testing.F) {
	for i, r := range replies {
		f.Add(r.reply, uint64(i)*0x9e3779b97f4a7c15, r.force, r.format == glmZ1Name)
	}
	tools := toolsNamed("get", "get_weather", "查询", "g")
	f.Fuzz(func(t *testing.T, reply string, cuts uint64, force string, thinks bool) {
		style := replyStyle{newline: cuts&1 == 0}
		if thinks {
			style.think = thinkOpen
			if cuts&2 == 0 {
				style.think = thinkMaybe
			}
		}
		whole, malformed := readMalformed(newParser(style, tools, force), reply)
		var pieces []string
		rest := reply
		for x := cuts; rest != ""; x = x*6364136223846793005 + 1442695040888963407 {
			n := min(len(rest), 1+int(x>>61))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		cut, malformedCut := readMalformed(newParser(style, tools, force), pieces...)
		require.Equal(t, whole, cut)
		require.Equal(t, malformed, malformedCut)
		if force == "" {
			for _, c := range whole.ToolCalls {
				require.True(t, slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == c.Name }))
			}
		}
		for _, c := range whole.ToolCalls {
			v, err := jinja.ParseJSON([]byte(c.Arguments))
			require.NoError(t, err)
			require.IsType(t, &jinja.Dict{}, v)
		}
		// Nothing is lost but newlines, blanks around calls, and the tags.
		if !thinks && force == "" && len(whole.ToolCalls) == 0 && !strings.Contains(reply, boundary) {
			want := reply
			if style.newline {
				want = strings.TrimPrefix(reply, "\n")
			}
			require.Equal(t, want, whole.Content)
		}
	})
}
