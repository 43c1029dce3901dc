package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

func TestCompletionLacksFlagsOrCommands(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "man"} {
		text, stderr, status := run(t, "", "completion", shell)
		require.Zero(t, status, stderr)
		text = strings.ReplaceAll(text, `\-`, "-") // of the manual
		for _, command := range newApp().Commands {
			require.Contains(t, text, command.Name)
			for _, f := range command.Flags {
				name := dashed(f.Names()[0])
				if shell == "fish" {
					name = "-l " + name[2:]
				}
				require.Contains(t, text, name, shell)
			}
		}
	}
}

func TestBashCompletesWrongly(t *testing.T) {
	bash, err := exec.LookPath("bash")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "mod el"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "modes"), nil, 0o600))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "hub/models--org--tiny/snapshots", hubtest.Commit), demo.FS()))
	script, _, _ := run(t, "", "completion", "bash")
	for _, test := range []struct{ line, want string }{
		{"|gen", "generate"},
		{"|generate|--max-k", "--max-kv-size"},
		{"|generate|--backend|", "auto|metal|cpu"},
		{"|generate|--backend|=|c", "cpu"},
		{"|chat|mod", "mod el"},
		{"|chat|--model|mod", "mod el"},
		{"|generate|-f|mod", "mod el|modes"},
		{"|generate|--chat-template|glm-z", "glm-z1-0414"},
		{"|generate|--seed|", ""},
		{"|bench|-o|", "md|csv|json|jsonl|sql"},
		{"|bench|--record|mod", "mod el|modes"},
		{"|bench|one|mod", "mod el"},
		{"|chat|glm4|:|9b-", "9b-8bit|9b-4bit"},
		{"|chat|glm4|:", "9b|9b-8bit|9b-4bit|32b|32b-8bit|32b-4bit"},
		{"|chat|--model|glm-z1|:|32", "32b"},
		{"|chat|--model|=|glm-z1|:|32", "32b"},
		{"|chat|org/", "org/tiny@" + hubtest.Commit},
		{"|pull|glm-e", "glm-edge:1.5b"},
		{"|pull|mod", ""},
		{"|list|mod", "mod el"},
		{"|help|to", "tokenize"},
		{"|completion|", "bash|zsh|fish|man"},
	} {
		c := exec.Command(bash, "--norc", "-c", script+`
			COMP_WORDBREAKS=":="
			IFS="|" read -ra COMP_WORDS <<< "`+program+test.line+`|end"
			unset "COMP_WORDS[-1]"
			COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
			_glm4_metal
			IFS="|"; printf %s "${COMPREPLY[*]}"`)
		c.Dir = dir
		c.Env = append(os.Environ(), "HF_HUB_CACHE="+filepath.Join(dir, "hub"),
			"PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
		out, err := c.Output()
		require.NoError(t, err, test.line)
		require.ElementsMatch(t, strings.Split(test.want, "|"), strings.Split(string(out), "|"), test.line)
	}
}

func TestManualIsReadAsCommands(t *testing.T) {
	manual, _, _ := run(t, "", "completion", "man")
	require.True(t, strings.HasPrefix(manual, ".TH GLM4\\-METAL 1"))
	for line := range strings.Lines(manual) {
		if strings.HasPrefix(line, ".") {
			require.Regexp(t, `^\.(TH|SH|SS|TP|PP|B|br|nf|fi)\b`, line)
		}
		require.False(t, strings.HasPrefix(line, "'"), line)
		require.NotContains(t, strings.NewReplacer(`\e`, "", `\-`, "", `\(`, "", `\&`, "").Replace(line), `\`,
			"an escape that is none")
	}
}
