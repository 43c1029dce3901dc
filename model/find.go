package model

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/internal/nearest"
	"github.com/glm4-metal/glm4-metal/loader"
)

// NotFoundError is of a checkpoint that is not on this disk, or not all of it. It wraps [fs.ErrNotExist].
type NotFoundError struct {
	Name       string   // as it was asked for
	Repository string   // of the hub, from which [Pull] fetches it; "" where Name is no name of one
	Cache      string   // folder that it was looked for in
	Missing    []string // files that lack of a checkpoint that is there in part
	Near       string   // short name that may have been meant, "" where none is near
}

func (e *NotFoundError) Error() string {
	switch {
	case len(e.Missing) > 0:
		return fmt.Sprintf("%s is not whole in %s: it lacks %s", e.Name, e.Cache, strings.Join(e.Missing, ", "))
	case e.Repository != "":
		return fmt.Sprintf("%s: there is no such folder, and it is not in %s", e.Name, e.Cache)
	case e.Near != "":
		return fmt.Sprintf("%s: there is no such folder or model; did you mean %s?", e.Name, e.Near)
	}
	return fmt.Sprintf("%s: there is no such folder or model; give the path of a checkpoint, org/name as on the hub, or "+
		"one of %s", e.Name, strings.Join(hub.Names(), ", "))
}

// Unwrap gives fs.ErrNotExist.
func (e *NotFoundError) Unwrap() error { return fs.ErrNotExist }

// Find gives the folder of a checkpoint that is on this disk, and asks nobody for it. name is
//
//   - the path of a folder, which goes before what follows,
//   - a short name, such as "glm4:9b-4bit",
//   - a repository of the Hugging Face hub, org/name or org/name@revision, that [Pull], mlx-lm or huggingface_hub has
//     fetched. THUDM and zai-org are the same.
//
// The cache of the hub is where huggingface_hub has it: in HF_HUB_CACHE, or hub in HF_HOME, or
// ~/.cache/huggingface/hub. Its environment variables are read at each call.
//
// Errors are a [*NotFoundError], those of [loader.CheckFolder] for what can only be a path, or of a variable that has
// no sense.
func Find(name string) (folder string, err error) {
	if name == "" {
		return "", errors.New("the name of the model is empty")
	}
	notFolder := loader.CheckFolder(name)
	if notFolder == nil {
		return name, nil
	}
	_, err = os.Stat(name)
	exists := err == nil
	if !errors.Is(notFolder, fs.ErrNotExist) {
		return "", notFolder
	}
	h, err := hub.Open()
	if err != nil {
		return "", err
	}
	repository, ok := hub.Repository(name)
	switch {
	case !ok && (exists || strings.Contains(name, "/")):
		return "", notFolder
	case !ok:
		return "", &NotFoundError{Name: name, Cache: h.Settings.Cache, Near: nearest.Name(strings.ToLower(name), hub.Names())}
	}
	folder, err = h.Find(name)
	var missing *hub.NotHereError
	var part *hub.IncompleteError
	switch {
	case err == nil:
		return folder, nil
	case errors.As(err, &missing) && exists:
		return "", notFolder
	case errors.As(err, &missing):
		return "", &NotFoundError{Name: name, Repository: repository, Cache: missing.Cache}
	case errors.As(err, &part) && part.Err == nil:
		return "", &NotFoundError{Name: name, Repository: repository, Cache: part.Folder, Missing: part.Missing}
	}
	return "", err
}

// Pull fetches a checkpoint from the Hugging Face hub into its cache, unless it is there, and gives its folder. name is
// one of [Find], but no path. What was fetched before, also by huggingface_hub, is used; what is there when ctx ends
// stays for the next call. A model of no family that can be run is refused before its weights are fetched.
//
// progress, which may be nil, is told of the bytes that are here of all that there will be, by one goroutine at a time;
// done can fall, where a file has to be fetched again.
//
// Besides those of Find, these variables count, as huggingface_hub reads them: HF_TOKEN or the file HF_TOKEN_PATH,
// HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_DISABLE_SYMLINKS, HF_HUB_ETAG_TIMEOUT,
// HF_HUB_DOWNLOAD_TIMEOUT, and HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
//
// Errors are a [*NotFoundError] where name is no name of a repository, one that wraps [ErrUnsupported], that of ctx, or
// one that only its text tells, with what to do.
func Pull(ctx context.Context, name string, progress func(done, total int64)) (folder string, err error) {
	h, err := hub.Open()
	if err != nil {
		return "", err
	}
	if _, ok := hub.Repository(name); !ok {
		if _, err = Find(name); err == nil {
			err = fmt.Errorf("%s: a folder, for which nothing is fetched", name)
		}
		return "", err
	}
	return h.Pull(ctx, name, progress)
}
