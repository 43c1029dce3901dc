package hub

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// repository is a checkpoint on the hub.
type repository struct {
	org, name string
	revision  string // a branch, a tag, refs/pr/1 or a commit; "main" where none was given
}

// id is as the hub has it: org/name.
func (r repository) id() string { return r.org + "/" + r.name }

func (r repository) String() string {
	if r.revision == mainRevision {
		return r.id()
	}
	return r.id() + "@" + r.revision
}

// folder is the name of its folder in the cache.
func (r repository) folder() string { return "models--" + r.org + "--" + r.name }

const mainRevision = "main"

// aliases gives a repository and the other name of the same one: THUDM is zai-org now, and both are served.
func (r repository) aliases() []repository {
	other := r
	switch r.org {
	case "THUDM":
		other.org = "zai-org"
	case "zai-org":
		other.org = "THUDM"
	default:
		return []repository{r}
	}
	return []repository{r, other}
}

var (
	// As huggingface_hub's validate_repo_id; what it forbids in the middle is checked apart.
	namePart = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)
	hexName  = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// parseName reads a short name of the [Catalog] or org/name, with @revision behind it or without.
func parseName(name string) (repository, error) {
	id, revision, given := strings.Cut(name, "@")
	if known, ok := Find(id); ok {
		id = known.Repository
	}
	org, repo, ok := strings.Cut(id, "/")
	r := repository{org, repo, mainRevision}
	if !ok {
		return r, fmt.Errorf("%q is no model: give the path of a folder, org/name as on the hub, or one of %s", name,
			strings.Join(Names(), ", "))
	}
	if len(org) > 96 || len(repo) > 96 || !namePart.MatchString(org) || !namePart.MatchString(repo) ||
		strings.Contains(id, "--") || strings.Contains(id, "..") || strings.HasSuffix(id, ".git") {
		return r, fmt.Errorf("%q is no name of a repository: org/name has letters, digits and single . _ - between them", id)
	}
	if given {
		r.revision = revision
	}
	if err := checkRevision(r.revision); err != nil {
		return r, fmt.Errorf("%q: %w", name, err)
	}
	return r, nil
}

// checkRevision refuses what git takes for no name, as it becomes the path of a file in refs.
func checkRevision(revision string) error {
	bad := len(revision) > 200 || strings.ContainsAny(revision, " ~^:?*[\\@") ||
		strings.ContainsFunc(revision, unprintable)
	for part := range strings.SplitSeq(revision, "/") {
		bad = bad || part == "" || part[0] == '.' || part[0] == '-' || strings.HasSuffix(part, ".") ||
			strings.HasSuffix(part, ".lock") || strings.HasSuffix(part, ".tmp") || strings.Contains(part, "..") || reserved(part)
	}
	if bad {
		return fmt.Errorf("%q is no revision: give a branch, a tag or a commit", revision)
	}
	return nil
}

// checkPath refuses a file's name that would leave the snapshot's folder, or that no file system or only some can have.
func checkPath(path string) error {
	bad := path == "" || len(path) > 1000 || !utf8.ValidString(path) || strings.ContainsAny(path, "\\:") ||
		strings.ContainsFunc(path, unprintable) || !filepath.IsLocal(path)
	for part := range strings.SplitSeq(path, "/") {
		bad = bad || part == "" || part == "." || part == ".." || len(part) > 255 || reserved(part)
	}
	if bad {
		return fmt.Errorf("the hub lists a file %q, whose name is not allowed; nothing of it was written", path)
	}
	return nil
}

func unprintable(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) }

// reserved tells the names that Windows keeps for devices, which a cache on a shared disk must not have.
func reserved(part string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(part), ".")
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (stem[:3] == "COM" || stem[:3] == "LPT") && '0' <= stem[3] && stem[3] <= '9'
}

// checkHex refuses hashes that are no 40 or 64 hex digits, as they become names of files. what says whose it is.
func checkHex(what, hash string) error {
	if !hexName.MatchString(hash) {
		return fmt.Errorf("the hub gives %q as %s; it must be 40 or 64 hex digits", clip(hash), what)
	}
	return nil
}

// clip makes a stranger's text fit for a line on a terminal.
func clip(text string) string {
	text = strings.Map(func(c rune) rune {
		if unprintable(c) {
			return ' '
		}
		return c
	}, text)
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "..."
	}
	return text
}
