package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/nearest"
)

// foreign are flags of mlx-lm, llama.cpp, ollama, llm and transformers that are named otherwise here, or missing.
// Source: https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/generate.py and chat.py,
// https://github.com/ggml-org/llama.cpp/blob/master/tools/cli/README.md,
// https://github.com/ollama/ollama/blob/main/cmd/cmd.go.
var foreign = []struct {
	names string // without dashes, between spaces
	ours  string // the flag here, "" if there is none
	note  string // what to do instead, or in addition
}{
	{"temperature", "temp", ""},
	{"n predict n-predict num-predict max-new-tokens max-completion-tokens max-length num-tokens", "max-tokens", ""},
	{"c ctx-size context-size context context-length num-ctx max-model-len max-seq-len max-context", "max-kv-size", ""},
	{"repeat-penalty", "repetition-penalty", ""},
	{"repeat-last-n", "repetition-context-size", ""},
	{"l", "logit-bias", ""},
	{"b ub batch-size ubatch-size prefill-chunk", "prefill-step-size", ""},
	{"ctk ctv cache-type-k cache-type-v kv-cache-type", "kv-bits", ""},
	{"dev device ngl gpu-layers n-gpu-layers gpu cpu metal", "backend", ""},
	{"r reverse-prompt stop-sequence stop-sequences stop-word stop-words extra-eos-token eos-token", "stop", ""},
	{"chat-template-file template", "chat-template", ""},
	{"no-chat-template no-conversation no-cnv raw-prompt", "raw", ""},
	{"input-file prompt-file i input", "file", ""},
	{"model-path model-dir model-name", "model", ""},
	{"sys system system-message", "system-prompt", ""},
	{"sysf system-prompt-file", "system-prompt", `for a file: --system-prompt "$(cat FILE)"`},
	{"tool tool-file", "tools", ""},
	{"top-logprobs n-probs", "logprobs", ""},
	{"v verbosity log-verbose lv debug", "verbose", ""},
	{"reasoning-budget think hidethinking no-think enable-thinking", "max-reasoning",
		"--max-reasoning 0 sets no limit here, -1 leaves it out"},
	{"prompt-tokens pp", "n-prompt", ""},
	{"g generation-tokens tg", "n-gen", ""},
	{"num-trials reps trials iterations", "repetitions", ""},
	{"compare baseline", "against", ""},
	{"listen bind address addr hostname", "host", ""},
	{"served-model-name alias a", "model-name", ""},
	{"np n-parallel max-num-seqs decode-concurrency num-parallel", "parallel", ""},
	{"cors-origins origins cors", "allowed-origins", ""},
	{"timeout to", "request-timeout", ""},
	{"ttl sleep-idle-seconds", "keep-alive", ""},
	{"prompt-cache-size cache-ram cram", "prompt-cache-bytes", "--prompt-cache-bytes SIZE bounds the caches in bytes"},
	{"ssl-keyfile ssl-certfile ssl-key-file ssl-cert-file tls", "",
		"there is no TLS; a proxy in front, such as nginx or Caddy, has it"},
	{"metrics slots endpoint-metrics", "", "GET /metrics is always there"},
	{"q-bits", "bits", ""},
	{"q-group-size", "group-size", ""},
	{"hf-path mlx-path quantize q-mode upload-repo dequantize", "",
		program + " convert SRC DST packs a checkpoint in 4 bits"},
	{"m", "", "--model MODEL is llama.cpp's -m, --max-tokens N is mlx-lm's"},
	{"s", "", "--seed N is llama.cpp's -s, --system-prompt TEXT is llm's"},
	{"t threads tb threads-batch", "", "all cores compute; GOMAXPROCS=N in the environment takes fewer"},
	{"kv-group-size quantized-kv-start", "", "the KV cache is not quantised; --kv-bits takes 16 or 32"},
	{"cnv conversation interactive interactive-first", "", program + " chat holds a conversation"},
	{"hf hfr hf-repo hff hf-file mu model-url repo", "model",
		"--model takes org/name of the hub too, once " + program + " pull org/name has fetched it"},
	{"adapter-path adapter lora lora-scaled", "",
		"adapters are not applied; fuse them into the checkpoint first (mlx_lm.fuse)"},
	{"draft-model num-draft-tokens md model-draft draft spec-draft-model", "",
		"there is no speculative decoding; leave it out"},
	{"prompt-cache-file prompt-cache", "",
		"what was computed of a prompt is not kept between runs; a chat keeps it while it runs"},
	{"trust-remote-code", "", "the code of a checkpoint is never run; leave it out"},
	{"chat-template-args chat-template-config chat-template-kwargs use-default-chat-template jinja", "",
		"the checkpoint's template is used, with no variables of one's own; --chat-template replaces it"},
	{"xtc-probability xtc-threshold min-tokens-to-keep typical typical-p mirostat mirostat-lr mirostat-ent top-nsigma " +
		"top-n-sigma dry-multiplier dry-base samplers dynatemp-range", "",
		"there is no such sampler; --temp, --top-p, --top-k and --min-p are there"},
	{"grammar grammar-file json-schema j format response-format", "",
		"an answer cannot be held to a grammar; --json prints it with its figures"},
	{"stream no-stream", "", "an answer is written as it comes, and whole with --json; leave it out"},
	{"q quiet silent no-display-prompt log-disable", "",
		"standard output has the answer only; 2>/dev/null drops the rest"},
	{"o output output-file", "", "> FILE writes the answer to a file"},
	{"prefill-response", "", "with --raw the prompt can hold the beginning of an answer"},
	{"fa flash-attn mlock mmap no-mmap load-mode numa quantize-activations qa pipeline offline", "",
		"nothing like it is needed here; leave it out"},
}

// foreignVerbs are commands of others.
var foreignVerbs = map[string]string{
	"run": "chat or generate", "complete": "generate", "ask": "generate", "prompt": "generate", "info": "show",
	"inspect": "show",
	"server":  "serve", "start": "serve", "listen": "serve",
	"benchmark": "bench", "encode": "tokenize", "decode": "tokenize --decode", "detokenize": "tokenize --decode",
	"ps": "list", "ls": "list", "models": "list", "cache": "list", "scan": "list", "manage": "list or rm",
	"delete": "rm", "remove": "rm", "uninstall": "rm", "download": "pull", "fetch": "pull", "get": "pull",
	"install":        "pull",
	"apply-template": "template", "manpage": "completion man", "man": "completion man",
}

// unknownFlag is the error of a flag, as it was typed, that the command does not have; command is nil before a command.
func unknownFlag(app *cli.App, command *cli.Command, typed string) error {
	typed, _, _ = strings.Cut(typed, "=")
	help := program
	if command != nil {
		help += " " + command.Name
	}
	return usagef("unknown flag %s; %ssee %s --help", typed, flagAdvice(app, command, typed), help)
}

// flagAdvice says what may have been meant, up to a semicolon, or "".
func flagAdvice(app *cli.App, command *cli.Command, typed string) string {
	name := strings.ReplaceAll(strings.ToLower(strings.TrimLeft(typed, "-")), "_", "-")
	if command == nil {
		if owners := flagOwners(app, name); len(owners) > 0 {
			return fmt.Sprintf("the command comes first: %s %s %s; ", program, owners[0], dashed(name))
		}
		command = &cli.Command{}
	}
	if findFlag(command, name) != nil {
		return "did you mean " + dashed(name) + "; "
	}
	for _, f := range foreign {
		if !slices.Contains(strings.Fields(f.names), name) {
			continue
		}
		ours := findFlag(command, f.ours)
		switch {
		case ours != nil && f.note != "":
			return f.note + "; "
		case ours != nil:
			return strings.TrimSpace("did you mean --"+f.ours+" "+placeholder(ours)) + "; "
		case f.ours == "" && len(command.Flags) > 0:
			return f.note + "; "
		}
	}
	if owners := flagOwners(app, name); len(owners) > 0 && len(command.Flags) > 0 {
		return fmt.Sprintf("%s is a flag of %s; ", dashed(name), strings.Join(owners, ", "))
	}
	var names []string
	for _, f := range command.Flags {
		names = append(names, f.Names()...)
	}
	if near := nearest.Name(name, names); near != "" {
		return "did you mean " + dashed(near) + "; "
	}
	if first := name[:min(1, len(name))]; len(name) > 1 && !strings.HasPrefix(typed, "--") &&
		findFlag(command, first) != nil {
		return fmt.Sprintf("did you mean -%s %s; ", first, typed[2:])
	}
	if findFlag(command, "prompt") != nil && (name == "" || !strings.ContainsAny(name[:1], "abcdefghijklmnopqrstuvwxyz")) {
		return "a text that begins with a dash goes behind --prompt or --; "
	}
	if command.Name == "launch" {
		return "what is for the tool goes behind --; "
	}
	return ""
}

// flagOwners are the commands that have a flag.
func flagOwners(app *cli.App, name string) []string {
	var owners []string
	for _, c := range app.Commands {
		if findFlag(c, name) != nil {
			owners = append(owners, c.Name)
		}
	}
	return owners
}

// unknownCommand is the error of a command that there is not.
func unknownCommand(app *cli.App, typed string) error {
	var names []string
	for _, c := range app.Commands {
		names = append(names, c.Name)
	}
	advice := ""
	if verb, ok := foreignVerbs[strings.ToLower(typed)]; ok {
		advice = "did you mean " + verb + "; "
	} else if near := nearest.Name(strings.ToLower(typed), names); near != "" {
		advice = "did you mean " + near + "; "
	} else if folder, err := isModel([]string{typed}); folder && err == nil {
		advice = fmt.Sprintf("a model comes behind one: %s chat %s; ", program, typed)
	} else if strings.ContainsAny(typed, " \n") {
		advice = "a prompt comes behind generate; "
	}
	return usagef("unknown command %q; %sthe commands are %s", typed, advice, strings.Join(names, ", "))
}
