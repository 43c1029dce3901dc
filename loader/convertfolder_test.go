package loader

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// childVariable names what a test's child process does: convert to the folder in convertTo, and be killed half-way, or
// on a disk that is full.
const childVariable, convertFrom, convertTo = "CONVERT_CHILD", "CONVERT_FROM", "CONVERT_TO"

// TestConvertChild is the child process of other tests.
func TestConvertChild(t *testing.T) {
	o := ConvertOptions{Bits: 16}
	switch os.Getenv(childVariable) {
	case "":
		require.Empty(t, os.Getenv(convertTo), "nothing to do in the parent")
		return
	case "kill":
		o.Progress = func(done, total int64) {
			if done >= total/2 {
				fmt.Println("half")
				time.Sleep(time.Hour) // select {} would be a deadlock, which ends the process
			}
		}
	case "full":
		signal.Ignore(syscall.SIGXFSZ)
		limit := unix.Rlimit{Cur: 60_000, Max: 60_000}
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	}
	_, err := Convert(t.Context(), os.Getenv(convertFrom), os.Getenv(convertTo), o)
	fmt.Println(err)
}

// child starts TestConvertChild.
func child(t *testing.T, what, src, dst string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestConvertChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+what, convertFrom+"="+src, convertTo+"="+dst)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

func TestKilledConvertLooksWhole(t *testing.T) {
	src := tiny(tinyGLM4, glm4Tensors()).save(t)
	dst := filepath.Join(t.TempDir(), "dst")
	cmd, lines := child(t, "kill", src, dst)
	require.True(t, lines.Scan())
	require.Equal(t, "half", lines.Text())

	_, err := Convert(t.Context(), src, dst, ConvertOptions{Bits: 16})
	require.EqualError(t, err, dst+": another process is converting to it; wait until it ends, or give another folder")

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Equal(t, []string{"dst" + partialEnding}, entries(t, filepath.Dir(dst)))
	_, err = Open(t.Context(), dst+partialEnding)
	require.ErrorContains(t, err, "no config.json")

	_, err = Convert(t.Context(), src, dst, ConvertOptions{Bits: 16})
	require.NoError(t, err)
	require.Equal(t, []string{"dst"}, entries(t, filepath.Dir(dst)))
	fresh, _ := convert(t, src, ConvertOptions{Bits: 16})
	require.Equal(t, entries(t, fresh), entries(t, dst))
	for _, name := range entries(t, fresh) {
		want, err := os.ReadFile(filepath.Join(fresh, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dst, name))
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
}

func TestFullDiskLeavesAFolder(t *testing.T) {
	src := tiny(tinyGLM4, glm4Tensors()).save(t)
	dst := filepath.Join(t.TempDir(), "dst")
	_, lines := child(t, "full", src, dst)
	require.True(t, lines.Scan())
	require.Equal(t, fmt.Sprintf("%s/%s: %v", dst+partialEnding, singleName, unix.EFBIG), lines.Text())
	require.Empty(t, entries(t, filepath.Dir(dst)))

	_, err := Convert(t.Context(), src, dst, ConvertOptions{free: func(string) (int64, error) { return 1e6, nil }})
	require.EqualError(t, err, dst+": 0.07 GB are needed and its disk has 0.00 GB left: no space left on device; make room, "+
		"or give a folder on another disk")
	require.ErrorIs(t, err, unix.ENOSPC)
	require.Empty(t, entries(t, filepath.Dir(dst)))
	_, err = Convert(t.Context(), src, dst, ConvertOptions{free: func(string) (int64, error) { return 0, errors.New("?") }})
	require.NoError(t, err, "a disk that does not tell is tried")
}

func TestSourceThatShrinksIsConverted(t *testing.T) {
	src := tiny(tinyGLM4, glm4Tensors()).save(t)
	dst := filepath.Join(t.TempDir(), "dst")
	file := filepath.Join(src, singleName)
	info, err := os.Stat(file)
	require.NoError(t, err)
	_, err = Convert(t.Context(), src, dst, ConvertOptions{Progress: func(done, _ int64) {
		if done == 0 {
			_ = os.Truncate(file, info.Size()/2)
		}
	}})
	var fault *FaultError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, FaultError{File: file, Size: info.Size(), Left: info.Size() / 2}, *fault)
	require.Empty(t, entries(t, filepath.Dir(dst)))
}

func TestConvertOverwrites(t *testing.T) {
	src := tiny(tinyGLM4, glm4Tensors()).save(t)
	const wayOut = "; give a folder that does not exist, or an empty one"
	dir := t.TempDir()
	full, file, dangling := filepath.Join(dir, "full"), filepath.Join(dir, "file"), filepath.Join(dir, "dangling")
	require.NoError(t, os.MkdirAll(filepath.Join(full, "mine"), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o644))
	require.NoError(t, os.Symlink("nowhere", dangling))
	taken := filepath.Join(dir, "taken")
	require.NoError(t, os.WriteFile(taken+partialEnding, []byte("mine"), 0o644))
	within := filepath.Join(dir, "within")
	require.NoError(t, os.MkdirAll(filepath.Join(src, "deep", "er"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(src, "deep", "er"), within))
	before := entries(t, dir)
	for want, dst := range map[string]string{
		full + ": the folder is not empty" + wayOut:                                                  full,
		file + ": a file" + wayOut:                                                                   file,
		file + "/a: not a directory":                                                                 file + "/a",
		dangling + ": a link to what does not exist" + wayOut:                                        dangling,
		src + ": the folder is not empty" + wayOut:                                                   src,
		"the folder to write has no name":                                                            "",
		taken + partialEnding + ": not a folder, but stands where one is to be written; remove it":   taken,
		within + "/a: inside " + src + ", the checkpoint that is converted; give a folder elsewhere": within + "/a",
		src + "/a/b: inside " + src + ", the checkpoint that is converted; give a folder elsewhere":  src + "/a/b",
	} {
		_, err := Convert(t.Context(), src, dst, ConvertOptions{})
		require.EqualError(t, err, want)
	}
	require.Equal(t, before, entries(t, dir))
	require.Equal(t, []string{"config.json", "deep", singleName}, entries(t, src))

	// An empty folder is taken, through a link, too.
	empty, link := filepath.Join(dir, "empty"), filepath.Join(dir, "link")
	require.NoError(t, os.Mkdir(empty, 0o755))
	require.NoError(t, os.Symlink("empty", link))
	_, err := Convert(t.Context(), src, link, ConvertOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"config.json", singleName}, entries(t, empty))
}

func TestTextFilesStayBehind(t *testing.T) {
	src := tiny(tinyGLM4, glm4Tensors()).with(files{
		"tokenizer.json": []byte("{}"), "tokenizer_config.json": []byte(`{"a":1}`), "chat_template.jinja": []byte("x"),
		"additional_chat_templates/default.jinja": []byte("y"), "generation_config.json": []byte(`{"eos_token_id": 3}`),
		"LICENSE": []byte("\xff licence"), "LICENSE\n.txt": []byte("hostile"), "NOTICE.md": []byte("n"),
		"LICENSES/a": []byte("a folder"), "README.md": []byte("of another model"), "modeling.py": []byte("code"),
	}).save(t)
	dst, result := convert(t, src, ConvertOptions{})
	require.False(t, result.MissingTokenizer)
	copied := []string{"LICENSE", "NOTICE.md", "additional_chat_templates/default.jinja", "chat_template.jinja",
		"generation_config.json", "tokenizer.json", "tokenizer_config.json"}
	for _, name := range copied {
		want, err := os.ReadFile(filepath.Join(src, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dst, name))
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
	require.Equal(t, []string{"LICENSE", "NOTICE.md", "additional_chat_templates", "chat_template.jinja", "config.json",
		"generation_config.json", singleName, "tokenizer.json", "tokenizer_config.json"}, entries(t, dst))
	require.EqualValues(t, 3, jsonFile(t, dst+"/config.json")["eos_token_id"])

	_, result = convert(t, tiny(tinyGLM4, glm4Tensors()).save(t), ConvertOptions{})
	require.True(t, result.MissingTokenizer)
	for _, name := range []string{"LICENSE", "tokenizer.json"} {
		pointer := []byte("version https://git-lfs.github.com/spec/v1\n")
		src := tiny(tinyGLM4, glm4Tensors()).with(files{name: pointer}).save(t)
		to := filepath.Join(t.TempDir(), "dst")
		_, err := Convert(t.Context(), src, to, ConvertOptions{})
		require.ErrorContains(t, err, src+"/"+name+": a Git LFS pointer")
		require.Empty(t, entries(t, filepath.Dir(to)))
	}
}

func TestTokenizerModelStaysAlone(t *testing.T) {
	var model strings.Builder
	for b := range 256 {
		fmt.Fprintf(&model, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(b)}), b)
	}
	src := tiny(tinyChatGLM, chatglmTensors()).with(files{
		"tokenizer.model": []byte(model.String()),
		"tokenizer_config.json": []byte(`{"auto_map": {"AutoTokenizer": ["a.B", null]}, "chat_template": "T<x>",
			"tokenizer_class": "ChatGLM4Tokenizer", "eos_token": "<|user|>"}`),
	}).save(t)
	dst, result := convert(t, src, ConvertOptions{})
	require.False(t, result.MissingTokenizer)
	require.Equal(t, []string{"config.json", singleName, "tokenizer.json", "tokenizer_config.json"}, entries(t, dst))
	require.Equal(t, object{
		"chat_template": "T<x>", "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|user|>",
		"pad_token": "<|endoftext|>", "clean_up_tokenization_spaces": false, "padding_side": "left",
	}, jsonFile(t, dst+"/tokenizer_config.json"))
	require.Len(t, jsonFile(t, dst+"/tokenizer.json")["model"].(map[string]any)["vocab"], 256)
}
