//go:build linux && (amd64 || arm64)

package metalsim

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

//go:embed sim/*.h sim/*.cpp
var simSources embed.FS

var (
	objectFlags = []string{"-std=c++20", "-O2", "-fPIC", "-pthread", "-fvisibility-inlines-hidden", "-c"}
	linkFlags   = []string{"-shared", "-pthread", "-Wl,-z,defs", "-Wl,-z,nodelete", "-ldl"}
)

// buildLibrary compiles sim/*.cpp into the user's cache, unless it is there, and returns its path. Objects and library
// are named after a hash of all that they depend on, so a change compiles only what it touches.
func buildLibrary() (string, error) {
	compiler, err := lookCompiler()
	if err != nil {
		return "", err
	}
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", compiler, err)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the Metal stand-in is built in the user's cache directory: %w", err)
	}
	b := builder{compiler: compiler, dir: filepath.Join(user, "glm4-metal", "metalsim")}
	names, headers, err := readSources()
	if err != nil {
		return "", err
	}
	b.common = slices.Concat(version, []byte(runtime.GOARCH), headers,
		[]byte(strings.Join(slices.Concat(objectFlags, linkFlags), " ")))

	objects := make([]string, len(names))
	all := sha256.New()
	for i, name := range names {
		source, err := simSources.ReadFile(name)
		if err != nil {
			return "", err
		}
		hash := sha256.Sum256(slices.Concat(b.common, []byte(name), source))
		all.Write(hash[:])
		objects[i] = filepath.Join(b.dir, fmt.Sprintf("%s-%s.o", strings.TrimSuffix(path.Base(name), ".cpp"),
			hex.EncodeToString(hash[:12])))
	}
	library := filepath.Join(b.dir, "libmetalsim-"+hex.EncodeToString(all.Sum(nil)[:12])+".so")
	if exists(library) {
		return library, nil
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return "", err
	}
	// One process builds, the others wait for it.
	lock, err := os.OpenFile(filepath.Join(b.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	if exists(library) {
		return library, nil
	}
	return library, b.build(names, objects, library)
}

type builder struct {
	compiler, dir string
	common        []byte // what every file depends on
}

// readSources returns the names of the C++ files and the text of all headers.
func readSources() (names []string, headers []byte, err error) {
	entries, err := simSources.ReadDir("sim")
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		name := path.Join("sim", entry.Name())
		if path.Ext(name) == ".cpp" {
			names = append(names, name)
			continue
		}
		data, err := simSources.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		headers = append(append(headers, name...), data...)
	}
	return names, headers, nil
}

func (b builder) build(names, objects []string, library string) error {
	work, err := os.MkdirTemp(b.dir, "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, simSources); err != nil {
		return err
	}

	failed := make([]error, len(names))
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, name := range names {
		if exists(objects[i]) {
			continue
		}
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			object := filepath.Join(work, path.Base(name)+".o")
			args := slices.Concat(objectFlags, []string{filepath.Join(work, name), "-o", object})
			if err := b.run(args); err != nil {
				failed[i] = err
				return
			}
			failed[i] = os.Rename(object, objects[i])
		})
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("building the Metal stand-in: %w", err)
	}

	linked := filepath.Join(work, "libmetalsim.so")
	if err := b.run(slices.Concat(objects, linkFlags, []string{"-o", linked})); err != nil {
		return fmt.Errorf("linking the Metal stand-in: %w", err)
	}
	return os.Rename(linked, library)
}

func (b builder) run(args []string) error {
	if out, err := exec.Command(b.compiler, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", b.compiler, err, out)
	}
	return nil
}
