package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// wholeCheckpoint says what a checkpoint consists of.
const wholeCheckpoint = "a checkpoint is a folder with config.json, " + singleName +
	" (or shards and their index) and tokenizer.json"

// namedError is an error about a path whose text needs no cause, such as "file does not exist", behind it.
type namedError struct {
	text  string
	cause error
}

func (e *namedError) Error() string { return e.text }
func (e *namedError) Unwrap() error { return e.cause }

// missing is an error that wraps fs.ErrNotExist.
func missing(format string, args ...any) error {
	return &namedError{fmt.Sprintf(format, args...), fs.ErrNotExist}
}

// CheckFolder says what a path is that cannot be a checkpoint: nothing, a file (and of which kind), a folder that may
// not be searched, or one that holds other things. A folder passes that has a config.json or a tokenizer, which need
// not be complete or valid. Errors wrap fs.ErrNotExist or fs.ErrPermission where that is the cause.
func CheckFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		if err = textfile.Explain(dir, err); textfile.Absent(err) {
			return missing("%s: there is no such folder; give the path of a checkpoint (config.json, *.safetensors, "+
				"tokenizer.json)", printable(dir))
		}
		return err
	}
	if !info.IsDir() {
		return checkFile(dir, info)
	}
	fsys := os.DirFS(dir)
	for _, name := range []string{"config.json", "tokenizer.json", "tokenizer.model"} {
		_, err := fs.Stat(fsys, name)
		if err != nil {
			err = textfile.Explain(dir+"/"+name, err)
		}
		if !textfile.Absent(err) {
			return err // there, or not to be had
		}
	}
	return explainNoConfig(dir, fsys)
}

// shardName is what transformers and mlx-lm call one of several weight files.
var shardName = regexp.MustCompile(`-(\d{5})-of-(\d{5})\.safetensors$`)

// checkFile says what a file is that was given in place of a folder.
func checkFile(file string, info fs.FileInfo) error {
	shown := printable(file)
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: neither a folder nor a file; %s", shown, wholeCheckpoint)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return textfile.Explain(file, err)
	}
	defer f.Close()
	start, err := readStart(f)
	if err != nil {
		return textfile.Explain(file, err)
	}
	name, dir := filepath.Base(file), filepath.Dir(file)
	wayOut := wholeCheckpoint
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
		wayOut = fmt.Sprintf("give its folder, %s", printable(dir))
	}
	kind := kindOf(name, start)
	switch {
	case kind == lfsPointer:
		return textfile.LFSError(file)
	case kind == emptyFile:
		return fmt.Errorf("%s: the file is empty; download it again", shown)
	case strings.HasPrefix(name, "adapter") || strings.HasSuffix(name, "adapters.safetensors"):
		return explainAdapter(file, os.DirFS(dir))
	case kind == otherFile && shardName.MatchString(name):
		n := shardName.FindStringSubmatch(name)
		return fmt.Errorf("%s: one shard of a checkpoint, file %s of %s; %s", shown, strings.TrimLeft(n[1], "0"),
			strings.TrimLeft(n[2], "0"), wayOut)
	case kind == otherFile && strings.HasSuffix(name, ".safetensors"):
		return fmt.Errorf("%s: the weights of a checkpoint; %s", shown, wayOut)
	case kind == otherFile && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name,
		".jinja") || name == "tokenizer.model"):
		return fmt.Errorf("%s: one file of a checkpoint; %s", shown, wayOut)
	case kind == otherFile:
		return fmt.Errorf("%s: a file; %s", shown, wholeCheckpoint)
	}
	return fmt.Errorf("%s: %s", shown, kind)
}

// explainNoConfig says what a folder without config.json holds instead.
func explainNoConfig(dir string, fsys fs.FS) error {
	shown := printable(dir)
	entries, err := fs.ReadDir(fsys, ".")
	if errors.Is(err, fs.ErrPermission) {
		return textfile.Explain(dir, err)
	}
	if snapshot := hubSnapshot(fsys); snapshot != "" {
		return missing("%s: no checkpoint but its hub cache; give the folder %s", shown, printable(dir+"/"+snapshot))
	}
	if len(entries) == 0 {
		return missing("%s: an empty folder; %s", shown, wholeCheckpoint)
	}
	if err := explainAdapterOrUnfinished(dir, fsys); err != nil {
		return err
	}
	if name := first(fsys, "*.safetensors"); name != "" {
		return missing("%s: has weights (%s) but no config.json; download it from where they came", shown, printable(name))
	}
	if err := explainForeign(dir, fsys, entries); err != nil {
		return err
	}
	if models := modelsIn(fsys); len(models) > 0 {
		const most = 5
		more := ""
		if len(models) > most {
			more = fmt.Sprintf(" and %d more", len(models)-most)
			models = models[:most]
		}
		return missing("%s: no checkpoint but a folder of them; give one: %s%s", shown,
			printable(dir+"/"+strings.Join(models, ", "+dir+"/")), more)
	}
	return missing("%s: no checkpoint: it holds no config.json (a checkpoint has config.json, %s, tokenizer.json)", shown,
		singleName)
}

// explainNoWeights says what a folder with a config.json but no weights holds instead.
func explainNoWeights(dir string, fsys fs.FS) error {
	shown := printable(dir)
	if err := explainAdapterOrUnfinished(dir, fsys); err != nil {
		return err
	}
	if name := first(fsys, "*.safetensors"); name != "" {
		return missing("%s: has %s but neither %s nor %s, which says what the other shards are; download it", shown,
			printable(name), singleName, indexName)
	}
	entries, _ := fs.ReadDir(fsys, ".")
	if err := explainForeign(dir, fsys, entries); err != nil {
		return err
	}
	return missing("%s: no weights: it holds neither %s nor %s; download them", shown, singleName, indexName)
}

// explainAdapter says of which model an adapter is. given is its folder or a file of it; fsys is the folder.
func explainAdapter(given string, fsys fs.FS) error {
	model := ""
	if data, err := textfile.ReadFS(fsys, given, "adapter_config.json", maxConfig); err == nil {
		if f, err := parseFields("", data); err == nil {
			for _, field := range []string{"base_model_name_or_path", "model"} {
				if f.has(field) && model == "" {
					model = " of " + printable(clip(f.text(field)))
				}
			}
		}
	}
	return fmt.Errorf("%s: a LoRA adapter%s and no model; adapters cannot be applied here: merge it into its model with "+
		"mlx_lm.fuse or peft's merge_and_unload, and give the result's folder",
		printable(given), model)
}

// explainAdapterOrUnfinished tells of an adapter, or of a download that has not ended; nil if there is neither.
func explainAdapterOrUnfinished(dir string, fsys fs.FS) error {
	if first(fsys, "adapter_config.json", "*adapters.safetensors", "adapter_model.*") != "" {
		return explainAdapter(dir, fsys)
	}
	patterns := []string{".cache/huggingface/download/*.incomplete"}
	for _, ending := range unfinishedEndings {
		patterns = append(patterns, "*"+ending)
	}
	name := first(fsys, patterns...)
	if name == "" {
		name = unfinishedBlob(dir)
	}
	if name == "" {
		return nil
	}
	return missing("%s: %s is a download that has not ended; finish it, or download the checkpoint again", printable(dir),
		printable(name))
}

// explainForeign names a file in another format, nil if there is none.
func explainForeign(dir string, fsys fs.FS, entries []fs.DirEntry) error {
	const most = 200 // files that are looked into
	for _, e := range entries[:min(most, len(entries))] {
		kind := kindOfEntry(fsys, e)
		if kind == lfsPointer || kind == emptyFile || kind == htmlPage || kind == otherFile {
			continue
		}
		return fmt.Errorf("%s: no checkpoint that can be read: it holds %s, %s", printable(dir), printable(e.Name()), kind)
	}
	return nil
}

// hubSnapshot finds the checkpoint inside the folder that a hub cache keeps for a model (models--OWNER--NAME): the one
// that refs/main names, or else the first; "" if there is none.
func hubSnapshot(fsys fs.FS) string {
	if ref, err := textfile.ReadFS(fsys, ".", "refs/main", 100); err == nil {
		if dir := "snapshots/" + strings.TrimSpace(string(ref)); fs.ValidPath(dir) && first(fsys, dir+"/config.json") != "" {
			return dir
		}
	}
	return strings.TrimSuffix(first(fsys, "snapshots/*/config.json"), "/config.json")
}

// modelsIn gives the folders that hold a config.json, one or two levels below.
func modelsIn(fsys fs.FS) []string {
	models := glob(fsys, "models--*/snapshots/*/config.json", "hub/models--*/snapshots/*/config.json")
	left := 1000 // folders that are looked into, as this may be a whole disk
	var look func(dir string, depth int)
	look = func(dir string, depth int) {
		entries, _ := fs.ReadDir(fsys, dir)
		for _, e := range entries {
			if left--; left < 0 {
				return
			}
			below := path.Join(dir, e.Name())
			if _, err := fs.Stat(fsys, below+"/config.json"); err == nil {
				models = append(models, below+"/config.json")
			} else if depth > 1 && e.IsDir() {
				look(below, depth-1)
			}
		}
	}
	look(".", 2)
	for i, name := range models {
		models[i] = path.Dir(name)
	}
	slices.Sort(models)
	return slices.Compact(models)
}

// first returns the first name that matches one of the patterns, "" if none.
func first(fsys fs.FS, patterns ...string) string {
	if names := glob(fsys, patterns...); len(names) > 0 {
		return names[0]
	}
	return ""
}

// glob returns the names that match the patterns, one pattern's after the other.
func glob(fsys fs.FS, patterns ...string) (names []string) {
	for _, pattern := range patterns {
		found, _ := fs.Glob(fsys, pattern) // patterns are valid
		names = append(names, found...)
	}
	return names
}

// unfinishedEndings are what downloaders append to the name of a file that they have not finished.
var unfinishedEndings = []string{".aria2", ".part", ".crdownload", ".incomplete", ".partial", ".download", ".!qB"}

// unfinishedBeside ends an error about a damaged or missing file if a downloader left something beside it, and is ""
// otherwise.
func unfinishedBeside(fsys fs.FS, file string) string {
	for _, ending := range unfinishedEndings {
		if _, err := fs.Stat(fsys, file+ending); err == nil {
			return fmt.Sprintf("; %s beside it shows that its download has not ended", printable(path.Base(file)+ending))
		}
	}
	return ""
}

// unfinishedBlob names a download of a hub cache that has not ended, if dir is a snapshot in it; "" if there is none.
func unfinishedBlob(dir string) string {
	const blobs = "../../blobs"
	if path.Base(path.Dir(dir)) != "snapshots" {
		return ""
	}
	entries, _ := os.ReadDir(filepath.Join(dir, blobs))
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".incomplete") {
			return blobs + "/" + e.Name()
		}
	}
	return ""
}

// explainNoShard says what is known about a weight file that could not be opened.
func explainNoShard(dir string, fsys fs.FS, file string, shards int, err error) error {
	switch beside := unfinishedBeside(fsys, file); {
	case textfile.Absent(err):
		if blob := unfinishedBlob(dir); beside == "" && blob != "" {
			beside = fmt.Sprintf("; %s is a download that has not ended", printable(blob))
		}
		return missing("%s/%s: the file is missing, but %s names it as one of %d; download it%s", dir, file, indexName,
			shards, beside)
	case beside != "":
		return fmt.Errorf("%w%s", err, beside)
	case errors.Is(err, unix.ENOMEM):
		var limit unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil && limit.Cur < 1<<62 {
			return fmt.Errorf("%w; the address space of the process is limited to %.2f GB (ulimit -v), and all weights are "+
				"mapped into it: raise the limit", err, float64(limit.Cur)/1e9)
		}
	}
	return err
}
