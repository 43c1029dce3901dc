package loader

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// fileKind is what a file is by its first bytes, or by its name where its format has no mark. As text it says so in an
// error, with the way out.
type fileKind string

const takeSafetensors = "which cannot be read; take the safetensors checkpoint of the same model"

const (
	otherFile  fileKind = ""
	emptyFile  fileKind = "an empty file; download it again"
	lfsPointer fileKind = "a Git LFS pointer"
	htmlPage   fileKind = "an HTML page, such as of a login or an error, saved in place of the file; download it again"
	ggufFile   fileKind = "a GGUF file, " + takeSafetensors
	torchFile  fileKind = "a PyTorch file, which cannot be read; take a safetensors checkpoint, or save this one again " +
		"with transformers' save_pretrained(safe_serialization=True)"
	onnxFile  fileKind = "an ONNX model, " + takeSafetensors
	numpyFile fileKind = "a file of NumPy arrays, " + takeSafetensors
	hdf5File  fileKind = "an HDF5 file (Keras, TensorFlow), " + takeSafetensors
	flatFile  fileKind = "a TensorFlow Lite model, " + takeSafetensors
	archive   fileKind = "an archive; unpack it and give the folder that holds config.json"
)

// startBytes is how much of a file kindOf wants to see.
const startBytes = 512

// magics are the first bytes of formats.
var magics = []struct {
	at    int
	bytes string
	kind  fileKind
}{
	// FUGG: big-endian; the others: GGUF's forerunners
	{0, "GGUF", ggufFile}, {0, "FUGG", ggufFile}, {0, "lmgg", ggufFile}, {0, "tjgg", ggufFile}, {0, "fmgg", ggufFile},
	{0, "\x93NUMPY", numpyFile}, {0, "\x89HDF\r\n\x1a\n", hdf5File}, {4, "TFL3", flatFile},
	// Python pickles
	{0, "\x80\x02", torchFile}, {0, "\x80\x03", torchFile}, {0, "\x80\x04", torchFile}, {0, "\x80\x05", torchFile},
	{0, "\x1f\x8b", archive}, {0, "BZh", archive}, {0, "\xfd7zXZ\x00", archive}, {0, "\x28\xb5\x2f\xfd", archive},
	{0, "7z\xbc\xaf\x27\x1c", archive}, {0, "Rar!\x1a\x07", archive}, {257, "ustar", archive},
}

// kindOf tells what a file is. start is what it begins with, up to startBytes.
func kindOf(name string, start []byte) fileKind {
	switch {
	case len(start) == 0:
		return emptyFile
	case isSafetensors(start):
		return otherFile
	case textfile.IsLFSPointer(start):
		return lfsPointer
	case isHTML(start):
		return htmlPage
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return kindOfZip(name, start)
	case path.Ext(name) == ".onnx":
		return onnxFile // protocol buffers, which have no mark
	}
	for _, m := range magics {
		if len(start) >= m.at && bytes.HasPrefix(start[m.at:], []byte(m.bytes)) {
			return m.kind
		}
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".gguf":
		return ggufFile
	case ".pt", ".pth", ".ckpt":
		return torchFile
	case ".bin":
		if strings.HasPrefix(name, "pytorch_model") {
			return torchFile
		}
	}
	return otherFile
}

// isSafetensors reports whether a file begins as a safetensors file does: with a length below 100 MB and the brace of
// its header.
func isSafetensors(start []byte) bool {
	return len(start) > 8 && start[8] == '{' && start[4] == 0 && start[5] == 0 && start[6] == 0 && start[7] == 0
}

// kindOfZip tells archives that are a format of their own from others, by the name of the first file in them.
func kindOfZip(name string, start []byte) fileKind {
	ext := strings.ToLower(path.Ext(name))
	switch {
	case ext == ".npz" || bytes.Contains(start, []byte(".npy")):
		return numpyFile
	case ext == ".bin" || ext == ".pt" || ext == ".pth" || ext == ".ckpt" || bytes.Contains(start, []byte("data.pkl")):
		return torchFile
	}
	return archive
}

func isHTML(start []byte) bool {
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n"))
	return bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html"))
}

// kindOfEntry tells what an entry of a folder is; what is no regular file, or cannot be read, is otherFile.
func kindOfEntry(fsys fs.FS, e fs.DirEntry) fileKind {
	info, err := fs.Stat(fsys, e.Name())
	if err != nil || !info.Mode().IsRegular() {
		return otherFile
	}
	f, err := fsys.Open(e.Name())
	if err != nil {
		return otherFile
	}
	defer f.Close()
	start, err := readStart(f)
	if err != nil {
		return otherFile
	}
	return kindOf(e.Name(), start)
}

// readStart reads the first bytes of a file.
func readStart(f io.Reader) ([]byte, error) {
	start := make([]byte, startBytes)
	n, err := io.ReadFull(f, start)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return start[:n], err
}
