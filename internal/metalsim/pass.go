package metalsim

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

var (
	//go:embed pass/instrument.cpp
	passSource []byte
	//go:embed sim/sim.h
	passContract []byte
)

// passFlags build a plugin that finds LLVM's symbols in the clang that loads it.
var passFlags = []string{"-std=c++17", "-O1", "-fPIC", "-shared", "-fno-rtti", "-fno-exceptions", "-w"}

// PassPlugin returns the path of the plugin that makes clang 19 count and check: clang++ -fpass-plugin=path. It is
// built the first time, against the headers of llvm-19-dev, and kept in the user's cache under a hash of what it is
// built from.
func PassPlugin() (path string, err error) { return passPlugin() }

var passPlugin = sync.OnceValues(buildPassPlugin)

func buildPassPlugin() (string, error) {
	compiler, err := lookCompiler()
	if err != nil {
		return "", err
	}
	config, err := exec.LookPath("llvm-config-19")
	if err != nil {
		return "", fmt.Errorf("llvm-config-19 is not in PATH: "+
			"the counted build of a shader needs the package llvm-19-dev: %w", err)
	}
	include, err := exec.Command(config, "--includedir").Output()
	if err != nil {
		return "", fmt.Errorf("%s --includedir: %w", config, err)
	}
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", compiler, err)
	}
	hash := sha256.New()
	for _, part := range [][]byte{passSource, passContract, version, []byte(strings.Join(passFlags, " "))} {
		fmt.Fprintf(hash, "%d:", len(part))
		hash.Write(part)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "glm4-metal", "metalsim")
	path := filepath.Join(dir, "pass-"+hex.EncodeToString(hash.Sum(nil)[:12])+".so")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, "pass-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	for name, data := range map[string][]byte{"pass/instrument.cpp": passSource, "sim/sim.h": passContract} {
		file := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return "", err
		}
	}
	built := filepath.Join(work, "pass.so")
	args := append([]string{}, passFlags...)
	args = append(args, "-I"+strings.TrimSpace(string(include)), filepath.Join(work, "pass/instrument.cpp"), "-o", built)
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the instrumentation pass: %w\n%s", err, out)
	}
	if err := os.Rename(built, path); err != nil {
		return "", err
	}
	return path, nil
}

// lookCompiler finds clang 19, under either of its names.
func lookCompiler() (string, error) {
	for _, name := range []string{"clang++-19", "clang++"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("neither clang++-19 nor clang++ is in PATH: the stand-in for Metal needs clang 19")
}
