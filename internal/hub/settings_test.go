package hub

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnvironmentMeansSomethingElseThanInPython(t *testing.T) {
	for _, c := range readGolden(t).Settings {
		got, err := settingsOf(func(name string) string {
			if name == "HOME" {
				return "/home/me"
			}
			return c.Env[name]
		}, "/home/me")
		require.NoError(t, err, c.Env)
		require.Equal(t, c.Want.Cache, got.Cache, c.Env)
		require.Equal(t, c.Want.TokenFile, got.TokenFile, c.Env)
		require.Equal(t, c.Want.Endpoint, got.Endpoint, c.Env)
		require.Equal(t, c.Want.Offline, got.Offline, c.Env)
		require.Equal(t, c.Want.Links, !got.NoLinks, c.Env)
		require.Equal(t, c.Want.Answer, got.AnswerTimeout.Seconds(), c.Env)
		require.Equal(t, c.Want.Idle, got.IdleTimeout.Seconds(), c.Env)
		got.TokenFile = ""
		token, _, err := got.token()
		require.NoError(t, err)
		require.Equal(t, c.Want.Token, token, c.Env)
	}
}

func TestBadSettingIsTaken(t *testing.T) {
	for _, c := range []struct{ name, value, fails string }{
		{"HF_ENDPOINT", "huggingface.co", "must be an address"},
		{"HF_ENDPOINT", "ftp://huggingface.co", `"ftp" is no scheme`},
		{"HF_ENDPOINT", "http://mirror.example", "GLM4_HUB_PLAIN_HTTP=1"},
		{"HF_ENDPOINT", "http://127.0.0.1.example", "GLM4_HUB_PLAIN_HTTP=1"},
		{"HF_ENDPOINT", "https://user:secret@mirror.example", "must be an address"},
		{"HF_ENDPOINT", "https://mirror.example/?a=b", "must be an address"},
		{"HF_HUB_DOWNLOAD_TIMEOUT", "soon", `HF_HUB_DOWNLOAD_TIMEOUT is "soon"`},
		{"HF_HUB_ETAG_TIMEOUT", "-1", "whole number of seconds"},
		{"HF_ENDPOINT", "http://localhost:8080", ""},
		{"HF_ENDPOINT", "http://[::1]:8080", ""},
		{"HF_ENDPOINT", "http://127.8.9.1", ""},
	} {
		env := map[string]string{c.name: c.value}
		_, err := settingsOf(func(name string) string { return env[name] }, "/home/me")
		if c.fails == "" {
			require.NoError(t, err, c)
			continue
		}
		require.ErrorContains(t, err, c.fails, c)
	}
	env := map[string]string{"HF_ENDPOINT": "http://mirror.example", "GLM4_HUB_PLAIN_HTTP": "1"}
	_, err := settingsOf(func(name string) string { return env[name] }, "/home/me")
	require.NoError(t, err)
}

func TestTokenBecomesAnotherHeader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]string{"hf_x\n": "hf_x", " hf_x\r\n\n": "hf_x", "": "", "hf_\x00x": "!", "hf x": "!", "hf_é": "!"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		for _, s := range []Settings{{TokenFile: file}, {Token: cleanToken(text)}} {
			token, from, err := s.token()
			if want == "!" {
				require.ErrorContains(t, err, "holds the character")
				require.NotContains(t, err.Error(), "hf", "a token is nothing to show")
				continue
			}
			require.NoError(t, err)
			require.Equal(t, want, token)
			require.Equal(t, s.TokenFile != "" && want != "", from == file && token != "")
		}
	}
	token, _, err := Settings{TokenFile: file + "-not"}.token()
	require.NoError(t, err)
	require.Empty(t, token)
	_, _, err = Settings{TokenFile: filepath.Dir(file)}.token()
	require.ErrorContains(t, err, "a folder")
}

func TestTokenGoesToAnotherOrigin(t *testing.T) {
	for other, same := range map[string]bool{
		"https://hub.example/x": true, "https://HUB.example:443": true, "http://hub.example": false,
		"https://hub.example:8443": false, "https://cdn.hub.example": false, "https://hub.example.evil": false,
		"https://hub.example@evil": false,
	} {
		a, err := url.Parse("https://hub.example")
		require.NoError(t, err)
		b, err := url.Parse(other)
		require.NoError(t, err)
		require.Equal(t, same, sameOrigin(a, b), other)
	}
}

func TestNameMeansSomethingElseThanInPython(t *testing.T) {
	for name, folder := range readGolden(t).Names {
		r, err := parseName(name)
		if folder == "" {
			require.Error(t, err, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, folder, r.folder())
		require.Equal(t, name, r.id())
	}
	for path, want := range readGolden(t).Wanted {
		require.Equal(t, want, wanted(path), path)
	}
}

func TestNameClimbsOutOfTheCache(t *testing.T) {
	r, err := parseName("org/name@refs/pr/1")
	require.NoError(t, err)
	require.Equal(t, repository{"org", "name", "refs/pr/1"}, r)
	r, err = parseName("glm4:9b-4bit")
	require.NoError(t, err)
	require.Equal(t, "mlx-community/GLM-4-9B-0414-4bit", r.String())
	r, err = parseName("glm4:9b-4bit@v1")
	require.NoError(t, err)
	require.Equal(t, "mlx-community/GLM-4-9B-0414-4bit@v1", r.String())
	for _, revision := range []string{
		"", "..", "../x", "a/../b", "/etc", "a/", "a//b", "a\\b", "a\x00b", "a b", "a\nb", "a~1", "a^", "a:b", ".a", "a/.b", "a.lock",
		"a.", "-a", "a@b", "nul", "x/CON.txt", strings.Repeat("a", 201), "a\u202eb", "x.tmp", "*",
	} {
		_, err := parseName("org/name@" + revision)
		require.Error(t, err, "%q", revision)
	}
	_, err = parseName("glm4:10b")
	require.ErrorContains(t, err, "glm4:9b-4bit", "names those that there are")
}

func TestFileClimbsOutOfTheSnapshot(t *testing.T) {
	for _, path := range []string{"config.json", "a/b/c.json", "..json", "a b.json", "é.json", "comma,.json", "com.json", "nullable.json"} {
		require.NoError(t, checkPath(path), path)
	}
	for _, path := range []string{
		"", "/etc/x.json", "../x.json", "a/../../x.json", "a/./b.json", "a//b.json", "a/", "..", ".", "a\\..\\b.json", "C:x.json",
		"a\x00.json", "a\n.json", "nul.json", "x/COM1.json", "lpt9", "\xff.json", strings.Repeat("a", 256), "\u202e.json",
	} {
		require.Error(t, checkPath(path), "%q", path)
	}
	commit := strings.Repeat("a", 40)
	for _, hash := range []string{"", commit[1:], commit + "a", strings.ToUpper(commit), "../" + commit[3:], commit[:39] + "g", commit + "\n"} {
		require.Error(t, checkHex("it", hash), hash)
		require.Error(t, checkFiles([]file{{"config.json", 1, hash, false}}), hash)
	}
	good := file{"a.json", 1, commit, false}
	for name, list := range map[string][]file{
		"same name": {good, {"A.json", 1, commit, false}}, "file and folder": {good, {"a.json/b.json", 1, commit, false}},
		"negative": {{"a.json", -1, commit, false}}, "huge": {{"a.json", 1 << 60, commit, false}},
		"sha1 of LFS": {{"a.json", 1, commit, true}}, "climbs": {{"../a.json", 1, commit, false}},
	} {
		require.Error(t, checkFiles(list), name)
	}
	require.NoError(t, checkFiles([]file{good, {"b/a.json", 1, commit, false}}))
}
