package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/demo"
	"github.com/glm4-metal/glm4-metal/internal/server"
	"github.com/glm4-metal/glm4-metal/internal/textfile"
	"github.com/glm4-metal/glm4-metal/model"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:      "serve",
		Usage:     "answer over HTTP, as OpenAI's and Anthropic's APIs do",
		UsageText: program + " serve [options] [MODEL]",
		Description: `A chat page is at /. OpenAI's clients take http://ADDRESS:PORT/v1 as their base URL, Anthropic's
http://ADDRESS:PORT. Paths: POST /v1/chat/completions, /v1/completions and /v1/responses, POST /v1/messages and
/v1/messages/count_tokens, GET /v1/models, POST /tokenize and /detokenize as llama.cpp's server has them, GET /health
and /metrics. Whatever model a request names, this one answers. Answers cannot be held to a format:
response_format and its like are refused.

Only programs of this machine reach the server, unless --host says otherwise; then give it an API key, too. Clients
send it as "Authorization: Bearer KEY" or "X-Api-Key: KEY". An argument is visible to all users of this machine, a file
and $` + keyEnvironment + ` are not. Web pages of other sites may not ask, unless --allowed-origins names them (*: all),
nor requests under a name of this machine that --allowed-hosts does not name.

What a request does not say is as in the options here: always the likeliest token, up to the end of the context.
Answers to one prompt are the faster the more of it the server has in its caches, which --prompt-cache-bytes bounds.
Requests beyond --parallel wait in turn, those beyond --max-queue are told to come again.

Ctrl-C or a SIGTERM lets answers go on for 10 seconds at most and ends with status 0, a second one ends at once.

Examples:
  glm4-metal serve
  glm4-metal serve ./GLM-4-9B-0414-4bit --keep-alive 10m
  glm4-metal serve ./GLM-4-9B-0414-4bit --host 0.0.0.0 --api-key-file key.txt --allowed-hosts mac.local
  glm4-metal serve --unix /tmp/glm4.sock
  curl http://127.0.0.1:8080/v1/chat/completions \
    -d '{"messages": [{"role": "user", "content": "Hello"}]}'`,
		Flags: slices.Concat([]cli.Flag{modelFlag(),
			&cli.StringFlag{Name: "host", Value: "127.0.0.1", Usage: "listen on this `ADDRESS`; 0.0.0.0: on all"},
			&cli.IntFlag{Name: "port", Value: 8080, Usage: "listen on port `N`; 0: on a free one"},
			&cli.StringFlag{Name: "unix", Usage: "listen on a Unix socket, a `FILE`, in place of host and port"},
			&cli.StringFlag{Name: "api-key", Usage: "requests must bring this `KEY`; default $" + keyEnvironment},
			&cli.StringFlag{Name: "api-key-file", Usage: "requests must bring the key in a `FILE`"},
			&cli.StringFlag{Name: "allowed-origins",
				Usage: "web pages of these `ORIGINS` may ask, separated by commas, such as https://chat.example; *: all"},
			&cli.StringFlag{Name: "allowed-hosts",
				Usage: "requests may be for these `HOSTS`, separated by commas, beside localhost and addresses; *: all"},
			&cli.IntFlag{Name: "parallel", Value: 4, Usage: "generate `N` answers side by side"},
			&cli.IntFlag{Name: "max-queue", Value: 64, Usage: "let `N` requests wait"},
			&cli.StringFlag{Name: "prompt-cache-bytes",
				Usage: "keep KV caches of at most this `SIZE`, such as 4GB; default: what --parallel full contexts take"},
			&cli.StringFlag{Name: "keep-alive", Value: "0",
				Usage: "unload the model when there was no request for a `TIME`, such as 5m; 0: never"},
			&cli.StringFlag{Name: "request-timeout", Value: "0", Usage: "end a request after a `TIME`; 0: never"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "log requests on standard error as `text|json`"},
			&cli.BoolFlag{Name: "log-prompts", Usage: "log what requests say, too"},
			&cli.StringFlag{Name: "model-name", Usage: "the model's `NAME` in the API; default: its folder's"},
			chatTemplateFlag(),
		}, samplingFlags(0), backendFlags()),
		Action: serve,
	}
}

func serve(c *cli.Context) error {
	name, err := modelName(c)
	if err != nil {
		return err
	}
	o, err := serverOptions(c, name)
	if err != nil {
		return err
	}
	if _, err := model.OpenText(c.Context, name, c.String("chat-template")); err != nil { // before a port is taken
		return err
	}
	l, err := listen(c)
	if err != nil {
		return err
	}
	s := server.New(o)
	ctx, cancel := context.WithCancelCause(c.Context)
	defer cancel(nil)
	go func() {
		if err := s.Load(ctx); err != nil && ctx.Err() == nil {
			cancel(err)
			return
		}
		if ctx.Err() == nil {
			announce(c, l.Addr(), o)
		}
	}()
	err = s.Serve(ctx, l)
	err = errors.Join(err, s.Close())
	if cause := context.Cause(ctx); err == nil && c.Context.Err() == nil {
		err = cause
	}
	return err
}

// serverOptions reads the flags.
func serverOptions(c *cli.Context, name string) (o server.Options, err error) {
	if _, err = loading(c); err != nil {
		return o, err
	}
	if o.Defaults, err = sampling(c); err != nil {
		return o, err
	}
	if o.APIKey, err = apiKey(c); err != nil {
		return o, err
	}
	for flag, to := range map[string]*int{"parallel": &o.Pool.Parallel, "max-queue": &o.Pool.Queue} {
		if *to = c.Int(flag); *to < 1 || *to > maxRequests {
			return o, usagef("%s is %d; it must lie between 1 and %d", asTyped(c, flag), *to, maxRequests)
		}
	}
	if c.IsSet("prompt-cache-bytes") {
		if o.Pool.CacheBytes, err = parseSize(c.String("prompt-cache-bytes")); err != nil {
			return o, usagef("%s is %q; %w", asTyped(c, "prompt-cache-bytes"), c.String("prompt-cache-bytes"), err)
		}
	}
	for flag, to := range map[string]*time.Duration{"keep-alive": &o.KeepAlive, "request-timeout": &o.Timeout} {
		if *to, err = parseTime(c.String(flag)); err != nil {
			return o, usagef("%s is %q; %w", asTyped(c, flag), c.String(flag), err)
		}
	}
	switch format := c.String("log-format"); format {
	case "text":
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	case "json":
		o.Log = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	default:
		return o, usagef("%s is %q; it must be text or json", asTyped(c, "log-format"), format)
	}
	o.LogPrompts = c.Bool("log-prompts")
	o.Origins, o.Hosts = commaList(c.String("allowed-origins")), commaList(c.String("allowed-hosts"))
	o.Model = cmp.Or(c.String("model-name"), modelLabel(name))
	o.Load = func(ctx context.Context) (*model.Model, error) { return load(ctx, c, name) }
	return o, nil
}

// maxRequests bounds what may run or wait.
const maxRequests = 1 << 16

// modelLabel is a model's name in the API: its folder's, without the owner of a hub's, or the demo's.
func modelLabel(name string) string {
	if name == "" {
		return demo.Name
	}
	if whole, err := filepath.Abs(name); err == nil { // of "."
		name = whole
	}
	return filepath.Base(name)
}

// apiKey is the key of a flag, a file or the environment.
func apiKey(c *cli.Context) (string, error) {
	file := c.String("api-key-file")
	switch {
	case c.IsSet("api-key") && c.IsSet("api-key-file"):
		return "", usagef("%s and %s are two keys; leave one out", asTyped(c, "api-key"), asTyped(c, "api-key-file"))
	case c.IsSet("api-key") && c.String("api-key") == "", c.IsSet("api-key-file") && file == "":
		return "", usagef("the API key is empty; give it some text, or leave it out")
	case c.IsSet("api-key"):
		return c.String("api-key"), nil
	case !c.IsSet("api-key-file"):
		return os.Getenv(keyEnvironment), nil
	}
	data, err := textfile.Read(file, 1<<16)
	if err != nil {
		return "", fmt.Errorf("%s: %w", asTyped(c, "api-key-file"), err)
	}
	key := strings.TrimSpace(string(data))
	if key == "" || strings.ContainsAny(key, "\r\n") {
		return "", fmt.Errorf("%s: %s must have one line with the key", asTyped(c, "api-key-file"), file)
	}
	return key, nil
}

// listen takes the port or the socket.
func listen(c *cli.Context) (net.Listener, error) {
	if file := c.String("unix"); c.IsSet("unix") {
		if c.IsSet("host") || c.IsSet("port") {
			return nil, usagef("%s is in place of --host and --port; leave them out", asTyped(c, "unix"))
		}
		return listenUnix(file)
	}
	port := c.Int("port")
	if port < 0 || port > math.MaxUint16 {
		return nil, usagef("%s is %d; it must lie between 0 and %d", asTyped(c, "port"), port, math.MaxUint16)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(c.String("host"), strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is taken, by another server perhaps; --port takes another, 0 a free one", port)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("port %d is the system's; --port takes one above 1023", port)
	case err != nil:
		return nil, fmt.Errorf("--host %s, --port %d: %w", c.String("host"), port, err)
	}
	return l, nil
}

// listenUnix takes a socket, which only this user reaches. One that a server has left behind is replaced.
func listenUnix(file string) (net.Listener, error) {
	if file == "" {
		return nil, usagef("--unix is empty; give it the name of a file")
	}
	if info, err := os.Lstat(file); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("--unix: %s is there, and no socket; name another file", file)
		}
		if connection, err := net.Dial("unix", file); err == nil {
			connection.Close()
			return nil, fmt.Errorf("--unix: another server listens on %s; name another file", file)
		}
		if err := os.Remove(file); err != nil {
			return nil, fmt.Errorf("--unix: %w", err)
		}
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	l, err := net.Listen("unix", file)
	if err != nil {
		return nil, fmt.Errorf("--unix: %w", err)
	}
	return l, nil
}

// announce tells where the server is.
func announce(c *cli.Context, address net.Addr, o server.Options) {
	at, curl, key := "http://"+address.String(), "http://"+address.String(), ""
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		curl = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	if address.Network() == "unix" {
		at, curl = address.String(), "--unix-socket "+quoteShell(address.String())+" http://localhost"
	}
	if o.APIKey != "" {
		key = ` -H "Authorization: Bearer $` + keyEnvironment + `"`
	}
	say(`%s listens on %s; try: curl %s/v1/chat/completions%s -d `+
		`'{"messages": [{"role": "user", "content": "Hello"}]}'`, o.Model, at, curl, key)
}

// commaList reads names between commas.
func commaList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// parseTime reads a time with its unit, or a number of seconds.
func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if seconds, failed := strconv.ParseUint(text, 10, 32); failed == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 {
		return 0, want("a time such as 5m, 90s or 0")
	}
	return d, nil
}

// sizeUnits are those of parseSize, the longer ones first.
var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10}, {"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"g", 1e9}, {"m", 1e6},
	{"k", 1e3}, {"b", 1}, {"", 1},
}

// parseSize reads a number of bytes, such as 4GB or 512MiB.
func parseSize(text string) (int64, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(x*u.bytes >= 1 && x*u.bytes < 1<<62) {
			break
		}
		return int64(x * u.bytes), nil
	}
	return 0, want("a size such as 4GB or 512MB")
}
