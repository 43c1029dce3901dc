package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/glm4-metal/glm4-metal/internal/hub/hubtest"
)

// TestMain makes the test binary a little program that finds or pulls, for tests that need another process: one that is
// killed, that has another environment, or that has fewer rights. scripts/goldens/hub runs it too.
func TestMain(m *testing.M) {
	verb := os.Getenv("HUB_TEST_CHILD")
	if verb == "" {
		os.Exit(m.Run())
	}
	folder, err := child(verb, os.Getenv("HUB_TEST_NAME"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		showBlobs()
		os.Exit(1)
	}
	fmt.Println(folder)
}

func child(verb, name string) (string, error) {
	if err := enterChild(); err != nil {
		return "", err
	}
	s, err := FromEnvironment()
	if err != nil {
		return "", err
	}
	h := New(s)
	h.Describe = describeTest
	h.Notice = func(line string) { fmt.Fprintln(os.Stderr, line) }
	if verb == "find" {
		return h.Find(name)
	}
	return h.Pull(context.Background(), name, nil)
}

// showBlobs tells what an error has left on a disk that goes with the process.
func showBlobs() {
	for _, blob := range blobsBelow(os.Getenv("HF_HOME")) {
		data, err := os.ReadFile(blob)
		if err == nil {
			fmt.Fprintln(os.Stderr, "blob", filepath.Base(blob), hubtest.File{Data: data, LFS: true}.SHA256())
		}
	}
}

func blobsBelow(home string) []string {
	blobs, _ := filepath.Glob(home + "/hub/models--*/blobs/*")
	return blobs
}

// describeTest knows what the tests' configurations have.
func describeTest(name string, config []byte) (family string, bits int, err error) {
	var fields struct {
		Type         string `json:"model_type"`
		Quantization struct{ Bits int }
	}
	if err := json.Unmarshal(config, &fields); err != nil {
		return "", 0, fmt.Errorf("%s: %w", name, err)
	}
	if fields.Type != "glm4" {
		return "", 0, nil
	}
	return fields.Type, fields.Quantization.Bits, nil
}
