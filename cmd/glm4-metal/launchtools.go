package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/nearest"
)

// toolKeyVariable has the server's key in the environment of tools whose configuration names a variable for it.
const toolKeyVariable = "GLM4_CLIENT_KEY"

// tool is a program that can be launched. In the values of env and in args stand {url}, the server's address without a
// path, {model}, {key} and {context}, the tokens that prompt and answer may have together; {model:json} is the name
// escaped for the inside of a string of JSON or TOML. What names {context} is left out where the server does not say;
// {context:0} and {answer:0}, a quarter of it, are 0 then.
type tool struct {
	name    string
	command string
	install string     // a command line
	env     []variable // set
	unset   []string   // would lead elsewhere
	args    [][]string // before the user's; those of a flag stand together
	verb    []string   // where the user gives no argument
}

type variable struct{ name, value string }

// isKey tells whether the value is the key.
func (v variable) isKey() bool { return v.value == "{key}" }

var tools = []tool{
	{
		// https://code.claude.com/docs/en/env-vars and https://code.claude.com/docs/en/llm-gateway-connect; the window
		// by https://code.claude.com/docs/en/model-config. A key in ANTHROPIC_API_KEY would take the token's place.
		name: "claude-code", command: "claude", install: "npm install -g @anthropic-ai/claude-code",
		env: []variable{
			{"ANTHROPIC_BASE_URL", "{url}"},
			{"ANTHROPIC_AUTH_TOKEN", "{key}"},
			{"ANTHROPIC_MODEL", "{model}"},
			{"ANTHROPIC_DEFAULT_OPUS_MODEL", "{model}"},
			{"ANTHROPIC_DEFAULT_SONNET_MODEL", "{model}"},
			{"ANTHROPIC_DEFAULT_HAIKU_MODEL", "{model}"}, // in the place of ANTHROPIC_SMALL_FAST_MODEL
			{"CLAUDE_CODE_SUBAGENT_MODEL", "{model}"},
			{"CLAUDE_CODE_MAX_CONTEXT_TOKENS", "{context}"},
			{"CLAUDE_CODE_ATTRIBUTION_HEADER", "0"}, // it changes the beginning of every prompt
			{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"},
		},
		unset: []string{"ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX",
			"CLAUDE_CODE_USE_FOUNDRY"},
	},
	{
		// https://developers.openai.com/codex/config-reference and https://developers.openai.com/codex/config-sample
		name: "codex", command: "codex", install: "npm install -g @openai/codex",
		env: []variable{{toolKeyVariable, "{key}"}},
		args: [][]string{
			{"-c", `model="{model:json}"`},
			{"-c", `model_provider="` + program + `"`},
			{"-c", "model_providers." + program + `={name="` + program + `", base_url="{url}/v1", env_key="` + toolKeyVariable +
				`", wire_api="responses"}`},
			{"-c", "model_context_window={context}"},
		},
	},
	{
		// https://opencode.ai/docs/config (OPENCODE_CONFIG_CONTENT, {env:}) and https://opencode.ai/docs/providers
		name: "opencode", command: "opencode", install: "npm install -g opencode-ai",
		env: []variable{
			{toolKeyVariable, "{key}"},
			{"OPENCODE_CONFIG_CONTENT", `{"model":"` + program + `/{model:json}","small_model":"` + program +
				`/{model:json}","share":"disabled","provider":{"` + program + `":{"npm":"@ai-sdk/openai-compatible","name":"` +
				program + `","options":{"baseURL":"{url}/v1","apiKey":"{env:` + toolKeyVariable +
				`}"},"models":{"{model:json}":{"name":"{model:json}",` +
				`"limit":{"context":{context:0},"output":{answer:0}}}}}}}`},
		},
	},
	{
		// https://aider.chat/docs/llms/openai-compat.html and https://aider.chat/docs/config/options.html
		name: "aider", command: "aider", install: "python -m pip install aider-install && aider-install",
		env:  []variable{{"OPENAI_API_BASE", "{url}/v1"}, {"OPENAI_API_KEY", "{key}"}},
		args: [][]string{{"--model", "openai/{model}"}, {"--weak-model", "openai/{model}"}, {"--no-show-model-warnings"}},
	},
	{
		// https://qwenlm.github.io/qwen-code-docs/en/cli/openai-auth
		name: "qwen-code", command: "qwen", install: "npm install -g @qwen-code/qwen-code",
		env: []variable{
			{"OPENAI_BASE_URL", "{url}/v1"},
			{"OPENAI_API_KEY", "{key}"},
			{"OPENAI_MODEL", "{model}"},
		},
		args: [][]string{{"--auth-type", "openai"}},
	},
	{
		// https://block.github.io/goose/docs/guides/environment-variables
		name: "goose", command: "goose", install: "brew install block-goose-cli",
		env: []variable{
			{"GOOSE_PROVIDER", "openai"},
			{"GOOSE_MODEL", "{model}"},
			{"OPENAI_HOST", "{url}"},
			{"OPENAI_BASE_PATH", "v1/chat/completions"},
			{"OPENAI_API_KEY", "{key}"},
		},
		verb: []string{"session"},
	},
}

func toolNames() []string {
	var names []string
	for _, t := range tools {
		names = append(names, t.name)
	}
	return names
}

// findTool gives a tool by its name or its command.
func findTool(name string) (tool, error) {
	for _, t := range tools {
		if name == t.name || name == t.command {
			return t, nil
		}
	}
	meant := ""
	if near := nearest.Name(strings.ToLower(name), toolNames()); near != "" {
		meant = "did you mean " + near + "? "
	}
	return tool{}, usagef("%q is no tool that can be launched; %sthe tools are %s", name, meant,
		strings.Join(toolNames(), ", "))
}

// endpoint is what a tool has to know of a server.
type endpoint struct {
	url, model, key string
	context         int // 0: unknown
}

func (e endpoint) fill(text string) string {
	quoted, _ := json.Marshal(e.model) // a string has no error
	context := strconv.Itoa(e.context)
	return strings.NewReplacer("{url}", e.url, "{model}", e.model, "{model:json}", string(quoted[1:len(quoted)-1]),
		"{key}", e.key, "{context}", context, "{context:0}", context, "{answer:0}", strconv.Itoa(e.context/4)).Replace(text)
}

// environment are the variables of a tool.
func (t tool) environment(e endpoint) []variable {
	var out []variable
	for _, v := range t.env {
		if e.context > 0 || !strings.Contains(v.value, "{context}") {
			out = append(out, variable{v.name, e.fill(v.value)})
		}
	}
	return out
}

// arguments are those of a tool, with the user's.
func (t tool) arguments(e endpoint, users []string) []string {
	var out []string
	for _, flag := range t.args {
		if text := strings.Join(flag, "\x00"); e.context > 0 || !strings.Contains(text, "{context}") {
			out = append(out, strings.Split(e.fill(text), "\x00")...)
		}
	}
	if len(users) == 0 {
		users = t.verb
	}
	return append(out, users...)
}

// script is what starts a tool, as lines for a shell. key is the shell's expression for the key.
func (t tool) script(e endpoint, key string, users []string) string {
	var b strings.Builder
	if len(t.unset) > 0 {
		b.WriteString("unset " + strings.Join(t.unset, " ") + "\n")
	}
	shown := e
	shown.key = "{key}"
	for _, v := range t.environment(shown) {
		value := shellWord(v.value)
		if v.isKey() {
			value = key
		}
		b.WriteString("export " + v.name + "=" + value + "\n")
	}
	b.WriteString(t.command)
	for _, a := range t.arguments(e, users) {
		b.WriteString(" " + shellWord(a))
	}
	return b.String() + "\n"
}
